"""Other learned worlds beside a dream, and the matches in which they draw other events.

They read the frames of the dream, draw the next one with the same uniform numbers, and remember for
themselves. Where half of them have a hit, a knock-out or another event of the game that the dream
lacks, or lack one that it has, no recording says what would have happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.schema import Array
from shadowbox.play.dream.frames import _Frame
from shadowbox.play.dream.projection import _Corrections
from shadowbox.play.dream.steps import Memory, Model, _CompiledStep, _PlainStep

SHARE = 0.5  # of the other worlds that draw other events, from which a match is apart


class _EnsembleStep:
    """A step of a dream, and of the worlds beside it."""

    def __init__(
        self,
        step: _PlainStep | _CompiledStep,
        others: Sequence[Model],
        padded: int,
        corrections: _Corrections,
    ) -> None:
        self.step, self.others, matches = step, others, corrections.matches
        self._steps = [_PlainStep(each, padded, _Corrections(matches)) for each in others]
        self._after = [_Frame(each.schema, each.layout, matches, padded) for each in others]
        self.apart = np.zeros(matches, bool)  # matches of the last frame
        self.frames_apart = 0  # of all matches

    def __call__(
        self, before: _Frame, after: _Frame, memory: Memory, uniform: Array | None
    ) -> Memory:
        """Draw the frame after, and return the new memory; `uniform` [padded, draws]."""
        own = self.step(before, after, own_memory(memory, 0), uniform)
        kept = named(own, 0)
        differs = np.zeros(len(self.apart))
        for at, (step, frame) in enumerate(zip(self._steps, self._after, strict=True), 1):
            kept |= named(step(before, frame, own_memory(memory, at), uniform), at)
            events = step.model.rules.events_of
            pairs = zip(
                events(before.columns, after.columns).values(),
                events(before.columns, frame.columns).values(),
                strict=True,
            )
            others = np.zeros(len(self.apart), bool)
            for drawn, other in pairs:
                others |= (drawn != other).any(-1)
            differs += others
        self.apart = differs >= SHARE * len(self.others)
        self.frames_apart += int(self.apart.sum())
        return kept


def named(memory: Mapping[str, Tensor], at: int) -> Memory:
    """Memory of one of several worlds, under names of its own; the first one keeps its names."""
    return {f"{at}/{name}" if at else name: values for name, values in memory.items()}


def own_memory(memory: Mapping[str, Tensor], at: int) -> Memory:
    """The inverse of `named`."""
    if not at:
        return {name: values for name, values in memory.items() if "/" not in name}
    start = f"{at}/"
    return {n.removeprefix(start): values for n, values in memory.items() if n.startswith(start)}


def begin(models: Sequence[Model], matches: int) -> Memory:
    """Memory of matches that have not begun, of all worlds."""
    found: Memory = {}
    for at, model in enumerate(models):
        found |= named(model.initial(matches, torch.device("cpu")), at)
    return found


def watched(models: Sequence[Model], past: Mapping[str, Array], known: Array) -> dict[str, Array]:
    """Memory of all worlds after the rows `past` [n, K, slots], of which the last `known` count."""
    n, longest = past[next(iter(past))].shape[:2] if past else (len(known), 0)
    found = begin(models, n)
    if longest:
        rows = {key: torch.from_numpy(_for_torch(values)) for key, values in past.items()}
        reset = torch.from_numpy(np.arange(longest) == (longest - known)[:, None])
        some = torch.from_numpy(known > 0)
        for at, model in enumerate(models):
            memory = model.initial(n, torch.device("cpu"))
            with torch.inference_mode():
                _, after = model.seq(
                    {key: rows[key] for key in model.keys}, memory, reset, torch.zeros(n, longest)
                )
            found |= named(
                {
                    key: torch.where(some.view(-1, *[1] * (values.ndim - 1)), after[key], values)
                    for key, values in memory.items()
                },
                at,
            )
    return {key: values.numpy() for key, values in found.items()}


def _for_torch(values: Array) -> Array:
    """An array of a type that torch embeds: choices become int64."""
    return values.astype(np.int64) if values.dtype.kind == "u" else np.ascontiguousarray(values)
