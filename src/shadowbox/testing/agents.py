"""Checks of agents and of the tracks that they show."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from shadowbox.core.episode import check as check_episode
from shadowbox.core.game import Agent, Game
from shadowbox.core.schema import Columns
from shadowbox.core.tracks import blank_rows, declared_tracks
from shadowbox.core.view import from_seat
from shadowbox.play.match import play
from shadowbox.play.referee import Referee
from shadowbox.play.warm_start import warm_start
from shadowbox.testing.random_play import (
    MATCHES,
    Factory,
    match_seeds,
    must,
    random_views,
    same_columns,
    some_matches,
)


def check_agent(
    agent: Agent, game: Game, *, factory: Factory | None = None, frames: int = 20
) -> None:
    """The promises of an Agent, from every seat: `factory` builds the world to look at (default: the game's).

    Every answer is allowed; a decision does not depend on the other matches, nor on memory outside
    of the state; matches can begin anew among others, and be warmed up; the view is not written to.
    Tracks are checked where the agent declares some.
    """
    views = list(random_views(game, factory, frames))
    for seat in range(game.schema.players):
        _check_seat(agent, game, views, seat)
    if getattr(agent, "track_types", ()):
        check_tracks(agent, game, factory=factory)


def _check_seat(agent: Agent, game: Game, views: Sequence[Columns], seat: int) -> None:
    schema, seats, seeds = game.schema, np.full(MATCHES, seat), match_seeds()
    referee = Referee(schema, agent, seat, MATCHES)
    referee.seat(seeds)
    alone, anew = agent.start(seeds[3:4], seats[3:4]), agent.start(seeds + 9, seats)
    half, where = len(views) // 2, np.array([False, True, False, True, False])
    kept: list[Columns] = []
    for at, view in enumerate(views):
        if at == half:
            anew = agent.start(seeds, seats, anew, where)
            begun = agent.start(seeds, seats)
        seen = from_seat(schema, view, seat)
        copy = {key: np.array(values) for key, values in seen.items()}
        answer = referee.ask(seen)
        why = [reason for reason in referee.why if reason]
        must(not referee.lost.any(), f"seat {seat}, frame {at}: the agent forfeits: {why[:1]}")
        same_columns(copy, seen, f"seat {seat}: the agent wrote to its view")
        single, alone = agent.act({key: values[3:4] for key, values in seen.items()}, alone)
        same_columns(
            some_matches(answer, np.arange(MATCHES) == 3),
            single,
            f"seat {seat}, frame {at}: one match among others differs from it alone",
        )
        mixed, anew = agent.act(seen, anew)
        if at >= half:
            fresh, begun = agent.act(seen, begun)
            same_columns(
                some_matches(fresh, where),
                some_matches(mixed, where),
                f"seat {seat}: matches that begin anew among others differ",
            )
        kept.append(answer)
    _check_warm_start(agent, game, views, kept, seat)


def _check_warm_start(
    agent: Agent, game: Game, views: Sequence[Columns], kept: Sequence[Columns], seat: int
) -> None:
    """Two matches of many are warmed up; the call must work, and change no other match."""
    schema, seats, seeds = game.schema, np.full(MATCHES, seat), match_seeds()
    where = np.array([True, False, False, True, False])
    past = {key: np.stack([view[key] for view in views]) for key in schema.columns}
    state = agent.start(seeds, seats)
    some = {key: values[:3][:, where] for key, values in past.items()}
    warm = warm_start(agent, schema, some, seeds, seats, state, where)
    answer, _ = agent.act(from_seat(schema, views[0], seat), warm)
    same_columns(
        some_matches(kept[0], ~where),
        some_matches(answer, ~where),
        f"seat {seat}: warming up some matches changed another one",
    )


def check_tracks(agent: Agent, game: Game, *, factory: Factory | None = None) -> None:
    """The promises of `Agent.tracks`: in every frame the declared names, types and shapes.

    A match that is played with tracks keeps all of them.
    """
    views = list(random_views(game, factory, 5))
    for seat in range(game.schema.players):
        declared = declared_tracks(agent, seat)
        must(bool(declared), "the agent declares no tracks: track_types is empty")
        json.dumps([track.to_json() for track in declared])
        referee = Referee(game.schema, agent, seat, MATCHES)
        referee.seat(match_seeds())
        for at, view in enumerate(views):
            referee.ask(from_seat(game.schema, view, seat))
            shown = referee.tracks()
            must(not referee.broken, f"seat {seat}, frame {at}: {referee.broken}")
            must(set(shown) == {track.key for track in declared}, "other tracks than declared")
            must(list(shown) == list(blank_rows(declared, 1)), "tracks in another order")
    make = factory or game.world
    if make is not None:
        agents = [agent] * game.schema.players
        names = ["agent"] * len(agents)
        (played,) = play(game, make(1), agents, names, match_seeds(1), tracks=True)
        check_episode(played.episode, game.schema, "a match with tracks", game.event_kinds)
        must(len(played.episode.tracks) == len(agents) * len(declared), "a match lost tracks")
