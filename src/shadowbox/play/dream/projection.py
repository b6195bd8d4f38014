"""Projection of drawn frames on what a frame can be: rules, ranges, zones and unused slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from shadowbox.core.dynamics.rules import _Step
from shadowbox.core.schema import Array, Columns, Real
from shadowbox.model.world.older import _OlderWorld
from shadowbox.model.world.vocabulary import RELATIVE, tolerance
from shadowbox.model.world.world import _WorldModel
from shadowbox.play.dream.frames import _Frame


class _Projection:
    """Derives the rest of drawn frames of N matches, and puts right and counts what is not legal."""

    def __init__(
        self,
        model: _WorldModel | _OlderWorld,
        matches: int,
        tables: Mapping[str, Array],
        repairs: Callable[[Columns], Mapping[str, tuple[Array, int]]] | None = None,
    ) -> None:
        """`repairs`: that of the game."""
        self.repairs = repairs
        self.model, self.matches, self.tables = model, matches, tables
        self.schema, self.rules, self.layout = model.schema, model.rules, model.layout
        self.projected: dict[str, int] = {}  # values by what was wrong with them
        self.wrong = np.zeros(matches, bool)  # matches whose last frame had such values
        self._late = [key for key in self.rules.clauses if self._is_late(key)]
        self._bounds = self._bounds_of()
        self._least = {key: self._least_rise(key) for key in self.rules.rising.values()}

    def finish(self, before: _Frame, after: _Frame, bits: Array | None) -> None:
        """Derive what follows from rules, and put right what no frame can be."""
        self.wrong[:] = False
        events = {} if bits is None else {
            name: (bits & (1 << at)) != 0 for at, name in enumerate(self.rules.triggers)
        }  # fmt: skip
        step = _Step(before.columns, after.columns, before.pressed, events, self.tables)
        self.rules.apply(step, tuple(self.rules.gates))
        self._limit(after)
        self.rules.apply(step, self._late)
        for name, key in self.rules.rising.items():
            if name in events and name in self.rules.gates.get(key, ()):
                target, high = after.columns[key], self.schema.columns[key].field.limits[1]
                least = np.minimum(before.columns[key] + self._least[key], np.float32(high))
                low = events[name] & (target < least)
                if low.any():
                    np.copyto(target, least, where=low)
                    self._count(f"{key} does not rise", low)
        for key, spans in self.rules.within.items():
            target = after.columns[key]
            for low, high, excepted in spans:
                outside = ((target < low) | (target > high)) & ~excepted(step)
                if outside.any():
                    np.clip(target, low, high, out=target, where=outside)
                    self._count(f"{key} outside of its zone", outside)

        for key, (wrong, right) in self.repairs(after.columns).items() if self.repairs else ():
            if wrong.any():
                after.columns[key][wrong] = right
                self._count(f"{key} that cannot be", wrong)

    def _limit(self, after: _Frame) -> None:
        """Bring reals into the range of their fields, and unused slots to zero."""
        for unused, targets in self._masked(after):
            for target in targets:
                np.putmask(target, unused, 0)
        low, high, halves = self._bounds
        reals = after.reals
        bad = ~((reals >= low) & (reals <= high))
        if bad.any():
            for key, at in self.layout.reals.items():
                wrong = bad[: self.matches, at : at + self.schema.columns[key].slots]
                self._count(f"{key} out of range", wrong)
            np.nan_to_num(reals, copy=False, posinf=0, neginf=0)
            np.clip(reals, low, high, out=reals)
        if halves.any():
            reals[:, halves] = reals[:, halves].astype(np.float16)

    def _masked(self, frame: _Frame) -> Iterator[tuple[Array, list[Array]]]:
        """Mask of the unused slots of each group, of all padded matches, and the group's columns."""
        for group in self.schema.state:
            if group.mask:
                keys = [f"{group.name}/{field.name}" for field in group.fields]
                yield (
                    ~frame.whole[f"{group.name}/{group.mask}"],
                    [frame.whole[key] for key in keys if key in frame.whole],
                )

    def _count(self, problem: str, where: Array) -> None:
        if where.any():
            self.projected[problem] = self.projected.get(problem, 0) + int(where.sum())
            self.wrong |= where[: self.matches].any(-1)

    def _is_late(self, key: str) -> bool:
        """True of a column with a rule beside what is drawn."""
        clauses = self.rules.clauses[key]
        plain = len(clauses) == 1 and (clauses[0].value is None or clauses[0].words == ("carried",))
        return key not in self.rules.early and not plain

    def _least_rise(self, key: str) -> np.float32:
        """Smallest exact amount by which a value was seen to rise."""
        rises = [
            amount
            for kind, amount in self.model.vocabulary.reals.get(key, [])
            if kind == RELATIVE and amount > 0
        ]
        return np.float32(min(rises, default=tolerance(key, self.schema)))

    def _bounds_of(self) -> tuple[Array, Array, Array]:
        """Smallest and largest value of each real [R], and the mask of half precision.

        A value that follows from the one before, such as a clock, is not rounded: it would stop.
        """
        low, high, halves = [], [], []
        for key in self.layout.reals:
            column = self.schema.columns[key]
            assert isinstance(column.field, Real)
            low += [column.field.limits[0]] * column.slots
            high += [column.field.limits[1]] * column.slots
            halves += [column.field.store == "f2" and key not in self.rules.early] * column.slots
        return np.array(low, np.float32), np.array(high, np.float32), np.array(halves, bool)
