"""Closed loop on recorded sessions: the same decisions as in live play, and intervals by session."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from shadowbox.core.view import mirrored
from shadowbox.evaluate.recorded import load_seat
from shadowbox.evaluate.sessions import force_sessions, play_sessions
from shadowbox.games import load
from shadowbox.games.gesture import body
from shadowbox.games.gesture.controller import KEYS, at_rest, process, settings_of
from shadowbox.games.gesture.live import _AgentPolicy
from shadowbox.games.gesture.recording import _Session, episodes_of
from shadowbox.games.gesture.schema import FPS, SCHEMA
from shadowbox.games.gesture.sources import _PoseFrame, frame_values
from shadowbox.model.policy import build_policy, preset_arguments
from shadowbox.play.chances import chance_reader
from shadowbox.play.policy_agent import PolicyAgent

GAME = load("gesture")
SECONDS = 6


@pytest.fixture(scope="module")
def policy():
    """Untrained policy without the game's state, whose answers are far from one half."""
    made = build_policy(SCHEMA, preset_arguments("small", GAME.encodings["body"]), seed=3)
    with torch.no_grad():
        for weight in made.head.parameters():
            weight.mul_(6).add_(0.3 * torch.randn(weight.shape, generator=torch.manual_seed(5)))
    return made.eval()


@pytest.fixture(scope="module")
def filmed():
    """A session of a person before a steady camera, without a game."""
    found = body.session(body.person(2, 1), 4, SECONDS)
    times = 7.0 + np.arange(len(found.frames)) / FPS
    frames = found.frames.part(slice(None))
    steady = type(frames)(times, frames.pose, frames.visibility, frames.hand, frames.seen)
    clock = np.arange(len(times)) / FPS + 7.0
    controls = {name: values[: len(times)] for name, values in found.controls.items()}
    return _Session(steady, clock[: len(controls["jump"])], controls, np.zeros(0), {}, {})


@pytest.mark.parametrize("hand", ["right", "left"])
def test_a_recording_in_closed_loop_is_decided_as_in_live_play(policy, filmed, hand):
    """Frame by frame through the live policy and its thresholds, the controls are the evaluation's.

    A left-handed person is mirrored in both, and in live play the controls are mirrored back.
    """
    episode = next(iter(episodes_of(replace(filmed, meta={"hand": hand}))))
    seat = load_seat(SCHEMA, episode.columns, 0, 0)
    settings = settings_of({}, 0.5)
    own = play_sessions(GAME.replay, policy, [seat], settings)[0]
    reader = chance_reader(PolicyAgent(policy))
    live = _AgentPolicy(
        PolicyAgent(policy), chances=reader, begin=reader.begin, left_handed=hand == "left"
    )
    memory, pressed = at_rest(), []
    for number in range(seat.frames):
        frames = filmed.frames.part(slice(number, number + 1))
        frame = _PoseFrame(frame_values(frames), float(frames.time[0]), number)
        controls, memory = process(
            settings, memory, live.answer(frame, None), screen_open=False, dt=1 / FPS
        )
        live.pressed(controls)
        pressed.append(controls.keys)
    if hand == "left":
        own = mirrored(SCHEMA, own)
    recorded = np.concatenate([own[f"control/{name}"] for name in KEYS], 1).astype(bool)
    assert 0.02 < recorded.mean() < 0.98
    assert (recorded[1:] != recorded[:-1]).any()
    np.testing.assert_array_equal(np.array(pressed), recorded)


def test_with_its_own_controls_recorded_both_histories_agree(policy, filmed):
    """Where the recorded controls are those that it presses, forced and closed loop are the same."""
    episode = next(iter(episodes_of(filmed)))
    seat = load_seat(SCHEMA, episode.columns, 0, 0)
    settings = settings_of({}, 0.5)
    own = play_sessions(GAME.replay, policy, [seat], settings)[0]
    columns = {**episode.columns}
    for key, values in own.items():
        columns[key] = np.concatenate([values, values[-1:] * 0]).astype(columns[key].dtype)
    again = load_seat(SCHEMA, columns, 0, 0)
    forced = force_sessions(GAME.replay, policy, [again], settings)[0]
    for name in KEYS:
        np.testing.assert_array_equal(forced[f"control/{name}"], own[f"control/{name}"])
