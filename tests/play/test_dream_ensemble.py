"""Worlds beside a dream: what they draw, remember, and when they end a match."""

from __future__ import annotations

import numpy as np
import pytest
import small_worlds
import torch
from small_worlds import BRAWL, copied

from shadowbox.errors import UsageError
from shadowbox.play import specs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two worlds of different seeds, hardly trained."""
    folder = tmp_path_factory.mktemp("ensemble")
    store = small_worlds.recorded(folder / "s")
    return [small_worlds.trained(store, folder / str(seed), seed=seed) for seed in (1, 2)]


def hits_everybody(model):
    """Let a world draw hits in every frame, at any distance."""
    small_worlds.from_anywhere(model)
    hits = (model.heads.event_bits & 1).any(-1)
    with torch.no_grad():
        model.heads.parts["events"].out.weight.zero_()
        model.heads.parts["events"].out.bias.copy_(torch.where(hits, 20.0, -20.0))


def dreamt(spec, frames=30, matches=8, beside=None):
    """The world of a spec, and its rows after some frames without keys."""
    world = specs.world(spec, BRAWL, matches)
    if beside is not None:
        beside(world.models[1])
    world.reset(np.arange(matches))
    keys = {key: np.zeros((matches, 2), bool) for key in BRAWL.schema.control_keys}
    rows = [copied(world.step(keys)[0]) for _ in range(frames)]
    return world, rows


def equal(one, other):
    """Whether rows are the same, to the last bit."""
    return all(np.array_equal(a[key], b[key]) for a, b in zip(one, other, strict=True) for key in a)


def test_a_world_beside_changes_nothing_but_what_ends_a_match(runs):
    """Frames are those of the dream alone, and a world beside itself is never apart."""
    _, alone = dreamt(f"dream:{runs[0]}")
    world, rows = dreamt(f"dream:{runs[0]}@beside={runs[1]}", beside=hits_everybody)
    assert equal(alone, rows)
    assert world._advance.frames_apart > 30
    assert not world.truncated.any()
    world, rows = dreamt(f"dream:{runs[0]}@beside={runs[0]}@stop=disagreement")
    assert equal(alone, rows)
    assert world._advance.frames_apart == 0
    assert not world.truncated.any()


def test_a_match_ends_where_worlds_disagree(runs):
    """A match is truncated at the first frame in which another world draws other events."""
    spec = f"dream:{runs[0]}@beside={runs[1]}@stop=disagreement"
    world, rows = dreamt(spec, beside=hits_everybody)
    assert world.truncated.all()
    for frame in rows[1:]:  # the first frame was the last one
        assert np.array_equal(frame["player/age"], rows[0]["player/age"])


def test_a_snapshot_holds_what_every_world_remembers(runs):
    """Restored, a dream goes on as before, and so do the worlds beside it."""
    world, _ = dreamt(f"dream:{runs[0]}@beside={runs[1]}", frames=20)
    keys = {key: np.ones((8, 2), bool) for key in BRAWL.schema.control_keys}
    kept = world.snapshot()
    first = []
    for _ in range(2):
        rows, apart = [], []
        for _ in range(20):
            rows.append(copied(world.step(keys)[0]))
            apart.append(world._advance.apart.copy())
        first.append((rows, apart))
        world.restore(kept)
    assert equal(first[0][0], first[1][0])
    assert np.array_equal(first[0][1], first[1][1])


def test_disagreement_needs_another_world(runs):
    """A dream alone cannot disagree, and says what to name."""
    with pytest.raises(UsageError, match="beside=RUN"):
        specs.world(f"dream:{runs[0]}@stop=disagreement", BRAWL, 2)
