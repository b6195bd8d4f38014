"""Matches of a world side by side, in lock-step: observations out, actions in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from shadowbox.core.game import Agent, Game, Outcome, Reward, no_events
from shadowbox.core.scenes.default import scene_of
from shadowbox.core.scenes.grammar import Scene
from shadowbox.core.schema import Array, Columns
from shadowbox.core.view import from_seat
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.page.paint import paint
from shadowbox.play import specs
from shadowbox.play.observations import Actions
from shadowbox.play.observations import observation as named_observation
from shadowbox.play.rewards import resolve_reward, result_for
from shadowbox.play.turn import MatchBatch, Turn

SEEDS = 1 << 62  # seeds of matches are below
RENDER_MODES = ("rgb_array",)


class VectorMatches:
    """The matches, the observations of their players, and the actions that press controls in them.

    `seats` (default: all) are played from outside, the others by `opponent`: a spec or an agent,
    by default the bot `random`. An opponent that breaks loses by forfeit. `world` is the spec of a
    world (default: the game's own simulator); other keyword arguments are options of that world:
    `stage`, `time_limit` and so on. `actions`: "box", "multibinary" or a table of the game
    (play/observations.py). `observation`: one of the game's. `reward`: a preset of the game,
    weights by term, or None: then the result counts.
    """

    def __init__(
        self,
        game: Game,
        matches: int,
        *,
        world: str = "",
        seats: Sequence[int] | None = None,
        opponent: str | Agent | None = None,
        observation: str = "default",
        actions: str | None = None,
        reward: str | Mapping[str, Any] | Reward | None = None,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self.game = game
        self.players = game.schema.players
        self.seats = tuple(range(self.players)) if seats is None else tuple(seats)
        for seat in self.seats:
            if isinstance(seat, bool) or seat not in range(self.players):
                raise UsageError(
                    f"{game.name} has no seat {seat!r}: seats are 0 to {self.players - 1}"
                )
        self.observation = named_observation(observation, game)
        self.actions = Actions(actions, game)
        self.batch = MatchBatch(
            game,
            specs.world(world, game, matches, **options),
            self._agents(opponent),
            reward=resolve_reward(reward, game),
            observation=self.observation,
        )
        # seats that the compiled loop has observed for, and that have not been handed out yet
        self._unseen: tuple[int, ...] = ()
        self.world = self.batch.world
        self.metadata = {
            "render_modes": list(RENDER_MODES),
            "render_fps": game.schema.fps,
            "name": game.name,
        }
        self._events = no_events()
        self._may_render(render_mode)

    def begin(
        self, seeds: Array, where: Array | None = None, past: Mapping[str, Array] | None = None
    ) -> None:
        """Start the matches in the mask `where` [N] (default: all) from `seeds` [N].

        `past` [K + 1, n, slots]: recorded rows to begin from, as for `MatchBatch.begin`.
        """
        self.batch.begin(seeds, where, past)
        self._unseen = ()
        self._events = (
            self._events[:0] if where is None else self._events[~where[self._events["match"]]]
        )

    @property
    def view(self) -> Columns:
        """state_t and everybody's controls_{t-1}, [N, slots], seat 0 first."""
        return self.batch.view

    def see(self, seat: int) -> Array:
        """The observation of the player in `seat`, [N, size]; a fresh array."""
        compiled = self.batch.compiled
        if compiled is not None and compiled.observation is not None and seat in self.seats:
            if seat not in self._unseen:
                compiled.observe()
                self._unseen = self.seats
            self._unseen = tuple(other for other in self._unseen if other != seat)
            return compiled.seen(seat)
        return np.asarray(self.observation.observe(from_seat(self.game.schema, self.view, seat)))

    def step(self, actions: Mapping[int, Any], learning_step: int = 0) -> Turn:
        """One frame: the actions [N] of each seat that is played from outside."""
        compiled = self.batch.compiled
        if compiled is None:
            outside: dict[int, Any] = {
                seat: self.actions.controls(given, self.world.matches)
                for seat, given in actions.items()
            }
            turn = self.batch.turn(outside, learning_step=learning_step)
            self._events = turn.events.copy()
            return turn
        outside = {
            seat: self.actions.values(given, self.world.matches) for seat, given in actions.items()
        }
        turn = self.batch.turn(outside, learning_step=learning_step)
        self._events = turn.events
        self._unseen = self.seats
        return turn

    def picture(self, match: int) -> Array:
        """Pixels [height, width, 3] u8 of a match as it is now, with the events of its last frame."""
        columns = {key: values[match] for key, values in self.view.items()}
        return paint(self._scene, columns, self._events[self._events["match"] == match])

    @cached_property
    def _scene(self) -> Scene:
        return scene_of(self.game)

    # ---- inside ----------------------------------------------------------------------------------

    def _agents(self, opponent: str | Agent | None) -> list[Agent | None]:
        """The player of each seat; None: it is played from outside."""
        if len(self.seats) == self.players:
            if opponent is not None:
                raise UsageError(
                    f"every seat of {self.game.name} is played from outside; "
                    "there is no place for an opponent"
                )
            return [None] * self.players
        named = "random" if opponent is None else opponent
        made = specs.agent(named, self.game) if isinstance(named, str) else named
        if not hasattr(made, "act"):
            raise UsageError(f"opponent is {named!r}; the spec of an agent or an agent is needed")
        return [None if seat in self.seats else made for seat in range(self.players)]

    def _may_render(self, mode: str | None) -> None:
        """Refuse at once an unknown mode, a scene that cannot be painted, and a missing Pillow."""
        if mode is None:
            return
        if mode not in RENDER_MODES:
            raise UsageError(
                f"unknown render_mode '{mode}': {did_you_mean(str(mode), RENDER_MODES)}"
            )
        paint(
            self._scene,
            {key: values[0] for key, values in self.game.schema.neutral(1).items()},
            width=60,
        )


def outcome_info(outcome: Outcome, seat: int) -> dict[str, Any]:
    """An outcome for `info`, with `result` from this seat (1, 0, -1) and `winner` (-1: none)."""
    winner = -1 if outcome.winner is None else outcome.winner
    return {
        "result": result_for(outcome, seat),
        "winner": winner,
        "reason": outcome.reason,
        **outcome.facts,
    }


def draw_seed(generator: np.random.Generator) -> int:
    """The seed of the next match."""
    return int(generator.integers(SEEDS))
