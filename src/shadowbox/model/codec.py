"""What each kind of field means to a model. So far: packed bytes become tensors on the device that will use them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from shadowbox.core.schema import Block, Schema

STORED = {"f4": torch.float32, "f2": torch.float16, "u4": torch.uint32, "u2": torch.uint16, "u1": torch.uint8}


def decode(schema: Schema, packed: Tensor, keys: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Bytes [..., row_bytes] -> columns [..., slots] on the same device: reals f32, flags bool, choices int64.

    One conversion for each storage class, however many columns it has; columns are views of its result.
    """
    row_bytes = schema.row_dtype.itemsize
    if packed.dtype != torch.uint8 or packed.shape[-1] != row_bytes:
        raise ValueError(f"packed rows are uint8 [..., {row_bytes}], not {packed.dtype} {tuple(packed.shape)}")
    wanted = set(schema.columns if keys is None else keys)
    if unknown := wanted - schema.columns.keys():
        raise KeyError(f"{schema.name} has no column {', '.join(sorted(unknown))}")
    columns: dict[str, Tensor] = {}
    for block in schema.blocks:
        if any(column.key in wanted for column in block.columns):
            widths = [column.slots for column in block.columns]
            parts = torch.split(_values(block, packed), widths, dim=-1)
            columns |= {c.key: part for c, part in zip(block.columns, parts, strict=True) if c.key in wanted}
    return columns


def _values(block: Block, packed: Tensor) -> Tensor:
    """All values of one storage class, [..., block.width]."""
    stored = packed[..., block.offset : block.offset + block.nbytes]
    if block.store == "bit":
        places = torch.arange(8, dtype=torch.uint8, device=packed.device)
        bits = (stored.unsqueeze(-1) >> places) & 1
        return bits.flatten(-2)[..., : block.width].bool()
    # clone, not contiguous: an empty batch counts as contiguous whatever its strides, and cannot be viewed
    values = stored.clone(memory_format=torch.contiguous_format).view(STORED[block.store])
    return values.float() if block.store[0] == "f" else values.long()
