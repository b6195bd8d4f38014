"""Inspection of one frame: predictions, inputs, and the distance to the nearest recorded frame.

Older systems inspected an all-zero frame and blamed the data for the predictions there. A frame is
therefore compared with training frames first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shadowbox.core.schema import Array, Choice, Schema
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.evaluate.recorded import SeatData, load_seats
from shadowbox.play import checkpoints as learned

if TYPE_CHECKING:  # it needs torch
    pass


ZEROS = "zeros"
COMPARED = 20_000  # frames of the recordings
REFERENCES = 200  # of them, to measure distances between episodes
STRANGE = 0.99  # further away than this share of the references
MISMATCH = 2.0  # squared distance of two values of a choice; of a flag it is 1 / its variance


@dataclass(frozen=True)
class Probe:
    """Findings at one frame."""

    where: str
    frame: int
    player: int
    buttons: Mapping[str, Mapping[str, float | bool]]  # probability, logit, held before, pressed
    sticks: Mapping[str, Mapping[str, float]]  # says, pressed
    inputs: Mapping[str, list[float]]  # what each piece of the trunk's input was
    state: Mapping[str, Any]  # the own slot's columns, in words
    distance: float
    usual: float  # the distance that STRANGE of recorded frames keep from those of other episodes
    # columns with a value that no recorded frame has, or beyond all of them
    unseen: tuple[str, ...] = ()

    @property
    def strange(self) -> bool:
        """True if the frame is unlike all recorded frames."""
        return self.distance > self.usual or bool(self.unseen)

    @property
    def warning(self) -> str:
        """Warning about the frame; empty if it is like recorded ones."""
        if not self.strange:
            return ""
        why = f"never seen there: {', '.join(self.unseen[:6])}" if self.unseen else (
            f"the nearest one is {self.distance:.2f} away; {100 * STRANGE:.0f} % of recorded frames "
            f"are within {self.usual:.2f} of one in another episode")  # fmt: skip
        return (
            f"no recording has such a frame ({why}); "
            "predictions here do not tell how the policy plays"
        )

    def to_json(self) -> dict[str, Any]:
        """Findings as plain data."""
        return {
            "probe": self.where,
            "frame": self.frame,
            "player": self.player,
            "warning": self.warning or None,
            "distance": self.distance,
            "usual_distance": self.usual,
            "unseen": list(self.unseen),
            "buttons": {name: dict(values) for name, values in self.buttons.items()},
            "sticks": {name: dict(values) for name, values in self.sticks.items()},
            "inputs": dict(self.inputs),
            "state": dict(self.state),
        }


def probe_policy(
    checkpoint: str | Path, where: str, *, data: str | Path | None = None, player: int = 0
) -> Probe:
    """Inspect `STORE#EPISODE:FRAME`, or the all-zero frame `zeros`.

    Compare with recordings in `data`; default: the frame's store, or for `zeros` the store that the
    run was trained on.
    """
    from shadowbox.model import checkpoint as checkpoints
    from shadowbox.model.embedding import visible_columns
    from shadowbox.play.restored_policy import restore_policy

    place, _, which = str(checkpoint).partition("@")
    found = checkpoints.load(learned.checkpoint_folder(place, which), kind="policy")
    policy = restore_policy(
        found, found.about.schema, encodings=encodings_of(found.about.schema.name)
    )
    path, episode, frame = _parsed(where, data, found.path)
    store = Store(data or path, found.about.schema)
    seat = (
        _zeros(found.about.schema)
        if where == ZEROS
        else _recorded(Store(path, found.about.schema), episode, frame, player)
    )
    keys = visible_columns(
        found.about.schema
    )  # of what a frame is, not only of what this policy is shown
    outside = None if data and Path(data) != Path(path) else episode
    return _looked(
        policy, seat, frame, where, compared(found.about.schema, seat, frame, keys, store, outside)
    )


def compared(
    schema: Schema,
    seat: SeatData,
    frame: int,
    keys: Sequence[str],
    store: Store,
    without: int | None,
) -> tuple[float, float, tuple[str, ...]]:
    """Distance to the nearest recorded frame, its usual value between episodes, and unseen values."""
    chosen = [number for number in range(len(store)) if number != without]
    if len(chosen) < 2:
        raise UsageError(
            f"{store.path} has too few other episodes to compare a frame with: two at least are needed"
        )
    take = np.random.default_rng(0).permutation(chosen)[:200]
    each = max(1, COMPARED // len(take))
    parts, numbers = [], []
    for number in sorted(take.tolist()):
        (other,) = load_seats(store, [number], [0])
        at = np.unique(np.linspace(0, other.frames - 1, min(each, other.frames)).astype(int))
        parts.append({key: other.view[key][at] for key in keys})
        numbers.append(np.full(len(at), number))
    known = {key: np.concatenate([part[key] for part in parts]) for key in keys}
    owner = np.concatenate(numbers)
    measure = _Measure(schema, known)
    here = measure.of({key: seat.view[key][frame : frame + 1] for key in keys})
    distance = float(measure.distances(here, 0).min())
    picks = np.random.default_rng(1).choice(len(owner), min(REFERENCES, len(owner)), replace=False)
    references = []
    for pick in picks:
        away = measure.distances(
            measure.of({key: values[pick : pick + 1] for key, values in known.items()}), 0
        )
        references.append(float(away[owner != owner[pick]].min()))
    unseen = tuple(
        key for key in keys if _is_unseen(schema, key, seat.view[key][frame], known[key])
    )
    return distance, float(np.quantile(references, STRANGE)), unseen


def _is_unseen(schema: Schema, key: str, here: Array, known: Array) -> bool:
    """True if a slot's value is outside the recorded range, or a choice was never recorded."""
    if isinstance(schema.columns[key].field, Choice):
        return any(value not in known[:, slot] for slot, value in enumerate(here))
    slack = 0.05 * (known.max(0) - known.min(0)) if known.dtype != bool else 0
    return bool(((here < known.min(0) - slack) | (here > known.max(0) + slack)).any())


class _Measure:
    """Root mean square distance: reals and flags in standard deviations, choices equal or not."""

    def __init__(self, schema: Schema, known: Mapping[str, Array]) -> None:
        self.choices = [key for key in known if isinstance(schema.columns[key].field, Choice)]
        self.numbers = [key for key in known if key not in self.choices]
        values = self._numbers(known)
        self.spread = np.maximum(
            values.std(0), 1e-3 * np.maximum(np.abs(values).max(0, initial=0), 1e-3)
        )
        self.known = self.of(known)

    def of(self, columns: Mapping[str, Array]) -> tuple[Array, Array]:
        chosen = [columns[key] for key in self.choices]
        rows = len(next(iter(columns.values())))
        names = (
            np.concatenate(chosen, -1).astype(np.int64) if chosen else np.zeros((rows, 0), np.int64)
        )
        return self._numbers(columns) / self.spread, names

    def distances(self, here: tuple[Array, Array], row: int) -> Array:
        """Distances from one row to all known rows."""
        numbers = np.square(np.clip(self.known[0] - here[0][row], -10, 10)).sum(1)
        names = MISMATCH * (self.known[1] != here[1][row]).sum(1)
        return np.asarray(
            np.sqrt((numbers + names) / max(1, self.known[0].shape[1] + self.known[1].shape[1]))
        )

    def _numbers(self, columns: Mapping[str, Array]) -> Array:
        rows = len(next(iter(columns.values())))
        found = [columns[key].astype(np.float64) for key in self.numbers]
        return np.concatenate(found, -1) if found else np.zeros((rows, 0))


# ---- inside --------------------------------------------------------------------------------------


def _parsed(where: str, data: str | Path | None, checkpoint: Path) -> tuple[Path, int, int]:
    if where == ZEROS:
        trained_on = learned.trained_store(checkpoint)
        if data is None and not (trained_on and trained_on.exists()):
            raise UsageError(
                "zeros is made up, and the run's own store is not here: "
                "name the STORE to compare it with, as in RUN STORE --probe zeros"
            )
        return Path(data or trained_on or ""), -1, 0
    parts = re.fullmatch(r"(.+)#(\d+):(\d+)", where)
    if not parts:
        raise UsageError(
            f"--probe {where}: a frame is named as in data/brawl#12:340, or {ZEROS} for one that is made up"
        )
    return Path(parts[1]), int(parts[2]), int(parts[3])


def _recorded(store: Store, episode: int, frame: int, player: int) -> SeatData:
    (seat,) = load_seats(store, [episode], [player])
    if frame >= seat.frames:
        raise UsageError(
            f"{store.path}#{episode} has no frame {frame}: "
            f"its {seat.frames} decisions are numbered from 0"
        )
    return seat


def _zeros(schema: Schema) -> SeatData:
    from shadowbox.evaluate.recorded import load_seat

    return load_seat(schema, schema.neutral(2), 0, 0)


def _looked(
    policy: Any, seat: SeatData, frame: int, where: str, near: tuple[float, float, tuple[str, ...]]
) -> Probe:
    import torch

    from shadowbox.evaluate.answers import answer_seats
    from shadowbox.play.policy_agent import as_tensor

    (answer,) = answer_seats(policy, [seat]).answers
    with torch.inference_mode():
        view = {key: as_tensor(seat.view[key][frame]) for key in policy.reads}
        x = policy.embed(view).tolist()
    buttons: dict[str, dict[str, float | bool]] = {}
    for name, chance in answer.chance.items():
        p = float(chance[frame])
        clipped = min(max(p, 1e-12), 1 - 1e-12)
        buttons[name] = {
            "probability": p,
            "logit": float(np.log(clipped / (1 - clipped))),
            "held_before": bool(seat.before[name][frame]),
            "pressed": bool(seat.down[name][frame]),
        }
    sticks = {
        name: {"says": float(values[frame]), "recorded": float(seat.stick[name][frame])}
        for name, values in answer.position.items()
    }
    inputs = {
        what: [round(value, 5) for value in x[first:last]]
        for what, first, last in policy.describe()
        if last <= len(x)
    }
    return Probe(
        where,
        frame,
        seat.player,
        buttons,
        sticks,
        inputs,
        _in_words(policy.schema, seat, frame),
        *near,
    )


def _in_words(schema: Schema, seat: SeatData, frame: int) -> dict[str, Any]:
    """Values of the own slot of per-player columns, with names of choices."""
    found: dict[str, Any] = {}
    for key in schema.state_keys:
        column = schema.columns[key]
        if column.group.per:
            value = seat.view[key][frame, 0].item()
            names = column.field.names if isinstance(column.field, Choice) else ()
            found[key] = (
                names[value] if names else round(value, 4) if isinstance(value, float) else value
            )
    return found


def encodings_of(name: str) -> Mapping[str, Any]:
    """Named encodings of a game; empty if the game is unknown here."""
    from shadowbox.games import find

    game = find(name)
    return game.encodings if game else {}
