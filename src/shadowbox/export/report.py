"""Files of an export, and what their checks found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.files import write_whole
from shadowbox.core.game import Game
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.export import check
from shadowbox.export.onnx import OPSET, require_onnx, session, to_int8, to_onnx
from shadowbox.export.source import _Source, find_source
from shadowbox.export.steps import _StepExport, policy_step
from shadowbox.play import specs
from shadowbox.play.checkpoints import trained_store
from shadowbox.play.match import play

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
    if source.kind != "policy":
        raise UsageError(f"'{what}' is a {source.kind}: policies alone can be exported so far")
    single = out.suffix == ".onnx"
    if single and int8:
        raise UsageError(f"--out {out}: --int8 writes a second file, so name a folder")
    inner = check.policy_in(specs.agent(source.spec, source.game))
    step = policy_step(inner.policy, inner.temperatures, inner.style)
    model = to_onnx(step)
    models = {"fp32": model, **({"int8": to_int8(model)} if int8 else {})}
    files = []
    for precision, each in models.items():
        name = f"{step.name}.onnx" if precision == "fp32" else f"{step.name}.{precision}.onnx"
        path = out if single else out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, each)
        recorded = _recorded(source, store, rows, opponent, world, seed)
        found = _checked(step, each, source, recorded)
        if matches and _playable(source.game, world):
            seeds = seed + np.arange(max(1, matches // 2))
            found["play"] = _played(source, each, opponent, world, seeds)
        files.append({"path": str(path), "precision": precision, "bytes": len(each), **found})
    facts = {
        "spec": source.spec,
        "game": source.game.name,
        "out": str(out),
        "opset": OPSET,
        "repeat": inner.policy.config.repeat,
        "opponent": opponent,
        "files": files,
        "steps": {step.name: _signature(step)},
    }
    if not single:
        write_whole(out / ABOUT, (json.dumps(facts, indent=1) + "\n").encode())
    return facts


def _checked(
    step: _StepExport, model: bytes, source: _Source, recorded: Iterator[Mapping[str, Array]]
) -> dict[str, Any]:
    run = session(model)
    same = check.parity(source.spec, source.game, run, recorded)
    median, slow = check.times(run, step)
    return {
        "largest": same.largest,
        "rows": same.rows,
        "equal": same.equal,
        "p50_ms": median,
        "p99_ms": slow,
    }


def _played(
    source: _Source, model: bytes, opponent: str, world: str, seeds: Array
) -> dict[str, Any]:
    found = check.closed_loop(source.spec, source.game, session(model), opponent, world, seeds)
    names = {"wins": found.wins, "pytorch": found.plain, "difference": found.difference}
    return {"matches": 2 * len(seeds), **{key: _interval(each) for key, each in names.items()}}


def _interval(found: Interval) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}


def _signature(step: _StepExport) -> dict[str, Any]:
    """Names, shapes and types of the inputs of a step, and the names of its results."""
    inputs = [
        {"name": name, "shape": list(each.shape), "type": str(each.dtype).removeprefix("torch.")}
        for name, each in step.inputs.items()
    ]
    return {"inputs": inputs, "outputs": list(step.outputs)}


def _playable(game: Game, world: str) -> bool:
    return game.schema.players == 2 and (bool(world) or game.world is not None)


def _recorded(
    source: _Source, store: Path | None, rows: int, opponent: str, world: str, seed: int
) -> Iterator[Mapping[str, Array]]:
    """Recorded columns [T, slots], episode by episode, `rows` in all from each seat."""
    game = source.game
    left = -(-rows // game.schema.players)
    for columns in _episodes(source, store, opponent, world, seed):
        taken = dict(columns)
        count = min(left, len(taken[game.schema.state_keys[0]]) - 1)
        yield {key: values[:count].copy() for key, values in taken.items()}
        left -= count
        if left <= 0:
            return


def _episodes(
    source: _Source, store: Path | None, opponent: str, world: str, seed: int
) -> Iterator[Mapping[str, Array]]:
    game, path = source.game, store
    if path is None and not _playable(game, world):
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
    agents = [specs.agent(source.spec, game), specs.agent(opponent, game)]
    made = specs.world(world, game, 1)
    for played in islice(
        play(game, made, agents, [source.spec, opponent], seed + np.arange(1000)), 1000
    ):
        yield played.episode.columns
