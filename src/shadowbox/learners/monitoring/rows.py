"""Tables of a run of self-play: a row for each match, and for each opponent and window of matches.

monitor.csv            return, length and result of each match, readable by Stable-Baselines3
behavior_metrics.csv   what the learner did in each match, as its game counts it
reward_breakdown.csv   the return of each match by reward term
opponents.csv          results against each opponent between two lines of the log
strategy_analysis.csv  latents of the opponent's history; a head without rows where there are none
benchmark.csv          results and tactics against named agents, where a card asks for them
rollouts.csv           range of what is seen, entropy, and how often each control is pressed
updates.csv            losses, entropy, divergence and gradient of each update (train/loop.py)
training_curves.html   all of it as curves; .png, too, where Pillow is installed
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shadowbox.core.game import Game
from shadowbox.core.schema import Array, Real, Schema
from shadowbox.core.stats import wilson
from shadowbox.learners.ppo import _Rollout
from shadowbox.learners.training_matches import _TrainingMatches
from shadowbox.page.curves import _Chart, curves_page, curves_picture
from shadowbox.train.tables import (
    BEHAVIOR,
    BENCHMARK,
    MONITOR,
    OPPONENTS,
    REWARDS,
    ROLLOUTS,
    STRATEGY,
    UPDATES,
    _Table,
    numbers_in,
    read_table,
)

CURVES = "training_curves.html", "training_curves.png"
POINTS = 300  # of a curve; each is a mean over equally many rows
ROWS = 64  # players whose latents are looked at
MATCH = ("step", "episode", "opponent")
STRATEGY_COLUMNS = (
    "step", "players", "opponents", "latent_mean", "latent_std", "norm_mean", "norm_std",
    "attention_entropy", "drift", "between_opponents", "between_chance",
)  # fmt: skip
ROLLOUT_COLUMNS = (
    "step", "input_largest", "input_column", "input_outside", "input_constant", "entropy_share",
)  # fmt: skip


def reward_terms(game: Game, rewards: Iterable[Any]) -> tuple[str, ...]:
    """Terms of the rewards of a run and of the game's presets; `result` where the result counts."""
    given = list(rewards)
    known = [*given, *(make() for make in game.rewards.values())]
    terms = dict.fromkeys(name for each in known for name in getattr(each, "weights", ()))
    return (*terms, *(["result"] if None in given else []))


def tables(game: Game, terms: Sequence[str]) -> dict[str, _Table]:
    """Tables of a run by file name."""
    behavior = game.behavior.names if game.behavior else ()
    return {
        MONITOR: _Table(
            ("r", "l", "t", *MATCH, "snapshot", "seat", "won", "draw"), {"env_id": game.name}
        ),
        BEHAVIOR: _Table((*MATCH, *behavior, "survival_time", "won")),
        REWARDS: _Table((*MATCH, *terms, "total_reward")),
        OPPONENTS: _Table(
            ("step", "opponent", "matches", "wins", "draws", "win_rate", "low", "high")
        ),
        STRATEGY: _Table(STRATEGY_COLUMNS),
        ROLLOUTS: _Table((*ROLLOUT_COLUMNS, *(f"press.{key}" for key in game.schema.control_keys))),
    }


def match_rows(
    game: Game, terms: Sequence[str], finished: Sequence[Mapping[str, Any]]
) -> dict[str, list[Mapping[str, Any]]]:
    """Rows of finished matches, seen from the learner's side, and of their opponents."""
    rows: dict[str, list[Mapping[str, Any]]] = {MONITOR: [], BEHAVIOR: [], REWARDS: []}
    for match in finished:
        result = {"won": int(match["result"] == 1), "draw": int(match["result"] == 0)}
        about = {"opponent": match["opponent"]}
        rows[MONITOR].append(
            {
                **about,
                **result,
                "r": match["return"],
                "l": match["frames"],
                "snapshot": match["snapshot"],
                "seat": match["seat"],
            }
        )
        seconds = match["frames"] / game.schema.fps
        rows[BEHAVIOR].append({**about, **result, **match["behavior"], "survival_time": seconds})
        paid = {name: match["terms"].get(name, 0.0) for name in terms}
        rows[REWARDS].append({**about, **paid, "total_reward": match["return"]})
    return rows | {OPPONENTS: opponent_rows(finished)}


def opponent_rows(finished: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Results against each opponent; draws do not count as wins, and the interval is Wilson's."""
    rows: list[Mapping[str, Any]] = []
    for name in sorted({match["opponent"] for match in finished}):
        results = [match["result"] for match in finished if match["opponent"] == name]
        wins = results.count(1)
        rate = wilson(wins, len(results))
        rows.append(
            {
                "opponent": name,
                "matches": len(results),
                "wins": wins,
                "draws": results.count(0),
                "win_rate": rate.value,
                "low": rate.low,
                "high": rate.high,
            }
        )
    return rows


# ---- rollouts ------------------------------------------------------------------------------------


def rollout_figures(
    schema: Schema, seen: Mapping[str, Array], pressed: Mapping[str, Array], entropy_share: float
) -> dict[str, Any]:
    """Figures of what players saw and pressed in a rollout; arrays [R, T, slots] by column.

    `input_largest`: largest number as the policy reads it, after its scale, and `input_column` its
    column. `input_outside`: share of reals beyond their declared bounds, or not finite.
    `input_constant`: share of columns that never changed. `press.KEY`: share of decisions in which a
    control is not at rest.
    """
    known = {key: values for key, values in seen.items() if key in schema.columns}  # no delay
    reals = {key: v for key, v in known.items() if isinstance(schema.columns[key].field, Real)}
    largest, name, outside, count = 0.0, "", 0, 0
    for key, values in reals.items():
        field = schema.columns[key].field
        assert isinstance(field, Real)
        finite = np.isfinite(values)
        top = float(np.abs(np.where(finite, values, 0.0)).max(initial=0.0) * field.scale)
        top = top if finite.all() else math.inf
        largest, name = max((largest, name), (top, key))
        low, high = field.limits
        outside += int((~finite | (values < low) | (values > high)).sum())
        count += values.size
    still = [bool((values == values[:1, :1]).all()) for values in seen.values()]
    rates = {f"press.{key}": float((values != 0).mean()) for key, values in pressed.items()}
    return {
        "input_largest": largest,
        "input_column": name,
        "input_outside": outside / max(count, 1),
        "input_constant": sum(still) / max(len(still), 1),
        "entropy_share": entropy_share,
        **dict.fromkeys(f"press.{key}" for key in schema.control_keys),
        **rates,
    }


# ---- the opponent's history ----------------------------------------------------------------------


def strategy_figures(
    latents: Array, broken: Array, opponents: Sequence[str], attention: float | None = None
) -> dict[str, float | int | None]:
    """Figures of latents [R, T, D] of players against `opponents` [R].

    `broken` [R]: the match changed within the T decisions. `drift`: distance from the first to the
    last latent of a match that went on, where 1 is that of two latents at random. `between_opponents`:
    share of the variance of players' mean latents that is between opponents; `between_chance` is its
    expectation for latents that know nothing. `attention`: see `attention_share`.
    """
    flat = latents.reshape(-1, latents.shape[-1])
    norms = np.linalg.norm(flat, axis=1)
    apart = math.sqrt(2 * float(flat.var(axis=0).sum()))
    moved = np.linalg.norm(latents[~broken, -1] - latents[~broken, 0], axis=1)
    names, group = np.unique(np.asarray(opponents), return_inverse=True)
    means, n = latents.mean(axis=1), len(latents)
    total = float(((means - means.mean(axis=0)) ** 2).sum())
    between = sum(
        float(
            (group == at).sum()
            * ((means[group == at].mean(axis=0) - means.mean(axis=0)) ** 2).sum()
        )
        for at in range(len(names))
    )
    compared = total > 0 and len(names) > 1 and n > len(names)
    return {
        "players": n,
        "opponents": len(names),
        "latent_mean": float(flat.mean()),
        "latent_std": float(flat.std(axis=0).mean()),
        "norm_mean": float(norms.mean()),
        "norm_std": float(norms.std()),
        "attention_entropy": attention,
        "drift": float(moved.mean()) / apart if len(moved) and apart else None,
        "between_opponents": between / total if compared else None,
        "between_chance": (len(names) - 1) / (n - 1) if compared else None,
    }


# ---- a run ---------------------------------------------------------------------------------------


class _Monitor:
    """Rows of a run's tables from the matches and the last rollout of a rank."""

    def __init__(
        self,
        game: Game | None = None,
        terms: Sequence[str] = (),
        more: Mapping[str, _Table] | None = None,
    ) -> None:
        """`game`: None for no tables. `more`: tables beside those of matches, by file name."""
        self.game, self.terms, self.more = game, tuple(terms), more or {}
        self.tables = {**tables(game, self.terms), **self.more} if game else {}
        self.last: tuple[_Rollout, float] | None = None  # and the entropy's share of the largest
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def note(self, finished: Sequence[Mapping[str, Any]], matches: _TrainingMatches) -> None:
        """Take finished matches, and look at the last rollout."""
        if self.game is None:
            return
        self.seen += [(MONITOR, dict(match)) for match in finished]
        if self.last is not None and matches.rank == 0:
            rollout, share = self.last
            self.last = None
            self.seen.append((ROLLOUTS, _rollout_row(rollout, share, matches)))
            if matches.policy.strategy is not None:
                self.seen.append((STRATEGY, _strategy_row(rollout, matches)))

    def take(self) -> list[Any]:
        """What was noted since the last call."""
        found, self.seen = self.seen, []
        return found

    def rows(self, seen: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, list[Any]]:
        """Rows by file name of what all ranks have noted."""
        assert self.game is not None
        finished = [each for kind, each in seen if kind == MONITOR]
        names = (ROLLOUTS, STRATEGY, *self.more)
        own = {name: [each for kind, each in seen if kind == name] for name in names}
        return match_rows(self.game, self.terms, finished) | own


def _rollout_row(rollout: _Rollout, share: float, matches: _TrainingMatches) -> dict[str, Any]:
    seen = {key: values.cpu().numpy() for key, values in rollout.columns.items()}
    rows, decisions = rollout.pressed.shape[:2]
    pressed = {
        key: values.cpu().numpy().reshape(rows, decisions, -1)
        for key, values in matches.policy.values.columns(rollout.pressed.flatten(0, 1)).items()
    }
    return rollout_figures(matches.schema, seen, pressed, share)


@torch.no_grad()
def _strategy_row(rollout: _Rollout, matches: _TrainingMatches) -> dict[str, Any]:
    """Figures of the latents of some players, spread over the opponents."""
    encoder = matches.policy.strategy
    assert encoder is not None
    at = np.unique(np.linspace(0, len(rollout) - 1, min(ROWS, len(rollout))).astype(int))
    part = rollout.part(torch.from_numpy(at).to(rollout.reset.device))
    training = encoder.training
    encoder.eval()
    latents, _ = encoder.seq(part.columns, dict(part.memory), part.reset)
    weights, _ = encoder.attention(part.columns, dict(part.memory), part.reset)
    encoder.train(training)
    broken = part.reset.cpu().numpy()[:, 1:].any(axis=1)
    attention = None
    if weights is not None and not broken.all():
        depth = int(getattr(encoder.trunk, "depth", 0))
        attention = attention_share(weights[:, -1].float().cpu().numpy()[~broken], depth)
    names = matches.names[matches.match][at].tolist()
    return strategy_figures(latents.float().cpu().numpy(), broken, names, attention)


def attention_share(weights: Array, depth: int) -> float:
    """Mean entropy of weights [n, reach] over that of the same read-out of uniform attention.

    `depth`: layers of attention, through which half of their input passes; 0: one pooling.
    """
    reach = weights.shape[1]
    uniform = np.full(reach, 1 / reach)
    if depth:
        frames = (reach - 1) // depth + 1
        uniform = np.ones(1)
        for _ in range(depth):
            attended = np.convolve(uniform, np.full(frames, 1 / frames)) / 2
            uniform = attended + np.pad(uniform / 2, (0, len(attended) - len(uniform)))
    return float(_entropy(weights).mean() / max(float(_entropy(uniform)), 1e-9))


def _entropy(weights: Array) -> Array:
    """Entropy of weights [..., n] in nats."""
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    return np.asarray(-(weights * logs).sum(axis=-1))


# ---- curves --------------------------------------------------------------------------------------


def pages(run: Path) -> dict[str, bytes]:
    """Curves of the tables of a run as a page, and as a picture where Pillow is installed."""
    charts = list(_charts(run))
    page, picture = CURVES
    drawn = {page: curves_page(f"Training curves of {run.name}", charts).encode()}
    painted = curves_picture(charts)
    return drawn | ({picture: painted} if painted else {})


def _charts(run: Path) -> Iterable[_Chart]:
    matches = read_table(run / MONITOR)
    for name, title in (("r", "return of a match"), ("l", "frames of a match"), ("won", "won")):
        yield _Chart(title, _curve(matches, name))
    results = read_table(run / OPPONENTS)
    for opponent in sorted({row["opponent"] for row in results}):
        own = [row for row in results if row["opponent"] == opponent]
        yield _Chart(f"won against {opponent}", _curve(own, "win_rate"), even=0.5)
    played = read_table(run / BENCHMARK)
    for opponent in sorted({row["opponent"] for row in played}):
        own = [row for row in played if row["opponent"] == opponent]
        won, paid = _curve(own, "win_rate"), _curve(own, "return")
        yield _Chart(f"benchmark: won against {opponent}", won, even=0.5)
        yield _Chart(f"benchmark: return against {opponent}", paid)
        true = _curve(own, "true_win_rate")
        yield _Chart(f"benchmark: won against {opponent} in the true world", true, even=0.5)
        title = f"benchmark: return against {opponent} beyond that in the true world"
        yield _Chart(title, _curve(own, "gap"), even=0.0)
    for file in (UPDATES, REWARDS, BEHAVIOR, STRATEGY, ROLLOUTS):
        rows = read_table(run / file)
        for name in rows[0] if rows else ():
            if name not in (*MATCH, "won", "total_reward", "players", "opponents"):
                yield _Chart(f"{name} ({file})", _curve(rows, name))


def _curve(rows: Sequence[Mapping[str, str]], name: str) -> list[tuple[float, float]]:
    """Means of equally many rows each, over the last step of those: at most POINTS of them."""
    found = numbers_in(rows, name)
    each = max(1, math.ceil(len(found) / POINTS))
    parts = (found[at : at + each] for at in range(0, len(found), each))
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]
