"""Dreams in compiled code: the same frames as in PyTorch, kept on disk, and words where it fails."""

from __future__ import annotations

import numpy as np
import pytest
import small_worlds
from small_worlds import BRAWL, copied

from shadowbox.model.world.projection import _Projection
from shadowbox.model.world.step import _PureStep
from shadowbox.play import specs
from shadowbox.play.dream import compiled, steps
from shadowbox.testing.random_play import random_controls

FRAMES = 25


@pytest.fixture(scope="module")
def run():
    """The world that the game ships, which draws much that is never projected."""
    return "brawl"


def dreamt(world, frames=FRAMES):
    """Rows of matches with random keys, [frames + 1, N, slots]."""
    rows = [copied(world.reset(np.arange(world.matches)))]
    for frame in range(frames):
        rows.append(copied(world.step(random_controls(BRAWL.schema, world.matches, frame))[0]))
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def uncompiled(pure, samples, name):
    """The function that would be compiled, as it is."""
    return lambda given: pure(*given)


@pytest.mark.parametrize("options", ["@start=any", "@draw=likely"])
def test_the_function_of_tensors_is_the_step_of_the_dream(run, options, monkeypatch):
    """What is compiled draws the frames of the dream bit for bit, and snapshots restore exactly."""
    monkeypatch.setattr(steps, "compiled_step", uncompiled)
    plain = specs.world(f"dream:{run}{options}", BRAWL, 19)
    other = specs.world(f"dream:{run}{options}@compile=true", BRAWL, 19)
    assert (plain.compiled, other.compiled) == (False, True)
    expected, found = dreamt(plain), dreamt(other)
    for key, values in expected.items():
        np.testing.assert_array_equal(values, found[key], key)
    assert plain.projected == other.projected
    kept = other.snapshot()
    keys = random_controls(BRAWL.schema, 19, 99)
    once = copied(other.step(keys)[0])
    other.restore(kept)
    for key, values in other.step(keys)[0].items():
        np.testing.assert_array_equal(values, once[key], key)


def test_without_a_compiler_it_says_so_and_dreams_as_before(run, monkeypatch, tmp_path, capsys):
    """A machine without a C++ compiler dreams in PyTorch, with a sentence on standard error."""
    from torch._inductor import cpp_builder, exc

    def missing():
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    world = specs.world(f"dream:{run}@compile=true", BRAWL, 2)
    assert "lacks a C++ compiler" in capsys.readouterr().err
    assert not world.compiled
    expected, found = dreamt(specs.world(f"dream:{run}", BRAWL, 2), 5), dreamt(world, 5)
    for key, values in expected.items():
        np.testing.assert_array_equal(values, found[key], key)


def test_a_compiled_step_that_draws_otherwise_is_noticed(run, monkeypatch):
    """Compiled code is compared with PyTorch before it is kept: each wrong frame counts."""
    samples = []
    monkeypatch.setattr(steps, "compiled_step", lambda pure, given, name: samples.extend(given))
    model = specs.world(f"dream:{run}@compile=true", BRAWL, 64).model
    pure = _PureStep(model, _Projection(model), 64)

    def wrong(given):
        reals, flags, *rest = pure(*given)
        flags[:16, 0] = ~flags[:16, 0]
        return reals, flags, *rest

    assert compiled._differing(pure, lambda given: pure(*given), samples) == 0
    assert compiled._differing(pure, wrong, samples) == 0.25


@pytest.mark.slow
def test_a_compiled_dream_draws_as_the_plain_one(tmp_path, monkeypatch, capsys):
    """One real compilation: flags and choices as in PyTorch, reals within 1e-3, and kept on disk."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = small_worlds.recorded(tmp_path / "s")
    path = small_worlds.trained(store, tmp_path / "run")
    found = dreamt(specs.world(f"dream:{path}@compile=true", BRAWL, 1))
    assert "compiled in" in capsys.readouterr().err
    expected = dreamt(specs.world(f"dream:{path}", BRAWL, 1))
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, atol=1e-3, err_msg=key)
    again = dreamt(specs.world(f"dream:{path}@compile=true", BRAWL, 1))
    assert capsys.readouterr().err == ""
    for key, values in found.items():
        np.testing.assert_array_equal(again[key], values, key)
