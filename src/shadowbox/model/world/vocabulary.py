"""Vocabulary of a world's heads, measured on recordings: events, transitions, usual changes.

A choice with many values, such as a timer, changes in few ways: it counts, it stays, or it jumps to
one of a few values. A real changes by a few exact amounts (gravity, friction) or factors, jumps to a
few exact values (the height of the ground), or takes any other value. Such changes are options, of which a
head draws one; any other value of a real is drawn from a continuous mixture.

The nats of the best prediction that needs no training are measured on the same rows: how surprising
the next value is, given the present value of the field alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shadowbox.core.dynamics.rules import _Rules, _Step
from shadowbox.core.schema import Array, Choice, Columns, Real, Schema
from shadowbox.model.world.beside import (
    ENOUGH,
    Pair,
    measure_flags,
    player_flags,
    same_slots,
    taken_with,
)
from shadowbox.model.world.derived import (
    FINE,
    drawn_mask,
    joint_code,
    joint_size,
    place_keys,
    real_base,
)

MOST_OPTIONS, MOST_ATOMS = 24, 32
FEW = 4  # values of a choice that may jump to each of them
RARE = 5e-5  # share of the rows that an exact amount must explain
RELATIVE, ABSOLUTE, SCALED = 0, 1, 2  # more by an amount, a value, a multiple
FLOOR = 0.02  # nats: of fields that hardly ever change


@dataclass(frozen=True)
class _Vocabulary:
    """Options of every drawn column, as plain data, and tables that are measured with them."""

    events: list[int] = field(default_factory=lambda: [0])  # codes of the joint events
    together: list[int] = field(default_factory=list)  # codes of the joint choices
    choices: dict[str, list[list[int]]] = field(default_factory=dict)  # column -> (kind, value)
    reals: dict[str, list[list[float]]] = field(default_factory=dict)  # column -> (kind, value)
    ends: dict[str, list[float]] = field(default_factory=dict)  # of positions, beside an exact one
    nats: dict[str, float] = field(default_factory=dict)  # of the best prediction without training
    # what recordings have of motion: data of `measure_ground`, `measure_spans` and `measure_takes`
    ground: dict[str, Any] = field(default_factory=dict)
    spans: dict[str, Any] = field(default_factory=dict)
    takes: dict[str, Any] = field(default_factory=dict)
    # what was seen: event bits x code before x joint choice, and how often options are taken
    tables: dict[str, Array] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data without the tables, which are weights of a model."""
        names = (
            "events",
            "together",
            "choices",
            "reals",
            "ends",
            "nats",
            "ground",
            "spans",
            "takes",
        )
        return {name: getattr(self, name) for name in names}

    @staticmethod
    def of(data: Mapping[str, Any]) -> _Vocabulary:
        """Vocabulary from the data of `to_json`."""
        return _Vocabulary(**data)


def tolerance(key: str, schema: Schema) -> float:
    """Half the resolution of a real: a difference below it is none."""
    column = schema.columns[key].field
    assert isinstance(column, Real)
    return 1e-4 / column.scale


def event_bits(events: Mapping[str, Any]) -> Any:
    """Events of each slot as bits of one number, [..., slots]; for arrays and tensors."""
    bits: Any = 0
    for at, happened in enumerate(events.values()):
        bits = bits + happened * (1 << at)
    return bits


def event_code(bits: Any, events: int) -> Any:
    """Events of all slots as one number [...], from those of each slot [..., slots]."""
    code: Any = 0
    for slot in range(bits.shape[-1]):
        code = code + bits[..., slot] * (1 << (events * slot))
    return code


def measure(
    schema: Schema, rules: _Rules, pairs: Iterable[Pair], chained: bool = True
) -> _Vocabulary:
    """Vocabulary of recordings, given as rows before and after.

    `chained`: positions are drawn beside the velocity that was drawn before them.
    """
    kept = list(pairs)
    before = {key: np.concatenate([b[key] for b, _ in kept]) for key in schema.state_keys}
    after = {key: np.concatenate([a[key] for _, a in kept]) for key in schema.state_keys}
    found = _Vocabulary()
    events = rules.events_of(before, after)
    step = _Step(before, after, {}, events, {})
    if events:
        bits = event_bits({name: value.astype(np.int64) for name, value in events.items()})
        codes, counts = np.unique(event_code(bits, len(events)), return_counts=True)
        found.events[:] = codes.tolist()
        found.tables["share/events"] = counts / counts.sum()
        found.nats["events"] = _entropy(counts)
    together = rules.dynamics.together
    conditions: list[tuple[Array, int]] = []  # values in each slot of a player, and their number
    if together:
        chosen = _measure_together(schema, together, before, after, events, found)
        conditions = [(chosen, len(found.together))]
        names = player_flags(schema, rules)
        conditions += [(after[key].astype(np.int64), 2) for key in names]
        classes = len(found.together)
        found.tables["flags/class"] = measure_flags(schema, rules, chosen, classes, after)
    for key in rules.drawn:
        if key in together:
            continue
        used = drawn_mask(rules, key, step)
        pair = before[key][used], after[key][used]
        kind = schema.columns[key].field
        if isinstance(kind, Real):
            base = real_base(schema, rules, key, before, after if chained else before)[used]
            options = _atoms(base, pair[1], tolerance(key, schema))
            found.reals[key] = options
            which = option_of(base, pair[1], options, tolerance(key, schema))
            counts = np.bincount(which, minlength=len(options) + 1)
            if together and same_slots(schema, key, together[0]):
                found.tables[f"with/{key}"] = taken_with(conditions, which, used, len(counts))
            found.nats[key] = _real_nats(base, pair[1], options, counts, tolerance(key, schema))
        else:
            counts = np.array([(pair[0] == pair[1]).sum(), (pair[0] != pair[1]).sum()])
            if isinstance(kind, Choice):
                found.choices[key], counts = _options(*pair, kind.n)
            found.nats[key] = _conditional_entropy(*pair)
        found.tables[f"share/{key}"] = counts / max(counts.sum(), 1)
    if together:
        _measure_ends(schema, rules, before, after, found)
    return found


def _measure_ends(
    schema: Schema, rules: _Rules, before: Columns, after: Columns, found: _Vocabulary
) -> None:
    """Measure between which values of a position the other one stays at an exact value: edges."""
    places = place_keys(schema, rules, rules.dynamics.together[0])
    for key in places:
        ends: set[float] = set()
        for other in places:
            near = tolerance(other, schema)
            for kind, value in found.reals[other]:
                stays = np.abs(before[other] - value) <= near
                stays &= np.abs(after[other] - value) <= near
                if other != key and kind == ABSOLUTE and stays.sum() >= ENOUGH:
                    width = 1 / (schema.columns[key].field.scale * FINE)  # type: ignore[union-attr]
                    ends |= set(ends_of_runs(after[key][stays].astype(float), width))
        found.ends[key] = sorted(ends)


def ends_of_runs(values: Array, width: float) -> list[float]:
    """Smallest and largest value of each run of bins that hold values, but for a few of them."""
    bins = np.floor(values / width).astype(np.int64)
    numbers, counts = np.unique(bins, return_counts=True)
    numbers = numbers[counts >= max(3, 1e-4 * len(values))]
    found = []
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
        inside = values[(bins >= run.min()) & (bins <= run.max())] if len(run) else run
        found += [float(inside.min()), float(inside.max())] if len(inside) else []
    return found


def _measure_together(
    schema: Schema,
    keys: tuple[str, ...],
    before: Columns,
    after: Columns,
    events: Mapping[str, Array],
    found: _Vocabulary,
) -> Array:
    """Measure joint choices; their numbers after every row are returned."""
    code, following = (
        joint_code(schema, keys, {key: rows[key].astype(np.int64) for key in keys})
        for rows in (before, after)
    )
    classes = np.unique(following)
    found.together[:] = classes.tolist()
    found.nats["together"] = _conditional_entropy(code, following)
    chosen = np.searchsorted(classes, following)
    many, size = 1 << len(events), joint_size(schema, keys)
    bits = event_bits({name: value.astype(np.int64) for name, value in events.items()})
    bits = np.broadcast_to(bits, code.shape)
    seen = np.zeros((many, size, len(classes)), np.float32)
    np.add.at(seen, (bits.ravel(), code.ravel(), chosen.ravel()), 1)
    moved = seen.sum(0)
    at = {int(value): place for place, value in enumerate(classes)}
    for value, place in at.items():
        moved[value, place] = 0
    found.tables.update(transitions=seen, usual=moved.argmax(-1))
    return np.asarray(chosen)


def _options(before: Array, after: Array, n: int) -> tuple[list[list[int]], Array]:
    """Options of a choice: counting and staying, and the values that it jumps to; their counts."""
    if n <= FEW:
        stays = before == after
        counts = np.bincount(after[~stays].astype(np.int64), minlength=n)
        every = [[RELATIVE, 0], *([ABSOLUTE, value] for value in range(n))]
        return every, np.array([stays.sum(), *counts])
    pairs, counts = np.unique(
        before.astype(np.int64) * n + after.astype(np.int64), return_counts=True
    )
    b, a = pairs // n, pairs % n
    left = counts.astype(float)
    chosen: list[tuple[list[int], float]] = []
    changes = (-1, 0, 1)
    while left.sum() > 0 and len(chosen) < MOST_OPTIONS:
        # at an end of the range a count stops: at 0, one less is 0
        by_change = [left[np.clip(b + d, 0, n - 1) == a].sum() for d in changes]
        by_value = np.bincount(a, weights=left, minlength=n)
        relative = max(by_change) >= by_value.max()
        value = changes[int(np.argmax(by_change))] if relative else int(by_value.argmax())
        taken = (np.clip(b + value, 0, n - 1) if relative else value) == a
        chosen.append(([RELATIVE if relative else ABSOLUTE, value], float(left[taken].sum())))
        left[taken] = 0
    chosen = sorted(chosen, key=lambda each: each[0][0]) or [([RELATIVE, 0], 1.0)]
    return [option for option, _ in chosen], np.array([count for _, count in chosen])


def _atoms(base: Array, after: Array, near: float) -> list[list[float]]:
    """Exact amounts, values and factors of a real, each of which explains a part of its changes."""
    change, value = (after - base).astype(np.float64), after.astype(np.float64)
    large = np.abs(base) > 100 * near
    factor = np.where(large, value / np.where(large, base, 1.0), np.nan)
    left = np.ones(len(value), bool)
    chosen: list[list[float]] = []
    least = max(3.0, RARE * len(value))
    while left.any() and len(chosen) < MOST_ATOMS:
        best = [_most_frequent(each[left], near) for each in (change, value)]
        # of equals the value, which does not depend on the state, unless nothing changes
        ahead = best[0][1] - best[1][1]
        kind = RELATIVE if ahead > 0 or (ahead == 0 and best[0][0] == 0) else ABSOLUTE
        best.append(_most_frequent(factor[left & large], 5e-4))
        if best[SCALED][1] > 2 * best[kind][1]:
            kind = SCALED
        atom, count = best[kind]
        if count < least:
            break
        explained = left & (np.abs(exact_value(kind, atom, base) - value) <= near)
        if not explained.any():
            break
        chosen.append([kind, atom])
        left &= ~explained
    return chosen


def exact_value(kind: float, amount: float, base: Array) -> Array:
    """Value of a real by an option."""
    if kind == SCALED:
        return np.asarray(base * amount)
    return np.asarray(base + amount if kind == RELATIVE else np.full_like(base, amount))


def _most_frequent(values: Array, near: float) -> tuple[float, int]:
    """Most frequent value up to `near`, and its count."""
    if not len(values):
        return 0.0, 0
    bins = np.round(values / (2 * near)).astype(np.int64)
    numbers, counts = np.unique(bins, return_counts=True)
    at = int(counts.argmax())
    exact, repeats = np.unique(values[bins == numbers[at]], return_counts=True)
    return float(exact[repeats.argmax()]), int(counts[at])


def option_of(base: Array, after: Array, options: list[list[float]], near: float) -> Array:
    """Number of the option of each value; for any other value the number after the last one."""
    which = np.full(len(after), len(options))
    for at, (kind, value) in reversed(list(enumerate(options))):
        which[np.abs(exact_value(kind, value, base) - after) <= near] = at
    return which


def _real_nats(
    base: Array, after: Array, options: list[list[float]], counts: Array, near: float
) -> float:
    """Nats of a real drawn from the frequencies of its options, and from a bell for the rest."""
    left = np.ones(len(after), bool)
    for kind, value in options:
        left &= np.abs(exact_value(kind, value, base) - after) > near
    nats = _entropy(counts)
    if left.any():
        change = (after - base)[left].astype(np.float64)
        spread = max(float(np.abs(change - np.median(change)).mean()), near)
        nats += counts[-1] / len(after) * (1.0 + np.log(spread / near))
    return max(float(nats), FLOOR)


def _entropy(counts: Array) -> float:
    share = counts[counts > 0] / max(counts.sum(), 1)
    return max(float(-(share * np.log(share)).sum()), FLOOR)


def _conditional_entropy(before: Array, after: Array) -> float:
    """Nats of the next value given the present one, from their frequencies."""
    both = before.ravel().astype(np.int64) * (1 << 32) + after.ravel().astype(np.int64)
    _, counts = np.unique(both, return_counts=True)
    _, given = np.unique(before, return_counts=True)
    joint = counts / max(counts.sum(), 1)
    alone = given / max(given.sum(), 1)
    return max(float(-(joint * np.log(joint)).sum() + (alone * np.log(alone)).sum()), FLOOR)


def legal_tables(schema: Schema, rules: _Rules, found: _Vocabulary) -> tuple[Array, Array]:
    """Joint choices by (event bits, code before), and event bits by code before, that are legal.

    A row of recordings decides where there is one; else the rules do. [2^E, codes, classes] and
    [codes, 2^E].
    """
    keys = rules.dynamics.together
    names = list(rules.dynamics.events)
    many, size, classes = 1 << len(names), joint_size(schema, keys), len(found.together)
    seen = found.tables.get("transitions", np.zeros((many, size, classes))) > 0
    happened = seen.any(-1).T
    bits = np.arange(many)
    allowed = np.ones((many, size, classes), bool)
    codes, following = np.arange(size), np.array(found.together, np.int64)
    for key in keys:
        before, after = (_part(schema, keys, key, values) for values in (codes, following))
        for value, event in rules.only.get(key, []):
            without = bits & (1 << names.index(event)) == 0
            fresh = (before != value)[:, None] & (after == value)[None]
            allowed &= ~(without[:, None, None] & fresh[None])
        for event, value in rules.at.get(key, []):
            having = bits & (1 << names.index(event)) != 0
            later = [e for e, _ in rules.at[key]][[e for e, _ in rules.at[key]].index(event) + 1 :]
            for other in later:
                having &= bits & (1 << names.index(other)) == 0
            allowed &= ~(having[:, None, None] & (after != value)[None, None])
        _keep_triggers(rules, key, names, before, after, allowed)
    allowed = np.where(seen.any(-1, keepdims=True), seen, allowed)
    allowed |= ~allowed.any(-1, keepdims=True)
    drawn = bits & rules.implied == 0
    happened = happened & drawn
    known = happened.any(-1, keepdims=True)
    return allowed, np.where(known, happened, drawn)


def _keep_triggers(
    rules: _Rules, key: str, names: list[str], before: Array, after: Array, allowed: Array
) -> None:
    """Forbid joint choices that contradict the trigger of an event."""
    bits = np.arange(len(allowed))
    for name, (column, trigger) in rules.triggers.items():
        if column == key:
            fires = trigger({key: before[:, None]}, {key: after[None]})
            having = (bits & (1 << names.index(name)) != 0)[:, None, None]
            allowed &= having == fires[None]


def _part(schema: Schema, keys: tuple[str, ...], key: str, codes: Array) -> Array:
    """Values of one of the joint choices in codes."""
    for each in reversed(keys):
        column = schema.columns[each].field
        assert isinstance(column, Choice)
        if each == key:
            return codes % column.n
        codes = codes // column.n
    raise KeyError(key)
