"""UBJSON of a replay's metadata: maps, lists, text and numbers."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowbox.errors import RecordingError
from shadowbox.games.melee.slp import ubjson

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=300), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_round_trip(value):
    """Every value that can be encoded is decoded unchanged."""
    content = ubjson.encode(value)
    assert ubjson.decode(content) == (value, len(content))


@given(values, st.integers(0, 400))
def test_cut_anywhere(value, length):
    """Cut bytes are refused with a position, never read past their end."""
    content = ubjson.encode(value)
    if length < len(content):
        with pytest.raises(RecordingError, match="byte"):
            ubjson.decode(content[:length])


@given(st.binary(max_size=60))
def test_any_bytes(content):
    """Random bytes give a value or a named error."""
    with contextlib.suppress(RecordingError):
        value, end = ubjson.decode(content)
        assert 0 < end <= len(content)
        assert not isinstance(value, bytes)


@pytest.mark.parametrize(
    "content",
    [
        b"[$U#l\x7f\xff\xff\xff",
        b"{#i\x04",
        b"SL\x7f" + b"\xff" * 7,
        b"Sl\xff\xff\xff\xff",
        b"[" * 99,
    ],
)
def test_hostile_sizes(content):
    """Lengths beyond the end, below zero, and nesting without end are refused."""
    with pytest.raises(RecordingError, match="byte"):
        ubjson.decode(content)


def test_values_of_other_types_are_refused():
    """A set cannot be encoded, and the error names its type."""
    with pytest.raises(RecordingError, match="a set"):
        ubjson.encode({"a": {1}})
