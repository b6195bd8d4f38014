"""Spaces of Gymnasium as a schema, and their values as columns.

A leaf of the observation is a state group: numbers of one range are its slots, numbers of different
ranges its fields. The action is the one control group, a field a number. A row holds the
observation, the reward of arriving there, and the action chosen. Floats become reals of single
precision. Of two players, each reads the own observations and actions alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import islice
from operator import getitem
from typing import Any

import numpy as np

from shadowbox.core.fields import LARGEST, Choice, Field, Flag, Group, Real
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.errors import EpisodeError, UsageError, install_hint

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as error:
    raise UsageError(f"environments need Gymnasium: {install_hint('envs')}") from error

# whole numbers in one Box; more are a film, and columns are not made for films
MOST_CHOICES = 4096
MOST_FIELDS = 64  # numbers of different ranges in one Box; more of them share the widest range
WIDEST_CHOICE = 1 << 16
REWARD, TOTAL = "step/reward", "step/total"


@dataclass(frozen=True)
class _Leaf:
    """A leaf of a space: its path, its kind, and the range of each of its numbers."""

    path: str  # as a part of names; empty for the space itself
    keys: tuple[Any, ...]  # the way to them in a value of the space
    space: spaces.Space[Any]
    kind: str
    low: Array  # [numbers]
    high: Array

    @cached_property
    def alike(self) -> bool:
        """True if all numbers have the same range and can share a field."""
        return len(self.low) > MOST_FIELDS or bool(
            (self.low == self.low[0]).all() and (self.high == self.high[0]).all()
        )

    def shared_field(self, name: str) -> Field:
        """One field for all, as wide as the widest."""
        return self._field(name, self.low.min(), self.high.max())

    def fields(self, name: str) -> tuple[Field, ...]:
        """A field for each number."""
        if len(self.low) == 1:
            return (self.shared_field(name),)
        return tuple(
            self._field(f"{name}_{i}", low, high)
            for i, (low, high) in enumerate(zip(self.low, self.high, strict=True))
        )

    def stored(self, value: Any, *, shared: bool) -> Array:
        """The leaf's numbers in a value of the space, in storage types: a copy [numbers]."""
        found = np.asarray(reduce(getitem, self.keys, value))
        return np.asarray(self.stored_rows(found[None], shared=shared)[0])

    def stored_rows(self, values: Array, *, shared: bool) -> Array:
        """The same for values of the leaf alone [rows, ...]: a copy [rows, numbers]."""
        flat = values.reshape(len(values), -1)
        if self.kind == "real":
            return flat.astype(np.float32)
        if self.kind == "flag":
            return flat.astype(bool)
        return np.asarray(flat.astype(np.int64) - (self.low.min() if shared else self.low))

    def restored_rows(self, numbers: Array, *, shared: bool) -> Array:
        """Values of the leaf [rows, ...] from `stored_rows`, in the type of its space."""
        if self.kind == "choice":
            numbers = numbers.astype(np.int64) + (self.low.min() if shared else self.low)
        return numbers.reshape(len(numbers), *(self.space.shape or ())).astype(self.space.dtype)

    def restored(self, numbers: Array) -> Any:
        """The value of the leaf with these numbers, as `stored` gives them unshared."""
        if self.kind == "choice":
            numbers = numbers.astype(np.int64) + self.low
        elif self.kind == "real":
            numbers = np.clip(numbers, self.low, self.high)
        if isinstance(self.space, spaces.Discrete):
            return int(numbers[0])
        return numbers.reshape(self.space.shape).astype(self.space.dtype)

    def _field(self, name: str, low: Any, high: Any) -> Field:
        if self.kind == "flag":
            return Flag(name)
        if self.kind == "choice":
            return Choice(name, int(high) - int(low) + 1)
        # Zero is allowed, because it is the neutral action of the last row; a range of one value is
        # none.
        ends = [
            float(end) if abs(end) < LARGEST["f4"] else None
            for end in (min(low, 0.0), max(high, 0.0))
        ]
        return (
            Real(name, low=ends[0], high=ends[1])
            if ends[0] != ends[1] or ends[0] is None
            else Real(name)
        )


class _Spaces:
    """The schema of an environment, and its values as columns of one player."""

    def __init__(
        self, name: str, observation: spaces.Space[Any], action: spaces.Space[Any], *,
        fps: float, players: int = 1,
    ) -> None:  # fmt: skip
        self.name, self.observation_space, self.action_space = name, observation, action
        self.seen = list(_leaves(observation, "observation"))
        self.done = list(_leaves(action, "action"))
        self.groups = [self._group(leaf) for leaf in self.seen]
        step = [Real("reward", predict="value", doc="of the action that led here")]
        if players > 1:
            step.append(Real("total", predict="value", doc="sum of the rewards so far"))
        fields = tuple(field for leaf in self.done for field in leaf.fields(leaf.path or "value"))
        each: dict[str, Any] = {"per": "player", "private": True} if players > 1 else {}
        self.schema = Schema(
            name,
            fps=fps,
            state=(
                *(Group(g.name, g.fields, g.slots * players, **each) for g in self.groups),
                Group("step", tuple(step), players, **each),
            ),
            controls=Group("action", fields, players, per="player", private=players > 1),
            players=players,
        )

    def state(self, observation: Any, reward: float, where: str) -> Columns:
        """State columns [slots] of an observation and its reward."""
        if observation not in self.observation_space:
            raise EpisodeError(
                f"{self.name}, {where}: the observation is not in its space "
                f"({self.observation_space})"
            )
        out: Columns = {REWARD: np.array([reward], np.float32)}
        for leaf, group in zip(self.seen, self.groups, strict=True):
            values = leaf.stored(observation, shared=leaf.alike)
            parts = [values] if leaf.alike else np.split(values, len(values))
            out |= {
                f"{group.name}/{field.name}": part
                for field, part in zip(group.fields, parts, strict=True)
            }
        return out

    def controls(self, action: Any, where: str) -> Columns:
        """Control columns [1] of an action."""
        if action not in self.action_space:
            raise EpisodeError(
                f"{self.name}, {where}: {action!r} was played, which is not in {self.action_space}"
            )
        values = [
            part
            for leaf in self.done
            for part in np.split(leaf.stored(action, shared=False), len(leaf.low))
        ]
        return dict(zip(self.schema.control_keys, values, strict=True))

    def action(self, values: Array) -> Any:
        """The action of control values [K], in the order of the schema; reals are clipped."""
        leaves, numbers = iter(self.done), iter(values)

        def build(space: spaces.Space[Any]) -> Any:
            if isinstance(space, spaces.Dict):
                return {key: build(inner) for key, inner in space.spaces.items()}
            if isinstance(space, spaces.Tuple):
                return tuple(build(inner) for inner in space.spaces)
            leaf = next(leaves)
            return leaf.restored(np.fromiter(islice(numbers, len(leaf.low)), np.float64))

        return build(self.action_space)

    def _group(self, leaf: _Leaf) -> Group:
        name = f"obs_{leaf.path}" if leaf.path else "obs"
        if leaf.alike:
            return Group(name, (leaf.shared_field("value"),), slots=len(leaf.low))
        return Group(name, leaf.fields("value"))


def spaces_of(env: gymnasium.Env[Any, Any], name: str) -> _Spaces:
    """The spaces of a Gymnasium environment."""
    # an environment that does not say counts steps as seconds
    fps = float(env.metadata.get("render_fps") or 1)
    return _Spaces(name, env.observation_space, env.action_space, fps=fps)


def _leaves(
    space: spaces.Space[Any], what: str, path: str = "", keys: tuple[Any, ...] = ()
) -> Iterator[_Leaf]:
    """The leaves of a space, in order."""
    inside: list[tuple[Any, spaces.Space[Any]]] = []
    if isinstance(space, spaces.Dict):
        inside = list(space.spaces.items())
    elif isinstance(space, spaces.Tuple):
        inside = list(enumerate(space.spaces))
    else:
        yield _Leaf(path, keys, space, *_numbers(space, f"{what} {path}".strip()))
    for key, inner in inside:
        name = re.sub(r"[^a-z0-9_]", "_", str(key).lower())
        name = name if name[:1].isalpha() else f"part_{name}"
        yield from _leaves(inner, what, f"{path}_{name}" if path else name, (*keys, key))


def _numbers(space: spaces.Space[Any], where: str) -> tuple[str, Array, Array]:
    """Kind and ranges of a leaf's numbers."""
    if isinstance(space, spaces.MultiBinary):
        size = int(np.prod(space.shape))
        return "flag", np.zeros(size), np.ones(size)
    if isinstance(space, spaces.Discrete):
        return "choice", *_whole(
            np.array([space.start]), np.array([space.start + space.n - 1]), where
        )
    if isinstance(space, spaces.MultiDiscrete):
        low = np.asarray(space.start).reshape(-1)
        return "choice", *_whole(low, low + space.nvec.reshape(-1) - 1, where)
    if isinstance(space, spaces.Box) and np.prod(space.shape) > 0:
        low, high = space.low.reshape(-1), space.high.reshape(-1)
        if space.dtype.kind == "f":
            return "real", low, high
        if space.dtype.kind == "b":
            return "flag", low, high
        if len(low) > MOST_CHOICES:
            raise UsageError(
                f"{where}: {len(low):,} whole numbers ({space}), "
                f"at most {MOST_CHOICES:,} can be recorded or learned from"
            )
        return "choice", *_whole(low, high, where)
    known = "Box, Discrete, MultiDiscrete and MultiBinary, and Dict and Tuple of them"
    raise UsageError(
        f"{where}: {space} cannot be recorded or learned from; {known} can be recorded"
    )


def _whole(low: Array, high: Array, where: str) -> tuple[Array, Array]:
    ends = int(low.min()), int(high.max())
    if ends[1] - ends[0] >= WIDEST_CHOICE:
        raise UsageError(
            f"{where}: integers from {ends[0]} to {ends[1]}; "
            f"at most {WIDEST_CHOICE:,} values can be recorded or learned from"
        )
    return low.astype(np.int64), high.astype(np.int64)
