"""`policy:RUN`: which checkpoint a spec means, and what is said where it means none."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from shadowbox import cli
from shadowbox.errors import CheckpointError, UsageError
from shadowbox.games import load
from shadowbox.model import policy
from shadowbox.model.checkpoint import CheckpointConfig, point, save
from shadowbox.play import checkpoints, specs
from shadowbox.play.agent import Delayed

BRAWL = load("brawl")


def run(path, *steps, seed=0, best=None):
    """A run with checkpoints of a small untrained policy."""
    made = policy.preset_arguments("tiny", ["player/x", "player/state"], width=16)
    model = policy.build_policy(BRAWL.schema, made, seed)
    for step in steps:
        save(
            path,
            step,
            CheckpointConfig("policy", BRAWL.schema, "tiny", made),
            model.state_dict(),
            {},
        )
    if best is not None:
        point(path, "best", best)
    return path


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """A card with seeds 2 and 10, and a sweep with one setting."""
    folder = tmp_path_factory.mktemp("runs")
    run(folder / "x" / "10", 5)
    run(folder / "x" / "2", 10, 20, best=10)
    run(folder / "sweep" / "wide" / "0", 7)
    return folder


@pytest.mark.parametrize(
    ("where", "which", "seed", "step"),
    [
        ("x", "", "", "2/checkpoints/00000010"),  # the lowest seed by number, its best
        ("x", "latest", "", "2/checkpoints/00000020"),
        ("x", "step=20", "2", "2/checkpoints/00000020"),
        ("x", "", "10", "10/checkpoints/00000005"),  # nothing was validated: the latest
        ("x/2", "best", "", "2/checkpoints/00000010"),
        ("x/2/checkpoints/00000020", "", "", "2/checkpoints/00000020"),
        ("sweep/wide", "", "", "wide/0/checkpoints/00000007"),
    ],
)
def test_which_checkpoint_is_meant(card, where, which, seed, step):
    """Best of the lowest seed, unless the spec says otherwise."""
    assert str(checkpoints.checkpoint_folder(str(card / where), which, seed)).endswith(step)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("policy:", "name a run, as in policy:runs/x"),
        ("policy:{}/nowhere", "is not a run; brawl ships policy:champion"),
        ("policy:{}/sweep", "its settings are wide: name one"),
        ("policy:{}/x@seed=3", "has no seed '3'"),
        ("policy:{}/x/2@seed=2", "is one run"),
        ("policy:{}/x@step=11", "no checkpoint of step 11; its finished ones: 10, 20"),
        ("policy:{}/x@warm", "unknown option 'warm'; a policy has a temperature"),
        ("policy:{}/x@0", "must be a number above 0"),
        ("policy:{}/x@99", "at most 10"),
        ("policy:{}/x@threshold=2", "at most 1"),
        ("policy:{}/x@bias=51", "at most 50"),
        ("policy:{}/x@bias=", "must be a number above -50"),
        ("policy:{}/x@bias", "keys/.* has no calibrated offset"),
        ("policy:{}/x@device=abacus", "device 'abacus' cannot be used here"),
        ("policy:{}/x@player=ann", "it was trained without players and strength"),
        ("policy:{}/x@strength=much", "must be a number above"),
        ("based@player=ann", "unknown option 'player=ann'"),
        ("based@0.7", "'0.7' is for learned policies"),
        ("based@threshold=.5", "is for learned policies"),
        ("based@bias=-4", "is for learned policies"),
    ],
)
def test_policies_that_cannot_be_played(card, spec, message):
    """What a spec lacks, and what there is instead, is said in one line."""
    with pytest.raises((UsageError, CheckpointError), match=message):
        specs.agent(spec.format(card), BRAWL)


def test_options_combine(card):
    """Temperature, step, seed, device and delay stand in any order."""
    made = specs.agent(f"policy:{card}/x@delay=3@0.5@step=20@seed=2@device=cpu", BRAWL)
    assert isinstance(made, Delayed)
    assert made.agent.sampling.temperature == 0.5
    with pytest.raises(UsageError, match=r"this one \(chain\) draws"):
        specs.agent(f"policy:{card}/x@threshold=.5", BRAWL)


def test_a_style_is_called_by_name(tmp_path):
    """A policy that was told who plays, and how strong, plays as either one.

    Strangers are refused.
    """
    made = policy.preset_arguments(
        "tiny", ["player/x", "player/state"], width=16, players=("ann", "bob"), strength=True
    )
    model = policy.build_policy(BRAWL.schema, made, 0)
    save(
        tmp_path / "r",
        1,
        CheckpointConfig("policy", BRAWL.schema, "tiny", made),
        model.state_dict(),
        {},
    )

    def pressed(style):
        agent = specs.agent(f"policy:{tmp_path / 'r'}{style}", BRAWL)
        state, view = (
            agent.start(np.arange(200), np.zeros(200, np.int64)),
            BRAWL.schema.neutral(200),
        )
        return np.concatenate([values.ravel() for values in agent.act(view, state)[0].values()])

    styles = ("", "@player=ann", "@player=bob", "@strength=9", "@player=ann@strength=9")
    found = [pressed(style) for style in styles]
    assert all((one != other).any() for at, one in enumerate(found) for other in found[:at])
    assert (pressed("@player=ann") == found[1]).all()
    with pytest.raises(UsageError, match="no style of 'an': did you mean 'ann'"):
        specs.agent(f"policy:{tmp_path / 'r'}@player=an", BRAWL)


def test_shipped_policies_have_names(card):
    """A game's own policies are called by name."""
    import dataclasses

    game = dataclasses.replace(BRAWL, policies={"champion": str(card / "x")})
    assert specs.agent("policy:champion", game).policy.input_columns == ("player/x", "player/state")


def test_runs_are_found(card, tmp_path):
    """The agents among the runs, at every depth, of this game alone; other kinds are left out."""
    names = ["x/10", "x/2", "sweep/wide/0"]
    assert checkpoints.agents_of_runs(card, "brawl") == [f"policy:{card / name}" for name in names]
    assert checkpoints.agents_of_runs(card, "melee") == []
    other = shutil.copytree(card, tmp_path / "other")
    for config in (other / "x").glob("*/checkpoints/*/config.json"):
        config.write_text(config.read_text().replace('"policy"', '"world"'))
    assert checkpoints.agents_of_runs(other, "brawl") == [f"policy:{other / 'sweep/wide/0'}"]


@pytest.mark.slow
def test_a_failed_gate_is_seen_wherever_it_plays(tmp_path, capsys):
    """A checkpoint that failed its evaluation is marked in `match`, `tournament`, and on the match page."""
    folder = run(tmp_path / "r", 3) / "checkpoints" / "00000003"
    spec = f"policy:{tmp_path / 'r'}"
    assert specs.agent(spec, BRAWL).mark == ""
    (folder / checkpoints.FILE).write_text(
        json.dumps({"gate": {"passed": False, "why": ["keys/j begins 0.00 times", "and k"]}})
    )
    assert (
        specs.agent(spec, BRAWL).mark
        == "failed the behavior gate: keys/j begins 0.00 times (and 1 more)"
    )
    assert shown(
        capsys,
        "match",
        "brawl",
        "--p0",
        spec,
        "--p1",
        "constant",
        "--out",
        str(tmp_path / "m.html"),
    )["marks"] == [
        {"player": spec, "mark": "failed the behavior gate: keys/j begins 0.00 times (and 1 more)"}
    ]
    assert "gate not passed" in (tmp_path / "m.html").read_text()
    table = shown(
        capsys,
        "tournament",
        "brawl",
        spec,
        "constant",
        "--matches",
        "2",
        "--workers",
        "1",
        "--out",
        str(tmp_path / "t"),
    )
    assert list(table["marks"]) == [spec]
    unsure = {"passed": False, "verdict": "not shown", "why": ["keys/j begins 0.74 times"]}
    (folder / checkpoints.FILE).write_text(json.dumps({"gate": unsure}))
    assert specs.agent(spec, BRAWL).mark.startswith(
        "was not shown to pass the behavior gate: keys/j"
    )
    (folder / checkpoints.FILE).write_text(json.dumps({"gate": {"passed": True, "why": []}}))
    assert specs.agent(spec, BRAWL).mark == ""
    (folder / checkpoints.FILE).write_text("{")
    assert specs.agent(spec, BRAWL).mark == "its evaluation cannot be read"


def shown(capsys, *arguments):
    """What a command prints with --json."""
    with pytest.raises(SystemExit) as stop:
        cli.main([*arguments, "--json"])
    out = capsys.readouterr().out
    assert stop.value.code == 0, out
    return json.loads(out)


def test_a_policy_is_recorded_like_any_bot(card, tmp_path):
    """`record` writes matches of a policy, and a policy plays in an environment's other seat."""
    from shadowbox.collect.matches import Pairing, record
    from shadowbox.data.store import Store
    from shadowbox.play.vector_matches import VectorMatches

    spec = f"policy:{card}/x"
    record(BRAWL, [Pairing(spec, "constant", 2)], tmp_path / "s", options={"time_limit": 60})
    assert Store(tmp_path / "s").meta_of(0)["players"] == [spec, "constant"]
    world = VectorMatches(BRAWL, 3, seats=[0], opponent=spec, time_limit=60)
    world.begin(np.arange(3))
    for _ in range(5):
        world.step({0: np.zeros((3, 10), np.int8)})
