"""Replays as episodes: alignment, absent columns, options, pseudonyms, results, and export."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_matches import content, episode, match, replay
from made_replays import made

from shadowbox.core.episode import check
from shadowbox.errors import EpisodeError, RecordingError, UsageError
from shadowbox.games.melee import GAME, slp
from shadowbox.games.melee.export import LEAD, replay_of
from shadowbox.games.melee.names import DREAM_LAND, FOUNTAIN, YOSHIS
from shadowbox.games.melee.replay import pseudonym, read
from shadowbox.games.melee.rows import rows_of
from shadowbox.games.melee.schema import FLAG_NAMES, SCHEMA


def test_a_row_is_a_state_and_the_inputs_in_answer_to_it():
    """Row t holds the state of its frame and the inputs of the next; the last row has no inputs."""
    source = replay(seed=3)
    game = episode(slp.write(source))
    post, pre = source.post[0, False][LEAD:], source.pre[0, False][LEAD:]
    np.testing.assert_array_equal(game.columns["player/x"][:, 0], post["x"])
    np.testing.assert_array_equal(game.columns["pad/main_x"][:-1, 0], pre["main_x"][1:])
    np.testing.assert_array_equal(
        game.columns["pad/a"][:-1, 0], pre["buttons_physical"][1:] & 0x100 > 0
    )
    assert not game.columns["pad/main_x"][-1].any()
    assert game.meta["first_frame"] == -39


def test_rows_begin_when_players_can_act():
    """Rows begin at frame -39; a recording that ends before is refused with that reason."""
    assert episode(content(frames=50)).frames == 50
    with pytest.raises(RecordingError, match=r"ends before players can act: it has 84 frames"):
        list(read(slp.write(made(frames=84)), "short.slp"))


def test_hitstun_is_read_only_under_its_flag():
    """Without the hitstun flag the field has another meaning, NaN included, and is read as 0."""
    source = replay(seed=1)
    post = source.post[0, False]
    flagged = post["flags"][:, 3] & 0x02 != 0
    post["misc"] = np.where(
        flagged, np.resize([np.nan, 7.5, -3.0], len(post)), np.resize([np.nan, 1e30], len(post))
    )
    columns = episode(slp.write(source)).columns
    in_hitstun = columns["player/in_hitstun"][:, 0]
    misc = post["misc"][LEAD:]
    expected = np.where(in_hitstun & (misc > 0), misc, 0)
    np.testing.assert_array_equal(columns["player/hitstun"][:, 0], expected)
    assert (columns["player/hitstun"][:, 0][in_hitstun] == 7.5).any()


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
        ("2.2.0", {"player/air_vx", "item/owner", "item/alive"}, {"player/hurtbox"}),
        ("3.6.0", {"player/hitlag"}, {"item/owner", "player/knock_vx"}),
        ("3.12.0", {"player/instance"}, {"player/hitlag"}),
        ("3.18.0", set(), {"player/instance", "item/owner"}),
    ],
)
def test_columns_that_a_version_lacks_are_absent(version, absent, present):
    """Columns that a version lacks are zeros and named absent."""
    game = episode(content(version=version, items=[(0, 10, 20, 54, 0)]))
    assert absent <= game.absent
    assert not present & game.absent
    for key in game.absent:
        assert not game.columns[key].any()


def test_all_versions_are_accepted():
    """An episode written in any version from 3.0 to 3.18 is accepted, with its positions."""
    for minor in range(19):
        original = match(frames=20, version=f"3.{minor}.0")
        game = episode(slp.write(replay_of(original)))
        np.testing.assert_array_equal(game.columns["player/x"], original.columns["player/x"])


def test_impossible_shoulder_values_are_absent():
    """A column with impossible values in every frame of a player is absent and named."""
    source = replay()
    source.pre[1, False]["trigger_r"] = 3.8e22
    game = episode(slp.write(source))
    assert "pad/r_push" in game.absent
    assert game.meta["unusable"] == ["pad/r_push"]


@pytest.mark.parametrize("value", [np.nan, 1.0125, -np.inf])
def test_one_impossible_stick_value_cuts_one_decision(value):
    """A stick value outside its range ends an episode at that decision, and another one begins.

    Every other value of both players stays, and no column is absent.
    """
    source = replay(frames=60)
    whole = episode(slp.write(source))
    source.pre[1, False]["main_x"][LEAD + 31] = value  # read in frame 31, pressed in row 30
    before, after = read(slp.write(source), "made.slp")
    assert (before.frames, after.frames) == (30, 29)
    assert before.absent == after.absent == whole.absent
    for key, values in whole.columns.items():
        np.testing.assert_array_equal(before.columns[key][:-1], values[:30], err_msg=key)
        np.testing.assert_array_equal(after.columns[key], values[31:], err_msg=key)
    assert before.columns["player/x"][-1].tolist() == whole.columns["player/x"][30].tolist()
    assert not any(before.columns[key][-1].any() for key in SCHEMA.control_keys)
    assert before.meta["cut"] == {
        "frames": 1,
        "why": f"frame -9, pad/main_x[1]: {np.float32(value)}, allowed -1 .. 1",
    }
    assert (before.meta["part"], after.meta["part"]) == (0, 1)
    assert (before.meta["first_frame"], after.meta["first_frame"]) == (-39, -8)
    assert "cut" not in after.meta
    assert not before.meta["complete"]
    assert (before.meta["result"]["reason"], after.meta["result"]) == (
        "broken off",
        whole.meta["result"],
    )
    with pytest.raises(RecordingError, match=r"incomplete: an impossible value \(frame -9, pad"):
        episode(slp.write(source), complete=True)
    check(before, SCHEMA)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [("x", 3e38, "-2000 .. 2000"), ("y", -2001, "-2000"), ("percent", np.nan, "0 .. 999")],
)
def test_one_impossible_state_is_cut_out(field, value, allowed):
    """A position beyond any stage, or a state that is not finite, is in no episode."""
    source = replay(frames=60)
    source.post[0, False][field][LEAD + 30] = value
    before, after = read(slp.write(source), "made.slp")
    assert (before.rows, after.rows) == (30, 30)
    assert before.meta["cut"]["frames"] == 2
    assert f"frame -9, player/{field}[0]: " in before.meta["cut"]["why"]
    assert allowed in before.meta["cut"]["why"]
    assert np.abs(before.columns["player/x"]).max() < 1000


def test_many_impossible_values_refuse_the_file():
    """A file with impossible values in many frames is damaged; its reason names the first."""
    source = replay(frames=120)
    source.pre[0, False]["c_y"][LEAD + 10 : LEAD + 40 : 3] = 7
    with pytest.raises(RecordingError, match=r"10 of 121 frames .* damaged.*pad/c_y\[0\]: 7.0"):
        list(read(slp.write(source), "made.slp"))
    source = replay(frames=30)
    source.post[0, False]["x"][LEAD + 10 : LEAD + 14] = np.nan
    with pytest.raises(RecordingError, match=r"holds 16 decisions \(frame -29, player/x"):
        list(read(slp.write(source), "made.slp", min_frames=20))


def test_an_action_state_beyond_the_known_ones_is_refused():
    """An action state of 1,024 or more is an EpisodeError with frame and player."""
    columns = match(frames=20).columns
    columns["player/action"][7, 1] = 1024
    message = r"frame 7, player/action\[1\]: 1024, allowed 0 .. 1023"
    for derive in (GAME.events, GAME.attacks):
        with pytest.raises(EpisodeError, match=message):
            derive(columns)
    source = replay(frames=20)
    source.post[1, False]["state"][LEAD + 7] = 1024
    with pytest.raises(EpisodeError, match=message):
        list(read(slp.write(source), "made.slp"))


def test_long_names_are_cut():
    """A name of a megabyte in the recorder's metadata is kept with at most 64 letters."""
    source = replay(frames=20, players=["unknown", "unknown"])
    source.metadata["players"]["0"]["names"] = {"netplay": "x" * 1_000_00}
    game = episode(slp.write(source), keep_names=True)
    assert game.meta["players"] == ["x" * 64, "unknown"]


def test_a_rank_is_nobodys_name():
    """In anonymized sets names are ranks: they are kept as ranks, and their players are unknown."""
    source = replay(frames=20, players=["unknown", "unknown"])
    assert "ranks" not in episode(slp.write(source)).meta
    for port, name in enumerate(("Master Player", "Diamond Player")):
        source.metadata["players"][str(port)]["names"] = {"netplay": name, "code": ""}
    game = episode(slp.write(source), keep_names=True)
    assert game.meta["players"] == ["unknown", "unknown"]
    assert game.meta["ranks"] == ["master", "diamond"]
    assert game.meta["rank"] == [1.0, 0.5]


def test_the_state_flags_have_their_bits():
    """Each of the forty flags is its own bit, byte by byte, the lowest first."""
    source = replay(frames=40)
    flags = source.post[1, False]["flags"]
    flags[:] = 0
    for i in range(40):
        flags[LEAD + i, i // 8] = 1 << (i % 8)
    columns = episode(slp.write(source)).columns
    for i, name in enumerate(FLAG_NAMES):
        assert np.flatnonzero(columns[f"player/{name}"][:, 1]).tolist() == [i], name


def test_the_last_of_the_passes_through_a_frame_counts():
    """A game with rollbacks gives the same rows as the one without."""
    source = replay(frames=60)
    again = dataclasses.replace(source, rows=dict(source.rows))
    first, rest = slice(0, LEAD + 30), slice(LEAD + 23, None)  # seven frames, the most there are
    for name in ("pre", "post", "present"):
        rows = {
            slot: np.concatenate([v[first], v[rest]]) for slot, v in getattr(source, name).items()
        }
        setattr(again, name, rows)
    for slot in again.slots:
        again.post[slot]["x"][LEAD + 23 : LEAD + 30] += 5  # a wrong prediction
    again.frames = np.concatenate([source.frames[first], source.frames[rest]])
    again.frame_start, again.frame_end = (
        np.concatenate([r[first], r[rest]]) for r in (source.frame_start, source.frame_end)
    )
    ours, theirs = episode(slp.write(source)), episode(slp.write(again))
    assert theirs.meta["rolled_back"] == 7
    for key in SCHEMA.columns:
        np.testing.assert_array_equal(ours.columns[key], theirs.columns[key], err_msg=key)


def test_a_gap_ends_the_episode():
    """An episode ends at the first missing frame, so that its rows follow each other."""
    source = replay(frames=60)
    whole = rows_of(source).rows
    source.frames = np.where(
        np.arange(len(source.frames)) < LEAD + 30, source.frames, source.frames + 2
    )
    assert rows_of(source).rows == 30 < whole


# ---- options ----


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"human": True}, "a player is a CPU; human=True"),
        ({"end": "game"}, "ended with 'no contest', which end=game refuses"),
        ({"legal_stage": True}, "peachs_castle is not one of the six tournament stages"),
        ({"min_frames": 1000}, "holds 120 decisions; min_frames=1000"),
        ({"characters": "fox,falco"}, "marth played; characters=fox,falco"),
        ({"min_version": "3.20"}, "version 3.18.0 is older than min_version=3.20"),
        ({"complete": True}, "the recording is incomplete: the recording has no game end"),
    ],
)
def test_options_refuse_with_a_reason(options, reason):
    """Each option accepts matching recordings and refuses the others with a reason."""
    unusual = replay(stage=4, kinds=["human", "cpu"], end="no contest")
    changes = {"complete": lambda r: dataclasses.replace(r, end=None)}
    data = slp.write(changes.get(next(iter(options)), lambda r: r)(unusual))
    assert episode(data).frames == 120
    with pytest.raises(RecordingError, match=reason):
        episode(data, **options)
    allowed = {"min_frames": {"min_frames": 100}, "min_version": {"min_version": "3.18"}}
    allowed |= {"characters": {"characters": "fox,marth"}}
    fine = content(end="game")
    assert episode(fine, **allowed.get(next(iter(options)), options)).frames == 120


@pytest.mark.parametrize("ports", [(0,), (0, 1, 2), (0, 1, 2, 3)])
def test_replays_of_other_than_two_players_are_refused(ports):
    """Replays of one, three or four players are refused."""
    message = rf"must have two players \(this one has {len(ports)}\)"
    with pytest.raises(RecordingError, match=message):
        list(read(slp.write(made(ports=ports)), "crowd.slp"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"humans": True}, "unknown option 'humans': did you mean 'human'"),
        ({"human": 1}, r"option 'human' must be a bool \(got 1\)"),
        ({"end": "never"}, r"end must be any, game or decided \(got 'never'\)"),
        ({"characters": "foxy"}, "unknown character 'foxy': did you mean 'fox'"),
        ({"min_version": "x"}, r"min_version must be a version such as 2.1 \(got 'x'\)"),
    ],
)
def test_unknown_options_are_a_wrong_call(options, message):
    """An unknown option or value is refused before anything is read."""
    with pytest.raises(UsageError, match=message):
        list(read(b"", "made.slp", **options))


def test_any_ports_and_followers():
    """Players are at any two ports in their order, and a follower changes nothing."""
    original = match(ports=[1, 3])
    game = episode(slp.write(replay_of(original)))
    assert game.meta["ports"] == [1, 3]
    for key in ("player/last_hit_by", "player/x"):
        np.testing.assert_array_equal(game.columns[key], original.columns[key])
    climbers = replay()
    for rows in (climbers.pre, climbers.post, climbers.present):
        rows[0, True] = rows[1, False].copy()
    for rows in (climbers.pre, climbers.post):
        rows[0, True]["port"], rows[0, True]["follower"] = 0, 1
    np.testing.assert_array_equal(
        rows_of(climbers).columns["player/x"], rows_of(replay()).columns["player/x"]
    )


def test_names_become_pseudonyms_that_stay():
    """A person has the same pseudonym everywhere, and names are kept only on request."""
    data = slp.write(made(frames=130, seed=1))
    codes = [player.connect_code for player in slp.read(data).start.players]
    source = slp.read(data)
    for slot in source.slots:  # random rows hold values outside a game's range
        for name in source.post[slot].dtype.names:
            if name not in ("frame", "port", "follower", "character"):
                source.post[slot][name] = 0
        source.post[slot]["character"] = 1
        for name in source.pre[slot].dtype.names:
            if name not in ("frame", "port", "follower"):
                source.pre[slot][name] = 0
    source.item["x"], source.item["vx"], source.item["vy"] = 0, 0, 0
    data = slp.write(source)
    game = episode(data)
    assert game.meta["players"][0] == game.meta["p0"] == pseudonym("player", codes[0])
    assert game.meta["players"][1] == "cpu-9"
    assert codes[0] not in str(dict(game.meta))
    assert pseudonym("player", codes[0]) != pseudonym("player", codes[1])
    assert pseudonym("player", pseudonym("player", codes[0])) == pseudonym("player", codes[0])
    assert episode(data, keep_names=True).meta["players"][0] == codes[0]


# ---- results ----


@pytest.mark.parametrize(
    ("end", "stocks", "damage", "winner"),
    [
        (slp.GameEnd(2, -1, (1, 0, -1, -1)), (4, 4), (0, 0), 1),  # as the game placed them
        (slp.GameEnd(2, -1), (0, 2), (0, 0), 1),  # the one with stocks left
        (slp.GameEnd(7, 0, (0, 1, -1, -1)), (4, 1), (0, 90), 1),  # the one who did not quit
        (slp.GameEnd(7, -1), (4, 1), (0, 90), None),  # broken off by neither
        (slp.GameEnd(1, -1), (2, 2), (50, 40), 1),  # time ran out: less damage
        (slp.GameEnd(1, -1), (2, 2), (40, 40), None),
        (None, (3, 2), (0, 0), None),
        (slp.GameEnd(0), (3, 2), (0, 0), None),
    ],
)
def test_the_winner(end, stocks, damage, winner):
    """The winner follows from placements, stocks, quitting and damage; else it is None."""
    source = replay()
    for seat, slot in enumerate(source.slots):
        source.post[slot]["stocks"][-1] = stocks[seat]
        source.post[slot]["percent"][-1] = damage[seat]
    source.end = end
    assert episode(slp.write(source)).meta["result"]["winner"] == winner


# ---- export ----


@given(st.integers(0, 1000), st.sampled_from([YOSHIS, DREAM_LAND, FOUNTAIN, 31, 32, 4]))
def test_an_exported_episode_is_read_back(seed, stage):
    """An episode written as a replay and read again has the same rows, events, players, winner."""
    original = match(60, stage=stage, seed=seed, items=[(0, 3, 9, 54, 0)])
    first = episode(slp.write(replay_of(original)))
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
        np.testing.assert_array_equal(first.columns[key], original.columns[key], err_msg=key)
    np.testing.assert_array_equal(first.events, original.events)
    np.testing.assert_array_equal(first.events, again.events)
    assert first.absent == again.absent
    for name in ("players", "result", "ports", "stage", "characters", "kinds"):
        assert first.meta[name] == again.meta[name]


def test_an_export_keeps_costumes_session_and_date():
    """Costumes, the online session and the date of a match are those of its exported replay."""
    facts = {"costumes": [3, 1], "session": pseudonym("session", "x"), "played_at": "2021-02-03"}
    again = episode(slp.write(replay(frames=20, **facts)))
    assert {name: again.meta[name] for name in facts} == facts
    offline = episode(content(frames=20, seed=7))
    assert offline.meta["session"] == pseudonym("session", "seed 7")
    assert "played_at" not in offline.meta
    twice = replay_of(offline)
    assert twice.start.match_id == ""
    assert episode(slp.write(twice)).meta["session"] == offline.meta["session"]


@pytest.mark.parametrize("version", ["0.1.0", "1.0.0", "2.0.0", "3.0.0", "3.4.0", "3.6.0"])
def test_columns_that_were_absent_are_absent_after_export(version):
    """Speeds and shoulders that a recording lacks are NaN in its export, and absent again."""
    source = replay(frames=20, version="3.7.0" if version >= "3" else version)
    for pre in source.pre.values():
        pre["trigger_r"] = 3.8e22
    game = dataclasses.replace(episode(slp.write(source)))
    lacked = {"player/air_vx", "player/vy"} if version in ("3.0.0", "3.4.0") else set()
    for key in lacked:
        game.columns[key][:] = 0
    game = dataclasses.replace(
        game, absent=game.absent | lacked, meta={**game.meta, "version": version}
    )
    again = episode(slp.write(replay_of(game)))
    assert again.absent == game.absent
    assert "pad/r_push" in again.absent


# ---- real replays ----


@pytest.mark.slow
def test_real_replays_are_valid_and_exported_unchanged(replays):
    """In real replays hitstun needs its flag, all rows are valid, and export and reading agree."""
    accepted = 0
    for path in sorted(replays.rglob("*.slp")):
        try:
            game = episode(path)
        except RecordingError:
            continue
        accepted += 1
        if "player/hitstun" not in game.absent:
            assert not (game.columns["player/hitstun"] > 0)[
                ~game.columns["player/in_hitstun"]
            ].any()
        again = episode(slp.write(replay_of(game)))
        for key in SCHEMA.columns.keys() - again.absent ^ game.absent:
            stored, returned = (
                SCHEMA.unpack(SCHEMA.pack(e.columns), [key])[key] for e in (game, again)
            )
            if key not in game.absent:
                np.testing.assert_array_equal(stored, returned, err_msg=f"{path.name} {key}")
        np.testing.assert_array_equal(game.events, again.events)
    assert accepted >= 70
