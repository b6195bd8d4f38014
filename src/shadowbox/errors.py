"""Exceptions of Shadowbox: one tree, from which the command line takes messages and exit codes.

    ShadowboxError             exit 1: the job failed for a reason that the user can act on
    ├── UsageError             exit 2: a wrong call (an unknown name, an impossible option)
    ├── SchemaError            a game declares its fields wrongly
    │   └── SchemaMismatch     data or weights of another schema; the message lists the differences
    ├── EpisodeError           an episode with a value or shape that its schema does not allow
    ├── RecordingError         a recording that cannot be read
    ├── StoreError             a store that is damaged or of an unknown version, or a full disk
    │   └── StoreLocked        another process is writing to the store
    ├── CheckpointError        a checkpoint that is damaged or of an unknown version
    ├── TrainingError          a training run that cannot continue; its last checkpoint is intact
    │   └── ReportedElsewhere  the same failure on another rank; rank 0 reports it
    └── CardError              a run card that cannot be read, is wrong, or is not signed

A message is one paragraph: where (file, episode, frame, field), the value that was found, the value
that was expected, and the next step.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from pathlib import Path

_FULL = "free some space, or name a place on another disk"
_NEXT_STEP = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: "name a place that can be written to",
    errno.EACCES: "check its permissions",
    errno.EISDIR: "name a file, not a folder",
    errno.EMFILE: "allow more open files, as with: ulimit -n 1024",
    errno.ENFILE: "end programs that hold many open files",
    errno.ENAMETOOLONG: "choose a shorter name",
}


class ShadowboxError(Exception):
    """Base class of all errors of Shadowbox: the job failed for a reason the user can act on."""

    exit_code = 1


class UsageError(ShadowboxError):
    """Wrong call: an unknown name or an impossible option. Nothing was done."""

    exit_code = 2


class SchemaError(ShadowboxError):
    """Schema that a game declares wrongly."""


class SchemaMismatch(SchemaError):
    """Data or weights of another schema: two schemas differ in fields that the reader uses."""


class EpisodeError(ShadowboxError):
    """Episode with a value or a shape that its schema does not allow."""


class RecordingError(ShadowboxError):
    """Recording that cannot be converted to an episode."""


class StoreError(ShadowboxError):
    """Store that cannot be opened, read or written."""


class StoreLocked(StoreError):
    """Store that another process is writing to."""


class CheckpointError(ShadowboxError):
    """Checkpoint that cannot be read, or file that is not a checkpoint."""


class TrainingError(ShadowboxError):
    """Training run that cannot continue."""


class ReportedElsewhere(TrainingError):
    """Raised on the other ranks of a distributed run; rank 0 reports the error."""


class CardError(ShadowboxError):
    """Run card that is wrong, or that is not allowed to run."""


def system_error(error: OSError, name: str = "") -> str:
    """Message of an error of the operating system: the file, the error, and the next step."""
    where = error.filename if error.filename is not None else name
    step = _NEXT_STEP.get(error.errno or 0, "")
    text = error.strerror or str(error)
    return f"{where}: " * bool(where) + text + f"; {step}" * bool(step)


def interrupted(message: str) -> ShadowboxError:
    """Error of work that a signal ended: the parts that were kept and the way to go on; exit 130."""
    error = ShadowboxError(message)
    error.exit_code = 130
    return error


def checkout() -> Path | None:
    """Root folder of the clone that this package runs from; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def install_hint(extra: str) -> str:
    """Command that installs an extra; editable, if this package runs from a clone."""
    root = checkout()
    return f'pip install -e "{root}[{extra}]"' if root else f'pip install "shadowbox[{extra}]"'


def separate_hint(folder: str, requirements: Path) -> str:
    """Commands that make a Python of its own with what a file requires, and nothing else."""
    return f"python3 -m venv {folder} && {folder}/bin/pip install --no-deps -r {requirements}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End of an error message: the closest known name, or all known names if none is close."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(known)}" if known else "none is known"
