"""The parts of a policy: seats, embedding, trunk, coding; each against the plain definition of what it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import TOY, random_columns, schemas
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.core.view import from_seat
from shadowbox.errors import SchemaError, UsageError
from shadowbox.model.codec import Coding, Embed, from_every_seat, visible
from shadowbox.model.policy import arguments, build
from shadowbox.model.trunks import Window

PAD = Schema(
    "pad",
    fps=30,
    state=(Group("ball", (Real("x", scale=0.5),)),),
    controls=Group("stick", (Flag("a"), Choice("way", 5), Real("push", scale=2.0), Flag("b")), slots=2, per="player"),
)


def tensors(schema: Schema, rows: int, seed: int) -> dict[str, torch.Tensor]:
    """Random columns as the codec decodes them, [rows, slots]."""
    columns = random_columns(schema, rows, seed)
    found = {}
    for key, values in columns.items():
        kind = np.float32 if schema.columns[key].field.kind == "real" else bool if values.dtype == bool else np.int64
        found[key] = torch.from_numpy(np.array(values, kind))
    return found


@given(schemas(), st.integers(0, 99))
@settings(max_examples=60)
def test_every_seat_is_from_seat(schema: Schema, seed: int) -> None:
    """For any schema the batch from every seat is what `core.view.from_seat` gives, one seat after another."""
    columns = tensors(schema, 4, seed)
    found = from_every_seat(schema, columns)
    for player in range(schema.players):
        expected = from_seat(schema, {key: values.numpy() for key, values in columns.items()}, player)
        for key, values in expected.items():
            np.testing.assert_array_equal(found[key][4 * player : 4 * player + 4].numpy(), values)


def test_embedding_is_by_field() -> None:
    """Reals are scaled, flags are 0 and 1, and each choice reads its own rows of the table."""
    keys = ["stage/id", "stage/wind", "player/x", "player/on_ground", "player/action", "player/hit_by"]
    embed, columns = Embed(TOY, keys), tensors(TOY, 6, 1)
    out = embed(columns)
    assert out.shape == (6, embed.width)
    torch.testing.assert_close(out[:, 1:3], columns["player/x"] * 0.05)
    torch.testing.assert_close(out[:, 3:5], columns["player/on_ground"].float())
    actions = embed.tables["16"](columns["player/action"]).flatten(1)
    torch.testing.assert_close(out[:, -32:], actions)
    two = embed.tables["2"].weight
    assert len(two) == 4 + 3
    torch.testing.assert_close(out[:, 7:9], two[4 + columns["player/hit_by"][:, 0]])


@pytest.mark.parametrize("cuts", [(12,), (1,) * 12, (5, 7), (3, 1, 8)])
def test_steps_are_the_sequence(cuts: tuple[int, ...]) -> None:
    """However a sequence is cut, and wherever it is reset, the window answers the same within 1e-5."""
    torch.manual_seed(0)
    trunk = Window(5, length=4, width=16, depth=2)
    x, reset = torch.randn(3, 12, 5), torch.rand(3, 12) < 0.25
    whole, _ = trunk.seq(x, trunk.begin(3, x.device), reset)
    state, at, parts = trunk.begin(3, x.device), 0, []
    for size in cuts:
        if size == 1:
            h, state = trunk.step(x[:, at], state, reset[:, at])
            parts.append(h[:, None])
        else:
            h, state = trunk.seq(x[:, at : at + size], state, reset[:, at : at + size])
            parts.append(h)
        at += size
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)


def test_a_reset_forgets() -> None:
    """What came before a reset changes nothing after it, and what lies further back than the window does not either."""
    trunk = Window(2, length=3, width=8)
    x, reset = torch.randn(1, 10, 2), torch.zeros(1, 10, dtype=torch.bool)
    reset[0, 5] = True
    other = x.clone()
    other[0, :5] += 1
    ours, theirs = (trunk.seq(values, trunk.begin(1, x.device), reset)[0] for values in (x, other))
    assert torch.equal(ours[0, 5:], theirs[0, 5:])
    ours, theirs = (trunk.seq(values, trunk.begin(1, x.device), torch.zeros_like(reset))[0] for values in (x, other))
    assert torch.equal(ours[0, 7:], theirs[0, 7:])
    assert not torch.equal(ours[0, 6], theirs[0, 6])


def test_costs_are_those_of_the_definition() -> None:
    """A flag costs its Bernoulli, a choice its softmax, a real half its squared scaled error; each where its name says."""
    coding = Coding(PAD, PAD.control_keys, 1)
    assert coding.names == ["stick/push", "stick/a", "stick/b", "stick/way"]
    assert coding.width == 1 + 2 + 5
    output = torch.randn(7, 3, coding.width)
    columns = {key: values.view(7, 3, -1) for key, values in tensors(PAD, 21, 2).items()}
    targets = coding.targets(columns)
    cost = coding.nll(output, targets)
    push = (output[..., 0] - columns["stick/push"][..., 0] * 2) ** 2 / 2
    torch.testing.assert_close(cost[..., 0], push)
    pressed = torch.distributions.Bernoulli(logits=output[..., 2]).log_prob(columns["stick/b"][..., 0].float())
    torch.testing.assert_close(cost[..., 2], -pressed)
    chosen = torch.distributions.Categorical(logits=output[..., 3:]).log_prob(columns["stick/way"][..., 0])
    torch.testing.assert_close(cost[..., 3], -chosen)
    likely = coding.likely(output)
    torch.testing.assert_close(likely[..., 0], output[..., 0] / 2)
    assert torch.equal(likely[..., 3], output[..., 3:].argmax(-1).float())


def test_a_policy_is_shown_only_what_it_may_see() -> None:
    """Columns outside `sees`, and the controls of this frame, change nothing."""
    policy = build(TOY, arguments("tiny", ["player/x"], width=8))
    columns = {key: values.view(2, 5, -1) for key, values in tensors(TOY, 10, 3).items()}
    previous = {key: columns[key] for key in TOY.control_keys}
    reset = torch.zeros(2, 5, dtype=torch.bool)
    before = policy(columns, previous, reset)
    hidden = {key: torch.zeros_like(values) if key != "player/x" else values for key, values in columns.items()}
    assert torch.equal(policy(hidden, previous, reset), before)
    h, memory = policy.step({"player/x": columns["player/x"][:, 0]}, {k: v[:, 0] for k, v in previous.items()},
                            policy.begin(2), reset[:, 0])  # fmt: skip
    torch.testing.assert_close(h, before[:, 0])
    assert memory.shape == (2, 7, policy.embed.width)


def test_seeds_of_weights() -> None:
    """The same seed gives the same weights, and building moves nobody's random numbers."""
    state = torch.get_rng_state()
    one, two, three = (build(TOY, arguments("tiny", []), seed).head.linear.weight for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
    assert torch.equal(state, torch.get_rng_state())


def test_refusals_of_policies() -> None:
    """Unknown presets and arguments, and choices too large to embed, are refused in words."""
    with pytest.raises(UsageError, match="no preset 'tinny': did you mean 'tiny'"):
        arguments("tinny", [])
    with pytest.raises(UsageError, match="no argument 'widht': did you mean 'width'"):
        arguments("tiny", [], widht=3)
    large = Schema("large", 30, (Group("match", (Choice("seed", 1 << 32), Flag("over"))),), PAD.controls)
    assert "match/seed" not in visible(large)
    with pytest.raises(SchemaError, match="cannot be embedded"):
        build(large, arguments("tiny", ["match/seed"]))
