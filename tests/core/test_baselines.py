"""Baselines on sequences with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.core.baselines import LookupTable, constant_velocity, copy_last, never_press
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema

MACHINE = Schema(
    "machine",
    60,
    (Group("m", (Choice("phase", 5), Flag("lit"), Real("x"), Choice("next", 7), Flag("on"))),),
    Group("pad", (Flag("a"),), per="player"),
)


def column(*values: float, dtype: object = np.float32) -> np.ndarray:
    """One slot over time, [T, 1]."""
    return np.array(values, dtype)[:, None]


def test_hold_is_copy_last() -> None:
    """The prediction at t is the value at t."""
    np.testing.assert_array_equal(copy_last(column(1, 4, 9)), column(1, 4, 9))


def test_constant_velocity_goes_on_with_the_last_change() -> None:
    """The last change is added once more; the first frame is copied."""
    np.testing.assert_array_equal(
        constant_velocity(column(1, 2, 4, 7, 7), -99, 99), column(1, 3, 6, 10, 7)
    )


def test_constant_velocity_stays_in_range() -> None:
    """Predictions are clipped to the range."""
    np.testing.assert_array_equal(
        constant_velocity(column(0, 6, 9, 1), 0, 10), column(0, 10, 10, 0)
    )


def test_constant_velocity_runs_along_time() -> None:
    """In [batch, time, slots] each match and slot has its own velocity."""
    values = np.zeros((2, 3, 2), np.float32)
    values[0, :, 0] = [0, 1, 2]
    values[1, :, 1] = [5, 3, 1]
    predicted = constant_velocity(values, -99, 99)
    np.testing.assert_array_equal(predicted[0, :, 0], [0, 2, 3])
    np.testing.assert_array_equal(predicted[1, :, 1], [5, 1, -1])
    assert not predicted[0, :, 1].any()


def test_never_press_presses_nothing() -> None:
    """The prediction is all zeros with the type and shape of the presses."""
    predicted = never_press(column(1, 0, 1, dtype=bool))
    assert predicted.dtype == bool
    assert predicted.shape == (3, 1)
    assert not predicted.any()


def following(values: np.ndarray) -> np.ndarray:
    """Values one frame later."""
    return values[1:]


def test_the_table_knows_a_deterministic_machine() -> None:
    """A deterministic machine is predicted perfectly by the table and not by copying."""
    phase = column(*(np.arange(200) * 2 % 5), dtype=np.uint8)
    lit = phase > 2
    given = {"m/phase": phase[:-1], "m/lit": lit[:-1]}
    table = LookupTable.fit(
        MACHINE, given, {"m/phase": following(phase), "m/lit": following(lit)}, ("m/phase",)
    )
    np.testing.assert_array_equal(table.predict(given, "m/phase"), following(phase))
    np.testing.assert_array_equal(table.predict(given, "m/lit"), following(lit))
    assert (copy_last(phase[:-1]) == following(phase)).mean() < 0.5
    assert table.predict(given, "m/lit").dtype == bool


def test_situations_are_joint() -> None:
    """Two columns together determine a value that neither determines alone."""
    phase, lit = column(0, 0, 1, 1, dtype=np.uint8), column(0, 1, 0, 1, dtype=bool)
    given, then = {"m/phase": phase, "m/lit": lit}, {"m/on": phase.astype(bool) ^ lit}
    table = LookupTable.fit(MACHINE, given, then, ("m/phase", "m/lit"))
    np.testing.assert_array_equal(table.predict(given, "m/on"), then["m/on"])
    one = LookupTable.fit(MACHINE, given, then, ("m/lit",))
    assert (one.predict(given, "m/on") == then["m/on"]).mean() == 0.5


def test_usual_values_by_hand() -> None:
    """Usual values are means of reals, majorities of flags, and the most frequent choices.

    Of equally frequent choices the smaller one is usual.
    """
    given = {"m/phase": column(0, 0, 0, 0, 1, 1, dtype=np.uint8)}
    then = {
        "m/x": column(1, 2, 3, 6, -4, -6),
        "m/on": column(1, 1, 1, 0, 1, 0, dtype=bool),
        "m/next": column(5, 3, 5, 3, 6, 6, dtype=np.uint8),
    }
    table = LookupTable.fit(MACHINE, given, then, ("m/phase",))
    np.testing.assert_array_equal(table.predict(given, "m/x")[[0, 4], 0], [3, -5])
    np.testing.assert_array_equal(table.predict(given, "m/on")[[0, 4], 0], [True, False])
    np.testing.assert_array_equal(table.predict(given, "m/next")[[0, 4], 0], [3, 6])


def test_unseen_situations_fall_back_to_the_usual() -> None:
    """An unseen situation gets the overall mean, majority and most frequent value."""
    given = {"m/phase": column(0, 0, 1, dtype=np.uint8)}
    then = {
        "m/x": column(1, 2, 9),
        "m/on": column(1, 1, 0, dtype=bool),
        "m/next": column(4, 4, 2, dtype=np.uint8),
    }
    table = LookupTable.fit(MACHINE, given, then, ("m/phase",))
    unseen = {"m/phase": column(3, dtype=np.uint8)}
    assert table.predict(unseen, "m/x")[0, 0] == 4
    assert table.predict(unseen, "m/on")[0, 0]
    assert table.predict(unseen, "m/next")[0, 0] == 4


def test_slots_share_one_table() -> None:
    """All slots share one table."""
    given = {"m/phase": np.array([[0, 1], [0, 1]], np.uint8)}
    table = LookupTable.fit(
        MACHINE, given, {"m/x": np.array([[1, 10], [3, 30]], np.float32)}, ("m/phase",)
    )
    np.testing.assert_array_equal(
        table.predict({"m/phase": np.array([[1, 0]], np.uint8)}, "m/x"), [[20, 2]]
    )


def test_a_table_is_not_keyed_by_numbers() -> None:
    """A table keyed by a real is refused with its name."""
    with pytest.raises(ValueError, match="got the real m/x"):
        LookupTable.fit(MACHINE, {"m/x": column(1)}, {"m/on": column(1, dtype=bool)}, ("m/x",))
