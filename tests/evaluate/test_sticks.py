"""Where sticks stand: counts that are chances, known answers, and a policy beside them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from judging import BRAWL
from test_offline import PAD, recorded_pad

from shadowbox.evaluate.answers import answer_seats, with_vocabulary_places
from shadowbox.evaluate.offline import Answers, figures
from shadowbox.evaluate.recorded import ControlLookup, load_seat, never_press
from shadowbox.evaluate.sticks import StickPositions, count_moves
from shadowbox.model import policy
from shadowbox.play.policy_agent import as_tensor


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_chances_of_all_places_are_one(size, states, frames, seed):
    """Probabilities of a stick's points sum to 1, in each state and over all, whatever was counted."""
    draws = np.random.default_rng(seed)
    moves = count_moves(
        [StickPositions(draws.integers(0, size, frames), draws.integers(0, size, frames), size)],
        [draws.integers(0, states, frames)],
        states,
    )
    every = np.arange(size)
    assert np.exp(-moves.anywhere(StickPositions(every, every, size))).sum() == pytest.approx(1)
    for row in range(states + 1):
        for before in range(size):
            cost = moves.staying(StickPositions(every, np.full(size, before), size), row)
            assert np.exp(-cost).sum() == pytest.approx(1 if size > 1 else float(moves.stays[row]))


def test_known_answers():
    """A stick that rests in one state and goes around in another costs less if one is told the state."""
    state = np.tile(np.repeat([0, 1], 50), 4)
    now = np.where(state == 0, 0, np.arange(len(state)) % 3)
    standing = StickPositions(now, np.append(0, now[:-1]), 4)
    moves = count_moves([standing], [state], 2)
    told, usual, nothing = (
        cost.mean()
        for cost in (
            moves.staying(standing, 1 + state),
            moves.staying(standing),
            moves.anywhere(standing),
        )
    )
    assert told < min(usual, nothing)
    # half of the frames: which of the two others
    assert told == pytest.approx(0.5 * np.log(2), abs=0.1)
    assert moves.stays[1] > 0.95
    assert moves.stays[2] < 0.05


def test_a_policy_is_asked_for_places():
    """What the first stick costs a policy is its own likelihood of it.

    A stick that was not recorded costs nobody anything.
    """
    model = policy.build_policy(PAD, policy.preset_arguments("small", ["ball/x"])).eval()
    seat = load_seat(PAD, recorded_pad(), 0, 0)
    (shown,) = with_vocabulary_places(model, [seat])
    answer = answer_seats(model, [shown]).answers[0]
    view = {key: as_tensor(values)[None] for key, values in shown.view.items()}
    values = model.values.of({key: as_tensor(column)[None] for key, column in shown.own.items()})
    with torch.inference_mode():
        seen, _ = model.seq(view, values, torch.arange(seat.frames)[None] == 0)
    assert model.parts[0] == "main"
    np.testing.assert_allclose(
        answer.stick_cost["stick/main"], -seen.log_prob(values)[0, :, 0].numpy(), atol=1e-5
    )
    book = model.head.parts[0]
    nearest = (
        np.abs(book.points.numpy() - values[0, :, list(book.at)].numpy()[:, None])
        .sum(-1)
        .argmin(-1)
    )
    # by another distance, so not always the same
    assert (shown.standing["stick/main"].now == nearest).mean() > 0.8
    (blind,) = with_vocabulary_places(model, [dataclasses.replace(seat, stick={})])
    assert blind.standing == {}
    assert answer_seats(model, [blind]).answers[0].stick_cost == {}


def test_places_have_figures():
    """A policy that puts sticks at places is judged on them beside the counts.

    One without sticks is not.
    """
    for schema, sees, wanted in (
        (PAD, ["ball/x"], ["stick_nll", "stick_nll.stick/main"]),
        (BRAWL.schema, ["player/x"], []),
    ):
        model = policy.build_policy(schema, policy.preset_arguments("small", sees))
        columns = recorded_pad() if schema is PAD else schema.neutral(41)
        seats = with_vocabulary_places(
            model, [load_seat(schema, columns, episode, 0) for episode in range(3)]
        )
        table = ControlLookup(schema, seats)
        others = {
            "copy_last": table.copy_last,
            "never_press": never_press,
            "rate": table.usual,
            "look_up": table.look_up,
        }
        asked = {
            name: Answers(seats, [say(seat) for seat in seats]) for name, say in others.items()
        }
        found = figures({"": answer_seats(model, seats), **asked}, 2)
        assert [name for name in found if name.startswith("stick_nll")] == wanted
        for name in wanted:
            assert list(found[name].baselines) == ["copy_last", "rate", "look_up"]
            assert all(
                np.isfinite(beside.value)
                for beside in (found[name].value, *found[name].baselines.values())
            )
