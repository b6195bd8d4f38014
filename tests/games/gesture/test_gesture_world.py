"""The place as a World: it keeps the contract, and a match is the person's course with an agent."""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.core.schema import Columns
from shadowbox.games import load
from shadowbox.games.gesture.controller import _Controls, certain, control_columns
from shadowbox.games.gesture.place.course import TASKS
from shadowbox.games.gesture.place.world import place_world
from shadowbox.games.gesture.schema import SCHEMA
from shadowbox.play import specs
from shadowbox.testing import check_world

GAME = load("gesture")


def meant(world) -> Columns:
    """Controls that each person means now."""
    rows = []
    for match in world._begun:
        answers = certain(match.player.meant(match.player.frames - 1))
        controls = _Controls(
            answers.keys > 0.5, 300 * answers.look, int(answers.hotbar.argmax()), answers.cursor,
            match.mock.place.screen,
        )  # fmt: skip
        rows.append(control_columns(controls))
    return {key: np.concatenate([row[key] for row in rows]) for key in SCHEMA.control_keys}


@pytest.mark.slow
def test_the_place_is_a_world():
    """Seeds decide, matches do not depend on neighbors, snapshots restore, states are allowed."""
    check_world(lambda matches: place_world(matches, seconds=1.5), GAME, frames=10)


@pytest.mark.slow
def test_an_agent_that_understands_the_person_finishes_the_course():
    """With the meant keys all tasks are done; an agent that presses nothing does none of them."""
    world = place_world(1)
    world.reset(np.array([5]))
    done = np.zeros(1, bool)
    frames = 0
    while not done.all() and frames < 900:
        _, _, done = world.step(meant(world))
        frames += 1
    assert [each["tasks"] for each in world.results()] == [len(TASKS)]
    idle = specs.world_factory("py:shadowbox.games.gesture.place.world:place_world", GAME)(1)
    idle.reset(np.array([5]))
    for _ in range(60):
        idle.step(SCHEMA.neutral(1))
    assert idle.results()[0]["tasks"] == 0
