"""MCCTP: hostile messages, the game's fields, and the keys that the bridge presses and releases."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.errors import ShadowboxError
from shadowbox.games.gesture import mcctp_messages as mcctp
from shadowbox.games.gesture.controller import KEYS, _Controls
from shadowbox.games.gesture.game_fields import GAME_COLUMNS, RESTING, game_fields
from shadowbox.games.gesture.mcctp_bridge import NO_SHIFT, _BridgeSettings, _Core, _Hands
from shadowbox.games.gesture.place.server import _MockServer
from shadowbox.games.gesture.schema import MAIN_HAND, SCREENS

HOSTILE = [
    (b"\x00\x01", "binary"),
    ("{", "valid JSON"),
    ("[" * 5000 + "]" * 5000, "valid JSON|list"),
    ('{"type": "game_state", "timestamp": NaN}', "NaN is not a number"),
    ('{"type": "game_state", "playerState": {"health": 1e999}}', "playerState.health"),
    ('{"type": "game_state", "playerState": {"health": "20"}}', "playerState.health is '20'"),
    ('{"type": "game_state", "playerState": {"health": true}}', "a finite number"),
    ('{"type": "game_state", "playerState": [1]}', "playerState is a list"),
    ('{"type": "game_state", "selectedSlot": 9}', "expected 0 to 8"),
    ('{"type": "game_state", "selectedSlot": 1.5}', "a whole number"),
    ('{"type": "game_state", "heldItem": {"name": "%s"}}' % ("x" * 300), "at most 200 letters"),
    ('{"type": "handshake", "modules": "mcstp"}', "a list of names"),
    ('{"type": "surprise"}', "expected handshake, game_state, error"),
    ("[]", "an object is expected"),
    ('{"type": "game_state", "x": "%s"}' % ("y" * mcctp.LARGEST_MESSAGE), "at most 65,536"),
]


def controls(*keys, look=(0.0, 0.0), slot=0, cursor=(0.0, 0.0), screen=False):
    """Controls with some keys down."""
    down = np.array([name in keys for name in KEYS])
    return _Controls(down, np.array(look), slot, np.array(cursor), screen)


def sent(messages):
    """Messages as (action, parameters)."""
    return [(m["action"], m["params"]) for m in map(json.loads, messages)]


@pytest.mark.parametrize(("text", "words"), HOSTILE)
def test_wrong_messages_are_named_and_survived(text, words):
    """A malformed or hostile message is counted and named, and the state before it stays."""
    core = _Core()
    core.receive(json.dumps({"type": "game_state", "playerState": {"health": 7}}), 0.0)
    before = dict(core.fields)
    core.receive(text, 1.0)
    assert core.fields == before
    assert core.counts["refused"] == 1
    assert core.signs.state == 0.0
    assert re.search(words, core.problems[-1]), core.problems[-1]
    assert len(core.problems[-1]) < 400


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab1", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "playerState", "health", "selectedSlot", "threat", "heldItem"]),
        inner | st.just("game_state"), max_size=4),
    max_leaves=8,
))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_any_json_leaves_finite_fields_in_their_range(data):
    """Whatever JSON arrives, the fields stay unknown or finite and in the schema's range."""
    core = _Core()
    core.receive(json.dumps(data), 0.0)
    for name, value in (core.fields or {}).items():
        low, high = GAME_COLUMNS[name].field.limits
        assert math.isfinite(value)
        assert low <= value <= high


def test_fields_mend_what_the_original_encoder_does_wrongly():
    """No hostile is the largest distance, air is empty, screens have kinds, and a yaw is relative."""
    state = {"threat": {"nearestHostileDist": -1, "targetDistance": -1, "nearestHostileYaw": 90}}
    fields = game_fields(mcctp.game_state(state))
    assert (fields["hostile_distance"], fields["target_distance"]) == (32, 6)
    assert fields["hostile_yaw"] == 0
    near = {
        "threat": {"nearestHostileDist": 4, "nearestHostileYaw": -200},
        "playerState": {"yaw": 170},
    }
    fields = game_fields(mcctp.game_state(near))
    assert fields["hostile_yaw"] == pytest.approx(-10)
    assert fields["hostile_distance"] == 4
    kinds = {
        "InventoryScreen": "inventory",
        "net.minecraft.GenericContainerScreen": "container",
        "GameMenuScreen": "other",
    }
    for name, kind in kinds.items():
        shown = {"screenState": {"screenOpen": True, "screenType": name}}
        assert game_fields(mcctp.game_state(shown))["screen"] == SCREENS.index(kind)
    hands = {("minecraft:air", "EMPTY"): "empty", ("minecraft:iron_pickaxe", "OTHER"): "tool",
             ("minecraft:bow", "BOW"): "ranged", ("minecraft:golden_axe", "???"): "melee"}  # fmt: skip
    for (name, category), kind in hands.items():
        held = {"heldItem": {"name": name, "category": category}}
        assert game_fields(mcctp.game_state(held))["main_hand"] == MAIN_HAND.index(kind)


def test_a_state_without_fields_is_that_of_a_player_at_rest():
    """Defaults of the protocol and the fields before the first state agree."""
    assert game_fields(mcctp.game_state({})) == RESTING


def test_held_keys_are_sent_at_their_edges():
    """A held key starts once and stops once, and a press comes once for each rise of its control."""
    hands = _Hands(_BridgeSettings())
    forward = controls("move_forward", "sneak", "jump")
    first = sent(hands.messages(forward, 0.0, 0, False))
    assert first == [
        ("move", {"direction": "forward", "state": "start"}),
        ("sneak", {"state": "start"}),
        ("jump", {}),
    ]
    assert sent(hands.messages(forward, 0.1, 0, False)) == []
    assert sent(hands.messages(controls(), 0.2, 0, False)) == [
        ("move", {"direction": "forward", "state": "stop"}),
        ("sneak", {"state": "stop"}),
    ]
    assert sent(hands.messages(controls("jump"), 0.25, 0, False)) == []  # within the cooldown
    hands.messages(controls(), 0.3, 0, False)
    assert [*hands.messages(controls(), 0.3, 0, False)] == []
    assert sent(hands.messages(controls("jump"), 0.4, 0, False)) == [("jump", {})]


def test_no_wrong_call_of_the_original_is_made():
    """Swapping, dropping and shift-clicks use the right actions, and mining repeats the press."""
    hands = _Hands(_BridgeSettings())
    assert sent(hands.messages(controls("swap_offhand", "drop_item"), 0.0, 0, False)) == [
        ("drop_item", {"full_stack": False}),
        ("swap_hands", {}),
    ]
    hands = _Hands(_BridgeSettings())
    times = [
        n / 100 for n in range(200) if sent(hands.messages(controls("attack"), n / 100, 0, False))
    ]
    assert times[0] == 0
    assert times[1] == pytest.approx(0.4, abs=0.011)
    assert np.diff(times[1:]) == pytest.approx(0.15, abs=0.011)
    hands = _Hands(_BridgeSettings())
    shift = controls("inv_left", "inv_shift_held", screen=True)
    actions = [name for name, _ in sent(hands.messages(shift, 0.0, 0, True))]
    assert actions == ["cursor", "click"]
    assert hands.notes == {NO_SHIFT}


@given(st.lists(st.floats(0.001, 0.09), min_size=2, max_size=40), st.floats(-180, 180))
@settings(max_examples=50, deadline=None)
def test_a_look_turns_by_its_rate_at_any_frame_rate(steps, rate):
    """The degrees that are sent add up to rate x time, however the time is cut into frames."""
    hands, now, turned = _Hands(_BridgeSettings()), 0.0, 0.0
    for dt in [0.0, *steps]:
        now += dt
        for _, params in sent(hands.messages(controls(look=(rate, 0.0)), now, 0, False)):
            turned += params["yaw"]
    assert turned == pytest.approx(rate * now, abs=0.011 + 0.001 * len(steps))


def test_a_slot_is_chosen_once_and_not_when_it_is_selected():
    """A slot in the controls of one frame is one message; the selected slot needs none."""
    core = connected_core()
    core.order(controls(slot=5), 0.0, 0.0, 0.0)
    assert sent(core.turn(0.0)) == [("select_slot", {"slot": 4})]
    assert sent(core.turn(0.02)) == []
    core.order(controls(slot=1), 0.03, 0.03, 0.03)
    assert sent(core.turn(0.03)) == []


def connected_core():
    """Core of a connected game whose state has just arrived."""
    core = _Core()
    core.connected()
    core.receive(json.dumps(_MockServer().state()), 0.0)
    return core


def pressing(core, until, *, pose=True, state=True, order=True):
    """Hold forward from 0 to `until`; each sign of life may stop at 1.0. Times of the messages."""
    times = []
    for n in range(int(until * 100)):
        now = n / 100
        if n % 5 == 0 and (state or now <= 1.0):
            core.receive(json.dumps({"type": "game_state"}), now)
        if n % 3 == 0 and (order or now <= 1.0):
            core.order(controls("move_forward"), now, now if pose or now <= 1.0 else 1.0, now)
        times += [(now, *message) for message in sent(core.turn(now))]
    return times


@pytest.mark.parametrize("lost", ["pose", "state", "order"])
def test_everything_is_released_in_time(lost):
    """A lost pose, a stale state and a loop that hangs release the keys within 200 ms."""
    core = connected_core()
    times = pressing(core, 2.0, **{lost: False})
    assert [params["state"] for _, _, params in times] == ["start", "stop"]
    assert 1.0 < times[1][0] <= 1.2
    assert core.hands.held == set()
    assert len(core.releases) == 1


def test_nothing_is_released_while_all_signs_are_fresh():
    """Without a loss the key stays down and no release is noted."""
    core = connected_core()
    assert len(pressing(core, 2.0)) == 1
    assert not core.releases
    assert core.hands.held == {"move_forward"}


def test_panic_releases_until_it_is_over():
    """Panic releases at the next turn, refuses further orders, and ends when it is called off."""
    core = connected_core()
    core.order(controls("sneak"), 0.0, 0.0, 0.0)
    core.turn(0.0)
    core.panic(True)
    assert sent(core.turn(0.01)) == [("sneak", {"state": "stop"})]
    core.order(controls("sneak"), 0.02, 0.02, 0.02)
    assert core.turn(0.02) == []
    core.panic(False)
    core.order(controls("sneak"), 0.03, 0.03, 0.03)
    assert sent(core.turn(0.03)) == [("sneak", {"state": "start"})]


def test_a_lost_connection_forgets_and_the_next_one_releases_everything():
    """After a loss nothing counts as held; a new connection begins with a stop of every key."""
    core = connected_core()
    core.order(controls("move_forward"), 0.0, 0.0, 0.0)
    core.turn(0.0)
    core.lost(0.1, "gone")
    assert core.hands.held == set()
    assert core.releases[-1]["held"] == ["move_forward"]
    assert core.turn(0.1) == []
    first = sent(core.connected())
    assert len(first) == 7
    assert all(params["state"] == "stop" for _, params in first)
    assert core.turn(0.2) == []  # no state yet


def test_errors_of_the_game_are_shown_and_change_nothing():
    """An error message is counted and shown without its control characters."""
    core = connected_core()
    core.receive(json.dumps({"type": "error", "message": "Unknown action: x\x1b[2J"}), 0.1)
    assert core.counts["errors"] == 1
    assert core.problems[-1] == "the game refused an action: Unknown action: x?[2J"


def test_unknown_actions_are_refused_here():
    """The original's `swap_offhand` cannot be built, and the message says what to call."""
    with pytest.raises(ShadowboxError, match="swap_offhand"):
        mcctp.action("swap_offhand")
    with pytest.raises(ShadowboxError, match="takes slot"):
        mcctp.action("select_slot", number=3)
