"""Movement of fighters, weapons on the stage, and the errors of wrong calls."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.games.brawl import GAME, rules
from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.moves import TABLE, compile_table
from shadowbox.games.brawl.schema import EVENTS, KEYS, SCHEMA, STATES
from shadowbox.games.brawl.world import BrawlWorld


def controls(matches=1, first=(), second=()):
    """Keys held by the two players of every match."""
    return {
        f"keys/{key}": np.tile(np.array([[key in first, key in second]]), (matches, 1))
        for key in KEYS
    }


def standing(x=4.0, y=0.35, **options):
    """A match whose first fighter is at rest at (x, y), facing right."""
    world = BrawlWorld(1, weapons=False, **options)
    rows = world.snapshot()
    rows["x"][0], rows["y"][0], rows["grounded"][0], rows["facing_right"][0] = (
        (x, -5),
        (y, 2.35),
        True,
        True,
    )
    rows["state"][0] = STATES.index("standing")
    world.restore(rows)
    return world


def play(world, *keys, frames=1):
    """Hold keys for some frames; the first fighter's columns after each frame."""
    track = []
    for _ in range(frames):
        columns, events, _ = world.step(controls(world.matches, keys))
        row = {key[7:]: columns[key][0, 0].item() for key in columns if key.startswith("player/")}
        track.append(row | {"events": [EVENTS[kind] for kind in events["kind"]]})
    return track


def test_a_fighter_walks_turns_dashes_and_sprints():
    """Walking is 6.75 u/s, turning takes a frame, L dashes for nine frames and then sprints."""
    world = standing(x=6.3)
    assert play(world, "d")[-1]["vx"] == pytest.approx(6.75)
    turned = play(world, "a")[-1]
    assert (STATES[turned["state"]], turned["facing_right"], turned["vx"]) == (
        "turnaround",
        False,
        0,
    )
    dash = play(world, "a", "l", frames=9)
    assert {STATES[row["state"]] for row in dash} == {"dash"}
    assert dash[0]["vx"] == -10
    assert STATES[play(world, "a")[-1]["state"]] == "sprinting"
    assert STATES[play(world)[-1]["state"]] == "standing"


def test_a_back_dash_keeps_the_face_and_cannot_be_cancelled():
    """L against the facing direction slides back for seven frames, whatever else is pressed."""
    world = standing()
    rows = play(world, "a", "l") + play(world, "j", frames=6)
    assert {STATES[row["state"]] for row in rows} == {"backdash"}
    assert all(row["facing_right"] and row["vx"] == -4 for row in rows)
    assert STATES[play(world, "j")[-1]["state"]] == "attack"


def test_three_jumps_and_no_fourth():
    """One jump from the ground and two in the air, each on a press; landing gives them back."""
    world, jumps = standing(), 0
    for _ in range(5):
        jumps += play(world, "space")[0]["events"].count("jump")
        play(world, frames=8)
    assert jumps == 3
    landed = play(world, frames=90)
    assert "land" in landed[-1]["events"] or any("land" in row["events"] for row in landed)
    assert landed[-1]["air_jumps"] == 2


def test_holding_down_falls_faster():
    """S adds to the fall, up to 12 u/s."""
    slow, fast = standing(y=-6.0), standing(y=-6.0)
    for world in (slow, fast):
        rows = world.snapshot()
        rows["grounded"], rows["state"] = False, STATES.index("in_air")
        world.restore(rows)
    assert play(fast, "s", frames=12)[-1]["y"] > play(slow, frames=12)[-1]["y"] + 0.3


def test_a_ground_dodge_stays_on_the_ground_and_cools_down():
    """L alone dodges for ten frames without leaving the ground; the next dodge must wait."""
    world = standing()
    rows = play(world, "l") + play(world, frames=9)
    assert {STATES[row["state"]] for row in rows} == {"dodge"}
    assert all(row["grounded"] for row in rows)
    assert STATES[play(world)[-1]["state"]] == "standing"
    assert STATES[play(world, "l")[-1]["state"]] != "dodge"


def test_the_platform_carries_and_lets_through_from_below():
    """A fighter on the platform moves with it; one who jumps from below lands on top of it."""
    world = BrawlWorld(1, weapons=False)
    rows = world.snapshot()
    rows["x"][0, 0], rows["y"][0, 0] = rows["platform_x"][0, 0], rows["platform_y"][0, 0] - 0.7
    world.restore(rows)
    track = play(world, frames=100)
    assert track[-1]["on_platform"]
    carried = [row["x"] for row in track if row["on_platform"]]
    assert max(carried) - min(carried) > 0.8
    rows = world.snapshot()
    rows["y"][0, 0], rows["vy"][0, 0] = rows["platform_y"][0, 0] + 0.8, -8.0
    rows["grounded"][0, 0] = rows["on_platform"][0, 0] = False
    world.restore(rows)
    assert any(row["on_platform"] for row in play(world, frames=60))


def test_walls_stop_and_throw_back_the_stunned():
    """A block's side stops a fighter, and throws a stunned one back with 0.7 of the speed."""
    world = standing(x=1.2, y=3.0)
    rows = world.snapshot()
    rows["grounded"][0, 0], rows["state"][0, 0], rows["vx"][0, 0] = (
        False,
        STATES.index("in_air"),
        6.0,
    )
    world.restore(rows)
    assert play(world, "d", frames=8)[-1]["x"] == pytest.approx(2.0 - rules.BODY_W)
    rows["state"][0, 0], rows["stun"][0, 0], rows["vx"][0, 0] = STATES.index("stun"), 30, 15.0
    world.restore(rows)
    assert min(row["vx"] for row in play(world, frames=8)) < -8


def test_weapons_appear_are_taken_dropped_and_vanish():
    """A spawned weapon falls on its block, H takes it, H drops it, and in 250 frames it is gone."""
    world = BrawlWorld(1)
    rows = world.snapshot()
    rows["spawner_timer"][0] = (2, 0)
    world.restore(rows)
    for _ in range(40):
        columns, _, _ = world.step(controls())
    assert columns["item/alive"][0].tolist() == [True, False, False, False]
    assert columns["item/y"][0, 0] == pytest.approx(0.85 - rules.ITEM_H)
    rows = world.snapshot()
    kind = rows["item_weapon"][0, 0].copy()
    rows["x"][0, 0], rows["y"][0, 0], rows["grounded"][0, 0] = rows["item_x"][0, 0], 0.35, True
    world.restore(rows)
    columns, events, _ = world.step(controls(first=("h",)))
    assert columns["player/weapon"][0, 0] == kind == events[0]["what"]
    assert not columns["item/alive"].any()
    assert columns["spawner/timer"][0, 0] >= 300
    world.step(controls())
    columns, events, _ = world.step(controls(first=("h",)))
    assert columns["player/weapon"][0, 0] == 0
    assert EVENTS[events[0]["kind"]] == "drop"
    assert columns["item/weapon"][0, 2] == kind
    for _ in range(251):
        columns, _, _ = world.step(controls())
    assert not columns["item/alive"][0, 2]
    assert columns["item/x"][0, 2] == 0


def test_a_held_heavy_hits_harder():
    """K held charges a heavy: 1.6 times the damage at most, and it goes off by itself."""
    damages = []
    for held in (1, 80):
        world = standing()
        rows = world.snapshot()
        rows["x"][0, 1], rows["y"][0, 1] = rows["x"][0, 0] + 0.9, 0.35
        world.restore(rows)
        play(world, "d", "k", frames=1)
        play(world, "k", frames=held - 1) if held > 1 else None
        play(world, frames=20)
        damages.append(world.snapshot()["damage"][0, 1])
    assert damages[1] >= 1.59 * damages[0] > 0


def test_the_starting_side_is_a_coin_flip():
    """The side of the start is a coin flip of the seed, and a seed always gives the same side."""
    world = BrawlWorld(400)
    left = world.reset(np.arange(400))["player/x"][:, 0] < 0
    assert 0.4 < left.mean() < 0.6
    assert np.array_equal(left, world.reset(np.arange(400))["player/x"][:, 0] < 0)


# ---- wrong calls ----


def broken(key="keys/j", value=None):
    """Controls with one wrong column."""
    made = controls(2)
    if value is None:
        del made[key]
    else:
        made[key] = value
    return made


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (broken(), "lack 'keys/j'"),
        (broken(value=np.zeros((3, 2), bool)), r"must have shape \(2, 2\) \(got \(3, 2\)\)"),
        (
            broken(value=np.array([[0, 0], [0, np.nan]])),
            r"match 1, player 1 must be 0 or 1 \(got nan\)",
        ),
        (
            broken(value=np.array([[0, 2], [0, 0]])),
            r"match 0, player 1 must be 0 or 1 \(got 2\)",
        ),
        (broken(value=np.array([["", ""], ["", ""]])), "must be 0 or 1"),
    ],
)
def test_wrong_controls_are_refused_in_one_line(wrong, words):
    """Wrong keys, shapes and values are refused with the key, the match and the player."""
    with pytest.raises(UsageError, match=words) as caught:
        BrawlWorld(2).step(wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: GAME.world(1, stage="warehose"),
            "unknown stage 'warehose': did you mean 'warehouse'",
        ),
        (lambda: GAME.world(1, stge="mirror"), "unknown world option 'stge': did you mean 'stage'"),
        (lambda: GAME.world(0), r"matches must be at least 1 \(got 0\)"),
        (lambda: GAME.world(1, time_limit=0), r"time_limit must be 1 to 65535 frames \(got 0\)"),
        (lambda: GAME.world(2).reset(np.zeros(3, int)), r"seeds must be .* \(got int64 \(3,\)\)"),
        (
            lambda: GAME.world(2).reset(np.arange(2), np.array([1, 0])),
            r"where must be a bool mask of shape \(2,\) \(got int64 \(2,\)\)",
        ),
        (lambda: GAME.world(2).restore(GAME.world(3).snapshot()), "does not fit into 2 matches"),
        (
            lambda: GAME.world(1).restore(GAME.world(1, stage="mirror").snapshot()),
            "taken on another stage",
        ),
        (lambda: GAME.bots["based"]("x"), "bot 'based' takes no argument: remove ':x'"),
        (
            lambda: GAME.bots["clockwork"]("d*x"),
            r"'d\*x' needs a number of frames \(1 to 10000\)",
        ),
        (lambda: GAME.bots["clockwork"](","), "script ',' holds no keys"),
        (
            lambda: GAME.bots["clockwork"]("spce*5"),
            "unknown key 'spce' in 'spce\\*5': did you mean 'space'",
        ),
    ],
)
def test_wrong_calls_are_refused_in_one_line(call, words):
    """Unknown stages and options, bots' arguments and misfit arrays are refused in one line."""
    with pytest.raises(UsageError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def with_move(weapon="spear", move="side_light", strike=None, **changes):
    """The arsenal with one move changed."""
    moved = replace(ARSENAL[weapon][move], **changes)
    if strike:
        moved = replace(moved, strikes=(replace(moved.strikes[0], **strike),))
    return {**ARSENAL, weapon: {**ARSENAL[weapon], move: moved}}


@pytest.mark.parametrize(
    ("arsenal", "words"),
    [
        ({"unarmed": ARSENAL["unarmed"], "hammer": ARSENAL["hammer"]}, "weapon 'spear' is missing"),
        ({**ARSENAL, "hamer": {}}, "unknown weapon 'hamer': did you mean 'hammer'"),
        (with_move(strikes=()), r"spear.side_light: strikes must number 1 to 4 \(got 0\)"),
        (with_move(recovery=0), r"recovery must be at least 1 frame \(got 0\)"),
        (with_move(recovery=99), r"must be at most 95 frames long \(got"),
        (with_move(strike={"frames": (0, 3)}), r"strike 0: active frames must .* \(got 0 to 3\)"),
        (with_move(strike={"box": (1.0, 0.0, -1.0, 0.5)}), "hit box must be positive"),
        (with_move(strike={"box": (9.0, 0.0, 1.0, 0.5)}), r"within 3 u of .* \(got \(9.0, 0.0"),
        (with_move(strike={"damage": float("nan")}), r"damage must be 0 to 40 \(got nan\)"),
        (with_move(strike={"stun": 99}), r"stun must be 0 to 40 \(got 99\)"),
        (with_move(motions=((99, 1.0, None),)), "motion at frame 99: the frame must be within 0"),
        (with_move(charge=99), r"charge must be 0 to 31 frames \(got 99\)"),
    ],
)
def test_a_broken_move_table_names_weapon_move_and_number(arsenal, words):
    """A mistake in the move table is refused with its weapon, move, strike and number."""
    with pytest.raises(UsageError, match=words):
        compile_table(arsenal)


def test_the_move_table_is_whole_and_distinct():
    """The 33 moves have distinct names, and the weapons differ in reach, speed and force."""
    table = compile_table(ARSENAL)
    assert table.dtype == TABLE
    assert len({move.name for moves in ARSENAL.values() for move in moves.values()}) == 33
    reach = (table["box_x"] + table["box_w"]).max(axis=-1)[:, 1:].mean(axis=1)
    startup = table["first"][:, 1:, 0].mean(axis=1)
    force = (table["fixed"] + 2 * table["variable"]).max(axis=-1)[:, 1:].mean(axis=1)
    assert reach[1] > reach[2] > reach[0]
    assert startup[0] < startup[1] < startup[2]
    assert force[2] == force.max()


def test_describing_the_game_imports_no_compiler():
    """The record of the game loads without Numba and without torch."""
    code = (
        "import sys; from shadowbox.games import load; load('brawl'); "
        "print({'numba', 'torch'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
    assert load("brawl") is GAME
    assert SCHEMA.players == 2


def test_the_docs_show_the_fields_as_they_are():
    """The table of fields in docs/brawl.md is the table that the schema prints."""
    page = Path(__file__).parents[3] / "docs" / "brawl.md"
    assert SCHEMA.table() in page.read_text(encoding="utf-8")
