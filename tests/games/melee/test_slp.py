"""Slippi replays: reading and writing agree in every version, with any players and rollbacks."""

import numpy as np
import pytest
from made_replays import (
    BATTLEFIELD,
    FOX,
    ICE_CLIMBERS,
    MARTH,
    VERSIONS,
    made,
    made_start,
    passes_through,
    random_rows,
)

from shadowbox.errors import RecordingError, UsageError
from shadowbox.games.melee import slp
from shadowbox.games.melee.slp.layout import EVENTS, sizes
from shadowbox.games.melee.slp.read import HEAD

# version -> payload bytes of events 36 37 38 39 3A 3B 3C from recorders; 0: the event is missing
PAYLOADS = {
    (0, 1, 0): (320, 58, 33, 1, 0, 0, 0),
    (1, 0, 0): (352, 58, 37, 1, 0, 0, 0),
    (1, 2, 0): (352, 59, 37, 1, 0, 0, 0),
    (1, 7, 0): (417, 63, 37, 1, 0, 0, 0),
    (2, 0, 0): (418, 63, 51, 2, 0, 0, 0),
    (3, 3, 0): (418, 63, 52, 2, 8, 41, 4),
    (3, 6, 0): (418, 63, 72, 2, 8, 42, 4),
    (3, 7, 0): (420, 63, 72, 2, 8, 42, 8),
    (3, 9, 0): (584, 63, 76, 2, 8, 42, 8),
    (3, 12, 0): (701, 63, 80, 2, 12, 42, 8),
    (3, 13, 0): (701, 63, 80, 6, 12, 42, 8),
    (3, 14, 0): (760, 63, 80, 6, 12, 42, 8),
    (3, 15, 0): (760, 64, 80, 6, 12, 42, 8),
    (3, 16, 0): (760, 64, 84, 6, 12, 44, 8),
    (3, 17, 0): (760, 66, 84, 6, 12, 44, 8),
    (3, 18, 0): (760, 66, 84, 6, 12, 44, 8),
}


def same_rows(one, two):
    """Equality bit for bit, NaN included."""
    return one.dtype == two.dtype and one.tobytes() == two.tobytes()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: ".".join(map(str, version)))
def test_every_version_is_written_and_read(version):
    """Write, read, write gives the same bytes, and every field of every row comes back."""
    replay = made(version, frames=40, followers=(1,), items=3)
    written = slp.write(replay)
    again = slp.read(written)
    assert slp.write(again) == written
    assert again.problems == []
    assert again.complete
    assert again.start == replay.start
    assert again.end == replay.end
    assert again.metadata == replay.metadata
    assert again.slots == replay.slots == ((0, False), (1, False), (1, True))
    for slot in replay.slots:
        assert same_rows(again.pre[slot], replay.pre[slot])
        assert same_rows(again.post[slot], replay.post[slot])
    for kind in ("frame_start", "frame_end", "item", "fountain", "whispy", "stadium"):
        ours, theirs = getattr(replay, kind), getattr(again, kind)
        assert (ours is None) == (theirs is None) == (EVENTS[kind].since > version[:2])
        assert ours is None or same_rows(ours, theirs)
    for kind, rows in replay.rows.items():
        assert np.array_equal(again.rows[kind], rows)


@pytest.mark.parametrize("version", PAYLOADS, ids=lambda version: ".".join(map(str, version)))
def test_payload_sizes_are_those_of_the_recorders(version):
    """The sizes that follow from the table of fields are those of recorders of each version."""
    listed = sizes(version)
    assert (
        tuple(listed.get(code, 0) for code in (0x36, 0x37, 0x38, 0x39, 0x3A, 0x3B, 0x3C))
        == PAYLOADS[version]
    )


def test_a_field_that_a_version_lacks_is_absent():
    """Old files lack hitlag, hitstun and instance: reading them is an error, never a zero."""
    old, new = (slp.read(slp.write(made(version))) for version in ((1, 7, 0), (3, 16, 0)))
    for event, name in (
        ("post", "hitlag"),
        ("post", "misc"),
        ("post", "instance"),
        ("item", "owner"),
        ("frame_end", "finalized"),
    ):
        assert new.has(event, name)
        assert not old.has(event, name)
    assert old.has("post", "x")
    with pytest.raises((KeyError, ValueError), match="hitlag"):
        old.post[0, False]["hitlag"]


@pytest.mark.parametrize("version", [(2, 2, 0), (3, 9, 0), slp.NEWEST])
def test_rollbacks(version):
    """The last pass through a frame counts by default, the first and all of them on request."""
    replay = made(version, frames=80, rollbacks=12, seed=3)
    passes, final = passes_through(80, 12, np.random.default_rng(3))
    written = slp.write(replay)
    assert len(passes) > 100
    every, last, first = (slp.read(written, which) for which in ("all", "last", "first"))
    assert slp.write(every) == written
    assert every.frames.tolist() == (passes + slp.FIRST_FRAME).tolist()
    assert (
        last.frames.tolist()
        == first.frames.tolist()
        == list(range(slp.FIRST_FRAME, slp.FIRST_FRAME + 80))
    )
    firsts = np.unique(passes, return_index=True)[1]
    for slot in replay.slots:
        assert same_rows(every.post[slot], replay.post[slot])
        assert same_rows(last.post[slot], replay.post[slot][final])
        assert same_rows(last.pre[slot], replay.pre[slot][final])
        assert same_rows(first.pre[slot], replay.pre[slot][firsts])
    if last.item is not None:
        kept = np.isin(replay.rows["item"], np.flatnonzero(final))
        assert same_rows(last.item, replay.item[kept])
        assert np.array_equal(last.frames[last.rows["item"]], last.item["frame"])
    assert last.rolled_back == first.rolled_back == len(passes) - 80


@pytest.mark.parametrize("shorter", [40, 90])
def test_another_game_in_the_file_is_not_read(shorter):
    """Frames that begin again are another game: the first game is read, and the problem named."""
    first, second = (made((3, 12, 0), frames=f, seed=f) for f in (60, shorter))
    content, other = slp.write(first), slp.write(second)
    begin = other.index(second.start.payload) + len(second.start.payload)
    raw = content[15 : 15 + int.from_bytes(content[11:15], "big")]
    raw += other[begin : 15 + int.from_bytes(other[11:15], "big")]
    replay = slp.read(HEAD + len(raw).to_bytes(4, "big") + raw + content[-1:])
    assert replay.frames.tolist() == first.frames.tolist()
    for slot in first.slots:
        assert same_rows(replay.post[slot], first.post[slot])
    assert replay.rolled_back == 0
    assert replay.end.placements is first.end.placements is None
    assert not replay.complete
    (problem,) = [problem for problem in replay.problems if problem.kind == "another-game"]
    assert "frame -123 follows frame -64" in str(problem)


def test_rollbacks_go_back_by_seven_frames_at_most():
    """Seven frames back are a rollback; eight begin another game."""
    for depth, problems in ((7, []), (8, ["another-game"])):
        numbers = np.concatenate([np.arange(30), np.arange(30 - depth, 50)])
        replay = made((3, 12, 0), frames=len(numbers), items=0)
        replay.frames = (numbers + slp.FIRST_FRAME).astype(np.int32)
        for rows in (*replay.pre.values(), *replay.post.values(), replay.frame_start):
            rows["frame"] = replay.frames
        replay.frame_end["frame"] = replay.frames
        again = slp.read(slp.write(replay))
        kinds = [problem.kind for problem in again.problems if problem.kind != "no-end"]
        assert kinds == problems
        assert len(again.frames) == (30 if problems else 50)


def test_frame_numbers_beyond_a_game_are_named():
    """A frame number that the game's clock does not allow is a problem with its number."""
    replay = made((3, 12, 0), frames=30, items=0)
    replay.frames[20] = 1_000_000
    for rows in (*replay.pre.values(), *replay.post.values(), replay.frame_start):
        rows["frame"] = replay.frames
    replay.frame_end["frame"] = replay.frames
    problems = {problem.kind: str(problem) for problem in slp.read(slp.write(replay)).problems}
    assert problems.keys() == {"impossible-frame", "gap"}
    assert "1 frames have a number outside -123 to 32400" in problems["impossible-frame"]
    assert "1000000" in problems["impossible-frame"]


def test_only_the_last_pass_continues():
    """With the last passes, and not the first, 99.5 % of frames continue the one before."""
    written = slp.write(made((3, 9, 0), frames=600, rollbacks=80))
    remote = (1, False)
    last, first = (slp.read(written, which) for which in ("last", "first"))
    shares = [
        np.mean(read.pre[remote]["x"][1:] == read.post[remote]["x"][:-1]) for read in (last, first)
    ]
    assert shares[0] >= 0.995
    assert shares[1] < 0.95


def test_a_follower_has_rows_of_its_own():
    """Leader and follower of a port are two slots; a dead follower does not change the leader."""
    replay = made((3, 12, 0), frames=50, followers=(0,))
    gone = np.arange(50) >= 30
    replay.present[0, True] &= ~gone
    again = slp.read(slp.write(replay))
    assert again.problems == []
    assert again.present[0, True].tolist() == (~gone).tolist()
    assert again.present[0, False].all()
    assert not again.post[0, True][gone].tobytes().strip(b"\0")
    assert same_rows(again.post[0, True][~gone], replay.post[0, True][~gone])


def test_players_who_are_out_leave_the_others():
    """In a game of four, the frames go on for the players who have stocks left."""
    replay = made(frames=50, ports=(0, 1, 2, 3))
    replay.present[2, False] &= np.arange(50) < 10
    again = slp.read(slp.write(replay))
    assert again.present[2, False].sum() == 10
    assert len(again.frames) == 50
    assert [player.port for player in again.start.players] == [0, 1, 2, 3]


def test_settings():
    """Players, stage and rules are read from a game start; fields of later versions are None."""
    start = slp.read(slp.write(made(ports=(1, 3), followers=(3,)))).start
    one, two = start.players
    assert (start.stage, start.seed, start.online, start.match_id, start.timer) == (
        BATTLEFIELD,
        12345,
        True,
        "mode.made",
        480,
    )
    assert (one.port, one.character, one.kind, one.stocks, one.costume) == (1, FOX, "human", 4, 0)
    assert (two.port, two.character, two.kind, two.cpu_level) == (3, ICE_CLIMBERS, "cpu", 9)
    assert (one.nametag, one.display_name, one.connect_code, one.user_id) == (
        "T1",
        "player 1",
        "MADE#1",
        "id1",
    )
    assert (start.is_pal, start.frozen_stadium, start.teams, start.damage_ratio) == (
        False,
        False,
        False,
        1,
    )
    old = made_start((1, 0, 0))
    assert [player.character for player in old.players] == [FOX, MARTH]
    assert (old.is_pal, old.frozen_stadium, old.scene, old.online, old.match_id, old.language) == (
        None,
    ) * 6
    assert (old.players[0].nametag, old.players[0].connect_code) == (None, None)


def test_a_name_that_does_not_fit_is_refused():
    """Names longer than their field, in bytes as encoded, and unknown ports are refused."""
    with pytest.raises(
        RecordingError, match=r"port 1: nametags: text must fit into 15 bytes .* takes 20"
    ):
        slp.new_start(slp.NEWEST, BATTLEFIELD, [slp.SlpPlayer(0, FOX, nametag="あ" * 10)])
    with pytest.raises(RecordingError, match=r"port must be 0 to 3 \(got port 7\)"):
        slp.new_start(slp.NEWEST, BATTLEFIELD, [slp.SlpPlayer(7, FOX)])


def test_arrays_with_an_unknown_name_are_refused():
    """A field or event that the version does not have is refused with the nearest known name."""
    start = made_start((3, 6, 0))
    with pytest.raises(
        RecordingError, match=r"post events of version 3\.6\.0 have no field 'hitlag'"
    ):
        slp.from_arrays(
            start, {(0, False): {"x": np.zeros(3)}}, {(0, False): {"hitlag": np.zeros(3)}}
        )
    with pytest.raises(RecordingError, match="did you mean 'percent'"):
        slp.from_arrays(start, {(0, False): {"percnt": np.zeros(3)}}, {})
    with pytest.raises(RecordingError, match="no events 'fountain'"):
        slp.from_arrays(
            start, {(0, False): {"x": np.zeros(3)}}, {}, events={"fountain": {"row": [0]}}
        )


def test_missing_arrays_are_written_as_unset():
    """Fields that are not given hold recorders' unset values: no hitter, no ground, no owner."""
    replay = slp.from_arrays(
        made_start(),
        {(0, False): {"x": np.arange(3)}},
        {(0, False): {}},
        events={"item": {"row": [0, 2], "type": [54, 55]}},
    )
    row = slp.read(slp.write(replay)).post[0, False][1]
    assert (row["last_hit_by"], row["ground"], row["frame"]) == (6, 0xFFFF, slp.FIRST_FRAME + 1)
    assert replay.item["owner"].tolist() == [-1, -1]
    assert replay.item["frame"].tolist() == [slp.FIRST_FRAME, slp.FIRST_FRAME + 2]


@pytest.mark.parametrize("size", [0, 1, 7])
def test_unknown_events_are_skipped(size):
    """An unknown event is skipped by the size that the file declares for it, even size 0."""
    replay = made((3, 12, 0), frames=20)
    content = bytearray(slp.write(replay))
    listed = content[16]
    body = bytes(content[15 + 1 + listed :])
    start = 1 + EVENTS["start"].size((3, 12, 0))
    table = (
        bytes([0x35, listed + 3])
        + bytes(content[17 : 16 + listed])
        + bytes([0xEE])
        + size.to_bytes(2, "big")
    )
    stranger = bytes([0xEE]) + b"\x37" * size
    raw_length = int.from_bytes(content[11:15], "big") + 3 + 2 * len(stranger)
    changed = (
        bytes(content[:11])
        + raw_length.to_bytes(4, "big")
        + table
        + body[:start]
        + 2 * stranger
        + body[start:]
    )
    again = slp.read(changed)
    assert again.problems == []
    for slot in replay.slots:
        assert same_rows(again.post[slot], replay.post[slot])


def test_longer_payloads_of_later_versions_are_read():
    """Fields that a later recorder adds at the end of an event leave the known fields readable."""
    replay = made((3, 18, 0), frames=10, items=0)
    content = slp.write(replay)
    post = EVENTS["post"].size((3, 18, 0))
    head, raw, tail = (
        content[:11],
        content[15 : 15 + int.from_bytes(content[11:15], "big")],
        content[-40:],
    )
    table = raw[: raw[1] + 1].replace(
        b"\x38" + post.to_bytes(2, "big"), b"\x38" + (post + 5).to_bytes(2, "big")
    )
    events, at = [], len(table)
    listed = {raw[i]: int.from_bytes(raw[i + 1 : i + 3], "big") for i in range(2, len(table), 3)}
    while at < len(raw):
        size = 1 + listed[raw[at]]
        events.append(raw[at : at + size] + (b"tomorrow!"[:5] if raw[at] == 0x38 else b""))
        at += size
    longer = table + b"".join(events)
    again = slp.read(head + len(longer).to_bytes(4, "big") + longer + content[15 + len(raw) :])
    assert tail in content
    assert again.problems == []
    assert same_rows(again.post[1, False], replay.post[1, False])


def test_game_codes_come_back():
    """The pieces of the list of game codes are kept as recorded and joined on request."""
    replay = made((3, 12, 0), frames=5)
    codes = bytes(range(256)) * 3
    replay.pieces = b"".join(
        codes[at : at + 512].ljust(512, b"?")
        + len(codes[at : at + 512]).to_bytes(2, "big")
        + bytes([0x3D, at > 0])
        for at in (0, 512)
    )
    written = slp.write(replay)
    again = slp.read(written)
    assert again.gecko == codes
    assert slp.write(again) == written


def test_an_unknown_choice_of_rollbacks_is_a_wrong_call():
    """An unknown value of `rollbacks` is refused with the three known ones."""
    with pytest.raises(UsageError, match=r"must be last, first or all \(got 'newest'\)"):
        slp.read(slp.write(made(frames=3)), "newest")


def test_random_rows_fill_every_field():
    """The made replays vary every field of a row, so that a swapped or lost field is noticed."""
    rows = random_rows("post", slp.NEWEST, 50, np.random.default_rng(0))
    assert len(rows) == len(EVENTS["post"].fields) - 3
    assert all(len(np.unique(values, axis=0)) > 10 for values in rows.values())
