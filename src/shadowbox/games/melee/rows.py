"""Conversion of a replay's frames to the columns of an episode, by the alignment rule.

A replay's row f holds the inputs read in frame f and the state *after* them. An episode's row t
holds a state and the inputs pressed in answer to it: the state of frame f beside the inputs of
frame f + 1. Columns that the file's version does not record are absent, never invented.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shadowbox.core.schema import Array, Column, Columns, Real
from shadowbox.errors import RecordingError
from shadowbox.games.melee import stages
from shadowbox.games.melee.items import place
from shadowbox.games.melee.names import DREAM_LAND, FOUNTAIN, YOSHIS
from shadowbox.games.melee.schema import FIRST_FRAME, FLAG_NAMES, FPS, ITEM_SLOTS, SCHEMA
from shadowbox.games.melee.slp import Slot, SlpReplay

NO_PLAYER = SCHEMA.players
NO_GROUND = 0xFFFF
FARTHEST = 10_000.0  # units; an item that fell out of the world never stops falling
HITSTUN = 3, 1  # byte and bit of the state flags
FARTHEST_FIGHTER = 2_000.0  # units; no stage extends beyond 500, and a fighter beyond it is out
# share of rows with impossible values from which a file counts as damaged, and a number that is
# always cut out
MOST_IMPOSSIBLE, FEW = 0.01, 8

STATE = {  # column -> field of a post frame, taken as it is
    "x": "x", "y": "y", "percent": "percent", "shield": "shield", "air_vx": "air_vx",
    "vy": "vy", "ground_vx": "ground_vx", "knock_vx": "knockback_vx",
    "knock_vy": "knockback_vy", "age": "state_age", "hitlag": "hitlag", "action": "state",
    "instance": "instance", "character": "character", "stocks": "stocks", "jumps": "jumps",
    "combo": "combo", "l_cancel": "l_cancel", "hurtbox": "hurtbox",
    "last_attack": "last_attack",
}  # fmt: skip
_AXES = {
    "main_x": "main_x", "main_y": "main_y", "c_x": "c_x", "c_y": "c_y",
    "l_push": "trigger_l", "r_push": "trigger_r",
}  # fmt: skip
BUTTONS = {
    "d_left": 0x1, "d_right": 0x2, "d_down": 0x4, "d_up": 0x8, "z": 0x10, "r": 0x20, "l": 0x40,
    "a": 0x100, "b": 0x200, "x": 0x400, "y": 0x800, "start": 0x1000,
}  # fmt: skip


@dataclass
class _RowBuilder:
    """Columns [R, slots] in construction, of the frames `first` .. `first + R - 1`.

    Columns named in `absent` hold zeros.
    """

    columns: Columns
    absent: set[str]
    first: int
    items_left_out: int = 0
    item_rows_left_out: int = 0
    # columns that hold values outside a controller's range in every frame of a player
    unusable: list[str] = field(default_factory=list)
    # the first impossible value, and the rows whose state or inputs hold one, bool [R]
    impossible: str = ""
    bad_state: Array = field(default_factory=lambda: np.zeros(0, bool))
    bad_inputs: Array = field(default_factory=lambda: np.zeros(0, bool))

    @property
    def rows(self) -> int:
        """Number of rows, R."""
        return len(self.columns["stage/clock"])

    def parts(self) -> list[slice]:
        """Ranges of at least two rows without impossible values, in order.

        Inputs of the last row of a range count for nothing, so a row whose inputs alone are
        impossible still ends one.
        """
        ranges, begin = [], 0
        for at in np.flatnonzero(self.bad_state | self.bad_inputs).tolist():
            ranges.append(slice(begin, at if self.bad_state[at] else at + 1))
            begin = at + 1
        ranges.append(slice(begin, self.rows))
        return [part for part in ranges if part.stop - part.start >= 2]


def leaders(replay: SlpReplay) -> tuple[Slot, ...]:
    """Slots of the players by port, without followers."""
    return tuple(slot for slot in replay.slots if not slot[1])


def rows_of(replay: SlpReplay) -> _RowBuilder:
    """Convert the playable frames of a two-player replay, up to the first gap."""
    begin, end = _span(replay.frames)
    builder = _RowBuilder({}, set(), int(replay.frames[begin]))
    part, players = slice(begin, end), leaders(replay)
    _add_stage(builder, replay, part)
    _add_players(builder, replay, part, players)
    _add_items(builder, replay, part, players)
    _add_pads(builder, replay, part, players)
    for key in builder.absent:
        column = SCHEMA.columns[key]
        builder.columns[key] = np.zeros((end - begin, column.slots), column.dtype)
    _mark_impossible(builder)
    return builder


def _mark_impossible(builder: _RowBuilder) -> None:
    """Mark the rows that hold a real outside the range of its column."""
    builder.bad_state, builder.bad_inputs = (np.zeros(builder.rows, bool) for _ in range(2))
    for key, column in SCHEMA.columns.items():
        if not isinstance(column.field, Real) or key in builder.absent:
            continue
        values, (low, high) = builder.columns[key], _limits(column)
        if values.min() >= low and values.max() <= high:  # false with a NaN
            continue
        bad = ~((values >= low) & (values <= high))
        rows = builder.bad_inputs if key in SCHEMA.control_keys else builder.bad_state
        rows |= bad.any(axis=-1)
        row, slot = (int(at) for at in np.argwhere(bad)[0])
        builder.impossible = builder.impossible or (
            f"frame {builder.first + row}, {key}[{slot}]: {values[row, slot]}, "
            f"allowed {low:g} .. {high:g}"
        )
    count = int((builder.bad_state | builder.bad_inputs).sum())
    if count > max(FEW, MOST_IMPOSSIBLE * builder.rows):
        raise RecordingError(
            f"{count:,} of {builder.rows:,} frames hold impossible values, so the file is damaged; "
            f"the first: {builder.impossible}"
        )


def _limits(column: Column) -> tuple[float, float]:
    """Range of a real; for positions of fighters narrower than that of the schema."""
    if column.key in ("player/x", "player/y"):
        return -FARTHEST_FIGHTER, FARTHEST_FIGHTER
    low, high = column.field.limits
    return low, high


def _span(frames: Array) -> tuple[int, int]:
    """Range of rows from the first playable frame to the first gap."""
    begin = int(np.searchsorted(frames, FIRST_FRAME))
    gaps = np.flatnonzero(np.diff(frames[begin:]) != 1)
    end = begin + int(gaps[0]) + 1 if len(gaps) else len(frames)
    if end - begin < 2:
        raise RecordingError(
            f"the replay ends before players can act: it has {len(frames)} frames, and players can "
            f"act from frame {FIRST_FRAME} on"
        )
    return begin, end


def _add_stage(builder: _RowBuilder, replay: SlpReplay, part: slice) -> None:
    frames, stage = replay.frames[part], replay.start.stage
    cloud = stages.randall(frames) if stage == YOSHIS else (np.zeros(len(frames)),) * 3
    values: dict[str, Array] = {
        "id": np.full(len(frames), stage, np.uint8),
        "clock": ((frames - FIRST_FRAME) / FPS).astype(np.float32),
        "randall": cloud[0].astype(bool),
        "randall_x": np.where(cloud[0], cloud[1], 0).astype(np.float32),
        "randall_y": np.where(cloud[0], cloud[2], 0).astype(np.float32),
    }
    count = len(replay.frames)
    if stage != FOUNTAIN:
        values |= {
            f"{side}_height": np.zeros(len(frames), np.float32) for side in ("left", "right")
        }
    elif replay.fountain is not None:
        changes = replay.rows["fountain"], replay.fountain["platform"], replay.fountain["height"]
        for name, side in (("left_height", stages.LEFT), ("right_height", stages.RIGHT)):
            values[name] = stages.heights(*changes, count, side)[part].astype(np.float32)
    else:
        builder.absent |= {"stage/left_height", "stage/right_height"}
    if stage != DREAM_LAND:
        values["wind"] = np.zeros(len(frames), np.uint8)
    elif replay.whispy is not None:
        directions = stages.hold(replay.rows["whispy"], replay.whispy["blowing"], count, 0)[part]
        values["wind"] = np.where(directions < 3, directions, 0).astype(np.uint8)
    else:
        builder.absent.add("stage/wind")
    builder.columns |= {f"stage/{name}": value[:, None] for name, value in values.items()}


def _add_players(
    builder: _RowBuilder, replay: SlpReplay, part: slice, players: tuple[Slot, ...]
) -> None:
    posts = [replay.post[slot][part] for slot in players]

    def both(name: str) -> Array:
        return np.stack([post[name] for post in posts], axis=-1)

    def add(name: str, needs: str, make: object = None) -> None:
        if not replay.has("post", needs):
            builder.absent.add(f"player/{name}")
        else:
            value = both(needs) if make is None else make(both(needs))  # type: ignore[operator]
            if value.dtype.kind == "f" and np.isnan(value[0]).all() and np.isnan(value).all():
                builder.absent.add(f"player/{name}")  # as `export.py` writes it
            else:
                builder.columns[f"player/{name}"] = value

    for name, source in STATE.items():
        add(name, source)
    add("facing_right", "facing", lambda facing: facing > 0)
    add("on_ground", "airborne", lambda airborne: airborne == 0)
    add("ground", "ground", _ground)
    add("last_hit_by", "last_hit_by", lambda port: _seats(port, players))
    if replay.has("post", "flags"):
        # [40, R, 2]
        bits = np.unpackbits(both("flags").transpose(1, 0, 2), axis=0, bitorder="little").view(bool)
        builder.columns |= {f"player/{name}": bits[i] for i, name in enumerate(FLAG_NAMES)}
        counts = builder.columns["player/in_hitstun"]
        misc = both("misc")
        with np.errstate(invalid="ignore"):  # elsewhere the field holds anything, NaN included
            builder.columns["player/hitstun"] = np.where(counts & (misc > 0), misc, 0).astype(
                np.float32
            )
    else:
        builder.absent |= {f"player/{name}" for name in (*FLAG_NAMES, "hitstun")}


def _ground(number: Array) -> Array:
    """Number of the ground plus 1, clipped to 255; 0 without ground."""
    return np.where(number == NO_GROUND, 0, np.minimum(number.astype(np.int32) + 1, 255)).astype(
        np.uint8
    )


def _seats(ports: Array, players: tuple[Slot, ...]) -> Array:
    """Map ports to seats; ports that do not play become NO_PLAYER."""
    names = np.full(256, NO_PLAYER, np.uint8)
    for seat, (port, _) in enumerate(players):
        names[port] = seat
    return names[ports.astype(np.uint8)]


def _add_items(
    builder: _RowBuilder, replay: SlpReplay, part: slice, players: tuple[Slot, ...]
) -> None:
    keys = [key for key in SCHEMA.columns if key.startswith("item/")]
    if replay.item is None:
        builder.absent |= set(keys)
        return
    shape = (part.stop - part.start, ITEM_SLOTS)
    columns = {key: np.zeros(shape, SCHEMA.columns[key].dtype) for key in keys}
    builder.columns |= columns
    if not replay.has("item", "owner"):
        builder.absent.add("item/owner")
    row = replay.rows["item"] - part.start
    # with the items of earlier frames, which occupy slots too
    placed = place(row, replay.item["spawn"], replay.item["type"])
    builder.items_left_out, builder.item_rows_left_out = placed.items_left_out, placed.rows_left_out
    kept = (placed.slot >= 0) & (row >= 0) & (row < shape[0])
    row, slot, item = row[kept], placed.slot[kept], replay.item[kept]
    columns["item/alive"][row, slot] = True
    columns["item/facing_right"][row, slot] = item["facing"] > 0
    for name in ("x", "y", "vx", "vy"):
        columns[f"item/{name}"][row, slot] = np.clip(item[name], -FARTHEST, FARTHEST)
    columns["item/type"][row, slot] = np.minimum(item["type"], 255)
    columns["item/state"][row, slot] = item["state"]
    if replay.has("item", "owner"):
        columns["item/owner"][row, slot] = _seats(item["owner"], players)


def _add_pads(
    builder: _RowBuilder, replay: SlpReplay, part: slice, players: tuple[Slot, ...]
) -> None:
    """Add the inputs: row t holds those of the next frame, and the last row holds zeros."""
    pres = [replay.pre[slot][part] for slot in players]

    def both(name: str) -> Array:
        first = pres[0][name]
        values = np.zeros((len(first), len(pres)), first.dtype)
        for seat, pre in enumerate(pres):
            values[:-1, seat] = pre[name][1:]
        return values

    for name, source in _AXES.items():
        values = both(source)
        column = SCHEMA.columns[f"pad/{name}"]
        low, high = _limits(column)
        if (~((values[:-1] >= low) & (values[:-1] <= high))).all(axis=0).any():
            # old recorders fill it with anything
            builder.absent.add(column.key)
            builder.unusable.append(column.key)
        else:
            builder.columns[column.key] = values
    buttons = both("buttons_physical")
    builder.columns |= {f"pad/{name}": (buttons & bit) != 0 for name, bit in BUTTONS.items()}
