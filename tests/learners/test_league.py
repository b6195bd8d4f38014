"""League: who is met, what is kept, and when another champion is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shadowbox.errors import UsageError
from shadowbox.learners.league import GATE_MATCHES, SAMPLERS, League, evicted, sampling_weights
from shadowbox.learners.opponents import slices

RATES = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array)


@given(RATES, st.sampled_from(SAMPLERS))
def test_weights_are_chances(rates, sampler):
    """Every sampler gives chances that sum to one; prioritized ones leave nobody out."""
    chance = sampling_weights(rates, sampler)
    assert chance.shape == rates.shape
    assert chance.sum() == pytest.approx(1)
    assert (chance >= 0).all()
    if sampler.startswith("pfsp"):
        assert (chance > 0).all()


def test_samplers_by_hand():
    """Hard prefers those that win, variance those of equal strength, recent leaves out the newest."""
    rates = np.array([0.1, 0.5, 0.9])
    assert sampling_weights(rates, "pfsp_hard").argmax() == 0
    assert sampling_weights(rates, "pfsp_variance").argmax() == 1
    assert sampling_weights(rates, "latest").tolist() == [0, 0, 1]
    assert (sampling_weights(np.full(8, 0.5), "recent") > 0).tolist() == [True] * 3 + [False] * 5
    with pytest.raises(UsageError, match="pfsp_hard"):
        sampling_weights(rates, "pfsp_hrad")


@given(st.integers(1, 60), st.integers(2, 20))
def test_history_thins_out(count, keep):
    """Eviction keeps as many as asked, and always the oldest and the newest."""
    left = sorted(set(range(count)) - set(evicted(list(range(count)), keep)))
    assert len(left) == min(count, keep)
    assert left[0] == 0
    assert left[-1] == count - 1


def test_snapshots_never_change(tmp_path):
    """A snapshot holds the weights of its moment, in memory and on disk, whatever is learned later."""
    model = torch.nn.Linear(2, 2)
    for league in (League(None, 5), League(tmp_path, 5)):
        name = league.add(model, 1)
        before = {key: values.clone() for key, values in league.weights(name).items()}
        with torch.no_grad():
            model.weight += 1
        assert all(torch.equal(values, before[key]) for key, values in league.weights(name).items())


def test_the_champion_is_beaten_surely_or_stays():
    """A new champion needs enough matches and a lower bound above one half."""
    league, model = League(None, 5), torch.nn.Linear(1, 1)
    first = league.add(model, 1)
    league.add(model, 2)
    for _ in range(GATE_MATCHES - 1):
        league.count(first, True)
    assert league.promote() == ""
    league.count(first, True)
    assert league.promote() == league.champion == "step-00000002"
    for at in range(200):
        league.count(league.champion, at % 2 == 0)
    league.add(model, 3)
    assert league.promote() == ""


def test_a_league_goes_on_where_it_was(tmp_path):
    """Restoring drops later snapshots and brings back results; the manifest agrees."""
    league, model = League(tmp_path, 5), torch.nn.Linear(1, 1)
    league.add(model, 1)
    league.count("step-00000001", True)
    state = league.state()
    league.add(model, 2)
    league.count("step-00000001", False)
    again = League(tmp_path, 5)
    again.load(state)
    assert again.names == ["step-00000001"]
    assert again.rates().tolist() == [2 / 3]
    assert [path.stem for path in (tmp_path / "league").iterdir()] == ["step-00000001"]


def test_files_outlive_the_checkpoint_that_needs_them(tmp_path):
    """The file of a dropped snapshot stays until a later checkpoint is sure to be there."""
    league, model = League(tmp_path, 2), torch.nn.Linear(1, 1)
    for step in (1, 2, 3):
        league.add(model, step)
    kept = league.state()  # of a checkpoint that names the three, or has dropped one of them
    dropped = {f"step-{step:08d}" for step in (1, 2, 3)} - set(league.names)
    league.add(model, 4)
    gone = {f"step-{step:08d}" for step in (1, 2, 3, 4)} - set(league.names) - dropped
    there = {path.stem for path in (tmp_path / "league").iterdir()}
    assert dropped
    assert gone
    assert dropped | gone <= there
    League(tmp_path, 2).load(kept)
    assert {path.stem for path in (tmp_path / "league").iterdir()} == {
        entry["name"] for entry in kept["entries"]
    }
    league.state()
    league.state()
    assert not gone & {path.stem for path in (tmp_path / "league").iterdir()}


def test_exploiters_are_no_champions():
    """Exploiters stand beside the learner's snapshots: never newest, never champion, and counted."""
    league, model = League(None, 3), torch.nn.Linear(1, 1)
    first = league.add(model, 1)
    name = league.add(model, 9, role="main_exploiter")
    league.generations.append({"generation": 0, "name": name, "recovery": [0, 0]})
    assert league.newest == league.champion == first
    assert sampling_weights(league.rates(), "latest").tolist() == [0.0, 1.0]
    for _ in range(GATE_MATCHES):
        league.count(first, True)
        league.count(name, False)
    assert league.promote() == ""
    assert league.generations[0]["recovery"] == [0, GATE_MATCHES]
    again = League(None, 3)
    again.load(league.state())
    assert again.generations == league.generations
    assert again.names == league.names == [name, first]


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 5), min_size=1),
    st.integers(12, 300),
)
def test_slices(weights, matches):
    """Slices cover all matches in order, with at least two for each opponent, near its share."""
    shares = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    found = slices(shares, matches)
    assert [part.first for part in found] == [0, *(part.end for part in found[:-1])]
    assert found[-1].end == matches
    assert all(len(part) >= 2 for part in found)
    if min(shares.values()) * matches >= 2:
        assert all(abs(len(part) - shares[part.name] * matches) <= len(found) for part in found)
