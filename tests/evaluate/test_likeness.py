"""Likeness: a policy's play beside the player's, the player's own, and that of others."""

from __future__ import annotations

import json

import numpy as np
import pytest
from judging import SHORT, run, store

from shadowbox import cli
from shadowbox.cli.text.evaluation import likeness_text
from shadowbox.core.metrics import metric_of
from shadowbox.data.split import Split
from shadowbox.errors import UsageError
from shadowbox.evaluate.likeness import likeness, separation
from shadowbox.evaluate.setup import EvalConfig

SETTINGS = EvalConfig(side="all", split=Split(0.5, 0.5, 0.0), seats=(1,))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twenty short matches; the players of both seats are bots of different style."""
    return store(tmp_path_factory.mktemp("data") / "s", matches=20)


def _matches(shift, seed, count=12):
    draws = np.random.default_rng(seed)
    return [draws.normal([shift, 0, 0, 0], size=(6, 4)) for _ in range(count)]


def test_equal_players_are_not_told_apart_and_different_ones_are():
    """Draws of one distribution give 0.5 within the interval; a shift of two spreads gives nearly 1."""
    same = separation(_matches(0, 1), _matches(0, 2))
    assert same.low < 0.5 < same.high
    assert 0.35 < same.value < 0.65
    apart = separation(_matches(0, 1), _matches(2, 2))
    assert apart.value > 0.85
    assert apart.low > same.high


def test_a_longer_recording_is_not_the_likelier_answer():
    """Ten times as many matches of one player leave the AUC of equal players near 0.5."""
    found = separation(_matches(0, 1, 60), _matches(0, 2, 6))
    assert found.low < 0.5 < found.high


def test_a_policy_that_never_presses_is_given_away_by_its_keys(data, tmp_path):
    """It is told apart nearly always, its keys are named, and a player's halves are not told apart."""
    found = likeness(run(tmp_path / "still", still=True), data, SETTINGS, game=SHORT)
    assert found.auc.value.low > 0.95
    assert found.auc.baselines["real"].value < 0.75
    assert found.auc.baselines["others"].low > found.auc.baselines["real"].value
    assert set(found.auc.baselines) == set(metric_of("likeness_auc").baselines)
    assert found.matches == {"policy": 20, "player": 20, "others": 20}
    assert all(each["spreads"] > 0 for each in found.differences)
    pressed = [each for each in found.differences if each["feature"].startswith("keys/")]
    assert all(each["policy"] == 0 < each["player"] for each in pressed)


def test_too_few_matches_are_refused_with_what_to_do(data, tmp_path):
    """A side with too few matches names the option that helps."""
    still = run(tmp_path / "still", still=True)
    few = EvalConfig(side="test", split=Split(1.0, 0.0, 0.0), seats=(1,))
    with pytest.raises(UsageError, match="--side all"):
        likeness(still, data, few, game=SHORT)


def test_the_command_prints_three_pairs(data, tmp_path, capsys):
    """`eval --likeness` prints the same numbers as a table and as JSON; without a store it asks for one."""
    still = str(run(tmp_path / "still", still=True))
    words = ["eval", still, str(data), "--likeness", "--side", "all", "--shares", "50/50/0"]
    words += ["--matches", "4", "--episodes", "8"]
    with pytest.raises(SystemExit, match="0"):
        cli.main([*words, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["likeness_auc"]["value"] > 0.9
    text = likeness_text(found)
    assert f"{found['likeness_auc']['value']:.2f}" in text
    for pair in ("policy and player", "player and player", "player and others"):
        assert (pair in text) == (pair != "player and others" or found["matches"]["others"] > 0)
    with pytest.raises(SystemExit):
        cli.main(["eval", still, "--likeness"])
    assert "give a STORE" in capsys.readouterr().err
