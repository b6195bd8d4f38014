"""Replays as episodes: aligned, gated, marked; who comes in, under which name, and who won."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_matches import content, match, replay
from made_replays import made

from shadowbox.core.episode import check
from shadowbox.errors import RecordingError, UsageError
from shadowbox.games.melee import GAME, slp
from shadowbox.games.melee.export import LEAD, replay_of
from shadowbox.games.melee.items import place
from shadowbox.games.melee.names import DREAM_LAND, FOUNTAIN, YOSHIS
from shadowbox.games.melee.replay import pseudonym, read
from shadowbox.games.melee.rows import rows_of
from shadowbox.games.melee.schema import FLAG_NAMES, SCHEMA
from shadowbox.games.melee.stages import RANDALL_PERIOD, randall


def episode(data, **options):
    """The one episode of a replay's bytes."""
    (found,) = read(data, "made.slp", **options)
    check(found, SCHEMA, "made", GAME.event_kinds)
    return found


def written(made_replay):
    """Its bytes."""
    return slp.write(made_replay)


def test_a_row_is_the_state_and_what_was_pressed_having_seen_it():
    """Row t holds the state of its frame and the inputs of the next one.

    The last row presses nothing.
    """
    there = replay(seed=3)
    found = episode(written(there))
    post, pre = there.post[0, False][LEAD:], there.pre[0, False][LEAD:]
    np.testing.assert_array_equal(found.columns["player/x"][:, 0], post["x"])
    np.testing.assert_array_equal(found.columns["pad/main_x"][:-1, 0], pre["main_x"][1:])
    np.testing.assert_array_equal(
        found.columns["pad/a"][:-1, 0], pre["buttons_physical"][1:] & 0x100 > 0
    )
    assert not found.columns["pad/main_x"][-1].any()
    assert found.meta["first_frame"] == -39


def test_nothing_before_anybody_can_act():
    """Rows begin at frame -39; a recording that ends before is refused with that reason."""
    assert episode(content(frames=50)).frames == 50
    with pytest.raises(RecordingError, match="before anybody can act"):
        list(read(slp.write(made(frames=84)), "short.slp"))


def test_hit_stun_counts_only_where_its_flag_is_set():
    """The field behind hit stun holds anything elsewhere, NaN included.

    Of all that nothing comes in.
    """
    there = replay(seed=1)
    post = there.post[0, False]
    flagged = post["flags"][:, 3] & 0x02 != 0
    post["misc"] = np.where(
        flagged, np.resize([np.nan, 7.5, -3.0], len(post)), np.resize([np.nan, 1e30], len(post))
    )
    found = episode(written(there)).columns
    in_hitstun = found["player/in_hitstun"][:, 0]
    misc = post["misc"][LEAD:]
    expected = np.where(in_hitstun & (misc > 0), misc, 0)
    np.testing.assert_array_equal(found["player/hitstun"][:, 0], expected)
    assert (found["player/hitstun"][:, 0][in_hitstun] == 7.5).any()


@pytest.mark.parametrize(
    ("version", "absent", "present"),
    [
        (
            "0.1.0",
            {"player/age", "player/on_ground", "player/hitlag", "item/alive", "player/in_hitstun"},
            {"player/x"},
        ),
        ("1.0.0", {"player/on_ground", "player/hitstun", "item/x"}, {"player/age"}),
        (
            "2.0.0",
            {"player/hurtbox", "player/air_vx", "item/owner"},
            {"player/on_ground", "player/hitstun"},
        ),
        ("3.0.0", {"player/air_vx", "item/owner"}, {"item/alive", "player/hurtbox"}),
        ("3.6.0", {"player/hitlag"}, {"item/owner", "player/knock_vx"}),
        ("3.12.0", {"player/instance"}, {"player/hitlag"}),
        ("3.18.0", set(), {"player/instance", "item/owner"}),
    ],
)
def test_what_a_version_does_not_record_is_absent(version, absent, present):
    """Columns that a version lacks are zeros and named absent; nothing is made up."""
    found = episode(content(version=version, items=[(0, 10, 20, 54, 0)]))
    assert absent <= found.absent
    assert not present & found.absent
    for key in found.absent:
        assert not found.columns[key].any()


def test_all_versions_come_in():
    """An episode written in any version from 0.1 to 3.18 is accepted, and its positions come back."""
    for minor in range(19):
        there = match(frames=20, version=f"3.{minor}.0")
        found = episode(slp.write(replay_of(there)))
        np.testing.assert_array_equal(found.columns["player/x"], there.columns["player/x"])


def test_shoulders_that_no_controller_has_are_absent():
    """A column of which a recorder made nonsense is absent and named, and the game comes in."""
    there = replay()
    there.pre[1, False]["trigger_r"] = 3.8e22
    found = episode(written(there))
    assert "pad/r_push" in found.absent
    assert found.meta["unusable"] == ["pad/r_push"]


def test_the_state_flags_have_their_bits():
    """Each of the forty flags is its own bit, byte by byte, the lowest first."""
    there = replay(frames=40)
    flags = there.post[1, False]["flags"]
    flags[:] = 0
    for i in range(40):
        flags[LEAD + i, i // 8] = 1 << (i % 8)
    found = episode(written(there)).columns
    for i, name in enumerate(FLAG_NAMES):
        assert np.flatnonzero(found[f"player/{name}"][:, 1]).tolist() == [i], name


def test_the_last_of_the_passes_through_a_frame_counts():
    """A game with rollbacks gives the same rows as the one without."""
    there = replay(frames=60)
    again = dataclasses.replace(there, rows=dict(there.rows))
    first, rest = slice(0, LEAD + 30), slice(LEAD + 20, None)
    for name in ("pre", "post", "present"):
        rows = {
            slot: np.concatenate([v[first], v[rest]]) for slot, v in getattr(there, name).items()
        }
        setattr(again, name, rows)
    for slot in again.slots:
        again.post[slot]["x"][LEAD + 20 : LEAD + 30] += 5  # what was guessed
    again.frames = np.concatenate([there.frames[first], there.frames[rest]])
    again.frame_start, again.frame_end = (
        np.concatenate([r[first], r[rest]]) for r in (there.frame_start, there.frame_end)
    )
    ours, theirs = episode(written(there)), episode(written(again))
    assert theirs.meta["rolled_back"] == 10
    for key in SCHEMA.columns:
        np.testing.assert_array_equal(ours.columns[key], theirs.columns[key], err_msg=key)


def test_a_gap_ends_the_episode():
    """Where frames are missing the episode ends: its rows follow each other."""
    there = replay(frames=60)
    whole = rows_of(there).rows
    there.frames = np.where(
        np.arange(len(there.frames)) < LEAD + 30, there.frames, there.frames + 2
    )
    assert rows_of(there).rows == 30 < whole


# ---- items -----------------------------------------------------------------------------------------------------


def test_items_keep_their_slot_and_their_owner():
    """An item stays where it is from its first frame to its last, whatever comes and goes beside it."""
    there = match(items=[(0, 5, 60, 54, 0), (1, 20, 10, 79, 1), (1, 40, 30, 210, 2)])
    found = episode(slp.write(replay_of(there))).columns
    for key in ("alive", "type", "owner", "x"):
        held = {tuple(values) for values in found[f"item/{key}"].T.tolist()}
        assert held == {tuple(values) for values in there.columns[f"item/{key}"].T.tolist()}, key


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 20), st.sampled_from([54, 74, 99, 210])),
        max_size=25,
    )
)
def test_slots_are_stable_and_never_shared(lives):
    """Any lives: each item has one slot or none, no two overlap, and a slot rests a frame between two."""
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


def test_what_fighters_send_out_is_served_first():
    """With too many items at once the props of a hand are left out, and counted."""
    kinds = [74, 74, 74, 54, 54, 54, 210]
    frame, spawn = np.tile(np.arange(10), 7), np.repeat(np.arange(7), 10)
    placed = place(frame, spawn, np.repeat(kinds, 10))
    kept = {int(i) for i in spawn[placed.slot >= 0]}
    assert kept >= {3, 4, 5, 6}
    assert len(kept) == 5
    assert (placed.items_left_out, placed.rows_left_out) == (2, 20)


# ---- stages ----------------------------------------------------------------------------------------------------


def test_randall_goes_round():
    """The cloud repeats every 1,200 frames, is above the ledges on one side, and moves less than half a unit a frame."""
    frames = np.arange(3 * RANDALL_PERIOD) - 39
    out, x, y = randall(frames)
    np.testing.assert_allclose(x[:RANDALL_PERIOD], x[RANDALL_PERIOD : 2 * RANDALL_PERIOD])
    assert np.abs(np.diff(x)).max() < 0.5
    assert np.abs(np.diff(y)).max() < 0.5
    assert 0.1 < out.mean() < 0.9
    there = episode(content(stage=YOSHIS, frames=700)).columns
    np.testing.assert_array_equal(there["stage/randall"][:, 0], out[:701])


def test_platforms_of_the_fountain_and_the_wind():
    """Heights and wind hold until the next event; on other stages they are known to be nothing."""
    there = match(stage=FOUNTAIN)
    there.columns["stage/left_height"][:] = 16.125
    there.columns["stage/left_height"][50:] = 20.5
    there.columns["stage/right_height"][:] = 22.125
    found = episode(slp.write(replay_of(there))).columns
    for side in ("left", "right"):
        key = f"stage/{side}_height"
        np.testing.assert_allclose(found[key], there.columns[key], atol=0.01)
    windy = match(stage=DREAM_LAND)
    windy.columns["stage/wind"][30:60] = 2
    np.testing.assert_array_equal(
        episode(slp.write(replay_of(windy))).columns["stage/wind"], windy.columns["stage/wind"]
    )
    old = replay(stage=FOUNTAIN)
    old.fountain = None
    assert {"stage/left_height", "stage/right_height"} <= rows_of(old).absent


# ---- who comes in ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"human": True}, "the game's own"),
        ({"end": "game"}, "ended with no contest"),
        ({"legal_stage": True}, "none of the six"),
        ({"min_frames": 1000}, "at least 1000"),
        ({"characters": "fox,falco"}, "marth played"),
        ({"min_version": "3.20"}, "3.20 or later"),
        ({"complete": True}, "not complete"),
    ],
)
def test_options_refuse_with_a_reason(options, reason):
    """Each option lets in what it asks for and refuses the rest with a reason that says so."""
    strange = replay(stage=4, kinds=["human", "cpu"], end="no contest")
    wanting = {"complete": lambda r: dataclasses.replace(r, end=None)}
    data = written(wanting.get(next(iter(options)), lambda r: r)(strange))
    assert episode(data).frames == 120
    with pytest.raises(RecordingError, match=reason):
        episode(data, **options)
    allowed = {"min_frames": {"min_frames": 100}, "min_version": {"min_version": "3.18"}}
    allowed |= {"characters": {"characters": "fox,marth"}}
    fine = content(end="game")
    assert episode(fine, **allowed.get(next(iter(options)), options)).frames == 120


@pytest.mark.parametrize("ports", [(0,), (0, 1, 2), (0, 1, 2, 3)])
def test_only_two_play(ports):
    """One, three or four players are refused."""
    with pytest.raises(RecordingError, match="players, two are needed"):
        list(read(slp.write(made(ports=ports)), "crowd.slp"))


@pytest.mark.parametrize(
    "options",
    [
        {"humans": True},
        {"human": 1},
        {"end": "never"},
        {"characters": "foxy"},
        {"min_version": "x"},
    ],
)
def test_options_that_mean_nothing_are_a_wrong_call(options):
    """An unknown option or value is refused before anything is read."""
    with pytest.raises(UsageError):
        list(read(b"", "made.slp", **options))


def test_any_ports_and_followers():
    """Players sit at any two ports in their order, and a follower changes nothing."""
    there = match(ports=[1, 3])
    found = episode(slp.write(replay_of(there)))
    assert found.meta["ports"] == [1, 3]
    np.testing.assert_array_equal(
        found.columns["player/last_hit_by"], there.columns["player/last_hit_by"]
    )
    np.testing.assert_array_equal(found.columns["player/x"], there.columns["player/x"])
    climbers = replay()
    for rows in (climbers.pre, climbers.post, climbers.present):
        rows[0, True] = rows[1, False].copy()
    for rows in (climbers.pre, climbers.post):
        rows[0, True]["port"], rows[0, True]["follower"] = 0, 1
    np.testing.assert_array_equal(
        rows_of(climbers).columns["player/x"], rows_of(replay()).columns["player/x"]
    )


def test_names_become_pseudonyms_that_stay():
    """The same person has the same pseudonym everywhere, another has another.

    Names are kept on request alone.
    """
    data = slp.write(made(frames=130, seed=1))
    codes = [player.connect_code for player in slp.read(data).start.players]
    there = slp.read(data)
    for slot in there.slots:  # random rows hold values that no game has
        for name in there.post[slot].dtype.names:
            if name not in ("frame", "port", "follower", "character"):
                there.post[slot][name] = 0
        there.post[slot]["character"] = 1
        for name in there.pre[slot].dtype.names:
            if name not in ("frame", "port", "follower"):
                there.pre[slot][name] = 0
    there.item["x"], there.item["vx"], there.item["vy"] = 0, 0, 0
    data = written(there)
    found = episode(data)
    assert found.meta["players"][0] == found.meta["p0"] == pseudonym("player", codes[0])
    assert found.meta["players"][1] == "cpu-9"
    assert codes[0] not in str(dict(found.meta))
    assert pseudonym("player", codes[0]) != pseudonym("player", codes[1])
    assert pseudonym("player", pseudonym("player", codes[0])) == pseudonym("player", codes[0])
    assert episode(data, keep_names=True).meta["players"][0] == codes[0]


# ---- who won ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "stocks", "damage", "winner"),
    [
        (slp.GameEnd(2, -1, (1, 0, -1, -1)), (4, 4), (0, 0), 1),  # as the game placed them
        (slp.GameEnd(2, -1), (0, 2), (0, 0), 1),  # who has stocks left
        (slp.GameEnd(7, 0, (0, 1, -1, -1)), (4, 1), (0, 90), 1),  # not who quit
        (slp.GameEnd(7, -1), (4, 1), (0, 90), None),  # broken off by nobody
        (slp.GameEnd(1, -1), (2, 2), (50, 40), 1),  # time ran out: less damage
        (slp.GameEnd(1, -1), (2, 2), (40, 40), None),
        (None, (3, 2), (0, 0), None),
        (slp.GameEnd(0), (3, 2), (0, 0), None),
    ],
)
def test_who_won(end, stocks, damage, winner):
    """Placements, else stocks, else not who quit, else by damage.

    A game that was broken off has no winner.
    """
    there = replay()
    for seat, slot in enumerate(there.slots):
        there.post[slot]["stocks"][-1], there.post[slot]["percent"][-1] = stocks[seat], damage[seat]
    there.end = end
    assert episode(written(there)).meta["result"]["winner"] == winner


# ---- and back --------------------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.sampled_from([YOSHIS, DREAM_LAND, FOUNTAIN, 31, 32, 4]))
def test_an_episode_goes_out_and_comes_back(seed, stage):
    """An episode as a replay and read again is the same episode: rows as they are stored, events, players, winner."""
    there = match(60, stage=stage, seed=seed, items=[(0, 3, 9, 54, 0)])
    first = episode(slp.write(replay_of(there)))
    again = episode(slp.write(replay_of(first)))
    for key in SCHEMA.columns:
        stored, returned = (
            SCHEMA.unpack(SCHEMA.pack(e.columns), [key])[key] for e in (first, again)
        )
        np.testing.assert_array_equal(stored, returned, err_msg=key)
    for key in (
        "player/x",
        "player/percent",
        "player/hitstun",
        "player/ground",
        "pad/a",
        "item/type",
    ):
        np.testing.assert_array_equal(first.columns[key], there.columns[key], err_msg=key)
    np.testing.assert_array_equal(first.events, there.events)
    np.testing.assert_array_equal(first.events, again.events)
    assert first.absent == again.absent
    for name in ("players", "result", "ports", "stage", "characters", "kinds"):
        assert first.meta[name] == again.meta[name]


# ---- real ones -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_replays_hold_what_must_hold(replays):
    """Hit stun is non-zero only under its flag, every row is allowed, and each goes out and comes back the same."""
    accepted = 0
    for path in sorted(replays.rglob("*.slp")):
        try:
            found = episode(path)
        except RecordingError:
            continue
        accepted += 1
        if "player/hitstun" not in found.absent:
            assert not (found.columns["player/hitstun"] > 0)[
                ~found.columns["player/in_hitstun"]
            ].any()
        again = episode(slp.write(replay_of(found)))
        for key in SCHEMA.columns.keys() - again.absent ^ found.absent:
            stored, returned = (
                SCHEMA.unpack(SCHEMA.pack(e.columns), [key])[key] for e in (found, again)
            )
            if key not in found.absent:
                np.testing.assert_array_equal(stored, returned, err_msg=f"{path.name} {key}")
        np.testing.assert_array_equal(found.events, again.events)
    assert accepted >= 70


@pytest.mark.slow
def test_where_players_stand_is_where_the_stage_is(replays):
    """On real recordings feet stand on the platforms of the fountain to 0.01, and on Randall to 0.3 units."""
    (path,) = replays.rglob("FodPlatforms.slp")
    columns = episode(path).columns
    for ground, side in ((1, "left"), (2, "right")):
        stands = columns["player/on_ground"] & (columns["player/ground"] == ground)
        height = np.broadcast_to(columns[f"stage/{side}_height"], stands.shape)
        assert stands.sum() > 100
        np.testing.assert_allclose(columns["player/y"][stands], height[stands], atol=0.01)
    checked = 0
    for path in sorted(replays.rglob("*.slp")):
        try:
            found = episode(path)
        except RecordingError:
            continue
        if found.meta["stage"] != "yoshis_story" or "player/on_ground" in found.absent:
            continue
        c = found.columns
        stands = (
            c["player/on_ground"]
            & (c["player/ground"] == 1)
            & (np.abs(c["player/x"]) > 60)
            & (c["player/action"] < 252)
        )
        stands &= np.broadcast_to(c["player/y"] < -10, stands.shape)
        x, y = (np.broadcast_to(c[f"stage/randall_{axis}"], stands.shape)[stands] for axis in "xy")
        assert (np.abs(c["player/x"][stands] - x) < 6.6).all()
        assert (np.abs(c["player/y"][stands] - y) < 0.3).all()
        checked += int(stands.sum())
    assert checked > 50
