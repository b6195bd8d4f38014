"""Environments of Gymnasium and PettingZoo as games.

Their names are specs:

    gym:CartPole-v1                    a registered environment: a game of one player
    gym:my_module:Mine-v0              one that my_module registers
    zoo:mpe2.simple_spread_v3@N=2      `parallel_env(N=2)` of a module: a game of two players
    zoo:my_module:make_game            another function of a module

spaces.py   spaces as a schema
world.py    copies of an environment as a world
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from shadowbox.core.game import Game, Outcome
from shadowbox.core.imports import import_from_here
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import ShadowboxError, UsageError, did_you_mean
from shadowbox.games.environments.spaces import REWARD, TOTAL, _Spaces, spaces_of
from shadowbox.games.environments.world import (
    _EnvironmentWorld,
    _Episodes,
    _ParallelEpisodes,
)

if TYPE_CHECKING:
    import gymnasium

OWN = "environment"  # name of the environment's own reward

Make = Callable[[], Any]  # builds one environment


class _OwnReward:
    """The environment's own reward, times `weight`."""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def before(self, columns: Columns) -> Columns:
        """Nothing: rewards come with events."""
        return {}

    def __call__(
        self, earlier: Columns, after: Columns, events: Array, step: int = 0
    ) -> tuple[Array, dict[str, Array]]:
        """Rewards [N, players], and the same as the one term."""
        rewards = np.zeros(after[REWARD].shape)
        np.add.at(rewards, (events["match"], events["player"]), self.weight * events["value"])
        return rewards, {OWN: rewards}


def environment_game(spec: str) -> Game:
    """The game of `gym:ENV_ID` or `zoo:MODULE[:FACTORY]`, each with `@KEY=VALUE` options."""
    kind, _, rest = spec.partition(":")
    where, *options = rest.split("@")
    given = dict(_option(option, spec) for option in options)
    if kind == "gym":
        make: Make = partial(make_gym, where, **given)
        shown = _described(make, spec, lambda env: spaces_of(env, spec))
        build: Callable[[], _Episodes] = lambda: _Episodes(make())  # noqa: E731
    else:
        make = partial(make_zoo, where, **given)
        shown = _described(make, spec, lambda env: _spaces_of_two(env, spec))
        build = lambda: _ParallelEpisodes(make())  # noqa: E731
    schema = shown.schema
    return Game(
        name=spec,
        title=f"environment of {'Gymnasium' if kind == 'gym' else 'PettingZoo'}",
        schema=schema,
        event_kinds=("reward",),
        world=lambda matches: _EnvironmentWorld(matches, shown, build),
        outcome=_outcome,
        rewards={OWN: _OwnReward},
        reward=_weighted,
        encodings={"default": tuple(k for k in schema.state_keys if not k.startswith("step/"))},
        learns_by=("imitation", "selfplay"),
    )


def make_gym(env_id: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """Make an environment; turns any error of its maker into one line."""
    import gymnasium

    def make() -> gymnasium.Env[Any, Any]:
        module, colon, _ = env_id.partition(":")
        if colon:  # from the current folder as well, where Gymnasium itself does not look
            import_from_here(module)
        return gymnasium.make(env_id, disable_env_checker=True, **options)

    made: gymnasium.Env[Any, Any] = _made(make, f"gym:{env_id}")
    return made


def make_zoo(where: str, **options: Any) -> Any:
    """Make a parallel environment, MODULE or MODULE:FACTORY."""
    spec = f"zoo:{where}"
    module, _, factory = where.partition(":")
    # many of them import pygame, which greets on standard output
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    loaded = _made(lambda: import_from_here(module), spec)
    name = factory or "parallel_env"
    known = [each for each in vars(loaded) if not each.startswith("_")]
    if not hasattr(loaded, name):
        raise UsageError(
            f"{spec}: {module} has no '{name}': {did_you_mean(name, known)}; games in which "
            "players take turns are made parallel by PettingZoo's turn_based_aec_to_parallel"
        )
    return _made(lambda: getattr(loaded, name)(**options), spec)


def _made(build: Callable[[], Any], spec: str) -> Any:
    try:
        return build()
    except ShadowboxError:
        raise
    except Exception as error:  # another package's code may raise anything
        raise UsageError(
            f"{spec} cannot be made: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def _described(make: Make, spec: str, describe: Callable[[Any], _Spaces]) -> _Spaces:
    env = make()
    try:
        return describe(env)
    except ShadowboxError as error:
        raise UsageError(f"{spec}: {error}") from error
    finally:
        env.close()


def _spaces_of_two(env: Any, spec: str) -> _Spaces:
    """The spaces that both players of a parallel environment have."""
    env.reset(seed=0)  # some know their agents only then
    names = list(getattr(env, "possible_agents", ()))
    if len(names) != 2:
        raise UsageError(f"games of 2 players are supported; this one has {len(names)}: {names}")
    for what in ("observation_space", "action_space"):
        one, other = (getattr(env, what)(name) for name in names)
        if one != other:
            raise UsageError(
                f"both players must have the same {what}; {names[0]} has {one}, {names[1]} {other}"
            )
    fps = float(getattr(env, "metadata", {}).get("render_fps") or 1)
    seen, done = env.observation_space(names[0]), env.action_space(names[0])
    return _Spaces(spec, seen, done, fps=fps, players=2)


def _option(text: str, spec: str) -> tuple[str, Any]:
    """KEY=VALUE of a spec; values are JSON (2, true), or text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"{spec}: '{text}' is not an option; options are KEY=VALUE, as in @N=2")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _outcome(columns: Columns, events: Array) -> Outcome:
    """Of two players, the one with the larger sum of rewards wins."""
    totals = columns[TOTAL][-1].tolist() if TOTAL in columns else [0.0]
    best = max(totals)
    winner = totals.index(best) if totals.count(best) == 1 and len(totals) > 1 else None
    return Outcome(winner, "over", {"rewards": totals} if TOTAL in columns else {})


def _weighted(weights: Mapping[str, Any]) -> _OwnReward:
    unknown = sorted(set(weights) - {OWN})
    if unknown:
        raise UsageError(f"environments have no reward '{unknown[0]}': {did_you_mean('', [OWN])}")
    if not isinstance(weights[OWN], int | float):
        raise UsageError(f"the weight of '{OWN}' must be a number (got {weights[OWN]!r})")
    return _OwnReward(float(weights[OWN]))
