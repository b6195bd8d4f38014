"""Sample match of a run's policy, and its press rates beside those of the training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.cards.card import Card
from shadowbox.core.game import Game
from shadowbox.core.schema import Array
from shadowbox.core.tracks import with_tracks
from shadowbox.data import audit
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError
from shadowbox.model import kinds
from shadowbox.page.document import Bar
from shadowbox.play import specs
from shadowbox.play.match import play
from shadowbox.play.match_facts import match_facts
from shadowbox.report import match
from shadowbox.train.runs import Run

SEED = 1  # of the match
MOST_EPISODES = 100  # of the data, whose presses are counted


@dataclass(frozen=True)
class _SampleMatch:
    """A match in the viewer's format, and press rates of its first player."""

    hello: Mapping[str, Any]
    rows: Array
    events: Array
    result: Mapping[str, Any] | None
    caption: str
    rates: Mapping[str, float]


def sample(
    run: Run, game: Game | None, card: Card | None = None
) -> tuple[_SampleMatch | None, str]:
    """Play one match with the run's agent; returns the reason in words if that is not possible."""
    try:
        kind = kinds.checkpoint_kind(str(run.facts.get("kind")))
    except ShadowboxError as error:
        return None, f"{error}."
    if not kind.agent:
        return None, f"a {kind.name} is not an agent."
    if game is None:
        return None, "its game is not known here; give --game MODULE:GAME."
    if game.world is None and not run.facts.get("world"):
        return None, "its game has no simulator."
    name = f"{kind.spec_name}:{run.path}"
    names = [name, *_opponents(name, run, game, card)]
    try:
        agents = [specs.agent(each, game) for each in names]
        world = specs.world(str(run.facts.get("world") or ""), game, 1)
        players = [kind.name, *names[1:]]  # the whole spec is in the caption
        (played,) = play(game, world, agents, players, np.array([SEED]), tracks=True)
    except ShadowboxError as error:
        return None, f"{error}."
    episode, outcome = played.episode, played.outcome
    facts = match_facts(game, episode, outcome)
    rates = {
        key: found["presses"] / max(episode.frames, 1)
        for key, found in facts["players"][0]["controls"].items()
    }
    ended = f"player {outcome.winner + 1} wins" if outcome.winner is not None else "a draw"
    against = f" against {', '.join(names[1:])}" if names[1:] else ""
    caption = f"{names[0]}{against} with seed {SEED}: {ended} ({outcome.reason})"
    hello = match.greeting(game, episode.meta, episode.columns, episode.tracks)
    rows = with_tracks(game.schema.pack(episode.columns), episode.tracks)
    return _SampleMatch(hello, rows, episode.events, episode.meta.get("result"), caption, rates), ""


def rates(run: Run, game: Game | None) -> tuple[dict[str, float], str]:
    """Press rates of the training data over all slots, and a description of these numbers."""
    data = run.facts.get("data")
    path = data.get("store") if isinstance(data, Mapping) else run.facts.get("store")
    if not isinstance(path, str) or not path:
        return {}, "The run does not say which data it learned from."
    try:
        store = Store(Path(path), game.schema if game else None)
    except ShadowboxError as error:
        return {}, f"What the players of the data press cannot be shown: {error}."
    count = min(len(store), MOST_EPISODES)
    found = {
        key: _mean([slot["press_rate"] for slot in slots])
        for key, slots in audit.press_statistics(store, range(count)).items()
    }
    known = {key: value for key, value in found.items() if value is not None}
    return (
        known,
        f"The share of frames in which it is down in {path}, {count:,} of {len(store):,} episodes.",
    )


def rows(data: Mapping[str, float], policy: Mapping[str, float]) -> list[Bar]:
    """A bar per control for the data, and one below it for the policy, if it has played."""
    bars = []
    for key, value in data.items():
        bars.append(Bar(key, value, f"{100 * value:.1f} %"))
        if key in policy:
            bars.append(Bar("policy", policy[key], f"{100 * policy[key]:.1f} %", "p1"))
    return bars


def _opponents(name: str, run: Run, game: Game, card: Card | None) -> list[str]:
    """A bot that it learned against, or that made the data; else the agent itself."""
    met = run.facts.get("opponents")
    bots = [each for each in met if _is_bot(each, game)] if isinstance(met, dict) else []
    if bots:
        return bots[:1] * (game.schema.players - 1)
    made = card.data.make.record if card and card.data and card.data.make else None
    other = made.p1 if made and _is_bot(made.p1, game) else name
    return [other] * (game.schema.players - 1)


def _is_bot(spec: str, game: Game) -> bool:
    return spec.partition("@")[0].partition(":")[0] in specs.bot_names(game)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
