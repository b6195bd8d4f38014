"""Analysis of policies: probes that are fair, and a page and tables of what they find."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from shadowbox.cli import shadowbox
from shadowbox.core.schema import Real
from shadowbox.errors import UsageError
from shadowbox.evaluate.strategy.analysis import _AnalysisConfig, first_named
from shadowbox.evaluate.strategy.play import with_shuffled_latents
from shadowbox.evaluate.strategy.probe import fit_probe, mean_statistics, principal_plane
from shadowbox.games import load
from shadowbox.model import checkpoint
from shadowbox.model.checkpoint import CheckpointConfig
from shadowbox.model.policy import build_policy, preset_arguments

GAME = load("brawl")
SCHEMA = GAME.schema


def save_policy(run, **changes):
    """A checkpoint of an untrained policy."""
    arguments = preset_arguments(
        "small", GAME.encodings["default"], width=16, head_width=8, **changes
    )
    policy = build_policy(SCHEMA, arguments)
    about = CheckpointConfig("policy", SCHEMA, "small", arguments)
    checkpoint.save(run, 1, about, policy.state_dict(), {})
    return policy


def test_a_probe_finds_a_direction_and_nothing_in_noise():
    """Separable names are found on other rows; in noise it is as good as chance."""
    draws = np.random.default_rng(0)
    names = draws.integers(0, 3, 600)
    noise = draws.normal(size=(600, 5))
    told = noise.copy()
    told[:, 2] += 6 * names
    for rows, low, high in ((told, 0.97, 1.0), (noise, 0.2, 0.45)):
        probe = fit_probe(rows[:300], names[:300], 3)
        np.testing.assert_allclose(probe(rows).sum(-1), 1)
        right = (probe(rows[300:]).argmax(-1) == names[300:]).mean()
        assert low <= right <= high


def test_mean_statistics_are_means_of_the_opponent():
    """The last frames count, fewer at the start of a match, and the own player not at all."""
    key, column = next((k, c) for k, c in SCHEMA.columns.items() if k == "player/x")
    assert isinstance(column.field, Real)
    values = np.zeros((1, 5, 2), np.float32)
    values[0, :, 0], values[0, :, 1] = 99.0, [1, 2, 3, 4, 5]
    found = mean_statistics(SCHEMA, {key: values}, 2) / column.field.scale
    np.testing.assert_allclose(found[0, :, 0], [1, 1.5, 2.5, 3.5, 4.5], rtol=1e-5)


def test_the_plane_is_the_widest():
    """Principal axes keep the distances of points that lie in a plane."""
    draws = np.random.default_rng(1)
    flat = draws.normal(size=(20, 2)) * [3.0, 1.0]
    turned = flat @ np.linalg.qr(draws.normal(size=(4, 4)))[0][:2]
    plane = principal_plane(turned)
    for one, two in ((0, 1), (3, 9)):
        assert np.linalg.norm(plane[one] - plane[two]) == pytest.approx(
            np.linalg.norm(flat[one] - flat[two])
        )


def test_a_change_is_noticed_when_the_name_is_said_five_times():
    """Single guesses do not count, nor matches that end too early."""
    guesses = np.zeros((3, 40), int)
    guesses[0, 12], guesses[0, 16:] = 1, 1
    live = np.ones((3, 40), bool)
    live[2, 20:] = False
    found = first_named(guesses, np.array([1, 1, 1]), np.array([10, 10, 10]), live, within=20)
    assert found.tolist() == [6.0, math.inf]


def test_shuffled_latents_are_those_of_another_match():
    """The twin decides with the latents of its neighbor; the policy itself is unchanged."""
    arguments = preset_arguments("small", GAME.encodings["default"], width=16, strategy="gru")
    policy = build_policy(SCHEMA, arguments).eval()
    twin = with_shuffled_latents(policy)
    view = {key: torch.zeros(2, 1, c.slots).to(
                torch.float32 if c.field.kind == "real" else torch.int64
            ) for key, c in SCHEMA.columns.items()}  # fmt: skip
    view["player/x"][0] = 3.0
    reset, memory = torch.ones(2, 1, dtype=torch.bool), policy.initial(2)
    own, other = (each.strategy.seq(view, memory, reset)[0] for each in (policy, twin))
    assert torch.equal(own.flip(0), other)
    assert not torch.equal(own, other)


def test_it_needs_both_seats_and_both_halves():
    """A number of matches that cannot be halved twice is refused."""
    with pytest.raises(UsageError, match="multiple of 4"):
        _AnalysisConfig(matches=6)


def test_the_command_and_its_page(tmp_path, capsys):
    """Bots that move differently are told apart above chance; page, table and JSON agree."""
    save_policy(tmp_path / "run", strategy="gru")
    options = ["--matches", "8", "--frames", "130", "--world", "brawl@time_limit=210"]
    for bot in ("constant", "random", "tapper"):
        options += ["--opponent", bot]
    page = tmp_path / "page.html"
    arguments = ["analyze", str(tmp_path / "run"), *options, "--out", str(page), "--json"]
    shadowbox.main(arguments, standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["opponents"] == ["constant", "random", "tapper"]
    assert set(found["probe"]) == {"latent", "recurrent", "mean_statistics"}
    assert found["probe"]["latent"]["low"] > found["chance"]
    assert set(found["wins"]) == {"true", "shuffled", "difference"}
    assert found["switch"]["noticed"]["value"] > found["switch"]["by_chance"]["value"]
    assert {name for _, _, name in found["points"]} == set(found["opponents"])
    assert set(found["tactics"]) == set(found["opponents"])
    assert found["tactics"]["random"]["armed_hits"].keys() == {"value", "low", "high"}
    missed = found["tactics"]["tapper"]["missed_moves"]
    assert 0 < missed["low"] <= missed["value"] <= missed["high"] <= 1
    text = page.read_text()
    assert f"{missed['value']:.2f}" in text
    assert "whiffs punished" in text
    assert f"{100 * found['probe']['latent']['value']:.1f}%" in text
    assert "tapper" in text


def test_a_policy_without_an_encoder(tmp_path, capsys):
    """Its state is probed; what needs latents is left out."""
    save_policy(tmp_path / "run")
    options = [
        "--matches",
        "4",
        "--frames",
        "120",
        "--world",
        "brawl@time_limit=210",
        "--opponent",
        "constant",
        "--opponent",
        "random",
    ]
    shadowbox.main(["analyze", str(tmp_path / "run"), *options], standalone_mode=False)
    out = capsys.readouterr().out
    assert "recurrent" in out
    assert "latent " not in out.replace("latent gains", "")
    assert "4 matches" not in out
    assert "8 matches, chance 50.0 %" in out
