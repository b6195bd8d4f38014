"""Recordings of Gymnasium environments: any registered environment into a store, its spaces as a schema.

A leaf of the observation is a state group: numbers of one range are its slots, numbers of different
ranges its fields. The action is the one control group, a field a number. A row holds the
observation, the reward of arriving there, and the action chosen; the last row's action is neutral.
Floats become reals of single precision.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core import system
from shadowbox.core.episode import Episode
from shadowbox.core.fields import LARGEST, Choice, Field, Flag, Group, Real
from shadowbox.core.game import stable_hash
from shadowbox.core.imports import import_object
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.data.store import Progress
from shadowbox.data.write import Writer
from shadowbox.errors import EpisodeError, ShadowboxError, UsageError, install_hint, interrupted
from shadowbox.play.match import LONGEST

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as error:
    raise UsageError(f"recording gym:ENV_ID needs Gymnasium: {install_hint('envs')}") from error

# whole numbers in one Box; more are a film, and a store of columns is not made for films
MOST_CHOICES = 4096
MOST_FIELDS = 64  # numbers of different ranges in one Box; more of them share the widest range
WIDEST_CHOICE = 1 << 16
REWARD = "step/reward"

Policy = Callable[[Any], Any]  # observation -> action


@dataclass(frozen=True)
class _Leaf:
    """A leaf of a space: its path, its kind, and the range of each of its numbers."""

    path: str  # as a part of names; empty for the space itself
    keys: tuple[Any, ...]  # the way to them in a value of the space
    space: spaces.Space[Any]
    kind: str
    low: Array  # [numbers]
    high: Array

    @property
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
        flat = np.asarray(reduce(getitem, self.keys, value)).reshape(-1)
        if self.kind == "real":
            return flat.astype(np.float32)
        if self.kind == "flag":
            return flat.astype(bool)
        return np.asarray(flat.astype(np.int64) - (self.low.min() if shared else self.low))

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


class _Recorder:
    """The schema of an environment, and its values as columns."""

    def __init__(self, env: gymnasium.Env[Any, Any], name: str) -> None:
        self.name = name
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.seen = list(_leaves(env.observation_space, "observation"))
        self.done = list(_leaves(env.action_space, "action"))
        groups = [self._group(leaf) for leaf in self.seen]
        fields = tuple(field for leaf in self.done for field in leaf.fields(leaf.path or "value"))
        self.schema = Schema(
            name,
            # an environment that does not say counts steps as seconds
            fps=float(env.metadata.get("render_fps") or 1),
            state=(
                *groups,
                Group(
                    "step", (Real("reward", predict="value", doc="of the action that led here"),)
                ),
            ),
            controls=Group("action", fields, per="player"),
        )

    def state(self, observation: Any, reward: float, where: str) -> Columns:
        """State columns [slots] of an observation and its reward."""
        if observation not in self.observation_space:
            raise EpisodeError(
                f"{self.name}, {where}: the observation is not in its space "
                f"({self.observation_space})"
            )
        out: Columns = {REWARD: np.array([reward], np.float32)}
        for leaf, group in zip(self.seen, self.schema.state, strict=False):
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

    def _group(self, leaf: _Leaf) -> Group:
        name = f"obs_{leaf.path}" if leaf.path else "obs"
        if leaf.alike:
            return Group(name, (leaf.shared_field("value"),), slots=len(leaf.low))
        return Group(name, leaf.fields("value"))


def record_gym(
    env_id: str,
    out: Path,
    *,
    episodes: int,
    seed: int = 0,
    policy: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Append episodes of a registered environment to the store `out`; returns a summary.

    `policy` names a function of an observation as "module:function"; by default actions are random.
    """
    name = f"gym:{env_id}"
    decide = None if policy is None else _policy(policy)
    env = _make(env_id)
    frames = done = 0
    try:
        recorder = _Recorder(env, name)
        made = {"record": {"game": name, "p0": policy, "matches": episodes, "seed": seed}}
        with Writer(out, recorder.schema, made=made) as writer, system.saves_when_stopped():
            try:
                for number in range(episodes):
                    # 31 bits: older generators of environments take no larger seed
                    drawn = stable_hash(seed, name, policy or "", number) >> 33
                    episode = _play(env, recorder, decide, drawn)
                    meta = {"players": [policy or "random"], **episode.meta}
                    with system.shielded():
                        writer.add(Episode(episode.columns, meta))
                    frames, done = frames + episode.frames, number + 1
                    if progress:
                        progress(done, episodes)
            except KeyboardInterrupt:
                with system.shielded():
                    writer.commit()
                raise interrupted(
                    f"stopped after {done:,} of {episodes:,} episodes; {out} keeps them: "
                    f"record the others with --seed {seed + 1}"
                ) from None
    finally:
        env.close()
    return {"store": str(out), "game": name, "episodes": episodes, "frames": frames, "seed": seed}


def _play(
    env: gymnasium.Env[Any, Any], recorder: _Recorder, decide: Policy | None, seed: int
) -> Episode:
    """Play one episode from `seed` to its end."""
    observation, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    rows: list[Columns] = []
    reward, total, over, cut = 0.0, 0.0, False, False
    neutral = {
        key: values[0]
        for key, values in recorder.schema.neutral(1).items()
        if key in recorder.schema.control_keys
    }
    while not (over or cut):
        where = f"seed {seed}, frame {len(rows)}"
        state = recorder.state(observation, reward, where)
        action = env.action_space.sample() if decide is None else decide(observation)
        rows.append(state | recorder.controls(action, where))
        observation, earned, over, cut, _ = env.step(action)
        reward = float(earned)
        total += reward
        if len(rows) > LONGEST:
            raise EpisodeError(
                f"{recorder.name}: not over after {LONGEST:,} frames; register it with max_episode_steps"
            )
    rows.append(recorder.state(observation, reward, f"seed {seed}, frame {len(rows)}") | neutral)
    columns = {key: np.stack([row[key] for row in rows]) for key in recorder.schema.columns}
    result = {
        "reason": "terminated" if over else "truncated",
        "terminated": bool(over),
        "truncated": bool(cut),
        "return": total,
    }
    return Episode(columns, {"seed": seed, "world": recorder.name, "result": result})


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
                f"{where}: {len(low):,} whole numbers ({space}), at most {MOST_CHOICES:,} can be recorded"
            )
        return "choice", *_whole(low, high, where)
    known = "Box, Discrete, MultiDiscrete and MultiBinary, and Dict and Tuple of them"
    raise UsageError(f"{where}: {space} cannot be recorded; {known} can")


def _whole(low: Array, high: Array, where: str) -> tuple[Array, Array]:
    ends = int(low.min()), int(high.max())
    if ends[1] - ends[0] >= WIDEST_CHOICE:
        raise UsageError(
            f"{where}: integers from {ends[0]} to {ends[1]}; "
            f"at most {WIDEST_CHOICE:,} values can be recorded"
        )
    return low.astype(np.int64), high.astype(np.int64)


def _make(env_id: str) -> gymnasium.Env[Any, Any]:
    """Make the environment; turns any error of its maker into one line."""
    try:
        return gymnasium.make(env_id, disable_env_checker=True)
    except ShadowboxError:
        raise
    except Exception as error:
        raise UsageError(
            f"gym:{env_id} cannot be made: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def _policy(name: str) -> Policy:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UsageError(
            f"policy '{name}': a function of an observation is needed, as module:function"
        )
    try:
        found = import_object(name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"policy '{name}' cannot be imported: {error}") from error
    if not callable(found):
        raise UsageError(
            f"policy '{name}' is a {type(found).__name__}, a function of an observation is needed"
        )
    decide: Policy = found
    return decide
