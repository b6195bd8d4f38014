"""The older system in our form: its inputs, and its transformer beside one in plain PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from shadowbox.games.gesture import GAME
from shadowbox.games.gesture.body import record
from shadowbox.games.gesture.older import ENCODING
from shadowbox.games.gesture.schema import INPUT_VALUES, OLDER_ORDER, SCHEMA
from shadowbox.model.design import CONTROL_TRANSFORMER
from shadowbox.model.policy import build_policy
from shadowbox.train.schedule import count

WINDOW, HISTORY = 30, 5
OUTPUTS = [key for key in SCHEMA.control_keys if key != "control/looking"]


@pytest.fixture(scope="module")
def session():
    """Columns of a short synthetic session."""
    (episode,) = record(3, 0, people=1, seconds=6.0, people_of="train", rests=0.0)
    return episode.columns


@pytest.fixture(scope="module")
def policy():
    """The control transformer with random weights, whose inputs have an odd mean and spread."""
    arguments = {
        "input_columns": list(SCHEMA.state_keys),
        "config": {**CONTROL_TRANSFORMER, "output_controls": OUTPUTS},
        "encoding": {"name": "older", "settings": {}},
    }
    model = build_policy(SCHEMA, arguments, 1, ENCODING).eval()
    with torch.no_grad():
        model.trunk.mean.copy_(torch.linspace(-0.2, 0.2, INPUT_VALUES))
        model.trunk.spread.copy_(torch.linspace(0.5, 2, INPUT_VALUES))
        model.trunk.decay.fill_(-1.3)
    return model


class Reference(nn.Module):
    """The older model as its description says, in plain PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.positions = nn.Linear(671, 256), nn.Embedding(30, 256)
        self.layers = nn.ModuleList(
            [nn.TransformerEncoderLayer(256, 8, 512, 0.3, batch_first=True) for _ in range(6)]
        )
        self.decay = nn.Parameter(torch.tensor(-2.0))
        sizes = {"action": 12, "look": 2, "hotbar": 9, "cursor": 2, "inv": 3}
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, size)
                )
                for name, size in sizes.items()
            }
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Outputs by head of inputs x [B, 30, 671] with mask [B, 30]."""
        h = self.enter(x) + self.positions.weight
        for layer in self.layers:
            h = layer(h, src_key_padding_mask=mask == 0)
        weight = torch.exp(self.decay * (1 - torch.arange(30) / 29)) * mask
        pooled = (h.nan_to_num() * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
        out = {name: head(pooled) for name, head in self.heads.items()}
        return {**out, "look": out["look"].tanh(), "cursor": out["cursor"].sigmoid()}

    def take(self, policy: nn.Module) -> Reference:
        """The weights of the policy."""
        trunk, head = policy.trunk, policy.head
        self.enter.load_state_dict(trunk.enter.state_dict())
        self.positions.load_state_dict(trunk.positions.state_dict())
        self.layers.load_state_dict(trunk.encoder.layers.state_dict())
        self.heads.load_state_dict(head.layers.state_dict())
        with torch.no_grad():
            self.decay.copy_(trunk.decay)
        return self.eval()


def windows_of(session, policy, frame: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Input [1, 30, 671] and mask of the window that ends at a frame, built number by number."""
    frames = range(max(0, frame - WINDOW + 1), frame + 1)
    before = {key: np.zeros_like(session[key][:1]) for key in SCHEMA.control_keys}

    def pressed(row: int) -> dict[str, np.ndarray]:
        return {
            key: before[key] if row < 0 else session[key][row : row + 1]
            for key in SCHEMA.control_keys
        }

    rows = []
    for at in frames:
        now = {key: session[key][at : at + 1] for key in SCHEMA.state_keys}
        floats = ENCODING.encode({**now, **pressed(at - 1)})[0][0]
        history = []
        for back in range(HISTORY, 0, -1):
            # the mode of a cursor is that of the frame that it is shown with
            shown_with = max(at - back + 1, 0)
            state = {key: session[key][shown_with : shown_with + 1] for key in SCHEMA.state_keys}
            controls = ENCODING.encode({**state, **pressed(at - back)})[0][0][-28:]
            history.append(controls if at - back + 1 >= 0 else 0 * controls)
        rows.append(np.concatenate([floats[:-28], *history]))
    x = np.zeros((WINDOW, INPUT_VALUES), np.float32)
    x[: len(rows)] = rows
    mask = torch.zeros(1, WINDOW)
    mask[0, : len(rows)] = 1
    scaled = (torch.from_numpy(x)[None] - policy.trunk.mean) / policy.trunk.spread
    return scaled * mask[..., None], mask


def test_the_inputs_of_the_older_system(session):
    """Numbers that are computed together are those of each declared input; 671 with the history."""
    together, nothing = ENCODING.encode(session)
    each = [number.of(session, np) for number in ENCODING.numbers]
    np.testing.assert_allclose(together, np.concatenate(each, -1), rtol=1e-6)
    assert nothing.shape[-1] == 0
    tensors = {key: torch.from_numpy(values) for key, values in session.items()}
    np.testing.assert_array_equal(ENCODING.encode(tensors, torch)[0].numpy(), together)
    blocks = [number.block for number in ENCODING.numbers]
    counts = {name: blocks.count(name) for name in dict.fromkeys(blocks)}
    assert counts == {"camera": 260, "velocity": 225, "game": 46, "controls": 28}
    assert together.shape[-1] + (HISTORY - 1) * counts["controls"] == INPUT_VALUES == 671
    assert tuple(number.name for number in ENCODING.numbers[-28:]) == OLDER_ORDER
    assert GAME.encodings["older"] is ENCODING


def test_the_model_is_the_older_one(session, policy):
    """It has 3,510,429 parameters, and outputs equal to plain PyTorch, from the first frame on."""
    assert count(policy.parameters()) == 3_510_429
    reference = Reference().take(policy)
    rows = 40
    view = {key: torch.from_numpy(session[key][None, :rows].copy()) for key in SCHEMA.state_keys}
    for key in SCHEMA.control_keys:
        shifted = np.concatenate([np.zeros_like(session[key][:1]), session[key][: rows - 1]])
        view[key] = torch.from_numpy(shifted[None])
    reset = torch.zeros(1, rows, dtype=torch.bool)
    reset[0, 0] = True
    with torch.no_grad():
        output, _ = policy.seq(view, policy.values.of(view), reset)
        parts = dict(
            zip(
                [part.name for part in policy.head.parts],
                output.output.split(policy.head.widths, -1),
                strict=True,
            )
        )
        named = dict(zip(policy.values.names, output.mean()[0].unbind(-1), strict=True))
        for frame in (0, 1, 7, 28, 29, 33, 39):
            expected = reference(*windows_of(session, policy, frame))
            for name in ("action", "inv"):
                torch.testing.assert_close(
                    parts[name][0, frame], expected[name][0], atol=2e-5, rtol=1e-4
                )
            slots = parts["hotbar"][0, frame, 1:]
            torch.testing.assert_close(slots, expected["hotbar"][0], atol=2e-5, rtol=1e-4)
            look = torch.stack([named[f"control/look_{axis}"][frame] for axis in ("yaw", "pitch")])
            torch.testing.assert_close(look, expected["look"][0], atol=2e-5, rtol=1e-4)
            cursor = torch.stack([named[f"control/cursor_{axis}"][frame] for axis in "xy"])
            torch.testing.assert_close(
                cursor / 2 + 0.5, expected["cursor"][0], atol=2e-5, rtol=1e-4
            )


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_no_change_is_likely_where_no_slot_is(policy, share):
    """Of the slots the likeliest has `share`: no change has the rest, and each slot its part of it."""
    head, part = policy.head, policy.head.parts[-1]
    logits = torch.full((9,), (1 - share) / 8).log()
    logits[3] = np.log(share)
    with torch.no_grad():
        last = head.layers["hotbar"][-1]
        last.weight.zero_()
        last.bias.copy_(logits)
        output = head(torch.zeros(1, 256), torch.zeros(1, 20), torch.zeros(1, 20))
        chances = part.log_probs(output[..., -10:], torch.zeros(1)).exp()[0]
    assert chances[0] == pytest.approx(1 - share, abs=1e-5)
    assert chances[4] == pytest.approx(share * share, abs=1e-5)
