"""The simulator: the same bits however it is run, exact hits, bounded numbers, equal seats."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shadowbox.core.view import from_seat, mirrored
from shadowbox.games.brawl import rules
from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.schema import EVENTS, KEYS, MOVES, SCHEMA, STATES, WEAPONS
from shadowbox.games.brawl.world import BrawlWorld

GOLDEN = Path(__file__).with_name("golden.json")
SEEDS = np.array([11, 12, 13, 14])


def keys_at(frame: int, matches: int, seed: int = 5) -> dict:
    """Keys held for a few frames each; match i presses the same keys in any number of matches."""
    held = {"w": 0.15, "s": 0.15, "h": 0.1, "l": 0.08, "g": 0.02, "j": 0.3, "k": 0.2, "space": 0.3}
    out = {}
    for n, key in enumerate(KEYS):
        draws = np.stack(
            [np.random.default_rng([seed, i, n, frame // 5]).random(2) for i in range(matches)]
        )
        out[f"keys/{key}"] = draws < held.get(key, 0.4)
    return out


def run(world: BrawlWorld, frames: range, matches: int | None = None) -> tuple[list, np.ndarray]:
    """Step through `frames`; the state columns after every frame, and all events."""
    states, events = [], []
    for frame in frames:
        columns, happened, _ = world.step(keys_at(frame, matches or world.matches))
        states.append({key: columns[key].copy() for key in SCHEMA.state_keys})
        events.append(happened.copy())
    return states, np.concatenate(events)


def assert_same(ours: dict, theirs: dict) -> None:
    """Assert that all columns are equal, bit for bit."""
    for key, values in ours.items():
        assert values.tobytes() == theirs[key].tobytes(), key


def fingerprint(stage: str = "warehouse", frames: int = 400) -> str:
    """Digest of everything that happens in a short run."""
    world, digest = BrawlWorld(4, stage=stage), hashlib.sha256()
    world.reset(SEEDS)
    states, events = run(world, range(frames))
    for state in states:
        for values in state.values():
            digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(events.tobytes())
    return digest.hexdigest()


def golden(stage: str) -> list:
    """Every 40th frame of a run, to detect changes of the rules."""
    world = BrawlWorld(4, stage=stage)
    world.reset(SEEDS)
    states, _ = run(world, range(600))
    names = ("x", "y", "vx", "vy", "damage", "state", "stocks", "weapon", "move")
    return [
        [np.round(state[f"player/{name}"].astype(float), 3).tolist() for name in names]
        for state in states[39::40]
    ]


@pytest.mark.parametrize("stage", ["warehouse", "mirror"])
def test_golden(stage):
    """A known run gives the stored trajectory."""
    np.testing.assert_allclose(golden(stage), json.loads(GOLDEN.read_text())[stage], atol=2e-3)


def test_plain_python_gives_the_same_bits():
    """The physics without the compiler give the same bits."""
    code = "import test_brawl_physics as t; print(t.fingerprint(frames=300))"
    here = os.pathsep.join((str(Path(__file__).parent), *sys.path))
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": here}
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.stdout.strip() == fingerprint(frames=300), out.stderr


def test_a_restored_match_goes_on_as_if_never_stopped():
    """Matches restored from a snapshot into another world go on with the same frames."""
    world, other = BrawlWorld(4), BrawlWorld(4)
    world.reset(SEEDS)
    run(world, range(250))
    where = np.array([True, False, True, True])
    snapshot = world.snapshot(where)
    straight, events = run(world, range(250, 500))
    other.restore(snapshot, where)
    again, events_again = run(other, range(250, 500))
    for ours, theirs in zip(straight, again, strict=True):
        assert_same(
            {k: v[where] for k, v in ours.items()}, {k: v[where] for k, v in theirs.items()}
        )
    assert np.array_equal(
        events[where[events["match"]]], events_again[where[events_again["match"]]]
    )


def test_columns_alone_resume_a_match():
    """A world loaded from a row of state columns goes on with the same bits."""
    world, other = BrawlWorld(4), BrawlWorld(4)
    world.reset(SEEDS)
    (*_, last), _ = run(world, range(333))
    keys = SCHEMA.neutral(4)
    other.load({**keys, **last})
    ours, theirs = run(world, range(333, 600)), run(other, range(333, 600))
    for a, b in zip(ours[0], theirs[0], strict=True):
        assert_same(a, b)


def test_one_match_is_the_same_among_many():
    """A match depends on its seed and keys, not on its neighbors."""
    alone, crowd = BrawlWorld(1), BrawlWorld(1024)
    alone.reset(np.array([77]))
    seeds = np.arange(1024)
    seeds[0] = 77
    crowd.reset(seeds)
    for frame in range(400):
        keys = keys_at(frame, 1)
        noise = np.random.default_rng(frame).random((1024, 2)) < 0.5
        many = {
            key: np.where(np.arange(1024)[:, None] == 0, values, noise)
            for key, values in keys.items()
        }
        a, events_a, _ = alone.step(keys)
        b, events_b, _ = crowd.step(many)
        assert_same(
            {k: a[k][0] for k in SCHEMA.state_keys}, {k: b[k][0] for k in SCHEMA.state_keys}
        )
        assert np.array_equal(events_a, events_b[events_b["match"] == 0])


def test_swapped_seats_in_the_mirror_give_the_mirrored_match():
    """On the symmetric stage, swapped seats and mirrored keys give exact mirror images."""
    ours, theirs = (BrawlWorld(16, stage="mirror", weapons=False) for _ in range(2))
    a, b = ours.reset(np.arange(16)), theirs.reset(np.arange(16))
    for frame in range(1500):
        reflected = mirrored(SCHEMA, from_seat(SCHEMA, a, 1))
        for key in SCHEMA.state_keys:
            np.testing.assert_array_equal(reflected[key], b[key], err_msg=f"{key} at frame {frame}")
        keys = keys_at(frame, 16)
        a, _, _ = ours.step(keys)
        b, _, _ = theirs.step(mirrored(SCHEMA, from_seat(SCHEMA, keys, 1)))


def test_a_finished_match_stays_as_it_is():
    """Stepping a match that is over changes nothing, emits nothing and keeps done."""
    world = BrawlWorld(2, time_limit=30)
    for frame in range(30):
        columns, _, done = world.step(keys_at(frame, 2))
    assert done.all()
    frozen = {key: values.copy() for key, values in columns.items()}
    columns, events, done = world.step(keys_at(99, 2))
    assert_same(frozen, columns)
    assert len(events) == 0
    assert done.all()


# ---- hits ----

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


# ---- events and bounds ----


def test_events_and_changes_of_state_agree():
    """Every event has its change of state and every change its event, from stocks to results."""
    world = BrawlWorld(32, time_limit=900)
    before = {key: values.copy() for key, values in world.reset(np.arange(32)).items()}
    seen = set()
    for frame in range(900):
        columns, events, done = world.step(keys_at(frame, 32, seed=8))
        after = {
            key[7:]: columns[key].astype(float) for key in columns if key.startswith("player/")
        }
        was = {key[7:]: before[key].astype(float) for key in before if key.startswith("player/")}
        tally = {}
        for kind, name in enumerate(EVENTS):
            rows = events[events["kind"] == kind]
            seen |= {name} if len(rows) else set()
            tally[name] = np.zeros((32, 2))
            np.add.at(
                tally[name],
                (rows["match"], rows["other" if name in ("hit", "combo") else "player"]),
                1,
            )
        hurt = np.zeros((32, 2))
        hits = events[events["kind"] == EVENTS.index("hit")]
        np.add.at(hurt, (hits["match"], hits["other"]), hits["value"])
        back = tally["respawn"] > 0
        np.testing.assert_allclose(
            np.where(back, 0, after["damage"] - was["damage"]), np.where(back, 0, hurt), atol=1e-3
        )
        np.testing.assert_array_equal(was["stocks"] - after["stocks"], tally["knockout"])
        assert (after["shield"][back] > 0).all()
        assert (was["state"][back] == STATES.index("ko")).all()
        assert (tally["combo"] <= tally["hit"]).all()
        assert (was["state"][tally["combo"] > 0] == STATES.index("stun")).all()
        empty = (after["weapon"] == 0) & (was["weapon"] > 0)
        np.testing.assert_array_equal(
            empty & (tally["knockout"] == 0), (tally["drop"] > 0) & (after["weapon"] == 0)
        )
        np.testing.assert_array_equal(
            (after["weapon"] > 0) & (was["weapon"] == 0),
            (tally["pickup"] > 0) & (was["weapon"] == 0),
        )
        np.testing.assert_array_equal(
            (after["grounded"] > 0) & (was["grounded"] == 0) & ~back, (tally["land"] > 0) & ~back
        )
        spent = (after["air_jumps"] < was["air_jumps"]) & ~back
        assert (tally["jump"][spent] == 1).all()
        assert (after["vy"][(tally["jump"] > 0) & (tally["hit"] == 0)] < 0).all()
        over = columns["match/over"][:, 0] & ~before["match/over"][:, 0]
        ends = np.isin(events["kind"], [EVENTS.index("win"), EVENTS.index("draw")])
        np.testing.assert_array_equal(np.flatnonzero(over), np.sort(events["match"][ends]))
        won = events[events["kind"] == EVENTS.index("win")]
        np.testing.assert_array_equal(columns["match/winner"][won["match"], 0], won["player"])
        assert (events["frame"] == columns["match/frame"][events["match"], 0]).all()
        before = {key: values.copy() for key, values in columns.items()}
    assert done.all()
    assert seen >= set(EVENTS) - {"draw"}


def test_time_out_is_decided_by_stocks_then_damage():
    """At time-out more stocks win, then less damage; equals draw."""
    world = BrawlWorld(3, time_limit=5, weapons=False)
    rows = world.snapshot()
    rows["stocks"][0], rows["damage"][1], rows["damage"][0] = (3, 2), (10, 20), (50, 0)
    world.restore(rows)
    for _ in range(5):
        columns, events, _ = world.step(
            keys_at(0, 3) | {f"keys/{key}": np.zeros((3, 2), bool) for key in KEYS}
        )
    assert columns["match/winner"][:, 0].tolist() == [0, 0, 2]
    kinds = [EVENTS[kind] for kind in events["kind"]]
    assert sorted(kinds) == ["draw", "timeout", "timeout", "timeout", "win", "win"]


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


@pytest.mark.slow
def test_nothing_escapes_in_ten_million_random_steps():
    """With random keys, all numbers stay finite and inside the ranges of the schema."""
    matches, steps = 1024, 10_000
    limits = {k: c.field.limits for k, c in SCHEMA.columns.items() if c.field.kind != "flag"}
    draws = np.random.default_rng(0)
    pool = [
        {key: draws.random((matches, 2)) < 0.45 for key in SCHEMA.control_keys} for _ in range(31)
    ]
    for stage in ("warehouse", "mirror"):
        world = BrawlWorld(matches, stage=stage)
        for step in range(steps // 2):
            columns, _, done = world.step(pool[step * step % 31])
            for key, (low, high) in limits.items():
                values = columns[key]
                assert values.min() >= low, key  # a NaN would fail here too
                assert values.max() <= high, key
            if done.any():
                world.reset(np.arange(matches) + step * matches, done.copy())


if __name__ == "__main__":
    GOLDEN.write_text(
        json.dumps(
            {stage: golden(stage) for stage in ("warehouse", "mirror")}, separators=(",", ":")
        )
        + "\n"
    )
