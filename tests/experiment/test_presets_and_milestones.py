"""Presets that set more than a model, and milestones of a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from shadowbox import cli
from shadowbox.cards import card as cards
from shadowbox.experiment.settings import resolve_settings
from shadowbox.games import load
from shadowbox.learners.registry import Inputs, learner_spec
from shadowbox.report.run import report
from shadowbox.report.source import find_source
from shadowbox.train.runs import Run, first_missed, milestone_results

GAME = load("brawl")


def card_of(preset, **more):
    """A card of self-play."""
    head = {"id": "toy", "game": "brawl", "learner": "selfplay", "preset": preset, "world": "brawl"}
    return cards.parse_value(head | {"opponents": {"constant": 1.0}, "seeds": [0]} | more)


@pytest.mark.parametrize(
    ("preset", "expected", "window"),
    [
        ("10M", (2.5e-4, 512, 64, 10, 0.01, 0.2), "window"),
        ("fast", (5e-4, 256, 64, 20, 0.05, 0.3), "window@45"),
        ("stable", (1e-4, 2048, 128, 5, 0.005, 0.1), "window@90"),
        ("exploration", (2.5e-4, 512, 64, 10, 0.05, 0.2), "window"),
    ],
)
def test_presets_have_the_numbers_of_older_systems(preset, expected, window):
    """A preset brings the settings of PPO and of the loop, and its window of the opponent's history."""
    settled = resolve_settings(card_of(preset), GAME)
    names = ("train.lr", *(f"learner.{name}" for name in ("n_steps", "batch_size", "n_epochs")))
    values = [settled.origins[name] for name in (*names, "learner.ent_coef", "learner.clip_range")]
    assert values == [(value, "preset") for value in expected]
    assert settled.origins["model.strategy"] == (window, "preset")
    frames = settled.config.steps * settled.config.batch * settled.plan.learner["n_steps"]
    assert frames / (1e5 if preset == "exploration" else 1e7) == pytest.approx(1, abs=0.07)


def test_a_card_changes_what_its_preset_brings():
    """Defaults give way to the preset, the preset to the card."""
    changed = {"train": {"lr": 0.5, "steps": 3}, "learner": {"n_steps": 7}}
    settled = resolve_settings(card_of("fast", set=changed), GAME)
    assert settled.origins["train.lr"] == (0.5, "card")
    assert settled.origins["train.steps"] == (3, "card")
    assert settled.origins["learner.n_steps"] == (7, "card")
    assert settled.origins["learner.clip_range"] == (0.3, "preset")
    assert settled.origins["learner.vf_coef"][1] == "default"
    assert settled.plan.learner["clip_range"] == 0.3
    assert settled.config.batch == 16


def test_a_check_shows_what_the_preset_brings(tmp_path, monkeypatch, capsys):
    """`card check` prints the settings of the loop and of the learner that come from the preset."""
    shutil.copytree(Path(__file__).parents[2] / "cards", tmp_path / "cards")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main(["card", "check", "brawl-selfplay-10m"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "preset 10M: train.steps 1221, train.batch 16" in out
    assert "learner.n_epochs 10" in out
    assert "model.width" not in out


@pytest.mark.parametrize("preset", sorted(learner_spec("selfplay").presets()))
def test_every_preset_can_be_built(preset):
    """Each preset is the outline of a model, with settings that its learner accepts."""
    settled = resolve_settings(card_of(preset, set={"train": {"steps": 3}}), GAME)
    given = Inputs(spec=settled.plan, config=settled.config, opponents={"constant": 1.0})
    assert learner_spec("selfplay").summarize(given).parameters > 10_000


MILESTONES = [
    {"step": 4, "metric": "play/return", "band": [-10.0, 10.0]},
    {"step": 2, "metric": "play/return", "band": [None, -40.0]},
    {"step": 9, "metric": "play/return", "band": [20.0, None]},
    {"step": 6, "metric": "play/return", "band": [20.0, None]},
]


def run_of(folder, returns):
    """A run with a line of returns every second step."""
    folder.mkdir(parents=True)
    lines = [{"kind": "play", "step": 2 * at, "return": v} for at, v in enumerate(returns, start=1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    facts = {"status": "finished", "card": "toy", "game": "brawl", "milestones": MILESTONES}
    (folder / "run.json").write_text(json.dumps(facts))
    return Run(folder, facts)


def test_milestones_are_compared_with_the_log(tmp_path):
    """Each is reached, missed or open, by the first line at its step; the first missed one is named."""
    card = card_of("small", milestones=MILESTONES)
    milestones = [each.model_dump() for each in card.milestones]
    runs = [run_of(tmp_path / "a", [-50.0, 3.0, 30.0]), run_of(tmp_path / "b", [-45.0, 12.0, 30.0])]
    found = milestone_results(milestones, runs)
    assert [(each["step"], each["verdict"]) for each in found] == [
        (2, "reached"), (4, "missed"), (6, "reached"), (9, "open"),
    ]  # fmt: skip
    assert found[1]["values"] == [3.0, 12.0]
    missed = first_missed(found)
    assert missed == "play/return at step 4 was 3, 12; the band is -10 to 10"
    assert not first_missed(milestone_results(milestones, runs[:1]))


def test_the_page_of_a_run_shows_its_milestones(tmp_path, monkeypatch):
    """The page lists the milestones that the run was started with, and names the first missed one."""
    monkeypatch.chdir(tmp_path)
    run_of(tmp_path / "runs/toy/0", [-50.0, 30.0, 30.0])
    page = report(find_source("runs/toy"), load, match=False)
    assert "Milestones" in page
    assert "play/return at step 4 was 30; the band is -10 to 10" in page
