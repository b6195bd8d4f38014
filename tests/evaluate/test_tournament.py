"""Tournaments: seeds from both seats, equal tables after interruptions, and copies counted once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from shadowbox import cli
from shadowbox.cli.tournament import _as_text
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.evaluate.tournament import TournamentSpec, elo_warning, tournament
from shadowbox.games import load

AGENTS = ("follower", "idle", "follower:0.9")


@pytest.fixture(scope="module")
def game(paddles):
    """Two paddles and a ball."""
    return load(paddles)


@pytest.fixture(scope="module")
def table(game, paddles):
    """An uninterrupted tournament."""
    return tournament(game, TournamentSpec(paddles, AGENTS, 12))


def test_every_pair_meets_from_both_seats(table):
    """Each pair plays the asked number of matches, half from each seat; both sides of the table agree."""
    for a in AGENTS:
        for b in AGENTS:
            if a == b:
                continue
            ours, theirs = table["payoff"][a][b], table["payoff"][b][a]
            assert ours["wins"] + ours["losses"] + ours["draws"] == 12
            assert (ours["wins"], ours["draws"]) == (theirs["losses"], theirs["draws"])
            assert ours["win_rate"] == pytest.approx(1 - theirs["win_rate"])
            seats = [ours["by_seat"][seat] for seat in ("0", "1")]
            assert [seat["wins"] + seat["losses"] + seat["draws"] for seat in seats] == [6, 6]
            assert ours["low"] <= ours["win_rate"] <= ours["high"]


def test_the_order_is_right(table):
    """The one who looks beats the one who mostly looks away, who beats nobody's hands.

    The anchor has 1000.
    """
    ratings = {row["agent"]: row for row in table["ratings"]}
    assert ratings["follower"]["elo"] == 1000
    assert ratings["follower"]["elo"] > ratings["idle"]["elo"]
    assert [row["elo"] for row in table["ratings"]] == sorted(
        (row["elo"] for row in table["ratings"]), reverse=True
    )
    assert table["world"] == table["game"]
    assert table["agents"] == list(AGENTS)


def test_copies_are_counted_once(game, paddles):
    """Between players that ignore the seed few matches are distinct, and the table says so."""
    found = tournament(game, TournamentSpec(paddles, ("idle", "follower:1"), 40))["payoff"]["idle"][
        "follower:1"
    ]
    assert found["wins"] + found["losses"] + found["draws"] == 40
    assert found["distinct"] < 40
    assert found["high"] - found["low"] > 0.2


def test_workers_change_nothing(game, paddles, table, monkeypatch):
    """Two processes give the table that one gives."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    assert tournament(game, TournamentSpec(paddles, AGENTS, 12), workers=2) == table


def test_interrupted_and_resumed_is_the_same(game, paddles, table, tmp_path):
    """A ledger cut anywhere resumes to the same table, and a finished one plays nothing again."""
    plan, ledger = TournamentSpec(paddles, AGENTS, 12), tmp_path / "ledger.jsonl"
    tournament(game, plan, ledger)
    whole = ledger.read_bytes()
    for share in (0.0, 0.3, 0.6, 0.95):
        ledger.write_bytes(whole[: int(share * len(whole))])
        if share == 0.3:
            first = whole.index(b"\n") + 1
            ledger.write_bytes(whole[: first + 40])
        assert tournament(game, plan, ledger) == table
        assert sorted(ledger.read_bytes().splitlines()) == sorted(whole.splitlines())
    before = ledger.stat().st_mtime_ns
    assert tournament(game, plan, ledger) == table
    assert ledger.stat().st_mtime_ns == before


def test_killed_and_resumed_on_the_command_line(paddles, tmp_path):
    """A killed `tournament`, resumed, prints what an uninterrupted one prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    arguments = [
        sys.executable,
        "-m",
        "shadowbox",
        "tournament",
        paddles,
        *AGENTS,
        "--matches",
        "60",
        "--workers",
        "1",
        "--json",
    ]

    def run(out, *more):
        command = [*arguments, "--out", str(out), *more]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout

    straight = run(tmp_path / "straight.jsonl")
    killed = subprocess.Popen(
        [*arguments, "--out", str(tmp_path / "cut.jsonl")],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 250
    while time.monotonic() < deadline and killed.poll() is None:
        if (tmp_path / "cut.jsonl").exists() and (tmp_path / "cut.jsonl").read_bytes().count(
            b"\n"
        ) >= 3:
            break
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert run(tmp_path / "cut.jsonl", "--resume") == straight


def test_cycles_and_the_mixture_of_a_round_robin(table):
    """A ladder's Elo is reliable, and its best agent has the weight of the mixture nobody beats."""
    assert table["cycle_test"]["elo_is_reliable"]
    assert elo_warning(table["cycle_test"]) == ""
    nash = table["nash"]
    assert list(nash) == list(AGENTS)
    assert sum(entry["weight"]["value"] for entry in nash.values()) == pytest.approx(1)
    assert nash["idle"]["weight"]["value"] < 0.01
    for entry in nash.values():
        assert entry["score"]["value"] <= 0.5 + 1e-5
    cyclic = {"p": 0.002, "cyclic": 0.9, "expected": 0.1, "elo_is_reliable": False}
    assert "p = 0.002; no ratings explain 90%" in elo_warning(cyclic)
    printed = _as_text({**table, "cycle_test": cyclic})
    assert "Nash mixture" in printed
    assert "warning: Elo is unreliable" in printed


def test_a_gauntlet_meets_the_first_alone(game, paddles):
    """In a gauntlet the first agent meets each of the others, and they do not meet each other."""
    found = tournament(game, TournamentSpec(paddles, AGENTS, 4, gauntlet=True))
    assert found["cycle_test"] is found["nash"] is None
    assert set(found["payoff"]["follower"]) == {"idle", "follower:0.9"}
    assert set(found["payoff"]["idle"]) == {"follower"}


@pytest.mark.parametrize(
    ("agents", "matches", "message"),
    [
        (("follower",), 10, "at least two agents"),
        (("follower", "follower"), 10, "named twice"),
        (("follower", "idle"), 7, "an even number"),
        (("follower", "idle"), 0, "an even number"),
    ],
)
def test_plans_that_make_no_sense(paddles, agents, matches, message):
    """A plan that cannot be fair is refused in words."""
    with pytest.raises(UsageError, match=message):
        TournamentSpec(paddles, agents, matches)


def test_ledgers_of_others(game, paddles, tmp_path):
    """A ledger of another plan, or one that is no ledger, is refused and left alone."""
    ledger = tmp_path / "ledger.jsonl"
    tournament(game, TournamentSpec(paddles, ("follower", "idle"), 2), ledger)
    before = ledger.read_bytes()
    with pytest.raises(UsageError, match="of another tournament"):
        tournament(game, TournamentSpec(paddles, ("follower", "idle"), 4), ledger)
    assert ledger.read_bytes() == before
    ledger.write_text("no ledger\n")
    with pytest.raises(ShadowboxError, match="is damaged"):
        tournament(game, TournamentSpec(paddles, ("follower", "idle"), 2), ledger)


def test_tournament_on_the_command_line(capsys, paddles, tmp_path):
    """`tournament` prints ratings and a cross table, or one JSON object.

    An existing ledger is not overwritten unasked.
    """
    out = tmp_path / "t.jsonl"
    command = [
        "tournament",
        paddles,
        "follower",
        "idle",
        "--matches",
        "4",
        "--out",
        str(out),
        "--workers",
        "1",
    ]
    with pytest.raises(SystemExit) as stop:
        cli.main(command)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0].split() == ["agent", "elo", "95", "%"]
    assert "4 matches a pair, follower anchors at 1000" in text
    with pytest.raises(SystemExit) as stop:
        cli.main(command)
    assert stop.value.code == 2
    assert "--resume" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main([*command, "--resume", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["payoff"]["follower"]["idle"]["distinct"] >= 1
    assert json.loads(out.with_suffix(".json").read_text()) == facts
