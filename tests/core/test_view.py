"""Views of a frame from another seat and in the mirror, derived from field attributes alone."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import TOY, random_columns, schemas
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.schema import Choice, Columns, Flag, Group, Real, Schema
from shadowbox.core.view import from_seat, mirrored, seat_order
from shadowbox.errors import UsageError

TRIO = Schema(
    "trio",
    fps=60,
    state=(
        Group(
            "ball",
            (Real("x", mirror="negate", low=-5, high=5), Choice("owner", 4, seat=True)),
            slots=2,
        ),
        Group(
            "limb",
            (
                Real("l", mirror="r"),
                Real("r", mirror="l"),
                Choice("near", 3, seat=True),
                Flag("up"),
            ),
            slots=6,
            per="player",
        ),
    ),
    controls=Group(
        "pad", (Flag("west", mirror="east"), Flag("east", mirror="west")), slots=3, per="player"
    ),
)
any_schema = st.one_of(st.just(TOY), st.just(TRIO), schemas())


def assert_same(a: Columns, b: Columns) -> None:
    """Assert equal keys, types and values."""
    assert a.keys() == b.keys()
    for key in a:
        assert a[key].dtype == b[key].dtype, key
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def copied(columns: Columns) -> Columns:
    """A copy that shares no memory."""
    return {key: values.copy() for key, values in columns.items()}


@given(any_schema, st.integers(0, 99), st.data())
@settings(max_examples=120)
def test_twice_from_a_seat_is_the_identity(schema: Schema, seed: int, data: st.DataObject) -> None:
    """Two seat swaps give the same frame, and the input is unchanged."""
    player = data.draw(st.integers(0, schema.players - 1))
    columns = random_columns(schema, 4, seed)
    before = copied(columns)
    assert_same(from_seat(schema, from_seat(schema, columns, player), player), before)
    assert_same(columns, before)


@given(any_schema, st.integers(0, 99))
@settings(max_examples=120)
def test_twice_mirrored_is_the_identity(schema: Schema, seed: int) -> None:
    """Two mirrors give the same frame, and the input is unchanged."""
    columns = random_columns(schema, 4, seed)
    before = copied(columns)
    assert_same(mirrored(schema, mirrored(schema, columns)), before)
    assert_same(columns, before)


@given(any_schema, st.integers(0, 99), st.data())
@settings(max_examples=60)
def test_seat_and_mirror_commute(schema: Schema, seed: int, data: st.DataObject) -> None:
    """Seat swap and mirror commute."""
    player = data.draw(st.integers(0, schema.players - 1))
    columns = random_columns(schema, 3, seed)
    assert_same(
        mirrored(schema, from_seat(schema, columns, player)),
        from_seat(schema, mirrored(schema, columns), player),
    )


@given(any_schema, st.integers(0, 99), st.data())
@settings(max_examples=80)
def test_a_players_slots_come_first(schema: Schema, seed: int, data: st.DataObject) -> None:
    """In every per-player group the player's slots come first, in exchange with player 0's."""
    player = data.draw(st.integers(0, schema.players - 1))
    columns = random_columns(schema, 4, seed)
    seen = from_seat(schema, columns, player)
    for key, column in schema.columns.items():
        if isinstance(column.field, Choice) and column.field.seat:
            continue
        if not column.group.per:
            np.testing.assert_array_equal(seen[key], columns[key])
            continue
        each = column.slots // schema.players
        who = list(range(schema.players))
        who[0], who[player] = who[player], who[0]
        for place, owner in enumerate(who):
            np.testing.assert_array_equal(
                seen[key][:, place * each : (place + 1) * each],
                columns[key][:, owner * each : (owner + 1) * each],
            )


def test_values_that_name_a_seat_are_renamed() -> None:
    """Values that name player 2 name player 0 after the swap, and the reverse.

    Player 1 and the last value (3: no player) keep their names.
    """
    columns = {"ball/owner": np.array([[0, 1], [2, 3]], np.uint8)}
    np.testing.assert_array_equal(from_seat(TRIO, columns, 2)["ball/owner"], [[2, 1], [0, 3]])
    np.testing.assert_array_equal(from_seat(TRIO, columns, 1)["ball/owner"], [[1, 0], [2, 3]])


def test_a_seat_choice_of_a_player_moves_and_is_renamed() -> None:
    """In a per-player group the slots change places and their seat values are renamed."""
    near = np.array([[0, 0, 1, 1, 2, 2]], np.uint8)
    np.testing.assert_array_equal(
        from_seat(TRIO, {"limb/near": near}, 2)["limb/near"], [[0, 0, 1, 1, 2, 2]]
    )
    near = np.array([[1, 0, 2, 2, 0, 1]], np.uint8)
    np.testing.assert_array_equal(
        from_seat(TRIO, {"limb/near": near}, 2)["limb/near"], [[2, 1, 0, 0, 1, 2]]
    )


def test_one_players_view_is_as_it_stands() -> None:
    """Player 0 sees the frame unchanged."""
    columns = random_columns(TOY, 3, 1)
    assert_same(from_seat(TOY, columns, 0), columns)


@pytest.mark.parametrize("player", [-1, 2, 7])
def test_a_player_that_is_not_there_is_refused(player: int) -> None:
    """A seat outside the game is refused."""
    with pytest.raises(UsageError, match=rf"player of toy must be from 0 to 1 \(got {player}\)"):
        from_seat(TOY, random_columns(TOY, 3, 1), player)


@pytest.mark.parametrize(
    ("slots", "player", "players", "order"),
    [
        (2, 1, 2, [1, 0]),
        (4, 1, 2, [2, 3, 0, 1]),
        (6, 2, 3, [4, 5, 2, 3, 0, 1]),
        (3, 1, 3, [1, 0, 2]),
        (3, 0, 3, [0, 1, 2]),
    ],
)
def test_seat_order(slots: int, player: int, players: int, order: list[int]) -> None:
    """Two players change places with all their slots."""
    assert np.arange(slots)[seat_order(slots, player, players)].tolist() == order


def test_the_mirror_negates_inverts_and_swaps() -> None:
    """Each field is mirrored by its attribute, and other values are unchanged."""
    columns = random_columns(TOY, 6, 3)
    seen = mirrored(TOY, columns)
    np.testing.assert_array_equal(seen["player/x"], -columns["player/x"])
    np.testing.assert_array_equal(seen["stage/wind"], -columns["stage/wind"])
    np.testing.assert_array_equal(seen["player/facing_right"], ~columns["player/facing_right"])
    np.testing.assert_array_equal(seen["pad/left"], columns["pad/right"])
    np.testing.assert_array_equal(seen["pad/right"], columns["pad/left"])
    for key in (
        "stage/id",
        "player/percent",
        "player/on_ground",
        "player/action",
        "player/hit_by",
        "item/x",
        "pad/a",
    ):
        np.testing.assert_array_equal(seen[key], columns[key])


@given(any_schema, st.integers(0, 20), st.sampled_from([(4,), (2, 2), (1, 4, 1), ()]))
@settings(max_examples=40)
def test_any_leading_axes(schema: Schema, seed: int, lead: tuple[int, ...]) -> None:
    """A batch of windows is treated like a single frame."""
    flat = {
        key: values[: int(np.prod(lead))] for key, values in random_columns(schema, 4, seed).items()
    }
    shaped = {key: values.reshape(*lead, values.shape[-1]) for key, values in flat.items()}
    player = schema.players - 1
    for look in (lambda c: from_seat(schema, c, player), lambda c: mirrored(schema, c)):
        expected = {
            key: values.reshape(*lead, values.shape[-1]) for key, values in look(flat).items()
        }
        assert_same(look(shaped), expected)


def test_what_is_not_given_is_not_made_up() -> None:
    """A selection of columns gives the same selection."""
    columns = {"player/x": np.ones((2, 2), np.float32)}
    assert list(from_seat(TOY, columns, 1)) == list(mirrored(TOY, columns)) == ["player/x"]
