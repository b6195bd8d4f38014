"""Hits of the simulator: exact boxes, simultaneous strikes, protection, knock-back and respawn."""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.games.brawl import rules
from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.schema import EVENTS, KEYS, MOVES, STATES, WEAPONS
from shadowbox.games.brawl.world import BrawlWorld

AIMS = {"neutral": ("w",), "down": ("s",), "side": ("d",)}
SPECIAL = {"recovery": ("w", "k"), "ground_pound": ("s", "k")}


def keys_for(move: str) -> list[str]:
    """The keys that start a move."""
    if move in SPECIAL:
        return list(SPECIAL[move])
    aim, kind = move.split("_")
    return [*AIMS[aim], "k" if kind == "heavy" else "j"]


def press(names: list[str]) -> dict:
    """The first player holds these keys, the second none."""
    return {f"keys/{key}": np.array([[key in names, False]]) for key in KEYS}


def armed(weapon: str, move: str) -> BrawlWorld:
    """A match in the frame before a move's first strike becomes active.

    The other fighter is far away.
    """
    world = BrawlWorld(1, weapons=False)
    columns = {key: values.copy() for key, values in world.reset(np.array([1])).items()}
    on_ground = not (move.endswith("air") or move in SPECIAL)
    columns["player/x"][0] = 4.0, -5.0
    columns["player/y"][0] = 0.35 if on_ground else -4.0, 2.35
    columns["player/grounded"][0] = on_ground, True
    columns["player/state"][0] = (
        STATES.index("standing" if on_ground else "in_air"),
        STATES.index("standing"),
    )
    columns["player/facing_right"][0] = True
    columns["player/weapon"][0, 0] = WEAPONS.index(weapon)
    columns = world.load(columns)
    columns, _, _ = world.step(press(keys_for(move)))
    assert columns["player/move"][0, 0] == MOVES.index(move)
    while columns["player/move_frame"][0, 0] < ARSENAL[weapon][move].strikes[0].frames[0] - 1:
        columns, _, _ = world.step(press([]))
    return world


def strikes_when(world: BrawlWorld, dx: float, dy: float) -> np.ndarray:
    """The hits of the next frame if the other fighter were here, relative to the attacker."""
    snapshot = world.snapshot()
    rows = snapshot.copy()
    rows["x"][0, 1], rows["y"][0, 1] = rows["x"][0, 0] + dx, rows["y"][0, 0] + dy
    world.restore(rows)
    _, events, _ = world.step(press([]))
    world.restore(snapshot)
    return events[events["kind"] == EVENTS.index("hit")].copy()


@pytest.mark.parametrize("weapon", WEAPONS)
@pytest.mark.parametrize("move", MOVES[1:])
def test_a_move_hits_inside_its_boxes_and_nowhere_else(weapon, move):
    """Each of the 33 moves hits a fighter in its first box, up to the edge, and never beyond."""
    world = armed(weapon, move)
    strikes = ARSENAL[weapon][move].strikes
    active = [s for s in strikes if s.frames[0] == strikes[0].frames[0]]
    x, y, width, height = strikes[0].box
    (hit,) = strikes_when(world, x, y)
    assert (hit["what"], hit["player"], hit["other"]) == (MOVES.index(move), 0, 1)
    assert hit["value"] == pytest.approx(strikes[0].damage)
    hair, across, upright = 0.01, rules.HURT_R, rules.HURT_R + rules.HURT_H
    right = max(s.box[0] + s.box[2] / 2 for s in active) + across
    left = min(s.box[0] - s.box[2] / 2 for s in active) - across
    assert (
        len(strikes_when(world, right + hair, y)) == len(strikes_when(world, left - hair, y)) == 0
    )
    assert len(strikes_when(world, x + width / 2 + across - hair, y)) == 1
    assert len(strikes_when(world, x, y + height / 2 + upright - hair)) == 1
    assert len(strikes_when(world, x, y - height / 2 - upright + hair)) == 1
    assert len(strikes_when(world, x, y + height / 2 + upright + hair)) == 0
    assert len(strikes_when(world, x, y - height / 2 - upright - hair)) == 0


def test_two_strikes_that_meet_both_count():
    """Fighters who strike each other in the same frame are both hit."""
    world = armed("unarmed", "side_light")
    rows = world.snapshot()
    for name in ("state", "age", "move", "move_frame", "grounded", "weapon"):
        rows[name][0, 1] = rows[name][0, 0]
    rows["x"][0, 1], rows["y"][0, 1] = rows["x"][0, 0] + 1.0, rows["y"][0, 0]
    rows["facing_right"][0, 1] = False
    world.restore(rows)
    columns, events, _ = world.step(press([]))
    assert (events["kind"] == EVENTS.index("hit")).sum() == 2
    assert columns["player/damage"][0, 0] == columns["player/damage"][0, 1] > 0


@pytest.mark.parametrize("protection", ["shield", "dodge"])
def test_the_protected_are_not_hit(protection):
    """A dodge and the time after a respawn protect from every strike."""
    world = armed("hammer", "side_heavy")
    rows = world.snapshot()
    rows["shield"][0, 1] = 50 if protection == "shield" else 0
    rows["state"][0, 1], rows["age"][0, 1] = (
        STATES.index("in_air" if protection == "shield" else "dodge"),
        0,
    )
    world.restore(rows)
    assert len(strikes_when(world, 1.1, 0.0)) == 0


def test_knock_back_follows_the_formula():
    """Launch speed = 0.096 * (fixed + variable * (d / 70 + d^2 / 12000)), d including this hit."""
    world = armed("hammer", "side_air")
    rows = world.snapshot()
    rows["damage"][0, 1] = 100.0
    world.restore(rows)
    strike = ARSENAL["hammer"]["side_air"].strikes[0]
    rows = world.snapshot()
    rows["x"][0, 1], rows["y"][0, 1] = rows["x"][0, 0] + strike.box[0], rows["y"][0, 0]
    world.restore(rows)
    columns, _, _ = world.step(press([]))
    d = 100.0 + strike.damage
    speed = 0.096 * (strike.force[0] + strike.force[1] * (d / 70 + d * d / 12000))
    assert columns["player/vx"][0, 1] == pytest.approx(
        speed * np.cos(np.radians(strike.angle)), abs=1e-3
    )
    assert columns["player/vy"][0, 1] == pytest.approx(
        -speed * np.sin(np.radians(strike.angle)) + rules.GRAVITY * rules.DT, abs=1e-3
    )
    assert columns["player/stun"][0, 1] == strike.stun


def test_a_knocked_out_fighter_returns_protected_and_unhurt():
    """A fighter returns 90 frames after a knock-out, unhurt, and cannot be hit for 90 more."""
    world = BrawlWorld(1, weapons=False)
    rows = world.snapshot()
    rows["x"][0, 0], rows["vx"][0, 0], rows["damage"][0, 0] = 13.9, 30.0, 200.0
    rows["state"][0, 0], rows["stun"][0, 0] = STATES.index("stun"), 20
    world.restore(rows)
    columns, events, _ = world.step(press([]))
    assert EVENTS.index("knockout") in events["kind"]
    assert STATES[columns["player/state"][0, 0]] == "ko"
    for frame in range(90):
        columns, events, _ = world.step(press([]))
        assert (EVENTS.index("respawn") in events["kind"]) == (frame == 89)
    assert columns["player/damage"][0, 0] == 0
    assert columns["player/shield"][0, 0] == 90
    assert abs(columns["player/x"][0, 0]) == 5
