"""Tracks of an episode: stored beside it, read back, and no part of its identity."""

from __future__ import annotations

import dataclasses
import zipfile

import numpy as np
import pytest
from conftest import TOY, random_episode

from shadowbox.core.episode import check
from shadowbox.core.tracks import Track, pack_tracks, tracks_of, unpack_tracks, with_tracks
from shadowbox.data.edit import drop, merge
from shadowbox.data.store import Store
from shadowbox.data.verify import verify
from shadowbox.data.write import Writer
from shadowbox.errors import EpisodeError, StoreError


def shown(frames, seed=0):
    """Tracks of every storage type, scalar and with a shape, in both seats."""
    draws = np.random.default_rng(seed)
    rows = frames + 1
    return {
        "0/press/pad/a": draws.random(rows).astype(np.float32),
        "0/attention": draws.random((rows, 3, 2)).astype(np.float16),
        "1/value": np.where(np.arange(rows) < 2, np.nan, 0.5).astype(np.float32),
        "1/guess": draws.integers(0, 9, (rows, 4)).astype(np.uint8),
        "1/count": draws.integers(0, 1 << 20, rows).astype(np.uint32),
        "1/code": draws.integers(0, 1 << 12, rows).astype(np.uint16),
    }


def episode(frames, seed=0, tracks=True):
    """A random episode, with tracks or without."""
    made = random_episode(TOY, frames, seed)
    return dataclasses.replace(made, tracks=shown(frames, seed) if tracks else {})


def write(path, episodes, **options):
    """A store of these episodes, appended where there is one."""
    with Writer(path, TOY, **options) as writer:
        for one in episodes:
            writer.add(one)
    return Store(path)


def assert_tracks(found, expected):
    """Equal keys in the same order, types and values."""
    assert list(found) == list(expected)
    for key, values in expected.items():
        assert found[key].dtype == values.dtype
        np.testing.assert_array_equal(found[key], values, err_msg=key)


def test_tracks_come_back(tmp_path):
    """Episodes with and without tracks come back as they were, over several shards and appends."""
    episodes = [episode(n, seed=n, tracks=n % 3 > 0) for n in (5, 9, 12, 40, 7, 31)]
    write(tmp_path / "s", episodes[:2])
    write(tmp_path / "s", episodes[2:4])  # folded into the first shard
    store = write(tmp_path / "s", episodes[4:], shard_bytes=4000)
    assert len(store.shards) > 1
    for number, expected in enumerate(episodes):
        assert_tracks(store.episode(number).tracks, expected.tracks)
        assert_tracks(store.tracks_of(number), expected.tracks)
    assert verify(store) == []


def test_a_store_without_tracks_has_no_file_for_them(tmp_path):
    """Without tracks a store has the files it always had, and every reader gets empty tracks."""
    store = write(tmp_path / "s", [episode(5, tracks=False)])
    assert not list((tmp_path / "s").glob("*tracks*"))
    assert set(store.manifest.shards[0].files) == {"rows", "episodes", "events", "meta"}
    assert store.episode(0).tracks == {}


def test_tracks_are_no_part_of_an_episodes_identity(tmp_path):
    """Digest and fingerprint are those of the same episode without tracks."""
    with_them = write(tmp_path / "a", [episode(20)])
    without = write(tmp_path / "b", [episode(20, tracks=False)])
    assert with_them.fingerprint == without.fingerprint
    assert with_them.rows_of(0).tobytes() == without.rows_of(0).tobytes()


def test_copies_take_their_tracks_along(tmp_path):
    """Merging and dropping keep the tracks of each episode that stays."""
    one = write(tmp_path / "one", [episode(5, 1), episode(6, 2, tracks=False)])
    two = write(tmp_path / "two", [episode(7, 3)])
    merge([one, two], tmp_path / "both")
    drop(Store(tmp_path / "both"), [0])
    both = Store(tmp_path / "both")
    assert both.episode(0).tracks == {}
    assert_tracks(both.episode(1).tracks, shown(7, 3))


def test_numpy_alone_reads_them(tmp_path):
    """`np.load` reads the file; a track is a member of its structured rows."""
    write(tmp_path / "s", [episode(5, tracks=False), episode(8, 4)])
    with np.load(tmp_path / "s" / "00000.tracks.npz") as file:
        assert file.files == ["1"]
        np.testing.assert_array_equal(file["1"]["1/value"], shown(8, 4)["1/value"])


def test_damage_is_named(tmp_path):
    """A changed byte is found by `verify`; files that are not zips, or deflated, are refused."""
    store = write(tmp_path / "s", [episode(8)])
    path = tmp_path / "s" / "00000.tracks.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-400] + b"x" + whole[-399:])
    assert "00000.tracks.npz is damaged" in verify(store)[0]
    path.write_bytes(b"not a zip")
    with pytest.raises(StoreError, match="cannot be read as tracks"):
        store.tracks_of(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.npy", b"0" * 1000)
    with pytest.raises(StoreError, match="is compressed"):
        store.tracks_of(0)
    np.savez(path, **{"0": pack_tracks(shown(3))})
    with pytest.raises(StoreError, match="expected tracks of 9 rows"):
        store.tracks_of(0)


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        ({"value": np.zeros(6, np.float32)}, "a key is SEAT/NAME"),
        ({"2/value": np.zeros(6, np.float32)}, r"seat must be from 0 to 1 \(got 2\)"),
        ({"0/value": np.zeros(5, np.float32)}, "5 rows, expected 6"),
        ({"0/value": np.zeros(6)}, "dtype is 'f8'"),
        ({"0/a b": np.zeros(6, np.float32)}, "ASCII characters without spaces"),
        ({"0/map": np.zeros((6, 70, 70), np.float32)}, "at most 4,096"),
    ],
)
def test_tracks_that_do_not_fit_are_refused(tracks, message):
    """A track of another key, seat, length, type or size is refused by the check of its episode."""
    made = dataclasses.replace(episode(5, tracks=False), tracks=tracks)
    with pytest.raises(EpisodeError, match=message):
        check(made, TOY)


def test_packed_rows_are_their_declaration():
    """Packing and unpacking keep every value; a row of the wire is the row and then its tracks."""
    values = shown(10)
    packed = pack_tracks(values)
    assert packed.dtype.itemsize == 4 + 3 * 2 * 2 + 4 + 4 + 4 + 2
    assert_tracks(unpack_tracks(packed), values)
    assert tracks_of(values)[1] == Track("attention", "f2", (3, 2), 0)
    rows = TOY.pack(random_episode(TOY, 10).columns)
    joined = with_tracks(rows, values)
    width = rows.dtype.itemsize
    assert joined.tobytes()[:width] == rows[:1].tobytes()
    assert joined.tobytes()[width : width + packed.dtype.itemsize] == packed[:1].tobytes()
    assert with_tracks(rows, {}) is rows
