"""Files for a tournament, checked beside the policy that they came from.

The file is run as the tournament runs it: a vector of numbers in, ten numbers out.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shadowbox.core.files import write_whole
from shadowbox.core.game import Agent, Game
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.core.stats import Interval, bootstrap_mean
from shadowbox.core.view import from_seat
from shadowbox.errors import UsageError
from shadowbox.export.source import find_source
from shadowbox.export.submission import require_exportable, submission_module, submission_text
from shadowbox.model.policy import Policy
from shadowbox.play import specs
from shadowbox.play.benchmark import benchmark
from shadowbox.play.match import play
from shadowbox.play.policy_agent import PolicyAgent

NAME = "warehouse"  # of the tournament, in `Game.submissions`
OBSERVATION = "raw"  # that the tournament gives
FAST = 2.0  # ms of a decision
EXACT = 1e-4  # largest difference of a logit


def export_warehouse(
    what: str,
    out: Path,
    game: Game | None = None,
    *,
    check: bool = False,
    rows: int = 1000,
    matches: int = 0,
    opponent: str = "based",
    world: str = "brawl@rules=original",
    seed: int = 0,
) -> dict[str, Any]:
    """Write a policy as the file of a tournament; with `check` or `matches`, try it."""
    source = find_source(what, game)
    if source.kind != "policy":
        raise UsageError(f"'{what}' is a {source.kind}: a policy is needed")
    module = submission_module(source.game, NAME)
    agent = specs.agent(source.spec, source.game)
    if not isinstance(agent, PolicyAgent) or agent.limits is not None:
        raise UsageError(f"'{what}': a policy that draws its keys, without a delay, is needed")
    require_exportable(agent.policy, module, source.spec)
    text = submission_text(module, agent.policy, agent.temperatures[0])
    write_whole(out, text.encode())
    facts: dict[str, Any] = {"spec": source.spec, "out": str(out), "bytes": len(text)}
    if check:
        facts["check"] = check_submission(agent.policy, out, source.game, opponent, world, rows)
    if matches:
        seeds = seed + np.arange(max(1, matches // 2))
        facts["play"] = play_submission(agent, out, source.game, opponent, world, seeds)
    return facts


def load_submission(path: Path) -> Any:
    """The class in a written file, which is run."""
    found = importlib.util.spec_from_file_location(f"submission_{abs(hash(path))}", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.SubmittedAgent


# ---- equal to PyTorch, and fast ------------------------------------------------------------------


def check_submission(
    policy: Policy, path: Path, game: Game, opponent: str, world: str, rows: int
) -> dict[str, Any]:
    """Feed a file recorded and random observations, and compare each logit with PyTorch."""
    recorded = _recorded(game, opponent, world, rows)
    found = {"recorded": recorded, "random": _random_like(recorded)}
    facts: dict[str, Any] = {"rows": len(recorded)}
    for name, seen in found.items():
        facts[name] = _parity(policy, path, game, seen)
    median, slow = _times(path, recorded)
    return {**facts, "p50_ms": median, "p99_ms": slow, "fast": slow <= FAST}


def _recorded(game: Game, opponent: str, world: str, rows: int) -> Array:
    """Observations [rows, numbers] of the first seat in matches between bots."""
    names = (opponent, "random")
    agents = [specs.agent(name, game) for name in names]
    found: list[Array] = []
    for match in play(game, specs.world(world, game, 1), agents, names, np.arange(rows)):
        columns = match.episode.columns
        found.append(game.observations[OBSERVATION].observe(from_seat(game.schema, columns, 0)))
        if sum(map(len, found)) >= rows:
            break
    recorded: Array = np.concatenate(found)[:rows]
    return recorded


def _random_like(seen: Array) -> Array:
    """Random observations within the limits of some; numbers that are whole stay so."""
    draws = np.random.default_rng(0).random(seen.shape)
    low, high = seen.min(0), seen.max(0)
    drawn = low + draws * (high - low)
    whole = (seen == np.rint(seen)).all(0)
    return np.asarray(np.where(whole, np.rint(drawn), drawn), np.float32)


def _parity(policy: Policy, path: Path, game: Game, seen: Array) -> dict[str, Any]:
    """Largest difference of a logit from PyTorch's, over a sequence of observations."""
    agent, keys, begins = load_submission(path)(), [], []
    logits: list[Array] = []
    agent.logits = _kept(agent.logits, logits)
    for numbers in seen:
        keys.append(np.copy(agent.keys))
        pressed = agent.predict(numbers)
        if pressed.shape != (len(game.schema.control_keys),) or pressed.dtype.kind != "f":
            raise UsageError(f"{path}: predict gave {pressed.dtype} {pressed.shape}")
        begins.append(agent.frame == 1)
        if begins[-1]:
            keys[-1] = np.zeros_like(pressed)
    frame = _frames(np.array(begins))
    decides = frame % policy.config.repeat == 0
    view = _view(game.schema, submission_module(game, NAME).COLUMNS, seen, np.array(keys))
    chosen = {
        key: torch.from_numpy(values[decides][None].astype(_torch_type(values)))
        for key, values in view.items()
    }
    with torch.inference_mode():
        values = policy.values.of(chosen)
        output, _ = policy.seq(chosen, values, torch.from_numpy(np.array(begins)[decides][None]))
    gap = np.abs(np.array(logits) - output.output[0].numpy())
    return {
        "decisions": int(decides.sum()),
        "largest": float(gap.max()),
        "equal": bool(gap.max() <= EXACT),
    }


def _kept(function: Any, results: list[Array]) -> Any:
    def call(seen: Array) -> Array:
        results.append(function(seen))
        return results[-1]

    return call


def _frames(begins: Array) -> Array:
    """Frames since each match began [T]."""
    at = np.arange(len(begins))
    return np.asarray(at - np.maximum.accumulate(np.where(begins, at, 0)))


def _view(schema: Schema, columns: Mapping[str, Any], seen: Array, keys: Array) -> dict[str, Array]:
    """Columns [T, slots] that observations tell, with the own keys of the frame before."""
    found: dict[str, Array] = {}
    for key, read in columns.items():
        column = schema.columns[key]
        found[key] = np.stack([read(numbers) for numbers in seen]).astype(column.dtype)
    for at, key in enumerate(schema.control_keys):
        own = keys[:, at : at + 1] > 0.5
        found[key] = np.concatenate([own, np.zeros_like(own)], 1)
    return found


def _torch_type(values: Array) -> Any:
    return np.int64 if values.dtype.kind == "u" else values.dtype


def _times(path: Path, seen: Array) -> tuple[float, float]:
    """Median and 99th percentile of the CPU time of a decision, in ms."""
    agent = load_submission(path)()
    taken: list[float] = []
    for numbers in seen:
        began = time.thread_time()
        agent.predict(numbers)
        taken.append(time.thread_time() - began)
    decided = np.array(taken[agent.repeat :: agent.repeat])
    median, slow = np.percentile(decided, [50, 99]) * 1000
    return float(median), float(slow)


# ---- as strong in play ---------------------------------------------------------------------------


class _FileAgent:
    """A written file in a seat, one instance a match, fed as the tournament feeds it."""

    def __init__(self, path: Path, game: Game) -> None:
        self._make, self._observation = load_submission(path), game.observations[OBSERVATION]
        self._keys = game.schema.control_keys

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        fresh = [self._make(seed=int(seed)) for seed in np.asarray(seeds)]
        if state is None or where is None:
            return fresh
        return [
            new if begins else old for new, old, begins in zip(fresh, state, where, strict=True)
        ]

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        seen = self._observation.observe(view)
        pressed = np.stack([agent.predict(row) for agent, row in zip(state, seen, strict=True)])
        return {key: pressed[:, at : at + 1] > 0.5 for at, key in enumerate(self._keys)}, state


def submission_agent(path: Path, game: Game) -> Agent:
    """A written file as an agent of matches."""
    return _FileAgent(path, game)


def play_submission(
    policy: Agent, path: Path, game: Game, opponent: str, world: str, seeds: Array
) -> dict[str, Any]:
    """Play every seed from both seats against a bot, with the file and with its policy."""
    worlds = specs.world_factory(world, game)
    other = specs.agent(opponent, game)
    own = benchmark(game, worlds, submission_agent(path, game), other, seeds)
    plain = benchmark(game, worlds, policy, other, seeds)
    gaps = ((own.results == 1).mean(0) - (plain.results == 1).mean(0)).tolist()
    found = {"wins": own.wins, "policy": plain.wins, "difference": bootstrap_mean(np.asarray(gaps))}
    return {
        "matches": 2 * len(seeds),
        "opponent": opponent,
        "world": world,
        **{name: _interval(each) for name, each in found.items()},
    }


def _interval(found: Interval) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}
