"""Projection of drawn frames on what a frame can be: rules, ranges, zones and unused slots.

For arrays in a dream, and for tensors in a compiled step, by the library of the step (`xp`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.dynamics.rules import _Step
from shadowbox.core.schema import Real
from shadowbox.model.world.older import _OlderWorld
from shadowbox.model.world.vocabulary import RELATIVE, tolerance
from shadowbox.model.world.world import _WorldModel

UNREAL, FALLS, OUTSIDE = "out of range", "does not rise", "outside of its zone"


class _Problem(NamedTuple):
    """Values that were put right, [N, slots], and what was wrong with them."""

    name: str
    wrong: Any


class _Projection:
    """Derives the rest of drawn frames, and puts right what no frame can be."""

    def __init__(self, model: _WorldModel | _OlderWorld) -> None:
        self.schema, self.rules, self.layout = model.schema, model.rules, model.layout
        inside = [key for key in self.rules.clauses if key not in self.layout.outside]
        self.early = tuple(key for key in self.rules.early if key in inside)
        self._late = [key for key in inside if self._is_late(key)]
        self.bounds = self._bounds_of()
        self._rising = {  # event -> column that rises by what is drawn
            name: key
            for name, key in self.rules.rising.items()
            if name in self.rules.gates.get(key, ())
        }
        self._least = {
            key: self._least_rise(key, model.vocabulary.reals) for key in self._rising.values()
        }

    def finish(
        self, step: _Step, whole: Mapping[str, Any], reals: Any, bounds: Any
    ) -> list[_Problem]:
        """Write what follows from rules into `step.after`, and return what had to be put right.

        `whole` are the columns after of all padded matches, and `reals` [padded, R] holds the reals
        among them. `bounds`: those of the projection, as arrays or tensors.
        """
        self.rules.apply(step, tuple(self.rules.gates))
        found = self._limit(step.xp, whole, reals, bounds)
        self.rules.apply(step, self._late)
        for name, key in self._rising.items():
            target, high = step.after[key], self.schema.columns[key].field.limits[1]
            least = (step.before[key] + self._least[key]).clip(None, high)
            low = step.events[name] & (target < least)
            target[...] = step.xp.where(low, least, target)
            found.append(_Problem(f"{key} {FALLS}", low))
        for key, spans in self.rules.within.items():
            target = step.after[key]
            for lowest, highest, excepted, event in spans:
                outside = ((target < lowest) | (target > highest)) & ~excepted(step)
                if event:
                    follows = outside & self._may_follow(event, step)
                    step.events[event] = step.events[event] | follows
                    outside = outside & ~follows
                target[...] = step.xp.where(outside, target.clip(lowest, highest), target)
                found.append(_Problem(f"{key} {OUTSIDE}", outside))
        if self.rules.implied and (step.xp is not np or any(e.any() for e in step.events.values())):
            self.rules.apply(step, self._late)
        return found

    def problems(self) -> list[str]:
        """Names of all problems, in the order in which `finish` finds them in tensors."""
        return [
            *(f"{key} {UNREAL}" for key in self.layout.reals),
            *(f"{key} {FALLS}" for key in self._rising.values()),
            *(f"{key} {OUTSIDE}" for key, spans in self.rules.within.items() for _ in spans),
        ]

    def _may_follow(self, event: str, step: _Step) -> Any:
        """Mask of the slots in which an event can follow: one who is out is not knocked out."""
        key, fires = self.rules.triggers[event]
        (value,) = (value for name, value in self.rules.at[key] if name == event)
        return fires(step.before, {key: step.before[key] * 0 + value})

    def _limit(self, xp: Any, whole: Mapping[str, Any], reals: Any, bounds: Any) -> list[_Problem]:
        """Bring reals into the range of their fields, and unused slots to zero."""
        for group in self.schema.state:
            if group.mask:
                used = whole[f"{group.name}/{group.mask}"]
                for field in group.fields:
                    key = f"{group.name}/{field.name}"
                    if key in whole and field.name != group.mask:
                        whole[key][...] = xp.where(used, whole[key], 0)
        low, high, halves = bounds
        bad = ~((reals >= low) & (reals <= high))
        inside = xp is np and not bad.any()
        if not inside:
            finite = xp.nan_to_num(reals, nan=0.0, posinf=0.0, neginf=0.0)
            reals[...] = xp.where(bad, finite.clip(low, high), reals)
        if self.bounds[2].any():
            small = reals.astype(np.float16) if xp is np else reals.half()
            reals[...] = xp.where(halves, small, reals)
        return (
            []
            if inside
            else [
                _Problem(f"{key} {UNREAL}", bad[:, at : at + self.schema.columns[key].slots])
                for key, at in self.layout.reals.items()
            ]
        )

    def _is_late(self, key: str) -> bool:
        """True of a column with a rule beside what is drawn."""
        clauses = self.rules.clauses[key]
        plain = len(clauses) == 1 and (clauses[0].value is None or clauses[0].words == ("carried",))
        return key not in self.rules.early and not plain

    def _least_rise(self, key: str, options: Mapping[str, list[list[float]]]) -> float:
        """Smallest exact amount by which a value was seen to rise."""
        rises = [amount for kind, amount in options.get(key, []) if kind == RELATIVE and amount > 0]
        return float(np.float32(min(rises, default=tolerance(key, self.schema))))

    def _bounds_of(self) -> tuple[Any, Any, Any]:
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
