"""Observations and rewards of Brawl, and the scene that shows a match."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shadowbox.core.scenes.grammar import evaluate, validate
from shadowbox.core.view import from_seat
from shadowbox.errors import UsageError
from shadowbox.games.brawl import GAME, rewards
from shadowbox.games.brawl.rewards import PRESETS, TERMS, BrawlReward
from shadowbox.games.brawl.schema import EVENTS, KEYS, MOVES, SCHEMA, STATES
from shadowbox.games.brawl.world import BrawlWorld


def frame(**changes):
    """One quiet frame of a match as columns [1, slots], with `changes` of the fighters' columns."""
    columns = {key: values.copy() for key, values in BrawlWorld(1).reset(np.array([3])).items()}
    for name, values in {"x": (4, -4), "y": (0.35, 0.35), **changes}.items():
        columns[f"player/{name}"] = np.array([values], columns[f"player/{name}"].dtype)
    return columns


def later(columns):
    """The same frame with the clock advanced by one."""
    return {**columns, "match/frame": columns["match/frame"] + 1}


def event(kind, player, other=-1, what=0, value=0.0):
    """One event of match 0."""
    from shadowbox.core.game import EVENT

    return np.array([(0, 1, value, what, EVENTS.index(kind), player, other)], EVENT)


def none():
    """No events."""
    return event("hit", 0)[:0]


def score(name, before, after, events):
    """Value of a term with weight 1, for both players."""
    total, parts = BrawlReward({name: 1.0})(rewards.before(before), after, events)
    np.testing.assert_array_equal(total, parts[name])
    return total[0].tolist()


GOOD = {  # term: (before, after, events) in which the first player does well
    "damage": ({}, {}, event("hit", 0, 1, value=14.0)),
    "win": ({}, {}, event("win", 0, 1)),
    "knockout": ({}, {}, event("knockout", 1, 0)),
    "combo": ({}, {}, event("combo", 0, 1)),
    "head_to_opponent": ({"x": (4, -4)}, {"x": (3.5, -4)}, none()),
    "closing": ({"x": (4, 1)}, {"x": (3.5, 1)}, none()),
    "edge_pressure": ({"x": (4, 5)}, {"x": (4, 6)}, none()),
    "head_to_middle": ({"x": (4, -4)}, {"x": (3, -4)}, none()),
    "equip": ({}, {}, event("pickup", 0, what=1)),
}
BAD = {  # the same for a first player who does badly
    "damage": ({}, {}, event("hit", 1, 0, value=14.0)),
    "win": ({}, {}, event("win", 1, 0)),
    "knockout": ({}, {}, event("knockout", 0, 1)),
    "combo": ({}, {}, event("combo", 1, 0)),
    "head_to_opponent": ({"x": (4, -4)}, {"x": (4.5, -4)}, none()),
    "closing": ({"x": (8, -4)}, {"x": (8.5, -4)}, none()),
    "edge_pressure": ({"x": (4, 6)}, {"x": (4, 5)}, none()),
    "head_to_middle": ({"x": (4, -4)}, {"x": (5, -4)}, none()),
    "danger_zone": ({}, {"y": (5.0, 0.35)}, none()),
    "attacking": ({}, {"state": (STATES.index("attack"), 1)}, none()),
    "base_height": ({}, {"y": (-3.0, 0.0)}, none()),
    "drop": ({}, {}, event("drop", 0, what=1)),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_term_is_positive_for_good_play(name):
    """Each term is positive for the player who does well."""
    before, after, events = GOOD[name]
    assert score(name, frame(**before), later(frame(**after)), events)[0] > 0


@pytest.mark.parametrize("name", BAD)
def test_a_term_is_negative_for_bad_play(name):
    """Each term is negative for the player who does badly."""
    before, after, events = BAD[name]
    assert score(name, frame(**before), later(frame(**after)), events)[0] < 0


def test_key_terms_depend_on_the_keys():
    """Attack keys pay more near the opponent; more than three keys cost."""
    near, far = frame(x=(4, 4.5)), frame(x=(6, -6))
    for columns in (near, far):
        columns["keys/j"] = np.array([[True, False]])
    assert (
        score("attack_press", near, later(near), none())[0]
        > score("attack_press", far, later(far), none())[0]
        > 0
    )
    for key in KEYS[:4]:
        near[f"keys/{key}"] = np.array([[True, False]])
    assert score("many_keys", near, later(near), none()) == [pytest.approx(-1 / 30), 0]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("step", [0, 40_000, 1_000_000])
def test_losing_is_never_rewarded(preset, step):
    """In every preset, at any step, a loss is negative for the loser and positive for the other."""
    quiet = frame()
    for happened in (event("win", 1, 0), event("knockout", 0, 1), event("hit", 1, 0, value=9.0)):
        total, _ = BrawlReward.preset(preset)(rewards.before(quiet), later(quiet), happened, step)
        assert total[0, 0] < 0 < total[0, 1]


def test_every_term_is_tested_for_its_sign():
    """Every term has an example of good or bad play in this file."""
    assert set(TERMS) == {*GOOD, *BAD, "attack_press", "many_keys"}


def test_the_preset_of_older_systems_pays_its_exact_amounts():
    """`seed` pays 1 a point of damage, 100 for the match and 50 for a stock, both ways."""
    reward, quiet = BrawlReward.preset("seed"), frame()
    paid = (("hit", 9.0, 0, 9.0), ("win", 100.0, 0, 0.0), ("knockout", 50.0, 1, 0.0))
    for kind, amount, player, value in paid:
        happened = event(kind, player, 1 - player, value=value)
        total, _ = reward(rewards.before(quiet), later(quiet), happened)
        assert total[0].tolist() == pytest.approx([amount, -amount])


def test_weights_move_by_shares_of_the_budget():
    """A map of shares to weights is of the budget that a learner gives, and `dense` has every term."""
    reward = BrawlReward({"closing": {0: 4.0, 0.5: 0.0}, "win": 1.0}).over(80)
    weights = [reward.weight("closing", step) for step in (0, 10, 40, 80)]
    assert weights == [4.0, 3.0, 0.0, 0.0]
    assert reward.weight("win", 40) == 1.0
    assert BrawlReward.preset("dense").over(100).weight("head_to_opponent", 25) == 5.5
    assert set(PRESETS["dense"]) == set(TERMS)
    assert len(TERMS) == 15
    for wrong in ({}, {0: "much"}, {1.5: 1.0}):
        with pytest.raises(UsageError, match="the weight must be a number, a map of shares"):
            BrawlReward({"closing": wrong})


def test_weights_fade_evenly_and_parts_add_up():
    """A weight is interpolated between two steps, and the parts of every frame add up."""
    reward = BrawlReward.preset("dense")
    assert reward.weight("head_to_opponent", 0) == 10
    assert reward.weight("head_to_opponent", 15_000) == 9
    assert reward.weight("head_to_opponent", 10**9) == 1
    assert BrawlReward.preset("sparse").weight("attack_press", 10_000) == 0
    assert GAME.rewards["dense"]().weights == reward.weights
    world, agents = (
        BrawlWorld(8, time_limit=200),
        [GAME.bots["aggressive"](), GAME.bots["random"]()],
    )
    columns = world.reset(np.arange(8))
    states = [agent.start(np.arange(8), np.full(8, p)) for p, agent in enumerate(agents)]
    for _ in range(220):
        earlier = reward.before(columns)
        a, _ = agents[0].act(columns, states[0])
        b, _ = agents[1].act(from_seat(SCHEMA, columns, 1), states[1])
        columns, events, done = world.step({key: np.hstack([a[key], b[key]]) for key in a})
        total, parts = reward(earlier, columns, events)
        assert total.shape == (8, 2)
        np.testing.assert_allclose(total, np.sum(list(parts.values()), axis=0))
    assert done.all()
    assert (total == 0).all()  # a match that is over gives no reward


def test_unknown_terms_and_presets_are_named():
    """An unknown term or preset is refused with the nearest known name."""
    with pytest.raises(UsageError, match="unknown reward term 'damge': did you mean 'damage'"):
        BrawlReward({"damge": 1.0})
    with pytest.raises(UsageError, match="unknown reward preset 'spars': did you mean 'sparse'"):
        BrawlReward.preset("spars")


# ---- observations ----


def test_the_raw_observation_is_the_original_layout():
    """The raw vector has two halves of 32 numbers, with shared facts in both and its clamps."""
    columns = frame(
        x=(17.5, -4),
        y=(9.0, 0.35),
        vx=(-20, 3),
        damage=(70, 0),
        weapon=(2, 1),
        move=(1, 11),
        grounded=(False, True),
    )
    columns["item/alive"][0] = True, False, True, False
    columns["item/weapon"][0] = 1, 0, 2, 0
    columns["item/x"][0] = 3.0, 0.0, -4.0, 0.0
    out = GAME.observations["raw"].observe(columns)
    assert out.shape == (1, 64)
    assert out.dtype == np.float32
    me, foe = out[0, :32], out[0, 32:]
    assert me[:4].tolist() == [17.5, 7.0, -10.0, 0.0]
    assert me[5:8].tolist() == [0, 1, 2]
    assert foe[5:8].tolist() == [1, 0, 0]
    assert me[12] == pytest.approx(0.1)
    assert (me[14], me[15], foe[14], foe[15]) == (2, 2, 12, 1)
    assert me[16:28].reshape(4, 3)[:, 2].tolist() == [1, 0, 3, 0]
    np.testing.assert_array_equal(me[16:], foe[16:])
    swapped = GAME.observations["raw"].observe(from_seat(SCHEMA, columns, 1))
    np.testing.assert_array_equal(swapped[0], np.concatenate([foe, me]))


def test_the_default_observation_is_small_and_holds_each_fact_once():
    """Values are of order one in whole matches, names are unique, and no column repeats another."""
    observation = GAME.observations["default"]
    assert len(set(observation.names)) == observation.size
    world, agent = BrawlWorld(32), GAME.bots["weapon_seeker"]()
    columns, state, seen = world.reset(np.arange(32)), agent.start(np.arange(32), np.zeros(32)), []
    for _ in range(600):
        keys, _ = agent.act(columns, state)
        rng = np.random.default_rng(int(columns["match/frame"][0, 0]) // 6)
        columns, _, _ = world.step(
            {key: np.hstack([own, rng.random((32, 1)) < 0.4]) for key, own in keys.items()}
        )
        seen.append(observation.observe(columns))
    seen = np.concatenate(seen)
    assert np.isfinite(seen).all()
    assert np.abs(seen).max() <= 10
    moving = seen[:, seen.std(axis=0) > 0]
    assert len(np.unique(moving, axis=1).T) == moving.shape[1]


# ---- the scene ----


def test_the_scene_fits_the_schema_and_is_plain_json():
    """The scene is valid for the schema and survives JSON unchanged."""
    scene = GAME.scene()
    validate(scene, SCHEMA)
    assert json.loads(json.dumps(scene)) == json.loads(json.dumps(json.loads(json.dumps(scene))))


def test_hit_boxes_are_drawn_while_they_are_active_and_only_then():
    """The drawn boxes are those of the physics at each frame, mirrored with the facing."""
    row = {key: values[0] for key, values in frame(facing_right=(True, False)).items()}
    row["player/state"] = np.array([STATES.index("attack")] * 2)
    row["player/move"] = np.array([MOVES.index("side_light")] * 2)
    boxes = {}
    for at in (4, 5, 7, 8):
        row["player/move_frame"] = np.array([at] * 2)
        boxes[at] = [shape for shape in evaluate(GAME.scene(), row) if shape.get("tag") == "hitbox"]
    assert [len(boxes[at]) for at in (4, 5, 7, 8)] == [0, 2, 2, 0]
    right, left = boxes[5]
    assert right["x"] - 4 == pytest.approx(-(left["x"] + 4)) == pytest.approx(0.65)


def test_the_painter_draws_every_moment_of_a_match():
    """Any row of a match becomes pixels of the asked size, and a hit draws a ring."""
    pytest.importorskip("PIL")
    from shadowbox.page.paint import paint

    row = {key: values[0] for key, values in frame().items()}
    plain = paint(GAME.scene(), row, width=320)
    assert plain.shape == (180, 320, 3)
    assert plain.dtype == np.uint8
    hit = paint(GAME.scene(), row, event("hit", 0, 1, value=20.0), width=320)
    assert (plain != hit).any()
    assert (paint(GAME.scene(), row, width=320, theme="dark") < 100).mean() > 0.8
