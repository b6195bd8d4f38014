"""Edits of stores: nothing is lost, renumbered wrongly, or encoded again."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from conftest import TOY, random_episode

from shadowbox.core.schema import Schema
from shadowbox.data import edit
from shadowbox.data.frames_json import read_frames
from shadowbox.data.split import SIDES, Split
from shadowbox.data.store import Store
from shadowbox.data.verify import verify
from shadowbox.data.write import Writer
from shadowbox.errors import SchemaMismatch, StoreError, StoreLocked, UsageError

KINDS = ("hit", "fall")


def stored(path: Path, seeds: Sequence[int], schema: Schema = TOY, **options: object) -> Store:
    """Store of random episodes in several shards; every third episode lacks a column."""
    with Writer(path, schema, **{"shard_bytes": 2000, "event_kinds": KINDS, **options}) as writer:
        for seed in seeds:
            one = random_episode(
                schema, 5 + seed % 7, seed, name=f"match {seed}", player=f"p{seed % 3}"
            )
            if seed % 3 == 0:
                one.columns["stage/wind"][:] = 0
                one = dataclasses.replace(one, absent=frozenset({"stage/wind"}))
            writer.add(one)
    return Store(path)


def contents(store: Store) -> list[tuple[bytes, ...]]:
    """Content of each episode, without its number."""
    episodes = []
    for number in range(len(store)):
        events = store.events_of(number).copy()
        assert (events["match"] == number).all()
        events["match"] = 0
        meta = json.dumps(store.meta_of(number)).encode()
        absent = ",".join(sorted(store.absent_in(number))).encode()
        episodes.append((np.array(store.rows_of(number)).tobytes(), events.tobytes(), meta, absent))
    return episodes


def whole(path: Path) -> Store:
    """The store, opened again and verified."""
    assert verify(Store(path, whole=False)) == []
    return Store(path)


# ---- merge ---------------------------------------------------------------------------------------


def test_a_merge_holds_all_in_order(tmp_path: Path) -> None:
    """A merge keeps episodes in order, byte for byte, with their events under new numbers."""
    one, two = stored(tmp_path / "a", range(9)), stored(tmp_path / "b", range(20, 26))
    seen: list[tuple[int, int]] = []
    counts = edit.merge(
        [one, two], tmp_path / "out", progress=lambda done, total: seen.append((done, total))
    )
    assert counts == {"episodes": 15, "left_out": 0}
    merged = whole(tmp_path / "out")
    assert contents(merged) == contents(one) + contents(two)
    assert any(len(merged.events_of(number)) for number in range(9, 15))
    assert merged.manifest.event_kinds == KINDS
    assert merged.manifest.made["merged"] == [one.fingerprint, two.fingerprint]
    assert seen[-1] == (15, 15)
    assert [store.fingerprint for store in map(Store, (tmp_path / "a", tmp_path / "b"))] == [
        one.fingerprint,
        two.fingerprint,
    ]


def test_a_unique_merge_leaves_copies_out(tmp_path: Path) -> None:
    """A unique merge keeps the first episode of each content, within a store and across stores."""
    one, two = stored(tmp_path / "a", [1, 2, 1]), stored(tmp_path / "b", [3, 2, 4])
    assert edit.merge([one, two], tmp_path / "u", unique=True) == {"episodes": 4, "left_out": 2}
    assert [meta["seed"] for meta in map(whole(tmp_path / "u").meta_of, range(4))] == [1, 2, 3, 4]
    assert edit.merge([one, two], tmp_path / "all")["episodes"] == 6


def test_other_schemas_do_not_merge(tmp_path: Path) -> None:
    """A store with another schema is named and refused; nothing is written."""
    one, other = (
        stored(tmp_path / "a", [1]),
        stored(tmp_path / "b", [1], dataclasses.replace(TOY, name="other")),
    )
    with pytest.raises(SchemaMismatch, match=str(tmp_path / "b")):
        edit.merge([one, other], tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert edit.merge([one], tmp_path / "out")["episodes"] == 1


def test_stores_that_name_events_otherwise_do_not_merge(tmp_path: Path) -> None:
    """Stores with different event kinds are refused, since a merge would rename events."""
    one, other = stored(tmp_path / "a", [1]), stored(tmp_path / "b", [2], event_kinds=KINDS[::-1])
    with pytest.raises((SchemaMismatch, UsageError)):
        edit.merge([one, other], tmp_path / "out")


# ---- split ---------------------------------------------------------------------------------------


def test_a_split_is_one_store_a_side(tmp_path: Path) -> None:
    """Each side of a split is a store of its episodes in order; together they are the source."""
    source, shares = stored(tmp_path / "s", range(40)), Split(0.5, 0.25, 0.25)
    counts = edit.split(source, tmp_path / "out", shares)
    everything = contents(source)
    for side in SIDES:
        expected = [everything[number] for number in shares.episodes(source, side)]
        part = whole(tmp_path / "out" / side)
        assert contents(part) == expected
        assert counts[side] == len(expected) > 0
        assert part.manifest.event_kinds == KINDS
        assert part.manifest.made["from"] == source.fingerprint
    assert sum(counts.values()) == 40


def test_a_side_without_episodes_is_no_store(tmp_path: Path) -> None:
    """A side without episodes writes no store."""
    counts = edit.split(stored(tmp_path / "s", range(5)), tmp_path / "out", Split(1, 0, 0))
    assert counts == {"train": 5, "val": 0, "test": 0, "dropped": 0}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train"]


@pytest.mark.parametrize("how", ["merge", "split"])
def test_what_exists_is_not_written_over(how: str, tmp_path: Path) -> None:
    """A target with content is refused before anything is written; an empty folder is accepted."""
    source = stored(tmp_path / "s", range(6))
    act = {
        "merge": lambda out: edit.merge([source], out),
        "split": lambda out: edit.split(source, out, Split()),
    }[how]
    taken = tmp_path / "out" / ("val" if how == "split" else "")
    taken.mkdir(parents=True)
    (taken / "notes.txt").write_text("notes")
    with pytest.raises(UsageError, match="exists already"):
        act(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["notes.txt"]
    (taken / "notes.txt").unlink()
    act(tmp_path / "out")


def test_sides_are_not_written_into_a_store(tmp_path: Path) -> None:
    """A split into its own store, inside of it, or into another store is refused; nothing changes."""
    source, other = stored(tmp_path / "s", range(6)), stored(tmp_path / "other", range(2))
    files = sorted(tmp_path.rglob("*"))
    for out, message in (
        (source.path, "is inside the store"),
        (source.path / "parts", "is inside the store"),
        (other.path, "is a store"),
    ):
        with pytest.raises(UsageError, match=message):
            edit.split(source, out, Split())
    assert sorted(tmp_path.rglob("*")) == files


def test_a_store_written_meanwhile_is_not_added_to(tmp_path: Path) -> None:
    """A copy into a path where another process has written a store since is refused."""
    source = stored(tmp_path / "s", range(3))
    stored(tmp_path / "out", [7])
    with pytest.raises(StoreError, match="exists already"):
        Writer(tmp_path / "out", TOY, event_kinds=KINDS, new=True)
    assert len(Store(tmp_path / "out")) == 1
    assert edit.merge([source], tmp_path / "new") == {"episodes": 3, "left_out": 0}


# ---- drop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dropped", [[0], [11], [3, 4, 9], [9, 3, 3], range(12), []])
def test_a_drop_moves_numbers_up_and_changes_nothing_else(
    dropped: Sequence[int], tmp_path: Path
) -> None:
    """Remaining episodes keep their bytes and order after a drop, and the store verifies."""
    source = stored(tmp_path / "s", range(12))
    before, made = contents(source), source.manifest.made
    assert edit.drop(source, dropped) == 12 - len(set(dropped))
    rewritten = whole(tmp_path / "s")
    assert contents(rewritten) == [
        one for number, one in enumerate(before) if number not in set(dropped)
    ]
    assert rewritten.manifest.made == made
    assert rewritten.manifest.event_kinds == KINDS
    named = {entry.name for shard in rewritten.manifest.shards for entry in shard.files.values()}
    assert {path.name for path in (tmp_path / "s").iterdir()} == named | {
        "manifest.json",
        "writer.lock",
    }


@pytest.mark.parametrize("number", [-1, 12])
def test_an_episode_that_is_not_there_is_not_dropped(number: int, tmp_path: Path) -> None:
    """An unknown number among known ones changes nothing."""
    source = stored(tmp_path / "s", range(12))
    with pytest.raises(UsageError, match=f"no episode {number}: it holds 12"):
        edit.drop(source, [3, number])
    assert len(whole(tmp_path / "s")) == 12


def test_a_store_goes_on_after_a_drop(tmp_path: Path) -> None:
    """Appending after a drop continues with the next free number."""
    edit.drop(stored(tmp_path / "s", range(5)), [1])
    stored(tmp_path / "s", [7])
    assert [whole(tmp_path / "s").meta_of(number)["seed"] for number in range(5)] == [0, 2, 3, 4, 7]


def test_a_drop_refuses_a_store_that_changed(tmp_path: Path) -> None:
    """A drop by a store opened before another commit is refused, and loses nothing of it."""
    old = stored(tmp_path / "s", range(5))
    stored(tmp_path / "s", [7])
    with pytest.raises(StoreError, match="changed since it was opened"):
        edit.drop(old, [1])
    assert len(whole(tmp_path / "s")) == 6
    assert edit.drop(Store(tmp_path / "s"), [1]) == 5


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_two_processes_lose_no_acknowledged_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one process appends and another drops, every acknowledged episode stays or was dropped."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # slow, and no power fails here
    path, many = tmp_path / "s", 25
    stored(path, [1000])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for seed in range(many):
                _again(lambda seed=seed: stored(path, [seed]))
            status = 0
        finally:
            os._exit(status)
    dropped: set[int] = set()
    ended = (0, 0)
    while ended == (0, 0):
        ended = os.waitpid(child, os.WNOHANG)
        try:
            store = Store(path)
            if len(store) > 1:
                seed = store.meta_of(1)["seed"]
                edit.drop(store, [1])
                dropped.add(seed)
        except StoreError:  # locked, or changed since it was opened
            pass
    assert ended[1] == 0
    assert dropped, "the two did not meet: the test tried nothing"
    left = {whole(path).meta_of(number)["seed"] for number in range(len(Store(path)))}
    assert left == {1000, *range(many)} - dropped


def _again(act: Callable[[], object]) -> None:
    """Repeat until the store is free."""
    for _ in range(3_000):
        try:
            act()
            return
        except StoreLocked:
            time.sleep(0.001)
    raise AssertionError("the store was never free")


# ---- export --------------------------------------------------------------------------------------


def test_npz_opens_in_plain_numpy(tmp_path: Path) -> None:
    """An npz export holds columns, numbers, events and metadata, without any pickle."""
    source = stored(tmp_path / "s", range(5))
    edit.export(source, [1, 3], tmp_path / "out.npz")
    parts = [source.episode(1), source.episode(3)]
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        assert set(found) == {*TOY.columns, "episode", "frame", "events", "meta"}
        for key, column in TOY.columns.items():
            assert found[key].dtype == column.dtype
            np.testing.assert_array_equal(
                found[key], np.concatenate([part.columns[key] for part in parts])
            )
        assert found["episode"].tolist() == [1] * parts[0].rows + [3] * parts[1].rows
        assert found["frame"].tolist() == [*range(parts[0].rows), *range(parts[1].rows)]
        np.testing.assert_array_equal(
            found["events"], np.concatenate([part.events for part in parts])
        )
        assert json.loads(str(found["meta"])) == [part.meta for part in parts]


def test_parquet_opens_in_arrow(tmp_path: Path) -> None:
    """A parquet export holds one row a frame and one column a slot, with events and metadata."""
    source = stored(tmp_path / "s", range(5))
    edit.export(source, [0, 4], tmp_path / "out.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    parts = [source.episode(0), source.episode(4)]
    slots = [
        f"{key}[{slot}]" for key, column in TOY.columns.items() for slot in range(column.slots)
    ]
    assert found.column_names == ["episode", "frame", *slots]
    assert found.num_rows == sum(part.rows for part in parts)
    for key, column in TOY.columns.items():
        expected = np.concatenate([part.columns[key] for part in parts])
        for slot in range(column.slots):
            values = found[f"{key}[{slot}]"].to_numpy()
            assert values.dtype == column.dtype
            np.testing.assert_array_equal(values, expected[:, slot])
    assert found["episode"].to_pylist() == [0] * parts[0].rows + [4] * parts[1].rows
    assert json.loads(found.schema.metadata[b"meta"]) == [part.meta for part in parts]
    events = json.loads(found.schema.metadata[b"events"])
    assert [(e["match"], e["frame"], e["value"]) for e in events] == [
        (int(e["match"]), int(e["frame"]), float(e["value"])) for part in parts for e in part.events
    ]


def test_json_lines(tmp_path: Path) -> None:
    """A .jsonl file has a line for each frame of each episode, from which its columns are read."""
    source = stored(tmp_path / "s", range(3))
    edit.export(source, [0, 2], tmp_path / "out.jsonl")
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    kinds = source.manifest.event_kinds
    for number in (0, 2):
        own = [line for line in lines if json.loads(line)["episode"] == number]
        again, episode = read_frames(TOY, own, kinds), source.episode(number)
        for key, values in episode.columns.items():
            np.testing.assert_array_equal(again.columns[key], values)
        np.testing.assert_array_equal(again.events["frame"], episode.events["frame"])


@pytest.mark.parametrize("name", ["out.csv", "out", "out.npz.gz"])
def test_an_unknown_ending_is_refused(name: str, tmp_path: Path) -> None:
    """An unknown ending is refused with the possible ones, and nothing is written."""
    with pytest.raises(UsageError, match=r"ends with \.npz, \.parquet or \.jsonl"):
        edit.export(stored(tmp_path / "s", [1]), [0], tmp_path / name)
    assert not (tmp_path / name).exists()


def test_exporting_nothing_is_refused(tmp_path: Path) -> None:
    """An export of no episode, or of an unknown number, is refused and writes no file."""
    source = stored(tmp_path / "s", [1])
    with pytest.raises(UsageError, match="no episode to export"):
        edit.export(source, [], tmp_path / "out.npz")
    with pytest.raises(UsageError, match="no episode 4"):
        edit.export(source, [0, 4], tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()
