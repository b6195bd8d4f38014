"""Page of an evaluation: gate, presses of the policy beside those of the data, figures, and clips."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core import reliability
from shadowbox.core.evaluation import NOT_SHOWN, Figure
from shadowbox.core.metrics import BASELINES, metric_of
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval
from shadowbox.evaluate.benchmark import _MatchEvaluation
from shadowbox.evaluate.gate import ONSET, PRESS
from shadowbox.evaluate.offline import bins_sentence
from shadowbox.evaluate.policy import Evaluation
from shadowbox.evaluate.press_logits import as_rows
from shadowbox.evaluate.sessions import session_tables
from shadowbox.evaluate.worlds.verdict import gate_sentence
from shadowbox.model.kinds import run_of
from shadowbox.page.document import (
    Html,
    Text,
    badge,
    bars,
    code,
    dots,
    facts,
    folded,
    heading,
    metric_name,
    sentence,
    table,
    with_interval,
)
from shadowbox.page.match_page import clips_page
from shadowbox.report.benchmark import matches_page
from shadowbox.report.beside_data import clips, press_roll
from shadowbox.train.runs import RUNS

NEAR = 3  # frames too early or late that have a bar of their own


def evaluation_page(result: Evaluation | _MatchEvaluation) -> str:
    """The HTML file of an evaluation."""
    if isinstance(result, _MatchEvaluation):
        return matches_page(result)
    return clips_page(
        f"Does it play as it was shown? {_called(result.checkpoint)}", _blocks(result)
    )


def _blocks(result: Evaluation) -> Iterator[Html]:
    yield from _verdict(result)
    yield from (sentence(text) for text in [gate_sentence(result.facts)] if text)
    yield heading("Presses of the policy and of the data")
    if not result.in_play:
        yield sentence(f"{result.how.capitalize()}.")
    yield sentence(
        "Ratios of play over data: frames that a control is down (allowed: "
        f"{PRESS[0]:g} to {PRESS[1]:g}) and presses that begin (allowed: {ONSET[0]:g} to {ONSET[1]:g}). "
        f"1 means equal. {_for_free(result)}"
    )
    yield table(
        ["control", "onsets in data", "press ratio", "onset ratio", "look-up table", "gate"],
        _gate_rows(result),
    )
    yield bars(_press_bars(result))
    yield from press_roll(result)
    yield from clips(result)
    yield heading("When")
    yield sentence(
        "Where each control differs most from the data: how often it is down, and begins, in that state."
    )
    yield table(
        ["control", "while", "down", "in data", "begins", "in data"], _state_rows(result), left=2
    )
    yield from _timing(result)
    yield from _reliability(result)
    rest = {
        name: f
        for name, f in result.closed_loop.items()
        if metric_of(name).per in ("state", "opponent", "") and metric_of(name).where != "sessions"
    }
    yield from _sessions(result)
    if rest:
        yield heading("The rest of the play")
        yield sentence(
            f"{result.how}. {BASELINES['real'].capitalize()} is as near as one can come."
        )
        yield _figures(rest)
    yield heading("Asked at recorded frames")
    yield sentence(
        "It knows everything recorded up to each frame. Copying the last frame never begins a press."
    )
    yield _figures({name: f for name, f in result.offline.items() if "." not in name})
    if "controller_nll" in result.offline:
        yield sentence(bins_sentence(result.facts["controller_bins"]))
    yield folded(
        "By control", [_figures({name: f for name, f in result.offline.items() if "." in name})]
    )
    yield folded("Logits and probabilities", _logits(result))
    yield folded(
        "What the baselines are", [facts([(name, text) for name, text in BASELINES.items()])]
    )
    yield folded("Where this comes from", [facts(_origin(result))])


def _sessions(result: Evaluation) -> Iterator[Html]:
    """Tables of recorded sessions in closed loop, if the game has them, and bars of the onsets."""
    own = {n: f for n, f in result.closed_loop.items() if metric_of(n).where == "sessions"}
    if not own:
        return
    yield heading("Recorded sessions in closed loop")
    yield sentence(
        f"{result.how.capitalize()}. copy_last repeats the last controls of the history that it "
        "sees: it begins nothing with its own, and copies every key from the recorded one."
    )
    tables = session_tables(own, result.facts.get("by_person") or {})
    yield table(*tables[0])
    onsets = {n.partition("/")[2]: f for n, f in own.items() if n.startswith("live_onset_f1.c")}
    yield sentence("F1 of onsets of each control in closed loop.")
    yield bars(
        [
            (name, _finite(figure.value.value), _plain(figure.value.value), "p1")
            for name, figure in onsets.items()
        ]
    )
    for head, rows in tables[1:]:
        if rows:
            yield table(head, rows)


def _logits(result: Evaluation) -> list[Html]:
    """Table of the logits at an empty frame and at recorded ones, beside the rate of the data."""
    return [
        sentence(
            "At an all-zero frame, which no recording has, and at the recorded frames: the median "
            "logit and the mean probability of each button, beside the share of frames in which it "
            "is down in the data. A policy that is sampled presses as often as its mean probability says."
        ),
        table(
            [
                "control",
                "logit, empty frame",
                "probability",
                "logit, recorded frames",
                "mean probability",
                "rate in data",
            ],
            as_rows(result.press_logits),
        ),
    ]


def _called(checkpoint: Path) -> str:
    """Short name of a run: RUN, CARD/SEED, or CARD/SETTING/SEED."""
    run = run_of(checkpoint)
    above = [at for at, part in enumerate(run.parts) if part == RUNS.name]
    return "/".join(run.parts[above[-1] + 1 :]) if above else run.name


def _verdict(result: Evaluation) -> Iterator[Html]:
    gate = result.gate
    used = [control for control in gate.controls if control.used]
    if gate.passed:
        yield sentence(
            badge("gate passed", "good"),
            f" All {len(used)} used controls are pressed about as often as in the data.",
        )
    else:
        failed = [control for control in used if not control.passed]
        shown = "are not pressed as in the data"
        if gate.verdict == NOT_SHOWN:
            shown = "are not shown to be pressed as in the data"
        yield sentence(
            badge(f"gate {gate.verdict}", "bad"),
            f" {len(failed)} of {len(used)} used controls {shown}.",
        )
        for why in gate.why:
            yield sentence(why, ".")
    if gate.nearer:
        others = ", ".join(f"{name} ({away:.2f})" for name, away in gate.nearer.items())
        yield sentence(
            f"As near to the data without learning: {others}; this policy: {gate.distance:.2f}."
        )
    hardly = [control.button for control in gate.controls if not control.used]
    if hardly:
        yield sentence(f"Hardly used in the data, and not judged: {', '.join(hardly)}.")


def _gate_rows(result: Evaluation) -> list[list[Text]]:
    rows: list[list[Text]] = []
    for control in result.gate.controls:
        if control.used:
            beside = result.closed_loop[f"press_ratio.{control.button}"].baselines["look_up"].value
            verdict = badge(control.verdict, "good" if control.passed else "bad")
            rows.append(
                [
                    control.button,
                    f"{control.onsets:,}",
                    _number(control.press),
                    _number(control.onset),
                    f"{beside:.2f}",
                    verdict,
                ]
            )
    return rows


def _press_bars(result: Evaluation) -> list[tuple[str, float, str, str]]:
    """Bars of press and onset ratios; the longest bar is at least twice the data."""
    used = [control for control in result.gate.controls if control.used]
    rows = [("data", 1.0, "1", "baseline")]
    for control in used:
        for name, ratio, said, allowed in (
            (control.button, control.press.value, "down", PRESS),
            ("", control.onset.value, "begun", ONSET),
        ):
            tone = "p1" if allowed[0] <= ratio <= allowed[1] else "p2"
            rows.append((name, _finite(ratio), f"{ratio:.2f} {said}", tone))
    longest = max([2.0, *(ratio for _, ratio, _, _ in rows)])
    return [(name, ratio / longest, label, tone) for name, ratio, label, tone in rows]


def _for_free(result: Evaluation) -> str:
    if result.in_play:
        said = "Never pressing and copying the last frame both score 0."
        return said if result.shown else f"{result.how.capitalize()}. {said}"
    return (
        f"The policy cannot play here ({result.how}). Copying the last frame has a press ratio of 1 "
        "and an onset ratio of 0; never pressing has 0 and 0."
    )


def _state_rows(result: Evaluation) -> list[list[Text]]:
    rows: list[list[Text]] = []
    for control in result.gate.controls:
        for state in control.states[:2]:
            shares = (
                _share(state[name]) for name in ("press", "press_data", "onset", "onset_data")
            )
            rows.append([control.button, str(state["state"]), *shares])
    return rows


def _timing(result: Evaluation) -> Iterator[Html]:
    yield heading("Onset timing")
    yield sentence(
        "Delay in frames between presses of the data and the predicted ones, as shares of the presses; "
        "thresholds are chosen on other episodes. False presses for each press of the data: policy "
        f"{_in_vain(result.timing[''])}, look-up table {_in_vain(result.timing['look_up'])}."
    )
    bars_of = []
    for name, tone in (("", "p1"), ("look_up", "baseline")):
        counts = result.timing[name]
        reach, truths = (len(counts) - 3) // 2, max(int(counts[:-1].sum()), 1)
        rows = [
            (f"{offset:+d}" if offset else "on time", counts[offset + reach], tone)
            for offset in range(-NEAR, NEAR + 1)
        ]
        early, late = counts[: reach - NEAR].sum(), counts[reach + NEAR + 1 : -2].sum()
        rows = [("earlier", early, tone), *rows, ("later", late, tone), ("never", counts[-2], "p2")]
        if name:
            rows = [
                (f"look-up table: {what}", count, tone)
                for what, count, _ in rows
                if what in ("on time", "never")
            ]
        bars_of += [
            (what, count / truths, _share(count / truths), color) for what, count, color in rows
        ]
    yield bars(bars_of)


def _in_vain(counts: Array) -> str:
    return f"{counts[-1] / max(int(counts[:-1].sum()), 1):.1f}"


def _reliability(result: Evaluation) -> Iterator[Html]:
    points = []
    for button, sums in result.curves.items():
        for said, happened in reliability.curve(sums).T.tolist():
            points.append(
                (said, happened, f"{button}: predicted {said:.3g}, observed {happened:.3g}", "p1")
            )
    yield heading("Reliability of presses that begin")
    yield sentence(
        "Each dot is a group of equally many presses of one control: the predicted probability that a "
        "press begins, and the share that began. The dashed line is perfect calibration."
    )
    yield dots([p for p in points if np.isfinite(p[:2]).all()], "predicted", "observed (upward)")


def _figures(figures: Mapping[str, Figure]) -> Html:
    """Table of figures: a row per metric, a column per baseline."""
    known = {name: figure for name, figure in figures.items() if math.isfinite(figure.value.value)}
    columns = list(
        dict.fromkeys(baseline for figure in known.values() for baseline in figure.baselines)
    )
    rows: list[Sequence[Text]] = [
        [
            metric_name(name),
            _number(figure.value),
            *(_plain(figure.baselines[b].value) if b in figure.baselines else "" for b in columns),
        ]
        for name, figure in known.items()
    ]
    return table(["metric", "this policy", *(column.replace("_", " ") for column in columns)], rows)


def _origin(result: Evaluation) -> list[tuple[Text, Text]]:
    known: list[tuple[Text, Text]] = [
        ("checkpoint", code(str(result.checkpoint))),
        ("store", code(str(result.store))),
    ]
    return known + [
        (name, code(_as_text(value))) for name, value in result.facts.items() if value is not None
    ]


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_as_text(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(interval: Interval) -> Text:
    if not math.isfinite(interval.value):
        return "-"
    return with_interval(
        _plain(interval.value), f"{_plain(interval.low)} .. {_plain(interval.high)}"
    )


def _plain(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "-"


def _share(value: float | str) -> str:
    return f"{100 * float(value):.1f} %"


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
