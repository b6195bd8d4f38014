"""`shadowbox play gesture`: what it prints, what it refuses, and the keys of its terminal."""

from __future__ import annotations

import json

import pytest

from shadowbox import cli
from shadowbox.cli.play.display import line_of, obey_key
from shadowbox.games.gesture.live import _KeysPolicy, _LiveLoop
from shadowbox.games.gesture.mcctp_bridge import _Bridge
from shadowbox.games.gesture.sources import _SyntheticSource
from shadowbox.web import server


def call(capsys, *words):
    """Exit status and output of a call."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["play", "gesture", *words])
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def test_a_short_session_is_summed_up(capsys):
    """With --json one object holds presses, latencies, counts and the score of the place."""
    words = ("--mock", "--no-page", "--seconds", "1.5", "--json")
    status, out, err = call(capsys, *words)
    assert status == 0, err
    summary = json.loads(out)
    assert summary["counts"]["states"] > 5
    assert summary["counts"]["errors"] == 0
    assert summary["presses"]["move_forward"] >= 1
    assert set(summary["latency"]) == {"policy", "controller", "sent"}
    assert summary["place"][0]["of"] == 10
    assert summary["problems"] == []


def test_a_session_with_a_page_prints_its_address(capsys):
    """The address of the page comes first, the summary in words last."""
    words = ("--mock", "--port", "0", "--seconds", "1", "--checkpoint", "neutral")
    status, out, err = call(capsys, *words)
    assert status == 0, err
    assert err.startswith("page: http://127.0.0.1:")
    assert out.splitlines()[-1] == "presses: none"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mock", "--connect", "ws://h/mcctp"], "exclude each other"),
        (["--connect", "http://h"], "expected an address such as ws://127.0.0.1:8765/mcctp"),
        ([], "sees the mock place only; add --mock"),
        (["--mock", "--source", "landmarks"], "knows the keys of the synthetic person only"),
        (["--source", "phone"], "needs the phone's address: --phone HOST[:PORT]"),
        (["--source", "video"], "needs --video FILE"),
        (["--source", "phone", "--phone", "h:x", "--estimator", "a:b"], "expected HOST or HOST"),
        (["--source", "phone", "--phone", "h", "--estimator", "no_such:f"], "MODULE:FUNCTION"),
        (["--mock", "--checkpoint", "sleepy"], "has no bot 'sleepy'"),
    ],
)
def test_wrong_calls_are_refused(capsys, words, message):
    """Options that exclude or need each other are refused with what to do; exit 2."""
    status, _, err = call(capsys, *words)
    assert status == 2
    assert message in err
    assert "Traceback" not in err


def test_a_port_in_use_is_named(capsys):
    """A page, a mock and a landmark source each name a port that is in use."""
    listener = server.listen("127.0.0.1", 0)
    port = str(listener.getsockname()[1])
    with listener:
        for words in (
            ("--mock", "--port", port),
            ("--mock", "--no-page", "--mock-port", port),
            ("--source", "landmarks", "--landmarks-port", port, "--checkpoint", "neutral"),
        ):
            status, _, err = call(capsys, *words)
            assert status == 2, err
            assert f"port {port}" in err


def test_keys_of_the_terminal_control_the_loop():
    """Space is panic and its end; - + , . change the look and the thresholds."""
    loop = _LiveLoop(
        _SyntheticSource(lambda: None), _KeysPolicy(lambda n: {}), _Bridge("ws://127.0.0.1:1/")
    )
    for key in " -,x":
        obey_key(loop, key)
    assert loop.panicking
    assert (loop.settings.look_speed, loop.settings.threshold) == (280, 0.45)
    obey_key(loop, " ")
    assert not loop.panicking
    line = line_of(loop.snapshot())
    assert line.startswith("RELEASED (not connected)")


def test_a_match_of_one_player_needs_one_agent(capsys):
    """`match` plays the place with --p0 alone, and refuses a second agent."""
    world = "py:shadowbox.games.gesture.place.world:place_world@seconds=0.5"
    for more, status in (((), 0), (("--p1", "neutral"), 2)):
        with pytest.raises(SystemExit) as stop:
            cli.main(["match", "gesture", "--world", world, "--p0", "neutral", *more])
        out, err = capsys.readouterr()
        assert stop.value.code == status, err
        assert "after 15 frames" in out if status == 0 else "leave --p1 out" in err
