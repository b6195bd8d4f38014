"""The learned world that comes with the package."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from shadowbox import cli
from shadowbox.errors import CheckpointError, UsageError
from shadowbox.games import load
from shadowbox.play import specs
from shadowbox.play.match import play

GAME = load("brawl")
ROOT = Path(__file__).resolve().parents[3]
LARGEST = 5_000_000  # bytes
STARTS = 64
FRAMES = 200
MOST_PROJECTED = 0.01  # of the frames


def begun(options, matches):
    """A dream, and the rows that its matches begin with."""
    world = specs.world(f"dream:brawl{options}", GAME, matches)
    return world, world.reset(np.arange(matches))


def test_it_is_small_and_has_no_state_of_its_trainer():
    """The shipped world takes at most 5 MB, and nothing in it is for training."""
    files = list(Path(GAME.worlds["brawl"]).iterdir())
    assert sum(each.stat().st_size for each in files) <= LARGEST
    assert "trainer.pt" not in {each.name for each in files}


def test_it_starts_without_a_store():
    """It carries 64 starts of matches, of which each seed chooses one, and moments inside of matches."""
    world, rows = begun("", 400)
    assert len(world.model.contexts) >= 2 * STARTS
    assert (rows["match/frame"] == 0).all()
    assert (world.model.context_length.numpy() == 1).sum() >= STARTS
    _, rows = begun("@start=any", 40)
    assert (rows["match/frame"] > 0).any()


def test_a_match_is_dreamt():
    """`based` plays `based` for 200 frames in which things happen; few frames are put right."""
    world, _ = begun("", 1)
    agents = [specs.agent("based", GAME)] * 2
    names, seed = ("based", "based"), np.array([3])
    (played,) = play(GAME, world, agents, names, seed, most=FRAMES)
    columns = played.episode.columns
    assert played.episode.frames == FRAMES
    assert played.episode.meta["world"] == "dream:brawl"
    assert sum(world.projected.values()) <= MOST_PROJECTED * FRAMES
    assert len(np.unique(columns["player/state"])) > 3
    assert (columns["player/damage"][-1] > 0).any()
    assert np.ptp(columns["player/x"], axis=0).min() > 1


def test_a_stage_that_it_never_saw_is_refused():
    """It was trained on the stage `warehouse`: `mirror` is refused by name, before a match begins."""
    begun("@stage=warehouse", 1)
    with pytest.raises(UsageError, match=r"dream:brawl@stage=mirror.*match/stage=mirror"):
        begun("@stage=mirror", 1)
    world, _ = begun("", 1)
    row = {key: np.array(values) for key, values in world.reset(np.arange(1)).items()}
    row["match/stage"][:] = 1
    with pytest.raises(UsageError, match="never saw match/stage mirror"):
        world.load(row)


def test_what_a_game_ships_is_listed(capsys):
    """`shadowbox games brawl` and the refusal of an unknown run name the shipped world."""
    with pytest.raises(SystemExit):
        cli.main(["games", "brawl"])
    assert "ships: policy:champion, policy:warehouse, dream:brawl" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["games", "brawl", "--json"])
    ships = json.loads(capsys.readouterr().out)["ships"]
    assert ships == ["policy:champion", "policy:warehouse", "dream:brawl"]
    with pytest.raises(CheckpointError, match="brwl is not a run; brawl ships dream:brawl"):
        specs.world("dream:brwl", GAME, 1)


def test_a_checkpoint_is_shipped_in_place_of_another(tmp_path, monkeypatch, capsys):
    """docs/ship.py copies a checkpoint over a shipped one, and over nothing else."""
    main = runpy.run_path(str(ROOT / "docs" / "ship.py"))["main"]
    target = tmp_path / "shipped" / "world"
    for name in (GAME.policies["champion"], GAME.worlds["brawl"]):
        monkeypatch.setattr(sys, "argv", ["ship.py", name, str(target)])
        main()
        same = Path(name) / "model.safetensors"
        assert (target / "model.safetensors").read_bytes() == same.read_bytes()
    assert "world: " in capsys.readouterr().out
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    monkeypatch.setattr(sys, "argv", ["ship.py", GAME.worlds["brawl"], str(tmp_path / "mine")])
    with pytest.raises(CheckpointError):
        main()
    assert (tmp_path / "mine" / "notes.txt").exists()
