"""The rules of the original game, one by one, by scripted keys; and rules drawn for each match."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.games.brawl import GAME, rules
from shadowbox.games.brawl.schema import KEYS, STATES
from shadowbox.games.brawl.warehouse.variation import SHIPPED, read_ranges
from shadowbox.games.brawl.world import BrawlWorld

RIGHT = rules.stage("warehouse")["blocks"][0, 0]  # left, right, top, bottom


def begin(first=None, second=None, **options):
    """A match whose fighters are at rest on the right and the left block, changed by members."""
    world = BrawlWorld(1, weapons=False, **{"rules": "original"} | options)
    rows = world.snapshot()
    for p, (x, y) in enumerate(((4.0, 0.35), (-5.0, 2.35))):
        rows["x"][0, p], rows["y"][0, p], rows["grounded"][0, p] = x, y, True
        rows["facing_right"][0, p], rows["state"][0, p] = True, STATES.index("standing")
        for name, value in ((first, second)[p] or {}).items():
            rows[name][0, p] = STATES.index(value) if name == "state" else value
    world.restore(rows)
    return world


def play(world, *script):
    """Play a script of (keys, frames) in the first seat; its columns after each frame."""
    track = []
    for keys, frames in script:
        held = {f"keys/{key}": np.array([[key in keys.split("+"), False]]) for key in KEYS}
        for _ in range(frames):
            columns, _, _ = world.step(held)
            track.append(
                {k[7:]: v[0, 0].item() for k, v in columns.items() if k.startswith("player/")}
            )
    return track


def states(track):
    """Names of the states of a track."""
    return [STATES[row["state"]] for row in track]


AIR = {"state": "in_air", "grounded": False}


def test_gravity_acts_after_moving():
    """The first frame of a jump moves by the whole jump speed; then gravity has slowed it."""
    first = play(begin(), ("space", 1))[0]
    assert first["y"] == pytest.approx(0.35 - 8.9 / 30, abs=1e-5)
    assert first["vy"] == pytest.approx(-8.9 + 17.808 / 30, abs=1e-5)
    usual = play(begin(rules="usual"), ("space", 1))[0]
    assert usual["y"] == pytest.approx(first["y"] + 17.808 / 900, abs=1e-5)


def test_standing_is_still_standing_when_gravity_acts_after_moving():
    """A fighter at rest stays on its block, grounded, without speed."""
    track = play(begin(), ("", 30))
    assert all(row["grounded"] and row["vy"] == 0 for row in track)
    assert track[-1]["y"] == pytest.approx(0.35, abs=1e-6)


def test_the_first_air_jump_may_follow_at_once():
    """A jump from the ground starts no cooldown, a jump in the air does."""
    script = (("space", 1), ("", 1), ("space", 1), ("", 1), ("space", 1))
    assert [row["air_jumps"] for row in play(begin(), *script)] == [2, 2, 1, 1, 1]
    assert [row["air_jumps"] for row in play(begin(rules="usual"), *script)][2] == 2


def test_attacks_slide_and_are_not_steered():
    """On the ground only friction slows an attack, and in the air keys do not steer one."""
    world = begin({"vx": 6.0})
    speeds = [row["vx"] for row in play(world, ("w+k", 1), ("", 6))]
    assert np.diff(speeds)[1:] == pytest.approx(-0.291, abs=1e-4)
    air = play(begin(AIR | {"y": -4.0, "vx": 3.0}), ("j", 1), ("a", 6))
    assert {round(row["vx"], 4) for row in air} == {3.0}


def test_a_respawn_protects_nobody():
    """After a knock-out a fighter can be hit at once."""
    out = {"state": "ko", "age": rules.KO_FRAMES - 1, "grounded": False}
    assert play(begin(out), ("", 2))[-1]["shield"] == 0
    assert play(begin(out, rules="usual"), ("", 2))[-1]["shield"] > 0


def test_a_launch_is_added_to_the_velocity():
    """A fighter who falls with 4 u/s is launched 4 u/s slower upward than one at rest."""
    speeds = []
    for fall in (0.0, 4.0):
        at = {"x": 4.7, "y": -2.0, "vy": fall}
        world = begin(AIR | {"y": -2.0, "vy": fall}, AIR | at)
        for _ in range(12):
            play(world, ("j", 1))
            if world.snapshot()["stun"][0, 1]:
                break
        speeds.append(world.snapshot()["vy"][0, 1])
    assert speeds[1] - speeds[0] == pytest.approx(4.0, abs=0.2)


def test_a_dash_needs_a_walk():
    """L with the first press of a direction does not dash; L while walking does."""
    assert "dash" not in states(play(begin(), ("d+l", 4)))
    assert states(play(begin(), ("d", 3), ("d+l", 1)))[-1] == "dash"
    assert states(play(begin(rules="usual"), ("d+l", 1)))[-1] == "dash"


def test_walking_begins_a_frame_after_the_key():
    """The first frame of a walk has no speed, the second all of it."""
    assert [row["vx"] for row in play(begin(), ("d", 3))] == pytest.approx([0, 6.75, 6.75])


def test_turning_takes_three_frames_and_slides():
    """A walker who turns slides on for three frames, then walks the other way."""
    track = play(begin(), ("d", 4), ("a", 4))[4:]
    assert states(track) == ["turnaround"] * 3 + ["walking"]
    assert [row["vx"] for row in track[:3]] == pytest.approx([6.459, 6.168, 5.877], abs=1e-3)
    assert track[3]["vx"] == pytest.approx(-6.75)
    assert [row["facing_right"] for row in track] == [True] * 3 + [False]


def test_walls_rub_and_throw_nobody_back():
    """Steering into a wall slows a fall, and a stunned fighter does not bounce off it."""
    beside = AIR | {"x": RIGHT[0] - rules.BODY_W, "y": 2.0, "vy": 2.0}
    against, away = (play(begin(beside), (keys, 10))[-1]["vy"] for keys in ("d", ""))
    assert against < away - 1.0
    thrown = beside | {"x": 1.0, "state": "stun", "stun": 30, "vx": 15.0}
    assert min(row["vx"] for row in play(begin(thrown), ("", 8))) == 0.0
    assert min(row["vx"] for row in play(begin(thrown, rules="usual"), ("", 8))) < -8


def test_the_platform_is_solid_from_below():
    """A fighter who jumps from below bumps the platform; by the usual rules it passes."""
    tops = []
    for name in ("original", "usual"):
        world = begin(AIR, rules=name)
        rows = world.snapshot()
        rows["x"][0, 0], rows["y"][0, 0] = rows["platform_x"][0, 0], rows["platform_y"][0, 0] + 1.0
        rows["vy"][0, 0] = -9.0
        world.restore(rows)
        tops.append(min(row["y"] for row in play(world, ("", 12))))
    platform = float(rows["platform_y"][0, 0])
    assert tops[0] > platform > tops[1]


def test_equal_stocks_are_a_draw_whatever_the_damage():
    """At time-out less damage wins by the usual rules, and nobody by the original's."""
    winners = []
    for name in ("original", "usual"):
        world = begin(None, {"damage": 50.0}, rules=name, time_limit=5)
        play(world, ("", 5))
        winners.append(int(world.snapshot()["match_winner"][0, 0]))
    assert winners == [2, 0]


def test_every_rule_that_differs_has_its_test():
    """The rules in which the original differs from ours are those that the tests above play."""
    differ = {name for name, rule in rules.RULES.items() if rule.usual != rule.original}
    assert differ == {
        "late_gravity", "ground_jump_cools", "attack_steering", "attack_friction",
        "shield_frames", "launch_adds", "standing_dash", "walk_delay", "turn_frames",
        "wall_friction", "wall_bounce", "solid_platform", "damage_breaks_ties",
    }  # fmt: skip


# ---- rules drawn for each match ------------------------------------------------------------------


def ranges(tmp_path, **values):
    """A file of ranges."""
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return str(path)


def test_rules_are_drawn_from_the_seed_of_each_match(tmp_path):
    """Matches of a batch differ in their rules, and a match restored elsewhere has its own again."""
    path = ranges(tmp_path, gravity=[12, 24], turn_frames=[1, 4], launch=0.1)
    world = GAME.world(40, rules="original", randomize=path)
    world.reset(np.arange(40))
    drawn = world.stage["gravity"]
    assert len(set(drawn)) == 40
    assert 12 <= drawn.min() <= drawn.max() <= 24
    assert set(world.stage["turn_frames"]) == {1, 2, 3, 4}
    assert set(world.stage["launch"]) == {0.1}
    one = GAME.world(1, rules="original", randomize=path)
    one.restore(world.snapshot(np.arange(40) == 7))
    assert one.stage["gravity"][0] == drawn[7]


def test_rules_ship_by_name():
    """The two files that ship are read by their names, and `unseen` is outside of `residual`."""
    shipped = [read_ranges(name) for name in SHIPPED]
    outside = [
        n
        for n, (low, high) in shipped[1].items()
        if n in shipped[0] and not (shipped[0][n][0] <= low <= high <= shipped[0][n][1])
    ]
    assert len(outside) >= 6


def test_drawn_rules_act(tmp_path):
    """A match of twice the gravity falls twice as fast."""
    path = ranges(tmp_path, gravity=24)
    fall = AIR | {"y": -4.0}
    slow, fast = (play(begin(fall, randomize=name), ("", 1))[0]["vy"] for name in ("", path))
    assert fast / slow == pytest.approx(24 / 17.808, abs=1e-5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"gravty": 17}, "rules.json: unknown rule 'gravty': did you mean 'gravity'"),
        ({"gravity": [20, 15]}, "gravity must be a number or .* within 10 and 25"),
        ({"walk_delay": [0, 0.5]}, "walk_delay must be whole"),
        ({"gravity": "much"}, "gravity must be a number or a list"),
    ],
)
def test_wrong_ranges_are_refused_by_name(tmp_path, values, words):
    """Unknown rules, wrong limits and other types are refused with file and name."""
    with pytest.raises(UsageError, match=words):
        GAME.world(1, randomize=ranges(tmp_path, **values))


def test_wrong_rules_are_refused():
    """An unknown set of rules and a missing file are named."""
    with pytest.raises(UsageError, match="unknown rules 'orignal': did you mean 'original'"):
        load("brawl").world(1, rules="orignal")
    with pytest.raises(UsageError, match=r"randomize=nowhere.json: the file does not exist"):
        load("brawl").world(1, randomize="nowhere.json")
