"""The cards that come with the project."""

import shutil
from pathlib import Path

import pytest

from shadowbox import cli
from shadowbox.cards.card import parse_value as card_of
from shadowbox.cards.file import CardFile
from shadowbox.cards.rules.monitor import RuleMonitor
from shadowbox.experiment import estimate, facts_table, limits, prices, results, settings, templates
from shadowbox.experiment.checks import check
from shadowbox.games import load

FOLDER = Path(__file__).parents[2] / "cards"
CARDS = sorted(FOLDER.glob("*.md"))


def test_cards_alone():
    """The folder holds cards and nothing else, among them those that the documentation names."""
    assert sorted(FOLDER.iterdir()) == CARDS
    assert {
        "brawl-clone",
        "melee-night",
        "melee-night-world",
        "melee-onsets",
        "never-press",
        "never-press-melee",
        "mamba2-v3",
        "mamba2-v3-replays",
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


@pytest.mark.parametrize("figure", ["win_rate", "onset_f1"])
def test_a_figure_that_matches_do_not_give_is_refused(figure):
    """A card without data is judged by matches alone; a target on recorded figures would end void."""
    changes = {"targets": [{"metric": f"eval/{figure}", "op": ">=", "value": 0.5, "primary": True}]}
    found = check.check_card(FOLDER / "brawl-encoder.md", load, changes)
    assert [f"nothing logs 'eval/{figure}'" in str(each) for each in found.mistakes] == [True]


def test_a_check_leaves_the_tree_unchanged(tmp_path, monkeypatch, capsys):
    """`card check` of every card, as on a fresh clone, changes no byte and says what is not here."""
    shutil.copytree(FOLDER, tmp_path / "cards")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main(["card", "check", *(path.stem for path in CARDS)])
    out = capsys.readouterr().out
    assert stop.value.code == 0, out
    for path in CARDS:
        assert (tmp_path / "cards" / path.name).read_bytes() == path.read_bytes(), path.name
    (frames,) = [line for line in out.splitlines() if "795,508" in line]
    assert frames.split()[2:] == ["computed;", "not", "computed", "here"]


def test_an_older_card_in_our_form(tmp_path, monkeypatch):
    """policy-22k has the computed number of parameters that people had typed; its data is external."""
    monkeypatch.chdir(tmp_path)
    found = check.check_card(FOLDER / "policy-22k.md", load)
    assert found.facts["parameters"] == found.card.facts["parameters"] == 1_153_781
    assert found.card.data.external
    assert "frames" not in found.facts
    rows = {name: (value, origin) for name, value, origin in facts_table.fact_rows(found)}
    for name, value in (("episodes", "22,000"), ("train examples", "185,648,963")):
        assert rows[name] == (value, "as stated; the data is elsewhere")
    assert found.settled.config.halvings == 1


def test_switches_of_an_encoding(tmp_path, monkeypatch):
    """A card may change switches of its encoding; facts have its widths beside those of earlier runs.

    The same switches are settings for --set and --ablate.
    """
    monkeypatch.chdir(tmp_path)
    card = (FOLDER / "policy-22k.md").read_text()
    changed = card.replace(
        "encoding: v2-embed", "encoding: {preset: v3-projectiles, hitstun: false}"
    )
    changed = changed.replace("data: 50 games", "data: 50 games, encoding: v2-embed")
    changed = changed.replace('{parameters: "1,153,781", ', "{")
    (tmp_path / "policy-22k.md").write_text(changed)
    found = check.check_card(tmp_path / "policy-22k.md", load)
    assert [m for m in found.mistakes if m.field != "card:facts"] == []
    wide = found.facts["floats_per_player"]
    assert wide == 71
    rows = {name: origin for name, _, origin in facts_table.fact_rows(found)}
    assert rows["floats per player"] == "computed; policy-p0-test: 28"
    assert rows["predicted binary"] == "computed; policy-p0-test: 6"
    usual = settings.encoding_switches(found.settled)
    assert usual["learner.encoding.hitstun"] is False
    again = check.check_card(tmp_path / "policy-22k.md", load, {"learner.encoding.hitstun": True})
    assert again.facts["floats_per_player"] == 72
    head = found.card.model_dump(by_alias=True, exclude_defaults=True)
    switch = "learner.encoding.projectiles"
    (ablated,) = templates.ablations("x", head, [switch], usual)
    assert ablated["id"] == "x-projectiles-false"
    assert card_of(ablated).settings["learner.encoding"] == {
        "preset": "v3-projectiles", "hitstun": False, "projectiles": False,
    }  # fmt: skip
    wrong = check.check_card(tmp_path / "policy-22k.md", load, {"learner.encoding.histun": True})
    assert "did you mean 'hitstun'" in " ".join(mistake.message for mistake in wrong.mistakes)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_every_card_has_an_estimate(path):
    """Each shipped card says what it will take, under its contract as it stands."""
    assert estimate.stored_estimate(CardFile.read(path))


def test_the_price_of_the_older_card(tmp_path, monkeypatch):
    """policy-22k costs what its authors wrote by hand, within 5 %, without its data.

    Its pessimistic time is beyond the timeout, so it goes on by itself.
    """
    monkeypatch.chdir(tmp_path)
    found = check.check_card(FOLDER / "policy-22k.md", load)
    given = estimate.estimate(found.card, load("melee"), found.settled, None, prices.read_prices())
    said = [given[f"{case}_usd"] for case in estimate.CASES]
    assert said == pytest.approx([1.50, 4.50, 7.50], rel=0.05)
    assert given["throughput"]["basis"] == "stated"
    assert given["pessimistic_s"] > found.card.timeout > given["expected_s"]
    assert found.card.resumes == 1
    (older, _) = found.card.prior
    assert older.values == {"val/stick_mae": 0.037, "val/btn_pressed_acc": 0.966, "val/loss": 0.039}


@pytest.mark.parametrize("name", ["melee-night", "melee-night-world"])
def test_the_prices_of_the_night(name, tmp_path, monkeypatch):
    """The hours and prices in the text of both cards of the night are those of an estimate, without data.

    On the GPU that the card names, its limits allow them.
    """
    monkeypatch.chdir(tmp_path)
    text = CardFile.read(FOLDER / f"{name}.md").prose
    table = prices.read_prices()
    for machine in ("A100-40GB", "H100", "T4"):
        changes = {"budget.machine": machine}
        found = check.check_card(FOLDER / f"{name}.md", load, changes)
        given = estimate.estimate(found.card, load("melee"), found.settled, None, table)
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {machine} |")]
        hours, *dollars = (float(cell) for cell in row.split("|")[2:5])
        assert given["expected_s"] / 3600 == pytest.approx(hours, rel=0.03)
        assert dollars == [round(given["expected_usd"], 2), round(given["pessimistic_usd"], 2)]
        assert given["throughput"]["basis"] == "reckoned"
        over = list(limits.limit_problems(found.card, given, table))
        assert bool(over) == (machine == "T4")
    facts = {row[0]: row[1] for row in facts_table.fact_rows(found)}
    assert facts["frames"] == "1,230,000,000"
    assert 9e6 < found.facts["parameters_before_data"] < 11.1e6


def test_the_world_of_the_older_card(tmp_path, monkeypatch):
    """mamba2-v3 has the size, widths and list of its older card, and a price beside the stated $0.60."""
    monkeypatch.chdir(tmp_path)
    found = check.check_card(FOLDER / "mamba2-v3.md", load)
    assert found.mistakes == []
    assert found.facts["parameters"] == found.card.facts["parameters"] == 4_347_748
    widths = {name: found.facts[name] for name in ("floats_per_player", "predicted_binary")}
    assert widths == {"floats_per_player": 72, "predicted_binary": 86}
    rows = {name: (value, origin) for name, value, origin in facts_table.fact_rows(found)}
    for name, value in (
        ("train examples", "17,518,726"),
        ("val examples", "1,923,461"),
        ("batches per epoch", "4,277"),
    ):
        assert rows[name] == (value, "as stated; the data is elsewhere")
    assert len(found.card.prior) == 5
    assert sum(not each.done for each in found.card.checks) == 2
    given = estimate.estimate(found.card, load("melee"), found.settled, None, prices.read_prices())
    assert given["optimistic_usd"] == pytest.approx(0.44, rel=0.05)
    assert given["optimistic_s"] == pytest.approx(13 * 60, rel=0.05)
    assert "$0.60" in (FOLDER / "mamba2-v3.md").read_text()


def test_flags_that_dominate_the_loss_propose_a_follow_up(tmp_path, monkeypatch):
    """Three times the continuous loss warns, and the follow-up card has a binary weight of 0.1."""
    monkeypatch.chdir(tmp_path)
    card = check.check_card(FOLDER / "mamba2-v3.md", load).card
    (rule,) = [rule.rule for rule in card.kill if rule.action == "warn"]
    monitor = RuleMonitor([rule], total=1000, per_epoch=500)
    fired = [
        len(monitor.see("train", step, {"loss/binary": binary, "loss/continuous": 0.1}))
        for step, binary in ((10, 0.9), (100, 0.2), (200, 0.31))
    ]
    assert fired == [0, 0, 1]
    assert rule.proposes == {"model.binary_weight": 0.1}


def test_cards_of_worlds_with_a_chain_propose_it_too(tmp_path, monkeypatch):
    """A new card of the learner has the rule, with the weight that these heads have, and no mistake."""
    monkeypatch.chdir(tmp_path)
    head = templates.blank("w", load("brawl"), "dynamics")
    (rule,) = [rule.rule for rule in card_of(head).kill if rule.action == "warn"]
    monitor = RuleMonitor([rule], total=1000, per_epoch=500)
    assert not monitor.see("train", 200, {"loss/binary": 0.29, "loss/continuous": 0.1})
    assert monitor.see("train", 300, {"loss/binary": 0.31, "loss/continuous": 0.1})
    assert rule.proposes == {"learner.binary_weight": 0.1}
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main(["card", "new", "w", "--game", "brawl", "--learner", "dynamics"])
    mistakes = check.check_card(Path("cards/w.md"), load).mistakes
    assert not [each for each in mistakes if "kill" in str(each)]


def test_the_ablation_of_the_older_card(tmp_path, monkeypatch):
    """One switch of the encoding off in each card, as its authors would isolate the harmful one."""
    monkeypatch.chdir(tmp_path)
    found = check.check_card(FOLDER / "mamba2-v3.md", load)
    switches = [f"learner.encoding.{name}" for name in ("state_flags", "hitstun", "projectiles")]
    head = found.card.model_dump(by_alias=True, exclude_defaults=True)
    usual = settings.encoding_switches(found.settled)
    made = templates.ablations("a", head, [f"{switches[0]}=no", *switches[1:]], usual)
    chosen = [card_of(each).settings["learner.encoding"] for each in made]
    assert chosen == [
        {"preset": "v3-projectiles", "state_flags": "no"},
        {"preset": "v3-projectiles", "hitstun": False},
        {"preset": "v3-projectiles", "projectiles": False},
    ]


@pytest.mark.parametrize(
    "name", ["brawl-clone", "melee-onsets", "never-press", "never-press-melee", "policy-melee"]
)
def test_results_are_of_the_contract(name):
    """What a card's results say was reached under the contract as it stands, without changes from outside."""
    file = CardFile.read(FOLDER / f"{name}.md")
    known = results.stored_results(file)
    assert known["contract"] == file.hash
    assert known["stamps"] == []
