"""Self-play: a policy learns by PPO in matches against itself, its own past, and other agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shadowbox.core.metrics import MetricInfo, figure_word
from shadowbox.learners.ppo import PPOConfig, PPOLearner
from shadowbox.learners.rollouts import Rollouts
from shadowbox.model.policy import Policy

LINES: dict[str, dict[str, MetricInfo]] = {
    "play": {
        # of finished matches, by opponent; a draw is no win
        "win_rate": MetricInfo("high", 0.0, 1.0, ("even",)),
        "frames": MetricInfo("", 0.0),  # of a match
        "return": MetricInfo("high"),  # sum of the rewards of a match
        "matches": MetricInfo("", 0.0),
    }
}


class SelfPlayLearner(PPOLearner):
    """PPO over rollouts, with lines about the finished matches."""

    lines = LINES

    def __init__(self, policy: Policy, config: PPOConfig, seed: int, steps: int) -> None:
        super().__init__(policy, config, seed, steps)
        self.rollouts: Rollouts | None = None  # set by the source that the loop builds

    def take_lines(self, due: bool) -> Mapping[str, Mapping[str, tuple[float, float]]]:
        """Results of the matches that ended since the last line."""
        if not due or self.rollouts is None:
            return {}
        found = self.rollouts.take_results()
        if not found:
            return {}
        figures: dict[str, tuple[float, float]] = {}
        for name, (matches, wins, _, _) in found.items():
            figures[f"win_rate.{figure_word(name)}"] = (wins, matches)
        matches, wins, frames, returns = (sum(each) for each in zip(*found.values(), strict=True))
        figures |= {
            "win_rate": (wins, matches),
            "win_rate/even": (0.5, 1.0),
            "frames": (frames, matches),
            "return": (returns, matches),
            "matches": (matches, 1.0),
        }
        return {"play": figures}


def build_source(learner: SelfPlayLearner, rollouts: Rollouts) -> Any:
    """The source of a rank, known to the learner of that rank."""
    learner.rollouts = rollouts
    return rollouts
