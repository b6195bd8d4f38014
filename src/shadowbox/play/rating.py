"""Ratings from match results: pure functions, each number with its interval.

Scores of a pair (a, b) are those of a: 1 win, 0.5 draw, 0 loss. A table of counts is [n, n, 3]:
wins, draws and losses of the row against the column; its transpose is the same matches from the
other side.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval, wilson

ELO = 400 / np.log(10)  # points for a factor e in the odds
START = 1000.0  # the anchor's rating
# virtual draws of each agent against the anchor: keeps an agent that won everything at a finite
# rating
PRIOR = 0.5
TRIES = 1000  # bootstrap
UNSEEN = 1 / 3  # matches of each outcome that might have been
CYCLE_TRIES, CYCLE_LEVEL = 500, 0.01  # simulated tables; below this p-value Elo is unreliable
NASH_TRIES = 100  # bootstrap of equilibria, which take longer than ratings
NASH_SLACKS = np.geomspace(1e-2, 1e-10, 9)  # by which an agent may beat the mixture, for each price


@dataclass(frozen=True)
class WinCount:
    """Results of one agent against another."""

    wins: int
    draws: int
    losses: int
    distinct: int  # different matches among them; between two deterministic players most are copies
    rate: Interval  # of the distinct matches, a draw as half a win


def count_wins(outcomes: Sequence[float], identities: Sequence[Hashable]) -> WinCount:
    """Count the scores of one agent; copies of a match (same identity) count once in the rate."""
    counts = [sum(outcome == value for outcome in outcomes) for value in (1.0, 0.5, 0.0)]
    once = list(dict(zip(identities, outcomes, strict=True)).values())
    return WinCount(counts[0], counts[1], counts[2], len(once), wilson(sum(once), len(once)))


def mirrored_pairs(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Win rate over pairs of matches with the same seed, once in each seat.

    The two matches of a pair share their luck, so the interval counts pairs, not matches.
    """
    pairs = (np.asarray(first) + np.asarray(second)) / 2
    return wilson(float(pairs.sum()), len(pairs))


def bradley_terry(counts: Array, anchor: int = 0) -> Array:
    """Maximum-likelihood log strengths [n] of Davidson's model (Bradley-Terry with ties), the anchor's 0.

    `counts` [..., n, n, 3] may have leading axes (a bootstrap); then so has the result. P(i beats
    j) is proportional to p_i, P(j beats i) to p_j, and a tie to t sqrt(p_i p_j), with one t for the
    league.
    """
    lead, n = counts.shape[:-3], counts.shape[-2]
    strengths, _ = _fit(counts.reshape(-1, n, n, 3).astype(np.float64), anchor)
    return strengths.reshape(*lead, n)


def _fit(table: Array, anchor: int) -> tuple[Array, Array]:
    """Log strengths [B, n] and logs of the tie parameter [B] of tables [B, n, n, 3]."""
    n = table.shape[-2]
    strengths, log_tie = np.zeros((len(table), n)), np.zeros(len(table))
    prior = PRIOR * (1 - np.eye(n)[anchor])
    for _ in range(100):
        step = _newton_step(table, strengths, log_tie, prior, anchor)
        strengths += step[:, :n]
        log_tie += step[:, n]
        if np.abs(step).max() < 1e-9:
            break
    return strengths, log_tie


def _chances(strengths: Array, log_tie: Array) -> Array:
    """Probabilities of a win, a tie and a loss [B, n, n, 3] of the row against the column."""
    gap = strengths[:, :, None] - strengths[:, None, :]
    logits = np.stack(
        [gap / 2, np.broadcast_to(log_tie[:, None, None], gap.shape), -gap / 2], axis=-1
    )
    chance = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(chance / chance.sum(-1, keepdims=True))


def _newton_step(
    table: Array, strengths: Array, log_tie: Array, prior: Array, anchor: int
) -> Array:
    """One damped Newton step [B, n + 1] in the strengths and the log of the tie parameter."""
    n = table.shape[1]
    chance = _chances(strengths, log_tie)
    played = table.sum(-1) * (1 - np.eye(n))
    # d(log-likelihood)/d(strength i): half of (wins - losses) less what is expected; every pair
    # counts once a side
    edge, tie = (chance[..., 0] - chance[..., 2]) / 2, chance[..., 1]
    slope = ((table[..., 0] - table[..., 2]) / 2 * (1 - np.eye(n)) - played * edge).sum(2)
    slope_tie = ((table[..., 1] * (1 - np.eye(n)) - played * tie).sum((1, 2))) / 2
    bend = played * ((chance[..., 0] + chance[..., 2]) / 4 - edge**2)
    cross = -(played * tie * edge)  # mixed second derivative, summed over j below
    hessian = np.zeros((len(table), n + 1, n + 1))
    hessian[:, :n, :n] = bend
    index = np.arange(n)
    hessian[:, index, index] = -bend.sum(2)
    hessian[:, :n, n] = hessian[:, n, :n] = -cross.sum(2)
    hessian[:, n, n] = -(played * tie * (1 - tie)).sum((1, 2)) / 2 - 1e-3
    pull = 1 / (1 + np.exp(-strengths))  # the virtual draws against the anchor
    slope += prior * (0.5 - pull)
    hessian[:, index, index] -= prior * pull * (1 - pull)
    slope[:, anchor] = 0
    hessian[:, anchor, :] = hessian[:, :, anchor] = 0
    hessian[:, anchor, anchor] = -1
    gradient = np.concatenate([slope, (slope_tie - 1e-3 * log_tie)[:, None]], axis=1)
    step = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
    return np.asarray(np.clip(step, -2, 2))


def elo(counts: Array, anchor: int = 0, *, seed: int = 0, tries: int = TRIES) -> list[Interval]:
    """Ratings of n agents with 95 % intervals by bootstrap over the matches of each pair.

    The anchor has 1000.
    """
    values = ELO * bradley_terry(counts, anchor)
    drawn = ELO * bradley_terry(_resampled(counts, tries, seed), anchor)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    triples = zip(values, np.minimum(low, values), np.maximum(high, values), strict=True)
    return [Interval(*(START + float(x) for x in triple)) for triple in triples]


def _resampled(counts: Array, tries: int, seed: int) -> Array:
    """Tables [tries, n, n, 3] in which each pair's matches have new weights (a Bayesian bootstrap).

    Drawing whole matches again would give 50 wins of 50 an interval without width; weights from a
    Dirichlet distribution with a little of what has not happened yet do not.
    """
    draws = np.random.default_rng(seed)
    n = len(counts)
    tables = np.zeros((tries, n, n, 3))
    for a, b in itertools.combinations(range(n), 2):
        total = int(counts[a, b].sum())
        if total:
            tables[:, a, b] = total * draws.dirichlet(counts[a, b] + UNSEEN, tries)
            tables[:, b, a] = tables[:, a, b, ::-1]
    return tables


def cycles(rates: Sequence[Sequence[Interval | None]]) -> list[tuple[int, int, int]]:
    """Cycles of three: a beats b, b beats c, c beats a, each with its whole interval above a half."""
    n = len(rates)

    def beats(a: int, b: int) -> bool:
        rate = rates[a][b]
        return rate is not None and rate.low > 0.5

    found = []
    for a, b, c in itertools.permutations(range(n), 3):
        if a < b and a < c and beats(a, b) and beats(b, c) and beats(c, a):
            found.append((a, b, c))
    return found


# ---- cycles --------------------------------------------------------------------------------------


class _CycleTest(NamedTuple):
    """Test of the hypothesis that one strength for each agent explains a table."""

    p: float  # share of tables made by the fitted strengths that fit them as badly
    cyclic: float  # share of the squared margins that no strengths explain (Hodge decomposition)
    expected: float  # mean of that share in tables made by the fitted strengths

    @property
    def reliable(self) -> bool:
        """True unless ratings surely leave out what the table shows."""
        return self.p >= CYCLE_LEVEL


def cycle_test(counts: Array, anchor: int = 0, *, seed: int = 0) -> _CycleTest:
    """Test for cycles of counts [n, n, 3] in which every pair has played, by parametric bootstrap.

    The misfit of the Bradley-Terry ratings is compared with that of tables that they make
    themselves, with as many matches of each pair.
    """
    table = counts[None].astype(np.float64)
    fitted = _fit(table, anchor)
    chance = _chances(*fitted)[0]
    draws, n = np.random.default_rng(seed), len(counts)
    drawn = np.zeros((CYCLE_TRIES, n, n, 3))
    for a, b in itertools.combinations(range(n), 2):
        drawn[:, a, b] = draws.multinomial(int(counts[a, b].sum()), chance[a, b], CYCLE_TRIES)
        drawn[:, b, a] = drawn[:, a, b, ::-1]
    worse = _misfit(drawn, _fit(drawn, anchor)) >= _misfit(table, fitted) * (1 - 1e-9)
    return _CycleTest(
        float((1 + worse.sum()) / (1 + CYCLE_TRIES)),
        float(_cyclic_share(margins(table))[0]),
        float(_cyclic_share(margins(drawn)).mean()),
    )


def margins(counts: Array) -> Array:
    """Score of the row against the column less one half, [..., n, n]; 0 for pairs without a match."""
    return np.asarray(
        (counts[..., 0] - counts[..., 2]) / 2 / np.maximum(counts.sum(-1), 1.0),
    )


def _misfit(table: Array, fitted: tuple[Array, Array]) -> Array:
    """Pearson's chi-squared [B] of the scores of all pairs, given fitted strengths."""
    chance, played = _chances(*fitted), table.sum(-1)
    score = chance[..., 0] + chance[..., 1] / 2
    variance = chance[..., 0] + chance[..., 1] / 4 - score**2
    residual = table[..., 0] + table[..., 1] / 2 - played * score
    # an upset where none was expected counts as at most half a match
    return np.asarray((residual**2 / np.maximum(played * variance, 0.25)).sum((1, 2)) / 2)


def _cyclic_share(margin: Array) -> Array:
    """Share [B] of the squares of margins [B, n, n] that is left without their best ratings."""
    ratings = margin.mean(-1)
    cyclic = margin - (ratings[..., :, None] - ratings[..., None, :])
    return np.asarray((cyclic**2).sum((-2, -1)) / np.maximum((margin**2).sum((-2, -1)), 1e-12))


# ---- Nash averaging ------------------------------------------------------------------------------


def nash_mixture(margin: Array) -> Array:
    """Maximum-entropy Nash equilibrium [..., n] of antisymmetric margins [..., n, n].

    Among the mixtures of agents that no agent beats, the one that is most even. It ignores copies:
    an agent that is entered twice shares its weight.
    """
    lead, n = margin.shape[:-2], margin.shape[-1]
    table = margin.reshape(-1, n, n).astype(np.float64)
    prices = np.zeros((len(table), n))
    for slack in NASH_SLACKS:
        for _ in range(40):
            step = _nash_step(table, prices, slack)
            prices = np.maximum(prices + step, 0.0)
            if np.abs(step).max() < 1e-6:
                break
    return _mixture(table, prices).reshape(*lead, n)


def _mixture(table: Array, prices: Array) -> Array:
    """Mixtures [..., n] of most entropy, given a price [..., n] of being beaten by each agent."""
    logits = (table @ prices[..., None])[..., 0]
    chance = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(chance / chance.sum(-1, keepdims=True))


def _nash_step(table: Array, prices: Array, slack: float) -> Array:
    """One projected Newton step [B, n] in the prices, of the dual of maximizing the entropy.

    The dual is to minimize log sum exp(table prices) over prices of at least 0; `slack` times half
    their squares keeps them finite where an agent must have no weight at all.
    """
    n, batch = table.shape[-1], len(table)
    mixture = _mixture(table, prices)
    beating = (table @ mixture[..., None])[..., 0]
    slope = slack * prices - beating
    moved = table * mixture[..., None]
    hessian = np.swapaxes(table, 1, 2) @ moved - beating[..., :, None] * beating[..., None, :]
    hessian[:, np.arange(n), np.arange(n)] += slack
    free = (prices > 0) | (slope < 0)
    hessian = np.where(free[..., None] & free[..., None, :], hessian, np.eye(n))
    step = -np.linalg.solve(hessian, np.where(free, slope, 0.0)[..., None])[..., 0]
    tried = np.maximum(prices + 0.5 ** np.arange(20)[:, None, None] * step, 0.0)  # [20, B, n]
    logits = (table @ tried[..., None])[..., 0]
    highest = logits.max(-1)
    costs = highest + np.log(np.exp(logits - highest[..., None]).sum(-1))
    costs += slack / 2 * (tried**2).sum(-1)
    return np.asarray(tried[costs.argmin(0), np.arange(batch)] - prices)


def nash_averages(counts: Array, *, seed: int = 0) -> list[tuple[Interval, Interval]]:
    """Weight in the mixture and score against it of each agent, with bootstrap intervals.

    `counts` [n, n, 3]; every pair has played. The score of an agent in the mixture is one half.
    """
    tables = np.concatenate([counts[None], _resampled(counts, NASH_TRIES, seed)])
    margin = margins(tables)
    mixture = nash_mixture(margin)
    scores = 0.5 + (margin @ mixture[..., None])[..., 0]
    found = []
    for at in range(len(counts)):
        pair = []
        for values in (mixture[:, at], scores[:, at]):
            low, high = np.quantile(values[1:], [0.025, 0.975])
            value = float(values[0])
            pair.append(Interval(value, min(float(low), value), max(float(high), value)))
        found.append((pair[0], pair[1]))
    return found


def as_dict(interval: Interval, name: str = "value") -> dict[str, Any]:
    """An interval as plain data."""
    return {name: interval.value, "low": interval.low, "high": interval.high}
