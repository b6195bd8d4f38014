"""Splits by hash: episodes keep their side, no episode is on two, and groups stay together."""

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
    """Append episodes to a store, creating it if needed."""
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
    """Every episode is on exactly one side, and "all" is every episode."""
    split = Split()
    parts = [split.episodes(store, side) for side in SIDES]
    assert sorted(np.concatenate(parts).tolist()) == list(range(1000))
    np.testing.assert_array_equal(split.episodes(store, "all"), np.arange(1000))
    for at, part in enumerate(parts):
        assert (split.sides(store)[part] == at).all()


def test_shares_are_about_right(store: Store) -> None:
    """Counts of a thousand episodes are within five standard deviations of their shares."""
    for shares in ((0.8, 0.1, 0.1), (0.5, 0.2, 0.3)):
        counts = np.bincount(Split(*shares).sides(store), minlength=3)
        for count, share in zip(counts, shares, strict=True):
            assert abs(count - 1000 * share) < 5 * (1000 * share * (1 - share)) ** 0.5


def test_a_share_of_nothing_gets_nothing(store: Store) -> None:
    """A share of 1 puts every episode on one side."""
    assert (Split(1, 0, 0).sides(store) == 0).all()
    assert (Split(0, 1, 0).sides(store) == 1).all()
    assert (Split(0, 0, 1).sides(store) == 2).all()


def test_another_seed_is_another_split(store: Store) -> None:
    """A seed gives the same split again, and another seed gives another."""
    np.testing.assert_array_equal(Split(seed=1).sides(store), Split(seed=1).sides(store))
    assert (Split(seed=1).sides(store) != Split(seed=2).sides(store)).any()


def test_nothing_moves_when_data_is_added(tmp_path: Path) -> None:
    """An episode keeps its side in any store, whatever episodes come before or after it."""
    first = append(tmp_path / "a", range(50))
    before = Split().sides(first)
    np.testing.assert_array_equal(
        Split().sides(append(tmp_path / "a", range(100, 150)))[:50], before
    )
    turned = append(tmp_path / "b", [*range(200, 210), *reversed(range(50))])
    np.testing.assert_array_equal(Split().sides(turned)[10:][::-1], before)


def test_more_training_takes_from_the_others_only(store: Store) -> None:
    """A larger training share takes no episode out of training."""
    small, large = Split(0.5, 0.25, 0.25), Split(0.7, 0.2, 0.1)
    assert set(small.episodes(store, "train")) < set(large.episodes(store, "train"))


@pytest.mark.parametrize("key", ["player", "number"])
def test_a_key_keeps_its_episodes_together(store: Store, key: str) -> None:
    """Episodes with the same text or number are on one side; several sides are used."""
    sides = Split(0.5, 0.25, 0.25, key=key).sides(store)
    values: dict[object, set[int]] = {}
    for number in range(len(store)):
        values.setdefault(store.meta_of(number)[key], set()).add(int(sides[number]))
    assert all(len(sides_of_value) == 1 for sides_of_value in values.values())
    assert len(set(sides.tolist())) > 1


@pytest.mark.parametrize(
    ("meta", "got"),
    [
        ({}, "missing"),
        ({"session": ["a", "b"]}, r"\['a', 'b'\]"),
        ({"session": 1.5}, "1.5"),
    ],
)
def test_a_key_without_one_value_is_refused(
    meta: dict[str, object], got: str, tmp_path: Path
) -> None:
    """A key whose value is missing or a list is refused, naming the episode and the value."""
    append(tmp_path / "s", range(2), session="x")
    store = append(tmp_path / "s", range(2, 4), **meta)
    with pytest.raises(UsageError, match=rf"#2: to split by 'session', .*\(got {got}\)"):
        Split(key="session").sides(store)


@pytest.mark.parametrize(
    "shares", [(0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (0.5, 0.2, 0.2), (float("nan"), 0.5, 0.5)]
)
def test_shares_that_are_none_are_refused(shares: tuple[float, float, float]) -> None:
    """Shares must be at least 0 and add up to 1."""
    with pytest.raises(UsageError, match="add up to 1"):
        Split(*shares)


def test_an_unknown_side_is_refused(store: Store) -> None:
    """An unknown side is refused with the known ones."""
    with pytest.raises(UsageError, match="unknown side 'dev': expected train, val, test or all"):
        Split().episodes(store, "dev")


def test_copies_are_on_one_side(tmp_path: Path) -> None:
    """Two episodes with the same content are on the same side."""
    sides = Split(0.5, 0.25, 0.25).sides(append(tmp_path / "s", [*range(30), *range(30)]))
    np.testing.assert_array_equal(sides[:30], sides[30:])


def test_an_empty_store_has_empty_sides(tmp_path: Path) -> None:
    """An empty store has empty sides."""
    assert Split().episodes(append(tmp_path / "s", []), "train").tolist() == []


@pytest.mark.parametrize("value", ["unknown", ""])
def test_unknown_players_are_not_one_person(value: str, tmp_path: Path) -> None:
    """Episodes of unknown players fall on all sides, each by its content; known players stay whole."""
    store = append(tmp_path / "s", range(200), player=lambda s: value if s % 2 else f"p{s % 8}")
    sides = Split(0.5, 0.25, 0.25, key="player").sides(store)
    unknown = [number for number in range(200) if store.meta_of(number)["player"] == value]
    counts = np.bincount(sides[unknown], minlength=3)
    assert counts.min() > 10, counts
    np.testing.assert_array_equal(sides[unknown], Split(0.5, 0.25, 0.25).sides(store)[unknown])
    for player in {f"p{number}" for number in range(0, 8, 2)}:
        own = [n for n in range(200) if store.meta_of(n)["player"] == player]
        assert len(set(sides[own].tolist())) == 1


# ---- people and days -----------------------------------------------------------------------------


def ranked(path: Path, episodes: int = 400, people: int = 40, unknown: int = 0) -> Store:
    """Games of people who all meet each other, each on a day of a month."""
    draws = np.random.default_rng(0)

    def players(seed: int) -> list[str]:
        one, other = draws.choice(people, 2, replace=False).tolist()
        return ["unknown" if seed < unknown else f"p{one}", f"p{other}"]

    return append(
        path, range(episodes), players=players, played_at=lambda seed: f"2024-05-{seed % 28 + 1:02}"
    )


@pytest.mark.parametrize("seat", [0, 1])
def test_nobody_of_the_test_was_trained_on(tmp_path: Path, seat: int) -> None:
    """By player, the judged seat of every test is a person who is in no training episode.

    Nobody of the test is in the validation either, and the episodes between the sides are dropped.
    """
    store = ranked(tmp_path / "s")
    split = Split(0.7, 0.15, 0.15, "player", seat=seat)
    people = {
        side: [store.meta_of(int(e))["players"] for e in split.episodes(store, side)]
        for side in SIDES
    }
    trained = {name for names in people["train"] for name in names}
    tested = {names[seat] for names in people["test"]}
    validated = {names[seat] for names in people["val"]}
    assert min(map(len, people.values())) > 5
    assert not tested & trained
    assert not validated & trained
    assert not tested & {name for names in people["val"] for name in names}
    assert 0 < (split.sides(store) == 3).sum() < 300
    more = ranked(tmp_path / "more", episodes=500)  # whose first 400 are these
    np.testing.assert_array_equal(split.sides(more)[:400], split.sides(store))


def test_unknown_people_are_dropped(tmp_path: Path) -> None:
    """Someone unknown may be anybody: with such a player an episode is on no side."""
    store = ranked(tmp_path / "s", episodes=60, unknown=10)
    assert (Split(key="player").sides(store)[:10] == 3).all()
    bare = append(tmp_path / "bare", range(3))
    with pytest.raises(UsageError, match="must name the players of each seat"):
        Split(key="player").sides(bare)


def test_days_are_held_out(tmp_path: Path) -> None:
    """By day, all episodes of a day are on one side, and those without a date on none."""
    store = ranked(tmp_path / "s")
    sides = Split(0.6, 0.2, 0.2, "day").sides(store)
    days = [store.meta_of(number)["played_at"] for number in range(len(store))]
    assert len(set(zip(days, sides.tolist(), strict=True))) == len(set(days)) == 28
    assert set(sides.tolist()) == {0, 1, 2}
    assert (Split(key="day").sides(append(tmp_path / "bare", range(3))) == 3).all()


def test_a_split_by_player_counts_what_it_drops(tmp_path: Path) -> None:
    """Stores of the sides and the dropped episodes add up to the whole."""
    from shadowbox.data import edit

    store = ranked(tmp_path / "s", episodes=80)
    counts = edit.split(store, tmp_path / "out", Split(0.7, 0.15, 0.15, "player"))
    assert sum(counts.values()) == 80
    assert counts["dropped"] > 0
    assert len(Store(tmp_path / "out" / "test")) == counts["test"]
