"""Reader of `.npz` sessions of an older system, versions 1 to 3, and of its playback files.

Version 2 holds landmarks, controls and the game's state of each frame. Version 3 holds no
landmarks: somebody watched its video later and made the gestures, which a file `playback_NAME.npz`
beside it holds; the two are merged, and the time by which the body follows the video is estimated
and removed. Of version 1 the game's state is left out: its layout is not known.

Nothing is unpickled, and every size is checked before it is read.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from shadowbox.core.episode import UNKNOWN, Episode
from shadowbox.core.game import stable_hash
from shadowbox.core.schema import Array, Choice, Columns, Real
from shadowbox.errors import RecordingError, UsageError, did_you_mean
from shadowbox.games.gesture.features import _Landmarks, frames_of
from shadowbox.games.gesture.recording import (
    OPEN_LEAD,
    _Session,
    episodes_of,
    lag_of,
    named_controls,
)
from shadowbox.games.gesture.schema import (
    FRAME_VALUES,
    GAME_KEYS,
    HAND_LANDMARKS,
    ONE_HOT,
    POSE_LANDMARKS,
    SCHEMA,
    STATE_VALUES,
)

OPTIONS: Mapping[str, Any] = {
    "lag": True,  # remove the lag of a merged playback
    "min_frames": 30,  # decisions of a stretch without a gap
    "player": "",  # name of the person, the same for all files; default: the folder's name
}
LARGEST = 512 << 20  # bytes of an array, unpacked
MOST_ROWS = 1 << 20  # 9 hours at 30 frames a second
MOST_ARRAYS = 64
SKIPPED = ("raw_state_dicts",)  # pickled
PLAYBACK = "playback_"
# controls of version 1, in its order
_FIRST = (
    *("move_forward", "strafe_left", "strafe_right", "sprint", "sneak", "jump"),
    *("attack", "use_item", "look_yaw", "look_pitch"),
)
# a screen's number in the older state, by thirds: other screens are 1
_SCREEN_STEPS = 3


def read(source: Path | bytes, name: str, **settings: Any) -> Iterator[Episode]:
    """Read the episodes of a session: one for each stretch without a gap of the camera."""
    for key in settings:
        if key not in OPTIONS:
            raise UsageError(f"gesture: unknown option '{key}': {did_you_mean(key, OPTIONS)}")
    chosen = {**OPTIONS, **settings}
    file = Path(name).name
    if file.startswith(PLAYBACK):
        raise RecordingError(
            f"a playback is read together with its recording {file.removeprefix(PLAYBACK)}"
        )
    arrays = _arrays(source)
    version = _version(arrays)
    notes = [f"{key} is pickled, and was not read" for key in SKIPPED if key in arrays]
    if version == 3:
        session = _merged(arrays, _playback(name), chosen["lag"], notes)
    else:
        session = _whole(arrays, notes) if version == 2 else _first(arrays, notes)
    folder = Path(name).parent.name
    who = chosen["player"] or folder or UNKNOWN
    pseudonym = who if chosen["player"] else f"person-{stable_hash(who) % 16**8:08x}"
    meta = {
        "players": [pseudonym],
        "person": pseudonym,
        "session": Path(name).stem,
        "source_kind": f"npz version {version}",
        "notes": notes,
    }
    made = _Session(**{**vars(session), "meta": meta})
    episodes = list(episodes_of(made, int(chosen["min_frames"])))
    if not episodes:
        raise RecordingError(
            f"no stretch of the camera lasts for more than min_frames={chosen['min_frames']} frames"
        )
    yield from episodes


# ---- versions ------------------------------------------------------------------------------------


def _version(arrays: Mapping[str, Array]) -> int:
    given = arrays.get("version")
    if given is None:
        if "pose_world" in arrays:
            return 1
        raise RecordingError("expected an array 'version', or 'pose_world' of version 1")
    if given.size != 1 or given.dtype.kind not in "iu" or given.item() not in (1, 2, 3):
        raise RecordingError(f"version must be 1, 2 or 3 (got {str(given)[:40]})")
    return int(given.item())


def _whole(arrays: Mapping[str, Array], notes: list[str]) -> _Session:
    """Session of version 2."""
    times = _times(arrays)
    frames = frames_of(_numbers(arrays, "frames", (len(times), FRAME_VALUES)), times)
    controls = _controls(_numbers(arrays, "controls", (len(times), 28)))
    game = game_of_older(_numbers(arrays, "game_state", (len(times), STATE_VALUES)))
    return _Session(_without_held_hands(frames), times, controls, times, game)


def _first(arrays: Mapping[str, Array], notes: list[str]) -> _Session:
    """Session of version 1: landmarks in arrays of their own, and ten controls."""
    times = _times(arrays)
    rows, hand = len(times), (len(times), len(HAND_LANDMARKS), 3)
    present = [
        _numbers(arrays, f"{side}_hand_present", (rows,)) > 0.5 for side in ("left", "right")
    ]
    pose = _numbers(arrays, "pose_world", (rows, len(POSE_LANDMARKS), 3))
    frames = _Landmarks(
        times,
        pose,
        _numbers(arrays, "pose_visibility", (rows, len(POSE_LANDMARKS))),
        np.concatenate(
            [_numbers(arrays, f"{side}_hand_3d", hand) for side in ("left", "right")], 1
        ),
        np.stack([pose.any((1, 2)), *present], 1),
    )
    given = _numbers(arrays, "controls", (rows, len(_FIRST)))
    controls = {name: given[:, at] for at, name in enumerate(_FIRST)}
    if "game_state" in arrays:
        notes.append("the game's state of version 1 was left out: its layout is not known")
    none = np.zeros((rows, 28), np.float32)
    return _Session(
        _without_held_hands(frames), times, {**_controls(none), **controls}, times[:0], {}
    )


def clip_of(path: Path) -> _Landmarks:
    """Landmarks of a clip without controls: `frames` [T, 260], or the arrays of version 1."""
    arrays = _arrays(path)
    times = _times(arrays)
    if "frames" in arrays:
        return frames_of(_numbers(arrays, "frames", (len(times), FRAME_VALUES)), times)
    none = np.zeros((len(times), len(_FIRST)), np.float32)
    return _first({**arrays, "controls": none}, []).frames


def _merged(
    arrays: Mapping[str, Array], playback: Mapping[str, Array], remove: bool, notes: list[str]
) -> _Session:
    """Session of version 3 with the body of its playback, on the clock of the playback."""
    times = _times(arrays)
    controls = _controls(_numbers(arrays, "controls", (len(times), 28)))
    game = game_of_older(_numbers(arrays, "game_state", (len(times), STATE_VALUES)))
    shown = _indices(arrays, "frame_indices", len(times))
    body_times = _times(playback)
    frames = frames_of(_numbers(playback, "frames", (len(body_times), FRAME_VALUES)), body_times)
    seen = _indices(playback, "video_frame_indices", len(body_times))
    moved = np.concatenate([[True], np.diff(seen) > 0])  # rows of a paused video repeat an index
    if moved.sum() < 2:
        raise RecordingError("the playback shows fewer than two frames of the video")
    # when each row of the recording was seen in the playback
    inside = (shown >= seen[moved][0]) & (shown <= seen[moved][-1])
    when = np.interp(shown, seen[moved], body_times[moved])
    still = np.flatnonzero(~moved)
    frames = frames.part(np.delete(np.arange(len(body_times)), still))
    named = {name: values[inside] for name, values in controls.items()}
    states = {key: values[inside] for key, values in game.items()}
    lag, fit = lag_of(frames, when[inside], named)
    if lag and remove:
        notes.append(f"the body follows the video by {lag:.2f} s (correlation {fit:.2f}): removed")
    elif not lag:
        notes.append("no lag between video and body was found; nothing was shifted")
    late = when[inside] + (lag if remove else 0.0)
    return _Session(_without_held_hands(frames), late, named, late, states)


def _playback(name: str) -> Mapping[str, Array]:
    """Arrays of the playback beside a recording of version 3."""
    path = Path(name).with_name(PLAYBACK + Path(name).name)
    if not path.is_file():
        raise RecordingError(
            f"version 3 holds no landmarks: expected its playback {path.name} beside it"
        )
    try:
        return _arrays(path)
    except RecordingError as error:
        raise RecordingError(f"{path.name}: {error}") from None


# ---- values --------------------------------------------------------------------------------------


def _controls(values: Array) -> dict[str, Array]:
    """Controls by name; the key of the inventory is down before the screen changes, not after."""
    controls = named_controls(values)
    pressed = controls["open_inventory"] > 0.5
    began = np.flatnonzero(pressed & ~np.concatenate([[False], pressed[:-1]]))
    moved = np.zeros(len(values), np.float32)
    for row in began.tolist():
        moved[max(row - OPEN_LEAD, 0) : max(row, 1)] = 1
    return {**controls, "open_inventory": moved}


def game_of_older(values: Array) -> Columns:
    """Columns [T, 1] of the group game from the older system's vectors [T, 46].

    The older encoder clipped -1, "nothing there", to a distance of zero: such a distance is the
    largest one here. The hostile's yaw is a direction in the world there, and is left out.
    """
    columns: Columns = {}
    at = 0
    for key in GAME_KEYS:
        field = SCHEMA.columns[key].field
        width = field.n if isinstance(field, Choice) and key in ONE_HOT else 1
        part = values[:, at : at + width]
        at += width
        if key == "game/screen":
            columns[key] = np.rint(part * _SCREEN_STEPS).clip(0, _SCREEN_STEPS).astype(np.uint8)
        elif isinstance(field, Choice):
            most = field.n - 1
            numbers = part.argmax(1)[:, None] if width > 1 else np.rint(part * most).clip(0, most)
            columns[key] = numbers.astype(np.uint8)
        elif isinstance(field, Real):
            columns[key] = np.clip(part / field.scale, *field.limits).astype(np.float32)
        else:
            columns[key] = part > 0.5
    for name, most in (("hostile_distance", 32), ("target_distance", 6)):
        distance = columns[f"game/{name}"]
        distance[distance <= 0] = most
    del columns["game/hostile_yaw"]
    columns["game/screen_open"] = columns["game/screen"] > 0
    return columns


def _without_held_hands(frames: _Landmarks) -> _Landmarks:
    """Frames in which a hand that only repeats its last place counts as lost.

    The older recorder repeats a lost hand for up to four frames.
    """
    seen = frames.seen.copy()
    moving = np.any(frames.pose[1:] != frames.pose[:-1], axis=(1, 2))
    half = len(HAND_LANDMARKS)
    for side in (0, 1):
        points = frames.hand[:, side * half : (side + 1) * half]
        held = moving & ~np.any(points[1:] != points[:-1], axis=(1, 2))
        seen[1:, 1 + side] &= ~held
    return _Landmarks(frames.time, frames.pose, frames.visibility, frames.hand, seen)


def _times(arrays: Mapping[str, Array]) -> Array:
    given = arrays.get("timestamps")
    if given is None or given.ndim != 1 or given.dtype.kind not in "fiu":
        raise RecordingError("expected an array 'timestamps' of one number a frame")
    times: Array = given.astype(np.float64)
    if not 2 <= len(times) <= MOST_ROWS:
        raise RecordingError(f"expected 2 to {MOST_ROWS:,} frames (got {len(times):,})")
    if not np.isfinite(times).all():
        raise RecordingError("timestamps: expected finite seconds")
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        raise RecordingError(f"timestamps: frame {back[0] + 1} is before frame {back[0]}")
    since: Array = times - times[0]
    return since


def _numbers(arrays: Mapping[str, Array], name: str, shape: tuple[int, ...]) -> Array:
    """Finite numbers of an array of this shape, f4."""
    given = arrays.get(name)
    if given is None:
        raise RecordingError(f"expected an array '{name}' {shape}")
    if given.shape != shape or given.dtype.kind not in "fiub":
        raise RecordingError(f"{name}: expected numbers {shape} (got {given.dtype} {given.shape})")
    values: Array = given.astype(np.float32)
    if not np.isfinite(values).all():
        frame = int(np.argwhere(~np.isfinite(values))[0][0])
        raise RecordingError(f"{name}: frame {frame} holds a number that is not finite")
    return values


def _indices(arrays: Mapping[str, Array], name: str, rows: int) -> Array:
    given = arrays.get(name)
    if given is None or given.shape != (rows,) or given.dtype.kind not in "iu":
        raise RecordingError(f"expected an array '{name}' of {rows} whole numbers")
    whole: Array = given.astype(np.int64)
    if (np.diff(whole) < 0).any():
        raise RecordingError(f"{name}: expected frames of the video in order")
    return whole


# ---- the file ------------------------------------------------------------------------------------


def _arrays(source: Path | bytes) -> dict[str, Array]:
    """Arrays of an .npz file by name; those that are skipped are empty."""
    opened: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with zipfile.ZipFile(opened) as archive:
            members = archive.infolist()
            if len(members) > MOST_ARRAYS:
                raise RecordingError(
                    f"expected at most {MOST_ARRAYS} arrays (got {len(members):,})"
                )
            found = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name in SKIPPED:
                    found[name] = np.zeros(0)
                    continue
                if member.file_size > LARGEST:
                    raise RecordingError(
                        f"{name[:40]}: at most {LARGEST:,} bytes (got {member.file_size:,})"
                    )
                with archive.open(member) as file:
                    found[name] = _array(file, name[:40], member.file_size)
            return found
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError) as error:
        raise RecordingError(f"not an .npz file, or a damaged one: {error}") from error
    except RuntimeError as error:  # an encrypted member
        raise RecordingError(f"an array cannot be read: {error}") from error


def _array(file: IO[bytes], name: str, size: int) -> Array:
    """One array, whose header must agree with the `size` in bytes that the archive declares."""
    try:
        version = np.lib.format.read_magic(file)
        readers = {(1, 0): np.lib.format.read_array_header_1_0,
                   (2, 0): np.lib.format.read_array_header_2_0}  # fmt: skip
        if version not in readers:
            raise ValueError(f"format {version}")
        shape, fortran, dtype = readers[version](file)
    except ValueError as error:
        raise RecordingError(f"{name}: not an array: {error}") from error
    if dtype.hasobject:
        raise RecordingError(f"{name} is pickled: expected an array of numbers")
    count = math.prod(shape)
    if len(shape) > 4 or count * dtype.itemsize > size:
        raise RecordingError(f"{name}: {shape} does not fit into its {size:,} bytes")
    content = file.read(count * dtype.itemsize)
    if len(content) != count * dtype.itemsize:
        raise RecordingError(f"{name}: the file ends too early")
    values = np.frombuffer(content, dtype)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
