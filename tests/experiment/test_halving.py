"""Sweeps by successive halving: the best settings go on, each as the run that it would be alone."""

import json

import pytest
from apprentice import same, weights
from promises import HEAD, games, ran, write

from shadowbox.cards import card as cards
from shadowbox.experiment import sweep
from shadowbox.experiment.run import RunOptions, run_card
from shadowbox.experiment.sweeps import halving
from shadowbox.train import runs

RATES = [0.00001, 0.003, 0.0001, 0.001, 0.000001]
SWEEP = {"method": "halving", "factor": 2, "grid": {"train.lr": RATES}}


def steps_of(project):
    """Step that the run of each setting has reached, by learning rate."""
    found = runs.runs_in(project / "runs" / "toy")
    return {run.facts["config"]["lr"]: run.facts["step"] for run in found}


def test_rungs_are_shares_of_the_run(project):
    """Rungs end at validations, the last one is the whole run, and their cost is that of fewer runs."""
    card = cards.require_card(write(sweep=SWEEP))[1]
    assert halving.rungs_of(card, 5) == [(5, 10), (2, 20), (1, 30)]
    assert halving.whole_runs(card, 5) == pytest.approx((5 * 10 + 2 * 10 + 1 * 10) / 30)
    assert halving.rungs_of(card, 1) == [(1, 30)]


def test_the_best_go_on(project):
    """Bad settings stay paused at their rung; the best one is the run that it would be alone."""
    path = write(sweep=SWEEP)
    found, said = ran(path)
    reached = steps_of(project)
    assert sorted(reached.values()) == [10, 10, 10, 20, 30]
    assert reached[0.003] == 30
    assert "rung 1 of 3: 5 settings, 10 steps each" in said
    assert found.verdict == "passed"
    assert found.to_json()["settings"][1]["verdict"] == "passed"
    assert found.to_json()["settings"][0]["verdict"] == "paused"
    assert "halving: decided at step 10" in json.dumps(found.to_json())
    halved = weights(project / "runs/toy/lr=0.003/0")
    alone = write(set={**HEAD["set"], "train": {**HEAD["set"]["train"], "lr": 0.003}})
    ran(alone)
    assert same(halved, weights(project / "runs/toy/0"))


def test_an_interrupted_sweep_decides_the_same(project, monkeypatch):
    """A sweep that was ended between two rungs and resumed has the runs of one that was not."""
    path = write(sweep=SWEEP)
    ran(path)
    whole = steps_of(project)
    best = halving._best

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(halving, "_best", stop)
    with pytest.raises(KeyboardInterrupt):
        ran(path)
    assert set(steps_of(project).values()) == {10}
    monkeypatch.setattr(halving, "_best", best)
    run_card(path, games, RunOptions(resume=True))
    assert steps_of(project) == whole


def test_a_card_that_cannot_be_halved_is_refused(project):
    """Halving needs a number of steps, and a target that validations have."""
    epochs = {k: v for k, v in HEAD["set"]["train"].items() if k != "steps"} | {"epochs": 2}
    target = {"metric": "eval/onset_f1", "op": ">", "value": 0.1, "primary": True}
    card = cards.require_card(
        write(sweep=SWEEP, set={**HEAD["set"], "train": epochs}, targets=[target])
    )[1]
    messages = " ".join(message for _, message in sweep.sweep_problems(card, games("toy")))
    assert "give train.steps" in messages
    assert "must be val/" in messages
