"""Made-up replays of any version, ports, followers, items and rollbacks, with random fields."""

from __future__ import annotations

import numpy as np

from shadowbox.games.melee import slp

VERSIONS = [
    (0, 1, 0),
    *((1, minor, 0) for minor in range(8)),
    *((2, minor, 0) for minor in range(3)),
]
VERSIONS += [(3, minor, 0) for minor in range(19)]

FOX, MARTH, ICE_CLIMBERS = 2, 9, 14
BATTLEFIELD = 31


def made(
    version=slp.NEWEST,
    frames=60,
    ports=(0, 1),
    *,
    followers=(),
    items=2,
    rollbacks=0,
    end=True,
    metadata=True,
    seed=0,
):
    """Game with random rows; with `rollbacks`, the last pass through each frame is the true one."""
    draws = np.random.default_rng(seed)
    passes, final = passes_through(frames, rollbacks, draws)
    slots = sorted([*((port, False) for port in ports), *((port, True) for port in followers)])
    pre = {slot: random_rows("pre", version, frames, draws) for slot in slots}
    post = {slot: random_rows("post", version, frames, draws) for slot in slots}
    for slot in slots:
        pre[slot]["x"][1:] = post[slot]["x"][:-1]
        post[slot]["state"] = draws.integers(14, 340, frames)
    events = {
        kind: {n: rows[passes] for n, rows in random_rows(kind, version, frames, draws).items()}
        for kind in ("frame_start", "frame_end")
        if slp.EVENTS[kind].since <= version[:2]
    }
    pre, post = (
        {slot: {name: rows[passes] for name, rows in sides[slot].items()} for slot in slots}
        for sides in (pre, post)
    )
    # an earlier pass has predicted inputs, and another state of the last player
    for side in (pre, post):
        side[slots[-1]]["x"][np.flatnonzero(~final)] += 1
    for kind, count in (("item", items), ("fountain", 1)):
        if slp.EVENTS[kind].since <= version[:2]:
            rows = random_rows(kind, version, count * len(passes), draws)
            events[kind] = rows | {"row": np.repeat(np.arange(len(passes)), count)}
    return slp.from_arrays(
        made_start(version, ports, followers),
        pre,
        post,
        frames=(np.arange(frames) + slp.FIRST_FRAME)[passes],
        events=events,
        end=slp.GameEnd(
            2,
            -1 if version >= (2, 0, 0) else None,
            (0, 1, -1, -1) if version >= (3, 13, 0) else None,
        )
        if end
        else None,
        metadata={
            "startAt": "2020-01-01T00:00:00Z",
            "lastFrame": frames + slp.FIRST_FRAME - 1,
            "playedOn": "dolphin",
        }
        if metadata
        else None,
    )


def made_start(version=slp.NEWEST, ports=(0, 1), followers=()):
    """Settings of the made-up game."""
    players = [
        slp.SlpPlayer(
            port,
            ICE_CLIMBERS if port in followers else (FOX, MARTH)[place % 2],
            kind="human" if place % 2 == 0 else "cpu",
            costume=place,
            cpu_level=9 * (place % 2),
            nametag=f"T{port}",
            display_name=f"player {port}",
            connect_code=f"MADE#{port}",
            user_id=f"id{port}",
        )
        for place, port in enumerate(ports)
    ]
    return slp.new_start(
        version, BATTLEFIELD, players, seed=12345, match_id="mode.made", scene=(8, 2)
    )


def passes_through(frames, rollbacks, draws):
    """Frames in the order of the file, going back by up to seven; a mask of the last passes."""
    back = np.sort(draws.integers(1, frames, rollbacks))
    order = []
    for frame in range(frames):
        order.append(frame)
        for _ in range(int((back == frame).sum())):
            order.extend(range(max(frame - int(draws.integers(0, 7)), 0), frame + 1))
    passes = np.array(order)
    final = np.zeros(len(passes), bool)
    final[len(passes) - 1 - np.unique(passes[::-1], return_index=True)[1]] = True
    return passes, final


def random_rows(kind, version, rows, draws):
    """Random values for every field of the version, with finite floats."""
    event = slp.EVENTS[kind]
    columns = {}
    for field in event.fields:
        if field.since > version[:2] or field.name in ("frame", "port", "follower", "finalized"):
            continue
        shape = (rows,) if field.count == 1 else (rows, field.count)
        if field.format.startswith("f"):
            columns[field.name] = draws.normal(0, 30, shape).astype(field.format)
        else:
            limits = np.iinfo(field.format)
            columns[field.name] = draws.integers(
                limits.min, limits.max, shape, np.dtype(field.format), endpoint=True
            )
    return columns
