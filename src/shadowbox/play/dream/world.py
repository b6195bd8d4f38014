"""World of N dreamt matches: recorded starts, and frames that a learned world draws.

A frame takes one step of the model, however long the match already is. What is drawn is a function
of the match's seed and frame alone, so that a match does not depend on its neighbors. Rules of the
game derive the rest, and what a frame may not be is projected on what it may be, and counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from shadowbox.core.game import EVENT, Game, no_events, noise
from shadowbox.core.schema import Array, Choice, Columns
from shadowbox.errors import UsageError
from shadowbox.model.world.older import _OlderWorld
from shadowbox.model.world.world import _WorldModel
from shadowbox.play.dream.ensemble import _EnsembleStep, begin, watched
from shadowbox.play.dream.frames import _Frame, _Pairs, typed
from shadowbox.play.dream.projection import _Corrections
from shadowbox.play.dream.steps import Model, _CompiledStep, _PlainStep

# matches are computed in multiples of so many, for which products of matrices and functions of
# numbers round the same in every place
TOGETHER = 8
DREAMER = 1 << 20  # in place of a player, in the noise of a dream
START = 1 << 30  # draw of the start


class _Dream:
    """N matches in a learned world.

    `load` begins without a memory of the frames before: a world with a recurrent trunk goes on
    from a loaded row almost, not exactly, as it went on from the same frame after others.
    """

    loads_exactly = False

    def __init__(
        self,
        model: _WorldModel | _OlderWorld,
        game: Game,
        matches: int,
        name: str,
        *,
        start: str = "match",
        frames: int = 20_000,
        chosen: Mapping[str, int] | None = None,
        stops: Collection[str] = (),
        others: Sequence[Model] = (),
        shuffled: bool = False,
        sampled: bool = True,
        compiled: bool = False,
    ) -> None:
        """N matches of a model.

        `stops`: truncate a match by a `violation`, when its frame had to be put right, and by
        `disagreement`, when the `others`, worlds beside this one, draw other events.
        `shuffled`: give each match the controls of another one; a check of what is learned here.
        `sampled`: draw every value; else take the most likely one.
        `compiled`: step in compiled code, which is made now if it is not kept from before.
        """
        if matches < 1 + shuffled:
            raise UsageError(
                f"world '{name}': matches must be at least {1 + shuffled} (got {matches})"
            )
        self.model, self.game, self.schema = model.eval(), game, model.schema
        self.matches, self.name, self.longest = matches, name, frames
        self.stops, self.shuffled = stops, shuffled
        self.rules, self.dynamics = model.rules, model.rules.dynamics
        self.layout = model.layout
        self._padded = 1 if compiled and matches == 1 else -(-matches // TOGETHER) * TOGETHER
        self._kept = int(model.contexts.shape[1])  # rows that `context` gives at most
        self._ring = [
            _Frame(self.schema, self.layout, matches, self._padded) for _ in range(self._kept + 1)
        ]
        self._types = {key: column.dtype for key, column in self.schema.columns.items()}
        self._pairs = _Pairs(self.schema, self.layout, matches)
        self._at = 0  # place of the present frame in the ring
        self._known = np.zeros(matches, np.int64)  # rows before the present one that are known
        self._seeds = np.zeros((matches, 1), np.int64)
        self._frames = np.zeros((matches, 1), np.int64)  # since the match began
        self.truncated = np.zeros(matches, bool)
        self._done = np.zeros(matches, bool)
        self.models = (self.model, *others)
        self._memory = begin(self.models, self._padded)
        self._draws = np.arange(model.heads.draws)
        self._uniform = np.zeros((self._padded, model.heads.draws), np.float32)
        self._sampled = sampled
        self.drawn = 0  # frames of matches that were drawn
        self._corrections = _Corrections(matches, game.repairs)
        self._advance = self._advance_of(compiled)
        self._starts = self._starts_of(start, chosen or {})
        self.reset(np.arange(matches))

    @property
    def compiled(self) -> bool:
        """True if it steps in compiled code."""
        step = self._advance.step if isinstance(self._advance, _EnsembleStep) else self._advance
        return isinstance(step, _CompiledStep)

    @property
    def projected(self) -> dict[str, int]:
        """Values that were put right, by what was wrong with them."""
        return self._corrections.projected

    # ---- the protocol of a world -----------------------------------------------------------------

    def reset(self, seeds: Array, where: Array | None = None) -> Columns:
        """Start the matches in the mask `where` [N] (default: all) from `seeds` [N].

        Returns the columns of all N matches.
        """
        mask = self._mask(where)
        seeds = np.asarray(seeds)
        if seeds.shape != (self.matches,) or seeds.dtype.kind not in "iu":
            raise UsageError(
                f"world '{self.name}': seeds must be integers of shape ({self.matches},) "
                f"(got {seeds.dtype} {seeds.shape})"
            )
        self._seeds[mask, 0] = seeds[mask].astype(np.int64)
        drawn = noise(self._seeds[mask, 0], 0, DREAMER, START)
        picked = self._starts[(drawn * len(self._starts)).astype(np.int64)]
        rows = self.schema.unpack(self.model.contexts[picked].numpy())  # [n, K, slots]
        known = self.model.context_length[picked].numpy() - 1
        self._begin(rows, known, mask)
        return self._columns()

    def step(self, controls: Columns) -> tuple[Columns, Array, Array]:
        """Draw the next frame of all matches that are not over."""
        before, after = self._ring[self._at], self._ring[(self._at + 1) % len(self._ring)]
        self._press(controls, before)
        over = self._done.copy()
        if self._sampled:
            self._uniform[: self.matches] = noise(self._seeds, self._frames, DREAMER, self._draws)
        self._corrections.wrong[:] = False
        numbers = self._uniform if self._sampled else None
        self._memory = self._advance(before, after, self._memory, numbers)
        self._corrections.mend(after.columns)
        if over.any():
            after.put(before.take(over), over)
        self._at = (self._at + 1) % len(self._ring)
        self._known = np.minimum(self._known + 1, self._kept)
        self._frames += ~over[:, None]
        self.drawn += int((~over).sum())
        self._end(after)
        return self._columns(), self._events(before, after, over), self._done.copy()

    def snapshot(self, where: Array | None = None) -> dict[str, Any]:
        """Full state of the chosen matches as plain arrays."""
        mask = self._mask(where)
        rows = [
            self._ring[(self._at - back) % len(self._ring)].take(mask)
            for back in range(len(self._ring))
        ]
        return {
            "rows": {key: np.stack([row[key] for row in rows]) for key in rows[0]},
            "memory": {
                key: values.numpy()[: self.matches][mask] for key, values in self._memory.items()
            },
            **{name: getattr(self, f"_{name}")[mask] for name in _COUNTERS},
            "truncated": self.truncated[mask],
        }

    def restore(self, snapshot: Any, where: Array | None = None) -> Columns:
        """Put a snapshot into equally many matches. Returns the columns of all N matches."""
        mask = self._mask(where)
        if len(snapshot["known"]) != int(mask.sum()):
            raise UsageError(
                f"world '{self.name}': the snapshot does not fit into {int(mask.sum())} matches; "
                "restore it with the mask with which it was taken"
            )
        for back in range(len(self._ring)):
            frame = self._ring[(self._at - back) % len(self._ring)]
            frame.put({key: rows[back] for key, rows in snapshot["rows"].items()}, mask)
        for name in _COUNTERS:
            getattr(self, f"_{name}")[mask] = snapshot[name]
        self.truncated[mask] = snapshot["truncated"]
        self._remember(snapshot["memory"], mask)
        return self._columns()

    def load(self, columns: Mapping[str, Array], where: Array | None = None) -> Columns:
        """Put rows [n, slots] into the n matches of the mask `where`, to go on from there.

        Rows [K, n, slots], oldest first, are the last frames of the matches: the model then
        remembers those before the last one; of a single row it remembers nothing. What is drawn
        follows the seed of the last reset, and the frame of the row where the game stores one.
        """
        mask = self._mask(where)
        rows, n = {}, int(mask.sum())
        for key in self.schema.state_keys:
            if key not in columns:
                raise UsageError(f"world '{self.name}': the loaded rows lack '{key}'")
        past = np.ndim(columns[self.schema.state_keys[0]]) == 3
        for key, values in columns.items():
            shape = (n, self.schema.columns[key].slots)
            if np.shape(values)[-2:] != shape or np.ndim(values) != 2 + past:
                raise UsageError(
                    f"world '{self.name}': '{key}' must have shape {shape}, or the same with an "
                    f"axis of rows before it (got {np.shape(values)})"
                )
            # [n, K, slots], as many as are kept
            rows[key] = (
                np.moveaxis(np.asarray(values)[-len(self._ring) :], 0, 1)
                if past
                else np.asarray(values)[:, None]
            )
        last = {key: values[:, -1] for key, values in rows.items()}
        self._require_seen(last)
        many = rows[self.schema.state_keys[0]].shape[1]
        self._begin(rows, np.full(n, many - 1), mask, seeded=False)
        if self.dynamics.clock:
            self._frames[mask, 0] = last[self.dynamics.clock][:, 0].astype(np.int64)
        return self._columns()

    def context(self, where: Array | None = None) -> Columns:
        """Rows [K, n, slots] that led to the present state of the n matches, oldest first.

        K is the largest number of rows that all of them have.
        """
        mask = self._mask(where)
        many = int(self._known[mask].min()) if mask.any() else 0
        frames = [
            self._ring[(self._at - back) % len(self._ring)].take(mask)
            for back in range(many, 0, -1)
        ]
        empty = {
            key: np.zeros((0, int(mask.sum()), c.slots), c.dtype)
            for key, c in self.schema.columns.items()
        }
        if not frames:
            return empty
        return typed(self._types, {key: np.stack([each[key] for each in frames]) for key in empty})

    # ---- starts ----------------------------------------------------------------------------------

    def _starts_of(self, start: str, chosen: Mapping[str, int]) -> Array:
        """Numbers of the recorded starts to begin from."""
        last = self.schema.unpack(self.model.contexts[:, -1].numpy())
        fits = np.ones(len(self.model.contexts), bool)
        if start == "match":
            # a match begins with a row without a past; at the start of its clock, if it has one
            fits &= self.model.context_length.numpy() == 1
            if self.dynamics.clock:
                fits &= last[self.dynamics.clock][:, 0] == 0
        for key, value in chosen.items():
            fits &= last[key][:, 0] == value
        if not fits.any():
            asked = ", ".join(f"{key}={self._named(key, value)}" for key, value in chosen.items())
            raise UsageError(
                f"world '{self.name}' has seen no start with {asked or 'a match that begins'}: "
                "train one on recordings that have it"
            )
        return np.flatnonzero(fits)

    def _require_seen(self, columns: Mapping[str, Array]) -> None:
        """Refuse a place that the world never saw, whose periodic columns are not known."""
        for at, (_, _, other) in enumerate(self.rules.periodic.values()):
            seen = getattr(self.model, f"periodic_seen_{at}").numpy()
            values = np.asarray(columns[other])[:, 0].astype(np.int64)
            if not seen[values].all():
                raise UsageError(
                    f"world '{self.name}' never saw {other} "
                    f"{self._named(other, int(values[~seen[values]][0]))}: "
                    "train one on recordings that have it"
                )

    def _begin(
        self, rows: Mapping[str, Array], known: Array, mask: Array, seeded: bool = True
    ) -> None:
        """Put rows [n, K, slots], of which the last `known + 1` count, into the ring."""
        many = rows[self.schema.state_keys[0]].shape[1]
        for back in range(many):
            frame = self._ring[(self._at - back) % len(self._ring)]
            frame.put({key: values[:, many - 1 - back] for key, values in rows.items()}, mask)
        self._known[mask] = known
        self._frames[mask] = 0
        self.truncated[mask] = False
        present = self._ring[self._at]
        for half, key in enumerate(self.dynamics.seed if seeded else ()):
            words = self._seeds[mask, 0].view(np.uint64) >> np.uint64(32 * half)
            present.columns[key][mask, 0] = words & np.uint64(0xFFFFFFFF)
        over = self.rules.over(present.columns)
        self._done[mask] = False if over is None else over[mask]
        self._remember(self._watched(rows, known), mask)

    def _watched(self, rows: Mapping[str, Array], known: Array) -> dict[str, Array]:
        """Memory of the worlds after the rows before the last one, [n, ...]."""
        many = rows[self.schema.state_keys[0]].shape[1]
        longest = int(known.max()) if len(known) else 0
        if not longest:
            return watched(self.models, {}, known)
        keys = dict.fromkeys(key for model in self.models for key in model.keys)
        past = {key: rows[key][:, many - 1 - longest : many - 1] for key in keys}
        return watched(self.models, past, known)

    def _remember(self, memory: Mapping[str, Array], mask: Array) -> None:
        """Put memories [n, ...] into the chosen matches."""
        kept = {}
        for key, values in self._memory.items():
            array = values.numpy().copy()
            array[: self.matches][mask] = memory[key]
            kept[key] = torch.from_numpy(array)
        self._memory = kept

    # ---- a frame ---------------------------------------------------------------------------------

    def _advance_of(self, compiled: bool) -> _PlainStep | _CompiledStep | _EnsembleStep:
        step, others = self._step_of(compiled), self.models[1:]
        return _EnsembleStep(step, others, self._padded, self._corrections) if others else step

    def _step_of(self, compiled: bool) -> _PlainStep | _CompiledStep:
        arguments = self.model, self._padded, self._corrections
        if compiled:
            if isinstance(self.model, _OlderWorld):
                raise UsageError(
                    f"world '{self.name}': a world of an older system cannot be compiled; "
                    "leave compile=true out"
                )
            step = _CompiledStep(*arguments, self._sampled, self.name)
            if step.run is not None:
                return step
        return _PlainStep(*arguments)

    def _press(self, controls: Columns, frame: _Frame) -> None:
        for key, target in frame.pressed.items():
            if key not in controls:
                raise UsageError(f"world '{self.name}': the controls lack '{key}'")
            values = np.asarray(controls[key])
            if values.shape != target.shape:
                raise UsageError(
                    f"world '{self.name}': '{key}' must have shape {target.shape} "
                    f"(got {values.shape})"
                )
            target[:] = np.roll(values, 1, axis=0) if self.shuffled else values

    def _end(self, after: _Frame) -> None:
        over = self.rules.over(after.columns)
        if over is not None:
            self._done = over.copy()
        stopped = self.truncated | (self._frames[:, 0] >= self.longest)
        if "violation" in self.stops:
            stopped = stopped | self._corrections.wrong
        if "disagreement" in self.stops:
            assert isinstance(self._advance, _EnsembleStep)
            stopped = stopped | self._advance.apart
        self.truncated = stopped & ~self._done
        self._done = self._done | self.truncated

    def _events(self, before: _Frame, after: _Frame, over: Array) -> Array:
        """Events of the frame, derived from its columns by the game."""
        derive = self.game.events
        if derive is None or over.all():
            return no_events()
        pairs = self._pairs.of(before, after, self.matches)
        found: Array = derive(pairs)
        if not len(found):
            return no_events()
        found = found[found["frame"] % 2 == 1].astype(EVENT)  # those between the two rows
        found["match"] = found["frame"] // 2
        found = found[~over[found["match"]]]
        found["frame"] = self._row_numbers()[found["match"]]
        return found

    def _row_numbers(self) -> Array:
        clock = self.dynamics.clock
        present = self._ring[self._at].columns
        rows = present[clock] if clock else self._frames
        return np.asarray(rows[:, 0], np.int64)

    # ---- small parts -----------------------------------------------------------------------------

    def _columns(self) -> Columns:
        return self._ring[self._at].typed()

    def _mask(self, where: Array | None) -> Array:
        if where is None:
            return np.ones(self.matches, bool)
        mask = np.asarray(where)
        if mask.dtype != bool or mask.shape != (self.matches,):
            raise UsageError(
                f"world '{self.name}': where must be a bool mask of shape ({self.matches},) "
                f"(got {mask.dtype} {mask.shape})"
            )
        return mask

    def _named(self, key: str, value: int) -> str:
        field = self.schema.columns[key].field
        return field.names[value] if isinstance(field, Choice) and field.names else str(value)


_COUNTERS = ("known", "seeds", "frames", "done")
