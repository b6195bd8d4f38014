"""A simulated body: people from one generator of numbers, who make the gestures of a script.

`PEOPLE` lists the numbers of a person with the ranges of people to train on and of people to test
on; in six of them the two do not overlap. A person's joints follow the gestures smoothly, so that
a key goes down when its gesture is half made. `film` turns joints into landmarks in MediaPipe's
layout, as a camera with noise, missed frames and lost hands sees them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.game import stable_hash
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError
from shadowbox.games.gesture.features import _Landmarks
from shadowbox.games.gesture.recording import _Session, episodes_of
from shadowbox.games.gesture.schema import FPS, HAND_LANDMARKS, POSE_LANDMARKS
from shadowbox.games.gesture.script import RESTS, TICK, smooth, write_script

# number of a person: (unit, range to train on, range to test on)
PEOPLE: Mapping[str, tuple[str, tuple[float, float], tuple[float, float]]] = {
    "height": ("m", (1.58, 1.86), (1.88, 2.0)),
    "shoulders": ("of the usual breadth", (0.9, 1.1), (0.9, 1.1)),
    "arms": ("of the usual length", (0.94, 1.06), (0.94, 1.06)),
    "amplitude": ("of the usual gesture", (0.85, 1.2), (0.72, 0.83)),
    "rise": ("frames in which a gesture is made", (5.0, 9.0), (5.0, 9.0)),
    "cadence": ("steps/s of each foot", (1.3, 1.8), (1.3, 1.8)),
    "tremor": ("rad", (0.0, 0.02), (0.022, 0.035)),
    "noise": ("m, of a landmark", (0.002, 0.008), (0.009, 0.012)),
    "loss": ("share of frames without a hand", (0.0, 0.06), (0.07, 0.12)),
    "fps": ("frames/s of the camera", (26.0, 31.0), (22.0, 25.0)),
    "turn": ("rad, of the camera around the person", (-0.25, 0.25), (-0.25, 0.25)),
    "lean": ("rad, of the upper body", (-0.06, 0.08), (-0.06, 0.08)),
    "fidgets": ("movements/s without a meaning", (0.0, 0.08), (0.0, 0.08)),
    "habit": ("spread of each joint's part in a gesture", (0.0, 0.12), (0.0, 0.12)),
    "lead": ("frames by which a gesture is before its key", (0.0, 2.0), (0.0, 2.0)),
    "left_handed": ("below .1: yes", (0.0, 1.0), (0.0, 1.0)),
}
RANGES = ("train", "test")
SOURCE: Mapping[str, Any] = {
    "people": 4,
    "seconds": 60.0,
    "people_of": "train",
    "rests": RESTS,
}
LONGEST = 3600  # seconds of a session

# joints of a person: angles in rad, curls and pinches from 0 (open) to 1; `main` is the better arm
JOINTS = (
    *("torso_yaw", "torso_roll", "torso_pitch", "head_yaw", "head_pitch", "crouch"),
    *(
        f"{arm}_{joint}"
        for arm in ("main", "off")
        for joint in ("raise", "abduct", "flex", "cross")
    ),
    *(f"{arm}_finger{finger}" for arm in ("main", "off") for finger in range(5)),
    *("main_pinch", "main_pinch2", "left_back"),
)
_REST = {"main_raise": 0.15, "off_raise": 0.15, "main_abduct": 0.15, "off_abduct": 0.15,
         "main_flex": 0.35, "off_flex": 0.35,
         **{f"{arm}_finger{finger}": 0.35 for arm in ("main", "off") for finger in range(5)}}  # fmt: skip
# change of joints in each gesture; of looks and the cursor, at its full value
_GESTURES: Mapping[str, Mapping[str, float]] = {
    "sprint": {"torso_pitch": 0.4, "main_flex": 0.9, "off_flex": 0.9},
    "backward": {"torso_pitch": -0.35, "left_back": 0.6},
    "sneak": {"crouch": 1.0, "torso_pitch": 0.15},
    "left": {"torso_roll": -0.32},
    "right": {"torso_roll": 0.32},
    "attack": {"main_raise": 1.5, "main_flex": -0.2},
    "use": {"off_raise": 1.5, "off_flex": -0.2},
    "jump": {"main_abduct": 1.7, "off_abduct": 1.7, "main_flex": -0.3, "off_flex": -0.3},
    "drop": {"off_abduct": 1.5, "off_flex": -0.3},
    "swap": {"main_flex": 1.3, "off_flex": 1.3, "main_cross": 0.9, "off_cross": 0.9},
    "open": {"main_raise": 2.6, "off_raise": 2.6, "main_flex": -0.3, "off_flex": -0.3},
    "slot": {"main_raise": 0.3, "main_flex": 2.0},
    "yaw": {"head_yaw": 0.9, "torso_yaw": 0.35},
    "pitch": {"head_pitch": 0.7},
    "screen": {"main_raise": 0.7, "main_flex": 0.9},
    "cursor_x": {"main_abduct": 0.55},
    "cursor_y": {"main_raise": -0.45},
    "click": {"main_pinch": 1.0},
    "second": {"main_pinch2": 1.0},
    "shift": {"off_flex": 1.6, **{f"off_finger{finger}": 0.65 for finger in range(5)}},
}
# movements without a meaning, about a second long: joint -> smallest and largest
_FIDGETS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("main_flex", "off_flex", "main_abduct", "off_abduct", "torso_yaw"), (0.3, 0.7)
    ),
    "torso_roll": (-0.1, 0.1),
    "crouch": (0.05, 0.2),
}
MARCHING, TREMBLING = 5, 3  # frames over which a march and the tremor are smoothed, twice
RESTLESS = 5.0  # times as many of them in a long rest
MOST_RESTS = 0.8


@dataclass(frozen=True)
class _Person:
    """A person: the numbers of `PEOPLE`, and an own way to make each gesture [gestures, joints]."""

    name: str
    numbers: Mapping[str, float]
    gestures: Array

    @property
    def left_handed(self) -> bool:
        """True if the left hand is the better one."""
        return self.numbers["left_handed"] < 0.1


def person(seed: int, number: int, people: str = "train") -> _Person:
    """Person `number` of a seed, from the range `people` of `PEOPLE`: train or test."""
    rng = np.random.default_rng(stable_hash("person", seed, number, people))
    side = 1 + RANGES.index(people)
    numbers = {name: float(rng.uniform(*spans[side])) for name, spans in PEOPLE.items()}
    table = np.zeros((len(_GESTURES), len(JOINTS)))
    for at, changes in enumerate(_GESTURES.values()):
        for joint, change in changes.items():
            table[at, JOINTS.index(joint)] = change
    table *= numbers["amplitude"] * (1 + numbers["habit"] * rng.standard_normal(table.shape))
    return _Person(f"{people}-{seed}-{number}", numbers, table)


def session(who: _Person, seed: int, seconds: float, rests: float = RESTS) -> _Session:
    """Session of a person: a script, filmed, with the controls and the game of the script.

    About the share `rests` of the time are long rests.
    """
    rng = np.random.default_rng(stable_hash("session", who.name, seed))
    frames = max(int(seconds * FPS), 2)
    script = write_script(rng, frames, rests)
    joints = _joints(who, rng, script.gestures)
    times = _camera_times(rng, who.numbers["fps"], frames / FPS)
    steps = _steps(who, script.gestures)
    at = np.clip(times * FPS, 0, frames - 1)
    low = at.astype(int)
    part = (at - low)[:, None]
    high = np.minimum(low + 1, frames - 1)
    joints = joints[low] * (1 - part) + joints[high] * part
    steps = steps[low] * (1 - part[:, 0]) + steps[high] * part[:, 0]
    marching = smooth(script.gestures["forward"], MARCHING)[low]
    pose, hand = _landmarks(who, joints, steps, marching)
    clock = np.arange(frames) / FPS
    states = np.arange(0, frames, FPS * TICK).astype(int)
    game: Columns = {key: values[states] for key, values in script.game.items()}
    meta = {"players": [who.name], "person": who.name, "session": f"{who.name}-{seed}", "seed": seed,
            "hand": "left" if who.left_handed else "right", "source_kind": "synthetic",
            "numbers": {name: round(value, 4) for name, value in who.numbers.items()}}  # fmt: skip
    filmed = film(who, rng, times, pose, hand)
    return _Session(filmed, clock, script.controls, clock[states], game, meta)


def record(
    seed: int, number: int, *, people: int, seconds: float, people_of: str, rests: float
) -> Iterator[Episode]:
    """Session `number` of a seed, the source `synthetic`: people take turns."""
    if people_of not in RANGES:
        raise UsageError(f"people_of must be {' or '.join(RANGES)} (got '{people_of}')")
    if people < 1 or not 2 <= seconds <= LONGEST:
        raise UsageError(
            f"people must be at least 1 and seconds from 2 to {LONGEST} (got {people}, {seconds:g})"
        )
    if not 0 <= rests <= MOST_RESTS:
        raise UsageError(f"rests must be a share from 0 to {MOST_RESTS} (got {rests:g})")
    yield from episodes_of(
        session(person(seed, number % people, people_of), number // people, seconds, rests)
    )


# ---- joints --------------------------------------------------------------------------------------


def _joints(who: _Person, rng: np.random.Generator, gestures: Mapping[str, Array]) -> Array:
    """Angles, curls and pinches of the joints in each frame of a script, [T, JOINTS]."""
    width = gesture_width(who)
    series = np.stack([np.asarray(gestures[name], np.float64) for name in _GESTURES], 1)
    if who.left_handed:
        series[:, list(_GESTURES).index("cursor_x")] *= -1
    lead = round(who.numbers["lead"])
    series = smooth(series, width)
    series = np.concatenate([series[lead:], np.repeat(series[-1:], lead, 0)])
    joints = np.array([_REST.get(joint, 0.0) for joint in JOINTS]) + series @ who.gestures
    joints[:, JOINTS.index("torso_pitch")] += who.numbers["lean"]
    frames = len(joints)
    shown = smooth(gestures["slot"], width) * 1.0
    shown = np.concatenate([shown[lead:], np.repeat(shown[-1:], lead)])
    for finger in range(5):  # the better hand shows up to five, the other one the rest
        slots = gestures["slot_of"]
        for arm, up in (("main", slots > finger), ("off", slots > finger + 5)):
            column = JOINTS.index(f"{arm}_finger{finger}")
            joints[:, column] += shown * np.where(up, -0.35, 0.6)
    joints[:, JOINTS.index("off_flex")] += shown * 1.7 * (gestures["slot_of"] > 5)
    rate = who.numbers["fidgets"] * np.where(gestures["rest"], RESTLESS, 1.0) / FPS
    for joint, (least, most) in _FIDGETS.items():
        size = rng.uniform(least, most, frames) * (rng.random(frames) < rate / len(_FIDGETS))
        joints[:, JOINTS.index(joint)] += smooth(size, 15) * 15
    trembling = (
        smooth(rng.standard_normal(joints.shape), TREMBLING) * TREMBLING * who.numbers["tremor"]
    )
    return np.asarray(joints + trembling)


def gesture_width(who: _Person) -> int:
    """Frames over which a person's joints are smoothed, twice, so that a gesture takes twice as many."""
    return 2 * round(who.numbers["rise"] / 4) + 1


def _steps(who: _Person, gestures: Mapping[str, Array]) -> Array:
    """Phase of the legs in each frame, [T] in rad."""
    rate = who.numbers["cadence"] * np.where(gestures["sprint"], 1.5, 1.0)
    return np.asarray(np.cumsum(2 * np.pi * rate / FPS))


# ---- from joints to landmarks --------------------------------------------------------------------


def _landmarks(who: _Person, joints: Array, steps: Array, marching: Array) -> tuple[Array, Array]:
    """Landmarks of pose [T, 33, 3] and hands [T, 42, 3] in metres, before the camera's errors."""
    body = {name: joints[:, at] for at, name in enumerate(JOINTS)}
    height, numbers = who.numbers["height"], who.numbers
    out: dict[str, Array] = {}
    torso = _turned(body["torso_yaw"], body["torso_pitch"], body["torso_roll"])
    neck = _apply(torso, (0, -0.29 * height, 0))
    head = torso @ _turned(body["head_yaw"], body["head_pitch"], 0 * body["head_yaw"])
    for name, place in _HEAD.items():
        out[name] = neck + _apply(head, np.array(place) * height)
    hands: dict[str, Array] = {}
    main = "left" if who.left_handed else "right"
    for side, sign in (("left", 1.0), ("right", -1.0)):
        arm = "main" if side == main else "off"
        shoulder = _apply(torso, (sign * 0.115 * numbers["shoulders"] * height, -0.28 * height, 0))
        raised, out_by = body[f"{arm}_raise"], body[f"{arm}_abduct"]
        upper = _direction(raised, out_by, sign) * 0.17 * numbers["arms"] * height
        bent, across = raised + body[f"{arm}_flex"], out_by * 0.7 - body[f"{arm}_cross"]
        lower = _direction(bent, across, sign)
        elbow = shoulder + _rotate(torso, upper)
        wrist = elbow + _rotate(torso, lower * 0.15 * numbers["arms"] * height)
        out[f"{side}_shoulder"], out[f"{side}_elbow"], out[f"{side}_wrist"] = shoulder, elbow, wrist
        hands[side] = _hand(body, arm, side, bent, sign, height)
        tips = {"pinky": 17, "index": 5, "thumb": 2}
        for name, joint in tips.items():
            out[f"{side}_{name}"] = wrist + hands[side][:, joint]
        phase = steps if side == "left" else steps + np.pi
        _leg(out, side, sign, body, marching * np.maximum(np.sin(phase), 0), numbers)
    camera = _turned(np.full(len(joints), numbers["turn"]), 0 * steps, 0 * steps)
    pose = np.stack([out[name] for name in POSE_LANDMARKS], 1) @ np.swapaxes(camera, 1, 2)
    both = np.concatenate([hands["left"], hands["right"]], 1) @ np.swapaxes(camera, 1, 2)
    return pose, both


# places in the head, as shares of the height, from the neck
_HEAD = {
    "nose": (0, -0.085, -0.062),
    **{
        f"{side}_{name}": (sign * x, y, z)
        for side, sign in (("left", 1), ("right", -1))
        for name, x, y, z in (
            ("eye_inner", 0.009, -0.105, -0.052),
            ("eye", 0.018, -0.105, -0.05),
            ("eye_outer", 0.027, -0.105, -0.046),
            ("ear", 0.044, -0.095, 0.0),
        )
    },
    "mouth_left": (0.014, -0.066, -0.052),
    "mouth_right": (-0.014, -0.066, -0.052),
}


def _leg(
    out: dict[str, Array],
    side: str,
    sign: float,
    body: Mapping[str, Array],
    lifted: Array,
    numbers: Mapping[str, float],
) -> None:
    """Add the landmarks of a leg; `lifted` [T] is 1 at the top of a step."""
    height, crouch = numbers["height"], np.maximum(body["crouch"], 0)
    back = body["left_back"] if side == "left" else 0 * lifted
    thigh = lifted * 0.8 * numbers["amplitude"] + crouch * 0.8 - back
    knee = lifted * 1.2 * numbers["amplitude"] + crouch * 1.4 + 0.3 * np.abs(back)
    hip = np.tile((sign * 0.055 * height, 0.0, 0.0), (len(lifted), 1))
    straight = np.zeros_like(thigh)
    out[f"{side}_hip"] = hip
    out[f"{side}_knee"] = hip + _direction(thigh, straight, sign) * 0.245 * height
    shin = _direction(thigh - knee, straight, sign)
    out[f"{side}_ankle"] = out[f"{side}_knee"] + shin * 0.245 * height
    out[f"{side}_heel"] = out[f"{side}_ankle"] + np.array((0, 0.02, 0.02)) * height
    out[f"{side}_foot_index"] = out[f"{side}_ankle"] + np.array((0, 0.03, -0.09)) * height


def _hand(
    body: Mapping[str, Array], arm: str, side: str, bent: Array, sign: float, height: float
) -> Array:
    """Landmarks of a hand [T, 21, 3] from its wrist, whose fingers point along the forearm."""
    size, frames = 0.108 * height, len(bent)
    local = np.zeros((frames, len(HAND_LANDMARKS), 3))
    for finger in range(5):
        curl = np.clip(body[f"{arm}_finger{finger}"], -0.1, 1.1)
        spread = (0.45, 0.2, 0.02, -0.14, -0.3)[finger]
        base = (0.28, 0.5, 0.52, 0.49, 0.45)[finger] * size
        first = 1 + 4 * finger
        at = np.stack([np.full(frames, -sign * spread * base), np.full(frames, base), 0 * curl], -1)
        local[:, first] = at
        angle = 0 * curl
        for joint, length in enumerate((0.24, 0.15, 0.12)):
            angle = angle + curl * (1.1 if finger else 0.7)
            along = np.stack([0 * angle - sign * spread * 0.5, np.cos(angle), -np.sin(angle)], -1)
            at = at + along * length * size * (0.8 if finger in (0, 4) else 1)
            local[:, first + 1 + joint] = at
    if arm == "main":
        for pinch, tip in (("main_pinch", 8), ("main_pinch2", 12)):
            share = np.clip(body[pinch], 0, 1.1)[:, None]
            middle = (local[:, 4] + local[:, tip]) / 2
            for point in (4, tip):
                local[:, point] += share * (middle - local[:, point])
    zero = 0 * bent
    return np.asarray(local @ np.swapaxes(_turned(zero, -bent, zero), 1, 2))


def _direction(raised: Array, out_by: Array, sign: float) -> Array:
    """Unit vectors [T, 3]: hanging down, raised to the front and turned out to the side."""
    return np.stack(
        [sign * np.sin(out_by), np.cos(out_by) * np.cos(raised), -np.cos(out_by) * np.sin(raised)],
        axis=-1,
    )


def _turned(yaw: Array, pitch: Array, roll: Array) -> Array:
    """Rotations [T, 3, 3]: yaw to the left of the picture, pitch to the front, roll to the right."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    one, zero = np.ones_like(cy), np.zeros_like(cy)
    about_y = _matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    about_x = _matrix(one, zero, zero, zero, cp, -sp, zero, sp, cp)
    about_z = _matrix(cr, -sr, zero, sr, cr, zero, zero, zero, one)
    return np.asarray(about_y @ about_x @ about_z)


def _matrix(*parts: Array) -> Array:
    return np.stack(parts, -1).reshape(-1, 3, 3)


def _apply(rotation: Array, point: Any) -> Array:
    return np.asarray(rotation @ np.asarray(point, np.float64))


def _rotate(rotation: Array, points: Array) -> Array:
    return np.asarray((rotation @ points[..., None])[..., 0])


# ---- the camera ----------------------------------------------------------------------------------


def _camera_times(rng: np.random.Generator, fps: float, seconds: float) -> Array:
    """Times of the frames of a camera, [C] s: jitter, and now and then a missed frame."""
    times = np.arange(int(seconds * fps)) / fps
    times = times + rng.normal(0, 0.06 / fps, len(times))
    times = times[rng.random(len(times)) > 0.005]
    return np.asarray(np.maximum.accumulate(np.maximum(times, 0)))


def film(
    who: _Person, rng: np.random.Generator, times: Array, pose: Array, hand: Array
) -> _Landmarks:
    """Landmarks as a camera finds them: noise (twice as much in depth), and hands that get lost."""
    spread = who.numbers["noise"] * np.array((1, 1, 2.0))
    frames = len(times)
    pose = pose + rng.standard_normal(pose.shape) * spread
    hand = hand + rng.standard_normal(hand.shape) * spread * 0.4
    stay = 6.0  # frames for which a hand stays lost, in the mean
    seen = np.ones((frames, 3), bool)
    for side in (1, 2):
        lost = rng.random(frames) < who.numbers["loss"] / stay
        length = rng.integers(2, 11, frames)
        until = np.maximum.accumulate(np.where(lost, np.arange(frames) + length, 0))
        seen[:, side] = np.arange(frames) >= until
    visibility = np.clip(0.97 - np.abs(rng.normal(0, 0.03, pose.shape[:2])), 0, 1)
    visibility[:, POSE_LANDMARKS.index("left_knee") :] -= 0.15
    return _Landmarks(
        times,
        pose.astype(np.float32),
        visibility.astype(np.float32),
        hand.astype(np.float32),
        seen,
    )
