"""Takeovers: a person plays a policy's seat for a while, and imitation learns from these decisions."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
from apprentice import config

import shadowbox as sb
from shadowbox.core.spans import spans_of
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.learners.imitation_options import ImitationConfig
from shadowbox.learners.imitation_task import prepare
from shadowbox.learners.weighting import holders
from shadowbox.play import specs
from shadowbox.play.live import LiveLoop

BRAWL = load("brawl")
WORLD = "brawl@time_limit=600"
HALF = Split(0.5, 0.5, 0.0)
LOOK = 10  # frames between two looks at the score
STOCK = 150.0  # damage that a stock counts as
AHEAD = 10.0  # damage ahead below which the person takes over


# ---- a session -----------------------------------------------------------------------------------


def lead(live):
    """Lead of seat 0, in damage, in the last row of a live match."""
    schema = live.game.schema
    row = live.rows(live.length - 1, live.length)[: schema.row_dtype.itemsize]  # without tracks
    row = schema.unpack(np.frombuffer(row, schema.row_dtype))
    worth = STOCK * row["player/stocks"][0].astype(float) - row["player/damage"][0]
    return float(worth[0] - worth[1])


def taken_over(policy, person, opponent, seed):
    """A live match in which a scripted person has seat 0 until it is ahead; its episode."""
    moved = threading.Event()
    names = (policy, opponent)
    live = LiveLoop(
        BRAWL, specs.world(WORLD, BRAWL, 1), [specs.agent(name, BRAWL) for name in names], names,
        seed, notify=moved.set, paused=True,
    )  # fmt: skip
    live.start()
    while not live.over:
        wanted = live.length + LOOK
        live.step(LOOK)
        while live.length < wanted and not live.over:
            moved.wait(1)
            moved.clear()
        if live.over:
            break
        losing = lead(live) < AHEAD
        if losing and not live.seats[0].guest:
            live.take(0, specs.agent(person, BRAWL), "person:coach")
        elif live.seats[0].guest and not losing:
            live.give(0)
    return live.episode()


def test_a_session_says_who_held_the_seat(tmp_path):
    """Spans of a live match cover every frame of both seats, and its person's decisions weigh more."""
    played = taken_over("based", "expert", "aggressive", 3)
    with Writer(tmp_path / "s", BRAWL.schema, event_kinds=BRAWL.event_kinds) as writer:
        writer.add(played)
    found = spans_of(played.meta, played.frames, 2, "played")
    for seat in (0, 1):
        own = [span for span in found if span.seat == seat]
        ends = [span.end for span in own]
        assert [span.start for span in own] == [0, *ends[:-1]]
        assert ends[-1] == played.frames
    held = np.zeros(played.frames, bool)
    for span in found:
        held[span.start : span.end] |= span.by == "person:coach"
    assert 0 < held.sum() < played.frames
    weights = holders.holder_weights(Store(tmp_path / "s"), (0,), np.array([0]), ["person=3"])
    shares = (weights.weights[:, 0] / weights.weights.min()).round(3)
    assert (shares[held] == 3).all()
    assert (shares[~held] == 1).all()


# ---- weights -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Matches of 60 frames: in those with an odd number a person held seat 0 in the rows 20 to 50."""
    folder = tmp_path_factory.mktemp("held")
    plain = sb.record("brawl", "policy:champion@delay=6", "based", out=folder / "plain", matches=8,
                      world="brawl@time_limit=60")  # fmt: skip
    with Writer(folder / "s", BRAWL.schema, event_kinds=BRAWL.event_kinds) as writer:
        for number, episode in enumerate(plain):
            span = {"seat": 0, "from": 20, "to": 50, "by": "person:ann"}
            meta = {**episode.meta, "spans": [span]} if number % 2 else episode.meta
            writer.add(dataclasses.replace(episode, meta=meta))
    return Store(folder / "s")


@pytest.mark.parametrize(
    ("texts", "policy", "person", "bot"),
    [
        (["person=4", "policy=0.5"], 0.5, 4.0, 1.0),
        (["person=1", "policy=0", "based=0"], 0.0, 1.0, 0.0),
        (["person:ann=2", "policy:champion@delay=6=3"], 3.0, 2.0, 1.0),
    ],
)
def test_decisions_weigh_by_who_held_the_seat(store, texts, policy, person, bot):
    """A span's rows have the weight of its holder, all others that of the seat's player; mean 1."""
    found = holders.holder_weights(store, (0, 1), np.arange(8), texts)
    expected = np.empty((8, 60, 2), np.float32)
    expected[..., 0], expected[..., 1] = policy, bot
    expected[1::2, 20:50, 0] = person
    expected /= expected.mean()
    np.testing.assert_allclose(found.weights.reshape(8, 60, 2), expected, rtol=1e-5)
    assert found.start.tolist() == list(range(0, 480, 60))


def test_only_the_decisions_of_a_person_move_the_weights(store):
    """With policy=0 the loss is that of the person's rows alone, and others stay its context."""
    task = prepare(
        store, config(batch=4, steps=4), split=HALF, preset="tiny", length=64, width=16,
        imitation={"seats": [0], "holder_weights": ["person=1", "policy=0"]},
    )  # fmt: skip
    batch = next(iter(task.source(4, 0, 1)))
    weight = task.learner.to_device(batch, "cpu").weight.numpy()
    row, of_match = (batch.first[:, None] + np.arange(weight.shape[1])), batch.episode[:, None]
    counted = (weight[..., 0] > 0) & batch.inside & (row < 60)
    assert (counted == ((of_match % 2 == 1) & (row >= 20) & (row < 50) & batch.inside)).all()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["person"], "expected a player and a weight"),
        (["person=-1"], "expected a player and a weight"),
        (["=2"], "expected a player and a weight"),
        (["person=nan"], "expected a player and a weight"),
        (["persn=2"], "never held a seat .* did you mean 'person'"),
        (["person=0", "policy=0", "based=0"], "nothing would be learned"),
    ],
)
def test_impossible_weights_of_holders_are_refused(store, texts, message):
    """A text without a weight, a slip in a name, and weights that leave nothing end in one line."""
    with pytest.raises(UsageError, match=message):
        holders.holder_weights(
            store,
            (0, 1),
            np.arange(8),
            ImitationConfig.of({"holder_weights": texts}).holder_weights,
        )


def test_holders_and_advantages_multiply(store):
    """Both weightings together are their product, with a mean of 1."""
    given = {"advantage_beta": 1.0, "holder_weights": ["person=3"]}
    tasks = [
        prepare(store, config(batch=4, steps=4), split=HALF, preset="tiny", width=16,
                imitation=imitation, game=BRAWL)
        for imitation in (given, {"advantage_beta": 1.0}, {"holder_weights": ["person=3"]})
    ]  # fmt: skip
    product, advantage, held = (task.learner.weights.weights for task in tasks)
    np.testing.assert_allclose(product, advantage * held / (advantage * held).mean(), rtol=1e-4)
