"""Self-play: a policy learns by PPO in matches against itself, its own past, and other agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shadowbox.cards.sections import Stage, shares_of
from shadowbox.core.game import Reward
from shadowbox.core.metrics import MetricInfo, figure_word
from shadowbox.core.stats import wilson
from shadowbox.learners.curriculum import _Curriculum
from shadowbox.learners.exploiters import _Exploiters
from shadowbox.learners.monitoring.benchmark import FIGURES, KIND, _Benchmark
from shadowbox.learners.monitoring.rows import _Monitor, pages
from shadowbox.learners.opponents import ALONE
from shadowbox.learners.ppo import PPOConfig, _PPOLearner, _Rollout
from shadowbox.learners.rollouts import _Rollouts
from shadowbox.model.policy import Policy
from shadowbox.train.protocols import Descend
from shadowbox.train.tables import BENCHMARK, _Table

LINES: dict[str, dict[str, MetricInfo]] = {
    KIND: FIGURES,
    "play": {
        # of finished matches, by opponent; draws do not count as wins
        "win_rate": MetricInfo("high", 0.0, 1.0, ("even",)),
        "frames": MetricInfo("", 0.0),  # of a match
        # sum of the rewards of a match; return.TERM: of one of their terms
        "return": MetricInfo("high"),
        "matches": MetricInfo("", 0.0),
        "recent": MetricInfo("high", 0.0, 1.0, ("even",)),  # of the last 200, with its interval
        "stage": MetricInfo("", 0.0),  # number of the stage, from 0
        # of the exploiter in training against main, in its last 200 matches
        "exploiter": MetricInfo("low", 0.0, 1.0),
    },
}


class _SelfPlayLearner(_PPOLearner):
    """PPO over rollouts, with lines about the finished matches, and stages."""

    lines = LINES

    def __init__(
        self,
        policy: Policy,
        config: PPOConfig,
        seed: int,
        steps: int,
        *,
        stages: Sequence[Stage] = (),
        reward: Callable[[Any], Reward | None] | None = None,
        teacher: bool = False,
        exploiters: _Exploiters | None = None,
        monitor: _Monitor | None = None,
        benchmark: _Benchmark | None = None,
    ) -> None:
        """`reward`: builds a reward from its name or weights, for stages that set one.

        `monitor`: makes the tables of the run; None for a learner without tables.
        """
        super().__init__(policy, config, seed, steps, teacher=teacher)
        self.monitor = monitor or _Monitor()
        self.curriculum = _Curriculum(stages, steps)
        self.usual, self.reward = config, reward
        self.exploiters, self.benchmark = exploiters, benchmark
        self.rollouts: _Rollouts | None = None

    def bind(self, rollouts: _Rollouts) -> _Rollouts:
        """Take a rank's source: lines are about its matches, and stages change it."""
        self.rollouts = rollouts
        self._enter_stage()
        return rollouts

    def update(self, model: nn.Module, batch: _Rollout, descend: Descend) -> dict[str, Tensor]:
        """Learn from a rollout; then an exploiter learns from one of its own, in full precision."""
        found = super().update(model, batch, descend)
        self.monitor.last = batch, float(found["entropy"]) / max(self.largest, 1e-9)
        if self.exploiters is not None and self.rollouts is not None:
            with torch.autocast(batch.reset.device.type, enabled=False):
                self.exploiters.step(batch.step, self.rollouts)
        return found

    def take_lines(self, due: bool) -> Mapping[str, Mapping[str, tuple[float, float]]]:
        """Results of the matches that ended since the last line, and of a benchmark."""
        if self.rollouts is None:
            return {}
        return (self._play_lines(self.rollouts) if due else {}) | self._bench_lines(self.rollouts)

    def _bench_lines(self, rollouts: _Rollouts) -> dict[str, Mapping[str, tuple[float, float]]]:
        """The line of a benchmark, if it is due; the first rank plays it."""
        if self.benchmark is None or rollouts.matches.rank or not self.benchmark.due(rollouts.step):
            return {}
        figures, rows = self.benchmark.play(rollouts.matches.policy)
        self.monitor.seen += [(BENCHMARK, row) for row in rows]
        return {KIND: figures}

    def _play_lines(self, rollouts: _Rollouts) -> dict[str, Mapping[str, tuple[float, float]]]:
        """The line of the finished matches."""
        found = rollouts.matches.take_finished()
        self.monitor.note(found, rollouts.matches)
        if not found:
            return {}
        figures = _figures(found, rollouts.matches.recent)
        figures["stage"] = (float(self.curriculum.at), 1.0)
        current = self.exploiters.current if self.exploiters else None
        if current is not None and (lately := current.opposition.lately):
            figures["exploiter"] = (float(sum(lately)), float(len(lately)))
        line = {name: top / bottom for name, (top, bottom) in figures.items() if bottom}
        if self.curriculum.see("play", rollouts.step, line):
            self._enter_stage()
        return {"play": figures}

    @property
    def tables(self) -> Mapping[str, _Table]:
        """Tables by file name."""
        return self.monitor.tables

    def take_seen(self) -> list[Any]:
        """Finished matches and the last rollout of this rank, for the tables."""
        return self.monitor.take()

    def table_rows(self, seen: list[Any]) -> Mapping[str, list[Mapping[str, Any]]]:
        """Rows of the tables."""
        return self.monitor.rows(seen)

    def pages(self, run: Path) -> Mapping[str, bytes]:
        """Curves of the run."""
        return pages(run)

    def state(self) -> Mapping[str, Any]:
        """The stage, and the exploiter of now."""
        state = self.curriculum.state()
        return state | ({"exploiters": self.exploiters.state()} if self.exploiters else {})

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`; the source restores its own."""
        self.curriculum.load(state)
        self._enter_stage(arrange=False)
        if self.exploiters is not None and self.rollouts is not None:
            self.exploiters.load(state["exploiters"], self.rollouts)

    def _enter_stage(self, arrange: bool = True) -> None:
        """Set opponents, reward and settings of the stage."""
        stage, rollouts = self.curriculum.stage, self.rollouts
        if stage is None or rollouts is None:
            return
        given = {name.partition(".")[2]: value for name, value in stage.set.items() if "." in name}
        self.config = rollouts.config = replace(self.usual, **given)
        if "reward" in stage.set and self.reward is not None:
            rollouts.matches.batch.set_reward(self.reward(stage.set["reward"]))
        if stage.opponents is not None and arrange:
            rollouts.arrange(shares_of(stage.opponents))


def _figures(
    finished: Sequence[Mapping[str, Any]], recent: Mapping[str, Sequence[int]]
) -> dict[str, tuple[float, float]]:
    """Figures of a line as numerators and denominators."""
    figures: dict[str, tuple[float, float]] = {}
    for name in sorted({each["opponent"] for each in finished} - {ALONE}):
        results = [each["result"] == 1 for each in finished if each["opponent"] == name]
        word, lately = figure_word(name), wilson(sum(recent[name]), len(recent[name]))
        figures[f"win_rate.{word}"] = (float(sum(results)), float(len(results)))
        figures[f"recent.{word}"] = (lately.value, 1.0)
        figures |= {f"recent.{word}.{end}": (getattr(lately, end), 1.0) for end in ("low", "high")}
    matches = float(len(finished))
    for term in dict.fromkeys(term for each in finished for term in each["terms"]):
        total = sum(each["terms"].get(term, 0.0) for each in finished)
        figures[f"return.{term}"] = (total, matches)
    if ALONE not in recent:  # there is an opponent
        won = float(sum(each["result"] == 1 for each in finished))
        figures |= {"win_rate": (won, matches), "win_rate/even": (0.5, 1.0)}
    return figures | {
        "frames": (float(sum(each["frames"] for each in finished)), matches),
        "return": (sum(each["return"] for each in finished), matches),
        "matches": (matches, 1.0),
    }
