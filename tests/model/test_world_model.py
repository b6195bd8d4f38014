"""World models: equal features however they are unrolled, and heads that see no target."""

from __future__ import annotations

import math

import pytest
import small_worlds
import torch
from hypothesis import given
from hypothesis import strategies as st

from shadowbox.core.dynamics.rules import _Step
from shadowbox.data.sample import Segments, align
from shadowbox.errors import UsageError
from shadowbox.model.codec import decode
from shadowbox.model.world.mixture import NEVER, choose
from shadowbox.model.world.world import _WorldConfig


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A model with random weights, and a batch of recorded segments for it."""
    store = small_worlds.recorded(tmp_path_factory.mktemp("world") / "s")
    task = small_worlds.SPEC.prepare(small_worlds.inputs(store))
    model = task.model.eval()
    batch = next(iter(Segments(store, 24, 6, seed=2)))
    columns = decode(store.schema, torch.from_numpy(batch.rows))
    aligned = align(store.schema, columns, torch.from_numpy(batch.inside))
    return model, aligned


def frames(model, aligned, following=None):
    """Arguments of the heads' costs."""
    state, after = dict(aligned.state), dict(following or aligned.following)
    events = model.rules.events_of(state, after)
    step = _Step(state, after, dict(aligned.controls), events, {})
    return step, model.layout.flat(state), model.layout.flat(after)


def features(model, aligned):
    """Features of all positions."""
    reset = ~aligned.started
    seen = {**aligned.state, **aligned.controls}
    return model.seq(seen, model.initial(len(reset), reset.device), reset, torch.zeros(reset.shape))


def test_steps_are_the_sequence(built):
    """One frame after another gives the features of the whole segment at once."""
    model, aligned = built
    with torch.no_grad():
        whole, _ = features(model, aligned)
        memory, seen = model.initial(6, torch.device("cpu")), {**aligned.state, **aligned.controls}
        for at in range(whole.shape[1]):
            frame = {key: values[:, at] for key, values in seen.items()}
            h, memory = model.step(frame, memory, ~aligned.started[:, at], torch.zeros(6))
            torch.testing.assert_close(h, whole[:, at], atol=1e-5, rtol=0)


def test_no_head_sees_its_own_target(built):
    """Another target changes the nats of its own unit and of later parts, and no others."""
    model, aligned = built
    inside = aligned.decided
    with torch.no_grad():
        h, _ = features(model, aligned)
        costs = model.heads.costs(h, *frames(model, aligned))
        for part, key in (
            ("flags", "player/facing_right"),
            ("choices", "player/weapon"),
            ("reals", "player/vx"),
            ("motion", "player/x"),
        ):
            changed = dict(aligned.following)
            old = changed[key].clone()
            new = (
                ~old
                if old.dtype == torch.bool
                else (old + 1) % 3
                if part == "choices"
                else old + 0.37
            )
            changed[key] = torch.where(torch.tensor([True, False]), new, old)
            other = model.heads.costs(h, *frames(model, aligned, changed))
            unit = [(u.key, u.slot) for u in getattr(model.heads, part)].index((key, 0))
            for name in model.parts:
                differs = (costs[name].nats != other[name].nats)[inside]
                if name == part:
                    assert differs[:, unit].any()
                    differs[:, unit] = False
                if model.parts.index(name) <= model.parts.index(part):
                    assert not differs.any(), (part, name)


def test_probabilities_of_a_flag_add_up(built):
    """Both values of a flag together have probability one, and neither is always known in advance."""
    model, aligned = built
    with torch.no_grad():
        h, _ = features(model, aligned)
        both = []
        for value in (True, False):
            fixed = dict(aligned.following)
            fixed["player/facing_right"] = torch.full_like(fixed["player/facing_right"], value)
            nats = model.heads.costs(h, *frames(model, aligned, fixed))["flags"].nats
            both.append(torch.exp(-nats[..., :2]))
    torch.testing.assert_close(both[0] + both[1], torch.ones_like(both[0]), atol=1e-4, rtol=0)
    assert ((both[0] > 0.001) & (both[0] < 0.999)).any()


def test_unknown_settings_are_refused():
    """A wrong name of a setting or of heads is answered by the nearest one."""
    with pytest.raises(UsageError, match="did you mean 'head_width'"):
        _WorldConfig.of({"head_widht": 3})
    with pytest.raises(UsageError, match="did you mean 'chain'"):
        _WorldConfig.of({"heads": "chian"})


def test_later_parts_are_given_what_rules_say(built):
    """A draw leaves no value that a rule derives: parts after it are given what training gives them."""
    model, aligned = built
    small_worlds.from_anywhere(model)
    layout, flat = model.layout, model.layout.flat(aligned.state)
    before = type(flat)(*(part.flatten(0, 1) for part in flat))
    after = type(flat)(*(part.clone() for part in before))
    with torch.no_grad():
        h, _ = features(model, aligned)
        random = torch.Generator().manual_seed(3)
        shape = h.flatten(0, 1).shape
        h = 20 * torch.randn(shape, generator=random)  # features of which nothing was learned
        uniform = torch.rand(len(h), model.heads.draws, generator=random)
        bits = model.heads.draw(h, before, after, uniform)
    old, new = layout.views(before), layout.views(after)
    hit, respawn = (bits & 1) != 0, (bits & 4) != 0
    kept = ~hit & ~respawn
    assert all(mask.any() for mask in (kept, hit, new["player/grounded"]))
    assert torch.equal(new["player/damage"][kept], old["player/damage"][kept])
    assert not (new["player/on_platform"] & ~new["player/grounded"]).any()
    assert (new["player/air_jumps"][new["player/grounded"]] == 2).all()


@given(share=st.floats(0.05, 1), number=st.floats(0, 1, width=32) | st.just(1.0))
def test_an_option_that_is_ruled_out_is_never_drawn(share, number):
    """An option is drawn that is possible, whatever the number, and if it was rounded up to 1."""
    logits = torch.tensor([[NEVER, math.log(share), -1.0, NEVER, NEVER]])
    assert int(choose(logits, torch.tensor([number]))) in (1, 2)
