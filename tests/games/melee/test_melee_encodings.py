"""The encodings of Melee: as wide as the layouts that they repeat, with correct derived values."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import random_columns

from shadowbox.core.encoding import encoding_name
from shadowbox.errors import UsageError
from shadowbox.games.melee import GAME
from shadowbox.games.melee.encodings import PRESETS, encoding
from shadowbox.games.melee.schema import SCHEMA

WIDTHS = {  # floats a player and a frame, ints a frame, float targets, features after embedding
    "v2": (29, 58, 15, 30, 182),
    "v2-embed": (28, 56, 17, 30, 196),
    "v3": (69, 138, 17, 112, 278),
    "v3-projectiles": (72, 144, 17, 112, 284),
}


@pytest.fixture
def columns():
    """Twenty random frames that the schema allows."""
    return random_columns(SCHEMA, 20, seed=4)


@pytest.mark.parametrize("name", WIDTHS)
def test_presets_have_the_widths_of_the_layouts_they_repeat(name, columns):
    """The presets declare and deliver the floats, ints and targets of the layouts they repeat."""
    made, (player, frame, ints, targets, width) = encoding(name), WIDTHS[name]
    assert (len(made.numbers), made.floats, made.ints, made.float_targets, made.int_targets) == (
        player,
        frame,
        ints,
        targets,
        12,
    )
    assert made.frame_width == width
    floats, kinds = made.encode(columns)
    assert floats.shape == (20, frame)
    assert kinds.shape == (20, ints)
    assert floats.dtype == np.float32
    assert kinds.dtype == np.int64
    delivered = made.targets(
        {k: v[:-1] for k, v in columns.items()}, {k: v[1:] for k, v in columns.items()}
    )
    assert delivered[0].shape == (19, targets)
    assert delivered[1].shape == (19, 12)
    assert (kinds < [category.n for category in made.vocabularies]).all()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("v2-embed", 1_153_781), ("v3", 1_573_621), ("v3-projectiles", 1_604_341)],
)
def test_widths_give_the_parameters_of_the_older_policies(name, parameters):
    """Ten frames flattened into 512, 256, 13, plus embeddings, give the older cards' parameters."""
    made = encoding(name)
    tables = {
        category.name: category.n * category.embed for category in (*made.categories, *made.shared)
    }
    layers = 10 * made.frame_width * 512 + 512 + 512 * 256 + 256 + 256 * 13 + 13
    assert layers + sum(tables.values()) == parameters


def test_switches_are_reached_by_name():
    """A game's encodings have `NAME@SWITCH=VALUE`, with that name, so that checkpoints find it again."""
    name = encoding_name({"preset": "v3-projectiles", "hitstun": False, "state_flags": "named"})
    assert name == "v3-projectiles@hitstun=false@state_flags=named"
    made = GAME.encodings[name]
    assert made.name == name
    assert made.numbers == encoding("v3-projectiles", hitstun=False, state_flags="named").numbers
    assert set(GAME.encodings) == {"default", *PRESETS}
    assert GAME.encodings.get("v9@hitstun=false") is None
    with pytest.raises(
        UsageError, match="unknown encoding switch 'histun': did you mean 'hitstun'"
    ):
        GAME.encodings["v3@histun=false"]
    with pytest.raises(UsageError, match="'default' has no switches"):
        GAME.encodings["default@hitstun=false"]


def test_widths_are_those_of_the_older_card():
    """v3-projectiles has 72 floats, 8 ints and 86 predicted flags where the smallest has 29, 7 and 6."""
    old, new = encoding("v2").widths, encoding("v3-projectiles").widths
    names = ("floats_per_player", "ints_per_player", "predicted_binary")
    assert [old[name] for name in names] == [29, 7, 6]
    assert [new[name] for name in names] == [72, 8, 86]
    assert new["predicted_dynamics"] == old["predicted_dynamics"] + 2
    assert (old["encoded_frame_bytes"], new["encoded_frame_bytes"]) == (
        58 * 4 + 15 * 8,
        144 * 4 + 17 * 8,
    )


def test_each_number_is_at_its_named_place(columns):
    """Values of both players are at the places that `float_names` gives them, scaled."""
    made = encoding("v3-projectiles")
    floats, kinds = made.encode(columns)
    at = {name: floats[:, i] for i, name in enumerate(made.float_names)}
    np.testing.assert_allclose(at["p1.x"], columns["player/x"][:, 1] * 0.05, rtol=1e-5)
    np.testing.assert_allclose(at["p0.percent"], columns["player/percent"][:, 0] * 0.01, rtol=1e-5)
    np.testing.assert_array_equal(at["p1.bit_0_0"], columns["player/bit_0_0"][:, 1])
    np.testing.assert_array_equal(at["p0.invulnerable"], columns["player/hurtbox"][:, 0] != 0)
    np.testing.assert_allclose(at["p0.main_x"], columns["pad/main_x"][:, 0] / 2 + 0.5, rtol=1e-3)
    np.testing.assert_allclose(
        at["p1.shoulder"], np.maximum(columns["pad/l_push"], columns["pad/r_push"])[:, 1]
    )
    assert made.float_names[69 + 3 - 13 : 72] == tuple(
        f"p0.{n.name}" for n in made.numbers if n.block == "controls"
    )
    np.testing.assert_array_equal(kinds[:, -1], columns["stage/id"][:, 0])
    np.testing.assert_array_equal(kinds[:, 8], np.minimum(columns["player/action"][:, 1], 399))


def test_the_nearest_item_is_the_nearest(columns):
    """The offset of the nearest item agrees with a search by hand, and is zero without an item."""
    columns["item/alive"][3] = False
    for key in SCHEMA.columns:
        if key.startswith("item/"):
            columns[key][3] = 0
    made = encoding("v3-projectiles")
    floats, _ = made.encode(columns)
    at = {name: floats[:, i] for i, name in enumerate(made.float_names)}
    for row in range(20):
        alive = np.flatnonzero(columns["item/alive"][row])
        assert at["p0.items"][row] == pytest.approx(len(alive) * 0.1)
        offsets = [
            (
                columns["item/x"][row, i] - columns["player/x"][row, 1],
                columns["item/y"][row, i] - columns["player/y"][row, 1],
            )
            for i in alive
        ]
        dx, dy = min(offsets, key=lambda d: d[0] ** 2 + d[1] ** 2, default=(0, 0))
        assert (at["p1.item_dx"][row], at["p1.item_dy"][row]) == pytest.approx(
            (dx * 0.05, dy * 0.05), rel=1e-4
        )


def test_targets_are_changes_and_next_values(columns):
    """Targets are changes of positions and damage and next values of timers and flags, by block."""
    made = encoding("v3")
    now, then = (
        {k: v[part] for k, v in columns.items()} for part in (slice(0, -1), slice(1, None))
    )
    floats, kinds = made.targets(now, then)
    at = dict(zip(made.target_names, floats.T, strict=True))
    assert made.target_names[:5] == ("p0.percent", "p0.x", "p0.y", "p0.shield", "p1.percent")
    np.testing.assert_allclose(
        at["p1.y"], (then["player/y"] - now["player/y"])[:, 1] * 0.05, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(at["p0.hitstun"], then["player/hitstun"][:, 0] * 0.02, rtol=1e-5)
    np.testing.assert_array_equal(kinds[:, 6], np.minimum(then["player/action"][:, 1], 399))


def test_world_models_are_conditioned_on_onsets_and_pushed_axes(columns):
    """Conditions are 26 controls, 16 onsets and 10 thresholds, which at rest are true in legacy."""
    now, before = (
        {k: v[part] for k, v in columns.items()} for part in (slice(1, None), slice(0, -1))
    )
    assert encoding("v3").condition(now, before).shape == (19, 26)
    made = encoding("v3", press_events=True, controller_thresholds="centered")
    conditions = made.condition(now, before)
    assert conditions.shape == (19, 26 + 16 + 10)
    names = [number.name for number in made.conditions]
    pressed = now["pad/a"][:, 0] & ~before["pad/a"][:, 0]
    np.testing.assert_array_equal(conditions[:, names.index("press_a")], pressed)
    rest = SCHEMA.neutral(1)
    assert not made.condition(rest, rest)[:, names.index("pushed_main_x")].any()
    old = encoding("v3", controller_thresholds="legacy")
    assert (
        old.condition(rest, rest)[0, [n.name for n in old.conditions].index("pushed_main_x")] == 1
    )


def test_torch_and_numpy_encode_alike(columns):
    """The same columns as tensors give the same numbers and categories."""
    import torch

    tensors = {
        key: torch.from_numpy(values.astype(np.int64) if values.dtype.kind == "u" else values)
        for key, values in columns.items()
    }
    for name in PRESETS:
        made = encoding(name, press_events=True, controller_thresholds="legacy")
        for ours, theirs in zip(made.encode(columns), made.encode(tensors, torch), strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            made.condition(columns, columns),
            made.condition(tensors, tensors, torch).numpy(),
            rtol=1e-5,
        )
        for ours, theirs in zip(
            made.targets(columns, columns), made.targets(tensors, tensors, torch), strict=True
        ):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_encoded_frames_are_read_back(columns):
    """Columns that an encoding holds unchanged come back from its floats and ints."""
    made = encoding("v2")
    back = made.read_back(*made.encode(columns))
    np.testing.assert_allclose(back["player/x"], columns["player/x"], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(back["pad/main_y"], columns["pad/main_y"], atol=1e-6)
    np.testing.assert_array_equal(back["stage/id"], columns["stage/id"])
    assert "player/hurtbox" in back
    assert "pad/l_push" not in back


@pytest.mark.parametrize(
    ("name", "switches", "message"),
    [
        ("v3", {"multi_position": True}, "unknown encoding switch 'multi_position'"),
        ("v3", {"hitstun": "yes"}, r"'hitstun' must be True or False \(got 'yes'\)"),
        ("v3", {"state_flags": True}, r"'state_flags' must be no or named or all \(got True\)"),
        ("v4", {}, "unknown encoding 'v4'"),
    ],
)
def test_unknown_encodings_and_switches_are_refused(name, switches, message):
    """An unknown preset or switch, or a value that a switch cannot have, is a wrong call."""
    with pytest.raises(UsageError, match=message):
        encoding(name, **switches)
