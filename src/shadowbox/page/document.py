"""Builders of a report as one HTML file: headings, sentences, tables and small charts.

Builders return `Html`; any other string that goes into a page is text and is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import NamedTuple

from shadowbox.core.metrics import describe


class Html(str):
    """Markup made by this module. Plain strings are text."""


Text = str | Html


def page(title: str, blocks: Iterable[Html]) -> str:
    """Report of one column as the text of an HTML file."""
    body = "\n".join([f"<h1>{escape(title)}</h1>", *map(_safe, blocks)])
    return shell(title, Html(f"<main>{body}</main>"))


def shell(
    title: str,
    body: Html,
    *,
    styles: Sequence[str] = ("style.css",),
    script: str = "",
    compiled: bool = False,
) -> str:
    """Whole HTML file around a body.

    Styles and script are inlined; nothing is fetched, and no other script can run. `compiled`: the
    script may run WebAssembly, which is inside it as well.
    """
    style = "".join(part(name) for name in styles)
    if "dfn" in f"{body}{script}":
        script += part("hint.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    if script:
        policy += f"; script-src 'sha256-{digest}'" + " 'wasm-unsafe-eval'" * compiled
        body = Html(f'{body}<script type="module">{script}</script>')
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,">'
        f"<style>{style}</style></head>\n"
        f"<body>{body}</body></html>\n"
    )


def part(name: str) -> str:
    """Text of a style sheet or script of this package."""
    return files("shadowbox.page").joinpath(name).read_text(encoding="utf-8")


def heading(text: Text) -> Html:
    """Heading of a section."""
    return Html(f"<h2>{_safe(text)}</h2>")


def sentence(*parts: Text) -> Html:
    """Paragraph made of texts and markup."""
    return Html(f"<p>{''.join(_safe(part) for part in parts)}</p>")


def code(text: str) -> Html:
    """Text in a fixed-width font: a spec, a hash, a command."""
    return Html(f"<code>{escape(text)}</code>")


def metric_name(figure: str, shown: str = "") -> Html:
    """Name of a figure, which explains itself under the pointer and at the keyboard (hint.js)."""
    means, text = describe(figure), escape(shown or figure)
    return Html(f'<dfn tabindex="0" title="{escape(means)}">{text}</dfn>' if means else text)


def badge(word: str, tone: str = "plain") -> Html:
    """Verdict as a word in a colored box.

    `tone` is good, bad or plain; the word alone says everything.
    """
    return Html(f'<span class="badge {escape(tone)}">{escape(word)}</span>')


def facts(rows: Iterable[tuple[Text, Text]]) -> Html:
    """List of names and their values in two columns."""
    lines = (f"<dt>{_safe(name)}</dt><dd>{_safe(value)}</dd>" for name, value in rows)
    return Html(f"<dl>{''.join(lines)}</dl>")


def table(head: Sequence[Text], rows: Iterable[Sequence[Text]], *, left: int = 1) -> Html:
    """Table whose first `left` columns are names and whose other columns are numbers."""

    def cells(tag: str, row: Sequence[Text]) -> str:
        side = ("" if at < left else ' class="number"' for at in range(len(row)))
        return "".join(
            f"<{tag}{at}>{_safe(cell)}</{tag}>" for at, cell in zip(side, row, strict=True)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return Html(
        f'<div class="wide" tabindex="0"><table><thead><tr>{cells("th", head)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def with_interval(value: str, interval: str, *, best: bool = False) -> Html:
    """Number followed by its interval, smaller and grey; bold if `best`."""
    number = f"<b>{escape(value)}</b>" if best else escape(value)
    return Html(f'{number} <small class="interval">{escape(interval)}</small>')


def bars(rows: Sequence[tuple[str, float, str, str]]) -> Html:
    """Horizontal bars from zero.

    A row holds the name, the bar's share of the full length, a label, and the tone (a color class
    of the style sheet).
    """
    lines = []
    for at, (name, share, label, tone) in enumerate(rows):
        y, width = at * 24, max(0.0, min(1.0, share)) * 400
        lines.append(
            f'<text x="150" y="{y + 16}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="{escape(tone)}" x="160" y="{y + 4}" width="{width:.1f}" '
            f'height="16" rx="2"></rect>'
            f'<text class="label" x="{166 + width:.1f}" y="{y + 16}">{escape(label)}</text>'
        )
    return Html(f'<svg role="img" viewBox="0 0 720 {24 * len(rows)}">{"".join(lines)}</svg>')


class Bar(NamedTuple):
    """Row of `beside`; `low` and `high` are the ends of its interval, None without one."""

    name: Text
    value: float
    label: Text
    tone: str = "baseline"
    low: float | None = None
    high: float | None = None


def beside(rows: Sequence[Bar], wanted: float | None = None, whole: float = 0.0) -> Html:
    """Bars from zero with their intervals, and a green line through all of them at `wanted`.

    The axis reaches to the largest value, and at least to `whole`: 1 for shares.
    """
    ends = [value for bar in rows for value in (bar.value, bar.low, bar.high) if value is not None]
    ends.append(whole)
    ends += [0.0] if wanted is None else [0.0, wanted]
    low, high = min(ends), max(ends)

    def x(value: float) -> float:
        return 1 + 98 * (value - low) / ((high - low) or 1.0)

    def picture(bar: Bar) -> Html:
        left, right = sorted((x(0.0), x(bar.value)))
        parts = [
            f'<rect class="{escape(bar.tone)}" x="{left:.2f}%" y="6" '
            f'width="{right - left:.2f}%" height="12"></rect>'
        ]
        if bar.low is not None and bar.high is not None:
            span = f'x1="{x(bar.low):.2f}%" x2="{x(bar.high):.2f}%"'
            parts.append(f'<line class="span" {span} y1="12" y2="12"></line>')
        if wanted is not None:
            at = f"{x(wanted):.2f}%"
            parts.append(f'<line class="wanted" x1="{at}" x2="{at}" y1="0" y2="24"></line>')
        return Html(f'<svg class="beside" aria-hidden="true">{"".join(parts)}</svg>')

    return table(["", "", ""], [[bar.name, picture(bar), bar.label] for bar in rows], left=2)


def lines(curves: Sequence[tuple[str, Sequence[tuple[float, float]], str]]) -> Html:
    """Curves over common axes.

    A curve holds its name, its points (x, y) by ascending x, and its tone (a color class of the
    style sheet).
    """
    points = [point for _, curve, _ in curves for point in curve]
    if not points:
        return Html("")
    (left, right), (low, high) = (
        (min(values), max(values)) for values in zip(*points, strict=True)
    )
    wide, tall = (right - left) or 1.0, (high - low) or 1.0
    drawn = []
    for name, curve, tone in curves:
        path = " ".join(
            f"{70 + 640 * (x - left) / wide:.1f},{12 + 160 * (high - y) / tall:.1f}"
            for x, y in curve
        )
        title = f"<title>{escape(name)}</title>"
        drawn.append(f'<polyline class="curve {escape(tone)}" points="{path}">{title}</polyline>')
        x, y = path.rsplit(" ", 1)[-1].split(",")
        drawn.append(f'<circle class="{escape(tone)}" cx="{x}" cy="{y}" r="3">{title}</circle>')
    ends = ((64, 16, high), (64, 176, low))
    axes = "".join(
        f'<text class="label" x="{x}" y="{y}" text-anchor="end">{value:.3g}</text>'
        for x, y, value in ends
    )
    axes += f'<text class="label" x="70" y="194">{left:g}</text>'
    axes += f'<text class="label" x="710" y="194" text-anchor="end">{right:g}</text>'
    return Html(f'<svg role="img" viewBox="0 0 720 200">{axes}{"".join(drawn)}</svg>')


def dots(
    points: Sequence[tuple[float, float, str, str]], across: str, up: str, *, linear: bool = False
) -> Html:
    """Points on two equal axes, with the diagonal on which both values are the same.

    A point holds x, y, its name and its tone. Axes are logarithmic, and points that are not
    positive are left out, unless they are `linear`. `across` and `up` are the labels of the axes.
    """
    some = [point for point in points if linear or (point[0] > 0 and point[1] > 0)]
    if not some:
        return Html("")
    values = [value for x, y, _, _ in some for value in (x, y)]
    ticks = _linear_ticks(values) if linear else _powers(values)
    low, span = ticks[0][0], ticks[-1][0] - ticks[0][0]

    def at(value: float) -> float:
        return 320 * ((value if linear else math.log10(value)) - low) / span

    drawn = ['<line class="curve baseline" x1="70" y1="332" x2="390" y2="12"></line>']
    for tick, label in ticks:
        place = 320 * (tick - low) / span
        x, y = 70 + place, 332 - place
        drawn.append(f'<text class="label" x="{x:.1f}" y="350" text-anchor="middle">{label}</text>')
        drawn.append(f'<text class="label" x="62" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for x, y, name, tone in some:
        where = f'cx="{70 + at(x):.1f}" cy="{332 - at(y):.1f}"'
        drawn.append(
            f'<circle class="{escape(tone)}" {where} r="3"><title>{escape(name)}</title></circle>'
        )
    drawn.append(
        f'<text class="label" x="230" y="370" text-anchor="middle">{escape(across)}</text>'
    )
    drawn.append(f'<text class="label" x="410" y="24">{escape(up)}</text>')
    return Html(f'<svg role="img" viewBox="0 0 720 380">{"".join(drawn)}</svg>')


def _powers(values: Sequence[float]) -> list[tuple[float, str]]:
    """Exponents of ten around positive values, and their labels."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [(float(power), f"{10.0**power:g}") for power in range(low, max(0, high) + 1)]


def _linear_ticks(values: Sequence[float]) -> list[tuple[float, str]]:
    """Multiples of 1, 2 or 5 times a power of ten around values, and their labels."""
    span = max(max(values) - min(values), 1e-9)
    ten = 10.0 ** math.floor(math.log10(span / 4))
    step = next(step for step in (ten, 2 * ten, 5 * ten, 10 * ten) if span / step <= 6)
    first, last = math.floor(min(values) / step), math.ceil(max(values) / step)
    return [(at * step, f"{at * step:g}") for at in range(first, max(last, first + 1) + 1)]


Spans = Sequence[tuple[int, int]]


def press_rows(
    rows: Sequence[tuple[str, Spans, Spans]], length: int, ends: tuple[str, str]
) -> Html:
    """Rows of spans over one axis of `length`, as of a piano roll.

    A row holds its name and two lists of spans [first, end): the grey ones, which the others are
    compared with, and below them those in the first player's color. `ends` are the labels below the
    first and last place.
    """
    drawn = []
    for at, (name, *both) in enumerate(rows):
        y = at * 28
        drawn.append(f'<text x="100" y="{y + 17}" text-anchor="end">{escape(name)}</text>')
        for top, tone, spans in zip((y + 2, y + 13), ("baseline", "p1"), both, strict=True):
            for first, last in spans:
                x, width = 110 + 600 * first / length, 600 * (last - first) / length
                drawn.append(
                    f'<rect class="{tone}" x="{x:.1f}" y="{top}" width="{width:.1f}" '
                    f'height="9"></rect>'
                )
    below = 28 * len(rows) + 14
    drawn.append(f'<text class="label" x="110" y="{below}">{escape(ends[0])}</text>')
    drawn.append(
        f'<text class="label" x="710" y="{below}" text-anchor="end">{escape(ends[1])}</text>'
    )
    return Html(
        f'<svg class="rolls" role="img" viewBox="0 0 720 {below + 6}">{"".join(drawn)}</svg>'
    )


def folded(title: Text, blocks: Iterable[Html]) -> Html:
    """Blocks behind a title that opens them on a click."""
    return Html(
        f"<details><summary>{_safe(title)}</summary>{''.join(map(_safe, blocks))}</details>"
    )


def _safe(text: Text) -> str:
    return text if isinstance(text, Html) else escape(text)
