"""Sources of landmarks: formats that are checked, a fake phone, and a WebSocket that a page feeds."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from shadowbox.errors import RecordingError, UsageError
from shadowbox.games.gesture.camera.pictures import LARGEST_PICTURE, _PhoneSource, read_picture
from shadowbox.games.gesture.sources import (
    PRESENT,
    VISIBLE,
    _LandmarkSource,
    _SyntheticSource,
    frame_landmarks,
    frame_values,
    landmarks_json,
    read_landmarks,
)

JPEG = b"\xff\xd8" + b"picture" + b"\xff\xd9"


def frame(seed=0, hands=(1, 1)):
    """Allowed frame [260] with random landmarks."""
    random = np.random.default_rng(seed)
    values = random.uniform(-1, 1, 260).astype(np.float32)
    values[PRESENT:VISIBLE] = hands
    for at, present in enumerate(hands):
        if not present:
            values[99 + 63 * at : 162 + 63 * at] = 0
    values[VISIBLE:] = random.uniform(0.5, 1, 33)
    return values


def until(condition, seconds=20):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "never"
        time.sleep(0.01)


@pytest.mark.parametrize("hands", [(1, 1), (0, 1), (0, 0)])
def test_landmarks_survive_json_floats_and_recordings(hands):
    """A frame comes back from both formats of the socket and from the form of recordings."""
    values = frame(1, hands)
    np.testing.assert_array_equal(read_landmarks(landmarks_json(values)), values)
    np.testing.assert_array_equal(read_landmarks(values.tobytes()), values)
    np.testing.assert_array_equal(frame_values(frame_landmarks(values, 0.0)), values)


def changed(**parts):
    """JSON of a frame with some parts replaced."""
    return json.dumps({**json.loads(landmarks_json(frame())), **parts})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"\x00" * 1039, "1039 bytes; expected 260 floats"),
        (np.full(260, np.nan, "<f4").tobytes(), "must be finite"),
        ("{", "not valid JSON"),
        ("[" * 3000, "not valid JSON"),
        ("[]", "expected a JSON object"),
        (changed(pose=[[0, 0, 0]] * 32), r"pose must be 33 x 3 numbers \(got 32 x 3\)"),
        (changed(pose=[[0, 0]] * 33), "got 33 x 2"),
        (changed(pose=[[0, 0, [1]]] * 33), "pose must be 33 x 3"),
        (changed(pose="pose"), "pose must be 33 x 3"),
        (changed(left=[[1e9, 0, 0]] * 21), "at most 10 metres"),
        (changed(visibility=[2] * 33), "visibility from 0 to 1"),
        (changed().replace("0.", "NaN, 0.", 1), "33 x 3|finite"),
        (changed(pose=[[float("inf"), 0, 0]] * 33), "not finite"),
        ("x" * 40_000, "at most 32,768"),
    ],
)
def test_wrong_landmarks_are_named(message, words):
    """Truncated, oversized, misshapen and endless landmarks raise an error that names the mistake."""
    with pytest.raises(RecordingError, match=words):
        read_landmarks(message)


@given(st.binary(max_size=64))
@settings(max_examples=60, deadline=None)
def test_any_bytes_of_a_phone_are_a_picture_or_an_error(data):
    """Reading a stream ends with a JPEG, a named error or its end, and never reads on without one."""
    rest = data

    def receive(count):
        nonlocal rest
        if len(rest) < count:
            raise EOFError
        part, rest = rest[:count], rest[count:]
        return part

    with contextlib.suppress(RecordingError, EOFError):
        assert read_picture(receive)[:2] == b"\xff\xd8"


def phone(*streams):
    """Server of a fake phone that sends one of the streams on each connection. Returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener:
            for stream in streams:
                client, _ = listener.accept()
                with client:
                    client.sendall(stream)
                    time.sleep(0.05)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def test_a_phone_that_breaks_is_named_and_connected_again():
    """Oversized, truncated and wrong pictures end a connection; the next one brings a frame."""
    size = len(JPEG).to_bytes(4, "big")
    port = phone(
        (LARGEST_PICTURE + 1).to_bytes(4, "big"),
        size + JPEG[:5],
        (4).to_bytes(4, "big") + b"none",
        size + JPEG,
    )
    got = []

    def estimate(picture):
        got.append(picture)
        return frame(3)

    source = _PhoneSource("127.0.0.1", port, estimate)
    problems = set()
    with source:
        until(lambda: problems.update(source.problems) or got)
        taken = source.take(5)
    np.testing.assert_array_equal(taken.values, frame(3))
    assert got == [JPEG]
    named = " ".join(problems)
    assert "4,194,305" in named
    assert "before the end of a picture" in named
    assert "not a JPEG" in named


def test_only_the_newest_picture_is_estimated():
    """While one picture is estimated the others are skipped, and the last one comes next."""
    pictures = [b"\xff\xd8" + bytes([n]) * 5 for n in range(20)]
    stream = b"".join(len(each).to_bytes(4, "big") + each for each in pictures)
    got = []

    def estimate(picture):
        got.append(picture)
        time.sleep(0.2)

    source = _PhoneSource("127.0.0.1", phone(stream), estimate)
    with source:
        until(lambda: pictures[-1] in got)
    assert len(got) < 6
    assert source.counts["skipped"] >= 14


def test_a_page_feeds_landmarks_and_hostile_messages_change_nothing():
    """Frames arrive over the socket; wrong ones are counted and named, and the source goes on."""
    with _LandmarkSource() as source:
        with connect(source.url) as page:
            page.send(landmarks_json(frame(1)))
            np.testing.assert_array_equal(source.take(5).values, frame(1))
            for wrong in ("{}", b"\x00", "null", '{"pose": 1}'):
                page.send(wrong)
            page.send(frame(2).tobytes())
            np.testing.assert_array_equal(source.take(5).values, frame(2))
        assert source.counts["refused"] == 4
        with connect(source.url) as page:
            page.send("x" * 100_000)  # ends this connection only
        with connect(source.url) as page:
            page.send(frame(4).tobytes())
            np.testing.assert_array_equal(source.take(5).values, frame(4))


def test_pages_of_other_sites_cannot_feed_landmarks():
    """A socket whose origin is not our page is refused, and a port in use is named."""
    with _LandmarkSource(origins=("http://127.0.0.1:8777",)) as source:
        with connect(source.url, origin="http://127.0.0.1:8777"):
            pass
        with pytest.raises(InvalidStatus):
            connect(source.url, origin="http://elsewhere.example")
        with pytest.raises(UsageError, match=f"port {source.port}"):
            _LandmarkSource(source.port).__enter__()


def test_a_late_loop_gets_the_newest_frame():
    """Frames that were not taken are skipped, and numbers count all of them."""
    numbers = iter(range(10_000))

    def pose():
        values = frame()
        values[0] = next(numbers) / 10_000
        return values

    with _SyntheticSource(pose, fps=200) as source:
        until(lambda: source.counts["frames"] > 20)
        taken = source.take(1)
    assert taken.number >= 20
    assert taken.values[0] == np.float32(taken.number / 10_000)
    assert source.counts["skipped"] >= 20
