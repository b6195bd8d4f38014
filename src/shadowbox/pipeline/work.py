"""Work folder of a pipeline: a stage that is done has its facts in a file, and is not taken again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowbox.core import system
from shadowbox.core.files import read_json, write_whole
from shadowbox.core.game import Game
from shadowbox.data.store import Progress
from shadowbox.errors import ShadowboxError, interrupted
from shadowbox.pipeline.plan import _Plan

if TYPE_CHECKING:
    from shadowbox.train.console import Console

DONE = {"stage": str, "seconds": float, "facts": dict}


def _no_progress(what: str) -> AbstractContextManager[Progress | None]:
    return nullcontext(None)


@dataclass
class _Work:
    """A pipeline in its folder: the plan, what is shown meanwhile, and the facts of each stage."""

    game: Game
    plan: _Plan
    out: Path
    say: Callable[[str], None] = lambda text: None
    progress: Callable[[str], AbstractContextManager[Progress | None]] = _no_progress
    console: Callable[[], Console] | None = None
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """A file or folder of this pipeline."""
        return self.out / name

    def take(self, name: str, stage: Callable[[_Work], dict[str, Any]]) -> None:
        """Take a stage, unless it is done, and keep its facts and seconds."""
        file = self.path(f"{name}.json")
        try:
            done = read_json(file, DONE, hint="remove it to take the stage again")
        except FileNotFoundError:
            done = self._taken(name, stage, file)
        else:
            self.say(f"{name}: done before")
        self.facts[name], self.seconds[name] = done["facts"], done["seconds"]

    def _taken(
        self, name: str, stage: Callable[[_Work], dict[str, Any]], file: Path
    ) -> dict[str, Any]:
        planned = self.plan.seconds[name]
        self.say(f"{name}: {self.plan.what[name]}, about {planned:,.0f} s")
        began = time.monotonic()
        try:
            facts = stage(self)
        except KeyboardInterrupt:
            raise self.stopped(name) from None
        except ShadowboxError as error:
            if error.exit_code < 128:  # else a signal ended it, after what it had was kept
                raise
            stopped = self.stopped(name)
            stopped.exit_code = error.exit_code
            raise stopped from error
        # seconds of a stage that was interrupted are those of its last part
        done = {"stage": name, "seconds": round(time.monotonic() - began, 2), "facts": facts}
        with system.shielded():
            write_whole(file, json.dumps(done, indent=1).encode())
        return done

    def stopped(self, name: str) -> ShadowboxError:
        """Error of a pipeline that a signal ended in a stage."""
        return interrupted(f"stopped in the stage {name}; go on with: {self.again}")

    @property
    def again(self) -> str:
        """The command that resumes this pipeline."""
        words = ["shadowbox", "pipeline", self.plan.game, *self.plan.paths]
        return system.command_line([*words, "--out", str(self.out), "--resume"])

    @contextmanager
    def counted(self, what: str) -> Iterator[Progress | None]:
        """Progress of a part of a stage."""
        with self.progress(what) as update:
            yield update
