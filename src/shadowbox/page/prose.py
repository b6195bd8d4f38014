"""The part of Markdown that people write in cards: headings, paragraphs, lists, tables, code. Everything else stays text.

No tag of the text becomes one of the page, and there are no links: whatever is not recognized is
shown as it was written.
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
WIDEST = 20  # columns of a table


def prose(text: str) -> Html:
    """A text as markup."""
    return Html("\n".join(_blocks(text.replace("\r\n", "\n").split("\n"))))


def marked(text: str) -> Html:
    """One line: code, bold, italics."""
    parts, end = [], 0
    for found in MARKED.finditer(text):
        parts.append(escape(text[end : found.start()]))
        tag = "code" if found[1] else "b" if found[2] else "em"
        parts.append(f"<{tag}>{escape(found[1] or found[2] or found[3])}</{tag}>")
        end = found.end()
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
    """What another block begins here, if one does."""
    if line.startswith("```"):
        return "code"
    if ITEM.fullmatch(line):
        return "item"
    return "other" if HEADING.fullmatch(line) or ROW.fullmatch(line) else ""


def _list(lines: list[str]) -> Html:
    items: list[str] = []
    ordered = False
    for line in lines:
        found = ITEM.fullmatch(line)
        if found:
            ordered = ordered or (not items and not found[1])
            items.append(found[2])
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
    """The cells of a row; a bar behind a backslash ends none."""
    cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))[:WIDEST]
    return [cell.strip().replace("\\|", "|") for cell in cells]
