"""The protocol of trunks and of policies over time: cut anywhere, reset anywhere, the answers are the same."""

from __future__ import annotations

import pytest
import torch
from conftest import TOY
from hypothesis import given, settings
from hypothesis import strategies as st
from pads import PAD, columns_of

from shadowbox.model.design import TrunkConfig
from shadowbox.model.heads import HEADS
from shadowbox.model.policy import build_policy, preset_arguments
from shadowbox.model.trunks import base, gru, registry
from shadowbox.model.trunks.registry import TRUNKS

CLOSE = {"atol": 1e-5, "rtol": 0}


def trunk(name: str, **changes):
    """A small one, two layers deep; the first two of its five features are facts."""
    return registry.build_trunk(
        TrunkConfig(trunk=name, width=16, depth=2, frames=4, layers=2, **changes), 5, 2
    ).eval()


@pytest.mark.parametrize("name", TRUNKS)
@given(cuts=st.lists(st.integers(1, 6), min_size=1, max_size=8), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_however_a_sequence_is_cut(name, cuts, seed):
    """Steps and pieces of any length, with resets anywhere, answer as the whole sequence does."""
    torch.manual_seed(seed)
    made = trunk(name)
    total = sum(cuts)
    x, reset = torch.randn(3, total, 5), torch.rand(3, total) < 0.2
    whole, _ = made.seq(x, made.begin(3, x.device), reset)
    memory, at, parts = made.begin(3, x.device), 0, []
    for size in cuts:
        if size == 1:
            h, memory = made.step(x[:, at], memory, reset[:, at])
            parts.append(h[:, None])
        else:
            h, memory = made.seq(x[:, at : at + size], memory, reset[:, at : at + size])
            parts.append(h)
        at += size
    torch.testing.assert_close(torch.cat(parts, 1), whole, **CLOSE)


@pytest.mark.parametrize("name", TRUNKS)
def test_a_reset_forgets_and_nothing_sees_ahead(name):
    """What came before a reset changes nothing after it, and no answer depends on a later frame."""
    made, reset = trunk(name), torch.zeros(1, 12, dtype=torch.bool)
    reset[0, 5] = True
    x = torch.randn(1, 12, 5)
    earlier, later = x.clone(), x.clone()
    earlier[0, :5] += 1
    later[0, 9:] += 1
    ours, before, after = (
        made.seq(values, made.begin(1, x.device), reset)[0] for values in (x, earlier, later)
    )
    torch.testing.assert_close(before[0, 5:], ours[0, 5:], **CLOSE)
    torch.testing.assert_close(after[0, :9], ours[0, :9], **CLOSE)
    assert not torch.allclose(before[0, :5], ours[0, :5])
    assert not torch.allclose(after[0, 9:], ours[0, 9:])


@pytest.mark.parametrize("name", TRUNKS)
def test_rows_of_a_memory_belong_to_their_match(name):
    """A memory merged row by row from two goes on as each of them would have."""
    made = trunk(name)
    x, none = torch.randn(2, 9, 5), torch.zeros(2, 9, dtype=torch.bool)
    _, one = made.seq(x[:, :4], made.begin(2, x.device), none[:, :4])
    _, two = made.seq(x[:, :6], made.begin(2, x.device), none[:, :6])
    chosen = torch.tensor([True, False])
    merged = {
        key: torch.where(chosen.view(-1, *[1] * (one[key].ndim - 1)), one[key], two[key])
        for key in one
    }
    found, _ = made.step(x[:, 8], merged, none[:, 8])
    torch.testing.assert_close(found[0], made.step(x[:, 8], one, none[:, 8])[0][0], **CLOSE)
    torch.testing.assert_close(found[1], made.step(x[:, 8], two, none[:, 8])[0][1], **CLOSE)


def test_the_recurrent_gradient_is_the_one_of_the_definition():
    """Its hand-written way back gives the gradients of the same net written out step by step, resets included."""
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
            recalled = h @ weight.t()
            reset, update = torch.sigmoid(
                gates[t, :, : 2 * width] + recalled[:, : 2 * width]
            ).chunk(2, -1)
            fresh = torch.tanh(gates[t, :, 2 * width :] + reset * (recalled[:, 2 * width :] + bias))
            h = (1 - update) * fresh + update * h
            out.append(h)
        return torch.stack(out)

    def ours(gates, h, weight, bias):
        return gru._Gru.apply(gates, h, keep, weight, bias)

    found = []
    for made in (plain, ours):
        given_to = [x.clone().requires_grad_() for x in (gates, h, weight, bias)]
        out = made(*given_to)
        (out * weights_of_out).sum().backward()
        found.append([out, *(x.grad for x in given_to)])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(share):
    """As many values as asked for are zero, the mean stays, a seed repeats it, and in play nothing is dropped."""
    layer, x = base.Dropout(share), torch.ones(1001, 99)
    torch.manual_seed(4)
    found = layer(x)
    assert abs(float((found == 0).float().mean()) - share) < 0.01
    assert abs(float(found.mean()) - 1) < 0.01
    torch.manual_seed(4)
    assert torch.equal(layer(x), found)
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
    """Stepped over an episode with resets, a policy gives its samples the log-probabilities that training computes on them."""
    torch.manual_seed(2)
    made = build_policy(
        schema,
        preset_arguments(
            "default", schema.state_keys, trunk=name, head=head, width=16, frames=4, **changes
        ),
    ).eval()
    view, reset = columns_of(schema, 2, 15), torch.rand(2, 15) < 0.2
    memory, played, sure = made.initial(2), [], []
    for t in range(15):
        frame = {key: values[:, t] for key, values in view.items()}
        controls, log_prob, memory = made.step(
            frame, memory, torch.rand(2, made.draws), reset=reset[:, t]
        )
        played.append(made.values.of(controls))
        sure.append(log_prob)
    actions = torch.stack(played, 1)
    seen, _ = made.seq(view, actions, reset)
    torch.testing.assert_close(seen.log_prob(actions), torch.stack(sure, 1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(made(view, actions, reset), seen.loss(actions), **CLOSE)
