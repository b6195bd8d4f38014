"""Many matches at once, and all seats at once: the vector environment and the PettingZoo environment."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode
from pettingzoo.test import parallel_api_test as check_interface
from pettingzoo.test import parallel_seed_test as check_seeds

import shadowbox.envs  # noqa: F401  (registers the environments)
from shadowbox.envs.parallel import GameParallelEnv
from shadowbox.envs.single import GameEnv
from shadowbox.envs.vector import GameVectorEnv
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.play.vector_matches import VectorMatches

SHORT = {"time_limit": 25, "opponent": "aggressive"}


@pytest.mark.parametrize(
    ("actions", "seat", "opponent"),
    [
        ("multibinary", 0, "aggressive"),
        ("box", 1, "switcher"),
        ("combos", 0, "random"),
        ("discrete", 1, "expert@delay=4"),
    ],
)
def test_many_matches_are_the_single_ones(actions, seat, opponent):
    """N matches in one world equal N environments, bit for bit, with resets and infos."""
    options = {"time_limit": 25, "actions": actions, "seat": seat, "opponent": opponent}
    ours = gymnasium.make_vec("shadowbox/Brawl-v0", num_envs=4, **options)
    theirs = gymnasium.make_vec(
        "shadowbox/Brawl-v0", num_envs=4, vectorization_mode="sync", **options
    )
    assert isinstance(ours, GameVectorEnv)
    assert ours.single_action_space == theirs.single_action_space
    assert ours.single_observation_space == theirs.single_observation_space
    assert (ours.action_space, ours.observation_space) == (
        theirs.action_space,
        theirs.observation_space,
    )
    for seed in (7, None, [3, None, 5, 1]):
        assert data_equivalence(ours.reset(seed=seed), theirs.reset(seed=seed), exact=True)
        ours.action_space.seed(1)
        ends = 0
        for _ in range(70):
            actions_now = ours.action_space.sample()
            here, there = ours.step(actions_now), theirs.step(actions_now)
            for mine, other in zip(here[:4], there[:4], strict=True):
                np.testing.assert_array_equal(mine, other)
                assert mine.dtype == other.dtype
            assert data_equivalence(here[4], there[4], exact=True)
            ends += int((here[2] | here[3]).sum())
        assert ends == 8


def test_a_match_that_is_over_begins_anew_in_the_next_step():
    """The mode is NEXT_STEP: the step after the end shows a fresh match and gives no reward."""
    env = GameVectorEnv("brawl", 3, reward="dense", **SHORT)
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    env.reset(seed=0)
    for frame in range(25):
        _, _, terminated, truncated, _ = env.step(np.ones((3, 10), np.int8))
        assert (terminated | truncated).all() == (frame == 24)
    seen, rewards, terminated, truncated, info = env.step(np.ones((3, 10), np.int8))
    assert not rewards.any()
    assert not (terminated | truncated).any()
    assert info["_match_seed"].all()
    left = env.matches.world.restore(env.matches.world.snapshot())["match/left"]
    assert (left == 25).all()
    assert seen.shape == (3, env.single_observation_space.shape[0])


class EveryFrame:
    """A reward of 1 for every frame, of a finished match, too."""

    def before(self, columns):
        """Nothing."""
        return {}

    def __call__(self, earlier, after, events, step=0):
        """Rewards [N, players], and the term that they are."""
        rewards = np.ones((3, 2))
        return rewards, {"frame": rewards}


def test_a_match_that_has_just_begun_has_no_reward():
    """The step that begins a match anew gives no reward, whatever the reward says of that frame."""
    env = GameVectorEnv("brawl", 3, reward=EveryFrame(), **SHORT)
    env.reset(seed=0)
    given = [env.step(np.zeros((3, 10), np.int8))[1].tolist() for _ in range(27)]
    assert given == [[1.0] * 3] * 25 + [[0.0] * 3, [1.0] * 3]


def test_a_reset_keeps_the_events_of_other_matches():
    """A picture of a match is the same before and after another match begins anew."""
    matches = VectorMatches(load("brawl"), 2, seats=(), opponent="based")
    matches.begin(np.array([1, 2]))
    for _ in range(2000):
        turn = matches.step({})
        hits = turn.events["match"][turn.events["match"] == 1]
        if len(hits):
            before = matches.picture(1)
            kept, matches._events = matches._events, matches._events[:0]
            shows = (matches.picture(1) != before).any()  # an event may be out of the picture
            matches._events = kept
            if shows:
                break
    matches.begin(np.array([3, 3]), np.array([True, False]))
    np.testing.assert_array_equal(matches.picture(1), before)
    assert len(matches._events) == len(hits)


def test_one_match_of_many_can_be_reset():
    """A reset mask begins those matches and leaves the others as they are."""
    env = GameVectorEnv("brawl", 3, **SHORT)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(10):
        before, *_ = env.step(env.action_space.sample())
    after, info = env.reset(options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert (after[1] != before[1]).any()
    assert info["_match_seed"].tolist() == [False, True, False]


def test_observations_are_the_callers():
    """What a step returned does not change with the next one."""
    env = GameVectorEnv("brawl", 2, reward="dense")
    seen, _ = env.reset(seed=0)
    env.action_space.seed(0)
    kept = seen.copy()
    for _ in range(5):
        env.step(env.action_space.sample())
    np.testing.assert_array_equal(seen, kept)


def test_every_match_has_a_picture():
    """A vector environment renders one picture a match."""
    env = GameVectorEnv("brawl", 2, render_mode="rgb_array")
    env.reset(seed=0)
    pictures = env.render()
    assert [picture.shape for picture in pictures] == [pictures[0].shape] * 2
    assert pictures[0].shape[2] == 3


def test_wrong_calls_of_many():
    """Steps before a reset, wrong numbers of seeds or actions, and other masks are refused in words."""
    env = GameVectorEnv("brawl", 2)
    with pytest.raises(UsageError, match="step before reset"):
        env.step(env.action_space.sample())
    with pytest.raises(UsageError, match="3 seeds for 2 matches"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(UsageError, match="reset_mask is int64"):
        env.reset(options={"reset_mask": np.array([0, 1])})
    env.reset(seed=0)
    with pytest.raises(UsageError, match=r"\(3, 10\) given, \(2, 10\) is needed"):
        env.step(np.zeros((3, 10), np.int8))
    with pytest.raises(UsageError, match=r"matches must be at least 1 \(got 0\)"):
        GameVectorEnv("brawl", 0)


def test_pettingzoo_finds_nothing_wrong():
    """PettingZoo's test of the interface and of seeds pass."""
    check_interface(GameParallelEnv("brawl", reward="dense", time_limit=200), num_cycles=500)
    check_seeds(lambda: GameParallelEnv("brawl", reward="dense", actions="combos"))


def test_all_seats_are_two_single_seats():
    """With an agent in one seat, the other seat of the parallel environment is the single environment."""
    single = GameEnv("brawl", opponent="constant", reward="dense", time_limit=150)
    both = GameParallelEnv("brawl", reward="dense", time_limit=150)
    seen, _ = single.reset(seed=4)
    single.action_space.seed(4)
    all_seen, infos = both.reset(seed=4)
    np.testing.assert_array_equal(seen, all_seen["player_0"])
    assert set(infos) == set(both.agents) == {"player_0", "player_1"}
    while both.agents:
        action = single.action_space.sample()
        seen, reward, *ended, info = single.step(action)
        all_seen, rewards, *all_ended, infos = both.step(
            {"player_0": action, "player_1": np.zeros(10, np.int8)}
        )
        np.testing.assert_array_equal(seen, all_seen["player_0"])
        assert reward == rewards["player_0"]
        assert ended == [end["player_0"] for end in all_ended]
        assert info == infos["player_0"]
    assert any(ended)
    outcomes = [infos[agent]["outcome"]["result"] for agent in both.possible_agents]
    assert sum(outcomes) == 0
    assert both.possible_agents == ["player_0", "player_1"]


def test_wrong_calls_of_all_seats():
    """A missing or unknown player, an opponent, and a step after the end are refused in words."""
    env = GameParallelEnv("brawl", time_limit=1)
    with pytest.raises(UsageError, match="reset comes first"):
        env.step({agent: np.zeros(10, np.int8) for agent in env.possible_agents})
    env.reset(seed=0)
    with pytest.raises(UsageError, match="the action of 'player_1' is missing"):
        env.step({"player_0": np.zeros(10, np.int8)})
    with pytest.raises(UsageError, match="unknown agent 'player_2': did you mean 'player_"):
        env.step({"player_2": np.zeros(10, np.int8)})
    with pytest.raises(UsageError, match="no place for an opponent"):
        GameParallelEnv("brawl", opponent="based")
