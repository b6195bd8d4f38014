"""Properties that every game must have, tested on the built-in ones and on docs/add-a-game.md."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest

from shadowbox.core.default_scene import scene_of
from shadowbox.core.encoding import Encoding
from shadowbox.core.episode import Episode, check
from shadowbox.core.game import EVENT, Game
from shadowbox.core.scene import validate
from shadowbox.core.schema import Schema
from shadowbox.core.view import from_seat, mirrored
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.games import GAMES, load

MATCHES, FRAMES = 5, 80


@pytest.fixture(params=[*GAMES, "docs/add-a-game.md"])
def game(request, paddles) -> Game:
    """Each game in turn, as a Game record."""
    return load(paddles if request.param.endswith(".md") else request.param)


def test_derived_values_are_valid_and_deterministic(game):
    """Events, attacks, outcomes and encodings of valid rows are valid, and the same twice."""
    from conftest import random_columns

    columns = random_columns(game.schema, 50, seed=1)
    kept = {key: values.copy() for key, values in columns.items()}
    if game.events:
        events = game.events(columns)
        check(Episode(columns, {}, events), game.schema, game.name, game.event_kinds)
        np.testing.assert_array_equal(events, game.events(columns))
        if game.outcome:
            assert game.outcome(columns, events).winner in (None, *range(game.schema.players))
    if game.attacks:
        assert game.attacks(columns).shape == (50, game.schema.players)
    for encoding in game.encodings.values():
        if isinstance(encoding, Encoding):
            encoding.require(game.schema)
            floats, ints = encoding.encode(columns)
            assert (floats.shape, ints.shape) == ((50, encoding.floats), (50, encoding.ints))
        else:
            assert set(encoding) <= set(game.schema.columns)
    assert_same_states(kept, columns)


@pytest.fixture
def world(game):
    """World of the game; skipped for a game without a simulator."""
    if game.world is None:
        pytest.skip(f"{game.name} has no simulator")
    return game.world(MATCHES)


def seeds(n=MATCHES):
    """Seeds of `n` matches."""
    return np.arange(n, dtype=np.int64) + 3


def random_controls(schema, matches, frame):
    """Random controls, held for some frames; the same for the same frame."""
    draws = np.random.default_rng(frame // 7)
    controls = {}
    for key in schema.control_keys:
        column, field = schema.columns[key], schema.columns[key].field
        low, high = field.limits
        drawn = draws.random((matches, column.slots))
        controls[key] = (
            drawn < 0.3
            if field.kind == "flag"
            else (low + drawn * (high - low)).astype(column.dtype)
        )
    return controls


def played(world, frames=FRAMES, start=0):
    """Step with random controls: states [frames, N, slots], all events, and the last `done`."""
    states, happened, done = [], [], None
    for frame in range(start, start + frames):
        columns, events, done = world.step(random_controls(world.schema, world.matches, frame))
        states.append({key: columns[key].copy() for key in world.schema.state_keys})
        happened.append(events.copy())
    return (
        {key: np.stack([state[key] for state in states]) for key in world.schema.state_keys},
        np.concatenate(happened),
        done,
    )


def assert_same_states(ours, theirs):
    """Assert that all columns are equal, bit for bit."""
    for key, values in ours.items():
        np.testing.assert_array_equal(values, theirs[key], err_msg=key)


def test_the_record_is_whole(game):
    """A game has a title, a schema that survives JSON, and events, bots and readers that load."""
    assert game.title
    assert Schema.from_json(json.loads(json.dumps(game.schema.to_json()))) == game.schema
    assert len(set(game.event_kinds)) == len(game.event_kinds)
    assert game.held_out <= set(game.bots)
    for name in game.bots:
        assert hasattr(game.bots[name](), "act"), name
    if game.reader:
        module, _, attribute = game.reader.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))
        assert game.reader_endings
        for options in game.reader_filters.values():
            assert options.keys() <= game.reader_options.keys()
    validate(scene_of(game), game.schema)


def test_views_are_their_own_inverse(game):
    """Seat swap and mirror, applied twice to any allowed frame of the game, give the frame back."""
    from conftest import random_columns

    columns = random_columns(game.schema, 20, seed=0)
    for player in range(game.schema.players):
        twice = from_seat(game.schema, from_seat(game.schema, columns, player), player)
        assert_same_states(columns, twice)
    assert_same_states(columns, mirrored(game.schema, mirrored(game.schema, columns)))


def test_seeds_and_controls_decide_everything(world, game):
    """Equal seeds and controls give equal states and events, bit for bit."""
    world.reset(seeds())
    states, events, _ = played(world)
    again = game.world(MATCHES)
    again.reset(seeds())
    states_again, events_again, _ = played(again)
    assert_same_states(states, states_again)
    np.testing.assert_array_equal(events, events_again)


def test_a_match_does_not_depend_on_its_neighbors(world, game):
    """One match alone is the same as that match among others."""
    world.reset(seeds())
    states, _, _ = played(world)
    one = game.world(1)
    one.reset(seeds()[2:3])
    for frame in range(FRAMES):
        controls = {
            key: values[2:3] for key, values in random_controls(game.schema, MATCHES, frame).items()
        }
        columns, _, _ = one.step(controls)
        for key in game.schema.state_keys:
            np.testing.assert_array_equal(
                columns[key][0], states[key][frame, 2], err_msg=f"{key} at {frame}"
            )


def test_snapshot_restore_and_go_on(world):
    """Matches restored from snapshots, all or some of them, go on with the same states."""
    world.reset(seeds())
    played(world, 30)
    where = np.array([True, False, True, False, False])
    kept = world.snapshot(where)
    everything = world.snapshot()
    straight, _, _ = played(world, 40, start=30)
    world.restore(everything)
    played(world, 5, start=60)
    world.restore(everything)
    world.restore(kept, where)
    resumed, _, _ = played(world, 40, start=30)
    assert_same_states(straight, resumed)


def test_reset_of_some_matches_leaves_the_others(world):
    """Resetting a mask starts those matches from their seeds and does not touch the rest."""
    fresh = {key: values.copy() for key, values in world.reset(seeds()).items()}
    played(world, 30)
    where = np.array([False, True, False, False, True])
    before = {key: values.copy() for key, values in world.restore(world.snapshot()).items()}
    after = world.reset(seeds(), where)
    for key in world.schema.state_keys:
        np.testing.assert_array_equal(after[key][where], fresh[key][where], err_msg=key)
        np.testing.assert_array_equal(after[key][~where], before[key][~where], err_msg=key)


def test_every_state_is_allowed_and_can_be_stored(world, game, tmp_path):
    """States of random play fit the schema's ranges and are stored."""
    first = {key: values.copy() for key, values in world.reset(seeds()).items()}
    states, events, _ = played(world)
    with Writer(tmp_path / "s", game.schema, event_kinds=game.event_kinds) as writer:
        for match in range(MATCHES):
            columns = {
                k: np.concatenate([first[k][match : match + 1], states[k][:, match]])
                for k in game.schema.state_keys
            }
            pressed = [random_controls(game.schema, MATCHES, frame) for frame in range(FRAMES)]
            for key in game.schema.control_keys:
                kept = np.stack([controls[key][match] for controls in pressed])
                columns[key] = np.concatenate([kept, np.zeros_like(kept[:1])])
            episode = Episode(
                columns, {"seed": int(seeds()[match])}, events[events["match"] == match]
            )
            check(episode, game.schema, "random play", game.event_kinds)
            writer.add(episode)
    assert len(Store(tmp_path / "s", game.schema)) == MATCHES


def test_a_finished_match_stays_as_it_is(world):
    """Stepping a match that is done changes nothing, emits nothing and keeps it done."""
    world.reset(seeds())
    done = np.zeros(MATCHES, bool)
    for frame in range(20_000):
        _, events, done = world.step(random_controls(world.schema, MATCHES, frame))
        assert events.dtype == EVENT
        if done.any():
            break
    assert done.any(), "no match ended in 20,000 frames"
    before = {key: values.copy() for key, values in world.restore(world.snapshot()).items()}
    for frame in range(5):
        columns, events, still = world.step(random_controls(world.schema, MATCHES, frame))
        assert not np.isin(events["match"], np.flatnonzero(done)).any()
        assert still[done].all()
        for key in world.schema.state_keys:
            np.testing.assert_array_equal(columns[key][done], before[key][done], err_msg=key)


def test_bots_do_not_depend_on_the_batch(game, world):
    """A bot's decision in a match is the same alone and among others, from either seat."""
    columns = {key: values.copy() for key, values in world.reset(seeds()).items()}
    for name, make in game.bots.items():
        for seat in (0, 1):
            view = from_seat(game.schema, columns, seat)
            players = np.full(MATCHES, seat)
            bot = make()
            state = bot.start(seeds(), players)
            alone = bot.start(seeds()[3:4], players[3:4])
            for _ in range(20):
                keys, state = bot.act(view, state)
                keys_alone, alone = bot.act(
                    {key: values[3:4] for key, values in view.items()}, alone
                )
                for key in game.schema.control_keys:
                    assert keys[key].shape == (MATCHES, 1), name
                    np.testing.assert_array_equal(
                        keys[key][3:4], keys_alone[key], err_msg=f"{name} {key}"
                    )
