"""Archives of .7z, compressed members of archives, and tables of frames: read safely, and resumed."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import signal
import tarfile
import tracemalloc
import zipfile
import zlib

import numpy as np
import py7zr
import pyarrow.parquet
import pytest
from conftest import TOY, random_episode
from toy_reader import GAME

from shadowbox.core.game import Game
from shadowbox.data import edit
from shadowbox.data.archives import limits, seven_zip
from shadowbox.data.archives.finished import NAME as BLOCKS
from shadowbox.data.ingest import ingest
from shadowbox.data.recordings import recordings
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import ShadowboxError, UsageError

LZMA2 = [{"id": py7zr.FILTER_LZMA2, "preset": 1}]
SEVEN_ZIP_FILTERS = {
    "LZMA2 behind a filter for programs": None,  # py7zr's own default
    "LZMA2": LZMA2,
    "LZMA": [{"id": py7zr.FILTER_LZMA}],
    "BZip2": [{"id": py7zr.FILTER_BZIP2}],
    "Deflate": [{"id": py7zr.FILTER_DEFLATE}],
    "Copy": [{"id": py7zr.FILTER_COPY}],
}


def line(frames=20, seed=0):
    """A recording of one episode."""
    return f"{frames} frames of seed {seed}".encode()


def seven_zipped(path, blocks, filters=LZMA2):
    """Write a .7z archive with a solid block for each list of (name, content)."""
    for number, members in enumerate(blocks):
        with py7zr.SevenZipFile(path, "a" if number else "w", filters=filters) as archive:
            for name, content in members:
                archive.writestr(content, name)
    return path


def reasons(facts):
    """Reasons of the rejected files, by the last part of their names."""
    return {entry["file"].rpartition(":")[2]: entry["reason"] for entry in facts["rejected"]}


@pytest.mark.parametrize("filters", SEVEN_ZIP_FILTERS.values(), ids=SEVEN_ZIP_FILTERS)
@pytest.mark.parametrize("solid", [True, False])
def test_seven_zip_archives_come_in(tmp_path, filters, solid):
    """Solid and other .7z archives are stored like their files, with any of the usual methods."""
    members = [(f"a/{seed}.txt", line(20 + seed, seed)) for seed in range(6)]
    members.insert(2, ("readme.md", b"x" * 5000))
    blocks = [members] if solid else [[member] for member in members]
    path = seven_zipped(tmp_path / "x.7z", blocks, filters)
    for workers in (1, 2):
        facts = ingest(GAME, [path], tmp_path / f"w{workers}", workers=workers)
        assert (facts["files"], facts["accepted"], facts["rejected"]) == (6, 6, [])
    folder = tmp_path / "files"
    folder.mkdir()
    for name, content in members:
        (folder / name.rpartition("/")[2]).write_bytes(content)
    ingest(GAME, [folder], tmp_path / "w0")
    first, second, third = (Store(tmp_path / f"w{n}").fingerprint for n in range(3))
    assert first == second == third


def test_finished_blocks_are_not_unpacked_again(tmp_path, monkeypatch):
    """A resumed ingest passes over the blocks that came in, refused recordings included."""
    blocks = [[(f"{n}/{seed}.txt", line(20, 10 * n + seed)) for seed in range(4)] for n in range(3)]
    blocks[0].append(("0/bad.txt", b"nothing"))
    path = seven_zipped(tmp_path / "x.7z", blocks)
    first = ingest(GAME, [path], tmp_path / "store")
    assert (first["accepted"], len(first["rejected"])) == (12, 1)
    monkeypatch.setattr(seven_zip, "_decoder", lambda coders: pytest.fail("unpacked again"))
    again = ingest(GAME, [path], tmp_path / "store", resume=True)
    assert (again["accepted"], again["resumed"], again["rejected"]) == (0, 13, [])
    monkeypatch.undo()
    other = ingest(GAME, [path], tmp_path / "store", resume=True, options={"min_frames": 21})
    assert len(other["rejected"]) == 1  # other options: every block is read again
    assert len(json.loads((tmp_path / "store" / BLOCKS).read_text())["finished"]) == 6


def test_an_interrupted_archive_goes_on_at_a_block(tmp_path, monkeypatch):
    """A signal keeps the blocks that came in whole; the resumed store is that of one ingest."""
    blocks = [[(f"{n}/{seed}.txt", line(20, 10 * n + seed)) for seed in range(4)] for n in range(3)]
    path = seven_zipped(tmp_path / "x.7z", blocks)
    unpack, begun = seven_zip._members, []

    def members(*arguments):
        begun.append(1)
        for number, member in enumerate(unpack(*arguments)):
            if len(begun) == 2 and number == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield member

    monkeypatch.setattr(seven_zip, "_members", members)
    with pytest.raises(ShadowboxError, match="--resume"):
        ingest(GAME, [path], tmp_path / "store")
    assert 4 <= len(Store(tmp_path / "store")) < 12
    assert len(json.loads((tmp_path / "store" / BLOCKS).read_text())["finished"]) == 1
    begun += [1, 1]
    before = len(begun)
    ingest(GAME, [path], tmp_path / "store", resume=True)
    assert len(begun) - before == 2  # the first block is not unpacked again
    ingest(GAME, [path], tmp_path / "whole")
    assert Store(tmp_path / "store").fingerprint == Store(tmp_path / "whole").fingerprint


def test_bombs_in_seven_zip_cost_no_memory(tmp_path, monkeypatch):
    """A member too large, an archive that unpacks to too much, and a hungry one are refused."""
    monkeypatch.setattr(limits, "LARGEST", 1 << 20)
    huge = seven_zipped(tmp_path / "huge.7z", [[("1.txt", bytes(60 << 20))]])
    many = [(f"{number}.txt", bytes(1 << 20)) for number in range(40)]
    many_path = seven_zipped(tmp_path / "many.7z", [many])
    hungry = [{"id": py7zr.FILTER_LZMA2, "preset": 1, "dict_size": 1 << 30}]
    hungry_path = seven_zipped(tmp_path / "hungry.7z", [[("1.txt", line())]], hungry)
    tracemalloc.start()
    for path, reason in (
        (huge, "times its size"),
        (many_path, "times its size"),
        (hungry_path, "bytes of memory"),
    ):
        refused = [each.refused for each in recordings(path, (".txt",)) if each.refused]
        assert any(reason in each for each in refused), (path.name, refused)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


def test_damaged_seven_zip_archives_are_told(tmp_path):
    """A .7z archive cut anywhere, or with flipped bytes, gives reasons and never a traceback."""
    path = seven_zipped(tmp_path / "x.7z", [[(f"{i}.txt", line(20, i)) for i in range(5)]])
    content, draws = path.read_bytes(), np.random.default_rng(0)
    for number in range(0, len(content), 5):
        damaged = bytearray(content[:number])
        if number % 2:
            damaged = bytearray(content)
            damaged[number] ^= int(draws.integers(1, 256))
        path.write_bytes(damaged)
        found = list(recordings(path, (".txt",)))
        good = [each for each in found if each.content]
        assert all(each.content.startswith(b"20 frames") for each in good)
        assert len(good) == 5 or any(each.refused for each in found)


def test_other_methods_are_named(tmp_path):
    """A .7z archive with a method that cannot be read in bounded memory says how to pack it again."""
    path = seven_zipped(
        tmp_path / "x.7z", [[("1.txt", line())]], [{"id": py7zr.FILTER_ZSTD, "level": 3}]
    )
    (refused,) = recordings(path, (".txt",))
    assert "pack it again with LZMA2" in refused.refused


def test_an_encrypted_archive_is_named(tmp_path):
    """A .7z archive with a password is rejected with a reason, whether or not its names are hidden."""
    for hidden in (True, False):
        path = tmp_path / f"{hidden}.7z"
        with py7zr.SevenZipFile(path, "w", password="x", header_encryption=hidden) as archive:
            archive.writestr(line(), "1.txt")
        (refused,) = recordings(path, (".txt",))
        assert "cannot be opened" in refused.refused or "not read" in refused.refused


PACKS = {"gz": gzip.compress, "xz": lzma.compress, "zlib": zlib.compress, "zz": zlib.compress}


@pytest.mark.parametrize("ending", PACKS)
def test_compressed_members_come_in(tmp_path, ending):
    """Compressed recordings are the recordings themselves, outside and inside of archives."""
    packed = {f"{n}.txt.{ending}": PACKS[ending](line(20, n)) for n in range(3)}
    (tmp_path / "plain").mkdir()
    (tmp_path / "files").mkdir()
    for number, (name, content) in enumerate(packed.items()):
        (tmp_path / "files" / name).write_bytes(content)
        (tmp_path / "plain" / f"{number}.txt").write_bytes(line(20, number))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, content in packed.items():
            archive.writestr(name, content)
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, content in packed.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    seven_zipped(tmp_path / "x.7z", [packed.items()])
    prints = set()
    for place in ("plain", "files", "x.zip", "x.tar", "x.7z"):
        out = tmp_path / f"store-{place}"
        facts = ingest(GAME, [tmp_path / place], out)
        assert (facts["accepted"], facts["rejected"]) == (3, [])
        prints.add(Store(out).fingerprint)
    assert len(prints) == 1


def test_compressed_members_spend_the_budget(tmp_path, monkeypatch):
    """A zip of small files that each unpack to much ends at the archive's budget."""
    monkeypatch.setattr(limits, "LARGEST", 1 << 20)
    bomb = zlib.compress(bytes(1 << 20), 9)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for number in range(30):
            archive.writestr(f"{number}.txt.zlib", bomb)
    *_, last = recordings(tmp_path / "x.zip", (".txt",))
    assert "times its size" in last.refused


def test_known_formats_are_missing_by_name(tmp_path):
    """Replays in a format that is known and not read are rejected with what to do."""
    from shadowbox.games import load

    (tmp_path / "a.zlp").write_bytes(b"x")
    facts = ingest(load("melee"), [tmp_path], tmp_path / "store")
    (refused,) = facts["rejected"]
    assert ".zlp is not read: unpack it with `slippc -x FILE`" in refused["reason"]


# ---- tables of frames ----------------------------------------------------------------------------


def stored(folder, seeds):
    """A store of random episodes, some of which lack a column."""
    with Writer(folder, TOY, event_kinds=("hit",)) as writer:
        for seed in seeds:
            writer.add(random_episode(TOY, 20 + seed, seed=seed))
    return Store(folder)


@pytest.mark.parametrize("workers", [1, 2])
def test_parquet_comes_back(tmp_path, workers):
    """A store that went out as parquet comes in again: the same rows, events and metadata."""
    source = stored(tmp_path / "s", range(5))
    edit.export(source, range(5), tmp_path / "x.parquet")
    again = ingest(GAME, [tmp_path / "x.parquet"], tmp_path / "again", workers=workers)
    assert (again["accepted"], again["episodes"], again["rejected"]) == (1, 5, [])
    back = Store(tmp_path / "again")
    np.testing.assert_array_equal(back.index["digest"], source.index["digest"])
    for number in range(5):
        meta = {k: v for k, v in back.meta_of(number).items() if k not in ("source", "part")}
        assert meta == dict(source.meta_of(number))


def test_a_game_without_a_reader_takes_parquet(tmp_path):
    """A game whose recordings are made by playing takes tables of frames, and nothing else."""
    game = Game(name="toy", title="no reader", schema=TOY, event_kinds=("hit",))
    source = stored(tmp_path / "s", range(2))
    edit.export(source, range(2), tmp_path / "x.parquet")
    assert ingest(game, [tmp_path / "x.parquet"], tmp_path / "again")["episodes"] == 2
    (tmp_path / "1.txt").write_bytes(line())
    with pytest.raises(UsageError, match="has no reader of recordings"):
        ingest(game, [tmp_path / "1.txt"], tmp_path / "other")


def test_a_table_that_lacks_columns_is_refused(tmp_path):
    """A parquet file without the columns of the game is rejected with the first that is missing."""
    source = stored(tmp_path / "s", [1])
    edit.export(source, [0], tmp_path / "x.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet").drop(["player/x[0]"])
    pyarrow.parquet.write_table(table, tmp_path / "y.parquet")
    (tmp_path / "z.parquet").write_bytes(b"no table")
    facts = ingest(GAME, [tmp_path / "y.parquet", tmp_path / "z.parquet"], tmp_path / "again")
    first, second = (entry["reason"] for entry in facts["rejected"])
    assert "lacks 1 columns of toy, the first is 'player/x[0]'" in first
    assert "cannot be read as parquet" in second
