"""Packed replays (`.slpz`): the bytes of the replay come back, and damaged or huge ones are refused."""

from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest
from small_melee import MELEE, fight

from shadowbox.data.ingest import ingest
from shadowbox.data.store import Store
from shadowbox.errors import RecordingError
from shadowbox.games.melee.slp import packed

zstd = packed._zstd()


def pack(replay: bytes) -> bytes:
    """A replay in the packed form, by the description of the format."""
    length = int.from_bytes(replay[11:15], "big")
    raw, metadata = replay[15 : 15 + length], replay[15 + length :]
    sizes_part = raw[: 1 + raw[1]]
    sizes = {sizes_part[at]: int.from_bytes(sizes_part[at + 1 : at + 3], "big")
             for at in range(2, len(sizes_part), 3)}  # fmt: skip
    start = raw[len(sizes_part) : len(sizes_part) + 1 + sizes[0x36]]
    rest = raw[len(sizes_part) + len(start) :]
    codes, payloads = bytearray(), {}
    at = 0
    while at < len(rest):
        code = rest[at]
        codes.append(code)
        payloads.setdefault(code, []).append(rest[at + 1 : at + 1 + sizes[code]])
        at += 1 + sizes[code]
    columns = [np.frombuffer(b"".join(payloads[code]), np.uint8).reshape(-1, sizes[code]).T.tobytes()
               for code in sorted(payloads)]  # fmt: skip
    events = struct.pack(">I", len(codes)) + bytes(codes) + b"".join(columns)
    places = np.cumsum([24, len(sizes_part), len(start), len(metadata)]).tolist()
    head = struct.pack(">6I", 0, *places, len(events))
    return head + sizes_part + start + metadata + zstd.compress(events)


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    """The bytes of a generated replay."""
    path = tmp_path_factory.mktemp("slp") / "a.slp"
    MELEE.writers["slp"](fight(3, 150), path)
    return path.read_bytes()


def test_the_replay_comes_back(replay):
    """Unpacked, a packed replay is the replay, byte for byte, in a fraction of the size."""
    small = pack(replay)
    assert packed.unpack(small, "a.slpz") == replay
    assert len(small) < len(replay) / 5


def test_stores_are_the_same(replay, tmp_path):
    """Ingested from .slp, .slpz, and .slpz in an archive, the rows are the same."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "packed").mkdir()
    (tmp_path / "plain" / "a.slp").write_bytes(replay)
    (tmp_path / "packed" / "a.slpz").write_bytes(pack(replay))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.slpz", pack(replay))
    stores = []
    for at, path in enumerate(("plain", "packed", "a.zip")):
        facts = ingest(MELEE, [tmp_path / path], tmp_path / f"store-{at}")
        assert facts["accepted"] == 1, facts["rejected"]
        stores.append(Store(tmp_path / f"store-{at}"))
    assert len({store.fingerprint for store in stores}) == 1


def test_damaged_ones_are_refused(replay):
    """Every cut and most changed bytes give a named refusal, or the replay; never another error."""
    small = pack(replay)
    for cut in range(0, len(small) - 1, max(1, len(small) // 97)):
        with pytest.raises(RecordingError, match=r"a\.slpz"):
            packed.unpack(small[:cut], "a.slpz")
    draws = np.random.default_rng(0)
    for _ in range(200):
        changed = bytearray(small)
        changed[draws.integers(len(small))] ^= 1 << draws.integers(8)
        try:
            packed.unpack(bytes(changed), "a.slpz")
        except RecordingError:
            continue


def test_bombs_are_refused_before_they_unpack(replay):
    """A size beyond the budget is refused unread, and a frame never unpacks to more than its size."""
    small = bytearray(pack(replay))
    events_at = int.from_bytes(small[16:20], "big")
    bomb = zstd.compress(bytes(200 << 20))
    for size in (200 << 20, 4):
        small[20:24] = struct.pack(">I", size)
        with pytest.raises(RecordingError, match=r"are allowed|unpack to other than"):
            packed.unpack(bytes(small[:events_at]) + bomb, "a.slpz")
