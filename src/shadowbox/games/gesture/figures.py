"""Figures of a policy in recorded sessions: presses, turns, cursor, slots, rest, and scores.

T: rows of a session, K: the keys of `KEYS`. A press is hit if it begins (or ends) within `TOLERANCE`
rows of a recorded one, one to one. Where a policy was shown the recorded controls, a press begins
only where it wants a key that was recorded up in the row before: otherwise repeating the last row
would be a press one row late. Macro figures are means over the keys with at least `ENOUGH` recorded
presses. Squared errors of the look are in shares of a full turn, those of the cursor in shares of
the screen.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shadowbox.core import presses
from shadowbox.core.schema import Array, Columns
from shadowbox.games.gesture.controller import KEYS
from shadowbox.games.gesture.schema import (
    ACTIONS,
    CURSOR,
    FPS,
    LOOK,
    LOOK_DEADZONE,
    SLOTS,
)

TOLERANCE = 3  # rows between two onsets, or two releases, that count as the same
SLOT_TOLERANCE = 9  # rows for a change of slot, whose decision waits for votes
REACH = 15  # rows within which the delay of an onset is measured
ENOUGH = 20  # recorded presses of a supported control
SCREEN = (1920, 1080)  # pixels, for the error of the cursor
# weights of the heads in the score; the older system's are the same
WEIGHTS = {"action": 0.4, "look": 0.2, "hotbar": 0.1, "cursor": 0.1, "inventory": 0.1, "idle": 0.1}
_IS_ACTION = np.array([name in ACTIONS for name in KEYS])


def count(state: Columns, recorded: Columns, pressed: Columns, forced: bool) -> dict[str, Array]:
    """Sums of a session's rows [T, 1]; `forced`: pressed having seen the recorded controls."""
    screen = state["game/screen_open"][:, 0]
    true, guess = _keys(recorded), _keys(pressed)
    before = presses.held_before(true)
    begun, ended = presses.onsets(guess), presses.releases(guess)
    series = begun
    if forced:
        begun = presses.onsets(presses.proposed(guess, before))
        ended = presses.onsets(~guess & before)
    slots = [np.asarray(each["control/hotbar"][:, 0], np.int64) for each in (recorded, pressed)]
    if forced:  # not a change: it was recorded in the row before
        repeats = np.append(0, slots[0][:-1]) == slots[1]
        slots[1] = np.where(repeats, 0, slots[1])
    looks, cursors = ([_pair(each, of) for each in (recorded, pressed)] for of in (LOOK, CURSOR))
    turning = [np.abs(look).max(1) > LOOK_DEADZONE for look in looks]
    idle = [
        ~(keys.any(1) | (slot > 0) | turns)
        for keys, slot, turns in zip((true, guess), slots, turning, strict=True)
    ]
    calm = idle[0] & ~_near(~idle[0], TOLERANCE)
    triggers = (begun[calm].sum(0)).sum() + np.count_nonzero(slots[1][calm])
    resting = idle[0] & ~screen
    rest = [resting.sum(), (resting & idle[1]).sum(), calm.sum(), triggers]
    onsets = presses.onsets(true)
    return {
        "frames": np.stack([(true & guess).sum(0), true.sum(0), guess.sum(0)], -1),
        "onsets": _matched(onsets, begun, TOLERANCE),
        "series": _matched(onsets, series, TOLERANCE),
        "releases": _matched(presses.releases(true), ended, TOLERANCE),
        "delay": _delays(onsets, begun),
        "slots": sum(
            _matched((slots[0] == at)[:, None], (slots[1] == at)[:, None], SLOT_TOLERANCE)[0]
            for at in range(1, SLOTS + 1)
        )
        + np.zeros(3),
        "rest": np.array(rest, np.float64),
        "look": _errors(looks[0], looks[1], ~screen),
        "turn": _turns(looks[0], looks[1], turning[0] & ~screen),
        "cursor": _errors(cursors[0] / 2, cursors[1] / 2, screen),
        "pixels": _pixels(cursors[0], cursors[1], screen),
    }


def figures(sums: Mapping[str, Array], whole: Mapping[str, Array]) -> dict[str, Array]:
    """Figures [tries] of sums [tries, ...]; `whole` are those of all sessions."""
    enough = supported(whole)
    by_key = {
        "press_f1": _f1(sums["frames"]),
        "onset_f1": _f1(sums["onsets"]),
        "offset_f1": _f1(sums["releases"]),
        "onset_delay": _ratio(sums["delay"][..., 0], sums["delay"][..., 1]),
    }
    found = {name: _macro(values, enough) for name, values in by_key.items()}
    delay = sums["delay"][:, enough].sum(1)
    found["onset_delay"] = _ratio(delay[:, 0], delay[:, 1])
    found["onset_delay_ms"] = found["onset_delay"] * 1000 / FPS
    found["onset_f1_series"] = _macro(_f1(sums["series"]), enough)
    rest = sums["rest"]
    found["idle_accuracy"] = _ratio(rest[:, 1], rest[:, 0])
    found["false_triggers"] = _ratio(rest[:, 3], rest[:, 2] / (60 * FPS))
    found["choice_f1"] = _f1(sums["slots"])
    found["look_r2"] = _explained(sums["look"]).mean(-1)
    found["look_mse"] = _ratio(sums["turn"][:, 1], 2 * sums["turn"][:, 0])
    found["look_direction"] = _ratio(sums["turn"][:, 2], sums["turn"][:, 3])
    found["cursor_mse"] = _ratio(sums["cursor"][..., 1].sum(-1), sums["cursor"][..., 0].sum(-1))
    found["cursor_px"] = _ratio(sums["pixels"][:, 1], sums["pixels"][:, 0])
    found |= _scores(found, by_key["press_f1"], sums, enough)
    for name, values in by_key.items():
        found |= {
            f"{name}.control/{key}": values[:, at]
            for at, key in enumerate(KEYS)
            if whole["onsets"][at, 1] > 0
        }
    return found


def supported(whole: Mapping[str, Array]) -> Array:
    """Keys with enough recorded presses, bool [K]."""
    return np.asarray(whole["onsets"][:, 1] >= ENOUGH)


def _scores(
    found: Mapping[str, Array], press_f1: Array, sums: Mapping[str, Array], enough: Array
) -> dict[str, Array]:
    """Weighted means over the heads: of those with recorded events, and the older system's.

    The older score counts a key without a press as 0, and a head without any as perfect.
    """
    parts = {
        "action": _macro(press_f1, enough & _IS_ACTION),
        "look": np.maximum(found["look_r2"], 0),
        "hotbar": np.where(sums["slots"][:, 1] > 0, found["choice_f1"], np.nan),
        "cursor": np.maximum(_explained(sums["cursor"]).mean(-1), 0),
        "inventory": _macro(press_f1, enough & ~_IS_ACTION),
        "idle": found["idle_accuracy"],
    }
    weight = sum(WEIGHTS[name] * np.isfinite(part) for name, part in parts.items())
    total = sum(WEIGHTS[name] * np.nan_to_num(part) for name, part in parts.items())
    everywhere = np.nan_to_num(press_f1)
    seed = (
        WEIGHTS["action"] * everywhere[:, _IS_ACTION].mean(1)
        + WEIGHTS["look"] * np.maximum(1 - np.nan_to_num(found["look_mse"]), 0)
        + WEIGHTS["hotbar"] * np.nan_to_num(_ratio(sums["slots"][:, 0], sums["slots"][:, 1]), nan=1)
        + WEIGHTS["cursor"] * np.maximum(1 - np.nan_to_num(found["cursor_mse"]), 0)
        + WEIGHTS["inventory"] * everywhere[:, ~_IS_ACTION].mean(1)
        + WEIGHTS["idle"] * np.nan_to_num(found["idle_accuracy"], nan=1)
    )
    return {"score": _ratio(total, weight), "seed_score": seed}


# ---- sums ----------------------------------------------------------------------------------------


def _keys(controls: Columns) -> Array:
    """Keys that are down, bool [T, K]."""
    return np.concatenate([controls[f"control/{name}"][:, :1] for name in KEYS], 1).astype(bool)


def _pair(controls: Columns, names: tuple[str, str]) -> Array:
    """Two numbers of each row, f8 [T, 2]."""
    return np.concatenate([controls[f"control/{name}"] for name in names], 1).astype(np.float64)


def _near(on: Array, reach: int) -> Array:
    """Rows at most `reach` away from a true one, bool [T]."""
    counts = np.convolve(on.astype(int), np.ones(2 * reach + 1, int), "full")
    return np.asarray(counts[reach : reach + len(on)] > 0)


def _matched(true: Array, guess: Array, tolerance: int) -> Array:
    """Hits, truths and guesses of each column of events [T, n]: [n, 3]."""
    found = [presses.match(true[:, at], guess[:, at], tolerance) for at in range(true.shape[1])]
    return np.array(found, np.float64)


def _delays(true: Array, guess: Array) -> Array:
    """Sum of the delays of matched onsets in rows, and their number, of each key: [K, 2]."""
    found = [presses.nearest(true[:, at], guess[:, at], REACH) for at in range(true.shape[1])]
    return np.array([[each.sum(), len(each)] for each in found], np.float64)


def _errors(true: Array, guess: Array, where: Array) -> Array:
    """Rows, squared error, sum and squares of the truth of each column [T, n]: [n, 4]."""
    true, guess = true[where], guess[where]
    rows = np.full(true.shape[1], float(len(true)))
    return np.stack([rows, ((true - guess) ** 2).sum(0), true.sum(0), (true**2).sum(0)], -1)


def _turns(true: Array, guess: Array, where: Array) -> Array:
    """Rows of a turn, squared error, axes of the right direction, and axes that turn: [4]."""
    true, guess = true[where], guess[where]
    turns = np.abs(true) > LOOK_DEADZONE
    right = turns & (np.sign(true) == np.sign(guess))
    return np.array([len(true), ((true - guess) ** 2).sum(), right.sum(), turns.sum()], np.float64)


def _pixels(true: Array, guess: Array, where: Array) -> Array:
    """Rows with an open screen, and the sum of the cursor's distances in pixels: [2]."""
    apart = (true[where] - guess[where]) * np.array(SCREEN) / 2
    return np.array([where.sum(), np.sqrt((apart**2).sum(1)).sum()], np.float64)


# ---- figures of sums -----------------------------------------------------------------------------


def _ratio(top: Array, bottom: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(bottom > 0, top / bottom, np.nan))


def _f1(sums: Array) -> Array:
    """F1 of hits, truths and guesses [..., 3]; NaN without any event."""
    return _ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def _macro(values: Array, chosen: Array) -> Array:
    """Mean over the chosen keys [tries, K] -> [tries]; NaN if none is chosen."""
    some = values[:, chosen]
    known = np.isfinite(some)
    return _ratio(np.where(known, some, 0).sum(1), known.sum(1))


def _explained(sums: Array) -> Array:
    """Share of the variance that is explained, of each column [..., n, 4]; NaN without variance."""
    rows, error, total, squares = np.moveaxis(sums, -1, 0)
    spread = squares - _ratio(total**2, rows)
    return np.asarray(np.where(spread > 1e-9, 1 - _ratio(error, spread), np.nan))
