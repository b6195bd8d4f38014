"""Frames as JSON: one object a frame, from which the columns come back bit for bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.episode import Episode
from shadowbox.core.game import EVENT
from shadowbox.data.frames_json import frame_lines, read_frames
from shadowbox.errors import EpisodeError
from shadowbox.games import load

BRAWL, MELEE = load("brawl"), load("melee")


def random_episode(game, rows, seed):
    """An episode of any bits that its columns can hold, and events."""
    draws = np.random.default_rng(seed)
    columns = {}
    for key, column in game.schema.columns.items():
        shape = (rows, column.slots)
        if column.dtype == bool:
            columns[key] = draws.random(shape) < 0.5
        elif column.dtype.kind == "f":
            columns[key] = (draws.standard_normal(shape) * 10.0 ** draws.integers(-9, 4)).astype(
                column.dtype
            )
        else:
            columns[key] = draws.integers(0, np.iinfo(column.dtype).max, shape, column.dtype)
    events = np.zeros(2, EVENT)
    events["frame"] = np.sort(draws.integers(1, rows, 2))
    events["value"] = draws.random(2)
    events["other"] = -1
    return Episode(columns, {}, events)


@given(game=st.sampled_from([BRAWL, MELEE]), rows=st.integers(2, 6), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_reading_the_lines_gives_the_columns(game, rows, seed):
    """Every column and event of any episode is read back bit for bit, one line a row."""
    episode = random_episode(game, rows, seed)
    lines = list(frame_lines(game.schema, episode, game.event_kinds))
    assert len(lines) == rows
    again = read_frames(game.schema, lines, game.event_kinds)
    for key, values in episode.columns.items():
        assert again.columns[key].tobytes() == values.tobytes(), key
    assert again.events.tobytes() == episode.events.tobytes()


def test_numbers_that_are_not_finite_are_null():
    """JSON has no NaN: it is null, and NaN again when it is read."""
    episode = random_episode(BRAWL, 2, 0)
    episode.columns["player/x"][1, 0] = np.nan
    lines = list(frame_lines(BRAWL.schema, episode))
    assert json.loads(lines[1])["player/x"][0] is None
    found = read_frames(BRAWL.schema, lines).columns["player/x"]
    np.testing.assert_array_equal(found, episode.columns["player/x"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda line: line.pop("player/x"),
            "line 1: expected a frame of brawl: KeyError: 'player/x'",
        ),
        (lambda line: line.update({"player/x": [1.0]}), "player/x: expected a list of 2 values"),
        (lambda line: line.update({"player/x": ["left", 0]}), "player/x: could not convert"),
    ],
)
def test_other_lines_are_refused(change, message):
    """A line without a column, or with another number or kind of values, is refused by name."""
    line = json.loads(next(frame_lines(BRAWL.schema, random_episode(BRAWL, 2, 0))))
    change(line)
    with pytest.raises(EpisodeError, match=message):
        read_frames(BRAWL.schema, [json.dumps(line)])


def test_no_line_is_no_episode():
    """An empty file is refused."""
    with pytest.raises(EpisodeError, match="expected a frame of brawl"):
        read_frames(BRAWL.schema, [])
