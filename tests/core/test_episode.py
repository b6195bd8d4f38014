"""Episodes that their schema does not allow are refused in one sentence with place and reason."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from conftest import TOY, random_episode, schemas
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shadowbox.core.episode import Episode, check
from shadowbox.core.game import EVENT, no_events
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.errors import EpisodeError

FRAMES = 6


def refusal(episode: Episode, schema: Schema = TOY, name: str = "replay.slp") -> str:
    """Message of the error that `check` raises."""
    with pytest.raises(EpisodeError) as caught:
        check(episode, schema, name)
    return str(caught.value)


def with_columns(**columns: object) -> Episode:
    """A valid episode with some columns replaced ("player__x" for "player/x"); None removes one."""
    episode = random_episode(TOY, FRAMES)
    for name, values in columns.items():
        key = name.replace("__", "/")
        if values is None:
            del episode.columns[key]
        else:
            episode.columns[key] = values
    return episode


def with_value(key: str, frame: int, slot: int, value: float, dtype: object = None) -> Episode:
    """A valid episode with one value replaced."""
    episode = random_episode(TOY, FRAMES)
    values = episode.columns[key].astype(dtype or episode.columns[key].dtype)
    values[frame, slot] = value
    episode.columns[key] = values
    return episode


@given(schemas(), st.integers(1, 20), st.integers(0, 999))
@settings(max_examples=100)
def test_a_valid_episode_passes(schema: Schema, frames: int, seed: int) -> None:
    """Every value that a schema allows is accepted."""
    check(random_episode(schema, frames, seed), schema)


@given(schemas(), st.integers(1, 8), st.integers(0, 999), st.data())
@settings(max_examples=200)
def test_a_single_bad_value_is_named_exactly(
    schema: Schema, frames: int, seed: int, data: st.DataObject
) -> None:
    """A value out of range is named with episode, frame, field, slot, value and range."""
    candidates = [
        key for key, column in schema.columns.items() if not isinstance(column.field, Flag)
    ]
    assume(candidates)
    key = data.draw(st.sampled_from(candidates))
    column = schema.columns[key]
    frame, slot = data.draw(st.integers(0, frames)), data.draw(st.integers(0, column.slots - 1))
    low, high = column.field.limits
    episode = random_episode(schema, frames, seed)
    if isinstance(column.field, Choice):
        bad = data.draw(st.sampled_from([-1, high + 1, high + 1000]))
        episode.columns[key] = episode.columns[key].astype(np.int64)
        allowed = f"allowed {low} .. {high} for a choice of {column.field.n}"
    else:
        bad = data.draw(
            st.sampled_from(
                [np.nan, np.inf, -np.inf, np.nextafter(high, np.inf), np.nextafter(low, -np.inf)]
            )
        )
        episode.columns[key] = episode.columns[key].astype(np.float64)
        allowed = f"allowed {low:g} .. {high:g}"
    episode.columns[key][frame, slot] = bad
    message = refusal(episode, schema, "the 7th")
    assert message.startswith(f"the 7th, frame {frame}, {key}[{slot}]: ")
    assert str(bad) in message
    assert message.endswith(allowed)


@pytest.mark.parametrize(
    ("key", "value", "dtype", "message"),
    [
        ("player/x", 100.5, None, "player/x[1]: 100.5, allowed -100 .. 100"),
        ("player/x", -101, None, "player/x[1]: -101.0, allowed -100 .. 100"),
        ("player/x", np.nan, None, "player/x[1]: nan, allowed -100 .. 100"),
        ("player/x", np.inf, None, "player/x[1]: inf, allowed -100 .. 100"),
        ("player/x", 101, np.int32, "player/x[1]: 101, allowed -100 .. 100"),
        ("player/action", 300, None, "player/action[1]: 300, allowed 0 .. 299 for a choice of 300"),
        (
            "player/action",
            -1,
            np.int64,
            "player/action[1]: -1, allowed 0 .. 299 for a choice of 300",
        ),
        ("player/hit_by", 3, None, "player/hit_by[1]: 3, allowed 0 .. 2 for a choice of 3"),
    ],
)
def test_a_value_outside_its_range_is_named(
    key: str, value: float, dtype: object, message: str
) -> None:
    """The error shows the value as it is in the recording."""
    assert refusal(with_value(key, 4, 1, value, dtype)) == f"replay.slp, frame 4, {message}"


def test_limits_themselves_are_allowed() -> None:
    """Both ends of a range are allowed."""
    for value in (-100, 100):
        check(with_value("player/x", 0, 0, value), TOY)
    check(with_value("player/action", 0, 0, 299), TOY)


def test_a_half_that_would_overflow_is_refused() -> None:
    """65504 fits into f2; a larger value would silently become infinite and is refused."""
    schema = Schema(
        "s",
        60,
        (Group("g", (Real("x", store="f2"),)),),
        Group("pad", (Flag("a"),), slots=2, per="player"),
    )
    columns = schema.neutral(3)
    columns["g/x"][1] = 65504
    check(Episode(columns), schema)
    assert np.isfinite(schema.unpack(schema.pack(columns))["g/x"]).all()
    columns["g/x"][1] = 65536
    assert (
        refusal(Episode(columns), schema)
        == "replay.slp, frame 1, g/x[0]: 65536.0, allowed -65504 .. 65504"
    )


def test_several_bad_values_are_counted() -> None:
    """The first bad value in time is named and all are counted."""
    episode = random_episode(TOY, FRAMES)
    episode.columns["player/x"][3, 0] = episode.columns["player/x"][2, 1] = episode.columns[
        "player/x"
    ][5] = 1000
    assert (
        refusal(episode)
        == "replay.slp, frame 2, player/x[1]: 1000.0, allowed -100 .. 100 (4 such values)"
    )


def test_an_unused_slot_holds_nothing() -> None:
    """A value in a masked slot is refused, although its range would allow it."""
    episode = random_episode(TOY, FRAMES)
    for key in ("item/alive", "item/x", "item/kind"):
        episode.columns[key][:] = 0
    episode.columns["item/kind"][4, 2] = 3
    assert (
        refusal(episode)
        == "replay.slp, frame 4, item/kind[2]: expected 0, because alive is off there (got 3)"
    )


@pytest.mark.parametrize(("who", "value"), [("player", 2), ("other", -2)])
def test_events_belong_to_players(who: str, value: int) -> None:
    """An event of a player outside the game is refused."""
    episode = random_episode(TOY, FRAMES)
    episode.events[who][1] = value
    assert (
        refusal(episode) == f"replay.slp: the {who} of an event must be from -1 to 1 (got {value})"
    )


def test_zeros_in_an_unused_slot_are_allowed_outside_the_range() -> None:
    """Zeros of a masked slot are allowed outside the range; those of a used slot are not."""
    episode = random_episode(TOY, FRAMES)
    episode.columns["item/alive"][:] = False
    for name in ("x", "kind"):
        episode.columns[f"item/{name}"][:] = 0
    check(episode, TOY)
    episode.columns["item/alive"][2, 1] = True
    assert refusal(episode) == "replay.slp, frame 2, item/x[1]: 0.0, allowed 1 .. 9"


@pytest.mark.parametrize("value", [np.nan, np.inf, 100.0])
def test_an_unused_slot_hides_nothing_but_zeros(value: float) -> None:
    """A bad value in a masked slot is refused like any other."""
    episode = random_episode(TOY, FRAMES)
    episode.columns["item/alive"][3, 2] = False
    episode.columns["item/x"][3, 2] = value
    assert f"frame 3, item/x[2]: {value}, allowed 1 .. 9" in refusal(episode)


def test_a_missing_column_is_named() -> None:
    """A missing column is an error with its name."""
    message = refusal(with_columns(player__percent=None))
    assert message.startswith("replay.slp: column player/percent is missing")


@pytest.mark.parametrize("absent", [False, True])
def test_an_unknown_column_is_named_with_the_nearest_known(absent: bool) -> None:
    """A misspelt column or absent mark is refused with the nearest known name."""
    episode = random_episode(TOY, FRAMES)
    if absent:
        episode = dataclasses.replace(episode, absent=frozenset({"player/percnt"}))
    else:
        episode.columns["player/percnt"] = episode.columns["player/percent"]
    message = refusal(episode)
    assert "column player/percnt is not in the schema" in message
    assert "did you mean 'player/percent'?" in message


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("player/x", (7, 3)),
        ("player/x", (7,)),
        ("pad/a", (6, 2)),
        ("item/x", (8, 3)),
        ("item/x", (7, 3, 1)),
    ],
)
def test_a_wrong_shape_is_named(key: str, shape: tuple[int, ...]) -> None:
    """A wrong number of slots, rows or axes is refused with expected and actual shape."""
    episode = random_episode(TOY, FRAMES)
    expected = (FRAMES + 1, TOY.columns[key].slots)
    episode.columns[key] = np.zeros(shape, TOY.columns[key].dtype)
    assert refusal(episode) == f"replay.slp, {key}: expected shape {expected} (got {shape})"


@pytest.mark.parametrize("shape", [(), (3, 1), (0, 1)])
def test_a_wrong_first_column_is_an_episode_error(shape: tuple[int, ...]) -> None:
    """A wrong shape of the first column is an EpisodeError, too."""
    episode = random_episode(TOY, FRAMES)
    episode.columns["stage/id"] = np.zeros(shape, np.uint8)
    assert refusal(episode).startswith("replay.slp")


@pytest.mark.parametrize(
    ("key", "dtype", "kind"),
    [
        ("player/x", bool, "real"),
        ("player/x", complex, "real"),
        ("player/on_ground", np.uint8, "flag"),
        ("player/action", np.float32, "choice"),
        ("player/action", bool, "choice"),
        ("player/x", object, "real"),
    ],
)
def test_a_wrong_type_is_named(key: str, dtype: object, kind: str) -> None:
    """Values of a wrong type are refused, not converted."""
    episode = random_episode(TOY, FRAMES)
    episode.columns[key] = episode.columns[key].astype(dtype)
    assert (
        refusal(episode)
        == f"replay.slp, {key}: expected values of a {kind} (got type {np.dtype(dtype)})"
    )


def test_reals_may_come_as_integers_and_doubles() -> None:
    """Types that convert without loss are accepted."""
    check(
        with_columns(
            player__x=np.full((7, 2), 5, np.int16), player__action=np.full((7, 2), 5, np.int64)
        ),
        TOY,
    )
    check(with_columns(player__x=np.full((7, 2), 5.5, np.float64)), TOY)


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_an_absent_column_holds_zeros(value: float) -> None:
    """A column that is marked absent and holds values is refused."""
    episode = dataclasses.replace(random_episode(TOY, FRAMES), absent=frozenset({"stage/wind"}))
    episode.columns["stage/wind"][:] = 0
    check(episode, TOY)
    episode.columns["stage/wind"][3] = value
    assert refusal(episode).startswith(
        "replay.slp, stage/wind: expected zeros, because the column is marked absent"
    )


def test_absent_zeros_may_be_outside_the_range() -> None:
    """Zeros of an absent column are allowed by any range."""
    episode = dataclasses.replace(random_episode(TOY, FRAMES), absent=frozenset({"item/x"}))
    episode.columns["item/alive"][:] = True
    episode.columns["item/x"][:] = 0
    check(episode, TOY)


@pytest.mark.parametrize("rows", [0, 1])
def test_an_episode_has_a_decision(rows: int) -> None:
    """Fewer than two rows are refused, since they hold no decision with its result."""
    message = refusal(Episode(TOY.neutral(rows)))
    assert message.startswith("replay.slp: expected at least 2 rows")
    assert message.endswith(f"(got {rows})")


def test_no_columns_at_all() -> None:
    """An episode without columns is refused with the first missing one."""
    assert "column stage/id is missing" in refusal(Episode({}))


@pytest.mark.parametrize("frame", [-1, FRAMES + 1])
def test_an_event_outside_the_episode_is_named(frame: int) -> None:
    """An event at a frame outside the episode is refused with the possible frames."""
    events = np.zeros(1, EVENT)
    events["frame"] = frame
    message = refusal(dataclasses.replace(random_episode(TOY, FRAMES), events=events))
    assert message == f"replay.slp: the frame of an event must be from 0 to {FRAMES} (got {frame})"


def test_events_on_the_first_and_last_row_are_allowed() -> None:
    """Events may be at frames 0 to T, several at one frame."""
    events = np.zeros(4, EVENT)
    events["frame"] = [0, 0, FRAMES, FRAMES]
    check(dataclasses.replace(random_episode(TOY, FRAMES), events=events), TOY)


def test_an_event_of_an_unknown_kind_is_refused() -> None:
    """An event of an unknown kind is refused with the known ones."""
    events = np.zeros(2, EVENT)
    events["kind"] = [1, 2]
    episode = dataclasses.replace(random_episode(TOY, FRAMES), events=events)
    check(episode, TOY, "replay.slp", ["hit", "fall", "win"])
    with pytest.raises(EpisodeError, match=r"must be below 2 \(hit, fall\), got 2"):
        check(episode, TOY, "replay.slp", ["hit", "fall"])


def test_events_in_disorder_are_refused() -> None:
    """Events that are not ordered by frame are refused."""
    events = np.zeros(3, EVENT)
    events["frame"] = [1, 3, 2]
    assert "ordered by frame" in refusal(
        dataclasses.replace(random_episode(TOY, FRAMES), events=events)
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_event_carries_a_finite_value(value: float) -> None:
    """An event's value that is not finite is refused, since it would spoil every sum."""
    events = np.zeros(2, EVENT)
    events["value"] = [1, value]
    assert "finite" in refusal(dataclasses.replace(random_episode(TOY, FRAMES), events=events))


@pytest.mark.parametrize(
    "events", [np.zeros(2), np.zeros((1, 1), EVENT), np.zeros(1, [("frame", "<i4")])]
)
def test_events_of_another_form_are_refused(events: object) -> None:
    """Events of another shape or type are refused."""
    assert "core.game.EVENT" in refusal(
        dataclasses.replace(random_episode(TOY, FRAMES), events=events)
    )


@pytest.mark.parametrize("value", [{1, 2}, np.float32(1), float("nan"), b"x", {(1, 2): 3}])
def test_metadata_fits_into_json(value: object) -> None:
    """Metadata that JSON cannot hold is refused."""
    assert "metadata must fit into JSON" in refusal(random_episode(TOY, FRAMES, note=value))


def test_metadata_of_plain_data_is_allowed() -> None:
    """Metadata of texts, numbers and lists, or none, is accepted."""
    episode = random_episode(TOY, FRAMES, players=["a", "b"], result={"winner": None, "score": 1.5})
    check(episode, TOY)
    assert json.loads(json.dumps(episode.meta))["result"]["winner"] is None


def test_an_episode_counts_its_decisions() -> None:
    """T decisions are T + 1 rows; events default to none."""
    episode = Episode(TOY.neutral(5), absent=frozenset({"player/x"}))
    assert (episode.rows, episode.frames) == (5, 4)
    np.testing.assert_array_equal(episode.events, no_events())
    assert [
        key for key, valid in zip(TOY.columns, episode.valid(TOY), strict=True) if not valid
    ] == ["player/x"]
