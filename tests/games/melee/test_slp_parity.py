"""Other readers of the same files: every field that both hold is equal, bit for bit."""

import csv
import json

import numpy as np
import pytest
from made_matches import content
from made_replays import made

from shadowbox.bench import peers
from shadowbox.errors import RecordingError
from shadowbox.games.melee import slp
from shadowbox.games.melee.export import replay_of
from shadowbox.games.melee.replay import read

PEPPI = {  # their name -> ours
    "random_seed": "seed",
    "state": "state",
    "position.x": "x",
    "position.y": "y",
    "direction": "facing",
    "joystick.x": "main_x",
    "joystick.y": "main_y",
    "cstick.x": "c_x",
    "cstick.y": "c_y",
    "triggers": "trigger",
    "triggers_physical.l": "trigger_l",
    "triggers_physical.r": "trigger_r",
    "buttons": "buttons",
    "buttons_physical": "buttons_physical",
    "raw_analog_x": "raw_main_x",
    "raw_analog_y": "raw_main_y",
    "raw_analog_cstick_x": "raw_c_x",
    "raw_analog_cstick_y": "raw_c_y",
    "percent": "percent",
    "character": "character",
    "shield": "shield",
    "last_attack_landed": "last_attack",
    "combo_count": "combo",
    "last_hit_by": "last_hit_by",
    "stocks": "stocks",
    "state_age": "state_age",
    **{f"state_flags.{byte}": f"flags.{byte}" for byte in range(5)},
    "misc_as": "misc",
    "airborne": "airborne",
    "ground": "ground",
    "jumps": "jumps",
    "l_cancel": "l_cancel",
    "hurtbox_state": "hurtbox",
    "velocities.self_x_air": "air_vx",
    "velocities.self_y": "vy",
    "velocities.knockback_x": "knockback_vx",
    "velocities.knockback_y": "knockback_vy",
    "velocities.self_x_ground": "ground_vx",
    "hitlag": "hitlag",
    "animation_index": "animation",
    "last_hit_by_instance": "instance_hit_by",
    "instance_id": "instance",
    "scene_frame_counter": "scene_counter",
    "latest_finalized_frame": "finalized",
    "type": "type",
    "velocity.x": "vx",
    "velocity.y": "vy",
    "damage": "damage",
    "timer": "timer",
    "id": "spawn",
    **{f"misc.{byte}": f"misc.{byte}" for byte in range(4)},
    "owner": "owner",
    "platform": "platform",
    "height": "height",
}
KINDS = {"item": "item", "start": "frame_start", "end": "frame_end", "fod_platform": "fountain"}
END = ("Unresolved", "Time", "Game", "Resolved", None, None, None, "NoContest")
# before this version, peppi moves the later rows of a player who returns up to the earlier ones
NO_GAPS = (2, 2, 0)
# lists that peppi keeps without names for their entries
STALE = ("stadium_transformation", "dreamland_whispy")


def column(rows, name):
    """Values of a field, or of one byte of a field of bytes."""
    name, _, byte = name.partition(".")
    return rows[name][:, int(byte)] if byte else rows[name]


@pytest.fixture
def peer(tmp_path):
    """Function that gives the columns of each file by another reader, or its reason to refuse.

    Skipped if no Python here has the reader.
    """

    def read(reader, *paths):
        if peers.interpreter(reader) is None:
            pytest.skip(f"no Python here has {reader}; `make peers` installs it beside this one")
        assert peers.ask(reader, "dump", str(tmp_path), *map(str, paths)) is None
        for number in range(len(paths)):
            refusal = tmp_path / f"{number}.txt"
            yield (
                refusal.read_text()
                if refusal.exists()
                else dict(np.load(tmp_path / f"{number}.npz"))
            )

    return read


def compare(theirs, path):
    """Assert that every column of peppi equals ours, bit for bit; the number of values compared."""
    replay = slp.read(path, "all")
    assert np.array_equal(theirs.pop("frames.id"), replay.frames)
    start, end = json.loads(str(theirs.pop("start"))), json.loads(str(theirs.pop("end")))
    compare_settings(start, end, replay)
    compared, unnamed = 0, set()
    for name, values in theirs.items():
        parts = name.removesuffix("?").split(".")[1:]
        if name.endswith("?") or parts[0].rstrip("#") in STALE:
            continue
        if parts[0] == "ports":
            slot = int(parts[1][1]) - 1, parts[2] == "follower"
            rows, present, field = (
                getattr(replay, parts[3])[slot],
                replay.present[slot],
                ".".join(parts[4:]),
            )
            nulls = theirs.get(f"frames.ports.{parts[1]}.{parts[2]}?")
            valid = np.ones(len(values), bool) if nulls is None else nulls
            assert np.array_equal(valid, present) or replay.version < NO_GAPS, name
        else:
            kind = KINDS[parts[0].rstrip("#")]
            rows, field = getattr(replay, kind), ".".join(parts[1:])
            if name.endswith("#"):
                assert np.array_equal(
                    np.bincount(replay.rows[kind], minlength=len(replay.frames)), values
                ), name
                continue
            present = valid = np.ones(len(rows), bool)
        if field not in PEPPI:
            unnamed.add(name)
            continue
        ours = np.ascontiguousarray(column(rows, PEPPI[field])[present])
        assert ours.dtype == values.dtype, name
        assert ours.tobytes() == values[valid].tobytes(), name
        compared += len(ours)
    assert not unnamed
    for side in ("pre", "post"):  # and peppi lacks none of our fields
        names = {
            PEPPI[key.split(f".{side}.")[1]].partition(".")[0]
            for key in theirs
            if f".{side}." in key and "?" not in key
        }
        for slot in replay.slots:
            assert (
                set(getattr(replay, side)[slot].dtype.names) - {"frame", "port", "follower"}
                == names
            )
    return compared


def compare_settings(theirs, end, replay):
    """Assert that settings and end of a game are equal."""
    start = replay.start
    assert theirs["slippi"]["version"] == list(replay.version)
    assert (theirs["stage"], theirs["timer"], theirs["random_seed"]) == (
        start.stage,
        start.timer,
        start.seed,
    )
    assert (theirs["is_teams"], theirs["item_spawn_frequency"]) == (start.teams, start.item_spawn)
    assert (theirs.get("is_pal"), theirs.get("is_frozen_ps")) == (
        start.is_pal,
        start.frozen_stadium,
    )
    assert len(theirs["players"]) == len(start.players)
    for their, our in zip(theirs["players"], start.players, strict=True):
        assert their["port"] == f"P{our.port + 1}"
        assert (their["character"], their["stocks"], their["costume"]) == (
            our.character,
            our.stocks,
            our.costume,
        )
        assert their["type"].lower() == our.kind
        assert (their["team"] or {}).get("color", our.team) == our.team
        if "name_tag" in their:
            assert their["name_tag"] == our.nametag
        if "netplay" in their:
            assert their["netplay"]["name"] == our.display_name
            code = their["netplay"]["code"].replace("\uff03", "#")  # full width, as recorded
            assert code == our.connect_code
            assert their["netplay"].get("suid") == our.user_id
    if replay.end is None:
        assert end is None
    else:
        assert end["method"] == END[replay.end.method]


@pytest.mark.parametrize(
    "version", [(0, 1, 0), (1, 7, 0), (2, 0, 0), (3, 7, 0), (3, 12, 0), (3, 16, 0), (3, 18, 0)]
)
def test_peppi_reads_our_files(peer, tmp_path, version):
    """A file of ours, with rollbacks, followers and items, is equal to peppi in every field."""
    path = tmp_path / "made.slp"
    path.write_bytes(
        slp.write(
            made(version, frames=50, followers=(1,), rollbacks=5 if version >= (2, 2, 0) else 0)
        )
    )
    (columns,) = peer("peppi", path)
    assert compare(columns, path) >= 50 * 3 * 25


@pytest.mark.parametrize("version", [(0, 1, 0), (2, 0, 0), (3, 5, 0), (3, 18, 0)])
def test_py_slippi_reads_our_files(peer, tmp_path, version):
    """A file that we wrote is equal to py-slippi in every field that it has."""
    path = tmp_path / "made.slp"
    replay = made(version, frames=30, followers=(1,), items=0)
    for rows in (*replay.pre.values(), *replay.post.values()):  # values that it has names for
        rows["facing"] = 1
        if "raw_main_x" in rows.dtype.names:
            rows["raw_main_x"] &= 0x7F  # they read it as unsigned
        if "character" in rows.dtype.names:
            rows["character"] %= 27
        if "l_cancel" in rows.dtype.names:
            rows["l_cancel"] %= 3
    path.write_bytes(slp.write(replay))
    (columns,) = peer("pyslippi", path)
    assert compare_with_slippi(columns, path) > 30 * 3 * 20


def compare_with_slippi(theirs, path):
    """Assert that the fields that py-slippi reads equal ours; the number of values compared."""
    replay = slp.read(path)
    assert np.array_equal(theirs.pop("frames.id"), replay.frames)
    compared = 0
    for name, values in theirs.items():
        parts = name.split(".")[1:]
        # py-slippi keeps the items of every pass through a frame
        if parts[0] == "item" and replay.rolled_back:
            continue
        if parts[0] == "item":
            rows, field = replay.item, ".".join(parts[1:])
        else:
            slot = int(parts[1][1]) - 1, parts[2] == "follower"
            rows, field = getattr(replay, parts[3])[slot][replay.present[slot]], ".".join(parts[4:])
        valid = ~np.isnan(values)
        own_name = PEPPI.get(field, field)
        if own_name not in rows.dtype.names:
            assert not valid.any(), name
            continue
        ours = column(rows, own_name)
        if own_name == "flags":
            ours = (ours.astype(np.int64) << (8 * np.arange(5))).sum(axis=1)
        if field == "raw_analog_x":  # py-slippi reads it as unsigned
            ours = ours.view(np.uint8)
        ours = (ours != 0) if field == "airborne" else ours
        assert np.array_equal(ours[valid].astype(np.float64), values[valid], equal_nan=True), name
        compared += int(valid.sum())
    return compared


@pytest.mark.parametrize("version", ["0.1.0", "2.0.0", "3.3.0", "3.18.0"])
def test_both_read_our_exports(peer, tmp_path, version):
    """An exported episode of any version is read by peppi and by py-slippi with its metadata."""
    path = tmp_path / "exported.slp"
    path.write_bytes(content(frames=20, version=version))
    for reader in ("peppi", "pyslippi"):
        (columns,) = peer(reader, path)
        assert isinstance(columns, dict), columns
        assert len(columns["frames.id"]) == 84 + 21


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["peppi", "pyslippi"])
def test_exports_of_real_files_are_read(peer, replays, tmp_path, reader):
    """The export of every real replay is read; by py-slippi, which is slow, of short ones."""
    paths = []
    for path in sorted(replays.rglob("*.slp")):
        try:
            games = list(read(path, path.name))
        except RecordingError:
            continue
        if reader == "peppi" or games[0].frames < 1000:
            paths.append(tmp_path / f"{len(paths)}.slp")
            paths[-1].write_bytes(slp.write(replay_of(games[0])))
    assert len(paths) > (70 if reader == "peppi" else 30)
    refused = [columns for columns in peer(reader, *paths) if not isinstance(columns, dict)]
    assert refused == []


@pytest.mark.slow
def test_real_files_by_peppi(peer, replays):
    """Every real file that peppi can read is equal in every field of every row."""
    read = values = 0
    with open(replays / "replays.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    paths = [replays / line["file"] for line in lines]
    for line, path, columns in zip(lines, paths, peer("peppi", *paths), strict=True):
        assert isinstance(columns, dict) == (line["peppi_ok"] == "yes"), columns
        if isinstance(columns, dict):
            values += compare(columns, path)
            read += 1
    assert read > 70
    assert values > 10_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v0.1", "v2.0", "ics", "v3.13", "v3.16"])
def test_real_files_by_py_slippi(peer, replays, name):
    """Five real files of five versions are equal to py-slippi, which keeps the last passes."""
    path = replays / f"hohav+peppi/tests/data/{name}.slp"
    (columns,) = peer("pyslippi", path)
    assert compare_with_slippi(columns, path) > 8_000
