"""A controller with every kind of control, and random columns as a model takes them."""

from __future__ import annotations

import numpy as np
import torch
from conftest import random_columns

from shadowbox.core.schema import Choice, Flag, Group, Real, Schema

PAD = Schema(
    "pad",
    fps=30,
    state=(Group("ball", (Real("x", scale=0.5),)),),
    controls=Group(
        "stick",
        (
            Flag("a"),
            Choice("way", 5),
            Real("push", scale=2.0),
            Real("m_x", low=-1, high=1),
            Real("m_y", low=-1, high=1),
            Flag("b"),
        ),
        slots=2,
        per="player",
    ),
)


def tensors(schema: Schema, rows: int, seed: int) -> dict[str, torch.Tensor]:
    """Random columns as the codec decodes them, [rows, slots]."""
    columns = random_columns(schema, rows, seed)
    found = {}
    for key, values in columns.items():
        kind = (
            np.float32
            if schema.columns[key].field.kind == "real"
            else bool
            if values.dtype == bool
            else np.int64
        )
        found[key] = torch.from_numpy(np.array(values, kind))
    return found


def columns_of(schema: Schema, batch: int, steps: int, seed: int = 1) -> dict[str, torch.Tensor]:
    """Random columns [batch, steps, slots]."""
    return {
        key: values.view(batch, steps, -1)
        for key, values in tensors(schema, batch * steps, seed).items()
    }
