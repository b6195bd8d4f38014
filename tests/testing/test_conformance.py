"""`shadowbox.testing`: a part that breaks a promise is told which one, and a sound one passes."""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.core.game import Game, no_events
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.core.tracks import Track
from shadowbox.games import load
from shadowbox.testing import (
    check_agent,
    check_context,
    check_game,
    check_load,
    check_reward,
    check_tracks,
    check_world,
    random_rows,
)

SCHEMA = Schema(
    "walk",
    fps=10,
    state=(
        Group("walker", (Real("x", low=-100, high=100),), slots=2, per="player"),
        Group("clock", (Choice("frame", 100),)),
    ),
    controls=Group("pad", (Real("push", low=-1, high=1), Flag("jump")), slots=2, per="player"),
)


class Walk:
    """Two walkers on a line, pushed about for 40 frames: a sound world that can load."""

    schema = SCHEMA
    name = "walk"
    LENGTH = 40

    def __init__(self, matches):
        self.matches = matches
        self.columns = SCHEMA.neutral(matches)
        self.done = np.zeros(matches, bool)

    def reset(self, seeds, where=None):
        fresh = np.ones(self.matches, bool) if where is None else where
        self.done[fresh] = False
        self.columns["clock/frame"][fresh] = 0
        self.columns["walker/x"][fresh] = (seeds[fresh, None] % 7).astype(np.float32)
        return self.columns

    def step(self, controls):
        live = ~self.done
        self.columns["walker/x"][live] += controls["pad/push"][live]
        self.columns["clock/frame"][live] += 1
        self.done |= self.columns["clock/frame"][:, 0] >= self.LENGTH
        return self.columns, no_events(), self.done.copy()

    def snapshot(self, where=None):
        fresh = np.ones(self.matches, bool) if where is None else where
        return {k: v[fresh].copy() for k, v in {**self.columns, "done": self.done}.items()}

    def restore(self, snapshot, where=None):
        fresh = np.ones(self.matches, bool) if where is None else where
        for key, values in {**self.columns, "done": self.done}.items():
            values[fresh] = snapshot[key]
        return self.columns

    def load(self, columns, where=None):
        fresh = np.ones(self.matches, bool) if where is None else where
        for key in SCHEMA.state_keys:
            self.columns[key][fresh] = columns[key]
        self.done[fresh] = columns["clock/frame"][:, 0] >= self.LENGTH
        return self.columns


class Pusher:
    """Pushes toward the other walker: a sound agent, with tracks."""

    track_types = (Track("distance"), Track("both", "f2", (2,)))

    def start(self, seeds, players, state=None, where=None):
        begun = np.zeros(len(seeds), np.float32)
        return begun if state is None else np.where(where, begun, state)

    def act(self, view, state):
        gap = view["walker/x"][:, 1] - view["walker/x"][:, 0]
        push = np.clip(gap, -1, 1).astype(np.float32)[:, None]
        return {"pad/push": push, "pad/jump": gap[:, None] > 3}, gap

    def tracks(self, state):
        return {"distance": np.abs(state), "both": np.stack([state, -state], 1)}


class Closeness:
    """A sound reward: minus the distance, in frames that go on."""

    def __init__(self, weights):
        self.weights = weights

    def before(self, columns):
        return {"clock/frame": columns["clock/frame"].copy()}

    def __call__(self, earlier, after, events, step=0):
        live = after["clock/frame"] != earlier["clock/frame"]
        gap = np.abs(np.diff(after["walker/x"], axis=1)) * live
        terms = {"gap": -self.weights["gap"] * np.repeat(gap, 2, 1).astype(float)}
        return terms["gap"].copy(), terms


GAME = Game(
    name="walk",
    title="two walkers on a line",
    schema=SCHEMA,
    world=Walk,
    bots={"pusher": lambda argument="": Pusher()},
    rewards={"close": lambda: Closeness({"gap": 1.0})},
    reward=Closeness,
)


def test_a_sound_game_passes():
    """World, agent, tracks and reward of a sound game pass every check."""
    check_game(GAME)
    check_reward({"gap": 2.0}, GAME)
    check_load(Walk, GAME)


class Nameless(Walk):
    name = ""


class Chancy(Walk):
    def step(self, controls):
        noise = np.random.default_rng().random()
        return super().step({**controls, "pad/push": controls["pad/push"] * noise})


class Crowded(Walk):
    def step(self, controls):
        return super().step({**controls, "pad/push": controls["pad/push"] / self.matches})


class Endless(Walk):
    LENGTH = 1000

    def step(self, controls):
        columns, events, done = super().step(controls)
        columns["clock/frame"][:] %= 50
        return columns, events, done


class Restless(Walk):
    def step(self, controls):
        columns, events, done = super().step(controls)
        columns["walker/x"][done] += 1
        return columns, events, done


class Greedy(Walk):
    def reset(self, seeds, where=None):
        return super().reset(seeds)


class Forgetful(Walk):
    def restore(self, snapshot, where=None):
        return super().restore({**snapshot, "walker/x": snapshot["walker/x"] * 0}, where)


class Boundless(Walk):
    def reset(self, seeds, where=None):
        super().reset(seeds, where)
        self.columns["walker/x"][:] += 99
        return self.columns


class Approximate(Walk):
    def load(self, columns, where=None):
        return super().load({**columns, "walker/x": np.round(columns["walker/x"])}, where)


class LoadsAll(Walk):
    def load(self, columns, where=None):
        found = super().load(columns, where)
        if where is not None:
            found["walker/x"][:] = found["walker/x"][0]
        return found


class Undecided(Walk):
    truncated = np.ones(5, bool)


class Contextless(Walk):
    def context(self, where=None):
        return {key: values[None] for key, values in self.columns.items()}


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (Nameless, "the world has no name"),
        (lambda matches: Walk(3), "3 matches, 5 were asked for"),
        (Chancy, "the same seeds and controls give other states"),
        (Crowded, "a match differs when it is alone"),
        (Endless, "no match ended in"),
        (Restless, "a finished match changed"),
        (Greedy, "a reset of some matches changed another one"),
        (Forgetful, "going on from a snapshot differs"),
        (Boundless, "random play made what the schema refuses: .*walker/x"),
        (Approximate, "a loaded row comes back changed"),
        (LoadsAll, "differs|changed another one"),
        (Undecided, "truncated and not done"),
        (Contextless, "context, walker/x: .* is needed"),
    ],
)
def test_a_world_that_breaks_a_promise(factory, words):
    """Each broken promise of a world is named."""
    with pytest.raises(AssertionError, match=words):
        check_world(factory, GAME)


def test_a_context_is_checked():
    """Rows of the chosen matches pass; values that the schema refuses do not."""

    class WithContext(Walk):
        rows = random_rows(SCHEMA, 4)

        def context(self, where=None):
            count = self.matches if where is None else int(where.sum())
            return {key: np.repeat(v[:, None], count, axis=1) for key, v in self.rows.items()}

    check_context(WithContext, GAME)
    WithContext.rows["walker/x"][2] = 500
    with pytest.raises(AssertionError, match="walker/x"):
        check_context(WithContext, GAME)


class Shouter(Pusher):
    def act(self, view, state):
        answer, state = super().act(view, state)
        return {**answer, "pad/push": answer["pad/push"] + 5}, state


class Scribbler(Pusher):
    def act(self, view, state):
        answer = super().act(view, state)
        view["clock/frame"][:] += 1
        return answer


class Sociable(Pusher):
    def act(self, view, state):
        answer, state = super().act(view, state)
        return {**answer, "pad/push": answer["pad/push"] * len(state) / 5}, state


class Counting(Pusher):
    """Keeps its memory outside of the state."""

    calls = 0

    def act(self, view, state):
        self.calls += 1
        answer, state = super().act(view, state)
        return {**answer, "pad/jump": answer["pad/jump"] ^ (self.calls % 3 == 0)}, state


class Stubborn(Pusher):
    """Ignores that some matches begin anew."""

    def start(self, seeds, players, state=None, where=None):
        return np.zeros(len(seeds)) if state is None else state

    def act(self, view, state):
        answer, _ = super().act(view, state)
        return {**answer, "pad/jump": (state > 4)[:, None]}, state + 1


class Opaque(Pusher):
    """Has a state that nobody can merge."""

    def start(self, seeds, players, state=None, where=None):
        return [0] * len(seeds)

    def act(self, view, state):
        return super().act(view, None)[0], state


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (Shouter(), r"the agent forfeits: \['pad/push"),
        (Scribbler(), "the agent wrote to its view"),
        (Sociable(), "one match among others differs from it alone"),
        (Counting(), "differ"),
        (Stubborn(), "matches that begin anew among others differ"),
    ],
)
def test_an_agent_that_breaks_a_promise(agent, words):
    """Each broken promise of an agent is named."""
    with pytest.raises(AssertionError, match=words):
        check_agent(agent, GAME)


def test_an_agent_that_cannot_be_warmed_up():
    """A state that cannot be merged is refused with what to add."""
    with pytest.raises(Exception, match="give the agent a method put"):
        check_agent(Opaque(), GAME)


def test_an_agent_of_a_game_without_a_world():
    """Where there is no world, agents are shown random rows; another world can be given."""
    import dataclasses

    bare = dataclasses.replace(GAME, world=None)
    check_agent(Pusher(), bare)
    check_agent(Pusher(), bare, factory=Walk)


class Mistyped(Pusher):
    def tracks(self, state):
        return {**super().tracks(state), "distance": np.abs(state)[:, None]}


class Silent(Pusher):
    def tracks(self, state):
        return {"distance": np.abs(state)}


class Chatty(Pusher):
    def tracks(self, state):
        return {**super().tracks(state), "mood": np.abs(state)}


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (Mistyped(), r"track 'distance': float32 \(5, 1\) given, f4 \(5,\) expected"),
        (Silent(), "track 'both' is declared and not given"),
        (Chatty(), "track 'mood' is given and not declared"),
    ],
)
def test_tracks_that_break_a_promise(agent, words):
    """Tracks of another shape, missing ones and undeclared ones are named."""
    with pytest.raises(AssertionError, match=words):
        check_tracks(agent, GAME)


class Rewarding(Closeness):
    def __call__(self, earlier, after, events, step=0):
        rewards, terms = super().__call__(earlier, after, events, step)
        return self.bend(rewards), terms


@pytest.mark.parametrize(
    ("bend", "words"),
    [
        (lambda r: r + 1, "the terms do not add up"),
        (lambda r: r * np.nan, "a reward is not finite"),
        (lambda r: r[:, :1], "shapes"),
    ],
)
def test_a_reward_that_breaks_a_promise(bend, words):
    """Rewards that are not finite, of another shape, or not the sum of their terms are named."""
    reward = Rewarding({"gap": 1.0})
    reward.bend = bend
    with pytest.raises(AssertionError, match=words):
        check_reward(reward, GAME)


class Eternal(Closeness):
    """Pays for finished matches, too."""

    def __call__(self, earlier, after, events, step=0):
        gap = np.repeat(np.abs(np.diff(after["walker/x"], axis=1)), 2, 1).astype(float) + 1
        return gap.copy(), {"gap": gap}


def test_a_finished_match_earns_nothing():
    """A reward for a match that is over is named."""

    class Uneven(Walk):
        def step(self, controls):
            columns, events, _ = super().step(controls)
            self.done[0] = True
            return columns, events, self.done.copy()

    with pytest.raises(AssertionError, match="a finished match earns something"):
        check_reward(Eternal({"gap": 1.0}), GAME, factory=Uneven)


def test_brawl_keeps_its_promises_with_options():
    """A world of brawl with options, and a reward of weights, pass the same checks."""
    brawl = load("brawl")
    factory = lambda matches: brawl.world(matches, stage="mirror", time_limit=300)  # noqa: E731
    check_world(factory, brawl, frames=20)
    check_reward({"damage": 1.0, "win": 5.0}, brawl, factory=factory)
