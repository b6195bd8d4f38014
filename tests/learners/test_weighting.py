"""Skill as an input, and advantage-weighted regression: recorded decisions by what followed them."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from apprentice import config

from shadowbox.collect.matches import Pairing, record
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.learners.imitation_options import ImitationConfig
from shadowbox.learners.imitation_task import prepare
from shadowbox.learners.weighting import advantage
from shadowbox.learners.weighting.skill import skill_labels
from shadowbox.play import specs
from shadowbox.train.loop import train

BRAWL = load("brawl")
SHORT = dataclasses.replace(BRAWL, world=partial(BRAWL.world, time_limit=900))
HALF = Split(0.5, 0.5, 0.0)
SEES = ("player/x", "player/y", "player/state", "player/grounded")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Matches of a strong bot against random keys."""
    path = tmp_path_factory.mktemp("mixed") / "s"
    record(SHORT, [Pairing("expert", "random", 16)], path, seed=1)
    return Store(path)


def task_of(store, **imitation):
    """A tiny policy that imitates both seats."""
    return prepare(
        store, config(batch=4, steps=4), split=HALF, preset="tiny", input_columns=SEES, length=16,
        width=16, imitation=imitation, game=BRAWL,
    )  # fmt: skip


def test_skills_are_those_of_the_recordings(store):
    """Outcome is that of the match, rank that of the player on the training side, each with "known"."""
    train_side = HALF.episodes(store, "train")
    labels = skill_labels(store, (0, 1), ("rank", "outcome"), train_side)
    results = [store.meta_of(at)["result"]["winner"] for at in range(len(store))]
    for at, winner in enumerate(results):
        expected = [0.5, 0.5] if winner is None else [float(winner == seat) for seat in (0, 1)]
        assert labels[at, :, 2].tolist() == expected
    assert (labels[..., 1::2] == 1).all()
    shares = {seat: np.mean([labels[at, seat, 2] for at in train_side]) for seat in (0, 1)}
    assert labels[0, 0, 0] == pytest.approx(shares[0])
    assert shares[0] > 0.7 > shares[1]  # the strong bot wins


def test_a_stated_rank_comes_before_the_results(store, tmp_path):
    """Metadata with a rank of each seat decide; a seat without one has the mean outcome of its player."""
    with Writer(tmp_path / "s", BRAWL.schema, event_kinds=BRAWL.event_kinds) as writer:
        for at in range(4):
            one = store.episode(at)
            writer.add(dataclasses.replace(one, meta={**one.meta, "rank": [0.5, None]}))
    stated = Store(tmp_path / "s")
    labels = skill_labels(stated, (0, 1), ("rank",), np.arange(4))
    assert (labels[:, 0] == [0.5, 1.0]).all()
    shares = np.mean(
        [0.5 if (w := store.meta_of(at)["result"]["winner"]) is None else w == 1 for at in range(4)]
    )
    assert labels[0, 1].tolist() == pytest.approx([shares, 1.0])


def test_a_policy_plays_at_the_skill_that_it_is_asked_for(store, tmp_path):
    """A policy with skill answers differently at skill 0 and 1; unknown ones and others are refused."""
    task = task_of(store, skill=["rank", "outcome"])
    batch = next(iter(task.source(4, 0, 1)))
    prepared, _ = task.learner._prepared(task.learner.to_device(batch, torch.device("cpu")), False)
    assert prepared.style["skill"].shape == (8, 4)
    train(task, tmp_path / "run", config(batch=4, steps=4))
    run = f"policy:{tmp_path / 'run'}"
    agents = [specs.agent(f"{run}{option}", BRAWL) for option in ("", "@skill=0", "@skill=1")]
    styles = [None if agent.style is None else agent.style["skill"][0] for agent in agents]
    assert styles[0] is None
    assert styles[1].tolist() == [0, 1, 0, 1]
    assert styles[2].tolist() == [1, 1, 1, 1]
    one = specs.agent(f"{run}@skill.outcome=1", BRAWL).style["skill"][0].tolist()
    assert one == [0, 0, 1, 1]
    with pytest.raises(UsageError, match="no skill 'outcom'"):
        specs.agent(f"{run}@skill.outcom=1", BRAWL)
    plain = task_of(store)
    train(plain, tmp_path / "plain", config(batch=4, steps=4))
    with pytest.raises(UsageError, match="leave player"):
        specs.agent(f"policy:{tmp_path / 'plain'}@skill=1", BRAWL)


@pytest.mark.parametrize("reward", ["", "sparse"])
def test_what_leads_to_more_counts_more(store, reward):
    """Weights have a mean of 1 and stay below the clip, and the winner's decisions weigh more."""
    train_side = HALF.episodes(store, "train")
    options = ImitationConfig(advantage_beta=0.5, advantage_clip=10, advantage_reward=reward)
    found = advantage.decision_weights(store, BRAWL, (0, 1), train_side, options)
    assert found.weights.mean() == pytest.approx(1, abs=1e-4)
    assert found.weights[:, 0].mean() > 1 > found.weights[:, 1].mean()
    assert len(found.weights) == (store.lengths[train_side] - 1).sum()
    low = dataclasses.replace(options, advantage_clip=1.0)
    cut = advantage.decision_weights(store, BRAWL, (0, 1), train_side, low).weights
    assert (cut == cut.max()).mean() > 0.25  # all above the clip count the same
    calm = ImitationConfig(advantage_beta=1000, advantage_reward=reward)
    even = advantage.decision_weights(store, BRAWL, (0, 1), train_side, calm).weights
    assert np.abs(even - 1).max() < 0.02


def test_returns_are_discounted_sums():
    """Returns by doubling equal those of the recursion."""
    rewards = np.random.default_rng(0).standard_normal((77, 2))
    expected = np.zeros_like(rewards)
    later = np.zeros(2)
    for at in reversed(range(77)):
        later = expected[at] = rewards[at] + 0.9 * later
    assert advantage._discounted(rewards, 0.9) == pytest.approx(expected)


def test_weights_belong_to_their_decisions(store):
    """A batch gets the weight of each of its decisions, and the loss is the weighted mean of its parts."""
    plain, weighted = task_of(store), task_of(store, advantage_beta=0.5)
    batch = next(iter(weighted.source(4, 0, 1)))
    weights = weighted.learner.weights
    found = weights.of(batch)
    for row, (episode, first) in enumerate(zip(batch.episode, batch.first, strict=True)):
        for at in range(found.shape[1]):
            inside = 0 <= first + at < store.lengths[episode] - 1
            place = weights.start[episode] + first + at
            expected = weights.weights[place] if inside else np.ones(2)
            assert found[row, at].tolist() == expected.tolist()
    tensors = weighted.learner.to_device(batch, torch.device("cpu"))
    prepared, _ = weighted.learner._prepared(tensors, learning=True)
    even, _ = plain.learner._prepared(plain.learner.to_device(batch, torch.device("cpu")), True)
    ratio = (prepared.counted / even.counted)[even.counted > 0]
    assert ratio.min() < 0.9
    assert ratio.max() > 1.1
    scored, _ = weighted.learner._prepared(tensors, learning=False)
    assert torch.equal(scored.counted, even.counted)  # scores weigh nothing


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"skill": ["rating"]}, "unknown skill 'rating'"),
        ({"skill": ["rank", "rank"]}, "names one twice"),
        ({"advantage_beta": -1.0}, "expected advantage_beta"),
        ({"advantage_beta": 1.0, "advantage_clip": 0.5}, "expected advantage_beta"),
        ({"advantage_reward": "sparse"}, "no effect without advantage_beta"),
        ({"advantage_bet": 1.0}, "has no setting 'advantage_bet'"),
    ],
)
def test_impossible_weights_are_refused(changes, message):
    """Unknown names and impossible numbers are refused in words."""
    with pytest.raises(UsageError, match=message):
        ImitationConfig.of(changes)
