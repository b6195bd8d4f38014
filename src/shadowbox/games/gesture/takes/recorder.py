"""Recorder of a real person: countdown, takes in a journal and then in a store, delete last, rates.

A take is written to its journal frame by frame, and to the store when the next one begins or the
recorder is closed; until then it can be deleted. A journal that a crash left behind is stored when
the next recorder opens. `order` may be called from any thread, `see` from the one of the source.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shadowbox.core.episode import Episode
from shadowbox.errors import ShadowboxError
from shadowbox.games.gesture.mcctp_messages import State
from shadowbox.games.gesture.recording import SHORTEST
from shadowbox.games.gesture.schema import ACTIONS, INVENTORY, SCHEMA
from shadowbox.games.gesture.sources import _PoseFrame
from shadowbox.games.gesture.takes.calibration import _Calibration
from shadowbox.games.gesture.takes.clips import write_clip
from shadowbox.games.gesture.takes.journal import _Journal, episodes_in
from shadowbox.games.gesture.takes.labels import (
    NOTHING,
    _Cue,
    prompted,
    prompts,
    reported,
    shown_prompts,
)

ORDERS = ("start", "stop", "delete", "calibrate", "finish")
COUNTED = (*ACTIONS, "looking", "hotbar", *INVENTORY)


class _Recorder:
    """Recorder beside the store `out`, to which `commit(episodes)` adds whole takes.

    `game()` gives the newest state of a game and its fields. Without it, takes have prompts and
    last for `seconds`; with `labels` none they have no keys, such as those of a video, and last
    until they are stopped.
    """

    def __init__(
        self,
        out: Path,
        meta: Mapping[str, Any],
        commit: Callable[[Sequence[Episode]], None],
        *,
        game: Callable[[], tuple[State | None, Mapping[str, float] | None]] | None = None,
        labels: str = "prompts",
        seconds: float = 60.0,
        countdown: float = 3.0,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        calibrated: Callable[[Mapping[str, Any]], None] = lambda result: None,
    ) -> None:
        self.out, self.meta, self.commit = out, dict(meta), commit
        self.game, self.clock, self.calibrated = game, clock, calibrated
        self.labels = labels if game is None else "game"
        self.seconds, self.countdown, self.seed = seconds, countdown, seed
        self.path = out.with_name(out.name + ".take")
        self.takes: list[dict[str, Any]] = []  # seconds, frames, presses, stored
        self.problems: deque[str] = deque(maxlen=4)
        self.finished = threading.Event()
        self.calibration: _Calibration | None = None
        self.frame: _PoseFrame | None = None
        self._lock = threading.RLock()
        self._arrivals: deque[float] = deque(maxlen=60)
        self._journal: _Journal | None = None
        self._began: float | None = None  # when recording begins or began
        self._pending = False  # the last take can be deleted
        # of the take that runs
        self._cues: Sequence[_Cue] = ()
        self._now = -1.0
        self._state: State | None = None
        self._pressed: dict[str, float] = {}
        self._presses = dict.fromkeys(COUNTED, 0)

    def __enter__(self) -> _Recorder:
        if self.path.exists():
            self._store({})
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._stop()
            self._store_last()

    @property
    def busy(self) -> bool:
        """True while a take is counted down or recorded."""
        return self._began is not None

    # ---- orders ----------------------------------------------------------------------------------

    def order(self, name: str) -> None:
        """Start or stop a take or the calibration, delete the last take, or finish."""
        with self._lock:
            if name == "start" and self._began is None:
                self._store_last()
                self.calibration = None
                self._began = self.clock() + self.countdown
            elif name == "calibrate" and self._began is None:
                self.calibration = _Calibration(self.clock() + self.countdown)
            elif name == "stop":
                self._stop()
                if self.calibration is not None and not self.calibration.done:
                    self.calibration = None
            elif name == "delete":
                self._delete()
            elif name == "finish":
                self._stop()
                self.finished.set()

    def see(self, frame: _PoseFrame) -> None:
        """Take a frame of the source; it is recorded while a take runs."""
        with self._lock:
            self.frame = frame
            self._arrivals.append(frame.at)
            if self.calibration is not None and not self.calibration.done:
                self._calibrate(self.calibration, frame)
            if self._began is None or frame.at < self._began:
                return
            if self._journal is None:
                self._begin(frame.at)
            assert self._journal is not None
            now = frame.at - self._began
            controls, fields = self._labels(now)
            self._journal.add(frame.at, frame.values, controls, fields)
            self._count(controls, now)
            if self.labels == "prompts" and now >= self.seconds:
                self._stop()

    def _labels(self, now: float) -> tuple[Mapping[str, float], Mapping[str, float] | None]:
        if self.game is None:
            return (prompted(self._cues, self._now, now) if self._cues else NOTHING), None
        state, fields = self.game()
        if state is None:
            return NOTHING, None
        controls = reported(state, self._state)
        self._state = state
        return controls, fields

    def _begin(self, at: float) -> None:
        meta = {
            **self.meta,
            "session": f"{self.meta['person']}-{time.strftime('%Y%m%d-%H%M%S')}-{len(self.takes)}",
            "labels": self.labels,
        }
        self._journal, self._began = _Journal(self.path, meta), at
        self._cues = ()
        if self.labels == "prompts":
            self._cues = prompts(self.seed + len(self.takes), self.seconds)
        self._now, self._state, self._pressed = -1.0, None, dict(NOTHING)
        self._presses = dict.fromkeys(COUNTED, 0)

    def _count(self, controls: Mapping[str, float], now: float) -> None:
        """Count the controls that begin."""
        shown = {**controls, "looking": max(abs(controls[n]) for n in ("look_yaw", "look_pitch"))}
        for name in COUNTED:
            self._presses[name] += shown[name] > 0.1 and self._pressed.get(name, 0) <= 0.1
        self._pressed, self._now = shown, now

    def _stop(self) -> None:
        journal, began, self._journal, self._began = self._journal, self._began, None, None
        if journal is None or began is None:
            return
        journal.close()
        if journal.rows <= SHORTEST:
            journal.discard()
            self.problems.append(f"a take of {journal.rows} frames is too short: not kept")
            return
        self.takes.append(
            {"seconds": self._now, "frames": journal.rows, "presses": self._presses, "stored": 0}
        )
        self._pending = True

    def _delete(self) -> None:
        if self._began is not None:
            self._stop()
        if not self._pending:
            self.problems.append("nothing to delete: the last take is in the store")
            return
        self.path.unlink(missing_ok=True)
        self.takes.pop()
        self._pending = False

    # ---- the store -------------------------------------------------------------------------------

    def _store_last(self) -> None:
        if self._pending:
            self._pending = False
            self._store(self.takes[-1])

    def _store(self, take: dict[str, Any]) -> None:
        """Commit the take in the journal to the store, and remove the journal."""
        try:
            episodes = episodes_in(self.path)
        except ShadowboxError as error:
            kept = self.path.with_name(self.path.name + ".damaged")
            self.path.replace(kept)
            self.problems.append(f"{error}; it is kept as {kept.name}")
            return
        if episodes:
            self.commit(episodes)
        self.path.unlink(missing_ok=True)
        take["stored"] = len(episodes)
        if not episodes:
            self.problems.append(
                "a take was not kept: no person was seen for a second without a gap of the camera"
            )
        elif "frames" not in take:
            rows = sum(episode.frames for episode in episodes)
            self.problems.append(
                f"a take of {rows / SCHEMA.fps:.0f} s that a crash left was stored"
            )

    # ---- calibration -----------------------------------------------------------------------------

    def _calibrate(self, calibration: _Calibration, frame: _PoseFrame) -> None:
        calibration.see(frame)
        if not calibration.done:
            return
        self.meta["calibration"] = calibration.result
        self.calibrated(calibration.result)
        named = f"{self.meta['person']}-{time.strftime('%Y%m%d-%H%M%S')}"
        for words, (times, frames) in calibration.clips().items():
            write_clip(self.out.with_name(self.out.name + ".clips"), words, named, times, frames)

    # ---- for a terminal and a page ---------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """State of the recorder as plain data."""
        with self._lock:
            now, began = self.clock(), self._began
            span = self._arrivals[-1] - self._arrivals[0] if len(self._arrivals) > 1 else 0.0
            running = self._journal is not None and began is not None
            since = now - began if began is not None else 0.0
            phase = "ready" if began is None else "countdown" if not running else "recording"
            calibration = self.calibration
            if phase == "ready" and calibration is not None and not calibration.done:
                phase = "calibrating"
            return {
                "phase": phase,
                "countdown": max(-since, 0.0) if phase == "countdown" else 0.0,
                "seconds": max(since, 0.0) if running else 0.0,
                "of": self.seconds if self.labels == "prompts" else None,
                "prompt": shown_prompts(self._cues, since) if running and self._cues else None,
                "presses": dict(self._presses) if running else self._all_presses(),
                "minutes": (since if running else sum(t["seconds"] for t in self.takes)) / 60,
                "takes": [{key: take[key] for key in ("seconds", "frames")} for take in self.takes],
                "deletable": self._pending,
                "fps": (len(self._arrivals) - 1) / span if span > 0 else 0.0,
                "seen": bool(self.frame and self.frame.seen and now - self.frame.at < 1),
                "labels": self.labels,
                "person": self.meta["person"],
                "store": str(self.out),
                "calibration": None if calibration is None else calibration.snapshot(now),
                "problems": list(self.problems),
            }

    def _all_presses(self) -> dict[str, int]:
        return {name: sum(take["presses"][name] for take in self.takes) for name in COUNTED}
