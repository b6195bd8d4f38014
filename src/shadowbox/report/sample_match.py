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
from shadowbox.data import audit
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError
from shadowbox.page.document import Bar
from shadowbox.play import specs
from shadowbox.play.match import play
from shadowbox.play.match_facts import match_facts
from shadowbox.report import match
from shadowbox.train.runs import Run

SEED = 1  # of the match
MOST_EPISODES = 100  # of the data, whose presses are counted


@dataclass(frozen=True)
class SampleMatch:
    """A match in the viewer's format, and press rates of its first player."""

    hello: Mapping[str, Any]
    rows: Array
    events: Array
    result: Mapping[str, Any] | None
    caption: str
    rates: Mapping[str, float]


def sample(run: Run, game: Game | None, card: Card | None = None) -> tuple[SampleMatch | None, str]:
    """Play one match with the run's policy; returns the reason in words if that is not possible."""
    if run.facts.get("kind") != "policy":
        return None, "this run does not train a policy."
    if game is None:
        return None, "its game is not known here; give --game MODULE:GAME."
    if game.world is None:
        return None, "its game has no simulator."
    names = [f"policy:{run.path}", *_opponents(run, game, card)]
    try:
        agents = [specs.agent(name, game) for name in names]
        world = specs.world(game.name, game, 1)
        (played,) = play(game, world, agents, names, np.array([SEED]))
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
    hello = match.greeting(game, episode.meta, episode.columns)
    rows = game.schema.pack(episode.columns)
    return SampleMatch(hello, rows, episode.events, episode.meta.get("result"), caption, rates), ""


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


def _opponents(run: Run, game: Game, card: Card | None) -> list[str]:
    """The agents that made the data, if they are bots of the game; else the policy itself."""
    made = card.data.make.record if card and card.data and card.data.make else None
    name = (
        made.p1
        if made and made.p1.partition("@")[0].partition(":")[0] in game.bots
        else f"policy:{run.path}"
    )
    return [name] * (game.schema.players - 1)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
