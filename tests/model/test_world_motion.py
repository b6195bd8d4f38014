"""What bounds the motion of a learned world: ground, spans of options, things in reach, jumps left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import small_worlds
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_worlds import BRAWL

from shadowbox.collect.matches import Pairing, record
from shadowbox.core.dynamics.rules import _Rules, _Step
from shadowbox.data.store import Store
from shadowbox.games.brawl.rules import BODY_H, BODY_W, PLATFORM_W, stage
from shadowbox.games.brawl.schema import STAGES, STATES
from shadowbox.model.world.beside import ENOUGH, pattern_flags, pattern_of
from shadowbox.model.world.ground import _Ground
from shadowbox.model.world.jumps import _Jumps, measure_jumps
from shadowbox.model.world.layout import _Unit
from shadowbox.model.world.mixture import _Mixture
from shadowbox.model.world.spans import _Spans, _Takes, limited, measure_motion, measure_takes
from shadowbox.model.world.vocabulary import ABSOLUTE, RELATIVE, _Vocabulary, measure

SCHEMA, RULES = BRAWL.schema, _Rules(BRAWL.schema, BRAWL.dynamics)
PLACES = ("player/x", "player/y")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows before and after of many short matches."""
    pairings = [Pairing("based", "aggressive", 60), Pairing("weapon_seeker", "aerial", 60)]
    record(BRAWL, pairings, folder := tmp_path_factory.mktemp("motion") / "s", seed=1)
    store = Store(folder)
    columns = [store.episode(number).columns for number in range(len(store))]
    return tuple(
        {key: np.concatenate([each[key][cut] for each in columns]) for key in SCHEMA.columns}
        for cut in (slice(-1), slice(1, None))
    )


@pytest.fixture(scope="module")
def vocabulary(rows):
    """Vocabulary of these rows, with what bounds motion."""
    found = measure(SCHEMA, RULES, [rows])
    measure_motion(SCHEMA, RULES, [rows], found)
    return found


def tensors(columns):
    """Columns as a model reads them."""
    return {
        key: torch.from_numpy(values if values.dtype == bool else values.astype(
            np.float32 if values.dtype.kind == "f" else np.int64
        ))
        for key, values in columns.items()
        if key not in ("match/seed_low", "match/seed_high")
    }  # fmt: skip


def step_of(before, after):
    """Step of tensors with its events."""
    before, after = tensors(before), tensors(after)
    return _Step(before, after, {}, RULES.events_of(before, after), {}, torch)


def test_the_ground_of_a_stage_is_found(rows, vocabulary):
    """Heights of the blocks are exact; ends along them are right to what a fighter has walked on."""
    blocks = stage(STAGES[0])["blocks"].reshape(-1, 4)
    *runs, beside = vocabulary.ground["runs"]
    tops = {round(float(top - BODY_H), 4): (left, right) for left, right, top, _ in blocks}
    assert {round(value, 4) for value, _, _ in runs} == set(tops)
    for value, low, high in runs:
        left, right = tops[round(value, 4)]
        assert left - BODY_W - 0.01 <= low < high <= right + BODY_W + 0.01
    assert -PLATFORM_W - BODY_W - 0.01 <= beside[1] < beside[2] <= PLATFORM_W + BODY_W + 0.01


def test_recorded_ways_to_the_ground_are_allowed(rows, vocabulary):
    """Flags of every row that was measured are among those that its place allows."""
    ground, step = _Ground(SCHEMA, RULES, vocabulary.ground), step_of(*rows)
    pattern = torch.from_numpy(pattern_of(SCHEMA, RULES, rows[1]))
    allowed = ground.allows(step).gather(-1, pattern[..., None])[..., 0]
    state = torch.from_numpy(rows[0]["player/state"].astype(np.int64))
    assert allowed[state != STATES.index("ko")].all()
    put = {key: step.after[key].clone() for key in PLACES}
    ground.put(step)
    for key in PLACES:
        torch.testing.assert_close(step.after[key], put[key], atol=2e-3, rtol=0)


def test_a_fighter_far_from_the_ground_is_not_on_it(rows, vocabulary):
    """High above the ground, and below it, no pattern of flags has a fighter on it."""
    ground = _Ground(SCHEMA, RULES, vocabulary.ground)
    before = {key: values[:4].copy() for key, values in rows[0].items()}
    before["player/grounded"][:], before["player/on_platform"][:] = 0, 0
    before["player/vy"][:] = 0
    before["player/y"][:2], before["player/y"][2:] = -6.0, 6.0
    allowed = ground.allows(step_of(before, before))
    at = pattern_flags(SCHEMA, RULES).index("player/grounded")
    on = (torch.arange(allowed.shape[-1]) >> at & 1).bool()
    assert not allowed[..., on].any()
    assert allowed[..., ~on].all()


@given(st.floats(-13, 13), st.floats(-7, 7), st.sampled_from(["air", "ground", "platform"]))
def test_fighters_on_the_ground_are_put_between_its_ends(vocabulary, rows, x, y, where):
    """Once put on the ground a fighter is at its height, and stays there; one in the air is left."""
    ground = _Ground(SCHEMA, RULES, vocabulary.ground)
    columns = {key: values[:1].copy() for key, values in rows[1].items()}
    columns["player/x"][:], columns["player/y"][:] = x, y
    columns["player/grounded"][:] = where != "air"
    columns["player/on_platform"][:] = where == "platform"
    step = step_of(columns, columns)
    ground.put(step)
    once = {key: step.after[key].clone() for key in PLACES}
    ground.put(step)
    assert all(torch.equal(once[key], step.after[key]) for key in PLACES)
    *runs, beside = vocabulary.ground["runs"]
    x, y = np.float32(x), np.float32(y)
    for slot in range(2):
        there, height = (float(once[key][0, slot]) for key in PLACES)
        if where == "air":
            assert (there, height) == (x, y)
        elif where == "platform":
            way = there - float(columns["platform/x"][0, 0])
            assert beside[1] - 1e-4 <= way <= beside[2] + 1e-4
        else:
            assert any(
                abs(height - value) < 1e-4 and low - 1e-4 <= there <= high + 1e-4
                for value, low, high in runs
            )


def test_recorded_motion_is_within_its_spans(rows, vocabulary):
    """Exact values that rows took are near, other values are within bounds; a leap is neither."""
    before, after = rows
    units = [_Unit(key, slot, 0) for key in PLACES for slot in range(2)]
    mixture = _Mixture(SCHEMA, vocabulary, units, RULES.within)
    spans = _Spans(SCHEMA, RULES, vocabulary.spans, units, mixture.atoms + 1)
    step = step_of(before, after)
    base = small_worlds.bases(SCHEMA, RULES, PLACES, step)
    value = torch.cat([step.after[key] for key in PLACES], -1)
    exact = mixture.exact(base)
    hits = (value[..., None] - exact).abs() <= mixture.near[:, None]
    near = spans.near(None, exact, base, step)[..., :-1]
    free = torch.cat([RULES.free(key, step) for key in PLACES], -1)
    took = free & hits.any(-1)
    assert (hits & near).any(-1)[took].float().mean() > 0.999
    least, most = spans.bounds(base, step)
    inside = (value >= least - 1e-3) & (value <= most + 1e-3)
    assert inside[free & ~hits.any(-1)].all()
    assert ((value + 4 > most) | (most > 1e3)).all()
    quiet = most < 1e3
    assert quiet.float().mean() > 0.9  # but at respawns and knock-outs
    down = units.index(_Unit("player/y", 0, 0))
    falls = (before["player/y"][:, 0] < -3) & (before["player/vy"][:, 0] < 1)
    absolute = [at for at, (kind, _) in enumerate(vocabulary.reals["player/y"]) if kind == ABSOLUTE]
    high = torch.from_numpy(falls) & quiet[:, down]
    assert high.sum() > 10
    assert not near[high][:, down][:, absolute].any()


def test_weapons_are_taken_where_they_are(rows):
    """Recorded pick-ups are allowed; with every item far away a hand keeps what it has, or nothing."""
    before, after = rows
    known = measure_takes(SCHEMA, RULES, before, after, RULES.events_of(before, after))
    if not known:
        pytest.fail("the matches have too few pick-ups to measure")
    units = [_Unit("player/weapon", slot, 0) for slot in range(2)]
    takes = _Takes(SCHEMA, RULES, known, units)
    kinds = SCHEMA.columns["player/weapon"].field.n
    following = torch.arange(kinds).expand(len(before["player/weapon"]), 2, kinds)
    allowed = takes.allows(following, tensors(before))
    chosen = torch.from_numpy(after["player/weapon"].astype(np.int64))
    assert allowed.gather(-1, chosen[..., None]).float().mean() > 0.9999
    far = before | {"item/x": before["item/x"] + 40}
    own = torch.from_numpy(before["player/weapon"].astype(np.int64))[..., None]
    assert torch.equal(takes.allows(following, tensors(far)), (following == own) | (following == 0))


def test_a_timer_of_jumps_begins_beside_a_jump_that_is_left():
    """A value that was never jumped to beside a count is ruled out; one more or less never is."""
    key, left = "player/jump_cooldown", "player/air_jumps"
    many = ENOUGH + 100
    example = {k: np.zeros((2 * many, c.slots), np.int64) for k, c in SCHEMA.columns.items()}
    before, after = (dict(example) for _ in range(2))
    before[left] = np.repeat([[0, 0], [1, 1]], many, 0)
    after[key] = np.where(before[left] > 0, 6, 0)
    tables = measure_jumps(SCHEMA, RULES, [0], before, after)
    units = [_Unit(key, slot, 0) for slot in range(2)]
    options = {key: [[RELATIVE, 0], [ABSOLUTE, 1], [ABSOLUTE, 6]]}
    known = _Vocabulary(together=[0], choices=options, tables=tables)
    jumps = _Jumps(SCHEMA, RULES, known, units)
    following = torch.tensor([0, 1, 6]).expand(2 * many, 2, 3)
    allowed = jumps.allows(following, {k: torch.from_numpy(v) for k, v in before.items()})
    assert allowed[:many].tolist() == [[[True, True, False]] * 2] * many
    assert allowed[many:].all()
    blank = _Jumps(SCHEMA, RULES, replace(known, tables={}), units)
    assert blank.allows(following, {k: torch.from_numpy(v) for k, v in before.items()}).all()


def test_a_choice_always_keeps_an_option():
    """A limit that rules out every option of a choice is left out for that choice alone."""

    class Nothing(torch.nn.Module):
        """Rules out 5, everywhere."""

        def allows(self, following, before):
            """Mask of values."""
            return following != 5

    following = torch.tensor([[[5, -1, 5], [5, 1, -1]]])
    found = limited(torch.nn.ModuleList([Nothing()]), following, {})
    assert found.tolist() == [[[5, -1, 5], [-1, 1, -1]]]


def test_exact_values_alone_bound_nothing():
    """Where recordings have no value beside the exact ones, others are drawn without bounds."""
    units = [_Unit("player/x", slot, 0) for slot in range(2)]
    empty = [[1e6, -1e6]] * 3
    spans = _Spans(SCHEMA, RULES, {"player/x": [[[-1.0, 1.0]] * 3, empty]}, units, 2)
    columns = {key: torch.zeros(1, c.slots) for key, c in SCHEMA.columns.items()}
    events = {name: torch.zeros(1, 2, dtype=torch.bool) for name in RULES.triggers}
    least, most = spans.bounds(torch.zeros(1, 2), _Step(columns, columns, {}, events, {}, torch))
    assert (least < -1e5).all()
    assert (most > 1e5).all()
