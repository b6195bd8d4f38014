"""Ingest of recordings into a store: in order, and each content once."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import signal
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from toy_reader import GAME

from shadowbox.data.archives import limits
from shadowbox.data.archives.compressed import unpacked
from shadowbox.data.ingest import ingest
from shadowbox.data.recordings import recordings
from shadowbox.data.store import Store
from shadowbox.errors import RecordingError, ShadowboxError, StoreError, UsageError


def line(frames=20, seed=0):
    """A recording of one episode."""
    return f"{frames} frames of seed {seed}"


@pytest.fixture
def folder(tmp_path):
    """Twelve recordings in two folders, a copy of one, and two files that are not recordings."""
    for seed in range(12):
        parent = tmp_path / "in" / ("a" if seed % 2 else "b")
        parent.mkdir(parents=True, exist_ok=True)
        (parent / f"{seed:02d}.txt").write_text(line(20 + seed, seed))
    (tmp_path / "in" / "again.TXT").write_text(line(20, 0))
    (tmp_path / "in" / "broken.txt").write_text("nothing")
    (tmp_path / "in" / "notes.md").write_text("no recording")
    return tmp_path / "in"


def reasons(facts):
    """Reasons of the rejected files, by the last part of their names."""
    return {entry["file"].rpartition("/")[2]: entry["reason"] for entry in facts["rejected"]}


def test_a_folder_comes_in(folder, tmp_path):
    """Recordings of a folder and its subfolders are stored in the order of their names.

    Each rejected file is reported with a reason.
    """
    facts = ingest(GAME, [folder], tmp_path / "store")
    assert (facts["files"], facts["accepted"], facts["episodes"]) == (14, 12, 12)
    assert facts["frames"] == sum(20 + seed for seed in range(12))
    assert facts["left_out"]["items_left_out"] == 12
    rejected = reasons(facts)
    assert rejected["broken.txt"] == "line 0 is not a match"
    assert rejected.keys() == {
        "broken.txt",
        "00.txt",
    }  # again.TXT comes first in the order of names
    assert "again.TXT" in rejected["00.txt"]
    store = Store(tmp_path / "store")
    assert [int(store.meta_of(i)["seed"]) for i in range(12)] == [
        0,
        1,
        3,
        5,
        7,
        9,
        11,
        2,
        4,
        6,
        8,
        10,
    ]
    assert facts["bytes_per_frame"] > store.schema.row_dtype.itemsize
    for key in ("frames_per_cpu_s", "seconds", "cpu_seconds"):
        assert facts[key] > 0


def test_workers_change_nothing(folder, tmp_path):
    """Two workers give the same store, byte for byte, and the same report as one process."""
    alone, shared = (
        ingest(GAME, [folder], tmp_path / f"w{workers}", workers=workers) for workers in (1, 2)
    )
    assert Store(tmp_path / "w1").fingerprint == Store(tmp_path / "w2").fingerprint
    for part in ("rows", "meta", "events", "episodes"):
        one, two = (
            Store(tmp_path / f"w{workers}").shards[0].path(part).read_bytes() for workers in (1, 2)
        )
        assert one == two, part
    for key in ("files", "accepted", "rejected", "episodes", "frames", "left_out"):
        assert alone[key] == shared[key], key


def test_large_episodes_come_from_workers_too(tmp_path):
    """Rows that pass between processes through a file are the rows that one process stores."""
    for seed in range(4):
        (tmp_path / f"{seed}.txt").write_text(line(4000, seed))
    for workers in (1, 2):
        ingest(GAME, [tmp_path], tmp_path / f"w{workers}", workers=workers)
    assert Store(tmp_path / "w1").fingerprint == Store(tmp_path / "w2").fingerprint
    assert len(Store(tmp_path / "w2")) == 4


def test_again_adds_nothing(folder, tmp_path):
    """A second ingest rejects everything as seen; with resume nothing is read again."""
    ingest(GAME, [folder], tmp_path / "store")
    again = ingest(GAME, [folder], tmp_path / "store")
    assert (again["accepted"], again["resumed"]) == (0, 0)
    assert sum("seen before" in entry["reason"] for entry in again["rejected"]) == 13
    (folder / "new.txt").write_text(line(33, 99))
    resumed = ingest(GAME, [folder], tmp_path / "store", resume=True)
    assert (resumed["accepted"], resumed["resumed"], resumed["files"]) == (1, 13, 15)
    assert [entry["reason"] for entry in resumed["rejected"]] == ["line 0 is not a match"]
    assert len(Store(tmp_path / "store")) == 13


def test_an_interrupted_ingest_is_resumed(folder, tmp_path):
    """Episodes read before Ctrl-C are stored, and resume adds the others."""

    def stop(done, total):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(GAME, [folder], tmp_path / "store", progress=stop)
    assert 4 <= len(Store(tmp_path / "store")) <= 8
    ingest(GAME, [folder], tmp_path / "store", resume=True)
    whole = ingest(GAME, [folder], tmp_path / "whole")
    assert whole["episodes"] == len(Store(tmp_path / "store"))
    assert Store(tmp_path / "store").fingerprint == Store(tmp_path / "whole").fingerprint


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGTERM, 2)]
)
def test_a_signal_stores_what_was_read(folder, tmp_path, number, workers):
    """SIGTERM and SIGINT end an ingest in words, with all that was read in the store."""
    sent = []

    def stop(done, total):
        if done >= 7 and not sent:
            sent.append(os.kill(os.getpid(), number))

    message = (
        rf"stopped by {number.name} after \d+ recordings: .*store holds \d+ episodes; .*--resume"
    )
    before = signal.getsignal(number)
    with pytest.raises(ShadowboxError, match=message) as stopped:
        ingest(GAME, [folder], tmp_path / "store", workers=workers, progress=stop)
    assert signal.getsignal(number) is before
    assert stopped.value.exit_code == 128 + number
    assert len(Store(tmp_path / "store")) >= 1
    ingest(GAME, [folder], tmp_path / "store", resume=True)
    ingest(GAME, [folder], tmp_path / "whole")
    assert Store(tmp_path / "store").fingerprint == Store(tmp_path / "whole").fingerprint


def test_recordings_of_many_parts(tmp_path):
    """Each part of a recording is an episode with its own source; a bad part spoils no other."""
    (tmp_path / "many.txt").write_text("\n".join(line(20, seed) for seed in (1, 2, 2, 3)))
    facts = ingest(GAME, [tmp_path / "many.txt"], tmp_path / "store")
    assert (facts["files"], facts["accepted"], facts["episodes"]) == (1, 1, 3)
    store = Store(tmp_path / "store")
    assert [store.meta_of(i)["source"].partition("#")[2] for i in range(3)] == ["0", "1", "3"]


def test_large_files_are_read_in_parts(tmp_path, monkeypatch):
    """A file beyond the size limit is read from its path, an episode at a time."""
    monkeypatch.setattr("shadowbox.data.read_recordings.LARGEST", 10)
    (tmp_path / "many.txt").write_text("\n".join(line(20, seed) for seed in (1, 2, 3)))
    (tmp_path / "other.txt").write_text(line(20, 7))
    alone = ingest(GAME, [tmp_path], tmp_path / "w1")
    shared = ingest(GAME, [tmp_path], tmp_path / "w2", workers=2)
    assert alone["episodes"] == shared["episodes"] == 4
    assert Store(tmp_path / "w1").fingerprint == Store(tmp_path / "w2").fingerprint


def test_values_that_the_schema_refuses_reject_the_recording(tmp_path):
    """A bad value rejects its recording with frame and field."""
    (tmp_path / "bad.txt").write_text(line())
    facts = ingest(GAME, [tmp_path], tmp_path / "store")
    assert facts["episodes"] == 0
    assert "frame 3, player/x[1]: 1000.0" in reasons(facts)["bad.txt"]


def test_a_mistake_of_the_reader_is_a_reason(tmp_path):
    """An exception of a reader rejects its file; the other files are stored."""
    (tmp_path / "1.txt").write_text("crash")
    (tmp_path / "2.txt").write_text(line())
    facts = ingest(GAME, [tmp_path], tmp_path / "store")
    assert facts["accepted"] == 1
    assert "internal error of Shadowbox: ZeroDivisionError" in reasons(facts)["1.txt"]


def test_a_worker_that_dies_is_told(folder, tmp_path):
    """A killed worker ends the job with an error that says so, and leaves no partial store."""
    (folder / "zz.txt").write_text("die")
    with pytest.raises(ShadowboxError, match="a worker process died"):
        ingest(GAME, [folder], tmp_path / "store", workers=2)
    with pytest.raises(StoreError):
        Store(tmp_path / "store")


def test_workers_leave_with_a_killed_parent(tmp_path):
    """Workers of a killed ingest end with it, and leave nothing in the temporary folder."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    for seed in range(400):
        (tmp_path / f"{seed}.txt").write_text(line(3000, seed))
    code = (
        "import sys; from pathlib import Path\n"
        "sys.path[:0] = sys.argv[2:]\n"
        "from toy_reader import GAME\n"
        "from shadowbox.data.ingest import ingest\n"
        "say = lambda done, total: print(done, flush=True)\n"
        "ingest(GAME, [Path(sys.argv[1])], Path(sys.argv[1]) / 'store', workers=2, progress=say)"
    )
    tests = Path(__file__).parents[1]
    command = [
        sys.executable,
        "-c",
        code,
        str(tmp_path),
        str(tests),
        str(tests / "data"),
        *sys.path,
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary), "TEMP": str(temporary)},
    ) as parent:
        for _ in range(5):
            assert parent.stdout.readline()
        parent.kill()
        parent.stdout.read()  # ends once no process holds the pipe, hence no worker
    assert parent.returncode == (1 if sys.platform == "win32" else -signal.SIGKILL)
    assert list(temporary.iterdir()) == []


def test_wrong_calls(tmp_path):
    """A missing path is refused before anything is written; pipes and other files are rejected."""
    with pytest.raises(UsageError, match="does not exist"):
        ingest(GAME, [tmp_path / "nowhere"], tmp_path / "store")
    assert not (tmp_path / "store").exists()
    (tmp_path / "a.md").write_text("x")
    facts = ingest(GAME, [tmp_path / "a.md"], tmp_path / "store")
    assert "expected a name that ends with one of .txt" in reasons(facts)["a.md"]
    if sys.platform != "win32":  # Windows has no pipes in folders
        os.mkfifo(tmp_path / "pipe.txt")
        facts = ingest(GAME, [tmp_path / "pipe.txt"], tmp_path / "store")
        assert "not a regular file" in reasons(facts)["pipe.txt"]


def test_a_folder_without_recordings_says_what_it_holds(tmp_path):
    """A folder without a fitting name is refused with the endings that it holds."""
    for name in ("a.rec.zst", "b.rec.zst", "notes.md", "Makefile"):
        (tmp_path / name).write_text("x")
    message = r"ends with one of \.txt, \.txt\.gz, \.txt\.xz, .*; found: 2 \.rec\.zst, 1"
    with pytest.raises(RecordingError, match=message):
        ingest(GAME, [tmp_path], tmp_path / "store")
    assert not (tmp_path / "store").exists()


# ---- compressed files and archives ----------------------------------------------------------------


def zipped(path, members):
    """Write a zip archive of (name, content)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def tarred(path, members, mode="w:gz"):
    """Write a tar archive of (name, content), or of ready-made members."""
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


@pytest.mark.parametrize(
    "pack", [zipped, tarred, lambda p, m: tarred(p.with_suffix(".tar"), m, "w")]
)
def test_archives_come_in(tmp_path, pack):
    """Recordings in an archive are ingested like files; other members are passed over."""
    name = "x.zip" if pack is zipped else "x.tar.gz"
    path = pack(
        tmp_path / name, [("a/1.txt", line(20, 1)), ("readme.md", "x"), ("b/2.txt", line(25, 2))]
    )
    for workers in (1, 2):
        facts = ingest(GAME, [path], tmp_path / f"w{workers}", workers=workers)
        assert (facts["files"], facts["accepted"], facts["frames"]) == (2, 2, 45)
    assert Store(tmp_path / "w1").fingerprint == Store(tmp_path / "w2").fingerprint


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_compressed_recordings_come_in(tmp_path, pack):
    """A compressed recording is the recording itself; a damaged one gives its reason."""
    ending = "gz" if pack is gzip.compress else "xz"
    content = pack(line(20, 1).encode())
    (tmp_path / f"1.txt.{ending}").write_bytes(content)
    (tmp_path / f"2.TXT.{ending.upper()}").write_bytes(content[:-5])
    (tmp_path / f"3.txt.{ending}").write_bytes(b"no such format")
    facts = ingest(GAME, [tmp_path], tmp_path / "store")
    assert (facts["files"], facts["accepted"]) == (3, 1)
    assert all("cannot be unpacked: " in entry["reason"] for entry in facts["rejected"])
    (tmp_path / "plain.txt").write_text(line(20, 1))
    again = ingest(GAME, [tmp_path / "plain.txt"], tmp_path / "store", resume=True)
    assert again["resumed"] == 1


def test_compressed_bombs_cost_no_memory(tmp_path, monkeypatch):
    """A compressed file that unpacks to too much, or wants too much memory, is refused."""
    monkeypatch.setattr(limits, "LARGEST", 4 << 20)
    zeros = bytes(50 << 20)
    (tmp_path / "1.txt.gz").write_bytes(gzip.compress(zeros))
    (tmp_path / "2.txt.xz").write_bytes(lzma.compress(zeros))
    hungry = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 28, "mode": lzma.MODE_FAST}]
    (tmp_path / "3.txt.xz").write_bytes(lzma.compress(b"0", filters=hungry))
    tracemalloc.start()
    for name, message in (
        ("1.txt.gz", "at most 4,194,304 bytes"),
        ("2.txt.xz", "at most 4,194,304 bytes"),
        ("3.txt.xz", "cannot be unpacked"),
    ):
        with pytest.raises(RecordingError, match=message):
            unpacked(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


def test_an_archive_without_recordings_is_named(tmp_path):
    """An archive that holds other files only is rejected with that reason."""
    path = zipped(tmp_path / "x.zip", [("readme.md", "x")])
    (refused,) = recordings(path, (".txt",))
    assert refused.refused == "no file in the archive ends with one of .txt"


@pytest.mark.parametrize(
    "name", ["../../etc/1.txt", "/etc/1.txt", "a/../../1.txt", "C:\\1.txt", "..\\1.txt"]
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_members_that_lead_out_are_refused(tmp_path, pack, name):
    """A member whose name leads out of the archive is rejected; its neighbors are stored."""
    path = pack(
        tmp_path / ("x.zip" if pack is zipped else "x.tgz"),
        [(name, line(20, 1)), ("2.txt", line(20, 2))],
    )
    facts = ingest(GAME, [path], tmp_path / "store")
    assert facts["accepted"] == 1
    assert [entry["reason"] for entry in facts["rejected"]] == ["name leads out of the archive"]


def test_links_in_a_tar_are_refused(tmp_path):
    """A link or device is rejected and never followed."""
    link = tarfile.TarInfo("1.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    facts = ingest(GAME, [tarred(tmp_path / "x.tar.gz", [("", link)])], tmp_path / "store")
    assert "a link or a device" in next(iter(reasons(facts).values()))


def test_bombs_cost_no_memory(tmp_path, monkeypatch):
    """Decompression bombs (zip, tar, and a tar's own headers) are rejected with little memory."""
    monkeypatch.setattr(limits, "LARGEST", 1 << 20)
    zeros = "0" * (50 << 20)
    huge = zipped(tmp_path / "huge.zip", [("1.txt", zeros)])
    lying = zipped(tmp_path / "lying.zip", [("1.txt", zeros)])
    content = bytearray(lying.read_bytes())
    for at in (content.find(b"PK\x03\x04") + 22, content.find(b"PK\x01\x02") + 24):
        # the uncompressed size that it declares
        content[at : at + 4] = (1000).to_bytes(4, "little")
    lying.write_bytes(content)
    many = zipped(tmp_path / "many.zip", [(f"{i}.txt", "0" * (1 << 20)) for i in range(200)])
    tar = tarred(tmp_path / "huge.tar.gz", [("1.txt", zeros)])
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 200 << 20
    long_name = tmp_path / "name.tar"
    long_name.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + b"a" * (1 << 20))
    tracemalloc.start()
    for path, reason in (
        (huge, "bytes long"),
        (lying, "cannot be unpacked"),
        (many, "times its size"),
        (tar, "times its size"),
        (long_name, "a header of"),
    ):
        refused = [recording for recording in recordings(path, (".txt",)) if recording.refused]
        assert refused, path.name
        assert reason in refused[-1].refused, (path.name, refused[-1].refused)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_damaged_archives_are_told(tmp_path, pack):
    """A damaged archive gives reasons and its undamaged members, never a traceback."""
    path = pack(
        tmp_path / ("x.zip" if pack is zipped else "x.tar.gz"),
        [(f"{i}.txt", line(20, i)) for i in range(5)],
    )
    content, draws = path.read_bytes(), np.random.default_rng(0)
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        assert all(
            recording.refused or isinstance(recording.content, bytes)
            for recording in recordings(path, (".txt",))
        )
    for _ in range(300):
        flipped = bytearray(content)
        flipped[draws.integers(len(flipped))] ^= 1 << draws.integers(8)
        path.write_bytes(flipped)
        assert all(
            recording.refused or isinstance(recording.content, bytes)
            for recording in recordings(path, (".txt",))
        )
