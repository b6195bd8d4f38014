"""Environments of Gymnasium and PettingZoo as games: their worlds, their ends, their mistakes."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo import ParallelEnv

from shadowbox.errors import EpisodeError, UsageError
from shadowbox.games import load
from shadowbox.play import specs
from shadowbox.play.rewards import resolve_reward
from shadowbox.testing.games import check_game

MOVES = spaces.Dict({"aim": spaces.Box(0.5, 2.0, (2,)), "tool": spaces.Discrete(3, start=7)})


class Walk(gymnasium.Env):
    """Ends at a random time; says what it was given. `lucky`: from no seed."""

    metadata = {"render_modes": [], "render_fps": 20}  # noqa: RUF012

    def __init__(self, lucky=False, shows="Box"):
        self.lucky = lucky
        usual = spaces.Dict({"at": spaces.Box(-9, 9, (3,)), "phase": spaces.Discrete(4)})
        self.observation_space = usual if shows == "Box" else spaces.Text(3)
        self.action_space = MOVES

    def reset(self, *, seed=None, options=None):
        super().reset(seed=None if self.lucky else seed)
        return self._seen(), {}

    def step(self, action):
        assert action in MOVES
        over = self.np_random.random() < 0.1
        return self._seen(), float(action["tool"]), over, False, {}

    def _seen(self):
        at = self.np_random.uniform(-9, 9, 3).astype(np.float32)
        return {"at": at, "phase": int(self.np_random.integers(4))}


class Apart(ParallelEnv):
    """The first player is out after two frames, the second after five."""

    metadata = {"name": "apart"}  # noqa: RUF012

    def __init__(self, players=2, alike=True):
        self.possible_agents, self.alike = [f"p{i}" for i in range(players)], alike

    def observation_space(self, agent):
        return spaces.Box(0, 9, (2,))

    def action_space(self, agent):
        return spaces.Discrete(3 if self.alike or agent == "p0" else 4)

    def reset(self, seed=None, options=None):
        self.agents, self.frame = list(self.possible_agents), 0
        return {name: np.zeros(2, np.float32) for name in self.agents}, {}

    def step(self, actions):
        assert actions.keys() == set(self.agents)
        self.frame += 1
        seen = {name: np.full(2, self.frame, np.float32) for name in actions}
        over = {name: self.frame == (2 if name == "p0" else 5) for name in actions}
        self.agents = [name for name in self.agents if not over[name]]
        return seen, dict.fromkeys(actions, 1.0), over, dict.fromkeys(over, False), {}


@pytest.fixture(autouse=True)
def registered():
    """The environment above, as a user registers one."""
    gymnasium.register("Walk-v0", entry_point=Walk)
    yield
    del gymnasium.registry["Walk-v0"]


@pytest.mark.parametrize(
    "spec", ["gym:CartPole-v1", "gym:Walk-v0", "zoo:test_environments:Apart@players=2"]
)
def test_an_environment_keeps_the_promises_of_a_game(spec):
    """World, reward, record and views of an environment pass the checks that games of ours pass."""
    game = load(spec)
    check_game(game)
    assert specs.world(spec, game, 2).name == spec


def test_actions_arrive_as_the_environment_declares_them():
    """Control values become members of the action space: reals clipped, choices from their start."""
    game = load("gym:Walk-v0")
    world = game.world(1)
    world.reset(np.zeros(1, np.int64))
    controls = {key: game.schema.neutral(1)[key] for key in game.schema.control_keys}
    (tool,) = (key for key in controls if "tool" in key)
    controls[tool][:] = 2
    columns, events, _ = world.step(controls)
    assert columns["step/reward"] == 9
    paid, terms = resolve_reward({"environment": 0.5}, game)({}, columns, events)
    assert paid == 4.5
    assert list(terms) == ["environment"]


def test_a_match_of_two_ends_when_the_last_player_is_out():
    """A player who is out sees its last frame and earns nothing, while the other plays on."""
    game = load("zoo:test_environments:Apart")
    world = game.world(1)
    world.reset(np.zeros(1, np.int64))
    neutral = game.schema.neutral(1)
    for frame in range(1, 6):
        columns, events, done = world.step(neutral)
        assert columns["obs/value"][0].tolist() == [min(frame, 2)] * 2 + [frame] * 2
        assert set(events["player"]) == ({0, 1} if frame <= 2 else {1})
        assert done[0] == (frame == 5)
    assert not world.truncated.any()
    assert game.outcome(columns, events).winner == 1


def test_an_environment_with_luck_of_its_own_is_not_restored():
    """Where seed and actions do not lead to the same state, restoring is refused by name."""
    world = load("gym:Walk-v0@lucky=true").world(1)
    world.reset(np.zeros(1, np.int64))
    with pytest.raises(EpisodeError, match=r"Walk-v0@lucky=true.*cannot be restored"):
        world.restore(world.snapshot())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gym:Nothing-v7", "Nothing"),
        ("gym:Walk-v0@shows=text", "observation: Text"),
        ("gym:Walk-v0@lucky", "'lucky' is not an option"),
        ("gym:Walk-v0@height=3", "height"),
        ("zoo:test_environments", "no 'parallel_env'"),
        ("zoo:no_such_module", "no_such_module"),
        ("zoo:test_environments:Apart@players=3", "this one has 3"),
        ("zoo:test_environments:Apart@alike=false", "the same action_space"),
    ],
)
def test_what_cannot_be_a_game_is_refused_in_one_line(spec, message):
    """The message names the spec and the reason."""
    with pytest.raises(UsageError, match=message) as refused:
        load(spec)
    assert str(refused.value).count("\n") == 0
    assert spec.split("@")[0] in str(refused.value)
