"""Parts of a policy (seats, embedding, trunk, coding), each against a plain definition."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from conftest import TOY, schemas
from hypothesis import given, settings
from hypothesis import strategies as st
from pads import PAD, columns_of, tensors

from shadowbox.bench.policy import CONTROLS
from shadowbox.core.schema import Choice, Flag, Group, Schema
from shadowbox.core.view import from_seat, mirrored
from shadowbox.errors import SchemaError, UsageError
from shadowbox.games.brawl import GAME as BRAWL
from shadowbox.games.melee import GAME as MELEE
from shadowbox.model.codec import (
    ControlValues,
    from_every_seat,
    mirrored_where,
)
from shadowbox.model.embedding import ColumnEmbedding, visible_columns
from shadowbox.model.head_registry import HEADS
from shadowbox.model.inputs import with_control_noise
from shadowbox.model.policy import build_policy, preset_arguments
from shadowbox.model.trunks.registry import TRUNKS
from shadowbox.model.vocabulary import _combinations, fit_vocabulary


@given(schemas(), st.integers(0, 99))
@settings(max_examples=60)
def test_every_seat_is_from_seat(schema: Schema, seed: int) -> None:
    """The batch from every seat is what `core.view.from_seat` gives, one seat after another."""
    columns = tensors(schema, 4, seed)
    from_seats = from_every_seat(schema, columns)
    for player in range(schema.players):
        expected = from_seat(
            schema, {key: values.numpy() for key, values in columns.items()}, player
        )
        for key, values in expected.items():
            np.testing.assert_array_equal(
                from_seats[key][4 * player : 4 * player + 4].numpy(), values
            )


def test_embedding_is_by_field() -> None:
    """Reals are scaled, flags are 0 or 1, and each choice reads its own rows of the table."""
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
    """Chosen examples are what `core.view.mirrored` gives; the others are unchanged."""
    columns = tensors(schema, 6, seed)
    chosen = torch.tensor([True, False] * 3)
    mirrored_columns = mirrored_where(schema, columns, chosen)
    expected = mirrored(schema, {key: values.numpy() for key, values in columns.items()})
    for key, values in expected.items():
        np.testing.assert_array_equal(mirrored_columns[key][chosen].numpy(), values[::2])
        np.testing.assert_array_equal(
            mirrored_columns[key][~chosen].numpy(), columns[key][1::2].numpy()
        )


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("trunk", TRUNKS)
def test_no_output_knows_its_target(trunk: str, head: str) -> None:
    """Other controls at a frame change no part decided before them, and no earlier frame."""
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
        changed = policy.seq(view, other, reset)[0].output
        upto = sum(widths[: at + 1])
        assert torch.equal(changed[..., :upto], ours[..., :upto]), part.name


def test_a_policy_is_shown_only_what_it_may_see() -> None:
    """Only columns in `input_columns` and the controls of the last frame change the output."""
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
    """Swapping the seats of the recording and of the view gives the same output."""
    policy = build_policy(TOY, preset_arguments("tiny", visible_columns(TOY), width=8)).eval()
    columns, reset = columns_of(TOY, 2, 5), torch.zeros(4, 5, dtype=torch.bool)
    swapped = {
        key: torch.from_numpy(v.copy())
        for key, v in from_seat(TOY, {k: x.numpy() for k, x in columns.items()}, 1).items()
    }
    ours, swapped_views = (from_every_seat(TOY, side) for side in (columns, swapped))
    one, two = (
        policy.seq(side, policy.values.of(side), reset)[0].output for side in (ours, swapped_views)
    )
    assert torch.equal(one[:2], two[2:])
    assert torch.equal(one[2:], two[:2])


def test_history_is_hidden_in_training_alone() -> None:
    """Previous controls are hidden in training alone, and then have no influence."""
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
    """With a delay, the state of `delay` frames ago is used with the latest own controls.

    Until a match is older than the delay, its first frame is used.
    """
    policy = build_policy(PAD, preset_arguments("tiny", PAD.state_keys, width=8, delay=2)).eval()
    view, reset = columns_of(PAD, 1, 8), torch.zeros(1, 8, dtype=torch.bool)
    reset[0, 4] = True
    now = policy.embed(view)
    features = policy._features(view, policy.initial(1), reset, None)[0]
    own = policy.own
    assert torch.equal(features[..., own], now[..., own])
    seen = [0, 0, 0, 1, 4, 4, 4, 5]
    assert torch.equal(features[0][:, ~own], now[0, seen][:, ~own])


def test_players_and_strength_change_the_style() -> None:
    """Another name or strength changes the output; the anonymous style is the default.

    Unknown players are refused.
    """
    policy = build_policy(
        PAD,
        preset_arguments("tiny", PAD.state_keys, width=8, players=("ann", "bob"), strength=True),
    ).eval()
    view, noise = (
        {key: values[:, 0] for key, values in columns_of(PAD, 2, 1).items()},
        torch.rand(2, policy.draws),
    )

    def log_probs(style):
        return policy.step(view, policy.initial(2), noise * 0 + 0.5, style=style)[1]

    assert not torch.equal(
        log_probs(policy.style_of(["ann", "ann"])), log_probs(policy.style_of(["bob", "bob"]))
    )
    assert not torch.equal(
        log_probs(policy.style_of(["ann", "ann"], [2.0, 2.0])),
        log_probs(policy.style_of(["ann", "ann"])),
    )
    assert torch.equal(log_probs(policy.style_of(["", ""])), log_probs(None))
    with pytest.raises(UsageError, match="no style of 'bop': did you mean 'bob'"):
        policy.style_of(["bop", "ann"])
    weak = build_policy(PAD, preset_arguments("tiny", PAD.state_keys, width=8, players=("ann",)))
    with pytest.raises(UsageError, match="trained without strength"):
        weak.style_of(["ann"], [1.0])


def test_nobody_in_particular_is_learned_too() -> None:
    """A tenth of the training matches is anonymous, so that the anonymous style is trained."""
    policy = build_policy(
        PAD,
        preset_arguments("tiny", PAD.state_keys, width=8, players=("ann", "bob"), strength=True),
    )
    style = policy.style_of(["ann"] * 4000, [2.0] * 4000)
    vectors = policy.train().style(style, 4000, torch.device("cpu"))
    nameless = (vectors[:, :8] == policy.style.table.weight[0]).all(1)
    assert 0.08 < nameless.float().mean() < 0.12
    assert 0.08 < (vectors[:, 8:] == 0).all(1).float().mean() < 0.12
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
    view = {
        "ball/held": torch.tensor([[True], [False]]),
        "stick/a": torch.zeros(2, 2, dtype=torch.bool),
        "stick/b": torch.zeros(2, 2, dtype=torch.bool),
    }
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
    """Only selected controls are pressed; joined ones are read as either and given to the first.

    Unknown controls, and joined controls of different kinds, are refused.
    """
    values = ControlValues(PAD, ("stick/a|stick/b", "stick/push"))
    assert values.names == ["stick/push", "stick/a"]
    columns = {key: v[:, 0] for key, v in columns_of(PAD, 20, 1).items()}
    selected = values.of(columns)
    assert torch.equal(selected[:, 1] > 0.5, columns["stick/a"][:, 0] | columns["stick/b"][:, 0])
    back = values.columns(selected)
    assert list(back) == list(PAD.control_keys)
    assert not back["stick/b"].any()
    np.testing.assert_array_equal(
        values.of_arrays({k: v.numpy() for k, v in columns.items()}), selected.numpy()
    )
    for wrong, message in (
        (("stick/c",), "has no control 'stick/c'"),
        (("stick/a|stick/push",), "must be of one kind"),
    ):
        with pytest.raises(UsageError, match=message):
            ControlValues(PAD, wrong)


def test_the_vocabulary_is_what_the_data_often_does() -> None:
    """Frequent combinations are points, in order of frequency after neutral; sticks are rings."""
    values = ControlValues(PAD)
    rows = np.zeros((700, len(values.names)), np.float32)
    a, b, push = (values.names.index(f"stick/{name}") for name in ("a", "b", "push"))
    rows[:300, a] = 1
    rows[250:349, b] = 1
    rows[:, push] = np.repeat([0.0, 0.25, 1.0, -3.0], 175)
    vocabulary = fit_vocabulary(values, rows, min_count=100)
    assert vocabulary["flags"] == [[0.0, 0.0], [1.0, 0.0]]
    assert vocabulary["push"] == [[-3.0], [0.0], [0.25], [1.0]]
    assert [len(vocabulary[name]) for name in ("m", "way")] == [57, 5]
    assert vocabulary["m"][0] == [0.0, 0.0]


@pytest.mark.parametrize(("frames", "known"), [(2_000, 10), (40_000, 40), (400_000, 100)])
def test_a_combination_is_known_from_a_share_of_few_frames_on(frames: int, known: int) -> None:
    """A key that a few matches hold for a thousandth of their frames is in their vocabulary."""
    values = ControlValues(PAD)
    a = values.names.index("stick/a")
    for count, flags in ((known - 1, [[0.0, 0.0]]), (known, [[0.0, 0.0], [1.0, 0.0]])):
        rows = np.zeros((frames, len(values.names)), np.float32)
        rows[:count, a] = 1
        assert fit_vocabulary(values, rows)["flags"] == flags


@pytest.mark.parametrize(("name", "parameters"), [("v2-embed", 1_153_781), ("v3", 1_573_621)])
def test_the_older_policy_has_its_older_size(name: str, parameters: int) -> None:
    """The policy of older systems has as many parameters as it had there.

    Ten frames of an encoding pass through 512 and 256 units to thirteen controls.
    """
    encoding = MELEE.encodings[name]
    arguments = preset_arguments(
        "policy-mlp", MELEE.schema.state_keys, None, encoding, output_controls=CONTROLS
    )
    policy = build_policy(MELEE.schema, arguments, 0, encoding)
    assert sum(p.numel() for p in policy.parameters()) == parameters
    assert policy.head.width == 13
    assert policy.describe()[-1][2] == encoding.frame_width
    columns = {key: values.view(1, 3, -1) for key, values in tensors(MELEE.schema, 3, 1).items()}
    assert policy.embed(columns).shape == (1, 3, encoding.frame_width)
    with pytest.raises(UsageError, match="this policy expects the encoding"):
        build_policy(MELEE.schema, arguments)


def test_the_seeds_loss_is_what_it_was() -> None:
    """The loss `seed` adds errors of squashed sticks and the mean cross-entropy of buttons.

    Errors are squared, and shares of the sticks' range.
    """
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
    loss = policy.head.loss(output, values, values).sum(-1).mean()
    sticks = ((torch.sigmoid(output[:, :2]) - (values[:, :2] + 1) / 2) ** 2).mean()
    buttons = torch.nn.functional.binary_cross_entropy_with_logits(output[:, 2:], values[:, 2:])
    torch.testing.assert_close(loss, sticks + buttons)


def test_seeds_of_weights() -> None:
    """The same seed gives the same weights, and building leaves the global random state alone."""
    state = torch.get_rng_state()
    one, two, three = (
        build_policy(TOY, preset_arguments("tiny", []), seed).head.begin.weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
    assert torch.equal(state, torch.get_rng_state())


def test_refusals_of_policies() -> None:
    """Unknown presets and settings, and choices too large to embed, are refused."""
    with pytest.raises(UsageError, match="unknown preset 'tinny': did you mean 'tiny'"):
        preset_arguments("tinny", [])
    with pytest.raises(UsageError, match="no setting 'widht': did you mean 'width'"):
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
    """Control noise changes the own previous controls of a share of training frames alone.

    The controls of others are unchanged, and so is everything in evaluation mode.
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
    noisy = with_control_noise(policy.values, policy.head, 0.25, view)
    changed = torch.zeros(20, 30, dtype=torch.bool)
    for key, values in view.items():
        assert noisy[key].dtype == values.dtype
        assert (
            torch.equal(noisy[key][..., each:], values[..., each:]) or key not in PAD.control_keys
        )
        assert key in PAD.control_keys or noisy[key] is values
        if key in PAD.control_keys:
            changed |= (noisy[key][..., :each] != values[..., :each]).any(-1)
            low, high = PAD.columns[key].field.limits
            assert noisy[key].float().min() >= low - 1e-6
            assert noisy[key].float().max() <= high + 1e-6
    assert 0.15 < changed.float().mean() < 0.31
    pressed, reset = (
        policy.values.of(columns_of(PAD, 20, 30, seed=9)),
        torch.zeros(20, 30, dtype=torch.bool),
    )
    assert torch.equal(policy.eval()(view, pressed, reset), policy(view, pressed, reset))
    assert not torch.equal(policy.train()(view, pressed, reset), policy(view, pressed, reset))


@given(st.integers(1, 16), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_combinations_are_those_of_a_sort(flags: int, frames: int, seed: int) -> None:
    """Counted combinations of flags are those that sorting the rows finds, in the same order."""
    pressed = np.random.default_rng(seed).random((frames, flags)) < 0.2
    rows, count = _combinations(pressed)
    sorted_rows, sorted_count = np.unique(pressed, axis=0, return_counts=True)
    assert rows.tolist() == sorted_rows.tolist()
    assert count.tolist() == sorted_count.tolist()


def test_frames_are_not_sorted() -> None:
    """A vocabulary of many frames takes a fraction of the time of sorting them."""
    values = ControlValues(BRAWL.schema)
    pressed = (np.random.default_rng(0).random((600_000, len(values.names))) < 0.1).astype("f4")
    began = time.process_time()
    vocabulary = fit_vocabulary(values, pressed)
    took = time.process_time() - began
    np.unique(pressed[:200_000] > 0.5, axis=0)
    assert took < time.process_time() - began - took
    assert len(vocabulary["flags"]) > 100
