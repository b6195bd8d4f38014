"""Likeness: how well a classifier distinguishes a policy's play and a player's.

The area under the ROC curve (AUC) of a logistic regression that reads stretches of a few seconds: what
was pressed, how often a press began, where the player was, and how far from the opponent. It is tested
on matches that it was not fitted to. 0.5: the two play alike, as far as it sees; 1: each stretch gives
the player away. Beside it are two halves of the player's own matches, and the player against others.

W: stretches, F: features, M: matches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from shadowbox.core.evaluation import Figure
from shadowbox.core.schema import Array, Choice, Flag, Real, Schema
from shadowbox.core.stats import Interval
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.evaluate import closed_loop, recorded
from shadowbox.evaluate.recorded import SeatData
from shadowbox.evaluate.setup import (
    EvalConfig,
    EvaluatedPolicy,
    has_player,
    load_evaluated_policy,
    playable_world,
)
from shadowbox.evaluate.strategy.probe import MOST_CHOICES, fit_probe

if TYPE_CHECKING:
    from pathlib import Path

    from shadowbox.core.game import Game

Report = Callable[[str, int, int], None]  # what, done, total

SECONDS = 5.0  # of a stretch
FEWEST = 2  # matches of each of two players: one to fit to, one to test
FOLDS = 5
TRIES = 1000  # of the bootstrap
NAMED = 5  # features that are named as the greatest differences


@dataclass(frozen=True)
class _Likeness:
    """AUC of policy against player beside its baselines, and in what the two differ most."""

    auc: Figure  # baselines: real (player against player), others
    matches: dict[str, int]  # of the policy, the player, and the others
    differences: list[dict[str, Any]]  # {feature, policy, player}, the greatest first

    def to_json(self) -> dict[str, Any]:
        """`{likeness_auc, matches, seconds, differences}`."""
        return {
            "likeness_auc": self.auc.to_json(),
            "matches": self.matches,
            "seconds": SECONDS,
            "differences": self.differences,
        }


def likeness(
    checkpoint: str | Path,
    store: str | Path,
    settings: EvalConfig | None = None,
    *,
    game: Game | None = None,
    progress: Report | None = None,
) -> _Likeness:
    """Play a policy in the player's seats, as many matches as are recorded, and compare.

    Matches are those of the split's side `settings.side`; where too few are held out, name another.
    The player is `settings.player`, or the person who played in a browser, or everyone in the seats.
    """
    settings = settings or EvalConfig()
    subject = load_evaluated_policy(str(checkpoint), Store(store), settings, game)
    episodes = _episodes(subject, settings)
    name = settings.player or _person(subject.store, episodes)
    player = list(recorded.load_seats(subject.store, episodes, subject.players, name))
    others = _others(subject, episodes, player)
    policy = _played(subject, episodes, name, len(player), settings, progress)
    names, sets = _features(subject.schema, policy, player, others)
    mine, theirs, foreign = sets
    beside = {}
    order = np.random.default_rng(0).permutation(len(theirs))  # a match's seats are neighbors
    one, other = ([theirs[at] for at in order[half::2]] for half in (0, 1))
    if min(len(one), len(other)) >= FEWEST:
        beside["real"] = separation(one, other)
    if len(foreign) >= FEWEST:
        beside["others"] = separation(theirs, foreign)
    return _Likeness(
        Figure(separation(mine, theirs), beside),
        {"policy": len(mine), "player": len(theirs), "others": len(foreign)},
        _differences(names, mine, theirs),
    )


def separation(one: Sequence[Array], other: Sequence[Array], *, seed: int = 0) -> Interval:
    """AUC between two players, each a list of matches [W, F]; 95 % by bootstrap over matches.

    Only stretches that were tested by the same fold's classifier are compared with each other.
    """
    folds = min(FOLDS, len(one), len(other))
    if folds < 2:
        return Interval(np.nan, np.nan, np.nan)
    above, pairs = np.zeros((2, len(one), len(other)))
    for fold in range(folds):
        test = [[at for at in range(len(some)) if at % folds == fold] for some in (one, other)]
        rows = [
            np.concatenate([some[at] for at in range(len(some)) if at % folds != fold])
            for some in (one, other)
        ]
        names = np.repeat([1, 0], [len(part) for part in rows])
        # both count the same, so that a longer recording is not the likelier answer
        weights = [max(1, len(rows[1]) // len(rows[0])), max(1, len(rows[0]) // len(rows[1]))]
        repeated = np.repeat(np.arange(len(names)), np.repeat(weights, [len(r) for r in rows]))
        probe = fit_probe(np.concatenate(rows)[repeated], names[repeated], 2)
        for i in test[0]:
            for j in test[1]:
                a, b = probe(one[i])[:, 1], probe(other[j])[:, 1]
                above[i, j] = (a[:, None] > b).sum() + 0.5 * (a[:, None] == b).sum()
                pairs[i, j] = len(a) * len(b)
    draws = np.random.default_rng(seed)
    value = above.sum() / pairs.sum()
    weights_of = [draws.multinomial(n, np.full(n, 1 / n), TRIES).astype(float) for n in above.shape]
    top, bottom = (
        np.einsum("ti,ij,tj->t", weights_of[0], table, weights_of[1]) for table in (above, pairs)
    )
    low, high = np.nanquantile(top / np.where(bottom > 0, bottom, np.nan), [0.025, 0.975])
    return Interval(float(value), float(low), float(high))


# ---- who plays -----------------------------------------------------------------------------------


def _episodes(subject: EvaluatedPolicy, settings: EvalConfig) -> list[int]:
    """Episodes of a side that have the player."""
    chosen = [
        int(episode)
        for episode in subject.split.episodes(subject.store, settings.side)
        if has_player(subject, settings.player, int(episode))
    ][: settings.most]
    if len(chosen) < FEWEST:
        raise UsageError(
            f"{subject.store.path}: likeness compares at least {FEWEST} matches, and {len(chosen)} "
            f"are on the side '{settings.side}'; use --side all, or record more"
        )
    return chosen


def _person(store: Store, episodes: Sequence[int]) -> str:
    """Name of the person who played most of the matches in a browser; empty if no person did."""
    names = [
        recorded.player_in_seat(store, episode, seat)
        for episode in episodes
        if isinstance(seat := store.meta_of(episode).get("person"), int)
    ]
    return max(sorted(set(names)), key=names.count) if names else ""


def _played(
    subject: EvaluatedPolicy,
    episodes: Sequence[int],
    who: str,
    matches: int,
    settings: EvalConfig,
    progress: Report | None,
) -> list[SeatData]:
    """Matches of the policy in the seats of the player, against the same opponents."""
    from shadowbox.play.policy_agent import PolicyAgent, SamplingConfig

    game, world = subject.game, playable_world(subject.game, subject.store, settings)
    if world is None:
        raise UsageError(
            f"{game.name} has no simulator, so that the policy plays no match to compare; name a "
            "world with --world"
        )
    seats = closed_loop.recorded_seats(
        game, subject.store, episodes, subject.players, settings.matches or matches,
        settings.against, who, "likeness",
    )  # fmt: skip
    if not seats:
        raise UsageError(
            f"{subject.store.path}: no opponent in its episodes can be called by name; name one: "
            "--against SPEC"
        )
    sampling = SamplingConfig(settings.temperature, settings.threshold, settings.player)
    agent = PolicyAgent(subject.policy, sampling, calibration=subject.found.calibration)
    report = (lambda done, total: progress("playing", done, total)) if progress else None
    name = f"policy:{subject.name}"
    return closed_loop.play_in(game, seats, agent, name, world[1], report).seats


def _others(
    subject: EvaluatedPolicy,
    episodes: Sequence[int],
    player: Sequence[SeatData],
) -> list[SeatData]:
    """The opponents in the same matches, whose names are others than the player's."""
    mine = {(seat.episode, seat.player) for seat in player}
    names = {recorded.player_in_seat(subject.store, *at) for at in mine}
    found = recorded.load_seats(subject.store, episodes)
    return [
        seat
        for seat in found
        if (seat.episode, seat.player) not in mine
        and recorded.player_in_seat(subject.store, seat.episode, seat.player) not in names
    ]


# ---- what is compared ----------------------------------------------------------------------------


def _features(schema: Schema, *players: Sequence[SeatData]) -> tuple[list[str], list[list[Array]]]:
    """Names of features, and stretches [W, F] of each match of each player.

    What never changes within a match, such as a character, is not play, and is left out.
    """
    frames = round(SECONDS * schema.fps)
    parts = [[_columns(schema, seat) for seat in seats] for seats in players]
    everyone = [seat for seats in parts for seat in seats]
    names = [
        name
        for name in everyone[0]
        if all(name in seat for seat in everyone)
        and any((seat[name] != seat[name][0]).any() for seat in everyone)
    ]
    return names, [
        [rows for seat in seats if len(rows := _stretches(seat, names, frames))] for seats in parts
    ]


def _stretches(columns: dict[str, Array], names: Sequence[str], frames: int) -> Array:
    """Means of columns over stretches, [W, F].

    The rest after the last one is left out; a match shorter than a stretch is one.
    """
    table = np.stack([columns[name] for name in names], -1).astype(np.float32)
    cuts = range(0, len(table) + 1, min(frames, max(1, len(table))))
    found = [table[start:end].mean(0) for start, end in pairwise(cuts)]
    return np.array(found, np.float32).reshape(-1, len(names))


def _columns(schema: Schema, seat: SeatData) -> dict[str, Array]:
    """What a seat did, and where it was: name -> values [T]."""
    found: dict[str, Array] = {}
    for name, down in seat.down.items():
        found[f"{name} held"] = down
        found[f"{name} begun"] = down & ~seat.before[name]
    for name, place in seat.stick.items():
        found[name] = place
        found[f"{name} moved"] = np.abs(place - seat.stick_before[name])
    for key in schema.state_keys:
        column = schema.columns[key]
        if not column.group.per:
            continue
        each = column.slots // schema.players
        for slot in range(each):
            found |= _state(
                key + f"[{slot}]" * (each > 1), column.field, seat.view[key], slot, each
            )
    return found


def _state(name: str, field: Any, values: Array, slot: int, each: int) -> dict[str, Array]:
    """Columns of one own slot: each value of a choice, a flag, or a number and its distance."""
    own = values[:, slot]
    if isinstance(field, Choice) and field.n > MOST_CHOICES:
        return {}
    if isinstance(field, Choice) and field.names:
        return {f"{name} is {value}": own == at for at, value in enumerate(field.names)}
    if isinstance(field, Choice):  # a counter
        return {name: own / field.n}
    if isinstance(field, Flag):
        return {name: own != 0}
    assert isinstance(field, Real)
    found = {name: own * field.scale}
    if values.shape[1] > each:  # an opponent
        found[f"{name}, distance"] = np.abs(own - values[:, each + slot]) * field.scale
    return found


def _differences(
    names: Sequence[str], one: Sequence[Array], other: Sequence[Array]
) -> list[dict[str, Any]]:
    """Features in whose means the two differ most, in units of their spread over stretches."""
    a, b = np.concatenate(one), np.concatenate(other)
    spread = np.sqrt((a.var(0) + b.var(0)) / 2)
    gap = np.abs(a.mean(0) - b.mean(0)) / np.where(spread > 1e-6, spread, np.inf)
    return [
        {"feature": names[at], "policy": float(a[:, at].mean()), "player": float(b[:, at].mean()),
         "spreads": float(gap[at])}
        for at in np.argsort(-gap)[:NAMED]
    ]  # fmt: skip
