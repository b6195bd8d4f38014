"""Benchmarks during training: they measure the policy of that step, and change nothing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from small_selfplay import GAME, SPEC, inputs

from shadowbox.errors import UsageError
from shadowbox.model import checkpoint
from shadowbox.play.benchmark import benchmark, tactic_names
from shadowbox.play.specs import agent
from shadowbox.report.selfplay import learner_blocks
from shadowbox.train.log import read_lines
from shadowbox.train.loop import train
from shadowbox.train.observer import CONTINUE, ObserverDecision
from shadowbox.train.runs import Run
from shadowbox.train.tables import BENCHMARK, read_table

SETTINGS = {
    "benchmark_every": 2, "benchmark_opponents": ("based", "constant"), "benchmark_matches": 4,
}  # fmt: skip


def trained(folder, steps=4, observer=None, resume=False, **learner):
    """A run, its last weights, and its lines without times."""
    given = inputs(folder, steps, **learner)
    train(SPEC.prepare(given), folder, given.config, observer=observer, resume=resume)
    lines = [
        {
            name: value
            for name, value in line.items()
            if name not in ("wall", "examples_per_s") and not name.startswith("time/")
        }
        for line in read_lines(folder / "metrics.jsonl")
    ]
    return checkpoint.load(checkpoint.find_checkpoint(f"{folder}@latest")).weights, lines


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a benchmark every second step."""
    folder = tmp_path_factory.mktemp("bench")
    return folder, *trained(folder, **SETTINGS)


def test_training_goes_on_as_without_it(run, tmp_path):
    """Weights and all other lines are the same bits as without a benchmark."""
    _, weights, lines = run
    plain, others = trained(tmp_path)
    assert all(torch.equal(plain[name], weights[name]) for name in weights)
    assert others == [line for line in lines if line["kind"] != "bench"]
    assert not (tmp_path / BENCHMARK).exists()


def test_a_resumed_run_has_the_same_benchmarks(run, tmp_path):
    """Paused after a benchmark and resumed, the lines and rows are those of a straight run."""
    folder, weights, lines = run

    def pause(progress):
        return ObserverDecision("pause") if progress.step == 3 else CONTINUE

    trained(tmp_path, observer=pause, **SETTINGS)
    again, resumed = trained(tmp_path, resume=True, **SETTINGS)
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    assert resumed == lines
    assert read_table(tmp_path / BENCHMARK) == read_table(folder / BENCHMARK)


def test_lines_and_rows_agree(run):
    """Each benchmark has a line, a row for each opponent, and what the policy then really does."""
    folder, _, lines = run
    bench = [line for line in lines if line["kind"] == "bench"]
    rows = read_table(folder / BENCHMARK)
    assert [line["step"] for line in bench] == [2, 4]
    assert [(row["step"], row["opponent"]) for row in rows] == [
        (step, name) for step in "24" for name in ("based", "constant")
    ]
    declared = SPEC.summarize(inputs(None)).metrics
    last = {row["opponent"]: row for row in rows[2:]}
    for name, row in last.items():
        assert (row["matches"], row["step"]) == ("4", "4")
        for figure in ("win_rate", "return", "frames"):
            assert bench[1][f"{figure}.{name}"] == pytest.approx(float(row[figure]), abs=1e-5)
    assert bench[1]["return"] == pytest.approx(
        sum(float(row["return"]) for row in last.values()) / 2, abs=1e-5
    )
    assert {"bench/win_rate", "bench/return", "bench/win_rate/even"} <= set(declared)
    assert set(tactic_names(GAME)) <= set(rows[0])
    assert float(last["constant"]["jumps"]) >= 0


def test_the_page_and_the_curves_show_it(run):
    """The page of the run has the latest benchmark, and its curves have each opponent."""
    folder = run[0]
    page = "".join(learner_blocks(Run(folder, {})))
    assert "At step 4" in page
    assert "whiffs punished" in page
    curves = (folder / "training_curves.html").read_text()
    assert "benchmark: won against constant" in curves
    assert "benchmark: return against based" in curves


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"benchmark_every": -1}, "benchmark_every must be at least 0"),
        ({"benchmark_matches": 3}, "an even number"),
        ({"benchmark_every": 1, "benchmark_opponents": ["charger"]}, "'charger' is held out"),
        ({"benchmark_every": 1, "opponents": {"self": 1.0}}, "name some in benchmark_opponents"),
    ],
)
def test_settings_that_make_no_sense(settings, message, tmp_path):
    """Impossible settings and held-out opponents are refused before the run."""
    with pytest.raises(UsageError, match=message):
        SPEC.prepare(inputs(tmp_path, **settings))


def test_the_average_reward_is_that_of_the_matches():
    """The sum of the rewards of a benchmark's matches is that of the reward that was asked for."""
    reward = GAME.rewards["sparse"]()
    bots = [agent(name, GAME) for name in ("expert", "constant")]
    worlds = lambda matches: GAME.world(matches, time_limit=600)  # noqa: E731
    found = benchmark(GAME, worlds, *bots, np.arange(3), reward=reward, tactics=True)
    assert found.rewards.shape == found.results.shape == (2, 3)
    assert (found.rewards > 0).all()
    assert found.tactics.shape == (2, 3, len(tactic_names(GAME)), 2)
    figures = found.tactic_intervals(GAME)
    assert figures["air_hits"].low <= figures["air_hits"].value <= figures["air_hits"].high
    plain = benchmark(GAME, worlds, *bots, np.arange(3), reward=reward)
    assert (plain.prints == found.prints).all()
    assert (plain.rewards == found.rewards).all()


def test_the_columns_are_documented(run):
    """Every column of benchmark.csv has its line in the documentation, in the order of the file."""
    text = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    part = text.split(f"### `{BENCHMARK}`", 1)[1].split("\n#", 1)[0]
    documented = re.findall(r"^\| `([^`]+)`", part, re.MULTILINE)
    assert documented == (run[0] / BENCHMARK).read_text().splitlines()[0].split(",")
