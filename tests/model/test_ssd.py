"""SSD trunk: equal to Hugging Face's Mamba-2, however it is computed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from shadowbox.errors import UsageError
from shadowbox.model.design import TrunkConfig
from shadowbox.model.trunks import registry, ssd
from shadowbox.train.config import TrainConfig
from shadowbox.train.schedule import build_optimizer, count

CLOSE = {"atol": 1e-5, "rtol": 0}
BIG = TrunkConfig(trunk="ssd", width=384, depth=4)


def trunk(features=5, **changes):
    """A small trunk of two layers."""
    config = TrunkConfig(**{"trunk": "ssd", "width": 32, "depth": 2, "ssm_state": 8, **changes})
    return registry.build_trunk(config, features, 0).eval()


def stepped(model, x, reset):
    """Features and the last memory of a sequence, step by step."""
    memory, parts = model.begin(len(x), x.device), []
    for t in range(x.shape[1]):
        h, memory = model.step(x[:, t], memory, reset[:, t])
        parts.append(h)
    return torch.stack(parts, 1), memory


def test_weights_of_hugging_face_give_its_outputs():
    """Random weights of transformers' Mamba2 load by their names; outputs agree within 1e-4."""
    from transformers import Mamba2Config, Mamba2Model

    torch.manual_seed(0)
    settings = Mamba2Config(
        hidden_size=384, num_hidden_layers=4, state_size=64, num_heads=12, head_dim=64, n_groups=1,
        chunk_size=16, vocab_size=8, bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    theirs = Mamba2Model(settings).eval()
    ours = registry.build_trunk(BIG, 384, 0).eval()
    weights = {k: v for k, v in theirs.state_dict().items() if not k.startswith("embeddings.")}
    missing, unexpected = ours.load_state_dict(weights, strict=False)
    assert (missing, unexpected) == (["enter.weight", "enter.bias"], [])
    torch.nn.init.eye_(ours.enter.weight)
    torch.nn.init.zeros_(ours.enter.bias)
    for steps in (10, 150):  # one chunk, and several
        x, none = torch.randn(2, steps, 384), torch.zeros(2, steps, dtype=torch.bool)
        with torch.no_grad():
            expected = theirs(inputs_embeds=x, use_cache=False).last_hidden_state
            whole, _ = ours.seq(x, ours.begin(2, x.device), none)
            torch.testing.assert_close(whole, expected, atol=1e-4, rtol=0)
            if steps == 10:
                one_by_one, _ = stepped(ours, x, none)
                torch.testing.assert_close(one_by_one, expected, atol=1e-4, rtol=0)


def test_number_of_parameters_follows_from_the_configuration():
    """Width 384, 4 layers and state 64 give 3,777,040 parameters after the input layer."""
    width, inner, state, heads = 384, 768, 64, 12
    layer = width + width * (2 * inner + 2 * state + heads)  # norm, input projection
    layer += 5 * (inner + 2 * state) + 3 * heads + inner + inner * width
    model = registry.build_trunk(BIG, 284, 0)
    assert count(model.parameters()) - count(model.enter.parameters()) == 4 * layer + width
    assert 4 * layer + width == 3_777_040


@given(
    steps=st.integers(2, 30),
    chunk=st.sampled_from([1, 4, 7, 64]),
    rate=st.floats(0.0, 6.0),
    resets=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 99),
)
@settings(max_examples=20)
def test_chunks_of_any_length_give_the_steps(steps, chunk, rate, resets, seed):
    """Features and memory do not depend on the chunks, even of heads that forget within a frame."""
    torch.manual_seed(seed)
    model = trunk(ssm_heads=4)
    for layer in model.layers:
        layer.mixer.dt_bias.data += rate
    x, reset = torch.randn(2, steps, 5), torch.rand(2, steps) < resets
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssd, "CHUNK", chunk)
        half = steps // 2
        start, memory = model.seq(x[:, :half], model.begin(2, x.device), reset[:, :half])
        end, memory = model.seq(x[:, half:], memory, reset[:, half:])
        expected, last = stepped(model, x, reset)
    torch.testing.assert_close(torch.cat([start, end], 1), expected, **CLOSE)
    for key, values in last.items():
        torch.testing.assert_close(memory[key], values, atol=1e-5, rtol=1e-5)


def test_a_gradient_flows_as_through_the_steps():
    """Gradients of all weights and of the memory are those of the recurrent form."""
    torch.manual_seed(1)
    model = trunk()
    x, none, weights = torch.randn(2, 9, 5), torch.zeros(2, 9, dtype=torch.bool), torch.randn(32)
    _, memory = model.seq(x, model.begin(2, x.device), none)
    memory = {key: values.detach().requires_grad_() for key, values in memory.items()}
    found = []
    for form in ("seq", "step"):
        if form == "seq":
            h, _ = model.seq(x, memory, none)
        else:
            parts, now = [], memory
            for t in range(9):
                out, now = model.step(x[:, t], now, none[:, t])
                parts.append(out)
            h = torch.stack(parts, 1)
        asked = [*model.parameters(), *memory.values()]
        found.append(torch.autograd.grad((h * weights).sum(), asked))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_the_convolution_is_that_of_pytorch(steps):
    """Values and gradients equal those of `conv1d`, for sequences shorter than its taps, too."""
    torch.manual_seed(2)
    given = [torch.randn(2, steps, 6), torch.randn(2, 3, 6), torch.randn(4, 6), torch.randn(6)]
    weights = torch.randn(2, steps, 6)

    def plain(x, past, weight, bias):
        frames = torch.cat([past, x], 1).mT
        return functional.silu(functional.conv1d(frames, weight.t()[:, None], bias, groups=6).mT)

    found = []
    for function in (plain, lambda *each: ssd.convolve(*each, None)[0]):
        inputs = [values.clone().requires_grad_() for values in given]
        output = function(*inputs)
        (output * weights).sum().backward()
        found.append([output, *(values.grad for values in inputs)])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, **CLOSE)


def test_steps_in_place_overwrite_their_memory_and_nothing_else_does():
    """A step leaves the memory that it is given as it was, unless the trunk works in place."""
    model = trunk()
    x, none = torch.randn(3, 2, 5), torch.zeros(3, 2, dtype=torch.bool)
    with torch.no_grad():
        _, memory = model.seq(x, model.begin(3, x.device), none)
        before = {key: values.clone() for key, values in memory.items()}
        expected, _ = model.step(x[:, 0], memory, none[:, 0])
        assert all(torch.equal(memory[key], before[key]) for key in memory)
        model.in_place = True
        found, after = model.step(x[:, 0], memory, none[:, 0])
    assert torch.equal(found, expected)
    assert after["ssm0"].data_ptr() == memory["ssm0"].data_ptr()
    assert not torch.equal(memory["ssm0"], before["ssm0"])


def test_rates_norms_and_biases_have_no_weight_decay():
    """The optimizer decays projections and taps alone: no A_log, D, dt_bias, norm or bias."""
    model = trunk()
    decayed, plain = build_optimizer(model, TrainConfig(steps=1), torch.device("cpu")).param_groups
    names = {id(weight): name for name, weight in model.named_parameters()}
    ends = {names[id(weight)].rpartition("mixer.")[2] for weight in decayed["params"]}
    assert ends == {"enter.weight", "in_proj.weight", "conv1d.weight", "out_proj.weight"}
    assert decayed["weight_decay"] > 0
    assert plain["weight_decay"] == 0


def test_initial_rates_are_those_of_the_reference_or_of_older_systems():
    """Reference: dt is log-uniform in 0.001 to 0.1 and A in 1 to 16. Older: 1, 2, 3, ... forgets fast."""
    longest = {}
    for init in ("reference", "older"):
        torch.manual_seed(3)
        mixer = trunk(width=64, depth=1, ssm_expand=64, ssm_init=init).layers[0].mixer
        dt = functional.softplus(mixer.dt_bias.detach())
        rate = mixer.A_log.detach().exp()
        longest[init] = float((math.log(2) / (dt * rate)).max())
        if init == "reference":
            assert 1e-3 <= float(dt.min()) < 2e-3
            assert 0.05 < float(dt.max()) <= 0.1
            assert 1 <= float(rate.min()) < 2
            assert 15 < float(rate.max()) <= 16
            assert abs(float(dt.log10().mean()) + 2) < 0.2
        else:
            assert torch.allclose(rate, torch.arange(1.0, 65.0))
            assert float(mixer.dt_bias.detach().abs().max()) <= 1
    assert longest["older"] < 2.3 < 100 < longest["reference"]


def test_heads_must_divide_the_channels():
    """A number of heads that does not fit is refused with the channels and the setting."""
    with pytest.raises(UsageError, match="ssm_heads must divide the 64 channels"):
        trunk(ssm_heads=5)
    with pytest.raises(UsageError, match="ssm_init must be one of reference, older"):
        trunk(ssm_init="new")
