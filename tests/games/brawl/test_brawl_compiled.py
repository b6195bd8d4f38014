"""The compiled loop: the bits of before, the bits of agents that act on views, on every path."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from signals import signals

from shadowbox.collect.matches import Pairing, record
from shadowbox.core.episode import PackedEpisode
from shadowbox.core.game import EVENT, noise
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import EpisodeError, UsageError
from shadowbox.evaluate.tournament import TournamentSpec, tournament
from shadowbox.games.brawl import GAME, brain
from shadowbox.games.brawl.bots import BOTS
from shadowbox.games.brawl.observe import OBSERVATIONS
from shadowbox.games.brawl.rewards import TERMS, BrawlReward
from shadowbox.games.brawl.schema import SCHEMA
from shadowbox.games.brawl.world import BrawlWorld
from shadowbox.play.match import play
from shadowbox.play.turn import MatchBatch
from shadowbox.play.vector_matches import VectorMatches

HERE = Path(__file__).parent


class Foreign:
    """Agent of another package: a bot's decisions, by `act` alone."""

    def __init__(self, name="based"):
        self.bot = GAME.bots[name]()

    def start(self, *given):
        """State of the bot."""
        return self.bot.start(*given)

    def act(self, view, state):
        """Decision of the bot."""
        return self.bot.act(view, state)


def assert_same_bits(ours, theirs, where=""):
    """Equal numbers; zeros of another sign are not."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes():
        return
    np.testing.assert_array_equal(ours, theirs, str(where))
    if ours.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(ours), np.signbit(theirs), str(where))


@pytest.mark.parametrize("stage", ["warehouse", "mirror"])
def test_signals_have_the_bits_of_the_code_they_replaced(stage):
    """Decisions of all bots, both observations and all terms equal those of the old NumPy code."""
    expected = json.loads((HERE / "signals.json").read_text(encoding="utf-8"))[stage]
    found = signals(BOTS, OBSERVATIONS, BrawlReward, TERMS, stage)
    assert {name for name in expected if expected[name] != found.get(name)} == set()
    assert found.keys() == expected.keys()


def test_compiled_noise_is_that_of_all_games():
    """The scalar function gives the bits of `core.game.noise`."""
    compiled = numba.njit(lambda seed, frame, player, draw: brain.noise(seed, frame, player, draw))
    draws = np.random.default_rng(0)
    for seed, frame, player, draw in draws.integers(0, [1 << 62, 65536, 2, 99], (200, 4)).tolist():
        assert compiled(np.uint64(seed), frame, player, draw) == noise(
            np.array([seed]), frame, player, draw
        )


def pair_of_matches(opponent, seats, observation, count=3, limit=35):
    """The same matches twice: in the compiled loop, and by views."""
    both = [
        VectorMatches(
            GAME,
            count,
            seats=seats,
            opponent=agent,
            observation=observation,
            reward="dense",
            time_limit=limit,
        )
        for agent in ((opponent, opponent and Foreign(opponent)))
    ]
    assert both[0].batch.compiled is not None
    assert both[0].batch.asked == ()
    assert both[1].batch.asked == (() if opponent is None else (1 - seats[0],))
    both[1].batch.compiled = None
    return both


def assert_equal_turns(compiled, plain, seats):
    """Everything that a learner sees of the last turn."""
    ours, theirs = compiled, plain
    assert ours[1].outcomes == theirs[1].outcomes
    for name in ("rewards", "ended", "terminated", "truncated"):
        assert_same_bits(getattr(ours[1], name), getattr(theirs[1], name), name)
    assert ours[1].events.tolist() == theirs[1].events.tolist()
    assert list(ours[1].terms) == list(theirs[1].terms)
    for name, values in theirs[1].terms.items():
        assert_same_bits(ours[1].terms[name], values, name)
    for key, values in theirs[0].view.items():
        assert_same_bits(ours[0].view[key], values, key)
    for seat in seats:
        assert_same_bits(ours[0].see(seat), theirs[0].see(seat), seat)


@pytest.mark.parametrize(
    ("opponent", "seats", "observation"),
    [
        *((name, (at % 2,), ("raw", "default")[at % 2]) for at, name in enumerate(sorted(BOTS))),
        (None, (0, 1), "default"),
    ],
)
def test_a_turn_has_the_bits_of_agents_that_act_on_views(opponent, seats, observation):
    """Views, rewards, terms, events, outcomes and observations, also of matches that go on when over."""
    draws = np.random.default_rng(len(str(opponent)))
    compiled, plain = pair_of_matches(opponent, seats, observation)
    seeds, over = draws.integers(0, 1 << 62, 3), np.zeros(3, bool)
    for matches in (compiled, plain):
        matches.begin(seeds)
    for step in range(80):
        actions = {seat: (draws.random((3, 10)) < 0.3).astype(np.int8) for seat in seats}
        turns = [matches.step(actions, step * 500) for matches in (compiled, plain)]
        assert_equal_turns((compiled, turns[0]), (plain, turns[1]), seats)
        over |= turns[0].ended
        if over.any() and step % 4 == 0:
            seeds = seeds + 1
            for matches in (compiled, plain):
                matches.begin(seeds, over)
            over = np.zeros(3, bool)
            for seat in seats:
                assert_same_bits(compiled.see(seat), plain.see(seat))


def test_whole_matches_and_stores_have_the_same_bits(tmp_path):
    """Compiled bots play, and store, what they play and store by views."""
    seeds = np.arange(5) + (1 << 60)
    world = GAME.world(2, time_limit=150)
    for names in (("based", "tapper"), ("switcher", "clockwork"), ("random", "constant")):
        agents = [GAME.bots[name]() for name in names]
        foreign = [Foreign(name) for name in names]
        ours = list(play(GAME, world, agents, names, seeds))
        theirs = list(play(GAME, world, foreign, names, seeds))
        assert all(isinstance(one.recording, PackedEpisode) for one in ours)
        for one, other in zip(ours, theirs, strict=True):
            assert one.outcome == other.outcome
            assert one.episode.meta == other.episode.meta
            assert one.episode.events["frame"].tolist() == other.episode.events["frame"].tolist()
            for key, values in other.episode.columns.items():
                assert_same_bits(one.episode.columns[key], values, key)
    for folder, matches in (("a", ours), ("b", theirs)):
        with Writer(tmp_path / folder, SCHEMA, event_kinds=GAME.event_kinds) as writer:
            for match in matches:
                writer.add(match.recording)
    for path in sorted((tmp_path / "a").glob("0*")):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_bot_that_overrides_act_decides_itself():
    """A subclass of a bot, and a subclass of the world, are not taken for what they come from."""

    class Quiet(type(GAME.bots["based"]())):
        """Presses nothing."""

        def act(self, view, state):
            """Nothing."""
            controls, state = super().act(view, state)
            return {key: np.zeros_like(values) for key, values in controls.items()}, state

    quiet = Quiet(*GAME.bots["based"]().row)
    assert MatchBatch(GAME, BrawlWorld(1), [quiet, None]).asked == (0,)
    (played,) = play(GAME, BrawlWorld(1, time_limit=40), [quiet, quiet], ("q", "q"), np.array([4]))
    assert not any(played.episode.columns[key].any() for key in SCHEMA.control_keys)

    class Still(BrawlWorld):
        """Another world."""

    bots = [GAME.bots["based"](), None]
    assert MatchBatch(GAME, Still(1), bots).compiled is None
    assert MatchBatch(GAME, BrawlWorld(1), bots).compiled is not None


def test_agents_of_others_take_every_path(tmp_path):
    """Environments, `record` and tournaments take an agent that has `act` alone."""
    game = replace(GAME, bots={**GAME.bots, "foreign": lambda argument="": Foreign("based")})
    options = {"time_limit": 30}
    for name in ("foreign", "based"):
        made = record(game, [Pairing(name, "tapper", 3)], tmp_path / name, seed=5, options=options)
        assert made["episodes"] == 3
    stores = [Store(tmp_path / name) for name in ("foreign", "based")]
    assert [len(store.episode(0).columns["player/x"]) for store in stores] == [31, 31]
    matches = VectorMatches(game, 2, seats=(0,), opponent="foreign", **options)
    matches.begin(np.arange(2))
    assert matches.step({0: np.zeros((2, 10), np.int8)}).rewards.shape == (2, 2)
    table = tournament(game, TournamentSpec("brawl", ("foreign", "based"), 4, options=options))
    twins = tournament(game, TournamentSpec("brawl", ("based", "foreign"), 4, options=options))
    assert (
        table["payoff"]["foreign"]["based"]["wins"] == twins["payoff"]["foreign"]["based"]["wins"]
    )


def test_a_batch_leaves_the_compiled_loop_where_rows_are_asked_for():
    """After compiled turns, turns that are recorded go on with the same bits."""
    rows = []
    for leave in (False, True):
        batch = MatchBatch(GAME, BrawlWorld(2), [GAME.bots["tapper"](), GAME.bots["switcher"]()])
        batch.begin(np.array([7, 8]))
        for step in range(50):
            kept = (lambda row, tracks: None) if leave and step >= 25 else None
            batch.turn(record=kept)
        assert (batch.compiled is None) == leave
        rows.append({key: values.copy() for key, values in batch.view.items()})
    for key, values in rows[0].items():
        assert_same_bits(rows[1][key], values, key)


@pytest.mark.parametrize(
    ("key", "value"), [("player/weapon", 3), ("player/move", 12), ("match/stage", 2)]
)
def test_views_that_no_match_can_give_are_refused(key, value):
    """Compiled code checks no index, so a world of another kind cannot lead it astray."""
    view = {name: values.copy() for name, values in BrawlWorld(2).reset(np.arange(2)).items()}
    view[key][1, 0] = value
    bot = GAME.bots["expert"]()
    with pytest.raises(UsageError, match=f"{key}.*{value}"):
        bot.act(view, bot.start(np.arange(2), np.zeros(2, int)))


@pytest.mark.parametrize(("name", "value"), [("kind", 11), ("player", 2), ("match", 2)])
def test_events_that_no_match_can_give_are_refused(name, value):
    """The same for events that rewards are computed from."""
    columns = BrawlWorld(2).reset(np.arange(2))
    events = np.zeros(1, EVENT)
    events[name] = value
    reward = BrawlReward.preset("dense")
    with pytest.raises(UsageError, match=f"the {name} of an event"):
        reward(reward.before(columns), columns, events)


@pytest.mark.parametrize("value", [2, -1, 0.5])
def test_keys_that_are_neither_pressed_nor_released_are_refused(value):
    """The compiled loop refuses them as the world does."""
    matches = VectorMatches(GAME, 2, seats=(0,), opponent="based")
    matches.begin(np.arange(2))
    wrong = np.zeros((2, 10), np.int8 if value != 0.5 else np.float64)
    wrong[1, 3] = value
    with pytest.raises(UsageError, match="multibinary"):
        matches.step({0: wrong})


def test_packed_rows_are_checked_as_columns_are(tmp_path):
    """A value out of range and a value in an unused slot are refused by name."""
    bots = [GAME.bots["based"](), GAME.bots["based"]()]
    (played,) = play(GAME, BrawlWorld(1, time_limit=30), bots, ("a", "b"), np.array([1]))
    with Writer(tmp_path / "s", SCHEMA) as writer:
        for key, slot, value, words in (
            ("player/x", 1, np.nan, r"frame 7, player/x\[1\]: nan"),
            ("player/state", 0, 77, r"frame 7, player/state\[0\]: 77"),
            ("item/x", 3, 1.0, r"item/x\[3\]: expected 0, because alive is off"),
        ):
            rows = played.recording.rows.copy()
            rows[key][7, slot] = value
            with pytest.raises(EpisodeError, match=words):
                writer.add(replace(played.recording, rows=rows))
        with pytest.raises(EpisodeError, match="at least 2 rows"):
            writer.add(replace(played.recording, rows=played.recording.rows[:1]))
        writer.add(played.recording)
