"""Hostile input of the whole: what a camera, a game or a policy may send is named and survived."""

from __future__ import annotations

import contextlib
import json
import time

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from shadowbox.games.gesture.controller import KEYS, _Answers, certain
from shadowbox.games.gesture.game_fields import game_fields
from shadowbox.games.gesture.live import _AgentPolicy, _KeysPolicy, _LiveLoop
from shadowbox.games.gesture.mcctp_bridge import _Bridge, _Core
from shadowbox.games.gesture.mcctp_messages import game_state
from shadowbox.games.gesture.place.server import _MockServer
from shadowbox.games.gesture.schema import SCHEMA
from shadowbox.games.gesture.sources import (
    LARGEST_LANDMARKS,
    VISIBLE,
    _LandmarkSource,
    _PoseFrame,
    _SyntheticSource,
    landmarks_json,
)


def standing():
    """Frame of a person who stands."""
    values = np.zeros(260, np.float32)
    values[VISIBLE:] = 1
    return values


def mutated(random, text):
    """A message with a few letters removed, replaced or doubled."""
    letters = list(text)
    for _ in range(random.integers(1, 5)):
        at = int(random.integers(len(letters)))
        letters[at] = str(
            random.choice(["", "9", "-", "[", "}", '"', "1e999", "NaN", letters[at] * 2])
        )
    return "".join(letters)


def hostile(random, number):
    """A message to a landmark source: truncated, oversized, misshapen, not finite, or not JSON."""
    good = landmarks_json(standing())
    return (
        lambda: good[: int(random.integers(len(good)))],
        lambda: mutated(random, good),
        lambda: random.bytes(int(random.integers(1, 1500))),
        lambda: np.full(260, random.choice([np.nan, np.inf, 1e30]), "<f4").tobytes(),
        lambda: json.dumps({"pose": [[0] * 3] * int(random.integers(60)), "visibility": 3}),
        lambda: "[" * 5000,
        lambda: "x" * (LARGEST_LANDMARKS + 1),
    )[number % 7]()


def test_a_landmark_source_survives_hostile_clients():
    """After each hostile message the source still takes a good frame, and it counts what it refused."""
    random, good = np.random.default_rng(7), standing().tobytes()
    with _LandmarkSource() as source:
        for number in range(28):
            with contextlib.suppress(ConnectionClosed), connect(source.url) as camera:
                camera.send(hostile(random, number))
                camera.send(good)
            with connect(source.url) as camera:
                before = source.counts["frames"]
                camera.send(good)
                end = time.monotonic() + 20
                while source.counts["frames"] == before:
                    assert time.monotonic() < end, f"message {number} ended the source"
                    time.sleep(0.001)
        assert source.counts["refused"] >= 12
        assert all(str(problem).startswith("landmarks") for problem in source.problems)


def test_mutated_states_of_the_game_leave_allowed_fields():
    """Whatever a game sends, its fields stay finite and in the schema's range, and wrong ones are named."""
    random, core = np.random.default_rng(8), _Core()
    core.connected()
    good = json.dumps(_MockServer().state())
    for _ in range(400):
        core.receive(mutated(random, good), 1.0)
        for name, value in (core.fields or {}).items():
            field = SCHEMA.columns[f"game/{name}"].field
            low, high = getattr(field, "limits", None) or (0, getattr(field, "n", 2) - 1)
            assert low <= value <= high, (name, value)
    assert core.counts["refused"] > 100
    core.receive(good, 2.0)
    assert core.signs.state == 2.0
    assert core.fields == game_fields(game_state(json.loads(good)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_answers_that_are_not_finite_press_nothing(wrong):
    """A policy that answers NaN or infinity is named; nothing is pressed, and play goes on after it."""
    good = certain({"sneak": 1.0})
    answers = {
        0: good,
        1: _Answers(np.full(len(KEYS), wrong), 1.0, np.full(2, wrong), good.hotbar, good.cursor),
        2: good,
    }
    policy = _KeysPolicy(lambda number: {})
    policy.answer = lambda frame, game: answers[frame.number]
    loop = _LiveLoop(_SyntheticSource(standing), policy, _Bridge("ws://127.0.0.1:1/mcctp"))
    pressed = [
        loop.step(_PoseFrame(standing(), number / 30, number)).keys.sum() for number in range(3)
    ]
    assert pressed == [1, 0, 1]
    assert any("not finite" in problem for problem in loop.bridge.core.problems)


def test_any_landmarks_make_allowed_rows():
    """Extreme positions, leaps and clocks that stop or run back leave every column in its range."""
    random = np.random.default_rng(9)

    class Looks:
        """Agent that keeps what it was shown."""

        def __init__(self):
            self.rows = []

        def start(self, seeds, players, state=None, where=None):
            return None

        def act(self, view, state):
            self.rows.append(view)
            return {key: SCHEMA.neutral(1)[key] for key in SCHEMA.control_keys}, state

    agent = Looks()
    policy, at = _AgentPolicy(agent), 5.0
    for number in range(200):
        values = random.uniform(-10, 10, 260).astype(np.float32)
        values[225:227] = random.integers(0, 2, 2)
        values[227:] = random.uniform(0, 1, 33)
        at += float(random.choice([-0.5, 0.0, 1e-9, 0.03, 0.09, 3.0]))
        policy.answer(_PoseFrame(values, at, number), None)
    assert len(agent.rows) > 50
    for row in agent.rows:
        for key in SCHEMA.state_keys:
            field, values = SCHEMA.columns[key].field, row[key].astype(float)
            assert np.isfinite(values).all(), key
            if limits := getattr(field, "limits", None):
                assert (values >= limits[0]).all(), key
                assert (values <= limits[1]).all(), key
