"""Brawl, a fast platform fighter for two in the manner of Warehouse Brawl.

This module describes the game; the simulator and the scene are imported on demand.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from shadowbox.core.game import Game, Outcome, World
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.brawl.bots import BOTS
from shadowbox.games.brawl.dream.dynamics import DYNAMICS
from shadowbox.games.brawl.figures.behavior import BEHAVIOR
from shadowbox.games.brawl.figures.couplings import couplings, impossible, repairs, repairs_script
from shadowbox.games.brawl.figures.events import events
from shadowbox.games.brawl.figures.tactics import tactics
from shadowbox.games.brawl.observe import OBSERVATIONS, action_masks
from shadowbox.games.brawl.rewards import PRESETS, BrawlReward
from shadowbox.games.brawl.schema import EVENTS, KEYS, LEARNED, MOVES, SCHEMA, STAGES, WEAPONS
from shadowbox.games.brawl.tables import BOT_NOTES, HELD_OUT
from shadowbox.games.brawl.warehouse.agent import COLUMNS

SHIPPED = Path(__file__).with_name("shipped")
WORLD_OPTIONS = ("stage", "weapons", "time_limit", "stocks", "rules", "randomize", "arsenal")

# The useful key combinations: a direction times an action.
_AIMS = {"": (), "left": ("a",), "right": ("d",), "up": ("w",), "down": ("s",)}
_ACTS = {"": (), "jump": ("space",), "light": ("j",), "heavy": ("k",), "evade": ("l",)}
COMBOS = {
    "_".join(filter(None, (aim, act))) or "wait": (*aim_keys, *act_keys)
    for act, act_keys in _ACTS.items()
    for aim, aim_keys in _AIMS.items()
    if act not in ("jump", "evade") or aim not in ("up", "down")
} | {"weapon": ("h",), "taunt": ("g",)}

# Delays are in frames of 1/30 s: a person cannot react at once, and should not have to.
# from weak to strong as measured (docs/brawl.md); a late reaction costs scripted bots much
RIVALS = (
    ("random", "to learn the keys", "Presses keys by chance and falls off by itself."),
    ("based@delay=9", "easy", "Walks up and strikes. Step back, then strike first."),
    (
        "aggressive@delay=6",
        "medium",
        "Closes in and rarely lets go. Keep it at the tip of a spear.",
    ),
    ("expert@delay=6", "hard", "Reads your jumps and guards the edge. Vary what you do."),
    (
        "defensive@delay=6",
        "very hard",
        "Keeps its distance and waits for a mistake. Make it come to you.",
    ),
    (
        "policy:champion@delay=6",
        "trained",
        "Learned by playing against itself; no script says what it does.",
    ),
)


def world(matches: int, **options: Any) -> World:
    """Create the simulator; options are those of `WORLD_OPTIONS`."""
    for name in options:
        if name not in WORLD_OPTIONS:
            raise UsageError(
                f"brawl: unknown world option '{name}': {did_you_mean(name, WORLD_OPTIONS)}"
            )
    if "stage" in options and options["stage"] not in STAGES:
        raise UsageError(
            f"unknown stage '{options['stage']}': {did_you_mean(str(options['stage']), STAGES)}"
        )
    from shadowbox.games.brawl.world import BrawlWorld

    return BrawlWorld(matches, **options)


def outcome(columns: Columns, events: Array) -> Outcome:
    """Outcome of an episode's match; columns [T + 1, slots]."""
    last = {
        key: columns[f"{key}"][-1]
        for key in ("match/over", "match/winner", "player/stocks", "player/damage")
    }
    facts = {"stocks": last["player/stocks"].tolist(), "damage": last["player/damage"].tolist()}
    if not last["match/over"][0]:
        return Outcome(None, "broken off", facts)
    winner = int(last["match/winner"][0])
    timeout = bool((events["kind"] == EVENTS.index("timeout")).any())
    return Outcome(
        winner if winner < SCHEMA.players else None,
        "time-out" if timeout else "knock-out",
        facts,
        timeout,
    )


def attacks(columns: Columns) -> Array:
    """Mask of the rows in which a fighter begins a move, [T + 1, players]."""
    move, frame = columns["player/move"], columns["player/move_frame"]
    begun: Array = move != 0
    begun[1:] &= (move[1:] != move[:-1]) | (frame[1:] < frame[:-1])
    return begun


def places(columns: Columns) -> tuple[str, ...]:
    """Side of the stage on which each fighter began, for each player: left or right."""
    return tuple("left" if x < 0 else "right" for x in columns["player/x"][0])


def scene() -> Mapping[str, Any]:
    """Scene that the viewer draws, imported on demand."""
    from shadowbox.games.brawl.scene import SCENE

    return SCENE


GAME = Game(
    name="brawl",
    title="a platform fighter for two with weapons, knock-outs and a moving platform",
    schema=SCHEMA,
    event_kinds=EVENTS,
    event_whats={"hit": MOVES, "combo": MOVES, "pickup": WEAPONS, "drop": WEAPONS},
    world=world,
    events=events,
    couplings=couplings,
    impossible=impossible,
    repairs=repairs,
    repairs_script=repairs_script,
    world_fields=tuple(
        f"player/{name}" for name in ("x", "y", "vx", "vy", "damage", "move", "stun")
    ),
    outcome=outcome,
    attacks=attacks,
    behavior=BEHAVIOR,
    tactics=tactics,
    places=places,
    dynamics=DYNAMICS,
    bots=BOTS,
    held_out=frozenset(HELD_OUT),
    rivals=RIVALS,
    bot_notes=BOT_NOTES,
    world_choices={"stage": STAGES, "weapons": ("on", "off"), "rules": ("usual", "original")},
    policies={name: str(SHIPPED / name) for name in ("champion", "warehouse")},
    worlds={"brawl": str(SHIPPED / "world")},
    rewards={name: partial(BrawlReward.preset, name) for name in PRESETS},
    reward=BrawlReward,
    encodings={"default": LEARNED, "warehouse": (*COLUMNS, *SCHEMA.control_keys)},
    observations=OBSERVATIONS,
    submissions={"warehouse": "shadowbox.games.brawl.warehouse.agent"},
    actions={"discrete": {key: (key,) for key in KEYS}, "combos": COMBOS},
    action_masks=action_masks,
    scene=scene,
    learns_by=("imitation", "selfplay", "encoder", "dynamics"),
)
