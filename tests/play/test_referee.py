"""An agent that crashes or answers with nonsense loses its matches, with the reason.

The others go on.
"""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.core.game import Game, Outcome
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.games import load
from shadowbox.play.agent import Replay
from shadowbox.play.match import play
from shadowbox.play.match_facts import fingerprint, match_facts
from shadowbox.play.referee import Referee


@pytest.fixture(scope="module")
def game(paddles) -> Game:
    """Two paddles and a ball."""
    return load(paddles)


class Faulty:
    """Plays on until `frame`, and then answers what `fault` makes of a good answer."""

    def __init__(self, fault, frame=5):
        self.fault, self.frame = fault, frame

    def start(self, seeds, players, state=None, where=None):
        return 0

    def act(self, view, state):
        n = len(view["ball/y"])
        answer = {"keys/up": np.ones((n, 1), bool), "keys/down": np.zeros((n, 1), bool)}
        return (self.fault(answer) if state >= self.frame else answer), state + 1


def crash(answer):
    """An error of the agent's own."""
    raise ZeroDivisionError("division by zero")


FAULTS = [
    (crash, "ZeroDivisionError: division by zero"),
    (lambda answer: {"keys/up": answer["keys/up"]}, "KeyError: 'keys/down'"),
    (lambda answer: None, "TypeError"),
    (
        lambda answer: {**answer, "keys/up": answer["keys/up"][:, 0]},
        r"keys/up: shape \(4,\) in place of \(4, 1\)",
    ),
    (
        lambda answer: {**answer, "keys/up": answer["keys/up"].astype(float)},
        "values of type float64, a flag is needed",
    ),
]


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
@pytest.mark.parametrize("seat", [0, 1])
def test_a_broken_agent_forfeits(game, fault, reason, seat):
    """A broken agent loses its matches in that frame, with the reason on record."""
    agents = [game.bots["follower"](), game.bots["follower"]()]
    agents[seat] = Faulty(fault)
    matches = list(play(game, game.world(4), agents, ("a", "b"), np.arange(6)))
    assert len(matches) == 6
    for match in matches:
        assert match.outcome.winner == 1 - seat
        assert match.outcome.reason == "forfeit"
        (loss,) = match.episode.meta["result"]["forfeit"]
        assert loss["player"] == seat
        import re

        assert re.search(reason, loss["reason"])
    assert matches[0].episode.frames == 6
    assert matches[5].episode.frames == 1, "an agent that is broken loses its next match at once"


def test_two_broken_agents_have_no_winner(game):
    """Where both forfeit in the same frame nobody wins."""
    matches = list(
        play(game, game.world(2), [Faulty(crash), Faulty(crash)], ("a", "b"), np.arange(2))
    )
    assert [match.outcome.winner for match in matches] == [None, None]
    assert len(matches[0].outcome.facts["forfeit"]) == 2


def test_an_agent_that_cannot_start_forfeits(game):
    """An error before the first frame is a forfeit, too."""

    class NoStart(Faulty):
        def start(self, seeds, players, state=None, where=None):
            raise RuntimeError("weights missing")

    (match,) = play(
        game, game.world(1), [NoStart(crash), game.bots["idle"]()], ("a", "b"), np.arange(1)
    )
    assert match.outcome.facts["forfeit"] == [
        {"player": 0, "reason": "RuntimeError: weights missing"}
    ]


def test_a_bad_value_concerns_its_match_alone():
    """Of several matches only the one with a value out of range, or not a number, is lost.

    The agent plays on in the others.
    """
    pad = Group(
        "pad", (Real("x", low=-1, high=1), Choice("c", 3), Flag("a")), slots=2, per="player"
    )
    schema = Schema("s", 60, (Group("g", (Flag("f"),)),), pad)

    class Agent:
        def start(self, seeds, players, state=None, where=None):
            return 0

        def act(self, view, state):
            x = np.array([[0.5], [np.nan if state == 1 else 0.5], [2.0 if state == 2 else 0.5]])
            c = np.array([[2], [2], [2]])
            return {"pad/x": x, "pad/c": c, "pad/a": np.ones((3, 1), bool)}, state + 1

    referee = Referee(schema, Agent(), 1, 3)
    referee.seat(np.zeros(3, np.int64))
    lost = []
    for _ in range(4):
        answer = referee.ask({})
        lost.append(referee.lost.tolist())
    assert lost == [[False] * 3, [False, True, False], [False, True, True], [False, True, True]]
    assert referee.why[1] == "pad/x: nan, allowed -1 .. 1"
    assert referee.why[2] == "pad/x: 2.0, allowed -1 .. 1"
    np.testing.assert_array_equal(answer["pad/a"][:, 0], [True, False, False])
    referee.seat(np.zeros(3, np.int64), np.array([False, True, False]))
    assert referee.lost.tolist() == [False, False, True]


def test_a_replay_plays_the_match_again(game):
    """Two replays of the seats of a match, from the same seed, give that match bit for bit."""
    (match,) = play(
        game,
        game.world(1),
        [game.bots["follower"](), game.bots["idle"]()],
        ("a", "b"),
        np.array([5]),
    )
    pressed = {key: match.episode.columns[key][:-1] for key in game.schema.control_keys}
    (again,) = play(
        game, game.world(1), [Replay(pressed), Replay(pressed)], ("r", "r"), np.array([5])
    )
    assert fingerprint(game, again.episode) == fingerprint(game, match.episode)
    (other,) = play(
        game, game.world(1), [Replay(pressed), Replay(pressed)], ("r", "r"), np.array([6])
    )
    assert fingerprint(game, other.episode) != fingerprint(game, match.episode)


def test_facts_of_a_hand_made_match():
    """Damage, hits, presses, onsets, states and attacks equal those of a hand-written match."""
    from conftest import random_columns

    from shadowbox.core.episode import Episode
    from shadowbox.core.game import EVENT

    state = Group("player", (Choice("state", 2, names=("calm", "busy")),), slots=2, per="player")
    schema = Schema("s", 60, (state,), Group("pad", (Flag("a"),), slots=2, per="player"))
    game = Game(
        name="s",
        title="t",
        schema=schema,
        event_kinds=("hit", "jump"),
        event_whats={"hit": ("jab", "kick")},
        attacks=lambda columns: (
            (columns["player/state"] == 1) & (np.roll(columns["player/state"], 1, 0) == 0)
        ),
    )
    columns = random_columns(schema, 301, 0)
    for values in columns.values():
        values[:] = 0
    columns["pad/a"][[1, 2, 5], 0] = True
    columns["player/state"][10:13, 0] = 1
    events = np.zeros(4, EVENT)
    for at, row in enumerate(
        [
            (0, 3, 7.0, 1, 0, 0, 1),
            (0, 4, 2.5, 0, 0, 1, 0),
            (0, 5, 7.0, 1, 0, 0, 1),
            (0, 9, 0, 0, 1, 1, -1),
        ]
    ):
        events[at] = row
    facts = match_facts(
        game, Episode(columns, {"players": ["x", "y"], "world": "s"}, events), Outcome(0, "points")
    )
    x, y = facts["players"]
    assert (x["damage_dealt"], x["damage_taken"], x["hits"]) == (14.0, 2.5, {"kick": 2})
    assert (y["damage_dealt"], y["damage_taken"], y["hits"]) == (2.5, 14.0, {"jab": 1})
    assert y["events"] == {"hit": 1, "jump": 1}
    assert x["controls"] == {"pad/a": {"presses": 3, "onsets": 2}}
    assert x["states"]["player/state"]["busy"] == pytest.approx(3 / 301)
    assert (x["attacks"], x["longest_without_attack"]) == (1, 290)
    assert facts["remarks"] == [
        "x (player 0) did not attack once in 290 frames from frame 10",
        "y (player 1) did not attack once in the whole match",
    ]
    assert (facts["winner"], facts["frames"], facts["world"]) == (0, 300, "s")
    assert facts["seconds"] == 5.0  # of its 300 decisions: the last of the 301 rows takes no time
