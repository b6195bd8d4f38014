"""Heads: YAML without surprises, and with lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowbox.cards import front_matter


def test_values():
    """Plain words are text, 1e-3 is a number, and YAML's surprises do not happen."""
    found = front_matter.parse_front_matter(
        "a: 1e-3\nb: on\nc: 12:30\nd: 1_000\ne: 0x10\nf: 2026-01-01\n"
        "g: .5\nh: true\ni:\nj: '7'\nk: -3\nl: no\n"
    )
    assert found.data == {
        "a": 0.001,
        "b": "on",
        "c": "12:30",
        "d": "1_000",
        "e": "0x10",
        "f": "2026-01-01",
        "g": 0.5,
        "h": True,
        "i": None,
        "j": "7",
        "k": -3,
        "l": "no",
    }
    assert not found.mistakes


def test_lines():
    """Every part knows its line; a part that is missing is where it would be."""
    found = front_matter.parse_front_matter(
        "a: 1\nb:\n  - {c: 1,\n     d: 2}\n  - e: 3\n", first_line=2
    )
    assert [
        found.line(path) for path in [("a",), ("b", 0, "d"), ("b", 1, "e"), ("b", 1, "x"), ("z",)]
    ] == [2, 5, 6, 6, 2]


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("a: !!python/object/apply:os.system ['ls']", 1, "tag"),
        ("a: !!python/name:os.system", 1, "tag"),
        ("a: 1\nb: !local 3", 2, "tag"),
        ("a: &x [1]\nb: [*x, *x]", 1, "anchors"),
        ("a: *nowhere", 1, "alias"),
        ("<<: {a: 1}\nb: &c 1", 2, "anchors"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("a: [", 1, "not YAML"),
        ("a: 1\n\tb: 2", 2, "not YAML"),
        ("- 1\n- 2", 1, "must be a list of"),
        ("just words", 1, "must be a list of"),
        ("a: 1\na: 2", 2, "given twice"),
        ("[1, 2]: 3", 1, "a name is a word"),
        ("a: " + "[" * 50 + "]" * 50, 1, "deeper"),
        ("a: " + "x" * 100_000, 1, "letters"),
        ("a: \x01", 1, "not YAML"),
    ],
)
def test_refuses(text, line, complaint):
    """What a card has no use for is refused with its line, and nothing is built from it."""
    (found,) = front_matter.parse_front_matter(text).mistakes
    assert (found.line, complaint in found.message) == (line, True), found


def test_bomb():
    """A text that would grow without bounds is refused at once."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join(['*' + chr(ord(name) - 1)] * 9)}]" for name in "bcdefghi"
    ]
    assert "anchors" in front_matter.parse_front_matter("\n".join(lines)).mistakes[0].message


@given(st.text(max_size=200) | st.text(alphabet="abc:-[]{}&*!|>'\"#\n \t,?%@`0123.e", max_size=120))
def test_any_text(text):
    """Whatever stands in a head, the answer is data or mistakes."""
    found = front_matter.parse_front_matter(text)
    assert isinstance(found.data, dict)
    assert all(mistake.line >= 1 for mistake in found.mistakes)
