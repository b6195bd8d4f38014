"""Counts of presses, onsets, holds and time in states, the same for recordings and for play.

E: recorded episodes or played matches, B: buttons, S: states of the first named choice of a player.
Seats of one episode are counted together, because the players of a match depend on each other and
only episodes are resampled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shadowbox.core import presses, stats
from shadowbox.core.schema import Array, Choice, Schema
from shadowbox.core.stats import Interval, bootstrap, bootstrap_quotient
from shadowbox.evaluate.recorded import SeatAnswer, SeatData, state_keys


@dataclass(frozen=True)
class PressCounts:
    """Counts by episode."""

    buttons: tuple[str, ...]
    episodes: Array  # [E] their numbers, rising
    frames: Array  # [E, B] frames in which the button was recorded
    down: Array  # [E, B] of them, frames down
    begun: Array  # [E, B] presses begun
    time: dict[str, Array]  # state key -> frames in each state [E, n]
    in_state: Array  # [E, B, S, 3] by the first state key: frames, frames down, presses begun

    def __len__(self) -> int:
        return len(self.frames)

    def part(self, chosen: Array) -> PressCounts:
        """Counts of some of the episodes."""
        time = {key: counts[chosen] for key, counts in self.time.items()}
        counts = (self.frames[chosen], self.down[chosen], self.begun[chosen])
        return PressCounts(
            self.buttons, self.episodes[chosen], *counts, time, self.in_state[chosen]
        )


def count_presses(
    schema: Schema, seats: Iterable[SeatData], answers: Sequence[SeatAnswer] | None = None
) -> PressCounts:
    """Count presses in seats; with `answers`, the predicted ones instead of the recorded ones."""
    each = schema.controls.slots // schema.players
    buttons = tuple(
        f"{key}[{at}]" if each > 1 else key
        for key in presses.button_keys(schema)
        for at in range(each)
    )
    keys = state_keys(schema)
    sizes = {key: _size(schema, key) for key in keys}
    states = sizes[keys[0]] if keys else 1
    counts: list[Array] = []
    placed: list[Array] = []
    numbers: list[int] = []
    times: dict[str, list[Array]] = {key: [] for key in keys}
    for at, seat in enumerate(seats):
        count, where = np.zeros((3, len(buttons))), np.zeros((len(buttons), states, 3))
        state = seat.view[keys[0]][:, 0] if keys else np.zeros(seat.frames, np.int64)
        for button, name in enumerate(buttons):
            if name not in seat.down:
                continue
            down = seat.down[name] if answers is None else answers[at].drawn[name]
            begun = (
                presses.onsets(down)
                if answers is None
                else presses.proposed(down, seat.before[name])
            )
            count[:, button] = len(down), down.sum(), begun.sum()
            for kind, weights in enumerate((None, down, begun)):
                where[button, :, kind] = np.bincount(state, weights=weights, minlength=states)
        counts.append(count)
        numbers.append(seat.episode)
        placed.append(where)
        for key in keys:
            times[key].append(np.bincount(seat.view[key][:, 0], minlength=sizes[key]))
    episodes, owner = np.unique(np.array(numbers, np.int64), return_inverse=True)

    def together(parts: Sequence[Array], *shape: int) -> Array:
        found = np.zeros((len(episodes), *shape))
        np.add.at(found, owner, np.array(parts).reshape(-1, *shape))
        return found

    whole = together(counts, 3, len(buttons))
    time = {key: together(parts, sizes[key]) for key, parts in times.items()}
    in_state = together(placed, len(buttons), states, 3)
    return PressCounts(buttons, episodes, whole[:, 0], whole[:, 1], whole[:, 2], time, in_state)


def ratios(
    play: PressCounts, data: PressCounts, button: str, *, paired: bool = False
) -> dict[str, Interval]:
    """Press, onset and hold ratios of a button: rates of play over rates of the data.

    `paired`: both were counted on the same episodes, and are resampled together.
    """
    at = play.buttons.index(button)

    def of(top: str, bottom: str) -> Interval:
        sides = [
            np.stack([getattr(side, top)[:, at], getattr(side, bottom)[:, at]], 1)
            for side in (play, data)
        ]
        return bootstrap_quotient(*sides, paired=paired)

    return {
        "press_ratio": of("down", "frames"),
        "onset_ratio": of("begun", "frames"),
        "hold_ratio": of("down", "begun"),
    }


def state_distance(play: PressCounts, data: PressCounts, key: str) -> Interval:
    """Jensen-Shannon divergence in bits between the time spent in states in play and in the data."""
    return bootstrap(presses.divergence, play.time[key], data.time[key], reflect=True)


def halves(data: PressCounts) -> tuple[PressCounts, PressCounts]:
    """Counts of every second episode, and of the others: the distance of real from real."""
    odd = stats.halves(data.episodes) == 1
    return data.part(~odd), data.part(odd)


def worst_states(
    play: PressCounts, data: PressCounts, button: str, names: Sequence[str], most: int = 3
) -> list[Mapping[str, float | str]]:
    """States in which a button's press rates differ most, in play and in the data.

    Ordered by their share of the difference in frames down.
    """
    at = play.buttons.index(button)
    sides = [side.in_state[:, at].sum(0) for side in (play, data)]  # [S, 3]
    share = [side[:, 1:] / max(side[:, 0].sum(), 1) for side in sides]
    order = np.argsort(-np.abs(share[0] - share[1]).sum(1), kind="stable")
    found: list[Mapping[str, float | str]] = []
    for state in order[:most].tolist():
        if not np.array_equal(share[0][state], share[1][state]):
            given = [side[state, 1:] / max(side[state, 0], 1) for side in sides]
            found.append(
                {
                    "state": names[state] if state < len(names) else str(state),
                    "press": float(given[0][0]),
                    "press_data": float(given[1][0]),
                    "onset": float(given[0][1]),
                    "onset_data": float(given[1][1]),
                }
            )
    return found


def _size(schema: Schema, key: str) -> int:
    field = schema.columns[key].field
    assert isinstance(field, Choice)
    return field.n
