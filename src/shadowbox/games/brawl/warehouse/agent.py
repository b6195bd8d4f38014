"""Agent for the Warehouse Brawl tournament: 64 numbers in, ten keys out, NumPy alone.

`shadowbox export warehouse` writes this file with a policy inside, as text in `MODEL`. The agent
remembers the keys that it pressed, and its network's memory, until a match begins anew.
"""

from __future__ import annotations

import base64
import io
import json
import math
from typing import Any

import numpy as np

try:
    from environment.agent import Agent as _Base  # type: ignore[import-not-found]
except ImportError:  # outside of the tournament

    class _Base:  # type: ignore[no-redef]
        """What the tournament's base class keeps."""

        def __init__(self, file_path: str | None = None) -> None:
            self.file_path = file_path


MODEL = ""

KEYS = ("w", "a", "s", "d", "space", "h", "l", "j", "k", "g")
NUMBERS = 64
SLOPE = 1e-5  # of a norm, below its root

Array = np.ndarray[Any, Any]


def _both(at: int) -> Any:
    """A number of both fighters, the own one first."""
    return lambda seen: seen[[at, 32 + at]]


def _on_ground(at: int, full: float) -> Any:
    """A number of both fighters that the game shows in the air only; it is full on the ground."""
    return lambda seen: np.where(seen[[5, 37]] > 0.5, full, seen[[at, 32 + at]])


def _alive(seen: Array) -> Array:
    return np.asarray(seen[18:28:3] > 0.5, np.float32)


# What the 64 numbers tell of a match, by column: [slots] each.
COLUMNS: dict[str, Any] = {
    "player/x": _both(0),
    "player/y": _both(1),
    "player/vx": _both(2),
    "player/vy": _both(3),
    "player/facing_right": _both(4),
    "player/grounded": _both(5),
    "player/air_jumps": _on_ground(7, 2),
    "player/state": _both(8),
    "player/recoveries": _on_ground(9, 1),
    "player/stun": lambda seen: np.minimum(seen[[11, 43]], 63),
    "player/damage": lambda seen: seen[[12, 44]] * np.float32(700),
    "player/stocks": _both(13),
    "player/move": lambda seen: np.maximum(seen[[14, 46]] - 1, 0),
    "player/weapon": _both(15),
    "item/alive": _alive,
    "item/x": lambda seen: seen[16:28:3] * _alive(seen),
    "item/y": lambda seen: seen[17:28:3] * _alive(seen),
    "platform/x": lambda seen: seen[28:29],
    "platform/y": lambda seen: seen[29:30],
    "platform/vx": lambda seen: seen[30:31],
    "platform/vy": lambda seen: seen[31:32],
}


class _SubmittedAgent(_Base):  # type: ignore[misc]
    """Policy that reads the 64 numbers and its own keys of the frame before."""

    def __init__(self, file_path: str | None = None, *, seed: int = 0) -> None:
        self.seed = seed
        self._load()
        self.reset()
        super().__init__(file_path)

    def _gdown(self) -> str:
        """The weights are inside: nothing is fetched."""
        return ""

    def _initialize(self) -> None:
        self.reset()

    def save(self, file_path: str) -> None:
        """Keep the interface of the tournament: there is nothing to save."""

    def reset(self) -> None:
        """Forget the match."""
        self.random = np.random.default_rng(self.seed)
        self.keys: Array = np.zeros(len(KEYS), np.float32)
        self.frame = 0
        self.stocks: Array = np.zeros(2, np.float32)
        self.memory: dict[str, Array] = {}

    def predict(self, obs: Any) -> Array:
        """Ten numbers, 1 for each pressed key, for the 64 numbers of a frame."""
        seen = np.asarray(obs, np.float32)
        if seen.shape != (NUMBERS,):
            raise ValueError(f"an observation has {NUMBERS} numbers (got the shape {seen.shape})")
        stocks = seen[[13, 45]]
        if (stocks > self.stocks).any():  # stocks only fall within a match
            self.reset()
        self.stocks = stocks
        if self.frame % self.repeat == 0:
            self.keys = self._press(self.logits(seen), float(self.random.random()))
        self.frame += 1
        return self.keys.copy()

    def logits(self, seen: Array) -> Array:
        """Logits [K] of the combinations of keys; the memory moves on by one decision."""
        with np.errstate(all="ignore"):
            h = getattr(self, f"_{self.trunk}")(self._features(seen))
            return np.asarray(self._linear("head", h))

    def _press(self, logits: Array, noise: float) -> Array:
        """Keys of the combination that `noise` in [0, 1) draws."""
        share = np.exp((logits - logits.max()) / self.temperature)
        sums = np.cumsum(share / share.sum())
        drawn = min(int((sums <= noise * sums[-1]).sum()), len(sums) - 1)
        return np.asarray(self.weights["points"][drawn], np.float32)

    def _load(self) -> None:
        """Weights and settings out of `MODEL`."""
        with np.load(io.BytesIO(base64.b64decode(MODEL)), allow_pickle=False) as stored:
            self.weights: dict[str, Array] = {name: stored[name] for name in stored.files}
        about = json.loads(self.weights["about"].tobytes())
        self.trunk, self.repeat, self.temperature = (
            about[name] for name in ("trunk", "repeat", "temperature")
        )
        self.reals, self.flags, self.choices = (
            about[name] for name in ("reals", "flags", "choices")
        )
        self.layers, self.depth, self.looks = about["layers"], about["depth"], about["looks"]

    # ---- features --------------------------------------------------------------------------------

    def _column(self, key: str, seen: Array) -> Array:
        if key.startswith("keys/"):
            at = KEYS.index(key.removeprefix("keys/"))
            return self.keys[at : at + 1]
        return np.asarray(COLUMNS[key](seen))

    def _features(self, seen: Array) -> Array:
        """Input of the network [F]: scaled reals, flags, distances, looked-up choices, zeros."""
        w = self.weights
        reals, flags = (
            np.concatenate([self._column(key, seen) for key in keys]).astype(np.float32)
            for keys in (self.reals, self.flags)
        )
        parts = [reals * w["scale"], flags]
        if self.looks:
            away = (reals[w["other"]] - reals[w["own"]]) * w["away_scale"]
            away = np.where(w["masked"] & (flags[w["mask"]] < 0.5), np.float32(0), away)
            parts += [np.tanh(away * np.float32(s)) if s else away for s in self.looks]
        for width, keys in self.choices.items():
            values = np.concatenate([self._column(key, seen) for key in keys])
            rows = values.astype(np.int64) + w[f"first.{width}"]
            parts.append(w[f"table.{width}"][rows].reshape(-1))
        return np.concatenate([*parts, w["more"]])

    # ---- layers ----------------------------------------------------------------------------------

    def _linear(self, name: str, x: Array) -> Array:
        y = self.weights[f"{name}.weight"] @ x
        bias = self.weights.get(f"{name}.bias")
        return np.asarray(y if bias is None else y + bias)

    def _norm(self, name: str, x: Array) -> Array:
        x = x - x.mean()
        scaled = x / np.sqrt((x * x).mean() + np.float32(SLOPE))
        return np.asarray(scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"])

    def _over(self, x: Array) -> Array:
        """The layers over a frame or a window, in order."""
        for kind, name in self.layers:
            if kind == "linear":
                x = self._linear(name, x)
            elif kind == "norm":
                x = self._norm(name, x)
            elif kind == "relu":
                x = np.maximum(x, 0)
            elif kind == "gelu":
                share = [0.5 + 0.5 * math.erf(value) for value in (x * math.sqrt(0.5)).tolist()]
                x = x * np.array(share, np.float32)
            else:  # a residual block
                inner = np.maximum(self._linear(f"{name}.hidden", x), 0)
                x = self._norm(f"{name}.norm", x + self._linear(f"{name}.back", inner))
        return x

    def _window(self, x: Array) -> Array:
        """Perceptron over the last frames, the newest one last; those before a match are zeros."""
        frames = self.weights["frames"]
        old = self.memory.get("frames", np.zeros((int(frames) - 1, len(x)), np.float32))
        window = np.concatenate([old, x[None]])
        self.memory["frames"] = window[1:]
        return self._over(self._linear("first", window.reshape(-1)))

    def _gru(self, x: Array) -> Array:
        frame = below = self._over(x)
        for at in range(self.depth):
            gates, matrix = self._linear(f"inputs.{at}", below), self.weights[f"memory.{at}"]
            width = matrix.shape[1]
            before = self.memory.get(f"h{at}", np.zeros(width, np.float32))
            inner = matrix @ before
            opened = _sigmoid(gates[: 2 * width] + inner[: 2 * width])
            new = gates[2 * width :] + opened[:width] * (
                inner[2 * width :] + self.weights[f"bias.{at}"]
            )
            fresh = np.tanh(new)
            below = self.memory[f"h{at}"] = fresh + opened[width:] * (before - fresh)
        return np.concatenate([below, frame])

    def _lstm(self, x: Array) -> Array:
        frame = below = self._over(x)
        for at in range(self.depth):
            matrix = self.weights[f"memory.{at}"]
            zeros = np.zeros(matrix.shape[1], np.float32)
            h, cell = (self.memory.get(f"{name}{at}", zeros) for name in "hc")
            gates = self._linear(f"inputs.{at}", below) + matrix @ h
            take, forget, new, give = np.split(gates, 4)
            cell = _sigmoid(forget) * cell + _sigmoid(take) * np.tanh(new)
            below = _sigmoid(give) * np.tanh(cell)
            self.memory[f"h{at}"], self.memory[f"c{at}"] = below, cell
        return np.concatenate([below, frame]) if self.layers else below


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))
