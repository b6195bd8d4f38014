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
from shadowbox.games.brawl.schema import EVENTS, KEYS, SCHEMA, STATES
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
