"""Sides are chosen by hash: nothing moves, nothing is in two places, and what belongs together stays together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import random_episode

from shadowbox.core.schema import Flag, Group, Schema
from shadowbox.data.split import SIDES, Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError

TINY = Schema(
    "tiny",
    60,
    (Group("g", tuple(Flag(f"f{i}") for i in range(30))),),
    Group("pad", (Flag("a"),), per="player"),
)


def append(path: Path, seeds: Sequence[int], **meta: object) -> Store:
    """A store with more episodes."""
    with Writer(path, TINY) as writer:
        for seed in seeds:
            writer.add(
                random_episode(
                    TINY,
                    3,
                    seed,
                    **{name: of(seed) if callable(of) else of for name, of in meta.items()},
                )
            )
    return Store(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A thousand small episodes of forty players."""
    return append(
        tmp_path_factory.mktemp("split") / "s",
        range(1000),
        player=lambda seed: f"p{seed % 40}",
        number=lambda s: s % 7,
    )


def test_sides_are_complete_and_disjoint(store: Store) -> None:
    """Every episode is on exactly one side, and "all" is every one."""
    split = Split()
    parts = [split.episodes(store, side) for side in SIDES]
    assert sorted(np.concatenate(parts).tolist()) == list(range(1000))
    np.testing.assert_array_equal(split.episodes(store, "all"), np.arange(1000))
    for at, part in enumerate(parts):
        assert (split.sides(store)[part] == at).all()


def test_shares_are_about_right(store: Store) -> None:
    """A thousand episodes fall within five deviations of their shares."""
    for shares in ((0.8, 0.1, 0.1), (0.5, 0.2, 0.3)):
        counts = np.bincount(Split(*shares).sides(store), minlength=3)
        for count, share in zip(counts, shares, strict=True):
            assert abs(count - 1000 * share) < 5 * (1000 * share * (1 - share)) ** 0.5


def test_a_share_of_nothing_gets_nothing(store: Store) -> None:
    """All may go to one side."""
    assert (Split(1, 0, 0).sides(store) == 0).all()
    assert (Split(0, 1, 0).sides(store) == 1).all()
    assert (Split(0, 0, 1).sides(store) == 2).all()


def test_another_seed_is_another_split(store: Store) -> None:
    """Seeds give different, repeatable splits."""
    np.testing.assert_array_equal(Split(seed=1).sides(store), Split(seed=1).sides(store))
    assert (Split(seed=1).sides(store) != Split(seed=2).sides(store)).any()


def test_nothing_moves_when_data_is_added(tmp_path: Path) -> None:
    """An episode keeps its side when others come before or after it, in whatever store it stands."""
    first = append(tmp_path / "a", range(50))
    before = Split().sides(first)
    np.testing.assert_array_equal(
        Split().sides(append(tmp_path / "a", range(100, 150)))[:50], before
    )
    turned = append(tmp_path / "b", [*range(200, 210), *reversed(range(50))])
    np.testing.assert_array_equal(Split().sides(turned)[10:][::-1], before)


def test_more_training_takes_from_the_others_only(store: Store) -> None:
    """With a larger training share no episode leaves training."""
    small, large = Split(0.5, 0.25, 0.25), Split(0.7, 0.2, 0.1)
    assert set(small.episodes(store, "train")) < set(large.episodes(store, "train"))


@pytest.mark.parametrize("key", ["player", "number"])
def test_a_key_keeps_its_episodes_together(store: Store, key: str) -> None:
    """All episodes with one text or number are on one side, and there is more than one side."""
    sides = Split(0.5, 0.25, 0.25, key=key).sides(store)
    values: dict[object, set[int]] = {}
    for number in range(len(store)):
        values.setdefault(store.meta_of(number)[key], set()).add(int(sides[number]))
    assert all(len(found) == 1 for found in values.values())
    assert len(set(sides.tolist())) > 1


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({}, "is missing"),
        ({"session": ["a", "b"]}, r"is \['a', 'b'\]"),
        ({"session": 1.5}, "is 1.5"),
    ],
)
def test_a_key_without_one_value_is_refused(
    meta: dict[str, object], said: str, tmp_path: Path
) -> None:
    """A missing or list-valued key names the episode, the key and what was found, instead of guessing a group."""
    append(tmp_path / "s", range(2), session="x")
    store = append(tmp_path / "s", range(2, 4), **meta)
    with pytest.raises(UsageError, match=rf"#2: to split by 'session' .*it {said}"):
        Split(key="session").sides(store)


@pytest.mark.parametrize(
    "shares", [(0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (0.5, 0.2, 0.2), (float("nan"), 0.5, 0.5)]
)
def test_shares_that_are_none_are_refused(shares: tuple[float, float, float]) -> None:
    """Shares are at least 0 and add up to 1."""
    with pytest.raises(UsageError, match="add up to 1"):
        Split(*shares)


def test_an_unknown_side_is_refused(store: Store) -> None:
    """The sides that exist are named."""
    with pytest.raises(UsageError, match="no side 'dev': train, val, test or all"):
        Split().episodes(store, "dev")


def test_copies_are_on_one_side(tmp_path: Path) -> None:
    """The same content twice can never be trained on and tested on."""
    sides = Split(0.5, 0.25, 0.25).sides(append(tmp_path / "s", [*range(30), *range(30)]))
    np.testing.assert_array_equal(sides[:30], sides[30:])


def test_an_empty_store_has_empty_sides(tmp_path: Path) -> None:
    """No episodes, no error."""
    assert Split().episodes(append(tmp_path / "s", []), "train").tolist() == []
