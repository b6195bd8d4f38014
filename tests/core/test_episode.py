"""An episode that its schema does not allow is refused in one sentence that says where and what."""

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
    """What the check says."""
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
    """Whatever a schema allows is accepted."""
    check(random_episode(schema, frames, seed), schema)


@given(schemas(), st.integers(1, 8), st.integers(0, 999), st.data())
@settings(max_examples=200)
def test_a_single_bad_value_is_named_exactly(
    schema: Schema, frames: int, seed: int, data: st.DataObject
) -> None:
    """One value outside the range, wherever it is, is named with episode, frame, field, slot, value and range."""
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
    said = refusal(episode, schema, "the 7th")
    assert said.startswith(f"the 7th, frame {frame}, {key}[{slot}]: ")
    assert str(bad) in said
    assert said.endswith(allowed)


@pytest.mark.parametrize(
    ("key", "value", "dtype", "said"),
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
    key: str, value: float, dtype: object, said: str
) -> None:
    """The sentence has the value as it is in the recording."""
    assert refusal(with_value(key, 4, 1, value, dtype)) == f"replay.slp, frame 4, {said}"


def test_limits_themselves_are_allowed() -> None:
    """Both ends of a range belong to it."""
    for value in (-100, 100):
        check(with_value("player/x", 0, 0, value), TOY)
    check(with_value("player/action", 0, 0, 299), TOY)


def test_a_half_that_would_overflow_is_refused() -> None:
    """65504 fits into two bytes; more would silently become infinite on disk."""
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
    """The first bad value in time is named and the others are counted."""
    episode = random_episode(TOY, FRAMES)
    episode.columns["player/x"][3, 0] = episode.columns["player/x"][2, 1] = episode.columns[
        "player/x"
    ][5] = 1000
    assert (
        refusal(episode)
        == "replay.slp, frame 2, player/x[1]: 1000.0, allowed -100 .. 100 (4 such values)"
    )


def test_an_unused_slot_holds_nothing() -> None:
    """A value in a slot that its mask says is not in use is refused, although its range would allow it."""
    episode = random_episode(TOY, FRAMES)
    for key in ("item/alive", "item/x", "item/kind"):
        episode.columns[key][:] = 0
    episode.columns["item/kind"][4, 2] = 3
    message = "replay.slp, frame 4, item/kind[2]: 3 in a slot that alive says is not in use; zero is expected"
    assert refusal(episode) == message


@pytest.mark.parametrize(("who", "value"), [("player", 2), ("other", -2)])
def test_events_belong_to_players(who: str, value: int) -> None:
    """An event of somebody who is not in the game is refused."""
    episode = random_episode(TOY, FRAMES)
    episode.events[who][1] = value
    assert refusal(episode) == f"replay.slp: an event whose {who} is no player: -1 .. 1 is possible"


def test_zeros_in_an_unused_slot_are_allowed_outside_the_range() -> None:
    """item/x begins at 1, and where no item is alive it is 0; where one is alive 0 is refused."""
    episode = random_episode(TOY, FRAMES)
    episode.columns["item/alive"][:] = False
    for name in ("x", "kind"):
        episode.columns[f"item/{name}"][:] = 0
    check(episode, TOY)
    episode.columns["item/alive"][2, 1] = True
    assert refusal(episode) == "replay.slp, frame 2, item/x[1]: 0.0, allowed 1 .. 9"


@pytest.mark.parametrize("value", [np.nan, np.inf, 100.0])
def test_an_unused_slot_hides_nothing_but_zeros(value: float) -> None:
    """A bad value in an empty slot is refused like any other."""
    episode = random_episode(TOY, FRAMES)
    episode.columns["item/alive"][3, 2] = False
    episode.columns["item/x"][3, 2] = value
    assert f"frame 3, item/x[2]: {value}, allowed 1 .. 9" in refusal(episode)


def test_a_missing_column_is_named() -> None:
    """A column that is not there is an error with its name, never zeros."""
    said = refusal(with_columns(player__percent=None))
    assert said.startswith("replay.slp: column player/percent is missing")


@pytest.mark.parametrize("absent", [False, True])
def test_an_unknown_column_is_named_with_the_nearest_known(absent: bool) -> None:
    """A misspelt column or absent mark answers with what was probably meant."""
    episode = random_episode(TOY, FRAMES)
    if absent:
        episode = dataclasses.replace(episode, absent=frozenset({"player/percnt"}))
    else:
        episode.columns["player/percnt"] = episode.columns["player/percent"]
    said = refusal(episode)
    assert "column player/percnt is not in the schema" in said
    assert "did you mean 'player/percent'?" in said


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
    """Too few slots, rows or axes: found and expected shape are said."""
    episode = random_episode(TOY, FRAMES)
    expected = (FRAMES + 1, TOY.columns[key].slots)
    episode.columns[key] = np.zeros(shape, TOY.columns[key].dtype)
    assert refusal(episode) == f"replay.slp, {key}: shape {shape}, expected {expected}"


@pytest.mark.parametrize("shape", [(), (3, 1), (0, 1)])
def test_a_wrong_first_column_is_an_episode_error(shape: tuple[int, ...]) -> None:
    """Whichever column has the odd shape, the answer is a named error."""
    episode = random_episode(TOY, FRAMES)
    episode.columns["stage/id"] = np.zeros(shape, np.uint8)
    assert refusal(episode).startswith("replay.slp")


@pytest.mark.parametrize(
    ("key", "dtype", "kind"),
    [("player/x", bool, "real"), ("player/x", complex, "real"), ("player/on_ground", np.uint8, "flag"),
     ("player/action", np.float32, "choice"), ("player/action", bool, "choice"), ("player/x", object, "real")],
)  # fmt: skip
def test_a_wrong_type_is_named(key: str, dtype: object, kind: str) -> None:
    """Values of a type that cannot be meant are refused, not converted."""
    episode = random_episode(TOY, FRAMES)
    episode.columns[key] = episode.columns[key].astype(dtype)
    assert (
        refusal(episode)
        == f"replay.slp, {key}: values of type {np.dtype(dtype)}, a {kind} is needed"
    )


def test_reals_may_come_as_integers_and_doubles() -> None:
    """What converts without a change of meaning is accepted."""
    check(
        with_columns(
            player__x=np.full((7, 2), 5, np.int16), player__action=np.full((7, 2), 5, np.int64)
        ),
        TOY,
    )
    check(with_columns(player__x=np.full((7, 2), 5.5, np.float64)), TOY)


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_an_absent_column_holds_zeros(value: float) -> None:
    """A column that is marked absent and holds values is a contradiction."""
    episode = dataclasses.replace(random_episode(TOY, FRAMES), absent=frozenset({"stage/wind"}))
    episode.columns["stage/wind"][:] = 0
    check(episode, TOY)
    episode.columns["stage/wind"][3] = value
    assert refusal(episode).startswith(
        "replay.slp, stage/wind: it is marked absent and holds values"
    )


def test_absent_zeros_may_be_outside_the_range() -> None:
    """Zeros of an absent column are no values, whatever the range says."""
    episode = dataclasses.replace(random_episode(TOY, FRAMES), absent=frozenset({"item/x"}))
    episode.columns["item/alive"][:] = True
    episode.columns["item/x"][:] = 0
    check(episode, TOY)


@pytest.mark.parametrize("rows", [0, 1])
def test_an_episode_has_a_decision(rows: int) -> None:
    """Fewer than two rows hold no decision and the state after it."""
    assert f"replay.slp: {rows} rows" in refusal(Episode(TOY.neutral(rows)))


def test_no_columns_at_all() -> None:
    """An empty episode is refused with the first column that is missing."""
    assert "column stage/id is missing" in refusal(Episode({}))


@pytest.mark.parametrize("frame", [-1, FRAMES + 1])
def test_an_event_outside_the_episode_is_named(frame: int) -> None:
    """An event's frame is a row of the episode; the sentence says which rows there are."""
    events = np.zeros(1, EVENT)
    events["frame"] = frame
    said = refusal(dataclasses.replace(random_episode(TOY, FRAMES), events=events))
    assert said == f"replay.slp: an event at frame {frame}, frames are 0 .. {FRAMES}"


def test_events_on_the_first_and_last_row_are_allowed() -> None:
    """Frames count from 0 to T, and several events may share one."""
    events = np.zeros(4, EVENT)
    events["frame"] = [0, 0, FRAMES, FRAMES]
    check(dataclasses.replace(random_episode(TOY, FRAMES), events=events), TOY)


def test_an_event_of_an_unknown_kind_is_refused() -> None:
    """Where the kinds are known, the number that is none of them is said beside their names."""
    events = np.zeros(2, EVENT)
    events["kind"] = [1, 2]
    episode = dataclasses.replace(random_episode(TOY, FRAMES), events=events)
    check(episode, TOY, "replay.slp", ["hit", "fall", "win"])
    with pytest.raises(EpisodeError, match="an event of kind 2, there are 2: hit, fall"):
        check(episode, TOY, "replay.slp", ["hit", "fall"])


def test_events_in_disorder_are_refused() -> None:
    """Readers count on the order of events."""
    events = np.zeros(3, EVENT)
    events["frame"] = [1, 3, 2]
    assert "ordered by frame" in refusal(
        dataclasses.replace(random_episode(TOY, FRAMES), events=events)
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_event_carries_a_finite_value(value: float) -> None:
    """A damage of NaN would poison every sum."""
    events = np.zeros(2, EVENT)
    events["value"] = [1, value]
    assert "finite" in refusal(dataclasses.replace(random_episode(TOY, FRAMES), events=events))


@pytest.mark.parametrize(
    "events", [np.zeros(2), np.zeros((1, 1), EVENT), np.zeros(1, [("frame", "<i4")])]
)
def test_events_of_another_form_are_refused(events: object) -> None:
    """Events are one row each of the one dtype."""
    assert "core.game.EVENT" in refusal(
        dataclasses.replace(random_episode(TOY, FRAMES), events=events)
    )


@pytest.mark.parametrize("value", [{1, 2}, np.float32(1), float("nan"), b"x", {(1, 2): 3}])
def test_metadata_fits_into_json(value: object) -> None:
    """What could not be written is refused before anything is."""
    assert "metadata does not fit into JSON" in refusal(random_episode(TOY, FRAMES, note=value))


def test_metadata_of_plain_data_is_allowed() -> None:
    """Texts, numbers, lists and nothing at all are fine."""
    episode = random_episode(TOY, FRAMES, players=["a", "b"], result={"winner": None, "score": 1.5})
    check(episode, TOY)
    assert json.loads(json.dumps(episode.meta))["result"]["winner"] is None


def test_an_episode_counts_its_decisions() -> None:
    """T decisions are T + 1 rows, and events are none unless given."""
    episode = Episode(TOY.neutral(5), absent=frozenset({"player/x"}))
    assert (episode.rows, episode.frames) == (5, 4)
    np.testing.assert_array_equal(episode.events, no_events())
    assert [
        key for key, valid in zip(TOY.columns, episode.valid(TOY), strict=True) if not valid
    ] == ["player/x"]
