"""Agents and worlds by name. The one place that turns a text such as `based`, `clockwork:d30w5` or `expert@delay=6` into them.

An agent is NAME[:ARGUMENT][@OPTION[@OPTION...]]. NAME is a bot of the game, or `replay:STORE#12`:
what was pressed in the same seat of a stored match, or `policy:RUN`: a learned policy. Options:
`delay=N` sees the world N frames late; of a policy also a number (the temperature), `best`,
`latest`, `step=N`, `seed=N`, `threshold=P` (or `threshold`: the tuned ones), `device=NAME`. RUN is
a run, a card's folder of runs (the lowest seed counts), a checkpoint's folder, or a policy that the
game ships. Learned worlds (`dream:runs/w`) have their place in the grammar and say that they cannot
be used yet. A world is the game's name, with options of that game:
`brawl@stage=mirror@weapons=off`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from shadowbox.core.game import Agent, Game, World
from shadowbox.data.store import Store, parse_episode_spec
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.play import checkpoints
from shadowbox.play.agent import Delayed, Replay

_NOT_YET = ("dream",)  # named in the grammar; no part of this version can make one
# of learned policies
POLICY_ONLY = re.compile(r"\d*\.?\d+|best|latest|(step|seed)=\d+|threshold=\d*\.?\d+|device=[\w:]+")
LONGEST_DELAY = 120  # frames


def agent(spec: str, game: Game) -> Agent:
    """The agent that `spec` names."""
    text, *options = spec.split("@")
    name, _, argument = text.partition(":")
    if name in _NOT_YET:
        raise UsageError(
            f"agent '{spec}': '{name}:' cannot be used yet; the bots of {game.name} are {_bots(game)}"
        )
    if name == "policy":
        of_policy = [option for option in options if not option.startswith("delay=")]
        made: Agent = checkpoints.policy_agent_of(argument, of_policy, game, spec)
        options = [option for option in options if option not in of_policy]
    elif name == "replay":
        made = _replay(argument, game, spec)
    elif name in game.bots:
        made = game.bots[name](argument)
    else:
        known = [*game.bots, "policy", "replay"]
        raise UsageError(
            f"agent '{spec}': {game.name} has no bot '{name}': {did_you_mean(name, known)}"
        )
    for option in options:
        made = _with_option(made, option, spec)
    return made


def world(spec: str, game: Game, matches: int, **options: Any) -> World:
    """The world that `spec` names, for so many matches.

    `brawl@stage=mirror` says what `stage="mirror"` does.
    """
    text, *given = spec.split("@")
    name, colon, _ = text.partition(":")
    options = {**dict(_world_option(option, spec) for option in given), **options}
    if name in _NOT_YET:
        raise UsageError(
            f"world '{spec}': '{name}:' cannot be used yet; the true simulator is '{game.name}'"
        )
    if colon or name != game.name or game.world is None:
        raise UsageError(
            f"{game.name} has no world '{spec}'"
            + (f"; its simulator is '{game.name}'" if game.world else "")
        )
    require_world_options(game, options)
    return game.world(matches, **options)


def require_world_options(game: Game, options: Mapping[str, Any]) -> None:
    """Refuse options that a world of the game does not have."""
    if game.world is None:
        raise UsageError(f"{game.name} has no simulator; its episodes come from recordings")
    parameters = inspect.signature(game.world).parameters
    known = list(parameters)[1:]
    refuses_itself = any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )
    for name in options:
        if name not in known and not refuses_itself:
            raise UsageError(
                f"a world of {game.name} has no option '{name}': {did_you_mean(name, known)}"
            )


def _world_option(option: str, spec: str) -> tuple[str, Any]:
    """`stage=mirror` -> ("stage", "mirror"); numbers become numbers, `on` and `off` yes and no."""
    name, equals, value = option.partition("=")
    if not equals or not name:
        raise UsageError(
            f"world '{spec}': '{option}' is no option; an example is {spec.split('@')[0]}@stage=mirror"
        )
    plain: dict[str, Any] = {"on": True, "off": False}
    return name, plain.get(value, int(value) if value.isdecimal() else value)


def _with_option(made: Agent, option: str, spec: str) -> Agent:
    name, _, value = option.partition("=")
    if POLICY_ONLY.fullmatch(option):
        raise UsageError(f"agent '{spec}': '{option}' is for learned policies; a bot has delay=N")
    if name != "delay":
        raise UsageError(f"agent '{spec}': there is no option '{option}'; a bot has delay=N")
    if not value.isdecimal() or not 0 <= int(value) <= LONGEST_DELAY:
        raise UsageError(
            f"agent '{spec}': delay is a number of frames, 0 to {LONGEST_DELAY}, as in {spec.split('@')[0]}@delay=6"
        )
    return Delayed(made, int(value)) if int(value) else made


def _replay(where: str, game: Game, spec: str) -> Agent:
    path, number = parse_episode_spec(where)
    if number is None:
        raise UsageError(f"agent '{spec}': name one match, as in replay:{path}#12")
    columns = Store(path, game.schema).episode(number).columns
    return Replay({key: columns[key][:-1] for key in game.schema.control_keys})


def _bots(game: Game) -> str:
    return ", ".join(sorted(game.bots)) or "none"
