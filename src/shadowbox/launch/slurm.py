"""Jobs of slurm: a batch script from the spec, submitted with `sbatch` where it is installed.

The script asks slurm to be requeued, and for a signal before the time-out. Then the run saves, and
the script requeues itself while it has sessions left. A session after the first goes on under the
same run; so does one that slurm requeues by itself after a preemption or a failure of a node.
"""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

from shadowbox.core.files import write_whole
from shadowbox.core.system import command_line
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.launch import records
from shadowbox.launch.spec import _LaunchSpec
from shadowbox.launch.supervisor import executable

SCRIPT = "job.sbatch"
TIMEOUT_S = 60  # of a call of slurm's programs
# states of squeue and sacct -> ours
STATES = {
    "PENDING": records.SUBMITTED, "CONFIGURING": records.SUBMITTED, "REQUEUED": records.SUBMITTED,
    "REQUEUE_HOLD": records.SUBMITTED, "SUSPENDED": records.SUBMITTED,
    "RUNNING": records.RUNNING, "COMPLETING": records.RUNNING, "STAGE_OUT": records.RUNNING,
    "COMPLETED": records.FINISHED, "CANCELLED": records.STOPPED, "TIMEOUT": records.OUT_OF_TIME,
    "PREEMPTED": records.SUBMITTED,
}  # fmt: skip
BODY = """
cd {folder} || exit 1
{exports}
child='' saved=0
# before the time-out slurm sends USR1 to this script alone; TERM comes with scancel
trap '[ -n "$child" ] && saved=1 && kill -TERM "$child"' USR1
trap '[ -n "$child" ] && kill -TERM "$child"' TERM

session=${{SLURM_RESTART_COUNT:-0}}
echo "launch: session $((session + 1)) of at most {sessions}"
if [ "$session" -gt 0 ]; then
  {resume} &
else
  {command} &
fi
child=$!
wait "$child"; status=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; status=$?; done  # a signal ends a wait

if [ "$saved" = 1 ] && [ "$status" -ne 0 ] && [ "$session" -lt {resumes} ]; then
  echo "launch: time is over: the job is requeued and goes on from its last checkpoint"
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
fi
exit "$status"
"""


def script(spec: _LaunchSpec, folder: Path, workdir: Path) -> str:
    """The batch script of a job whose record is in `folder`; it runs in `workdir`."""
    directives = [
        f"--job-name={spec.card}",
        f"--time={_clock(spec.timeout_s)}",
        f"--signal=B:USR1@{spec.grace_s}",
        "--requeue",
        "--open-mode=append",
        f"--output={(workdir / folder / records.LOG).as_posix()}",
    ]
    if spec.accelerator:
        kind = re.sub(r"[^a-z0-9_]+", "_", spec.accelerator.lower())
        directives.append(f"--gres=gpu:{kind}:{spec.accelerators}")
    if spec.workers:
        directives.append(f"--cpus-per-task={spec.workers}")
    if spec.tags:
        directives.append(f"--comment={','.join(spec.tags)}")
    for name in directives + list(spec.options):
        if "\n" in name or not name.startswith("--"):
            raise UsageError(f"'{name:.80}' is not an option of sbatch, such as --partition=gpu")
    exports = [f"export {name}={command_line([text])}" for name, text in spec.environment.items()]
    body = BODY.format(
        folder=command_line([workdir.as_posix()]),
        exports="\n".join(exports),
        sessions=spec.resumes + 1,
        resumes=spec.resumes,
        command=command_line(executable(spec.command)),
        resume=command_line(executable(spec.resume)),
    )
    lines = ["#!/bin/bash", *(f"#SBATCH {each}" for each in [*directives, *spec.options])]
    return "\n".join(lines) + "\n" + body


def submit(spec: _LaunchSpec, folder: Path) -> dict[str, Any]:
    """Write the script, and submit it where slurm is installed; the job's record."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SCRIPT
    write_whole(path, script(spec, folder, Path.cwd()).encode())
    record = records.new_record(spec, secrets.token_hex(8))
    if shutil.which("sbatch") is None:
        text = f"no sbatch on this machine: submit it where slurm is, with: sbatch {path}"
        record |= {"state": records.STOPPED, "text": text, "script": str(path)}
    else:
        answer = _call("sbatch", "--parsable", str(path))
        job = answer.strip().partition(";")[0]
        if not job.isdigit():
            raise ShadowboxError(f"sbatch answered {answer!r:.200}, the number of a job is needed")
        record |= {"state": records.SUBMITTED, "job": job, "script": str(path)}
    records.write_record(folder, record)
    return record


def status(record: dict[str, Any]) -> dict[str, Any]:
    """The record with slurm's state of the job."""
    if record["state"] not in records.ALIVE or "job" not in record:
        return record
    word = ""
    if shutil.which("squeue") is not None:
        word = _call("squeue", "--noheader", "--format=%T", "--jobs", record["job"], check=False)
    if not word.strip() and shutil.which("sacct") is not None:
        fields = ("--noheader", "--allocations", "--format=State", "--jobs", record["job"])
        word = _call("sacct", *fields, check=False)
    words = word.split()
    state = STATES.get(words[0], records.FAILED) if words else record["state"]
    return record | {"state": state, "text": f"slurm: {words[0]}" if words else ""}


def stop(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Cancel a job, which saves first; its record."""
    if record["state"] in records.ALIVE and "job" in record:
        _call("scancel", "--batch", "--signal=TERM", record["job"], check=False)
        _call("scancel", record["job"])
        again = command_line(records.spec_of(record).resume)
        record |= {"state": records.STOPPED, "text": f"go on with: {again}"}
        records.write_record(folder, record)
    return record


def _call(program: str, *arguments: str, check: bool = True) -> str:
    """Output of one of slurm's programs."""
    place = shutil.which(program)
    if place is None:
        raise ShadowboxError(f"{program} is not on this machine: call it where slurm is installed")
    try:
        done = subprocess.run(  # noqa: S603  slurm's own program, found on the path
            [place, *arguments],
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ShadowboxError(f"{program} gave no answer within {TIMEOUT_S} s") from None
    if check and done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        raise ShadowboxError(f"{program} refused the job: {reason[-1]}")
    return done.stdout


def _clock(seconds: int) -> str:
    """Hours, minutes and seconds, as `sbatch --time` takes them."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}"
