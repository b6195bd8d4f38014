"""The cards that come with the project."""

from pathlib import Path

import pytest

from shadowbox.cards.file import CardFile
from shadowbox.experiment import results
from shadowbox.experiment.checks import check
from shadowbox.games import load

FOLDER = Path(__file__).parents[2] / "cards"
CARDS = sorted(FOLDER.glob("*.md"))


def test_cards_alone():
    """The folder holds cards and nothing else, among them those that the documentation names."""
    assert sorted(FOLDER.iterdir()) == CARDS
    assert {
        "brawl-clone",
        "melee-onsets",
        "never-press",
        "never-press-melee",
        "policy-22k",
        "policy-melee",
    } <= {path.stem for path in CARDS}


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_right_without_data(path, tmp_path, monkeypatch):
    """Every card is valid without data and runs, needs no signature, and has no block edited by hand."""
    monkeypatch.chdir(tmp_path)
    found = check.check_card(path, load)
    assert found.mistakes == []
    assert found.card.reviewers.min == 0
    assert not CardFile.read(path).edited()


def test_an_older_card_in_our_form(tmp_path, monkeypatch):
    """policy-22k has the computed number of parameters that people had typed; its data is external."""
    monkeypatch.chdir(tmp_path)
    found = check.check_card(FOLDER / "policy-22k.md", load)
    assert found.facts["parameters"] == found.card.facts["parameters"] == 1_153_781
    assert found.card.data.external
    assert "frames" not in found.facts
    assert found.settled.config.halvings == 1


@pytest.mark.parametrize(
    "name", ["brawl-clone", "melee-onsets", "never-press", "never-press-melee", "policy-melee"]
)
def test_results_are_of_the_contract(name):
    """What a card's results say was reached under the contract as it stands, without changes from outside."""
    file = CardFile.read(FOLDER / f"{name}.md")
    known = results.stored_results(file)
    assert known["contract"] == file.hash
    assert known["stamps"] == []
