"""Recordings made here: specs, mixes, and a store that is the same whenever it is made again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shadowbox import cli
from shadowbox.collect.matches import Pairing, read_pairings, record
from shadowbox.data.store import Store
from shadowbox.errors import CheckpointError, UsageError
from shadowbox.games import load
from shadowbox.play import specs
from shadowbox.play.agent import Delayed


@pytest.fixture(scope="module")
def game(paddles):
    """Two paddles and a ball."""
    return load(paddles)


def test_the_same_call_records_the_same_matches(game, tmp_path):
    """The same pairings and seed give the same fingerprint.

    Another seed or pairing gives another.
    """
    pairings = [Pairing("follower", "idle", 6)]
    one = record(game, pairings, tmp_path / "a", seed=3)
    record(game, pairings, tmp_path / "b", seed=3)
    record(game, pairings, tmp_path / "c", seed=4)
    prints = [Store(tmp_path / name).fingerprint for name in "abc"]
    assert prints[0] == prints[1] != prints[2]
    assert one["episodes"] == 6
    assert one["frames"] == Store(tmp_path / "a").frames
    assert Store(tmp_path / "a").manifest.made["record"]["seed"] == 3


def test_recording_appends(game, tmp_path):
    """Recording into a store that exists appends, and the winners add up."""
    record(game, [Pairing("follower", "follower", 3)], tmp_path / "s")
    facts = record(
        game, [Pairing("follower", "idle", 4), Pairing("idle", "follower", 2)], tmp_path / "s"
    )
    assert len(Store(tmp_path / "s")) == 9
    for pairing in facts["pairings"]:
        assert (
            pairing["won"]["p0"] + pairing["won"]["p1"] + pairing["won"]["draws"]
            == pairing["matches"]
        )
    assert Store(tmp_path / "s").meta_of(8)["players"] == ["idle", "follower"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("folower", "has no bot 'folower': did you mean 'follower'"),
        ("follower@0.7", "'0.7' is for learned policies"),
        ("follower@fast", "unknown option 'fast'"),
        ("replay:nowhere", "name one match, as in replay:nowhere#12"),
        ("follower@delay=-1", "delay is a number of frames"),
        ("follower@delay=1e9", "delay is a number of frames"),
        ("", "has no bot ''"),
    ],
)
def test_specs_that_mean_nothing(game, tmp_path, spec, message):
    """A spec that names nothing is refused in one line before a match is played or a store is made."""
    with pytest.raises(UsageError, match=message):
        specs.agent(spec, game)
    with pytest.raises(UsageError):
        record(game, [Pairing("idle", spec, 1)], tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_specs_carry_arguments_and_delay(game):
    """`NAME:ARGUMENT@delay=N` gives the bot its argument and puts a delay in front of it."""
    agent = specs.agent("follower:0.5@delay=4", game)
    assert isinstance(agent, Delayed)
    assert agent.frames == 4
    assert agent.agent.looks_away == 0.5


def test_worlds_by_name(game):
    """A world is named by its game; dreams and other names are refused in words."""
    assert specs.world("paddles", game, 3).matches == 3
    with pytest.raises(CheckpointError, match="runs/x is not a run"):
        specs.world("dream:runs/x", game, 3)
    with pytest.raises(UsageError, match="its simulator is 'paddles'"):
        specs.world("brawl2", game, 3)
    with pytest.raises(UsageError, match="has no option 'stage'"):
        specs.world("paddles@stage=moon", game, 3)
    with pytest.raises(UsageError, match="'fast' is not an option"):
        specs.world("paddles@fast", game, 3)


def test_a_worlds_name_is_its_spec():
    """The name that a world carries into every result builds the same world again."""
    brawl = load("brawl")
    world = specs.world("brawl@stage=mirror@weapons=off@stocks=1", brawl, 2)
    assert world.name == "brawl@stage=mirror@weapons=off@stocks=1"
    assert specs.world(world.name, brawl, 2).name == world.name
    assert world.reset(np.arange(2))["player/stocks"].max() == 1
    for option, message in (
        ("stage=moon", "unknown stage 'moon'"),
        ("stocks=x", "stocks must be 1 to 3"),
        ("time_limit=off", "time_limit must be 1 to 65535 frames"),
    ):
        with pytest.raises(UsageError, match=message):
            specs.world(f"brawl@{option}", brawl, 2)


def test_a_mix_divides_the_matches(tmp_path):
    """Shares divide all matches exactly, also where they do not divide evenly."""
    (tmp_path / "mix.yaml").write_text(
        "- {p0: a, p1: b, share: 2}\n- {p0: b, p1: c}\n- {p0: c, p1: a, share: 0.5}\n"
    )
    pairings = read_pairings(tmp_path / "mix.yaml", 101)
    assert [pairing.p0 for pairing in pairings] == ["a", "b", "c"]
    assert sum(pairing.matches for pairing in pairings) == 101
    assert abs(pairings[0].matches - 101 * 2 / 3.5) <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a list is needed"),
        ("p0: a", "a list is needed"),
        ("- a", "entry 1: p0 and p1 must be names"),
        ("- {p0: a, p1: 3}", "entry 1: p0 and p1 must be names"),
        (
            "- {p0: a, p1: b}\n- {p0: a, p1: b, shares: 2}",
            "entry 2: unknown key 'shares': did you mean 'share'",
        ),
        ("- {p0: a, p1: b, share: -1}", "share is -1"),
        ("- {p0: a, p1: b, share: .inf}", "share is inf"),
        ("- {p0: [", "is not YAML"),
        ("- !!python/object/apply:os.system [ls]", "is not YAML"),
    ],
)
def test_a_mix_that_is_none(tmp_path, text, message):
    """A mix file with a mistake is one line that names the file, the entry and what is expected.

    It never runs anything.
    """
    (tmp_path / "mix.yaml").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_pairings(tmp_path / "mix.yaml", 10)
    assert "\n" not in str(caught.value)


def call(capsys, *arguments):
    """Exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_record_on_the_command_line(capsys, paddles, tmp_path):
    """`record GAME --p0 --p1` plays and stores, and says who won, in words and as JSON."""
    players = ["--p0", "follower", "--p1", "idle@delay=2", "--matches", 4]
    code, out, _ = call(capsys, "record", paddles, *players, "--out", tmp_path / "s", "--json")
    facts = json.loads(out)
    assert (code, facts["episodes"]) == (0, 4)
    assert facts["pairings"][0]["won"]["p0"] == 4
    assert facts["frames_per_cpu_s"] > 0
    code, out, _ = call(capsys, "record", paddles, *players, "--out", tmp_path / "s")
    assert code == 0
    assert "4 matches" in out.splitlines()[-1]
    assert len(Store(tmp_path / "s")) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name the agents .* has the bots follower, idle"),
        (["--p0", "idle"], "name the agents with --p0 and --p1"),
        (["--p0", "idle", "--p1", "idle", "--stage", "moon"], "has no option 'stage'"),
        (["--p0", "idle", "--p1", "idle", "--mix", "x.yaml"], "either --mix or"),
        (["--mix", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["--p0", "idle", "--p1", "idle", "--matches", "0"], "0 is not in the range"),
    ],
)
def test_wrong_calls_of_record(capsys, paddles, tmp_path, options, message):
    """A call that cannot be carried out exits with 2, says why in one line, and makes no store."""
    import re

    code, _, err = call(capsys, "record", paddles, *options, "--out", tmp_path / "s")
    assert code == 2
    assert re.search(message, err)
    assert err.count("\n") == 1
    assert not (tmp_path / "s").exists()
