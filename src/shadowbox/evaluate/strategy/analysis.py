"""Analysis of a policy: its knowledge of the opponent, how soon it has it, and its worth in wins.

The policy plays named opponents. Probes then read the opponent's name from the latent of the
encoder, from the trunk's recurrent state, and from mean statistics of the same frames that the
encoder remembers; half of the seeds are fitted to, the others are tested on. Opponents that change
in the middle of a match show how soon the probe notices. The same matches with the latents of other
matches show what the latents are worth. Whole matches show the tactics against each opponent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shadowbox.core.game import Game, stable_hash
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval, bootstrap_mean, bootstrap_ratio, wilson
from shadowbox.errors import UsageError
from shadowbox.evaluate.strategy.play import (
    _Mixed,
    _Played,
    _Switching,
    play,
    read_outs,
    with_shuffled_latents,
)
from shadowbox.evaluate.strategy.probe import (
    _Probe,
    fit_probe,
    mean_statistics,
    neighbor_plane,
)
from shadowbox.play import checkpoints, specs
from shadowbox.play.benchmark import benchmark

if TYPE_CHECKING:
    from shadowbox.play.policy_agent import PolicyAgent

MEMORY = 65  # decisions that the encoders and the mean statistics look back on
EVERY = 8  # decisions between two that a probe reads: neighbors are nearly the same
HOLD = 5  # decisions in a row that must name the new opponent
MOST_POINTS = 1500  # of the picture
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class _AnalysisConfig:
    """Settings of an analysis."""

    opponents: tuple[str, ...] = ()  # specs; empty: all bots of the game
    matches: int = 16  # against each opponent; half of them from each seat
    frames: int = 600  # of each match that is probed
    world: str = ""
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.matches < 4 or self.matches % 4:
            raise UsageError(
                f"matches must be a multiple of 4, for two seats and two halves (got {self.matches})"
            )
        if self.frames < 1:
            raise UsageError(f"frames must be at least 1 (got {self.frames})")


@dataclass(frozen=True)
class _Analysis:
    """Results; intervals are over matches, those of wins over seeds."""

    checkpoint: Path
    game: str
    world: str
    opponents: tuple[str, ...]
    held_out: tuple[str, ...]
    matches: int
    probes: Mapping[str, Interval]  # what is read -> accuracy on matches that were not fitted to
    gains: Mapping[str, Interval]  # accuracy of the latent minus that of another, paired
    recalls: Mapping[str, Mapping[str, float]]  # what is read -> opponent -> accuracy
    entropy: Mapping[str, Interval]  # of the attention by opponent, as a share of the largest
    noticed: Mapping[str, Any]  # how soon a change of the opponent is noticed
    wins: Mapping[str, Interval]  # with true and shuffled latents, and the difference
    # opponent -> figure of the game's tactics in whole matches
    tactics: Mapping[str, Mapping[str, Interval]]
    picture: str  # name of the projection
    points: Sequence[tuple[float, float, str]] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""

        def plain(found: Mapping[str, Interval]) -> dict[str, Any]:
            return {name: _finite(value._asdict()) for name, value in found.items()}

        return {
            "checkpoint": str(self.checkpoint),
            "game": self.game,
            "world": self.world,
            "opponents": list(self.opponents),
            "held_out": list(self.held_out),
            "matches": self.matches,
            "chance": 1 / len(self.opponents),
            "probe": plain(self.probes),
            "gain": plain(self.gains),
            "recall": {name: dict(each) for name, each in self.recalls.items()},
            "attention_entropy": plain(self.entropy),
            "switch": _finite(self.noticed),
            "wins": plain(self.wins),
            "tactics": {name: plain(found) for name, found in self.tactics.items()},
            "picture": self.picture,
            "points": [list(point) for point in self.points],
        }


def analyze(
    checkpoint: str,
    settings: _AnalysisConfig = _AnalysisConfig(),
    *,
    game: Game | None = None,
    progress: Progress | None = None,
) -> _Analysis:
    """Analyze the policy of a checkpoint: RUN, RUN@step=N or a checkpoint's folder."""
    from shadowbox.games import load
    from shadowbox.model import checkpoint as files
    from shadowbox.play.policy_agent import PolicyAgent, SamplingConfig
    from shadowbox.play.restored_policy import restore_policy

    where, _, which = checkpoint.partition("@")
    folder = checkpoints.checkpoint_folder(where, which)
    found = files.load(folder, kind="policy")
    game = game or load(found.about.schema.name)
    if game.world is None and not settings.world:
        raise UsageError(f"{game.name} has no simulator to play matches in: name a world")
    policy = restore_policy(found, game.schema, "cpu", game.encodings)
    sampling = SamplingConfig(settings.temperature)
    names = settings.opponents or tuple(game.bots)
    if len(names) < 2:
        raise UsageError("an analysis compares opponents: name at least two")
    worlds = specs.world_factory(settings.world, game)
    say = progress or (lambda what, done, total: None)
    case = _Case(game, worlds, names, settings, say)
    agent = PolicyAgent(policy, sampling, calibration=found.calibration)
    played = case.matches_of(agent, "playing")
    outs = read_outs(policy, played)
    read: dict[str, Array] = {name: outs[name] for name in ("latent", "recurrent") if name in outs}
    read["mean_statistics"] = mean_statistics(game.schema, played.views, MEMORY)
    probes = {name: _fitted(rows, case, played) for name, rows in read.items()}
    right = {name: _right(probes[name], read[name], case, played) for name in read}
    wins: Mapping[str, Interval] = {}
    noticed: Mapping[str, Any] = {}
    if "latent" in read:
        noticed = _noticed(case, agent, probes["latent"])
        other = with_shuffled_latents(policy)
        twin = PolicyAgent(other, sampling, calibration=found.calibration)
        wins = _wins(case, agent, twin)
    picture, points = _picture(read, case, played)
    return _Analysis(
        folder,
        game.name,
        worlds(1).name,
        names,
        tuple(specs.held_out(names, game)),
        len(names) * settings.matches,
        {name: _accuracy(sums) for name, sums in right.items()},
        _gains(right),
        {name: _recalls(sums, case) for name, sums in right.items()},
        _entropies(outs.get("attention"), case, played),
        noticed,
        wins,
        _tactics(case, agent),
        picture,
        points,
    )


@dataclass(frozen=True)
class _Case:
    """Matches to play: each opponent has every K-th one, K names in all."""

    game: Game
    worlds: Callable[[int], Any]
    names: tuple[str, ...]
    settings: _AnalysisConfig
    say: Progress

    @property
    def seeds(self) -> int:
        """Number of seeds of each opponent; each is played from either seat."""
        return self.settings.matches // 2

    @property
    def opponent(self) -> Array:
        """Number of the opponent in each match, [N]; one seat after the other."""
        return np.tile(np.arange(len(self.names)), 2 * self.seeds)

    @property
    def fitted(self) -> Array:
        """Mask of the matches that probes are fitted to, [N]: every second seed."""
        number = np.repeat(np.arange(self.seeds), len(self.names))
        return np.tile(number % 2 == 0, 2)

    def matches_of(self, agent: PolicyAgent, what: str, *, whole: bool = False) -> _Played:
        """Play all opponents side by side, on the same seeds whatever the agent is."""
        count = self.seeds * len(self.names)
        seeds = np.array([stable_hash("analysis", whole, at) >> 2 for at in range(count)], np.int64)
        mixed = _Mixed([specs.agent(name, self.game) for name in self.names], self.opponent[:count])
        frames = 0 if whole else self.settings.frames
        return play(
            self.game, self.worlds, agent, mixed, seeds, frames,
            lambda done, total: self.say(what, done, total),
        )  # fmt: skip


# ---- probes --------------------------------------------------------------------------------------


def _sampled(played: _Played) -> Array:
    """Mask [N, T] of the decisions that are probed: those with a past, well apart."""
    steps = played.live.shape[1]
    begin = min(MEMORY - 1, steps // 2)
    at = np.arange(steps)
    return np.asarray(played.live & (at >= begin) & ((at - begin) % EVERY == 0))


def _fitted(rows: Array, case: _Case, played: _Played) -> _Probe:
    chosen = _sampled(played) & case.fitted[:, None]
    names = np.broadcast_to(case.opponent[:, None], chosen.shape)
    return fit_probe(rows[chosen], names[chosen], len(case.names))


def _right(probe: _Probe, rows: Array, case: _Case, played: _Played) -> Array:
    """Right guesses and guesses of each match that was not fitted to; NaN for others, [N, 2]."""
    chosen = _sampled(played) & ~case.fitted[:, None]
    right = (probe(rows).argmax(-1) == case.opponent[:, None]) & chosen
    sums = np.stack([right.sum(1), chosen.sum(1)], 1).astype(float)
    sums[case.fitted] = math.nan
    return sums


def _accuracy(sums: Array) -> Interval:
    return bootstrap_ratio(*_tested(sums).T)


def _tested(sums: Array) -> Array:
    return sums[np.isfinite(sums[:, 0])]


def _gains(right: Mapping[str, Array]) -> dict[str, Interval]:
    if "latent" not in right:
        return {}
    own = _tested(right["latent"])
    return {
        name: bootstrap_ratio(own[:, 0] - _tested(sums)[:, 0], own[:, 1])
        for name, sums in right.items()
        if name != "latent"
    }


def _recalls(sums: Array, case: _Case) -> dict[str, float]:
    found = {}
    for number, name in enumerate(case.names):
        some = _tested(sums[case.opponent == number])
        found[name] = float(some[:, 0].sum() / max(some[:, 1].sum(), 1.0))
    return found


# ---- attention, changes, wins --------------------------------------------------------------------


def _entropies(attention: Array | None, case: _Case, played: _Played) -> dict[str, Interval]:
    """Entropy of the attention [N, T, reach] by opponent, 1 where all frames count alike."""
    if attention is None:
        return {}
    terms = attention * np.log(np.clip(attention, 1e-12, None))
    share = -terms.sum(-1) / math.log(attention.shape[-1])  # [N, T]
    chosen = _sampled(played)
    sums = np.stack([(share * chosen).sum(1), chosen.sum(1)], 1)
    return {
        name: bootstrap_ratio(*sums[case.opponent == number].T)
        for number, name in enumerate(case.names)
    }


def _noticed(case: _Case, agent: PolicyAgent, probe: _Probe) -> dict[str, Any]:
    """Decisions until the probe names an opponent that took over in the middle of a match.

    The same rule on matches without a change says how often that is chance.
    """
    repeat, count = agent.policy.config.repeat, case.seeds * len(case.names)
    seeds = np.array([stable_hash("switch", at) >> 2 for at in range(count)], np.int64)
    first = case.opponent[:count]
    second = (first + 1 + np.arange(count) // len(case.names)) % len(case.names)
    second = np.where(second == first, (second + 1) % len(case.names), second)
    at = np.array([MEMORY + stable_hash("when", each) % MEMORY for each in range(count)])
    mixed = [
        _Mixed([specs.agent(name, case.game) for name in case.names], who)
        for who in (first, second)
    ]
    frames = 4 * MEMORY * repeat
    found = {}
    for label, opponent in (
        ("changed", _Switching(mixed[0], mixed[1], at * repeat)),
        ("unchanged", mixed[0]),
    ):
        played = play(
            case.game, case.worlds, agent, opponent, seeds, frames,
            lambda done, total: case.say("playing opponents that change", done, total),
        )  # fmt: skip
        guesses = probe(read_outs(agent.policy, played)["latent"]).argmax(-1)
        found[label] = first_named(guesses, np.tile(second, 2), np.tile(at, 2), played.live, MEMORY)
    late, by_chance = found["changed"], found["unchanged"]
    return {
        "matches": len(late),
        "median_frames": float(np.median(late)) * repeat if np.isfinite(late).any() else math.nan,
        "noticed": _share(np.isfinite(late)),
        "by_chance": _share(np.isfinite(by_chance)),
        "within": MEMORY * repeat,
    }


def first_named(guesses: Array, name: Array, at: Array, live: Array, within: int) -> Array:
    """Decisions from `at` [M] until the guesses [M, T] are `name` [M] several times in a row.

    Infinity where that does not happen `within` decisions; matches that ended earlier are left out.
    """
    found = []
    for row in range(len(guesses)):
        end = int(at[row]) + within + HOLD
        if end > guesses.shape[1] or not live[row, end - 1]:
            continue
        named = guesses[row, int(at[row]) : end] == name[row]
        runs = np.flatnonzero(np.convolve(named, np.ones(HOLD, int), "valid") == HOLD)
        found.append(float(runs[0]) if len(runs) else math.inf)
    return np.array(found)


def _wins(case: _Case, agent: PolicyAgent, twin: PolicyAgent) -> dict[str, Interval]:
    """Share of whole matches won, with the true latents and with those of other matches."""
    rates = {}
    for name, player in (("true", agent), ("shuffled", twin)):
        played = case.matches_of(player, f"playing with {name} latents", whole=True)
        rates[name] = played.won.reshape(2, -1).mean(0)  # the two matches of a seed
    found = {name: wilson(float(each.sum()), len(each)) for name, each in rates.items()}
    return found | {"difference": bootstrap_mean(rates["true"] - rates["shuffled"])}


def _tactics(case: _Case, agent: PolicyAgent) -> dict[str, dict[str, Interval]]:
    """Tactics in whole matches against each opponent, if the game counts any."""
    if case.game.tactics is None:
        return {}
    found = {}
    for name in case.names:
        seeds = np.array([stable_hash("tactics", name, at) >> 2 for at in range(case.seeds)])
        played = benchmark(
            case.game, case.worlds, agent, specs.agent(name, case.game), seeds, tactics=True,
            progress=partial(case.say, f"counting tactics against {name}"),
        )  # fmt: skip
        found[name] = played.tactic_intervals(case.game)
    return found


def _picture(
    read: Mapping[str, Array], case: _Case, played: _Played
) -> tuple[str, list[tuple[float, float, str]]]:
    """Latents (or recurrent states) of the matches that were not fitted to, on a plane."""
    rows = read.get("latent", read["recurrent"])
    chosen = _sampled(played) & ~case.fitted[:, None]
    names = np.broadcast_to(case.opponent[:, None], chosen.shape)[chosen]
    vectors = rows[chosen]
    kept = np.arange(0, len(vectors), max(1, -(-len(vectors) // MOST_POINTS)))
    name, plane = neighbor_plane(vectors[kept])
    points = [
        (round(float(x), 4), round(float(y), 4), case.names[int(number)])
        for (x, y), number in zip(plane, names[kept], strict=True)
    ]
    return name, points


def _share(mask: Array) -> dict[str, Any]:
    return _finite(wilson(float(mask.sum()), len(mask))._asdict())


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with None in the place of numbers that are not finite."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
