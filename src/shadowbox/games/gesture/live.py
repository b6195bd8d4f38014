"""The live loop: frames of a source, answers of a policy, controls, and their way to the game.

Each part is timed: `policy` from the frame's arrival to the answers, `controller` for the decision,
`sent` from the frame's arrival until its messages are on the way. The loop only ever adds controls;
releasing them is the bridge's task, in a thread of its own.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array
from shadowbox.games.gesture.controller import (
    KEYS,
    _Answers,
    _Controls,
    _Settings,
    at_rest,
    certain,
    process,
)
from shadowbox.games.gesture.features import _FeatureStream
from shadowbox.games.gesture.game_fields import game_columns
from shadowbox.games.gesture.mcctp_bridge import _Bridge
from shadowbox.games.gesture.schema import SCHEMA
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

    def idle(self, frame: _PoseFrame) -> bool | None:
        """True if the person means no key in this frame."""
        keys = self.meant(frame.number)
        return not any(value for name, value in keys.items() if not name.startswith("cursor"))


class _AgentPolicy:
    """Policy around an agent of the game, such as a trained one: its controls are taken as certain.

    The agent sees the rows of `_FeatureStream`, the same as in recordings, and its own last controls.
    """

    def __init__(self, agent: Agent, seed: int = 0) -> None:
        self.agent, self.seeds = agent, np.array([seed])
        self.memory = agent.start(self.seeds, np.zeros(1, np.int64))
        self.stream = _FeatureStream()
        self.last = {key: SCHEMA.neutral(1)[key] for key in SCHEMA.control_keys}

    def answer(self, frame: _PoseFrame, game: Mapping[str, float] | None) -> _Answers:
        """Answers that are sure of the agent's controls."""
        self.stream.see(frame_landmarks(frame.values, frame.at))
        if game is not None:
            self.stream.know(game_columns(game))
        view = {**self.stream.row(), **self.last}
        controls, self.memory = self.agent.act(view, self.memory)
        self.last = {key: np.asarray(controls[key]) for key in SCHEMA.control_keys}
        return certain({key.partition("/")[2]: float(v[0, 0]) for key, v in self.last.items()})

    def idle(self, frame: _PoseFrame) -> bool | None:
        """None: an agent does not know what the person means."""
        return None


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
    ) -> None:
        self.source, self.policy, self.bridge = source, policy, bridge
        self.settings, self.clock = settings or _Settings(), clock
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
        if not frame.seen:
            return None
        self._pose_at = frame.at
        game = self.bridge.core.fields
        screen = bool(game and game["screen_open"])
        answers = self.policy.answer(frame, game)
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
        self.bridge.order(controls, pose_at=self._pose_at, frame_at=frame.at)
        self._times["policy"].append(decided - frame.at)
        self._times["controller"].append(self.clock() - decided)
        self.rest.add(frame, controls, self.policy.idle(frame))
        return controls

    def change(self, name: str, by: float) -> None:
        """Change a setting while playing: `threshold` of the keys, or `look` in degrees a second."""
        if name == "threshold":
            value = float(np.clip(self.settings.threshold + by, 0.05, 0.95))
            self.settings = replace(self.settings, threshold=round(value, 3))
        elif name == "look":
            value = float(np.clip(self.settings.look_speed + by, 20.0, 600.0))
            self.settings = replace(self.settings, look_speed=round(value, 1))

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
            "settings": {"threshold": self.settings.threshold, "look": self.settings.look_speed},
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
