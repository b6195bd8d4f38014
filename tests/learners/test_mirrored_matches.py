"""Matches that the learner sees and plays in the mirror, while the world knows nothing of it."""

from __future__ import annotations

import copy

import numpy as np
import torch
from small_selfplay import GAME, SPEC, inputs

from shadowbox.core.view import from_seat, mirror_closed, mirrored

PAD = GAME.schema.controls.name


def test_the_world_gets_the_controls_turned_back():
    """Half of the matches are mirrored to their end; their world is told left for the learner's right."""
    task = SPEC.prepare(inputs(mirror=True, opponents={"self": 0.5, "constant": 0.5}, n_steps=20))
    source = task.source(8, 0, 1)
    matches, controls, turn = source.matches, source.matches.controls, source.matches.batch.turn
    kept, frames, begun = {}, [], []

    def watched(values, device):
        answer = controls(values, device)
        pressed = task.model.values.columns(values)
        view, seen = matches.batch.view, matches.seen()
        for row, match in enumerate(matches.match.tolist()):
            seat = int(matches.seat[match]) if row < 8 else 1 - int(matches.seat[match])
            flipped = bool(matches.mirror[match])
            assert kept.setdefault((match, int(matches.games[match])), flipped) == flipped
            x = from_seat(GAME.schema, view, seat)["player/x"][match]
            np.testing.assert_array_equal(seen["player/x"][row], -x if flipped else x)
            left, right = (bool(pressed[f"{PAD}/{key}"][row, 0]) for key in ("a", "d"))
            told = [bool(answer[f"{PAD}/{key}"][match, seat, 0]) for key in ("a", "d")]
            assert told == ([right, left] if flipped else [left, right])
        return answer

    def logged(outside, **more):
        if not frames:
            begun.append(matches.seeds.copy())
        result = turn(copy.deepcopy(outside), **more)
        frames.append(
            (copy.deepcopy(outside), {k: v.copy() for k, v in matches.batch.view.items()})
        )
        return result

    matches.controls, matches.batch.turn = watched, logged
    batch = task.learner.to_device(source.collect(), torch.device("cpu"))
    assert set(kept.values()) == {False, True}
    task.model.train()
    found = task.model.evaluate_actions(
        batch.columns, batch.pressed, batch.reset, dict(batch.memory)
    )
    assert (found.log_prob - batch.log_prob).abs().max() < 1e-5
    # the same keys in a world without mirrors: the match that was played is a match
    world = GAME.world(8, time_limit=15)
    world.reset(begun[0])
    for outside, view in frames[:14]:
        pressed = {key: np.concatenate([outside[0][key], outside[1][key]], 1) for key in outside[0]}
        columns, _, _ = world.step(pressed)
        for key in GAME.schema.state_keys:
            np.testing.assert_array_equal(columns[key], view[key])


def test_columns_that_a_mirror_needs():
    """Partners and masks are added, so that some columns alone can be mirrored."""
    keys = mirror_closed(GAME.schema, ["player/x", "player/facing_right", f"{PAD}/a"])
    assert set(keys) >= {"player/x", f"{PAD}/a", f"{PAD}/d"}
    view = {key: GAME.schema.neutral(2)[key] for key in keys}
    twice = mirrored(GAME.schema, mirrored(GAME.schema, view))
    assert all(np.array_equal(twice[key], view[key]) for key in view)
