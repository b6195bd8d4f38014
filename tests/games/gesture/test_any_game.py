"""Other games played with the body: tables of gestures, and a match of brawl over its page's socket."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.cli.play.other_game import TABLES, keys_of, match_of, table_for
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.games.gesture.any_game import _KeyHands, _MatchCore, restless, table_of
from shadowbox.games.gesture.body import person
from shadowbox.games.gesture.controller import KEYS, _Controls
from shadowbox.games.gesture.live import _KeysPolicy, _LiveLoop
from shadowbox.games.gesture.mcctp_bridge import _Bridge
from shadowbox.games.gesture.place.person import _MovingPerson
from shadowbox.games.gesture.sources import _SyntheticSource

BRAWL = load("brawl")


def controls(*names, look=(0.0, 0.0), slot=0):
    """Controls with these keys down."""
    keys = np.array([name in names for name in KEYS])
    return _Controls(keys, np.array(look), slot, np.zeros(2), False)


def test_gestures_hold_the_keys_of_their_table():
    """Keys, looks and slots of the controls hold the keys that name them, and nothing else."""
    data = {
        "game": "brawl",
        "keys": {
            "keys/a": ["strafe_left", "look_left"],
            "keys/k": ["slot_3"],
            "keys/j": ["attack"],
        },
    }
    table = table_of(data, keys_of(BRAWL))
    assert table.held(controls("attack", "sneak")) == ("keys/j",)
    assert table.held(controls(look=(-90.0, 0.0), slot=3)) == ("keys/a", "keys/k")
    assert table.held(controls("strafe_right", look=(10.0, -90.0), slot=2)) == ()


def test_messages_are_sent_when_keys_change_only():
    """Each change is one message with all held keys; a release sends none twice."""
    hands = _KeyHands(table_of(TABLES["brawl"], keys_of(BRAWL)))
    sent = [
        message
        for held in ((), ("jump",), ("jump",), ("jump", "attack"), ())
        for message in hands.messages(controls(*held), 0.0, 0, False)
    ]
    assert [json.loads(each)["held"] for each in sent] == [
        ["keys/space"],
        ["keys/j", "keys/space"],
        [],
    ]
    assert hands.release() == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "an object"),
        ({"game": "brawl"}, "keys"),
        ({"game": "brawl", "keys": {"keys/a": "jump"}}, "keys/a"),
        ({"game": "brawl", "keys": {"keys/q": ["jump"]}}, "no key 'keys/q'"),
        ({"game": "brawl", "keys": {"keys/a": ["fly"]}}, "unknown gesture 'fly'"),
        ({"game": "brawl", "keys": {"keys/a": ["inv_left"]}}, "unknown gesture 'inv_left'"),
    ],
)
def test_wrong_tables_are_named(data, words, tmp_path):
    """A table of a file with a wrong form, key or gesture is refused with the file and the place."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        table_for("brawl", str(path))


def test_games_without_a_table_or_with_sticks_are_refused():
    """The error says what can be done: another name, or a file."""
    with pytest.raises(UsageError, match="--table FILE"):
        table_for("melee", None)
    with pytest.raises(UsageError, match="must all be flags"):
        keys_of(load("melee"))


@given(message=st.one_of(st.text(max_size=60), st.binary(max_size=60)))
@settings(max_examples=60, deadline=None)
def test_any_message_of_a_match_is_survived(message):
    """Text that is no message of a match is counted and named; bytes are rows, and signs of life."""
    core = _MatchCore(table_of(TABLES["brawl"], keys_of(BRAWL)), "key")
    core.connected()
    core.receive(message, 1.0)
    assert core.counts["states"] == isinstance(message, bytes)
    assert isinstance(message, bytes) or core.counts["refused"] == 1


def test_a_body_plays_brawl():
    """Body, loop, the match's socket, brawl: its fighter presses the keys of the gestures."""
    table = table_for("brawl", None)
    meant = restless(1, table)
    mover = _MovingPerson(person(0, 0), meant)
    with match_of(table, "neutral", 0, 3) as (page, url, key):
        assert page.startswith("http://127.0.0.1:")
        core = _MatchCore(table, key)
        with _SyntheticSource(mover.pose) as source, _Bridge(url, core=core) as bridge:
            loop = _LiveLoop(source, _KeysPolicy(meant), bridge)
            thread = threading.Thread(target=loop.run)
            thread.start()
            held, end = set(), time.monotonic() + 60
            while len(held) < 4 and time.monotonic() < end:
                held |= set(core.hands.held)
                time.sleep(0.01)
            loop.stop()
            thread.join()
    assert held <= set(keys_of(BRAWL))
    assert len(held) >= 4
    assert core.counts["states"] > 10
    assert core.counts["errors"] == 0, list(core.problems)
