"""What the controls of the last frame alone say about this one's: the floor under every policy.

`core/baselines.py` guesses values; costs in nats need probabilities, which are counted here on the training side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shadowbox.core import baselines
from shadowbox.core.schema import Array, Choice, Columns, Real, Schema
from shadowbox.data.store import Store
from shadowbox.model.codec import Coding

MOST_ROWS = 1 << 18  # of the training side that they are fitted on
MOST_SITUATIONS = 1 << 16


@dataclass(frozen=True)
class Floors:
    """Fitted baselines of a policy. Values are [..., V] in the coding's order."""

    schema: Schema
    coding: Coding
    table: baselines.LookupTable | None
    after: tuple[Tensor | None, ...]  # value -> log P(now | last) [n, n]; None for reals
    rate: tuple[Tensor | None, ...]  # value -> log P(now) [n]
    mean: Tensor  # [V], of reals

    @property
    def names(self) -> tuple[str, ...]:
        """The baselines that guess values."""
        return ("hold", "never_press", *(("look_up",) if self.table else ()))

    def guesses(self, before: Tensor) -> dict[str, Tensor]:
        """Each baseline's guess at the controls, given those of the last frame: [..., V]."""
        values = before.cpu().numpy()
        guessed = {"hold": baselines.hold(values), "never_press": baselines.never_press(values)}
        if self.table:
            columns = self._columns(values)
            parts = [self.table.predict(columns, key) if key in self.table.usual else columns[key] for key in columns]
            guessed["look_up"] = np.concatenate([part.astype(np.float32) for part in parts], axis=-1)
        return {name: torch.from_numpy(np.ascontiguousarray(guess)).to(before.device) for name, guess in guessed.items()}

    def costs(self, before: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Nats of each target for `hold` (as often as it usually stays) and `rate` (as often as it usually is): [..., V]."""
        scale = torch.ones(len(self.coding.names))
        scale[: len(self.coding.scale)] = self.coding.scale
        hold, rate = ((guess.to(targets.device) - targets).mul(scale.to(targets.device)).square() / 2
                      for guess in (before, self.mean))  # fmt: skip
        for at, (after, alone) in enumerate(zip(self.after, self.rate, strict=True)):
            if after is not None and alone is not None:
                last, now = before[..., at].long(), targets[..., at].long()
                hold[..., at] = -after.to(targets.device)[last, now]
                rate[..., at] = -alone.to(targets.device)[now]
        return {"hold": hold, "rate": rate}

    def _columns(self, values: Array) -> Columns:
        keys, slots = list(dict.fromkeys(self.coding.names)), self.coding.slots
        parts = np.split(values, len(keys), axis=-1)
        assert all(part.shape[-1] == slots for part in parts)
        kinds = {key: self.schema.columns[key].field for key in keys}
        return {
            key: part if isinstance(kinds[key], Real) else part.astype(np.int64) for key, part in zip(keys, parts, strict=True)
        }


def fit_floors(store: Store, episodes: Array, coding: Coding) -> Floors:
    """Count what follows what in the controls of these episodes, every seat alike."""
    before, now = _pairs(store, episodes, coding)
    schema, keys = store.schema, list(dict.fromkeys(coding.names))
    by, situations = [], 1
    for key in keys:
        if (n := _size(schema, key)) and situations * n <= MOST_SITUATIONS:
            by.append(key)
            situations *= n
    usual = [key for key in keys if _size(schema, key)]
    table = None
    if by and len(next(iter(now.values()))):
        table = baselines.LookupTable.fit(schema, before, {key: now[key] for key in usual}, tuple(by))
    after: list[Tensor | None] = []
    rate: list[Tensor | None] = []
    mean = []
    for key in coding.names:
        n = _size(schema, key)
        count = np.bincount((before[key] * n + now[key]).ravel(), minlength=n * n).reshape(n, n) + 0.5 if n else None
        after.append(None if count is None else torch.from_numpy(np.log(count / count.sum(1, keepdims=True))).float())
        rate.append(None if count is None else torch.from_numpy(np.log(count.sum(0) / count.sum())).float())
        mean.append(0.0 if n or not now[key].size else float(now[key].mean()))
    return Floors(schema, coding, table, tuple(after), tuple(rate), torch.tensor(mean))


def _pairs(store: Store, episodes: Array, coding: Coding) -> tuple[Columns, Columns]:
    """Controls of the last frame and of this one: [frames, slots of all players]."""
    keys = list(dict.fromkeys(coding.names))
    first: dict[str, list[Array]] = {key: [] for key in keys}
    second: dict[str, list[Array]] = {key: [] for key in keys}
    rows = 0
    for episode in episodes.tolist():
        if rows >= MOST_ROWS:
            break
        packed = store.rows_of(episode)[:-1]  # the last row's controls led nowhere
        rows += len(packed)
        absent = store.absent_in(episode)
        for key, values in store.schema.unpack(packed, keys).items():
            kept = values.astype(np.float32 if isinstance(store.schema.columns[key].field, Real) else np.int64)
            if key not in absent:
                first[key].append(kept[:-1])
                second[key].append(kept[1:])
    empty = np.zeros((0, store.schema.controls.slots), np.int64)
    return tuple({key: np.concatenate(part or [empty]) for key, part in side.items()} for side in (first, second))  # type: ignore[return-value]


def _size(schema: Schema, key: str) -> int:
    """Values of a flag or choice; 0 for a real, or for a choice too large to count pairs of."""
    field = schema.columns[key].field
    if isinstance(field, Real):
        return 0
    return field.n if isinstance(field, Choice) else 2
