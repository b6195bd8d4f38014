"""Reader of `.pt` files with frames that an older system has encoded, by their declared layout.

Such a file holds `floats` [N, F], `ints` [N, I], `game_offsets` and `encoding_config`. The meaning
of the columns follows from the configuration alone; a file whose widths differ from those of its
configuration is refused, never guessed at.

Its rows hold the inputs that led to their state, and ours hold the inputs pressed in answer to it,
so inputs move up by a row. Columns that such a file never had (items, the clock, the state flags
where they were switched off) are absent. Its hitstun is valid only where the game's own flag says
so; without the flags it is indistinguishable from noise, and absent too.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.encoding import Encoding
from shadowbox.core.episode import Episode
from shadowbox.core.schema import Array, Choice, Columns, Flag, Real
from shadowbox.errors import RecordingError
from shadowbox.games.melee.accept import AcceptOptions
from shadowbox.games.melee.encodings import encoding
from shadowbox.games.melee.events import events
from shadowbox.games.melee.names import CHARACTERS, KNOWN_STAGES, LEGAL_STAGES, STAGES
from shadowbox.games.melee.schema import SCHEMA

# switches of the configuration that decide about the layout
SWITCHES = ("state_age_as_embed", "state_flags", "hitstun", "projectiles")
IGNORED = (
    "press_events",
    "ctrl_threshold_features",
    "multi_position",
    "character_conditioning",
    "ctrl_residual_to_action",
)
SLACK = 1e-3  # share of a range by which rounding may move a value over its end


def read(source: Path | bytes, name: str, chosen: AcceptOptions) -> Iterator[Episode]:
    """Read the games of a file in order, without those that `chosen` filters out."""
    data = _load(source)
    layout = _declared_encoding(data)
    floats, ints = _tensor(data, "floats", layout.floats), _tensor(data, "ints", layout.ints)
    if len(floats) != len(ints):
        raise RecordingError(f"floats has {len(floats):,} rows and ints {len(ints):,}")
    config = {
        key: value
        for key, value in data["encoding_config"].items()
        if isinstance(value, bool | int | float | str)
    }
    for part, (begin, end) in enumerate(_games(data, len(floats))):
        rows = floats[begin:end].numpy(), ints[begin:end].numpy()
        episode = _episode(
            layout,
            rows,
            {"part": part, "world": "melee, encoded elsewhere", "encoding_config": config},
        )
        if _passes_filters(episode, chosen):
            yield episode


def _load(source: Path | bytes) -> Mapping[str, Any]:
    import torch

    file: Any = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    try:
        data = torch.load(
            file, weights_only=True, map_location="cpu", mmap=isinstance(source, Path) or None
        )
    # torch passes on errors of any kind; all of them mean that the file has another format
    except Exception as error:
        raise RecordingError(
            f"the file cannot be loaded as tensors: {str(error).splitlines()[0][:200]}"
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("encoding_config"), dict):
        raise RecordingError("the file has no encoding_config, which must declare its layout")
    return data


def _declared_encoding(data: Mapping[str, Any]) -> Encoding:
    """Encoding that the configuration of a file declares."""
    config = data["encoding_config"]
    for name in SWITCHES:
        if not isinstance(config.get(name), bool):
            raise RecordingError(
                f"encoding_config: {name} must be true or false (got {config.get(name)!r})"
            )
    for name, value in config.items():
        if value is True and name not in (*SWITCHES, *IGNORED):
            raise RecordingError(
                f"encoding_config: '{name}' is switched on, and its effect on the layout is unknown"
            )
    return encoding(
        state_age="embed" if config["state_age_as_embed"] else "number",
        state_flags="all" if config["state_flags"] else "no",
        hitstun=config["hitstun"],
        projectiles=config["projectiles"],
    )


def _tensor(data: Mapping[str, Any], name: str, width: int) -> Any:
    import torch

    tensor = data.get(name)
    if not isinstance(tensor, torch.Tensor) or tensor.ndim != 2:
        raise RecordingError(f"'{name}' must be a tensor of two dimensions")
    if tensor.shape[1] != width:
        raise RecordingError(
            f"'{name}' must be {width} wide by its encoding_config (got {tensor.shape[1]})"
        )
    return tensor


def _games(data: Mapping[str, Any], rows: int) -> list[tuple[int, int]]:
    """First row of each game, and the row after its last."""
    declared = data.get("game_offsets")
    offsets = [] if declared is None else [int(offset) for offset in declared]
    if offsets and offsets[-1] != rows:
        offsets.append(rows)
    if len(offsets) < 2 or offsets[0] != 0 or any(a >= b for a, b in pairwise(offsets)):
        raise RecordingError("game_offsets must rise from 0 to the number of rows")
    if isinstance(data.get("num_games"), int) and data["num_games"] != len(offsets) - 1:
        raise RecordingError(
            f"num_games is {data['num_games']}, and game_offsets has {len(offsets) - 1} games"
        )
    return list(pairwise(offsets))


def _episode(layout: Encoding, rows: tuple[Array, Array], meta: dict[str, Any]) -> Episode:
    fields = layout.read_back(rows[0].astype(np.float64), rows[1])
    age = next(
        (at for at, category in enumerate(layout.categories) if category.name == "age"), None
    )
    if age is not None:
        each = len(layout.categories)
        fields["player/age"] = rows[1][:, age : layout.players * each : each]
    shoulder = next(at for at, number in enumerate(layout.numbers) if number.name == "shoulder")
    fields["pad/l_push"] = rows[0][:, shoulder :: len(layout.numbers)]
    if "player/in_hitstun" in fields:
        fields["player/hitstun"] = np.where(
            fields["player/in_hitstun"] > 0.5, fields.get("player/hitstun", 0), 0
        )
    else:
        fields.pop("player/hitstun", None)
    columns = {key: _to_column(key, values) for key, values in fields.items()}
    for key in SCHEMA.control_keys:
        if key in columns:
            columns[key] = np.concatenate([columns[key][1:], np.zeros_like(columns[key][:1])])
    absent = SCHEMA.columns.keys() - columns.keys()
    if not layout.settings["hitstun"]:
        absent |= {"player/hitstun"}
    for key in absent:
        columns[key] = np.zeros(
            (len(rows[0]), SCHEMA.columns[key].slots), SCHEMA.columns[key].dtype
        )
    ordered: Columns = {key: columns[key] for key in SCHEMA.columns}
    stage = int(ordered["stage/id"][0, 0])
    characters = [CHARACTERS[number] for number in ordered["player/character"][0].tolist()]
    meta = {"characters": characters, "stage": STAGES[stage], **meta}
    return Episode(ordered, meta, _events(ordered, absent), frozenset(absent))


def _events(columns: Columns, absent: Any) -> Array:
    """Events of the rows; without `last_hit_by`, no hit is attributed to the opponent."""
    key = "player/last_hit_by"
    if key not in absent:
        return events(columns)
    return events({**columns, key: np.full_like(columns[key], SCHEMA.players)})


def _to_column(key: str, values: Array) -> Array:
    """Convert values to the type of their column; rounding beyond a range's end is undone."""
    column = SCHEMA.columns[key]
    field = column.field
    if isinstance(field, Flag):
        return np.asarray(values > 0.5)
    low, high = field.limits
    if isinstance(field, Choice):
        whole = np.rint(values)
        if not (whole.min() >= low and whole.max() <= high):
            raise RecordingError(
                f"{key}: values must be within {low} to {high} "
                f"(got {whole.min():g} to {whole.max():g})"
            )
        return whole.astype(column.dtype)
    assert isinstance(field, Real)
    if field.low is not None and field.high is not None:
        slack = SLACK * (high - low)
        values = np.where((values < low) & (values > low - slack), low, values)
        values = np.where((values > high) & (values < high + slack), high, values)
    elif field.low is not None:
        values = np.where((values < low) & (values > low - SLACK), low, values)
    return np.asarray(values, np.float32)


def _passes_filters(episode: Episode, chosen: AcceptOptions) -> bool:
    """Apply the filters that such a file has the facts for: length, stage, characters."""
    accepted = set(filter(None, chosen.characters.split(",")))
    stage = int(episode.columns["stage/id"][0, 0])
    return (
        episode.frames >= max(1, chosen.min_frames)
        and stage in (LEGAL_STAGES if chosen.legal_stage else KNOWN_STAGES)
        and not (accepted and set(episode.meta["characters"]) - accepted)
    )
