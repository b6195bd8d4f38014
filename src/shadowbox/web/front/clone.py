"""Clone of the person who plays here: trained in the background from their stored matches.

    waiting   -> too few matches
    possible  -> `begin` starts a training in a process of its own
    training  -> judging: how alike does it play? -> ready, or failed with the reason

A clone is a run like any other, `RUNS/clone-N` for N matches; its likeness is a file in that folder.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from shadowbox.core.files import read_json, write_whole
from shadowbox.data.manifest import NAME
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.page.document import Html
from shadowbox.train.log import METRICS, read_facts
from shadowbox.web.markup import element
from shadowbox.web.runlog import last_lines
from shadowbox.web.site import Site

log = logging.getLogger(__name__)

NEEDED = 5  # matches of the person
STEPS = 1200  # of the training: two minutes on one core
SETTINGS = ("--preset", "small", "--batch", "16", "--lr", "2e-3", "--set", "threads=1")
COMPARED = 8  # matches that the clone plays to be compared
LIKENESS = "likeness.json"
PREFIX = "clone-"


class _Clone:
    """The clone of a site's person, and the process that trains it."""

    def __init__(self, site: Site) -> None:
        self.site, self._lock = site, threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._busy: dict[str, Any] | None = None  # while a thread works: state, run, began
        self._failed = ""
        self._counted: tuple[float, int, set[str]] = (0.0, 0, set())
        self._closed = False

    def data(self) -> dict[str, Any]:
        """State for the page: matches, progress, and the finished clone with its likeness."""
        matches, _ = self._matches()
        facts: dict[str, Any] = {"matches": matches, "needed": NEEDED, "clone": self._finished()}
        with self._lock:
            busy, failed = self._busy, self._failed
        if busy is not None:
            return facts | {"state": busy["state"], **_progress(busy)}
        if failed:
            return facts | {"state": "failed", "why": failed}
        return facts | {"state": "possible" if matches >= NEEDED else "waiting"}

    def begin(self) -> None:
        """Start a training, in a thread and a process of its own."""
        matches, others = self._matches()
        if matches < NEEDED:
            raise UsageError(
                f"a clone needs {NEEDED} stored matches of yours, and there are {matches}: play more"
            )
        run = self.site.runs / f"{PREFIX}{matches}"
        with self._lock:
            if self._busy is not None:
                raise UsageError("a clone is being trained already; wait until it is done")
            self._failed = ""
            self._busy = {"state": "training", "run": run, "began": time.monotonic()}
        threading.Thread(
            target=self._work, args=(run, sorted(others)), name="clone", daemon=True
        ).start()

    def close(self) -> None:
        """End the process; a training that was stopped goes on at the next start."""
        self._closed = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    # ---- inside ----

    def _matches(self) -> tuple[int, set[str]]:
        """Number of stored matches of people, and the first words of the others' names."""
        manifest = self.site.out / NAME
        written = manifest.stat().st_mtime if manifest.exists() else 0.0
        if written != self._counted[0]:
            store, names, count = Store(self.site.out), set[str](), 0
            for number in range(len(store)):
                meta = store.meta_of(number)
                count += isinstance(meta.get("person"), int)
                names.update(re.split("[:@]", str(name))[0] for name in meta.get("players", ()))
            self._counted = written, count, names
        return self._counted[1], self._counted[2] - {"person"}

    def _finished(self) -> dict[str, Any] | None:
        """Spec and likeness of the clone from the most matches; None without one."""
        found = [
            path
            for path in self.site.runs.glob(f"{PREFIX}*")
            if path.name.removeprefix(PREFIX).isdecimal() and (path / LIKENESS).is_file()
        ]
        if not found:
            return None
        run = max(found, key=lambda path: int(path.name.removeprefix(PREFIX)))
        try:
            likeness = read_json(run / LIKENESS)
        except ShadowboxError as error:
            log.warning("%s", error)
            return None
        return {
            "spec": f"policy:{run}",
            "matches": int(run.name.removeprefix(PREFIX)),
            "likeness": likeness,
        }

    def _work(self, run: Path, others: list[str]) -> None:
        try:
            self._run(_training(self.site.out, run, others))
            with self._lock:
                self._busy = {"state": "judging", "run": run, "began": time.monotonic()}
            text = self._run(_judging(self.site.out, run))
            write_whole(run / LIKENESS, (json.dumps(json.loads(text)) + "\n").encode())
            failed = ""
        except (ShadowboxError, OSError, ValueError) as error:
            failed = str(error)
            log.warning("the clone was not trained: %s", error)
        with self._lock:
            self._busy, self._failed = None, failed

    def _run(self, words: list[str]) -> str:
        """Output of a command of Shadowbox; one that fails raises its own message."""
        if self._closed:
            raise UsageError("the server stopped")
        self._process = subprocess.Popen(  # noqa: S603  our own program, no shell
            [sys.executable, "-m", "shadowbox", *words, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        out = self._process.communicate()[0].decode(errors="replace")
        if self._process.returncode:
            raise UsageError(_message(out) or f"the command ended with {self._process.returncode}")
        return out.strip().splitlines()[-1]


def section() -> Html:
    """Part of the Play page that its script (clone.js) fills."""
    return element("section", id="clone", class_="clone", aria_live="polite", hidden=True)


def _training(store: Path, run: Path, others: list[str]) -> list[str]:
    """Command that learns the person's decisions alone; one that was stopped goes on."""
    if (run / METRICS).exists() and read_facts(run).get("status") != "finished":
        return ["train", str(store), "--out", str(run), "--resume"]
    weights = ["person=1", *(f"{name}=0" for name in others)]
    return [
        "train", str(store), "--out", str(run), "--steps", str(STEPS), *SETTINGS,
        "--with", f"holder_weights={json.dumps(weights)}",
    ]  # fmt: skip


def _judging(store: Path, run: Path) -> list[str]:
    words = ["eval", str(run), str(store), "--likeness", "--side", "all"]
    return [*words, "--matches", str(COMPARED)]


def _progress(busy: dict[str, Any]) -> dict[str, Any]:
    """Share of a training that is done, and the seconds that are left."""
    if busy["state"] != "training":
        return {}
    steps = [line["step"] for line in last_lines(busy["run"] / METRICS) if "step" in line]
    done = min(1.0, max(steps, default=0) / STEPS)
    spent = time.monotonic() - busy["began"]
    return {"share": done, "left_s": spent * (1 - done) / done if done else None}


def _message(out: str) -> str:
    """Message of a command that failed with `--json`."""
    try:
        found = json.loads(out.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return ""
    return str(found.get("error", "")) if isinstance(found, dict) else ""
