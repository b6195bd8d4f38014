"""The failure of older recipes, small: no presses, or far too many, while `chain` plays as recorded."""

import sys
from pathlib import Path

import pytest

from shadowbox.cards import card as cards
from shadowbox.cards.file import CardFile
from shadowbox.experiment import results
from shadowbox.experiment.run import RunOptions, run_card
from shadowbox.games import load

ROOT = Path(__file__).parents[2]
CARD, PEOPLE = ROOT / "cards" / "never-press.md", ROOT / "cards" / "never-press-melee.md"


@pytest.mark.slow
def test_the_failure_and_its_cure(tmp_path, monkeypatch):
    """The committed card, smaller: the older recipe fails the gate with a good metric; `chain` passes."""
    monkeypatch.chdir(tmp_path)
    cases = {case["name"]: case for case in cards.require_card(CARD)[1].sweep.cases}
    less = {  # with fewer matches the intervals of the gate are too wide to pass
        "sweep.cases": [cases[name] for name in ("seed", "bias", "chain")],
        "train.steps": 240,
        "train.validate_every": 240,
        "data.store": "data/small",
        "data.make.record.matches": 80,
        "eval.matches": 200,
        "eval.episodes": 40,
    }
    found = run_card(CARD, load, RunOptions(changes=less, keep_card=True))
    figures = {
        each.changes["name"]: {
            outcome.target.metric.removeprefix("eval/"): outcome.value for outcome in each.outcomes
        }
        for each in found.settings
    }
    assert {name: row["gate"] for name, row in figures.items()} == {
        "seed": 0,
        "bias": 0,
        "chain": 1,
    }, figures
    assert figures["seed"]["press_accuracy"] > 0.85, "it looks good by the metric of its authors"
    assert figures["seed"]["press_ratio_max"] < 0.5
    assert figures["bias"]["press_ratio_max"] > 1.5
    assert found.to_json()["settings"][2]["targets"][0]["passed"]


def test_the_page_is_what_the_card_found():
    """docs/never-press.md and its picture are those that the results in both cards give.

    In play `chain` passes.
    """
    sys.path.insert(0, str(ROOT / "demo"))
    from never_press import written

    found, people = (results.stored_results(CardFile.read(card)) for card in (CARD, PEOPLE))
    assert found["verdict"] in ("passed", "missed")
    assert {each["set"]["name"]: each["targets"][0]["passed"] for each in found["settings"]}[
        "chain"
    ]
    for path, text in written(found, people).items():
        assert path.read_text() == text
