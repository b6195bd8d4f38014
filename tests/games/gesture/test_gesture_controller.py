"""Controller: from answers of a policy to controls, as pure functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.episode import Episode, check
from shadowbox.games.gesture.controller import (
    KEYS,
    SCREEN_KEYS,
    _Answers,
    _Settings,
    at_rest,
    certain,
    control_columns,
    process,
)
from shadowbox.games.gesture.schema import SCHEMA

DT = 1 / 30


def series(answers, screens=None, options=None, dt=DT):
    """Controls of a series of answers."""
    memory, out = at_rest(), []
    for n, answer in enumerate(answers):
        screen = bool(screens[n]) if screens is not None else False
        controls, memory = process(
            options or _Settings(), memory, answer, screen_open=screen, dt=dt
        )
        out.append(controls)
    return out


def key(name, *probabilities):
    """Answers with one key at these probabilities."""
    return [certain({name: p}) for p in probabilities]


def down(controls, name):
    """Frames in which a key is down, as 0 and 1."""
    return [int(c.keys[KEYS.index(name)]) for c in controls]


def test_thresholds_have_hysteresis():
    """A key goes down above threshold + margin and up below threshold - margin."""
    rises = series(key("jump", 0.52, 0.54, 0.56, 0.52, 0.46, 0.44, 0.54, 0.56))
    assert down(rises, "jump") == [0, 0, 1, 1, 1, 0, 0, 1]
    strict = _Settings(thresholds={"jump": 0.9})
    assert down(series(key("jump", 0.8, 0.96), options=strict), "jump") == [0, 1]
    assert down(series(key("sneak", 0.8, 0.96), options=strict), "sneak") == [1, 1]


def test_keys_count_in_their_mode_only():
    """In play clicks do nothing, on a screen walking does nothing, and opening counts always."""
    everything = [certain(dict.fromkeys(KEYS, 1.0))] * 12
    screens = [False] * 6 + [True] * 6
    controls = series(everything, screens)
    play, screen = controls[0], controls[-1]
    assert play.keys[~SCREEN_KEYS].all()
    assert not play.keys[SCREEN_KEYS].any()
    assert screen.keys[SCREEN_KEYS].all()
    assert [KEYS[n] for n in np.flatnonzero(screen.keys & ~SCREEN_KEYS)] == ["open_inventory"]


def test_a_mode_changes_after_some_frames_without_presses_between():
    """A screen that flickers for two frames changes no mode, and nothing is pressed meanwhile."""
    walking = key("move_forward", *[1.0] * 8)
    controls = series(walking, [False, True, True, False, True, True, True, True])
    assert [c.screen for c in controls] == [False] * 6 + [True] * 2
    assert down(controls, "move_forward") == [1, 0, 0, 1, 0, 0, 0, 0]


def test_the_look_has_a_dead_zone_and_is_smooth():
    """Small looks turn nothing; a look approaches its rate, and never passes it."""
    small = series([certain({"look_yaw": 0.07, "look_pitch": -0.07})] * 5)
    assert not any(c.look.any() for c in small)
    steady = [c.look[0] for c in series([certain({"look_yaw": 0.4})] * 60)]
    assert np.all(np.diff(steady) >= 0)
    assert steady[-1] == pytest.approx(120, abs=1)
    assert max(abs(np.diff([0, *steady]))) <= 900 * DT + 1e-9
    ungated = certain({"look_yaw": 0.4})._replace(looking=0.2)
    assert not any(c.look.any() for c in series([ungated] * 5))


def test_a_look_ends():
    """After the last look the turn brakes within three frames, to exactly zero within half a second."""
    controls = series([certain({"look_yaw": 0.5})] * 20 + [certain({})] * 15)
    assert np.abs(controls[22].look[0]) < 0.01 * np.abs(controls[19].look[0])
    assert controls[-1].look.tolist() == [0, 0]


@given(st.sampled_from([15, 30, 60]), st.floats(-1, 1))
@settings(max_examples=30, deadline=None)
def test_the_frame_rate_changes_no_speed(fps, look):
    """After a second of the same look the turning speed agrees at 15, 30 and 60 frames a second."""
    ends = [
        series([certain({"look_yaw": look})] * rate, dt=1 / rate)[-1].look[0] for rate in (30, fps)
    ]
    assert ends[1] == pytest.approx(ends[0], abs=1.0)


def test_a_slot_needs_agreement_of_several_frames():
    """Two frames of a slot change nothing, three choose it once, and a long vote chooses no more."""
    two = [certain({"hotbar": 4})] * 2 + [certain({})] * 3
    assert [c.slot for c in series(two)] == [0] * 5
    long = series([certain({"hotbar": 4})] * 9)
    assert [c.slot for c in long] == [0, 0, 4, 0, 0, 0, 0, 0, 0]
    torn = [certain({"hotbar": n}) for n in (4, 5, 4, 5, 4, 5)]
    assert not any(c.slot for c in series(torn))


def test_the_gate_of_the_hotbar_says_no_change():
    """A slot that is likely among the slots is not chosen while no change is likelier."""
    hotbar = np.array([0.6, 0.4, *[0.0] * 8])
    assert not any(c.slot for c in series([certain({})._replace(hotbar=hotbar)] * 6))


def test_the_cursor_is_smooth_and_begins_in_the_middle():
    """The cursor moves half of the way a frame, and begins in the middle of each screen."""
    corner = [certain({"cursor_x": 1.0, "cursor_y": -1.0})] * 10
    controls = series(corner, [True] * 10)
    assert controls[3].cursor.tolist() == pytest.approx([0.5, -0.5])
    assert controls[-1].cursor == pytest.approx([1, -1], abs=0.02)
    again = series(corner + corner, [True] * 5 + [False] * 5 + [True] * 10)
    assert np.abs(again[9].cursor).max() == 0
    assert np.abs(again[12].cursor).max() == 0


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=10, deadline=None)
def test_controls_are_always_allowed_and_repeatable(seed):
    """Any answers give controls that the schema allows, twice the same."""
    random = np.random.default_rng(seed)
    answers = [
        _Answers(random.random(15), float(random.random()), random.uniform(-1, 1, 2),
                 random.dirichlet(np.ones(10)), random.uniform(-1, 1, 2))
        for _ in range(20)
    ]  # fmt: skip
    screens = random.random(20) < 0.3
    once, twice = series(answers, screens), series(answers, screens)
    state = SCHEMA.neutral(20)
    for n, (a, b) in enumerate(zip(once, twice, strict=True)):
        columns, same = control_columns(a), control_columns(b)
        for name, values in columns.items():
            np.testing.assert_array_equal(values, same[name])
            state[name][n] = values[0]
        assert np.abs(a.look).max() <= _Settings().look_most
    check(Episode(state, {}), SCHEMA, "gesture")
