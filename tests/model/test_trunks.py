"""Trunks and policies over time: results are equal however sequences are cut and reset."""

from __future__ import annotations

import pytest
import torch
from conftest import TOY
from hypothesis import given, settings
from hypothesis import strategies as st
from pads import PAD, columns_of

from shadowbox.errors import UsageError
from shadowbox.model.design import TrunkConfig
from shadowbox.model.head_registry import HEADS
from shadowbox.model.policy import build_policy, preset_arguments
from shadowbox.model.trunks import base, gru, registry
from shadowbox.model.trunks.registry import TRUNKS

CLOSE = {"atol": 1e-5, "rtol": 0}


def trunk(name: str, **changes):
    """A small trunk of two layers; the first two of its five features are fixed."""
    return registry.build_trunk(
        TrunkConfig(trunk=name, width=16, depth=2, frames=4, layers=2, **changes), 5, 2
    ).eval()


@pytest.mark.parametrize("name", TRUNKS)
@given(cuts=st.lists(st.integers(1, 6), min_size=1, max_size=8), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_however_a_sequence_is_cut(name, cuts, seed):
    """Steps and pieces of any length, with resets anywhere, give the result of the whole."""
    torch.manual_seed(seed)
    model = trunk(name)
    total = sum(cuts)
    x, reset = torch.randn(3, total, 5), torch.rand(3, total) < 0.2
    whole, _ = model.seq(x, model.begin(3, x.device), reset)
    memory, at, parts = model.begin(3, x.device), 0, []
    for size in cuts:
        if size == 1:
            h, memory = model.step(x[:, at], memory, reset[:, at])
            parts.append(h[:, None])
        else:
            h, memory = model.seq(x[:, at : at + size], memory, reset[:, at : at + size])
            parts.append(h)
        at += size
    torch.testing.assert_close(torch.cat(parts, 1), whole, **CLOSE)


@pytest.mark.parametrize("name", TRUNKS)
def test_a_reset_forgets_and_nothing_sees_ahead(name):
    """Frames before a reset change nothing after it, and later frames nothing before them."""
    model, reset = trunk(name), torch.zeros(1, 12, dtype=torch.bool)
    reset[0, 5] = True
    x = torch.randn(1, 12, 5)
    earlier, later = x.clone(), x.clone()
    earlier[0, :5] += 1
    later[0, 9:] += 1
    ours, before, after = (
        model.seq(values, model.begin(1, x.device), reset)[0] for values in (x, earlier, later)
    )
    torch.testing.assert_close(before[0, 5:], ours[0, 5:], **CLOSE)
    torch.testing.assert_close(after[0, :9], ours[0, :9], **CLOSE)
    assert not torch.allclose(before[0, :5], ours[0, :5])
    assert not torch.allclose(after[0, 9:], ours[0, 9:])


@pytest.mark.parametrize("name", TRUNKS)
def test_rows_of_a_memory_belong_to_their_match(name):
    """A memory merged row by row from two continues as each of them would have."""
    model = trunk(name)
    x, none = torch.randn(2, 9, 5), torch.zeros(2, 9, dtype=torch.bool)
    _, one = model.seq(x[:, :4], model.begin(2, x.device), none[:, :4])
    _, two = model.seq(x[:, :6], model.begin(2, x.device), none[:, :6])
    chosen = torch.tensor([True, False])
    merged = {
        key: torch.where(chosen.view(-1, *[1] * (one[key].ndim - 1)), one[key], two[key])
        for key in one
    }
    merged_step, _ = model.step(x[:, 8], merged, none[:, 8])
    torch.testing.assert_close(merged_step[0], model.step(x[:, 8], one, none[:, 8])[0][0], **CLOSE)
    torch.testing.assert_close(merged_step[1], model.step(x[:, 8], two, none[:, 8])[0][1], **CLOSE)


def test_the_recurrent_gradient_is_the_one_of_the_definition():
    """The hand-written gradient of the GRU equals that of its definition, with resets."""
    torch.manual_seed(0)
    steps, batch, width = 7, 3, 4
    gates, h = torch.randn(steps, batch, 3 * width, dtype=torch.float32), torch.randn(batch, width)
    weight, bias, keep = (
        torch.randn(3 * width, width),
        torch.randn(width),
        (torch.rand(steps, batch, 1) > 0.3).float(),
    )
    weights_of_out = torch.randn(steps, batch, width)

    def plain(gates, h, weight, bias):
        out = []
        for t in range(steps):
            h = h * keep[t]
            from_memory = h @ weight.t()
            reset, update = torch.sigmoid(
                gates[t, :, : 2 * width] + from_memory[:, : 2 * width]
            ).chunk(2, -1)
            fresh = torch.tanh(
                gates[t, :, 2 * width :] + reset * (from_memory[:, 2 * width :] + bias)
            )
            h = (1 - update) * fresh + update * h
            out.append(h)
        return torch.stack(out)

    def ours(gates, h, weight, bias):
        return gru._Gru.apply(gates, h, keep, weight, bias)

    results = []
    for function in (plain, ours):
        inputs = [x.clone().requires_grad_() for x in (gates, h, weight, bias)]
        out = function(*inputs)
        (out * weights_of_out).sum().backward()
        results.append([out, *(x.grad for x in inputs)])
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_recurrent_trunks_have_the_layers_of_their_configuration():
    """`layers` and `depth` both add weights; a plain LSTM, without layers over a frame, refuses."""

    def weights(name, layers, depth):
        config = TrunkConfig(trunk=name, width=16, layers=layers, depth=depth)
        return sum(weight.numel() for weight in registry.build_trunk(config, 5, 2).parameters())

    for name in ("gru", "lstm"):
        assert weights(name, 1, 1) < weights(name, 3, 1) < weights(name, 3, 2)
    with pytest.raises(UsageError, match="layers must be 1 in a plain LSTM"):
        registry.build_trunk(TrunkConfig(trunk="lstm", plain=True, layers=2), 5, 2)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(share):
    """Dropout zeroes its share and keeps the mean, repeats with a seed, and is off in play."""
    layer, x = base.Dropout(share), torch.ones(1001, 99)
    torch.manual_seed(4)
    dropped = layer(x)
    assert abs(float((dropped == 0).float().mean()) - share) < 0.01
    assert abs(float(dropped.mean()) - 1) < 0.01
    torch.manual_seed(4)
    assert torch.equal(layer(x), dropped)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("schema", [TOY, PAD], ids=["toy", "pad"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"delay": 3, "prev_control_dropout": 0.3, "reals": "mixture"}],
    ids=["plain", "late"],
)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", TRUNKS)
def test_a_policy_steps_as_it_was_trained(name, head, changes, schema):
    """Samples drawn step by step have the log-probabilities that training computes for them."""
    torch.manual_seed(2)
    policy = build_policy(
        schema,
        preset_arguments(
            "default", schema.state_keys, trunk=name, head=head, width=16, frames=4, **changes
        ),
    ).eval()
    view, reset = columns_of(schema, 2, 15), torch.rand(2, 15) < 0.2
    memory, played, log_probs = policy.initial(2), [], []
    for t in range(15):
        frame = {key: values[:, t] for key, values in view.items()}
        controls, log_prob, memory = policy.step(
            frame, memory, torch.rand(2, policy.draws), reset=reset[:, t]
        )
        played.append(policy.values.of(controls))
        log_probs.append(log_prob)
    actions = torch.stack(played, 1)
    output, _ = policy.seq(view, actions, reset)
    torch.testing.assert_close(
        output.log_prob(actions), torch.stack(log_probs, 1), atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(policy(view, actions, reset), output.loss(actions), **CLOSE)
