"""Parts of an evaluation's page that show a policy beside recordings: a roll of presses, and clips."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shadowbox.core import presses
from shadowbox.core.episode import Episode
from shadowbox.data.store import Store
from shadowbox.evaluate.policy import Evaluation
from shadowbox.evaluate.recorded import SeatAnswer, SeatData, press_values
from shadowbox.page.document import Html, heading, press_rows, sentence
from shadowbox.page.match_page import side_by_side
from shadowbox.report.match import match_clip

CLIP = 900  # frames of each clip
CLIPS = 2  # of the policy, each beside one of the data
ROLL, ROWS = 10, 8  # seconds of a recording, press by press; of the most used controls


def press_roll(result: Evaluation) -> Iterator[Html]:
    """The busiest seconds of the first evaluated seat, press by press."""
    seat, answer = result.asked.pairs[0]
    busiest = sorted(result.gate.controls, key=lambda control: -control.onsets)[:ROWS]
    shown = [
        control.button for control in result.gate.controls if control in busiest and control.onsets
    ]
    shown = [name for name in shown if name in seat.down]
    if not shown:
        return
    fps = result.game.schema.fps
    length = min(round(ROLL * fps), seat.frames)
    begun = np.cumsum(sum(presses.onsets(seat.down[name]).astype(int) for name in shown))
    first = int(np.argmax(begun[length - 1 :] - np.append(0, begun)[: len(begun) - length + 1]))
    rows = slice(first, first + length)
    yield sentence(
        f"{length / fps:.0f} seconds of {result.store.name}#{seat.episode} as player {seat.player + 1}: "
        "grey (above) was recorded, blue (below) is what the policy presses at each frame, given the "
        "recording up to there."
    )
    groups = {name.rpartition("/")[0] for name in shown}
    found = [
        (
            name.rpartition("/")[2] if len(groups) == 1 else name,  # long names are cut
            presses.stretches(seat.down[name][rows]),
            presses.stretches(answer.drawn[name][rows]),
        )
        for name in shown
    ]
    yield press_rows(found, length, (f"{first / fps:.1f} s", f"{(first + length) / fps:.1f} s"))


def clips(result: Evaluation) -> Iterator[Html]:
    """Clips of the policy in play, each beside one of the data; else of its controls at recorded frames."""
    store = Store(result.store, result.game.schema)
    yield heading("Clips")
    if result.shown:
        yield sentence(
            "The policy in the seat of a recorded player, beside recordings. Press play in a clip."
        )
        pairs = [
            (
                "the policy: " + " against ".join(played.episode.meta["players"]),
                played.episode,
                number,
            )
            for played, number in zip(result.shown, result.real, strict=False)
        ]
    else:
        yield sentence(
            "Recordings, and the same frames with the policy's controls for one player (sticks at "
            "their expected positions). Press play in a clip and watch the controllers."
        )
        first = {seat.episode: (seat, answer) for seat, answer in reversed(result.asked.pairs)}
        pairs = [_in_its_hands(store, *first[number]) for number in sorted(first)[:CLIPS]]
    yield side_by_side(
        each
        for caption, episode, number in pairs[:CLIPS]
        for each in (
            match_clip(result.game, caption, episode, CLIP),
            match_clip(
                result.game,
                f"recorded: {store.path.name}#{number}",
                store.episode(number),
                CLIP,
            ),
        )
    )


def _in_its_hands(store: Store, seat: SeatData, answer: SeatAnswer) -> tuple[str, Episode, int]:
    recorded = store.episode(seat.episode)
    pressed = press_values(store.schema, recorded.columns, seat, answer)
    caption = f"the policy's controls: {store.path.name}#{seat.episode}, player {seat.player + 1}"
    return caption, Episode(pressed, recorded.meta, recorded.events), seat.episode
