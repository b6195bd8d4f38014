"""The parts of a policy: seats, embedding, trunk, coding; each against the plain definition of what it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import TOY, schemas
from hypothesis import given, settings
from hypothesis import strategies as st
from pads import PAD, columns_of, tensors

from shadowbox.bench.policy import ANSWERS
from shadowbox.core.schema import Choice, Flag, Group, Schema
from shadowbox.core.view import from_seat, mirrored
from shadowbox.errors import SchemaError, UsageError
from shadowbox.games.melee import GAME as MELEE
from shadowbox.model.codec import (
    ColumnEmbedding,
    ControlValues,
    from_every_seat,
    mirrored_where,
    visible_columns,
)
from shadowbox.model.heads import HEADS
from shadowbox.model.policy import build_policy, preset_arguments
from shadowbox.model.trunks.registry import TRUNKS
from shadowbox.model.vocabulary import fit_vocabulary


@given(schemas(), st.integers(0, 99))
@settings(max_examples=60)
def test_every_seat_is_from_seat(schema: Schema, seed: int) -> None:
    """For any schema the batch from every seat is what `core.view.from_seat` gives, one seat after another."""
    columns = tensors(schema, 4, seed)
    found = from_every_seat(schema, columns)
    for player in range(schema.players):
        expected = from_seat(
            schema, {key: values.numpy() for key, values in columns.items()}, player
        )
        for key, values in expected.items():
            np.testing.assert_array_equal(found[key][4 * player : 4 * player + 4].numpy(), values)


def test_embedding_is_by_field() -> None:
    """Reals are scaled, flags are 0 and 1, and each choice reads its own rows of the table."""
    keys = [
        "stage/id",
        "stage/wind",
        "player/x",
        "player/on_ground",
        "player/action",
        "player/hit_by",
    ]
    embed, columns = ColumnEmbedding(TOY, keys), tensors(TOY, 6, 1)
    out = embed(columns)
    assert out.shape == (6, embed.width)
    torch.testing.assert_close(out[:, 1:3], columns["player/x"] * 0.05)
    torch.testing.assert_close(out[:, 3:5], columns["player/on_ground"].float())
    actions = embed.tables["16"](columns["player/action"]).flatten(1)
    torch.testing.assert_close(out[:, -32:], actions)
    two = embed.tables["2"].weight
    assert len(two) == 4 + 3
    torch.testing.assert_close(out[:, 7:9], two[4 + columns["player/hit_by"][:, 0]])


@given(schemas(), st.integers(0, 99))
@settings(max_examples=40)
def test_the_mirror_of_tensors_is_the_mirror(schema: Schema, seed: int) -> None:
    """For any schema, chosen examples are what `core.view.mirrored` gives, and the others stay as they are."""
    columns = tensors(schema, 6, seed)
    chosen = torch.tensor([True, False] * 3)
    found = mirrored_where(schema, columns, chosen)
    expected = mirrored(schema, {key: values.numpy() for key, values in columns.items()})
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key][chosen].numpy(), values[::2])
        np.testing.assert_array_equal(found[key][~chosen].numpy(), columns[key][1::2].numpy())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("trunk", TRUNKS)
def test_no_output_knows_its_target(trunk: str, head: str) -> None:
    """Other controls at a frame move no part of it that was decided before them, and nothing of any earlier frame."""
    policy = build_policy(
        PAD, preset_arguments("tiny", PAD.state_keys, trunk=trunk, head=head, width=16)
    ).eval()
    view, reset = columns_of(PAD, 2, 8), torch.zeros(2, 8, dtype=torch.bool)
    values = policy.values.of(columns_of(PAD, 2, 8, seed=9))
    ours = policy.seq(view, values, reset)[0].output
    widths = policy.head.widths
    for at, part in enumerate(policy.head.parts):
        other = values.clone()
        for later in policy.head.parts[at:]:
            other[..., list(later.at)] = torch.flip(other[..., list(later.at)], [0])
        theirs = policy.seq(view, other, reset)[0].output
        upto = sum(widths[: at + 1])
        assert torch.equal(theirs[..., :upto], ours[..., :upto]), part.name


def test_a_policy_is_shown_only_what_it_may_see() -> None:
    """Columns outside `input_columns` change nothing.

    Those in it, and the controls of the last frame, do.
    """
    policy = build_policy(TOY, preset_arguments("tiny", ["player/x"], width=8)).eval()
    view, reset = columns_of(TOY, 2, 5), torch.zeros(2, 5, dtype=torch.bool)
    values = policy.values.of(view)
    before = policy.seq(view, values, reset)[0].output
    shown = ("player/x", *TOY.control_keys)
    hidden = {key: torch.zeros_like(v) if key not in shown else v for key, v in view.items()}
    assert torch.equal(policy.seq(hidden, values, reset)[0].output, before)
    for key in shown:
        changed = {**view, key: view[key].roll(1, 0)}
        assert not torch.equal(policy.seq(changed, values, reset)[0].output, before)


def test_from_the_other_seat_it_is_the_same() -> None:
    """Seats of the recording and of the view swapped together: the same view, and so the same answer."""
    policy = build_policy(TOY, preset_arguments("tiny", visible_columns(TOY), width=8)).eval()
    columns, reset = columns_of(TOY, 2, 5), torch.zeros(4, 5, dtype=torch.bool)
    swapped = {
        key: torch.from_numpy(v.copy())
        for key, v in from_seat(TOY, {k: x.numpy() for k, x in columns.items()}, 1).items()
    }
    ours, theirs = (from_every_seat(TOY, side) for side in (columns, swapped))
    one, two = (
        policy.seq(side, policy.values.of(side), reset)[0].output for side in (ours, theirs)
    )
    assert torch.equal(one[:2], two[2:])
    assert torch.equal(one[2:], two[:2])


def test_history_is_hidden_in_training_alone() -> None:
    """Where the own past is hidden the own past changes nothing, and in play nothing is ever hidden."""
    policy = build_policy(
        PAD, preset_arguments("small", PAD.state_keys, width=8, prev_control_dropout=0.99)
    )
    view, reset = columns_of(PAD, 1, 6), torch.zeros(1, 6, dtype=torch.bool)
    reset[:, 0] = True
    x = policy._features(view, policy.initial(1), reset, None)
    assert bool(x[1].all())
    assert not x[0][..., policy.own].any()
    assert (x[0][..., policy.embed.width] == 1).all()
    play = policy.eval()._features(view, policy.initial(1), reset, None)
    assert play[1] is None
    assert (play[0][..., policy.embed.width] == 0).all()


def test_what_is_late_is_the_game_and_not_the_own_hand() -> None:
    """With a delay the state of `delay` frames ago counts, from a match's first frame on, and the own controls of the last."""
    policy = build_policy(PAD, preset_arguments("tiny", PAD.state_keys, width=8, delay=2)).eval()
    view, reset = columns_of(PAD, 1, 8), torch.zeros(1, 8, dtype=torch.bool)
    reset[0, 4] = True
    now = policy.embed(view)
    found = policy._features(view, policy.initial(1), reset, None)[0]
    own = policy.own
    assert torch.equal(found[..., own], now[..., own])
    seen = [0, 0, 0, 1, 4, 4, 4, 5]
    assert torch.equal(found[0][:, ~own], now[0, seen][:, ~own])


def test_players_and_strength_change_the_style() -> None:
    """A policy told another name or strength answers otherwise.

    Nobody in particular is the default; strangers are refused.
    """
    policy = build_policy(
        PAD,
        preset_arguments("tiny", PAD.state_keys, width=8, players=("ann", "bob"), strength=True),
    ).eval()
    view, noise = (
        {key: values[:, 0] for key, values in columns_of(PAD, 2, 1).items()},
        torch.rand(2, policy.draws),
    )

    def sure(style):
        return policy.step(view, policy.initial(2), noise * 0 + 0.5, style=style)[1]

    assert not torch.equal(
        sure(policy.style_of(["ann", "ann"])), sure(policy.style_of(["bob", "bob"]))
    )
    assert not torch.equal(
        sure(policy.style_of(["ann", "ann"], [2.0, 2.0])), sure(policy.style_of(["ann", "ann"]))
    )
    assert torch.equal(sure(policy.style_of(["", ""])), sure(None))
    with pytest.raises(UsageError, match="no style of 'bop': did you mean 'bob'"):
        policy.style_of(["bop", "ann"])
    weak = build_policy(PAD, preset_arguments("tiny", PAD.state_keys, width=8, players=("ann",)))
    with pytest.raises(UsageError, match="trained without strength"):
        weak.style_of(["ann"], [1.0])


def test_nobody_in_particular_is_learned_too() -> None:
    """While it learns, a tenth of the matches is not told whose they are, so that a policy without a name is trained."""
    policy = build_policy(
        PAD,
        preset_arguments("tiny", PAD.state_keys, width=8, players=("ann", "bob"), strength=True),
    )
    style = policy.style_of(["ann"] * 4000, [2.0] * 4000)
    told = policy.train().style(style, 4000, torch.device("cpu"))
    nameless = (told[:, :8] == policy.style.table.weight[0]).all(1)
    assert 0.08 < nameless.float().mean() < 0.12
    assert 0.08 < (told[:, 8:] == 0).all(1).float().mean() < 0.12
    assert (policy.eval().style(style, 4000, torch.device("cpu"))[:, 9] == 1).all()


def test_a_control_counts_only_in_its_mode() -> None:
    """A control whose mode is off is never pressed, and is neutral among the targets."""
    group = Group(
        "stick", (Flag("a", when="ball/held"), Flag("b", when="!ball/held")), slots=2, per="player"
    )
    schema = Schema("modes", 30, (Group("ball", (Flag("held"),)),), group)
    policy = build_policy(
        schema,
        preset_arguments("tiny", ["ball/held"], width=8, logit_bias=50.0, head="independent"),
    ).eval()
    view = {"ball/held": torch.tensor([[True], [False]]), "stick/a": torch.zeros(2, 2, dtype=torch.bool),
            "stick/b": torch.zeros(2, 2, dtype=torch.bool)}  # fmt: skip
    controls, _, _ = policy.step(view, policy.initial(2), torch.rand(2, policy.draws))
    assert controls["stick/a"].tolist() == [[True], [False]]
    assert controls["stick/b"].tolist() == [[False], [True]]
    with pytest.raises(SchemaError, match="when='ball/hold'"):
        Schema(
            "modes",
            30,
            schema.state,
            Group("stick", (Flag("a", when="ball/hold"),), slots=2, per="player"),
        )


def test_answers_choose_and_join_controls() -> None:
    """Chosen controls alone are pressed, joined ones are read as either and given to the first, and others are refused."""
    values = ControlValues(PAD, ("stick/a|stick/b", "stick/push"))
    assert values.names == ["stick/push", "stick/a"]
    columns = {key: v[:, 0] for key, v in columns_of(PAD, 20, 1).items()}
    found = values.of(columns)
    assert torch.equal(found[:, 1] > 0.5, columns["stick/a"][:, 0] | columns["stick/b"][:, 0])
    back = values.columns(found)
    assert list(back) == list(PAD.control_keys)
    assert not back["stick/b"].any()
    np.testing.assert_array_equal(
        values.of_arrays({k: v.numpy() for k, v in columns.items()}), found.numpy()
    )
    for wrong, message in (
        (("stick/c",), "cannot answer 'stick/c'"),
        (("stick/a|stick/push",), "different kinds"),
    ):
        with pytest.raises(UsageError, match=message):
            ControlValues(PAD, wrong)


def test_the_vocabulary_is_what_the_data_often_does() -> None:
    """Combinations seen often enough are points, frequent ones first, neutral before all.

    Sticks are rings.
    """
    values = ControlValues(PAD)
    rows = np.zeros((700, len(values.names)), np.float32)
    a, b, push = (values.names.index(f"stick/{name}") for name in ("a", "b", "push"))
    rows[:300, a] = 1
    rows[250:349, b] = 1
    rows[:, push] = np.repeat([0.0, 0.25, 1.0, -3.0], 175)
    found = fit_vocabulary(values, rows)
    assert found["flags"] == [[0.0, 0.0], [1.0, 0.0]]
    assert found["push"] == [[-3.0], [0.0], [0.25], [1.0]]
    assert [len(found[name]) for name in ("m", "way")] == [57, 5]
    assert found["m"][0] == [0.0, 0.0]


@pytest.mark.parametrize(("name", "parameters"), [("v2-embed", 1_153_781), ("v3", 1_573_621)])
def test_the_older_policy_has_its_older_size(name: str, parameters: int) -> None:
    """Ten frames of an older encoding through 512 and 256 to thirteen controls: the parameters are those it always had."""
    encoding = MELEE.encodings[name]
    made = preset_arguments(
        "policy-mlp", MELEE.schema.state_keys, None, encoding, output_controls=ANSWERS
    )
    policy = build_policy(MELEE.schema, made, 0, encoding)
    assert sum(p.numel() for p in policy.parameters()) == parameters
    assert policy.head.width == 13
    assert policy.describe()[-1][2] == encoding.frame_width
    columns = {key: values.view(1, 3, -1) for key, values in tensors(MELEE.schema, 3, 1).items()}
    assert policy.embed(columns).shape == (1, 3, encoding.frame_width)
    with pytest.raises(UsageError, match="is shown the encoding"):
        build_policy(MELEE.schema, made)


def test_the_seeds_loss_is_what_it_was() -> None:
    """Mean squared error of squashed sticks in shares of their range, plus the mean cross-entropy of the buttons."""
    policy = build_policy(
        PAD,
        preset_arguments(
            "policy-mlp",
            PAD.state_keys,
            width=8,
            output_controls=("stick/m_x", "stick/m_y", "stick/a", "stick/b"),
        ),
    )
    output = torch.randn(6, policy.head.width)
    columns = {key: v[:, 0] for key, v in columns_of(PAD, 6, 1).items()}
    values = policy.values.of(columns)
    found = policy.head.loss(output, values, values).sum(-1).mean()
    sticks = ((torch.sigmoid(output[:, :2]) - (values[:, :2] + 1) / 2) ** 2).mean()
    buttons = torch.nn.functional.binary_cross_entropy_with_logits(output[:, 2:], values[:, 2:])
    torch.testing.assert_close(found, sticks + buttons)


def test_seeds_of_weights() -> None:
    """The same seed gives the same weights, and building moves nobody's random numbers."""
    state = torch.get_rng_state()
    one, two, three = (
        build_policy(TOY, preset_arguments("tiny", []), seed).head.begin.weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
    assert torch.equal(state, torch.get_rng_state())


def test_refusals_of_policies() -> None:
    """Unknown presets and arguments, and choices too large to embed, are refused in words."""
    with pytest.raises(UsageError, match="no preset 'tinny': did you mean 'tiny'"):
        preset_arguments("tinny", [])
    with pytest.raises(UsageError, match="no argument 'widht': did you mean 'width'"):
        preset_arguments("tiny", [], widht=3)
    large = Schema(
        "large", 30, (Group("match", (Choice("seed", 1 << 32), Flag("over"))),), PAD.controls
    )
    assert "match/seed" not in visible_columns(large)
    with pytest.raises(SchemaError, match="cannot be embedded"):
        build_policy(large, preset_arguments("tiny", ["match/seed"]))


@pytest.mark.parametrize(
    ("head", "reals"),
    [("chain", "regression"), ("independent", "regression"), ("independent", "mixture")],
)
def test_slips_change_a_few_own_controls_and_nothing_else(head, reals):
    """So many frames have any other own controls in the past.

    What others did is untouched, and so is a policy that plays.
    """
    policy = build_policy(
        PAD,
        preset_arguments(
            "small",
            PAD.state_keys,
            prev_control_noise=0.25,
            prev_control_dropout=0.0,
            head=head,
            reals=reals,
        ),
    )
    view, each = columns_of(PAD, 20, 30), policy.values.slots
    torch.manual_seed(0)
    slipped = policy.with_control_noise(view)
    changed = torch.zeros(20, 30, dtype=torch.bool)
    for key, values in view.items():
        assert slipped[key].dtype == values.dtype
        assert (
            torch.equal(slipped[key][..., each:], values[..., each:]) or key not in PAD.control_keys
        )
        assert key in PAD.control_keys or slipped[key] is values
        if key in PAD.control_keys:
            changed |= (slipped[key][..., :each] != values[..., :each]).any(-1)
            low, high = PAD.columns[key].field.limits
            assert slipped[key].float().min() >= low - 1e-6
            assert slipped[key].float().max() <= high + 1e-6
    assert 0.15 < changed.float().mean() < 0.31
    pressed, reset = (
        policy.values.of(columns_of(PAD, 20, 30, seed=9)),
        torch.zeros(20, 30, dtype=torch.bool),
    )
    assert torch.equal(policy.eval()(view, pressed, reset), policy(view, pressed, reset))
    assert not torch.equal(policy.train()(view, pressed, reset), policy(view, pressed, reset))
