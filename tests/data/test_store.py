"""Stores return what was written, and plain NumPy can read them."""

from __future__ import annotations

import dataclasses
import json
import os
import socket

import numpy as np
import pytest
from conftest import TOY, random_columns, random_episode

from shadowbox.core.episode import Episode
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.data.store import Store, parse_episode_spec
from shadowbox.data.verify import verify
from shadowbox.data.write import FOLD_BYTES, Writer
from shadowbox.errors import EpisodeError, SchemaMismatch, StoreLocked, UsageError


def write(path, episodes, **options):
    """Write a store of these episodes."""
    with Writer(path, TOY, **options) as writer:
        for episode in episodes:
            writer.add(episode)
    return Store(path)


def assert_same(actual: Episode, expected: Episode) -> None:
    """Assert that two episodes are equal but for their number."""
    for key, values in expected.columns.items():
        np.testing.assert_array_equal(actual.columns[key], values, err_msg=key)
    assert actual.meta == expected.meta
    assert actual.absent == expected.absent
    for name in ("frame", "kind", "player", "other", "what", "value"):
        np.testing.assert_array_equal(actual.events[name], expected.events[name])


def test_episodes_come_back(tmp_path):
    """Columns, events, metadata and absent columns of every episode survive, across shards."""
    episodes = [
        random_episode(TOY, frames, seed=frames, player=f"p{frames}")
        for frames in (1, 7, 300, 50, 1000)
    ]
    columns = random_columns(TOY, 9, seed=1)
    columns["player/percent"][:] = 0
    episodes.append(Episode(columns, {}, absent=frozenset({"player/percent"})))
    store = write(tmp_path / "s", episodes, shard_bytes=20_000)
    assert len(store.shards) > 2
    assert len(store) == len(episodes) == len(list(store))
    for number, episode in enumerate(episodes):
        assert_same(store.episode(number), episode)
        assert set(store.events_of(number)["match"]) <= {number}
    assert store.frames == sum(episode.frames for episode in episodes)


def test_a_shard_is_an_ordinary_npy_file(tmp_path):
    """`np.load` alone reads a shard's columns by name; the manifest locates the flags."""
    episode = random_episode(TOY, 40)
    write(tmp_path / "s", [episode])
    rows = np.load(tmp_path / "s" / "00000.rows.npy", allow_pickle=False)
    np.testing.assert_array_equal(rows["player/x"], episode.columns["player/x"])
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_text())
    bit = manifest["row"]["flags"]["pad/a"]
    assert manifest["row"]["units"]["player/x"] == "m"
    flags = np.unpackbits(rows["bits"], axis=1, bitorder="little")
    np.testing.assert_array_equal(flags[:, bit : bit + 2], episode.columns["pad/a"])


def test_opening_takes_no_longer_for_more_frames(tmp_path):
    """Opening reads the manifest alone: it succeeds even if rows and index are unreadable."""
    store = write(tmp_path / "s", [random_episode(TOY, 100)])
    for part in ("rows", "episodes", "events"):
        entry = store.manifest.shards[0].files[part]
        (tmp_path / "s" / entry.name).write_bytes(bytes(entry.bytes))
    assert len(Store(tmp_path / "s")) == 1


def test_appending_goes_on(tmp_path):
    """Appended episodes follow the first ones, and many small appends stay one shard."""
    episodes = [random_episode(TOY, 20, seed=seed) for seed in range(12)]
    for episode in episodes:
        write(tmp_path / "s", [episode])
    store = Store(tmp_path / "s")
    assert len(store.shards) == 1
    for number, episode in enumerate(episodes):
        assert_same(store.episode(number), episode)
    assert verify(store) == []
    assert (
        sorted(path.name.partition(".")[0] for path in (tmp_path / "s").glob("*.npy"))
        == ["00011"] * 3
    )


def test_a_large_last_shard_is_left_alone(tmp_path):
    """Appending does not rewrite a large shard."""
    rows = FOLD_BYTES // TOY.row_dtype.itemsize + 10
    write(tmp_path / "s", [random_episode(TOY, rows)])
    store = write(tmp_path / "s", [random_episode(TOY, 5)])
    assert [shard.entry.number for shard in store.shards] == [0, 1]


def test_commit_makes_visible_and_an_exception_keeps_the_last_commit(tmp_path):
    """Committed episodes stay; later ones are gone when the writer fails."""

    def fail():
        with Writer(tmp_path / "s", TOY) as writer:
            writer.add(random_episode(TOY, 10, seed=1))
            writer.commit()
            assert len(Store(tmp_path / "s")) == 1
            writer.add(random_episode(TOY, 10, seed=2))
            raise RuntimeError("the recorder broke")

    with pytest.raises(RuntimeError):
        fail()
    store = Store(tmp_path / "s")
    assert len(store) == 1
    assert verify(store) == []


def test_a_bad_episode_is_refused_and_the_good_ones_stay(tmp_path):
    """A value out of range is named with episode, frame and field; the writer remains usable."""
    bad = random_episode(TOY, 10, source="match-7.slp")
    bad.columns["player/x"][3, 1] = 1e6
    with Writer(tmp_path / "s", TOY) as writer:
        writer.add(random_episode(TOY, 10, seed=1))
        with pytest.raises(
            EpisodeError,
            match=r"episode 1 \(match-7.slp\), frame 3, player/x\[1\]: "
            r"1000000.0, allowed -100 .. 100",
        ):
            writer.add(bad)
        writer.add(random_episode(TOY, 10, seed=2))
    assert len(Store(tmp_path / "s")) == 2


def test_event_kinds_are_named_and_checked(tmp_path):
    """A store names its event kinds, and refuses an event of another kind."""
    episode = random_episode(TOY, 10)
    assert write(tmp_path / "s", [episode], event_kinds=("hit",)).manifest.event_kinds == ("hit",)
    episode.events["kind"][2] = 1
    with pytest.raises(EpisodeError, match=r"must be below 1 \(hit\), got 1"):
        write(tmp_path / "s", [episode])


def test_another_schema_is_explained(tmp_path):
    """Opening with a different schema lists the differences; additional fields do not matter."""
    write(tmp_path / "s", [random_episode(TOY, 5)])
    player = (
        Real("x", unit="cm"),
        Real("percent", unit="%", store="f4"),
        Choice("action", 400),
        Flag("shield"),
    )
    wanted = Schema("toy", 60, (Group("player", player, slots=2, per="player"),), TOY.controls)
    with pytest.raises(SchemaMismatch) as caught:
        Store(tmp_path / "s", wanted)
    message = str(caught.value)
    assert "player/x: unit 'cm' expected, 'm' found" in message
    assert "player/percent: store 'f4' expected, 'f2' found" in message
    assert "player/action: n 400 expected, 300 found" in message
    assert "player/shield: expected, not found" in message
    fewer = Schema(
        "toy", 60, (Group("player", (Flag("on_ground"),), slots=2, per="player"),), TOY.controls
    )
    assert len(Store(tmp_path / "s", fewer)) == 1
    with pytest.raises(SchemaMismatch, match="item/alive: not expected, found"):
        Writer(tmp_path / "s", fewer)


def test_one_writer_at_a_time(tmp_path):
    """A second writer is refused, naming pid and host of the first, until the first is done."""
    with Writer(tmp_path / "s", TOY) as first:
        first.add(random_episode(TOY, 5))
        with pytest.raises(StoreLocked, match=f"pid {os.getpid()} on host {socket.gethostname()}"):
            Writer(tmp_path / "s", TOY)
    assert len(write(tmp_path / "s", [random_episode(TOY, 5, seed=3)])) == 2


def test_the_fingerprint_is_of_the_content(tmp_path):
    """Equal episodes have equal fingerprints in any store and sharding; another order differs."""
    episodes = [random_episode(TOY, 50, seed=seed) for seed in range(4)]
    one = write(tmp_path / "a", episodes, made={"how": "this way"})
    two = write(tmp_path / "b", episodes, shard_bytes=2000, made={"how": "that way"})
    assert len(two.shards) == 4
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint != write(tmp_path / "c", episodes[::-1]).fingerprint


def test_places_in_stores():
    """`PATH#12` names an episode; anything else after # is refused with an example."""
    assert parse_episode_spec("data/x#12")[1] == 12
    assert parse_episode_spec("data/x")[1] is None
    with pytest.raises(UsageError, match="data/x#12"):
        parse_episode_spec("data/x#last")


def test_an_unknown_episode_is_named(tmp_path):
    """An unknown episode is refused with the number of episodes."""
    store = write(tmp_path / "s", [random_episode(TOY, 5)])
    for number in (1, -1):
        with pytest.raises(UsageError, match="it holds 1, numbered from 0"):
            store.episode(number)


def test_a_writer_holds_one_shard_in_bytes(tmp_path):
    """Rows and tracks wait in memory up to `shard_bytes` bytes; the next episode begins a shard."""
    rows = TOY.row_dtype.itemsize * 11
    for bound, wanted in ((3 * rows, [3, 3, 1]), (3 * rows - 1, [2, 2, 2, 1]), (1, [1] * 7)):
        path = tmp_path / str(bound)
        with Writer(path, TOY, shard_bytes=bound) as writer:
            for seed in range(7):
                writer.add(random_episode(TOY, 10, seed=seed))
        assert [shard.entry.episodes for shard in Store(path).shards] == wanted
    tracks = {"0/p": np.zeros((11, rows // 11 // 4), np.float32)}  # about as many bytes as the rows
    with Writer(tmp_path / "tracks", TOY, shard_bytes=4 * rows) as writer:
        for seed in range(4):
            writer.add(dataclasses.replace(random_episode(TOY, 10, seed=seed), tracks=tracks))
    assert [shard.entry.episodes for shard in Store(tmp_path / "tracks").shards] == [2, 2]


def test_a_store_as_it_was(tmp_path):
    """The first episodes of a store that has only grown; itself, if it did not or lost one since."""
    episodes = [random_episode(TOY, 5 + seed, seed=seed) for seed in range(9)]
    before = write(tmp_path / "s", episodes[:5], shard_bytes=2000).fingerprint
    grown = write(tmp_path / "s", episodes[5:], shard_bytes=2000)
    found = grown.as_of(before)
    assert (len(found), found.fingerprint) == (5, before)
    assert found.frames == sum(range(5, 10))
    assert [one.rows for one in found] == [6, 7, 8, 9, 10]
    with pytest.raises(UsageError, match="it holds 5"):
        found.rows_of(5)
    assert grown.as_of(grown.fingerprint) is grown
    assert grown.as_of("another") is grown


def test_rows_of_many_episodes_at_once(tmp_path):
    """Rows taken together, across shards and in any order, are those of each episode."""
    store = write(
        tmp_path / "s",
        [random_episode(TOY, 3 + seed, seed=seed) for seed in range(9)],
        shard_bytes=900,
    )
    assert len(store.shards) > 2
    for chosen in ([], [4], [0, 1, 2], [8, 0, 3, 3]):
        for last in (True, False):
            parts = [np.array(store.rows_of(n)[: None if last else -1]) for n in chosen]
            wanted = b"".join(part.tobytes() for part in parts)
            assert store.rows_together(np.array(chosen), last=last).tobytes() == wanted
