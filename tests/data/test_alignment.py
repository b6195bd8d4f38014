"""The alignment rule: no input of a policy or a world contains its target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conftest import TOY, random_columns, random_episode, schemas
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.data.sample import Segments, align
from shadowbox.data.store import Store
from shadowbox.data.write import Writer


@given(schemas(), st.integers(3, 8), st.integers(0, 99), st.data())
@settings(max_examples=80)
def test_no_input_contains_its_target(
    schema: Schema, rows: int, seed: int, data: st.DataObject
) -> None:
    """Other controls at t, or another state at t + 1, change no input at or before t."""
    position = data.draw(st.integers(0, rows - 3))
    row = position + 1  # the row of this position
    inside = np.ones((1, rows), bool)
    packed = schema.pack(random_columns(schema, rows, seed))[None, :, None].view(np.uint8)
    others = {key: values.copy() for key, values in schema.unpack(packed).items()}
    for key, column in schema.columns.items():
        target = row if key in schema.control_keys else row + 1
        values = others[key][0, target]
        others[key][0, target] = (
            ~values
            if values.dtype == bool
            else (values == 0)
            if isinstance(column.field, Real)
            else column.field.n - 1 - values
        )
    changed = schema.pack(others)[..., None].view(np.uint8)
    before, after = (align(schema, schema.unpack(rows_), inside) for rows_ in (packed, changed))

    for policy in (True, False):
        (inputs, targets), (inputs_after, targets_after) = (
            (aligned.for_policy() if policy else aligned.for_world()) for aligned in (before, after)
        )
        for name, columns in inputs.items():
            # a world gets the controls at t as an input
            last = position if (name == "controls" and not policy) else position + 1
            assert columns.keys() == set(
                schema.control_keys if name in ("previous", "controls") else schema.state_keys
            )
            for key, values in columns.items():
                np.testing.assert_array_equal(
                    values[:, :last], inputs_after[name][key][:, :last], err_msg=f"{name} {key}"
                )
        assert targets.keys() == set(schema.control_keys if policy else schema.state_keys)
        for key, values in targets.items():
            source = others[key][:, row : row + 1] if policy else others[key][:, row + 1 : row + 2]
            np.testing.assert_array_equal(targets_after[key][:, position : position + 1], source)
            field = schema.columns[key].field
            # the middle of an odd choice is its own opposite
            if not (isinstance(field, Choice) and field.n % 2):
                assert (values[:, position] != targets_after[key][:, position]).any()


def test_rows_stand_where_the_rule_says() -> None:
    """Row t gives state t, controls t - 1, controls t, and state t + 1."""
    schema = Schema(
        "s", 60, (Group("g", (Real("x"),)),), Group("pad", (Real("stick"),), per="player")
    )
    columns = {
        "g/x": np.arange(6.0)[None, :, None],
        "pad/stick": np.arange(10.0, 16.0)[None, :, None],
    }
    aligned = align(schema, columns, np.ones((1, 6), bool))
    assert aligned.state["g/x"].ravel().tolist() == [1, 2, 3, 4]
    assert aligned.previous["pad/stick"].ravel().tolist() == [10, 11, 12, 13]
    assert aligned.controls["pad/stick"].ravel().tolist() == [11, 12, 13, 14]
    assert aligned.following["g/x"].ravel().tolist() == [2, 3, 4, 5]
    policy, world = aligned.for_policy(), aligned.for_world()
    assert policy == ({"state": aligned.state, "previous": aligned.previous}, aligned.controls)
    assert world == ({"state": aligned.state, "controls": aligned.controls}, aligned.following)


def test_masks_are_right_at_both_ends(tmp_path: Path) -> None:
    """The first decision has no previous controls; the last row and padding decide nothing."""
    with Writer(tmp_path / "store", TOY) as writer:
        writer.add(random_episode(TOY, 5))  # rows 0 .. 5, decisions 0 .. 4
    segments = Segments(Store(tmp_path / "store"), 3, 8, shuffle=False)
    (batch,) = list(segments.rest_of_epoch())
    aligned = align(TOY, TOY.unpack(batch.rows), batch.inside)
    np.testing.assert_array_equal(batch.first, [-1, 2])
    np.testing.assert_array_equal(aligned.decided, [[True, True, True], [True, True, False]])
    np.testing.assert_array_equal(aligned.started, [[False, True, True], [True, True, True]])
    for key in TOY.control_keys:
        assert not aligned.previous[key][0, 0].any()  # neutral before the beginning


def test_alignment_takes_what_it_is_given() -> None:
    """A selection of columns is cut alone."""
    schema = Schema(
        "s",
        60,
        (Group("g", (Real("x"), Flag("f"))),),
        Group("pad", (Flag("a"), Flag("b")), per="player"),
    )
    columns = {"g/f": np.zeros((2, 4, 1), bool), "pad/b": np.zeros((2, 4, 1), bool)}
    aligned = align(schema, columns, np.ones((2, 4), bool))
    assert list(aligned.state) == list(aligned.following) == ["g/f"]
    assert list(aligned.previous) == list(aligned.controls) == ["pad/b"]
    assert aligned.decided.shape == (2, 2)
