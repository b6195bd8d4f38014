"""Rehearsals (`run --dry`): every stage of a card on generated data, with its real settings."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shadowbox.cards.card import require_card
from shadowbox.cards.file import CardFile
from shadowbox.core.game import Game
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import CardError
from shadowbox.experiment import settings
from shadowbox.experiment.ahead.archive import rehearse_ingest
from shadowbox.experiment.ahead.generated import generated_store
from shadowbox.experiment.ahead.rehearsal import FOLDER, dry_changes
from shadowbox.games import load

CARDS = Path(__file__).parents[2] / "cards"
LENGTHS = {
    "train.steps",
    "train.batch",
    "train.log_every",
    "train.validate_every",
    "train.save_every",
}


@pytest.mark.parametrize("key", [None, "player", "day"])
@pytest.mark.parametrize("game", ["brawl", "melee"])
def test_generated_data_has_every_side(game, key, tmp_path):
    """A generated store has each column of the game, allowed values, and no empty side of the split."""
    record: Game = load(game)
    split = Split(0.9, 0.05, 0.05, key=key)
    store = generated_store(record, tmp_path / "s", split, 600)
    assert all(len(split.episodes(store, side)) >= 2 for side in ("train", "val", "test"))
    assert set(store.schema.columns) == set(record.schema.columns)
    again = generated_store(record, tmp_path / "t", split, 600)
    assert again.fingerprint == store.fingerprint


@pytest.mark.parametrize("name", ["melee-night", "melee-night-world", "policy-22k"])
def test_only_lengths_are_cut(name):
    """All settings of a rehearsal are those of the card, but for steps, segments and their like."""
    path = CARDS / f"{name}.md"
    card = require_card(path)[1]
    cut, _ = dry_changes(card, load, Path("runs") / FOLDER)
    short = require_card(path, cut)[1]
    whole, dry = (
        {
            name: value
            for name, (value, _) in settings.resolve_settings(each, load(each.game)).origins.items()
        }
        for each in (card, short)
    )
    changed = {name for name in dry if dry[name] != whole.get(name)}
    assert changed <= LENGTHS | {"train.epochs"}
    assert short.data.split == card.data.split
    assert {rule.action for rule in short.kill} <= {"warn"}
    assert len(short.targets) == len(card.targets)


def test_a_rehearsal_reads_the_archive_that_it_wrote(tmp_path):
    """Generated Melee episodes return from a .7z of replays with their controls; a loss is named."""
    game: Game = load("melee")
    store = generated_store(game, tmp_path / "s", Split(0.9, 0.05, 0.05), 600)
    assert rehearse_ingest(game, store, tmp_path / "read") == 4
    read = Store(tmp_path / "read", game.schema)
    written, back = (
        {each.episode(number).columns["pad/a"][:-1].tobytes() for number in range(4)}
        for each in (store, read)
    )
    assert back == written
    lossy = dataclasses.replace(game, reader_filters={"train": {"min_frames": 100_000}})
    with pytest.raises(CardError, match=r"0 of 4 generated episodes .*`shadowbox ingest melee"):
        rehearse_ingest(lossy, store, tmp_path / "read")


@pytest.mark.slow
def test_a_rehearsal_of_the_night_survives_a_kill(tmp_path):
    """The night's policy, at its real size, is killed in training, resumed, judged, and drawn."""
    (tmp_path / "cards").mkdir()
    shutil.copy(CARDS / "melee-night.md", tmp_path / "cards")
    before = CardFile.read(tmp_path / "cards" / "melee-night.md").text
    command = [sys.executable, "-m", "shadowbox", "run", "melee-night", "--dry", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(
        command, cwd=tmp_path, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    run = tmp_path / "runs" / FOLDER / "melee-night" / "0"
    until = time.monotonic() + 300
    while not (run / "latest").exists() and first.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert json.loads((run / "run.json").read_text())["status"] != "finished"
    done = subprocess.run(
        [*command, "--resume"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    facts = json.loads(done.stdout)
    assert facts["steps"] == [4]
    assert facts["figures"] > 50
    assert facts["read_from_7z"] == 4
    page = (tmp_path / facts["report"]).read_text(encoding="utf-8")
    assert "eval/controller_nll" in page
    assert json.loads((run / "run.json").read_text())["parameters"] > 9_000_000
    assert CardFile.read(tmp_path / "cards" / "melee-night.md").text == before
