"""Rows from landmarks and the game's state: equal offline and live, per second, and one frame late."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.errors import UsageError
from shadowbox.games.gesture import body, features
from shadowbox.games.gesture.features import (
    GAME_COLUMNS,
    _FeatureStream,
    _Landmarks,
    grid,
    landmark_columns,
    rows_at,
)
from shadowbox.games.gesture.schema import FPS, HAND_OF, SCHEMA
from shadowbox.games.gesture.script import REST, _near, write_script
from shadowbox.testing import random_rows


def random_frames(rng: np.random.Generator, count: int, rate: float) -> _Landmarks:
    """Frames of an uneven camera that loses hands and finds a number that is not finite."""
    times = np.cumsum(rng.exponential(1 / rate, count)) + 5.0
    pose = rng.normal(0, 0.5, (count, 33, 3)).astype(np.float32)
    pose[rng.random(count) < 0.1, 3, 1] = np.nan
    return _Landmarks(
        times,
        pose,
        rng.random((count, 33)).astype(np.float32),
        rng.normal(0, 0.1, (count, 42, 3)).astype(np.float32),
        rng.random((count, 3)) < 0.8,
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1 << 30), rate=st.floats(12, 70), count=st.integers(2, 40))
def test_live_rows_equal_those_of_a_recording_bit_for_bit(seed, rate, count):
    """Frames and states of the game, given one by one as they come, make the recording's rows."""
    rng = np.random.default_rng(seed)
    frames = random_frames(rng, count, rate)
    rows = grid(float(frames.time[0]), float(frames.time[-1]))
    game_times = np.sort(rng.uniform(4.9, float(frames.time[-1]), 9))
    states = random_rows(SCHEMA, 9, seed=seed % 1000)
    game = {key: states[key] for key in GAME_COLUMNS}
    offline = rows_at(rows, frames, game_times, game)
    stream, at, known = _FeatureStream(), 0, 0
    live = []
    for time in rows:
        while at < count and frames.time[at] <= time:
            stream.see(frames.part(slice(at, at + 1)))
            at += 1
        while known < 9 and game_times[known] <= time:
            stream.know({key: values[known : known + 1] for key, values in game.items()})
            known += 1
        live.append(stream.row())
    assert live[0].keys() == offline.keys() == set(SCHEMA.state_keys)
    for key, values in offline.items():
        together = np.concatenate([row[key] for row in live])
        assert values.dtype == together.dtype
        np.testing.assert_array_equal(together, values, err_msg=key)


def test_velocity_is_per_second_at_any_frame_rate():
    """A steady movement has the same velocity at 15 and at 60 frames a second, and none in a gap."""
    for rate in (15.0, 60.0):
        times = np.arange(8) / rate
        times[5:] += 0.5
        pose = np.zeros((8, 33, 3), np.float32)
        pose[:, 0, 0] = times * 2
        still = np.zeros((8, 42, 3), np.float32)
        frames = _Landmarks(times, pose, np.ones((8, 33), np.float32), still, np.ones((8, 3), bool))
        speed = landmark_columns(frames)["pose/vx"][:, 0]
        np.testing.assert_allclose(speed[1:5], 2, rtol=1e-3)
        assert speed[0] == speed[5] == 0
        np.testing.assert_allclose(speed[6:], 2, rtol=1e-3)


def test_a_lost_hand_is_zero_and_comes_back_without_a_jump():
    """A hand that was not found has no place and no velocity, in the frame of its return either."""
    rng = np.random.default_rng(1)
    frames = random_frames(rng, 6, 30)
    frames.seen[:] = True
    frames.pose[:] = 0.1
    frames.seen[2:4, 1] = False
    columns = landmark_columns(frames)
    left = HAND_OF["left"]
    assert not columns["hand/x"][2:4, left].any()
    assert not columns["hand/vx"][2:5, left].any()
    assert columns["hand/vx"][1, left].all()
    assert columns["hand/vx"][3, HAND_OF["right"]].all()
    assert columns["seen/left_hand"][:, 0].tolist() == [True, True, False, False, True, True]


def test_no_row_shows_the_effect_of_its_own_controls():
    """The game's state of a row is the newest one at the row before; the first row knows none."""
    rows = np.arange(4) / FPS
    frames = random_frames(np.random.default_rng(2), 4, 30)
    states = {key: np.repeat(values, 4, 0) for key, values in features.resting_game().items()}
    states["game/health"] = np.arange(4, dtype=np.float32)[:, None] + 1
    columns = rows_at(rows, frames.part(slice(0, 4)), rows, states)
    assert columns["game/health"][:, 0].tolist() == [20, 1, 2, 3]


def test_people_to_test_on_are_outside_of_those_to_train_on():
    """At least three numbers of a person never overlap between the two ranges; the seed decides."""
    apart = [
        name
        for name, (_, train, test) in body.PEOPLE.items()
        if test[0] > train[1] or test[1] < train[0]
    ]
    assert len(apart) >= 3
    first, again, other = (body.session(body.person(seed, 1, "test"), 3, 4.0) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.frames.pose, again.frames.pose)
    assert first.frames.pose.shape != other.frames.pose.shape or not np.array_equal(
        first.frames.pose, other.frames.pose
    )
    for name in apart:
        low, high = body.PEOPLE[name][2]
        assert low <= first.meta["numbers"][name] <= high


def test_long_rests_are_without_keys_and_with_small_movements():
    """About the asked share of a session is long rests, in which no key is down and joints still move."""
    rng = np.random.default_rng(3)
    made = write_script(rng, 12_000, 0.4)
    rest = made.gestures["rest"]
    assert 0.3 < rest.mean() < 0.5
    for name, values in made.controls.items():
        if not name.startswith("cursor") and name != "open_inventory":
            assert not values[rest].any(), name
    assert np.count_nonzero(rest[1:] & ~rest[:-1]) < len(rest) / REST[0]
    assert not write_script(rng, 2_000, 0.0).gestures["rest"].any()
    who = replace(body.person(0, 0), numbers={**body.person(0, 0).numbers, "fidgets": 0.05})
    joints = body._joints(who, rng, made.gestures)
    crouch = joints[:, body.JOINTS.index("crouch")]
    inside = rest & ~_near(~rest, 10)
    assert 0.04 < crouch[inside].max() < 0.3  # half of a gesture is 0.4 at least
    with pytest.raises(UsageError, match="rests must be a share from 0 to"):
        next(body.record(0, 0, people=1, seconds=4.0, people_of="train", rests=0.9))


def test_a_key_goes_down_when_its_gesture_is_half_made():
    """Where `attack` begins, the better hand is on its way from the hip to the front."""
    who = body.person(0, 2)
    made = body.session(who, 0, 120.0)
    attack = made.controls["attack"] > 0
    began = np.flatnonzero(attack[1:] & ~attack[:-1]) + 1
    wrist = body.POSE_LANDMARKS.index(f"{made.meta['hand']}_wrist")
    depth = -made.frames.pose[:, wrist, 2]
    times = made.frames.time

    def near(frames):
        return depth[np.clip(np.searchsorted(times, frames / FPS), 0, len(times) - 1)].mean()

    assert len(began) > 5
    assert near(began - 12) + 0.1 < near(began) < near(began + 5)
