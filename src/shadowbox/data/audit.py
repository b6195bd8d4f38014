"""Audit of a store in numbers: sizes, every field's values, presses, duplicates and baselines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shadowbox.core import system
from shadowbox.core.schema import Array, Choice, Flag, Real, Schema
from shadowbox.data.audit_rows import AuditRows, blocks
from shadowbox.data.baseline_scores import baseline_scores
from shadowbox.data.split import DROPPED, SIDES, Split
from shadowbox.data.store import Progress, Store

FEW = 20  # presses of a control below which little can be learned of it
GIVEN_AWAY = 0.9  # share of a control's changes that come with a change of an input
MOST_NOTES = 20  # remarks of readers that are shown


def audit(
    store: Store, split: Split | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Audit a store; the result is plain data. Hashes of files are not checked (see `verify`).

    Shares are of occupied slots in frames in which the column is valid.
    """
    lengths = store.lengths
    content = sum(entry.bytes for shard in store.manifest.shards for entry in shard.files.values())
    summaries = {key: _Summary() for key in store.schema.columns}
    presses = {key: _Presses() for key in store.schema.control_keys if _is_flag(store.schema, key)}
    leaks = _Leaks(store.schema)
    rows_done = 0
    for block in blocks(store, range(len(store))):
        leaks.add(block)
        for key, summary in summaries.items():
            occupied = block.occupied(key)
            summary.add(
                block.columns[key][block.own], None if occupied is None else occupied[block.own]
            )
            if key in block.forbidden:
                summary.forbidden += int(block.forbidden[key][block.own].sum())
        for key, press in presses.items():
            press.add(key, block)
        rows_done += block.own_rows
        if progress:
            progress(rows_done, store.manifest.rows)
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
        "leaks": leaks.result(),
        "notes": _notes(store),
        "events": _event_counts(store),
        "duplicates": duplicates(store),
        "baselines": baseline_scores(store),
    }


def press_statistics(store: Store, episodes: Any) -> dict[str, list[dict[str, Any]]]:
    """Press rate, onset rate and mean hold of every key in some episodes, for each slot."""
    presses = {key: _Presses() for key in store.schema.control_keys if _is_flag(store.schema, key)}
    for block in blocks(store, episodes):
        for key, press in presses.items():
            press.add(key, block)
    return {key: press.result() for key, press in presses.items()}


def duplicates(store: Store) -> list[list[int]]:
    """Groups of episodes (by number) with the same content."""
    digests = (
        np.ascontiguousarray(store.index["digest"])
        .view(f"V{store.index['digest'].shape[-1]}")
        .ravel()
    )
    groups: dict[bytes, list[int]] = {}
    for number, digest in enumerate(digests.tolist()):
        groups.setdefault(digest, []).append(number)
    return [group for group in groups.values() if len(group) > 1]


# ---- fields --------------------------------------------------------------------------------------


@dataclass
class _Summary:
    """Running figures of one column."""

    low: float = np.inf
    high: float = -np.inf
    total: float = 0.0
    zeros: int = 0
    count: int = 0
    seen: int = 0
    forbidden: int = 0  # values that are not finite or out of range

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
        figures: dict[str, Any] = {"min": None, "mean": None, "max": None, "zeros": None}
        if self.count:
            # categories have no meaningful mean
            mean = None if isinstance(field, Choice) else self.total / self.count
            figures = {
                "min": self.low,
                "mean": mean,
                "max": self.high,
                "zeros": self.zeros / self.count,
            }
        constant = bool(self.count) and self.low == self.high
        return {
            "kind": field.kind,
            "unit": field.unit,
            **figures,
            "constant": constant,
            "dead": constant and self.low == 0,
            "invalid": 1 - self.count / self.seen if self.seen else None,
            "forbidden": self.forbidden,
        }


@dataclass
class _Presses:
    """Running counts of a key for each slot: frames, frames in which it is down, and presses."""

    down: list[Array] = field(default_factory=list)
    onsets: list[Array] = field(default_factory=list)
    frames: list[Array] = field(default_factory=list)

    def add(self, key: str, block: AuditRows) -> None:
        values = block.columns[key]
        decided = np.broadcast_to(block.decided()[:, None], values.shape)
        occupied = block.occupied(key)
        counted = decided if occupied is None else decided & occupied
        before = np.roll(values, 1, axis=0)
        before[block.starts] = False
        self.down.append((values & counted).sum(0))
        self.onsets.append((values & counted & ~before).sum(0))
        self.frames.append(counted.sum(0))

    def result(self) -> list[dict[str, Any]]:
        if not self.frames:
            return []
        return [
            {
                "press_rate": down / frames if frames else None,
                "onset_rate": onsets / frames if frames else None,
                "onsets": onsets,
                "hold_frames": down / onsets if onsets else None,
            }
            for down, onsets, frames in zip(
                *(np.sum(x, axis=0).tolist() for x in (self.down, self.onsets, self.frames)),
                strict=True,
            )
        ]


class _Leaks:
    """Running counts of flags of the state that change together with a control, in the same row.

    A row's state comes before its controls, so such a flag gives a label away: it was recorded at
    the same instant, or later.
    """

    def __init__(self, schema: Schema) -> None:
        each = schema.controls.slots
        self.inputs = [
            key
            for key in schema.state_keys
            if not isinstance(schema.columns[key].field, Real)
            and schema.columns[key].slots in (1, each)
        ]
        self.changes = {
            key: 0 for key in schema.control_keys if not isinstance(schema.columns[key].field, Real)
        }
        self.shared: dict[tuple[str, str], int] = {}

    def add(self, block: AuditRows) -> None:
        decided = block.decided()[:, None].copy()
        decided[block.starts] = False
        changed = {key: self._changed(block, key) for key in (*self.inputs, *self.changes)}
        for control in self.changes:
            moved = changed[control] & decided
            self.changes[control] += int(moved.sum())
            if not moved.any():
                continue
            for key in self.inputs:
                both = int((moved & changed[key]).sum())
                self.shared[control, key] = self.shared.get((control, key), 0) + both

    def result(self) -> dict[str, list[str]]:
        """Columns of the state that give each control away, by control."""
        found: dict[str, list[str]] = {}
        for (control, key), both in self.shared.items():
            if self.changes[control] >= FEW and both >= GIVEN_AWAY * self.changes[control]:
                found.setdefault(control, []).append(key)
        return found

    def _changed(self, block: AuditRows, key: str) -> Array:
        values = block.columns[key]
        return np.asarray(values != np.roll(values, 1, axis=0))


# ---- inside --------------------------------------------------------------------------------------


def _is_flag(schema: Schema, key: str) -> bool:
    return isinstance(schema.columns[key].field, Flag)


def _sides(store: Store, split: Split) -> dict[str, Any]:
    sides = split.sides(store)
    names = (*SIDES, "dropped") if (sides == DROPPED).any() else SIDES
    return {
        side: {
            "episodes": int((sides == at).sum()),
            "frames": int((store.lengths[sides == at] - 1).sum()),
        }
        for at, side in enumerate(names)
    }


def _notes(store: Store) -> dict[str, int]:
    """Remarks of readers in the metadata, each with the number of episodes that have it."""
    counts: dict[str, int] = {}
    for number in range(len(store)):
        for note in store.meta_of(number).get("notes", ()):
            counts[str(note)] = counts.get(str(note), 0) + 1
    return counts


def _event_counts(store: Store) -> dict[str, int]:
    """Number of events of each kind, by name, or by number where the store does not name it."""
    names = dict(enumerate(store.manifest.event_kinds))
    counts: dict[str, int] = {}
    for shard in store.shards:
        for kind, count in zip(*np.unique(shard.events["kind"], return_counts=True), strict=True):
            name = names.get(int(kind), str(kind))
            counts[name] = counts.get(name, 0) + int(count)
    return counts


def _memory(store: Store) -> dict[str, Any]:
    """Bytes that all rows take in memory, and whether they fit into this machine's."""
    needed = store.manifest.rows * store.schema.row_dtype.itemsize
    available = system.memory()
    fits = None if available is None else needed < 0.8 * available
    return {"bytes": needed, "machine_bytes": available, "fits": fits}


# ---- in words ------------------------------------------------------------------------------------


def warnings(facts: dict[str, Any]) -> list[str]:
    """Sentences about values that are not allowed, labels that are given away, and remarks of readers."""
    found = [
        f"{key} holds {each['forbidden']:,} values that are not finite or out of range; "
        "they are left out of its figures"
        for key, each in facts["columns"].items()
        if each["forbidden"]
    ]
    found += [
        f"{', '.join(keys)} changes in the same rows as {control}: an input that gives its label away"
        for control, keys in facts["leaks"].items()
    ]
    found += [
        f"{text} ({count:,} {'episode' if count == 1 else 'episodes'})"
        for text, count in list(facts["notes"].items())[:MOST_NOTES]
    ]
    return [f"warning: {text}" for text in found]


def rare_presses(facts: dict[str, Any]) -> list[str]:
    """Sentence about controls that are pressed too rarely to be learned; empty if there are none."""
    rare = [
        f"{key} ({count})"
        for key, slots in facts["controls"].items()
        if (count := sum(slot["onsets"] for slot in slots)) < FEW
    ]
    few = f"warning: fewer than {FEW} presses, too few to learn from: {', '.join(rare)}"
    return [few] if rare else []


def column_notes(summary: dict[str, Any]) -> str:
    """Remark about an unusual column: damaged, absent, dead or constant; empty otherwise."""
    if summary.get("forbidden"):
        return f"{summary['forbidden']:,} values not finite or out of range"
    if summary["min"] is None:
        return "absent"
    return "dead: always 0" if summary["dead"] else "constant" if summary["constant"] else ""
