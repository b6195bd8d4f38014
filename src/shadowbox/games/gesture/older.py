"""Encoding `older`: a frame as the numbers of an older system, in its order.

260 numbers of the camera, 225 velocities a frame, 46 of the game's state, and the 28 controls of
the frame before, which make 671 inputs with those of four frames more. Rows are those of our
recordings: the game's state is that of one frame ago, and includes what follows the own keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.encoding import CONTROLS as CONTROL_BLOCK
from shadowbox.core.encoding import Encoding, NumberInput
from shadowbox.core.schema import Array, Choice, Real
from shadowbox.games.gesture.schema import (
    CURSOR,
    FPS,
    GAME_KEYS,
    HAND_LANDMARKS,
    HANDS,
    HOTBAR,
    OLDER_ORDER,
    ONE_HOT,
    POSE_LANDMARKS,
    SCHEMA,
)

MODE = "game/screen_open"  # cursors are 0 while it is off


class _Number(NamedTuple):
    """One number: value * scale + shift of a slot of a column, or whether the value is `equals`."""

    name: str
    block: str
    key: str
    slot: int = 0
    scale: float = 1.0
    shift: float = 0.0
    equals: int | None = None
    in_mode: bool = False  # 0 while MODE is off

    def read(self) -> Callable[[Mapping[str, Any], Any], Any]:
        """Function from columns to the number [..., 1]."""

        def of(columns: Mapping[str, Any], xp: Any) -> Any:
            value = columns[self.key][..., self.slot : self.slot + 1]
            value = value == self.equals if self.equals is not None else value
            value = value * self.scale + self.shift
            return value * columns[MODE] if self.in_mode else value

        return of


def _points(block: str, prefix: str, scale: float) -> Iterator[_Number]:
    """Coordinates of the pose's landmarks, then of the hands', each x, y, z."""
    for group, names in (
        ("pose", POSE_LANDMARKS),
        ("hand", [f"{hand}_{name}" for hand in HANDS for name in HAND_LANDMARKS]),
    ):
        for slot, name in enumerate(names):
            for axis in "xyz":
                key = f"{group}/{prefix}{axis}"
                yield _Number(f"{group}.{name}.{prefix}{axis}", block, key, slot, scale)


def _game() -> Iterator[_Number]:
    for key in GAME_KEYS:
        field = SCHEMA.columns[key].field
        if isinstance(field, Choice) and key in ONE_HOT:
            for value in range(field.n):
                yield _Number(f"{key}.{value}", "game", key, equals=value)
        elif isinstance(field, Choice):
            yield _Number(key, "game", key, scale=1 / (field.n - 1))
        else:
            yield _Number(key, "game", key, scale=field.scale if isinstance(field, Real) else 1.0)


def _controls() -> Iterator[_Number]:
    for name in OLDER_ORDER:
        if name in HOTBAR:
            at = 1 + HOTBAR.index(name)
            yield _Number(name, CONTROL_BLOCK, "control/hotbar", equals=at)
        elif name in CURSOR:  # from 0 to 1
            key = f"control/{name}"
            yield _Number(name, CONTROL_BLOCK, key, scale=0.5, shift=0.5, in_mode=True)
        else:
            yield _Number(name, CONTROL_BLOCK, f"control/{name}")


NUMBERS = (
    *_points("camera", "", 1.0),
    *(_Number(f"seen.{hand}", "camera", f"seen/{hand}_hand") for hand in HANDS),
    *(
        _Number(f"visible.{name}", "camera", "pose/visibility", slot)
        for slot, name in enumerate(POSE_LANDMARKS)
    ),
    *_points("velocity", "v", 1 / FPS),
    *_game(),
    *_controls(),
)
_KEYS = tuple(dict.fromkeys(number.key for number in NUMBERS))
_FIRST = dict(
    zip(_KEYS, np.cumsum([0, *(SCHEMA.columns[key].slots for key in _KEYS)]).tolist(), strict=False)
)
_INDEX = np.array([_FIRST[number.key] + number.slot for number in NUMBERS])
_SCALE = np.array([number.scale for number in NUMBERS], np.float32)
_SHIFT = np.array([number.shift for number in NUMBERS], np.float32)
_COMPARED = np.array([number.equals is not None for number in NUMBERS])
_EQUALS = np.array([number.equals or 0 for number in NUMBERS], np.float32)
_IN_MODE = np.array([number.in_mode for number in NUMBERS])


@dataclass(frozen=True)
class _OlderEncoding(Encoding):
    """Encoding whose numbers are computed together; the result is that of each `NumberInput`."""

    def encode(self, columns: Mapping[str, Any], xp: Any = np) -> tuple[Any, Any]:
        """Columns [..., slots] -> floats f32 [..., 559], and no integers."""
        values = xp.concatenate(
            [xp.asarray(columns[key], dtype=xp.float32) for key in _KEYS], axis=-1
        )
        picked = values[..., _constant(_INDEX, values, xp)]
        scale, shift = _constant(_SCALE, values, xp), _constant(_SHIFT, values, xp)
        same = xp.asarray(picked == _constant(_EQUALS, values, xp), dtype=xp.float32)
        floats = xp.where(_constant(_COMPARED, values, xp), same, picked * scale + shift)
        off = _constant(_IN_MODE, values, xp) & (columns[MODE] == 0)
        floats = xp.where(off, xp.zeros_like(floats), floats)
        return floats, xp.asarray(floats[..., :0], dtype=xp.int64)


def _constant(values: Array, like: Any, xp: Any) -> Any:
    return values if xp is np else xp.as_tensor(values, device=like.device)


ENCODING = _OlderEncoding(
    "older",
    1,
    tuple(NumberInput(number.name, number.read(), block=number.block) for number in NUMBERS),
    (),
)
