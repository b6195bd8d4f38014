"""Events of predicted rows, matched with those of the recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from shadowbox.core.game import Game
from shadowbox.core.schema import Array, Columns
from shadowbox.core.stats import Interval, bootstrap

TOLERANCES = (0, 2, 5)  # frames


class _EventScore(NamedTuple):
    """Counts of one kind by episode, [E, 3]: matched, true, predicted."""

    kind: str
    tolerance: int
    counts: Array

    @property
    def f1(self) -> Interval:
        """F1 with its bootstrap interval over episodes; NaN without any event."""
        with np.errstate(invalid="ignore"):
            return bootstrap(lambda sums: 2 * sums[:, 0] / (sums[:, 1] + sums[:, 2]), self.counts)

    @property
    def precision(self) -> float:
        """Matched share of the predicted events."""
        return _share(self.counts[:, 0].sum(), self.counts[:, 2].sum())

    @property
    def recall(self) -> float:
        """Matched share of the true events."""
        return _share(self.counts[:, 0].sum(), self.counts[:, 1].sum())

    @property
    def ratio(self) -> float:
        """Predicted events for each true one."""
        return _share(self.counts[:, 2].sum(), self.counts[:, 1].sum())


def events_of(game: Game, rows: Columns, valid: Array | None = None) -> Array:
    """Events of N stretches of rows [N, R, slots]; `match` is the stretch.

    `valid` [N, R]: rows whose events count. Of a game that finds hits from the state (`Game.hits`) no
    other hit counts, whatever a row says about it.
    """
    if game.events is None:
        raise ValueError(f"{game.name} derives no events from rows")
    count, length = next(iter(rows.values())).shape[:2]
    flat = {key: values.reshape(count * length, -1) for key, values in rows.items()}
    found = game.events(flat)
    if game.hits is not None:
        struck = game.hits(flat)
        victim = np.where(found["other"] >= 0, found["other"], found["player"])
        real = struck[np.maximum(found["frame"].astype(np.int64) - 1, 0), victim]
        found = found[(found["kind"] != game.event_kinds.index("hit")) | real]
    match, frame = np.divmod(found["frame"].astype(np.int64), length)
    inside = frame > 0  # the first row of a stretch does not follow the last of another
    if valid is not None:
        inside &= valid[match, frame]
    found = found[inside].copy()
    found["match"], found["frame"] = match[inside], frame[inside]
    return found


def masks_of(derive: object, rows: Columns, valid: Array) -> tuple[dict[str, Array], Array]:
    """Sums of masks of contradictions by stretch, [N] each by name, and steps counted [N].

    `derive`: Game.couplings or Game.impossible; `valid` [N, R]: rows that count.
    """
    assert callable(derive)
    count, length = next(iter(rows.values())).shape[:2]
    flat = {key: values.reshape(count * length, -1) for key, values in rows.items()}
    inside = valid.copy()
    inside[:, 0] = False
    sums = {}
    for name, mask in derive(flat).items():
        wide = np.concatenate([np.zeros((1, mask.shape[1]), bool), mask])
        sums[name] = (wide.reshape(count, length, -1).sum(-1) * inside).sum(1)
    return sums, inside.sum(1)


def score_events(
    truth: Array, guess: Array, episodes: Array, kinds: Sequence[str], *, samples: int = 1
) -> dict[tuple[str, int], _EventScore]:
    """Match predicted events with true ones, by kind and tolerance.

    A pair has the same kind, player and other player, is in the same stretch, and at most the
    tolerance apart; pairs are one to one. Each true stretch has `samples` predicted ones, numbered one after
    another. `episodes` [S] are those of the true stretches.
    """
    groups, group = np.unique(episodes, return_inverse=True)
    scores = {}
    wide = int(max(_last(truth), _last(guess))) + max(TOLERANCES) + 2
    for number, kind in enumerate(kinds):
        true = truth[truth["kind"] == number]
        said = guess[guess["kind"] == number]
        if not len(true) and not len(said):
            continue
        repeated = np.repeat(true, samples)
        repeated["match"] = repeated["match"] * samples + np.tile(np.arange(samples), len(true))
        places = [_places(events, wide) for events in (repeated, said)]
        owners = [group[events["match"] // samples] for events in (repeated, said)]
        owners = [each[order] for each, (order, _) in zip(owners, places, strict=True)]
        for tolerance in TOLERANCES:
            hit = _paired(places[0][1], places[1][1], tolerance)
            sums = [np.bincount(owners[0], hit, len(groups))]
            sums += [np.bincount(each, minlength=len(groups)) for each in owners]
            scores[kind, tolerance] = _EventScore(kind, tolerance, np.stack(sums, 1).astype(float))
    return scores


def _places(events: Array, wide: int) -> tuple[Array, Array]:
    """Order of events, and sorted positions on a line on which only pairs can be near."""
    who = (events["player"].astype(np.int64) + 1) * 16 + events["other"] + 1
    place = (events["match"].astype(np.int64) * 256 + who) * wide + events["frame"]
    order = np.argsort(place, kind="stable")
    return order, place[order]


def _paired(true: Array, said: Array, tolerance: int) -> Array:
    """Mask of the sorted true places that have a partner; the earliest ones are taken in order."""
    hit = np.zeros(len(true), bool)
    at, other, mine, theirs = 0, 0, true.tolist(), said.tolist()
    while at < len(mine) and other < len(theirs):
        offset = theirs[other] - mine[at]
        if abs(offset) <= tolerance:
            hit[at] = True
            at, other = at + 1, other + 1
        elif offset < 0:
            other += 1
        else:
            at += 1
    return hit


def _last(events: Array) -> int:
    return int(events["frame"].max()) if len(events) else 0


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def hit_facts(events: Array, kinds: Sequence[str]) -> Mapping[str, Array]:
    """Damage of hits and frames between the hits of a stretch, for distributions."""
    if "hit" not in kinds:
        return {}
    hits = events[events["kind"] == kinds.index("hit")]
    hits = hits[np.lexsort((hits["frame"], hits["match"]))]
    same = np.diff(hits["match"]) == 0
    return {"damage of hits": hits["value"], "frames between hits": np.diff(hits["frame"])[same]}
