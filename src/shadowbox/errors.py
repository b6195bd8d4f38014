"""Everything that Shadowbox itself refuses, as one family.

    ShadowboxError          exit 1: the job failed; the message says where, what was expected and what to do
    ├── UsageError          exit 2: the call was wrong (an unknown name, an impossible option)
    ├── SchemaError         a game declares its fields wrongly
    │   └── SchemaMismatch  data or weights belong to another schema; the message lists the differences
    ├── EpisodeError        an episode holds a value its schema does not allow, or a shape that does not fit
    ├── RecordingError      a recording cannot be read
    ├── StoreError          a store is damaged, of an unknown version, unreadable, or the disk is full
    │   └── StoreLocked     another process is writing to it
    ├── CheckpointError     a checkpoint is damaged, of an unknown version, or not a checkpoint at all
    ├── TrainingError       a training run cannot go on; its last checkpoint is intact
    │   └── SaidElsewhere   as another process of the same run says
    └── CardError           a run card cannot be read, is wrong, or is not signed

A message is one paragraph: where (file, episode, frame, field), what was found, what was expected,
what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class ShadowboxError(Exception):
    """The job failed for a reason that the user can act on."""

    exit_code = 1


class UsageError(ShadowboxError):
    """The call was wrong; nothing was done."""

    exit_code = 2


class SchemaError(ShadowboxError):
    """A schema was declared in a way that cannot work."""


class SchemaMismatch(SchemaError):
    """Two schemas differ in fields that the reader uses."""


class EpisodeError(ShadowboxError):
    """An episode holds something that its schema does not allow."""


class RecordingError(ShadowboxError):
    """A recording could not be turned into an episode."""


class StoreError(ShadowboxError):
    """A store cannot be opened, read or written."""


class StoreLocked(StoreError):
    """Another process is writing to this store."""


class CheckpointError(ShadowboxError):
    """A checkpoint cannot be read, or is none."""


class TrainingError(ShadowboxError):
    """A training run cannot go on."""


class ReportedElsewhere(TrainingError):
    """So ends a process whose message another process of its run gives."""


class CardError(ShadowboxError):
    """A run card is wrong, or may not run."""


def checkout() -> Path | None:
    """The folder of the clone that this package runs from; None where it is installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def install_hint(extra: str) -> str:
    """The command that installs an extra, into a clone where this package runs from one."""
    root = checkout()
    return f'pip install -e "{root}[{extra}]"' if root else f'pip install "shadowbox[{extra}]"'


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error sentence: the nearest known name, or all of them where none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(known)}" if known else "none is known"
