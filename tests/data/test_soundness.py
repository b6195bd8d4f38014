"""Damage is never copied: every copy checks the old digests, and a salvage keeps what is sound."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TOY, random_episode

from shadowbox.cli import main
from shadowbox.data import edit
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.verify import verify
from shadowbox.data.write import Writer
from shadowbox.errors import StoreError

DAMAGED = 3  # the second episode of the second shard


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six episodes in three shards."""
    path = tmp_path_factory.mktemp("sound") / "s"
    with Writer(path, TOY, shard_bytes=15_000) as writer:
        for seed in range(6):
            writer.add(random_episode(TOY, 150, seed=seed))
    assert len(Store(path).shards) == 3
    return path


@pytest.fixture
def damaged(made: Path, tmp_path: Path) -> Path:
    """The store with one flipped bit in the last row of episode 3."""
    path = shutil.copytree(made, tmp_path / "s")
    flip(path, 1, "rows", -3)
    return path


def flip(path: Path, shard: int, part: str, at: int) -> None:
    """Flip one bit of a file of a shard."""
    file = Store(path).shards[shard].path(part)
    data = bytearray(file.read_bytes())
    data[at] ^= 8
    file.write_bytes(data)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Content of each file but the lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "writer.lock"}


COPIES: dict[str, Callable[[Store, Path], object]] = {
    "merge": lambda store, out: edit.merge([store], out),
    "split": lambda store, out: edit.split(store, out, Split()),
    "drop": lambda store, out: edit.drop(store, [0]),
    "export": lambda store, out: edit.export(store, range(len(store)), out.with_suffix(".npz")),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_refuses_damage(how: str, damaged: Path, tmp_path: Path) -> None:
    """A copy of an episode with a flipped bit is refused with its number; nothing is written."""
    before = snapshot(damaged)
    with pytest.raises(StoreError, match=rf"s#{DAMAGED} is damaged .*store salvage"):
        COPIES[how](Store(damaged), tmp_path / "out")
    assert snapshot(damaged) == before
    assert not list(tmp_path.rglob("out*/**/*.npy"))
    assert not (tmp_path / "out.npz").exists()
    assert "episode 3" in verify(Store(damaged))[0]


@pytest.mark.parametrize("part", ["rows", "events", "meta", "episodes"])
def test_appending_refuses_a_damaged_last_shard(part: str, made: Path, tmp_path: Path) -> None:
    """A writer that would write a damaged last shard again is refused before any work."""
    path = shutil.copytree(made, tmp_path / "s")
    flip(path, 2, part, -3)
    before = snapshot(path)
    with pytest.raises(StoreError, match=r"cannot be appended to.*episodes? (4|5).*store salvage"):
        Writer(path, TOY)
    assert snapshot(path) == before


def test_damage_under_a_writer_is_refused_too(made: Path, tmp_path: Path) -> None:
    """Damage that comes while a writer is open is found before its last shard is written again."""
    path = shutil.copytree(made, tmp_path / "s")
    writer = Writer(path, TOY)
    flip(path, 2, "rows", -3)
    writer.add(random_episode(TOY, 5))
    with pytest.raises(StoreError, match="episode 5"), writer:
        pass
    assert len(Store(path)) == 6
    assert "episode 5" in verify(Store(path))[0]


def test_the_damaged_episode_may_be_dropped(damaged: Path) -> None:
    """Dropping the damaged episode leaves a sound store of the others with their digests."""
    kept = [line.tobytes() for line in Store(damaged).index["digest"]]
    assert edit.drop(Store(damaged), [DAMAGED]) == 5
    assert verify(Store(damaged)) == []
    found = [line.tobytes() for line in Store(damaged).index["digest"]]
    assert found == kept[:DAMAGED] + kept[DAMAGED + 1 :]


@pytest.mark.parametrize(
    ("part", "left_out"), [("rows", [3]), ("meta", [2, 3]), ("episodes", [2, 3]), ("gone", [2, 3])]
)
def test_a_salvage_copies_all_that_is_sound(
    part: str, left_out: list[int], made: Path, tmp_path: Path
) -> None:
    """A salvage writes every proven episode, and names the others with the damaged file."""
    path = shutil.copytree(made, tmp_path / "s")
    if part == "gone":
        Store(path).shards[1].path("rows").unlink()
    else:
        flip(path, 1, part, -3)
    damage = edit.salvage(Store(path, whole=False), tmp_path / "out")
    assert sorted(damage) == left_out
    assert all("00001." in reason for reason in damage.values())
    assert verify(Store(tmp_path / "out")) == []
    kept = [number for number in range(6) if number not in left_out]
    seeds = [Store(tmp_path / "out").meta_of(at)["seed"] for at in range(len(kept))]
    assert seeds == kept


def test_nothing_sound_is_no_store(made: Path, tmp_path: Path) -> None:
    """A store without a sound episode is refused by a salvage, and no store is written."""
    path = shutil.copytree(made, tmp_path / "s")
    for shard in range(3):
        flip(path, shard, "meta", -3)
    with pytest.raises(StoreError, match="none of its 6 episodes is sound"):
        edit.salvage(Store(path), tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_salvage_says_what_it_left_out(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`store salvage` counts what it copied and lists the others, in text and as JSON."""
    for arguments in (["--out", "one"], ["--out", "two", "--json"]):
        out = str(tmp_path / arguments[1])
        with pytest.raises(SystemExit) as ended:
            main(["store", "salvage", str(damaged), "--out", out, *arguments[2:]])
        assert ended.value.code == 0
        said = capsys.readouterr().out
        if arguments[2:]:
            found = json.loads(said)
            assert (found["episodes"], [one["episode"] for one in found["left_out"]]) == (5, [3])
        else:
            assert "5 of 6 episodes copied" in said
            assert "left out: episode 3: its digest differs, in 00001.rows.npy" in said
