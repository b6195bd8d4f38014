"""Tactics of Brawl on matches that are made by hand: each figure counts what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.core.game import EVENT, no_events
from shadowbox.games.brawl import GAME
from shadowbox.games.brawl.figures.tactics import EDGE, FOLLOW, LATE, NEAR, tactics
from shadowbox.games.brawl.schema import EVENTS, FPS, MOVES, SCHEMA, STATES, WEAPONS
from shadowbox.play.match import play
from shadowbox.play.specs import agent

ROWS = 240
LIGHT = "neutral_light"


class Match:
    """Columns and events of a match in which nothing happens unless it is added."""

    def __init__(self):
        self.columns = {
            key: np.zeros((ROWS, column.slots), column.dtype)
            for key, column in SCHEMA.columns.items()
        }
        self.columns["player/state"][:] = STATES.index("standing")
        self.columns["player/grounded"][:] = True
        self.columns["player/x"][:] = [-1.0, 1.0]
        self.events = []

    def move(self, player, row, frames=30, name=LIGHT):
        """A move that begins at a row; its 30 frames are over long after its last strike."""
        rows = slice(row, row + frames)
        self.columns["player/state"][rows, player] = STATES.index("attack")
        self.columns["player/move"][rows, player] = MOVES.index(name)
        self.columns["player/move_frame"][rows, player] = np.arange(frames)

    def state(self, player, row, name, frames=10):
        """A state for some frames."""
        self.columns["player/state"][row : row + frames, player] = STATES.index(name)

    def event(self, kind, player, row, what=0, other=-1):
        """An event."""
        self.events.append((0, row, 5.0, what, EVENTS.index(kind), player, other))

    def hit(self, player, row, name=LIGHT):
        """A hit on the other player."""
        self.event("hit", player, row, MOVES.index(name), 1 - player)

    def figures(self, player=0):
        """Pairs of count and denominator of a player."""
        events = np.array(self.events, EVENT) if self.events else no_events()
        events = events[np.argsort(events["frame"], kind="stable")]
        return {name: tuple(pair[player]) for name, pair in tactics(self.columns, events).items()}


@pytest.fixture
def match():
    """An empty match."""
    return Match()


@pytest.mark.parametrize(
    ("row", "punished"),
    [(32, True), (55, True), (40 + LATE, True), (41 + LATE, False), (13, False)],
    ids=["recovery", "after it", "last", "late", "before the miss"],
)
def test_whiffs_punished(match, row, punished):
    """A hit punishes a move after its last strike missed, until some frames after its end."""
    match.move(1, 10)
    match.hit(0, row)
    assert match.figures()["whiffs_punished"] == (punished, 1)
    assert match.figures(1)["missed_moves"] == (1, 1)
    assert match.figures()["baits"] == (0, 1)


def test_moves_that_did_not_miss(match):
    """A move that hits, and one that is stopped by a hit before its strike, are no misses."""
    match.move(1, 10)
    match.hit(1, 14)
    match.hit(0, 45)
    match.move(1, 100, frames=3)
    match.hit(0, 103)
    match.state(1, 103, "stun", 20)
    assert match.figures()["whiffs_punished"] == (0, 0)
    assert match.figures(1)["missed_moves"] == (0, 2)


def test_the_next_move_ends_the_chance(match):
    """A hit on the next move does not punish the one before it."""
    match.move(1, 10)
    match.move(1, 45)
    match.hit(0, 47)
    assert match.figures()["whiffs_punished"] == (0, 2)


@pytest.mark.parametrize("evasion", ["dodge", "backdash", "jump"])
def test_baits_punished(match, evasion):
    """A miss was drawn if the player evaded it from near; a hit then punishes a bait."""
    match.move(1, 20)
    match.move(1, 150)  # drawn, and not punished
    for row in (18, 152):
        if evasion == "jump":
            match.event("jump", 0, row)
        else:
            match.state(0, row, evasion)
    match.hit(0, 52)
    found = match.figures()
    assert found["baits"] == (2, 1)
    assert found["baits_punished"] == (1, 2)
    match.columns["player/x"][:, 1] = -1.0 + NEAR + 0.1
    assert match.figures()["baits_punished"] == (0, 0)


def test_conditioning(match):
    """Options after a reaction count as equal or not to those after the last one of its kind."""
    for row, reaction, option in (
        (10, "dodge", "side_light"),
        (60, "dodge", "neutral_light"),  # light again
        (110, "backdash", "side_heavy"),  # the first of its kind
        (160, "dodge", "side_air"),
    ):
        match.move(0, row, frames=5)
        match.state(1, row + 6, reaction, 8)
        match.move(0, row + 20, frames=5, name=option)
    found = match.figures()
    assert found["same_option"] == (1, 2)
    # of light, light, heavy and air, 1 of 6 pairs is equal
    top, bottom = found["same_option_chance"]
    assert top / bottom == pytest.approx(1 / 6)
    assert match.figures(1)["same_option"] == (0, 0)


def test_an_option_that_comes_too_late(match):
    """What follows a reaction after more than a second is no answer to it."""
    for row in (10, 100):
        match.move(0, row, frames=5)
        match.state(1, row + 6, "dodge", 8)
        match.move(0, row + 7 + FOLLOW, frames=5)
    assert match.figures()["same_option"] == (0, 0)


def test_edge_guards(match):
    """Trips of the opponent beyond the edge, those with a hit, and those that end in a knock-out."""
    for first, end in ((10, 30), (50, 70), (100, 120)):
        match.columns["player/x"][first:end, 1] = EDGE + 2
    match.hit(0, 60)
    match.hit(0, 110)
    match.event("knockout", 1, 120, other=0)
    match.state(1, 120, "ko", 90)
    found = match.figures()
    assert found["edge_guards"] == (2, 3)
    assert found["edge_knockouts"] == (1, 1)
    assert match.figures(1)["edge_guards"] == (0, 0)


def test_weapons_and_jumps(match):
    """Hits with a weapon and in the air, time with one, and jumps from the ground and the air."""
    match.columns["player/weapon"][60:120, 0] = WEAPONS.index("spear")
    match.hit(0, 60)  # the blow fell in the row before, without it
    match.hit(0, 100, "side_air")
    match.columns["player/grounded"][150:, 0] = False
    for row in (100, 150, 180):
        match.event("jump", 0, row)
    found = match.figures()
    assert found["armed"] == (60, ROWS)
    assert found["armed_hits"] == (1, 2)
    assert found["air_hits"] == (1, 2)
    assert found["jumps"] == (3, ROWS / FPS)
    assert found["air_jumps"] == (1, 3)


def test_shares_are_shares(match):
    """In real matches no count exceeds what it is a share of, and seats are told apart."""
    agents = [agent(name, GAME) for name in ("expert", "based")]
    sums = []
    for order in (1, -1):
        played = list(play(GAME, GAME.world(4), agents[::order], ["a", "b"], np.arange(4)))
        found = [tactics(each.episode.columns, each.episode.events) for each in played]
        sums.append({name: sum(each[name] for each in found)[::order] for name in found[0]})
    counts = {"baits", "edge_knockouts", "jumps"}
    for name, pairs in sums[0].items():
        assert (pairs >= 0).all()
        assert name in counts or (pairs[:, 0] <= pairs[:, 1]).all(), name
    for each in sums:  # `expert` drops more moves on purpose, and wins by what `based` wastes
        assert each["whiffs_punished"][0, 0] > each["whiffs_punished"][1, 0]
        assert each["armed"][0, 0] > 0
    empty = {name: pair.shape for name, pair in tactics(Match().columns, no_events()).items()}
    assert empty == dict.fromkeys(sums[0], (2, 2))
