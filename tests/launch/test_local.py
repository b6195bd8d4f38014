"""Jobs on this machine: detached, timed, resumed under the same run, stopped with all their processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from apprentice import figures, same, weights
from jobs import CARD, call, importable, write_card
from promises import ran

from shadowbox.errors import UsageError
from shadowbox.launch import local, records
from shadowbox.launch.spec import read_spec

pytestmark = pytest.mark.slow
SLEEPER = """
import os, subprocess, sys, time
# a process in a session of its own, as torchrun makes them
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("bo" + "rn", child.pid, flush=True)
time.sleep(600)
"""
SLOW = """
import dataclasses, sys, time
from apprentice import Wrapped
from shadowbox.cli import main
from shadowbox.learners.imitation_spec import _ImitationSpec

prepare = _ImitationSpec.prepare

class Slow(Wrapped):
    def loss(self, model, batch):
        time.sleep(PAUSE * (self.calls >= 25))
        return super().loss(model, batch)

def slow(self, *given, **options):
    task = prepare(self, *given, **options)
    return dataclasses.replace(task, learner=Slow(task.learner))

_ImitationSpec.prepare = slow
main(sys.argv[1:])
"""


def spec_of(*words, **changes):
    """A spec of a command that is not Shadowbox's."""
    plain = {
        "card": "sleeper", "target": "local", "machine": "local", "accelerator": "",
        "accelerators": 1, "processes": 1, "timeout_s": 600, "grace_s": 2, "workers": 0,
        "volume": "", "environment": {}, "secrets": [], "tags": [], "tracking": {},
        "command": list(words), "resume": list(words), "resumes": 0, "detach": True,
        "estimate": {}, "options": [],
    }  # fmt: skip
    return read_spec({**plain, **changes})


def is_running(pid):
    """True if a process runs, and is not waiting to be read by its parent."""
    return records._stat(pid)[:1] not in ([], ["Z"])


def said(folder):
    """What a job has printed."""
    return (folder / records.LOG).read_text("utf-8")


def test_a_job_runs_to_its_end_without_its_caller(project, monkeypatch, capsys):
    """`launch local` returns at once; status, logs and the card's results say what came of it."""
    importable(monkeypatch)
    path = write_card()
    started = call(capsys, "local", path, "--unsigned")
    assert started["state"] == "running"
    folder = records.find_job("job")
    assert local.wait(folder)["state"] == "finished"
    (job,) = call(capsys, "status")["jobs"]
    assert (job["state"], job["step"], job["total"]) == ("finished", 60, 60)
    assert (job["session"], job["sessions"]) == (1, 1)
    assert json.loads(Path("runs/job/verdict.json").read_text())["verdict"] == "passed"
    assert "session 1 of at most 1: shadowbox run cards/job.md" in said(folder)
    assert "card:results" in path.read_text("utf-8")


def test_after_a_time_out_the_same_run_goes_on(project, monkeypatch, capsys):
    """A session that is too slow is asked to save; the next resumes, and the run is the whole one."""
    importable(monkeypatch)
    write_card()
    spec = call(capsys, "local", "job", "--dry", "--unsigned")["spec"]
    # how long a session takes to begin on a machine that may be busy, and steps as slow beside it
    began = time.monotonic()
    words = [sys.executable, "-c", "import shadowbox.cli.run, torch"]
    subprocess.run(words, check=True, start_new_session=True)
    begins_s = max(3.0, time.monotonic() - began)
    slowly = [sys.executable, "-c", f"PAUSE = {begins_s / 4}\n{SLOW}", *spec["command"][1:]]
    folder = records.folder_of("job")
    limits = {"timeout_s": 20 + int(6 * begins_s), "grace_s": 20, "resumes": 5}
    local.start(read_spec({**spec, "command": slowly, **limits}), folder)
    assert local.wait(folder)["state"] == "finished", said(folder)
    assert "time is over: the run is asked to save" in said(folder)
    assert records.read_record(folder)["attempt"] >= 1
    ran(write_card("straight"))
    assert same(weights("runs/job/0"), weights("runs/straight/0"))
    assert figures(Path("runs/job/0")) == figures(Path("runs/straight/0"))


def test_stop_ends_exactly_the_processes_of_the_job(tmp_path):
    """A process that left the group is ended, too; one beside it, of the same program, is not."""
    beside = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    folder = tmp_path / "runs" / ".launch" / "sleeper"
    try:
        local.start(spec_of(sys.executable, "-c", SLEEPER), folder)
        while "born" not in said(folder):
            time.sleep(0.02)
        child = int(said(folder).split("born")[1].split()[0])
        record = records.read_record(folder)
        assert is_running(child)
        assert child in records.marked(record["mark"])
        assert local.stop(folder)["state"] == "stopped"
        assert records.marked(record["mark"]) == []
        assert not is_running(child)
        assert is_running(beside.pid)
    finally:
        beside.kill()
        beside.wait()


def test_a_supervisor_that_was_killed_is_lost_and_its_job_still_ends(tmp_path):
    """Status says `lost`; a second job is possible after stop, which ends what was left."""
    folder = tmp_path / "runs" / ".launch" / "sleeper"
    local.start(spec_of(sys.executable, "-c", SLEEPER), folder)
    while "born" not in said(folder):
        time.sleep(0.02)
    record = records.read_record(folder)
    with pytest.raises(UsageError, match="sleeper runs already"):
        local.require_idle(folder)
    os.kill(record["process"]["pid"], signal.SIGKILL)
    while local.status(folder)["state"] == "running":
        time.sleep(0.02)
    assert local.status(folder)["state"] == "lost"
    assert len(records.marked(record["mark"])) == 2
    assert local.stop(folder)["state"] == "stopped"
    assert records.marked(record["mark"]) == []


def test_what_ignores_the_signal_is_killed_after_the_grace(tmp_path):
    """A session that does not end at its time-out is killed, and the job says that time is over."""
    folder = tmp_path / "runs" / ".launch" / "sleeper"
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    local.start(spec_of(sys.executable, "-c", code, timeout_s=3, grace_s=1), folder)
    record = local.wait(folder)
    assert record["state"] == "out of time"
    assert "3 s are over; go on with" in record["text"]
    assert "did not end within 1 s, and is killed" in said(folder)


@pytest.mark.parametrize(
    ("code", "state", "text"),
    [
        ("raise SystemExit(3)", "failed", "exit 3"),
        ("import os; os.kill(os.getpid(), 9)", "failed", "killed by SIGKILL"),
        ("raise SystemExit(75)", "ended by its card", ""),
        ("pass", "finished", ""),
    ],
)
def test_ends_are_told_apart(tmp_path, code, state, text):
    """Exit statuses of a run become the state of its job."""
    folder = tmp_path / "runs" / ".launch" / "sleeper"
    local.start(spec_of(sys.executable, "-c", code), folder)
    record = local.wait(folder)
    assert record["state"] == state
    assert text in record.get("text", "")


def test_a_number_that_another_process_got_is_not_it(tmp_path):
    """A process is known by its start, too: the number alone may belong to somebody else by now."""
    me = records.identity(os.getpid())
    assert records.is_alive(me)
    assert not records.is_alive({**me, "began": me["began"] - 1})


def test_two_processes_then_one(project, monkeypatch, capsys):
    """`launch torchrun` trains in two processes; after a stop one process goes on with the run."""
    importable(monkeypatch)
    steps = {**CARD["set"], "train": {**CARD["set"]["train"], "steps": 4000}}
    write_card(set=steps)
    assert call(capsys, "torchrun", "job", "--unsigned")["state"] == "running"
    folder = records.find_job("job")
    metrics = Path("runs/job/0/metrics.jsonl")
    while not metrics.exists() or metrics.read_text().count("\n") < 4:
        assert local.status(folder)["state"] == "running", said(folder)
        time.sleep(0.1)
    mark = records.read_record(folder)["mark"]
    assert len(records.marked(mark)) >= 3  # torchrun and two ranks
    assert call(capsys, "stop", "job")["state"] == "stopped"
    assert records.marked(mark) == []
    facts = json.loads(Path("runs/job/0/run.json").read_text())
    assert (facts["status"], facts["machine"]["ranks"]) == ("stopped", 2)
    found = call(capsys, "local", "job", "--unsigned", "--resume")
    assert found["state"] == "running"
    while json.loads(Path("runs/job/0/run.json").read_text())["step"] <= facts["step"]:
        assert local.status(folder)["state"] == "running", said(folder)
        time.sleep(0.1)
    assert call(capsys, "stop", "job")["state"] == "stopped"
    events = Path("runs/job/0/events.jsonl").read_text("utf-8")
    assert "by 1 process where 2 trained before: the same batches in the same order" in events
