"""Checks of the doctor: one function for each known problem, from a run's files to a finding."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean, median, pstdev

from shadowbox.core.stats import Interval, wilson
from shadowbox.evaluate.diagnosis.files import _Check, _Files, _Finding, _registering
from shadowbox.train import tables

LEAST_MATCHES, LEAST_UPDATES, LEAST_ROWS = 60, 20, 3
CHECKS: list[_Check] = []
_check = _registering(CHECKS)


# ---- 1: the agent does not learn -----------------------------------------------------------------


@_check(
    "flat_reward", "1", "the return does not rise, and most matches are lost",
    "against every fixed opponent: rise from the first to the last third below 2 standard errors, "
    "and below 50 % won in the last third",
    "raise learner.ent_coef to 0.05; pay more often (reward: dense, or more weight on damage); begin "
    "with `stages:` against a weaker opponent",
)  # fmt: skip
def _flat_reward(files: _Files) -> _Finding | None:
    rises, rates = [], []
    for name in sorted({row["opponent"] for row in files.anchors}):
        own = [row for row in files.anchors if row["opponent"] == name]
        third = len(own) // 3
        if third < LEAST_MATCHES // 3:
            continue
        first, last = ([float(row["r"]) for row in part] for part in (own[:third], own[-third:]))
        error = math.sqrt((pstdev(first) ** 2 + pstdev(last) ** 2) / third)
        rise = fmean(last) - fmean(first)
        rises.append(rise / error if error else math.copysign(math.inf, rise) if rise else 0.0)
        rates.append(fmean(float(row["won"]) for row in own[-third:]))
    if not rises:
        return None
    words = f"the return rose by {max(rises):.1f} standard errors at most; {max(rates):.0%} won"
    return _Finding(max(rises) < 2 and max(rates) < 0.5, max(rises), words)


@_check(
    "no_reward", "1", "the reward is zero in nearly all matches",
    "return 0 in over 90 % of the last 200 matches",
    "add a reward that is paid more often, such as damage (reward: dense)",
)  # fmt: skip
def _no_reward(files: _Files) -> _Finding | None:
    last = files.matches[-200:]
    if len(last) < LEAST_MATCHES:
        return None
    share = fmean(float(float(row["r"]) == 0) for row in last)
    return _Finding(share > 0.9, share, f"{share:.0%} of the last {len(last)} matches paid nothing")


@_check(
    "reward_scale", "1", "rewards are far from order one, and are not normalized",
    "mean size of a match's return beyond 0.01 .. 1,000 while learner.normalize_returns is off",
    "set learner.normalize_returns: true, or scale the weights of the reward",
)  # fmt: skip
def _reward_scale(files: _Files) -> _Finding | None:
    last = files.matches[-200:]
    if len(last) < LEAST_MATCHES:
        return None
    size = fmean(abs(float(row["r"])) for row in last)
    normalized = files.settings.get("learner.normalize_returns", True) is not False
    off = not normalized and not 0.01 <= size <= 1000
    return _Finding(off, size, f"a match pays {size:.3g} on average")


@_check(
    "input_range", "1", "observations out of range",
    "a number above 10 after its scale, or over 0.1 % beyond the bounds of their field",
    "give the field in the game's schema a `scale` that makes it of order one, and bounds that hold",
)  # fmt: skip
def _input_range(files: _Files) -> _Finding | None:
    rows = files.rows(tables.ROLLOUTS)
    if not rows:
        return None
    values = [_number(row.get("input_largest")) for row in rows]
    largest = max(values)
    name = rows[values.index(largest)].get("input_column", "")
    outside = max(_number(row.get("input_outside")) for row in rows)
    words = f"{name} reaches {largest:.3g} after its scale; {outside:.2%} are out of bounds"
    return _Finding(not largest <= 10 or not outside <= 0.001, largest, words)


@_check(
    "dead_inputs", "1", "observations that hardly ever change",
    "over 90 % of the columns constant in the last rollout",
    "check what the encoding shows (learner.encoding), and whether the world moves",
)  # fmt: skip
def _dead_inputs(files: _Files) -> _Finding | None:
    shares = files.column(tables.ROLLOUTS, "input_constant")
    if not shares:
        return None
    return _Finding(shares[-1] > 0.9, shares[-1], f"{shares[-1]:.0%} of the columns never change")


@_check(
    "dead_actions", "1", "actions that are never or always taken",
    "over half of the controls pressed in less than 0.1 % of decisions, or any in over 98 %",
    "raise learner.ent_coef or learner.ent_floor; check learner.actions and the masks",
)  # fmt: skip
def _dead_actions(files: _Files) -> _Finding | None:
    rows = files.rows(tables.ROLLOUTS)[-LEAST_ROWS:]
    names = [name for name in (rows[0] if rows else ()) if name.startswith("press.")]
    rates = {n: fmean(_number(row.get(n)) for row in rows) for n in names if rows[-1].get(n)}
    if len(rows) < LEAST_ROWS or not rates:
        return None
    dead = [name for name, rate in rates.items() if rate < 0.001]
    stuck = [name for name, rate in rates.items() if rate > 0.98]
    share = len(dead) / len(rates)
    listed = ", ".join(name.removeprefix("press.") for name in [*dead, *stuck]) or "none"
    words = f"{len(dead)} of {len(rates)} never, {len(stuck)} always pressed: {listed}"
    return _Finding(share > 0.5 or bool(stuck), share, words)


@_check(
    "random_policy", "1", "the policy stays random",
    "entropy above 97 % of the largest in the second half of the run",
    "lower learner.ent_coef, raise train.lr to 5e-4; check that rewards follow from actions",
)  # fmt: skip
def _random_policy(files: _Files) -> _Finding | None:
    shares = files.column(tables.ROLLOUTS, "entropy_share")
    done = float(files.facts.get("step", 0)) / max(float(files.facts.get("total", 1) or 1), 1.0)
    if len(shares) < LEAST_ROWS or done < 0.5 or len(_updates(files)) < LEAST_UPDATES:
        return None
    return _Finding(shares[-1] > 0.97, shares[-1], f"entropy at {shares[-1]:.1%} of the largest")


@_check(
    "entropy_collapse", "1", "the policy has stopped exploring",
    "entropy below 6 % of the largest",
    "raise learner.ent_coef, learner.ent_coef_final or learner.ent_floor",
)  # fmt: skip
def _entropy_collapse(files: _Files) -> _Finding | None:
    shares = files.column(tables.ROLLOUTS, "entropy_share")
    if len(shares) < LEAST_ROWS:
        return None
    return _Finding(shares[-1] < 0.06, shares[-1], f"entropy at {shares[-1]:.1%} of the largest")


# ---- 2: overfitting to self-play -----------------------------------------------------------------


@_check(
    "pool_overfit", "2", "it beats its own past and loses to others",
    "lower bound against the league above 60 %, and 20 points above the upper bound against the "
    "fixed opponents, in the last quarter",
    "give bots and policies of other runs a larger share of `opponents`; set learner.sampler: recent",
)  # fmt: skip
def _pool_overfit(files: _Files) -> _Finding | None:
    pool, anchors = _last_quarter(files, True), _last_quarter(files, False)
    if pool is None or anchors is None:
        return None
    words = f"{pool.value:.0%} won against the league, {anchors.value:.0%} against the others"
    sick = pool.low > 0.6 and pool.low - anchors.high > 0.2
    return _Finding(sick, pool.value - anchors.value, words)


@_check(
    "forgetting", "2", "it loses to its early snapshots",
    "upper bound below 50 % against the oldest third of the snapshots met in the last quarter",
    "set learner.sampler: pfsp_hard or uniform, keep more learner.snapshots, lower train.lr",
)  # fmt: skip
def _forgetting(files: _Files) -> _Finding | None:
    pool = [row for row in _quarter(files) if row.get("snapshot", "").startswith("step-")]
    names = sorted({row["snapshot"] for row in pool})
    old = [row for row in pool if row["snapshot"] in names[: len(names) // 3]]
    if len(old) < LEAST_MATCHES // 2:
        return None
    rate = wilson(sum(float(row["won"]) for row in old), len(old))
    words = f"{rate.value:.0%} of {len(old)} matches won against the oldest snapshots"
    return _Finding(rate.high < 0.5, rate.value, words)


# ---- 3: unstable training ------------------------------------------------------------------------


@_check(
    "oscillation", "3", "the win rate against fixed opponents swings",
    "mean change between windows of the second half above 20 points and 3 times that of chance",
    "lower train.lr to 1e-4 or learner.clip_range to 0.1; raise learner.n_steps or train.batch; "
    "set learner.sampler: recent",
)  # fmt: skip
def _oscillation(files: _Files) -> _Finding | None:
    half = files.anchors[len(files.anchors) // 2 :]
    if len(half) < 4 * LEAST_MATCHES:
        return None
    changes, chances = [], []
    for name in sorted({row["opponent"] for row in half}):
        won = [float(row["won"]) for row in half if row["opponent"] == name]
        size = max(20, len(won) // 10)
        rates = [fmean(won[at : at + size]) for at in range(0, len(won) - size + 1, size)]
        changes += [abs(b - a) for a, b in pairwise(rates)]
        rate = fmean(won)
        # mean distance of two shares of `size` draws
        chances += [2 / math.sqrt(math.pi) * math.sqrt(max(rate * (1 - rate), 0.01) / size)]
    if not changes:
        return None
    change, chance = fmean(changes), fmean(chances)
    words = f"{change:.0%} from window to window ({chance:.0%} by chance)"
    return _Finding(change > 0.2 and change > 3 * chance, change, words)


@_check(
    "kl_spikes", "3", "updates change the policy too much",
    "KL divergence above 5 times learner.target_kl (0.15 without one) in over 5 % of updates",
    "lower train.lr, learner.n_epochs or learner.clip_range; set learner.target_kl: 0.02",
)  # fmt: skip
def _kl_spikes(files: _Files) -> _Finding | None:
    found = files.column(tables.UPDATES, "approx_kl")
    if len(found) < LEAST_UPDATES:
        return None
    bound = 5 * (files.setting("learner.target_kl", 0.03) or 0.03)
    share = fmean(float(value > bound) for value in found)
    words = f"{share:.0%} of updates above {bound:.3g}, the largest {max(found):.3g}"
    return _Finding(share > 0.05, share, words)


@_check(
    "clipping", "3", "most of the update is clipped away",
    "median share of clipped ratios above 40 %",
    "lower train.lr or learner.n_epochs; raise learner.batch_size",
)  # fmt: skip
def _clipping(files: _Files) -> _Finding | None:
    found = files.column(tables.UPDATES, "clip_fraction")
    if len(found) < LEAST_UPDATES:
        return None
    share = median(found[len(found) // 2 :])
    return _Finding(share > 0.4, share, f"{share:.0%} of the ratios are clipped")


@_check(
    "value_fit", "3", "the value explains little of the returns",
    "median explained variance of the last third below 10 %",
    "raise learner.vf_coef, train.batch or learner.n_steps; check learner.gamma and the reward's scale",
)  # fmt: skip
def _value_fit(files: _Files) -> _Finding | None:
    found = files.column(tables.UPDATES, "explained_variance")
    if len(found) < LEAST_UPDATES:
        return None
    share = median(found[-(len(found) // 3) :])
    return _Finding(share < 0.1, share, f"{share:.0%} of the variance explained")


@_check(
    "not_finite", "error", "loss or gradient is not finite (`Loss is NaN`)",
    "any step left out, or over 1 % of updates without a gradient",
    "lower train.lr to 1e-4, set train.max_grad_norm: 0.5, use train.precision: fp32",
)  # fmt: skip
def _not_finite(files: _Files) -> _Finding | None:
    rows = files.rows(tables.UPDATES)
    skipped = sum(each.get("event") in ("skip", "back") for each in files.events)
    empty = sum(not row.get("norm") or not row.get("loss") for row in rows)
    if not rows and not files.lines:
        return None
    words = f"{skipped} steps left out, {empty} of {len(rows)} updates not finite"
    return _Finding(skipped > 0 or empty > 0.01 * len(rows), float(skipped + empty), words)


# ---- 4: the encoder does not learn ---------------------------------------------------------------


@_check(
    "latent_ignores_opponent", "4", "the latent does not depend on the opponent",
    "share of its variance between opponents below 1.5 times chance, or drift below 0.01",
    "raise learner.strategy_coef; pre-train the encoder; check that model.strategy sees enough "
    "frames, and that opponents differ",
)  # fmt: skip
def _latent_ignores(files: _Files) -> _Finding | None:
    rows = files.rows(tables.STRATEGY)[-max(LEAST_ROWS, len(files.rows(tables.STRATEGY)) // 3) :]
    pairs = [
        (_number(row["between_opponents"]), _number(row["between_chance"]))
        for row in rows
        if row.get("between_opponents") and row.get("between_chance")
    ]
    drifts = [_number(row["drift"]) for row in rows if row.get("drift")]
    if len(rows) < LEAST_ROWS or not (pairs or drifts):
        return None
    ratio = fmean(a / b for a, b in pairs) if pairs else math.inf
    drift = fmean(drifts) if drifts else math.inf
    words = f"{ratio:.1f} times chance between opponents; drift {drift:.3g}"
    return _Finding(ratio < 1.5 or drift < 0.01, ratio, words)


@_check(
    "uniform_attention", "4", "attention looks at all frames alike",
    "entropy above 98 % of the largest",
    "raise learner.strategy_coef; pre-train the encoder; shorten its window",
)  # fmt: skip
def _uniform_attention(files: _Files) -> _Finding | None:
    found = files.column(tables.STRATEGY, "attention_entropy")
    if len(found) < LEAST_ROWS:
        return None
    share = fmean(found[-LEAST_ROWS:])
    return _Finding(share > 0.98, share, f"attention entropy at {share:.1%} of the largest")


# ---- shared --------------------------------------------------------------------------------------


def _updates(files: _Files) -> list[float]:
    return files.column(tables.UPDATES, "step")


def _quarter(files: _Files) -> list[dict[str, str]]:
    """Matches of the last quarter of the run."""
    return files.matches[-(len(files.matches) // 4) :] if len(files.matches) > 3 else []


def _last_quarter(files: _Files, pool: bool) -> Interval | None:
    """Share of matches won in the last quarter, against snapshots or against fixed opponents."""
    rows = [
        row
        for row in _quarter(files)
        if (row.get("snapshot", "").startswith("step-") if pool else not row.get("snapshot"))
    ]
    if len(rows) < LEAST_MATCHES // 2:
        return None
    return wilson(sum(float(row["won"]) for row in rows), len(rows))


def _number(text: str | None) -> float:
    """A cell as a number; infinite if it is not one, so that it counts as out of range."""
    try:
        value = float(text or "nan")
    except ValueError:
        return math.inf
    return math.inf if math.isnan(value) else value
