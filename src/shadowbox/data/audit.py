"""What is in a store: sizes, every field's values, what players press, and what predictions that cost nothing would score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shadowbox.core import baselines, system
from shadowbox.core.schema import Array, Choice, Columns, Flag, Real, Schema
from shadowbox.core.stats import bootstrap_ratio
from shadowbox.data.split import SIDES, Split
from shadowbox.data.store import Progress, Store

BLOCK_ROWS = 1 << 16  # rows that are unpacked at a time
# rows that the baselines are scored on, and as many to fit the look-up table
BASELINE_ROWS = 1 << 20
MOST_SITUATIONS = 1 << 16


def audit(
    store: Store, split: Split | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """All of it but the re-hash, as plain data.

    Shares are of occupied slots of frames in which the column is valid.
    """
    lengths = store.lengths
    content = sum(entry.bytes for shard in store.manifest.shards for entry in shard.files.values())
    summaries = {key: _Summary() for key in store.schema.columns}
    presses = {key: _Presses() for key in store.schema.control_keys if _is_flag(store.schema, key)}
    done = 0
    for block in blocks(store, range(len(store))):
        for key, summary in summaries.items():
            summary.add(block.columns[key], block.occupied(key))
        for key, press in presses.items():
            press.add(key, block)
        done += block.rows
        if progress:
            progress(done, store.manifest.rows)
    return {
        "store": str(store.path),
        "game": store.schema.name,
        "facts_hash": store.schema.facts_hash,
        "fingerprint": store.fingerprint,
        "made": dict(store.manifest.made),
        "episodes": len(store),
        "frames": store.frames,
        "seconds": store.frames / store.schema.fps,
        "shards": len(store.shards),
        "shortest": int(lengths.min() - 1) if len(lengths) else 0,
        "longest": int(lengths.max() - 1) if len(lengths) else 0,
        "bytes": content,
        "row_bytes": store.schema.row_dtype.itemsize,
        "bytes_per_frame": content / store.frames if store.frames else None,
        "memory": _memory(store),
        "split": _sides(store, split or Split()),
        "columns": {key: summary.result(store.schema, key) for key, summary in summaries.items()},
        "controls": {key: press.result() for key, press in presses.items()},
        "events": _event_counts(store),
        "duplicates": duplicates(store),
        "baselines": free_scores(store),
    }


def pressed(store: Store, episodes: Any) -> dict[str, list[dict[str, Any]]]:
    """Of some episodes: for each slot of every key how often it is down, how often a press begins, and how long it lasts."""
    presses = {key: _Presses() for key in store.schema.control_keys if _is_flag(store.schema, key)}
    for block in blocks(store, episodes):
        for key, press in presses.items():
            press.add(key, block)
    return {key: press.result() for key, press in presses.items()}


def duplicates(store: Store) -> list[list[int]]:
    """Groups of episodes whose content is the same, by number."""
    digests = (
        np.ascontiguousarray(store.index["digest"])
        .view(f"V{store.index['digest'].shape[-1]}")
        .ravel()
    )
    groups: dict[bytes, list[int]] = {}
    for number, digest in enumerate(digests.tolist()):
        groups.setdefault(digest, []).append(number)
    return [group for group in groups.values() if len(group) > 1]


# ---- blocks of rows --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AuditRows:
    """Whole episodes one after another: columns [R, slots], `starts` [E] their first rows, `valid` [E, columns]."""

    schema: Schema
    columns: Columns
    starts: Array
    valid: Array

    @property
    def rows(self) -> int:
        """R."""
        return len(next(iter(self.columns.values())))

    def decided(self) -> Array:
        """Rows that a next row of the same episode follows, bool [R]."""
        last = np.append(self.starts[1:], self.rows) - 1
        decided = np.ones(self.rows, bool)
        decided[last] = False
        return decided

    def occupied(self, key: str) -> Array | None:
        """Values that mean something, bool [R, slots]; None: all of them."""
        column = self.schema.columns[key]
        mask, at = column.group.mask, list(self.schema.columns).index(key)
        if self.valid[:, at].all():
            if mask is None or mask == column.field.name:
                return None
            return self.columns[f"{column.group.name}/{mask}"]
        lengths = np.diff(np.append(self.starts, self.rows))
        valid = np.repeat(self.valid[:, at], lengths)[:, None]
        return (
            np.broadcast_to(valid, (self.rows, column.slots))
            if mask is None
            else valid & self.columns[f"{column.group.name}/{mask}"]
        )

    def began(self, key: str) -> Array:
        """Values that none of the same episode and slot precedes, bool [R, slots]."""
        began = np.zeros(self.columns[key].shape, bool)
        began[self.starts] = True
        occupied = self.occupied(key)
        return began if occupied is None else began | ~np.roll(occupied, 1, axis=0)

    def followed(self, key: str) -> Array:
        """Values that mean something and whose next one, in the same episode, does too: bool [R, slots]."""
        decided = np.broadcast_to(self.decided()[:, None], self.columns[key].shape)
        occupied = self.occupied(key)
        return decided if occupied is None else decided & occupied & np.roll(occupied, -1, axis=0)


def blocks(store: Store, episodes: Any, rows: int = BLOCK_ROWS) -> Iterator[AuditRows]:
    """The episodes unpacked, as many whole ones at a time as `rows` allows (one at least)."""
    waiting: list[int] = []
    total = 0
    for number in episodes:
        waiting.append(int(number))
        total += int(store.lengths[number])
        if total >= rows:
            yield _unpacked(store, waiting)
            waiting, total = [], 0
    if waiting:
        yield _unpacked(store, waiting)


def _unpacked(store: Store, episodes: list[int]) -> AuditRows:
    packed = np.concatenate([store.rows_of(number) for number in episodes])
    starts = np.cumsum([0] + [int(store.lengths[number]) for number in episodes])[:-1]
    absent = np.unpackbits(store.index["absent"][episodes], axis=-1, bitorder="little")[
        :, : len(store.schema.columns)
    ]
    return AuditRows(store.schema, store.schema.unpack(packed), starts, absent == 0)


# ---- fields ----------------------------------------------------------------------------------------------------


@dataclass
class _Summary:
    """Running figures of one column."""

    low: float = np.inf
    high: float = -np.inf
    total: float = 0.0
    zeros: int = 0
    count: int = 0
    seen: int = 0

    def add(self, values: Array, occupied: Array | None) -> None:
        self.seen += values.size
        if occupied is not None:
            values = values[occupied]
        if values.size:
            self.low = min(self.low, float(values.min()))
            self.high = max(self.high, float(values.max()))
            self.total += float(values.sum(dtype=np.float64))
            self.zeros += values.size - int(np.count_nonzero(values))
            self.count += values.size

    def result(self, schema: Schema, key: str) -> dict[str, Any]:
        field = schema.columns[key].field
        known: dict[str, Any] = {"min": None, "mean": None, "max": None, "zeros": None}
        if self.count:
            # the mean of names means nothing
            mean = None if isinstance(field, Choice) else self.total / self.count
            known = {
                "min": self.low,
                "mean": mean,
                "max": self.high,
                "zeros": self.zeros / self.count,
            }
        constant = bool(self.count) and self.low == self.high
        return {
            "kind": field.kind,
            "unit": field.unit,
            **known,
            "constant": constant,
            "dead": constant and self.low == 0,
            "invalid": 1 - self.count / self.seen if self.seen else None,
        }


@dataclass
class _Presses:
    """How often a key is down, how often a press begins, and how long it lasts; for each slot."""

    down: list[Array] = field(default_factory=list)
    begun: list[Array] = field(default_factory=list)
    frames: list[Array] = field(default_factory=list)

    def add(self, key: str, block: AuditRows) -> None:
        values = block.columns[key]
        decided = np.broadcast_to(block.decided()[:, None], values.shape)
        occupied = block.occupied(key)
        counted = decided if occupied is None else decided & occupied
        before = np.roll(values, 1, axis=0)
        before[block.starts] = False
        self.down.append((values & counted).sum(0))
        self.begun.append((values & counted & ~before).sum(0))
        self.frames.append(counted.sum(0))

    def result(self) -> list[dict[str, Any]]:
        if not self.frames:
            return []
        return [
            {
                "press_rate": down / frames if frames else None,
                "onset_rate": begun / frames if frames else None,
                "onsets": begun,
                "hold_frames": down / begun if begun else None,
            }
            for down, begun, frames in zip(
                *(np.sum(x, axis=0).tolist() for x in (self.down, self.begun, self.frames)),
                strict=True,
            )
        ]


# ---- what costs nothing ----------------------------------------------------------------------------------------


def free_scores(store: Store) -> dict[str, Any]:
    """Scores one frame ahead of the free baselines: mean absolute error (reals, in their unit), share right (others).

    The look-up table learns from even episodes, everything is scored on odd ones (with one episode
    there is no table).
    """
    fit = _some(store, range(0, len(store), 2))
    scored = _some(store, range(1, len(store), 2))
    if not scored:
        fit, scored = [], fit
    fits = list(blocks(store, fit, BASELINE_ROWS))
    scores: dict[str, dict[str, list[Array]]] = {}
    counts: dict[str, list[Array]] = {}
    tables = _tables(store.schema, fits[0]) if fits else {}
    for block in blocks(store, scored):
        for key in _predicted(store.schema):
            counted = block.followed(key)
            counts.setdefault(key, []).append(np.add.reduceat(counted.sum(1), block.starts))
            for name, right in _one_ahead(block, key, tables.get(key)).items():
                per_episode = np.add.reduceat((right * counted).sum(1), block.starts)
                scores.setdefault(key, {}).setdefault(name, []).append(per_episode)
    return {
        "episodes": len(scored),
        "fitted_on": len(fit),
        "metric": {"real": "mean absolute error", "flag": "share right", "choice": "share right"},
        "columns": {
            key: {
                name: _interval(np.concatenate(parts), np.concatenate(counts[key]))
                for name, parts in named.items()
            }
            for key, named in scores.items()
        },
    }


def _one_ahead(block: AuditRows, key: str, table: baselines.LookupTable | None) -> dict[str, Array]:
    """Error (reals) or being right (others) of each baseline for row t + 1, standing at t: [R, slots]."""
    values, field = block.columns[key], block.schema.columns[key].field
    following = np.roll(values, -1, axis=0)
    given = {"copy_last": baselines.copy_last(values)}
    if isinstance(field, Real):
        velocity = baselines.constant_velocity(values, *field.limits)
        fresh = block.began(key)  # there is no change yet to go on with
        velocity[fresh] = values[fresh]
        given["constant_velocity"] = velocity
    elif key in block.schema.control_keys:
        given["never_press"] = baselines.never_press(values)
    if table is not None:
        usual = table.predict(block.columns, key)
        given["look_up"] = values + usual if isinstance(field, Real) else usual
    if isinstance(field, Real):
        return {name: np.abs(guess - following) for name, guess in given.items()}
    return {name: guess == following for name, guess in given.items()}


def _tables(schema: Schema, rows: AuditRows) -> dict[str, baselines.LookupTable]:
    """A look-up table for each predicted column, keyed by the choices and flags of its own group.

    Reals: the change.
    """
    tables = {}
    for key in _predicted(schema):
        by = _situation_keys(schema, key)
        if not by:
            continue
        used = rows.followed(key)
        given = {name: rows.columns[name][used] for name in by}
        following = np.roll(rows.columns[key], -1, axis=0)
        real = isinstance(schema.columns[key].field, Real)
        target = following - rows.columns[key] if real else following
        tables[key] = baselines.LookupTable.fit(schema, given, {key: target[used]}, by)
    return tables


def _situation_keys(schema: Schema, key: str) -> tuple[str, ...]:
    """Choices and flags of the same group, as many (in order of declaration) as keep the table small."""
    column = schema.columns[key]
    keys, size = [], 1
    for known in column.group.fields:
        n = (
            known.n
            if isinstance(known, Choice)
            else 2
            if isinstance(known, Flag)
            else MOST_SITUATIONS + 1
        )
        if size * n <= MOST_SITUATIONS:
            keys.append(f"{column.group.name}/{known.name}")
            size *= n
    return tuple(keys)


def _predicted(schema: Schema) -> list[str]:
    return [key for key, column in schema.columns.items() if column.field.predict != "no"]


def _some(store: Store, episodes: range) -> list[int]:
    """The first of these episodes, up to BASELINE_ROWS rows."""
    chosen, rows = [], 0
    for number in episodes:
        if rows >= BASELINE_ROWS:
            break
        chosen.append(number)
        rows += int(store.lengths[number])
    return chosen


def _interval(total: Array, count: Array) -> dict[str, float | None]:
    interval = bootstrap_ratio(total, count, tries=400)
    return {
        name: value if np.isfinite(value) else None for name, value in interval._asdict().items()
    }


# ---- inside ----------------------------------------------------------------------------------------------------


def _is_flag(schema: Schema, key: str) -> bool:
    return isinstance(schema.columns[key].field, Flag)


def _sides(store: Store, split: Split) -> dict[str, Any]:
    sides = split.sides(store)
    return {
        side: {
            "episodes": int((sides == at).sum()),
            "frames": int((store.lengths[sides == at] - 1).sum()),
        }
        for at, side in enumerate(SIDES)
    }


def _event_counts(store: Store) -> dict[str, int]:
    """Events by the name of their kind, or by its number where the store does not name it."""
    names = dict(enumerate(store.manifest.event_kinds))
    counts: dict[str, int] = {}
    for shard in store.shards:
        for kind, count in zip(*np.unique(shard.events["kind"], return_counts=True), strict=True):
            name = names.get(int(kind), str(kind))
            counts[name] = counts.get(name, 0) + int(count)
    return counts


def _memory(store: Store) -> dict[str, Any]:
    """Bytes that the rows take when all of them are cached, and whether this machine has them."""
    needed = store.manifest.rows * store.schema.row_dtype.itemsize
    available = system.memory()
    fits = None if available is None else needed < 0.8 * available
    return {"bytes": needed, "machine_bytes": available, "fits": fits}


# ---- in words --------------------------------------------------------------------------------------------------


def column_notes(summary: dict[str, Any]) -> str:
    """What stands out in a column."""
    if summary["min"] is None:
        return "absent"
    return "dead: always 0" if summary["dead"] else "constant" if summary["constant"] else ""


def value_range(score: dict[str, float | None]) -> str:
    """An interval as text, empty where one episode allows none."""
    return "" if score["low"] is None else f"{score['low']:.4g} .. {score['high']:.4g}"
