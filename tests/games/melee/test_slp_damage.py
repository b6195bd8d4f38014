"""Damaged replays: a named error, or the intact frames with their problems, in bounded memory."""

import tracemalloc

import numpy as np
import pytest
from made_replays import made

from shadowbox.errors import RecordingError
from shadowbox.games.melee import slp
from shadowbox.games.melee.slp.read import HEAD


def read_or_refused(content, which="last"):
    """The replay, checked for invented rows, or None if it was refused by name."""
    refused = None
    try:
        replay = slp.read(content, which, name="damaged.slp")
    except RecordingError as error:
        refused = str(error)
    if refused:
        assert refused.startswith("damaged.slp: ")
        return None
    kinds = {problem.kind for problem in replay.problems}
    for slot in replay.slots:
        present = replay.present[slot]
        assert len(present) == len(replay.frames) == len(replay.pre[slot]) == len(replay.post[slot])
        for side in (replay.pre, replay.post):
            assert np.array_equal(side[slot]["frame"][present], replay.frames[present])
            assert (side[slot]["port"][present] == slot[0]).all()
            assert (side[slot]["follower"][present] == slot[1]).all()
    for kind in ("frame_start", "frame_end"):
        rows = getattr(replay, kind)
        assert (
            rows is None
            or "incomplete-frame" in kinds
            or np.array_equal(rows["frame"], replay.frames)
        )
    for kind, into in replay.rows.items():
        assert np.array_equal(getattr(replay, kind)["frame"], replay.frames[into])
    return replay


@pytest.mark.parametrize("version", [(1, 7, 0), pytest.param((3, 18, 0), marks=pytest.mark.slow)])
def test_truncated_at_every_byte(version):
    """A file cut at any byte is refused, or gives the frames before the cut and a problem."""
    replay = made(version, frames=12, followers=(1,), rollbacks=2)
    content = slp.write(replay)
    whole = slp.read(content, "all")
    read = 0
    for length in range(len(content)):
        cut = read_or_refused(content[:length], "all")
        if cut is None:
            continue
        read += 1
        assert cut.problems
        assert len(cut.frames) <= len(whole.frames)
        assert np.array_equal(cut.frames, whole.frames[: len(cut.frames)])
        for slot in cut.slots:
            assert cut.present[slot].all()
            assert cut.post[slot].tobytes() == whole.post[slot][: len(cut.frames)].tobytes()
    assert read > len(content) / 2


@pytest.mark.parametrize("version", [(0, 1, 0), (2, 2, 0), (3, 18, 0)])
def test_ten_thousand_flipped_bytes(version):
    """With any damaged byte, reading ends with a named error or with rows that the file holds."""
    content = slp.write(made(version, frames=12, followers=(1,), rollbacks=2))
    draws = np.random.default_rng(7)
    refused = 0
    for _ in range(10_000 // 3 + 1):
        damaged = bytearray(content)
        at = draws.integers(len(content)) if draws.random() < 0.7 else draws.integers(600)
        damaged[at] ^= int(draws.integers(1, 256))
        refused += read_or_refused(bytes(damaged)) is None
    assert 0 < refused < 5_000


def test_a_cut_rollback_leaves_the_pass_before_it():
    """In a file that ends within the second pass through a frame, the first pass counts."""
    replay = made((3, 12, 0), frames=12, items=0, end=False, metadata=False)
    content = slp.write(replay)
    raw = content[15:-1]
    one = len(slp.write(made((3, 12, 0), frames=13, items=0, end=False, metadata=False))) - len(
        content
    )
    again = HEAD + bytes(4) + raw + raw[-one:-30]
    read = read_or_refused(again)
    assert read.frames.tolist() == replay.frames.tolist()
    assert read.post[1, False].tobytes() == replay.post[1, False].tobytes()
    assert {problem.kind for problem in read.problems} >= {"unfinished", "truncated"}


def test_wrong_lengths_cost_no_memory():
    """With a declared length of 4 GB or 0, the actual content is read and a problem is noted."""
    replay = made((3, 12, 0), frames=30)
    content = slp.write(replay)
    for length, kind in (
        (0xFFFFFFFF, "truncated"),
        (0, "unfinished"),
        (len(content), "truncated"),
        (20_000, "truncated"),
    ):
        tracemalloc.start()
        read = read_or_refused(content[:11] + length.to_bytes(4, "big") + content[15:])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert kind in {problem.kind for problem in read.problems}
        assert not read.complete
        assert peak < 20 * len(content) + 2_000_000
        if length != 20_000:
            assert len(read.frames) == 30
    whole = slp.read(content[:11] + bytes(4) + content[15:])
    assert whole.metadata == replay.metadata
    assert [problem.kind for problem in whole.problems] == ["unfinished"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"{U", "not a Slippi replay"),
        (b"\x89PNG\r\n\x1a\n" * 9, r"not a Slippi replay: it must begin .* \(got b'.x89PNG"),
        (HEAD + bytes(4), "byte 15: expected the list of event sizes"),
        (HEAD + bytes(4) + b"\x35\x00", r"size of the list of event sizes \(0 bytes\)"),
        (HEAD + bytes(4) + b"\x35\x04\x37\x00\x40", "lacks the game start"),
        (HEAD + bytes(4) + b"\x35\x04\x36\x01\x40", "lacks the game start; it is damaged or cut"),
        (
            HEAD + bytes(4) + b"\x35\x04\x36\x00\x00",
            r"start events must have at least 320 bytes \(declared: 0\)",
        ),
        (
            HEAD + bytes(4) + b"\x35\x07\x36\x01\x40\x37\x00\x03",
            r"pre events must have at least 58 bytes \(declared: 3\)",
        ),
    ],
)
def test_other_content_is_refused(content, message):
    """Content that is not a replay is refused with the place in it and the expectation."""
    with pytest.raises(RecordingError, match=message):
        slp.read(content)


def test_a_missing_file_is_refused(tmp_path):
    """A missing file is refused with its path."""
    with pytest.raises(RecordingError, match=r"nothing\.slp: No such file"):
        slp.read(tmp_path / "nothing.slp")


def test_a_file_that_is_too_long_is_refused_unread(tmp_path):
    """A file of gigabytes is refused by its size, without reading it."""
    path = tmp_path / "long.slp"
    with open(path, "wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(RecordingError, match="4,294,967,296 bytes; a replay has at most"):
        slp.read(path)


def test_frames_of_one_event_each_do_not_fill_the_memory():
    """A file whose events all name different frames and players is refused, not expanded."""
    content = slp.write(
        made((3, 18, 0), frames=2, ports=(0, 1, 2, 3), followers=(0, 1, 2, 3), items=0, end=False)
    )
    raw = content[15 : 15 + int.from_bytes(content[11:15], "big")]
    head = raw[: raw[1] + 1 + 761]
    rows = made((3, 18, 0), frames=1, items=0).post[0, False]
    pre = made((3, 18, 0), frames=1, items=0).pre[0, False]
    events = []
    for number in range(4_000):
        for code, row in ((0x37, pre), (0x38, rows)):
            player = bytes([number % 4, number // 4 % 2])
            events.append(bytes([code]) + number.to_bytes(4, "big") + player + row.tobytes()[6:])
    body = head + b"".join(events)
    with pytest.raises(RecordingError, match=r"would take .* bytes; the file is damaged"):
        slp.read(HEAD + len(body).to_bytes(4, "big") + body + b"}")


def test_missing_frames_and_unknown_players_are_listed():
    """A gap in the frames and players outside the settings are problems of their own kinds."""
    replay = made((3, 12, 0), frames=30)
    replay.frames[20:] += 5
    for name in ("pre", "post"):
        for rows in getattr(replay, name).values():
            rows["frame"] = replay.frames
    replay.frame_start["frame"] = replay.frame_end["frame"] = replay.frames
    replay.item["frame"] = replay.frames[replay.rows["item"]]
    gap = slp.read(slp.write(replay)).problems
    assert [(problem.kind, problem.what) for problem in gap] == [
        ("gap", "5 frames are missing, the first after frame -104")
    ]
    other = made((3, 12, 0), frames=30, ports=(0, 3))
    other.start = replay.start
    assert {problem.kind for problem in slp.read(slp.write(other)).problems} == {"stray"}


def test_damaged_metadata_leaves_the_frames():
    """Damaged metadata is listed as a problem, and the frames are read."""
    replay = made((3, 12, 0), frames=10)
    content = slp.write(replay)
    at = content.index(b"startAt")
    for damaged in (
        content[:at] + b"\xff" * 40,
        content[:at] + b"startAt" + b"[" * 500,
        content[: at - 3] + b"}",
    ):
        read = slp.read(damaged)
        assert read.metadata is None
        assert len(read.frames) == 10
        assert read.complete
        assert {problem.kind for problem in read.problems} <= {"bad-metadata", "trailing"}
        assert read.problems
