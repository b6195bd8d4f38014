"""`shadowbox ingest` and `store export --slp`, as a user calls them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_matches import content

from shadowbox import cli
from shadowbox.data.store import Store
from shadowbox.games.melee import slp
from shadowbox.games.melee.schema import SCHEMA


@pytest.fixture
def run(capsys):
    """A function that calls the program: status, standard output and standard error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return stop.value.code, said.out, said.err

    return call


@pytest.fixture
def replays_made(tmp_path):
    """A folder with three games, of which one was quit, and a file that is none."""
    folder = tmp_path / "replays"
    folder.mkdir()
    for seed in range(3):
        end = "no contest" if seed == 2 else "game"
        (folder / f"{seed}.slp").write_bytes(content(frames=200, seed=seed, end=end))
    (folder / "none.slp").write_bytes(b"This is not a replay")
    return folder


def test_ingest_reports_what_it_did(run, replays_made, tmp_path):
    """One JSON object with counts, rates, and a file and a reason for each rejected recording.

    Exit 0.
    """
    status, out, _ = run("ingest", "melee", replays_made, "--out", tmp_path / "store", "--json")
    facts = json.loads(out)
    assert status == 0
    assert (facts["files"], facts["accepted"], facts["episodes"], facts["frames"]) == (4, 3, 3, 600)
    (rejected,) = facts["rejected"]
    assert rejected["file"].endswith("none.slp")
    assert "not a Slippi replay" in rejected["reason"]
    assert facts["bytes_per_frame"] < 220  # of so short games; the row alone has 192
    assert facts["frames_per_cpu_s"] > 0
    assert facts["seconds"] > 0


def test_ingest_in_words(run, replays_made, tmp_path):
    """Each rejected file with its reason, each cut one with the value, and one line with the sum."""
    (replays_made / "0.slp").write_bytes(content(frames=250, end="game", bad_stick=40))
    status, out, _ = run("ingest", "melee", replays_made, "--out", tmp_path / "store")
    assert status == 0
    assert f"rejected: {replays_made / 'none.slp'}: not a Slippi replay: it must begin with" in out
    assert f"cut: {replays_made / '0.slp'}: 1 frame, at frame 1, pad/main_x[0]: nan" in out
    assert "3 of 4 recordings accepted: 4 episodes, 649 frames" in out
    assert run("ingest", "melee", replays_made, "--out", tmp_path / "store", "--resume")[0] == 0


def test_nothing_that_comes_in_is_a_failure(run, replays_made, tmp_path):
    """With no recording accepted the command ends with 1, and names every file and reason."""
    arguments = ["ingest", "melee", replays_made / "none.slp", "--out", tmp_path / "store"]
    status, out, _ = run(*arguments)
    assert status == 1
    assert "none.slp: not a Slippi replay" in out
    status, out, _ = run(*arguments, "--json")
    assert (status, json.loads(out)["accepted"]) == (1, 0)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "game.slp.zst").write_bytes(b"")
    status, _, err = run("ingest", "melee", tmp_path / "other", "--out", tmp_path / "store")
    assert status == 1
    assert "found: 1 .slp.zst" in err


def test_what_was_cut_is_in_json(run, replays_made, tmp_path):
    """`--json` lists every cut file with its frames and the first impossible value."""
    path = replays_made / "0.slp"
    path.write_bytes(content(frames=250, bad_stick=40))
    facts = json.loads(run("ingest", "melee", path, "--out", tmp_path / "store", "--json")[1])
    assert (facts["accepted"], facts["episodes"], facts["frames"]) == (1, 2, 249)
    why = "frame 1, pad/main_x[0]: nan, allowed -1 .. 1"
    assert facts["cut"] == [{"file": str(path), "frames": 1, "why": why}]
    assert facts["unusable"] == {}


def test_filters_and_options(run, replays_made, tmp_path):
    """A named filter and single options let in what they ask for.

    The report says what each refused.
    """
    _, out, _ = run(
        "ingest", "melee", replays_made, "--out", tmp_path / "a", "--filter", "train", "--json"
    )
    facts = json.loads(out)
    assert facts["accepted"] == 2
    assert any("no contest" in entry["reason"] for entry in facts["rejected"])
    _, out, _ = run(
        "ingest",
        "melee",
        replays_made,
        "--out",
        tmp_path / "b",
        "--set",
        "min_frames=500",
        "--json",
    )
    assert json.loads(out)["accepted"] == 0
    call = (
        "ingest",
        "melee",
        replays_made,
        "--out",
        tmp_path / "c",
        "--set",
        "characters=fox,marth",
        "--set",
        "human=true",
        "--json",
    )
    assert json.loads(run(*call)[1])["accepted"] == 3


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--filter", "trian"], "did you mean 'train'?"),
        (["--set", "humans=true"], "did you mean 'human'?"),
        (["--set", "human=maybe"], "true or false"),
        (["--set", "min_frames=many"], "expected a number"),
        (["--set", "human"], "expected OPTION=VALUE"),
        (["--set", "end=never"], "decided"),
        (["/nowhere"], "does not exist"),
    ],
)
def test_wrong_calls_are_told(run, replays_made, tmp_path, extra, message):
    """A wrong option, value, filter or path is exit 2 and one line that helps."""
    status, _, err = run("ingest", "melee", replays_made, "--out", tmp_path / "store", *extra)
    assert status == 2
    assert message in err
    assert "Traceback" not in err


def test_a_game_without_recordings(run, replays_made, tmp_path):
    """A game that reads no recordings says what makes some."""
    status, _, err = run("ingest", "brawl", replays_made, "--out", tmp_path / "store")
    assert status == 2
    assert "shadowbox record brawl" in err


def test_an_episode_goes_out_as_a_replay(run, replays_made, tmp_path):
    """`store export STORE#1 --slp FILE` writes a replay of the same match, which ingests as a duplicate."""
    run("ingest", "melee", replays_made, "--out", tmp_path / "store", "--json")
    status, out, _ = run(
        "store", "export", f"{tmp_path / 'store'}#1", "--slp", tmp_path / "out.slp", "--json"
    )
    assert status == 0
    assert json.loads(out)["episodes"] == 1
    replay = slp.read(tmp_path / "out.slp")
    x = Store(tmp_path / "store", SCHEMA).episode(1).columns["player/x"]
    np.testing.assert_array_equal(replay.post[0, False]["x"][-len(x) :], x[:, 0])
    again = json.loads(
        run("ingest", "melee", tmp_path / "out.slp", "--out", tmp_path / "store", "--json")[1]
    )
    assert "seen before" in again["rejected"][0]["reason"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["#1"], "give --out FILE"),
        (["#1", "--mp4", "x"], "--slp"),
        (["", "--slp", "x.slp"], "give its number"),
        (["#1", "--slp"], "takes one FILE"),
        (["#1", "--slp", "/nowhere/x.slp"], "could not be written"),
    ],
)
def test_exports_that_cannot_be(run, replays_made, tmp_path, arguments, message):
    """What is missing or unknown in an export is one line."""
    run("ingest", "melee", replays_made, "--out", tmp_path / "store", "--json")
    status, _, err = run("store", "export", f"{tmp_path / 'store'}{arguments[0]}", *arguments[1:])
    assert status in (1, 2)
    assert message in err


def test_audit_and_view_take_what_came_in(run, replays_made, tmp_path):
    """A store of replays has baselines and press rates, and a match page shows both pads and its events."""
    run("ingest", "melee", replays_made, "--out", tmp_path / "store", "--json")
    status, out, _ = run("audit", tmp_path / "store", "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["game"] == "melee"
    assert "pad/a" in facts["controls"]
    status, _, _ = run("view", f"{tmp_path / 'store'}#0", "--out", tmp_path / "match.html")
    assert status == 0
    page = (tmp_path / "match.html").read_text()
    assert "pad/main_x" in page
    assert "final_destination" in page or "battlefield" in page


@pytest.mark.slow
def test_all_real_replays(run, replays, tmp_path):
    """Every complete two-player game (version 1.0+, known stage) is accepted once; no file crashes."""
    status, out, _ = run("ingest", "melee", replays, "--out", tmp_path / "store", "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["files"] == 90
    assert facts["accepted"] + len(facts["rejected"]) == 90
    assert 70 <= facts["accepted"] <= 75
    assert not [entry for entry in facts["rejected"] if "Shadowbox itself" in entry["reason"]]
    assert facts["bytes_per_frame"] <= 200
    expected = (
        "must have two players",
        "seen before",
        "unknown stage",
        "not a Slippi replay",
        "no frames of both players",
        "list of event sizes",
    )
    for entry in facts["rejected"]:
        assert any(reason in entry["reason"] for reason in expected), entry


def test_progress_has_the_rate_and_the_time_left(monkeypatch, capsys):
    """Without a terminal, a long job says how much is done, how fast, and how long it will take."""
    from shadowbox.cli import terminal

    clock = iter([0.0, 20.0, 40.0])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(clock))
    with terminal.progress("reading") as update:
        update(100, 1000)
        update(400, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "reading: 10.0%, 100 of 1,000, 5 a second, about 3 minutes left",
        "reading: 40.0%, 400 of 1,000, 10 a second, about 60 s left",
    ]
