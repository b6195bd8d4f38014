"""Properties that every game must have, tested on the built-in ones and on docs/add-a-game.md."""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.core.encoding import Encoding
from shadowbox.core.episode import Episode, check
from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.games import GAMES, load
from shadowbox.learners import registry as learners
from shadowbox.play.match import play
from shadowbox.testing import (
    check_agent,
    check_record,
    check_reward,
    check_world,
    random_rows,
)


@pytest.fixture(params=[*GAMES, "docs/add-a-game.md"])
def game(request, paddles) -> Game:
    """Each game in turn."""
    return load(paddles if request.param.endswith(".md") else request.param)


@pytest.fixture
def simulator(game):
    """The factory of the game's world, if it has one."""
    if game.world is None:
        pytest.skip(f"{game.name} has no simulator")
    return game.world


def test_it_names_learners_that_exist(game):
    """`shadowbox games` lists only ways to learn that work today."""
    assert set(game.learns_by) <= set(learners.names())


@pytest.mark.parametrize("name", learners.LEARNERS)
def test_each_learner_of_a_game_builds_a_model_for_it(game, name):
    """A learner that `shadowbox games` lists outlines each of its presets for the game."""
    if name not in game.learns_by:
        pytest.skip(f"{game.name} is not learned by {name}")
    spec = learners.learner_spec(name)
    for preset in spec.presets():
        brought = spec.preset_settings(preset).items()
        own = {key.partition(".")[2]: v for key, v in brought if key.startswith("learner.")}
        if own.get("encoding", "default") not in (*game.encodings, "default"):
            continue  # a preset of another game
        inputs = learners.Inputs(spec=learners.RunSpec(game, preset, learner=own))
        assert spec.summarize(inputs).parameters > 0


def test_what_is_derived_from_rows_is_allowed(game):
    """Events, attacks, outcome and encodings take any allowed rows, twice with the same result."""
    columns = random_rows(game.schema, 50, seed=1)
    kept = {key: values.copy() for key, values in columns.items()}
    if game.events:
        found = game.events(columns)
        check(Episode(columns, {}, found), game.schema, game.name, game.event_kinds)
        np.testing.assert_array_equal(found, game.events(columns))
        if game.outcome:
            assert game.outcome(columns, found).winner in (None, *range(game.schema.players))
    if game.attacks:
        assert game.attacks(columns).shape == (50, game.schema.players)
    for encoding in game.encodings.values():
        if isinstance(encoding, Encoding):
            encoding.require(game.schema)
            floats, ints = encoding.encode(columns)
            assert (floats.shape, ints.shape) == ((50, encoding.floats), (50, encoding.ints))
        else:
            assert set(encoding) <= set(game.schema.columns)
    for key, values in kept.items():
        np.testing.assert_array_equal(values, columns[key], err_msg=key)


def test_the_record_is_whole(game):
    """A game has a title, a schema that survives JSON, bots and readers that load.

    Views are inverses.
    """
    check_record(game)


def test_its_simulator_is_a_world(game, simulator):
    """The simulator keeps every promise of a World, and of `load` where it offers that."""
    check_world(simulator, game)


def test_its_bots_are_agents(game, simulator):
    """Every bot keeps the promises of an Agent from every seat."""
    assert game.bots
    for build in game.bots.values():
        check_agent(build(), game)


def test_its_rewards_are_rewards(game, simulator):
    """Every reward preset keeps the promises of a Reward."""
    for name in game.rewards:
        check_reward(name, game)


def test_its_matches_can_be_stored(game, simulator, tmp_path):
    """A match of the simulator is stored and comes back."""
    bot = next(iter(game.bots.values()))
    played = play(game, simulator(2), [bot(), bot()], ("one", "two"), np.arange(2))
    with Writer(tmp_path / "s", game.schema, event_kinds=game.event_kinds) as writer:
        matches = list(played)
        for match in matches:
            writer.add(match.episode)
    store = Store(tmp_path / "s", game.schema)
    assert len(store) == 2
    for number, match in enumerate(matches):
        for key, values in match.episode.columns.items():
            np.testing.assert_array_equal(store.episode(number).columns[key], values)
