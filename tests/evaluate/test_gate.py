"""The behavior gate: what is counted, what fails, where, and what becomes of it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from judging import BRAWL

from shadowbox.core.metrics import METRIC_BY_NAME
from shadowbox.core.stats import Interval
from shadowbox.evaluate import gate
from shadowbox.evaluate.closed_loop import ClosedLoopCounts
from shadowbox.evaluate.closed_loop import figures as closed_figures
from shadowbox.evaluate.press_counts import (
    count_presses,
    halves,
    ratios,
    state_distance,
    worst_states,
)
from shadowbox.evaluate.recorded import load_seat

STATES = BRAWL.schema.columns["player/state"].field.names
RUN = STATES.index("attack")


def played(seed, share=1.0, hold=5, rate=0.02, frames=1500):
    """A seat with presses of `j` of `hold` frames at a rate, twice as often in an attack (second half)."""
    draws = np.random.default_rng(seed)
    columns = BRAWL.schema.neutral(frames + 1)
    attacking = np.arange(frames + 1) >= frames // 2
    columns["player/state"][attacking] = RUN
    for start in np.flatnonzero(
        draws.random(frames) < rate * share * np.where(attacking[:-1], 2, 1)
    ):
        columns["keys/j"][start : start + hold, 0] = True
    columns["keys/g"][:3, 0] = True
    return load_seat(BRAWL.schema, columns, seed, 0)


def counted(numbers, **changes):
    """Such seats, counted."""
    return count_presses(BRAWL.schema, [played(number, **changes) for number in numbers])


def judged(play, data):
    """The verdict, and the figures, each with baselines that its metric declares."""
    found, by_button = closed_figures(ClosedLoopCounts("by hand", play, data, {"look_up": data}))
    for name, figure in found.items():
        assert set(figure.baselines) <= set(METRIC_BY_NAME[name.partition(".")[0]].baselines), name
    return gate.check_gate(BRAWL.schema, play, data, by_button), found


def test_strain_is_where_the_gate_ends():
    """Equal to the data it is near 0, at the edge of the gate 1, beyond it above 1, never pressing 9."""
    data = counted(range(20, 60))
    close, far, never = (
        gate.gate_distance(counted(range(40), **changes), data)
        for changes in ({}, {"share": 2.5}, {"share": 0})
    )
    assert close < 0.3 < 1 < far < 9
    assert never == 9


def test_counts_by_hand():
    """Frames, frames down and presses begun of a seat, and the same by state, are those of its columns."""
    one = played(0)
    found, j = count_presses(BRAWL.schema, [one]), list(BRAWL.schema.control_keys).index("keys/j")
    down = one.down["keys/j"]
    assert found.frames[0, j] == 1500
    assert found.down[0, j] == down.sum()
    assert found.begun[0, j] == (down & ~one.before["keys/j"]).sum()
    assert found.in_state[0, j, RUN].tolist() == [
        750,
        down[750:].sum(),
        (down & ~one.before["keys/j"])[750:].sum(),
    ]
    assert found.time["player/state"][0, RUN] == 750
    assert found.in_state[0, j].sum(0).tolist() == [1500, down.sum(), found.begun[0, j]]


def test_the_same_behaviour_passes():
    """Other matches of the same player pass, with ratios near 1 and the real floor beside them."""
    verdict, found = judged(counted(range(20)), counted(range(100, 140)))
    assert verdict.passed
    assert verdict.why == []
    (used,) = [control for control in verdict.controls if control.used]
    assert used.button == "keys/j"
    ratio = found["press_ratio.keys/j"]
    assert ratio.value.value == pytest.approx(1, abs=0.15)
    assert ratio.value.low < ratio.value.value < ratio.value.high
    assert ratio.baselines["real"].value == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"share": 0.0}, [r"is down 0\.00 times", r"begins 0\.00 times"]),
        ({"share": 0.5}, [r"is down 0\.[4-7]", r"begins 0\.[4-6]"]),
        ({"hold": 12}, [r"is down 2\."]),  # presses as often, and holds too long
        ({"hold": 2, "share": 2.5}, [r"begins 2\."]),  # down as long, in many short presses
    ],
)
def test_other_behaviour_fails_in_words(change, words):
    """Too few, too many, too long and too short presses fail, each by what is wrong, how much, and where."""
    verdict, _ = judged(counted(range(20), **change), counted(range(100, 140)))
    assert not verdict.passed
    assert len(verdict.why) == len(words)
    for sentence, word in zip(verdict.why, words, strict=True):
        assert re.match(f"keys/j {word}", sentence), sentence
        assert "allowed is" in sentence
        assert "most of it while attack" in sentence


def ratio_of(value, low, high):
    """The gate of a play like the data, whose press ratio of `j` is given."""
    data = counted(range(20))
    _, by_button = closed_figures(ClosedLoopCounts("by hand", data, data, {}))
    by_button["keys/j"] = {
        "press_ratio": Interval(value, low, high),
        "onset_ratio": Interval(1.0, 0.9, 1.1),
    }
    return gate.check_gate(BRAWL.schema, data, data, by_button)


@pytest.mark.parametrize(
    ("ratio", "verdict", "words"),
    [
        ((1.0, 0.81, 1.24), "passed", ""),
        ((0.9, 0.31, 74.0), "not shown", r"its interval 0\.31 \.\. 74\.00 reaches beyond"),
        ((0.81, 0.79, 0.83), "not shown", "more matches or recordings are needed"),
        ((1.0, np.nan, np.nan), "not shown", "without an interval"),
        ((0.74, 0.31, 74.0), "failed", r"is down 0\.74 times"),
    ],
)
def test_a_wide_interval_shows_nothing(ratio, verdict, words):
    """A ratio passes with its whole interval; near the data with a wide one it is not shown."""
    found = ratio_of(*ratio)
    assert (found.verdict, found.passed) == (verdict, verdict == "passed")
    assert found.report().verdict == verdict
    assert bool(re.search(words, " ".join(found.why))), found.why
    assert found.report().to_json()["controls"]["keys/j"]["verdict"] == verdict
    low = found.figures()["press_ratio_min"].value.low
    assert low == ratio[1] or np.isnan([low, ratio[1]]).all()


def test_baselines_that_are_as_near_are_named():
    """A look-up table that presses like the data is named beside a policy that does so less well."""
    data, play = counted(range(40)), counted(range(40, 60), share=0.85)
    _, by_button = closed_figures(ClosedLoopCounts("by hand", play, data, {"look_up": data}))
    silent = counted(range(3), share=0)
    others = {"look_up": data, "never_press": silent, "demonstrator": data}
    found = gate.check_gate(BRAWL.schema, play, data, by_button, others)
    assert found.nearer == {"look_up": 0.0}
    assert 0 < found.distance < 2
    details = found.report().details
    assert details["as_near_without_learning"] == {"look_up": 0.0}


def test_the_floor_of_a_few_presses_is_left_out():
    """One half of the recordings beside the other is no baseline where one press decides it."""
    data = counted([1, 2], rate=0.002)
    found, _ = closed_figures(ClosedLoopCounts("by hand", data, data, {}))
    assert np.isnan(found["hold_ratio.keys/j"].baselines["real"]).all()


def test_a_rare_button_is_listed_and_not_judged():
    """A button with fewer than 50 presses in the data cannot fail; one without any has no ratio."""
    verdict, _ = judged(counted(range(20)), counted(range(100, 140)))
    data = verdict.report().to_json()["controls"]
    assert data["keys/g"] | {"states": 0} == data["keys/g"] | {
        "passed": None,
        "used": False,
        "onsets_in_data": 40,
        "states": 0,
    }
    assert data["keys/w"]["press_ratio"]["value"] is None
    assert set(data) == set(BRAWL.schema.control_keys)
    json.dumps(verdict.report().to_json(), allow_nan=False)


def test_nothing_used_is_not_passed():
    """Where no button is used nothing can be called good."""
    rare = counted([1], rate=0.001)
    verdict, _ = judged(rare, rare)
    assert not verdict.passed
    assert "no button begins 50 presses" in verdict.why[0]


def test_states_are_ordered_by_their_share_of_the_difference():
    """Twice the rate in attacks makes attacks the first state named, with the shares of both sides."""
    play, data = counted(range(20), share=2.0), counted(range(100, 120))
    first = worst_states(play, data, "keys/j", STATES)[0]
    assert first["state"] == "attack"
    assert first["press"] > 1.5 * first["press_data"]
    assert first["onset"] > 1.5 * first["onset_data"]


def test_halves_are_episodes():
    """Both seats of an episode stay on one side, and nothing is lost."""
    seats = [
        load_seat(BRAWL.schema, BRAWL.schema.neutral(10), number, player)
        for number in range(5)
        for player in (0, 1)
    ]
    one, other = halves(count_presses(BRAWL.schema, seats))
    assert one.episodes.tolist() == [0, 2, 4]
    assert other.episodes.tolist() == [1, 3]
    assert one.frames.sum() + other.frames.sum() == count_presses(BRAWL.schema, seats).frames.sum()


def test_seats_of_an_episode_count_together():
    """Only episodes are independent: both players of one make one row, with intervals over episodes."""
    seats = [played(number) for number in range(6)]
    twice = count_presses(BRAWL.schema, [*seats, *seats])
    once = count_presses(BRAWL.schema, seats)
    assert len(twice) == 6
    assert (twice.down == 2 * once.down).all()
    assert ratios(twice, twice, "keys/j") == ratios(once, once, "keys/j")


def test_the_same_episodes_are_compared_in_pairs():
    """One frame ahead both sides share episodes: a copy has a ratio of exactly 1."""
    data = count_presses(
        BRAWL.schema, [played(number, share=1 + number % 3) for number in range(9)]
    )
    alike, apart = (
        ratios(data, data, "keys/j", paired=paired)["press_ratio"] for paired in (True, False)
    )
    assert alike == (1, 1, 1)
    assert apart.high - apart.low > 0.3


def test_distances_of_states():
    """The same time in each state is no distance.

    Only attacking is one, and its interval excludes 0.
    """
    data = counted(range(10))
    assert state_distance(counted(range(10)), data, "player/state").value == 0
    columns = BRAWL.schema.neutral(200)
    columns["player/state"][:] = RUN
    always = count_presses(
        BRAWL.schema, [load_seat(BRAWL.schema, columns, at, 0) for at in range(5)]
    )
    found = state_distance(always, data, "player/state")
    assert found.value == pytest.approx(0.311, abs=0.01)
    assert found.low > 0.2


def test_quotients_of_rates_are_the_ratio():
    """The press ratio is frames down a frame of play over frames down a frame of data."""
    play, data = counted(range(8), share=0.5), counted(range(20, 40))
    j = play.buttons.index("keys/j")
    rate = [side.down[:, j].sum() / side.frames[:, j].sum() for side in (play, data)]
    assert ratios(play, data, "keys/j")["press_ratio"].value == pytest.approx(rate[0] / rate[1])
