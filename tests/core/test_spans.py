"""Spans: who held a seat when, checked with the episode that carries them."""

from __future__ import annotations

import pytest
from conftest import TOY, random_episode

from shadowbox.core.episode import check
from shadowbox.core.spans import Span, spans_of
from shadowbox.errors import EpisodeError


def span(seat=0, start=0, end=5, by="ann", **more):
    """One entry of `meta["spans"]`."""
    return {"seat": seat, "from": start, "to": end, "by": by, **more}


def test_spans_are_read():
    """Entries become spans, in order, and back; without entries there are none."""
    entries = [span(), span(start=5, end=9, by="based"), span(seat=1, start=2, end=10)]
    found = spans_of({"spans": entries}, 10, 2, "episode")
    assert found == (Span(0, 0, 5, "ann"), Span(0, 5, 9, "based"), Span(1, 2, 10, "ann"))
    assert [one.to_json() for one in found] == entries
    assert spans_of({}, 10, 2, "episode") == ()
    check(random_episode(TOY, 10, spans=entries), TOY)


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ({"seat": 0}, "spans: a dict, expected a list"),
        (["ann"], r"spans\[0\]: 'ann', expected exactly seat, from, to, by"),
        ([span(why="x")], "expected exactly seat, from, to, by"),
        ([span(seat=2)], r"spans\[0\]: seat is 2, expected 0 .. 1"),
        ([span(seat=True)], "seat is True, expected a whole number"),
        ([span(end=2.5)], "to is 2.5, expected a whole number"),
        ([span(start=-1)], "from -1 to 5, expected rows within 0 .. 10"),
        ([span(end=11)], "from 0 to 11"),
        ([span(start=5, end=5)], "from below to"),
        ([span(by="")], "by is '', expected the name"),
        ([span(by=None)], "by is None, expected the name"),
        ([span(), span(start=4, end=9)], r"spans\[1\]: .* begins before .* ends"),
        ([span(seat=1), span(seat=0)], "ordered by seat and row"),
    ],
)
def test_spans_that_do_not_fit_are_refused(spans, message):
    """A span of another form, seat or range, or one that overlaps, names its place."""
    with pytest.raises(EpisodeError, match=message):
        check(random_episode(TOY, 10, spans=spans), TOY)
