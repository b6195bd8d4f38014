"""Stores survive killed writers, flipped bytes, missing files, full disks and edits by hand."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time

import numpy as np
import pytest
from conftest import TOY, random_episode

from shadowbox.data import manifest
from shadowbox.data.store import Store
from shadowbox.data.verify import verify
from shadowbox.data.write import Writer
from shadowbox.errors import StoreError

KILLS = 60
resource = pytest.importorskip("resource")  # tests here fork, kill and limit processes
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.fixture
def store(tmp_path):
    """Six episodes in three shards."""
    with Writer(tmp_path / "s", TOY, shard_bytes=15_000) as writer:
        for seed in range(6):
            writer.add(random_episode(TOY, 150, seed=seed))
    store = Store(tmp_path / "s")
    assert len(store.shards) == 3
    return store


def snapshot(folder):
    """Bytes of every file but the lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "writer.lock"}


def in_child(work):
    """Run `work` in a forked process. Return its result, or the error it raised, as text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = str(work())
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writing, answer.encode()[:4000])
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read().decode()


def test_kill_at_any_moment_loses_nothing_committed(tmp_path):
    """Writers killed at sixty random moments leave every committed episode whole.

    The store can still be appended to.
    """
    path, moments, committed = tmp_path / "s", random.Random(1), 0
    episodes = [random_episode(TOY, 60, seed=seed) for seed in range(17)]

    def write_until_killed(report):
        writer = Writer(path, TOY, shard_bytes=40_000)
        while True:
            for _ in range(3):
                number = writer.add(episodes[writer.episodes % len(episodes)])
            writer.commit()
            os.write(report, (number + 1).to_bytes(4, "little"))

    interrupted = 0
    for _ in range(KILLS):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            write_until_killed(writing)
        os.close(writing)
        # most are killed while they write, however busy the machine is; some before they begin
        reports = os.read(reading, 4) if moments.random() < 0.9 else b""
        time.sleep(moments.uniform(0.0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reading, "rb") as pipe:
            reports += pipe.read()
        if reports:
            committed = int.from_bytes(reports[-4:], "little")
        if (path / manifest.NAME).exists():
            survivor = Store(path)
            assert len(survivor) >= committed
            assert verify(survivor) == []
            for number in range(max(0, len(survivor) - 3), len(survivor)):
                np.testing.assert_array_equal(
                    survivor.episode(number).columns["player/x"],
                    episodes[number % len(episodes)].columns["player/x"],
                )
            committed = len(survivor)
            named = {
                entry.name for shard in survivor.manifest.shards for entry in shard.files.values()
            }
            interrupted += bool(
                {p.name for p in path.iterdir()} - named - {"manifest.json", "writer.lock"}
            )
    assert committed > KILLS
    assert interrupted > 0, "no kill fell into a write: the test tried nothing"
    with Writer(path, TOY) as writer:
        writer.add(episodes[0])
    assert not list(path.glob("*.tmp")), "the next writer removes what killed ones left"
    assert verify(Store(path)) == []


def test_a_dead_writers_lock_is_recognized(tmp_path, caplog):
    """The lock of a killed process admits the next writer, which logs its owner."""
    child = os.fork()
    if child == 0:
        Writer(tmp_path / "s", TOY)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with Writer(tmp_path / "s", TOY) as writer:
        writer.add(random_episode(TOY, 5))
    assert f"pid {child} on host" in caplog.text
    assert len(Store(tmp_path / "s")) == 1


def test_a_live_writer_in_another_process_is_named(store):
    """A second writer in another process is refused with the pid of the first."""
    with Writer(store.path, TOY):
        answer = in_child(lambda: Writer(store.path, TOY))
    assert answer.startswith("StoreLocked")
    assert f"pid {os.getpid()} on host" in answer


def test_a_flipped_byte_is_found(store):
    """A flipped byte in any file is found by verify; in rows, its episode is named."""
    draws = random.Random(0)
    for at, shard in enumerate(store.shards):
        for part in ("rows", "episodes", "events", "meta"):
            path = shard.path(part)
            data = bytearray(path.read_bytes())
            position = draws.randrange(len(data))
            data[position] ^= 1 << draws.randrange(8)
            before = path.read_bytes()
            path.write_bytes(data)
            lines = verify(Store(store.path))
            assert len(lines) == 1
            assert path.name in lines[0]
            assert any(f"{at * 2 + side}" in lines[0].partition("differs)")[2] for side in (0, 1))
            path.write_bytes(before)
    rows = store.shards[1].path("rows")
    data = bytearray(rows.read_bytes())
    data[-3] ^= 8  # inside the last row of the shard's second episode
    rows.write_bytes(data)
    assert "): episode 3;" in verify(Store(store.path))[0]


def test_missing_and_truncated_shards_are_named(store):
    """A missing or shortened shard is named with its episodes; verify lists all of them."""
    gone, short = store.shards[0].path("rows"), store.shards[2].path("rows")
    whole = short.read_bytes()
    short.write_bytes(whole[:-100])
    with pytest.raises(
        StoreError,
        match=rf"{short.name} is [\d,]+ bytes long, expected [\d,]+; it holds episodes 4 to 5",
    ):
        Store(store.path)
    gone.unlink()
    with pytest.raises(StoreError, match=f"{gone.name} is missing; it holds episodes 0 to 1"):
        Store(store.path)
    lines = verify(Store(store.path, whole=False))
    assert [name in line for name, line in zip((gone.name, short.name), lines, strict=True)] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["shards"].pop(), "changed by hand"),
        (lambda data: data["counts"].update(episodes=7), "changed by hand"),
        (lambda data: data.update(seal="0" * 32), "changed by hand"),
        (lambda data: data.update(version=99), "has version 99, this Shadowbox reads 1"),
        (lambda data: data.update(format="something else"), "not the manifest of a store"),
    ],
)
def test_a_manifest_edited_by_hand_is_refused(store, change, message):
    """An edited, foreign or future manifest is refused in one line; the shards stay untouched."""
    path = store.path / manifest.NAME
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    before = snapshot(store.path)
    for opening in (lambda: Store(store.path), lambda: Writer(store.path, TOY)):
        with pytest.raises(StoreError, match=message):
            opening()
    assert snapshot(store.path) == before


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "\xff\xfe", '{"format": "shadowbox store", "version": 1}']
)
def test_a_manifest_that_is_no_manifest_is_refused(store, text):
    """Garbage in place of a manifest is refused in one line."""
    (store.path / manifest.NAME).write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match=r"manifest\.json"):
        Store(store.path)


def test_a_sealed_manifest_with_a_wrong_inside_is_refused(store):
    """A sealed manifest with missing members is refused in one line, not with a traceback."""
    path = store.path / manifest.NAME
    data = json.loads(path.read_text())
    data["shards"][0]["files"]["rows"].pop("bytes")
    data["seal"] = manifest._seal(data)
    path.write_text(json.dumps(data))
    with pytest.raises(StoreError, match=r"shards\[0\]\.files\.rows\.bytes is missing"):
        Store(store.path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data["schema"]["state"][0].update(slots=10**30), r"slots must fit into 64"),
        (lambda data: data["schema"]["state"][0].update(slots=10**9), "slots must be from 1 to"),
        (lambda data: data["shards"][0].update(episodes=10**15), r"shards\[0\]\.episodes must fit"),
        (lambda data: data["shards"][0].update(first=5), r"shards\[0\]\.first must be 0"),
        (lambda data: data["shards"][0]["files"].pop("meta"), r"shards\[0\]\.files must be rows"),
        (
            lambda data: data["shards"][0]["files"]["meta"].update(name="../meta.jsonl"),
            r"shards\[0\]\.files\.meta\.name must be 00000\.meta\.jsonl",
        ),
        (lambda data: data.update(next_shard=0), "next_shard must be above"),
        (lambda data: data.update(made=[]), r"made must be an object \(got \[\]\)"),
    ],
)
def test_a_hostile_manifest_is_refused_by_its_key(store, change, words):
    """Numbers beyond all bounds, files elsewhere and wrong counts are refused by key, at once."""
    path = store.path / manifest.NAME
    data = json.loads(path.read_text())
    change(data)
    data["seal"] = manifest._seal(data)
    path.write_text(json.dumps(data))
    with pytest.raises(StoreError, match=rf"manifest\.json .*{words}"):
        Store(store.path)


def test_a_hostile_index_is_refused_by_its_episode(store):
    """An episode that begins in another one, or beyond the rows, is refused by its number."""
    path = store.path / "00000.episodes.npy"
    index = np.array(store.shards[0].index)
    index["start"][0] += 1
    path.write_bytes(path.read_bytes()[: -index.nbytes] + index.tobytes())
    with pytest.raises(StoreError, match=r"episodes\.npy, episode 0: start \d+ and rows"):
        Store(store.path).episode(0)


def test_damaged_metadata_is_refused_by_its_episode(store):
    """Metadata that is no object is refused by the number of its episode; others are read."""
    path = store.path / "00000.meta.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([b"[" * len(lines[0]), *lines[1:]]))
    damaged = Store(store.path)
    with pytest.raises(StoreError, match=r"meta\.jsonl, episode 0 "):
        damaged.meta_of(0)
    assert damaged.meta_of(1) == store.meta_of(1)


def test_no_store_and_no_folder(tmp_path):
    """A folder without a store, a file and a missing path are each refused in one line."""
    (tmp_path / "file").write_text("no folder")
    for path in (tmp_path, tmp_path / "file", tmp_path / "nowhere"):
        with pytest.raises(StoreError, match=str(path)):
            Store(path)
    with pytest.raises(StoreError, match="cannot be written to"):
        Writer(tmp_path / "file", TOY)


def test_an_unreadable_folder(store):
    """A folder without permission is refused in one line by readers and writers."""

    def unprivileged(work):
        def run():
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            return work()

        return run

    os.chmod(store.path, 0)
    try:
        read = in_child(unprivileged(lambda: Store(store.path)))
        written = in_child(unprivileged(lambda: Writer(store.path, TOY)))
    finally:
        os.chmod(store.path, 0o755)
    assert read.startswith("StoreError")
    assert "Permission denied" in read
    assert written.startswith("StoreError")
    assert "cannot be written to: Permission denied" in written


def append_large(path):
    """Append several megabytes."""
    with Writer(path, TOY) as writer:
        for seed in range(40):
            writer.add(random_episode(TOY, 2000, seed=seed))


def test_no_room_for_a_shard_leaves_the_store_intact(store):
    """A file that reaches a size limit of the system stops the writer; the store is unchanged."""
    before = snapshot(store.path)

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        append_large(store.path)

    answer = in_child(limited)
    assert answer.startswith("StoreError")
    assert "cannot be written" in answer
    assert "the store is unchanged since its last commit" in answer
    assert snapshot(store.path) == before
    assert verify(Store(store.path)) == []


def test_a_full_disk_leaves_the_store_intact(tmp_path):
    """A full disk stops the writer in one line; committed episodes stay whole."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(
            "mounting a small disk needs root; the size-limit test above covers the same path"
        )
    try:
        with Writer(disk / "s", TOY) as writer:
            writer.add(random_episode(TOY, 100))
        before = snapshot(disk / "s")
        answer = in_child(lambda: append_large(disk / "s"))
        assert "No space left on device" in answer
        assert snapshot(disk / "s") == before
        assert verify(Store(disk / "s")) == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_reader_of_a_replaced_shard_is_told(store):
    """A reader of a shard that was replaced gets an error that says to open the store again."""
    old = Store(store.path)
    with Writer(store.path, TOY, replace=old.manifest) as writer:
        writer.add(random_episode(TOY, 10))
    with pytest.raises(StoreError, match="changed while it was open; open it again"):
        old.episode(0)
