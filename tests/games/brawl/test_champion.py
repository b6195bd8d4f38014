"""The policy that comes with the package."""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePath

import numpy as np
import pytest

import shadowbox
from shadowbox.games import load
from shadowbox.play import benchmark, specs
from shadowbox.play.checkpoints import shipped_agents

GAME = load("brawl")
PACKAGE = Path(shadowbox.__file__).parent
LARGEST = 5_000_000  # bytes


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


def test_the_champion_is_small_and_has_no_state_of_its_trainer():
    """The shipped policy takes at most 5 MB, and nothing in it is for training."""
    files = list(Path(GAME.policies["champion"]).iterdir())
    assert sum(each.stat().st_size for each in files) <= LARGEST
    assert "trainer.pt" not in {each.name for each in files}


def test_the_champion_plays_at_each_delay():
    """Pages list the shipped policy without a delay and at each one that it was trained with."""
    assert shipped_agents(GAME) == [
        "policy:champion",
        *(f"policy:champion@delay={frames}" for frames in (6, 12, 18)),
    ]
    for spec in shipped_agents(GAME):
        specs.agent(spec, GAME)


@pytest.mark.slow
def test_the_champion_beats_the_strongest_bot():
    """The shipped policy wins most of its matches against `expert`, from both seats."""
    agents = [specs.agent(spec, GAME) for spec in ("policy:champion", "expert")]
    found = benchmark.benchmark(GAME, GAME.world, *agents, np.arange(16) + 1)
    assert (found.results == 1).mean() > 0.5
