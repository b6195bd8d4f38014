"""Checks of an exported world or encoder: every step beside PyTorch, on rows that were played."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.game import Game
from shadowbox.core.schema import Array, Real
from shadowbox.core.view import from_seat
from shadowbox.export.check import _Parity
from shadowbox.export.steps import AFTER, MEMORY, _StepExport
from shadowbox.play import specs
from shadowbox.play.benchmark import benchmark
from shadowbox.play.dream.frames import _Frame
from shadowbox.play.dream.world import _Dream
from shadowbox.play.match import play
from shadowbox.play.warm_start import context_views

TOGETHER = 32  # matches of the dream that is recorded
APART = 1e-3  # of a real, in ranges of its field: farther apart, another option was drawn
Arrays = dict[str, Array]


class _StepRecorder:
    """The step of a dream, which keeps what every frame was drawn from, and what was drawn."""

    def __init__(self, dream: _Dream) -> None:
        self.dream, self.inner = dream, dream._advance
        self.steps: list[tuple[Arrays, Arrays]] = []
        self.drawn_by: list[tuple[Array, Array]] = []  # seeds and numbers of the frames
        dream._advance = self  # type: ignore[assignment]

    def __call__(
        self,
        before: _Frame,
        after: _Frame,
        memory: Mapping[str, Tensor],
        uniform: Array | None,
    ) -> Mapping[str, Tensor]:
        """Take the step, and keep it."""
        many = self.dream.matches
        given = {**_by_kind(before, many), **{k: v.copy() for k, v in before.pressed.items()}}
        given |= {f"{MEMORY}{key}": each.numpy()[:many].copy() for key, each in memory.items()}
        if uniform is not None:
            given["noise"] = uniform[:many].copy()
        found: Any = self.inner(before, after, memory, uniform)  # type: ignore[arg-type]
        results = {f"{AFTER}{key}": each for key, each in _by_kind(after, many).items()}
        results |= {f"{AFTER}{key}": each.numpy()[:many].copy() for key, each in found.items()}
        self.steps.append((given, results))
        self.drawn_by.append((self.dream._seeds[:, 0].copy(), self.dream._frames[:, 0].copy()))
        return found  # type: ignore[no-any-return]


def recorded_steps(
    spec: str, game: Game, agents: Sequence[str], rows: int, seed: int = 0
) -> tuple[_Dream, _StepRecorder]:
    """A dream in which agents have played `rows` frames, and its recorder."""
    matches = min(TOGETHER, rows)
    dream = specs.world(spec, game, matches)
    assert isinstance(dream, _Dream)
    recorder = _StepRecorder(dream)
    seated = [specs.agent(each, game) for each in agents]
    frames = -(-rows // matches)
    for _ in play(game, dream, seated, agents, seed + np.arange(matches), most=frames):
        pass
    return dream, recorder


def world_parity(session: Any, recorder: _StepRecorder, rows: int) -> _Parity:
    """Compare a session with the recorded steps, match by match."""
    layout = recorder.dream.layout
    fields = [recorder.dream.schema.columns[key] for key in layout.reals]
    scale = np.concatenate(
        [np.full(c.slots, c.field.scale) for c in fields if isinstance(c.field, Real)]
    )
    wanted = [each.name for each in session.get_inputs()]
    names = [each.name for each in session.get_outputs()]
    largest, equal, count = 0.0, 0, 0
    for given, results in recorder.steps:
        for at in range(min(recorder.dream.matches, rows - count)):
            feed = {name: _typed(given[name][at : at + 1]) for name in wanted}
            found = dict(zip(names, session.run(None, feed), strict=True))
            gaps = {name: found[name] - each[at] for name, each in _floats(results).items()}
            gaps[f"{AFTER}reals"] = gaps[f"{AFTER}reals"] * scale
            far = max(float(np.abs(each).max()) for each in gaps.values() if each.size)
            same = far < APART and all(
                np.array_equal(found[name][0], each[at])
                for name, each in results.items()
                if each.dtype.kind != "f"
            )
            count, equal = count + 1, equal + same
            largest = max(largest, far) if same else largest
        if count >= rows:
            break
    return _Parity(largest, count, equal)


class _SessionStep:
    """The step of a dream as a session takes it, match by match."""

    def __init__(self, dream: _Dream, session: Any) -> None:
        self.dream, self.session = dream, session
        self.inputs = [each.name for each in session.get_inputs()]
        self.outputs = [each.name for each in session.get_outputs()]

    def __call__(
        self, before: _Frame, after: _Frame, memory: Mapping[str, Tensor], uniform: Array | None
    ) -> Mapping[str, Tensor]:
        """Draw the frame after, and return the new memory."""
        many = self.dream.matches
        given = {**_by_kind(before, many), **before.pressed}
        given |= {f"{MEMORY}{key}": each.numpy() for key, each in memory.items()}
        given |= {} if uniform is None else {"noise": uniform}
        rows = [
            self.session.run(None, {name: _typed(given[name][at : at + 1]) for name in self.inputs})
            for at in range(many)
        ]
        joined = [np.concatenate(each) for each in zip(*rows, strict=True)]
        found = dict(zip(self.outputs, joined, strict=True))
        after.copy_from(before)
        for name, target in zip(("reals", "flags", "choices"), after.tensors, strict=True):
            target[:many] = torch.from_numpy(found[f"{AFTER}{name}"])
        remembered = {key: values.clone() for key, values in memory.items()}
        for key, values in remembered.items():
            values[:many] = torch.from_numpy(found[f"{AFTER}{key}"])
        return remembered


def dream_of(session: Any, spec: str, game: Game, matches: int) -> _Dream:
    """The world of a spec, each frame of which the session draws."""
    dream = specs.world(spec, game, matches)
    assert isinstance(dream, _Dream)
    dream._advance = _SessionStep(dream, session)  # type: ignore[assignment]
    return dream


def dreamt_matches(
    spec: str, game: Game, session: Any, opponents: tuple[str, str], seeds: Array
) -> tuple[Any, Any]:
    """Matches of two agents in a dream, with the session's steps and with PyTorch's: same seeds."""
    one, other = (specs.agent(each, game) for each in opponents)
    own = benchmark(game, lambda many: dream_of(session, spec, game, many), one, other, seeds)
    return own, benchmark(game, lambda many: specs.world(spec, game, many), one, other, seeds)


def encoder_parity(
    step: _StepExport, session: Any, game: Game, recorded: Iterable[Mapping[str, Array]]
) -> _Parity:
    """Compare every step of an encoder on recorded episodes [T, slots], as seen from each seat."""
    wanted = [each.name for each in session.get_inputs()]
    largest, count = 0.0, 0
    for columns in recorded:
        views = context_views(game.schema, {key: v[:, None] for key, v in columns.items()})
        for seat in range(game.schema.players):
            given = dict(step.inputs)
            for number, view in enumerate(views):
                seen = from_seat(game.schema, view, seat)
                given |= {key: torch.from_numpy(_typed(seen[key])) for key in seen if key in given}
                given["reset"] = torch.tensor([number == 0])
                plain = step.module(*given.values())
                feed = {name: given[name].numpy() for name in wanted}
                for one, other in zip(session.run(None, feed), plain, strict=True):
                    if one.size and one.dtype.kind == "f":
                        largest = max(largest, float(np.abs(one - other.numpy()).max()))
                after = dict(zip(step.outputs, plain, strict=True))
                given |= {
                    name: after[f"{AFTER}{name.removeprefix(MEMORY)}"]
                    for name in given
                    if name.startswith(MEMORY)
                }
                count += 1
    return _Parity(largest, count, count)


def _by_kind(frame: _Frame, many: int) -> Arrays:
    kinds = {"reals": frame.reals, "flags": frame.flags, "choices": frame.choices}
    return {name: values[:many].copy() for name, values in kinds.items()}


def _floats(results: Arrays) -> Arrays:
    return {name: each for name, each in results.items() if each.dtype.kind == "f"}


def _typed(values: Array) -> Array:
    """Values in a type that models take: choices as int64."""
    return np.ascontiguousarray(values.astype(np.int64) if values.dtype.kind == "u" else values)
