"""Contradictions of Melee rows: none in fights that follow the rules, one for each rule that is broken."""

from __future__ import annotations

import made_matches
import numpy as np
import pytest
import small_melee
from small_melee import MELEE

from shadowbox.evaluate.worlds.branches import totals_of
from shadowbox.evaluate.worlds.events import events_of
from shadowbox.games.melee.couplings import couplings, hits, impossible
from shadowbox.games.melee.names import action


@pytest.fixture(scope="module")
def fights():
    """Columns of a few made-up fights."""
    return [small_melee.fight(seed).columns for seed in range(4)]


def broken(columns, change):
    """Names of the contradictions of changed columns."""
    changed = {key: values.copy() for key, values in columns.items()}
    change(changed)
    return {name for name, mask in couplings(changed).items() if mask.any()}


def test_a_fight_contradicts_nothing(fights):
    """Hits, knock-outs and ways back follow the rules, and every hit is found from the state."""
    for columns in fights:
        assert broken(columns, lambda _: None) == set()
        rises = np.diff(columns["player/percent"], axis=0) > 0
        np.testing.assert_array_equal(hits(columns), rises)
        assert not any(mask.any() for mask in impossible(columns).values())
    assert sum(hits(columns).sum() for columns in fights) > 10
    assert any(
        (np.diff(columns["player/stocks"].astype(int), axis=0) < 0).any() for columns in fights
    )


def test_each_rule_finds_who_breaks_it(fights):
    """Damage that creeps, hits without damage or stun, stocks that come back, leaps, jumps in the air."""
    columns = fights[0]
    row, victim = (int(at[0]) for at in np.nonzero(hits(columns)))
    row += 1
    quiet = int(np.flatnonzero(columns["player/action"][:, victim] == small_melee.WAIT)[3])

    def creep(c):
        c["player/percent"][quiet:, victim] += 3
        c["player/last_hit_by"][quiet:, victim] = 1 - victim  # whatever the row says of it

    def harmless(c):
        c["player/percent"][:] = 0

    def far(c):
        c["player/x"][:, victim] += 100

    def thawed(c):
        c["player/hitlag"][:, 1 - victim] = 0

    def stunned(c):
        c["player/in_hitstun"][quiet, victim] = True

    def gains(c):
        c["player/stocks"][quiet:, victim] += 1

    def loses(c):
        c["player/stocks"][quiet:, victim] -= 1

    def heals(c):
        c["player/percent"][row:, victim] = 0
        c["player/percent"][: row - 1, victim] += 9

    def leaps(c):
        c["player/x"][quiet, victim] += 40

    def floats(c):
        c["player/y"][quiet : quiet + 2, victim] = 90
        c["player/on_ground"][quiet : quiet + 2, victim] = True

    def jumps(c):
        c["player/jumps"][:, victim] = 0
        c["player/action"][quiet, victim] = action("air_jump_forward")

    def gains_jumps(c):
        c["player/on_ground"][quiet - 1 : quiet + 1, victim] = False
        c["player/jumps"][quiet:, victim] += 1

    def dies(c):
        c["player/action"][quiet, victim] = action("dead_down")

    def hurts(c):
        c["player/action"][quiet, victim] = action("damage_air_1")

    def hangs(c):
        c["player/hitlag"][quiet, victim] = 5

    def skips(c):
        c["player/hitstun"][row + 5, victim] = 3

    def lives(c):
        c["player/x"][quiet:, victim] = 300

    for change, name in (
        (creep, "damage_without_hit"),
        (harmless, "hit_without_damage"),
        (harmless, "hurt_without_hit"),
        (far, "damage_without_hit"),
        (thawed, "damage_without_hit"),
        (stunned, "stun_without_hit"),
        (gains, "stock_gained"),
        (loses, "stock_lost_alive"),
        (heals, "healed"),
        (leaps, "leap"),
        (floats, "grounded_in_the_air"),
        (jumps, "jump_without_one_left"),
        (gains_jumps, "jump_gained_in_the_air"),
        (dies, "death_without_stock"),
        (hurts, "hurt_without_hit"),
        (hangs, "hitlag_alone"),
        (skips, "timer_skipped"),
        (lives, "crossing_without_knockout"),
    ):
        assert name in broken(columns, change), change.__name__


def test_knockouts_cross_a_line(fights):
    """Who dies to the side without being beyond it contradicts the blast zone."""
    columns = next(c for c in fights if (np.diff(c["player/stocks"].astype(int), axis=0) < 0).any())

    def inside(c):
        c["player/x"][:] = np.clip(c["player/x"], -200, 200)

    assert "knockout_without_crossing" in broken(columns, inside)


def test_throws_items_and_the_edge_of_the_screen_are_causes():
    """One who is held, is near another's item, or far off the screen is hurt without a freeze."""
    columns = made_matches.SCHEMA.neutral(2)
    columns["player/x"][:] = -100, 100
    columns["player/percent"][1, 0] = 1
    columns["item/owner"][:] = 2
    assert not hits(columns).any()
    for key, value in (("player/offscreen", True), ("player/action", action("thrown_up"))):
        changed = {name: values.copy() for name, values in columns.items()}
        changed[key][:, 0] = value
        assert hits(changed)[0].tolist() == [True, False]
    for owner, expected in ((1, True), (0, False)):
        changed = {name: values.copy() for name, values in columns.items()}
        changed["item/alive"][:, 0], changed["item/x"][:, 0] = True, -110
        changed["item/owner"][:, 0] = owner
        assert hits(changed)[0, 0] == expected


def test_a_hit_that_only_the_row_claims_counts_for_nothing(fights):
    """Neither as an event of an evaluation nor as damage of a counterfactual."""
    columns = {key: values[None].copy() for key, values in fights[1].items()}
    alive = np.ones(columns["player/x"].shape[:2], bool)
    real = events_of(MELEE, columns)
    kind = MELEE.event_kinds.index("hit")
    before = totals_of(MELEE, columns, alive, 0, real)
    quiet = np.flatnonzero(fights[1]["player/action"][:60, 1] == small_melee.WAIT)[-1]
    columns["player/percent"][0, quiet:, 1] += 40
    columns["player/last_hit_by"][0, quiet, 1] = 0
    claimed = MELEE.events({key: values[0] for key, values in columns.items()})
    assert (claimed["kind"] == kind).sum() == (real["kind"] == kind).sum() + 1
    found = events_of(MELEE, columns)
    assert (found["kind"] == kind).sum() == (real["kind"] == kind).sum()
    after = totals_of(MELEE, columns, alive, 0, found)
    np.testing.assert_array_equal(before["dealt"], after["dealt"])


def test_who_is_hurt_alone_deals_nothing():
    """Damage off the screen is taken by the fighter, and dealt by nobody."""
    columns = made_matches.SCHEMA.neutral(200)
    columns["player/percent"][5:, 0], columns["player/offscreen"][:, 0] = 1, True
    columns["player/last_hit_by"][:], columns["player/stocks"][:] = 2, 4
    rows = {key: values[None] for key, values in columns.items()}
    alive = np.ones((1, 200), bool)
    totals = [totals_of(MELEE, rows, alive, seat, events_of(MELEE, rows)) for seat in range(2)]
    assert [float(total["taken"][0, 0]) for total in totals] == [1.0, 0.0]
    assert [float(total["dealt"][0, 0]) for total in totals] == [0.0, 0.0]
