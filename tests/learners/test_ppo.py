"""PPO: its arithmetic against cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shadowbox.errors import UsageError
from shadowbox.learners import ppo


def test_advantages_by_hand():
    """Advantages are discounted sums of errors, cut where a match ends."""
    rewards, values = np.array([[1.0, 0.0, 2.0]]), np.array([[0.5, 1.0, 0.25]])
    following, ended = np.array([[1.0, 0.0, 4.0]]), np.array([[False, True, False]])
    found = ppo.advantages(rewards, values, following, ended, gamma=0.5, gae_lambda=0.5)
    last = 2.0 + 0.5 * 4.0 - 0.25
    middle = 0.0 + 0.0 - 1.0  # terminated: nothing follows
    first = 1.0 + 0.5 * 1.0 - 0.5 + 0.25 * middle
    np.testing.assert_allclose(found, [[first, middle, last]])


def test_a_lambda_of_one_is_the_return():
    """With lambda 1, advantage plus value is the discounted return with its bootstrap."""
    generator = np.random.default_rng(0)
    rewards, values = generator.normal(size=(2, 3, 6))
    following = np.concatenate([values[:, 1:], np.full((3, 1), 7.0)], axis=1)
    found = ppo.advantages(rewards, values, following, np.zeros((3, 6), bool), 0.9, 1.0) + values
    powers = 0.9 ** np.arange(6)
    np.testing.assert_allclose(found[:, 0], rewards @ powers + 0.9**6 * 7.0)


def test_clipped_loss_by_hand():
    """A ratio beyond the clip range earns nothing more, and costs what it costs."""
    ratio, advantage = torch.tensor([1.5, 1.5, 0.5]), torch.tensor([1.0, -1.0, -1.0])
    expected = -(1.2 - 1.5 - 0.8) / 3
    assert ppo.clipped_policy_loss(ratio, advantage, 0.2).item() == pytest.approx(expected)


def test_value_loss_by_hand():
    """Half the squared error; with a clip range the worse of two errors counts."""
    value, old, returns = torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([3.0])
    assert ppo.value_loss(value, old, returns, 0.0).item() == 0.0
    assert ppo.value_loss(value, old, returns, 0.5).item() == pytest.approx(0.5 * 1.5**2)


def test_approximate_kl_by_hand():
    """The estimate is zero for equal policies and never negative."""
    ratio = torch.tensor([0.5, 2.0])
    expected = ((0.5 - 1 + np.log(2)) + (2 - 1 - np.log(2))) / 2
    assert ppo.approximate_kl(ratio).item() == pytest.approx(expected)
    assert ppo.approximate_kl(torch.ones(5)).item() == 0.0


def test_returns_are_scaled_but_not_shifted():
    """Rewards are divided by the deviation of returns: nothing stays nothing, scale drops out."""
    generator = np.random.default_rng(1)
    scales = [ppo._ReturnScale(64, 0.9) for _ in range(2)]
    for _ in range(200):
        rewards = generator.normal(size=64)
        small, large = (
            s(r, np.zeros(64, bool)) for s, r in zip(scales, (rewards, rewards * 150), strict=True)
        )
    np.testing.assert_allclose(small, large, rtol=0.01)
    assert not scales[0](np.zeros(64), np.zeros(64, bool)).any()
    again = ppo._ReturnScale(64, 0.9)
    again.load(scales[0].state())
    rewards = generator.normal(size=64)
    over = np.zeros(64, bool)
    np.testing.assert_array_equal(again(rewards, over), scales[0](rewards, over))


def test_explained_variance():
    """1 for perfect values, 0 for a constant."""
    returns = np.array([1.0, 2.0, 4.0])
    assert ppo.explained_variance(returns, returns) == 1.0
    assert ppo.explained_variance(np.full(3, 9.0), returns) == 0.0


@pytest.mark.parametrize("wrong", [{"gamma": 1.5}, {"n_steps": 0}, {"clip_range": 0.0}])
def test_settings_that_mean_nothing(wrong):
    """Settings outside their range are refused by name."""
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ppo.PPOConfig(**wrong)
