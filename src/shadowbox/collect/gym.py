"""Recordings of Gymnasium environments: any registered environment into a store.

`games/environments/spaces.py` says how spaces become a schema. A row holds the observation, the reward of
arriving there, and the action chosen; the last row's action is neutral.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shadowbox.core import system
from shadowbox.core.episode import Episode
from shadowbox.core.game import stable_hash
from shadowbox.core.imports import import_object
from shadowbox.core.schema import Columns
from shadowbox.data.store import Progress
from shadowbox.data.write import Writer
from shadowbox.errors import EpisodeError, UsageError, interrupted
from shadowbox.games.environments import make_gym
from shadowbox.games.environments.spaces import _Spaces, spaces_of
from shadowbox.play.match import LONGEST

if TYPE_CHECKING:
    import gymnasium

Policy = Callable[[Any], Any]  # observation -> action


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
    env = make_gym(env_id)
    frames = done = 0
    try:
        recorder = spaces_of(env, name)
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
    env: gymnasium.Env[Any, Any], recorder: _Spaces, decide: Policy | None, seed: int
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
