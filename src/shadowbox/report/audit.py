"""Page of a store's audit: summary, presses, fields, and scores of the baselines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shadowbox.data.audit import column_notes
from shadowbox.data.baseline_scores import value_range
from shadowbox.page.document import (
    Html,
    Text,
    badge,
    bars,
    code,
    facts,
    folded,
    heading,
    metric_name,
    page,
    sentence,
    table,
    with_interval,
)


def audit_page(found: dict[str, Any]) -> str:
    """The page of the facts that `data.audit.audit` returns."""
    return page(f"Audit of {found['store']}", _blocks(found))


def _blocks(found: dict[str, Any]) -> Iterator[Html]:
    yield from _verdict(found)
    yield _facts(found)
    if found["controls"]:
        yield heading("What players press")
        yield sentence(
            "The share of frames in which each control is down. Never pressing would be a bar of no length."
        )
        yield bars(_press_bars(found["controls"]))
        yield folded("Presses as numbers", [_press_table(found["controls"])])
    if found["events"]:
        yield heading("What happens")
        yield table(["event", "count", "per minute"], _event_rows(found))
    yield heading("What predicting nothing would score")
    yield sentence(
        f"One frame ahead, on {found['baselines']['episodes']} episodes; the look-up table was fitted on "
        f"{found['baselines']['fitted_on']} others. A model that does not beat these has learned nothing."
    )
    yield table(["column", "metric", "baseline", "score"], _baseline_rows(found), left=3)
    yield heading("Every column")
    yield table(
        ["column", "kind", "min", "mean", "max", "zeros", "invalid", "note"],
        _column_rows(found),
        left=2,
    )


def _verdict(found: dict[str, Any]) -> Iterator[Html]:
    dead = [key for key, column in found["columns"].items() if column["constant"]]
    copies = sum(len(group) - 1 for group in found["duplicates"])
    if found.get("verified"):
        yield sentence(
            badge("verified", "good"), " Every file is, byte for byte, what was written."
        )
    if copies:
        yield sentence(
            badge("duplicates", "bad"), f" {copies} episodes have the content of an earlier one."
        )
    if dead:
        yield sentence(badge("constant"), f" {len(dead)} columns never change: ", *_listed(dead))
    if found["memory"]["fits"] is False:
        yield sentence(
            badge("large", "bad"),
            " The rows do not fit into this machine's memory: sampling will wait for the disk.",
        )


def _facts(found: dict[str, Any]) -> Html:
    sides = ", ".join(f"{side} {n['episodes']:,}" for side, n in found["split"].items())
    length = f"{found['shortest']:,} to {found['longest']:,} an episode"
    size = f"{found['bytes'] / 1e6:,.1f} MB in {found['shards']} shard{'s' if found['shards'] != 1 else ''}"
    rows: list[tuple[Text, Text]] = [
        ("game", found["game"]),
        ("episodes", f"{found['episodes']:,} ({sides})"),
        ("frames", f"{found['frames']:,}, {found['seconds'] / 3600:.1f} hours, {length}"),
        ("size", f"{size}, {found['bytes_per_frame'] or 0:.1f} bytes a frame"),
        ("fingerprint", code(found["fingerprint"])),
        ("facts hash", code(found["facts_hash"])),
    ]
    return facts(rows)


def _press_bars(controls: dict[str, Any]) -> list[tuple[str, float, str, str]]:
    rates = [
        (key, slot, c["press_rate"] or 0.0)
        for key, slots in controls.items()
        for slot, c in enumerate(slots)
    ]
    longest = max((rate for _, _, rate in rates), default=0.0) or 1.0
    tones = ("p1", "p2")  # further players share the second color; their names tell them apart
    return [
        (f"{key}[{slot}]", rate / longest, f"{100 * rate:.1f} %", tones[min(slot, 1)])
        for key, slot, rate in rates
    ]


def _press_table(controls: dict[str, Any]) -> Html:
    rows = [
        [
            f"{key}[{slot}]",
            _percent(c["press_rate"]),
            _percent(c["onset_rate"]),
            f"{c['onsets']:,}",
            _number(c["hold_frames"]),
        ]
        for key, slots in controls.items()
        for slot, c in enumerate(slots)
    ]
    return table(["control", "pressed", "begins", "onsets", "hold, frames"], rows)


def _event_rows(found: dict[str, Any]) -> list[list[Text]]:
    minutes = found["seconds"] / 60 or 1.0
    return [
        [name, f"{count:,}", f"{count / minutes:.1f}"] for name, count in found["events"].items()
    ]


def _baseline_rows(found: dict[str, Any]) -> list[list[Text]]:
    rows: list[list[Text]] = []
    for key, named in found["baselines"]["columns"].items():
        kind = found["columns"][key]["kind"]
        metric = found["baselines"]["metric"][kind]
        known = [score["value"] for score in named.values() if score["value"] is not None]
        best = (min if kind == "real" else max)(known, default=None)
        for at, (name, score) in enumerate(named.items()):
            first = (key, metric_name(metric.replace(" ", "_"), metric)) if at == 0 else ("", "")
            rows.append(
                [
                    *first,
                    name.replace("_", " "),
                    with_interval(
                        _number(score["value"]), value_range(score), best=score["value"] == best
                    ),
                ]
            )
    return rows


def _column_rows(found: dict[str, Any]) -> list[list[Text]]:
    return [
        [
            key,
            c["kind"] + (f", {c['unit']}" if c["unit"] else ""),
            *(_number(c[name]) for name in ("min", "mean", "max")),
            _percent(c["zeros"]),
            _percent(c["invalid"]),
            column_notes(c),
        ]
        for key, c in found["columns"].items()
    ]


def _listed(keys: list[str]) -> list[Text]:
    shown: list[Text] = [part for key in keys[:8] for part in (code(key), ", ")][:-1]
    return [*shown, f" and {len(keys) - 8} more" if len(keys) > 8 else ""]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
