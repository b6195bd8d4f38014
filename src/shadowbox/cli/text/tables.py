"""Tables of text that fit the width of a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

Row = Sequence[str]
GAP = "  "  # between two columns
NARROWEST = 12  # letters to which a column of text is wrapped before rows are stacked


def fit(rows: Sequence[Row], left: int, width: int | None) -> str:
    """The rows, the first of which is the head, in at most `width` letters (None: any).

    The first `left` columns are text, which may be wrapped; the others are numbers. Where wrapping
    does not suffice, each row is stacked: its first cell, then a line for each other cell.
    """
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    if width is not None and _total(widths) > width:
        narrow = _wrapped(rows, widths, left, width)
        if narrow is None:
            return "\n".join(line for row in rows[1:] for line in _stacked(rows[0], row, width))
        widths = narrow
    return "\n".join(line for row in rows for line in _lines(row, widths, left))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _wrapped(rows: Sequence[Row], widths: list[int], left: int, width: int) -> list[int] | None:
    """Widths in which the text columns are wrapped, the widest first; None if they cannot fit."""
    least = [
        max(NARROWEST, *(len(word) for row in rows for word in row[at].split() or [""]))
        for at in range(min(left, len(widths)))
    ]
    found = list(widths)
    while _total(found) > width:
        able = [at for at, smallest in enumerate(least) if found[at] > smallest]
        if not able:
            return None
        found[max(able, key=lambda at: found[at])] -= 1
    return found


def _lines(row: Row, widths: Sequence[int], left: int) -> list[str]:
    """A row of the table; cells of text take as many lines as they need."""
    cells = [
        (textwrap.wrap(cell, wide, break_on_hyphens=False) or [""]) if len(cell) > wide else [cell]
        for cell, wide in zip(row, widths, strict=True)
    ]
    found = []
    for number in range(max(map(len, cells))):
        parts = [cell[number] if number < len(cell) else "" for cell in cells]
        placed = (
            part.ljust(wide) if at < left else part.rjust(wide)
            for at, (part, wide) in enumerate(zip(parts, widths, strict=True))
        )
        found.append(GAP.join(placed).rstrip())
    return found


def _stacked(head: Row, row: Row, width: int) -> list[str]:
    """The first cell of a row, and below it the others that are not empty, each with its head."""
    found = textwrap.wrap(row[0], width, break_long_words=False) or ["-"]
    for name, cell in zip(head[1:], row[1:], strict=True):
        if cell:
            text = f"{name}: {cell}" if name else cell
            found += textwrap.wrap(
                text,
                width,
                initial_indent="  ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    return found
