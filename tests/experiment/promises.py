"""What the tests of cards share: a toy game, a store of it, and a card that is right and runs in a second."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from conftest import TOY

from shadowbox.core.game import Game
from shadowbox.experiment import estimate, run

GAME = Game(
    name="toy",
    title="A toy",
    schema=TOY,
    encodings={"default": ("player/on_ground", "player/hit_by")},
)
HEAD = {
    "card": 1,
    "id": "toy",
    "goal": "see that promises are kept",
    "game": "toy",
    "preset": "tiny",
    "set": {
        "train": {
            "steps": 30,
            "batch": 8,
            "lr": 0.003,
            "warmup": 5,
            "log_every": 5,
            "validate_every": 10,
            "device": "cpu",
        },
        "model": {"width": 32, "head_width": 16},
        "learner": {"length": 8},
    },
    "data": {"store": "data/toy", "split": "50/50/0", "external": "the fixture made it"},
    "targets": [{"metric": "val/loss", "op": "<", "value": 50.0, "primary": True}],
}


def games(name):
    """The toy game; every other name is refused as the real table does."""
    from shadowbox.games import load

    return GAME if name == "toy" else load(name)


@pytest.fixture(scope="session")
def toy_store(tmp_path_factory):
    """A store of the toy game."""
    from apprentice import make_store  # it needs torch, which most tests do not

    folder = tmp_path_factory.mktemp("toy") / "toy"
    make_store(folder)
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch, toy_store):
    """A folder to work in, with the toy store in data/; runs time no steps before they begin."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "_estimated", lambda case: estimate.stored_estimate(case.file))
    shutil.copytree(toy_store, tmp_path / "data" / "toy")
    return tmp_path


def write(name="toy", *, prose="Some prose.\n", **changes):
    """A card in cards/, changed; None takes a part away."""
    head = {
        key: value for key, value in {**HEAD, "id": name, **changes}.items() if value is not None
    }
    path = Path("cards") / f"{name}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n{prose}")
    return path


def checked(path, **changes):
    """What `card check` finds."""
    from shadowbox.experiment.checks import check

    return check.check_card(path, games, changes)


def ran(path, **wish):
    """What came of a run, and what was said."""
    from shadowbox.experiment.run import RunOptions, run_card

    said = []
    return run_card(path, games, RunOptions(**wish), say=said.append), said
