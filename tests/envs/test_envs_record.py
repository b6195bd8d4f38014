"""Gymnasium environments as stores: spaces become a schema, and stores hold what was returned."""

from __future__ import annotations

import json
from functools import reduce
from operator import getitem
from typing import ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from shadowbox import cli
from shadowbox.collect.gym import record_gym
from shadowbox.data.store import Store
from shadowbox.errors import EpisodeError, UsageError
from shadowbox.games.environments.spaces import spaces_of

NESTED = spaces.Dict(
    {
        "Pose": spaces.Box(-1.0, 1.0, (2, 3), np.float64),
        "speed": spaces.Box(np.array([0, -5], np.float32), np.array([np.inf, 5], np.float32)),
        "picture": spaces.Box(0, 255, (4, 4), np.uint8),
        "bag": spaces.Tuple((spaces.MultiBinary(3), spaces.Discrete(4, start=-1))),
        "counts": spaces.MultiDiscrete([3, 200]),
    }
)
MOVES = spaces.Dict(
    {
        "aim": spaces.Box(0.5, 2.0, (2,), np.float32),
        "jump": spaces.Discrete(2),
        "tool": spaces.Discrete(3, start=7),
    }
)


class Nested(gymnasium.Env):
    """Shows anything, takes anything, and ends after 12 steps.

    Remembers what it showed and took.
    """

    metadata = {"render_modes": [], "render_fps": 20}  # noqa: RUF012
    shown: ClassVar[list] = []
    taken: ClassVar[list] = []
    rewards: ClassVar[list] = []

    def __init__(self, shows=NESTED, takes=MOVES, wrong=False):
        self.observation_space, self.action_space, self.wrong = shows, takes, wrong

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        for kept in (self.shown, self.taken, self.rewards):
            kept.clear()
        self.shown.append(self.observation_space.sample())
        return self.shown[-1], {}

    def step(self, action):
        self.taken.append(action)
        self.shown.append(self.observation_space.sample())
        self.rewards.append(float(self.np_random.normal()))
        shown = 5 if self.wrong else self.shown[-1]
        return shown, self.rewards[-1], False, len(self.taken) == 12, {}


def always_right(observation):
    """A policy for CartPole."""
    return 1


def always_wrong(observation):
    """No policy for CartPole."""
    return 2


@pytest.fixture(autouse=True)
def registered():
    """The environment above, as a user registers one."""
    gymnasium.register("test/Nested-v0", entry_point=Nested)
    yield
    del gymnasium.registry["test/Nested-v0"]


def run(capsys, *arguments):
    """Run a command in this process: exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_cartpole_comes_back(capsys, tmp_path):
    """Every recorded episode of CartPole, replayed from its seed and actions, gives the stored values."""
    code, out, _ = run(
        capsys,
        "record",
        "gym:CartPole-v1",
        "--matches",
        6,
        "--out",
        tmp_path / "s",
        "--seed",
        3,
        "--json",
    )
    assert code == 0
    facts = json.loads(out)
    store = Store(tmp_path / "s")
    assert (facts["episodes"], facts["frames"], facts["game"]) == (
        6,
        store.frames,
        "gym:CartPole-v1",
    )
    assert store.schema.fps == 50
    assert store.schema.columns["obs/value_0"].field.limits == pytest.approx((-4.8, 4.8))
    env = gymnasium.make("CartPole-v1")
    for number in range(6):
        episode = store.episode(number)
        seen, _ = env.reset(seed=episode.meta["seed"])
        rewards, ended = [0.0], (False, False)
        for frame in range(episode.rows):
            stored = [episode.columns[f"obs/value_{i}"][frame, 0] for i in range(4)]
            np.testing.assert_array_equal(stored, seen)
            if frame < episode.frames:
                assert not any(ended)
                seen, reward, *ended, _ = env.step(int(episode.columns["action/value"][frame, 0]))
                rewards.append(reward)
        np.testing.assert_array_equal(episode.columns["step/reward"][:, 0], rewards)
        assert episode.columns["action/value"][-1, 0] == 0
        result = episode.meta["result"]
        assert [result["terminated"], result["truncated"]] == ended == [True, False]
        assert result["return"] == sum(rewards)
        assert episode.meta["players"] == ["random"]
    assert len({store.episode(number).meta["seed"] for number in range(6)}) == 6


def test_nested_spaces_come_back(tmp_path):
    """A Dict environment of every kind of space is stored leaf by leaf, with actions and rewards."""
    record_gym("test/Nested-v0", tmp_path / "s", episodes=1, seed=1)
    columns = Store(tmp_path / "s").episode(0).columns
    shown, taken = Nested.shown, Nested.taken
    assert len(columns["step/reward"]) == 13
    at = lambda *keys: np.array([reduce(getitem, keys, value) for value in shown])  # noqa: E731
    np.testing.assert_array_equal(
        columns["obs_pose/value"], at("Pose").reshape(13, 6).astype(np.float32)
    )
    np.testing.assert_array_equal(columns["obs_speed/value_1"][:, 0], at("speed")[:, 1])
    np.testing.assert_array_equal(columns["obs_picture/value"], at("picture").reshape(13, 16))
    np.testing.assert_array_equal(columns["obs_bag_part_0/value"], at("bag", 0).astype(bool))
    np.testing.assert_array_equal(
        columns["obs_bag_part_1/value"][:, 0].astype(int) - 1, at("bag", 1)
    )
    np.testing.assert_array_equal(columns["obs_counts/value_1"][:, 0], at("counts")[:, 1])
    np.testing.assert_array_equal(
        columns["action/aim_1"][:12, 0], [action["aim"][1] for action in taken]
    )
    np.testing.assert_array_equal(
        columns["action/jump"][:12, 0], [action["jump"] for action in taken]
    )
    np.testing.assert_array_equal(
        columns["action/tool"][:12, 0] + 7, [action["tool"] for action in taken]
    )
    np.testing.assert_array_equal(columns["step/reward"][1:, 0], np.float32(Nested.rewards))
    assert not any(columns[key][12].any() for key in Store(tmp_path / "s").schema.control_keys)
    result = Store(tmp_path / "s").episode(0).meta["result"]
    assert (result["terminated"], result["truncated"]) == (False, True)


def test_the_same_call_gives_the_same_store(tmp_path):
    """Recording is seeded: equal calls give equal episodes, and a store can be appended to."""
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        record_gym("CartPole-v1", tmp_path / name, episodes=3, seed=seed)
    assert Store(tmp_path / "a").fingerprint == Store(tmp_path / "b").fingerprint
    record_gym("CartPole-v1", tmp_path / "b", episodes=1, seed=5)
    a, b, c = (Store(tmp_path / name) for name in "abc")
    assert len(b) == 4
    for number in range(3):
        for key, values in a.episode(number).columns.items():
            np.testing.assert_array_equal(values, b.episode(number).columns[key])
    assert (a.episode(0).columns["obs/value_0"][0] != c.episode(0).columns["obs/value_0"][0]).any()


def test_a_function_plays(capsys, tmp_path):
    """`--p0 module:function` acts on what it sees, and the episodes carry its name."""
    name = f"{__name__}:always_right"
    code, out, _ = run(
        capsys, "record", "gym:CartPole-v1", "--matches", 2, "--out", tmp_path / "s", "--p0", name
    )
    assert code == 0
    assert "2 matches" in out
    episode = Store(tmp_path / "s").episode(0)
    assert (episode.columns["action/value"][:-1] == 1).all()
    assert episode.meta["players"] == [name]


@pytest.mark.parametrize(
    ("shows", "message"),
    [
        (spaces.Text(5), "observation: Text"),
        (spaces.Dict({"say": spaces.Sequence(spaces.Discrete(2))}), "observation say: Sequence"),
        (spaces.Box(0, 255, (84, 84), np.uint8), "7,056 whole numbers"),
        (spaces.Box(0, 1 << 20, (2,), np.int32), "integers from 0 to 1048576"),
        (spaces.Discrete(1 << 20), "at most 65,536 values can be recorded"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(shows, message):
    """A space without a place in a schema is refused with its path, itself and what is possible."""
    with pytest.raises(UsageError, match=message) as refused:
        spaces_of(Nested(shows), "gym:test")
    assert "\n" not in str(refused.value)
    assert "can be recorded" in str(refused.value) or "cannot be recorded" in str(refused.value)


def test_what_lies_outside_its_space_is_refused(tmp_path):
    """A value outside the declared space stops the recording with its frame, and nothing is stored."""
    gymnasium.register(
        "test/Wrong-v0",
        entry_point=lambda: Nested(spaces.Discrete(3), spaces.Discrete(2), wrong=True),
    )
    with pytest.raises(
        EpisodeError,
        match=r"gym:test/Wrong-v0, seed \d+, frame 1: the observation is not in its space",
    ):
        record_gym("test/Wrong-v0", tmp_path / "s", episodes=1)
    del gymnasium.registry["test/Wrong-v0"]
    with pytest.raises(EpisodeError, match=r"frame 0: 2 was played, which is not in Discrete\(2\)"):
        record_gym("CartPole-v1", tmp_path / "t", episodes=1, policy=f"{__name__}:always_wrong")
    assert not (tmp_path / "s" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gym:CartPol-v1"], "gym:CartPol-v1 cannot be made: NameNotFound"),
        (["gym:no_such_module:X-v0"], "gym:no_such_module:X-v0 cannot be made"),
        (
            ["gym:CartPole-v1", "--p0", "based"],
            "policy 'based': a function of an observation is needed",
        ),
        (["gym:CartPole-v1", "--p0", "json:nothing"], "policy 'json:nothing' cannot be imported"),
        (
            ["gym:CartPole-v1", "--p0", "json:__name__"],
            "is a str, a function of an observation is needed",
        ),
        (
            ["gym:CartPole-v1", "--p1", "based"],
            "it takes no --p1, --mix, --world, --stage, --tracks or --resume",
        ),
        (
            ["gym:CartPole-v1", "--stage", "mirror"],
            "it takes no --p1, --mix, --world, --stage, --tracks or --resume",
        ),
    ],
)
def test_a_wrong_call_is_one_line(capsys, tmp_path, arguments, message):
    """Each wrong call exits with 2 and one line, and leaves no store."""
    code, out, err = run(capsys, "record", *arguments, "--out", tmp_path / "s")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "s" / "manifest.json").exists()
