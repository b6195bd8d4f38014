"""The default scene of a game: valid for any schema, with each field in its place."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import TOY, random_columns, schemas
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.game import EVENT, Game
from shadowbox.core.scenes.default import HEIGHT, WIDTH, default_scene, scene_of
from shadowbox.core.scenes.grammar import evaluate, validate
from shadowbox.core.scenes.motion import Film
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.games import GAMES, load
from shadowbox.page.paint import paint

KEYS = Group("keys", (Flag("up"),), slots=2, per="player")


def schema(*groups, players=2):
    """A schema of these state groups."""
    controls = replace(KEYS, slots=players)
    return Schema("any", fps=30, state=tuple(groups), controls=controls)


def drawn(one, scene=None, **values):
    """Shapes of one row; columns are named "group__field", and others are zero."""
    row = {key: column[0] for key, column in one.neutral(1).items()}
    for name, value in values.items():
        key = name.replace("__", "/")
        row[key] = np.array(value, one.columns[key].dtype).reshape(row[key].shape)
    scene = scene or default_scene(one)
    validate(scene, one)
    return evaluate(scene, row)


def texts(shapes):
    """Words and numbers of a picture."""
    return [shape["text"] for shape in shapes if shape["shape"] == "text"]


def dots(shapes):
    """Bodies on the stage."""
    return [shape for shape in shapes if shape.get("tag") == "body"]


# names as games give them, so that positions, masks, pips and facings come up
words = st.sampled_from(
    ["x", "y", "pos_x", "alive", "facing_right", "stocks", "damage", "score", "kind"]
)


@st.composite
def named_schemas(draw):
    """Any schema of one to four players whose fields have meaningful names."""
    players = draw(st.integers(1, 4))
    groups = []
    for name in draw(
        st.lists(st.sampled_from(["hero", "ball", "item", "board"]), max_size=4, unique=True)
    ):
        members = []
        for field in draw(st.lists(words, min_size=1, max_size=6, unique=True)):
            limit = draw(st.sampled_from([None, 0.5, 3e38]))
            named = tuple(f"name {i}" for i in range(3))
            members.append(
                draw(
                    st.sampled_from([
                        Real(field, low=None if limit is None else -limit, high=limit),
                        Real(field, low=0.0, scale=0.01, store="f2"),
                        Flag(field),
                        Choice(field, 3, names=named),
                        Choice(field, 1 << 32),
                        Choice(field, players + 1, seat=True),
                    ])
                )
            )  # fmt: skip
        own = draw(st.booleans())
        mask = next((f.name for f in members if isinstance(f, Flag)), None)
        slots = players * draw(st.integers(1, 3)) if own else draw(st.sampled_from([1, 3, 40]))
        groups.append(Group(name, tuple(members), slots, "player" if own else None, mask))
    return schema(*groups, players=players)


@given(
    one=st.one_of(schemas(), named_schemas()),
    kinds=st.lists(st.sampled_from(["hit", "ko"]), unique=True),
)
@settings(max_examples=150)
def test_every_schema_has_a_picture(one, kinds):
    """The default scene of any schema is plain JSON, valid, inside the picture, and paintable."""
    columns = random_columns(one, 4, seed=2)
    for seen in (None, columns):
        scene = default_scene(one, kinds, seen)
        validate(scene, one)
        assert json.loads(json.dumps(scene, allow_nan=False)) == scene
        events = np.zeros(len(kinds), EVENT)
        events["frame"], events["kind"] = 2, range(len(kinds))
        film = Film(scene, columns, events)
        for shape in film.shapes(2):
            assert 0 <= shape["x"] <= WIDTH, shape
            assert 0 <= shape["y"] <= HEIGHT, shape
            sizes = [shape[name] for name in ("w", "h", "r", "size") if name in shape]
            assert all(math.isfinite(size) and 0 <= size <= WIDTH for size in sizes), shape
    assert paint(scene, film.row(2), events, width=96).shape == (54, 96, 3)


@given(one=st.one_of(schemas(), named_schemas()))
@settings(max_examples=60)
def test_every_field_is_shown_or_counted(one):
    """Each field of the state is in the scene, or counted where room is lacking, for each player."""
    text = json.dumps(default_scene(one))
    missing = [key for key in one.state_keys if f'"{key}"' not in text]
    counted = sum(int(part.partition(" more")[0]) for part in text.split('"+ ')[1:])
    # a field may be shown for some players and lack room for others
    per_player = [key for key in one.state_keys if one.columns[key].group.per]
    others = len([key for key in missing if key not in per_player])
    assert counted in range(len(missing), one.players * len(per_player) + others + 1)


@pytest.mark.parametrize("name", GAMES)
def test_every_game_has_a_scene(name):
    """Every game has a scene: its own, or a default one that fits its schema."""
    game = load(name)
    assert scene_of(game) == game.scene()
    bare = replace(game, scene=None)
    validate(scene_of(bare), game.schema)
    columns = random_columns(game.schema, 3, seed=1)
    assert evaluate(scene_of(bare, columns), {key: values[0] for key, values in columns.items()})


def test_positions_are_dots_in_the_colors_of_the_players():
    """A group's x and y are places on the stage, upward and in proportion, in players' colors."""
    hero = Group("hero", (Real("x", low=-10, high=10, unit="m"), Real("y", low=0, high=10, unit="m")),
                 slots=2, per="player")  # fmt: skip
    ball = Group(
        "ball", (Real("x", low=-10, high=10, unit="m"), Real("y", low=0, high=10, unit="m"))
    )
    shapes = drawn(schema(hero, ball), hero__x=[-5, 5], hero__y=[0, 10], ball__x=0, ball__y=5)
    other, first, second = dots(shapes)
    assert (first["fill"], second["fill"], other["fill"]) == ("p1", "p2", "#7C7F83")
    assert first["y"] > other["y"] > second["y"]
    assert second["x"] - first["x"] == pytest.approx(10 / 10 * (first["y"] - second["y"]))
    assert {"P1", "P2", "ball"} <= set(texts(shapes))


@pytest.mark.parametrize(
    "field", [Real("y", unit="px"), Choice("y", 9), Real("y", doc="grows downward")]
)
def test_rows_of_a_grid_count_from_the_top(field):
    """The axis y points up, unless it counts pixels or cells, or its doc says downward."""
    one = schema(Group("it", (Real("x"), field)))
    high, low = (dots(drawn(one, it__y=value))[0]["y"] for value in (0, 1))
    assert low > high
    up = schema(Group("it", (Real("x"), Real("y"))))
    high, low = (dots(drawn(up, it__y=value))[0]["y"] for value in (0, 1))
    assert low < high


def test_values_outside_every_range_stay_in_the_picture():
    """A distant real without limits is drawn at the edge of the stage, with its true number."""
    one = schema(Group("it", (Real("x"), Real("speed"))))
    near, far, beyond = (drawn(one, it__x=x, it__speed=x) for x in (0, 50, 5000))
    assert dots(near)[0]["x"] < dots(far)[0]["x"] == dots(beyond)[0]["x"] < WIDTH
    assert 5000.0 in texts(beyond)
    bar = [shape for shape in beyond if shape["shape"] == "rect"][-1]
    assert bar["w"] > 0
    assert bar["x"] + bar["w"] / 2 < WIDTH


def test_open_ranges_fit_the_values_that_were_seen():
    """Reals without limits span the values of a given match, from edge to edge of the stage."""
    one = schema(Group("it", (Real("x"), Real("y"))))
    columns = one.neutral(3)
    columns["it/x"][:, 0] = (100, 150, 200)
    places = [
        dots(drawn(one, default_scene(one, (), columns), it__x=x))[0]["x"] for x in (100, 150, 200)
    ]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1])
    assert places[2] - places[0] > 10


def test_what_a_mask_hides_is_not_drawn():
    """Slots that are not in use have neither dot, nor name, nor bar."""
    item = Group("item", (Flag("alive"), Real("x"), Choice("kind", 2, names=("axe", "bow")), Real("life")),
                 slots=3, mask="alive")  # fmt: skip
    one = schema(item)
    none, some = drawn(one), drawn(one, item__alive=[True, False, True], item__kind=[1, 0, 0])
    assert [text for text in texts(some) if text in ("axe", "bow")] == ["bow", "axe"]
    assert not {"axe", "bow"} & set(texts(none))
    assert len(some) - len(none) == 2 * 3  # a dot, a name and a bar each


def test_flags_are_lamps_and_choices_say_their_names():
    """A flag fills its lamp while on; a choice with names shows the name, a seat its player."""
    it = Group(
        "it", (Flag("on"), Choice("mood", 2, names=("calm", "wild")), Choice("turn", 3, seat=True))
    )
    one = schema(it)
    off, on = drawn(one), drawn(one, it__on=True, it__mood=1, it__turn=2)
    assert {"calm", "P1"} <= set(texts(off))
    assert {"wild", "none"} <= set(texts(on))
    assert sum("fill" in s for s in on if s["shape"] == "circle") == 1
    assert not [s for s in off if s["shape"] == "circle" and "fill" in s]


def test_a_facing_points_to_its_side():
    """A flag such as facing_right is a wedge beside the dot."""
    one = schema(Group("it", (Real("x"), Flag("facing_right"))))
    left, right = (
        next(s for s in drawn(one, it__facing_right=to) if s["shape"] == "polygon")["points"][1][0]
        for to in (False, True)
    )
    assert left < 0 < right


def test_counts_and_damage_stand_above_the_stage():
    """Lives are pips and damage is a number above the stage, and not repeated below."""
    hero = Group(
        "hero", (Choice("stocks", 4), Real("damage", low=0, high=99)), slots=2, per="player"
    )
    scene = default_scene(schema(hero))
    assert [(entry["field"], entry["as"], entry.get("of")) for entry in scene["hud"]] == [
        ("hero/stocks", "pips", 3),
        ("hero/damage", "number", None),
    ]
    assert "stocks" not in json.dumps(scene["shapes"])
    three = default_scene(schema(replace(hero, slots=3), players=3))
    assert three["hud"] == []
    assert "hero/stocks" in json.dumps(three["shapes"])
    one = schema(replace(hero, slots=1), players=1)
    row = {key: column[0] for key, column in one.neutral(1).items()}
    assert paint(default_scene(one), row, width=96).shape == (54, 96, 3)


def test_what_finds_no_room_is_counted():
    """Fields that are not learned are omitted first, and the panel counts omitted fields."""
    fields = [Real(f"field_{i}", predict="no" if i % 2 else "delta") for i in range(60)]
    texts_of = texts(drawn(schema(Group("hero", tuple(fields), slots=2, per="player"))))
    shown = {text for text in texts_of if str(text).startswith("field")}
    assert {f"field {i}" for i in range(0, 40, 2)} <= shown
    gone = [text for text in texts_of if str(text).startswith("+ ")]
    assert gone == [f"+ {60 - len(shown)} more"] * 2


def test_a_hit_rings_around_whom_it_befell():
    """A hit draws a ring around the player who was hit, and a mark on the timeline."""
    scene = default_scene(TOY, ("hit", "land"))
    events = np.array([(0, 0, 3.0, 0, 0, 0, 1)], EVENT)
    row = {key: values[0] for key, values in random_columns(TOY, 1, 0).items()}
    (ring,) = [s for s in evaluate(scene, row, events) if s.get("tag") == "ring"]
    assert ring["x"] == next(s["x"] for s in dots(evaluate(scene, row)) if s["fill"] == "p2")
    assert scene["marks"] == {"hit": "tick", "land": "cross"}


def test_a_game_without_code_is_drawn():
    """A record made of a schema alone has a scene."""
    game = Game(name="toy", title="", schema=TOY)
    assert scene_of(game) == default_scene(TOY)
