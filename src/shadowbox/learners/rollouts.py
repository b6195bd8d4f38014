"""Rollouts: what a policy did in its matches becomes batches of a learner.

N matches, R rows (players that are learned from), T decisions of a rollout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.schema import Array, Columns
from shadowbox.learners.ppo import PPOConfig, _ReturnScale, _Rollout, advantages
from shadowbox.learners.training_matches import _TrainingMatches
from shadowbox.model.policy import Policy
from shadowbox.model.predictions import _Decision
from shadowbox.model.trunks.base import Memory

ENDLESS = 1 << 60


class _Rollouts:
    """Source of rollouts without end: an epoch is the whole run."""

    def __init__(
        self,
        matches: _TrainingMatches,
        policy: Policy,
        config: PPOConfig,
        teacher: Policy | None = None,
    ) -> None:
        self.matches, self.policy, self.config = matches, policy, config
        self.teacher = teacher
        self.epoch = self.step = 0
        self.memory: Memory | None = None
        self.teacher_memory: Memory | None = None
        self.scale = _ReturnScale(matches.rows, config.gamma)

    @property
    def left(self) -> int:
        """Rollouts to the end of the epoch: more than any run has."""
        return ENDLESS

    def batches_in(self, epoch: int) -> int:
        """Without end."""
        return ENDLESS

    def __iter__(self) -> Iterator[_Rollout]:
        while True:
            self.step += 1
            yield self.collect()

    def arrange(self, shares: Mapping[str, float]) -> None:
        """Meet other opponents: matches that are not over are broken off, and all begin anew."""
        self.matches.arrange(shares)
        self._start_over()

    @torch.no_grad()
    def collect(self) -> _Rollout:
        """Play `n_steps` decisions of every match."""
        device = next(self.policy.parameters()).device
        matches, training = self.matches, self.policy.training
        self.policy.eval()
        matches.snapshot(max(self.step - 1, 0))
        if self.memory is None:
            self.memory = dict(self.policy.initial(matches.rows, device))
            matches.begin(np.ones(matches.matches, bool))
        record = _Record(matches.rows, self.config.n_steps, self.memory)
        for t in range(self.config.n_steps):
            seen, reset = matches.seen(), (matches.decided == 0)[matches.match]
            found = self._decide(seen, reset, device)
            self.memory = found.memory
            record.add(t, seen, reset, found)
            rewards, over, cut = matches.play(matches.controls(found.values, device))
            ended = over[matches.match]
            scaled = self.scale(rewards, ended) if self.config.normalize_returns else rewards
            record.close(t, rewards, scaled, ended)
            last = t == self.config.n_steps - 1
            if cut.any() or last:
                record.bootstrap(t, cut[matches.match] | (last & ~ended), self._value_now(device))
            if over.any():
                matches.begin(over)
        self.policy.train(training)
        rollout = record.rollout(self.config, self.step, matches.met())
        if self.teacher is not None:
            rollout.teacher = self._unroll(self.teacher.to(device), rollout, device)
        return rollout

    def _unroll(self, teacher: Policy, rollout: _Rollout, device: torch.device) -> Tensor:
        """Output of the teacher's head [R, T, W] on what was seen and pressed; its memory goes on."""
        output, self.teacher_memory = teacher.seq(
            self.matches.tensors(dict(rollout.columns), device),
            rollout.pressed,
            torch.from_numpy(rollout.reset).to(device),
            self.teacher_memory,
        )
        return output.output

    def state(self) -> dict[str, Any]:
        """Everything that the next rollout depends on, as plain data."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "memory": _moved(self.memory, torch.device("cpu")),
            "teacher": _moved(self.teacher_memory, torch.device("cpu")),
            "scale": self.scale.state(),
            "matches": self.matches.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.epoch, self.step = int(state["epoch"]), int(state["step"])
        self.matches.load(state["matches"])
        self._start_over()
        self.scale.load(state["scale"])
        device = next(self.policy.parameters()).device
        self.memory = _moved(state["memory"], device)
        self.teacher_memory = _moved(state["teacher"], device)

    def _start_over(self) -> None:
        self.memory = self.teacher_memory = None
        self.scale = _ReturnScale(self.matches.rows, self.config.gamma)

    def _decide(self, seen: Columns, reset: Array, device: torch.device) -> _Decision:
        assert self.memory is not None
        return self.policy.decide(
            self.matches.tensors(seen, device),
            self.memory,
            self.matches.draws().to(device),
            reset=torch.from_numpy(reset).to(device),
        )

    def _value_now(self, device: torch.device) -> Array:
        """Value of the state that each row is in, without moving on: [R]."""
        fresh = np.zeros(self.matches.rows, bool)
        return _values(self._decide(self.matches.seen(), fresh, device))


class _Record:
    """Arrays of a rollout while it is played."""

    def __init__(self, rows: int, steps: int, memory: Memory) -> None:
        self.memory = {key: values.clone() for key, values in memory.items()}
        self.columns: Columns = {}
        self.pressed: list[Tensor] = []
        self.reset, self.ended = np.zeros((rows, steps), bool), np.zeros((rows, steps), bool)
        names = ("log_prob", "value", "rewards", "scaled", "following")
        self.figures = {name: np.zeros((rows, steps), np.float32) for name in names}

    def add(self, t: int, seen: Columns, reset: Array, found: _Decision) -> None:
        """A decision: its value is what follows the one before, where the match went on."""
        for key, values in seen.items():
            if t == 0:
                shape = (*self.reset.shape, *values.shape[1:])
                self.columns[key] = np.zeros(shape, values.dtype)
            self.columns[key][:, t] = values
        self.reset[:, t] = reset
        self.pressed.append(found.values)
        self.figures["log_prob"][:, t] = found.log_prob.sum(-1).cpu().numpy()
        self.figures["value"][:, t] = value = _values(found)
        if t:
            on = ~self.ended[:, t - 1]
            self.figures["following"][on, t - 1] = value[on]

    def close(self, t: int, rewards: Array, scaled: Array, ended: Array) -> None:
        """What came of the decision."""
        self.figures["rewards"][:, t], self.figures["scaled"][:, t] = rewards, scaled
        self.ended[:, t] = ended

    def bootstrap(self, t: int, where: Array, value: Array) -> None:
        """Rows that were cut off here go on with the value of their last state."""
        self.figures["following"][where, t] = value[where]

    def rollout(self, config: PPOConfig, step: int, opponent: Array) -> _Rollout:
        """The finished rollout, with its advantages; `opponent` [R] numbers the opponents."""
        own = self.figures
        advantage = advantages(
            own["scaled"],
            own["value"],
            own["following"],
            self.ended,
            config.gamma,
            config.gae_lambda,
        )
        return _Rollout(
            self.columns,
            torch.stack(self.pressed, 1),
            self.reset,
            own["log_prob"],
            own["value"],
            advantage,
            advantage + own["value"],
            self.memory,
            opponent,
            own["rewards"],
            step,
        )


def _moved(memory: Memory | None, device: torch.device) -> Memory | None:
    return None if memory is None else {key: values.to(device) for key, values in memory.items()}


def _values(found: _Decision) -> Array:
    assert found.value is not None
    return np.asarray(found.value.cpu().numpy())
