"""Proximal policy optimization (PPO) of recurrent policies: advantages, the clipped loss, updates.

The hyperparameters have their usual names. R: rows (a player in a match), T: decisions of a
rollout. A minibatch is a number of whole rows, each from the memory that it had at the start of the
rollout, so that the update sees what the policy saw: at the first epoch the probability ratio is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.core.game import stable_hash
from shadowbox.core.metrics import MetricInfo
from shadowbox.core.schema import Array
from shadowbox.errors import UsageError
from shadowbox.model.policy import Policy
from shadowbox.model.predictions import _ActionEvaluation
from shadowbox.model.strategy.encoder import auxiliary_weights
from shadowbox.train.protocols import Descend, ScoreSums

LARGEST_RETURN = 10.0  # normalized rewards are clipped here


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Hyperparameters of PPO. Coefficients that end in `_final` are reached at the last step."""

    n_steps: int = 64  # decisions of a rollout
    n_epochs: int = 4
    batch_size: int = 4096  # decisions of a minibatch; whole rows
    gamma: float = 0.995  # discount a decision
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    clip_range_vf: float = 0.0  # 0: the value loss is not clipped, which is better
    ent_coef: float = 0.01
    ent_coef_final: float = 0.002
    ent_floor: float = 0.05  # least entropy, as a share of the largest
    vf_coef: float = 0.5
    strategy_coef: float = 0.1  # of predicting the opponent's next keys, with a strategy encoder
    identity_coef: float = 0.1  # of telling the opponents apart, with a strategy encoder
    target_kl: float = 0.03  # above 1.5 times this, the epochs end; 0: never
    value_burn_in: int = 0  # first rollouts, in which the value alone learns
    teacher_kl: float = 0.03  # weight of the KL divergence to the teacher, if there is one
    teacher_kl_final: float = 0.003
    normalize_returns: bool = True  # divide rewards by the standard deviation of returns
    normalize_advantage: bool = True  # over the whole rollout

    def __post_init__(self) -> None:
        for name in ("n_steps", "n_epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1 (got {getattr(self, name)})")
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must be 0 to 1 (got {getattr(self, name)})")
        for name in ("value_burn_in", "teacher_kl", "teacher_kl_final"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} must be at least 0 (got {getattr(self, name)})")
        if not self.clip_range > 0:
            raise UsageError(f"clip_range must be above 0 (got {self.clip_range})")


@dataclass
class _Rollout:
    """Decisions of R rows: what was seen, what was pressed, and what came of it.

    `columns` [R, T, slots], `pressed` [R, T, V]; the others [R, T], `memory` [R, ...] at the start.
    """

    columns: Mapping[str, Any]
    pressed: Any
    reset: Any
    log_prob: Any
    value: Any
    advantage: Any
    returns: Any
    memory: Mapping[str, Any]
    opponent: Any  # [R] number of the opponent, -1 for the policy itself
    rewards: Array  # not normalized, for the figures
    step: int  # number of the rollout
    teacher: Any = None  # [R, T, W] output of a teacher's head, given the pressed controls

    @property
    def episode(self) -> Array:
        """Row of each example."""
        return np.arange(len(self))

    def __len__(self) -> int:
        return len(self.reset)

    def part(self, rows: Any) -> _Rollout:
        """Some of the rows."""
        return self.map(lambda values: values[rows])

    def map(self, change: Callable[[Any], Any]) -> _Rollout:
        """The rollout with every array of rows changed."""
        names = ["pressed", "reset", "log_prob", "value", "advantage", "returns", "opponent"]
        names += ["teacher"] if self.teacher is not None else []
        return replace(
            self,
            columns={key: change(values) for key, values in self.columns.items()},
            memory={key: change(values) for key, values in self.memory.items()},
            **{name: change(getattr(self, name)) for name in names},
        )


# ---- arithmetic ----------------------------------------------------------------------------------


def advantages(
    rewards: Array, values: Array, following: Array, ended: Array, gamma: float, gae_lambda: float
) -> Array:
    """Generalized advantage estimates [..., T] of rewards and values [..., T].

    `following` [..., T] is the value of the state after each decision: 0 where a match terminated,
    that of its last state where it was truncated. `ended` [..., T] cuts the sum.
    """
    deltas = rewards + gamma * following - values
    found = np.zeros_like(deltas)
    later = np.zeros_like(deltas[..., 0])
    for t in range(deltas.shape[-1] - 1, -1, -1):
        later = deltas[..., t] + gamma * gae_lambda * np.where(ended[..., t], 0.0, later)
        found[..., t] = later
    return found


class _ReturnScale:
    """Running standard deviation of the discounted return, by which rewards are divided.

    The mean is not subtracted: a reward of nothing stays nothing.
    """

    def __init__(self, rows: int, gamma: float) -> None:
        self.gamma, self.running = gamma, np.zeros(rows)
        self.count, self.mean, self.squares = 1e-4, 0.0, 1e-4

    def __call__(self, rewards: Array, ended: Array) -> Array:
        """Rewards [R] of one decision, scaled; `ended` [R] starts the return anew."""
        self.running = self.running * self.gamma + rewards
        batch, mean, variance = len(rewards), self.running.mean(), self.running.var()
        delta, total = mean - self.mean, self.count + batch
        self.squares += variance * batch + delta**2 * self.count * batch / total
        self.mean, self.count = self.mean + delta * batch / total, total
        self.running = np.where(ended, 0.0, self.running)
        scale = max(np.sqrt(self.squares / self.count), 1e-4)
        return np.asarray(np.clip(rewards / scale, -LARGEST_RETURN, LARGEST_RETURN))

    def state(self) -> dict[str, Any]:
        """State as plain data."""
        return {
            "running": torch.from_numpy(self.running),
            "moments": [float(self.count), float(self.mean), float(self.squares)],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.running = state["running"].numpy()
        self.count, self.mean, self.squares = state["moments"]


def clipped_policy_loss(ratio: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """Mean of PPO's pessimistic objective, negated."""
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    return -torch.minimum(ratio * advantage, clipped * advantage).mean()


def value_loss(value: Tensor, old: Tensor, returns: Tensor, clip_range: float) -> Tensor:
    """Half the mean squared error; with a clip range, of the worse of value and clipped value."""
    error = (value - returns).square()
    if clip_range:
        near = old + (value - old).clamp(-clip_range, clip_range)
        error = torch.maximum(error, (near - returns).square())
    return 0.5 * error.mean()


def approximate_kl(ratio: Tensor) -> Tensor:
    """Mean KL divergence from the old policy to the new, estimated without negative samples."""
    return ((ratio - 1) - ratio.log()).mean()


def explained_variance(value: Array, returns: Array) -> float:
    """Share of the variance of the returns that the values explain; at most 1."""
    variance = float(np.var(returns))
    return 1 - float(np.var(returns - value)) / variance if variance else float("nan")


# ---- the learner ---------------------------------------------------------------------------------


class _PPOLearner:
    """Several epochs of minibatches over each rollout."""

    losses: Mapping[str, float]
    metrics: tuple[str, ...] = (
        "entropy",
        "approx_kl",
        "clip_fraction",
        "explained_variance",
        "epochs",
        "reward",
    )
    scores: Mapping[str, MetricInfo] = {}

    def __init__(
        self, policy: Policy, config: PPOConfig, seed: int, steps: int, *, teacher: bool = False
    ) -> None:
        """`steps`: rollouts of the whole run, over which coefficients move.

        With a `teacher`, rollouts hold its output.
        """
        self.policy, self.config, self.seed, self.steps = policy, config, seed, steps
        self.losses = {"policy": 1.0, "value": config.vf_coef, "entropy_bonus": 1.0}
        self.auxiliary = auxiliary_weights(
            policy.strategy, config.strategy_coef, config.identity_coef
        )
        self.losses = {**self.losses, **self.auxiliary}
        if teacher:
            self.losses = {**self.losses, "teacher": 1.0}
            self.metrics = (*self.metrics, "teacher_kl")
        self.largest = sum(float(np.log(max(part.size, 2))) for part in _books(policy))

    def to_device(self, batch: _Rollout, device: torch.device) -> _Rollout:
        """The rollout as tensors."""

        def moved(values: Any) -> Tensor:
            tensor = values if isinstance(values, Tensor) else torch.from_numpy(values)
            return tensor.to(device, non_blocking=True)

        return batch.map(moved)

    def num_targets(self, batch: _Rollout) -> float:
        """Number of decisions."""
        return float(batch.reset.shape[0] * batch.reset.shape[1])

    def update(self, model: nn.Module, batch: _Rollout, descend: Descend) -> dict[str, Tensor]:
        """Take the optimizer's steps of one rollout; means of what was seen, weighted alike."""
        config, found, epochs = self.config, [], 0
        if config.normalize_advantage:
            spread = batch.advantage.std().clamp(min=1e-6)
            batch.advantage = (batch.advantage - batch.advantage.mean()) / spread
        for epoch in range(config.n_epochs):
            epochs += 1
            divergences = []
            for rows in self._minibatches(batch, epoch):
                burns_in = batch.step <= config.value_burn_in
                loss, parts = (self._value_loss if burns_in else self._loss)(
                    batch.part(rows), batch.step
                )
                descend(loss)
                found.append(parts)
                divergences.append(parts["approx_kl"])
            if config.target_kl and float(torch.stack(divergences).mean()) > 1.5 * config.target_kl:
                break
        means = {name: torch.stack([each[name] for each in found]).mean() for name in found[0]}
        explained = explained_variance(batch.value.cpu().numpy(), batch.returns.cpu().numpy())
        return means | {
            "explained_variance": torch.tensor(explained),
            "epochs": torch.tensor(float(epochs)),
            "reward": torch.tensor(float(batch.rewards.mean())),
        }

    def _loss(self, batch: _Rollout, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        now: _ActionEvaluation = self.policy.evaluate_actions(
            batch.columns, batch.pressed, batch.reset, dict(batch.memory)
        )
        difference = now.log_prob - batch.log_prob
        ratio = difference.exp()
        policy = clipped_policy_loss(ratio, batch.advantage, config.clip_range)
        value = value_loss(now.value, batch.value, batch.returns, config.clip_range_vf)
        entropy = now.entropy.sum(-1).mean()
        bonus = -self._coefficient("ent_coef", step) * entropy
        # below the floor, entropy is worth much more than it costs
        bonus = bonus + functional.relu(config.ent_floor * self.largest - entropy)
        loss = policy + config.vf_coef * value + bonus
        with torch.no_grad():
            outside = ((ratio - 1).abs() > config.clip_range).float().mean()
            parts = {"policy": policy, "value": value, "entropy_bonus": bonus, "entropy": entropy}
            parts |= {"approx_kl": approximate_kl(ratio), "clip_fraction": outside}
        if self.policy.strategy is not None and now.latent is not None:
            tasks = self.policy.strategy.losses(
                now.latent, batch.columns, batch.reset, batch.opponent
            )
            for name, cost in tasks.items():
                loss, parts[name] = loss + self.auxiliary[name] * cost, cost
        if batch.teacher is not None:
            teacher = replace(now.output, output=batch.teacher)
            kl = now.output.kl(teacher).sum(-1).mean()
            pull = self._coefficient("teacher_kl", step) * kl
            loss, parts["teacher"], parts["teacher_kl"] = loss + pull, pull, kl
        return loss, {name: each.detach() for name, each in parts.items()}

    def _value_loss(self, batch: _Rollout, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of the value head alone: the features and the policy get no gradient."""
        with torch.no_grad():
            _, parts = self._loss(batch, step)
            h = self.policy.evaluate_actions(
                batch.columns, batch.pressed, batch.reset, dict(batch.memory)
            ).output.h
        assert self.policy.value is not None
        assert h is not None
        values = self.policy.value(h)[..., 0].float()
        value = value_loss(values, batch.value, batch.returns, self.config.clip_range_vf)
        none = {name: torch.zeros_like(value) for name in self.losses}
        return self.config.vf_coef * value, {**parts, **none, "value": value.detach()}

    def _coefficient(self, name: str, step: int) -> float:
        """Coefficient on its way from NAME to NAME_final."""
        share = min(step / max(self.steps, 1), 1.0)
        first, last = getattr(self.config, name), getattr(self.config, f"{name}_final")
        return float(first + share * (last - first))

    def _minibatches(self, batch: _Rollout, epoch: int) -> Iterator[Tensor]:
        """Rows of each minibatch, in an order that follows from the seed, rollout and epoch."""
        rows, steps = batch.reset.shape
        generator = np.random.default_rng(stable_hash(self.seed, batch.step, epoch))
        order = torch.from_numpy(generator.permutation(rows)).to(batch.reset.device)
        count = max(1, round(rows * steps / self.config.batch_size))
        yield from torch.tensor_split(order, min(count, rows))

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """It takes its own steps."""
        raise AssertionError("PPO updates by itself")

    def score(self, model: nn.Module, batch: Any) -> dict[str, ScoreSums]:
        """It has no recordings to be scored on."""
        raise AssertionError("PPO is judged by matches")


def _books(policy: Policy) -> list[Any]:
    return [part for part in policy.head.parts if hasattr(part, "size")]
