"""Subset of Markdown that cards are written in: headings, paragraphs, lists, tables, code.

Everything else stays text: tags are escaped, links do not exist, and unrecognized marks are shown
as written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

from shadowbox.page.document import Html, table

HEADING = re.compile(r"(#{1,6})\s+(.*)")
ITEM = re.compile(r"\s{0,3}(?:([-*+])|[0-9]{1,9}[.)])\s+(.*)")
ROW = re.compile(r"\s*\|.*")
MARKED = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*")
MAX_COLUMNS = 20  # of a table


def prose(text: str) -> Html:
    """Markup of a text."""
    return Html("\n".join(_blocks(text.replace("\r\n", "\n").split("\n"))))


def marked(text: str) -> Html:
    """Markup of one line: code, bold, italics."""
    parts, end = [], 0
    for match in MARKED.finditer(text):
        parts.append(escape(text[end : match.start()]))
        tag = "code" if match[1] else "b" if match[2] else "em"
        parts.append(f"<{tag}>{escape(match[1] or match[2] or match[3])}</{tag}>")
        end = match.end()
    return Html("".join([*parts, escape(text[end:])]))


def _blocks(lines: list[str]) -> Iterator[Html]:
    at = 0
    while at < len(lines):
        line = lines[at]
        begin = at
        if not line.strip():
            at += 1
        elif line.startswith("```"):
            at = _until(lines, at + 1, lambda each: each.startswith("```")) + 1
            yield Html(f"<pre><code>{escape(chr(10).join(lines[begin + 1 : at - 1]))}</code></pre>")
        elif heading := HEADING.fullmatch(line):
            at += 1
            level = 2 if len(heading[1]) < 3 else 3
            yield Html(f"<h{level}>{marked(heading[2].rstrip('# '))}</h{level}>")
        elif ROW.fullmatch(line):
            at = _until(lines, at, lambda each: not ROW.fullmatch(each))
            yield _table(lines[begin:at])
        elif ITEM.fullmatch(line):
            at = _until(
                lines, at, lambda each: not each.strip() or _begins(each) not in ("", "item")
            )
            yield _list(lines[begin:at])
        else:
            at = _until(lines, at + 1, lambda each: not each.strip() or _begins(each) != "")
            yield Html(f"<p>{marked(' '.join(part.strip() for part in lines[begin:at]))}</p>")


def _until(lines: list[str], at: int, ends: Callable[[str], bool]) -> int:
    return next((number for number in range(at, len(lines)) if ends(lines[number])), len(lines))


def _begins(line: str) -> str:
    """Kind of block that a line begins (code, item or other); empty if it begins none."""
    if line.startswith("```"):
        return "code"
    if ITEM.fullmatch(line):
        return "item"
    return "other" if HEADING.fullmatch(line) or ROW.fullmatch(line) else ""


def _list(lines: list[str]) -> Html:
    items: list[str] = []
    ordered = False
    for line in lines:
        match = ITEM.fullmatch(line)
        if match:
            ordered = ordered or (not items and not match[1])
            items.append(match[2])
        else:
            items[-1] += f" {line.strip()}"
    tag = "ol" if ordered else "ul"
    return Html(f"<{tag}>{''.join(f'<li>{marked(item)}</li>' for item in items)}</{tag}>")


def _table(lines: list[str]) -> Html:
    rows = [
        [marked(cell) for cell in _cells(line)] for line in lines if not set(line) <= set("|-: \t")
    ]
    wide = max((len(row) for row in rows), default=0)
    if not rows:
        return Html("")
    head, *body = (row + [Html("")] * (wide - len(row)) for row in rows)
    return table(head, body, left=wide)


def _cells(line: str) -> list[str]:
    """Cells of a row; a bar behind a backslash belongs to its cell."""
    cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))[:MAX_COLUMNS]
    return [cell.strip().replace("\\|", "|") for cell in cells]
