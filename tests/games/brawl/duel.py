"""Seat-swapped matches between bots, with measurements of their habits.

Run as a program, it prints the tables of styles in docs/brawl.md: habits, then wins of each against each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.core.view import from_seat
from shadowbox.evaluate.tournament import TournamentSpec, tournament
from shadowbox.games.brawl import GAME
from shadowbox.games.brawl.schema import EVENTS, KEYS, SCHEMA

# shares of frames; distance: mean u
HABITS = ("in the air", "distance", "armed", "out", "charging")
HIT, KNOCKOUT, TIMEOUT = (EVENTS.index(name) for name in ("hit", "knockout", "timeout"))


@dataclass(frozen=True)
class Duel:
    """Matches of `first` against another; in every second one `first` has the second seat."""

    won: Array  # [N] by `first`
    lost: Array
    timeout: Array
    frames: Array  # [N] length
    hits: float  # per match, by `first`
    knocked_out: float  # own stocks lost per match
    # of `first`, [N] each: presses of each key per second, and the values that HABITS names
    habits: dict[str, Array]


def duel(
    first: str, second: str, matches: int = 200, *, seed: int = 0, pairs: bool = True, **options
) -> Duel:
    """Play `matches` matches side by side; `pairs` plays each seed from both seats."""
    world = GAME.world(matches, **options)
    seeds = seed * 100_000 + (np.arange(matches) // 2 if pairs else np.arange(matches))
    seat = np.arange(matches) % 2
    agents = [GAME.bots[name]() for name in (first, second)]
    states = [agents[0].start(seeds, seat), agents[1].start(seeds, 1 - seat)]
    columns, done = world.reset(seeds), np.zeros(matches, bool)
    frames, sums, happened = np.zeros(matches), np.zeros((len(KEYS) + len(HABITS), matches)), []
    while not done.all():
        views = [columns, from_seat(SCHEMA, columns, 1)]
        swapped = (seat == 1)[:, None]
        view = {key: np.where(swapped, views[1][key], views[0][key]) for key in columns}
        opponent = {key: np.where(swapped, views[0][key], views[1][key]) for key in columns}
        a, states[0] = agents[0].act(view, states[0])
        b, states[1] = agents[1].act(opponent, states[1])
        live = ~done
        frames += live
        pressed = ((a[key] & ~view[key][:, :1])[:, 0] for key in a)
        sums += live * np.array([*pressed, *measure(view)])
        controls = {
            key: np.where(swapped, np.hstack([b[key], a[key]]), np.hstack([a[key], b[key]]))
            for key in a
        }
        columns, events, over = world.step(controls)
        happened.append(events.copy())
        done = over.copy()
    events, winner = np.concatenate(happened), columns["match/winner"][:, 0]
    own = events["player"] == seat[events["match"]]
    sums /= frames
    sums[: len(KEYS)] *= SCHEMA.fps
    return Duel(
        won=winner == seat,
        lost=winner == 1 - seat,
        timeout=np.isin(np.arange(matches), events["match"][events["kind"] == TIMEOUT]),
        frames=frames,
        hits=(own & (events["kind"] == HIT)).sum() / matches,
        knocked_out=(own & (events["kind"] == KNOCKOUT)).sum() / matches,
        habits=dict(zip((*KEYS, *HABITS), sums, strict=True)),
    )


def measure(view: Columns) -> list[Array]:
    """Values of HABITS, [N] each: in the air, distance, armed, beyond the edge, charging."""
    x, y = view["player/x"], view["player/y"]
    gap = np.hypot(x[:, 0] - x[:, 1], y[:, 0] - y[:, 1])
    return [
        ~view["player/grounded"][:, 0],
        gap,
        view["player/weapon"][:, 0] > 0,
        np.abs(x[:, 0]) > 7,
        view["player/charge"][:, 0] > 0,
    ]


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


# held-out bots that hardly fight
DEGENERATE = ("kicker", "jumper", "camper", "runner")
COLUMNS = ("based", "aggressive", "defensive", "kiter", "aerial", "edge_guard", "expert")
ROWS = (*COLUMNS, "charger", "trickster", "switcher", *DEGENERATE)


def table(matches: int = 200) -> str:
    """Play every style against `based`; the results as a Markdown table."""
    lines = [
        "| style | wins vs based | hits a match | stocks lost | jumps /s | light /s | heavy /s "
        "| evade /s | in the air | distance, u | armed | beyond the edge | charging |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in (*STYLES, *DEGENERATE):
        d = duel(name, "based", matches)
        mean = {habit: values.mean() for habit, values in d.habits.items()}
        cells = (
            f"`{name}`" + (" (held out)" if name in GAME.held_out else ""),
            f"{d.won.mean():.1%}",
            f"{d.hits:.1f}",
            f"{d.knocked_out:.2f}",
        )
        keys = (f"{mean[key]:.2f}" for key in ("space", "j", "k", "l"))
        rest = (
            f"{mean['in the air']:.0%}",
            f"{mean['distance']:.2f}",
            f"{mean['armed']:.0%}",
            f"{mean['out']:.1%}",
            f"{mean['charging']:.1%}",
        )
        lines.append("| " + " | ".join((*cells, *keys, *rest)) + " |")
    return "\n".join(lines)


def wins(matches: int = 100) -> str:
    """Play ROWS against COLUMNS; the share of matches that each row wins, as a Markdown table."""
    lines = [
        "| wins of ... against | " + " | ".join(f"`{name}`" for name in COLUMNS) + " |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for row in ROWS:
        others = tuple(name for name in COLUMNS if name != row)
        plan = TournamentSpec("brawl", (row, *others), matches, gauntlet=True)
        payoff = tournament(GAME, plan)["payoff"][row]
        cells = [
            "—" if row == column else f"{payoff[column]['wins'] / matches:.0%}"
            for column in COLUMNS
        ]
        lines.append("| " + " | ".join((f"`{row}`", *cells)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(f"{table()}\n\n{wins()}")
