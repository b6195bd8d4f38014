"""A simulator of somebody else, whose physics are not ours, in everything that plays."""

from __future__ import annotations

import json

import numpy as np
import pytest
from judging import run as policy_run
from judging import store as recorded
from small_selfplay import inputs

from shadowbox import cli
from shadowbox.games import load
from shadowbox.play import specs
from shadowbox.testing.worlds import check_world

BRAWL = load("brawl")
THEIRS = '''
"""Sumo: two bodies on a line without gravity; beyond 6 u a stock is lost. Batched, as C would be."""

import numpy as np

from shadowbox.games import load
from shadowbox.play.simulators.world import simulator_world

SCHEMA = load("brawl").schema
STATE = np.dtype([("x", "f4", 2), ("v", "f4", 2), ("stocks", "u1", 2), ("frame", "i4")])
LIMIT = 90


class Sumo:
    def __init__(self, matches):
        self.state = np.zeros(matches, STATE)

    def reset(self, match, seed):
        self.state[match] = ((-2 - seed % 5 / 10, 2), (0, 0), (1, 1), 0)

    def step(self, inputs):
        s = self.state
        s["v"] = 0.9 * s["v"] + 0.25 * inputs
        s["x"] += s["v"]
        close = np.abs(s["x"][:, 0] - s["x"][:, 1]) < 0.9
        s["v"][close] = s["v"][close][:, ::-1]  # they bounce off each other
        s["stocks"][np.abs(s["x"]) > 6] = 0
        s["frame"] += 1

    def save(self, match):
        return self.state[match].tobytes()

    def restore(self, match, saved):
        self.state[match] = np.frombuffer(saved, STATE)[0]


def world(matches):
    sumo = Sumo(matches)

    def read():
        s = sumo.state
        done = (s["stocks"] == 0).any(1) | (s["frame"] >= LIMIT)
        ahead = s["stocks"][:, 0].astype(int) - s["stocks"][:, 1]
        winner = np.where(~done | (ahead == 0), 2, np.where(ahead > 0, 0, 1))
        return {
            "player/x": s["x"], "player/vx": np.clip(s["v"] * 30, -60, 60), "player/stocks": s["stocks"],
            "player/grounded": np.ones_like(s["stocks"], bool),
            "player/facing_right": s["x"] < s["x"][:, ::-1],
            "match/frame": s["frame"][:, None], "match/left": LIMIT - s["frame"][:, None],
            "match/over": done[:, None], "match/winner": winner[:, None],
        }, done

    def press(controls):
        return controls["keys/d"].astype(np.float32) - controls["keys/a"]

    return simulator_world(sumo, SCHEMA, matches, read=read, press=press)
'''
SPEC = "py:their_sumo:world"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder has the code of somebody else."""
    (tmp_path / "their_sumo.py").write_text(THEIRS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(capsys, *arguments):
    """The object of --json of a command that succeeds."""
    with pytest.raises(SystemExit) as stop:
        cli.main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert stop.value.code == 0, err
    return json.loads(out)


def test_it_keeps_the_promises_of_a_world(here):
    """Seeds and controls decide all, snapshots resume, finished matches stay, states are allowed."""
    check_world(specs.world_factory(SPEC, BRAWL), BRAWL)


def test_a_match_is_won_by_its_rules(here, capsys):
    """Who walks the other one out wins, though nobody strikes."""
    facts = call(
        capsys, "match", "brawl", "--p0", "hold:d", "--p1", "constant", "--world", SPEC,
        "--store", here / "s",
    )  # fmt: skip
    assert (facts["world"], facts["winner"]) == (SPEC, 0)
    assert facts["frames"] < 90


def test_self_play_learns_in_it(here):
    """Rollouts of self-play run there, and matches end by its rules."""
    from shadowbox.learners.registry import learner_spec
    from shadowbox.train.loop import train

    given = {"worlds": specs.world_factory(SPEC, BRAWL)}
    made = inputs(here / "r", steps=3, given=given, n_steps=40)
    train(learner_spec("selfplay").prepare(made), here / "r", made.config)
    rows = [json.loads(line) for line in (here / "r" / "metrics.jsonl").read_text().splitlines()]
    assert any(row.get("kind") == "play" for row in rows)


@pytest.mark.slow
def test_the_gate_plays_in_it(here, capsys):
    """`eval --world` judges a policy's presses in closed loop there."""
    data, policy = recorded(here / "d", matches=6), policy_run(here / "p")
    call(
        capsys, "eval", policy, data, "--matches", 2, "--episodes", 2, "--shares", "50/50/0",
        "--against", "constant", "--world", SPEC,
    )  # fmt: skip
    kept = next((policy / "checkpoints").glob("*/evaluation.json")).read_text()
    assert f'"{SPEC}"' in kept


def test_a_snapshot_fits_as_many_matches(here):
    """A snapshot of two matches does not go into three."""
    world = specs.world(SPEC, BRAWL, 3)
    world.reset(np.arange(3))
    with pytest.raises(Exception, match="the snapshot has 2 matches, 3 are to be restored"):
        world.restore(world.snapshot(np.array([True, True, False])))
