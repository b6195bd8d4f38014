"""A turn: everybody's controls, the world's next state, and how matches end for a learner."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from shadowbox.core.game import Game, Outcome, no_events
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.play.agent import Delayed
from shadowbox.play.match import play
from shadowbox.play.rewards import resolve_reward
from shadowbox.play.turn import STOPPED, MatchBatch
from shadowbox.play.vector_matches import VectorMatches

SCHEMA = Schema(
    "tug",
    fps=10,
    state=(
        Group("rope", (Real("x", low=-50, high=50),)),
        Group("clock", (Choice("frame", 100),)),
        Group("match", (Choice("winner", 3),)),
    ),
    controls=Group(
        "pad",
        (Real("pull", low=-1, high=2), Flag("jump"), Choice("gear", 3)),
        slots=4,
        per="player",
    ),
    players=2,
)


class Tug:
    """A rope that two players pull with two hands each: over at 10 m, by the clock, or when unsure.

    Matches whose seed is 13 are broken off by the world itself in frame 3.
    """

    schema, name = SCHEMA, "tug"

    def __init__(self, matches, *, time_limit=20):
        self.matches, self.time_limit = matches, time_limit
        self.columns = SCHEMA.neutral(matches)
        self.seeds = np.zeros(matches, np.int64)
        self.done, self.truncated = np.zeros(matches, bool), np.zeros(matches, bool)
        self.pressed = {}

    def reset(self, seeds, where=None):
        fresh = np.ones(self.matches, bool) if where is None else where
        self.seeds[fresh] = seeds[fresh]
        self.done[fresh] = self.truncated[fresh] = False
        for values in self.columns.values():
            values[fresh] = 0
        return self.columns

    def step(self, controls):
        self.pressed = {key: values.copy() for key, values in controls.items()}
        live = ~self.done
        force = controls["pad/pull"][:, 2:].sum(1) - controls["pad/pull"][:, :2].sum(1)
        self.columns["rope/x"][live, 0] += force[live]
        self.columns["clock/frame"][live] += 1
        x, frame = self.columns["rope/x"][:, 0], self.columns["clock/frame"][:, 0]
        self.columns["match/winner"][live, 0] = np.where(np.abs(x) < 10, 0, np.where(x < 0, 1, 2))[
            live
        ]
        self.truncated = live & (self.seeds == 13) & (frame == 3)
        self.done = self.done | (np.abs(x) >= 10) | (frame >= self.time_limit) | self.truncated
        return self.columns, no_events(), self.done.copy()

    def snapshot(self, where=None):
        raise UsageError("a rope cannot be copied")

    def restore(self, snapshot, where=None):
        raise UsageError("a rope cannot be set back")


def outcome(columns, events):
    """By the rope, or by the clock."""
    winner = int(columns["match/winner"][-1, 0])
    return Outcome(winner - 1, "pulled") if winner else Outcome(None, "time", timeout=True)


GAME = Game(name="tug", title="tug of war", schema=SCHEMA, world=Tug, outcome=outcome)


class Puller:
    """Pulls with this force, or gives another answer from some frame on."""

    def __init__(self, force, fault=None, frame=2):
        self.force, self.fault, self.frame = force, fault, frame

    def start(self, seeds, players, state=None, where=None):
        return np.zeros(len(seeds), np.int64) if state is None else np.where(where, 0, state)

    def act(self, view, state):
        n = len(state)
        answer = {
            "pad/pull": np.full((n, 2), self.force, np.float32),
            "pad/jump": np.zeros((n, 2), bool),
            "pad/gear": np.ones((n, 2), np.int64),
        }
        if self.fault is not None and (state >= self.frame).all():
            answer = self.fault(answer)
        return answer, state + 1


def nothing(matches):
    """Neutral controls of one player."""
    return {
        "pad/pull": np.zeros((matches, 2), np.float32),
        "pad/jump": np.zeros((matches, 2), bool),
        "pad/gear": np.zeros((matches, 2), np.uint8),
    }


def until_all_over(batch, outside=None):
    """Every turn until all matches are over."""
    turns = []
    while not batch.over.all():
        turns.append(batch.turn(outside))
    return turns


def test_a_termination_is_no_truncation():
    """Rules terminate a match; the clock and the world truncate it, and a learner bootstraps."""
    seeds = np.array([1, 13, 2])
    batch = MatchBatch(GAME, Tug(3), [Puller(1.5), None])
    batch.begin(seeds)
    turns = until_all_over(batch, {1: nothing(3)})  # 3 m a frame: over in frame 4
    assert [turn.ended.tolist() for turn in turns] == [
        [False] * 3,
        [False] * 3,
        [False, True, False],
        [True, False, True],
    ]
    stopped, pulled = turns[2], turns[3]
    assert stopped.truncated.tolist() == [False, True, False]
    assert not stopped.terminated.any()
    assert stopped.bootstrap.all()
    assert stopped.outcomes[1] == Outcome(None, STOPPED)
    assert not stopped.rewards.any()
    assert pulled.terminated.tolist() == [True, False, True]
    assert not pulled.truncated.any()
    assert pulled.bootstrap.tolist() == [False, True, False]
    assert pulled.outcomes[0].winner == 0
    assert pulled.rewards.tolist() == [[1, -1], [0, 0], [1, -1]]
    assert pulled.terms["result"] is pulled.rewards

    batch = MatchBatch(GAME, Tug(2), [None, None])
    batch.begin(seeds[[0, 2]])
    last = until_all_over(batch, {0: nothing(2), 1: nothing(2)})[-1]
    assert len(batch.rows) == 2
    assert (batch.rows == 20).all()
    assert last.truncated.all()
    assert last.bootstrap.all()
    assert not last.terminated.any()
    assert last.columns["clock/frame"].tolist() == [[20], [20]]  # the state to bootstrap from


class Counts:
    """An agent that pulls harder with each frame of its match, as its state says."""

    def start(self, seeds, players, state=None, where=None):
        """Zero for the matches that begin; the others go on."""
        begun = np.zeros(len(seeds))
        return begun if state is None or where is None else np.where(where, begun, state)

    def act(self, view, state):
        """One decision."""
        pull = np.repeat(state[:, None], 2, axis=1) / 100
        held = {key: np.zeros((len(state), 2)) for key in ("pad/jump", "pad/gear")}
        held = {"pad/jump": held["pad/jump"].astype(bool), "pad/gear": held["pad/gear"].astype(int)}
        return {"pad/pull": pull, **held}, state + 1


@pytest.mark.parametrize("wrap", [lambda agent: agent, lambda agent: Delayed(agent, 2)])
def test_agents_keep_the_state_of_matches_that_go_on(wrap):
    """Where one match begins anew, the agents of the others go on with their memory."""
    batch = MatchBatch(GAME, Tug(2), [wrap(Counts()), None])
    batch.begin(np.array([1, 2]))
    still = {key: values[:, :2] for key, values in SCHEMA.neutral(2).items() if key[:3] == "pad"}
    for _ in range(3):
        batch.turn({1: still})
    batch.begin(np.array([3, 3]), np.array([True, False]))
    batch.turn({1: still})
    np.testing.assert_allclose(batch.pressed["pad/pull"][:, 0], [0.0, 0.03], rtol=1e-6)


def test_a_match_that_the_world_breaks_off_says_so():
    """`play` ends such a match without a winner, and its result names the world."""
    agents = [Puller(0.5), Puller(0.5)]
    first, second = play(GAME, Tug(2), agents, ("a", "b"), np.array([13, 4]))
    assert first.episode.meta["result"] == {"winner": None, "reason": STOPPED}
    assert first.episode.frames == 3
    assert second.outcome.reason == "time"


FAULTS = [
    (lambda answer: 1 / 0, "ZeroDivisionError", [True, True]),
    (lambda answer: {**answer, "pad/pull": answer["pad/pull"][:, :1]}, "shape", [True, True]),
    (
        lambda answer: {
            **answer,
            "pad/pull": np.where([[True, False], [False, False]], 9, answer["pad/pull"]),
        },
        "pad/pull: 9.0, allowed -1 .. 2",
        [True, False],
    ),
]


@pytest.mark.parametrize(("fault", "reason", "lost"), FAULTS)
def test_an_opponent_that_breaks_forfeits(fault, reason, lost):
    """In matches played from outside an agent's mistake ends its match as the other's win."""
    matches = VectorMatches(GAME, 2, seats=[0], opponent=Puller(0.5, fault))
    matches.begin(np.array([1, 2]))
    idle = {0: np.zeros((2, 6))}
    for _ in range(2):
        assert not matches.step(idle).ended.any()
    turn = matches.step(idle)
    assert turn.ended.tolist() == turn.terminated.tolist() == lost
    assert reason in turn.outcomes[0].facts["forfeit"][0]["reason"]
    assert turn.outcomes[0].winner == 0
    assert turn.rewards[0].tolist() == [1, -1]
    again = matches.step(idle)
    assert not again.ended[0], "a match ends once"
    matches.begin(np.array([5, 6]), np.array([True, False]))
    assert matches.batch.over.tolist() == [False, lost[1]]


def test_controls_are_what_was_pressed():
    """Real values, flags and choices of two hands reach the world as the schema stores them."""
    world = Tug(2)
    batch = MatchBatch(GAME, world, [Puller(0.25), None])
    batch.begin(np.array([1, 2]))
    rows = []
    outside = nothing(2) | {"pad/pull": np.array([[2.0, -1.0], [0.5, 0.5]], np.float32)}
    batch.turn({1: outside}, record=lambda row, tracks: rows.append((dict(row), tracks)))
    assert world.pressed["pad/pull"].tolist() == [[0.25, 0.25, 2, -1], [0.25, 0.25, 0.5, 0.5]]
    assert world.pressed["pad/gear"].tolist() == [[1, 1, 0, 0]] * 2
    for key in SCHEMA.control_keys:
        assert world.pressed[key].dtype == SCHEMA.columns[key].dtype
        np.testing.assert_array_equal(rows[0][0][key], world.pressed[key])
        np.testing.assert_array_equal(batch.view[key], world.pressed[key])
    assert rows[0][1] == {}


def test_box_actions_are_within_the_limits_of_each_field():
    """A `box` action has a number for each value of a player's controls, in the field's limits."""
    matches = VectorMatches(GAME, 1, seats=[0], opponent=Puller(0))
    assert matches.actions.name == "box"
    assert matches.actions.low.tolist() == [-1, -1, 0, 0, 0, 0]
    assert matches.actions.high.tolist() == [2, 2, 1, 1, 2, 2]
    pressed = matches.actions.controls(np.array([[1.75, -1, 0.6, 0.5, 1.6, 0]]), 1)
    assert {key: values.tolist() for key, values in pressed.items()} == {
        "pad/pull": [[1.75, -1]],
        "pad/jump": [[True, False]],
        "pad/gear": [[2, 0]],
    }
    with pytest.raises(UsageError, match=r"actions 'box': 2\.1 given, -1 to 2 are possible"):
        matches.actions.controls(np.array([[2.1, 0, 0, 0, 0, 0]]), 1)
    with pytest.raises(UsageError, match="tug has no actions 'multibinary'"):
        VectorMatches(GAME, 1, seats=[0], opponent=Puller(0), actions="multibinary")


def test_tables_may_name_values():
    """A row of a game's table names pressed flags, or values by field."""
    table = {"pull": {"pull": 1.5, "gear": 2}, "hop": ("jump",)}
    game = dataclasses.replace(GAME, actions={"moves": table})
    matches = VectorMatches(game, 2, seats=[0], opponent=Puller(0), actions="moves")
    pressed = matches.actions.controls(np.array([0, 1]), 2)
    assert pressed["pad/pull"].tolist() == [[1.5, 1.5], [0, 0]]
    assert pressed["pad/jump"].tolist() == [[False, False], [True, True]]
    wrong = dataclasses.replace(GAME, actions={"moves": {"x": ("jmp",)}})
    with pytest.raises(UsageError, match="action 'x' names 'jmp': did you mean 'jump'"):
        VectorMatches(wrong, 2, seats=[0], opponent=Puller(0), actions="moves")


@pytest.mark.filterwarnings("ignore:.*we recommend using a symmetric and normalized space")
def test_an_environment_with_sticks():
    """A game with real-valued controls is a Gymnasium environment with a Box of actions."""
    gymnasium = pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    from shadowbox.envs.single import GameEnv

    env = GameEnv(GAME, opponent=Puller(0.5))
    assert isinstance(env.action_space, gymnasium.spaces.Box)
    assert env.action_space.shape == (6,)
    check_env(env, skip_render_check=True)


def test_seats_must_be_given_controls():
    """Controls are needed for the seats played from outside, and refused for the others."""
    batch = MatchBatch(GAME, Tug(1), [Puller(0), None])
    batch.begin(np.array([1]))
    with pytest.raises(UsageError, match=r"played from outside are \[1\]"):
        batch.turn()
    with pytest.raises(UsageError, match=r"controls for the seats \[0, 1\]"):
        batch.turn({0: nothing(1), 1: nothing(1)})


# ---- rewards -------------------------------------------------------------------------------------

BRAWL = load("brawl")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("dens", "brawl has no reward 'dens': did you mean 'dense'?"),
        ({}, "the name of a preset or weights by term are needed"),
        (5, "reward is 5; the name of a preset"),
        ({"damag": 1.0}, "unknown reward term 'damag'"),
    ],
)
def test_rewards_that_mean_nothing(given, message):
    """A reward is a preset or weights by term; anything else is refused with what there is."""
    with pytest.raises(UsageError, match=message):
        resolve_reward(given, BRAWL)


def test_weights_out_of_a_card():
    """Weights that change with the learning step may be lists, as YAML and JSON have them."""
    listed = resolve_reward({"closing": [[0, 6.0], [100, 2.0]], "win": 1}, BRAWL)
    assert listed.weight("closing", 50) == 4.0
    assert resolve_reward(None, BRAWL) is None
    assert resolve_reward(listed, BRAWL) is listed
    with pytest.raises(UsageError, match="tug takes no weights"):
        resolve_reward({"win": 1.0}, GAME)
