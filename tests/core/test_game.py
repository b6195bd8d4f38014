"""Counter-based noise and stable hashes, whose exact values replays depend on."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.game import EVENT, no_events, noise, stable_hash

MANY = np.arange(100_000)


def test_golden_noise() -> None:
    """Noise values never change, since recorded matches are replayed with them."""
    values = noise(np.array([0, 1, -5, 2**62]), 7, 1, 3)
    assert values.tolist() == [
        0.3184912084308358,
        0.5516765747137728,
        0.6694662990689761,
        0.1655613062587612,
    ]
    assert values.dtype == np.float64


def test_golden_hash() -> None:
    """Hash values never change on any machine, since splits and shuffles depend on them."""
    assert stable_hash() == 13020603013274838756
    assert stable_hash("a") == 9243798235275095992
    assert stable_hash(1, "b", b"c") == 10875762948546990163


def test_the_hash_is_the_same_in_another_process() -> None:
    """The hash has no per-process salt."""
    code = "from shadowbox.core.game import stable_hash; print(stable_hash('toy', 3))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(out.stdout) == stable_hash("toy", 3)


def test_parts_of_a_hash_do_not_run_together() -> None:
    """The boundaries between parts are hashed, too."""
    assert (
        len(
            {
                stable_hash("ab"),
                stable_hash("a", "b"),
                stable_hash("", "ab"),
                stable_hash("ab", ""),
                stable_hash("b", "a"),
            }
        )
        == 5
    )


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20),
    st.integers(0, 10**6),
    st.integers(0, 7),
    st.randoms(),
)
@settings(max_examples=100)
def test_noise_knows_neither_batch_nor_order(
    seeds: list[int], frame: int, player: int, random: object
) -> None:
    """A match gets the same number alone, in a batch, and at another place of the batch."""
    array = np.array(seeds, np.int64)
    together = noise(array, frame, player, 2)
    alone = np.array([noise(array[i : i + 1], frame, player, 2)[0] for i in range(len(seeds))])
    np.testing.assert_array_equal(together, alone)
    order = list(range(len(seeds)))
    random.shuffle(order)
    np.testing.assert_array_equal(noise(array[order], frame, player, 2), together[order])
    assert ((together >= 0) & (together < 1)).all()


def test_frames_and_players_may_be_arrays() -> None:
    """Each match may have its own frame and seat."""
    frames, players = np.array([3, 9, 4]), np.array([0, 1, 1])
    together = noise(np.array([5, 6, 7]), frames, players, 0)
    for at, seed in enumerate((5, 6, 7)):
        assert together[at] == noise(np.array([seed]), int(frames[at]), int(players[at]), 0)[0]


@pytest.mark.parametrize(
    "values",
    [
        noise(MANY, 0, 0, 0),
        noise(np.zeros(100_000, int), MANY, 0, 0),
        noise(MANY * 1000, MANY % 60, 1, 5),
    ],
    ids=["seeds", "frames", "both"],
)
def test_noise_is_uniform(values: np.ndarray) -> None:
    """Consecutive counters give uniform numbers, with mean, variance and bins as expected."""
    n = len(values)
    assert abs(values.mean() - 0.5) < 5 * (1 / 12 / n) ** 0.5
    assert abs(values.var() - 1 / 12) < 5 * (1 / 180 / n) ** 0.5
    counts = np.bincount((values * 100).astype(int), minlength=100)
    chi_square = ((counts - n / 100) ** 2 / (n / 100)).sum()
    assert abs(chi_square - 99) < 5 * (2 * 99) ** 0.5


@pytest.mark.parametrize(
    "other",
    [noise(MANY, 5, 1, 1), noise(MANY, 5, 0, 0), noise(MANY, 6, 1, 0), noise(MANY + 1, 5, 1, 0)],
    ids=["draw", "player", "frame", "seed"],
)
def test_different_counters_are_independent(other: np.ndarray) -> None:
    """Another draw, player, frame or seed is uncorrelated with the first."""
    assert abs(np.corrcoef(noise(MANY, 5, 1, 0), other)[0, 1]) < 5 / len(MANY) ** 0.5


def test_frame_player_and_draw_are_no_sum() -> None:
    """Counters with the same sum give different numbers."""
    one = np.array([1])
    values = [
        noise(one, f, p, d)[0]
        for f, p, d in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (1, 1, 0), (0, 1, 1), (1, 0, 1)]
    ]
    assert len(set(values)) == len(values)


def test_no_events_is_an_empty_array_of_events() -> None:
    """The empty array of events can be concatenated with others."""
    assert no_events().shape == (0,)
    assert np.concatenate([no_events(), np.zeros(2, EVENT)]).dtype == EVENT
