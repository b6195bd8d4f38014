"""Frames that an older system has already encoded (`.pt`) -> episodes, by the layout that the file declares.

Such a file holds `floats` [N, F], `ints` [N, I], `game_offsets` and `encoding_config`. What the
columns are follows from the configuration alone; a file whose widths are not those of its
configuration is refused, never guessed at.

Its rows hold the inputs that led to their state; ours hold those that were pressed having seen it,
so inputs move up a row. What such a file never had (items, the clock, the state flags where they
were switched off) is absent. Its hit stun counts only where the game's own flag says so; without
the flags it cannot be told from noise and is absent, too.
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

# what decides about the layout
SWITCHES = ("state_age_as_embed", "state_flags", "hitstun", "projectiles")
ELSEWHERE = (
    "press_events",
    "ctrl_threshold_features",
    "multi_position",
    "character_conditioning",
    "ctrl_residual_to_action",
)
SLACK = 1e-3  # of a range: what was multiplied and divided again may leave it by so much


def read(source: Path | bytes, name: str, chosen: AcceptOptions) -> Iterator[Episode]:
    """The games of a file, in order; those that `chosen` does not want are left out."""
    data = _load(source)
    made = _declared(data)
    floats, ints = _tensor(data, "floats", made.floats), _tensor(data, "ints", made.ints)
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
            made,
            rows,
            {"part": part, "world": "melee, encoded elsewhere", "encoding_config": config},
        )
        if _wanted(episode, chosen):
            yield episode


def _load(source: Path | bytes) -> Mapping[str, Any]:
    import torch

    file: Any = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    try:
        data = torch.load(
            file, weights_only=True, map_location="cpu", mmap=isinstance(source, Path) or None
        )
    # torch raises what its parts raise; all of it means that this is not such a file
    except Exception as error:
        raise RecordingError(
            f"it cannot be loaded as tensors: {str(error).splitlines()[0][:200]}"
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("encoding_config"), dict):
        raise RecordingError("it declares no encoding_config, and a layout is never guessed")
    return data


def _declared(data: Mapping[str, Any]) -> Encoding:
    """The encoding that the configuration names."""
    config = data["encoding_config"]
    for name in SWITCHES:
        if not isinstance(config.get(name), bool):
            raise RecordingError(
                f"its encoding_config says {name}={config.get(name)!r}; true or false decides about the layout"
            )
    for name, value in config.items():
        if value is True and name not in (*SWITCHES, *ELSEWHERE):
            raise RecordingError(
                f"its encoding_config switches on '{name}', and what that does to the layout is not known"
            )
    return encoding(
        state_age="embed" if config["state_age_as_embed"] else "number",
        state_flags="all" if config["state_flags"] else "no",
        hitstun=config["hitstun"],
        projectiles=config["projectiles"],
    )


def _tensor(data: Mapping[str, Any], name: str, width: int) -> Any:
    import torch

    found = data.get(name)
    if not isinstance(found, torch.Tensor) or found.ndim != 2:
        raise RecordingError(f"'{name}' is no table of numbers")
    if found.shape[1] != width:
        raise RecordingError(
            f"'{name}' is {found.shape[1]} wide, its encoding_config makes {width}"
        )
    return found


def _games(data: Mapping[str, Any], rows: int) -> list[tuple[int, int]]:
    """First and last row of each game."""
    given = data.get("game_offsets")
    offsets = [] if given is None else [int(offset) for offset in given]
    if offsets and offsets[-1] != rows:
        offsets.append(rows)
    if len(offsets) < 2 or offsets[0] != 0 or any(a >= b for a, b in pairwise(offsets)):
        raise RecordingError("its game_offsets do not rise from 0 to the number of rows")
    if isinstance(data.get("num_games"), int) and data["num_games"] != len(offsets) - 1:
        raise RecordingError(
            f"it says num_games={data['num_games']}, its game_offsets make {len(offsets) - 1}"
        )
    return list(pairwise(offsets))


def _episode(made: Encoding, rows: tuple[Array, Array], meta: dict[str, Any]) -> Episode:
    held = made.read_back(rows[0].astype(np.float64), rows[1])
    age = next((at for at, category in enumerate(made.categories) if category.name == "age"), None)
    if age is not None:
        each = len(made.categories)
        held["player/age"] = rows[1][:, age : made.players * each : each]
    shoulder = next(at for at, number in enumerate(made.numbers) if number.name == "shoulder")
    held["pad/l_push"] = rows[0][:, shoulder :: len(made.numbers)]
    if "player/in_hitstun" in held:
        held["player/hitstun"] = np.where(
            held["player/in_hitstun"] > 0.5, held.get("player/hitstun", 0), 0
        )
    else:
        held.pop("player/hitstun", None)
    columns = {key: _fitting(key, values) for key, values in held.items()}
    for key in SCHEMA.control_keys:
        if key in columns:
            columns[key] = np.concatenate([columns[key][1:], np.zeros_like(columns[key][:1])])
    absent = SCHEMA.columns.keys() - columns.keys()
    if not made.settings["hitstun"]:
        absent |= {"player/hitstun"}
    for key in absent:
        columns[key] = np.zeros(
            (len(rows[0]), SCHEMA.columns[key].slots), SCHEMA.columns[key].dtype
        )
    ordered: Columns = {key: columns[key] for key in SCHEMA.columns}
    stage = int(ordered["stage/id"][0, 0])
    characters = [CHARACTERS[number] for number in ordered["player/character"][0].tolist()]
    known = {"characters": characters, "stage": STAGES[stage], **meta}
    return Episode(ordered, known, _events_without(ordered, absent), frozenset(absent))


def _events_without(columns: Columns, absent: Any) -> Array:
    """Events of the rows; who hit is not recorded, and nobody is the value of nobody."""
    blamed = "player/last_hit_by"
    if blamed not in absent:
        return events(columns)
    return events({**columns, blamed: np.full_like(columns[blamed], SCHEMA.players)})


def _fitting(key: str, values: Array) -> Array:
    """Values in the type of their column.

    What rounding moved over an end of its range comes back.
    """
    column = SCHEMA.columns[key]
    field = column.field
    if isinstance(field, Flag):
        return np.asarray(values > 0.5)
    low, high = field.limits
    if isinstance(field, Choice):
        whole = np.rint(values)
        if not (whole.min() >= low and whole.max() <= high):
            raise RecordingError(
                f"{key}: values from {whole.min():g} to {whole.max():g}, {low} to {high} are possible"
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


def _wanted(episode: Episode, chosen: AcceptOptions) -> bool:
    """What of the options such a file can answer: length, stage, characters."""
    wanted = set(filter(None, chosen.characters.split(",")))
    stage = int(episode.columns["stage/id"][0, 0])
    return (
        episode.frames >= max(1, chosen.min_frames)
        and stage in (LEGAL_STAGES if chosen.legal_stage else KNOWN_STAGES)
        and not (wanted and set(episode.meta["characters"]) - wanted)
    )
