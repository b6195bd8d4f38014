"""Socket of a live match: all rows for late pages, the newest for slow ones, valid messages."""

from __future__ import annotations

import contextlib
import json
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowbox.errors import UsageError
from shadowbox.web.cursor import BEHIND, CHUNK, Cursor
from shadowbox.web.wire import HEAD, LONGEST, Message, parse

WIDTH = 8


class Match:
    """Match whose length a test sets; row n is the number n."""

    width = WIDTH
    holders, settings, world = ("one", "two"), {}, types.SimpleNamespace(name="brawl")
    worlds = ()

    def __init__(self, length=0):
        self.length, self.events, self.paused, self.speed, self.result = (
            length,
            [],
            False,
            1.0,
            None,
        )

    @property
    def over(self):
        return self.result is not None

    def rows(self, first, end):
        return b"".join(number.to_bytes(WIDTH, "little") for number in range(first, end))


def taken(cursor):
    """All due messages of a cursor: the numbers of the rows, and the other messages."""
    rows, others = [], []
    while messages := cursor.due():
        for message in messages:
            if isinstance(message, bytes):
                first, count = HEAD.unpack_from(message)
                assert message[HEAD.size :] == Match().rows(first, first + count)
                assert count <= CHUNK
                rows += range(first, first + count)
            else:
                others.append(json.loads(message))
    return rows, others


def test_a_late_page_gets_everything():
    """A page that joins late gets every row and event once, in order, then the end."""
    match = Match(5 * CHUNK + 7)
    match.events = [{"frame": 3}, {"frame": 900}]
    cursor = Cursor(match)
    rows, others = taken(cursor)
    assert rows == list(range(match.length))
    assert [one["kind"] for one in others] == ["state", "events"]
    match.length += 1
    match.result = {"winner": 0}
    rows, others = taken(cursor)
    assert rows == [match.length - 1]
    assert others == [{"kind": "end", "result": {"winner": 0}, "frames": match.length - 1}]
    assert taken(cursor) == ([], [])


def test_a_slow_page_skips_rows_and_may_request_them():
    """A page that falls behind gets a gap message and the newest row; the others on request."""
    match = Match(10)
    cursor = Cursor(match)
    taken(cursor)
    match.length = 10 + BEHIND
    assert taken(cursor) == (list(range(10, 10 + BEHIND)), [])
    match.length = 2000
    match.events = [{"frame": 500}]
    rows, others = taken(cursor)
    assert rows == [1999]
    assert others == [
        {"kind": "gap", "first": 10 + BEHIND, "end": 1999},
        {"kind": "events", "events": match.events},
    ]
    cursor.wanted = (10 + BEHIND, 1999)
    match.length = 2001
    assert taken(cursor)[0] == [2000, *range(10 + BEHIND, 1999)]


def test_a_page_reconnects_where_it_stopped():
    """A page that has rows and events already gets only the others.

    A position beyond the end of the match is cut to its end.
    """
    match = Match(50)
    match.events = [{"frame": 1}, {"frame": 2}, {"frame": 3}]
    rows, others = taken(Cursor(match, row=30, event=2))
    assert rows == list(range(30, 50))
    assert others[1]["events"] == [{"frame": 3}]
    assert taken(Cursor(match, row=10**9, event=10**9))[0] == []


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_any_range_may_be_requested(first, length):
    """A range beyond the match is answered with the rows that exist, and the cursor continues."""
    cursor = Cursor(Match(300))
    taken(cursor)
    cursor.wanted = (first, first + length + 1)
    assert taken(cursor)[0] == list(range(min(first, 300), min(first + length + 1, 300)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "own", "key": "x"}', Message("own", key="x")),
        ('{"kind": "pause", "on": true}', Message("pause", on=True)),
        ('{"kind": "step", "frames": 3}', Message("step", frames=3)),
        ('{"kind": "speed", "times": 0.5}', Message("speed", times=0.5)),
        ('{"kind": "keys", "held": ["keys/a"]}', Message("keys", held=("keys/a",))),
        ('{"kind": "want", "first": 0, "end": 5}', Message("want", first=0, end=5)),
        ('{"kind": "take", "seat": 1, "name": "ann"}', Message("take", seat=1, name="ann")),
        ('{"kind": "give", "seat": 1}', Message("give", seat=1)),
        ('{"kind": "world", "spec": "dream:runs/w"}', Message("world", spec="dream:runs/w")),
        (
            '{"kind": "set", "name": "p0.temperature", "value": 0.5}',
            Message("set", name="p0.temperature", value=0.5),
        ),
    ],
)
def test_messages(text, message):
    """Each kind of message is parsed."""
    assert parse(text) == message


BAD = [
    "",
    "nonsense",
    "[]",
    "null",
    "1e999",
    "[" * 4000,
    '{"kind": 5}',
    '{"kind": "die"}',
    '{"kind": "pause"}',
    '{"kind": "pause", "on": 1}',
    '{"kind": "pause", "on": true, "more": 1}',
    '{"kind": "step", "frames": 0}',
    '{"kind": "step", "frames": 10000000}',
    '{"kind": "step", "frames": true}',
    '{"kind": "step", "frames": 1.5}',
    '{"kind": "speed", "times": NaN}',
    '{"kind": "speed", "times": Infinity}',
    '{"kind": "speed", "times": -1}',
    '{"kind": "keys", "held": "keys/a"}',
    '{"kind": "keys", "held": [1]}',
    json.dumps({"kind": "keys", "held": ["a"] * 65}),
    '{"kind": "want", "first": 5, "end": 5}',
    '{"kind": "take", "seat": -1, "name": ""}',
    '{"kind": "take", "seat": 0}',
    json.dumps({"kind": "take", "seat": 0, "name": "x" * 300}),
    '{"kind": "give", "seat": 99}',
    '{"kind": "give", "seat": true}',
    '{"kind": "world", "spec": ""}',
    '{"kind": "world", "spec": "a\\nb"}',
    '{"kind": "set", "name": "p0.temperature", "value": NaN}',
    '{"kind": "set", "name": "p0.temperature", "value": Infinity}',
    '{"kind": "set", "name": "p0.temperature", "value": 1e300}',
    '{"kind": "set", "name": "p0.temperature", "value": true}',
    '{"kind": "want", "first": -5, "end": 5}',
    '{"kind": "own", "key": "' + "x" * LONGEST + '"}',
]


@pytest.mark.parametrize("text", BAD)
def test_invalid_messages_are_refused(text):
    """An invalid message is refused with a short reason that quotes nothing of it."""
    with pytest.raises(UsageError) as refusal:
        parse(text)
    assert len(str(refusal.value)) < 120


@given(
    st.text(max_size=200)
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=9), st.lists).map(
        json.dumps
    )
)
def test_nothing_else_is_raised(text):
    """Any text is either parsed or refused with a UsageError."""
    message = None
    with contextlib.suppress(UsageError):
        message = parse(text)
    assert message is None or isinstance(json.loads(text), dict)
