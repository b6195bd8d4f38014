"""Ray on this machine: the same bytes as without it, and a worker that dies loses nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from apprentice import same, weights
from jobs import CARD, importable, write_card
from made_matches import content

from shadowbox.cli.launch.workers import address_of
from shadowbox.collect.matches import Pairing, record
from shadowbox.data.ingest import ingest
from shadowbox.evaluate.tournament import TournamentSpec, tournament
from shadowbox.experiment.run import RunOptions, run_card
from shadowbox.games import load
from shadowbox.launch import records
from shadowbox.launch.parts import train_parts
from shadowbox.launch.ray import ray_tasks

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
KILLS = 20


@pytest.fixture(scope="module")
def backend(paddles):
    """Two workers of Ray, started once: that alone takes many seconds."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        importable(patch)
        patch.delenv("RAY_ADDRESS", raising=False)
        with ray_tasks(workers=2) as found:
            yield found


@pytest.fixture(scope="module")
def replays(tmp_path_factory):
    """Two hundred short replays, and one that is damaged."""
    folder = tmp_path_factory.mktemp("replays")
    for seed in range(200):
        (folder / f"{seed:03}.slp").write_bytes(content(frames=40, seed=seed))
    (folder / "100.slp").write_bytes(b"no replay")
    return folder


def files(store):
    """Every file of a store with its bytes; its manifest without the time at which it was made."""
    found = {path.name: path.read_bytes() for path in Path(store).iterdir() if path.is_file()}
    manifest = json.loads(found.pop("manifest.json"))
    del manifest["made"]["at"], manifest["seal"]
    return {**found, "manifest.json": manifest}


def workers_of_ray():
    """Processes of this machine's Ray that run a task now."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::_in_folder") and _is_ours(int(entry.name)):
                found.append(int(entry.name))
    return found


def _is_ours(pid):
    """True for descendants of this process: Ray of another test is not touched."""
    while pid > 1:
        fields = records._stat(pid)
        if not fields:
            return False
        pid = int(fields[1])
        if pid == os.getpid():
            return True
    return False


def test_killed_workers_lose_nothing(backend, replays, tmp_path, monkeypatch):
    """Ingest is byte-identical to that of this process, though workers are killed twenty times."""
    # a commit in between, after a minute, would end a shard at another episode
    monkeypatch.setattr("shadowbox.data.ingest.COMMIT_SECONDS", 3600.0)
    melee = load("melee")
    local = ingest(melee, [replays], tmp_path / "local")
    wanted, killed, over = files(tmp_path / "local"), [], threading.Event()
    draws = random.Random(0)

    def kill():
        while not over.is_set() and len(killed) < KILLS:
            if there := workers_of_ray():
                pid = draws.choice(there)
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(draws.uniform(0.05, 0.4))

    thread = threading.Thread(target=kill)
    thread.start()
    rounds = 0
    try:
        while len(killed) < KILLS and rounds < 40:
            out = tmp_path / f"ray-{rounds}"
            found = ingest(melee, [replays], out, backend=backend)
            assert files(out) == wanted
            assert found["rejected"] == local["rejected"]
            assert (found["files"], found["episodes"]) == (201 - 1, local["episodes"])
            rounds += 1
    finally:
        over.set()
        thread.join()
    assert len(killed) == KILLS
    print(f"{KILLS} workers killed in {rounds} ingests of 200 replays")


def test_matches_are_the_same(backend, paddles, tmp_path):
    """Recorded stores and tables of tournaments are those of this process."""
    game, pairings = load(paddles), [Pairing("follower", "idle", 300), Pairing("idle", "idle", 3)]
    wins = []
    for name, used in (("local", None), ("ray", backend)):
        facts = record(game, pairings, tmp_path / name, seed=4, backend=used, game_spec=paddles)
        wins.append(facts["pairings"])
    assert files(tmp_path / "ray") == files(tmp_path / "local")
    assert wins[0] == wins[1]
    plan = TournamentSpec(paddles, ("follower", "idle", "follower:0.9"), 6)
    assert tournament(game, plan, backend=backend) == tournament(game, plan)


def test_a_sweep_is_trained_a_part_at_a_time(backend, project):
    """Settings and seeds trained as tasks have the weights and the verdict of one after another."""
    train = {**CARD["set"]["train"], "steps": 10, "validate_every": 10}
    sweep = {"grid": {"train.lr": [0.001, 0.003]}}
    small = {"set": {**CARD["set"], "train": train}, "sweep": sweep, "seeds": [0, 1]}
    said = []
    train_parts(write_card(**small), RunOptions(unsigned=True), backend, said.append)
    assert "4 runs, 2 at a time" in said
    ours = run_card(Path("cards/job.md"), load, RunOptions(resume=True, unsigned=True))
    theirs = run_card(write_card("straight", **small), load, RunOptions(unsigned=True))
    assert ours.verdict == theirs.verdict == "passed"
    for part in ("lr=0.001/0", "lr=0.001/1", "lr=0.003/0", "lr=0.003/1"):
        assert same(weights(f"runs/job/{part}"), weights(f"runs/straight/{part}"))
    mine, others = ([each.outcomes[0].value for each in r.settings] for r in (ours, theirs))
    assert mine == others


def test_an_error_of_a_task_is_raised_as_it_was(backend):
    """What a task raises has its own class and message, not those of Ray."""
    from shadowbox.core.work.executor import run_tasks
    from shadowbox.errors import UsageError

    with pytest.raises(UsageError, match=r"^unknown game"):
        list(run_tasks(backend, load, ["none at all"]))
    assert [value for _, value in run_tasks(backend, len, ["a", "bb", ""], ordered=True)] == [
        1,
        2,
        0,
    ]


@pytest.mark.parametrize(
    ("text", "address"),
    [("ray", ""), ("ray:auto", "auto"), ("ray://h:10001", "ray://h:10001"), ("2", None)],
)
def test_addresses(text, address):
    """`ray`, `ray:ADDRESS` and Ray's own addresses are told from numbers."""
    assert address_of(text) == address
