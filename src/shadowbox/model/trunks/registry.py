"""Registry of trunks by name: a new trunk is a line in `TRUNKS`."""

from __future__ import annotations

from collections.abc import Callable

from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.design import TrunkConfig
from shadowbox.model.trunks.base import Trunk
from shadowbox.model.trunks.gru import GruTrunk
from shadowbox.model.trunks.transformer import TransformerTrunk
from shadowbox.model.trunks.window import WindowTrunk

TRUNKS: dict[str, Callable[[TrunkConfig, int, int], Trunk]] = {
    "window": lambda config, features, fixed: WindowTrunk(
        features, fixed, frames=config.frames, width=config.width, last=config.trunk_width,
        depth=config.depth, dropout=config.dropout, plain=config.plain,
    ),
    "gru": lambda config, features, fixed: GruTrunk(
        features, fixed, width=config.width, memory=config.hidden_width or config.width,
        layers=config.layers, depth=config.depth, dropout=config.dropout,
    ),
    "transformer": lambda config, features, fixed: TransformerTrunk(
        features, width=config.width, depth=config.depth, frames=config.frames,
        dropout=config.dropout,
    ),
}  # fmt: skip


def build_trunk(config: TrunkConfig, features: int, fixed: int) -> Trunk:
    """Trunk of a configuration for `features` numbers a frame, the first `fixed` of them fixed."""
    if config.trunk not in TRUNKS:
        raise UsageError(f"unknown trunk '{config.trunk}': {did_you_mean(config.trunk, TRUNKS)}")
    return TRUNKS[config.trunk](config, features, fixed)
