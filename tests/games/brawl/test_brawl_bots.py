"""The scripted fighters: independent of the batch, as strong as documented, and different."""

from __future__ import annotations

from itertools import combinations

import numba
import numpy as np
import pytest
from duel import STYLES, duel

from shadowbox.core.view import from_seat
from shadowbox.errors import UsageError
from shadowbox.games.brawl import GAME, brain
from shadowbox.games.brawl.bots import BOTS
from shadowbox.games.brawl.schema import KEYS, SCHEMA
from shadowbox.games.brawl.tables import DEGENERATE, SCRIPTS, SWITCH_FRAMES
from shadowbox.games.brawl.world import BrawlWorld
from shadowbox.play.specs import held_out


def keys_of(name, columns, seeds, player=0):
    """One decision of a bot, as bits."""
    name, _, argument = name.partition(":")
    agent = GAME.bots[name](argument)
    view = from_seat(SCHEMA, columns, player)
    controls, _ = agent.act(view, agent.start(seeds, np.full(len(seeds), player)))
    return sum(controls[f"keys/{key}"][:, 0].astype(int) << bit for bit, key in enumerate(KEYS))


def test_the_record_names_every_bot_once():
    """The record lists exactly the bots that exist, and the held-out ones are among them."""
    assert set(GAME.bots) == set(BOTS)
    assert set(BOTS) > GAME.held_out


@pytest.mark.parametrize("name", sorted(BOTS))
def test_a_bot_decides_the_same_alone_and_among_many(name):
    """A decision depends on the match, not on its neighbors or their number."""
    world, seeds = BrawlWorld(16), np.arange(16)
    columns = world.reset(seeds)
    draws = np.random.default_rng(1)
    for _ in range(200):
        columns, _, _ = world.step(
            {key: draws.random((16, 2)) < 0.3 for key in SCHEMA.control_keys}
        )
    together = keys_of(name, columns, seeds)
    one_by_one = [
        keys_of(name, {k: v[i : i + 1] for k, v in columns.items()}, seeds[i : i + 1])[0]
        for i in range(16)
    ]
    assert together.tolist() == one_by_one


def test_clockwork_plays_its_script():
    """A script presses its keys for its numbers of frames, and begins again at its end."""
    world, agent = BrawlWorld(1), GAME.bots["clockwork"]("d*2,d+j*1,-*2")
    columns, state, seen = world.reset(np.array([1])), agent.start(np.array([1]), np.array([0])), []
    for _ in range(7):
        keys, state = agent.act(columns, state)
        seen.append("+".join(key for key in KEYS if keys[f"keys/{key}"][0, 0]))
        columns, _, _ = world.step(
            {key: np.hstack([own, np.zeros((1, 1), bool)]) for key, own in keys.items()}
        )
    assert seen == ["d", "d", "d+j", "", "", "d", "d"]


def test_the_switcher_changes_style_in_mid_match():
    """`switcher` takes a different style in each turn, and all four styles occur."""
    style_of = numba.njit(lambda seed, frame: brain.turn_style(seed, 0, frame, 4))
    frames = range(0, 4 * SWITCH_FRAMES, SWITCH_FRAMES)
    styles = np.array([[style_of(np.uint64(seed), at) for seed in range(50)] for at in frames])
    assert (styles[1:] != styles[:-1]).all()
    assert len(np.unique(styles)) == 4


def test_a_switcher_between_named_styles():
    """`switcher:charger+trickster` fights like either of the two, in turns, and is held out too."""
    world, seeds = BrawlWorld(24), np.arange(24)
    columns = world.reset(seeds)
    none = {key: np.zeros((24, 2), bool) for key in SCHEMA.control_keys}
    like = {"charger": 0, "trickster": 0}
    for _ in range(350):
        columns, _, _ = world.step(none)
        keys = keys_of("switcher:charger+trickster", columns, seeds)
        styles = {name: keys_of(name, columns, seeds) for name in like}
        assert np.logical_or(*(keys == each for each in styles.values())).all()
        apart = styles["charger"] != styles["trickster"]
        for name, each in styles.items():
            like[name] += int((keys == each)[apart].sum())
    assert min(like.values()) > 20
    assert held_out(["switcher:charger+trickster"], GAME)
    for wrong in ("charger", "charger+charger", "charger+nobody"):
        with pytest.raises(UsageError, match="switcher"):
            GAME.bots["switcher"](wrong)


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_bots_do_one_thing(name):
    """They are for evaluation alone; each presses what it is named after, and avoids the opponent."""
    world, seeds = BrawlWorld(8), np.arange(8)
    columns, pressed, edge = world.reset(seeds), 0, []
    for frame in range(240):
        keys = keys_of(name, columns, seeds, player=1)
        pressed |= int(np.bitwise_or.reduce(keys))
        controls = {
            f"keys/{key}": np.stack([np.zeros(8, bool), keys & (1 << bit) != 0], 1)
            for bit, key in enumerate(KEYS)
        }
        columns, _, _ = world.step(controls)
        if frame > 200:
            edge.append(np.abs(columns["player/x"][:, 1]))
    names = {key for bit, key in enumerate(KEYS) if pressed & (1 << bit)}
    if name in SCRIPTS:
        assert names == {{"kicker": "k", "jumper": "space"}[name]}
    else:
        assert np.mean(edge) > 5.5  # the outer edge is at 7, the inner one at 2
        assert name == "camper" or "j" not in names  # `k` brings a runner back, too
    assert name in GAME.held_out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "least"),
    [
        ("based", "constant", 0.95),
        ("based", "random", 0.85),
        ("expert", "based", 0.85),
        ("expert", "random", 0.95),
    ],
)
def test_a_bot_is_as_strong_as_promised(first, second, least):
    """Over 200 seat-swapped matches the stronger bot wins at least the given share."""
    assert duel(first, second, 200).won.mean() >= least


@pytest.mark.slow
def test_matches_between_equals_end_by_knock_out():
    """At least nine in ten matches of `based` against itself are decided before the time is up."""
    assert duel("based", "based", 200, pairs=False).timeout.mean() <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["based", "expert"])
def test_seats_are_worth_the_same(name):
    """On the mirror stage identical bots win half of their matches from each seat."""
    d = duel(name, name, 400, pairs=False, stage="mirror", weapons=False)
    decided = d.won | d.lost
    first_seat = np.where(np.arange(400) % 2 == 0, d.won, d.lost)[decided].mean()
    assert abs(first_seat - 0.5) < 1.96 * np.sqrt(0.25 / decided.sum()) + 0.01


@pytest.mark.slow
def test_styles_differ():
    """Every two styles (except `switcher`) differ in some habit by six standard errors or more."""
    habits = {name: duel(name, "based", 60).habits for name in STYLES if name != "switcher"}
    for a, b in combinations(habits, 2):
        apart = []
        for habit, ours in habits[a].items():
            theirs = habits[b][habit]
            error = np.sqrt((ours.var() + theirs.var()) / len(ours))
            apart.append(abs(ours.mean() - theirs.mean()) / max(error, 1e-9))
        assert max(apart) > 6, (a, b)
