"""Declarations of figures: counts by match or by session, and figures of their sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shadowbox.core.schema import Array, Columns


@dataclass(frozen=True)
class _Behavior:
    """Counts of what the players of a game do, frame by frame, and the figures of a match.

    `count`: columns [N, slots], their events [E] and the row of each [E] -> [counts, N, players].
    `figures`: sums of a player's counts over a match, and its frames -> figures by name.
    """

    counts: tuple[str, ...]
    count: Callable[[Columns, Array, Array], Array]
    figures: Callable[[Mapping[str, float], int], Mapping[str, float | None]]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the figures."""
        return tuple(self.figures(dict.fromkeys(self.counts, 0.0), 1))

    def of(self, sums: Array, frames: int) -> dict[str, float | None]:
        """Figures of a player whose counts add up to `sums` [counts]."""
        return dict(self.figures(dict(zip(self.counts, sums.tolist(), strict=True)), frames))


@dataclass(frozen=True, kw_only=True)
class _Replay:
    """Closed loop on recordings: a policy decides in recorded sessions, its own controls as history.

    For games whose recorded state hardly depends on the controls, such as the body of a person. The
    decision is that of live play: `decide` turns a policy's chances into controls.

    `settings`: thresholds by control, and one for the others (None: the default) -> settings.
    `rest`: the first row of a session [slots] -> memory.
    `decide`: settings, memory, chances {control: [slots] or [slots, n]}, row of the state [slots]
    -> controls [slots], memory.
    `count`: state, recorded controls and pressed ones [T, slots], and `forced` (pressed having seen
    the recorded controls, so that repeating a key does not begin one) -> sums {name: [...]}.
    `figures`: sums {name: [tries, ...]}, and those of all sessions {name: [...]} -> {figure: [tries]}.
    `person`: key of the metadata that names who was recorded. `unit`: key that names a session.
    """

    settings: Callable[[Mapping[str, float], float | None], Any]
    rest: Callable[[Columns], Any]
    decide: Callable[[Any, Any, Mapping[str, Array], Columns], tuple[Columns, Any]]
    count: Callable[[Columns, Columns, Columns, bool], dict[str, Array]]
    figures: Callable[[Mapping[str, Array], Mapping[str, Array]], dict[str, Array]]
    person: str = ""
    unit: str = ""
