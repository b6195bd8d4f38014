"""Settings of a pipeline: its time, the sizes of its models, and the numbers of matches."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from shadowbox.errors import UsageError, did_you_mean

SHORTEST, LONGEST = 0.5, 10_000.0  # minutes
MATCH_FRAMES = 1200  # of a match in a learned world, which may never end


@dataclass(frozen=True, kw_only=True)
class _PipelineConfig:
    """Settings of a pipeline. Steps that are 0 are chosen to fill the minutes."""

    minutes: float = 12.0  # for everything, on this machine
    seed: int = 0
    workers: int = 2  # processes that read recordings
    filter: str = ""  # named set of the reader's options
    record_matches: int = 120  # of a game that records by itself
    policy_preset: str = "default"
    policy_steps: int = 0
    world_preset: str = "tiny"
    world_steps: int = 0
    batch: int = 16  # segments in a batch of either training
    length: int = 64  # decisions of a segment
    judged_episodes: int = 20  # held-out episodes that the policy is judged on, at most
    starts: int = 100  # recorded moments from which the world predicts
    frames: int = 120  # of each prediction
    matches: int = 24  # of each pair of agents, half of them from each seat
    # after which a match is cut off; 0: when the simulator ends it, and in a learned world after
    # MATCH_FRAMES, or what a quarter of the minutes allows
    match_frames: int = 0

    @staticmethod
    def of(values: Mapping[str, Any]) -> _PipelineConfig:
        """Build from plain data; refuse unknown names and values of another type."""
        known = get_type_hints(_PipelineConfig)
        for name, value in values.items():
            if name not in known:
                raise UsageError(f"pipeline: unknown setting '{name}': {did_you_mean(name, known)}")
            whole = isinstance(value, int) and not isinstance(value, bool)
            fits = isinstance(value, known[name]) and not isinstance(value, bool)
            if not (fits or (known[name] is float and whole)):
                raise UsageError(
                    f"pipeline: {name} is {value!r}, a {known[name].__name__} is needed"
                )
        return _PipelineConfig(**values)

    def most_frames(self, *, learned: bool) -> int | None:
        """Frames after which a match is cut off; None: when the world ends it."""
        return self.match_frames or (MATCH_FRAMES if learned else None)

    def to_json(self) -> dict[str, Any]:
        """Plain data that `of` accepts."""
        return dataclasses.asdict(self)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.minutes) and SHORTEST <= self.minutes <= LONGEST):
            raise UsageError(
                f"pipeline: minutes is {self.minutes:g}, {SHORTEST:g} to {LONGEST:g} is needed"
            )
        least = {"starts": 2, "judged_episodes": 2, "frames": 20, "match_frames": 0, "matches": 2}
        least |= {"workers": 1, "record_matches": 4, "batch": 1, "length": 2}
        least |= {"policy_steps": 0, "world_steps": 0, "seed": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise UsageError(
                    f"pipeline: {name} is {getattr(self, name)}, at least {low} is needed"
                )
        if self.matches % 2:
            raise UsageError(
                f"pipeline: matches is {self.matches}, an even number is needed, "
                f"half of them from each seat"
            )
