"""Commits of a network volume after each checkpoint, which can neither stop nor lose a run.

A commit that fails is tried again at the next checkpoint, and one that gives no answer is left to
end by itself. Whatever was committed last is a whole run, from which the next session goes on. Only
the last commit of a session must succeed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from shadowbox.errors import ShadowboxError
from shadowbox.train.observer import Note

PATIENCE_S = 300.0  # for one commit
EVENT = "commit"


class _Commits:
    """Calls of `commit`, one at a time, in threads of their own."""

    def __init__(self, commit: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        self.commit, self.patience_s = commit, patience_s
        self.done = 0
        self._thread: threading.Thread | None = None
        self._reason = ""

    def after_save(self, step: int, epoch: int, note: Note) -> None:
        """Commit a checkpoint; what goes wrong is an event of the run."""
        problem = self._try()
        if problem:
            note(EVENT, f"{problem}; tried again at the next checkpoint", epoch=epoch)

    def finish(self) -> None:
        """Commit what the session has written last; a failure is an error."""
        problem = self._try() and self._try()  # twice: the first may have waited for an earlier one
        if problem:
            raise ShadowboxError(f"{problem}: the end of this session is not on the volume")

    def _try(self) -> str:
        """Commit once; the problem in words, or nothing."""
        if self._thread is not None:
            self._thread.join(self.patience_s)
            if self._thread.is_alive():
                return f"an earlier commit still gives no answer after {self.patience_s:g} s more"
        self._reason = ""
        self._thread = threading.Thread(target=self._call, name="commit", daemon=True)
        self._thread.start()
        self._thread.join(self.patience_s)
        if self._thread.is_alive():
            return f"the commit gives no answer within {self.patience_s:g} s"
        self._thread = None
        return self._reason

    def _call(self) -> None:
        try:
            self.commit()
            self.done += 1
        except Exception as error:  # whatever a network does, the run goes on
            lines = str(error).strip().splitlines() or [""]
            self._reason = f"the commit failed ({type(error).__name__}: {lines[0]})"
