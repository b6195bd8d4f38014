"""What a world measures of places: reach of events, patterns of flags, edges, and derived events."""

from __future__ import annotations

import numpy as np
import pytest
import small_worlds
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from small_worlds import BRAWL

from shadowbox.core.dynamics.rules import _Rules
from shadowbox.games.brawl.schema import STATES
from shadowbox.model.world import beside
from shadowbox.model.world.reach import _Reach, measure_reach
from shadowbox.model.world.vocabulary import ends_of_runs
from shadowbox.play import specs

SCHEMA, RULES = BRAWL.schema, _Rules(BRAWL.schema, BRAWL.dynamics)
KO = STATES.index("ko")


def pairs(store, episodes):
    """Rows before and after of episodes."""
    columns = [store.episode(number).columns for number in episodes]
    return [
        ({k: v[:-1] for k, v in each.items()}, {k: v[1:] for k, v in each.items()})
        for each in columns
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Eight short matches."""
    return small_worlds.recorded(tmp_path_factory.mktemp("places") / "s")


def test_recorded_hits_are_inside_of_their_boxes(store):
    """Every hit that was measured is allowed; of choices that are seen often, hardly a row without."""
    found = pairs(store, range(len(store)))
    reach = _Reach(SCHEMA, RULES, "hit", measure_reach(SCHEMA, RULES, "hit", found))
    hits = allowed = rows = 0
    for before, after in found:
        columns = {
            key: torch.from_numpy(values.astype(np.float32 if values.dtype.kind == "f" else int))
            for key, values in before.items()
        }
        hit = torch.from_numpy(after["player/damage"] > before["player/damage"])
        inside = reach.allows(columns)
        assert inside[hit].all()
        walks = columns["player/move"].flip(-1) == 0  # the other one does nothing
        hits, allowed, rows = hits + hit.sum(), allowed + inside[walks].sum(), rows + walks.sum()
    assert hits > 20
    assert rows > 3000
    assert allowed < 0.02 * rows


def test_features_tell_the_ends_of_a_box():
    """Margins are 0 at the ends of a box, positive inside, and the same for both ways of facing."""
    sizes = [SCHEMA.columns[key].field.n for key in BRAWL.dynamics.reach["hit"]]
    box = np.zeros((np.prod(sizes), 2, 2), np.float32)
    box[:, 0], box[:, 1] = (0.0, 0.1), (-0.05, 0.05)
    reach = _Reach(SCHEMA, RULES, "hit", box)
    nothing = {key: torch.zeros(1, 2) for key in BRAWL.dynamics.reach["hit"]}
    for right, x in (
        (1.0, 0.5),
        (0.0, -0.5),
    ):  # the first fighter faces the second one, half a unit away
        columns = nothing | {
            "player/x": torch.tensor([[0.0, x]]),
            "player/y": torch.zeros(1, 2),
            "player/facing_right": torch.tensor([[right, right]]),
        }
        margins = reach.margins(columns)[0, 1]
        torch.testing.assert_close(margins, torch.tensor([[0.05, 0.05], [0.05, 0.05]]))
        assert reach.allows(columns).tolist() == [
            [False, True]
        ]  # the first one is behind the second
        assert reach(columns).shape == (1, reach.width)


@given(arrays.arrays(np.int64, (5, 6, 4), elements=st.integers(0, 60)))
def test_options_that_were_seen_are_never_ruled_out(counts):
    """An option of a cell with rows stays; without enough rows anywhere around, every option does."""
    found = beside._around(counts)
    enough = counts.sum(-1) >= beside.ENOUGH_IN_CELL[0]
    assert (found >= ((counts > 0) & enough[..., None])).all()
    assert (found[enough] == (counts > 0)[enough]).all()
    assert found.any(-1).all()
    assert beside._around(np.minimum(counts, 0)).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 3))
def test_edges_of_the_ground_are_found(seed, gap):
    """The ends of two blocks are found to a hair, whatever a few other rows say."""
    rng = np.random.default_rng(seed)
    blocks = [(-7.0, -gap), (gap, 7.0)]
    values = np.concatenate([rng.uniform(*block, 20_000) for block in blocks])
    strays = np.array([0.0, 9.0])
    found = ends_of_runs(np.concatenate([values, strays]), 0.25)
    np.testing.assert_allclose(found, np.ravel(blocks), atol=0.01)


def test_a_fighter_beyond_the_zone_is_out(store, tmp_path):
    """A knock-out follows from the place, with all that belongs to it, and is no repair."""
    world = specs.world(f"dream:{small_worlds.trained(store, tmp_path / 'run')}", BRAWL, 2)
    world.reset(np.arange(2))
    rows = {k: np.array(v) for k, v in world.reset(np.arange(2)).items()}
    rows["player/x"][0, 0], rows["player/vx"][0, 0] = 13.99, 60.0
    rows["player/weapon"][0, 0] = 1
    world.load(rows | {key: np.zeros((2, 2), bool) for key in SCHEMA.control_keys})
    with torch.no_grad():  # nothing happens, and speeds stay
        world.model.heads.parts["reals"].out.weight.zero_()
        world.model.heads.parts["motion"].out.weight.zero_()
    after, _, _ = world.step({key: np.zeros((2, 2), bool) for key in SCHEMA.control_keys})
    assert after["player/state"][0, 0] == KO
    assert after["player/stocks"][0, 0] == rows["player/stocks"][0, 0] - 1
    for name in ("age", "weapon", "move", "stun", "vx", "vy", "grounded"):
        assert after[f"player/{name}"][0, 0] == 0, name
    assert abs(after["player/x"][0, 0]) > 14
    assert (after["player/state"].ravel()[1:] != KO).all()
    assert not world.projected
