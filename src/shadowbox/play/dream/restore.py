"""Worlds with the weights of a checkpoint, and dreams of them by their spec.

    dream:RUN[@OPTION...]

RUN is a run, a card's folder of runs, a checkpoint's folder, or a world that the game ships.
Options: `best`, `latest`, `step=N`, `seed=N` choose the checkpoint; `start=match` (default) begins
at recorded starts of matches, `start=any` also inside of matches; `CHOICE=NAME`, such as
`stage=mirror`, begins only at starts with that value; `frames=N` ends matches after N frames;
`stop=violation` also ends a match whose frame had to be projected on one that can be;
`beside=RUN`, repeated, has other worlds watch the matches, such as those of other seeds, and
`stop=disagreement` ends a match in which half of them draw other events;
`controls=shuffled` gives each match the controls of another one, for checks of what is learned;
`draw=sample` (default) draws what happens, `draw=likely` takes the most likely option everywhere;
`compile=true` steps in code that is compiled once for each number of matches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from shadowbox.core.files import mismatches
from shadowbox.core.game import Game, World
from shadowbox.core.schema import Choice, Schema, require
from shadowbox.errors import CheckpointError, SchemaError, SchemaMismatch, UsageError, did_you_mean
from shadowbox.play.checkpoints import checkpoint_folder

if TYPE_CHECKING:  # it needs torch
    from shadowbox.model.checkpoint import Checkpoint
    from shadowbox.model.world.older import _OlderWorld
    from shadowbox.model.world.world import _WorldModel

ARGUMENTS = {"config": dict, "dynamics": dict, "contexts": [int]}
LONGEST = 20_000  # frames of a match
OPTIONS = (
    "best", "latest", "step=N", "seed=N", "start=match", "start=any", "frames=N", "stop=violation",
    "stop=disagreement", "beside=RUN", "controls=shuffled", "draw=sample", "draw=likely",
    "compile=true",
)  # fmt: skip


def restore_world(
    found: Checkpoint,
    schema: Schema,
    device: str = "cpu",
    encodings: Mapping[str, Any] | None = None,
) -> _WorldModel | _OlderWorld:
    """A world model with its weights; the game must have the fields that it was trained on."""
    from shadowbox.model import checkpoint
    from shadowbox.model.world.older import build_older_world
    from shadowbox.model.world.world import build_world

    where = f"checkpoint {found.path}"
    require(found.about.schema, schema, where, coding=True)
    require(schema, found.about.schema, f"{where}, read the other way round,", coding=True)
    arguments = found.about.arguments
    older = "encoding" in arguments  # of an older system
    more = {"encoding": {"name": str, "settings": dict}} if older else {"vocabulary": dict}
    for problem in mismatches(arguments, {**ARGUMENTS, **more}, "arguments"):
        raise CheckpointError(
            f"{found.path}/config.json cannot be used: {problem}; use another step"
        )
    model: _WorldModel | _OlderWorld
    try:
        if older:
            encoding = (encodings or {}).get(arguments["encoding"]["name"])
            model = build_older_world(found.about.schema, encoding, arguments)
        else:
            model = build_world(found.about.schema, arguments)
    except (UsageError, SchemaError, ValueError, TypeError, KeyError, IndexError) as error:
        raise CheckpointError(
            f"{found.path}/config.json cannot be used: arguments: {error}; use another step"
        ) from error
    # tables of what recordings have beside something else: without one, nothing is ruled out
    lacking = {
        name: values
        for name, values in model.state_dict().items()
        if name.startswith("heads.possible.") and name not in found.weights
    }
    checkpoint.load_weights(model, {**lacking, **found.weights}, str(found.path))
    return model.to(device).eval()


def dream_of(argument: str, options: Sequence[str], game: Game, matches: int, spec: str) -> World:
    """The world of `dream:ARGUMENT@OPTIONS`."""
    from shadowbox.model import checkpoint
    from shadowbox.play.dream.world import _Dream

    asked = _asked(options, game, spec)
    folder = checkpoint_folder(argument, asked.which, asked.seed, spec, game)
    others = [checkpoint_folder(each, asked.which, "", spec, game) for each in asked.beside]
    models = []
    for each in (folder, *others):
        found = checkpoint.load(each, kind="world")
        models.append(restore_world(found, game.schema, encodings=game.encodings))
        _require_rules(found, game, spec)
    if len({each.heads.draws for each in models}) > 1:
        raise UsageError(f"world '{spec}': a world beside it draws other columns; name another one")
    return _Dream(models[0], game, matches, spec, others=models[1:], **asked.settings)


class _Asked(NamedTuple):
    """Options of a spec: which checkpoint, which worlds beside it, and settings of the dream."""

    which: str
    seed: str
    beside: list[str]
    settings: dict[str, Any]


def _asked(options: Sequence[str], game: Game, spec: str) -> _Asked:
    """Parsed options; an unknown one is refused."""
    which, seed = "", ""
    beside: list[str] = []
    stops: list[str] = []
    chosen: dict[str, int] = {}
    settings: dict[str, Any] = {"frames": LONGEST, "stops": stops, "chosen": chosen}
    for option in options:
        name, _, value = option.partition("=")
        if option in ("best", "latest") or re.fullmatch(r"step=\d+", option):
            which = option
        elif name == "seed" and value.isdecimal():
            seed = value
        elif name == "start" and value in ("match", "any"):
            settings["start"] = value
        elif name == "draw" and value in ("sample", "likely"):
            settings["sampled"] = value == "sample"
        elif name == "frames" and value.isdecimal() and 1 <= int(value) <= LONGEST:
            settings["frames"] = int(value)
        elif name == "stop" and value in ("violation", "disagreement"):
            stops.append(value)
        elif name == "beside" and value:
            beside.append(value)
        elif option in ("controls=shuffled", "compile=true"):
            settings["shuffled" if name == "controls" else "compiled"] = True
        elif (key := _choice_named(game.schema, name)) is not None:
            chosen[key] = _value_of(game.schema, key, value, spec)
        else:
            raise UsageError(
                f"world '{spec}': unknown option '{option}': {did_you_mean(option, OPTIONS)}"
            )
    if "disagreement" in stops and not beside:
        raise UsageError(
            f"world '{spec}': stop=disagreement compares several worlds: name others, such as those "
            "of other seeds, each as beside=RUN"
        )
    return _Asked(which, seed, beside, settings)


def _choice_named(schema: Schema, name: str) -> str | None:
    """Choice with names of values, of a group of one slot: `stage` -> match/stage."""
    for key, column in schema.columns.items():
        field = column.field
        named = isinstance(field, Choice) and bool(field.names) and column.slots == 1
        if named and key.partition("/")[2] == name:
            return key
    return None


def _value_of(schema: Schema, key: str, value: str, spec: str) -> int:
    field = schema.columns[key].field
    names = list(field.names) if isinstance(field, Choice) else []
    if value not in names:
        raise UsageError(f"world '{spec}': {key} has no '{value}': {did_you_mean(value, names)}")
    return names.index(value)


def _require_rules(found: Checkpoint, game: Game, spec: str) -> None:
    """Refuse a world whose rules are no longer those of the game, naming the columns."""
    trained = found.about.arguments["dynamics"]
    now = game.dynamics.to_json() if game.dynamics is not None else {}
    if not now or trained == now:
        return
    lines = [
        f"{name}: {trained.get(name)!r} when trained, {now[name]!r} now"
        for name in now
        if name != "rules" and trained.get(name) != now[name]
    ]
    before, after = trained.get("rules", {}), now["rules"]
    lines += [
        f"{key}: '{before.get(key, 'drawn')}' when trained, '{after.get(key, 'drawn')}' now"
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    ]
    raise SchemaMismatch(
        f"world '{spec}' was trained with other rules of {game.name}: " + "; ".join(lines)
    )
