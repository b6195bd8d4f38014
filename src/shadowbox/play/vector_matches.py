"""Matches of a world side by side, in lock-step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shadowbox.core.default_scene import scene_of
from shadowbox.core.game import Agent, Game, Outcome, Reward, no_events
from shadowbox.core.scene import Scene
from shadowbox.core.schema import Array, Columns
from shadowbox.core.view import from_seat
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games import load
from shadowbox.page.paint import paint
from shadowbox.play import specs
from shadowbox.play.observations import Actions
from shadowbox.play.observations import observation as named_observation

SEEDS = 1 << 62  # seeds of matches lie below
RENDER_MODES = ("rgb_array",)


@dataclass(frozen=True)
class VectorStep:
    """What one frame brought: rewards and their terms [N, players], which matches ended with it, and how."""

    rewards: Array
    terms: Mapping[str, Array]
    terminated: Array
    truncated: Array  # ended by the clock
    outcomes: Mapping[int, Outcome]


class VectorMatches:
    """The matches, what is seen of them and what actions press in them.

    `seats` (default: all) are played from outside, the others by `opponent`: a spec or an agent, by
    default the bot `random`. `actions`: "multibinary", "keys" (numbers in 0 .. 1, pressed above
    0.5), or a table of the game. `observation`: one of the game's. `reward`: a preset of the game,
    weights by term, or nothing: then the result counts. What else is given goes to the game's
    world: `stage`, `time_limit` and so on.
    """

    def __init__(
        self,
        game: Game | str,
        matches: int,
        *,
        seats: Sequence[int] | None = None,
        opponent: str | Agent | None = None,
        observation: str = "default",
        actions: str = "multibinary",
        reward: str | Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self.game = game = load(game) if isinstance(game, str) else game
        self.players = game.schema.players
        self.seats = tuple(range(self.players)) if seats is None else tuple(seats)
        for seat in self.seats:
            if isinstance(seat, bool) or seat not in range(self.players):
                raise UsageError(
                    f"{game.name} has no seat {seat!r}: seats are 0 to {self.players - 1}"
                )
        self.observation = named_observation(observation, game)
        self.actions = Actions(actions, game)
        self.reward = _reward(reward, game)
        specs.require_world_options(game, options)
        self.world = specs.world(game.name, game, matches, **options)
        self.agents = self._others(opponent)
        self.metadata = {
            "render_modes": list(RENDER_MODES),
            "render_fps": game.schema.fps,
            "name": game.name,
        }
        self._states: dict[int, Any] = {}
        self._pressed = {
            key: np.zeros((matches, self.players), bool) for key in game.schema.control_keys
        }
        self._view: Columns = {}
        self._events, self._done = no_events(), np.zeros(matches, bool)
        self._may_render(render_mode)

    def begin(self, seeds: Array, where: Array | None = None) -> None:
        """Start the matches in the mask `where` [N] (default: all) from `seeds` [N]."""
        fresh = np.ones(len(seeds), bool) if where is None else where
        columns = self.world.reset(seeds, where)
        for pressed in self._pressed.values():
            pressed[fresh] = False
        for player, agent in self.agents.items():
            seats, state = np.full(len(seeds), player), self._states.get(player)
            self._states[player] = (
                agent.start(seeds, seats)
                if where is None
                else agent.start(seeds, seats, state, where)
            )
        self._show(columns)
        self._events = (
            self._events[:0] if where is None else self._events[~where[self._events["match"]]]
        )
        self._done = np.zeros(len(seeds), bool) if where is None else self._done & ~where

    def see(self, seat: int) -> Array:
        """What the player in `seat` observes, [N, size]; a fresh array."""
        return np.asarray(self.observation.observe(from_seat(self.game.schema, self._view, seat)))

    def step(self, actions: Mapping[int, Any], learning_step: int = 0) -> VectorStep:
        """One frame: the actions [N] of each seat that is played from outside."""
        keys = self.game.schema.control_keys
        pressed = {key: np.zeros_like(self._pressed[key]) for key in keys}
        for player, given in actions.items():
            for key, values in zip(
                keys, self.actions.pressed(given, self.world.matches).T, strict=True
            ):
                pressed[key][:, player] = values
        for player, agent in self.agents.items():
            view = from_seat(self.game.schema, self._view, player)
            answer, self._states[player] = agent.act(view, self._states[player])
            for key in keys:
                pressed[key][:, player] = answer[key][:, 0]
        earlier = {} if self.reward is None else self.reward.before(self._view)
        columns, events, done = self.world.step(pressed)
        self._pressed = pressed
        self._show(columns)
        self._events = events.copy()
        ended, self._done = done & ~self._done, done.copy()
        return self._turn(earlier, ended, learning_step)

    def picture(self, match: int) -> Array:
        """Pixels [height, width, 3] u8 of a match as it stands, with what just happened in it."""
        columns = {key: values[match] for key, values in self._view.items()}
        return paint(self._scene, columns, self._events[self._events["match"] == match])

    @cached_property
    def _scene(self) -> Scene:
        return scene_of(self.game)

    # ---- inside ------------------------------------------------------------------------------------------------

    def _others(self, opponent: str | Agent | None) -> dict[int, Agent]:
        """Who plays the seats that are not played from outside."""
        others = [player for player in range(self.players) if player not in self.seats]
        if opponent is not None and not others:
            raise UsageError(
                f"every seat of {self.game.name} is played from outside; there is no place for an opponent"
            )
        if not others:
            return {}
        named = "random" if opponent is None else opponent
        made = specs.agent(named, self.game) if isinstance(named, str) else named
        if not hasattr(made, "act"):
            raise UsageError(f"opponent is {named!r}; the spec of an agent or an agent is needed")
        return dict.fromkeys(others, made)

    def _show(self, columns: Columns) -> None:
        """The view of all: the state, and the keys that led to it."""
        self._view = {key: columns[key] for key in self.game.schema.state_keys} | self._pressed

    def _turn(self, earlier: Columns, ended: Array, learning_step: int) -> VectorStep:
        outcomes = {int(match): self._outcome(int(match)) for match in np.flatnonzero(ended)}
        terms: Mapping[str, Array]
        if self.reward is not None:
            rewards, terms = self.reward(earlier, self._view, self._events, learning_step)
        else:
            rewards = np.zeros((self.world.matches, self.players))
            for match, outcome in outcomes.items():
                rewards[match] = [result_for(outcome, player) for player in range(self.players)]
            terms = {"result": rewards}
        timeout = np.zeros(self.world.matches, bool)
        timeout[[match for match, outcome in outcomes.items() if outcome.timeout]] = True
        return VectorStep(rewards, terms, ended & ~timeout, ended & timeout, outcomes)

    def _outcome(self, match: int) -> Outcome:
        if self.game.outcome is None:
            return Outcome(None, "over")
        last = {key: values[match : match + 1] for key, values in self._view.items()}
        return self.game.outcome(last, self._events[self._events["match"] == match])

    def _may_render(self, mode: str | None) -> None:
        """Refuse now what could only fail at the first picture: an unknown mode, a game without a scene, no Pillow."""
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


def result_for(outcome: Outcome, player: int) -> int:
    """1 for who won, -1 for who lost, 0 for all where nobody did."""
    return 0 if outcome.winner is None else 1 if outcome.winner == player else -1


def _reward(given: str | Mapping[str, Any] | None, game: Game) -> Reward | None:
    """The reward of a preset or of weights; without either, the result alone counts."""
    if given is None:
        return None
    if isinstance(given, str):
        if given not in game.rewards:
            raise UsageError(
                f"{game.name} has no reward '{given}': {did_you_mean(given, game.rewards)}"
            )
        return game.rewards[given]()
    if game.reward is None:
        raise UsageError(
            f"{game.name} takes no weights for its reward: {did_you_mean('', game.rewards)}"
        )
    if not isinstance(given, Mapping) or not given:
        raise UsageError(f"reward is {given!r}; the name of a preset or weights by term are needed")
    return game.reward(given)


def outcome_info(outcome: Outcome, seat: int) -> dict[str, Any]:
    """An outcome for `info`: `result` from this seat (1, 0, -1), `winner` (-1: nobody), `reason`, the game's own facts."""
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
