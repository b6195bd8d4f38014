"""Who watches a run hears its log and may end it; all ranks obey at the same step."""

from __future__ import annotations

import json
import math

import pytest
from apprentice import figures, make_store, run, same, weights
from ranks import together

from shadowbox.model import checkpoint
from shadowbox.train.log import read_lines
from shadowbox.train.observer import CONTINUE, ObserverDecision, TrainProgress, stronger


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twelve short matches."""
    return make_store(tmp_path_factory.mktemp("toy") / "s")


class Watcher:
    """Keeps what it is told, and answers `answer` at the line of this kind and step."""

    def __init__(self, answer=CONTINUE, *, step=15, kind="train"):
        self.answer, self.at, self.told = answer, (kind, step), []

    def __call__(self, progress: TrainProgress) -> ObserverDecision:
        self.told.append(progress)
        return self.answer if (progress.kind, progress.step) == self.at else CONTINUE


def test_it_hears_the_log(store, tmp_path):
    """An observer is shown each line of the log once, and one that always continues changes nothing."""
    watcher = Watcher()
    run(store, tmp_path / "a", observer=watcher, validate_every=10)
    run(store, tmp_path / "b", validate_every=10)
    lines = read_lines(tmp_path / "a" / "metrics.jsonl")
    assert [(told.kind, told.step, told.epoch) for told in watcher.told] == [
        (line["kind"], line["step"], line["epoch"]) for line in lines
    ]
    for told, line in zip(watcher.told, lines, strict=True):
        assert {
            name: value if math.isfinite(value) else None for name, value in told.metrics.items()
        }.items() <= line.items()
    assert {told.total for told in watcher.told} == {30}
    seconds = [told.wall_s for told in watcher.told]
    assert seconds == sorted(seconds)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


@pytest.mark.parametrize("kind", ["train", "val"])
def test_called_off(store, tmp_path, kind):
    """A stopped run has a checkpoint of that step and the reason, and resumes exactly."""
    watcher = Watcher(ObserverDecision("stop", "loss > 9"), kind=kind)
    result, said = run(store, tmp_path / "r", observer=watcher, validate_every=15)
    assert (result.ended, result.reason, result.step, result.whole) == (
        "called off",
        "loss > 9",
        15,
        True,
    )
    assert checkpoint.load(checkpoint.find_checkpoint(f"{tmp_path / 'r'}@latest")).step == 15
    assert "called off at step 15: loss > 9" in said
    facts = json.loads((tmp_path / "r" / "run.json").read_text())
    assert (facts["status"], facts["reason"]) == ("called off", "loss > 9")
    again, _ = run(store, tmp_path / "r", resume=True, validate_every=15)
    run(store, tmp_path / "straight", validate_every=15)
    assert (again.ended, again.reason, again.step) == ("finished", "", 30)
    assert same(weights(tmp_path / "r"), weights(tmp_path / "straight"))


def test_paused(store, tmp_path):
    """A run that is told to pause saves, says how to go on, and resumed is the straight one.

    Its time adds up.
    """
    watcher = Watcher(ObserverDecision("pause", "a person should look"))
    result, said = run(store, tmp_path / "a", observer=watcher)
    assert (result.ended, result.reason, result.step, result.whole) == (
        "paused",
        "a person should look",
        15,
        False,
    )
    assert "paused (a person should look): saved at step 15; go on with: again" in said
    assert json.loads((tmp_path / "a" / "run.json").read_text())["status"] == "stopped"
    after = Watcher()
    result, _ = run(store, tmp_path / "a", observer=after, resume=True)
    run(store, tmp_path / "b")
    assert (result.ended, result.reason) == ("finished", "")
    assert after.told[0].step == 20
    assert after.told[0].wall_s > watcher.told[-1].wall_s
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert figures(tmp_path / "a") == figures(tmp_path / "b")


def test_the_end_is_the_end(store, tmp_path):
    """At the last step a pause means nothing any more, and a stop still counts."""
    result, _ = run(
        store, tmp_path / "a", observer=Watcher(ObserverDecision("pause", "late"), step=30)
    )
    assert (result.ended, result.reason) == ("finished", "")
    result, _ = run(
        store, tmp_path / "b", observer=Watcher(ObserverDecision("stop", "missed"), step=30)
    )
    assert (result.ended, result.reason) == ("called off", "missed")


@pytest.mark.parametrize(("do", "ended"), [("stop", "called off"), ("pause", "paused")])
def test_ranks_obey_together(store, tmp_path, do, ended):
    """Of two ranks only the first is asked, and both end at the same step with the same answer."""

    def work(rank):
        watcher = Watcher(ObserverDecision(do, "enough"))
        result, _ = run(store, tmp_path / "r", observer=watcher)
        assert bool(watcher.told) == (rank == 0)
        (tmp_path / f"{rank}.json").write_text(
            json.dumps([result.ended, result.reason, result.step])
        )

    assert together(work) == [0, 0]
    assert [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)] == [
        [ended, "enough", 15]
    ] * 2
    assert checkpoint.load(checkpoint.find_checkpoint(f"{tmp_path / 'r'}@latest")).step == 15


def test_of_two_answers_the_stronger_holds():
    """Stop is stronger than pause, pause than going on, and of two equal ones the first holds."""
    first, second, pause = (
        ObserverDecision("stop", "a"),
        ObserverDecision("stop", "b"),
        ObserverDecision("pause", "c"),
    )
    assert stronger(first, second) == first
    assert stronger(pause, first) == first
    assert stronger(CONTINUE, pause) == pause
