"""Matches for tests of pages: random rows of brawl, and a schema whose scene uses all features."""

from __future__ import annotations

import numpy as np
from conftest import random_columns

from shadowbox.core.episode import Episode
from shadowbox.core.game import EVENT
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.games import load

BRAWL = load("brawl")

ZOO = Schema(
    "zoo",
    fps=60,
    state=(
        Group("stage", (Choice("id", 2),)),
        Group(
            "player",
            (
                Real("x", low=-9, high=9),
                Real("y", low=-5, high=5, store="f2"),
                Choice("look", 4),
                Flag("on"),
            ),
            slots=2,
            per="player",
        ),
        Group("thing", (Flag("alive"), Real("x", low=-9, high=9)), slots=3, mask="alive"),
    ),
    controls=Group(
        "pad",
        (
            Real("main_x", low=-1, high=1),
            Real("main_y", low=-1, high=1),
            Real("trigger", low=0, high=1),
            Flag("a"),
            Choice("mode", 2, names=("calm", "wild")),
        ),
        slots=2,
        per="player",
    ),
)

EVERYTHING = {
    "bounds": [-10, -6, 10, 6],
    "event_kinds": ["bump", "spark"],
    "marks": {"spark": "ring"},
    "camera": {"keep": [-2, -2, 2, 2], "margin": 1},
    "hud": [
        {"label": "look", "field": "player/look", "as": "pips"},
        {"label": "x", "field": "player/x", "as": "number"},
    ],
    "tables": {
        "seat": ["p1", "p2"],
        "walls": [[[0, 5, 4, 1]], [[-3, 5, 2, 1], [3, 5, 2, 1]]],
        "deep": [[1, 2], [3, 4, 5]],
        "none": [[], [[1, 1]]],
        "word": ["", "up"],
    },
    "shapes": [
        {
            "shape": "rect",
            "for": {"table": "walls", "at": [{"field": "stage/id"}]},
            "x": {"item": 0},
            "y": {"item": 1},
            "w": {"item": 2},
            "h": {"item": 3},
            "fill": "ground",
        },
        {
            "shape": "capsule",
            "each": "player",
            "x": {"field": "player/x"},
            "y": {"field": "player/y"},
            "w": 1,
            "h": 2,
            "fill": {"table": "seat", "at": [{"slot": True}]},
            "line": "ink",
            "width": 0.1,
            "tag": "body",
        },
        {
            "shape": "polygon",
            "each": "player",
            "if": {"field": "player/on"},
            "x": {"field": "player/x"},
            "y": 0,
            "points": [
                [0, 0],
                [{"sum": [1, {"field": "player/look"}]}, 0.5],
                [{"product": [-0.5, {"field": "player/y"}]}, 1],
            ],
        },
        {
            "shape": "circle",
            "each": "thing",
            "if": {"field": "thing/alive"},
            "x": {"field": "thing/x"},
            "y": 1,
            "r": {"table": "deep", "at": [{"field": "player/on", "slot": 1}, 99]},
            "alpha": {"product": [0.5, {"field": "player/on"}]},
        },
        {
            "shape": "text",
            "x": {"sum": []},
            "y": 0,
            "text": {"field": "player/look", "slot": 1},
            "size": {"product": []},
        },
        {
            "shape": "text",
            "if": {"table": "none", "at": [{"field": "stage/id"}]},
            "x": 1,
            "y": 0,
            "text": "list",
            "size": 1,
        },
        {
            "shape": "text",
            "if": {"table": "word", "at": [{"field": "stage/id"}]},
            "x": 1,
            "y": 1,
            "text": "word",
            "size": 1,
        },
        {
            "shape": "circle",
            "on": "spark",
            "x": {"field": "player/x"},
            "y": {"field": "player/y"},
            "r": {"event": "value"},
            "alpha": 0.5,
            "tag": "ring",
        },
        {
            "shape": "circle",
            "on": "bump",
            "x": {"event": "what"},
            "y": {"slot": True},
            "r": 1,
            "tag": "hitbox",
        },
        {
            "shape": "rect",
            "each": "thing",
            "x": {"field": "player/x"},
            "y": {"field": "stage/id"},
            "w": 1,
            "h": 1,
            "fill": "#123456",
        },
        {
            "shape": "text",
            "each": "player",
            "x": {"max": [-1, {"min": [{"field": "player/x"}, {"field": "player/on"}]}]},
            "y": 3,
            "text": {"field": "player/y"},
            "size": 0.5,
            "align": "left",
        },
    ],
}


def random_match(schema, frames=60, seed=0, *, kinds=2, **meta):
    """Episode of random rows with `kinds` kinds of events."""
    draws = np.random.default_rng(seed)
    events = np.zeros(frames, EVENT)
    events["frame"] = np.sort(draws.integers(0, frames + 1, frames))
    events["kind"] = draws.integers(0, kinds, frames)
    events["value"] = draws.uniform(0, 20, frames)
    events["what"] = draws.integers(0, 3, frames)
    events["player"] = draws.integers(0, 2, frames)
    events["other"] = np.where(draws.random(frames) < 0.3, -1, 1 - events["player"])
    meta = {
        "players": ["ann", "bob"],
        "world": schema.name,
        "result": {"winner": 1, "reason": "knock-out"},
        **meta,
    }
    return Episode(random_columns(schema, frames + 1, seed), meta, events)


def assert_same_shapes(theirs, ours):
    """Assert that two lists hold the same shapes; numbers may differ by rounding."""
    assert len(theirs) == len(ours)
    for one, other in zip(theirs, ours, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            if isinstance(value, str):
                assert one[name] == value, name
            else:
                np.testing.assert_allclose(one[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
