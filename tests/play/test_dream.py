"""Dreams: worlds like any other, whose frames obey the game's rules, with any weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import small_worlds
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from small_worlds import BRAWL, copied, from_anywhere

from shadowbox.core.dynamics.rules import _Step
from shadowbox.core.game import noise
from shadowbox.core.schema import Flag, Group, Schema
from shadowbox.errors import SchemaMismatch, UsageError
from shadowbox.games.brawl.schema import STATES
from shadowbox.model import kinds
from shadowbox.play import specs
from shadowbox.play.agent import Replay
from shadowbox.play.dream.world import DREAMER
from shadowbox.play.match import play
from shadowbox.testing import check_world
from shadowbox.testing.checkpoint_kinds import check_checkpoint_kind
from shadowbox.testing.random_play import random_controls

SCHEMA = BRAWL.schema


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few steps: a world that has learned next to nothing."""
    folder = tmp_path_factory.mktemp("dream")
    return small_worlds.trained(small_worlds.recorded(folder / "s"), folder / "run")


def dream(run, matches, options="@frames=120", game=BRAWL):
    """A dream of the run."""
    return specs.world(f"dream:{run}{options}", game, matches)


def dreamt(world, frames, seed=0):
    """Rows and controls of matches with random keys, [frames, N, slots]."""
    rows = [copied(world.reset(np.arange(world.matches) + seed))]
    keys = []
    for frame in range(frames):
        keys.append(random_controls(SCHEMA, world.matches, frame + 1000 * seed))
        rows.append(copied(world.step(keys[-1])[0]))
    stacked = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    return stacked, {key: np.stack([each[key] for each in keys]) for key in keys[0]}


def test_it_keeps_the_promises_of_a_world(run, tmp_path):
    """Seeds decide everything, neighbors nothing; snapshots are exact; the shipped form is equal."""
    check_world(lambda matches: dream(run, matches, "@frames=70"), BRAWL, frames=30)
    kind = dataclasses.replace(kinds.WORLD, world="", evaluate="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(kinds.KINDS, "world", kind)
        check_checkpoint_kind(kind, run, BRAWL, tmp_path)
    shipped, _ = dreamt(dream(tmp_path / "shipped", 2), 20)
    straight, _ = dreamt(dream(run, 2), 20)
    for key, values in straight.items():
        np.testing.assert_array_equal(values, shipped[key], key)


def test_it_is_unrolled_in_one_way(run):
    """The features of training, computed over a dreamt match at once, draw the same frames."""
    world = dream(run, 3)
    rows, keys = dreamt(world, 30)
    model, compared = world.model, 0
    seen = {
        key: torch.from_numpy(np.moveaxis(values, 0, 1).astype(
            np.int64 if values.dtype.kind == "u" and key in model.keys else values.dtype
        ))
        for key, values in {**{k: v[:-1] for k, v in rows.items()}, **keys}.items()
    }  # fmt: skip
    reset = torch.zeros(3, 30, dtype=torch.bool)
    with torch.no_grad():
        h, _ = model.seq(seen, model.initial(3, reset.device), reset, torch.zeros(3, 30))
        for frame in range(30):
            before, after = (
                model.layout.flat({k: torch.from_numpy(v[at].astype(
                    np.int64 if v.dtype.kind == "u" else v.dtype)) for k, v in rows.items()})
                for at in (frame, frame + 1)
            )  # fmt: skip
            uniform = noise(np.arange(3)[:, None], frame, DREAMER, np.arange(model.heads.draws))
            model.heads.draw(h[:, frame], before, after, torch.from_numpy(uniform).float())
            drawn = model.layout.views(after)
            # a knock-out follows from the motion, once everything is drawn
            alive = rows["player/state"][frame + 1] != STATES.index("ko")
            compared += int(alive.sum())
            for key in ("player/state", "player/move", "player/facing_right", "player/weapon"):
                np.testing.assert_array_equal(
                    drawn[key].numpy()[alive], rows[key][frame + 1][alive], key
                )
            for key in ("player/vx", "player/vy"):
                inside = np.clip(drawn[key].numpy(), -64, 64)
                np.testing.assert_allclose(inside[alive], rows[key][frame + 1][alive], atol=1e-3)
    assert compared >= 20


def test_a_match_is_the_dream(run):
    """A match between two agents who press recorded keys goes as the world went step by step."""
    rows, keys = dreamt(dream(run, 1), 40, seed=5)
    agents = [Replay({key: values[:, 0] for key, values in keys.items()}) for _ in range(2)]
    played = next(play(BRAWL, dream(run, 1), agents, ("a", "b"), np.array([5])))
    for key in SCHEMA.state_keys:
        np.testing.assert_array_equal(
            played.episode.columns[key][:41], rows[key][:, 0], err_msg=key
        )
    assert played.episode.meta["world"].startswith("dream:")


def test_every_field_that_is_drawn_changes_the_state(run):
    """A field that the heads draw and the dream does not apply would stay as it was."""
    world = dream(run, 48)
    heads = world.model.heads
    with torch.no_grad():  # every option is equally likely
        heads.flag_stays.zero_()
        speeds = [unit.key in ("player/vx", "player/vy") for unit in heads.reals]
        for name, part in heads.parts.items():
            bias = part.out.bias.view(len(speeds) if name == "reals" else 1, -1)
            # but for speeds, of which any other puts every fighter out at once
            bias[~torch.tensor(speeds) if name == "reals" else slice(None)] = 0.0
    calm, _ = dreamt(world, 60)
    from_anywhere(world.model)  # then hits are all that happens
    wild, _ = dreamt(world, 40)
    seldom = {"player/shield", "item/lock"}  # change at respawns and drops, which may be missing
    for key in set(world.rules.drawn) - seldom:
        changes = [(rows[key][1:] != rows[key][:-1]).any() for rows in (calm, wild)]
        assert any(changes), f"{key} is never changed"


@given(seed=st.integers(0, 10_000))
@settings(max_examples=3, phases=[Phase.generate])
def test_forbidden_couplings_never_occur(run, seed):
    """With any weights and keys, no dreamt frame contradicts what the game declares."""
    world = dream(run, 16, "@frames=100")
    for part in world.model.heads.parts.values():  # heads without any training
        torch.nn.init.normal_(part.out.weight, std=0.3)
    rows, keys = dreamt(world, 40, seed)
    before, after = ({k: v[cut] for k, v in rows.items()} for cut in (slice(-1), slice(1, None)))
    state, old = after["player/state"], before["player/state"]
    names = SCHEMA.columns["player/state"].field.names
    attack, stun, ko = (names.index(name) for name in ("attack", "stun", "ko"))
    hit = after["player/damage"] > before["player/damage"]
    hit |= after["player/damage"] == 700  # the most that is counted
    lost = after["player/stocks"] < before["player/stocks"]
    assert not (lost & ~((state == ko) & (old != ko))).any()
    assert not ((after["player/damage"] < before["player/damage"]) & (old != ko)).any()
    assert not ((state == stun) & (old != stun) & ~hit).any()
    assert ((state == attack) == (after["player/move"] != 0)).all()
    assert not (after["player/on_platform"] & ~after["player/grounded"]).any()
    assert (after["player/air_jumps"][after["player/grounded"]] == 2).all()
    for name in ("x", "y", "vy", "life", "lock", "weapon"):
        assert (after[f"item/{name}"][~after["item/alive"]] == 0).all()
    beyond = (np.abs(after["player/x"]) > 14) | (np.abs(after["player/y"]) > 8)
    assert not (beyond & (state != ko)).any()
    for key in SCHEMA.state_keys:
        low, high = SCHEMA.columns[key].field.limits
        assert ((after[key] >= low) & (after[key] <= high)).all(), key
    events = world.rules.events_of(before, after)
    tables = world.model.tables()
    copied_after = copied(after)
    world.rules.apply(_Step(before, copied_after, keys, events, tables))
    live = ~before["match/over"][..., 0]
    for key in ("player/held_a", "match/left", "match/frame", "match/over", "player/stocks"):
        np.testing.assert_array_equal(copied_after[key][live], after[key][live], key)


def test_it_goes_on_exactly_from_a_row_if_it_remembers_nothing(run, tmp_path):
    """With a trunk that sees one frame, a loaded row goes on as the match that it is from did."""
    store = specs.Store(run.parent / "s", SCHEMA)
    path = small_worlds.trained(store, tmp_path / "run", {"trunk": "window", "frames": 1}, steps=2)
    rows, keys = dreamt(dream(path, 3), 30)
    other = dream(path, 3)
    other.reset(np.arange(3))
    other.load({key: values[10] for key, values in rows.items()})
    for frame in range(10, 30):
        columns, _, _ = other.step({key: values[frame] for key, values in keys.items()})
        for key in SCHEMA.state_keys:
            np.testing.assert_array_equal(columns[key], rows[key][frame + 1], key)


def test_it_remembers_the_rows_that_are_loaded(run):
    """With the rows before it, a loaded row goes on as the match went; another seed draws otherwise."""
    rows, keys = dreamt(dream(run, 3), 8)
    past = {key: values[:5] for key, values in {**rows, **keys}.items()}
    for seeds, same in ((np.arange(3), True), (np.arange(3) + 9, False)):
        other = dream(run, 3)
        other.reset(seeds)
        other.load(past)
        assert len(other.context()["match/frame"]) == 4
        for frame in range(4, 8):
            columns, _, _ = other.step({key: values[frame] for key, values in keys.items()})
        # a sequence and steps are equal but for the last digits
        assert np.allclose(columns["player/vx"], rows["player/vx"][8], atol=1e-3) == same


def test_the_most_likely_frames_need_no_seed(run):
    """With draw=likely, matches from one row are equal whatever their seeds; drawn ones are not."""
    start = {
        key: values[:1].repeat(4, 0)
        for key, values in copied(dream(run, 4).reset(np.arange(4))).items()
    }
    keys = random_controls(SCHEMA, 1, 0)
    for draw, equal in (("likely", True), ("sample", False)):
        world = dream(run, 4, f"@draw={draw}")
        world.reset(np.arange(4) + 7)
        world.load(start)
        for _ in range(20):
            rows, _, _ = world.step({key: values.repeat(4, 0) for key, values in keys.items()})
        same = all((rows[key] == rows[key][:1]).all() for key in world.rules.drawn)
        assert same == equal, draw
    with pytest.raises(UsageError, match="did you mean 'draw=likely'"):
        dream(run, 1, "@draw=likly")


def test_starts_and_stages(run):
    """Starts inside of matches come with their past; a stage that was never seen is refused."""
    world = dream(run, 5, "@start=any@frames=100")
    world.reset(np.arange(5) + 3)
    one = np.array([True, False, False, False, False])
    lengths = {len(world.context(np.roll(one, at))["match/frame"]) for at in range(5)}
    assert lengths <= {0, 1, 2, 3, 4}
    assert len(lengths) > 1
    begun = dream(run, 5, "@stage=warehouse").reset(np.arange(5))
    assert (begun["match/frame"] == 0).all()
    assert (begun["match/seed_low"][:, 0] == np.arange(5)).all()
    with pytest.raises(UsageError, match="match/stage=mirror"):
        dream(run, 1, "@stage=mirror")
    row = copied(begun)
    row["match/stage"][:] = 1
    with pytest.raises(UsageError, match="never saw match/stage mirror"):
        world.load(row)
    with pytest.raises(UsageError, match="stage has no 'moon'"):
        dream(run, 1, "@stage=moon")


def test_another_schema_or_other_rules_are_refused(run):
    """A world of other fields or rules is refused, and the difference is named."""
    field = Flag("tired")
    groups = (Group("mood", (field,), slots=2, per="player"), *SCHEMA.state)
    other = Schema("brawl", SCHEMA.fps, groups, SCHEMA.controls)
    with pytest.raises(SchemaMismatch, match="mood/tired"):
        dream(run, 1, game=dataclasses.replace(BRAWL, schema=other))
    rules = dataclasses.replace(
        BRAWL.dynamics, rules={**BRAWL.dynamics.rules, "match/left": "carried"}
    )
    with pytest.raises(SchemaMismatch, match="match/left: 'step -1' when trained, 'carried' now"):
        dream(run, 1, game=dataclasses.replace(BRAWL, dynamics=rules))
