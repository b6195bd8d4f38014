"""Offline figures: known answers, baselines beside each, and intervals that cover the truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from judging import BRAWL, SEES, seat
from judging import store as recorded_store

from shadowbox.core import presses
from shadowbox.core.metrics import METRIC_BY_NAME
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.core.stats import bootstrap_ratio
from shadowbox.data.store import Store
from shadowbox.evaluate.answers import answer_seats
from shadowbox.evaluate.offline import (
    Answers,
    best_threshold,
    figures,
    onset_f1,
    onset_timing,
    reliability_curves,
)
from shadowbox.evaluate.recorded import (
    ControlLookup,
    SeatAnswer,
    load_seat,
    never_press,
    select_controls,
)
from shadowbox.evaluate.recorded import load_seats as seats_of
from shadowbox.model import policy
from shadowbox.play.policy_agent import as_tensor

TEXTS = ("..###....##..", "....#..####..", "##.....###...", ".#.#.#.......")


def saying(chance, seats) -> Answers:
    """Somebody whose chance of pressing `a` is a function of the seat."""
    answers = []
    for one in seats:
        p = np.asarray(chance(one), float)
        cost = -np.log(np.clip(np.where(one.down["a"], p, 1 - p), 1e-6, 1))
        answers.append(
            SeatAnswer({"a": p}, {"a": p > 0.5}, dict(one.stick_before), cost, cost + 0.25)
        )
    return Answers(seats, answers)


def everybody(chance, seats):
    """The one who is judged, and the baselines."""
    table = ControlLookup(BRAWL.schema, seats)
    others = {
        "copy_last": table.copy_last,
        "never_press": never_press,
        "rate": table.usual,
        "look_up": table.look_up,
    }
    return {"": saying(chance, seats)} | {
        name: Answers(seats, [say(s) for s in seats]) for name, say in others.items()
    }


def test_known_answers() -> None:
    """Who is always right scores 1 and costs nothing.

    Who copies has no onsets; each figure has its declared baselines.
    """
    seats = [seat(text, at, stick=np.arange(13)) for at, text in enumerate(TEXTS)]
    found = figures(everybody(lambda one: one.down["a"], seats), 2)
    for name, figure in found.items():
        assert tuple(figure.baselines) == METRIC_BY_NAME[name.partition(".")[0]].baselines, name
    assert (
        found["onset_f1"].value.value
        == found["press_f1.a"].value.value
        == found["press_accuracy"].value.value
        == 1
    )
    assert found["nll"].value.value == pytest.approx(0, abs=1e-5)
    assert found["onset_ece"].value.value == pytest.approx(0, abs=1e-9)
    assert found["copycat_gap"].value.value == pytest.approx(0.25)
    for baseline in ("copy_last", "never_press"):
        assert found["onset_f1"].baselines[baseline].value == 0
        assert found["onset_f1_sampled"].baselines[baseline].value == 0
    copied = sum((one.down["a"] == one.before["a"])[one.down["a"]].sum() for one in seats) / sum(
        o.down["a"].sum() for o in seats
    )
    assert found["press_accuracy"].baselines["copy_last"].value == pytest.approx(copied)
    assert found["press_accuracy"].baselines["never_press"].value == 0
    assert (
        found["stick_change_error"].value.value
        == found["stick_change_error"].baselines["copy_last"].value
        == 1
    )
    assert found["stick_error"].baselines["copy_last"].value == pytest.approx(12 / 13)
    assert found["stick_error"].baselines["never_press"].value == 6


def test_copying_scores_nothing_on_onsets() -> None:
    """A policy that copies the last frame scores 0 on onsets, whatever older metrics say."""
    seats = [seat("....########....######....", at) for at in range(4)]
    found = figures(everybody(lambda one: one.before["a"], seats), 2)
    assert found["onset_f1"].value.value == found["onset_f1_sampled"].value.value == 0
    assert found["press_accuracy"].value.value > 0.8
    assert found["press_f1"].value.value > 0.8


def test_thresholds_come_from_the_other_episodes() -> None:
    """Thresholds that suit only even or odd episodes are scored on the other half."""
    seats = [seat("..#..#..#..#..", at) for at in range(8)]
    high = lambda one: (  # noqa: E731
        np.where(one.down["a"], 0.9, 0.5) if one.episode % 2 else np.where(one.down["a"], 0.4, 0.1)
    )
    found = figures(everybody(high, seats), 0)["onset_f1"].value.value
    assert found < 0.6  # by thresholds of its own each half would score 1
    alike = figures(everybody(lambda one: np.where(one.down["a"], 0.4, 0.1), seats), 0)[
        "onset_f1"
    ].value.value
    assert alike == 1


def test_best_thresholds() -> None:
    """The best F1 decides, of equals the highest.

    Without a press nothing is guessed, and neither is at chance 0.
    """
    chance, truth = np.array([0.1, 0.2, 0.6, 0.7]), np.array([False, False, True, True])
    assert best_threshold(chance, truth) == pytest.approx(0.6)
    assert best_threshold(chance, np.zeros(4, bool)) == np.inf
    assert best_threshold(np.zeros(4), truth) == np.inf


def test_timing_counts_frames_too_late() -> None:
    """Presses proposed one frame early, presses never proposed and proposals in vain are counted apart."""
    seats = [seat("....#.......#.......", at) for at in range(2)]
    early = lambda one: np.where(  # noqa: E731
        np.isin(np.arange(20), [3, 17]), 0.9, np.where(one.down["a"], 0.05, 0.1)
    )
    asked = saying(early, seats)
    counts = onset_timing(asked, 2)
    assert counts[:5].sum() + counts[-2] == 4  # every press of the data is matched or not
    assert set(reliability_curves(asked)) == {"a"}


def test_onset_f1_intervals_cover() -> None:
    """In 500 simulated evaluations of 40 unequal episodes the interval covers the true F1 in 92 to 98 %."""
    draws = np.random.default_rng(0)

    def episodes(n):
        truths = draws.poisson(25, n) + 1
        skill = draws.beta(4, 6, n)
        hits = draws.binomial(truths, skill)
        return 2 * hits, truths + hits + draws.poisson(10 * (1 - skill))

    top, bottom = episodes(2_000_000)
    truth = top.sum() / bottom.sum()
    held = []
    for trial in range(500):
        found = bootstrap_ratio(*episodes(40), tries=1000, seed=trial)
        held.append(found.low <= truth <= found.high)
    assert 0.92 <= np.mean(held) <= 0.98


PAD = Schema(
    "pad",
    fps=30,
    state=(Group("ball", (Real("x", low=-9, high=9),), slots=2, per="player"),),
    controls=Group(
        "stick",
        (
            Flag("a"),
            Choice("way", 4),
            Real("main_x", low=-1, high=1),
            Real("main_y", low=-1, high=1),
        ),
        slots=2,
        per="player",
    ),
)


def recorded_pad(frames: int = 40, seed: int = 0):
    """A random recording of a game with a button, a choice and a stick."""
    draws = np.random.default_rng(seed)
    return {
        "ball/x": draws.normal(0, 1, (frames + 1, 2)).astype(np.float32),
        "stick/a": draws.random((frames + 1, 2)) < 0.3,
        "stick/way": draws.integers(0, 4, (frames + 1, 2)).astype(np.uint8),
        "stick/main_x": draws.uniform(-1, 1, (frames + 1, 2)).astype(np.float32),
        "stick/main_y": draws.uniform(-1, 1, (frames + 1, 2)).astype(np.float32),
    }


@pytest.mark.parametrize("head", ["chain", "independent"])
def test_no_chance_knows_what_was_pressed_in_its_frame(head: str) -> None:
    """Other controls at a frame change no probability at that frame or before it."""
    model = policy.build_policy(PAD, policy.preset_arguments("small", ["ball/x"], head=head))
    columns = recorded_pad()
    other = {key: values.copy() for key, values in columns.items()}
    other["stick/a"][20] ^= True
    other["stick/way"][20] = (other["stick/way"][20] + 1) % 4
    other["stick/main_x"][20] *= -1
    one, two = (
        answer_seats(model, [load_seat(PAD, each, 0, 0)]).answers[0] for each in (columns, other)
    )
    for name in ("stick/a", "stick/way"):
        np.testing.assert_array_equal(one.chance[name][:21], two.chance[name][:21])
        assert not np.array_equal(one.chance[name][21:], two.chance[name][21:])
    np.testing.assert_array_equal(
        one.position["stick/main_x"][:21], two.position["stick/main_x"][:21]
    )


def test_chances_are_those_of_the_draws() -> None:
    """Over many frames buttons are sampled at the rate of their probabilities."""
    model = policy.build_policy(PAD, policy.preset_arguments("small", ["ball/x"]))
    answer = answer_seats(model, [load_seat(PAD, recorded_pad(6000), 0, 0)]).answers[0]
    for name, chance in answer.chance.items():
        assert answer.drawn[name].mean() == pytest.approx(chance.mean(), abs=0.03), name


def test_asking_many_is_asking_one() -> None:
    """Seats of different lengths, asked together, answer as each alone."""
    model = policy.build_policy(PAD, policy.preset_arguments("tiny", ["ball/x"]))
    seats = [
        load_seat(PAD, recorded_pad(frames, frames), frames, player)
        for frames in (30, 300)
        for player in (0, 1)
    ]
    together = answer_seats(model, seats).answers
    for one, answer in zip(seats, together, strict=True):
        alone = answer_seats(model, [one]).answers[0]
        assert len(answer.cost) == one.frames
        np.testing.assert_allclose(alone.cost, answer.cost, atol=1e-4)
        np.testing.assert_allclose(alone.blank, answer.blank, atol=1e-4)


def test_halves_do_not_hang_on_the_numbers_of_episodes() -> None:
    """Held-out episodes with even numbers are halved, too, and a perfect policy stays perfect."""
    for numbers in ((0, 1, 2, 3), (0, 2, 4, 6), (5, 5, 9, 9)):
        seats = [seat(text, number) for text, number in zip(TEXTS, numbers, strict=True)]
        right = Answers(
            seats,
            [
                SeatAnswer({"a": s.down["a"] * 0.3}, {"a": s.down["a"]}, {}, np.zeros(s.frames))
                for s in seats
            ],
        )
        assert onset_f1(right, ["a"], 0).value == 1
        assert onset_timing(right, 1).tolist()[:3] == [
            0,
            sum(int(presses.onsets(s.down["a"]).sum()) for s in seats),
            0,
        ]


def test_hiding_the_history_hides_it() -> None:
    """With its history hidden a policy predicts the same whatever its last controls were."""
    model = policy.build_policy(BRAWL.schema, policy.preset_arguments("policy-mlp", SEES)).eval()
    view = {key: as_tensor(values)[None] for key, values in BRAWL.schema.neutral(3).items()}
    held = {**view, "keys/j": torch.tensor([[[True, False]] * 3])}
    own, reset = torch.zeros(1, 3, 10), torch.zeros(1, 3, dtype=torch.bool)
    with torch.inference_mode():
        hidden = [model.seq(v, own, reset, hide=True)[0].output for v in (view, held)]
        shown = [model.seq(v, own, reset)[0].output for v in (view, held)]
    assert torch.equal(*hidden)
    assert not torch.equal(*shown)


def test_a_policy_is_asked_as_it_plays(tmp_path) -> None:
    """By a threshold it presses exactly above that probability; sampled it presses by chance."""
    shown = Store(recorded_store(tmp_path / "s", 4))
    seats = list(seats_of(shown, range(4)))
    model = policy.build_policy(BRAWL.schema, policy.preset_arguments("policy-mlp", SEES)).eval()
    drawn, pressed, never = (
        answer_seats(model, seats, threshold=limit) for limit in (None, 0.5, 1.1)
    )
    for by_chance, by_limit, none in zip(
        drawn.answers, pressed.answers, never.answers, strict=True
    ):
        for name, chance in by_limit.chance.items():
            assert (by_limit.drawn[name] == (chance >= 0.5)).all()
            assert not none.drawn[name].any()
        assert any(
            (by_chance.drawn[name] != by_limit.drawn[name]).any() for name in by_chance.drawn
        )


def test_chances_are_those_that_it_plays_with(tmp_path) -> None:
    """A low temperature moves probabilities away from a half, a high one toward it."""
    shown = Store(recorded_store(tmp_path / "s", 4))
    seats = list(seats_of(shown, range(4)))
    model = policy.build_policy(BRAWL.schema, policy.preset_arguments("policy-mlp", SEES)).eval()
    sure = {}
    for heat in (0.25, 1.0, 4.0):
        answers = answer_seats(model, seats, temperature=[heat] * len(model.head.parts)).answers
        chance = np.concatenate([a.chance["keys/j"] for a in answers])
        drawn = np.concatenate([a.drawn["keys/j"] for a in answers])
        sure[heat] = np.abs(chance - 0.5).mean()
        assert abs(drawn.mean() - chance.mean()) < 4 * 0.5 / np.sqrt(len(chance))
    assert sure[0.25] > sure[1.0] > sure[4.0]


def test_a_policy_is_asked_what_it_answers_for() -> None:
    """Where a policy answers for two buttons together they are one button, down when either is.

    Others are left out.
    """
    one, other = seat(".##...#."), seat("...##...")
    both = dataclasses.replace(
        one, down={**one.down, "b": other.down["a"], "c": other.down["a"]}, before={}, stick={}
    )
    found = select_controls(both, [("a", "b")])
    assert "".join(".#"[down] for down in found.down["a"].astype(int)) == ".####.#."
    assert found.down.keys() == found.before.keys() == {"a"}
    assert found.before["a"].tolist() == [False, *found.down["a"][:-1].tolist()]


def test_intervals_over_people() -> None:
    """Where players are held out, an interval resamples players: it is wider than one over their games."""
    draws = np.random.default_rng(0)
    skill = draws.uniform(0.05, 0.95, 8)  # of each player, whose games are all alike
    alone, people = [], []
    for game in range(160):
        seated = seat(TEXTS[game % 4], episode=game)
        alone.append(seated)
        people.append(dataclasses.replace(seated, person=f"player-{game % 8}"))

    def said(one):
        sure = skill[one.episode % 8]
        return np.where(one.down["a"], sure, 1 - sure)

    games, persons = (figures(everybody(said, some), 2)["nll"].value for some in (alone, people))
    assert games.value == pytest.approx(persons.value)
    assert persons.high - persons.low > 2 * (games.high - games.low)
