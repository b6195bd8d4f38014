"""An agent that is kept up to date: a newer checkpoint of its run is loaded while it plays."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from shadowbox.core.game import Agent, Game
from shadowbox.errors import ShadowboxError
from shadowbox.model import kinds
from shadowbox.play import specs
from shadowbox.play.checkpoints import folder_of_spec

EVERY_S = 2.0  # between two looks at the run's folder

log = logging.getLogger(__name__)


class _NewestAgent:
    """The agent of a spec, and a thread that loads it anew when its checkpoint is another one.

    `checkpoint` is the folder of the checkpoint that plays, None for an agent that is not learned:
    for those nothing is watched. A checkpoint that cannot be loaded is reported once, and the agent
    before it plays on.
    """

    def __init__(
        self, spec: str, game: Game, *, watch: bool = True, every: float = EVERY_S
    ) -> None:
        self.spec, self.game, self.every = spec, game, every
        self.checkpoint = self._folder()
        self.agent: Agent = specs.agent(spec, game)
        self.problems: list[str] = []
        self._newer: tuple[Path | None, Agent] | None = None
        self._refused: Path | None = None  # a checkpoint that could not be loaded
        self._lock, self._looking, self._ending = (
            threading.Lock(),
            threading.Lock(),
            threading.Event(),
        )
        self._thread = threading.Thread(target=self._watch, name="newer checkpoint", daemon=True)
        if watch and self.checkpoint is not None:
            self._thread.start()

    @property
    def name(self) -> str:
        """The spec, and the step of the checkpoint that plays."""
        if self.checkpoint is None:
            return self.spec
        step = self.checkpoint.name
        return f"{self.spec} (step {int(step)})" if step.isdecimal() else self.spec

    def take(self) -> Agent | None:
        """The agent of a newer checkpoint, which is `agent` from now on; None without one."""
        with self._lock:
            if self._newer is None:
                return None
            (self.checkpoint, self.agent), self._newer = self._newer, None
            return self.agent

    def look(self) -> None:
        """Look once, and load what is newer."""
        with self._looking:
            found = self._folder()
            with self._lock:
                known = self.checkpoint if self._newer is None else self._newer[0]
            if found in (None, known, self._refused):
                return
            try:
                made = specs.agent(self.spec, self.game)
            except ShadowboxError as error:
                self._refused = found
                self.problems.append(f"{found} is not taken: {error}")
                log.warning("%s", self.problems[-1])
                return
            with self._lock:
                self._newer = found, made

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _watch(self) -> None:
        while not self._ending.wait(self.every):
            try:
                self.look()
            except (ShadowboxError, OSError) as error:  # such as a run that is being moved
                log.debug("%s: %s", self.spec, error)

    def _folder(self) -> Path | None:
        kind = self.spec.partition(":")[0]
        if kinds.spec_kind(kind, "agent") is None:
            return None
        return folder_of_spec(self.spec, self.game)
