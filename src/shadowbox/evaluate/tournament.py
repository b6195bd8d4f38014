"""Tournaments: every pair of agents plays, each seed from both seats; strengths with intervals.

Work is cut into blocks of one seating and at most `BLOCK` seeds. A finished block is one line of
the ledger. Resuming reads these lines and plays the rest, so an interrupted tournament ends like an
uninterrupted one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core import system
from shadowbox.core.episode import Episode
from shadowbox.core.files import parse_json, read_bytes
from shadowbox.core.game import Game, World, stable_hash
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval
from shadowbox.core.work.executor import _Backend, processes, run_tasks
from shadowbox.data.store import Progress
from shadowbox.errors import ShadowboxError, UsageError, interrupted
from shadowbox.evaluate.ledger.chain import last_link, packed_controls
from shadowbox.play import rating, specs
from shadowbox.play.match import SIDE_BY_SIDE, PlayedMatch, mark_of, play

BLOCK = 256  # seeds
LINE = {  # of a ledger
    "block": [(str, int)],
    "matches": [
        {
            "winner": (int, None),
            "forfeit": ([{"player": int}], None),
            "places": [(str, int, None)],
            "identity": str,
        }
    ],
}

Block = tuple[str, str, int]  # agent in seat 0, agent in seat 1, first seed


@dataclass(frozen=True)
class TournamentSpec:
    """Agents, number of matches, seed and world of a tournament.

    `gauntlet`: only the first agent against each of the others.
    """

    game: str
    agents: tuple[str, ...]
    matches: int  # of each pair: half as many seeds, each from both seats
    gauntlet: bool = False
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)  # of the world
    world: str = ""  # a world's spec; empty: the game's simulator
    # of a ledger that can be verified (ledger/chain.py): machine and weights; empty: no controls
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.agents) < 2:
            raise UsageError("a tournament needs at least two agents")
        if twice := [name for name in set(self.agents) if self.agents.count(name) > 1]:
            raise UsageError(f"'{twice[0]}' is named twice; against itself an agent wins half")
        if self.matches < 2 or self.matches % 2:
            raise UsageError(
                f"{self.matches} matches: an even number is needed, half of them from each seat"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data, the first line of a ledger."""
        found = asdict(self)
        for name in ("world", "record"):
            if not found[name]:
                del found[name]
        return found

    def name(self) -> str:
        """File name that is unique to this specification."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return f"{self.game.partition(':')[0]}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"

    def pairs(self) -> list[tuple[str, str]]:
        """Pairs of agents that play each other."""
        if self.gauntlet:
            return [(self.agents[0], other) for other in self.agents[1:]]
        return list(itertools.combinations(self.agents, 2))

    def blocks(self) -> Iterator[Block]:
        """Blocks of work of fixed size."""
        for a, b in self.pairs():
            for first in range(0, self.matches // 2, BLOCK):
                yield a, b, first
                yield b, a, first


def tournament(
    game: Game,
    plan: TournamentSpec,
    ledger: Path | None = None,
    *,
    workers: int = 1,
    backend: _Backend | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play the blocks that are missing in the ledger, and rate the agents.

    The number of worker processes changes no result, and neither does another `backend`.
    """
    # a name that means nothing is refused before the first match
    marks = {name: mark for name in plan.agents if (mark := mark_of(specs.agent(name, game)))}
    make_world(game, plan)
    done = _read(ledger, plan) if ledger else {}
    blocks = list(plan.blocks())
    missing = [block for block in blocks if block not in done]
    try:
        for block, matches in _play_all(game, plan, missing, workers, backend):
            done[block] = matches
            if ledger:
                with system.shielded():
                    _append(ledger, plan, block, matches)
            if progress:
                progress(len(done), len(blocks))
    except KeyboardInterrupt:
        raise interrupted(
            f"stopped after {len(done)} of {len(blocks)} blocks"
            + (f"; {ledger} keeps them: go on with --resume --out {ledger}" if ledger else "")
        ) from None
    table = _table(plan, {block: done[block] for block in blocks})
    return {**table, "marks": marks, "held_out": specs.held_out(plan.agents, game)}


def _play_all(
    game: Game,
    plan: TournamentSpec,
    blocks: Sequence[Block],
    workers: int,
    backend: _Backend | None,
) -> Iterator[tuple[Block, list[dict[str, Any]]]]:
    """Blocks with their results, in the order in which they finish."""
    if backend is not None:
        yield from _played_by(backend, plan, blocks)
    elif workers <= 1 or len(blocks) < 2:
        yield from ((block, _play(game, plan, block)) for block in blocks)
    else:
        make_world(game, plan)(1)  # what it compiles, workers then load
        with processes(min(workers, len(blocks))) as pool:
            yield from _played_by(pool, plan, blocks)


def _played_by(
    backend: _Backend, plan: TournamentSpec, blocks: Sequence[Block]
) -> Iterator[tuple[Block, list[dict[str, Any]]]]:
    tasks = ((plan, block) for block in blocks)
    for (_, block), matches in run_tasks(backend, _play_named, tasks):
        yield block, matches


def _play_named(task: tuple[TournamentSpec, Block]) -> list[dict[str, Any]]:
    from shadowbox.games import load

    plan, block = task
    return _play(load(plan.game), plan, block)


def _play(game: Game, plan: TournamentSpec, block: Block) -> list[dict[str, Any]]:
    """Play one seating; a ledger line for each match."""
    first, second, start = block
    seeds = pair_seeds(plan, first, second)[start : start + BLOCK]
    agents = [specs.agent(name, game) for name in (first, second)]
    world = make_world(game, plan)(min(SIDE_BY_SIDE, len(seeds)))
    matches = play(game, world, agents, (first, second), seeds)
    return [_line(game, played, bool(plan.record)) for played in matches]


def make_world(game: Game, plan: TournamentSpec) -> Callable[[int], World]:
    """Factory of the world of a tournament."""
    return specs.world_factory(plan.world, game, **plan.options)


def _line(game: Game, played: PlayedMatch, controls: bool) -> dict[str, Any]:
    columns = played.episode.columns
    kept = {"controls": packed_controls(game.schema, columns)} if controls else {}
    places = game.places(columns) if game.places else ()
    return {
        "winner": played.outcome.winner,
        "reason": played.outcome.reason,
        "forfeit": played.outcome.facts.get("forfeit"),
        "frames": played.episode.frames,
        "places": list(places),
        "identity": match_identity(game, played.episode),
        **kept,
    }


def match_identity(game: Game, episode: Episode) -> str:
    """Hash of the players' controls and positions.

    Other effects of the seed, in places no player went to, do not make a match distinct.
    """
    digest = hashlib.blake2b(digest_size=16)
    for key, column in game.schema.columns.items():
        if column.group.per and column.field.predict != "no":
            digest.update(np.ascontiguousarray(episode.columns[key]).data)
    return digest.hexdigest()


def pair_seeds(plan: TournamentSpec, a: str, b: str) -> Array:
    """Seeds of a pair, the same for both seatings."""
    low, high = sorted((a, b))
    numbers = (stable_hash(plan.seed, low, high, match) >> 1 for match in range(plan.matches // 2))
    return np.fromiter(numbers, np.int64, plan.matches // 2)


# ---- the ledger ----------------------------------------------------------------------------------


def _read(ledger: Path, plan: TournamentSpec) -> dict[Block, list[dict[str, Any]]]:
    """Finished blocks of this specification in a ledger.

    A last line that was cut off is ignored.
    """
    try:
        lines = read_bytes(ledger).split(b"\n")
    except FileNotFoundError:
        return {}
    anew = "remove it to begin anew"
    if lines[0]:
        header = parse_json(lines[0], f"{ledger}, line 1", hint=anew)
        if header != json.loads(json.dumps(plan.to_json())):
            raise UsageError(f"{ledger} is of another tournament; name another file, or remove it")
    known, done = set(plan.blocks()), {}
    for number, line in enumerate(lines[1:-1], start=2):
        if line:
            found = parse_json(line, f"{ledger}, line {number}", LINE, hint=anew)
            block = tuple(found["block"])
            if block not in known:
                raise ShadowboxError(f"{ledger}, line {number}: unknown block {block}; {anew}")
            done[block] = found["matches"]
    if lines[-1]:  # cut off by a kill
        with open(ledger, "r+b") as file:
            file.truncate(sum(len(line) + 1 for line in lines[:-1]))
    return done


def _append(
    ledger: Path, plan: TournamentSpec, block: Block, matches: list[dict[str, Any]]
) -> None:
    try:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with open(ledger, "ab") as file:
            if file.tell() == 0:
                file.write(json.dumps(plan.to_json()).encode() + b"\n")
            file.flush()
            line = {"block": block, "matches": matches}
            linked = {**line, "prev": last_link(ledger)} if plan.record else line
            file.write(json.dumps(linked).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ShadowboxError(f"{ledger} could not be written: {error.strerror}") from error


# ---- the table -----------------------------------------------------------------------------------


def _table(
    plan: TournamentSpec, done: Mapping[Block, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """Ratings and payoffs by agent spec."""
    n = len(plan.agents)
    counts = np.zeros((n, n, 3))
    payoff: dict[str, dict[str, Any]] = {name: {} for name in plan.agents}
    rates: list[list[Interval | None]] = [[None] * n for _ in range(n)]
    forfeits: dict[str, int] = {}
    for i, j in ((plan.agents.index(a), plan.agents.index(b)) for a, b in plan.pairs()):
        for at, other in ((i, j), (j, i)):
            a, b = plan.agents[at], plan.agents[other]
            payoff[a][b], rates[at][other], counts[at, other] = _cell(_matches_of(a, b, done))
    for (first, second, _), matches in done.items():
        for loss in itertools.chain.from_iterable(match["forfeit"] or () for match in matches):
            name = (first, second)[loss["player"]]
            forfeits[name] = forfeits.get(name, 0) + 1
    ratings = [
        {"agent": name, "elo": rate.value, "low": rate.low, "high": rate.high}
        for name, rate in zip(plan.agents, rating.elo(counts), strict=True)
    ]
    whole = len(plan.agents) > 2 and not plan.gauntlet and _all_played(counts)
    return {
        "game": plan.game,
        "world": plan.world or plan.game,
        **dict(plan.options),
        "kind": "gauntlet" if plan.gauntlet else "round robin",
        "agents": list(plan.agents),
        "matches": plan.matches,
        "seed": plan.seed,
        "anchor": plan.agents[0],
        "opponents": {name: list(payoff[name]) for name in plan.agents},
        "ratings": sorted(ratings, key=lambda row: -row["elo"]),
        "payoff": payoff,
        "cycles": [[plan.agents[i] for i in cycle] for cycle in rating.cycles(rates)],
        # of tournaments in which every pair has played, of three agents or more
        "cycle_test": _cycle_test(counts) if whole else None,
        "nash": _nash(plan.agents, counts) if whole else None,
        "forfeits": forfeits,
    }


def _all_played(counts: Array) -> bool:
    return bool((counts.sum(-1) + np.eye(len(counts)) > 0).all())


def _cycle_test(counts: Array) -> dict[str, Any]:
    found = rating.cycle_test(counts)
    return {**found._asdict(), "elo_is_reliable": found.reliable}


def elo_warning(test: Mapping[str, Any] | None) -> str:
    """Sentence about ratings that leave out what the results show; empty for reliable ones."""
    if test is None or test["elo_is_reliable"]:
        return ""
    return (
        f"Elo is unreliable here: the agents beat each other in cycles (p = {test['p']:.3f}; "
        f"no ratings explain {test['cyclic']:.0%} of the margins, expected {test['expected']:.0%})"
    )


def _nash(agents: Sequence[str], counts: Array) -> dict[str, dict[str, Any]]:
    """Weight of each agent in the equilibrium, and its score against the mixture."""
    return {
        name: {"weight": rating.as_dict(weight), "score": rating.as_dict(score)}
        for name, (weight, score) in zip(agents, rating.nash_averages(counts), strict=True)
    }


def _matches_of(
    a: str, b: str, done: Mapping[Block, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Matches of a against b from a's view: score, seat, place, identity."""
    found = []
    for (first, second, _), matches in done.items():
        if {first, second} == {a, b}:
            seat = 0 if first == a else 1
            for match in matches:
                winner = match["winner"]
                found.append(
                    {
                        "score": 0.5 if winner is None else float(winner == seat),
                        "seat": seat,
                        "place": match["places"][seat] if match["places"] else None,
                        "identity": (seat, match["identity"]),
                    }
                )
    return found


def _cell(matches: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], Interval, list[float]]:
    """Payoff entry: its rate, and wins, draws and losses of distinct matches."""
    whole = _score(matches)
    places = sorted({match["place"] for match in matches} - {None})
    entry = {
        **_as_data(whole),
        "by_seat": {
            str(seat): _as_data(_score([m for m in matches if m["seat"] == seat]))
            for seat in (0, 1)
        },
        "by_spawn": {
            place: _as_data(_score([m for m in matches if m["place"] == place])) for place in places
        },
    }
    once = list({match["identity"]: match["score"] for match in matches}.values())
    return entry, whole.rate, [float(once.count(value)) for value in (1.0, 0.5, 0.0)]


def _score(matches: Sequence[Mapping[str, Any]]) -> rating.WinCount:
    return rating.count_wins(
        [match["score"] for match in matches], [match["identity"] for match in matches]
    )


def _as_data(found: rating.WinCount) -> dict[str, Any]:
    counts = {
        "wins": found.wins,
        "losses": found.losses,
        "draws": found.draws,
        "distinct": found.distinct,
    }
    value = None if found.distinct == 0 else found.rate.value
    return {**counts, "win_rate": value, "low": found.rate.low, "high": found.rate.high}
