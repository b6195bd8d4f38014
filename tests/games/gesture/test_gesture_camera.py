"""Cameras: the models' package, MediaPipe's process, and a real person before a browser's webcam."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
from importlib.resources import files

import numpy as np
import pytest
from browser import until
from fake_camera import needed_python, photograph, turned, webcam, write_y4m

from shadowbox.cli import main
from shadowbox.cli.play.gesture import _state
from shadowbox.errors import RecordingError, ShadowboxError
from shadowbox.games import load
from shadowbox.games.gesture.camera import package
from shadowbox.games.gesture.camera.pictures import _CameraSource, _Worker
from shadowbox.games.gesture.live import _AgentPolicy, _LiveLoop
from shadowbox.games.gesture.mcctp_bridge import _Bridge
from shadowbox.games.gesture.place.server import _MockInThread, _MockServer
from shadowbox.games.gesture.sources import LEFT, VISIBLE, _PageSource
from shadowbox.play import specs
from shadowbox.web.live_page import live_application, served

FOLDER = files("shadowbox.games.gesture") / "page"
AGREES = 0.05  # metres between the browser's and MediaPipe's landmarks, of those that are visible
SHOULDERS = (11, 12)


def status_of(*arguments) -> int:
    """Exit status of a call of the command line."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


def tilt(values):
    """Angle of the shoulders in degrees, counter-clockwise in the picture."""
    left, right = (values[:LEFT].reshape(-1, 3)[at] for at in SHOULDERS)
    return float(np.degrees(np.arctan2(right[1] - left[1], left[0] - right[0])))


# ---- the package ---------------------------------------------------------------------------------


def test_setup_asks_and_refuses_in_plain_words(tmp_path, monkeypatch, capsys):
    """Size and license come first; without --yes, npm or a network nothing is kept, and why is said."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert status_of("setup", "camera") == 2
    text = capsys.readouterr().err
    assert "Apache-2.0" in text
    assert "53 MB" in text
    assert "--yes" in text
    monkeypatch.setenv("PATH", str(tmp_path))
    assert status_of("setup", "camera", "--yes") == 1
    assert "npm was not found" in capsys.readouterr().err
    assert (
        status_of("play", "gesture", "--mock", "--source", "page", "--checkpoint", "hold:sneak")
        == 1
    )
    assert "shadowbox setup camera" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("npm") is None, reason="NO NPM: the camera's setup was not tried")
def test_setup_names_a_registry_that_does_not_answer(tmp_path, monkeypatch, capsys):
    """A registry that cannot be reached is named as the reason."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    assert status_of("setup", "camera", "--yes") == 1
    assert "the registry cannot be reached" in capsys.readouterr().err


def test_another_archive_is_refused(tmp_path):
    """An archive of another size or digest is refused before it is opened."""
    archive = tmp_path / "a.tgz"
    archive.write_bytes(b"x")
    with pytest.raises(ShadowboxError, match="1 bytes; expected 52,558,610"):
        package.checked(archive)
    with archive.open("wb") as file:
        file.truncate(package.ARCHIVE_BYTES)
    with pytest.raises(ShadowboxError, match="SHA-512 begins with"):
        package.checked(archive)


# ---- MediaPipe in its own Python -----------------------------------------------------------------


def jpeg(picture) -> bytes:
    """A picture as JPEG."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=95)
    return content.getvalue()


def settled(worker, picture):
    """Landmarks of a picture that is shown until the smoothing over time has settled."""
    content = jpeg(picture)
    return [worker.estimate(content) for _ in range(16)][-1]


@pytest.mark.slow
def test_a_person_is_found_in_pictures_and_videos(tmp_path, capsys):
    """The process finds a person and follows a turn, names a broken picture, and reads a video."""
    person = photograph()
    with _Worker("pictures") as worker:
        left, right = (settled(worker, turned(person, degrees)) for degrees in (12, -12))
        assert left[VISIBLE + SHOULDERS[0]] > 0.9
        assert 19 < tilt(left) - tilt(right) < 29
        with pytest.raises(RecordingError, match="cannot be decoded"):
            worker.estimate(b"\xff\xd8 no picture")
        assert worker.estimate(jpeg(person)).shape == (260,)
        worker.process.kill()
        with pytest.raises(RecordingError, match="has ended"):
            worker.estimate(jpeg(person))
    write_y4m(tmp_path / "film.y4m", [person] * 60, 15)
    call = ["record", "gesture", "--source", "video", "--set", f"video={tmp_path / 'film.y4m'}"]
    assert status_of(*call, "--set", "port=0", "--out", str(tmp_path / "s"), "--json") == 0
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert facts["problems"][-1].endswith("the pictures have ended")
    assert facts["takes"] + sum("too short" in each for each in facts["problems"]) == 1
    assert "by MediaPipe" in err
    with _CameraSource("video", str(tmp_path / "absent.mp4")) as source:
        end = time.monotonic() + 60
        while not source.problems:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert "cannot be opened" in source.problems[0]


# ---- the page ------------------------------------------------------------------------------------


class _Seen(_PageSource):
    """Source that keeps every frame."""

    def __init__(self):
        super().__init__()
        self.all = []

    def put(self, values):
        self.all.append(values)
        super().put(values)

    def people(self):
        """Number of frames so far that show a person."""
        return sum(values[VISIBLE + SHOULDERS[0]] > 0.9 for values in list(self.all))


def wait(condition, seconds=200):
    """Wait until a condition holds; the page itself is busy with its models."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "never"
        time.sleep(0.002)


def looked_at(chromium, source, state, models, film):
    """Show the page to the webcam until 14 frames show a person, with an empty picture between."""
    application = live_application(
        "Gesture", FOLDER, state, dict.get, receive=source.receive, models=models
    )
    browser = webcam(chromium, film)
    with served(application, "127.0.0.1", 0, None) as address:
        page = browser.new_context(permissions=["camera"]).new_page()
        page.set_default_timeout(200_000)
        complaints = []
        page.on("pageerror", lambda error: complaints.append(error))
        page.goto(address)
        page.locator(".camera button").click()
        wait(lambda: source.people() > 13 and source.people() < len(source.all))
        page.locator(".camera button").click()
        until(page, "document.querySelector('.camera p').textContent === 'The camera is off.'")
    browser.close()
    assert not complaints
    assert not list(source.problems)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="NO NPM: the page's camera was not tried")
def test_a_real_person_before_the_webcam_plays(chromium, tmp_path, monkeypatch, capsys):
    """In Chromium a person is found, leans as the picture leans, agrees with MediaPipe, and plays.

    The models are fetched by the command. Keys are pressed while the person is there only.
    """
    needed_python()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert status_of("setup", "camera", "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out)["fetched"]
    person = photograph()
    empty = person.point(lambda value: 70)
    film = [turned(person, 12)] * 24 + [turned(person, -12)] * 24 + [empty] * 10
    write_y4m(tmp_path / "webcam.y4m", film, 4)
    source, mock, held = _Seen(), _MockServer(seed=1), set()
    policy = _AgentPolicy(specs.agent("hold:sneak", load("gesture")))
    with _MockInThread(mock) as game, source, _Bridge(game.url) as bridge:
        loop = _LiveLoop(source, policy, bridge)
        thread = threading.Thread(target=loop.run)
        thread.start()
        state = _state(loop, None, {"camera": {"complexity": 1}})
        looked_at(chromium, source, state, package.require(), tmp_path / "webcam.y4m")
        loop.stop()
        thread.join()
        wait(lambda: not mock.place.held)
        held.update(*(release["held"] for release in bridge.core.releases))
    assert held == {"sneak"}  # pressed, and released after a person was lost or the camera was slow
    values = np.stack(source.all)
    shown = values[values[:, VISIBLE + SHOULDERS[0]] > 0.9]
    tilts = np.array([tilt(each) for each in shown])
    low, high = np.percentile(tilts, (25, 75))  # between them, the smoothing has not settled
    left, right = shown[tilts >= high], shown[tilts <= low]
    leaned = [float(np.median([tilt(each) for each in side])) for side in (left, right)]
    assert 17 < leaned[0] - leaned[1] < 31  # the picture: 24 degrees
    with _Worker("pictures") as worker:
        for degrees, side in ((12, left), (-12, right)):
            theirs = settled(worker, turned(person, degrees))
            clear = theirs[VISIBLE:] > 0.95
            ours = np.median(side[:, :LEFT], 0)
            both = [each[:LEFT].reshape(-1, 3)[clear, :2] for each in (ours, theirs)]
            assert np.abs(both[0] - both[1]).max() < AGREES
