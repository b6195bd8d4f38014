"""Fields of gesture: the sizes of the older system's vectors, modes, gates and the mirror."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shadowbox.core.declaration import schema_problems
from shadowbox.core.schema import Group, Real, Schema
from shadowbox.core.view import mirrored
from shadowbox.errors import SchemaError
from shadowbox.games import load
from shadowbox.games.gesture import schema
from shadowbox.games.gesture.schema import CONTROL_GROUPS, CONTROLS, POSE_LANDMARKS, SCHEMA
from shadowbox.model.codec import ControlValues, decode, has_mirror, mirrored_where
from shadowbox.testing import random_rows

# names and order of the 28 controls of the older system, typed from its documentation
TYPED = (
    "move_forward move_backward strafe_left strafe_right sprint sneak jump attack use_item "
    "look_yaw look_pitch drop_item swap_offhand open_inventory hotbar_1 hotbar_2 hotbar_3 hotbar_4 "
    "hotbar_5 hotbar_6 hotbar_7 hotbar_8 hotbar_9 cursor_x cursor_y inv_left inv_right "
    "inv_shift_held"
)


def test_the_sizes_of_the_older_system_follow_from_the_fields():
    """260 + 225 + 46 + 140 = 671 inputs and 28 controls are sums over the declaration."""
    assert schema.FRAME_VALUES == 260
    assert schema.POSITION_VALUES == 225
    assert schema.STATE_VALUES == 46
    assert schema.HISTORY_VALUES == 140
    assert schema.INPUT_VALUES == 671
    assert len(POSE_LANDMARKS) == 33
    assert len(schema.HAND_LANDMARKS) == 21
    assert tuple(TYPED.split()) == schema.OLDER_ORDER
    assert sorted(CONTROLS) == sorted(TYPED.split())
    assert [len(names) for names in CONTROL_GROUPS.values()] == [12, 2, 9, 2, 3]


def test_every_control_is_a_field_with_its_mode():
    """Each control counts in play, with a screen open, or always, and the gates are fields."""
    fields = {field.name: field for field in SCHEMA.controls.fields}
    modes = {
        name: {schema.IN_PLAY: "play", schema.IN_SCREEN: "screen", schema.ALWAYS: "always"}[
            field.when
        ]
        for name, field in fields.items()
    }
    assert {name for name, mode in modes.items() if mode == "always"} == {"open_inventory"}
    assert {name for name, mode in modes.items() if mode == "screen"} == {
        *schema.CURSOR,
        *schema.INVENTORY,
    }
    named = {name for name in CONTROLS if not name.startswith("hotbar_")}
    assert set(fields) == {*named, "hotbar", "looking"}
    assert fields["hotbar"].names[1:] == schema.HOTBAR
    assert set(schema.PULSES) < set(CONTROLS)


def test_controls_out_of_their_mode_are_neutral():
    """The codec presses what the mode allows: no clicks in play, and no keys with a screen open."""
    values = ControlValues(SCHEMA)
    pressed = torch.ones(2, len(values.names))
    view = {"game/screen_open": torch.tensor([[False], [True]])}
    play, screen = (
        {name for name, value in zip(values.names, row.tolist(), strict=True) if value}
        for row in values.only_active(pressed, view)
    )
    assert play & screen == {"control/open_inventory"}
    assert "control/attack" in play
    assert "control/cursor_x" in screen
    assert play | screen == set(SCHEMA.control_keys)


def test_the_mirror_exchanges_sides_of_the_body():
    """A raised left hand becomes a raised right one on the other side of the picture, and back."""
    columns = SCHEMA.neutral(1)
    left, right = POSE_LANDMARKS.index("left_wrist"), POSE_LANDMARKS.index("right_wrist")
    columns["pose/x"][0, left], columns["pose/y"][0, left] = 0.3, -0.5
    columns["hand/x"][0, schema.HAND_OF["left"]] = np.linspace(0.1, 0.2, 21)
    columns["seen/left_hand"][:] = True
    columns["control/strafe_left"][:] = True
    columns["control/look_yaw"][:] = 0.5
    seen = mirrored(SCHEMA, columns)
    assert seen["pose/x"][0, right] == -columns["pose/x"][0, left]
    assert seen["pose/y"][0, right] == columns["pose/y"][0, left]
    assert not seen["pose/y"][0, left]
    np.testing.assert_array_equal(
        seen["hand/x"][0, schema.HAND_OF["right"]], -columns["hand/x"][0, schema.HAND_OF["left"]]
    )
    assert seen["seen/right_hand"].all()
    assert not seen["seen/left_hand"].any()
    assert seen["control/strafe_right"].all()
    assert (seen["control/look_yaw"] == -0.5).all()


def test_mirrors_of_arrays_and_tensors_are_equal():
    """Training sees the mirror that `core.view` defines, slots included."""
    assert has_mirror(SCHEMA)
    rows = random_rows(SCHEMA, 6, seed=3)
    packed = torch.from_numpy(SCHEMA.pack(rows).view(np.uint8).reshape(6, -1))
    columns = decode(SCHEMA, packed)
    chosen = torch.tensor([True, False, True, True, False, False])
    found = mirrored_where(SCHEMA, columns, chosen)
    expected = mirrored(SCHEMA, {key: values.numpy() for key, values in columns.items()})
    for key, values in found.items():
        wanted = np.where(chosen.numpy()[:, None], expected[key], columns[key].numpy())
        np.testing.assert_array_equal(values.numpy(), wanted, err_msg=key)


@pytest.mark.parametrize("partners", [(1, 2, 0), (0, 1), (0, 0, 2), (0, 1, 3)])
def test_slots_of_a_mirror_are_pairs(partners):
    """A mirror of slots that is not its own inverse, or does not fit, is refused."""
    pads = Group("pad", (Real("x"),), per="player")
    with pytest.raises(SchemaError, match="mirror_slots must name the partner"):
        Schema(
            "odd",
            30,
            (Group("point", (Real("y"),), slots=3, mirror_slots=partners),),
            controls=pads,
        )
    allowed = Schema(
        "even", 30, (Group("point", (Real("y"),), slots=3, mirror_slots=(1, 0, 2)),), controls=pads
    )
    assert not list(schema_problems(allowed))
    assert Schema.from_json(allowed.to_json()) == allowed


def test_the_default_inputs_leave_out_what_follows_the_controls():
    """The default encoding has the body and the game's state, and none of the leaks; `body` the mode."""
    encodings = load("gesture").encodings
    assert not set(schema.LEAKS) & set(encodings["default"])
    assert {*encodings["default"], *schema.LEAKS} == set(SCHEMA.columns)
    of_game = [key for key in encodings["body"] if key.startswith("game/")]
    assert of_game == ["game/screen_open"]
