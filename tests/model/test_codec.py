"""Packed bytes decoded on a device give the columns that NumPy unpacks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import TOY, random_columns, schemas
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.schema import Flag, Real, Schema
from shadowbox.model.codec import decode


def packed_bytes(schema: Schema, lead: tuple[int, ...], seed: int) -> np.ndarray:
    """Random rows as bytes [*lead, row_bytes]."""
    columns = random_columns(schema, max(1, math.prod(lead)), seed)
    rows = schema.pack(columns)[: math.prod(lead)]
    return rows.reshape(-1, 1).view(np.uint8).reshape(*lead, schema.row_dtype.itemsize)


@given(
    schemas(),
    st.sampled_from([(3,), (2, 3), (1,), (), (0,), (2, 0)]),
    st.integers(0, 99),
    st.data(),
)
@settings(max_examples=150)
def test_decode_is_unpack(
    schema: Schema, lead: tuple[int, ...], seed: int, data: st.DataObject
) -> None:
    """Decoded tensors hold what NumPy unpacks, for any schema, leading axes and selection.

    Types are f32, bool and int64.
    """
    packed = packed_bytes(schema, lead, seed)
    keys = data.draw(st.none() | st.lists(st.sampled_from(list(schema.columns)), unique=True))
    expected = schema.unpack(packed, keys)
    decoded = decode(schema, torch.from_numpy(packed.copy()), keys)
    assert decoded.keys() == expected.keys()
    for key, values in expected.items():
        field = schema.columns[key].field
        kind = (
            torch.float32
            if isinstance(field, Real)
            else torch.bool
            if isinstance(field, Flag)
            else torch.int64
        )
        assert decoded[key].dtype == kind
        assert tuple(decoded[key].shape) == values.shape
        np.testing.assert_array_equal(
            decoded[key].numpy(), values.astype(decoded[key].numpy().dtype)
        )


@pytest.mark.parametrize("cut", ["time", "batch", "stride", "row"])
def test_bytes_need_not_lie_together(cut: str) -> None:
    """A slice of a batch is decoded like a copy of it, whatever its strides."""
    packed = torch.from_numpy(packed_bytes(TOY, (4, 6), 1))
    part = {
        "time": packed[:, 1:-1],
        "batch": packed[2],
        "stride": packed[::2, ::3],
        "row": packed[1, 2],
    }[cut]
    expected = TOY.unpack(part.numpy().copy())
    for key, values in decode(TOY, part).items():
        np.testing.assert_array_equal(values.numpy(), expected[key])


def test_the_input_is_left_alone() -> None:
    """Decoding leaves the packed bytes unchanged, and its results may be changed freely."""
    packed = torch.from_numpy(packed_bytes(TOY, (3,), 2))
    before = packed.clone()
    for values in decode(TOY, packed).values():
        values.zero_()
    assert torch.equal(packed, before)


def test_a_key_that_is_not_there_is_refused() -> None:
    """An unknown column is an error, as in NumPy."""
    packed = packed_bytes(TOY, (3,), 2)
    with pytest.raises(KeyError):
        TOY.unpack(packed, ["player/percnt"])
    with pytest.raises((KeyError, ValueError)):
        decode(TOY, torch.from_numpy(packed), ["player/percnt"])


@pytest.mark.parametrize(
    "packed",
    [
        torch.zeros(3, 39, dtype=torch.uint8),
        torch.zeros(3, 80, dtype=torch.uint8),
        torch.zeros(0, dtype=torch.uint8),
        torch.zeros(3, 40, dtype=torch.int8),
        torch.zeros(3, 40),
        torch.zeros(40, 3, dtype=torch.uint8),
    ],
)
def test_other_bytes_are_refused(packed: torch.Tensor) -> None:
    """Bytes of another width or type are refused with the expected and the actual layout."""
    with pytest.raises(
        ValueError, match=r"packed rows must be uint8 \[\.\.\., 40\] \(got torch\.\w+ \("
    ):
        decode(TOY, packed)
