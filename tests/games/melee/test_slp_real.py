"""Real replays, if present: each is read or refused by name, and agrees with its list."""

import csv
import time

import numpy as np
import pytest

from shadowbox.errors import RecordingError
from shadowbox.games.melee import slp
from shadowbox.games.melee.slp.layout import EVENTS

NO_REPLAYS = ("corrupt_game_1.slp", "corrupt_game_2.slp", "corrupt_game_3.slp")
DYING = 10  # the last action state of players off the stage, who are moved between frames
HITSTUN = 0x02
METHODS = {
    "UNRESOLVED": 0,
    "TIME": 1,
    "GAME": 2,
    "RESOLVED": 3,
    "NO_CONTEST": 7,
    "NONE": None,
    "": None,
}
# files that are not written back byte for byte: cut, with unknown events, or in another order
NOT_OURS = (
    "corrupt.slp",
    "duplicate_game_end.slp",
    "unknown_event.slp",
    "incomplete.slp",
    "200306_2258_Falco_v_Fox_PS.slp",
)


@pytest.fixture(scope="module")
def listed(replays):
    """Lines of the list of replays, one dict a file."""
    with open(replays / "replays.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def games(replays, listed):
    """Every replay, with its line of the list."""
    games = []
    for line in listed:
        if not line["file"].endswith(NO_REPLAYS):
            games.append((line, slp.read(replays / line["file"])))
    return games


def test_other_files_are_refused(replays, listed):
    """Text, a picture and noise with the ending of replays are refused by name."""
    others = [line["file"] for line in listed if line["file"].endswith(NO_REPLAYS)]
    assert len(others) == len(NO_REPLAYS)
    for name in others:
        with pytest.raises(RecordingError, match=name.rsplit("/", 1)[1]):
            slp.read(replays / name)


def test_every_file_agrees_with_its_list(games):
    """Frames, version, ports, stage and end of every file are those that its list names."""
    for line, replay in games:
        name = line["file"]
        assert ".".join(map(str, replay.version)) == line["slippi_version"], name
        assert len(replay.frames) == int(line["frames"]), name
        assert replay.frames[-1:].tolist() == [
            int(last) for last in [line["last_frame"]] if last
        ], name
        ports = [player.port for player in replay.start.players]
        assert ports == [int(player[1]) - 1 for player in line["players"].split()], name
        assert replay.start.stage == int(line["stage_id"]), name
        method = line["game_end_method"]
        assert (replay.end and replay.end.method) == METHODS.get(
            method, int(method) if method.isdigit() else None
        ), name
        assert (replay.rolled_back > 0) == (
            "dup_frames" in line["notes"] and "dup_frames=0" not in line["notes"]
        ), name


def test_only_damaged_files_have_problems(games):
    """Complete files have no problems; cut and unfinished ones have exactly their own kinds."""
    problems = {
        line["file"].rsplit("/", 1)[1]: {problem.kind for problem in replay.problems}
        for line, replay in games
    }
    assert {name: kinds for name, kinds in problems.items() if kinds} == {
        "test_game_1.slp": {"no-end"},
        "geckoCodes.slp": {"no-end"},
        "diamond-diamond-0006b3a3007d0b1bb14630a5.slp": {"no-end"},
        "netplay.slp": {"trailing"},  # the second file of that name ends with a line break
        "incomplete.slp": {"unfinished", "no-metadata", "no-end"},
        "corrupt.slp": {"unfinished", "truncated", "no-metadata", "no-frames", "no-end"},
    }


def test_frames_continue(games):
    """In rollback files, at least 99.5 % of frames begin at the position the frame before left."""
    same = total = 0
    for _, replay in games:
        if not replay.rolled_back:
            continue
        for slot in replay.slots:
            if slot[1]:  # a follower is placed by its leader between two frames
                continue
            pre, post = replay.pre[slot][1:], replay.post[slot][:-1]
            played = (replay.frames[1:] > -39) & (post["state"] > DYING) & replay.present[slot][1:]
            same += int((pre["x"] == post["x"])[played].sum())
            total += int(played.sum())
    assert total > 100_000
    assert same / total >= 0.995


def test_first_passes_hold_guessed_inputs(games, replays):
    """In a game with thousands of rollbacks, the first passes do not continue each other."""
    line = next(line for line, _ in games if line["file"].endswith("rollbackFrameTest.slp"))
    replay = slp.read(replays / line["file"], "first")
    remote = replay.slots[1]
    assert np.mean(replay.pre[remote]["x"][1:] == replay.post[remote]["x"][:-1]) < 0.97


def test_hitstun_is_gated_by_its_flag(games):
    """Under the hitstun flag, 99.9 % of the values are a plausible number of frames."""
    flagged = plausible = 0
    for _, replay in games:
        for slot in replay.slots if replay.has("post", "misc") else ():
            post = replay.post[slot]
            misc = post["misc"][(post["flags"][:, 3] & HITSTUN) > 0]
            flagged += len(misc)
            plausible += int(((misc > 0) & (misc < 300)).sum())
    assert flagged > 40_000
    assert plausible / flagged > 0.999


@pytest.mark.slow
def test_written_as_they_were(replays, listed):
    """All complete files, except for the named ones, are written back byte for byte."""
    same = 0
    for line in listed:
        if line["file"].endswith(NO_REPLAYS):
            continue
        content = (replays / line["file"]).read_bytes()
        written = slp.write(slp.read(content, "all"))
        assert slp.write(slp.read(written, "all")) == written, line["file"]
        if not line["file"].endswith(NOT_OURS) and not content.endswith(b"\n"):
            assert written == content, line["file"]
            same += 1
    assert same == 80


def test_a_real_file_is_read_within_a_second(replays, listed):
    """Every file, damaged ones included, is read in less than a second of CPU time."""
    for line in listed:
        began = time.process_time()
        try:
            slp.read(replays / line["file"])
        except RecordingError:
            continue
        assert time.process_time() - began < 1, line["file"]


def test_followers_are_ice_climbers(games):
    """Only games with Ice Climbers have followers, whose character is the second climber."""
    climbers = 14
    for line, replay in games:
        pairs = {player.port for player in replay.start.players if player.character == climbers}
        assert {port for port, follower in replay.slots if follower} == pairs, line["file"]
        for port in pairs:
            assert set(replay.post[port, True]["character"][replay.present[port, True]]) == {11}


def test_stage_events(games):
    """The files of versions with stage events have them, in frames of the game."""
    counts = dict.fromkeys(("fountain", "whispy", "item"), 0)
    for _, replay in games:
        for kind in counts:
            rows = getattr(replay, kind)
            assert (rows is None) or set(rows.dtype.names) <= {
                field.name for field in EVENTS[kind].fields
            }
            counts[kind] += 0 if rows is None else len(rows)
            if rows is not None:
                assert np.array_equal(rows["frame"], replay.frames[replay.rows[kind]])
    assert all(counts.values())
