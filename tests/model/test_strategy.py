"""Encoders of an opponent's history: what they read, how far back, and that play equals training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.model.design import TrunkConfig
from shadowbox.model.policy import build_policy, preset_arguments
from shadowbox.model.strategy.encoder import ENCODERS, StrategyEncoder, auxiliary_weights
from shadowbox.model.strategy.read_out import read_out
from shadowbox.model.trunks.registry import build_trunk

SCHEMA = load("brawl").schema
KEYS = load("brawl").encodings["default"]


def views(batch, steps, seed=0):
    """Random views [B, T, slots] of brawl."""
    draws = np.random.default_rng(seed)
    found = {}
    for key in (*KEYS, *SCHEMA.control_keys):
        column = SCHEMA.columns[key]
        shape = (batch, steps, column.slots)
        if column.field.kind == "real":
            found[key] = torch.from_numpy(draws.normal(size=shape).astype(np.float32))
        elif column.field.kind == "flag":
            found[key] = torch.from_numpy(draws.random(shape) < 0.5)
        else:
            found[key] = torch.from_numpy(draws.integers(0, column.field.n, shape))
    return found


def test_the_window_encoder_is_that_of_older_systems():
    """For 32 numbers a frame it has their 4,912,641 parameters."""
    trunk = build_trunk(ENCODERS["window"], 32, 0)
    assert sum(each.numel() for each in trunk.parameters()) == 4_912_641


@pytest.mark.parametrize("name", ["banded", "gru"])
def test_steps_equal_a_sequence(name):
    """Frame by frame, latents are those of the whole sequence, across the start of a match."""
    encoder = StrategyEncoder(SCHEMA, KEYS, name).eval()
    seen, reset = views(2, 80), torch.zeros(2, 80, dtype=torch.bool)
    reset[0, 30] = True
    with torch.no_grad():
        whole, _ = encoder.seq(seen, encoder.initial(2, torch.device("cpu")), reset)
        memory = encoder.initial(2, torch.device("cpu"))
        for t in range(80):
            one, memory = encoder.seq(
                {key: values[:, t : t + 1] for key, values in seen.items()},
                memory,
                reset[:, t : t + 1],
            )
            assert (one[:, 0] - whole[:, t]).abs().max() < 1e-5


def test_it_reads_the_opponent_alone():
    """The own state changes nothing; the opponent's does."""
    encoder = StrategyEncoder(SCHEMA, KEYS, "banded").eval()
    seen, reset = views(1, 4), torch.zeros(1, 4, dtype=torch.bool)
    memory = encoder.initial(1, torch.device("cpu"))
    before, _ = encoder.seq(seen, memory, reset)
    for slot, same in ((0, True), (1, False)):
        moved = seen["player/x"].clone()
        moved[..., slot] += 1
        after, _ = encoder.seq({**seen, "player/x": moved}, memory, reset)
        assert torch.equal(before, after) == same


def test_banded_remembers_65_frames():
    """A frame changes the latents of itself and the 64 after it, and none beyond."""
    encoder = StrategyEncoder(SCHEMA, KEYS, "banded").eval()
    seen, reset = views(1, 80), torch.zeros(1, 80, dtype=torch.bool)
    memory = encoder.initial(1, torch.device("cpu"))
    moved = {**seen, "player/x": seen["player/x"].clone()}
    moved["player/x"][:, 5] += 10
    with torch.no_grad():
        changed = (encoder.seq(seen, memory, reset)[0] - encoder.seq(moved, memory, reset)[0]).abs()
    reached = torch.nonzero(changed.amax(-1)[0] > 0)[:, 0]
    assert reached.min() == 5
    assert reached.max() == 5 + 64


def test_the_next_keys_are_those_of_the_next_frame():
    """Targets come from the view one frame on, and none across the start of a match."""
    encoder = StrategyEncoder(SCHEMA, KEYS, "gru")
    seen, reset = views(1, 3), torch.tensor([[True, False, True]])
    latent = torch.zeros(1, 3, encoder.out)
    with torch.no_grad():
        encoder.next_controls.weight.zero_()
        pressed = torch.cat([seen[key][:, 1, 1:2].float() for key in encoder.flags], -1)
        encoder.next_controls.bias.copy_((pressed[0] * 2 - 1) * 30)
    assert encoder.losses(latent, seen, reset)["next_controls"] < 1e-6


def test_a_policy_is_conditioned():
    """Any policy may have an encoder: its latent reaches the decision."""
    arguments = preset_arguments("small", KEYS, strategy="gru", width=16)
    policy = build_policy(SCHEMA, arguments).eval()
    seen, reset = views(2, 5), torch.zeros(2, 5, dtype=torch.bool)
    controls = policy.values.of(seen)
    before = policy.seq(seen, controls, reset)[0].output
    with torch.no_grad():
        next(policy.strategy.trunk.parameters()).add_(1.0)
    assert not torch.equal(before, policy.seq(seen, controls, reset)[0].output)


def test_an_unknown_encoder():
    """A name that means nothing is refused with the names that do."""
    with pytest.raises(UsageError, match="banded"):
        StrategyEncoder(SCHEMA, KEYS, "bandit")
    assert isinstance(ENCODERS["banded"], TrunkConfig)


def test_the_identity_of_unknown_opponents_costs_nothing():
    """Rows whose opponent has no name are left out of the loss, and only they."""
    encoder = StrategyEncoder(SCHEMA, KEYS, "gru", opponents=("based", "random"))
    seen, reset = views(2, 3), torch.zeros(2, 3, dtype=torch.bool)
    latent = torch.zeros(2, 3, encoder.out)
    with torch.no_grad():
        encoder.identity.bias.copy_(torch.tensor([0.0, np.log(3.0)]))

    def cost(*opponent):
        return encoder.losses(latent, seen, reset, torch.tensor(opponent))["identity"].item()

    assert cost(-1, -1) == 0.0
    assert cost(1, -1) == pytest.approx(np.log(4 / 3))
    assert cost(1, 0) == pytest.approx((np.log(4 / 3) + np.log(4)) / 2)
    assert encoder.guess(latent)[0, 0].tolist() == pytest.approx([0.25, 0.75])


def test_encoders_without_names_guess_none():
    """Without names of opponents there is one auxiliary task, and no guess."""
    encoder = StrategyEncoder(SCHEMA, KEYS, "gru")
    assert auxiliary_weights(encoder, 0.3, 0.7) == {"next_controls": 0.3}
    assert auxiliary_weights(None, 0.3, 0.7) == {}
    with pytest.raises(UsageError, match="names"):
        encoder.guess(torch.zeros(1, encoder.out))


@pytest.mark.parametrize("name", ["banded", "window", "gru"])
def test_a_policy_is_read_out_while_it_plays(name, monkeypatch):
    """Latents and attention are equal in one piece and in parts; weights sum to 1 within a match."""
    monkeypatch.setitem(ENCODERS, "banded", dataclasses.replace(ENCODERS["banded"], width=32))
    small = dataclasses.replace(ENCODERS["window"], width=16, depth=1, frames=9)
    monkeypatch.setitem(ENCODERS, "window", small)
    arguments = preset_arguments(
        "small", KEYS, strategy=name, width=16, value=True, opponents=["based", "random"]
    )
    policy = build_policy(SCHEMA, arguments).eval()
    seen, reset = views(2, 70), torch.zeros(2, 70, dtype=torch.bool)
    reset[:, 0] = reset[0, 30] = True
    whole = read_out(policy, seen, reset)
    assert whole.recurrent.shape == (2, 70, policy.trunk.width)
    assert whole.value.shape == (2, 70)
    torch.testing.assert_close(whole.guess.sum(-1), torch.ones(2, 70))
    memory, parts = policy.initial(2), []
    for first, end in ((0, 1), (1, 40), (40, 70)):
        cut = {key: values[:, first:end] for key, values in seen.items()}
        parts.append(read_out(policy, cut, reset[:, first:end], memory))
        memory = parts[-1].memory
    joined = torch.cat([part.latent for part in parts], 1)
    torch.testing.assert_close(joined, whole.latent, atol=1e-5, rtol=1e-5)
    if name == "gru":
        assert whole.attention is None
        return
    reach = 65 if name == "banded" else 9
    assert whole.attention.shape == (2, 70, reach)
    torch.testing.assert_close(whole.attention.sum(-1), torch.ones(2, 70))
    assert whole.attention[0, 35, 6:].abs().max() == 0  # six frames of the second match so far
    assert whole.attention[1, 69].min() > 0
    joined = torch.cat([part.attention for part in parts], 1)
    torch.testing.assert_close(joined, whole.attention, atol=1e-5, rtol=1e-5)
