"""Batch scripts for slurm: submitted, requeued after the signal before the time-out, resumed, cancelled."""

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
from shadowbox.launch import records, slurm
from shadowbox.launch.spec import read_spec

PROGRAMS = {
    "sbatch": 'cp "${@: -1}" "$SLURM_CALLS.script"; echo "4711;cluster"',
    "squeue": 'cat "$SLURM_CALLS.state"',
    "scancel": "true",
    "scontrol": "true",
}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Programs of slurm that note their calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    calls = tmp_path / "calls"
    calls.touch()
    for name, body in PROGRAMS.items():
        path = folder / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >> "$SLURM_CALLS"\n{body}\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CALLS", str(calls))
    return calls


def directives(script):
    """Options of sbatch in a script."""
    return [line.removeprefix("#SBATCH ") for line in script.split("\n") if "#SBATCH" in line]


def test_the_script_asks_for_what_the_card_says(project, cluster, capsys):
    """GPU, time, cores, requeue and signal are options of sbatch, and so is what the call passes on."""
    machine = {"budget": {"machine": "A100-40GB", "usd": 3}, "timeout": "4h"}
    Path("throughput.yaml").write_text(
        "rows:\n  - {preset: tiny, machine: A100-40GB, examples: 1000, seconds: 1, basis: measured,"
        " date: 2026-01-01, source: a test}\n"
    )
    write_card(**machine, launch={"workers": 4}, tracking={"tags": ["policy", "small"]})
    shown = call(capsys, "slurm", "job", "--dry", "--option=--partition=gpu")
    assert not Path("runs").exists()
    assert set(directives(shown["script"])) == {
        "--job-name=job", "--time=04:00:00", "--signal=B:USR1@300", "--requeue",
        "--open-mode=append", f"--output={project}/runs/.launch/job/log.txt",
        "--gres=gpu:a100_40gb:1", "--cpus-per-task=4", "--comment=policy,small",
        "--partition=gpu",
    }  # fmt: skip
    assert "export OMP_NUM_THREADS=4" in shown["script"]
    subprocess.run(["bash", "-n"], input=shown["script"], text=True, check=True)
    with pytest.raises(UsageError, match="not an option of sbatch"):
        slurm.script(read_spec({**shown["spec"], "options": ["x\nrm -r /"]}), Path("r"), project)


def test_submitted_watched_and_cancelled(project, cluster, capsys):
    """The job's number is kept; its state is slurm's; stop asks the run to save, then cancels."""
    write_card()
    record = call(capsys, "slurm", "job")
    assert (record["state"], record["job"]) == ("submitted", "4711")
    assert cluster.with_suffix(".script").read_bytes() == Path(record["script"]).read_bytes()
    for word, state in (("PENDING", "submitted"), ("RUNNING", "running"), ("FAILED", "failed")):
        cluster.with_suffix(".state").write_text(word)
        assert call(capsys, "status")["jobs"][0]["state"] == state
    cluster.with_suffix(".state").write_text("RUNNING")
    assert call(capsys, "stop", "job")["state"] == "stopped"
    ends = [line for line in cluster.read_text().split("\n") if line.startswith("scancel")]
    assert ends == ["scancel --batch --signal=TERM 4711", "scancel 4711"]


def test_without_slurm_the_script_is_written(project, monkeypatch, capsys):
    """Where sbatch is missing the script is there, with the command that submits it."""
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    write_card()
    record = call(capsys, "slurm", "job")
    assert record["state"] == "stopped"
    assert "submit it where slurm is, with: sbatch runs/.launch/job/job.sbatch" in record["text"]
    assert Path("runs/.launch/job/job.sbatch").read_text().startswith("#!/bin/bash\n#SBATCH")


@pytest.mark.slow
def test_the_signal_requeues_and_the_next_session_resumes(project, cluster, monkeypatch, capsys):
    """USR1 in the middle: the run saves and the job is requeued; run again, it ends as uninterrupted."""
    importable(monkeypatch)
    train = {**CARD["set"]["train"], "steps": 150, "validate_every": 150, "log_every": 1}
    settings = {"set": {**CARD["set"], "train": train}, "resumes": 2}
    write_card(**settings)
    call(capsys, "slurm", "job")
    script = cluster.with_suffix(".script")
    environment = {**os.environ, "SLURM_JOB_ID": "4711"}
    first = subprocess.Popen(["bash", str(script)], env=environment, start_new_session=True)
    metrics = Path("runs/job/0/metrics.jsonl")
    while not metrics.exists() or metrics.read_text().count("\n") < 3:
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGUSR1)
    assert first.wait(240) == 0
    assert "scontrol requeue 4711" in cluster.read_text()
    facts = json.loads(Path("runs/job/0/run.json").read_text())
    assert (facts["status"], facts["step"] < 150) == ("stopped", True)
    again = subprocess.run(
        ["bash", str(script)], env={**environment, "SLURM_RESTART_COUNT": "1"}, check=False
    )
    assert again.returncode == 0
    assert cluster.read_text().count("requeue") == 1
    ran(write_card("straight", **settings))
    assert same(weights("runs/job/0"), weights("runs/straight/0"))
    assert figures(Path("runs/job/0")) == figures(Path("runs/straight/0"))
    assert sys.executable in script.read_text()
    assert records.read_record(records.folder_of("job"))["job"] == "4711"
