"""Sessions of the older system: its three versions, its playback, and files that are not to be trusted."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from older_npz import at_frames, made, write_merged

from shadowbox.core.episode import check
from shadowbox.data.ingest import ingest
from shadowbox.data.store import Store
from shadowbox.errors import RecordingError
from shadowbox.games import load
from shadowbox.games.gesture.npz import read
from shadowbox.games.gesture.recording import episodes_of
from shadowbox.games.gesture.schema import FPS, SCHEMA


@pytest.fixture(scope="module")
def session():
    """A session of 30 seconds with a screen in it."""
    return made(30.0, number=0)


@pytest.fixture(scope="module")
def arrays(session):
    """The same session as arrays of version 2."""
    return at_frames(session)


def saved(**arrays) -> bytes:
    """Content of an .npz file."""
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def episodes(content, name="me/session_001.npz", **options):
    """Episodes of a file, each allowed by the schema."""
    found = list(read(content, name, **options))
    for episode in found:
        check(episode, SCHEMA)
    return found


def test_version_2_holds_what_was_recorded(session, arrays):
    """Landmarks, keys and the game's state come back; the state is one frame late."""
    (episode,) = episodes(saved(**arrays))
    (expected,) = episodes_of(session)
    rows = min(episode.rows, expected.rows)
    assert abs(episode.rows - expected.rows) <= 1
    np.testing.assert_allclose(
        episode.columns["pose/y"][:rows], expected.columns["pose/y"][:rows], atol=1e-6
    )
    same = {
        key: np.mean(episode.columns[key][:rows] == expected.columns[key][:rows])
        for key in ("control/move_forward", "control/attack", "game/screen", "game/main_hand")
    }
    assert min(same.values()) > 0.97, same
    changes = arrays["controls"][:-1, 14:23]
    assert episode.columns["control/hotbar"].astype(bool).sum() == changes.sum() > 0
    assert "game/hostile_yaw" in episode.absent
    assert episode.meta["person"].startswith("person-")


def test_the_key_of_the_inventory_is_down_before_the_screen_opens(arrays):
    """The older label, in the first frame of the screen, moves in front of it: it can be learned."""
    controls = arrays["controls"].copy()
    screen = arrays["game_state"][:, 38] > 0
    changed = screen != np.concatenate([[False], screen[:-1]])
    controls[:, 13] = changed
    (episode,) = episodes(saved(**{**arrays, "controls": controls}))
    pressed = episode.columns["control/open_inventory"][:, 0]
    opened = episode.columns["game/screen_open"][:, 0]
    first = int(np.flatnonzero(opened)[0])
    assert pressed[first - 6 : first].any()
    assert not opened[np.flatnonzero(pressed)[0]]


def test_a_distance_of_nothing_is_the_largest_one(arrays):
    """The older encoder made a hostile at distance 0 of "no hostile"."""
    state = arrays["game_state"].copy()
    state[:, 32:34] = 0
    (episode,) = episodes(saved(**{**arrays, "game_state": state}))
    assert (episode.columns["game/hostile_distance"][1:] == 32).all()
    assert (episode.columns["game/target_distance"] == 6).all()


def test_a_gap_of_the_camera_splits_a_session(arrays):
    """Frames on both sides of a silent second are in two episodes of their own."""
    times = arrays["timestamps"].copy()
    times[300:] += 1.0
    first, second = episodes(saved(**{**arrays, "timestamps": times}))
    assert (first.meta["part"], second.meta["part"]) == (0, 1)
    assert not second.columns["pose/vx"][0].any()
    assert abs(first.rows / FPS - (times[299] - times[0])) < 0.1


def test_version_1_has_no_state_of_the_game(session, arrays):
    """Landmarks and ten controls are read; the game's state is absent, and the notes say so."""
    frames, rows = session.frames, len(session.frames)
    order = (0, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    (episode,) = episodes(
        saved(
            pose_world=frames.pose,
            pose_visibility=frames.visibility,
            left_hand_3d=frames.hand[:, :21],
            right_hand_3d=frames.hand[:, 21:],
            left_hand_present=frames.seen[:, 1],
            right_hand_present=frames.seen[:, 2],
            game_state=np.zeros((rows, 16), np.float32),
            controls=arrays["controls"][:, order],
            timestamps=arrays["timestamps"],
        )
    )
    assert episode.columns["control/sprint"].any()
    assert episode.columns["control/strafe_left"].any()
    assert "game/health" in episode.absent
    assert "layout is not known" in episode.meta["notes"][0]


@pytest.mark.parametrize("pause", [0, 90])
def test_a_recording_and_its_playback_are_merged_without_the_lag(session, tmp_path, pause):
    """The lag of the person behind the video is found and removed; pauses of the video are left out."""
    path = write_merged(tmp_path, session, 0.3, pause)
    found = episodes(path.read_bytes(), str(path))
    notes = found[0].meta["notes"]
    assert any("raw_state_dicts is pickled, and was not read" in note for note in notes)
    assert any("follows the video by 0.2" in n or "follows the video by 0.3" in n for n in notes)
    assert len(found) == (2 if pause else 1)
    kept = episodes(path.read_bytes(), str(path), lag=False)
    attack = [e.columns["control/attack"][:, 0] for e in (found[0], kept[0])]
    began = [int(np.flatnonzero(a)[0]) for a in attack]
    assert 6 <= began[0] - began[1] <= 11


DAMAGE = {
    "no frames": ({"frames": None}, "expected an array 'frames'"),
    "wrong shape": ({"frames": np.zeros((5, 260))}, "frames: expected numbers"),
    "not finite": ({"nan": True}, "frames: frame 7 holds a number that is not finite"),
    "text": ({"controls": np.array(["a"] * 900)}, "controls: expected numbers"),
    "version 9": ({"version": np.int32(9)}, "version must be 1, 2 or 3"),
    "backwards": ({"timestamps": "back"}, "is before frame"),
    "pickled": ({"session_type": np.array([{}], object)}, "session_type is pickled"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_say_what_is_wrong(arrays, name):
    """A file that does not fit names its array; nothing is unpickled."""
    change, message = DAMAGE[name]
    given = {**arrays, **{key: value for key, value in change.items() if key != "nan"}}
    if "nan" in change:
        given["frames"] = arrays["frames"].copy()
        given["frames"][7, 3] = np.nan
    if change.get("timestamps") is not None:
        given["timestamps"] = arrays["timestamps"][::-1]
    content = saved(**{key: value for key, value in given.items() if value is not None})
    with pytest.raises(RecordingError, match=message):
        episodes(content)


def test_a_header_that_promises_too_much_is_not_read(arrays):
    """A header of terabytes in a member of bytes is refused, as is a truncated file."""
    content = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 260)}
    )
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("frames.npy", header.getvalue())
    with pytest.raises(RecordingError, match="does not fit into its"):
        episodes(content.getvalue())
    with pytest.raises(RecordingError, match=r"not an \.npz file"):
        episodes(saved(**arrays)[:5000])


def test_ingest_names_a_bad_file_and_goes_on(session, arrays, tmp_path):
    """Of a folder with good and bad files, the good ones are stored, with notes in the report."""
    folder, game = tmp_path / "me", load("gesture")
    folder.mkdir()
    (folder / "session_001.npz").write_bytes(saved(**arrays))
    (folder / "session_002.npz").write_bytes(b"PK rubbish")
    write_merged(folder, session, 0.25)
    facts = ingest(game, [folder], tmp_path / "store")
    assert facts["accepted"] == 2
    reasons = {entry["file"].rpartition("/")[2]: entry["reason"] for entry in facts["rejected"]}
    assert set(reasons) == {"session_002.npz", "playback_session_20260222_101010.npz"}
    assert "read together with its recording" in reasons["playback_session_20260222_101010.npz"]
    assert any("follows the video" in entry["note"] for entry in facts["notes"])
    store = Store(tmp_path / "store", SCHEMA)
    assert {store.meta_of(at)["session"] for at in range(len(store))} == {
        "session_001",
        "session_20260222_101010",
    }
