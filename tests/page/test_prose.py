"""The subset of Markdown that cards are written in."""

from __future__ import annotations

import time
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from shadowbox.page.prose import prose

TAGS = {
    "p",
    "h2",
    "h3",
    "ul",
    "ol",
    "li",
    "pre",
    "code",
    "b",
    "em",
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}


class Tags(HTMLParser):
    """Tags and text as a browser sees them."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.words = [], set(), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        """Record an element that opens."""
        assert dict(attributes).items() <= {"class": "wide", "tabindex": "0"}.items(), attributes
        self.seen.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        """Check that the element that closes was the last one to open."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Record text."""
        self.words += data


def test_what_people_write_in_cards():
    """Headings, paragraphs, lists, tables and code become markup."""
    text = "# Top #\ntext\ngoes on\n\n### Deep\n- one\n  more\n- `two`\n\n1. first\n\n"
    text += "| a | b\\|c |\n|---|:-:|\n| 1 |\n\n```\n<x>\n```\n**b** *i*"
    assert prose(text).replace("\n", "") == (
        "<h2>Top</h2><p>text goes on</p><h3>Deep</h3>"
        "<ul><li>one more</li><li><code>two</code></li></ul><ol><li>first</li></ol>"
        '<div class="wide" tabindex="0"><table><thead><tr><th>a</th><th>b|c</th></tr></thead>'
        "<tbody><tr><td>1</td><td></td></tr></tbody></table></div>"
        "<pre><code>&lt;x&gt;</code></pre><p><b>b</b> <em>i</em></p>"
    )


@given(st.text(st.sampled_from("#*`|-\n <>&\"'a1.:\\/![]()="), max_size=200))
def test_no_text_becomes_a_tag(text):
    """Any text gives only known tags, without attributes, and all are closed."""
    parsed = Tags(prose(text))
    assert parsed.seen <= TAGS
    assert not parsed.open


@given(st.text(max_size=300))
def test_letters_are_kept(text):
    """Letters and digits of a text stay readable."""
    shown = Tags(prose(text)).words
    letters = [letter for letter in text if letter.isalnum() and letter.isascii()]
    kept = [letter for letter in shown if letter.isalnum() and letter.isascii()]
    digits_of_lists = [letter for letter in letters if not letter.isdigit()]
    assert [letter for letter in kept if not letter.isdigit()] == digits_of_lists


def test_long_texts_take_no_long_time():
    """Hundreds of kilobytes of any mark are parsed in under two seconds: time grows linearly."""
    for mark in ("*", "`", "|", "#", " ", "-", "* a", "| -", "`a ", "**a", "# \t", "1. ", "\\|"):
        began = time.process_time()
        prose("|" + mark * (200_000 // len(mark)) + "x")
        prose(mark * (200_000 // len(mark)) + "x")
        assert time.process_time() - began < 2, mark
