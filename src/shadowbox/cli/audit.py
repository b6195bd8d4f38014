"""`shadowbox audit`: the content of a store in numbers, as tables or as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shadowbox.cli.store import parse_shares
from shadowbox.cli.terminal import PATH, emit, json_option, number, progress, share, size, table
from shadowbox.core.files import write_whole
from shadowbox.data import audit as audits
from shadowbox.data.baseline_scores import value_range
from shadowbox.data.store import Store
from shadowbox.data.verify import verify as rehash
from shadowbox.errors import ShadowboxError, StoreError


@click.command()
@click.argument("path", metavar="STORE")
@click.option("--verify", is_flag=True, help="Re-hash every file and report damage.")
@click.option(
    "--html",
    type=PATH,
    help="Also write a self-contained HTML page to this path.",
)
@click.option(
    "--brief",
    is_flag=True,
    help="Print only presses, events and the summary; columns and baselines go to the page.",
)
@click.option(
    "--shares", default="80/10/10", show_default=True, help="Percentages for train/val/test."
)
@click.option(
    "--by", "key", help="Metadata key that keeps episodes together in one split, such as a player."
)
@json_option
def audit(
    path: str,
    verify: bool,
    html: Path | None,
    brief: bool,
    shares: str,
    key: str | None,
    as_json: bool,
) -> None:
    """Report the content of STORE: sizes, fields, presses, baselines, duplicates and damage."""
    if verify:
        _refuse_damage(path)
    found = Store(path)
    with progress("reading") as update:
        facts = audits.audit(found, parse_shares(shares, key, 0), update)
    if verify:
        facts["verified"] = True
    if html:
        _write_page(html, facts)
    if as_json:
        emit(facts)
    else:
        print(_as_text(facts, brief))
        if html:
            print(f"page: {html}")


def _refuse_damage(path: str) -> None:
    with progress("hashing") as update:
        damage = rehash(Store(path, whole=False), update)
    if damage:
        raise StoreError("\n".join(damage))


def _write_page(path: Path, facts: dict[str, Any]) -> None:
    from shadowbox.report.audit import audit_page

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, audit_page(facts).encode())
    except OSError as error:
        raise ShadowboxError(f"{path} could not be written: {error.strerror}") from error


def _as_text(facts: dict[str, Any], brief: bool) -> str:
    parts = [] if brief else [_columns(facts)]
    if facts["controls"]:
        rows = [
            [
                f"{key}[{slot}]",
                share(c["press_rate"]),
                share(c["onset_rate"]),
                number(c["onsets"]),
                number(c["hold_frames"], 3),
            ]
            for key, slots in facts["controls"].items()
            for slot, c in enumerate(slots)
        ]
        parts.append(table(["control", "pressed", "begins", "onsets", "hold (frames)"], rows))
    if facts["baselines"]["columns"] and not brief:
        rows = [
            [
                key,
                name,
                facts["baselines"]["metric"][facts["columns"][key]["kind"]],
                number(score["value"]),
                value_range(score),
            ]
            for key, named in facts["baselines"]["columns"].items()
            for name, score in named.items()
        ]
        parts.append(
            table(["one frame ahead", "baseline", "metric", "value", "95 %"], rows, left=3)
        )
    if facts["events"]:
        parts.append(
            table(
                ["event", "count"],
                [[name, number(count)] for name, count in facts["events"].items()],
            )
        )
    parts.append(_summary(facts))
    return "\n\n".join(parts)


def _columns(facts: dict[str, Any]) -> str:
    rows = [
        [
            key,
            c["kind"],
            c["unit"],
            *(number(c[name]) for name in ("min", "mean", "max")),
            share(c["zeros"]),
            share(c["invalid"]),
            audits.column_notes(c),
        ]
        for key, c in facts["columns"].items()
    ]
    head = ["column", "kind", "unit", "min", "mean", "max", "zeros", "invalid", "note"]
    return table(head, rows, left=3)


def _summary(facts: dict[str, Any]) -> str:
    sides = ", ".join(f"{side} {counts['episodes']}" for side, counts in facts["split"].items())
    copies = sum(len(group) - 1 for group in facts["duplicates"])
    fits = {True: "fits into this machine", False: "does not fit into this machine"}.get(
        facts["memory"]["fits"], "on a machine whose memory is not known"
    )
    lines = [
        *audits.warnings(facts),
        *audits.rare_presses(facts),
        f"split by episode: {sides}",
        f"memory: {size(facts['memory']['bytes'])} when cached, {fits}",
        "duplicates: "
        + ("none" if not copies else f"{copies} episodes, first {facts['duplicates'][0]}"),
        f"{facts['store']}: {facts['episodes']:,} episodes, {facts['frames']:,} frames of {facts['game']}, "
        f"{number(facts['bytes_per_frame'])} bytes a frame"
        + (", every file verified" if facts.get("verified") else ""),
    ]
    return "\n".join(lines)
