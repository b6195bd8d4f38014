"""Guards of a training run: signals, non-finite steps, out of memory, full disks, locked runs."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from shadowbox.core import system
from shadowbox.core.files import write_whole
from shadowbox.errors import TrainingError
from shadowbox.model.checkpoint import steps

LOCK = "train.lock"


class _StopSignal:
    """Remembers a signal that asks the run to end. A second signal acts at once.

    `others`: other ranks train beside this one. When one of them fails, torchrun ends the rest at
    once, so a rank that is leaving with an error ignores SIGTERM until it has printed the error.
    """

    def __init__(self, *, others: bool = False) -> None:
        self.signal, self.others = 0, others
        self._before: dict[int, Any] = {}

    @property
    def name(self) -> str:
        """Name of the signal, or "" if there was none."""
        return signal.Signals(self.signal).name if self.signal else ""

    def __enter__(self) -> _StopSignal:
        # Python allows handlers nowhere else
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._note) for number in system.STOP_SIGNALS
            }
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        for number, handler in self._before.items():
            leaving = self.others and kind is not None and number == signal.SIGTERM
            signal.signal(number, signal.SIG_IGN if leaving else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        for each, handler in self._before.items():
            signal.signal(each, handler)


class _FiniteGuard:
    """Counts non-finite steps and decides: skip the step, go back, or stop."""

    def __init__(self, skips: int, rollbacks: int) -> None:
        self.skips, self.rollbacks = skips, rollbacks
        self.in_a_row = self.skipped = self.gone_back = self.reported = 0

    def good(self) -> None:
        """Count a finite step."""
        self.in_a_row = 0

    def bad(self) -> str:
        """Count a non-finite step and return what to do: "skip", "back" or "stop"."""
        self.in_a_row += 1
        self.skipped += 1
        if self.in_a_row <= self.skips:
            return "skip"
        self.in_a_row = 0
        self.gone_back += 1
        return "back" if self.gone_back <= self.rollbacks else "stop"

    def news(self) -> int:
        """Steps skipped since the last call."""
        found, self.reported = self.skipped - self.reported, self.skipped
        return found

    def state(self) -> dict[str, int]:
        """State as plain data."""
        return {
            "in_a_row": self.in_a_row,
            "skipped": self.skipped,
            "gone_back": self.gone_back,
            "reported": self.reported,
        }

    def load(self, state: dict[str, int]) -> None:
        """Continue from `state`."""
        self.in_a_row, self.skipped, self.gone_back = (
            state["in_a_row"],
            state["skipped"],
            state["gone_back"],
        )
        self.reported = state["reported"]


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error means that the device or the machine ran out of memory."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in text or "can't allocate memory" in text)
    )


@contextmanager
def disk_full(run: Path) -> Iterator[None]:
    """Turn a full disk into one line that says that earlier checkpoints are intact."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        saved = steps(run)
        kept = (
            f"its checkpoint of step {saved[-1]} is intact" if saved else "it has no checkpoint yet"
        )
        raise TrainingError(
            f"{run}: the disk is full ({error.strerror}); {kept}: make room and resume"
        ) from error


@contextmanager
def lock_run(run: Path) -> Iterator[None]:
    """Lock a run's folder; refuse a second process that would write to it.

    The system releases the lock when this process dies.
    """
    run.mkdir(parents=True, exist_ok=True)
    if (run / LOCK).exists() and not (run / LOCK).is_file():
        raise TrainingError(f"{run / LOCK} is not a plain file; remove it")
    with open(run / LOCK, "wb") as file:
        try:
            system.lock(file.fileno())
        except BlockingIOError:
            raise TrainingError(
                f"{run} is being trained by another process; wait for it, or choose another --out"
            ) from None
        except OSError as error:
            raise TrainingError(
                f"{run} cannot be locked: {error.strerror}; choose an --out on a file system that can"
            ) from error
        try:
            yield
        finally:
            system.unlock(file.fileno())


def keep_batch(run: Path, step: int, batch: Any) -> Path:
    """Save the arrays of a batch as `bad-batch-STEP.npz` for inspection."""
    import io

    arrays = {name: value for name, value in vars(batch).items() if isinstance(value, np.ndarray)}
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    path = run / f"bad-batch-{step:08d}.{os.getpid()}.npz"
    write_whole(path, file.getvalue())
    return path
