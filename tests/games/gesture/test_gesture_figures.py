"""Figures of sessions: perfect and idle predictors, delays, copies of history, and false triggers."""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.games.gesture import body
from shadowbox.games.gesture.controller import KEYS
from shadowbox.games.gesture.figures import count, figures, supported
from shadowbox.games.gesture.recording import episodes_of
from shadowbox.games.gesture.schema import FPS, SCHEMA


@pytest.fixture(scope="module")
def session():
    """State and controls [T, 1] of a synthetic person's session of 400 seconds."""
    episode = next(iter(episodes_of(body.session(body.person(1, 0), 3, 400))))
    rows = {key: values[:-1] for key, values in episode.columns.items()}
    state = {key: rows[key] for key in SCHEMA.state_keys}
    return state, {key: rows[key] for key in SCHEMA.control_keys}


def judged(session, pressed, forced=False):
    """Figures of pressed controls in one session."""
    state, recorded = session
    whole = count(state, recorded, pressed, forced)
    found = figures({name: np.asarray(each)[None] for name, each in whole.items()}, whole)
    return {name: float(value[0]) for name, value in found.items()}


def moved(controls, by):
    """Controls `by` rows later; nothing before."""
    out = {key: np.zeros_like(values) for key, values in controls.items()}
    for key, values in controls.items():
        out[key][by:] = values[: len(values) - by]
    return out


def test_the_recorded_controls_are_perfect(session):
    """Pressing as recorded scores 1 everywhere, without delay, error or false trigger."""
    found = judged(session, session[1])
    for name in ("press_f1", "onset_f1", "offset_f1", "choice_f1", "idle_accuracy", "look_r2"):
        assert found[name] == 1, name
    assert found["score"] == pytest.approx(1)
    for name in ("onset_delay", "false_triggers", "look_mse", "cursor_mse", "cursor_px"):
        assert found[name] == 0, name


def test_pressing_nothing_scores_no_onset_and_rests_perfectly(session):
    """A predictor that does nothing has no onset, no false trigger, and explains no look."""
    still = {key: np.zeros_like(values) for key, values in session[1].items()}
    found = judged(session, still)
    assert found["onset_f1"] == found["press_f1"] == found["choice_f1"] == 0
    assert found["idle_accuracy"] == 1
    assert found["false_triggers"] == 0
    assert found["look_r2"] <= 0
    assert found["cursor_px"] > 100


def test_a_copy_of_the_recorded_history_begins_nothing(session):
    """Repeating the recorded row before is right in most rows, and still scores no onset or slot."""
    late = moved(session[1], 1)
    forced, live = judged(session, late, forced=True), judged(session, late)
    assert forced["press_f1"] > 0.5
    assert forced["onset_f1"] == forced["choice_f1"] == forced["offset_f1"] == 0
    assert live["onset_f1"] == 1  # the same keys, pressed one row late by itself
    assert forced["onset_f1_series"] == live["onset_f1_series"]


def test_delays_are_measured_beyond_the_tolerance(session):
    """Presses six rows late are no hits, and their delay of six rows is measured in rows and ms."""
    found = judged(session, moved(session[1], 6))
    assert found["onset_f1"] < 0.3
    assert found["onset_delay"] == pytest.approx(6, abs=0.5)
    assert found["onset_delay_ms"] == pytest.approx(found["onset_delay"] * 1000 / FPS)


def test_false_triggers_are_counted_in_a_minute_of_rest(session):
    """Three jumps while nothing is recorded are three triggers over the minutes of rest."""
    state, recorded = session
    pressed = {key: values.copy() for key, values in recorded.items()}
    whole = count(state, recorded, recorded, False)
    busy = np.stack([recorded[f"control/{name}"][:, 0] != 0 for name in (*KEYS, "looking")]).any(0)
    busy |= recorded["control/hotbar"][:, 0] > 0
    free = [at for at in range(10, len(busy) - 10) if not busy[at - 5 : at + 6].any()]
    chosen = free[:1] + [at for at in free if at > free[0] + 40][:1] + free[-1:]
    for at in chosen:
        pressed["control/jump"][at] = True
    found = judged(session, pressed)
    minutes = whole["rest"][2] / FPS / 60
    assert found["false_triggers"] == pytest.approx(len(chosen) / minutes)
    assert found["idle_accuracy"] < 1


def test_macro_figures_take_supported_keys_only(session):
    """A key without enough recorded presses does not change the mean; the older score counts it as 0."""
    state, recorded = session
    whole = count(state, recorded, recorded, False)
    enough = supported(whole)
    assert enough.any()
    rare = {**recorded, "control/drop_item": np.zeros_like(recorded["control/drop_item"])}
    rare["control/drop_item"][100] = True
    whole = count(state, rare, recorded, False)
    assert not supported(whole)[KEYS.index("drop_item")]
    assert judged((state, rare), recorded)["onset_f1"] == 1
    found = judged(session, recorded)
    never = [name for at, name in enumerate(KEYS) if not whole["onsets"][at, 1]]
    assert all(f"onset_f1.control/{name}" not in found for name in never)


def test_a_turn_to_the_other_side_has_the_wrong_direction(session):
    """Negated looks have no right direction and explain less than nothing."""
    pressed = {**session[1], "control/look_yaw": -session[1]["control/look_yaw"]}
    found = judged(session, pressed)
    assert 0 < found["look_direction"] < 1
    assert found["look_r2"] < 0
