"""Ladders: ranks of policies in a world beside their ranks in the simulator."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from broken_worlds import GAME

from shadowbox import cli
from shadowbox.core.evaluation import EvaluationReport
from shadowbox.errors import UsageError
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.evaluate.worlds.ladder import rank_in
from shadowbox.report.ladder import ladder_page

POLICIES = ("expert", "based", "aggressive", "random", "neutral")
CONFIG = EvalConfig(opponents=("based", "aggressive"), matches=16, frames=240)


@pytest.fixture(scope="module")
def alike():
    """Ladder in a world that is the simulator, and begins from starts of its own."""
    return rank_in("py:broken_worlds:Elsewhere", POLICIES, CONFIG, game=GAME)


def test_a_true_world_ranks_alike(alike):
    """The simulator begins from the rows that the world began from, so that all matches are equal."""
    np.testing.assert_array_equal(alike.returns[:, 0], alike.returns[:, 1])
    figures = alike.report().figures
    assert tuple(figures["rank_correlation"].value) == pytest.approx((1, 1, 1))
    assert figures["return_bias"].value.value == 0
    assert figures["rank_correlation"].baselines["simulator_halves"].value <= 1


def test_every_policy_meets_the_same_starts(alike):
    """Each of two opponents is met from four starts, from both seats; the best bot leads."""
    assert alike.returns.shape == (8, 2, len(POLICIES))
    assert alike.policies[int(alike.means[1].argmax())] == "expert"
    assert alike.policies[int(alike.means[1].argmin())] == "neutral"


def test_a_world_in_which_all_policies_are_equal_ranks_none():
    """Without any effect of controls there is no correlation, and the gate is not passed."""
    found = rank_in("py:broken_worlds:Deaf", POLICIES, CONFIG, game=GAME)
    report = found.report()
    assert (found.returns[:, 0] == found.returns[:, 0, :1]).all()
    assert math.isnan(report.figures["rank_correlation"].value.value)
    assert any("rank correlation" in why for why in report.gate.why)
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["gate"]["passed"] is False


def test_the_gate_asks_for_twenty_policies(alike):
    """A perfect correlation of five policies proves little."""
    gate = alike.report().gate
    assert not gate.passed
    assert gate.why == ("5 policies were compared, at least 20 are needed",)


def test_a_run_counts_six_times_at_most():
    """A seventh variant of one agent is left out, and named."""
    many = [f"based@delay={frames}" for frames in range(7)]
    config = EvalConfig(opponents=("neutral",), matches=4, frames=20)
    found = rank_in("brawl", many, config)
    assert found.policies == many[:6]
    assert found.report().context["left_out"] == ["based@delay=6"]
    with pytest.raises(UsageError, match="2 policies, at least 3 are needed"):
        rank_in("brawl", ["based", "expert", "based"], config)


def run(words):
    """Run a command, which succeeds."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 0


def test_the_command_prints_ranks(tmp_path, capsys):
    """`eval WORLD --ladder` prints a row for each policy, JSON on demand, and writes a page."""
    words = ["eval", "brawl", "--ladder", "based,expert", "--ladder", "neutral"]
    words += ["--opponent", "based", "--matches", "4", "--frames", "60"]
    run([*words, "--json", "--out", str(tmp_path / "page.html")])
    data = json.loads(capsys.readouterr().out)
    assert EvaluationReport.from_json(data).kind == "ladder"
    assert {"value", "low", "high"} <= set(data["figures"]["rank_correlation"])
    assert [row["policy"] for row in data["policies"]] == ["based", "expert", "neutral"]
    assert (tmp_path / "page.html").read_text().count("<circle") == 3
    run(words)
    text = capsys.readouterr().out
    assert "rank_correlation" in text
    assert "brawl: the gate is FAILED" in text


def test_the_page_shows_negative_returns(alike):
    """Every policy is a point, wherever its return is."""
    assert alike.means.min() < 0 < alike.means.max()
    assert ladder_page(alike).count("<circle") == len(POLICIES)
