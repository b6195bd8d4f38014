"""A learned policy as an agent: many matches at once, drawn with the noise of each match.

What it draws is a function of (match seed, frame, seat, draw): never of how many matches run, in
which order, or beside what. What it draws *from* is computed in blocks of `BLOCK` matches, the last
one filled up, so that a match meets the same arithmetic alone and among a thousand. The same
machine, device and number of threads then give the same bits; another CPU or a GPU may round a
probability differently, and a draw that falls between the two roundings differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shadowbox.core.game import noise
from shadowbox.core.schema import Array, Columns, Schema, differences
from shadowbox.errors import SchemaMismatch, UsageError

if TYPE_CHECKING:  # it needs torch, which naming an agent does not
    from torch import Tensor

    from shadowbox.model.checkpoint import Checkpoint
    from shadowbox.model.policy import Policy

TUNED = -1.0  # a threshold that says: each button's own
BLOCK = 32  # matches that are computed together
DRAW = 1000  # the first of a policy's draws, far from those of bots


@dataclass(frozen=True)
class SamplingConfig:
    """How a policy's distribution becomes controls.

    `temperature` multiplies what was calibrated. `threshold`: no draws; a button is pressed where
    its probability is above this, as the originals do; TUNED: where it is above its own calibrated
    one, with hysteresis. Only a policy that decides each button on its own can play by thresholds.
    `player` and `strength`: in whose style and how strong, where it was told while it learned;
    nobody in particular otherwise.
    """

    temperature: float = 1.0
    threshold: float | None = None
    player: str = ""
    strength: float | None = None


class PolicyAgent:
    """A policy in a seat. All memory is in the state, so that one agent may sit in both."""

    def __init__(
        self,
        policy: Policy,
        manner: SamplingConfig = SamplingConfig(),
        *,
        calibration: Mapping[str, Any] | None = None,
        mark: str = "",
        block: int = BLOCK,
    ) -> None:
        """`calibration`: as stored with a checkpoint.

        `mark`: what everybody who meets it should know.
        """
        import torch

        tuned = calibration or {}
        self.temperatures = head_temperatures(policy, manner.temperature, tuned)
        # [draws, 2]: up and held; None: it draws
        self.limits = _limits(policy, manner, tuned.get("thresholds", {}))

        self.policy, self.manner, self.mark, self.block = policy.eval(), manner, mark, block
        self.device = next(policy.parameters()).device
        self.style: Mapping[str, Tensor] | None = None
        if manner.player or manner.strength is not None:
            style = policy.style_of([manner.player] * block, [manner.strength] * block)
            self.style = {key: values.to(self.device) for key, values in style.items()}
        self.reads = (*policy.input_columns, *policy.schema.control_keys)
        self.buttons = [
            key for key in policy.values.keys if policy.schema.columns[key].field.kind == "flag"
        ]
        self._torch = torch

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """Nothing has been seen of the matches that begin."""
        seeds, players = np.asarray(seeds, np.int64), np.asarray(players, np.int64)
        fresh = np.ones(len(seeds), bool)
        if state is None or where is None:
            blocks = -(-len(seeds) // self.block)
            memory = [self.policy.initial(self.block, self.device) for _ in range(blocks)]
            return {
                "seeds": seeds,
                "players": players,
                "frame": np.zeros(len(seeds), np.int64),
                "fresh": fresh,
                "memory": memory,
            }
        return {
            "seeds": np.where(where, seeds, state["seeds"]),
            "players": np.where(where, players, state["players"]),
            "frame": np.where(where, 0, state["frame"]),
            "fresh": state["fresh"] | where,
            "memory": state["memory"],
        }

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """One decision a match."""
        matches = len(state["seeds"])
        draws = self._draws(state, view)
        answers, memory = [], []
        with self._torch.inference_mode():
            for at, first in enumerate(range(0, matches, self.block)):
                rows = slice(first, first + self.block)
                answer, after = self._decide(
                    view, draws[rows], state["fresh"][rows], state["memory"][at], rows
                )
                answers.append(answer)
                memory.append(after)
        controls = {
            key: self._joined([answer[key] for answer in answers], key, matches)
            for key in answers[0]
        }
        after = {
            **state,
            "memory": memory,
            "frame": state["frame"] + 1,
            "fresh": np.zeros(matches, bool),
        }
        return controls, after

    def _decide(
        self, view: Columns, draws: Array, fresh: Array, memory: Any, rows: slice
    ) -> tuple[dict[str, Tensor], Any]:
        """A block of matches, filled up with matches that nobody reads."""
        seen = {key: self._on_device(_filled(view[key][rows], self.block)) for key in self.reads}
        answer, _, after = self.policy.step(
            seen,
            memory,
            self._on_device(_filled(draws, self.block)),
            reset=self._on_device(_filled(fresh, self.block)),
            temperature=self.temperatures,
            style=self.style,
        )
        return answer, after

    def _draws(self, state: Mapping[str, Array], view: Columns) -> Array:
        """Uniform numbers in [0, 1), f32 [N, draws]. A threshold is a draw that is always the same."""
        if self.limits is not None:
            held = np.concatenate(
                [view[key][:, : self.policy.values.slots] for key in self.buttons], 1
            ).astype(bool)
            return np.asarray(np.where(held, self.limits[:, 1], self.limits[:, 0]), np.float32)
        seeds, frame, players = (state[name][:, None] for name in ("seeds", "frame", "players"))
        uniform = noise(seeds, frame, players, DRAW + np.arange(self.policy.draws))  # type: ignore[arg-type]
        # rounding to f32 could make a 1
        return np.asarray(np.floor(uniform * 2**24) * 2.0**-24, np.float32)

    def _on_device(self, values: Array) -> Tensor:
        return as_tensor(values).to(self.device)

    def _joined(self, parts: Sequence[Tensor], key: str, matches: int) -> Array:
        column = self.policy.schema.columns[key]
        values: Array = self._torch.cat(list(parts)).cpu().numpy()[:matches]
        if column.field.kind == "real":
            values = np.clip(values, *column.field.limits)
        return np.asarray(values.astype(column.dtype))


def policy_agent(
    folder: Path,
    schema: Schema,
    manner: SamplingConfig = SamplingConfig(),
    *,
    device: str = "cpu",
    mark: str = "",
    encodings: Mapping[str, Any] | None = None,
) -> PolicyAgent:
    """The policy of a checkpoint's folder, for a game whose fields are those that it learned on."""
    from shadowbox.model import checkpoint

    found = checkpoint.load(folder, kind="policy", device=device)
    return PolicyAgent(
        restore_policy(found, schema, device, encodings),
        manner,
        calibration=found.calibration,
        mark=mark,
    )


def restore_policy(
    found: Checkpoint,
    schema: Schema,
    device: str = "cpu",
    encodings: Mapping[str, Any] | None = None,
) -> Policy:
    """A policy with its weights.

    Of the game's schema only the fields that it reads and answers must be the same.
    """
    from shadowbox.model import checkpoint, policy

    wanted = found.about.arguments.get("encoding")
    encoding = (encodings or {}).get(wanted["name"]) if wanted else None
    model = policy.build_policy(found.about.schema, found.about.arguments, encoding=encoding)
    require_readable(
        found.about.schema,
        schema,
        (*model.input_columns, *found.about.schema.control_keys),
        f"checkpoint {found.path}",
    )
    checkpoint.load_weights(model, found.weights, str(found.path))
    return model.to(device).eval()


def require_readable(learned: Schema, schema: Schema, keys: Sequence[str], where: str) -> None:
    """Refuse a game in which the fields that a policy reads are others than those that it learned on, with what differs."""
    lines = [
        line
        for line in differences(learned, schema, coding=True)
        if (name := line.partition(":")[0]) in keys or name not in learned.columns
    ]
    lines += [
        f"{key}: not expected, found" for key in schema.control_keys if key not in learned.columns
    ]
    if lines:
        raise SchemaMismatch(
            f"{where} learned on another schema ('{learned.name}', here '{schema.name}'): "
            + "; ".join(lines)
        )


def head_temperatures(
    policy: Policy, temperature: float, calibration: Mapping[str, Any]
) -> list[float]:
    """What each part's distribution is played at: its calibrated temperature and that of play, where there are, times this."""
    found, play = calibration.get("temperature", {}), calibration.get("play") or {}
    temperature *= play.get("temperature", 1.0)
    return [
        temperature * (found[part.name]["temperature"] if part.name in found else 1.0)
        for part in policy.head.parts
    ]


def value_names(policy: Policy) -> list[str]:
    """The control values by name; where a player has several slots, with the number of the slot."""
    found: list[str] = []
    for key in policy.values.keys:
        found += (
            [key]
            if policy.values.slots == 1
            else [f"{key}[{slot}]" for slot in range(policy.values.slots)]
        )
    return found


def _limits(
    policy: Policy, manner: SamplingConfig, tuned: Mapping[str, Mapping[str, float]]
) -> Array | None:
    """For each button the threshold while it is up and while it is held: [draws, 2]."""
    if manner.threshold is None:
        return None
    names = [
        name
        for name, kind in zip(value_names(policy), policy.values.kinds, strict=True)
        if kind == "flag"
    ]
    if policy.config.head.head != "independent" or policy.draws != len(names):
        raise UsageError(
            f"thresholds are for policies that decide each button on its own; this one ({policy.config.head.head}) draws"
        )
    if manner.threshold != TUNED:
        return np.full((len(names), 2), manner.threshold)
    if missing := [name for name in names if name not in tuned]:
        raise UsageError(
            f"{missing[0]} has no tuned threshold: shadowbox eval CHECKPOINT STORE --calibrate finds them"
        )
    return np.array([[tuned[name]["on"], tuned[name]["off"]] for name in names])


def as_tensor(values: Array) -> Tensor:
    """A column as models take it: choices as int64."""
    import torch

    return torch.from_numpy(
        np.ascontiguousarray(values.astype(np.int64) if values.dtype.kind == "u" else values)
    )


def _filled(values: Array, rows: int) -> Array:
    """As many rows: the missing ones are zeros."""
    if len(values) == rows:
        return values
    return np.concatenate([values, np.zeros((rows - len(values), *values.shape[1:]), values.dtype)])
