"""Lines of kinds that a learner declares: written, watched, shown, and refused if undeclared."""

from __future__ import annotations

import json

import pytest
from apprentice import Playing, make_store, run, stop_at, wrapped
from ranks import together

from shadowbox.core.metrics import MetricInfo
from shadowbox.errors import TrainingError, UsageError
from shadowbox.model import checkpoint
from shadowbox.train.log import Log, read_lines
from shadowbox.train.observer import ObserverDecision
from shadowbox.train.runs import find_run


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twelve short matches."""
    return make_store(tmp_path_factory.mktemp("toy") / "s")


def lines(out, kind):
    """The log's lines of a kind."""
    return [line for line in read_lines(out / "metrics.jsonl") if line["kind"] == kind]


def test_a_learner_has_lines_of_its_own(store, tmp_path):
    """Each declared kind is in the log at its steps, with sums divided, and is said to whoever watches."""
    heard = []

    def observer(progress):
        heard.append((progress.kind, progress.step))
        return ObserverDecision("continue")

    _, said = run(store, tmp_path / "r", wrap=wrapped(Playing), observer=observer, steps=10)
    play = lines(tmp_path / "r", "play")
    assert [line["step"] for line in play] == [5, 10]
    assert play[0]["win_rate"] == 0.5
    assert play[0]["win_rate/random"] == 0.25
    assert play[1]["length"] == 100
    assert [line["step"] for line in lines(tmp_path / "r", "gate")] == [7]
    assert [each for each in heard if each[0] in ("play", "gate")] == [
        ("play", 5),
        ("gate", 7),
        ("play", 10),
    ]
    assert "play, step 5: win_rate 0.5000" in said
    assert find_run(tmp_path / "r").figures()["play/win_rate"] == 0.5


def test_ranks_are_one_line(store, tmp_path):
    """Two processes write one line, whose figures are those of both together."""
    assert together(lambda rank: run(store, tmp_path / "r", wrap=wrapped(Playing), steps=5)) == [
        0,
        0,
    ]
    (line,) = lines(tmp_path / "r", "play")
    # rank 0 plays 2 games a step, rank 1 plays 3; each wins one of them
    assert line["win_rate"] == pytest.approx(10 / 25)


def test_lines_are_taken_back_with_the_rest(store, tmp_path):
    """A resumed run has each line of its own once, as one that was not stopped."""
    run(store, tmp_path / "a", wrap=wrapped(Playing), steps=20)

    def stopped(task):
        return stop_at(12)(wrapped(Playing)(task))

    run(store, tmp_path / "b", wrap=stopped, steps=20, save_every=50)
    with open(tmp_path / "b" / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"kind": "play", "step": 15, "epoch": 0, "win_rate": 0.1}) + "\n")
    run(store, tmp_path / "b", wrap=wrapped(Playing), steps=20, save_every=50, resume=True)
    for kind in ("play", "gate"):
        assert [
            {k: v for k, v in line.items() if k != "wall"} for line in lines(tmp_path / "a", kind)
        ] == [
            {k: v for k, v in line.items() if k != "wall"} for line in lines(tmp_path / "b", kind)
        ]


class Rising(Playing):
    """Wins more and more often until step 10, then less."""

    def take_lines(self, due):
        share = self.calls if self.calls <= 10 else 20 - self.calls
        return {"play": {"win_rate": (share, 20)}} if due else {}


def test_the_best_checkpoint_may_be_best_in_play(store, tmp_path):
    """`score` may name a figure of a declared line: it chooses the best checkpoint and stops early."""
    result, _ = run(
        store, tmp_path / "r", wrap=wrapped(Rising), score="play/win_rate", patience=2, steps=60
    )
    assert (result.best["step"], result.best["value"]) == (10, 0.5)
    assert (result.ended, result.step) == ("early stop", 20)
    assert checkpoint.pointed(tmp_path / "r", "best") == 10
    facts = find_run(tmp_path / "r")
    assert facts.figures()["play/win_rate"] == 0.5, "figures are those of the best checkpoint"
    assert facts.figures("last")["play/win_rate"] == 0


@pytest.mark.parametrize(
    ("taken", "message"),
    [
        (
            {"pay": {"win_rate": (1, 2)}},
            "a line of kind 'pay', which it does not declare: did you mean 'play'",
        ),
        (
            {"play": {"win_rates": (1, 2)}},
            "play/win_rates, which it does not declare: did you mean 'win_rate'",
        ),
    ],
)
def test_what_is_not_declared_is_refused(store, tmp_path, taken, message):
    """A line of another kind, or a figure of another name, ends the run in words."""

    class Wrong(Playing):
        def take_lines(self, due):
            return taken

    with pytest.raises(TrainingError, match=message):
        run(store, tmp_path / "r", wrap=wrapped(Wrong))


@pytest.mark.parametrize("kind", ["val", "train", "eval", "Play", "a/b", ""])
def test_kinds_that_are_taken_cannot_be_declared(store, tmp_path, kind):
    """Reserved kinds and invalid names are refused before the first step."""

    class Wrong(Playing):
        lines = {kind: {"x": MetricInfo()}}  # noqa: RUF012

    with pytest.raises(TrainingError, match=f"declares lines of kind '{kind}'"):
        run(store, tmp_path / "r", wrap=wrapped(Wrong))
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ("play/win_rat", "no score 'play/win_rat'.*play/win_rate"),
        ("pay/win_rate", "no score 'pay/win_rate'"),
        ("play/length", "no direction is better"),
    ],
)
def test_scores_that_cannot_decide(store, tmp_path, score, message):
    """A score that is not logged, or of which no direction is better, is refused before the first step."""
    with pytest.raises(UsageError, match=message):
        run(store, tmp_path / "r", wrap=wrapped(Playing), score=score)


def test_a_log_takes_declared_kinds_only(tmp_path):
    """The log itself refuses a line of a kind that it was not opened for, and writes nothing of it."""
    log = Log(tmp_path / "r", kinds=("train", "play"))
    log.metric("play", 1, 0, {"win_rate": 0.5})
    with pytest.raises(
        TrainingError, match="a line of kind 'plan' was not declared: did you mean 'play'"
    ):
        log.metric("plan", 1, 0, {"win_rate": 0.5})
    log.close()
    assert [line["kind"] for line in read_lines(tmp_path / "r" / "metrics.jsonl")] == ["play"]


class Closed(Playing):
    """Keeps something that a checkpoint cannot hold."""

    def state(self):
        return {"model": object()}


def test_a_state_that_cannot_be_kept_is_refused_at_once(store, tmp_path):
    """A state that is no plain data ends the run at its first checkpoint, not when it is resumed."""
    with pytest.raises(Exception, match=r"\['learner'\]\['model'\] is a object; expected a tensor"):
        run(store, tmp_path / "r", wrap=wrapped(Closed))


def test_a_state_must_be_there(store, tmp_path):
    """A run without a state of the learner cannot go on with a learner that has one."""
    run(store, tmp_path / "r", wrap=stop_at(4))
    with pytest.raises(Exception, match="holds no state of the learner"):
        run(store, tmp_path / "r", wrap=wrapped(Playing), resume=True)
