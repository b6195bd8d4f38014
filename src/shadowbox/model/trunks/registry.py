"""Registry of trunks by name: a new trunk is a line in `TRUNKS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.design import TrunkConfig
from shadowbox.model.trunks.base import Trunk
from shadowbox.model.trunks.gru import gru_trunk
from shadowbox.model.trunks.history import history_trunk
from shadowbox.model.trunks.lstm import lstm_trunk
from shadowbox.model.trunks.pooled import pooled_trunk
from shadowbox.model.trunks.ssd import ssd_trunk
from shadowbox.model.trunks.transformer import transformer_trunk
from shadowbox.model.trunks.window import window_trunk

TRUNKS: dict[str, Callable[[TrunkConfig, int, int], Trunk]] = {
    "window": window_trunk,
    "gru": gru_trunk,
    "lstm": lstm_trunk,
    "transformer": transformer_trunk,
    "ssd": ssd_trunk,
    "history": history_trunk,
    "pooled": pooled_trunk,
}


def build_trunk(config: TrunkConfig, features: int, fixed: int, own: Sequence[int] = ()) -> Trunk:
    """Trunk of a configuration for `features` numbers a frame, the first `fixed` of them fixed.

    `own`: places of the own previous controls, for a trunk that reads those of several frames.
    """
    if config.trunk not in TRUNKS:
        raise UsageError(f"unknown trunk '{config.trunk}': {did_you_mean(config.trunk, TRUNKS)}")
    if config.trunk == "pooled":
        return pooled_trunk(config, features, fixed, own)
    return TRUNKS[config.trunk](config, features, fixed)
