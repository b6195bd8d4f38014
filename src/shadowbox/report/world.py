"""Page of a world's evaluation: gate, skill by horizon, contradictions, events, and clips."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from shadowbox.core.baselines import copy_last
from shadowbox.core.episode import Episode
from shadowbox.core.game import no_events
from shadowbox.core.schema import Array, Columns, Real
from shadowbox.evaluate.worlds.events import events_of
from shadowbox.evaluate.worlds.findings import _Findings
from shadowbox.evaluate.worlds.skill import _Skill, distance, scored_keys
from shadowbox.evaluate.worlds.starts import SHORT
from shadowbox.evaluate.worlds.suite import _WorldEvaluation
from shadowbox.page.document import (
    Bar,
    Html,
    Text,
    badge,
    beside,
    code,
    facts,
    folded,
    heading,
    lines,
    metric_name,
    sentence,
    table,
    with_interval,
)
from shadowbox.page.match_page import clips_page, side_by_side
from shadowbox.report.match import match_clip

FIELDS = 8  # whose error is shown live
FLOOR = -1.0  # of the picture of skill; worse is drawn there


def world_page(result: _WorldEvaluation) -> str:
    """The HTML file of an evaluation of a world."""
    return clips_page(f"Does it predict what happens? {result.found.spec}", _blocks(result))


def _blocks(result: _WorldEvaluation) -> Iterator[Html]:
    found = result.found
    passed = all(stage.passed for stage in result.stages)
    kind = badge("gate passed", "good") if passed else badge("gate failed", "bad")
    yield sentence(
        kind,
        f" {found.starts.number:,} recorded moments, {found.facts['samples']} predictions of each, "
        f"{found.frames:,} predicted frames.",
    )
    rows: list[Sequence[Text]] = [
        [
            stage.name,
            badge("passed", "good") if stage.passed else badge("failed", "bad"),
            "; ".join(stage.why) or stage.title,
        ]
        for stage in result.stages
    ]
    yield table(["part of the gate", "", ""], rows, left=3)
    yield from _skill(found)
    yield from _contradictions(found)
    yield from _events(found)
    yield from _controls(found)
    yield from _distributions(found)
    yield from _clips(found)
    known: list[tuple[Text, Text]] = [
        (name, code(str(value))) for name, value in found.facts.items()
    ]
    yield folded("Where this comes from", [facts([("store", code(str(found.store))), *known])])


def _skill(found: _Findings) -> Iterator[Html]:
    yield heading(metric_name("skill", "Skill by horizon"))
    yield sentence(
        "1 is perfect, the dashed line at 0 is the best of hold, constant velocity and a look-up "
        "table. Blue are the fields in which a world must be better; across: the horizons of the "
        "table below, from left to right."
    )
    horizons = sorted({each.horizon for each in found.skills})
    curves = [("best baseline", [(float(at), 0.0) for at, _ in enumerate(horizons, 1)], "baseline")]
    for key in dict.fromkeys(each.key for each in found.skills):
        points = [
            (float(horizons.index(each.horizon) + 1), max(each.skill.value, FLOOR))
            for each in found.skills
            if each.key == key and math.isfinite(each.skill.value) and not each.rare
        ]
        if points:
            curves.append((key, points, "p1" if key in found.game.world_fields else "p2"))
    yield lines(curves)
    by_key: dict[str, dict[int, _Skill]] = {}
    for each in found.skills:
        by_key.setdefault(each.key, {})[each.horizon] = each
    names = [*found.game.world_fields, *(k for k in by_key if k not in found.game.world_fields)]
    rows = [[key, *(_cell(by_key[key].get(h)) for h in horizons)] for key in names]
    split = len(found.game.world_fields) or len(rows)
    head = ["field", *(f"{horizon} ahead" for horizon in horizons)]
    yield table(head, rows[:split])
    if rows[split:]:
        yield folded("All other fields", [table(head, rows[split:])])
    yield sentence(
        'Beside a skill: its lower bound, which holds for all fields together. "exact": no '
        "baseline errs, and the world must not either; in grey: errs too rarely to be judged."
    )


def _cell(each: _Skill | None) -> Text:
    if each is None or not (each.exact or math.isfinite(each.skill.value)):
        return "-"
    if each.exact:
        return "exact" if each.error == 0 else badge(f"error {each.error:.3g}", "bad")
    return with_interval(f"{each.skill.value:.2f}", "rare" if each.rare else f"{each.low:.2f}")


def _contradictions(found: _Findings) -> Iterator[Html]:
    if not found.rates:
        return
    yield heading(metric_name("contradictions", "Fields that contradict each other"))
    yield sentence(
        "In 10,000 frames of a player: this world in blue, the recordings in grey. The green line is "
        "1 in 10,000."
    )
    bars, never = [], []
    for name, rate in sorted(found.rates.items(), key=lambda item: -item[1].world):
        title = name.replace("_", " ")
        if not rate.world and not rate.real:
            never.append(title)
            continue
        bars.append(Bar(title, 1e4 * rate.world, f"{1e4 * rate.world:.2f}", "p1"))
        bars.append(Bar("recorded", 1e4 * rate.real, f"{1e4 * rate.real:.2f}"))
    if bars:
        yield beside(bars, wanted=1.0)
    if never:
        yield sentence(f"In neither: {', '.join(never)}.")
    yield sentence(
        metric_name("violations_after", "Forbidden values"),
        f": {sum(found.violations.values()):,}.",
    )


def _events(found: _Findings) -> Iterator[Html]:
    if not found.inside:
        return
    yield heading("Events, derived from the rows")
    yield sentence(
        metric_name("event_f1", "F1"),
        f" within 2 frames: one frame ahead of recorded rows, and inside of predictions of {SHORT} "
        "frames. A world in which nothing happens has 0.",
    )
    bars = []
    for kind in found.game.event_kinds:
        for scores, label in (
            (found.one_step, f"{kind}, 1 ahead"),
            (found.inside, f"{kind}, {SHORT}"),
        ):
            score = scores.get((kind, 2))
            if score is not None and math.isfinite(score.f1.value):
                value, low, high = score.f1
                known = math.isfinite(low) and math.isfinite(high)
                text = f"{value:.2f}, {score.ratio:.2f} times as many"
                tone = "p1" if "ahead" in label else "p2"
                bars.append(
                    Bar(label, value, text, tone, low if known else None, high if known else None)
                )
    yield beside(bars, whole=1.0)


def _controls(found: _Findings) -> Iterator[Html]:
    if found.effects is None:
        return
    yield heading("Effects of controls")
    yield sentence(
        f"Of {found.effects.effects:,} effects of a held control in the true simulator, "
        f"{found.effects.agreement.value:.0%} have ",
        metric_name("control_agreement", "the same direction"),
        " here; their ",
        metric_name("control_effect", "size"),
        f" is {found.effects.size.value:.2f} times the true one. By control:",
    )
    yield beside(
        [Bar(k, v, f"{v:.0%}", "p1") for k, v in found.effects.by_control.items()], whole=1.0
    )


def _distributions(found: _Findings) -> Iterator[Html]:
    yield heading("Long predictions beside recordings")
    rows: list[Sequence[Text]] = [
        [
            each.name,
            f"{each.value:.4f}",
            f"{each.halves:.4f}",
            "" if each.moved is None else f"{each.moved:.4f}",
            each.unit,
            badge("too far", "bad") if each.far else "",
        ]
        for each in sorted(found.distances, key=lambda one: -one.value)
    ]
    yield folded(
        "Distances, beside those between two halves of the recordings and of the simulator",
        [table(["distribution", metric_name("distance"), "halves", "simulator", "", ""], rows)],
    )


def _clips(found: _Findings) -> Iterator[Html]:
    """The same moments, recorded and predicted, with the error of each field."""
    if not found.shown:
        return
    yield heading("The same moment, recorded and predicted")
    yield sentence("Both have the same controls and play together. Press play in one of them.")
    for start, rows in found.shown.items():
        length = int(found.starts.valid[start].sum())
        future = {k: v[start][:length] for k, v in found.starts.future.items()}
        said = {**future, **{key: values[:length] for key, values in rows.items()}}
        place = f"#{found.starts.episodes[start]}:{found.starts.frames[start]}"
        yield side_by_side(
            [
                _clip(found, f"recorded: {found.store.name}{place}", future, {}),
                _clip(found, f"predicted by {found.spec}", said, _meter(found, future, said)),
            ],
            together=True,
        )


def _clip(found: _Findings, caption: str, columns: Columns, tracks: Columns) -> Html:
    events = no_events() if found.game.events is None else _own_events(found, columns)
    meta = {"players": [f"P{seat + 1}" for seat in range(found.game.schema.players)]}
    return match_clip(found.game, caption, Episode(columns, meta, events, tracks=tracks))


def _own_events(found: _Findings, columns: Columns) -> Array:
    state = {key: columns[key][None] for key in found.game.schema.state_keys}
    return events_of(found.game, state)


def _meter(found: _Findings, future: Columns, said: Columns) -> Columns:
    """Error of each shown field by seat, and that of holding its first value, [rows, 2]."""
    schema = found.game.schema
    keys = [
        key
        for key in found.game.world_fields or scored_keys(schema)
        if schema.columns[key].group.per
    ]
    tracks = {}
    for key in keys[:FIELDS]:
        column = schema.columns[key]
        share = column.slots // schema.players
        still = np.broadcast_to(copy_last(future[key][:1]), future[key].shape)
        both = [distance(column, guess, future[key]) for guess in (said[key], still)]
        if not isinstance(column.field, Real):
            both = [np.cumsum(each, 0) / np.arange(1, len(each) + 1)[:, None] for each in both]
        for seat in range(schema.players):
            pair = np.stack([each[:, seat * share] for each in both], -1)
            tracks[f"{seat}/error/{column.field.name}"] = pair.astype(np.float32)
    return tracks
