"""One step of a learned world as a function of tensors alone, for compilation and for export.

All that is drawn is a function of uniform numbers among the arguments, so that a compiled step and
the same step in PyTorch draw alike but for the last digits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shadowbox.core.dynamics.rules import _Step
from shadowbox.model.world.layout import _Flat
from shadowbox.model.world.older import _OlderWorld
from shadowbox.model.world.projection import _Projection
from shadowbox.model.world.world import _WorldModel


class _PureStep(nn.Module):
    """Frame, controls, memory and uniform numbers -> next frame, memory, and what was put right."""

    def __init__(
        self, model: _WorldModel | _OlderWorld, projection: _Projection, matches: int
    ) -> None:
        """`matches` are real; the others of a batch fill it up and are not counted."""
        super().__init__()
        self.model, self.projection, self.matches = model, projection, matches
        self.memory = tuple(model.initial(1, torch.device("cpu")))  # its names
        for at, bound in enumerate(projection.bounds):
            self.register_buffer(f"bound_{at}", torch.from_numpy(bound), persistent=False)

    @torch.no_grad()
    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The next frame by kind, the memory, counts [problems] of what was put right, and where.

        `given`, each [B, ...]: the frame by kind, the control columns, the memory, and uniform
        numbers [B, draws], without which the most likely values are taken. The last result is a
        mask [B] of the matches with values that were put right.
        """
        model, views = self.model, self.model.layout.views
        keys = model.schema.control_keys
        ends = 3, 3 + len(keys), 3 + len(keys) + len(self.memory)
        before, after = _Flat(*given[:3]), _Flat(*(each.clone() for each in given[:3]))
        pressed = dict(zip(keys, given[ends[0] : ends[1]], strict=True))
        memory = dict(zip(self.memory, given[ends[1] : ends[2]], strict=True))
        uniform = given[ends[2]] if len(given) > ends[2] else None
        none = torch.zeros(len(before.reals), dtype=torch.bool)
        h, memory = model.step(views(before) | pressed, memory, none, none.float())
        step = _Step(views(before), views(after), pressed, {}, model.periodic_tables(), torch)
        model.rules.apply(step, self.projection.early)
        bits = model.heads.draw(h, before, after, uniform)
        if bits is not None:
            step = step._replace(events=model.rules.events_in(bits))
        bounds = (self.bound_0, self.bound_1, self.bound_2)
        found = self.projection.finish(step, step.after, after.reals, bounds)
        wrong = torch.stack([each.wrong[: self.matches].sum(-1) for each in found])
        names = tuple(memory[name] for name in self.memory)
        return (*after, *names, wrong.sum(-1), wrong.any(0))

    def problems(self) -> list[str]:
        """Names of the counts, in their order."""
        return self.projection.problems()
