"""The behavior gate: a policy must press every used button about as often as its demonstrators.

A button is used if at least 50 presses begin in the data. Its rates of frames down and of onsets in
play must be near those of the data. Failures are written beside the checkpoint, and every result of
a match with it carries the mark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shadowbox.core.evaluation import Figure, GateReport
from shadowbox.core.schema import Choice, Schema
from shadowbox.core.stats import Interval
from shadowbox.evaluate import press_counts
from shadowbox.evaluate.press_counts import PressCounts
from shadowbox.evaluate.recorded import state_keys

ENOUGH = 50  # presses begun in the data; of a rarer button a ratio says nothing
FARTHEST = 9.0
PRESS = (0.8, 1.25)
ONSET = (0.67, 1.5)


@dataclass(frozen=True)
class _ControlCheck:
    """Result of one button: its ratios, and the failed ones."""

    button: str
    onsets: int  # presses begun in the data
    used: bool
    press: Interval
    onset: Interval
    failed: tuple[str, ...]  # sentences
    states: tuple[Mapping[str, float | str], ...] = ()  # where it differs most from the data

    @property
    def passed(self) -> bool:
        """True if no ratio failed; a rarely used button cannot fail."""
        return not self.failed


@dataclass(frozen=True)
class GateResult:
    """Result of the gate, by button."""

    controls: tuple[_ControlCheck, ...]

    @property
    def passed(self) -> bool:
        """True if there are used buttons and all of them pass."""
        return all(control.passed for control in self.controls) and any(
            control.used for control in self.controls
        )

    @property
    def why(self) -> list[str]:
        """Failures as sentences."""
        if not any(control.used for control in self.controls):
            return [f"no button begins {ENOUGH} presses in the data, so nothing can be said"]
        return [sentence for control in self.controls for sentence in control.failed]

    def figures(self) -> dict[str, Figure]:
        """Smallest and largest ratios of the used buttons; a missing ratio counts as 0."""
        used = [control for control in self.controls if control.used]
        ratios = {
            "press_ratio": [control.press.value for control in used],
            "onset_ratio": [control.onset.value for control in used],
        }
        found = {}
        for name, values in ratios.items():
            known = [value if math.isfinite(value) else 0.0 for value in values]
            for end, choose in (("min", min), ("max", max)):
                if known:
                    found[f"{name}_{end}"] = Figure(Interval(choose(known), math.nan, math.nan))
        return found

    def report(self) -> GateReport:
        """The gate's part of an evaluation report."""
        controls = {
            control.button: {
                "passed": control.passed if control.used else None,
                "used": control.used,
                "onsets_in_data": control.onsets,
                "press_ratio": Figure(control.press).to_json(),
                "onset_ratio": Figure(control.onset).to_json(),
                "failed": list(control.failed),
                "states": [dict(state) for state in control.states],
            }
            for control in self.controls
        }
        return GateReport(self.passed, tuple(self.why), {"controls": controls})


def check_gate(
    schema: Schema,
    play: PressCounts,
    data: PressCounts,
    ratios: Mapping[str, Mapping[str, Interval]],
) -> GateResult:
    """Check the ratios of every button, and find the states in which a failed one differs most."""
    keys = state_keys(schema)
    field = schema.columns[keys[0]].field if keys else None
    names: Sequence[str] = field.names if isinstance(field, Choice) else ()
    controls = []
    for at, button in enumerate(data.buttons):
        onsets, found = int(data.begun[:, at].sum()), ratios[button]
        used = onsets >= ENOUGH
        states = press_counts.worst_states(play, data, button, names) if used and keys else []
        failed = _failures(button, found, states) if used else ()
        controls.append(
            _ControlCheck(
                button,
                onsets,
                used,
                found["press_ratio"],
                found["onset_ratio"],
                failed,
                tuple(states),
            )
        )
    return GateResult(tuple(controls))


def gate_distance(play: PressCounts, data: PressCounts) -> float:
    """Distance between press rates of play and data: 0 is equal, 1 is the edge of the gate.

    Root mean square of log ratios over used buttons, so that twice is as far as half; a button that
    is never pressed has the distance FARTHEST.
    """
    used = data.begun.sum(0) >= ENOUGH
    away = []
    for kind, (_, most) in (("down", PRESS), ("begun", ONSET)):
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = [
                getattr(side, kind).sum(0)[used] / side.frames.sum(0)[used] for side in (play, data)
            ]
            away.append(np.abs(np.log(rates[0] / rates[1])) / np.log(most))
    known = np.minimum(np.nan_to_num(np.concatenate(away), nan=FARTHEST, posinf=FARTHEST), FARTHEST)
    return float(np.sqrt(np.mean(known**2))) if len(known) else 0.0


def _failures(
    button: str, found: Mapping[str, Interval], states: Sequence[Mapping[str, float | str]]
) -> tuple[str, ...]:
    where = _where(states)
    failed = []
    for what, verb, (low, high) in (
        ("press_ratio", "is down", PRESS),
        ("onset_ratio", "begins", ONSET),
    ):
        ratio = found[what].value
        if not low <= ratio <= high:  # so written, a NaN fails
            failed.append(
                f"{button} {verb} {ratio:.2f} times as often as in the data, "
                f"allowed is {low:g} .. {high:g}{where}"
            )
    return tuple(failed)


def _where(states: Sequence[Mapping[str, float | str]]) -> str:
    if not states:
        return ""
    first = states[0]
    shares = _share(first["press"]), _share(first["press_data"])
    return (
        f"; most of it while {first['state']}: down {shares[0]} of frames, in the data {shares[1]}"
    )


def _share(value: float | str) -> str:
    return f"{100 * float(value):.1f} %"
