"""Encodings deliver what they declare, on any schema."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import TOY, random_columns
from hypothesis import given
from hypothesis import strategies as st

from shadowbox.core.encoding import CONTROLS, CategoryInput, Encoding, NumberInput
from shadowbox.errors import SchemaError


def height(columns, xp):
    """A value that no column holds."""
    return columns["player/x"] * 2 + columns["stage/wind"]


MADE = Encoding(
    "made",
    players=2,
    numbers=(
        NumberInput("x", "player/x", scale=0.05, block="core", target="delta"),
        NumberInput("height", height, block="more"),
        NumberInput("ground", "player/on_ground", block="flags", target="value"),
        NumberInput("a", "pad/a", block=CONTROLS),
    ),
    categories=(
        CategoryInput("action", "player/action", n=100, embed=3, target=True),
        CategoryInput("hit_by", "player/hit_by", n=3, embed=2),
    ),
    shared=(CategoryInput("stage", "stage/id", n=4, embed=1),),
    order=("flags", "core"),
    conditions=(
        NumberInput("a", "pad/a", block=CONTROLS),
        NumberInput("press_a", "pad/a", block=CONTROLS, edge=True),
    ),
)


def test_widths_are_counted_from_the_declaration():
    """Floats, ints, targets, features and names follow from the declared inputs."""
    assert (MADE.floats, MADE.ints, MADE.frame_width) == (8, 5, 8 + 2 * 5 + 1)
    assert (MADE.float_targets, MADE.int_targets) == (4, 2)
    assert MADE.float_names[:5] == ("p0.x", "p0.height", "p0.ground", "p0.a", "p1.x")
    assert MADE.target_names == ("p0.ground", "p1.ground", "p0.x", "p1.x")
    assert [category.name for category in MADE.vocabularies] == [
        "action",
        "hit_by",
        "action",
        "hit_by",
        "stage",
    ]


@given(st.lists(st.integers(1, 4), max_size=2), st.integers(0, 99))
def test_what_is_declared_is_delivered(lead, seed):
    """Encoded frames have the declared widths for any leading axes, players side by side.

    Categories are inside their vocabularies.
    """
    rows = int(np.prod(lead, dtype=int))
    flat = random_columns(TOY, rows, seed)
    columns = {key: values.reshape(*lead, values.shape[-1]) for key, values in flat.items()}
    floats, ints = MADE.encode(columns)
    assert floats.shape == (*lead, MADE.floats)
    assert ints.shape == (*lead, MADE.ints)
    assert (ints >= 0).all()
    assert (ints < [category.n for category in MADE.vocabularies]).all()
    np.testing.assert_allclose(floats[..., 4], columns["player/x"][..., 1] * 0.05, rtol=1e-6)
    np.testing.assert_array_equal(MADE.controls(columns)[..., 0], columns["pad/a"])
    back = MADE.read_back(floats, ints)
    np.testing.assert_allclose(back["player/x"], columns["player/x"], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(back["stage/id"], columns["stage/id"])
    assert back.keys() == {
        "player/x",
        "player/on_ground",
        "pad/a",
        "player/action",
        "player/hit_by",
        "stage/id",
    }


def test_an_edge_needs_the_row_before():
    """An edge is true where the flag was false a row earlier; without that row it is refused."""
    columns = random_columns(TOY, 30, 0)
    now, before = (
        {key: values[part] for key, values in columns.items()}
        for part in (slice(1, None), slice(0, -1))
    )
    condition = MADE.condition(now, before)
    np.testing.assert_array_equal(
        condition[:, 3], columns["pad/a"][1:, 1] & ~columns["pad/a"][:-1, 1]
    )
    with pytest.raises(ValueError, match="the row before"):
        MADE.conditions[1].of(now, np)


def test_a_schema_that_lacks_a_column_is_refused():
    """An encoding names the columns that a schema lacks, and its own number of players."""
    MADE.require(TOY)
    lacking = Encoding("lacking", 2, (NumberInput("y", "player/y", block="core"),), ())
    with pytest.raises(SchemaError, match="player/y"):
        lacking.require(TOY)
    with pytest.raises(SchemaError, match="is for 3 players"):
        Encoding("three", 3, (), ()).require(TOY)
