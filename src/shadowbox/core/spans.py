"""Spans: the agents of a seat over time, in matches in which a seat changed hands.

`meta["spans"]` of an episode is a list of `{seat, from, to, by}`: `by` decided the rows [from, to).
Rows of a seat outside all spans were decided by the seat's entry in `meta["players"]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from shadowbox.errors import EpisodeError

KEYS = ("seat", "from", "to", "by")


@dataclass(frozen=True, order=True)
class Span:
    """Decisions of the rows [start, end) in one seat, and the agent or person that made them."""

    seat: int
    start: int
    end: int
    by: str

    def to_json(self) -> dict[str, Any]:
        """Plain data, as metadata holds it."""
        return dict(zip(KEYS, (self.seat, self.start, self.end, self.by), strict=True))


def spans_of(meta: Mapping[str, Any], frames: int, players: int, name: str) -> tuple[Span, ...]:
    """Spans in an episode's metadata, checked against its decisions and players.

    `name` begins the message of a refusal. Without `spans` in the metadata there are none.
    """
    entries = meta.get("spans", [])
    if not isinstance(entries, list):
        raise EpisodeError(f"{name}, spans: a {type(entries).__name__}, expected a list")
    spans = tuple(
        _span(entry, frames, players, f"{name}, spans[{at}]") for at, entry in enumerate(entries)
    )
    for at, (one, two) in enumerate(pairwise(spans), start=1):
        if (two.seat, two.start) < (one.seat, one.end):
            raise EpisodeError(
                f"{name}, spans[{at}]: {two.to_json()} begins before {one.to_json()} ends; "
                "spans are ordered by seat and row and do not overlap"
            )
    return spans


def _span(entry: Any, frames: int, players: int, where: str) -> Span:
    if not isinstance(entry, Mapping) or set(entry) != set(KEYS):
        raise EpisodeError(f"{where}: {entry!r:.100}, expected exactly {', '.join(KEYS)}")
    for key in KEYS[:3]:
        if isinstance(entry[key], bool) or not isinstance(entry[key], int):
            raise EpisodeError(f"{where}: {key} is {entry[key]!r:.40}, expected a whole number")
    if not 0 <= entry["seat"] < players:
        raise EpisodeError(f"{where}: seat is {entry['seat']}, expected 0 .. {players - 1}")
    if not 0 <= entry["from"] < entry["to"] <= frames:
        raise EpisodeError(
            f"{where}: from {entry['from']} to {entry['to']}, expected rows within 0 .. {frames}, "
            "from below to"
        )
    if not isinstance(entry["by"], str) or not entry["by"]:
        raise EpisodeError(
            f"{where}: by is {entry['by']!r:.40}, expected the name of an agent or a person"
        )
    return Span(entry["seat"], entry["from"], entry["to"], entry["by"])
