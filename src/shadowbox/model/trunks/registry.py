"""Trunks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shadowbox.model.trunks.gru import Recurrent
from shadowbox.model.trunks.transformer import Transformer
from shadowbox.model.trunks.window import Window

if TYPE_CHECKING:
    from shadowbox.model.design import Design


TRUNKS: dict[str, Callable[[Design, int, int], Any]] = {
    "window": lambda design, features, fixed: Window(
        features, fixed, frames=design.frames, width=design.width, last=design.trunk_width, depth=design.depth,
        dropout=design.dropout, plain=design.plain,
    ),
    "gru": lambda design, features, fixed: Recurrent(
        features, fixed, width=design.width, memory=design.memory or design.width, layers=design.layers, depth=design.depth,
        dropout=design.dropout,
    ),
    "transformer": lambda design, features, fixed: Transformer(
        features, width=design.width, depth=design.depth, frames=design.frames, dropout=design.dropout
    ),
}  # fmt: skip


def build(design: Design, features: int, fixed: int) -> Any:
    """The trunk of a design, for so many features, the first `fixed` of which need no gradient."""
    return TRUNKS[design.trunk](design, features, fixed)
