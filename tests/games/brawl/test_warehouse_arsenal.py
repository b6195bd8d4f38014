"""A move table that is read from a checkout of our own making: parts, paths, pulls and velocities."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from test_original_rules import begin, play

from shadowbox.core.game import EVENT
from shadowbox.errors import UsageError
from shadowbox.games.brawl import GAME
from shadowbox.games.brawl.schema import EVENTS
from shadowbox.games.brawl.warehouse.checkout import FILES, FOLDERS, read_arsenal

BOX = {"xOffset": 90, "yOffset": 0, "width": 120, "height": 100}  # to .96 u ahead


def cast(startup=4, attack=4, **more):
    """A cast with one box."""
    return {
        "startupFrames": startup, "attackFrames": attack, "baseDamage": 5, "fixedForce": 10,
        "variableForce": 0, "hitboxes": [BOX], **more,
    }  # fmt: skip


def power(*casts, hit=-1, miss=-1, **more):
    """A power."""
    return {
        "casts": list(casts), "recovery": 0, "fixedRecovery": 12, "stunTime": 40,
        "onHitNextPowerIndex": hit, "onMissNextPowerIndex": miss, "hitAngleDeg": 0, **more,
    }  # fmt: skip


PLAIN = [power(cast())]


def checkout(tmp_path, light=PLAIN, heavy=PLAIN):
    """A folder as the original's, whose unarmed neutral light and heavy are given."""
    for weapon, title in FOLDERS.items():
        folder = tmp_path / "environment" / f"{weapon}_attacks"
        folder.mkdir(parents=True)
        for name, tail in FILES.items():
            powers = {"neutral_light": light, "neutral_heavy": heavy}.get(name, PLAIN)
            key = "HEAVY" if "heavy" in name else "LIGHT"
            data = {"move": {"actionKey": key, "initialPowerIndex": 0}, "powers": powers}
            (folder / f"{title} {tail}.json").write_text(json.dumps(data), encoding="utf-8")
    return f"warehouse:{tmp_path}"


def fight(arsenal, distance=1.0, keys="j", frames=60, foe=None):
    """A move at a distance: the own track, the foe's columns after each frame, and the hits."""
    at = {"x": 4.0 + distance, "y": 0.35}
    world = begin({"x": 4.0}, at | (foe or {}), arsenal=arsenal, rules="original")
    own, other, hits = [], [], []
    for frame in range(frames):
        held = keys if isinstance(keys, str) else keys(frame)
        own += play(world, (held if frame == 0 or callable(keys) else "", 1))
        rows = world.snapshot()
        other.append({name: rows[name][0, 1].item() for name in ("x", "vx", "damage", "stun")})
        log = world.records.events
        hits += [frame] if len(hits) * 5 < other[-1]["damage"] else []
        assert log.dtype == EVENT
    return own, other, hits


def length(track):
    """Frames of the move that a track begins with."""
    return next(at for at, row in enumerate(track) if row["move"] == 0)


def test_a_checkout_gives_all_moves(tmp_path):
    """All 33 moves are read, in a world of that name, and the usual table stays as it was."""
    arsenal = checkout(tmp_path)
    world = GAME.world(1, arsenal=arsenal)
    assert world.name == f"brawl@arsenal={arsenal}"
    moves = read_arsenal(tmp_path)
    assert {len(each) for each in moves.values()} == {11}
    assert (world.records.table["strikes"][:, 1:] == 1).all()
    assert not (GAME.world(1).records.table["paths"]).any()


def test_times_are_halved_and_boxes_scaled(tmp_path):
    """Start-up, attack and recovery: first hit in frame 3 after the press, and it ends on time."""
    arsenal = checkout(tmp_path)
    own, _, hits = fight(arsenal)
    assert hits == [3]  # two frames of start-up after the frame of the press
    assert length(own) == 1 + 2 + 2 + (6 - 2) + 1  # attack counts as recovery in a last power
    assert fight(arsenal, distance=1.5)[2] == []  # box to .96 u, and .46 u of the other


def test_hit_and_miss_lead_to_other_powers(tmp_path):
    """After a hit the move goes on with one power, after a miss with another."""
    light = [
        power(cast(), hit=1, miss=2, fixedRecovery=2),
        power(cast(baseDamage=5)),
        power(cast(2, 2, hitboxes=[]), fixedRecovery=30),
    ]
    arsenal = checkout(tmp_path, light)
    own, _, hits = fight(arsenal)
    assert len(hits) == 2
    far, _, none = fight(arsenal, distance=4.0)
    assert none == []
    assert length(far) == 1 + 4 + 2 + (1 + 1 + 14 + 1)
    assert length(own) == 1 + 4 + 2 + (2 + 2 + 4 + 1)


def test_an_instant_hit_goes_on_at_once(tmp_path):
    """With `transitionOnInstantHit` the rest of a power is left out."""
    light = [power(cast(4, 20), hit=1, miss=-1, transitionOnInstantHit=True), power(cast())]
    slow = copy.deepcopy(light)
    slow[0]["transitionOnInstantHit"] = False
    at_once, later = (
        fight(checkout(tmp_path / name, powers))[2]
        for name, powers in (("one", light), ("two", slow))
    )
    assert at_once[1] < later[1] - 4


def test_a_power_that_hits_everybody_needs_no_box(tmp_path):
    """`hitAllHitAgents` hits whom an earlier power has hit, and nobody else."""
    light = [
        power(cast(), hit=1, miss=1, fixedRecovery=0),
        power(cast(8, 4, hitboxes=[]), hitAllHitAgents=True),
    ]
    arsenal = checkout(tmp_path, light)
    assert len(fight(arsenal)[2]) == 2
    assert fight(arsenal, distance=4.0)[2] == []


def test_a_victim_is_pulled(tmp_path):
    """A position target draws the victim ahead of the fighter, in place of a launch."""
    changes = [
        {"frame": 2 * frame, "dealtPositionTarget": {"xOffset": 80, "mult": 6, "active": True}}
        for frame in range(14)
    ]
    light = [power(cast(4, 20, frameChanges=changes))]
    _, other, hits = fight(checkout(tmp_path, light), distance=1.3)
    assert hits
    assert min(row["x"] for row in other) < 5.3 - 0.4
    assert min(row["vx"] for row in other) < -1.0


def test_velocities_are_set_damped_and_added(tmp_path):
    """The own velocity: set with an angle or by axis (theirs is upward), damped, and added to."""
    changes = [
        {"frame": 2, "casterVelocitySet": {"magnitude": 4.0, "directionDeg": 0, "active": True}},
        {"frame": 4, "casterVelocityDampXY": {"dampX": 0.5, "activeX": True}},
        {"frame": 6, "casterVelocityAddXY": {"magnitudeX": 3.0, "activeX": True}},
        {"frame": 8, "casterVelocitySetXY": {"magnitudeY": 6.0, "activeY": True}},
    ]
    own, _, _ = fight(checkout(tmp_path, [power(cast(16, 2, frameChanges=changes))]), 4.0)
    drag = 0.291
    expected = [4.0 - drag, (4.0 - drag) / 2 - drag]
    assert [row["vx"] for row in own[2:4]] == pytest.approx(expected, abs=1e-3)
    assert own[4]["vx"] == pytest.approx(expected[1] + 3.0 - drag, abs=1e-3)
    assert own[5]["y"] < own[4]["y"] - 0.1


def test_a_charge_goes_off_when_the_key_is_released(tmp_path):
    """A power that charges waits for the key, between its shortest and its longest time."""
    heavy = [
        power(cast(40, 0, hitboxes=[]), miss=1, isCharge=True, minCharge=8),
        power(cast()),
    ]
    arsenal = checkout(tmp_path, heavy=heavy)
    first = [
        fight(arsenal, keys=lambda frame, held=held: "k" if frame < held else "")[2][0]
        for held in (1, 15, 60)
    ]
    assert first == [9, 18, 25]


def test_a_point_that_meets_the_ground_goes_on(tmp_path):
    """A check point below 1.54 u leads to the power of the ground; the right block is above it."""
    point = {"xOffset": 0, "yOffset": 200}  # 1.28 u below the center
    light = [
        power(
            cast(4, 20, hitboxes=[], collisionCheckPoints=[point]),
            miss=-1,
            onGroundNextPowerIndex=1,
        ),
        power(cast(), fixedRecovery=40),
    ]
    ground = length(fight(checkout(tmp_path / "a", light), 4.0)[0])
    light[0]["casts"][0]["collisionCheckPoints"] = [{"xOffset": 0, "yOffset": 100}]
    assert ground > length(fight(checkout(tmp_path / "b", light), 4.0)[0])


def test_events_name_the_hits(tmp_path):
    """Hits of a table from outside are events as others are."""
    world = begin({"x": 4.0}, {"x": 5.0, "y": 0.35}, arsenal=checkout(tmp_path))
    keys = {f"keys/{key}": np.array([[key == "j", False]]) for key in "wasdhljkg"}
    keys["keys/space"] = np.zeros((1, 2), bool)
    kinds = [EVENTS[kind] for _ in range(6) for kind in world.step(keys)[1]["kind"]]
    assert kinds == ["hit"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["powers"][0].pop("casts"), r"NLight.json.*powers\[0\].casts is missing"),
        (
            lambda d: d["powers"][0].update(stunTime="long"),
            r"NLight.json.*powers\[0\].stunTime must be a whole number",
        ),
        (
            lambda d: d["powers"][0]["casts"][0].update(attackFrames=99999),
            r"NLight.json: powers\[0\].casts\[0\].attackFrames must be 0 to 600",
        ),
        (
            lambda d: d["powers"][0].update(onHitNextPowerIndex=3),
            r"powers\[0\].onHitNextPowerIndex must be -1 or below 1",
        ),
        (
            lambda d: d["powers"][0].update(fixedRecovery=400),
            "NLight.json: the move must be at most 95 frames long",
        ),
    ],
)
def test_mistakes_name_the_file_and_the_key(tmp_path, change, words):
    """Missing keys, wrong types and impossible numbers are refused with file and key."""
    checkout(tmp_path)
    path = tmp_path / "environment" / "unarmed_attacks" / "Unarmed NLight.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        read_arsenal(tmp_path)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    """A missing file says which, and another text what is expected."""
    with pytest.raises(UsageError, match=r"Unarmed NLight.json does not exist; name a checkout"):
        GAME.world(1, arsenal=f"warehouse:{tmp_path}")
    with pytest.raises(UsageError, match="expected warehouse:PATH"):
        GAME.world(1, arsenal="elsewhere")
