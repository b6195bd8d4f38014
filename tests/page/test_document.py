"""Pages are one file, fetch nothing, and show every text as text."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

import shadowbox
from shadowbox.page.document import (
    Bar,
    Html,
    badge,
    bars,
    beside,
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

HOSTILE = "<script>alert(1)</script><img src=x onerror=\"alert('2')\">&amp;'"

BUILDERS: dict[str, Callable[[str], str]] = {
    "heading": heading,
    "sentence": lambda text: sentence(text, " and ", text),
    "code": code,
    "badge": badge,
    "badge tone": lambda text: badge("word", text),
    "facts": lambda text: facts([(text, text)]),
    "table head": lambda text: table([text], [["x"]]),
    "table cell": lambda text: table(["a", "b"], [[text, text]]),
    "interval": lambda text: with_interval(text, text),
    "bars name": lambda text: bars([(text, 0.5, text, "p1")]),
    "bars tone": lambda text: bars([("a", 0.5, "b", text)]),
    "folded title": lambda text: folded(text, []),
    "folded block": lambda text: folded("more", [text]),
    "page title": lambda text: page(text, []),
    "page block": lambda text: page("title", [text]),
}


class Tags(HTMLParser):
    """Tags and attributes as a browser sees them; every element that is opened must be closed."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_text_is_never_markup(build: Callable[[str], str]) -> None:
    """Markup in a name, a value or a title is shown as text and has no other effect."""
    seen, harmless = Tags(build(HOSTILE)), Tags(build("harmless"))
    assert seen.tags == harmless.tags
    assert [name for name, _ in seen.attributes] == [name for name, _ in harmless.attributes]


@pytest.mark.parametrize(
    "build",
    [
        heading,
        lambda mark: sentence("a ", mark),
        lambda mark: table(["a"], [[mark]]),
        lambda mark: facts([("a", mark)]),
        lambda mark: folded("a", [mark]),
        lambda mark: page("a", [mark]),
    ],
)
def test_marks_stay_marks(build: Callable[[Html], str]) -> None:
    """Markup that a builder made is inserted into another builder's markup unchanged."""
    assert "<code>a&lt;b</code>" in build(code("a<b"))


def test_marks_that_are_joined_with_text_are_text() -> None:
    """Adding a text to markup gives a text, which is escaped."""
    assert "&lt;script&gt;" in heading(Html("<b>x</b>") + "<script>")


def test_a_page_fetches_nothing() -> None:
    """A page is one file without addresses and scripts, with a policy that forbids both."""
    text = page("A title", [heading("One"), sentence("two")])
    assert text.startswith("<!doctype html>")
    assert "default-src 'none'" in text
    for sign in ("http:", "https:", "<script", "url(", "@import", "//"):
        assert sign not in text
    seen = Tags(text.replace("<!doctype html>", ""))
    assert "style" in seen.tags
    assert all(
        value.startswith("data:") for name, value in seen.attributes if name in ("href", "src")
    )
    assert text.count("A title") == 2  # in the window's title and on the page


def test_a_table_tells_names_from_numbers() -> None:
    """The first columns of a table are names; the others are aligned right, in head and body."""
    text = table(["column", "kind", "min"], [["x", "real", "1"]], left=2)
    assert text.count('class="number"') == 2
    assert '<td>real</td><td class="number">1</td>' in text


def test_the_best_of_several_is_bold() -> None:
    """Only the number that is marked best is bold; its interval is beside it."""
    assert "<b>0.5</b>" in with_interval("0.5", "0.4 .. 0.6", best=True)
    assert "<b>" not in with_interval("0.5", "0.4 .. 0.6")
    assert "0.4 .. 0.6" in with_interval("0.5", "0.4 .. 0.6")


def test_negative_bars_begin_at_zero() -> None:
    """A bar of a negative value ends where the positive ones begin, and both keep their scale."""
    text = beside([Bar("lost", -1.0, "-1"), Bar("won", 3.0, "3", low=-1.0, high=3.0)], wanted=1.0)
    places = [
        (float(x), float(wide))
        for x, wide in re.findall(
            r'<rect class="baseline" x="([0-9.]+)%" y="6" width="([0-9.]+)%"', text
        )
    ]
    assert places == [(1.0, 24.5), (25.5, 73.5)]
    assert 'class="span" x1="1.00%" x2="99.00%"' in text
    assert text.count('class="wanted" x1="50.00%"') == 2


def test_bars_are_as_long_as_their_share() -> None:
    """A share of 1 is the full length and 0 is empty; other values are clipped."""
    text = bars(
        [
            (name, share, "label", "p1")
            for name, share in zip("abcde", (1.0, 0.25, 0.0, 7.0, -1.0), strict=True)
        ]
    )
    assert [part.split('"')[0] for part in text.split('width="')[1:]] == [
        "400.0",
        "100.0",
        "0.0",
        "400.0",
        "0.0",
    ]
    assert 'viewBox="0 0 720 120"' in text


def test_names_of_figures_that_pages_explain_have_an_explanation() -> None:
    """A page that asks for the meaning of a figure by its name gets one: a typing error would be silent."""
    source = Path(shadowbox.__file__).parent
    asked = {
        str(call.args[0].value)
        for path in source.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "metric_name"
        and isinstance(call.args[0], ast.Constant)
    }
    assert {"skill", "wins", "elo", "rank_correlation"} <= asked
    assert [name for name in sorted(asked) if "<dfn" not in metric_name(name)] == []
