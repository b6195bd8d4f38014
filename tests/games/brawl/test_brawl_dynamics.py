"""Dynamics of brawl: every rule holds in every frame of simulated matches."""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.collect.matches import Pairing, record
from shadowbox.core.dynamics.rules import _Rules, periodic_tables, rule_errors
from shadowbox.data.store import Store
from shadowbox.games import load

BRAWL = load("brawl")
SCHEMA = BRAWL.schema
PAIRINGS = [Pairing("based", "expert", 2), Pairing("random", "aggressive", 2)]


@pytest.mark.parametrize("stage", ["warehouse", "mirror"])
def test_every_rule_is_exact(stage, tmp_path):
    """No field differs from its rule in whole matches with hits, knock-outs, respawns and ends."""
    record(BRAWL, PAIRINGS, tmp_path / "s", seed=3, options={"stage": stage})
    store, rules = Store(tmp_path / "s"), _Rules(BRAWL.schema, BRAWL.dynamics)
    tables = periodic_tables(rules, (episode.columns for episode in store))
    happened = dict.fromkeys(BRAWL.dynamics.events, 0)
    for episode in store:
        before = {key: values[:-1] for key, values in episode.columns.items()}
        after = {key: values[1:] for key, values in episode.columns.items()}
        wrong = rule_errors(rules, before, after, before, tables)
        assert not {key: count for key, count in wrong.items() if count}
        assert not any(wrong.any() for wrong, _ in BRAWL.repairs(episode.columns).values())
        for name, mask in rules.events_of(before, after).items():
            happened[name] += int(mask.sum())
    assert min(happened.values()) > 3, happened


def test_a_wrong_rule_is_noticed(tmp_path):
    """The measure of exactness counts the frames in which a rule is wrong."""
    import dataclasses

    record(BRAWL, PAIRINGS[:1], tmp_path / "s", seed=3, options={"time_limit": 300})
    wrong = {**BRAWL.dynamics.rules, "match/left": "carried"}
    rules = _Rules(BRAWL.schema, dataclasses.replace(BRAWL.dynamics, rules=wrong))
    columns = Store(tmp_path / "s").episode(0).columns
    before = {key: values[:-1] for key, values in columns.items()}
    after = {key: values[1:] for key, values in columns.items()}
    tables = periodic_tables(rules, iter([columns]))
    found = rule_errors(rules, before, after, before, tables)
    assert found["match/left"] == len(before["match/left"])
    assert np.isfinite(tables["platform/x"][0, :4]).all() or found["platform/x"] == 0


def test_no_fighter_walks_on_air():
    """A fighter on the ground beyond its edge is in the air, and falls; one at its end stays."""
    columns = BRAWL.schema.neutral(3)
    columns["player/grounded"][:] = True
    columns["player/state"][:] = SCHEMA.columns["player/state"].field.names.index("walking")
    columns["player/x"][:, 0], columns["player/y"][:] = (7.0, 7.43, 7.9), 0.35
    columns["player/x"][:, 1] = 3.0
    found = BRAWL.repairs(columns)
    assert found["player/grounded"][0].tolist() == [[False, False], [False, False], [True, False]]
    assert found["player/state"][0].sum() == 1
    columns["player/state"][:] = SCHEMA.columns["player/state"].field.names.index("attack")
    assert not BRAWL.repairs(columns)["player/state"][0].any()
