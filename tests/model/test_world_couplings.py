"""Heads that are drawn independently, and worlds in which events gate nothing."""

from __future__ import annotations

import numpy as np
import pytest
import small_worlds
import torch
from small_worlds import BRAWL

from shadowbox.core.dynamics.rules import _Step
from shadowbox.data.sample import Segments, align
from shadowbox.model.codec import decode
from shadowbox.model.world.mixture import COMPONENTS
from shadowbox.play import specs
from shadowbox.play.dream.world import _Dream

CHANGES = {  # part -> a column of it, and another value of it
    "together": ("player/move", lambda old: (old + 1) % 2),
    "flags": ("player/facing_right", lambda old: ~old),
    "choices": ("player/weapon", lambda old: (old + 1) % 3),
    "reals": ("player/vx", lambda old: old + 0.37),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of short matches."""
    return small_worlds.recorded(tmp_path_factory.mktemp("couplings") / "s")


def model_of(store, **settings):
    """A model with random weights."""
    return small_worlds.SPEC.prepare(small_worlds.inputs(store, settings)).model.eval()


def seen_by(model, store, part):
    """Parts whose nats change with the next value of a column of `part`, events aside."""
    batch = next(iter(Segments(store, 24, 6, seed=2)))
    aligned = align(
        store.schema,
        decode(store.schema, torch.from_numpy(batch.rows)),
        torch.from_numpy(batch.inside),
    )
    state, key, other = dict(aligned.state), *CHANGES[part]
    found = []
    for following in (
        dict(aligned.following),
        {**aligned.following, key: other(aligned.following[key])},
    ):
        step = _Step(state, following, {}, model.rules.events_of(state, aligned.following), {})
        reset = ~aligned.started
        with torch.no_grad():
            h, _ = model.seq(
                {**state, **aligned.controls},
                model.initial(len(reset), reset.device),
                reset,
                torch.zeros(reset.shape),
            )
            costs = model.heads.costs(h, step, *map(model.layout.flat, (state, following)))
        found.append({name: cost.nats[aligned.decided] for name, cost in costs.items()})
    return {name for name, nats in found[0].items() if not torch.equal(nats, found[1][name])}


@pytest.mark.parametrize("part", CHANGES)
def test_independent_parts_do_not_see_each_other(store, part):
    """Another value of a part changes the likelihood of that part alone; in a chain of later ones, too."""
    assert seen_by(model_of(store, heads="independent", gated=False), store, part) == {part}
    chain = seen_by(model_of(store), store, part)
    assert part in chain
    assert len(chain) > 1


@pytest.mark.parametrize("heads", ["independent", "chain"])
def test_damage_rises_without_a_hit_only_if_ungated(store, heads):
    """Heads that draw damage without an event are obeyed by an ungated world alone."""
    rises = {}
    for gated in (True, False):
        model = model_of(store, heads=heads, gated=gated)
        chosen = model.heads
        damage = [unit.key for unit in chosen.reals].index("player/damage")
        with torch.no_grad():
            for part in chosen.parts.values():
                part.out.weight.zero_()
            chosen.parts["events"].out.bias[chosen.event_number[0]] = 50.0  # no event
            bias = chosen.parts["reals"].out.bias.view(len(chosen.reals), -1)
            bias[damage, -3 * COMPONENTS] = 50.0  # a value of the mixture,
            bias[damage, -2 * COMPONENTS] = 1.0  # that is far above
            for tables in chosen.possible.buffers():
                if tables.dtype == torch.bool:
                    tables.fill_(True)
        world = _Dream(model, BRAWL, 8, "w")
        before = small_worlds.copied(world.reset(np.arange(8)))
        keys = {key: np.zeros((8, 2), bool) for key in BRAWL.schema.control_keys}
        after, _, _ = world.step(keys)
        rises[gated] = after["player/damage"][:, 0] > before["player/damage"][:, 0]
        assert not any("does not rise" in problem for problem in world.projected)
    assert not rises[True].any()
    assert rises[False].all()


def test_rules_without_gates():
    """Columns with a rule for an event are drawn in every frame; all other rules stay."""
    before, after = BRAWL.dynamics.rules, BRAWL.dynamics.without_gates().rules
    changed = {key for key in before if before[key] != after[key]}
    ended = "weapon", "move", "vx", "vy", "x", "y", "grounded"  # by a knock-out
    gated = "state", "damage", "stocks", "stun", "shield"
    assert changed == {f"player/{name}" for name in gated + ended}
    assert not any("else" in text or " at " in text for text in after.values())
    assert {after[key] for key in changed if "within" not in after[key]} == {"drawn"}
    assert BRAWL.dynamics.without_gates().without_gates() == BRAWL.dynamics.without_gates()


def test_trained_worlds_of_each_kind_are_dreams(store, tmp_path):
    """A run with other heads and without gates is loaded and played like any other."""
    settings = {"heads": "independent", "gated": False, "trunk": "ssd"}
    run = small_worlds.trained(store, tmp_path / "run", settings, steps=2)
    world = specs.world(f"dream:{run}@frames=30", BRAWL, 3)
    rows = [small_worlds.copied(world.reset(np.arange(3)))]
    keys = {key: np.ones((3, 2), bool) for key in BRAWL.schema.control_keys}
    rows += [small_worlds.copied(world.step(keys)[0]) for _ in range(20)]
    assert (rows[0]["player/x"] != rows[-1]["player/x"]).any()
    assert world.model.config.heads == "independent"
    assert not world.rules.gates
