"""A learned policy as an agent: many matches at once, drawn with the noise of each match.

What it draws is a function of (match seed, frame, seat, draw): never of how many matches run, in
which order, or beside what. What it draws *from* is computed in blocks of `BLOCK` matches, the last
one filled up, so that a match meets the same arithmetic alone and among a thousand. The same
machine, device and number of threads then give the same bits; another CPU or a GPU may round a
probability differently, and a draw that falls between the two roundings differs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shadowbox.core.game import Agent, noise
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.core.tracks import Track
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.model.design import DELAY
from shadowbox.play.agent import Delayed
from shadowbox.play.restored_policy import (
    press_limits,
    restore_policy,
    value_names,
    with_press_bias,
)
from shadowbox.play.warm_start import put_part

if TYPE_CHECKING:  # it needs torch, which naming an agent does not
    from torch import Tensor

    from shadowbox.model.policy import Policy

TUNED = -1.0  # a threshold that says: each button's own
BLOCK = 32  # matches that are computed together
DRAW = 1000  # the first of a policy's draws, far from those of bots
NOT_FINITE = "its probabilities are not finite: its weights or the values that it sees are damaged"
COLDEST, HOTTEST = 0.01, 10.0  # temperatures


@dataclass(frozen=True)
class SamplingConfig:
    """Sampling of controls from a policy's distribution.

    `temperature` multiplies the calibrated one. `threshold`: press a button if its probability is
    above this, instead of sampling (as older systems do); TUNED: above its own calibrated one, with
    hysteresis. Only a policy that decides each button on its own can play by thresholds. `player`
    `strength` and `skill`: the style to play in, if the policy was trained with styles; default: none.
    `bias` is added to the log-odds of every button, after the temperature; with `offsets`, also
    each button's calibrated offset.
    """

    temperature: float = 1.0
    threshold: float | None = None
    player: str = ""
    strength: float | None = None
    bias: float = 0.0
    offsets: bool = False
    skill: tuple[tuple[str, float], ...] = ()  # by name, from 0 to 1; "": every skill


class PolicyAgent:
    """A policy in a seat. All memory is in the state, so that one agent may sit in both.

    Its tracks are `press/CONTROL`, the probability that a button is down, and `mean/CONTROL`, the
    expected position of a stick: those of its last decision, at the temperature it plays at; and
    those of its read-out (model/strategy/read_out.py). Its setting is `temperature`.
    """

    def __init__(
        self,
        policy: Policy,
        sampling: SamplingConfig = SamplingConfig(),
        *,
        calibration: Mapping[str, Any] | None = None,
        mark: str = "",
        block: int = BLOCK,
    ) -> None:
        """`calibration`: as stored with a checkpoint.

        `mark`: what everybody who meets it should know.
        """
        import torch

        from shadowbox.model.strategy.read_out import read_out_tracks

        tuned = self.calibration = calibration or {}
        self.temperatures = head_temperatures(policy, sampling.temperature, tuned)
        # [flags, 2]: up and held; None: it draws
        self.limits = press_limits(policy, sampling.threshold, tuned.get("thresholds", {}))
        if sampling.bias or sampling.offsets:
            fitted = tuned.get("offsets", {}) if sampling.offsets else None
            policy = with_press_bias(policy, sampling.bias, fitted)

        self.policy, self.sampling, self.mark, self.block = policy.eval(), sampling, mark, block
        self.device, self.delay = next(policy.parameters()).device, 0
        self.style: Mapping[str, Tensor] | None = None
        if sampling.player or sampling.strength is not None or sampling.skill:
            strengths, skill = [sampling.strength] * block, dict(sampling.skill)
            style = policy.style_of([sampling.player] * block, strengths, skill)
            self.style = {key: values.to(self.device) for key, values in style.items()}
        self.buttons = [
            key for key in policy.values.keys if policy.schema.columns[key].field.kind == "flag"
        ]
        self._shown = {
            at: Track(f"{'press' if kind == 'flag' else 'mean'}/{name}")
            for at, (name, kind) in enumerate(
                zip(value_names(policy), policy.values.kinds, strict=True)
            )
            if kind in ("flag", "real")
        }
        self.read_out_types = read_out_tracks(policy)
        self.track_types = (*self._shown.values(), *self.read_out_types)
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
                "held": None,
                "last": None,
                "read": _no_read_out(blocks),
            }
        return {
            "seeds": np.where(where, seeds, state["seeds"]),
            "players": np.where(where, players, state["players"]),
            "frame": np.where(where, 0, state["frame"]),
            "fresh": state["fresh"] | where,
            "memory": state["memory"],
            "held": state["held"],
            "last": None,
            "read": state["read"],
        }

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """One decision a match; a policy with action repeat decides every few frames of a match."""
        matches, repeat = len(state["seeds"]), self.policy.config.repeat
        decides = state["frame"] % repeat == 0
        if not decides.any():
            return state["held"], {**state, "frame": state["frame"] + 1}
        draws = self._draws(state, view)
        answers, memory, seen = [], [], []
        with self._torch.inference_mode():
            for at, first in enumerate(range(0, matches, self.block)):
                rows = slice(first, first + self.block)
                fresh = self._on_device(_filled(state["fresh"][rows], self.block))
                shown = {
                    key: self._on_device(_filled(view[key][rows], self.block))
                    for key in self.policy.reads
                }
                if self.policy.config.delays:
                    late = self._torch.full((self.block, 1), float(self.delay))
                    shown[DELAY] = late.to(self.device)
                answer, log_prob, after_block = self.policy.step(
                    shown,
                    state["memory"][at],
                    self._on_device(_filled(draws[rows], self.block)),
                    reset=fresh,
                    temperature=self.temperatures,
                    style=self.style,
                )
                if not self._torch.isfinite(log_prob).all():
                    raise ShadowboxError(NOT_FINITE)
                if not decides.all():
                    chosen = self._on_device(_filled(decides[rows], self.block))
                    after_block = _where(chosen, after_block, state["memory"][at])
                answers.append(answer)
                memory.append(after_block)
                seen.append((shown, fresh))
        controls = {
            key: self._joined([answer[key] for answer in answers], key, matches)
            for key in answers[0]
        }
        if not decides.all():
            controls = {
                key: np.where(decides[:, None], values, state["held"][key])
                for key, values in controls.items()
            }
        after = {
            **state,
            "memory": memory,
            "frame": state["frame"] + 1,
            "fresh": state["fresh"] & ~decides,
            "held": controls if repeat > 1 else None,
            "last": (seen, state["memory"], answers),  # what `tracks` is computed from
        }
        return controls, after

    def with_delay(self, frames: int) -> Agent:
        """The policy `frames` late: as its input, or if it has no such input, behind a queue.

        A policy with the input sees the state late and its own keys at once, as in training.
        """
        if not self.policy.config.delays:
            return Delayed(self, frames) if frames else self
        if frames > (longest := max(self.policy.config.delays)):
            raise UsageError(
                f"delay={frames}: this policy was trained with delays of up to {longest} frames"
            )
        late = copy.copy(self)
        late.delay = frames
        schema = self.policy.schema
        own = dict.fromkeys(schema.control_keys, schema.controls.slots // schema.players)
        return Delayed(late, frames, own) if frames else late

    def tracks(self, state: Any) -> dict[str, Array]:
        """Probabilities and positions of the last decision [N], given the controls that were pressed.

        To be asked before the world moves on, for the view of that decision is used again, and
        once after every decision, for attention reaches back through earlier read-outs.
        """
        matches, read = len(state["seeds"]), state["read"]
        if state["last"] is None:
            return {
                track.name: np.full((matches, *track.shape), track.blank)
                for track in self.track_types
            }
        if read["last"] is not state["last"]:
            read |= {"last": state["last"], "values": self._tracks(state, matches)}
        values: dict[str, Array] = read["values"]
        return values

    def _tracks(self, state: Any, matches: int) -> dict[str, Array]:
        from shadowbox.model.strategy.read_out import read_out, read_out_values

        found: list[Tensor] = []
        outs: list[dict[str, Tensor]] = []
        kept = state["read"]["memory"]
        with self._torch.inference_mode():
            for (now, fresh), memory, answer in zip(*state["last"], strict=True):
                view, reset = {key: values[:, None] for key, values in now.items()}, fresh[:, None]
                pressed = self.policy.values.of(answer)[:, None]
                output, _ = self.policy.seq(view, pressed, reset, memory, self.style)
                found.append(output.mean(self.temperatures)[:, 0])
                if self.read_out_types:
                    before = {**memory, **kept[len(outs)]}
                    out = read_out(self.policy, view, reset, before, self.style)
                    own = {key: each for key, each in out.memory.items() if key not in memory}
                    kept[len(outs)] = own
                    outs.append(read_out_values(self.policy, out))
        means = self._torch.cat(found).float()
        shown = {track.name: means[:, at] for at, track in self._shown.items()}
        for track in self.read_out_types:
            shown[track.name] = self._torch.cat([out[track.name] for out in outs])
        return {name: values.cpu().numpy()[:matches] for name, values in shown.items()}

    def put(self, state: Any, part: Any, where: Array) -> Any:
        """The state with the n matches of `part` in the places `where` [N]."""
        merged = {
            name: put_part(state[name], part[name], where)
            for name in ("seeds", "players", "frame", "fresh")
        }
        places = self._torch.from_numpy(np.flatnonzero(where)).to(self.device)
        memory: list[dict[str, Tensor]] = [{} for _ in state["memory"]]
        for key in state["memory"][0]:
            whole = self._torch.cat([block[key] for block in state["memory"]])
            whole[places] = self._torch.cat([block[key] for block in part["memory"]])[: len(places)]
            for block, values in zip(memory, self._torch.split(whole, self.block), strict=True):
                block[key] = values
        held = state["held"]
        if part["held"] is not None:
            neutral = {
                key: np.zeros((len(where), *v.shape[1:]), v.dtype)
                for key, v in part["held"].items()
            }
            held = {
                key: put_part(values, part["held"][key], where)
                for key, values in (held or neutral).items()
            }
        read = _no_read_out(len(memory))
        return {**merged, "memory": memory, "held": held, "last": None, "read": read}

    @property
    def settings(self) -> dict[str, tuple[float, float, float]]:
        """The temperature, if the policy draws: its value and limits."""
        if self.limits is not None:
            return {}
        return {"temperature": (self.sampling.temperature, COLDEST, HOTTEST)}

    def set(self, name: str, value: float) -> None:
        """Play at another temperature from the next decision on."""
        if name not in self.settings:
            raise UsageError(f"a policy has no setting '{name}'")
        self.sampling = replace(self.sampling, temperature=value)
        self.temperatures = head_temperatures(self.policy, value, self.calibration)

    def _draws(self, state: Mapping[str, Array], view: Columns) -> Array:
        """Uniform numbers in [0, 1), f32 [N, draws]. A threshold is a draw that is always the same."""
        if self.limits is not None:
            held = np.concatenate(
                [view[key][:, : self.policy.values.slots] for key in self.buttons], 1
            ).astype(bool)
            limits = np.where(held, self.limits[:, 1], self.limits[:, 0])
            # the draws of choices follow; the middle one is of the likely value
            rest = np.full((len(limits), self.policy.draws - limits.shape[1]), 0.5)
            return np.concatenate([limits, rest], 1).astype(np.float32)
        seeds, frame, players = (state[name][:, None] for name in ("seeds", "frame", "players"))
        uniform = noise(seeds, frame, players, DRAW + np.arange(self.policy.draws))
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
    sampling: SamplingConfig = SamplingConfig(),
    *,
    device: str = "cpu",
    mark: str = "",
    encodings: Mapping[str, Any] | None = None,
    block: int = BLOCK,
    weights: Path | None = None,
) -> PolicyAgent:
    """The policy of a checkpoint's folder, for a game whose fields are those that it learned on.

    `weights`: file of other weights of the same policy, such as a snapshot of a league.
    """
    from shadowbox.model import checkpoint

    found = checkpoint.load(folder, kind="policy", device=device)
    if weights is not None:
        found = replace(found, path=weights, weights=checkpoint.read_weights(weights, device))
    return PolicyAgent(
        restore_policy(found, schema, device, encodings),
        sampling,
        calibration=found.calibration,
        mark=mark,
        block=block,
    )


def head_temperatures(
    policy: Policy, temperature: float, calibration: Mapping[str, Any]
) -> list[float]:
    """Sampling temperature of each part: calibrated temperature, times that of play, times this one."""
    found, play = calibration.get("temperature", {}), calibration.get("play") or {}
    temperature *= play.get("temperature", 1.0)
    return [
        temperature * (found[part.name]["temperature"] if part.name in found else 1.0)
        for part in policy.head.parts
    ]


def as_tensor(values: Array) -> Tensor:
    """A column as models take it: choices as int64."""
    import torch

    values = values.astype(np.int64) if values.dtype.kind == "u" else values
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))  # W: else torch warns


def _where(
    chosen: Tensor, new: Mapping[str, Tensor], old: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Memory [B, ...] with new rows where `chosen` [B]."""
    return {
        key: values.where(chosen.view(-1, *[1] * (values.dim() - 1)), old[key])
        for key, values in new.items()
    }


def _no_read_out(blocks: int) -> dict[str, Any]:
    """Memory of read-outs, which `tracks` alone uses: of each block, and the last values."""
    return {"last": None, "values": None, "memory": [{} for _ in range(blocks)]}


def _filled(values: Array, rows: int) -> Array:
    """As many rows: the missing ones are zeros."""
    if len(values) == rows:
        return values
    return np.concatenate([values, np.zeros((rows - len(values), *values.shape[1:]), values.dtype)])
