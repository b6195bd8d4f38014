"""Closed loop on recorded sessions, for games whose state hardly depends on the controls.

A policy decides in each row as in live play: by chances, thresholds and the game's own smoothing
(`Game.replay`). `live` shows it its own controls as history; `forced` shows it the recorded ones, as
training does. Figures are shown beside those of `copy_last`, which repeats the last controls of the
history it sees, and of pressing nothing; their intervals resample whole sessions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Any

import numpy as np

from shadowbox.core import presses
from shadowbox.core.evaluation import Figure
from shadowbox.core.figures.declaration import _Replay
from shadowbox.core.metrics import METRIC_BY_NAME, metric_of
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.core.stats import Interval, bootstrap_figures
from shadowbox.evaluate.closed_loop import ClosedLoopCounts
from shadowbox.evaluate.offline import Answers
from shadowbox.evaluate.press_counts import count_presses
from shadowbox.evaluate.recorded import SeatData
from shadowbox.evaluate.setup import EvalConfig, EvaluatedPolicy
from shadowbox.play import checkpoints

if TYPE_CHECKING:
    from shadowbox.model.heads import Temperature
    from shadowbox.model.policy import Policy

STEPS = 256  # rows at a time, with the recorded controls as history
TRIES = 500  # resamples of an interval
LIVE, FORCED = "live", "forced"
HOW = "recorded sessions in closed loop: its own controls as history, and the decision of live play"
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class _SessionCounts:
    """Sums of sessions {name: [E, ...]} by predictor ("" is the policy), and whose they are."""

    replay: _Replay
    counts: Mapping[str, Mapping[str, Array]]  # live, copy_last, ...; forced/..., with its history
    people: Sequence[str]  # [E]; empty: unknown
    known: frozenset[str]  # people whose recordings the policy was trained on
    controls: Sequence[Columns]  # own controls of the policy in each seat, [T, slots]

    def figures(self) -> dict[str, Figure]:
        """Figures by name, beside their baselines; those of known people apart if there are others."""
        found = self._all(np.ones(len(self.people), bool))
        is_known = np.array([person in self.known for person in self.people])
        if is_known.any() and not is_known.all():
            for where, chosen in (("known_people", is_known), ("new_people", ~is_known)):
                for name in ("live_onset_f1", "live_score"):
                    found[f"{name}.{where}"] = self._all(chosen)[name]
        return found

    def by_person(self) -> dict[str, dict[str, float]]:
        """Main figures of each person."""
        found = {}
        for person in sorted(set(self.people)):
            chosen = np.array([each == person for each in self.people])
            figures = self._all(chosen, tries=0)
            found[person] = {
                name: figures[name].value.value
                for name in ("live_onset_f1", "live_idle_accuracy", "live_score")
                if math.isfinite(figures[name].value.value)
            }
        return found

    def _all(self, chosen: Array, tries: int = TRIES) -> dict[str, Figure]:
        """Figures over the chosen sessions [E]."""
        values = {name: self._values(name, chosen, tries) for name in self.counts}
        found = {}
        for history in (LIVE, FORCED):
            for name, value in values[f"{history}/"].items():
                if f"{history}_{name.partition('.')[0]}" not in METRIC_BY_NAME:
                    continue
                full = f"{history}_{name}"
                beside = {
                    each: values[f"{history}/{each}"][name] for each in metric_of(full).baselines
                }
                found[full] = Figure(value, beside)
        gaps = {
            who: Interval(
                values[f"{FORCED}/{who}"]["onset_f1_series"].value
                - values[f"{LIVE}/{who}"]["onset_f1_series"].value,
                math.nan,
                math.nan,
            )
            for who in ("", "copy_last")
        }
        found["history_gap"] = Figure(gaps[""], {"copy_last": gaps["copy_last"]})
        return found

    def _values(self, who: str, chosen: Array, tries: int) -> dict[str, Interval]:
        sums = {name: values[chosen] for name, values in self.counts[who].items()}
        whole = {name: values.sum(0) for name, values in sums.items()}
        figures = self.replay.figures
        if not tries:
            alone = figures({name: each[None] for name, each in whole.items()}, whole)
            return {
                name: Interval(float(each[0]), math.nan, math.nan) for name, each in alone.items()
            }
        return bootstrap_figures(lambda some: figures(some, whole), sums, tries=tries)


def replayed(
    subject: EvaluatedPolicy,
    seats: Sequence[SeatData],
    config: EvalConfig,
    progress: Report | None = None,
) -> _SessionCounts | None:
    """Sums of a policy and of the baselines in recorded seats; None if the game declares no replay.

    Thresholds are the configured one, or those of the checkpoint's calibration.
    """
    from shadowbox.play.chances import thresholds_of

    replay, policy = subject.game.replay, subject.policy
    if replay is None:
        return None
    usual = config.threshold if config.threshold is not None and config.threshold >= 0 else None
    tuned = thresholds_of(subject.found.calibration) if usual is None else {}
    settings, temperature = replay.settings(tuned, usual), subject.temperatures(config)
    own = play_sessions(replay, policy, seats, settings, temperature, progress)
    still = [_still(seat) for seat in seats]
    everybody = {
        f"{LIVE}/": own,
        f"{LIVE}/copy_last": still,  # its history is empty, so that it never begins a press
        f"{LIVE}/never_press": still,
        f"{FORCED}/": force_sessions(replay, policy, seats, settings, temperature),
        f"{FORCED}/copy_last": [
            {key: _shifted(values) for key, values in seat.own.items()} for seat in seats
        ],
        f"{FORCED}/never_press": still,
    }
    counts = {
        who: _joined(
            replay.count(seat.view, seat.own, pressed, who.startswith(FORCED))
            for seat, pressed in zip(seats, controls, strict=True)
        )
        for who, controls in everybody.items()
    }
    return _by_session(replay, counts, own, subject, seats)


def play_sessions(
    replay: _Replay,
    policy: Policy,
    seats: Sequence[SeatData],
    settings: Any,
    temperature: Temperature = 1.0,
    progress: Report | None = None,
) -> list[Columns]:
    """Own controls [T, slots] of each seat in closed loop, all seats side by side."""
    import torch

    from shadowbox.play.chances import control_chances
    from shadowbox.play.policy_agent import as_tensor

    schema, policy = policy.schema, policy.eval()
    frames = np.array([seat.frames for seat in seats])
    longest = int(frames.max())
    state = {key: _padded([seat.view[key] for seat in seats]) for key in policy.input_columns}
    made: list[Columns] = [_still(seat) for seat in seats]
    last = {key: np.zeros_like(_padded([seat.own[key][:1] for seat in seats])[:, 0])
            for key in schema.control_keys}  # fmt: skip
    memories = [
        replay.rest({key: values[0] for key, values in seat.view.items()}) for seat in seats
    ]
    memory, reset = policy.initial(len(seats)), torch.ones(len(seats), 1, dtype=torch.bool)
    for row in range(longest):
        view = {key: as_tensor(values[:, row : row + 1]) for key, values in state.items()}
        view |= {key: as_tensor(values[:, None]) for key, values in last.items()}
        found, memory = control_chances(policy, view, reset, memory, temperature)
        reset = torch.zeros_like(reset)
        chances = {key: values[:, 0].float().numpy() for key, values in found.items()}
        for at in np.flatnonzero(row < frames).tolist():
            seat = seats[at]
            controls, memories[at] = replay.decide(
                settings,
                memories[at],
                {key: values[at] for key, values in chances.items()},
                {key: values[row] for key, values in seat.view.items()},
            )
            for key, values in controls.items():
                made[at][key][row] = last[key][at] = values
        if progress and (row % 100 == 99 or row + 1 == longest):
            progress(row + 1, longest)
    return made


def force_sessions(
    replay: _Replay,
    policy: Policy,
    seats: Sequence[SeatData],
    settings: Any,
    temperature: Temperature = 1.0,
) -> list[Columns]:
    """Own controls [T, slots] of each seat, with the recorded controls as history."""
    import torch

    from shadowbox.play.chances import control_chances
    from shadowbox.play.policy_agent import as_tensor

    policy, longest = policy.eval(), max(seat.frames for seat in seats)
    keys = (*policy.input_columns, *policy.schema.control_keys)
    views = {key: _padded([seat.view[key] for seat in seats]) for key in keys}
    memory, parts = policy.initial(len(seats)), []
    for first in range(0, longest, STEPS):
        rows = slice(first, min(first + STEPS, longest))
        view = {key: as_tensor(values[:, rows]) for key, values in views.items()}
        reset = torch.zeros(len(seats), rows.stop - rows.start, dtype=torch.bool)
        reset[:, 0] = first == 0
        found, memory = control_chances(policy, view, reset, memory, temperature)
        parts.append({key: values.float().numpy() for key, values in found.items()})
    chances = {key: np.concatenate([part[key] for part in parts], 1) for key in parts[0]}
    made: list[Columns] = [_still(seat) for seat in seats]
    for at, seat in enumerate(seats):
        held = replay.rest({key: values[0] for key, values in seat.view.items()})
        for row in range(seat.frames):
            controls, held = replay.decide(
                settings,
                held,
                {key: values[at, row] for key, values in chances.items()},
                {key: values[row] for key, values in seat.view.items()},
            )
            for key, values in controls.items():
                made[at][key][row] = values
    return made


def behavior(
    schema: Schema, everybody: Mapping[str, Answers], found: _SessionCounts
) -> ClosedLoopCounts:
    """Press counts of the closed loop, for the gate; those of the look-up table one frame ahead."""
    seats, table = everybody["look_up"].seats, everybody["look_up"].answers
    played = [
        _seat_of(seat, controls) for seat, controls in zip(seats, found.controls, strict=True)
    ]
    still = count_presses(schema, [_seat_of(seat, _still(seat)) for seat in seats])
    baselines = {
        "copy_last": still,
        "never_press": still,
        "look_up": count_presses(schema, seats, table),
    }
    data = count_presses(schema, seats)
    return ClosedLoopCounts(HOW, count_presses(schema, played), data, baselines, paired=True)


_BY_CONTROL = ("press_f1", "onset_f1", "offset_f1", "onset_delay")


def session_tables(
    figures: Mapping[str, Figure], by_person: Mapping[str, Mapping[str, float]]
) -> list[tuple[list[str], list[list[str]]]]:
    """Tables of an evaluation's figures of sessions, as heads and rows of text: all, controls, people."""
    own = {name: each for name, each in figures.items() if metric_of(name).where == "sessions"}
    mains = dict.fromkeys(name.partition("_")[2] for name in own if "." not in name)
    rows = []
    for name in mains:
        live, forced = (own.get(f"{history}_{name}") for history in (LIVE, FORCED))
        if live is not None and math.isfinite(live.value.value):
            beside = [_plain(other.value) for other in live.baselines.values()]
            rows.append([name, _plain(live.value.value), _span(live.value), *beside,
                         *_of_forced(forced)])  # fmt: skip
    if gap := own.get("history_gap"):
        rows.append(["history_gap", _plain(gap.value.value), "", "", "", "",
                     _plain(gap.baselines["copy_last"].value)])  # fmt: skip
    head = ["recorded sessions", "closed loop", "95 %", "copy_last", "never_press",
            "recorded history", "copy_last of it"]  # fmt: skip
    controls = dict.fromkeys(name.partition(".")[2] for name in own if "/" in name)
    of = [
        [control, *(_plain(own[f"{LIVE}_{each}.{control}"].value.value) for each in _BY_CONTROL),
         _plain(own[f"{FORCED}_onset_f1.{control}"].value.value)]
        for control in controls
    ]  # fmt: skip
    names = list(dict.fromkeys(name for each in by_person.values() for name in each))
    people = [
        [person or "unknown", *(_plain(each.get(name, math.nan)) for name in names)]
        for person, each in by_person.items()
    ]
    return [
        (head, rows),
        (["control, closed loop", *_BY_CONTROL, "onset_f1, recorded history"], of),
        (["person", *names], people),
    ]


def _of_forced(figure: Figure | None) -> list[str]:
    if figure is None:
        return ["", ""]
    return [_plain(figure.value.value), _plain(figure.baselines["copy_last"].value)]


def _span(value: Interval) -> str:
    known = math.isfinite(value.low) and math.isfinite(value.high)
    return f"{_plain(value.low)} .. {_plain(value.high)}" if known else ""


def _plain(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "-"


# ---- inside --------------------------------------------------------------------------------------


def _by_session(
    replay: _Replay,
    counts: Mapping[str, Mapping[str, Array]],
    controls: Sequence[Columns],
    subject: EvaluatedPolicy,
    seats: Sequence[SeatData],
) -> _SessionCounts:
    """Sums of whole sessions, where the metadata name them; otherwise of episodes."""
    metas = [subject.store.meta_of(seat.episode) for seat in seats]
    names = [
        str(meta.get(replay.unit, seat.episode)) for meta, seat in zip(metas, seats, strict=True)
    ]
    order = list(dict.fromkeys(names))
    owner = np.array([order.index(name) for name in names])

    def together(values: Array) -> Array:
        sums = np.zeros((len(order), *values.shape[1:]))
        np.add.at(sums, owner, values)
        return sums

    whole = {
        who: {name: together(values) for name, values in parts.items()}
        for who, parts in counts.items()
    }
    people = [str(metas[names.index(name)].get(replay.person, "")) for name in order]
    return _SessionCounts(replay, whole, people, _known_people(subject, replay), controls)


def _known_people(subject: EvaluatedPolicy, replay: _Replay) -> frozenset[str]:
    """People whose recordings the policy was trained on, if this is the store of its training."""
    known, fingerprint = checkpoints.trained_split(subject.folder)
    if known is None or fingerprint != subject.store.fingerprint:
        return frozenset()
    trained = known.episodes(subject.store, "train").tolist()
    return frozenset(str(subject.store.meta_of(at).get(replay.person, "")) for at in trained)


def _seat_of(seat: SeatData, controls: Columns) -> SeatData:
    """The seat with other own controls."""
    down = {name: controls[name][:, 0] != 0 for name in seat.down}
    before = {name: presses.held_before(values) for name, values in down.items()}
    return changed(seat, own=controls, down=down, before=before)


def _joined(parts: Any) -> dict[str, Array]:
    rows = list(parts)
    return {name: np.stack([np.asarray(row[name], np.float64) for row in rows]) for name in rows[0]}


def _still(seat: SeatData) -> Columns:
    return {key: np.zeros_like(values) for key, values in seat.own.items()}


def _shifted(values: Array) -> Array:
    before = np.zeros_like(values)
    before[1:] = values[:-1]
    return before


def _padded(values: Sequence[Array]) -> Array:
    """Stack [T, slots] of different lengths: [B, longest, slots], zeros after the end."""
    longest = max(len(each) for each in values)
    out = np.zeros((len(values), longest, *values[0].shape[1:]), values[0].dtype)
    for at, each in enumerate(values):
        out[at, : len(each)] = each
    return out
