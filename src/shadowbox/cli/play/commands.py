"""`shadowbox play`: a game of others, live."""

from __future__ import annotations

from shadowbox.cli import _LazyGroup

COMMANDS = {  # name -> (module:object, what `--help` says)
    "gesture": (
        "shadowbox.cli.play.gesture:gesture",
        "Minecraft, a mock of it, or another game with body and hands.",
    ),
    "melee": (
        "shadowbox.cli.play.melee:melee",
        "Super Smash Bros. Melee against a policy, in Slippi Dolphin.",
    ),
}

play = _LazyGroup(
    "play", commands_at=COMMANDS, help="Play a game of others, live, with a policy in the loop."
)
