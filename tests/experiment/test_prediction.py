"""Predictions before a run: a scaling law through small runs, and its place in the card."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shadowbox import cli
from shadowbox.cards.file import CardFile
from shadowbox.errors import UsageError
from shadowbox.experiment.ahead.prediction import prediction_words, stored_prediction
from shadowbox.experiment.ahead.scaling import _Point, fit_law, predict_loss
from shadowbox.train import log

SIZES = np.array([1e9, 3e9, 1e10, 3e10, 1e11])


def points(offset, scale, exponent, noise=0.0, seed=0, sizes=SIZES):
    """Runs that follow a law."""
    draws = np.random.default_rng(seed)
    losses = offset + scale * (sizes / 1e9) ** -exponent + noise * draws.standard_normal(len(sizes))
    return [_Point(f"r{at}", *each) for at, each in enumerate(zip(sizes, losses, strict=True))]


@pytest.mark.parametrize(
    ("offset", "scale", "exponent"), [(0.7, 1.5, 0.2), (0.0, 3.0, 0.1), (1.2, 0.4, 0.5)]
)
def test_a_known_law_is_found(offset, scale, exponent):
    """From exact points the exponent comes back, and so does the loss a hundred times further."""
    given = points(offset, scale, exponent)
    assert fit_law(given).exponent == pytest.approx(exponent, abs=0.01)
    far = predict_loss(given, 1e13)
    assert far.value == pytest.approx(offset + scale * 1e4**-exponent, rel=0.02)


def test_the_interval_covers():
    """With noisy runs the truth is in the interval in nine of ten cases at least, and it is not vacuous."""
    truth, inside, widths = 0.7 + 1.5 * 1e3**-0.2, 0, []
    for seed in range(40):
        found = predict_loss(points(0.7, 1.5, 0.2, 0.01, seed), 1e12)
        inside += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    assert inside >= 36
    assert np.median(widths) < 0.6


def test_too_few_and_too_equal_runs_are_refused():
    """Three runs, and runs of one size and length, are refused in words."""
    with pytest.raises(UsageError, match="at least 4 finished runs of different sizes, got 3"):
        predict_loss(points(0.7, 1.5, 0.2)[:3], 1e12)
    with pytest.raises(UsageError, match="the largest must take at least 2 times"):
        predict_loss(points(0.7, 1.5, 0.2, sizes=np.full(4, 1e9)), 1e12)


def small_run(folder, parameters, steps, loss):
    """A finished run of a card, as its folder says."""
    folder.mkdir(parents=True)
    settings = {"train.batch": 8, "learner.length": 16}
    facts = {
        "format": "shadowbox run", "version": 2, "status": "finished", "step": steps, "total": steps,
        "game": "brawl", "learner": "imitation", "preset": "tiny", "parameters": parameters,
        "settings": {name: {"value": value, "from": "card"} for name, value in settings.items()},
        "eval": {"eval/nll": loss, "eval/nll.low": loss - 0.01, "eval/nll.high": loss + 0.01},
    }  # fmt: skip
    log.write_facts(folder, facts)


@pytest.fixture
def card(tmp_path, monkeypatch):
    """A card that promises a likelihood, and five small runs."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main(["card", "new", "big"])
    path = tmp_path / "cards" / "big.md"
    text = path.read_text(encoding="utf-8")
    head, _, rest = text.partition("targets:")
    rest = rest[rest.index("kill:") :] if "kill:" in rest else rest
    target = "targets:\n  - {metric: eval/nll, op: '<', value: 2.0, primary: true}\neval: {episodes: 10}\n"
    path.write_text(head + target + rest, encoding="utf-8")
    for at, (size, steps) in enumerate([(1e4, 50), (2e4, 100), (4e4, 200), (1e5, 400), (2e5, 800)]):
        operations = 6 * size * steps * 8 * 16 * 2
        small_run(
            tmp_path / "runs" / "small" / str(at), size, steps, 0.5 + (operations / 1e9) ** -0.2
        )
    return path


def test_a_prediction_is_signed_into_the_card(card, capsys):
    """`card predict` writes value, interval, runs and signer; a changed card voids it."""
    call = ["card", "predict", "big", "runs/small", "--as", "ada", "--json"]
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main(call)
    found = json.loads(capsys.readouterr().out)
    file = CardFile.read(card)
    stored = stored_prediction(file)
    assert stored == found
    assert found["metric"] == "eval/nll"
    assert found["low"] < found["value"] < found["high"]
    assert found["value"] == pytest.approx(0.5 + (found["operations"] / 1e9) ** -0.2, rel=0.05)
    assert file.edited() == []
    assert "ada predicted eval/nll" in prediction_words(file)
    changed = file.with_head(file.head.replace("2.0", "2.1"))
    assert stored_prediction(changed) is None
    assert "void" in prediction_words(changed)


def test_runs_that_foretell_nothing_are_refused(card, tmp_path, capsys):
    """Too few runs, runs without the metric, and folders without any are named."""
    for words, message in (
        (["runs/small/0"], "got 1"),
        (["runs/small", "--metric", "eval/onset_f1"], "has no eval/onset_f1"),
        (["runs/nothing"], "no finished run is there"),
    ):
        with pytest.raises(SystemExit):
            cli.main(["card", "predict", "big", *words, "--as", "ada"])
        assert message in capsys.readouterr().err
