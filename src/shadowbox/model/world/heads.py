"""State heads by name: a chain of parts, and parts that are drawn independently."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from shadowbox.core.dynamics.rules import _Step
from shadowbox.model.world.layout import _Flat
from shadowbox.model.world.state_heads import _ChainHeads


class _IndependentHeads(_ChainHeads):
    """Parts that are drawn from the features of the trunk alone, none of them given another.

    They are kept to compare with, as older systems have them. Positions are drawn beside the velocity
    of the frame before.
    """

    chained = False

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        near = {name: each for name, each in self.given.items() if name == "motion"}
        self.given = nn.ModuleDict(near)  # distances to exact values, which no part has drawn

    def _tell(self, z: Tensor, name: str, drawn: Tensor) -> Tensor:
        return z

    def _base(self, name: str, step: _Step, before: _Flat) -> Tensor:
        return super()._base(name, step._replace(after=step.before), before)


HEADS = {"chain": _ChainHeads, "independent": _IndependentHeads}
