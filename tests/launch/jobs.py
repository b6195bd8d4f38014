"""Shared by tests of launching: a card that trains for seconds, and calls of the command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import yaml

from shadowbox import cli

CARD = {
    "card": 1,
    "id": "job",
    "goal": "a job that is launched",
    "game": "promises:GAME",
    "preset": "tiny",
    "set": {
        "train": {"steps": 60, "batch": 8, "lr": 0.003, "warmup": 5, "log_every": 5,
                  "save_every": 10, "validate_every": 20, "device": "cpu", "threads": 1},
        "model": {"width": 32, "head_width": 16},
        "learner": {"length": 8},
    },
    "data": {"store": "data/toy", "split": "50/50/0", "external": "the fixture made it"},
    "targets": [{"metric": "val/loss", "op": "<", "value": 50.0, "primary": True}],
}  # fmt: skip


def write_card(name="job", **changes):
    """A card in cards/, changed; None takes a part away."""
    head = {k: v for k, v in {**CARD, "id": name, **changes}.items() if v is not None}
    path = Path("cards") / f"{name}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"---\n{yaml.safe_dump(head, sort_keys=False)}---\nProse.\n", "utf-8")
    return path


def slow(seconds, **train):
    """Settings of a run whose every step takes `seconds`, by a learner that waits."""
    return {**CARD["set"], "train": {**CARD["set"]["train"], **train}}


def importable(monkeypatch):
    """What this process can import, its children can, too: the toy game, and this package."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


def call(capsys, *words, status=0):
    """The object that `shadowbox launch ... --json` prints."""
    code = 0
    try:
        cli.main(["launch", *map(str, words), "--json"])
    except SystemExit as stop:
        code = stop.code or 0
    out, err = capsys.readouterr()
    assert code == status, out + err
    return json.loads(out.splitlines()[-1]) if out.strip() else {"error": err}
