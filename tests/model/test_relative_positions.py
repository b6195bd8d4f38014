"""Distances between slots: derived from names and units, correct, and invariant to shifts."""

from __future__ import annotations

import pytest
import torch
from conftest import TOY, random_columns
from hypothesis import given
from hypothesis import strategies as st

from shadowbox.core.schema import Flag, Group, Real, Schema
from shadowbox.core.view import mirrored
from shadowbox.games import load
from shadowbox.model.design import PRESETS
from shadowbox.model.embedding import ColumnEmbedding, visible_columns
from shadowbox.model.policy import build_policy, preset_arguments
from shadowbox.model.relative_positions import LOOKS, RelativePositions, pairs
from shadowbox.play.policy_agent import as_tensor

FIELD = Schema(
    "field",
    fps=30,
    state=(
        Group(
            "player",
            (Real("x", scale=0.5, unit="m", mirror="negate"), Real("age", unit="s"), Real("luck")),
            slots=2,
            per="player",
        ),
        Group(
            "ball",
            (Flag("there"), Real("x", scale=0.1, unit="m", mirror="negate"), Real("luck")),
            slots=2,
            mask="there",
        ),
        Group("wall", (Real("x", unit="ft"),)),
    ),
    controls=Group("pad", (Flag("a"), Real("x", unit="m")), slots=2, per="player"),
)
KEYS = tuple(FIELD.columns)


def tensors(schema, rows, seed):
    """Random columns as a policy gets them."""
    return {key: as_tensor(values) for key, values in random_columns(schema, rows, seed).items()}


def distances(embed, columns):
    """Distance features of an embedding by name."""
    features = embed(columns)
    return {name: features[:, first] for name, first, _ in embed.describe() if " from " in name}


def test_what_has_one_name_and_unit_is_compared():
    """The own slot is compared with all others of the same name and unit.

    Fields with other units or without a unit, and controls, are not compared.
    """
    assert [tuple(pair) for pair in pairs(FIELD, KEYS)] == [
        ("player/x", "player/x", 1),
        ("player/x", "ball/x", 0),
        ("player/x", "ball/x", 1),
        ("player/age", "player/age", 1),
    ]
    unseen = [key for key in KEYS if key != "ball/there"]
    assert {pair.other for pair in pairs(FIELD, unseen)} == {"player/x", "player/age"}, (
        "a masked column without its mask must be left out"
    )
    assert pairs(TOY, ["stage/wind"]) == []


def test_distances_by_hand():
    """A distance is the other's place less the own, in the own field's scale, plain and squashed.

    A slot that its mask hides is at distance 0.
    """
    columns = {key: as_tensor(values) for key, values in FIELD.neutral(1).items()}
    columns["player/x"] = torch.tensor([[1.0, 4.0]])
    columns["ball/x"], columns["ball/there"] = (
        torch.tensor([[0.0, 0.5]]),
        torch.tensor([[False, True]]),
    )
    features = distances(ColumnEmbedding(FIELD, KEYS, relative_positions=True), columns)
    steep = list(LOOKS.values())
    for name, away in (("player/x[1]", 1.5), ("ball/x[0]", 0.0), ("ball/x[1]", -0.25)):
        assert [features[f"{name} {look} from player/x"].item() for look in LOOKS] == pytest.approx(
            [away, *torch.tanh(away * torch.tensor(steep[1:])).tolist()]
        )


@given(st.integers(0, 99), st.floats(-50, 50))
def test_they_do_not_depend_on_where_everything_stands(seed, shift):
    """A shifted scene has the same distances; a mirrored one has the opposite ones along x."""
    columns = tensors(FIELD, 4, seed)
    embed = ColumnEmbedding(FIELD, KEYS, relative_positions=True)
    moved = {
        key: values + shift if key.endswith("r/x") else values for key, values in columns.items()
    }
    moved["ball/x"] = columns["ball/x"] + shift
    mirror = {
        key: as_tensor(values)
        for key, values in mirrored(FIELD, random_columns(FIELD, 4, seed)).items()
    }
    here, there, flipped = (distances(embed, each) for each in (columns, moved, mirror))
    for name, values in here.items():
        torch.testing.assert_close(there[name], values, atol=1e-2, rtol=1e-3)
        torch.testing.assert_close(flipped[name], -values if "/x[" in name else values)


def test_features_are_named_and_counted():
    """An embedding is as wide as the names of its features, and fixed features come first.

    Presets of older systems have no distances.
    """
    for schema in (TOY, FIELD, load("brawl").schema, load("melee").schema):
        keys = visible_columns(schema)
        for wanted in (False, True):
            embed = ColumnEmbedding(schema, keys, relative_positions=wanted)
            features = embed(tensors(schema, 2, 0))
            named = embed.describe()
            assert features.shape == (2, embed.width) == (2, named[-1][2])
            assert any(" from " in name for name, _, _ in named) == (
                wanted and bool(pairs(schema, keys))
            )
            assert all(first < embed.fixed for name, first, _ in named if " from " in name)
    assert RelativePositions(FIELD, ["wall/x"], []).width == 0
    assert "relative_positions" not in PRESETS["policy-mlp"]
    shown = {
        preset: build_policy(FIELD, preset_arguments(preset, FIELD.state_keys)).embed.distances
        for preset in ("policy-mlp", "default")
    }
    assert (shown["policy-mlp"], shown["default"] is None) == (None, False)
