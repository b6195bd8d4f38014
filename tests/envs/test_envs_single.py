"""One seat as a Gymnasium environment: what others' learners and checkers expect of it."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import shadowbox.envs  # noqa: F401  (registers the environments)
from shadowbox.core.game import Game
from shadowbox.core.view import from_seat
from shadowbox.envs import spaces
from shadowbox.envs.single import GameEnv
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.play import specs
from shadowbox.play.match import play

BRAWL = load("brawl")
ACTIONS = ("multibinary", "box", *BRAWL.actions)


def make(**options) -> GameEnv:
    """The registered environment without Gymnasium's wrappers."""
    env = gymnasium.make("shadowbox/Brawl-v0", **options).unwrapped
    assert isinstance(env, GameEnv)
    return env


def played(env, seed=0, frames=200):
    """Random actions of a seed: observations, rewards, infos, and how the match ended."""
    first, info = env.reset(seed=seed)
    env.action_space.seed(seed)
    seen, rewards, infos, ended = [first], [], [info], (False, False)
    for _ in range(frames):
        observation, reward, *ended, info = env.step(env.action_space.sample())
        seen.append(observation)
        rewards.append(reward)
        infos.append(info)
        if any(ended):
            break
    return np.array(seen), np.array(rewards), infos, tuple(ended)


@pytest.mark.parametrize("observation", BRAWL.observations)
@pytest.mark.parametrize("actions", ACTIONS)
def test_gymnasium_finds_nothing_wrong(actions, observation):
    """Gymnasium's own checker passes without a warning for every kind of action and observation."""
    check_env(make(actions=actions, observation=observation, render_mode="rgb_array"))


def test_it_can_be_made_without_importing_shadowbox_first():
    """The module:id form of Gymnasium makes the environment in a fresh process, and loads no torch for it."""
    code = (
        "import gymnasium, sys; gymnasium.make('shadowbox.envs:shadowbox/Brawl-v0'); "
        "print('torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "False\n"


def test_a_seed_gives_the_same_match():
    """The same seed gives the same match, another one another.

    Without a seed the next match differs from the last.
    """
    ours, theirs = played(make(), seed=5), played(make(), seed=5)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])
    assert ours[2] == theirs[2]
    env = make()
    seeds = [env.reset(seed=seed)[1]["match_seed"] for seed in (5, 6, None, None)]
    assert seeds[0] == ours[2][0]["match_seed"]
    assert len(set(seeds)) == 4


@pytest.mark.parametrize("seat", [0, 1])
def test_it_is_the_match_that_play_plays(seat):
    """A recorded agent's keys, given from outside, lead to the recorded frames and rewards in each seat."""
    players = ["expert", "kiter"]
    env = make(seat=seat, opponent=players[1 - seat], actions="multibinary", time_limit=400)
    seen, info = env.reset(seed=3)
    agents = [specs.agent(name, BRAWL) for name in players]
    seeds = np.array([info["match_seed"]])
    record = next(play(BRAWL, BRAWL.world(1, time_limit=400), agents, players, seeds)).episode
    reward = BRAWL.rewards["dense"]()
    at = lambda t: {key: values[t : t + 1] for key, values in record.columns.items()}  # noqa: E731
    for frame in range(record.frames):
        action = np.array([record.columns[key][frame, seat] for key in BRAWL.schema.control_keys])
        seen, earned, terminated, truncated, info = env.step(action)
        now = {**at(frame + 1), **{key: at(frame)[key] for key in BRAWL.schema.control_keys}}
        events = record.events[record.events["frame"] == frame + 1].copy()
        events["match"] = 0
        expected, terms = reward(reward.before(at(frame)), now, events)
        assert earned == pytest.approx(expected[0, seat])
        assert info["reward_terms"] == pytest.approx(
            {name: values[0, seat] for name, values in terms.items()}
        )
        assert earned == pytest.approx(sum(info["reward_terms"].values()))
        view = from_seat(BRAWL.schema, now, seat)
        np.testing.assert_array_equal(seen, BRAWL.observations["default"].observe(view)[0])
        assert (terminated or truncated) == (frame == record.frames - 1)
    assert info["outcome"]["winner"] == (
        -1 if record.meta["result"]["winner"] is None else record.meta["result"]["winner"]
    )
    assert info["outcome"]["reason"] == record.meta["result"]["reason"]
    assert info["outcome"]["stocks"] == record.meta["result"]["stocks"]


def test_the_clock_truncates_and_a_knock_out_terminates():
    """A match that runs out of time is truncated.

    One that is won is terminated; the outcome says which and for whom.
    """
    *_, infos, ended = played(make(opponent="constant", time_limit=30, actions="discrete"))
    assert ended == (False, True)
    assert infos[-1]["outcome"]["reason"] == "time-out"
    assert "outcome" not in infos[-2]
    env = make(opponent="expert", stocks=1)
    env.reset(seed=0)
    away = np.zeros(10, np.int8)
    away[BRAWL.schema.control_keys.index("keys/a")] = 1  # walks off the stage
    for _ in range(600):
        _, _, terminated, truncated, info = env.step(away)
        if terminated or truncated:
            break
    assert (terminated, truncated) == (True, False)
    assert info["outcome"]["reason"] == "knock-out"
    assert info["outcome"]["result"] == -1
    assert info["outcome"]["winner"] == 1
    assert info["reward_terms"]["win"] < 0


def test_options_reach_the_world():
    """The stage, and whatever else the game's world takes, is the one that was asked for."""
    names = BRAWL.observations["default"].names
    for stage in ("warehouse", "mirror"):
        env = make(stage=stage, time_limit=60)
        seen, _ = env.reset(seed=0)
        assert seen[names.index("mirror_stage")] == (stage == "mirror")
        assert seen[names.index("left")] == pytest.approx(60 / 2700)


def test_a_result_alone_can_be_the_reward():
    """Without a named reward the result is the reward: nothing until the end, then 1, 0 or -1."""
    _, rewards, infos, ended = played(GameEnv("brawl", opponent="expert", stocks=1), frames=2700)
    assert any(ended)
    assert not rewards[:-1].any()
    assert rewards[-1] == infos[-1]["outcome"]["result"] != 0


def test_rewards_by_weights_and_by_learning_step():
    """Weights by term are a reward.

    Weights that change while learning are those at the learning step that was set.
    """
    env = make(reward={"many_keys": 30.0}, opponent="constant")
    env.reset(seed=0)
    rewards = [env.step(np.ones(10, np.int8))[1] for _ in range(3)]
    assert rewards == pytest.approx([-1.0] * 3)
    env = make(reward={"many_keys": ((0, 30.0), (100, 0.0))}, opponent="constant")
    env.learning_step = 50
    env.reset(seed=0)
    assert env.step(np.ones(10, np.int8))[1] == pytest.approx(-0.5)


def test_kinds_of_actions_press_the_same_keys():
    """The same keys, said in each of the four ways, are the same decision."""
    keys = np.zeros(10, np.int8)
    keys[BRAWL.schema.control_keys.index("keys/j")] = 1
    said = {
        "multibinary": keys,
        "box": np.where(keys, 0.51, 0.5).astype(np.float32),
        "discrete": list(BRAWL.actions["discrete"]).index("j"),
        "combos": list(BRAWL.actions["combos"]).index("light"),
    }
    for name in ACTIONS:
        pressed = spaces.Actions(name, BRAWL).controls(np.asarray(said[name])[None], 1)
        pressed = np.concatenate([pressed[key] for key in BRAWL.schema.control_keys], axis=1)
        np.testing.assert_array_equal(pressed, keys[None].astype(bool), err_msg=name)


@settings(max_examples=10)
@given(
    st.integers(0, 2**31),
    st.sampled_from(sorted(BRAWL.observations)),
    st.sampled_from(["expert", "weapon_seeker"]),
)
def test_what_is_shown_lies_within_what_is_declared(seed, observation, opponent):
    """Every observation of a match lies inside the declared space."""
    env = make(observation=observation, opponent=opponent, actions="combos")
    seen, *_ = played(env, seed=seed, frames=120)
    assert (seen >= env.observation_space.low).all()
    assert (seen <= env.observation_space.high).all()


def test_a_picture_shows_both_fighters():
    """A rendered frame is RGB, and each fighter's color is where he stands.

    Without a render mode there is none.
    """
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(20):
        env.step(env.action_space.sample())
    picture = env.render()
    height, width, channels = picture.shape
    assert (picture.dtype, channels) == (np.uint8, 3)
    view, bounds = env.matches.view, BRAWL.scene()["bounds"]
    for player, color in enumerate(((0x2F, 0x7F, 0xC1), (0xD9, 0x72, 0x2E))):
        x, y = (view[f"player/{axis}"][0, player] for axis in "xy")
        column = int((x - bounds[0]) / (bounds[2] - bounds[0]) * width)
        row = int((y - bounds[1]) / (bounds[3] - bounds[1]) * height)
        near = picture[max(0, row - 15) : row + 15, max(0, column - 15) : column + 15].reshape(
            -1, 3
        )
        assert (near == color).all(axis=1).sum() > 20, player
    assert make().render() is None


def test_without_pillow_it_says_what_to_install(monkeypatch):
    """Asking for pictures without Pillow is refused at construction, with the name of the extra."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UsageError, match=r"pip install .*\[pictures\]"):
        make(render_mode="rgb_array")


def test_any_game_with_a_world(paddles):
    """A game that declares neither observations nor rewards has an environment all the same."""
    env = GameEnv(paddles, opponent="follower")
    check_env(env, skip_render_check=True)
    _, rewards, infos, ended = played(env, frames=5000)
    assert any(ended)
    assert not rewards[:-1].any()
    assert rewards[-1] == infos[-1]["outcome"]["result"]


WRONG = [
    ({"seat": 2}, "brawl has no seat 2: seats are 0 to 1"),
    ({"opponent": "basd"}, "brawl has no bot 'basd': did you mean 'based'?"),
    ({"opponent": 5}, "opponent is 5; the spec of an agent or an agent is needed"),
    ({"observation": None}, "brawl has no observation 'None': known: default, raw"),
    ({"observation": "rwa"}, "brawl has no observation 'rwa': did you mean 'raw'?"),
    ({"actions": "combo"}, "brawl has no actions 'combo': did you mean 'combos'?"),
    ({"reward": "dens"}, "brawl has no reward 'dens': did you mean 'dense'?"),
    ({"reward": {"damag": 1.0}}, "unknown reward term 'damag': did you mean 'damage'?"),
    ({"reward": {"damage": "much"}}, "reward term 'damage': the weight must be a number"),
    ({"reward": {}}, "the name of a preset or weights by term are needed"),
    ({"stage": "mirorr"}, "unknown stage 'mirorr': did you mean 'mirror'?"),
    ({"oponent": "based"}, "brawl: unknown world option 'oponent'"),
    ({"time_limit": 0}, "time_limit must be 1 to 65535 frames (got 0)"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[str(options) for options, _ in WRONG])
def test_a_wrong_argument_is_one_line(options, message):
    """Each wrong argument is refused with one line that says what is possible."""
    with pytest.raises(UsageError) as refused:
        GameEnv("brawl", **options)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_render_mode():
    """A render mode that does not exist is refused by name."""
    with pytest.raises(UsageError, match="unknown render_mode 'human'"):
        GameEnv("brawl", render_mode="human")


@pytest.mark.parametrize(
    ("actions", "action", "message"),
    [
        ("multibinary", np.zeros(9, np.int8), r"int8 \(1, 9\) given, \(1, 10\) is needed"),
        ("multibinary", np.full(10, 2), "2 given, 0 to 1 are possible"),
        ("multibinary", np.full(10, 0.5), "whole numbers"),
        ("box", np.full(10, np.nan), "nan given, 0 to 1 are possible"),
        ("box", np.full(10, 1.5), "1.5 given, 0 to 1 are possible"),
        ("discrete", 10, "10 given, 0 to 9 are possible"),
        ("combos", -1, "-1 given, 0 to"),
        ("combos", "jump", "is needed"),
    ],
)
def test_a_wrong_action_is_one_line(actions, action, message):
    """An action of another shape, out of range or not a number is refused, never taken for another one."""
    env = make(actions=actions)
    env.reset(seed=0)
    with pytest.raises(UsageError, match=message):
        env.step(action)


def test_a_game_without_a_simulator_has_no_environment(toy):
    """A game that is known from recordings alone is refused in words."""
    game = Game(name="toy", title="a toy", schema=toy)
    with pytest.raises(UsageError, match="toy has no simulator"):
        GameEnv(game)


@pytest.mark.slow
def test_a_learner_that_is_not_ours_learns_in_it():
    """Stable-Baselines3's PPO trains for a few thousand steps in one environment and in several."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_checker import check_env as check_for_sb3
    from stable_baselines3.common.env_util import make_vec_env

    check_for_sb3(make(), warn=False)
    several = make_vec_env(
        lambda: gymnasium.make("shadowbox/Brawl-v0", actions="combos", time_limit=300),
        n_envs=2,
        seed=1,
    )
    model = PPO("MlpPolicy", several, n_steps=256, batch_size=128, n_epochs=2, device="cpu", seed=0)
    model.learn(3000)
    assert model.num_timesteps >= 3000
    action, _ = model.predict(several.reset())
    assert several.action_space.contains(action[0])
