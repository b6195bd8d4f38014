"""The place and its mock server: messages and errors as the mods have them, and a course to walk."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.errors import UsageError
from shadowbox.games.gesture.controller import _Settings, at_rest, certain, process
from shadowbox.games.gesture.mcctp_bridge import _Core
from shadowbox.games.gesture.mcctp_messages import ACTIONS, action, game_state
from shadowbox.games.gesture.place.course import TASKS
from shadowbox.games.gesture.place.server import _MockServer
from shadowbox.games.gesture.place.trials import KEYS_POLICY, NO_KEYS, trials
from shadowbox.games.gesture.place.walker import _Walker


def walk(seed, keys=None, seconds=60, wrong="named"):
    """Walk the course without sockets: frames at 30 and ticks at 20 a second, by an own clock."""
    server, core, walker = _MockServer(seed, wrong), _Core(), _Walker()
    memory, log = at_rest(), []
    log += core.connected()
    for n in range(60 * seconds):
        now = n / 60
        if n % 3 == 0:
            core.receive(server.step(), now)
        if n % 2 == 0:
            meant = walker.keys(server.place) if keys is None else keys
            controls, memory = process(
                _Settings(), memory, certain(meant), screen_open=server.place.screen, dt=1 / 30
            )
            core.order(controls, now, now, now)
        for message in core.turn(now):
            log.append(message)
            assert server.answer(message) is None
        if server.place.done:
            break
    return server, core, log


@pytest.mark.parametrize(("seed", "wrong"), [(0, "named"), (1, "original")])
def test_the_walker_finishes_the_course_through_controller_and_bridge(seed, wrong):
    """Gates, step, blocks, door, hotbar and screen: all tasks are done in 20 s without an error.

    The game may be of an older revision, which sends fewer fields.
    """
    server, core, _ = walk(seed, wrong=wrong)
    results = server.place.results()
    assert results["tasks"] == len(TASKS)
    assert results["seconds"] < 20
    assert results["wrong_turns"] == 0
    assert results["blocks_hit"] == 3
    assert server.errors == 0
    assert not core.problems


def test_a_match_is_a_function_of_its_seed():
    """The same seed gives the same messages and the same place; another seed does not."""
    first, again, other = walk(4, seconds=3), walk(4, seconds=3), walk(5, seconds=3)
    assert first[2] == again[2]
    assert first[0].place == again[0].place
    assert first[2] != other[2]


def test_pressing_nothing_scores_nothing():
    """A player who presses nothing finishes no task, and stays where the match began."""
    server, _, _ = walk(0, keys={}, seconds=5)
    assert server.place.results()["tasks"] == 0
    assert (server.place.x, server.place.z) == (_MockServer(0).place.x, _MockServer(0).place.z)


def test_keys_stay_held_when_a_course_begins():
    """A client presses a key once; the next course knows it, and its release, too."""
    server = _MockServer(seed=1)
    walks = {"action": "move", "params": {"direction": "forward", "state": "start"}}
    assert server.answer(json.dumps(walks)) is None
    before = server.place
    server.begin(2)
    assert server.place is not before
    assert server.place.held == {"forward"}
    walks["params"]["state"] = "stop"
    server.answer(json.dumps(walks))
    assert not server.place.held


def test_turning_away_from_a_task_is_counted():
    """A player who faced the task and turns around has made a wrong turn."""
    server = _MockServer(0)
    for yaw in (-server.place.yaw - 90, 150, 0, 0):
        server.answer(action("look", yaw=yaw, pitch=0.0, relative=True))
        server.step()
    assert server.place.score["wrong_turns"] == 1


def test_each_action_of_the_protocol_is_obeyed():
    """Every action with its example is taken without an error."""
    server = _MockServer()
    for name, params in ACTIONS.items():
        assert server.answer(action(name, **params)) is None, name
    assert set(server.actions) == set(ACTIONS)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ({"action": "swap_offhand"}, "Unknown action: swap_offhand: did you mean 'swap_hands'?"),
        ({"params": {}}, "Missing 'action' field"),
        ({"action": "select_slot", "params": {"slot": 12}}, "slot 12"),
        ({"action": "move", "params": {"direction": "up", "state": "start"}}, "direction up"),
        ({"action": "look", "params": {"yaw": "NaN", "pitch": 0}}, "not finite"),
        (["action"], "Missing 'action' field"),
    ],
)
def test_wrong_calls_are_answered_with_an_error(call, named):
    """A wrong call is answered, named and changes nothing."""
    server = _MockServer()
    before = server.state()
    answer = json.loads(server.answer(json.dumps(call)))
    assert answer["type"] == "error"
    assert named in answer["message"]
    assert server.state() == before


@given(st.binary(max_size=40) | st.text('{}[]":,01action', max_size=40))
@settings(max_examples=100, deadline=None)
def test_the_server_survives_any_message(text):
    """No message of a client ends the server or moves the player to a place that is not finite."""
    server = _MockServer()
    assert json.loads(server.answer(text))["type"] == "error"
    assert np.isfinite([server.place.x, server.place.yaw]).all()


def test_the_originals_wrong_calls_are_answered_as_the_mod_does():
    """Mode `original`: bare words, a throw instead of a drop, and states without later fields."""
    server = _MockServer(wrong="original")
    answer = json.loads(server.answer('{"action": "swap_offhand", "params": {}}'))
    assert answer == {"type": "error", "message": "Unknown action: swap_offhand"}
    server.answer('{"action": "throw_item", "params": {}}')
    assert json.loads(server.step())["playerInput"]["useItem"]
    state = server.state()
    assert "fallDistance" not in state["playerState"]
    assert "gameMode" not in state
    assert game_state(state)["playerState.fallDistance"] == 0
    with pytest.raises(UsageError, match="wrong='other'"):
        _MockServer(wrong="other")


def test_policies_are_compared_on_the_same_courses():
    """The person's keys finish a course in simulated time, and pressing nothing does no task."""
    policies = {"keys": (KEYS_POLICY, _Settings()), "neutral": (NO_KEYS, _Settings())}
    found = trials(policies, [2], people="train", seconds=20)
    assert found["keys"]["tasks"].value == len(TASKS)
    assert found["keys"]["seconds"].value < 20
    assert found["keys"]["wrong_turns"].value == 0
    assert found["neutral"]["tasks"].value == 0
    assert found["neutral"]["seconds"].value == pytest.approx(20, abs=0.1)
