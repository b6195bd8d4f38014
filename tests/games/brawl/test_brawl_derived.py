"""Events and contradictions of brawl, derived from the rows of a match alone."""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.games import load
from shadowbox.games.brawl.schema import EVENTS, STATES
from shadowbox.play import specs
from shadowbox.play.match import play

GAME = load("brawl")
NAMES = ("frame", "kind", "player", "other", "what")


def matches(first, second, stage, count=2):
    """Matches of two bots."""
    world = specs.world("brawl", GAME, count, stage=stage)
    agents = [specs.agent(spec, GAME) for spec in (first, second)]
    return [one.episode for one in play(GAME, world, agents, (first, second), np.arange(count))]


@pytest.fixture(scope="module")
def fight():
    """Two matches in which much happens."""
    return matches("expert", "weapon_seeker", "warehouse")


def as_sets(events):
    """Events as a set of tuples, without their values."""
    return {tuple(int(event[name]) for name in NAMES) for event in events}


@pytest.mark.parametrize(
    ("first", "second", "stage"),
    [("based", "random", "mirror"), ("charger", "trickster", "warehouse")],
)
def test_events_are_found_again(first, second, stage):
    """The events derived from the rows of a match are those that the simulator announced.

    The value of a hit is the damage that was taken.
    """
    for episode in matches(first, second, stage):
        found = GAME.events(episode.columns)
        assert as_sets(found) == as_sets(episode.events)
        order = ["frame", "kind", "player"]
        own, theirs = np.sort(found, order=order), np.sort(episode.events, order=order)
        hits = own["kind"] == EVENTS.index("hit")
        # the simulator announces a strike's damage before it is added to the sum in f4
        np.testing.assert_allclose(own["value"][hits], theirs["value"][hits], atol=1e-3)


def test_the_simulator_contradicts_nothing(fight):
    """No step of a match is a contradiction."""
    for episode in fight:
        for name, mask in {
            **GAME.couplings(episode.columns),
            **GAME.impossible(episode.columns),
        }.items():
            assert mask.shape == (episode.frames, 2)
            assert not mask.any(), name


def _first(episode, kind):
    event = episode.events[episode.events["kind"] == EVENTS.index(kind)][0]
    return int(event["frame"]), int(event["player"]), int(event["other"])


def _creep(columns, episode):
    columns["player/damage"] += np.arange(len(columns["player/damage"]))[:, None] * 0.5


def _no_damage(columns, episode):
    for event in episode.events[episode.events["kind"] == EVENTS.index("hit")]:
        row, victim = int(event["frame"]), int(event["other"])
        columns["player/damage"][row, victim] = columns["player/damage"][row - 1, victim]


def _far_hit(columns, episode):
    row, attacker, _ = _first(episode, "hit")
    columns["player/x"][row - 1, attacker] += np.float32(8)


def _stunned(columns, episode):
    row = _quiet_row(columns)
    columns["player/state"][row, 0], columns["player/age"][row, 0] = STATES.index("stun"), 0


def _more_stocks(columns, episode):
    columns["player/stocks"][100:, 0] += 1


def _beyond(columns, episode):
    columns["player/x"][_quiet_row(columns), 1] = 15


def _out_inside(columns, episode):
    row, player, _ = _first(episode, "knockout")
    columns["player/x"][row, player] = columns["player/y"][row, player] = 0


def _leap(columns, episode):
    columns["player/x"][_quiet_row(columns), 0] += 4


def _floats(columns, episode):
    row = _quiet_row(columns)
    columns["player/grounded"][row, 0], columns["player/y"][row, 0] = True, -4


def _armed(columns, episode):
    columns["player/weapon"][_quiet_row(columns), 0] ^= 3


def _ageless(columns, episode):
    columns["player/age"][:] = 7


def _quiet_row(columns):
    """A row in which both stand on ground."""
    standing = columns["player/grounded"].all(1) & (columns["player/move"] == 0).all(1)
    return int(np.flatnonzero(standing)[5])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_creep, "damage_without_hit"),
        (_no_damage, "hit_without_damage"),
        (_far_hit, "damage_without_hit"),
        (_stunned, "stun_without_hit"),
        (_more_stocks, "stock_gained"),
        (_beyond, "crossing_without_knockout"),
        (_out_inside, "knockout_without_crossing"),
        (_leap, "leap"),
        (_floats, "grounded_in_the_air"),
        (_armed, "weapon_from_nowhere"),
        (_ageless, "age_not_counted"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_contradiction_is_found_by_its_name(fight, change, name):
    """Rows that break a rule are counted by the contradiction that names it."""
    episode = fight[0]
    columns = {key: values.copy() for key, values in episode.columns.items()}
    change(columns, episode)
    assert GAME.couplings(columns)[name].any()


def test_damage_where_no_strike_reaches_is_no_hit(fight):
    """A hit is not derived from damage and stun alone: the strike must reach the other's body."""
    episode = fight[0]
    hit = _first(episode, "hit")
    columns = {key: values.copy() for key, values in episode.columns.items()}
    _far_hit(columns, episode)
    rows = [event["frame"] for event in GAME.events(columns) if event["kind"] == 0]
    assert hit[0] in [event["frame"] for event in episode.events if event["kind"] == 0]
    assert hit[0] not in rows
