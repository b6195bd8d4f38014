"""A game of memory for Gymnasium, `shadowbox/Recall-v0`: a cue that is asked for much later.

One of two cues is shown in the first frame, and asked for `wait` frames later. The answer is the
action of that frame: 1 point if it is the cue. All frames in between look the same, so that without
a memory half of the answers are right.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from shadowbox.core.schema import Array

NAME = "shadowbox/Recall-v0"


class _Recall(gymnasium.Env[Array, Any]):
    """Sees [cue is 0, cue is 1, asked]; answers 0 or 1."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, wait: int = 30) -> None:
        self.wait = wait
        self.observation_space = spaces.Box(0.0, 1.0, (3,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.cue, self.frame = int(self.np_random.integers(2)), 0
        return np.eye(3, dtype=np.float32)[self.cue], {}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        asked = self.frame == self.wait
        self.frame += 1
        seen = np.array([0, 0, self.frame == self.wait], np.float32)
        return seen, float(asked and action == self.cue), asked, False, {}


gymnasium.register(NAME, entry_point=f"{__name__}:_Recall")
