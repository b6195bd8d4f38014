"""The live loop: frames of a source, answers of a policy, controls, and their way to the game.

Each part is timed: `policy` from the frame's arrival to the answers, `controller` for the decision,
`sent` from the frame's arrival until its messages are on the way. The loop only ever adds controls;
releasing them is the bridge's task, in a thread of its own.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array, Columns
from shadowbox.core.view import mirrored
from shadowbox.errors import system_error
from shadowbox.games.gesture.controller import (
    KEYS,
    _Answers,
    _Controls,
    _Settings,
    answers_of,
    at_rest,
    certain,
    control_columns,
    finite,
    process,
    thresholds,
)
from shadowbox.games.gesture.features import LONGEST_GAP, _FeatureStream
from shadowbox.games.gesture.game_fields import game_columns
from shadowbox.games.gesture.mcctp_bridge import _Bridge
from shadowbox.games.gesture.profile import _Profile, calibration_text
from shadowbox.games.gesture.schema import FPS, SCHEMA
from shadowbox.games.gesture.sources import (
    LEFT,
    POSE,
    PRESENT,
    RIGHT,
    VISIBLE,
    _PoseFrame,
    _Source,
    frame_landmarks,
)

STILL = 0.15  # metres a second that the body's landmarks move on average while it rests
STILL_S = 0.5  # seconds of rest after which a press counts as a false trigger
KEPT = 300  # frames in the percentiles of latencies


class _Policy(Protocol):
    """Policy of the live loop."""

    def answer(self, frame: _PoseFrame, game: Mapping[str, float] | None) -> _Answers:
        """Answers for a frame, and the game's state of schema fields (None: not known yet)."""
        ...

    def pressed(self, controls: _Controls) -> None:
        """Take the controls that were decided from the answers."""
        ...

    def idle(self, frame: _PoseFrame) -> bool | None:
        """True if the person presses nothing on purpose; None if the policy does not know."""
        ...


class _KeysPolicy:
    """Policy that knows which keys a synthetic person means, to test everything around a policy.

    `meant(number)` are the keys of a frame by the schema's names.
    """

    def __init__(self, meant: Callable[[int], Mapping[str, float]]) -> None:
        self.meant = meant

    def answer(self, frame: _PoseFrame, game: Mapping[str, float] | None) -> _Answers:
        """Answers that are sure of the person's keys."""
        return certain(self.meant(frame.number))

    def pressed(self, controls: _Controls) -> None:
        """Nothing: the person knows."""

    def idle(self, frame: _PoseFrame) -> bool | None:
        """True if the person means no key in this frame."""
        keys = self.meant(frame.number)
        return not any(value for name, value in keys.items() if not name.startswith("cursor"))


class _AgentPolicy:
    """Policy around an agent of the game, or around a trained policy's chances.

    It sees the rows of a recording, 30 a second and the same bit for bit: a row is decided when its
    frame arrives, a slow camera repeats its frame in the rows between, and after a gap everything
    begins anew, as recordings are split there. Controls of an agent are taken as certain; `chances`
    (view [1, slots] -> chances of the controls) have thresholds and hysteresis. Left-handed people are
    mirrored, as recordings of them are, and the answers are mirrored back.
    """

    def __init__(
        self,
        agent: Agent,
        seed: int = 0,
        *,
        chances: Callable[[Columns], Mapping[str, Array]] | None = None,
        begin: Callable[[], None] = lambda: None,
        left_handed: bool = False,
    ) -> None:
        self.left_handed = left_handed
        self.agent, self.seeds, self.chances, self.forget = agent, np.array([seed]), chances, begin
        self._history: Columns = {}  # controls of the row before
        self.rows = 0  # since the beginning
        self._seen_at: float | None = None
        self._begin(0.0)

    def answer(self, frame: _PoseFrame, game: Mapping[str, float] | None) -> _Answers:
        """Answers for the row of a frame; a second frame within a row gets those of the first."""
        if self._seen_at is None or frame.at - self._seen_at > LONGEST_GAP:
            self._begin(frame.at)
        self._seen_at = frame.at
        due = 1 + math.ceil((frame.at - self._start) * FPS - 1e-6)
        while self.rows < due - 1:
            self._row()
        self.stream.see(frame_landmarks(frame.values, frame.at))
        if game is not None:
            self.stream.know(game_columns(game))
        if self.rows < due:
            self._row()
        return self._answers

    def pressed(self, controls: _Controls) -> None:
        """Take the controls that were decided, which are the history of the next row."""
        if self.chances is not None:
            self._history = control_columns(controls)

    def idle(self, frame: _PoseFrame) -> bool | None:
        """None: an agent does not know what the person means."""
        return None

    def _begin(self, at: float) -> None:
        self._start, self.rows = at, 0
        self.stream = _FeatureStream()
        self._history = {key: SCHEMA.neutral(1)[key] for key in SCHEMA.control_keys}
        self.memory = self.agent.start(self.seeds, np.zeros(1, np.int64))
        self.forget()
        self._answers = certain({})

    def _row(self) -> None:
        """Answers for the next row."""
        view = {**self.stream.row(), **self._history}
        view = self._mirrored(view)
        self.rows += 1
        if self.chances is not None:
            self._answers = answers_of(self._mirrored(self.chances(view)))
            return
        acted, self.memory = self.agent.act(view, self.memory)
        controls = self._mirrored(acted)
        self._history = {key: np.asarray(controls[key]) for key in SCHEMA.control_keys}
        self._answers = certain(
            {key.partition("/")[2]: float(v[0, 0]) for key, v in self._history.items()}
        )

    def _mirrored(self, columns: Mapping[str, Array]) -> Columns:
        return mirrored(SCHEMA, columns) if self.left_handed else dict(columns)


class _Rest:
    """Rest of a body, and the presses that were made although it rested."""

    def __init__(self) -> None:
        self.seconds = 0.0  # at rest
        self.triggers = 0
        self._since: float | None = None
        self._before: tuple[float, Array] | None = None
        self._pressed = np.zeros(len(KEYS), bool)

    def add(self, frame: _PoseFrame, controls: _Controls, idle: bool | None) -> None:
        """Count a frame; without knowledge of the person, a still body rests."""
        began = controls.keys & ~self._pressed
        self._pressed = controls.keys
        pose = frame.values[:LEFT]
        before, self._before = self._before, (frame.at, pose)
        if before is None:
            return
        dt = max(frame.at - before[0], 1e-3)
        if idle is None:
            idle = bool(np.abs(pose - before[1]).mean() / dt < STILL)
        if not idle:
            self._since = None
            return
        self._since = frame.at if self._since is None else self._since
        if frame.at - self._since >= STILL_S:
            self.seconds += min(dt, 0.2)
            self.triggers += int(began.sum()) + int(controls.slot > 0)

    @property
    def a_minute(self) -> float | None:
        """False triggers a minute of rest; None before five seconds of rest."""
        return None if self.seconds < 5 else 60 * self.triggers / self.seconds


class _LiveLoop:
    """Loop of one person: `run` until `stop`; `snapshot` is for a terminal and a page."""

    def __init__(
        self,
        source: _Source,
        policy: _Policy,
        bridge: _Bridge,
        settings: _Settings | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        profile: _Profile | None = None,
        save: Callable[[_Profile], None] = lambda profile: None,
    ) -> None:
        """`profile`: of the person; `save` is called after each change."""
        self.source, self.policy, self.bridge = source, policy, bridge
        self.trained, self.clock, self.save = settings or _Settings(), clock, save
        self.profile = profile or _Profile(
            threshold=self.trained.threshold, look_speed=self.trained.look_speed
        )
        self.settings = self.profile.apply(self.trained)
        self.rest = _Rest()
        self.stopping = threading.Event()
        self.panicking = False
        self.frame: _PoseFrame | None = None
        self.controls: _Controls | None = None
        self.presses = dict.fromkeys(KEYS, 0)
        self._memory = at_rest()
        self._pose_at: float | None = None
        self._frames: deque[float] = deque(maxlen=60)  # arrivals
        self._times: dict[str, deque[float]] = {
            name: deque(maxlen=KEPT) for name in ("policy", "controller")
        }

    def run(self) -> None:
        """Play until `stop`, in the blocks of the source and the bridge."""
        while not self.stopping.is_set():
            frame = self.source.take(timeout=0.05)
            if frame is not None:
                self.step(frame)

    def stop(self) -> None:
        """End `run` after the present frame."""
        self.stopping.set()

    def panic(self, on: bool) -> None:
        """Release everything until `panic(False)`."""
        self.panicking = on
        self.bridge.panic(on)

    def step(self, frame: _PoseFrame) -> _Controls | None:
        """Controls of a frame, ordered from the bridge; None without a person in it.

        After a release the decision begins anew, so that no key comes back by its hysteresis.
        """
        before, self.frame = self.frame, frame
        self._frames.append(frame.at)
        game = self.bridge.core.fields
        answers = self.policy.answer(frame, game)
        if not frame.seen:
            return None
        self._pose_at = frame.at
        screen = bool(game and game["screen_open"])
        if not finite(answers):
            self.bridge.core.problem("the policy's answers are not finite; nothing is pressed")
            answers = certain({})
        decided = self.clock()
        if self.bridge.core.alarms:
            self._memory = at_rest(screen)
        controls, memory = process(
            self.settings,
            self._memory,
            answers,
            screen_open=screen,
            dt=min(frame.at - before.at, 0.2) if before is not None else 1 / 30,
        )
        for at in np.flatnonzero(controls.keys & ~self._memory.keys):
            self.presses[KEYS[at]] += 1
        self._memory, self.controls = memory, controls
        self.policy.pressed(controls)
        self.bridge.order(controls, pose_at=self._pose_at, frame_at=frame.at)
        self._times["policy"].append(decided - frame.at)
        self._times["controller"].append(self.clock() - decided)
        self.rest.add(frame, controls, self.policy.idle(frame))
        return controls

    def change(self, name: str, by: float) -> None:
        """Change a setting while playing: `threshold`, `threshold/CONTROL`, or `look` in degrees/s.

        A profile that cannot be saved is a problem, and play goes on.
        """
        changed = self.profile.changed(name, by, self.settings)
        if changed == self.profile:
            return
        self.profile, self.settings = changed, changed.apply(self.trained)
        try:
            self.save(changed)
        except OSError as error:
            self.bridge.core.problem(f"the profile was not saved: {system_error(error)}")

    def latencies(self) -> dict[str, dict[str, float]]:
        """Median and 99th percentile of each stage in milliseconds, over the last frames."""
        series: dict[str, list[float]] = {
            name: list(values) for name, values in self._times.items()
        }
        series["sent"] = list(self.bridge.core.delays)
        return {
            name: {"p50": _percentile(values, 50), "p99": _percentile(values, 99)}
            for name, values in series.items()
            if values
        }

    def snapshot(self) -> dict[str, Any]:
        """State of the loop as plain data."""
        core, controls = self.bridge.core, self.controls
        released = core.releases[-1] if core.releases else None
        span = self._frames[-1] - self._frames[0] if len(self._frames) > 1 else 0.0
        alarms = list(core.alarms) if core.signs.connected else ["not connected"]
        return {
            "source": self.source.name,
            "url": self.bridge.url,
            "fps": (len(self._frames) - 1) / span if span > 0 else 0.0,
            "seen": bool(self.frame and self.frame.seen),
            "body": points_of(self.frame),
            "alarms": alarms,
            "panic": self.panicking,
            "released": None if released is None else released["reasons"],
            "keys": {} if alarms or controls is None else _pressed(controls),
            "look": [0.0, 0.0] if alarms or controls is None else controls.look.tolist(),
            "cursor": [0.0, 0.0] if controls is None else controls.cursor.tolist(),
            "screen": bool(controls and controls.screen),
            "slot": int(core.fields["selected_slot"]) if core.fields else 0,
            "presses": dict(self.presses),
            "latency": self.latencies(),
            "round_trip": None if self.bridge.latency is None else 1000 * self.bridge.latency,
            "rest": {
                "seconds": self.rest.seconds,
                "triggers": self.rest.triggers,
                "a_minute": self.rest.a_minute,
            },
            "counts": {**core.counts, **self.source.counts},
            "problems": [*list(core.problems)[-2:], *list(self.source.problems)[-2:]],
            "calibration": calibration_text(self.profile),
            "settings": {"threshold": self.settings.threshold, "look": self.settings.look_speed},
            "thresholds": dict(zip(KEYS, thresholds(self.settings).tolist(), strict=True)),
        }


def _pressed(controls: _Controls) -> dict[str, bool]:
    return dict(zip(KEYS, controls.keys.tolist(), strict=True))


def _percentile(values: list[float], at: float) -> float:
    return round(1000 * float(np.percentile(values, at)), 3)


def points_of(frame: _PoseFrame | None) -> dict[str, Any] | None:
    """Landmarks for a picture: x and y in metres; hands from their wrist, where they were found."""
    if frame is None or not frame.seen:
        return None
    values = np.round(frame.values.astype(float), 3)
    points: dict[str, Any] = {
        "pose": values[:LEFT].reshape(POSE, 3)[:, :2].tolist(),
        "visible": values[VISIBLE:].tolist(),
    }
    for at, (name, begin, end) in enumerate((("left", LEFT, RIGHT), ("right", RIGHT, PRESENT))):
        found = values[PRESENT + at] > 0
        points[name] = values[begin:end].reshape(-1, 3)[:, :2].tolist() if found else None
    return points
