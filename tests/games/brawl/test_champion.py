"""The policies that come with the package."""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePath

import numpy as np
import pytest

import shadowbox
from shadowbox.export.warehouse import export_warehouse
from shadowbox.games import load
from shadowbox.model import checkpoint
from shadowbox.play import benchmark, specs
from shadowbox.play.checkpoints import shipped_agents

GAME = load("brawl")
PACKAGE = Path(shadowbox.__file__).parent
LARGEST = {"champion": 5_000_000, "warehouse": 1_000_000}  # bytes
ORIGINAL = "brawl@rules=original"


def test_every_file_of_the_package_is_installed():
    """All files of the package that are not Python match a pattern of its package data."""
    project = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["shadowbox"]
    compiled = {".py", ".pyc", ".nbc", ".nbi"}
    files = [
        each.relative_to(PACKAGE)
        for each in PACKAGE.rglob("*")
        if each.is_file() and each.suffix not in compiled
    ]
    assert files
    missing = [str(f) for f in files if not any(PurePath(f).match(each) for each in patterns)]
    assert missing == []


@pytest.mark.parametrize("name", LARGEST)
def test_a_shipped_policy_is_small_and_has_no_state_of_its_trainer(name):
    """The champion takes at most 5 MB, the other one 1 MB, whole, and nothing in it is for training."""
    folder = Path(GAME.policies[name])
    files = list(folder.iterdir())
    assert sum(each.stat().st_size for each in files) <= LARGEST[name]
    assert "trainer.pt" not in {each.name for each in files}
    assert checkpoint.load(folder).about.kind == "policy"  # each file has its digest


def test_the_champion_plays_at_each_delay():
    """Pages list shipped policies without a delay and at each one that they were trained with."""
    assert shipped_agents(GAME) == [
        "policy:champion",
        *(f"policy:champion@delay={frames}" for frames in (6, 12, 18)),
        "policy:warehouse",
    ]
    for spec in shipped_agents(GAME):
        specs.agent(spec, GAME)


@pytest.mark.slow
def test_the_champion_beats_the_strongest_bot():
    """The shipped policy wins most of its matches against `expert`, from both seats."""
    agents = [specs.agent(spec, GAME) for spec in ("policy:champion", "expert")]
    found = benchmark.benchmark(GAME, GAME.world, *agents, np.arange(16) + 1)
    assert (found.results == 1).mean() > 0.5


def test_the_other_policy_becomes_a_file_for_the_tournament(tmp_path):
    """It reads the 64 numbers and its own keys alone, and the file decides as it does, in time."""
    facts = export_warehouse("policy:warehouse", tmp_path / "agent.py", check=True, rows=80)
    assert facts["bytes"] <= 1_000_000
    assert max(facts["check"][name]["largest"] for name in ("recorded", "random")) <= 1e-4


@pytest.mark.slow
def test_the_other_policy_beats_the_scripted_bot_of_the_tournament():
    """Under the original rules it wins most of its matches against `based`, from both seats."""
    agents = [specs.agent(spec, GAME) for spec in ("policy:warehouse", "based")]
    worlds = specs.world_factory(ORIGINAL, GAME)
    found = benchmark.benchmark(GAME, worlds, *agents, np.arange(24) + 1)
    assert ((found.results == 1).mean(1) > 0.6).all()
