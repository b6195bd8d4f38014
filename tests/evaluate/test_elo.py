"""Elo and saving: neither a policy nor a table of results moves by being saved and loaded."""

from __future__ import annotations

import shutil

import numpy as np
import torch

from shadowbox.evaluate.tournament import TournamentSpec, tournament
from shadowbox.games import load
from shadowbox.learners.league import League
from shadowbox.model import checkpoint
from shadowbox.model.checkpoint import CheckpointConfig
from shadowbox.model.policy import build_policy, preset_arguments
from shadowbox.play.restored_policy import restore_policy

GAME = load("brawl")
SHORT = {"time_limit": 240}


def saved(run, policy, arguments):
    """A checkpoint of a policy."""
    about = CheckpointConfig("policy", GAME.schema, "small", arguments)
    checkpoint.save(run, 1, about, policy.state_dict(), {})
    return f"policy:{run}"


def test_elo_does_not_move_by_saving_and_loading(tmp_path):
    """A policy that was saved, loaded and saved again has the Elo of the first, match by match.

    The table is the same when all of its matches come back from the ledger.
    """
    torch.manual_seed(0)
    arguments = preset_arguments("small", GAME.encodings["default"], width=16, head_width=8)
    policy, tables, run = build_policy(GAME.schema, arguments), [], tmp_path / "run" / "0"
    for ledger in (tmp_path / "first.jsonl", tmp_path / "second.jsonl"):
        agents = (saved(run, policy, arguments), "based", "constant")
        plan = TournamentSpec("brawl", agents, 16, gauntlet=True, options=SHORT)
        tables.append(tournament(GAME, plan, ledger))
        assert tournament(GAME, plan, ledger) == tables[-1]
        loaded = checkpoint.load(checkpoint.find_checkpoint(run))
        policy = restore_policy(loaded, GAME.schema, "cpu", GAME.encodings)
        shutil.rmtree(run)
    assert len({row["elo"] for row in tables[0]["ratings"]}) == 3
    assert tables[0] == tables[1]


def test_win_rates_of_a_league_do_not_move_by_saving_and_loading(tmp_path):
    """After a save and a load the learner's win rates against its snapshots are the same numbers."""
    league, model, draws = League(tmp_path, 5), torch.nn.Linear(1, 1), np.random.default_rng(0)
    names = [league.add(model, step) for step in (1, 2, 3)]
    for name, won in zip(draws.choice(names, 90), draws.random(90) < 0.6, strict=True):
        league.count(str(name), bool(won))
    torch.save(league.state(), tmp_path / "state.pt")
    again = League(tmp_path, 5)
    again.load(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again.rates().tolist() == league.rates().tolist()
    assert len(set(again.rates().tolist())) == 3
    for one in (league, again):
        one.count(names[1], False)
    assert again.rates().tolist() == league.rates().tolist()
