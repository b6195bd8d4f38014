"""A recorded moment continued in other ways, as a table for each world."""

from __future__ import annotations

import math
from collections.abc import Iterator

from shadowbox.cli.terminal import number, table
from shadowbox.core.stats import Interval
from shadowbox.evaluate.worlds.branches import SECONDS, _Branch
from shadowbox.evaluate.worlds.what_if import _WhatIf


def what_if_text(found: _WhatIf) -> str:
    """Warning, remarks, and the tables; the answer in the last lines."""
    lines = [f"WARNING: {found.verdict.warning}"] if found.verdict.warning else []
    lines += [
        f"{found.moment.where}, player {found.player}, {found.samples} samples, seed {found.seed}",
        *(f"note: {remark}" for remark in found.remarks),
    ]
    worlds = list(dict.fromkeys(branch.world for branch in found.branches))
    for world in worlds:
        lines += ["", *_tables(found, world)]
    lines += ["", *(f"{world}: {found.answer(world)}" for world in worlds)]
    return "\n".join(lines)


def _cell(value: Interval) -> str:
    """A mean and its interval; a mean of equal samples alone."""
    if not math.isfinite(value.low) or value.low == value.high:
        return number(round(value.value, 1))
    return f"{value.value:.1f} ({value.low:.1f} .. {value.high:.1f})"


def _tables(found: _WhatIf, world: str) -> Iterator[str]:
    known = found.recorded_in(world)
    for at, seconds in enumerate(SECONDS):
        head = [f"{world}, after {seconds} s", *found.figures, "beside recorded keys"]
        rows = [[f"the recording{_ends(found, seconds)}", *_cells(found.truth, at), "-"]]
        rows += [
            [_named(each), *_cells(each, at), "-" if each is known else _signed(each, known, at)]
            for each in found.branches
            if each.world == world
        ]
        yield table(head, rows)


def _cells(branch: _Branch, at: int) -> list[str]:
    return [_cell(branch.after(name, at)) for name in branch.totals]


def _signed(branch: _Branch, known: _Branch, at: int) -> str:
    value = branch.beside(known, at)
    if not math.isfinite(value.low) or value.low == value.high:
        return f"{value.value:+.1f}"
    return f"{value.value:+.1f} ({value.low:+.1f} .. {value.high:+.1f})"


def _named(branch: _Branch) -> str:
    forfeits = f" ({branch.forfeits} forfeits)" if branch.forfeits else ""
    return f"{'recorded keys' if branch.by == 'recorded' else branch.by}{forfeits}"


def _ends(found: _WhatIf, seconds: int) -> str:
    short = found.moment.frames < round(seconds * found.game.schema.fps)
    return (
        f", which ends after {found.moment.frames / found.game.schema.fps:.1f} s" if short else ""
    )
