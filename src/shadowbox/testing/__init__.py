"""Conformance checks for parts of other packages: worlds, agents, games, learners, kinds of checkpoints.

    from shadowbox.testing import check_agent, check_world

    def test_my_world():
        check_world(MyWorld, GAME)

Shadowbox tests its own parts by the same functions. Each of them raises an AssertionError that says
which promise of `core/game.py`, `learners/registry.py` or `model/kinds.py` is broken and where. They
need no test runner.
"""

from __future__ import annotations

from shadowbox.testing.agents import check_agent, check_tracks
from shadowbox.testing.checkpoint_kinds import check_checkpoint_kind
from shadowbox.testing.games import check_game, check_record
from shadowbox.testing.learners import check_learner
from shadowbox.testing.random_play import match_seeds, random_controls, random_rows
from shadowbox.testing.rewards import check_reward
from shadowbox.testing.worlds import check_context, check_load, check_world

__all__ = [
    "check_agent",
    "check_checkpoint_kind",
    "check_context",
    "check_game",
    "check_learner",
    "check_load",
    "check_record",
    "check_reward",
    "check_tracks",
    "check_world",
    "match_seeds",
    "random_controls",
    "random_rows",
]
