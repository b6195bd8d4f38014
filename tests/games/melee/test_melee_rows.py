"""Items and moving stage parts in the rows of an episode: slots, Randall, platforms, wind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_matches import content, episode, match, replay

from shadowbox.errors import RecordingError
from shadowbox.games.melee import slp
from shadowbox.games.melee.export import replay_of
from shadowbox.games.melee.items import place
from shadowbox.games.melee.names import DREAM_LAND, FOUNTAIN, YOSHIS
from shadowbox.games.melee.rows import rows_of
from shadowbox.games.melee.stages import RANDALL_PERIOD, randall

# ---- items ----


def test_items_keep_their_slot_and_their_owner():
    """An item keeps its slot from its first frame to its last, whatever other items do."""
    original = match(items=[(0, 5, 60, 54, 0), (1, 20, 10, 79, 1), (1, 40, 30, 210, 2)])
    columns = episode(slp.write(replay_of(original))).columns
    for key in ("alive", "type", "owner", "x"):
        slots = {tuple(values) for values in columns[f"item/{key}"].T.tolist()}
        assert slots == {tuple(values) for values in original.columns[f"item/{key}"].T.tolist()}


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 20), st.sampled_from([54, 74, 99, 210])),
        max_size=25,
    )
)
def test_slots_are_stable_and_never_shared(lives):
    """Each item has one slot or none, none overlap, and a slot is empty for a frame in between."""
    frame = np.concatenate([np.arange(a, a + n) for a, n, _ in lives] or [np.zeros(0, np.int64)])
    spawn = np.repeat(np.arange(len(lives)), [n for _, n, _ in lives])
    kind = np.repeat([k for _, _, k in lives], [n for _, n, _ in lives]).astype(np.int64)
    placed = place(frame, spawn, kind)
    taken = np.full((5, 66), -1)
    for item, (first, length, _) in enumerate(lives):
        slots = set(placed.slot[spawn == item].tolist())
        assert len(slots) == 1
        (slot,) = slots
        if slot >= 0:
            around = taken[slot, first : first + length + 2]
            assert (around == -1).all()
            taken[slot, first + 1 : first + length + 1] = item
    assert placed.rows_left_out == int((placed.slot < 0).sum())
    assert placed.items_left_out == len({int(s) for s in spawn[placed.slot < 0]})


def test_projectiles_get_slots_first():
    """With too many items at once, the props of a hand are left out and counted."""
    kinds = [74, 74, 74, 54, 54, 54, 210]
    frame, spawn = np.tile(np.arange(10), 7), np.repeat(np.arange(7), 10)
    placed = place(frame, spawn, np.repeat(kinds, 10))
    kept = {int(i) for i in spawn[placed.slot >= 0]}
    assert kept >= {3, 4, 5, 6}
    assert len(kept) == 5
    assert (placed.items_left_out, placed.rows_left_out) == (2, 20)


# ---- stages ----


def test_randall_goes_round():
    """Randall repeats every 1,200 frames, is solid outside the stage, and moves smoothly."""
    frames = np.arange(3 * RANDALL_PERIOD) - 39
    out, x, y = randall(frames)
    np.testing.assert_allclose(x[:RANDALL_PERIOD], x[RANDALL_PERIOD : 2 * RANDALL_PERIOD])
    assert np.abs(np.diff(x)).max() < 0.5
    assert np.abs(np.diff(y)).max() < 0.5
    assert 0.1 < out.mean() < 0.9
    columns = episode(content(stage=YOSHIS, frames=700)).columns
    np.testing.assert_array_equal(columns["stage/randall"][:, 0], out[:701])


def test_platforms_of_the_fountain_and_the_wind():
    """Heights and wind hold until the next event; without events they are absent."""
    original = match(stage=FOUNTAIN)
    original.columns["stage/left_height"][:] = 16.125
    original.columns["stage/left_height"][50:] = 20.5
    original.columns["stage/right_height"][:] = 22.125
    columns = episode(slp.write(replay_of(original))).columns
    for side in ("left", "right"):
        key = f"stage/{side}_height"
        np.testing.assert_allclose(columns[key], original.columns[key], atol=0.01)
    windy = match(stage=DREAM_LAND)
    windy.columns["stage/wind"][30:60] = 2
    np.testing.assert_array_equal(
        episode(slp.write(replay_of(windy))).columns["stage/wind"], windy.columns["stage/wind"]
    )
    old = replay(stage=FOUNTAIN)
    old.fountain = None
    assert {"stage/left_height", "stage/right_height"} <= rows_of(old).absent


@pytest.mark.slow
def test_feet_are_at_the_height_of_moving_platforms(replays):
    """In real replays feet are on the fountain's platforms to 0.01, and on Randall to 0.3 units."""
    (path,) = replays.rglob("FodPlatforms.slp")
    columns = episode(path).columns
    for ground, side in ((1, "left"), (2, "right")):
        on_top = columns["player/on_ground"] & (columns["player/ground"] == ground)
        height = np.broadcast_to(columns[f"stage/{side}_height"], on_top.shape)
        assert on_top.sum() > 100
        np.testing.assert_allclose(columns["player/y"][on_top], height[on_top], atol=0.01)
    checked = 0
    for path in sorted(replays.rglob("*.slp")):
        try:
            game = episode(path)
        except RecordingError:
            continue
        if game.meta["stage"] != "yoshis_story" or "player/on_ground" in game.absent:
            continue
        c = game.columns
        on_top = (
            c["player/on_ground"]
            & (c["player/ground"] == 1)
            & (np.abs(c["player/x"]) > 60)
            & (c["player/action"] < 252)
        )
        on_top &= np.broadcast_to(c["player/y"] < -10, on_top.shape)
        x, y = (np.broadcast_to(c[f"stage/randall_{axis}"], on_top.shape)[on_top] for axis in "xy")
        assert (np.abs(c["player/x"][on_top] - x) < 6.6).all()
        assert (np.abs(c["player/y"][on_top] - y) < 0.3).all()
        checked += int(on_top.sum())
    assert checked > 50
