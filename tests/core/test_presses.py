"""Events of presses: hand-made sequences with known answers, and telling policies apart."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import TOY, random_columns
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shadowbox.core import presses
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema

STICK = Schema(
    "stick",
    fps=60,
    state=(Group("ball", (Real("x"),)),),
    controls=Group("pad", (Flag("a"), Choice("way", 3), Real("x")), slots=2, per="player"),
)


def down(text: str) -> np.ndarray:
    """Boolean array of a text such as `..##.#`."""
    return np.array([letter == "#" for letter in text])


@pytest.mark.parametrize(
    ("text", "begins", "ends", "lengths"),
    [
        ("..##.#", [2, 5], [4], [2, 1]),
        ("##....", [0], [2], [2]),  # before the first frame nothing is held
        ("######", [0], [], [6]),
        ("......", [], [], []),
        ("#.#.#.", [0, 2, 4], [1, 3, 5], [1, 1, 1]),
    ],
)
def test_events_of_sequences_made_by_hand(
    text: str, begins: list[int], ends: list[int], lengths: list[int]
) -> None:
    """Onsets, releases and holds are those counted by hand."""
    held = down(text)
    assert np.flatnonzero(presses.onsets(held)).tolist() == begins
    assert np.flatnonzero(presses.releases(held)).tolist() == ends
    assert presses.holds(held).tolist() == lengths


@given(arrays.arrays(bool, st.integers(1, 60)))
def test_frames_down_are_the_holds(held: np.ndarray) -> None:
    """Holds are as many as onsets and add up to the frames down."""
    assert len(presses.holds(held)) == presses.onsets(held).sum()
    assert presses.holds(held).sum() == held.sum()


@given(arrays.arrays(bool, (40, 2)))
def test_copying_the_last_frame_begins_no_press(held: np.ndarray) -> None:
    """Copying the recorded frame before proposes no onset, so it has no hit at any tolerance."""
    before = presses.held_before(held)
    for seat in range(2):
        matching = presses.match(
            presses.onsets(held)[:, seat], presses.proposed(before, before)[:, seat], 40
        )
        assert (matching.hits, matching.guesses) == (0, 0)


@pytest.mark.parametrize(
    ("truth", "guess", "tolerance", "hits", "offsets"),
    [
        ("#...#...", "#...#...", 0, 2, [0, 0]),
        ("#...#...", ".#...#..", 0, 0, []),
        ("#...#...", ".#...#..", 1, 2, [1, 1]),
        ("..#.....", "#...#...", 2, 1, [-2]),  # one to one: the second guess stays alone
        ("#.#.....", ".#......", 1, 1, [-1]),  # of two equally near it is the earlier guess
        # the greedy pair (3, 2) would leave (1, 0): both must be found
        (".#.#....", "#.#.....", 1, 2, [-1, -1]),
        ("........", "#.......", 3, 0, []),
        # a run of guesses is right where it is right, not where it begins
        ("....#...", ".#######", 3, 1, [0]),
    ],
)
def test_matching_is_one_to_one(
    truth: str, guess: str, tolerance: int, hits: int, offsets: list[int]
) -> None:
    """Each press is paired at most once, and as many as possible are paired."""
    matching = presses.match(down(truth), down(guess), tolerance)
    assert matching.hits == hits
    assert presses.nearest(down(truth), down(guess), tolerance).tolist() == offsets
    assert (matching.truths, matching.guesses) == (truth.count("#"), guess.count("#"))


@given(arrays.arrays(bool, 14), arrays.arrays(bool, 14), st.integers(1, 4))
def test_matching_pairs_as_many_as_possible(
    truth: np.ndarray, guess: np.ndarray, tolerance: int
) -> None:
    """No other assignment has more pairs (all augmenting paths are tried)."""
    rows, columns = np.flatnonzero(truth), np.flatnonzero(guess)
    partner: dict[int, int] = {}

    def augment(row: int, seen: set[int]) -> bool:
        for column in columns:
            if abs(column - row) <= tolerance and column not in seen:
                seen.add(column)
                if column not in partner or augment(partner[column], seen):
                    partner[column] = row
                    return True
        return False

    best = sum(augment(int(row), set()) for row in rows)
    assert presses.match(truth, guess, tolerance).hits == best
    offsets = presses.nearest(truth, guess, tolerance)
    assert len(offsets) <= best
    assert sorted(offsets, key=abs) == offsets.tolist(), "the nearest come first"
    assert np.count_nonzero(offsets == 0) == np.count_nonzero(truth & guess), (
        "what is right is paired with itself"
    )


def held_at_times(seed: int, frames: int = 60_000) -> np.ndarray:
    """Presses of five frames that begin at random."""
    held = np.zeros(frames, bool)
    for start in np.flatnonzero(np.random.default_rng(seed).random(frames) < 0.01):
        held[start : start + 5] = True
    return held


def test_asked_policies_are_told_apart() -> None:
    """Onset F1 given the truth is 1 for a right policy and near 0 for four wrong ones."""
    truth = held_at_times(0)
    before, begins = presses.held_before(truth), presses.onsets(truth)
    rate = begins.sum() / (~before).sum()
    policies = {
        "right": truth,
        "always": np.ones_like(truth),
        "never": np.zeros_like(truth),
        "random": np.where(before, truth, np.random.default_rng(1).random(len(truth)) < rate),
        "late": np.append(False, begins[:-1]) | before,
    }
    f1 = {
        name: presses.match(begins, presses.proposed(wanted, before)).f1
        for name, wanted in policies.items()
    }
    assert (f1["right"], f1["never"], f1["late"]) == (1, 0, 0)
    assert 0.01 < f1["always"] < 0.03
    assert 0 < f1["random"] < 0.03


def test_playing_policies_are_told_apart() -> None:
    """Frames down, onsets and F1 within two frames distinguish five policies that play."""
    truth = held_at_times(0)
    policies = {
        "right": truth,
        "always": np.ones_like(truth),
        "never": np.zeros_like(truth),
        "random": held_at_times(1),
        "late": np.append(False, truth[:-1]),
    }
    begins, figures = presses.onsets(truth), {}
    for name, held in policies.items():
        own = presses.onsets(held)
        scores = [presses.match(begins, own, tolerance).f1 for tolerance in (0, 2)]
        figures[name] = [
            round(float(x), 1)
            for x in (held.sum() / truth.sum(), own.sum() / begins.sum(), *scores)
        ]
    assert figures.pop("always")[0] > 10
    assert figures == {
        "right": [1, 1, 1, 1],
        "never": [0, 0, 0, 0],
        "random": [1, 1, 0, 0],
        "late": [1, 1, 0, 1],
    }
    assert presses.nearest(begins, presses.onsets(policies["late"]), 2).mean() == 1


def test_choices_are_pressed_away_from_neutral() -> None:
    """A button is a flag, or a choice that is not 0; a real is a stick."""
    columns = {
        "pad/a": np.array([[True, False]]),
        "pad/way": np.array([[0, 2]]),
        "pad/x": np.zeros((1, 2)),
    }
    assert presses.button_keys(STICK) == ("pad/a", "pad/way")
    assert presses.stick_keys(STICK) == ("pad/x",)
    pressed = presses.buttons(STICK, columns)
    assert pressed["pad/a"].tolist() == [[True, False]]
    assert pressed["pad/way"].tolist() == [[False, True]]
    assert set(presses.buttons(TOY, random_columns(TOY, 4, 0))) == set(TOY.control_keys)


def test_stick_changes_count_where_the_stick_moves() -> None:
    """Frames at rest do not count; copying has an error of the whole change."""
    truth = np.array([0.0, 0.0, 1.0, 1.0, -1.0])
    before = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    assert presses.change_error(before, truth, before) == (3.0, 2)
    assert presses.change_error(truth, truth, before) == (0.0, 2)
    assert presses.change_error(np.zeros(5), truth, before) == (2.0, 2)


def test_divergence_of_known_histograms() -> None:
    """Divergence is 0 for proportional counts, 1 for disjoint ones, NaN for empty ones.

    (1, 0) against (1/2, 1/2) gives 0.311 bits.
    """
    assert presses.divergence(np.array([1, 3]), np.array([10, 30])) == 0
    assert presses.divergence(np.array([1, 0]), np.array([0, 7])) == 1
    assert presses.divergence(np.array([1, 0]), np.array([5, 5])) == pytest.approx(
        0.31128, abs=1e-5
    )
    assert np.isnan(presses.divergence(np.array([0, 0]), np.array([5, 5])))
    assert presses.divergence(np.ones((4, 3)), np.ones((4, 3))).tolist() == [0, 0, 0, 0]


@given(arrays.arrays(bool, st.integers(0, 40)))
def test_stretches_are_the_presses(held: np.ndarray) -> None:
    """Stretches are the presses: each from its first frame to its end, in order, separated."""
    covered = np.zeros(len(held), bool)
    for first, last in presses.stretches(held):
        assert 0 <= first < last <= len(held)
        assert not covered[first:last].any()
        covered[first:last] = True
    assert (covered == held).all()
    assert len(presses.stretches(held)) == presses.onsets(held).sum()
