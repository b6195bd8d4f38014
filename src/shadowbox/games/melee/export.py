"""Export of an episode as a Slippi replay (`.slp`), which opens in every tool for replays.

An episode begins where players can act, and a replay begins with the entry: the 84 frames before
repeat the first row, with nothing pressed. Fields that an episode does not hold (the random seed of
each frame, raw stick bytes of the hardware) are derived, or hold the value that recorders write for
unset fields. Reals that a recording did not have, such as speeds, are NaN in the file,
and absent again when it is read. A match in a learned world begins like any other, with 84 frames that
repeat its first row, and names the dream as its console.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.episode import UNKNOWN, Episode
from shadowbox.core.files import write_whole
from shadowbox.core.schema import Array, Real
from shadowbox.games.melee import slp, stages
from shadowbox.games.melee.names import DREAM_LAND, FOUNTAIN, STAGES, TO_EXTERNAL
from shadowbox.games.melee.replay import UNKNOWN_DATE, pseudonym
from shadowbox.games.melee.rows import BUTTONS, NO_GROUND, NO_PLAYER, STATE
from shadowbox.games.melee.schema import FIRST_FRAME, FLAG_NAMES, ITEM_SLOTS, SCHEMA
from shadowbox.games.melee.slp import SlpReplay
from shadowbox.games.melee.slp.data import END_METHODS

RECORDED_NO_PLAYER = 6
LEAD = FIRST_FRAME - slp.FIRST_FRAME  # frames before players can act
LONGEST_NAME = 30
LONGEST_SESSION = 50
# peppi-py reads no version from 3.0 to 3.6; the next one has the same fields, except for speeds
# (3.5) and the owners of items (3.6)
PEPPI_GAP = (3, 0, 0), (3, 7, 0)
DREAMT = "a dream of Shadowbox"  # in place of a console's name
LIGHT_PRESS = 0.35  # trigger value of a shield held with Z
_PROCESSED_TRIGGER = 0x80000000


def write_slp(episode: Episode, path: Path) -> None:
    """Write an episode as a replay file, whole or not at all."""
    write_whole(path, slp.write(replay_of(episode)))


def replay_of(episode: Episode) -> SlpReplay:
    """Convert an episode of T + 1 rows to a replay of LEAD + T + 1 frames, in its own version."""
    ports = _ports(episode)
    slots = [(port, False) for port in ports]
    start = _start(episode, ports)
    posts = [_post(episode, seat, ports, start.version) for seat in range(len(ports))]
    pres = [_pre(episode, seat, posts[seat], start.version) for seat in range(len(ports))]
    return slp.from_arrays(
        start,
        dict(zip(slots, pres, strict=True)),
        dict(zip(slots, posts, strict=True)),
        events=_events(episode, ports, start.version),
        end=_end(episode, ports),
        metadata=_metadata(episode, ports),
    )


def _ports(episode: Episode) -> list[int]:
    ports = episode.meta.get("ports")
    fits = (
        isinstance(ports, list) and len(set(ports)) == 2 and all(port in range(4) for port in ports)
    )
    return list(ports) if fits and isinstance(ports, list) else [0, 1]


def _start(episode: Episode, ports: list[int]) -> slp.GameStart:
    text = str(episode.meta.get("version", ""))
    match = re.fullmatch(r"(\d{1,2})\.(\d{1,3})\.(\d{1,3})", text)
    version = (int(match[1]), int(match[2]), int(match[3])) if match else slp.NEWEST
    if PEPPI_GAP[0] <= version < PEPPI_GAP[1]:
        version = PEPPI_GAP[1]
    if _has_moving_stage(episode):
        # only this version has the events of moving stage parts
        version = max(version, slp.NEWEST)
    columns, names, kinds = episode.columns, _names(episode), episode.meta.get("kinds")
    costumes = episode.meta.get("costumes")
    worn = costumes if isinstance(costumes, list) and _are_bytes(costumes) else [0, 0]
    players = [
        slp.SlpPlayer(
            port,
            TO_EXTERNAL[int(columns["player/character"][0, seat])],
            kind=kinds[seat]
            if isinstance(kinds, list) and kinds[seat] in ("human", "cpu")
            else "human",
            stocks=int(columns["player/stocks"][0, seat]),
            costume=worn[seat],
            cpu_level=_level(names[seat]),
            display_name=names[seat],
        )
        for seat, port in enumerate(ports)
    ]
    seed = episode.meta.get("seed")
    return slp.new_start(
        version,
        int(columns["stage/id"][0, 0]),
        players,
        seed=seed & 0xFFFFFFFF if isinstance(seed, int) else 0,
        is_pal=episode.meta.get("pal") is True,
        match_id=_session(episode, seed),
    )


def _are_bytes(values: list[Any]) -> bool:
    return len(values) == 2 and all(value in range(256) for value in values)


def _session(episode: Episode, seed: Any) -> str:
    """Online session of a match; empty if only its seed identifies it, as offline."""
    session, offline = episode.meta.get("session"), f"seed {seed}"
    if not isinstance(session, str) or session in (offline, pseudonym("session", offline)):
        return ""
    return session.encode("ascii", "replace").decode()[:LONGEST_SESSION]


def _has_moving_stage(episode: Episode) -> bool:
    """Test whether the episode holds the movement of its stage."""
    stage, absent = int(episode.columns["stage/id"][0, 0]), episode.absent
    return (stage == FOUNTAIN and "stage/left_height" not in absent) or (
        stage == DREAM_LAND and "stage/wind" not in absent
    )


def _names(episode: Episode) -> list[str]:
    players = episode.meta.get("players")
    names = (
        [str(name) for name in players]
        if isinstance(players, list) and len(players) == 2
        else ["P1", "P2"]
    )
    return [
        "" if name == UNKNOWN else name.encode("ascii", "replace").decode()[:LONGEST_NAME]
        for name in names
    ]


def _level(name: str) -> int:
    """Level of a CPU by its name in `replay.py`, 0 for people."""
    match = re.fullmatch(r"cpu-(\d)", name)
    return int(match[1]) if match else 0


# ---- frames ----


def _lead(values: Array) -> Array:
    """Prepend LEAD copies of the first row: [R, ...] -> [LEAD + R, ...]."""
    return np.concatenate([np.repeat(values[:1], LEAD, axis=0), values])


def _post(episode: Episode, seat: int, ports: list[int], version: slp.Version) -> dict[str, Any]:
    columns, absent = episode.columns, episode.absent
    post = {
        field: columns[f"player/{name}"][:, seat]
        for name, field in STATE.items()
        if f"player/{name}" not in absent
    }
    lacks = (name for name in STATE if f"player/{name}" in absent)
    post |= {
        STATE[name]: np.full(episode.rows, np.nan, np.float32)
        for name in lacks
        if isinstance(SCHEMA.columns[f"player/{name}"].field, Real)
    }
    post["facing"] = np.where(columns["player/facing_right"][:, seat], 1, -1)
    post["last_hit_by"] = np.array([*ports, RECORDED_NO_PLAYER])[
        np.minimum(columns["player/last_hit_by"][:, seat], NO_PLAYER)
    ]
    if "player/on_ground" not in absent:
        post["airborne"] = ~columns["player/on_ground"][:, seat]
    if "player/ground" not in absent:
        number = columns["player/ground"][:, seat].astype(np.int32)
        post["ground"] = np.where(number == 0, NO_GROUND, number - 1)
    if "player/hitstun" not in absent:
        bits = np.stack([columns[f"player/{name}"][:, seat] for name in FLAG_NAMES], axis=-1)
        post |= {
            "flags": np.packbits(bits, axis=-1, bitorder="little"),
            "misc": columns["player/hitstun"][:, seat],
        }
    return {name: _lead(values) for name, values in _fields_of(version, "post", post).items()}


def _pre(episode: Episode, seat: int, post: dict[str, Any], version: slp.Version) -> dict[str, Any]:
    """Fields of the pre-frame events: the inputs of the row before, and the state before them."""
    pad = {
        key: values[:, seat] for key, values in episode.columns.items() if key.startswith("pad/")
    }
    axes = {name: _exact(pad[f"pad/{name}"], 80) for name in ("main_x", "main_y", "c_x", "c_y")}
    pushed = {side: _exact(pad[f"pad/{side}_push"], 140) for side in ("l", "r")}
    buttons = np.zeros(episode.rows, np.uint32)
    for name, bit in BUTTONS.items():
        buttons |= np.where(pad[f"pad/{name}"], np.uint32(bit), np.uint32(0))
    clicked, light = pad["pad/l"] | pad["pad/r"], np.where(pad["pad/z"], LIGHT_PRESS, 0)
    trigger = np.where(clicked, 1, np.maximum(np.maximum(pushed["l"], pushed["r"]), light))
    processed = (
        buttons
        | np.where(pad["pad/z"], BUTTONS["a"], 0)
        | np.where(trigger > 0, _PROCESSED_TRIGGER, 0)
    )
    pressed = {
        **axes,
        "trigger": trigger,
        "trigger_l": pushed["l"],
        "trigger_r": pushed["r"],
        "buttons_physical": buttons,
        "buttons": processed.astype(np.uint32),
        **{f"raw_{name}": np.rint(axes[name] * 80) for name in axes},
    }
    for name, column in (("trigger_l", "pad/l_push"), ("trigger_r", "pad/r_push")):
        if column in episode.absent:
            pressed[name] = np.full(episode.rows, np.nan, np.float32)
    later = {
        name: np.concatenate([np.zeros(LEAD + 1, v.dtype), v[:-1]]) for name, v in pressed.items()
    }
    before = {
        n: np.concatenate([post[n][:1], post[n][:-1]])
        for n in ("state", "x", "y", "facing", "percent")
    }
    return _fields_of(version, "pre", {**later, **before})


def _exact(values: Array, steps: int) -> Array:
    """Restore the whole steps of a controller's axis that storage as f2 has rounded."""
    whole = np.rint(values.astype(np.float64) * steps) / steps
    return np.where(whole.astype(np.float16) == values.astype(np.float16), whole, values).astype(
        np.float32
    )


def _fields_of(version: slp.Version, event: str, values: dict[str, Any]) -> dict[str, Any]:
    """Select the fields of an event that a version has."""
    kind = slp.EVENTS[event]
    fields = kind.dtype(kind.size(version)).names or ()
    return {name: value for name, value in values.items() if name in fields}


# ---- items, stages, metadata ----


def _events(episode: Episode, ports: list[int], version: slp.Version) -> dict[str, dict[str, Any]]:
    columns, parts = episode.columns, {}
    if "item/alive" not in episode.absent and slp.EVENTS["item"].since <= version[:2]:
        parts["item"] = _items(episode, ports, version)
    if _has_moving_stage(episode) and int(columns["stage/id"][0, 0]) == FOUNTAIN:
        parts["fountain"] = _fountain(episode)
    elif _has_moving_stage(episode):
        row, blowing = _changes(columns["stage/wind"][:, 0], 0)
        parts["whispy"] = {"row": row + LEAD, "blowing": blowing}
    return parts


def _items(episode: Episode, ports: list[int], version: slp.Version) -> dict[str, Any]:
    """Item events: each unbroken use of a slot is one item, numbered in order of appearance."""
    alive = episode.columns["item/alive"]
    born = alive & ~np.concatenate([np.zeros((1, ITEM_SLOTS), bool), alive[:-1]])
    number = np.cumsum(born.ravel()).reshape(born.shape) - 1  # frame by frame, slot by slot
    spawn = np.maximum.accumulate(np.where(born, number, -1), axis=0)
    row, slot = np.nonzero(alive)
    values = {
        key.partition("/")[2]: v[row, slot]
        for key, v in episode.columns.items()
        if key.startswith("item/")
    }
    owner = np.array([*ports, -1])[np.minimum(values["owner"], NO_PLAYER)]
    facing = np.where(values["facing_right"], 1, -1)
    kept = {name: values[name] for name in ("x", "y", "vx", "vy", "type", "state")}
    return {
        "row": row + LEAD,
        **_fields_of(
            version, "item", {**kept, "facing": facing, "owner": owner, "spawn": spawn[row, slot]}
        ),
    }


def _fountain(episode: Episode) -> dict[str, Any]:
    parts = []
    for name, side in (("left_height", stages.LEFT), ("right_height", stages.RIGHT)):
        begins = stages.FOUNTAIN_BEGINS[side]
        height = episode.columns[f"stage/{name}"][:, 0]
        rests = height.astype(np.float16) == np.float16(
            stages.FOUNTAIN_SCALE * begins + stages.FOUNTAIN_BASE
        )  # compared as stored
        recorded = np.where(rests, begins, (height - stages.FOUNTAIN_BASE) / stages.FOUNTAIN_SCALE)
        row, height = _changes(recorded, begins)
        parts.append((row, np.full(len(row), side), height))
    rows, sides, heights = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(rows, kind="stable")
    return {"row": rows[order] + LEAD, "platform": sides[order], "height": heights[order]}


def _changes(values: Array, begins: float) -> tuple[Array, Array]:
    """Rows at which a value differs from the one before, and the values there."""
    rows = np.flatnonzero(values != np.concatenate([[begins], values[:-1]]))
    return rows, values[rows]


def _end(episode: Episode, ports: list[int]) -> slp.GameEnd | None:
    """Game end of the recording, or one derived from the result of the match."""
    result = episode.meta.get("result")
    winner = result.get("winner") if isinstance(result, dict) else None
    methods = {name: method for method, name in END_METHODS.items()}
    end = episode.meta.get("end")
    if end == "none":
        return None
    method = methods.get(str(end), methods["game"] if winner in (0, 1) else methods["unresolved"])
    lras = -1
    if method == methods["no contest"] and winner in (0, 1):
        lras = ports[1 - winner]
    if winner not in (0, 1):
        return slp.GameEnd(method, lras)
    places = {ports[winner]: 0, ports[1 - winner]: 1}
    return slp.GameEnd(method, lras, tuple(places.get(port, -1) for port in range(4)))


def _metadata(episode: Episode, ports: list[int]) -> dict[str, Any]:
    characters = episode.columns["player/character"]
    names = _names(episode)
    date = str(episode.meta.get("played_at", ""))
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date):
        date = UNKNOWN_DATE
    dreamt = str(episode.meta.get("world", "")).startswith("dream:")
    return {
        "startAt": f"{date}T00:00:00Z",
        "lastFrame": FIRST_FRAME + episode.rows - 1,
        "playedOn": "dolphin",  # py-slippi knows four platforms only
        **({"consoleNick": DREAMT} if dreamt else {}),
        "stage": STAGES[int(episode.columns["stage/id"][0, 0])],
        "players": {
            str(port): {
                "names": {"netplay": names[seat]},
                "characters": {
                    str(number): int(count)
                    for number, count in zip(
                        *np.unique(characters[:, seat], return_counts=True), strict=True
                    )
                },
            }
            for seat, port in enumerate(ports)
        },
    }
