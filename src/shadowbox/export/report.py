"""Files of an export, and what their checks found."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.files import write_whole
from shadowbox.core.game import Game
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval, bootstrap_mean
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.export import check
from shadowbox.export.check_world import (
    dreamt_matches,
    encoder_parity,
    recorded_steps,
    world_parity,
)
from shadowbox.export.onnx import OPSET, require_onnx, session, to_int8, to_onnx
from shadowbox.export.source import _Source, find_source
from shadowbox.export.steps import _StepExport, encoder_step, policy_step, world_step
from shadowbox.model import checkpoint
from shadowbox.play import specs
from shadowbox.play.checkpoints import trained_store
from shadowbox.play.dream.world import _Dream
from shadowbox.play.match import play
from shadowbox.play.restored_policy import restore_encoder

ABOUT = "export.json"


def export_onnx(
    what: str,
    out: Path,
    game: Game | None = None,
    *,
    int8: bool = False,
    store: Path | None = None,
    rows: int = 1000,
    opponent: str = "based",
    matches: int = 64,
    world: str = "",
    seed: int = 0,
) -> dict[str, Any]:
    """Write the steps of a checkpoint as ONNX, check them, and return what was found.

    `out`: a file ending in .onnx, or a folder, which also gets `export.json`.
    """
    require_onnx()
    source = find_source(what, game)
    single = out.suffix == ".onnx"
    if single and int8:
        raise UsageError(f"--out {out}: --int8 writes a second file, so name a folder")
    checks = _Checks(source, store, rows, opponent, matches, world, seed)
    exports, more = _steps_of(source)
    files = []
    for step in exports[:1] if single else exports:
        model = to_onnx(step)
        models = {"fp32": model, **({"int8": to_int8(model)} if int8 else {})}
        for precision, each in models.items():
            name = f"{step.name}.onnx" if precision == "fp32" else f"{step.name}.{precision}.onnx"
            path = out if single else out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, each)
            found = _checked(step, each, checks)
            files.append({"path": str(path), "precision": precision, "bytes": len(each), **found})
    facts = {
        "spec": source.spec,
        "game": source.game.name,
        "out": str(out),
        "opset": OPSET,
        **more,
        "opponent": opponent,
        "files": files,
        "steps": {step.name: _signature(step) for step in exports},
    }
    if not single:
        write_whole(out / ABOUT, (json.dumps(facts, indent=1) + "\n").encode())
    return facts


class _Checks(NamedTuple):
    """Settings of the checks of each file."""

    source: _Source
    store: Path | None
    rows: int
    opponent: str
    matches: int
    world: str
    seed: int

    @property
    def seeds(self) -> Array:
        """Seeds of the matches: each is played from both seats, and an interval needs two."""
        return self.seed + np.arange(max(2, self.matches // 2))


def _steps_of(source: _Source) -> tuple[list[_StepExport], dict[str, Any]]:
    """Steps of a checkpoint, the main one first, and what else a caller of them must know."""
    game = source.game
    if source.kind == "world":
        dream = specs.world(source.spec, game, 1)
        assert isinstance(dream, _Dream)
        return [world_step(dream.model)], {}
    if source.kind == "encoder":
        found = checkpoint.load(source.folder)
        encoder = restore_encoder(found, game.schema, encodings=game.encodings)
        return [encoder_step(encoder, game.schema)], {}
    inner = check.policy_in(specs.agent(source.spec, game))
    steps = [policy_step(inner.policy, inner.temperatures, inner.style)]
    if inner.policy.strategy is not None:
        steps.append(encoder_step(inner.policy.strategy, game.schema))
    return steps, {"repeat": inner.policy.config.repeat}


def _checked(step: _StepExport, model: bytes, checks: _Checks) -> dict[str, Any]:
    """Comparison with PyTorch, times, and for a policy matches."""
    source, run, more = checks.source, session(model), {}
    if step.name == "world":
        pair = [checks.opponent] * source.game.schema.players
        _, recorder = recorded_steps(source.spec, source.game, pair, checks.rows, checks.seed)
        same = world_parity(run, recorder, checks.rows)
        if checks.matches:
            more = {"play": _dreamt(checks, run)}
    elif step.name == "encoder":
        same = encoder_parity(step, run, source.game, _recorded(checks))
    else:
        same = check.parity(source.spec, source.game, run, _recorded(checks))
    median, slow = check.times(run, step)
    found: dict[str, Any] = {
        "largest": same.largest,
        "rows": same.rows,
        "equal": same.equal,
        "p50_ms": median,
        "p99_ms": slow,
        **more,
    }
    if step.name == "policy" and checks.matches and _playable(source.game, checks.world):
        found["play"] = _played(checks, run)
    return found


def _played(checks: _Checks, run: Any) -> dict[str, Any]:
    source, seeds = checks.source, checks.seeds
    found = check.closed_loop(source.spec, source.game, run, checks.opponent, checks.world, seeds)
    names = {"wins": found.wins, "pytorch": found.plain, "difference": found.difference}
    return {"matches": 2 * len(seeds), **{key: _interval(each) for key, each in names.items()}}


def _dreamt(checks: _Checks, run: Any) -> dict[str, Any]:
    """Wins of the opponent against another bot in the dream, by the file's and PyTorch's steps.

    A difference of rounding grows from frame to frame, so few whole matches are the same.
    """
    source, seeds = checks.source, checks.seeds
    bot = next((name for name in source.game.bots if name != checks.opponent), checks.opponent)
    pair = (checks.opponent, bot)
    own, plain = dreamt_matches(source.spec, source.game, run, pair, seeds)
    gap = bootstrap_mean((own.results == 1).mean(0) - (plain.results == 1).mean(0))
    wins = {"wins": own.wins, "pytorch": plain.wins, "difference": gap}
    return {
        "matches": 2 * len(seeds),
        "bot": bot,
        "equal": int(((own.results == plain.results) & (own.frames == plain.frames)).sum()),
        **{key: _interval(each) for key, each in wins.items()},
    }


def _interval(found: Interval) -> dict[str, float]:
    return {name: float(value) for name, value in found._asdict().items()}


def _signature(step: _StepExport) -> dict[str, Any]:
    """Names, shapes and types of the inputs of a step, and the names of its results."""
    inputs = [
        {"name": name, "shape": list(each.shape), "type": str(each.dtype).removeprefix("torch.")}
        for name, each in step.inputs.items()
    ]
    return {"inputs": inputs, "outputs": list(step.outputs)}


def _playable(game: Game, world: str) -> bool:
    return game.schema.players == 2 and (bool(world) or game.world is not None)


def _recorded(checks: _Checks) -> Iterator[Mapping[str, Array]]:
    """Recorded columns [T, slots], episode by episode, `rows` in all from all seats."""
    schema = checks.source.game.schema
    left = -(-checks.rows // schema.players)
    for columns in _episodes(checks):
        count = min(left, len(columns[schema.state_keys[0]]) - 1)
        yield {key: values[:count].copy() for key, values in columns.items()}
        left -= count
        if left <= 0:
            return


def _episodes(checks: _Checks) -> Iterator[Mapping[str, Array]]:
    """Episodes of the given store, of a match for each seed, or of the store of the run."""
    source, game, path = checks.source, checks.source.game, checks.store
    if path is None and not _playable(game, checks.world):
        path = trained_store(source.folder)
        if path is None or not path.exists():
            raise UsageError(
                f"'{source.spec}': {game.name} has no simulator to record rows in: name --store"
            )
    if path is not None:
        opened = Store(path, game.schema)
        for number in range(len(opened)):
            yield opened.episode(number).columns
        return
    first = source.spec if source.kind == "policy" else checks.opponent
    pair = [first, checks.opponent]
    made, agents = specs.world(checks.world, game, 1), [specs.agent(each, game) for each in pair]
    for seed in itertools.count(checks.seed):
        for played in play(game, made, agents, pair, np.array([seed])):
            yield played.episode.columns
