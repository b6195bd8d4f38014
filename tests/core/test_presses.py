"""Events of presses: sequences made by hand with known answers, and the policies that must be told apart."""

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
    """`..##.#` -> bool."""
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
    """Onsets, releases and holds are those that one counts by eye."""
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
    """Asked at each recorded frame, copy-last proposes no onset, so it hits none at any tolerance."""
    before = presses.held_before(held)
    for seat in range(2):
        found = presses.match(
            presses.onsets(held)[:, seat], presses.proposed(before, before)[:, seat], 40
        )
        assert (found.hits, found.guesses) == (0, 0)


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
    """Each press is paired at most once, and as many are paired as can be."""
    found = presses.match(down(truth), down(guess), tolerance)
    assert found.hits == hits
    assert presses.nearest(down(truth), down(guess), tolerance).tolist() == offsets
    assert (found.truths, found.guesses) == (truth.count("#"), guess.count("#"))


@given(arrays.arrays(bool, 14), arrays.arrays(bool, 14), st.integers(1, 4))
def test_matching_pairs_as_many_as_possible(
    truth: np.ndarray, guess: np.ndarray, tolerance: int
) -> None:
    """No assignment, found by trying all augmenting paths, has more pairs."""
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
    """Given the truth at each frame: right scores 1, never and one frame late 0, always and at random hardly more."""
    truth = held_at_times(0)
    before, begins = presses.held_before(truth), presses.onsets(truth)
    rate = begins.sum() / (~before).sum()
    asked = {
        "right": truth,
        "always": np.ones_like(truth),
        "never": np.zeros_like(truth),
        "random": np.where(before, truth, np.random.default_rng(1).random(len(truth)) < rate),
        "late": np.append(False, begins[:-1]) | before,
    }
    f1 = {
        name: presses.match(begins, presses.proposed(wanted, before)).f1
        for name, wanted in asked.items()
    }
    assert (f1["right"], f1["never"], f1["late"]) == (1, 0, 0)
    assert 0.01 < f1["always"] < 0.03
    assert 0 < f1["random"] < 0.03


def test_playing_policies_are_told_apart() -> None:
    """On their own: frames down, presses begun and F1 within two frames single out each of five policies."""
    truth = held_at_times(0)
    alone = {
        "right": truth,
        "always": np.ones_like(truth),
        "never": np.zeros_like(truth),
        "random": held_at_times(1),
        "late": np.append(False, truth[:-1]),
    }
    begins, figures = presses.onsets(truth), {}
    for name, held in alone.items():
        own = presses.onsets(held)
        found = [presses.match(begins, own, tolerance).f1 for tolerance in (0, 2)]
        figures[name] = [
            round(float(x), 1) for x in (held.sum() / truth.sum(), own.sum() / begins.sum(), *found)
        ]
    assert figures.pop("always")[0] > 10
    assert figures == {
        "right": [1, 1, 1, 1],
        "never": [0, 0, 0, 0],
        "random": [1, 1, 0, 0],
        "late": [1, 1, 0, 1],
    }
    assert presses.nearest(begins, presses.onsets(alone["late"]), 2).mean() == 1


def test_choices_are_pressed_away_from_neutral() -> None:
    """A button is a flag, or a choice that is not 0; a real is a stick."""
    columns = {
        "pad/a": np.array([[True, False]]),
        "pad/way": np.array([[0, 2]]),
        "pad/x": np.zeros((1, 2)),
    }
    assert presses.button_keys(STICK) == ("pad/a", "pad/way")
    assert presses.stick_keys(STICK) == ("pad/x",)
    found = presses.buttons(STICK, columns)
    assert found["pad/a"].tolist() == [[True, False]]
    assert found["pad/way"].tolist() == [[False, True]]
    assert set(presses.buttons(TOY, random_columns(TOY, 4, 0))) == set(TOY.control_keys)


def test_stick_changes_count_where_the_stick_moves() -> None:
    """Copy-last errs by the whole change, the right guess not at all, and frames at rest do not count."""
    truth = np.array([0.0, 0.0, 1.0, 1.0, -1.0])
    before = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    assert presses.change_error(before, truth, before) == (3.0, 2)
    assert presses.change_error(truth, truth, before) == (0.0, 2)
    assert presses.change_error(np.zeros(5), truth, before) == (2.0, 2)


def test_divergence_of_known_histograms() -> None:
    """0 for proportional counts, 1 for disjoint ones, 0.311 bits for (1, 0) against (1/2, 1/2).

    Nothing is no number.
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
    """Each press is one stretch, from its first frame to the one behind its last.

    Together they are all frames down.
    """
    found = np.zeros(len(held), bool)
    for first, last in presses.stretches(held):
        assert 0 <= first < last <= len(held)
        assert not found[first:last].any()
        found[first:last] = True
    assert (found == held).all()
    assert len(presses.stretches(held)) == presses.onsets(held).sum()
