"""Steps of a dream in PyTorch, call by call, or as one compiled function (`compiled.py`)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.dynamics.rules import _Step
from shadowbox.core.schema import Array
from shadowbox.model.world.older import _OlderWorld
from shadowbox.model.world.projection import _Projection
from shadowbox.model.world.step import _PureStep
from shadowbox.model.world.world import _WorldModel
from shadowbox.play.dream.compiled import compiled_step
from shadowbox.play.dream.frames import _Frame
from shadowbox.play.dream.projection import _Corrections

SAMPLES = 256  # frames on which a compiled step is compared with PyTorch
Memory = dict[str, Tensor]


Model = _WorldModel | _OlderWorld


class _PlainStep:
    """A step in PyTorch and NumPy, whose results do not depend on the number of matches."""

    def __init__(self, model: Model, padded: int, corrections: _Corrections) -> None:
        self.model, self.corrections = model, corrections
        self.projection, self.tables = _Projection(model), model.tables()
        self._level = torch.zeros(padded)
        self._fresh = torch.zeros(padded, dtype=torch.bool)

    def __call__(
        self, before: _Frame, after: _Frame, memory: Memory, uniform: Array | None
    ) -> Memory:
        """Draw the frame after, and return the new memory; `uniform` [padded, draws]."""
        rules = self.model.rules
        with torch.inference_mode():
            h, memory = self.model.step(before.seen, memory, self._fresh, self._level)
            after.copy_from(before)
            step = _Step(before.columns, after.columns, before.pressed, {}, self.tables)
            rules.apply(step, rules.early)
            numbers = None if uniform is None else torch.from_numpy(uniform)
            bits = self.model.heads.draw(h, before.tensors, after.tensors, numbers)
        if bits is not None:
            matches = self.corrections.matches
            step = step._replace(events=rules.events_in(bits.numpy()[:matches]))
        bounds = self.projection.bounds
        for problem in self.projection.finish(step, after.whole, after.reals, bounds):
            self.corrections.count(*problem)
        return memory


class _CompiledStep:
    """A step as one compiled function; the last digits are not those of a plain step."""

    def __init__(
        self, model: Model, padded: int, corrections: _Corrections, sampled: bool, name: str
    ) -> None:
        self.corrections = corrections
        projection = _Projection(model)
        pure = _PureStep(model, projection, corrections.matches)
        self._problems, self._names = projection.problems(), pure.memory
        # None: this machine cannot compile it
        self.run = compiled_step(pure, self._samples(model, padded, sampled), name)

    def __call__(
        self, before: _Frame, after: _Frame, memory: Memory, uniform: Array | None
    ) -> Memory:
        """Draw the frame after, and return the new memory; `uniform` [padded, draws]."""
        assert self.run is not None
        *frame, counts, wrong = self.run(self._given(before, memory, uniform))
        after.copy_from(before)
        for target, values in zip(after.tensors, frame[:3], strict=True):
            target.copy_(values)
        many = counts.numpy()
        if many.any():
            for problem, number in zip(self._problems, many.tolist(), strict=True):
                self.corrections.add(problem, number, wrong.numpy())
        return dict(zip(self._names, frame[3:], strict=True))

    def _samples(self, model: Model, padded: int, sampled: bool) -> list[list[Tensor]]:
        """Arguments made of the recorded starts, which the compiled step is checked on."""
        found, draws = [], np.random.default_rng(0)
        rows = model.schema.unpack(model.contexts[:, -1].numpy())
        matches, starts = self.corrections.matches, len(model.contexts)
        memory = model.initial(padded, torch.device("cpu"))
        for first in range(0, SAMPLES, matches):
            frame = _Frame(model.schema, model.layout, matches, padded)
            at = np.arange(first, first + matches) % starts
            frame.put(
                {key: rows[key][at] for key in model.schema.state_keys}, np.ones(matches, bool)
            )
            numbers = draws.random((padded, model.heads.draws), np.float32) if sampled else None
            found.append(self._given(frame, memory, numbers))
        return found

    def _given(self, frame: _Frame, memory: Memory, uniform: Array | None) -> list[Tensor]:
        numbers = [] if uniform is None else [torch.from_numpy(uniform)]
        return [
            *frame.tensors,
            *frame.pressed_tensors,
            *(memory[name] for name in self._names),
            *numbers,
        ]
