"""Samplers never cross an episode, leave an example out, or repeat one within an epoch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import TOY, random_episode
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.schema import Schema
from shadowbox.data.sample import Batch, Sampler, Segments, Windows, _Permutation, align
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError

SHAPES = [Windows, Segments]
FOLDERS = itertools.count()
ROW = TOY.row_dtype.itemsize


def stored(
    folder: Path, decisions: Sequence[int], shard_bytes: int = 1 << 20, schema: Schema = TOY
) -> Store:
    """A new store whose episodes have these numbers of decisions."""
    path = folder / f"store{next(FOLDERS)}"
    with Writer(path, schema, shard_bytes=shard_bytes) as writer:
        for seed, frames in enumerate(decisions):
            writer.add(random_episode(schema, frames, seed))
    return Store(path)


def epoch(sampler: Sampler) -> list[Batch]:
    """Batches of the rest of an epoch."""
    return list(sampler.rest_of_epoch())


def places(batches: Sequence[Batch]) -> list[tuple[int, int]]:
    """Episode and first row of each example, in the order drawn."""
    return [
        (int(e), int(f))
        for batch in batches
        for e, f in zip(batch.episode, batch.first, strict=True)
    ]


def decisions(batches: Sequence[Batch]) -> list[tuple[int, int]]:
    """Episode and row of each decision inside these segments."""
    rows = []
    for batch in batches:
        decided = align(TOY, {}, batch.inside).decided
        for at, position in np.argwhere(decided):
            rows.append((int(batch.episode[at]), int(batch.first[at]) + 1 + int(position)))
    return rows


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Eight episodes of 1 to 20 decisions in several shards."""
    store = stored(
        tmp_path_factory.mktemp("sample"), [9, 1, 20, 4, 13, 2, 7, 16], shard_bytes=ROW * 25
    )
    assert len(store.shards) > 2
    return store


# ---- what a window holds -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("length", [1, 2, 5, 11])
@pytest.mark.parametrize("many_shards", [True, False])
def test_windows_are_what_the_store_holds(
    shape: type[Sampler], length: int, many_shards: bool, tmp_path: Path
) -> None:
    """A window holds the rows of its episode; rows outside are zeros and marked as outside."""
    data = stored(tmp_path, [9, 1, 20, 4, 13, 2, 7, 16], ROW * 25 if many_shards else 1 << 20)
    assert (len(data.shards) > 2) == many_shards
    width = length + sum(shape.extra)
    sampler = shape(data, length, 7, seed=3)
    for _ in range(2):
        for batch in epoch(sampler):
            assert batch.rows.shape == (len(batch), width, ROW)
            assert batch.rows.dtype == np.uint8
            for rows, inside, episode, first in zip(
                batch.rows, batch.inside, batch.episode, batch.first, strict=True
            ):
                whole = np.array(data.rows_of(int(episode)))[:, None].view(np.uint8)
                for place, at in enumerate(range(int(first), int(first) + width)):
                    assert inside[place] == (0 <= at < len(whole))
                    np.testing.assert_array_equal(
                        rows[place], whole[at] if inside[place] else np.zeros(ROW, np.uint8)
                    )


def test_windows_stay_inside_their_episode_and_come_once(store: Store) -> None:
    """An epoch holds every window that fits into an episode, each exactly once."""
    batches = epoch(Windows(store, 6, 4, seed=1))
    expected = [(e, first) for e, rows in enumerate(store.lengths) for first in range(rows - 5)]
    assert sorted(places(batches)) == expected
    assert places(batches) != expected
    assert all(batch.inside.all() for batch in batches)


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    length=st.integers(1, 9),
    batch=st.integers(1, 5),
    ranks=st.integers(1, 4),
    cuts=st.lists(st.integers(0, 6), max_size=3),
    seed=st.integers(0, 9),
    shape=st.sampled_from(SHAPES),
    shard_rows=st.sampled_from([8, 10**4]),
)
@settings(max_examples=60)
def test_each_example_once_however_it_is_cut(
    lengths: list[int],
    length: int,
    batch: int,
    ranks: int,
    cuts: list[int],
    seed: int,
    shape: type[Sampler],
    shard_rows: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Each example comes once an epoch, in the same order, for any ranks and interruptions."""
    data = stored(tmp_path_factory.getbasetemp(), lengths, ROW * shard_rows)

    def make(rank: int, of: int, size: int) -> Sampler:
        return shape(data, length, size, seed=seed, rank=rank, ranks=of)

    alone = make(0, 1, batch * ranks)
    per_rank = [make(rank, ranks, batch) for rank in range(ranks)]
    stops = [*cuts, None]
    for _ in range(2):  # epochs
        whole = epoch(alone)
        parts: list[list[Batch]] = [[] for _ in range(ranks)]
        for stop in stops:
            for rank, sampler in enumerate(per_rank):
                parts[rank] += list(itertools.islice(sampler.rest_of_epoch(), stop))
            if stop is not None:  # a new process goes on
                states = [sampler.state() for sampler in per_rank]
                assert all(state == states[0] for state in states)
                per_rank = [make(rank, ranks, batch) for rank in range(ranks)]
                for sampler in per_rank:
                    sampler.load(states[0])
                if states[0]["epoch"] != alone.epoch - 1:
                    break
        together = [part for step in zip(*parts, strict=True) for part in step]
        assert places(together) == places(whole)
        if shape is Segments:
            expected = [(e, row) for e, frames in enumerate(lengths) for row in range(frames)]
            assert sorted(decisions(whole)) == expected
            # none is empty
            assert all(align(TOY, {}, part.inside).decided.any(axis=1).all() for part in whole)
        else:
            assert sorted(places(whole)) == [
                (e, f) for e, n in enumerate(lengths) for f in range(n + 2 - length)
            ]


def test_an_interrupted_iteration_goes_on_for_ever(store: Store) -> None:
    """Iteration runs through epochs; a state taken anywhere resumes with the very next batch."""
    sampler = Segments(store, 5, 3, seed=4)
    drawn = []
    for batch in itertools.islice(sampler, 40):
        drawn.append((batch, sampler.state()))
    assert drawn[-1][1]["epoch"] >= 1
    for at in (0, 7, len(drawn) // 2, 30):
        fresh = Segments(store, 5, 3, seed=4)
        fresh.load(drawn[at][1])
        for batch, (expected, _) in zip(itertools.islice(fresh, 5), drawn[at + 1 :], strict=False):
            np.testing.assert_array_equal(batch.rows, expected.rows)
            np.testing.assert_array_equal(batch.inside, expected.inside)


# ---- order ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_order_depends_on_seed_and_epoch_alone(shape: type[Sampler], store: Store) -> None:
    """The same seed repeats an order; another seed or epoch gives another."""
    one, two, other = (
        shape(store, 4, 5, seed=1),
        shape(store, 4, 5, seed=1),
        shape(store, 4, 5, seed=2),
    )
    first = places(epoch(one))
    assert places(epoch(two)) == first
    assert places(epoch(other)) != first
    assert places(epoch(one)) != first
    assert one.epoch == 2


@pytest.mark.parametrize("shape", SHAPES)
def test_without_shuffle_examples_come_in_order(shape: type[Sampler], store: Store) -> None:
    """Without shuffling, every epoch draws episode after episode, from the beginning."""
    sampler = shape(store, 4, 5, shuffle=False)
    first = places(epoch(sampler))
    assert first == sorted(first)
    assert first[0] == (0, -1 if shape is Segments else 0)
    assert places(epoch(sampler)) == first


def test_segments_begin_elsewhere_in_another_epoch(store: Store) -> None:
    """Over epochs, all shifts of segments occur, so every frame occurs at every place."""
    sampler = Segments(store, 4, 100, seed=0)
    shifts = {(-1 - first) % 4 for _ in range(40) for _, first in places(epoch(sampler))}
    assert shifts == {0, 1, 2, 3}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ranks", [1, 2])
def test_drop_last_leaves_out_the_smaller_batch(
    shape: type[Sampler], ranks: int, store: Store
) -> None:
    """With drop_last all batches are full; otherwise the last is smaller. `len` counts them."""
    kept = shape(store, 3, 5, seed=1, ranks=ranks)
    dropped = shape(store, 3, 5, seed=1, ranks=ranks, drop_last=True)
    assert kept.examples % (5 * ranks)
    expected = len(kept), len(dropped)
    kept_batches, dropped_batches = epoch(kept), epoch(dropped)
    assert (len(kept_batches), len(dropped_batches)) == expected
    assert expected[0] == expected[1] + 1
    assert {len(batch) for batch in dropped_batches} == {5}
    assert len(kept_batches[-1]) < 5
    assert places(kept_batches)[: 5 * len(dropped_batches)] == places(dropped_batches)


def test_len_counts_whole_batches_too(store: Store) -> None:
    """A batch size that divides the epoch gives no empty batch at its end."""
    sampler = Windows(store, 1, len(store.index), seed=1)
    examples = sampler.examples
    exact = Windows(store, 1, examples, seed=1)
    assert len(exact) == 1
    assert [len(batch) for batch in epoch(exact)] == [examples]


def test_only_the_chosen_episodes_are_drawn(store: Store) -> None:
    """A sampler of one side of a split draws its episodes alone, by the numbers of the store."""
    batches = epoch(Segments(store, 5, 4, episodes=np.array([6, 2]), seed=1))
    assert sorted(decisions(batches)) == [(2, row) for row in range(20)] + [
        (6, row) for row in range(7)
    ]


# ---- going on ------------------------------------------------------------------------------------


def test_going_on_elsewhere_is_refused(store: Store, tmp_path: Path) -> None:
    """A state of another seed, length, shape or selection of episodes is refused by name."""
    sampler = Segments(store, 5, 3, seed=4)
    next(iter(sampler))
    state = sampler.state()
    for other, name in (
        (Segments(store, 5, 3, seed=5), "seed"),
        (Segments(store, 6, 3, seed=4), "length"),
        (Windows(store, 5, 3, seed=4), "shape"),
        (Segments(store, 5, 3, seed=4, episodes=np.arange(7)), "episodes"),
    ):
        with pytest.raises(UsageError, match=name):
            other.load(state)


def test_going_on_in_another_order_is_refused(store: Store) -> None:
    """A state of a shuffled sampler is refused by one without shuffling."""
    sampler = Segments(store, 5, 3, seed=4)
    next(iter(sampler))
    with pytest.raises(UsageError):
        Segments(store, 5, 3, seed=4, shuffle=False).load(sampler.state())


def test_going_on_with_other_episodes_is_refused(tmp_path: Path) -> None:
    """A state with equally many examples of other episodes is refused."""
    data = stored(tmp_path, [8, 8, 8, 8])
    sampler = Windows(data, 3, 2, seed=4, episodes=np.array([0, 1]))
    next(iter(sampler))
    with pytest.raises(UsageError):
        Windows(data, 3, 2, seed=4, episodes=np.array([2, 3])).load(sampler.state())


def test_a_refused_state_changes_nothing(store: Store) -> None:
    """A sampler is unchanged after it refused a state."""
    state = Segments(store, 5, 3, seed=5).state()
    sampler, untouched = Segments(store, 5, 3, seed=4), Segments(store, 5, 3, seed=4)
    with pytest.raises(UsageError):
        sampler.load({**state, "epoch": 3, "position": 6})
    assert places(epoch(sampler)) == places(epoch(untouched))


def test_a_state_is_plain_data(store: Store) -> None:
    """A state survives JSON, as in a checkpoint."""
    import json

    sampler = Windows(store, 5, 3, seed=4)
    next(iter(sampler))
    state = json.loads(json.dumps(sampler.state()))
    fresh = Windows(store, 5, 3, seed=4)
    fresh.load(state)
    assert places(epoch(fresh)) == places(epoch(sampler))


@pytest.mark.parametrize(
    "wrong",
    [{"length": 0}, {"batch": 0}, {"rank": -1}, {"rank": 2, "ranks": 2}, {"ranks": 0}],
    ids=lambda w: "-".join(w),
)
def test_impossible_ways_to_sample_are_refused(wrong: dict[str, int], store: Store) -> None:
    """Impossible lengths, batches and ranks are refused."""
    with pytest.raises(UsageError, match="must be at least 1, and rank must be from 0"):
        Windows(store, **{"length": 4, "batch": 2, **wrong})


@pytest.mark.parametrize("drop_last", [False, True])
def test_sampling_nothing_is_an_error_and_no_endless_loop(drop_last: bool, store: Store) -> None:
    """Windows longer than every episode, or batches larger than the epoch, raise an error."""
    sampler = Windows(store, 5, 10**6, drop_last=True) if drop_last else Windows(store, 500, 3)
    with pytest.raises(UsageError, match="no window of length"):
        next(iter(sampler))


# ---- permutation ---------------------------------------------------------------------------------


@given(st.integers(1, 5000), st.integers(0, 2**64 - 1))
@settings(max_examples=150)
def test_a_permutation_is_a_bijection(n: int, seed: int) -> None:
    """A permutation holds every number once, and positions can be asked for in parts."""
    order = _Permutation(n, seed)
    numbers = order(np.arange(n))
    np.testing.assert_array_equal(np.sort(numbers), np.arange(n))
    np.testing.assert_array_equal(
        np.concatenate([order(np.arange(n // 3)), order(np.arange(n // 3, n))]), numbers
    )


@pytest.mark.parametrize("n", [1000, 1024, 5000])
def test_a_permutation_looks_shuffled(n: int) -> None:
    """Positions and numbers are uncorrelated, neighbors too, and few numbers stay in place."""
    at = np.arange(n)
    correlations, steps, fixed = [], [], []
    for seed in range(20):
        numbers = _Permutation(n, seed)(at)
        correlations.append(np.corrcoef(at, numbers)[0, 1])
        steps.append(np.corrcoef(numbers[1:], numbers[:-1])[0, 1])
        fixed.append((numbers == at).sum())
    assert np.abs(correlations).max() < 5 / n**0.5
    assert np.abs(steps).max() < 5 / n**0.5
    assert np.mean(fixed) < 4
    assert len({tuple(_Permutation(n, seed)(at[:10])) for seed in range(20)}) == 20


def test_every_order_of_a_few_occurs() -> None:
    """Over seeds, each of three examples is first about equally often."""
    first = [int(_Permutation(3, seed)(np.arange(1))[0]) for seed in range(900)]
    assert np.bincount(first, minlength=3).min() > 220
