"""Columns, packed rows and the table of a schema."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import TOY, random_columns, schemas
from hypothesis import given, settings
from hypothesis import strategies as st
from small_schemas import small

from shadowbox.core.schema import (
    BITS,
    ROW_ALIGNMENT,
    Choice,
    Flag,
    Real,
    Schema,
)
from shadowbox.errors import SchemaError

# ---- columns -------------------------------------------------------------------------------------


def test_columns_stand_in_order_of_declaration_with_controls_last() -> None:
    """Columns are in the order of the declaration, controls last."""
    assert list(TOY.columns) == [
        *("stage/id", "stage/wind", "player/x", "player/percent", "player/on_ground"),
        *("player/facing_right", "player/action", "player/hit_by"),
        *("item/alive", "item/x", "item/kind", "pad/left", "pad/right", "pad/a"),
    ]
    assert TOY.control_keys == ("pad/left", "pad/right", "pad/a")
    assert (*TOY.state_keys, *TOY.control_keys) == tuple(TOY.columns)


def test_memory_types_follow_kinds() -> None:
    """Reals are f32 in memory even if stored as f2, flags bool, choices the smallest integers."""
    types = {key: column.dtype for key, column in TOY.columns.items()}
    assert types["player/x"] == types["player/percent"] == np.float32
    assert types["player/on_ground"].kind == "b"
    assert types["stage/id"] == np.uint8
    assert types["player/action"] == np.uint16


@pytest.mark.parametrize(
    ("n", "store"),
    [(1, "u1"), (256, "u1"), (257, "u2"), (1 << 16, "u2"), ((1 << 16) + 1, "u4"), (1 << 32, "u4")],
)
def test_a_choice_takes_the_smallest_type_that_holds_its_last_value(n: int, store: str) -> None:
    """A choice takes a wider type exactly when n - 1 no longer fits."""
    schema = small(Choice("c", n))
    columns = schema.neutral(1)
    columns["g/c"][:] = n - 1
    assert schema.columns["g/c"].field.store == store
    assert schema.unpack(schema.pack(columns))["g/c"][0, 0] == n - 1


def test_players_are_counted_from_the_controls() -> None:
    """By default a schema has one player for each slot of its controls."""
    assert small(Flag("f")).players == 2


def test_neutral_is_zero_everywhere() -> None:
    """The neutral frame has every column, with its type and slots, all zero."""
    neutral = TOY.neutral(3, 2)
    assert list(neutral) == list(TOY.columns)
    for key, values in neutral.items():
        assert values.shape == (3, 2, TOY.columns[key].slots)
        assert values.dtype == TOY.columns[key].dtype
        assert not values.any()


# ---- packed rows ---------------------------------------------------------------------------------


@given(schemas(), st.lists(st.integers(0, 3), max_size=3), st.integers(0, 99), st.data())
@settings(max_examples=150)
def test_what_is_packed_comes_back(
    schema: Schema, lead: list[int], seed: int, data: st.DataObject
) -> None:
    """Unpack inverts pack for any schema and axes, from rows or bytes, for any selected keys."""
    flat = random_columns(schema, max(1, math.prod(lead)), seed)
    columns = {
        key: values[: math.prod(lead)].reshape(*lead, -1 if math.prod(lead) else values.shape[-1])
        for key, values in flat.items()
    }
    rows = schema.pack(columns)
    assert rows.shape == tuple(lead)
    assert rows.dtype == schema.row_dtype

    as_bytes = rows[..., None].view(np.uint8)
    assert as_bytes.shape == (*lead, schema.row_dtype.itemsize)
    keys = data.draw(st.lists(st.sampled_from(list(schema.columns)), unique=True))
    for unpacked, expected_keys in (
        (schema.unpack(rows), list(schema.columns)),
        (schema.unpack(as_bytes), list(schema.columns)),
        (schema.unpack(rows, keys), keys),
    ):
        assert list(unpacked) == expected_keys
        for key, values in unpacked.items():
            assert values.dtype == schema.columns[key].dtype
            assert values.shape == columns[key].shape
            np.testing.assert_array_equal(values, columns[key])


@given(schemas())
@settings(max_examples=150)
def test_a_row_holds_its_values_and_less_than_eight_bytes_more(schema: Schema) -> None:
    """A row is as long as its values, with flags as bits, rounded up to a multiple of 8 bytes."""
    widths = {"f4": 4, "u4": 4, "f2": 2, "u2": 2, "u1": 1}
    flags = sum(c.slots for c in schema.columns.values() if isinstance(c.field, Flag))
    values = sum(
        c.slots * widths[c.field.store]
        for c in schema.columns.values()
        if not isinstance(c.field, Flag)
    )
    content = values + math.ceil(flags / 8)
    assert schema.content_bytes == content
    assert schema.row_dtype.itemsize % ROW_ALIGNMENT == 0
    assert 0 <= schema.row_dtype.itemsize - content < 8


@given(schemas(), st.integers(0, 99))
@settings(max_examples=50)
def test_padding_is_zero(schema: Schema, seed: int) -> None:
    """Padding bytes are always zero, so that equal frames have equal bytes and one digest."""
    rows = schema.pack(random_columns(schema, 3, seed))
    assert not rows.view(np.uint8).reshape(3, -1)[:, schema.content_bytes :].any()


@given(schemas())
@settings(max_examples=50)
def test_every_value_starts_where_its_type_may_stand(schema: Schema) -> None:
    """Wider classes come first, blocks are contiguous, and members are aligned to their width."""
    end = 0
    for block in schema.blocks:
        assert block.offset == end
        assert block.store == "bit" or block.offset % int(block.store[1]) == 0
        end += block.nbytes


def test_plain_numpy_reads_a_row() -> None:
    """Reals and choices of a stored row are members by their column's name for plain NumPy."""
    columns = random_columns(TOY, 5, 1)
    rows = TOY.pack(columns)
    assert rows["player/percent"].dtype == np.float16
    np.testing.assert_array_equal(rows["player/x"], columns["player/x"])
    np.testing.assert_array_equal(rows["player/action"], columns["player/action"])


def test_flags_are_bits_at_their_announced_places() -> None:
    """Bit `flag_bits[key] + slot`, counted from the low end, is the flag of that slot."""
    columns = random_columns(TOY, 20, 2)
    raw = TOY.pack(columns)[BITS]
    assert raw.shape == (20, 2)  # 2 + 2 + 3 + 3 * 2 flags are 13 bits
    assert sorted(TOY.flag_bits.values()) == [0, 2, 4, 7, 9, 11]
    for key, first in TOY.flag_bits.items():
        for slot in range(TOY.columns[key].slots):
            at = first + slot
            np.testing.assert_array_equal((raw[:, at // 8] >> (at % 8)) & 1, columns[key][:, slot])


def test_bytes_become_rows_without_a_copy() -> None:
    """Rows viewed from bytes share their memory."""
    packed = np.zeros((4, TOY.row_dtype.itemsize), np.uint8)
    rows = TOY.as_rows(packed)
    rows["stage/id"] = 3
    assert packed.any()
    assert TOY.as_rows(rows) is rows


@pytest.mark.parametrize("width", [0, 8, 39, 80])
def test_bytes_of_another_width_are_refused(width: int) -> None:
    """Bytes that are not one row wide are refused, twice as wide ones too."""
    with pytest.raises((ValueError, SchemaError)):
        TOY.unpack(np.zeros((2, width), np.uint8))


def test_the_table_describes_every_column() -> None:
    """The docs' table has one line a column with its kind, slots, storage, unit and range."""
    head, rule, *lines = TOY.table().splitlines()
    assert len(lines) == len(TOY.columns)
    assert {line.count("|") for line in (head, rule, *lines)} == {10}
    by_key = {
        line.split("`")[1]: [cell.strip() for cell in line.split("|")[2:-1]] for line in lines
    }
    assert list(by_key) == list(TOY.columns)
    assert by_key["player/percent"] == [
        "real",
        "2 (per player)",
        "f2",
        "%",
        "0 .. 999",
        "delta",
        "keep",
        "",
    ]
    assert by_key["stage/id"] == ["choice of 4", "1", "u1", "", "0 .. 3", "no", "keep", ""]
    assert by_key["pad/left"] == ["flag", "2 (per player)", "bit", "", "", "value", "right", ""]
    # the range of an unbounded real is empty
    assert small(Real("x")).table().splitlines()[2].split("|")[6].strip() == ""
