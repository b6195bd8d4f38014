"""Takes of a person: prompts, the recorder and its journal, labels of a game, calibration, clips."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.sync.client import connect

from shadowbox.cli import main
from shadowbox.cli.play.display import keyboard
from shadowbox.cli.play.recording import _press
from shadowbox.data.audit import audit, warnings
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import RecordingError, UsageError
from shadowbox.games.gesture.body import person
from shadowbox.games.gesture.mcctp_messages import game_state
from shadowbox.games.gesture.place.person import _LivePerson
from shadowbox.games.gesture.schema import SCHEMA
from shadowbox.games.gesture.sources import _PoseFrame, landmarks_json
from shadowbox.games.gesture.takes import calibration as calibrating
from shadowbox.games.gesture.takes.calibration import GESTURES, confusions
from shadowbox.games.gesture.takes.clips import labelled, meaning, record, write_clip
from shadowbox.games.gesture.takes.journal import session_of
from shadowbox.games.gesture.takes.labels import CUES, NOTHING, prompted, prompts, reported
from shadowbox.games.gesture.takes.recorder import _Recorder

FPS = 30
CAMERA = 15  # frames a second, to be quick


class Room:
    """A recorder, a synthetic person before it who follows the prompts, and a clock for both."""

    def __init__(self, out, late=0.0, **settings):
        self.time, self.number, self.late, self.stored = 100.0, 0, late, []
        self.body = _LivePerson(person(0, 1), 1)
        self.recorder = _Recorder(
            out,
            {"players": ["ann"], "person": "ann", "source_kind": "page"},
            self.stored.append,
            clock=lambda: self.time,
            **settings,
        )

    def meant(self):
        """Keys that the person means now."""
        recorder, calibration = self.recorder, self.recorder.calibration
        if calibration is not None and not calibration.done:
            return GESTURES.get(calibration.step(self.time)[0], {})
        if recorder._journal is None or recorder.game is not None:
            return {}
        now = self.time - recorder._began - self.late
        return prompted(recorder._cues, now - 1 / CAMERA, now)

    def run(self, seconds):
        """Let time go on, a frame at each tick."""
        for _ in range(round(seconds * CAMERA)):
            self.time, self.number = self.time + 1 / CAMERA, self.number + 1
            values = self.body.frame({**NOTHING, **self.meant()}, dt=1 / CAMERA)
            self.recorder.see(_PoseFrame(values, self.time, self.number))


@given(st.integers(0, 10**6), st.floats(5, 400))
@settings(max_examples=30)
def test_prompts_follow_each_other(seed, seconds):
    """Prompts come one after another with a rest between, end in time, and every round has each."""
    cues = prompts(seed, seconds)
    for cue, after in pairwise(cues):
        assert cue.end + 1 <= after.begin
    assert not cues or cues[-1].end <= seconds
    for begin in range(0, len(cues) - len(CUES) + 1, len(CUES)):
        assert {cue.words for cue in cues[begin : begin + len(CUES)]} == set(CUES)


def test_a_take_is_stored_with_the_keys_of_its_prompts(tmp_path):
    """After a countdown a take has the prompts' keys, counts them, ends by itself, and is stored."""
    with Room(tmp_path / "s", seconds=40.0).recorder as recorder:
        pass
    room = Room(tmp_path / "s", seconds=40.0, countdown=3.0)
    with room.recorder as recorder:
        recorder.order("start")
        room.run(2)
        assert recorder.snapshot()["phase"] == "countdown"
        room.run(20)
        state = recorder.snapshot()
        assert state["phase"] == "recording"
        assert state["prompt"]["next"] in CUES
        room.run(25)
        state = recorder.snapshot()
        assert (state["phase"], len(state["takes"]), room.stored) == ("ready", 1, [])
        assert 39 < state["takes"][0]["seconds"] < 41
    ((episode,),) = room.stored
    assert 39 * FPS < episode.frames < 41 * FPS
    for name, count in state["presses"].items():
        keys = episode.columns[f"control/{name}"][:, 0] > 0
        assert int((keys[1:] & ~keys[:-1]).sum()) == count, name
    assert sum(state["presses"].values()) > 8
    assert not recorder.path.exists()


def test_a_late_person_is_put_on_time(tmp_path):
    """The lag of a person behind the prompts is found, removed and noted."""
    room = Room(tmp_path / "s", late=0.4, seconds=30.0, countdown=0.0)
    with room.recorder as recorder:
        recorder.order("start")
        room.run(32)
    ((episode,),) = room.stored
    (note,) = (text for text in episode.meta["notes"] if "follows the prompts" in text)
    assert 0.25 < float(note.split()[6]) < 0.75
    assert not [text for text in episode.meta["notes"] if "is ahead" in text]


def test_the_last_take_can_be_deleted_until_the_next_begins(tmp_path):
    """Deleted and short takes are not stored; a take is stored when the next one begins."""
    room = Room(tmp_path / "s", countdown=0.0)
    with room.recorder as recorder:
        for order in ("delete", "start"):
            recorder.order(order)
        room.run(5)
        recorder.order("stop")
        recorder.order("start")
        assert len(room.stored) == 1
        room.run(6)
        recorder.order("delete")
        assert recorder.snapshot()["phase"] == "ready"
        recorder.order("delete")
        assert "nothing to delete" in recorder.problems[-1]
        recorder.order("start")
        room.run(0.5)
        recorder.order("stop")
        assert "too short" in recorder.problems[-1]
    assert len(room.stored) == 1
    assert len(recorder.takes) == 1
    assert not recorder.path.exists()


@pytest.mark.parametrize("cut", [0, 500])
def test_a_crash_loses_a_second_at_most(tmp_path, cut):
    """The journal of a take that a crash ended is stored by the next recorder, cut rows left out."""
    room = Room(tmp_path / "s", countdown=0.0)
    recorder = room.recorder.__enter__()
    recorder.order("start")
    room.run(8)
    recorder._journal._file.flush()
    content = recorder.path.read_bytes()
    recorder._journal.discard()  # the process has died
    recorder.path.write_bytes(content[: len(content) - cut])
    again = Room(tmp_path / "s")
    with again.recorder:
        pass
    ((episode,),) = again.stored
    assert 7 * FPS < episode.frames < 8 * FPS
    assert "that a crash left was stored" in again.recorder.problems[-1]
    assert not recorder.path.exists()


def test_a_damaged_journal_is_kept_aside(tmp_path):
    """What is not a journal is named and moved away, and recording goes on."""
    path = tmp_path / "s.take"
    path.write_bytes(b"\xff\xfe nothing")
    with pytest.raises(RecordingError, match="expected the journal of a take"):
        session_of(path)
    room = Room(tmp_path / "s")
    with room.recorder as recorder:
        assert "s.take.damaged" in recorder.problems[-1]
    assert not path.exists()


def test_keys_of_a_game_are_labels():
    """Walking, looks, a change of slot, clicks and the inventory come from the game's own words."""
    before = game_state({"selectedSlot": 1})
    after = game_state(
        {
            "selectedSlot": 4,
            "playerInput": {"movementForward": -1.0, "movementSideways": 0.5, "sneak": True,
                            "yawDelta": 7.5, "pitchDelta": -90.0, "drop": True},
            "screenState": {"screenOpen": True, "cursorX": 0.25, "cursorY": 2.0, "mouseLeft": True},
        }
    )  # fmt: skip
    pressed = {name: v for name, v in reported(after, before).items() if v != NOTHING[name]}
    assert pressed == {
        "move_backward": 1, "strafe_left": 1, "sneak": 1, "look_yaw": 0.5, "look_pitch": -1,
        "drop_item": 1, "open_inventory": 1, "hotbar": 5, "cursor_x": 0.25, "cursor_y": 1,
        "inv_left": 1,
    }  # fmt: skip
    assert reported(after, after)["hotbar"] == reported(after, None)["open_inventory"] == 0


def test_a_take_with_a_game_has_its_state_and_keys(tmp_path):
    """With a game, a take has no prompts, and its state and keys are those that the game reports."""
    states = [game_state({"playerInput": {"sneak": down}}) for down in (False, True)]
    fields = {key.removeprefix("game/"): 0.0 for key in SCHEMA.columns if key.startswith("game/")}

    def game():
        return states[int(room.time) % 2], {**fields, "health": 7.0}

    room = Room(tmp_path / "s", countdown=0.0, game=game)
    with room.recorder as recorder:
        recorder.order("start")
        room.run(6)
        assert recorder.snapshot()["prompt"] is None
        recorder.order("stop")
    ((episode,),) = room.stored
    assert set(episode.columns["game/health"][3:].ravel().tolist()) == {7.0}
    assert recorder.snapshot()["presses"]["sneak"] == 3
    assert 0.4 < episode.columns["control/sneak"].mean() < 0.6


def test_a_take_without_labels_has_no_keys(tmp_path):
    """With labels none the controls of a take are marked absent, and it lasts until it is stopped."""
    room = Room(tmp_path / "s", countdown=0.0, labels="none", seconds=2.0)
    with room.recorder as recorder:
        recorder.order("start")
        room.run(4)
        assert recorder.snapshot()["prompt"] is None
    ((episode,),) = room.stored
    assert set(SCHEMA.control_keys) <= episode.absent
    with Writer(tmp_path / "s", SCHEMA) as writer:
        writer.add(episode)  # which checks it


# ---- calibration and clips -----------------------------------------------------------------------


@cache
def sample(number, words, seconds=1.5):
    """Frames [T, 260] of a synthetic person in a gesture, at 20 frames a second."""
    body, keys = _LivePerson(person(0, number), 3), {**NOTHING, **GESTURES[words]}
    for _ in range(12):
        body.frame(keys, dt=0.05)
    return np.stack([body.frame(keys, dt=0.05) for _ in range(int(seconds * 20))])


def samples(number):
    """Samples of all gestures of a person."""
    return {words: sample(number, words) for words in GESTURES}


def test_gestures_that_look_alike_are_named():
    """Clear gestures of a person are not confused; two that are the same are, with their names."""
    clear = confusions(samples(1))
    assert clear["confused"] == []
    assert clear["clear"] > 0.9
    other = {"Use": sample(1, "Attack", 1.6)[2:], "Drop": sample(1, "Attack", 1.7)[4:]}
    alike = confusions({**samples(1), **other})
    names = {pair["gesture"] for pair in alike["confused"]} | {p["with"] for p in alike["confused"]}
    assert names == {"Attack", "Use", "Drop"}
    assert alike["clear"] < clear["clear"]


def test_distance_and_size_do_not_count():
    """The same gestures of a person twice as large are judged the same."""
    frames = samples(1)
    large = {name: each.copy() for name, each in frames.items()}
    for each in large.values():
        each[:, :99] *= 2
    assert confusions(frames)["clear"] == pytest.approx(confusions(large)["clear"], abs=0.05)


def test_a_calibration_asks_for_each_gesture_and_is_kept(tmp_path, monkeypatch):
    """Each gesture is asked for once; the result goes into later takes, and the clips to a folder."""
    monkeypatch.setattr(calibrating, "HELD_S", 1.0)
    monkeypatch.setattr(calibrating, "READY_S", 0.6)
    room = Room(tmp_path / "s", seconds=4.0, countdown=0.5)
    with room.recorder as recorder:
        recorder.order("calibrate")
        room.run(1)
        assert recorder.snapshot()["phase"] == "calibrating"
        room.run(1.6 * len(GESTURES) + 1)
        result = recorder.snapshot()["calibration"]["result"]
        assert result["missing"] == []
        assert result["confused"] == []
        recorder.order("start")
        room.run(6)
    ((episode,),) = room.stored
    assert episode.meta["calibration"]["clear"] == result["clear"]
    assert {path.name for path in (tmp_path / "s.clips").iterdir()} >= {"walk", "rest", "look_up"}


def test_clips_become_sessions_with_a_warning(tmp_path, capsys):
    """Session n holds the n-th clip of each gesture, with its keys; what it cannot teach is said."""
    clips = tmp_path / "clips"
    for number in range(2):
        for words, frames in samples(1).items():
            write_clip(clips, words, f"{number}", np.arange(len(frames)) / 20, frames)
    (clips / "walk" / "1.npz").write_bytes(b"no archive")
    out = tmp_path / "s"
    call = ["record", "gesture", "--source", "bootstrap", "--set", f"clips={clips}"]
    with pytest.raises(SystemExit) as ended:
        main([*call, "--matches", "2", "--out", str(out), "--json"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 2 * len(GESTURES) - 1
    store = Store(out, SCHEMA)
    for number in range(len(store)):
        meta, columns = store.meta_of(number), store.episode(number).columns
        down = {k for k, v in columns.items() if k.startswith("control/") and v[:-1].any()}
        wanted = {f"control/{name}" for name in meaning(meta["gesture"])}
        assert down - {"control/looking"} == wanted
    assert any("single gestures" in text for text in warnings(audit(store)))
    with pytest.raises(SystemExit) as ended:
        main([*call, "--matches", "3", "--out", str(tmp_path / "t")])
    assert ended.value.code == 2
    assert "clips for 2 sessions" in capsys.readouterr().err


def test_folders_of_clips_are_read_by_their_names(tmp_path):
    """Names of an older collection and compounds have their keys; an unknown one is refused."""
    assert meaning("walking+crouching") == {"move_forward": 1, "sneak": 1}
    assert meaning("sprinting plus jump") == {"move_forward": 1, "sprint": 1, "jump": 1}
    assert meaning("idle") == {}
    with pytest.raises(UsageError, match="unknown gesture 'wlak': did you mean 'walk'"):
        meaning("wlak")
    with pytest.raises(UsageError, match="no folder of clips"):
        next(record(0, 0, clips=str(tmp_path / "none"), person="me"))


def test_a_short_key_is_down_where_the_body_is_fastest():
    """A press is put around the fastest frame of its clip."""
    body = _LivePerson(person(0, 1), 1)
    keys = [{}] * 20 + [{"attack": 1}] * 20
    values = np.stack([body.frame({**NOTHING, **each}) for each in keys])
    from shadowbox.games.gesture.features import frames_of

    down = np.flatnonzero(labelled(frames_of(values, np.arange(40) / FPS), {"attack": 1})["attack"])
    assert len(down) == 5
    assert 20 <= down[0] <= 30


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals of this kind here")
def test_keys_of_the_terminal_give_orders(tmp_path, monkeypatch):
    """Keys that are pressed at once start, stop and delete a take, and finish."""
    room = Room(tmp_path / "s", countdown=0.0)
    ours, theirs = os.openpty()
    with (
        os.fdopen(ours, "wb", 0) as person,
        os.fdopen(theirs) as terminal,
        room.recorder as recorder,
    ):
        monkeypatch.setattr("sys.stdin", terminal)
        with keyboard(lambda key: _press(recorder, key)) as reads:
            assert reads
            person.write(b"r")
            until(lambda: recorder.busy)
            room.run(4)
            person.write(b"r\x7fq")
            until(recorder.finished.is_set)
    assert (recorder.takes, room.stored) == ([], [])
    assert not recorder.path.exists()


def until(condition):
    """Wait until a condition holds."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "never"
        time.sleep(0.01)


# ---- the command ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_records_from_page_and_landmarks(tmp_path):
    """Landmarks over the socket and orders of the page make a take; SIGTERM stores it."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "shadowbox", "record", "gesture", "--source", "landmarks"]
    given = ["landmarks_port=0", "port=0", "countdown=0", "seconds=30", "person=eve"]
    command += [part for each in given for part in ("--set", each)]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "s"), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        page = process.stderr.readline().split()[1]
        landmarks = process.stderr.readline().split()[1]
        body, ended = _LivePerson(person(0, 1), 1), threading.Event()

        def feed():
            with contextlib.suppress(Exception), connect(landmarks) as socket:
                while not ended.wait(1 / FPS):
                    socket.send(landmarks_json(body.frame(NOTHING)))

        thread = threading.Thread(target=feed)
        thread.start()
        with connect(page.replace("http", "ws") + "live", origin=page.rstrip("/")) as socket:
            socket.send(json.dumps({"order": "start"}))
            end = time.monotonic() + 60
            while (state := json.loads(socket.recv()))["seconds"] < 4:
                assert time.monotonic() < end, state
        process.send_signal(signal.SIGTERM)
        facts = json.loads(process.stdout.read())
        ended.set()
        thread.join()
        process.stderr.read()
    assert (facts["takes"], facts["person"]) == (1, "eve")
    assert facts["episodes"] >= 1
    assert Store(tmp_path / "s", SCHEMA).meta_of(0)["labels"] == "prompts"
    with Writer(tmp_path / "s", SCHEMA) as writer:
        assert writer.episodes == facts["episodes"]
