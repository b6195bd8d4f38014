"""`shadowbox play melee` without Dolphin: whole dry runs, choices, newer checkpoints, lost games."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from shadowbox import cli
from shadowbox.games import load
from shadowbox.games.melee import slp
from shadowbox.games.melee.dolphin import _GameSetup
from shadowbox.games.melee.rows import BUTTONS
from shadowbox.model import checkpoint, policy
from shadowbox.play.live_games.newest import _NewestAgent
from shadowbox.play.live_games.session import _LiveSession

pytest.importorskip("melee")
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
MELEE = load("melee")


def call(capsys, *words):
    """Exit status, output and errors of a call."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["play", "melee", *words])
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def dry(capsys, *words):
    """What a dry run of one short match says as JSON."""
    status, out, err = call(capsys, "--dry-run", "--frames", "130", "--json", *words)
    assert status == 0, err
    return json.loads(out)


def checkpoint_that_holds(run, step, button):
    """A checkpoint whose policy holds one button, whatever it sees."""
    arguments = policy.preset_arguments("tiny", MELEE.encodings["default"], head="independent")
    model = policy.build_policy(MELEE.schema, arguments)
    with torch.no_grad():
        model.head.linear.weight.zero_()
        for at, key in enumerate(model.values.keys):
            is_flag = model.values.kinds[at] == "flag"
            model.head.linear.bias[at] = (30 if key == f"pad/{button}" else -30) if is_flag else 0
    about = checkpoint.CheckpointConfig("policy", MELEE.schema, "tiny", arguments)
    return checkpoint.save(run, step, about, model.state_dict(), {})


def held(path, port):
    """Names of the buttons that a player of a replay holds, frame by frame from the first action on."""
    buttons = slp.read(path).pre[port - 1, False]["buttons_physical"][88:]
    return [{name for name, bit in BUTTONS.items() if frame & bit} for frame in buttons]


@pytest.mark.slow
def test_a_whole_dry_run_in_a_process_of_its_own(tmp_path):
    """Menus, two matches against a made-up person, replays that open, and the figures as one object."""
    words = ["--p0", "hold:main_x=1", "--p1", "human", "--dry-run", "--frames", "260", "--json"]
    more = ["--characters", "falco,marth", "--matches", "2", "--replays", str(tmp_path / "r")]
    done = subprocess.run(
        [sys.executable, "-m", "shadowbox", "play", "melee", *words, *more],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["ended"] == "all matches are played"
    assert facts["players"] == ["hold:main_x=1", "human"]
    assert [match["ending"] for match in facts["matches"]] == ["time", "time"]
    assert facts["frames"] == sum(match["frames"] for match in facts["matches"])
    assert facts["dropped"] == 0
    assert 0 < facts["decision_ms"]["median"] <= facts["decision_ms"]["p99"]
    assert "match 2: hold:main_x=1 against human" in done.stderr
    for match in facts["matches"]:
        # the runner leaves the stage at 90 units, once in this time
        assert match["stocks"][0] < match["stocks"][1] == 4
        replay = slp.read(match["replay"])
        assert [player.character for player in replay.start.players] == [20, 9]  # falco, marth
        assert len(replay.frames) == 260
        # what a person presses is in the frames, too
        assert np.abs(replay.pre[1, False]["main_x"]).max() > 0.9


def test_ports_characters_stage_and_the_level_of_a_cpu_are_chosen(capsys, tmp_path):
    """Libmelee's own way through the menus leads to what was asked for, in the order of the ports."""
    facts = dry(
        capsys, "--p0", "hold:main_y=1", "--p1", "cpu@level=7", "--ports", "4,2",
        "--characters", "pikachu,ganondorf", "--stage", "yoshis_story", "--replays", str(tmp_path),
    )  # fmt: skip
    assert facts["players"] == ["cpu@level=7", "hold:main_y=1"]  # by port
    start = slp.read(facts["matches"][0]["replay"]).start
    assert start.stage == 8
    found = [(each.port + 1, each.character, each.kind, each.cpu_level) for each in start.players]
    assert found == [(2, 25, "cpu", 7), (4, 13, "human", 0)]
    up = slp.read(facts["matches"][0]["replay"]).pre[3, False]["main_y"]
    assert (up[88:-1] == 1).all()


def test_a_person_may_begin_the_match_and_choose_the_stage(capsys, tmp_path):
    """Without --stage the policy waits in the menus until the person has pressed START."""
    facts = dry(capsys, "--p0", "human", "--p1", "neutral", "--replays", str(tmp_path))
    assert facts["players"] == ["human", "neutral"]
    assert facts["matches"][0]["frames"] > 40


@pytest.mark.slow
def test_a_delay_shifts_what_an_agent_does(capsys, tmp_path):
    """With --delay 9 an agent that copies what it sees does so nine frames later."""
    (tmp_path / "copycat.py").write_text(COPYCAT, encoding="utf-8")
    firsts = []
    for delay in ("0", "9"):
        sys.path.insert(0, str(tmp_path))
        try:
            facts = dry(
                capsys, "--p0", "py:copycat:make", "--p1", "human", "--delay", delay,
                "--replays", str(tmp_path / delay),
            )  # fmt: skip
        finally:
            sys.path.remove(str(tmp_path))
        replay = slp.read(facts["matches"][0]["replay"])
        mine, theirs = (replay.pre[port, False]["main_x"][88:-1] for port in (0, 1))
        shifts = [np.abs(mine[late:] - theirs[: len(mine) - late]).max() for late in range(1, 15)]
        firsts.append(1 + int(np.argmin(shifts)))
        assert min(shifts) < 0.02
    assert firsts[1] - firsts[0] == 9


COPYCAT = """
import numpy as np
from shadowbox.games import load
KEYS = load("melee").schema

class Copycat:
    def start(self, seeds, players, state=None, where=None):
        return 0
    def act(self, view, state):
        controls = {key: np.zeros_like(view[key][:, :1]) for key in KEYS.control_keys}
        controls["pad/main_x"] = view["pad/main_x"][:, 1:]
        return controls, state

def make():
    return Copycat()
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["match", "now"])
def test_a_newer_checkpoint_is_taken(tmp_path, when):
    """Its buttons are held from the next match on, or at once; the session says which step plays."""
    from shadowbox.games.melee.live.fake_dolphin import rehearsal

    run = tmp_path / "run"
    checkpoint_that_holds(run, 1, "b")
    seat = _NewestAgent(f"policy:{run}@latest", MELEE, every=0.02)
    taken = []

    def write(number):
        (tmp_path / f"{number}.slp").write_bytes(world.replay_file())
        return {}

    class Eager:
        """Saves the next step in frame 10 of the first match, and waits until it has been loaded."""

        def __init__(self):
            self.step = world.step

        def __call__(self, controls):
            if len(world.thinking) == 10 and not taken:
                checkpoint_that_holds(run, 2, "y")
                seat.look()
                taken.append(seat._newer)
            return self.step(controls)

    setup = _GameSetup(kinds=("agent", "human"))
    try:
        with rehearsal(setup, frames=120, games=2) as (world, _):
            world.step = Eager()
            session = _LiveSession(
                MELEE, world, [seat, None], ["", "human"], reload=when, after=write
            )
            session.run(2)
    finally:
        seat.close()
    assert session.ended == "all matches are played", session.ended
    first, second = (held(tmp_path / f"{number}.slp", 1) for number in range(2))
    (reload,) = session.reloads
    if when == "match":
        assert reload["match"] == 1
        assert first[:-1] == [{"b"}] * (len(first) - 1)
        assert [match["players"][0][-8:] for match in session.matches] == ["(step 1)", "(step 2)"]
    else:
        assert (reload["match"], reload["frame"] // 5) == (0, 2)
        assert first[:7] == [{"b"}] * 7
        assert first[16:-1] == [{"y"}] * (len(first) - 17)
    assert second[:-1] == [{"y"}] * (len(second) - 1)
    assert seat.name.endswith("(step 2)")


def test_a_damaged_checkpoint_is_not_taken(tmp_path):
    """The policy before it plays on, and the reason is kept, once."""
    run = tmp_path / "run"
    checkpoint_that_holds(run, 1, "b")
    seat = _NewestAgent(f"policy:{run}@latest", MELEE, watch=False)
    newer = checkpoint_that_holds(run, 2, "y")
    (newer / "model.safetensors").write_bytes(b"cut off")
    seat.look()
    seat.look()
    assert seat.take() is None
    assert seat.name.endswith("(step 1)")
    assert len(seat.problems) == 1
    assert "checkpoints/00000002 is not taken" in seat.problems[0]


class _Stopper:
    """Agent that presses A, and after some frames raises."""

    def __init__(self, error, frames=20):
        self.error, self.left = error, frames

    def start(self, seeds, players, state=None, where=None):
        return None

    def act(self, view, state):
        self.left -= 1
        if self.left < 0:
            raise self.error
        controls = {key: np.zeros_like(view[key][:, :1]) for key in MELEE.schema.control_keys}
        return {**controls, "pad/a": ~controls["pad/a"]}, state


@pytest.mark.parametrize(
    ("error", "ended", "failed"),
    [
        (KeyboardInterrupt(), "stopped", False),
        (
            ValueError("my own mistake"),
            "an agent failed, so the session ends: mine: ValueError",
            True,
        ),
    ],
)
def test_controllers_are_released_at_ctrl_c_and_at_a_crash(error, ended, failed):
    """Whatever ends a session, the last word to the game is that no key is pressed."""
    from shadowbox.games.melee.live.fake_dolphin import rehearsal

    seat = _NewestAgent("neutral", MELEE)
    seat.agent, seat.spec = _Stopper(error), "mine"
    with rehearsal(_GameSetup(kinds=("agent", "human")), frames=600) as (world, fake):
        session = _LiveSession(MELEE, world, [seat, None], ["", "human"])
        session.run(1)
        lines = fake.pipes[1].lines
    assert session.ended.startswith(ended)
    assert session.failed == failed
    assert "PRESS A" in lines
    last = len(lines) - 1 - lines[::-1].index("RELEASE A")
    assert "PRESS A" not in lines[last:]
    assert lines[-1] == "FLUSH"
    assert session.figures()["frames"] >= 20


def test_a_game_that_is_lost_in_a_match_is_said_and_ends_the_session():
    """A server that dies is no crash of ours: a plain message, and the figures until then."""
    from shadowbox.games.melee.live.fake_dolphin import rehearsal

    seat = _NewestAgent("random", MELEE)
    setup = _GameSetup(kinds=("agent", "agent"))
    with rehearsal(setup, frames=600, dies_at=140) as (world, _):
        session = _LiveSession(MELEE, world, [seat, seat], ["", ""])
        session.run(3)
    assert session.failed
    assert session.ended.startswith("melee:live: the connection to Dolphin has ended")
    figures = session.figures()
    assert figures["matches"] == []
    assert 40 < figures["unfinished_frames"] < figures["frames"] < 60


@pytest.mark.slow
def test_a_press_that_the_game_does_not_see_is_given_again():
    """A Dolphin that does not wait can miss a press of one frame: menus still lead to a game."""
    from shadowbox.games.melee.live.fake_dolphin import rehearsal
    from shadowbox.games.melee.live.fake_menus import _FakeMenus

    class Blind(_FakeMenus):
        seen = 0

        def _stage(self, pads, fresh):
            if self.seen < 2 and any("A" in each for each in fresh.values()):
                self.seen += 1
                return None
            return super()._stage(pads, fresh)

    setup = _GameSetup(kinds=("agent", "human"))
    menus = Blind(setup)
    with rehearsal(setup, frames=100, menus=menus) as (world, _):
        columns = world.reset(np.zeros(1, int))
    assert menus.seen == 2
    assert (columns["player/stocks"] == 4).all()


@pytest.mark.slow
def test_menus_are_walked_by_a_client_slower_than_the_game():
    """With --no-wait, only the newest frame of the menus is answered, so that cursors arrive."""
    import time

    from shadowbox.games.melee.live.fake_dolphin import rehearsal

    with rehearsal(_GameSetup(kinds=("agent", "human"), waits=False), frames=100) as (world, _):
        navigate, calls = world._navigate, []

        def slow(state, controllers):
            calls.append(state.frame)
            time.sleep(0.02)
            navigate(state, controllers)

        world._navigate = slow
        world.reset(np.zeros(1, int))
    skipped = [after - before for before, after in itertools.pairwise(calls)]
    assert max(skipped) > 1
    assert len(calls) < 600


@pytest.mark.slow
def test_a_game_that_does_not_wait_drops_frames(capsys):
    """With --no-wait the newest frame is answered, and those that went by are counted."""
    import time

    from shadowbox.games.melee.live.fake_dolphin import rehearsal

    class Slow(_Stopper):
        def act(self, view, state):
            time.sleep(0.05)
            return super().act(view, state)

    seat = _NewestAgent("neutral", MELEE)
    seat.agent = Slow(None, frames=10_000)
    setup = _GameSetup(kinds=("agent", "human"), waits=False)
    with rehearsal(setup, frames=200) as (world, _):
        session = _LiveSession(MELEE, world, [seat, None], ["", "human"])
        session.run(1)
    figures = session.figures()
    assert not session.failed, session.ended
    assert figures["dropped"] > figures["frames"]
    assert figures["dropped"] + figures["frames"] + 84 + 2 >= 195
    assert figures["late"] >= figures["frames"] - 2


@pytest.mark.slow
def test_ctrl_c_ends_a_session_with_its_figures():
    """The usual way to end: status 0, one JSON object, no traceback."""
    words = ["--p0", "neutral", "--dry-run", "--frames", "100000", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "shadowbox", "play", "melee", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        for line in process.stderr:
            if line.startswith("match 1"):
                break
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert json.loads(out)["ended"] == "stopped"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--p0", "human"], "neither player is an agent"),
        (["--p0", "neutral", "--p1", "cpu@level=0"], "expected human, cpu or cpu@level=1 to 9"),
        (["--p0", "neutral", "--ports", "1,1"], "--ports 1,1: expected two of 1 to 4, as in 1,2"),
        (
            ["--p0", "neutral", "--characters", "fox"],
            "expected one for each player, as in fox,marth",
        ),
        (["--p0", "neutral", "--characters", "fox,mart"], "did you mean 'marth'"),
        (["--p0", "neutral", "--stage", "batlefield"], "did you mean 'battlefield'"),
        (["--p0", "sleepy", "--dry-run"], "melee has no bot 'sleepy'"),
        (["--p0", "neutral@delay=3", "--delay", "2", "--dry-run"], "its delay is given twice"),
        (["--p0", "neutral", "--dolphin", "/none/here"], "--dolphin: /none/here does not exist"),
    ],
)
def test_wrong_calls_are_refused(capsys, monkeypatch, tmp_path, words, message):
    """Each mistake is named before anything is started."""
    monkeypatch.setenv("HOME", str(tmp_path))
    status, _, err = call(capsys, *words)
    assert status == 2
    assert message in err


def test_what_is_missing_is_named(capsys, monkeypatch, tmp_path):
    """Without Dolphin and without the game the call ends, naming where it looked and what to do."""
    for name in ("SHADOWBOX_DOLPHIN", "SHADOWBOX_MELEE_ISO", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    status, _, err = call(capsys, "--p0", "neutral")
    assert status == 2
    assert f"{tmp_path}/" in err
    assert "Slippi Dolphin was not found" in err
    assert "--dolphin PATH; --dry-run plays without it" in err
    program = tmp_path / "dolphin"
    program.touch()
    monkeypatch.setenv("SHADOWBOX_DOLPHIN", str(program))
    status, _, err = call(capsys, "--p0", "neutral")
    assert status == 2
    assert "no copy of Melee was found" in err
    assert "Slippi Launcher" in err


def test_check_says_what_would_be_started(capsys, monkeypatch, tmp_path):
    """--check finds agents, Dolphin and the game, and starts nothing."""
    program, iso = tmp_path / "dolphin", tmp_path / "melee.ciso"
    program.touch()
    iso.write_bytes(b"CISO")
    monkeypatch.setenv("SHADOWBOX_DOLPHIN", str(program))
    monkeypatch.setenv("SHADOWBOX_MELEE_ISO", str(iso))
    status, out, err = call(capsys, "--p0", "neutral", "--p1", "cpu", "--check", "--json")
    assert status == 0, err
    facts = json.loads(out)
    assert (facts["dolphin"], facts["iso"]) == (str(program), str(iso))
    status, out, _ = call(capsys, "--p0", "neutral", "--p1", "cpu", "--check")
    assert out.splitlines()[:2] == ["port 1: neutral as fox", "port 2: cpu@level=9 as fox"]
