"""Grammar of scenes: the value of each expression, and the errors of wrong scenes."""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.core.game import EVENT
from shadowbox.core.scenes.grammar import evaluate, validate
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.errors import SchemaError

PONG = Schema(
    "pong",
    fps=30,
    state=(
        Group("player", (Real("x"), Flag("up"), Choice("kind", 2)), slots=2, per="player"),
        Group("ball", (Flag("alive"), Real("x")), slots=3, mask="alive"),
    ),
    controls=Group("pad", (Flag("a"),), slots=2, per="player"),
)
ROW = {
    "player/x": np.array([1.0, 2.0], np.float32),
    "player/up": np.array([True, False]),
    "player/kind": np.array([0, 1], np.uint8),
    "ball/alive": np.array([True, False, True]),
    "ball/x": np.array([7.0, 0.0, 9.0], np.float32),
}


def scene(*shapes, **parts):
    """A scene of these shapes."""
    return {"bounds": [0, 0, 10, 10], "shapes": list(shapes), **parts}


def circle(**attributes):
    """A complete circle."""
    return {"shape": "circle", "x": 0, "y": 0, "r": 1, **attributes}


def xs(one, **options):
    """The x of every drawn shape."""
    validate(one, PONG)
    return [shape["x"] for shape in evaluate(one, ROW, **options)]


def test_a_shape_is_drawn_once_for_each_slot_that_shows():
    """`each` iterates over the slots of a group, `if` leaves some out, a slot may be named."""
    assert xs(
        scene(circle(each="ball", x={"field": "ball/x"}, **{"if": {"field": "ball/alive"}}))
    ) == [7.0, 9.0]
    assert xs(scene(circle(x={"field": "player/x"}))) == [1.0]
    assert xs(scene(circle(x={"field": "player/x", "slot": 1}))) == [2.0]
    assert xs(scene(circle(each="ball", x={"slot": True}))) == [0, 1, 2]


def test_values_are_looked_up_added_and_multiplied():
    """Tables, sums and products nest; an index beyond a table's end gives its last entry."""
    table = {"tables": {"side": [-1, 1], "short": [5]}}
    side = {"table": "side", "at": [{"field": "player/up"}]}
    value = {"sum": [{"field": "player/x"}, {"product": [10, side]}]}
    assert xs(scene(circle(each="player", x=value), **table)) == [11.0, -8.0]
    assert xs(scene(circle(x={"table": "short", "at": [99]}), **table)) == [5]


def test_values_are_kept_between_two_others():
    """`min` and `max` give the smallest and largest of their values, including fields and flags."""
    between = {"max": [1.5, {"min": [{"field": "player/x"}, 3]}]}
    assert xs(scene(circle(each="player", x=between))) == [1.5, 2.0]
    assert xs(scene(circle(x={"max": [0, {"field": "player/up"}]}))) == [1]


def test_text_may_stand_beside_its_place():
    """A text may be aligned to the left or right of x; other shapes may not."""
    text = {"shape": "text", "x": 0, "y": 0, "text": "word", "size": 1, "align": "right"}
    validate(scene(text), PONG)
    assert evaluate(scene(text), ROW)[0]["align"] == "right"


def test_a_list_is_drawn_element_by_element():
    """`for` repeats a shape for each element of a looked-up list; an empty list draws nothing."""
    tables = {"tables": {"boxes": [[[1, 2], [3, 4]], []]}}
    shape = circle(
        each="player",
        **{"for": {"table": "boxes", "at": [{"field": "player/kind"}]}},
        x={"item": 0},
        y={"item": 1},
    )
    assert xs(scene(shape, **tables)) == [1, 3]


def test_an_event_draws_where_it_befell():
    """`on` draws for each event of its kind, at the affected player's slot, with event numbers."""
    events = np.array([(0, 1, 4.0, 2, 1, 0, 1), (0, 1, 9.0, 2, 0, 0, 1)], EVENT)
    one = scene(
        circle(on="hit", x={"field": "player/x"}, r={"event": "value"}), event_kinds=["miss", "hit"]
    )
    assert xs(one, events=events) == [2.0]
    assert evaluate(one, ROW, events)[0]["r"] == 4.0
    assert xs(one) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (scene({"shape": "blob"}), "shape 0: shape must be one of rect, .* (got 'blob')"),
        (scene({"shape": "circle", "x": 0, "y": 0}), "a circle needs 'r'"),
        (scene(circle(w=1)), "a circle has no 'w'"),
        (scene(circle(each="wall")), "each must name a group (got 'wall')"),
        (scene(circle(x={"field": "ball/z"})), "x: no column 'ball/z'"),
        (scene(circle(x={"table": "none", "at": [0]})), "no table 'none'"),
        (scene(circle(x={"item": 0})), "item needs 'for' in its shape"),
        (scene(circle(x={"event": "value"})), "event needs 'on' in its shape.*(got 'value')"),
        (scene(circle(on="hit")), "on must name an event kind (got 'hit')"),
        (scene(circle(x={"sum": [{"field": "no"}]})), "no column 'no'"),
        (scene(circle(x={"power": 2})), "expected a value of the grammar .* (got {'power': 2})"),
        (scene(circle(x={"min": []})), "expected a value of the grammar .* (got {'min': .*})"),
        (scene(circle(align="left")), "a circle has no 'align'"),
        (
            scene({"shape": "text", "x": 0, "y": 0, "text": "a", "size": 1, "align": "up"}),
            "align must be one of left, right (got 'up')",
        ),
        ({"bounds": [0, 0, 0, 1], "shapes": []}, "bounds must be"),
        (
            scene(hud=[{"field": "ball/x", "as": "number"}]),
            "hud: field must name a per-player column (got 'ball/x')",
        ),
        (
            scene(hud=[{"field": "player/x", "as": "pie"}]),
            "as must be one of pips, number, word (got 'pie')",
        ),
    ],
)
def test_a_wrong_scene_is_told_where(wrong, words):
    """Every mistake in a scene is named with its shape and attribute."""
    with pytest.raises(SchemaError, match=words.replace("(", r"\(").replace(")", r"\)")):
        validate(wrong, PONG)
