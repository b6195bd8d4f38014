"""Rules of a declaration on columns: events of two rows, derived values, and a check on recordings.

Columns have any leading axes: [N, slots] in a world, [T, slots] in an episode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.dynamics.declaration import _Dynamics
from shadowbox.core.schema import Array, Choice, Columns, Flag, Schema
from shadowbox.errors import SchemaError, did_you_mean

DRAWN, CARRIED = "drawn", "carried"
_LATE = ("ends", "winner", "since")  # bases that need the drawn values of the next row
Tables = Mapping[str, Array]  # periodic column -> [values of the other column, period, slots]


class _Step(NamedTuple):
    """One step of a match: rows before and after, the controls between them, and their events."""

    # arrays, or tensors with `xp`
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    controls: Mapping[str, Any]
    events: dict[str, Any]  # bool [..., slots] by name
    tables: Mapping[str, Any]
    xp: Any = np  # the library of the columns: NumPy or torch


class _Clause(NamedTuple):
    """A clause of a rule: a value, where it holds, and its words."""

    words: tuple[str, ...]
    value: Callable[[_Step], Any] | None  # None: as drawn
    where: Callable[[_Step], Array] | None = None  # None: everywhere


class _Span(NamedTuple):
    """Ends between which a column stays, unless a condition holds, or else an event happens."""

    low: float
    high: float
    excepted: Callable[[_Step], Any]
    event: str = ""


class _Rules:
    """Compiled declaration of a schema.

    `drawn`: columns that are learned; `gates`: events at which alone a column is; `only`: column ->
    (value, event) of choices that need an event; `at`: column -> (event, value) of choices.
    """

    def __init__(self, schema: Schema, dynamics: _Dynamics) -> None:
        self.schema, self.dynamics = schema, dynamics
        self.triggers = {name: self._trigger(name, text) for name, text in dynamics.events.items()}
        # event -> column that must rise with it
        self.rising = {
            name: text.split()[1]
            for name, text in dynamics.events.items()
            if text.startswith("rises ")
        }
        self.only: dict[str, list[tuple[int, str]]] = {}
        self.at: dict[str, list[tuple[str, int]]] = {}
        self.periodic: dict[str, tuple[str, int, str]] = {}
        self.gates: dict[str, tuple[str, ...]] = {}
        self.within: dict[str, list[_Span]] = {}
        names = list(dict.fromkeys([*dynamics.rules, *schema.state_keys]))
        for name in names:
            if name not in schema.state_keys:
                raise self._error(name, did_you_mean(name, schema.state_keys))
        self.clauses = {name: self._clauses(name) for name in names}
        # bits of the events that a value outside of its span makes happen
        spans = [span for each in self.within.values() for span in each]
        implied = {span.event for span in spans if span.event}
        self.implied = sum(1 << at for at, name in enumerate(self.triggers) if name in implied)
        for event, keys in dynamics.reach.items():
            self._event("reach", event)
            for key in keys:
                if key not in schema.columns:
                    raise self._error(event, did_you_mean(key, schema.columns))
        for key in (*dynamics.ground, *dynamics.takes, *dynamics.takes.values()):
            if key not in schema.columns:
                raise self._error("ground and takes", did_you_mean(key, schema.columns))
        self.rates = {key: self._rates(key, text) for key, text in dynamics.rates.items()}
        # derived from the row before and the controls alone, in this order
        self.early = tuple(key for key in names if self._early(key))
        self.drawn = tuple(
            key
            for key in schema.state_keys
            if any(c.value is None and c.words[:1] != ("within",) for c in self.clauses[key])
        )

    def over(self, columns: Mapping[str, Array]) -> Array | None:
        """Mask [...] of the rows [..., slots] that end a match; None: no row does."""
        key, equals, word = self.dynamics.over.partition("=")
        if not key:
            return None
        values = columns[key]
        return np.asarray((values == self._number(key, word)).any(-1) if equals else values[..., 0])

    # ---- events ----------------------------------------------------------------------------------

    def events_of(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
        """Events between rows, bool [..., slots] by name; for arrays and tensors."""
        return {name: trigger(before, after) for name, (_, trigger) in self.triggers.items()}

    def events_in(self, bits: Any) -> dict[str, Any]:
        """Events, bool [..., slots] by name, that are bits of one number for each slot."""
        return {name: (bits & (1 << at)) != 0 for at, name in enumerate(self.triggers)}

    def _trigger(self, name: str, text: str) -> tuple[str, Callable[[Any, Any], Any]]:
        verb, _, what = text.partition(" ")
        key, _, word = what.partition("=")
        if key not in self.schema.columns or verb not in ("rises", "falls", "enters", "leaves"):
            raise self._error(name, f"'{text}' is not a trigger")
        if verb in ("rises", "falls"):
            if verb == "rises":
                return key, lambda before, after: after[key] > before[key]
            return key, lambda before, after: after[key] < before[key]
        value = self._number(key, word)
        if verb == "enters":
            return key, lambda before, after: (after[key] == value) & (before[key] != value)
        return key, lambda before, after: (after[key] != value) & (before[key] == value)

    # ---- derived values --------------------------------------------------------------------------

    def apply(self, step: _Step, keys: Sequence[str] | None = None) -> None:
        """Write the derived values into `step.after`, of these columns (default: all) in order."""
        for key in self.clauses if keys is None else keys:
            target = step.after[key]
            value = self.derive(key, step)
            if value is not target:
                target[...] = value

    def derive(self, key: str, step: _Step) -> Any:
        """Value of a column by its rule, where `step.after` holds its value as drawn."""
        value = drawn = step.after[key]
        for clause in self.clauses[key]:
            new = drawn if clause.value is None else clause.value(step)
            value = new if clause.where is None else step.xp.where(clause.where(step), new, value)
        return value if value is drawn else _typed(value, drawn, step.xp)

    def free(self, key: str, step: _Step) -> Any:
        """Mask of the values that are drawn and not derived; for arrays and tensors."""
        mask: Any = step.after[key] == step.after[key]
        for clause in self.clauses[key]:
            if clause.where is None:
                mask = mask if clause.value is None else ~mask & mask
            else:
                holds = clause.where(step)
                mask = mask | holds if clause.value is None else mask & ~holds
        for span in self.within.get(key, ()):
            if span.event:  # the row after the event does not say how the value came about
                mask = mask & ~step.events[span.event]
        return mask

    def _early(self, key: str) -> bool:
        words = self.clauses[key][0].words
        return len(self.clauses[key]) == 1 and words[0] not in (DRAWN, *_LATE)

    # ---- parsing ---------------------------------------------------------------------------------

    def _clauses(self, key: str) -> list[_Clause]:
        text = self.dynamics.rules.get(key, "")
        default = CARRIED if self.schema.columns[key].field.predict == "no" else DRAWN
        found = [self._clause(key, part.split()) for part in (text or default).split(";")]
        return [clause for clause in found if clause is not None]

    def _clause(self, key: str, words: list[str]) -> _Clause | None:
        kept = tuple(words)
        match words:
            case ["drawn"]:
                return _Clause(kept, None)
            case ["at", event, *what]:
                return self._at(key, event, what, kept)
            case [word, "only", "at", event]:
                self._event(key, event)
                self.only.setdefault(key, []).append((int(self._number(key, word)), event))
                return None
            case ["within", low, high, "unless", condition, *rest]:
                holds = self._condition(key, condition)
                event = rest[1] if rest[:1] == ["else"] and len(rest) == 2 else ""
                if rest:
                    self._event(key, event)
                span = _Span(float(low), float(high), holds, event)
                self.within.setdefault(key, []).append(span)
                return None
            case [word, "where", other, "changes"]:
                if other not in self.schema.columns:
                    raise self._error(key, did_you_mean(other, self.schema.columns))
                changes = lambda step: step.after[other] != step.before[other]  # noqa: E731
                return _Clause(kept, self._value(key, word), changes)
            case [word, "where" | "unless" as mode, condition]:
                holds = self._condition(key, condition)
                opposite = mode == "unless"
                return _Clause(
                    kept,
                    self._value(key, word),
                    (lambda step: ~holds(step)) if opposite else holds,
                )
        return _Clause(kept, self._base(key, words))

    def _at(self, key: str, event: str, what: list[str], kept: tuple[str, ...]) -> _Clause:
        self._event(key, event)
        happens = lambda step: step.events[event]  # noqa: E731
        match what:
            case ["drawn"]:
                self.gates[key] = (*self.gates.get(key, ()), event)
                return _Clause(kept, None, happens)
            case ["minus", number]:
                less = float(number)
                return _Clause(kept, lambda step: step.before[key] - less, happens)
            case [word]:
                if isinstance(self.schema.columns[key].field, Choice):
                    self.at.setdefault(key, []).append((event, int(self._number(key, word))))
                return _Clause(kept, self._value(key, word), happens)
        raise self._error(key, f"'{' '.join(kept)}' must be drawn, a value or minus a number")

    def _base(self, key: str, words: list[str]) -> Callable[[_Step], Any]:
        match words:
            case ["carried"]:
                return lambda step: step.before[key]
            case ["step", number]:
                change = float(number)
                low, high = self.schema.columns[key].field.limits
                return lambda step: (step.before[key] + change).clip(low, high)
            case ["tick"]:
                fps = self.schema.fps
                return lambda step: (step.xp.round(_exact(step.before[key]) * fps) + 1) / fps
            case ["count_down"]:
                return lambda step: step.before[key] - 1 * (step.before[key] > 0)
            case ["pressed", control] if control in self.schema.control_keys:
                return lambda step: step.controls[control]
            case ["last_pressed", on, off]:
                return lambda step: _last_pressed(key, step, on, off)
            case ["periodic", clock, period, "by", other]:
                self.periodic[key] = (clock, int(period), other)
                return lambda step: _at_time(key, step, clock, int(period), other)
            case ["since", other] if other in self.schema.columns:
                return lambda step: step.xp.where(
                    step.after[other] == step.before[other], step.before[key] + 1, 0
                )
            case ["ends", *keys]:
                return lambda step: reduce(
                    or_, [(step.after[each] <= 0).any(-1)[..., None] for each in keys]
                )
            case ["winner", more, less]:
                return lambda step: _winner(self.schema.players, step, key, more, less)
        raise self._error(key, f"'{' '.join(words)}' is not a rule")

    def _rates(self, key: str, text: str) -> list[tuple[str, str]]:
        found = []
        for part in text.split(";"):
            words = part.split()
            rate, flag = words[0], words[2] if len(words) == 3 and words[1] == "while" else ""
            if len(words) not in (1, 3) or not {rate, flag or rate} <= self.schema.columns.keys():
                raise self._error(key, f"'{part.strip()}' is not a velocity")
            found.append((rate, flag))
        return found

    def _value(self, key: str, word: str) -> Callable[[_Step], Any]:
        other, sign, number = word.rpartition("+")
        if sign and other in self.schema.columns:
            more = float(number)
            return lambda step: _exact(step.after[other]) + more
        value = self._number(key, word)
        return lambda step: value

    def _condition(self, key: str, text: str) -> Callable[[_Step], Array]:
        other, equals, word = text.partition("=")
        if other not in self.schema.columns:
            raise self._error(key, did_you_mean(other, self.schema.columns))
        if not equals and isinstance(self.schema.columns[other].field, Flag):
            return lambda step: step.after[other]
        value = self._number(other, word)
        return lambda step: step.after[other] == value

    def _number(self, key: str, word: str) -> float:
        field = self.schema.columns[key].field
        if isinstance(field, Choice) and word in field.names:
            return field.names.index(word)
        try:
            return float(word)
        except ValueError:
            problem = f"'{word}' is neither a number nor a value of {key}"
            raise self._error(key, problem) from None

    def _event(self, key: str, event: str) -> None:
        if event not in self.dynamics.events:
            raise self._error(key, f"event '{event}': {did_you_mean(event, self.dynamics.events)}")

    def _error(self, name: str, problem: str) -> SchemaError:
        return SchemaError(f"dynamics of '{self.schema.name}', {name}: {problem}")


def frames_in_unit(schema: Schema, key: str) -> float:
    """Frames in the time unit of a velocity: 1 if its unit ends with /frame, else those of a second."""
    unit: str = getattr(schema.columns[key].field, "unit", "")
    return 1.0 if unit.endswith("/frame") else schema.fps


def rule_errors(
    rules: _Rules, before: Columns, after: Columns, controls: Columns, tables: Tables
) -> dict[str, int]:
    """Number of values by column that differ from what the rule says, all else as recorded."""
    events = rules.events_of(before, after)
    step = _Step(before, after, controls, events, tables)
    found = {}
    for key in rules.clauses:
        derived = rules.derive(key, step)
        found[key] = int((derived != after[key]).sum())
    return found


def periodic_tables(
    rules: _Rules, episodes: Iterator[Columns], known: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Values of periodic columns by time, measured on episodes: NaN for what none shows.

    The first row of an episode is left out, since nothing has led to it.
    """
    schema = rules.schema
    tables = dict(known or {})
    for key, (_, period, other) in rules.periodic.items():
        field = schema.columns[other].field
        values = field.n if isinstance(field, Choice) else 2
        shape = (values, period, schema.columns[key].slots)
        tables.setdefault(key, np.full(shape, np.nan, np.float32))
    for columns in episodes:
        for key, (clock, period, other) in rules.periodic.items():
            at = (columns[clock][1:, 0] % period).astype(np.int64)
            tables[key][columns[other][1:, 0].astype(np.int64), at] = columns[key][1:]
    return tables


# ---- bases ---------------------------------------------------------------------------------------


def _last_pressed(key: str, step: _Step, on: str, off: str) -> Any:
    """On by a press of one control alone, off by a press of the other alone."""
    group = key.partition("/")[0]
    pressed = []
    for control in (on, off):
        held = step.before.get(f"{group}/held_{control.partition('/')[2]}")
        now = step.controls[control]
        pressed.append(now if held is None else now & ~held)
    return step.xp.where(pressed[0] ^ pressed[1], pressed[0], step.before[key])


def _at_time(key: str, step: _Step, clock: str, period: int, other: str) -> Any:
    at = _whole(step.after[clock][..., 0]) % period
    return step.tables[key][_whole(step.before[other][..., 0]), at]


def _winner(players: int, step: _Step, key: str, more: str, less: str) -> Any:
    """The player with the most of one column, then the least of another; the last value: none."""
    group, xp = key.partition("/")[0], step.xp
    most, least = step.after[more], step.after[less]
    best = xp.amax(most, axis=-1, keepdims=True)
    leads = most == best
    lowest = xp.amin(xp.where(leads, least, np.inf), axis=-1, keepdims=True)
    leads = leads & (least == lowest) & (best > 0)
    leader = (leads * 1).argmax(-1)[..., None]
    winner = xp.where(leads.sum(-1)[..., None] == 1, leader, players)
    return xp.where(step.after[f"{group}/over"], winner, players)


# ---- types of arrays and tensors -----------------------------------------------------------------


def _typed(values: Any, like: Any, xp: Any) -> Any:
    """Values in the type of others."""
    if xp is np:
        return np.asarray(values).astype(like.dtype, copy=False)
    return xp.as_tensor(values, dtype=like.dtype)


def _whole(values: Any) -> Any:
    """Values as 64-bit integers."""
    return values.astype(np.int64) if isinstance(values, np.ndarray) else values.long()


def _exact(values: Any) -> Any:
    """Values as 64-bit floats."""
    return values.astype(np.float64) if isinstance(values, np.ndarray) else values.double()
