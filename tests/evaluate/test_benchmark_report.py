"""Evaluation of a policy without recordings: figures, gate, page and command line."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from shadowbox.cli import shadowbox
from shadowbox.core.evaluation import EvaluationReport
from shadowbox.errors import UsageError
from shadowbox.evaluate.dispatch import evaluate_checkpoint
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.games import load
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.play import specs
from shadowbox.report.evaluation import evaluation_page
from shadowbox.train.config import TrainConfig
from shadowbox.train.loop import train

GAME = load("brawl")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of self-play of one step."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    config = TrainConfig(steps=1, batch=2, precision="fp32", threads=1)
    model = {"width": 16, "hidden_width": 8, "head_width": 8}
    given = Inputs(
        spec=RunSpec(GAME, "small", model, {"n_steps": 4}),
        config=config,
        worlds=specs.world_factory("brawl", GAME),
        agents=lambda spec: specs.agent(spec, GAME),
        opponents={"constant": 1.0},
    )
    train(learner_spec("selfplay").prepare(given), folder, config)
    return folder


def test_figures_gate_and_page(run):
    """Every opponent has wins with an interval beside an even match, and by starting place."""
    config = EvalConfig(matches=4, opponents=("constant", "charger"), world="brawl@time_limit=200")
    found = evaluate_checkpoint(run, None, config)
    report = found.report()
    assert {"wins.constant", "wins_from.constant.left", "draws.charger"} <= set(report.figures)
    wins = report.figures["wins.charger"]
    assert wins.value.low <= wins.value.value <= wins.value.high
    assert wins.baselines["even"].value == 0.5
    both = [report.figures[f"wins.{name}"].value.value for name in ("constant", "charger")]
    assert report.figures["wins"].value.value == pytest.approx(sum(both) / 2)  # as many of each
    assert not report.gate.passed
    assert len(report.gate.why) == 2
    assert report.context["held_out"] == ["charger"]
    assert report.metrics()["eval/wins.constant.low"] == report.figures["wins.constant"].value.low
    assert EvaluationReport.from_json(report.to_json()).to_json() == report.to_json()
    page = evaluation_page(found)
    assert "Never met in training: charger." in page
    assert "not passed" in page


def test_the_command(run, tmp_path):
    """`shadowbox eval RUN` without a store plays the named opponents and writes a page."""
    arguments = ["eval", str(run), "--opponent", "constant", "--matches", "2", "--json"]
    arguments += ["--world", "brawl@time_limit=60", "--out", str(tmp_path / "page.html")]
    answer = CliRunner().invoke(shadowbox, arguments)
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert found["opponents"] == ["constant"]
    assert found["matches"] == {"constant": 2}
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_delays_are_judged_one_by_one(run):
    """At each delay there are the figures of every opponent, and wins against all of them."""
    settings = {"matches": 4, "opponents": ("constant", "random"), "world": "brawl@time_limit=60"}
    found = evaluate_checkpoint(run, None, EvalConfig(**settings, delays=(0, 5)))
    report = found.report()
    assert {"wins.constant", "wins.random.delay5", "frames.constant.delay5"} <= set(report.figures)
    assert {"wins_at_delay.0", "wins_at_delay.5"} <= set(report.figures)
    assert report.context["opponents"] == ["constant", "random"]
    assert report.context["delays"] == [0, 5]
    assert "constant, delay 5" in evaluation_page(found)
    for wrong in ((), (3, 3), (-1,)):
        with pytest.raises(UsageError, match="delay"):
            EvalConfig(**settings, delays=wrong)
    answer = CliRunner().invoke(shadowbox, ["eval", str(run), "--delay", "1,x"])
    assert "--delay" in str(answer.exception) + answer.output


def test_a_game_without_a_simulator(run):
    """Without a world nothing can be played: the message says what to give instead."""
    with pytest.raises(UsageError, match="STORE"):
        evaluate_checkpoint(run, None, EvalConfig(matches=2), game=load("melee"))
