"""Matches between bots, seat-swapped, and what can be measured in them. Run as a program it prints the table of styles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.core.view import from_seat
from shadowbox.games.brawl import GAME
from shadowbox.games.brawl.schema import EVENTS, KEYS, SCHEMA

HIT, KNOCKOUT, TIMEOUT = (EVENTS.index(name) for name in ("hit", "knockout", "timeout"))


@dataclass(frozen=True)
class Duel:
    """Matches of `first` against another; in every second one `first` has the second seat."""

    won: Array  # [N] by `first`
    lost: Array
    timeout: Array
    frames: Array  # [N] length
    hits: float  # a match, by `first`
    knocked_out: float  # own stocks lost a match
    presses: dict[str, float]  # a second, by `first`
    airborne: float  # share of frames
    distance: float  # u, mean
    weapon: float  # share of frames with one in hand


def duel(first: str, second: str, matches: int = 200, *, seed: int = 0, pairs: bool = True, **options) -> Duel:
    """Play so many matches side by side; `pairs` plays each seed from both seats."""
    world = GAME.world(matches, **options)
    seeds = seed * 100_000 + (np.arange(matches) // 2 if pairs else np.arange(matches))
    seat = np.arange(matches) % 2
    agents = [GAME.bots[name]() for name in (first, second)]
    states = [agents[0].start(seeds, seat), agents[1].start(seeds, 1 - seat)]
    columns, done = world.reset(seeds), np.zeros(matches, bool)
    frames, sums, presses, happened = np.zeros(matches), np.zeros(3), np.zeros(len(KEYS)), []
    while not done.all():
        views = [columns, from_seat(SCHEMA, columns, 1)]
        swapped = (seat == 1)[:, None]
        mine = {key: np.where(swapped, views[1][key], views[0][key]) for key in columns}
        theirs = {key: np.where(swapped, views[0][key], views[1][key]) for key in columns}
        (a, states[0]), (b, states[1]) = agents[0].act(mine, states[0]), agents[1].act(theirs, states[1])
        live = ~done
        frames += live
        sums += measure(mine, live)
        presses += [(a[key] & ~mine[key][:, :1])[live].sum() for key in a]
        controls = {key: np.where(swapped, np.hstack([b[key], a[key]]), np.hstack([a[key], b[key]])) for key in a}
        columns, events, over = world.step(controls)
        happened.append(events.copy())
        done = over.copy()
    events, winner = np.concatenate(happened), columns["match/winner"][:, 0]
    own = events["player"] == seat[events["match"]]
    seconds, total = frames.sum() / SCHEMA.fps, frames.sum()
    return Duel(
        won=winner == seat,
        lost=winner == 1 - seat,
        timeout=np.isin(np.arange(matches), events["match"][events["kind"] == TIMEOUT]),
        frames=frames,
        hits=(own & (events["kind"] == HIT)).sum() / matches,
        knocked_out=(own & (events["kind"] == KNOCKOUT)).sum() / matches,
        presses=dict(zip(KEYS, presses / seconds, strict=True)),
        airborne=sums[0] / total,
        distance=sums[1] / total,
        weapon=sums[2] / total,
    )


def measure(view: Columns, live: Array) -> Array:
    """Sums over the live matches: frames in the air, distance to the foe, frames with a weapon."""
    x, y = view["player/x"], view["player/y"]
    gap = np.hypot(x[:, 0] - x[:, 1], y[:, 0] - y[:, 1])
    return np.array(
        [(~view["player/grounded"][:, 0])[live].sum(), gap[live].sum(), (view["player/weapon"][:, 0] > 0)[live].sum()]
    )


STYLES = (
    "based",
    "aggressive",
    "defensive",
    "kiter",
    "aerial",
    "edge_guard",
    "weapon_seeker",
    "charger",
    "trickster",
    "switcher",
    "expert",
)


def table(matches: int = 200) -> str:
    """Every style against `based`, as Markdown."""
    lines = [
        "| style | wins vs based | hits a match | stocks lost | jumps /s | light /s | heavy /s | evade /s "
        "| in the air | distance, u | armed |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in STYLES:
        d = duel(name, "based", matches)
        keys = (f"{d.presses[key]:.2f}" for key in ("space", "j", "k", "l"))
        cells = (
            f"`{name}`" + (" (held out)" if name in GAME.held_out else ""),
            f"{d.won.mean():.1%}",
            f"{d.hits:.1f}",
            f"{d.knocked_out:.2f}",
        )
        lines.append("| " + " | ".join((*cells, *keys, f"{d.airborne:.0%}", f"{d.distance:.2f}", f"{d.weapon:.0%}")) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
