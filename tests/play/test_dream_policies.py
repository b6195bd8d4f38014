"""Policies in dreams: each reads the fields that it knows by name, whatever the world reads."""

from __future__ import annotations

import numpy as np
import pytest
import small_worlds
from small_worlds import BRAWL

from shadowbox.core.episode import Episode
from shadowbox.core.view import seat_order
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.evaluate.worlds.what_if import what_if
from shadowbox.games import load
from shadowbox.model import policy
from shadowbox.play import specs
from shadowbox.play.match import play
from shadowbox.play.policy_agent import PolicyAgent

MELEE = load("melee")
FRAMES = 25


@pytest.fixture(scope="module")
def replays(tmp_path_factory):
    """A store of four made-up episodes of Melee, in which both players walk apart."""
    path = tmp_path_factory.mktemp("melee") / "store"
    with Writer(path, MELEE.schema) as writer:
        for seed in range(4):
            columns = {
                key: np.zeros((60, column.slots), column.dtype)
                for key, column in MELEE.schema.columns.items()
            }
            columns["player/x"] += np.array([-1.0, 1.0]) * np.arange(60)[:, None]
            columns["player/action"] += np.uint16(15 + seed)
            columns["player/stocks"] += 4
            writer.add(Episode(columns, {"seed": seed}))
    return Store(path)


def window(game, frames, keys=None, encoding=None, seed=0):
    """A policy with random weights that looks back on a number of frames."""
    usual = game.schema.state_keys if encoding else game.encodings["default"]
    keys = usual if keys is None else keys
    arguments = policy.preset_arguments(
        "policy-mlp", keys, None, encoding, frames=frames, width=16, trunk_width=16
    )
    return policy.build_policy(game.schema, arguments, seed, encoding)


def plays_by_its_own_memory(game, run, models):
    """Play a match of two policies in the dream of a run.

    Each presses what it presses when its views of that match are shown to it once more.
    """
    world = specs.world(f"dream:{run}@frames={FRAMES}", game, 1)
    agents = [PolicyAgent(model) for model in models]
    (played,) = play(game, world, agents, ("one", "two"), np.array([7]))
    columns = played.episode.columns
    schema = game.schema
    for seat, model in enumerate(models):
        agent = PolicyAgent(model)
        state = agent.start(np.array([7]), np.array([seat]))
        for frame in range(FRAMES):
            view = {}
            for key, column in schema.columns.items():
                at = frame - 1 if key in schema.control_keys else frame
                row = columns[key][at] if at >= 0 else np.zeros_like(columns[key][0])
                if column.group.per:
                    row = row[seat_order(column.slots, seat, schema.players)]
                view[key] = row[None]
            pressed, state = agent.act(view, state)
            for key, values in pressed.items():
                mine = columns[key][frame].reshape(schema.players, -1)[seat]
                np.testing.assert_array_equal(values[0], mine, f"{key} of seat {seat} at {frame}")
    return columns


def test_a_policy_of_10_frames_plays_in_a_world_of_30(tmp_path):
    """The history of a policy is its own: a world with a longer one gives it no other frames."""
    store = small_worlds.recorded(tmp_path / "s")
    run = small_worlds.trained(store, tmp_path / "run", {"trunk": "window", "frames": 30})
    few = [key for key in BRAWL.schema.state_keys if key.startswith("player/")]
    models = [window(BRAWL, 10), window(BRAWL, 4, few, seed=1)]
    columns = plays_by_its_own_memory(BRAWL, run, models)
    assert any(columns[key].any() for key in BRAWL.schema.control_keys)


@pytest.fixture(scope="module")
def melee_world(tmp_path_factory, replays):
    """A run of a few steps on them."""
    return small_worlds.trained(replays, tmp_path_factory.mktemp("world") / "run", game=MELEE)


def test_a_policy_of_an_older_encoding_plays_in_a_world_with_more_fields(melee_world):
    """A policy that reads 28 numbers a player plays in a world that reads every field of Melee."""
    models = [
        window(MELEE, 10, encoding=MELEE.encodings[name]) for name in ("v2-embed", "v3-projectiles")
    ]
    columns = plays_by_its_own_memory(MELEE, melee_world, models)
    assert any(columns[key].any() for key in MELEE.schema.control_keys)


def test_what_if_without_a_simulator(melee_world, replays):
    """A moment of a replay is continued in the dream alone, with a warning about its gate."""
    found = what_if(
        f"dream:{melee_world}",
        f"{replays.path}#1:40",
        by=("hold:pad/main_x=1",),
        player=1,
        config=EvalConfig(samples=2),
    )
    assert [branch.by for branch in found.branches] == ["recorded", "neutral", "hold:pad/main_x=1"]
    assert {branch.world for branch in found.branches} == {f"dream:{melee_world}"}
    assert "was never evaluated on melee" in found.verdict.warning
    assert any("the recording ends 0.3 s after" in remark for remark in found.remarks)
    held = found.branches[2].rows
    assert (held["pad/main_x"][:-1, 1] == 1).all()
    assert not held["pad/main_x"][:, 0].any()
    for branch in found.branches:
        np.testing.assert_array_equal(
            branch.rows["player/x"][0], replays.episode(1).columns["player/x"][40]
        )
