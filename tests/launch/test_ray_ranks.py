"""Ranks of one run as actors of Ray: the weights of torchrun's ranks, whatever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from apprentice import same, weights
from jobs import CARD, call, importable, write_card

from shadowbox.launch import local, records
from shadowbox.launch.ranks import DEATHS

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def cards(project, monkeypatch):
    """Cards of the toy game, which children can import."""
    pytest.importorskip("ray")
    importable(monkeypatch)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    train = {**CARD["set"]["train"], "steps": 120, "save_every": 5, "validate_every": 100}
    return lambda name: write_card(name, set={**CARD["set"], "train": train})


def actors(mark):
    """Actors of a job that run a rank now."""
    found = []
    for pid in records.marked(mark):
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
        if title.startswith(b"ray::_Rank"):
            found.append(pid)
    return found


def test_actors_that_die_change_nothing(cards, capsys):
    """`launch ray --processes 2` ends with torchrun's weights, though an actor is killed twice."""
    cards("straight"), cards("job")
    assert call(capsys, "torchrun", "straight", "--unsigned", "--wait")["state"] == "finished"
    killed, over = [], threading.Event()
    metrics = Path("runs/job/0/metrics.jsonl")

    def kill():
        while not over.is_set() and len(killed) < 2:
            lines = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
            mark = records.read_record(records.find_job("job"))["mark"] if lines else None
            if mark and lines >= 8 * (len(killed) + 1) and (there := actors(mark)):
                os.kill(there[len(killed) % len(there)], signal.SIGKILL)
                killed.append(lines)
                time.sleep(2)
            time.sleep(0.05)

    thread = threading.Thread(target=kill)
    thread.start()
    found = call(capsys, "ray", "job", "--processes", 2, "--unsigned", "--wait")
    over.set()
    thread.join()
    log = (records.find_job("job") / records.LOG).read_text("utf-8")
    assert found["state"] == "finished", log
    assert len(killed) == 2 < DEATHS
    assert log.count("a rank's actor died") == 2
    assert same(weights("runs/straight/0"), weights("runs/job/0"))
    assert json.loads(Path("runs/job/0/run.json").read_text())["machine"]["ranks"] == 2


def test_a_stop_saves(cards, capsys):
    """`launch stop` ends actors and ranks after they have saved."""
    cards("job")
    assert call(capsys, "ray", "job", "--processes", 2, "--unsigned")["state"] == "running"
    folder = records.find_job("job")
    metrics = Path("runs/job/0/metrics.jsonl")
    while not metrics.exists() or metrics.read_bytes().count(b"\n") < 3:
        assert local.status(folder)["state"] == "running", (folder / records.LOG).read_text("utf-8")
        time.sleep(0.1)
    assert call(capsys, "stop", "job")["state"] == "stopped"
    assert records.marked(records.read_record(folder)["mark"]) == []
    assert json.loads(Path("runs/job/0/run.json").read_text())["status"] == "stopped"
