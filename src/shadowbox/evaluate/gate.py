"""The behavior gate: a policy must press every used button about as often as its demonstrators.

A button is used if at least 50 presses begin in the data. Its rates of frames down and of onsets in
play must be near those of the data, with their whole 95 % interval: a ratio inside the allowed band
whose interval reaches beyond it is "not shown". Failures are written beside the checkpoint, and
every result of a match with it carries the mark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from shadowbox.core.evaluation import FAILED, NOT_SHOWN, PASSED, Figure, GateReport
from shadowbox.core.schema import Choice, Schema
from shadowbox.core.stats import Interval
from shadowbox.evaluate import press_counts
from shadowbox.evaluate.press_counts import PressCounts
from shadowbox.evaluate.recorded import state_keys

ENOUGH = 50  # presses begun in the data; of a rarer button a ratio says nothing
FARTHEST = 9.0
FREE = ("copy_last", "never_press", "rate", "look_up")  # baselines that learn nothing
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
    unsure: tuple[str, ...] = ()  # sentences about intervals that reach beyond the band
    states: tuple[Mapping[str, float | str], ...] = ()  # where it differs most from the data

    @property
    def passed(self) -> bool:
        """True if all ratios are shown to be near; a rarely used button cannot fail."""
        return self.verdict == PASSED

    @property
    def verdict(self) -> str:
        """Verdict: passed, failed, or not shown."""
        return FAILED if self.failed else NOT_SHOWN if self.unsure else PASSED


@dataclass(frozen=True)
class GateResult:
    """Result of the gate, by button."""

    controls: tuple[_ControlCheck, ...]
    distance: float = 0.0  # of the policy from the data, as `gate_distance` measures it
    # baselines that are as near to the data, with their distances
    nearer: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True if there are used buttons and all of them pass."""
        return self.verdict == PASSED

    @property
    def verdict(self) -> str:
        """Verdict: passed, failed, or not shown."""
        words = {control.verdict for control in self.controls if control.used} or {NOT_SHOWN}
        return next(word for word in (FAILED, NOT_SHOWN, PASSED) if word in words)

    @property
    def why(self) -> list[str]:
        """Failures as sentences, and ratios that are not shown to be near."""
        if not any(control.used for control in self.controls):
            return [f"no button begins {ENOUGH} presses in the data, so nothing can be said"]
        return [
            sentence
            for sentences in ("failed", "unsure")
            for control in self.controls
            for sentence in getattr(control, sentences)
        ]

    def figures(self) -> dict[str, Figure]:
        """Smallest and largest ratios of the used buttons; a missing ratio counts as 0.

        Their intervals reach from the smallest low end to the smallest high end, and likewise for
        the largest.
        """
        used = [control for control in self.controls if control.used]
        found = {}
        for name, ratios in (
            ("press_ratio", [control.press for control in used]),
            ("onset_ratio", [control.onset for control in used]),
        ):
            values = np.array(ratios, np.float64).reshape(-1, 3)
            values[:, 0] = np.where(np.isfinite(values[:, 0]), values[:, 0], 0.0)
            for end, choose in (("min", np.min), ("max", np.max)):
                if len(values):
                    found[f"{name}_{end}"] = Figure(Interval(*choose(values, 0).tolist()))
        return found

    def report(self) -> GateReport:
        """The gate's part of an evaluation report."""
        controls = {
            control.button: {
                "passed": control.passed if control.used else None,
                "verdict": control.verdict if control.used else None,
                "used": control.used,
                "onsets_in_data": control.onsets,
                "press_ratio": Figure(control.press).to_json(),
                "onset_ratio": Figure(control.onset).to_json(),
                "failed": list(control.failed),
                "not_shown": list(control.unsure),
                "states": [dict(state) for state in control.states],
            }
            for control in self.controls
        }
        details = {
            "verdict": self.verdict,
            "distance": self.distance,
            "as_near_without_learning": dict(self.nearer),
            "controls": controls,
        }
        return GateReport(self.passed, tuple(self.why), details)


def check_gate(
    schema: Schema,
    play: PressCounts,
    data: PressCounts,
    ratios: Mapping[str, Mapping[str, Interval]],
    baselines: Mapping[str, PressCounts] | None = None,
) -> GateResult:
    """Check the ratios of every button, and find the states in which a failed one differs most.

    `baselines` that learn nothing and are as near to the data as the policy are named.
    """
    keys = state_keys(schema)
    field = schema.columns[keys[0]].field if keys else None
    names: Sequence[str] = field.names if isinstance(field, Choice) else ()
    controls = []
    for at, button in enumerate(data.buttons):
        onsets, found = int(data.begun[:, at].sum()), ratios[button]
        used = onsets >= ENOUGH
        states = press_counts.worst_states(play, data, button, names) if used and keys else []
        failed, unsure = _problems(button, found, states) if used else ((), ())
        controls.append(
            _ControlCheck(
                button,
                onsets,
                used,
                found["press_ratio"],
                found["onset_ratio"],
                failed,
                unsure,
                tuple(states),
            )
        )
    own = gate_distance(play, data)
    others = {
        name: gate_distance(counts, data)
        for name, counts in (baselines or {}).items()
        if name in FREE and any(control.used for control in controls)
    }
    nearer = {name: distance for name, distance in others.items() if distance <= own}
    return GateResult(tuple(controls), own, nearer)


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


def _problems(
    button: str, found: Mapping[str, Interval], states: Sequence[Mapping[str, float | str]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences about ratios outside the allowed band, and about intervals that reach beyond it."""
    where = _where(states)
    failed, unsure = [], []
    for what, verb, (least, most) in (
        ("press_ratio", "is down", PRESS),
        ("onset_ratio", "begins", ONSET),
    ):
        ratio, low, high = found[what]
        said = f"{button} {verb} {ratio:.2f} times as often as in the data"
        if not least <= ratio <= most:  # so written, a NaN fails
            failed.append(f"{said}, allowed is {least:g} .. {most:g}{where}")
        elif not (math.isfinite(low) and math.isfinite(high)):
            unsure.append(f"{said}, without an interval: more episodes are needed")
        elif not least <= low <= high <= most:
            unsure.append(
                f"{said}, but its interval {low:.2f} .. {high:.2f} reaches beyond the allowed "
                f"{least:g} .. {most:g}: more matches or recordings are needed"
            )
    return tuple(failed), tuple(unsure)


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
