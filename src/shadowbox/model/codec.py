"""Codec between columns and tensors, by kind of field: decode, view from a seat, mirror, controls.

Fields are stored one by one and computed by kind: all columns of a kind go through one call.
Embeddings are in `model/embedding.py`, distributions over controls in `model/distributions.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.schema import Array, Block, Choice, Column, Flag, Real, Schema
from shadowbox.core.view import seat_order
from shadowbox.errors import UsageError, did_you_mean

View = Mapping[str, Tensor]  # columns [B, T, slots] by key, own slot first

STORED = {
    "f4": torch.float32,
    "f2": torch.float16,
    "u4": torch.uint32,
    "u2": torch.uint16,
    "u1": torch.uint8,
}


def decode(schema: Schema, packed: Tensor, keys: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Columns [..., slots] of packed bytes [..., row_bytes], on the same device.

    Reals are f32, flags bool, choices int64. There is one conversion for each storage class,
    however many columns it has; columns are views of its result.
    """
    row_bytes = schema.row_dtype.itemsize
    if packed.dtype != torch.uint8 or packed.shape[-1] != row_bytes:
        raise ValueError(
            f"packed rows must be uint8 [..., {row_bytes}] "
            f"(got {packed.dtype} {tuple(packed.shape)})"
        )
    wanted = set(schema.columns if keys is None else keys)
    if unknown := wanted - schema.columns.keys():
        raise KeyError(f"{schema.name} has no column {', '.join(sorted(unknown))}")
    columns: dict[str, Tensor] = {}
    for block in schema.blocks:
        if any(column.key in wanted for column in block.columns):
            widths = [column.slots for column in block.columns]
            parts = torch.split(_values(block, packed), widths, dim=-1)
            columns |= {
                c.key: part for c, part in zip(block.columns, parts, strict=True) if c.key in wanted
            }
    return columns


def _values(block: Block, packed: Tensor) -> Tensor:
    """Values of one storage class, [..., block.width]."""
    stored = packed[..., block.offset : block.offset + block.nbytes]
    if block.store == "bit":
        shifts = torch.arange(8, dtype=torch.uint8, device=packed.device)
        bits = (stored.unsqueeze(-1) >> shifts) & 1
        return bits.flatten(-2)[..., : block.width].bool()
    # clone, not contiguous: an empty batch counts as contiguous whatever its strides, and cannot be
    # viewed
    values = stored.clone(memory_format=torch.contiguous_format).view(STORED[block.store])
    return values.float() if block.store[0] == "f" else values.long()


# ---- seats and mirror ----------------------------------------------------------------------------


def from_every_seat(
    schema: Schema, columns: Mapping[str, Tensor], seats: Sequence[int] | None = None
) -> dict[str, Tensor]:
    """Batch as seen by one player after another: [B, ..., slots] -> [seats * B, ..., slots].

    The same as `core.view.from_seat`, for tensors. `seats` are the players (default: all).
    """
    chosen = range(schema.players) if seats is None else seats
    if len(chosen) == 1:
        return {
            key: _seated(values, schema.columns[key], chosen[0], schema.players)
            for key, values in columns.items()
        }
    return {
        key: torch.cat(
            [_seated(values, schema.columns[key], player, schema.players) for player in chosen]
        )
        for key, values in columns.items()
    }


def _seated(values: Tensor, column: Column, player: int, players: int) -> Tensor:
    if player == 0:
        return values
    if column.group.per:
        order = seat_order(column.slots, player, players)
        values = values.flip(-1) if isinstance(order, slice) else values[..., order]
    if isinstance(column.field, Choice) and column.field.seat:
        names = torch.arange(column.field.n, device=values.device)
        names[[0, player]] = names[[player, 0]]
        values = names[values]
    return values


def mirrored_where(
    schema: Schema, columns: Mapping[str, Tensor], chosen: Tensor
) -> dict[str, Tensor]:
    """Columns [B, ..., slots] with left and right exchanged in the examples `chosen` [B].

    The same as `core.view.mirrored`, for tensors. All columns of a group must be given.
    """
    out: dict[str, Tensor] = {}
    for key, values in columns.items():
        column = schema.columns[key]
        rule, group = column.field.mirror, column.group
        if rule == "keep" and not group.mirror_slots:
            out[key] = values
            continue
        if rule == "keep":
            other = values
        elif rule == "negate":
            other = -values
        elif rule == "invert":
            other = ~values & columns[f"{group.name}/{group.mask}"] if group.mask else ~values
        else:
            other = columns[f"{group.name}/{rule}"]
        if group.mirror_slots:
            other = other[..., list(group.mirror_slots)]
        out[key] = torch.where(chosen.view(-1, *[1] * (values.ndim - 1)), other, values)
    return out


def has_mirror(schema: Schema) -> bool:
    """Return true if any field of the schema distinguishes left and right."""
    return any(
        column.field.mirror != "keep" or column.group.mirror_slots
        for column in schema.columns.values()
    )


# ---- controls as numbers -------------------------------------------------------------------------


class ControlValues:
    """Own controls of a frame as V numbers: reals, flags, then choices, with one player's slots.

    `names` gives the column of each value. `output_controls` selects some controls; the others stay
    neutral. A selection such as "pad/x|pad/y" joins several controls of one kind: its value is the
    largest of theirs, and is given to the first. A control with a mode (`when`) is neutral wherever
    its mode is off, so that presses without effect are neither learned nor made.
    """

    def __init__(self, schema: Schema, output_controls: Sequence[str] = ()) -> None:
        self.schema, self.slots = schema, schema.controls.slots // schema.players
        selected = [tuple(keys.split("|")) for keys in output_controls or schema.control_keys]
        _require_controls(schema, selected)
        order = {
            kind: [keys for keys in selected if isinstance(schema.columns[keys[0]].field, kind)]
            for kind in (Real, Flag, Choice)
        }
        self.sources = [keys for chosen in order.values() for keys in chosen]
        self.keys = [keys[0] for keys in self.sources]
        self.names = [key for key in self.keys for _ in range(self.slots)]
        self.kinds = np.array([schema.columns[key].field.kind for key in self.names])
        self.modes = {
            at: mode
            for at, key in enumerate(self.names)
            if (mode := schema.columns[key].field.when)
        }

    def of(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Own controls [..., V] among columns [..., slots]."""
        return torch.cat(
            [
                self._largest([columns[key][..., : self.slots] for key in keys])
                for keys in self.sources
            ],
            dim=-1,
        )

    def of_arrays(self, columns: Mapping[str, Array]) -> Array:
        """Own controls f32 [..., V] among NumPy columns."""
        parts = [
            np.max([columns[key][..., : self.slots] for key in keys], axis=0)
            for keys in self.sources
        ]
        return np.concatenate(parts, axis=-1, dtype=np.float32, casting="unsafe")

    def columns(self, values: Tensor) -> dict[str, Tensor]:
        """Every control {key: [..., slots a player]} from values [..., V].

        Reals are f32, flags bool, choices int64; controls without a value are neutral.
        """
        parts = dict(zip(self.keys, torch.split(values, self.slots, -1), strict=True))
        neutral = values.new_zeros(*values.shape[:-1], self.slots)
        return {key: self._typed(key, parts.get(key, neutral)) for key in self.schema.control_keys}

    def _largest(self, parts: Sequence[Tensor]) -> Tensor:
        return (
            parts[0].float()
            if len(parts) == 1
            else torch.stack([part.float() for part in parts]).amax(0)
        )

    def _typed(self, key: str, values: Tensor) -> Tensor:
        kind = self.schema.columns[key].field.kind
        return (
            values if kind == "real" else values > 0.5 if kind == "flag" else values.round().long()
        )

    def active(self, columns: Mapping[str, Tensor]) -> Tensor | None:
        """Mask of the values whose mode is on, bool [..., V]; None if no value has a mode."""
        if not self.modes:
            return None
        example = next(iter(columns.values()))
        always = torch.ones(example.shape[:-1], dtype=torch.bool, device=example.device)
        masks = [
            self._on(self.modes[at], columns) if at in self.modes else always
            for at in range(len(self.names))
        ]
        return torch.stack(masks, -1)

    def read_beside(self, columns: Sequence[str]) -> tuple[str, ...]:
        """State columns, all controls, and the flags of their modes: what a policy reads."""
        modes = (mode.removeprefix("!") for mode in self.modes.values())
        return tuple(dict.fromkeys((*columns, *self.schema.control_keys, *modes)))

    def only_active(self, values: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        """Values [..., V], neutral where their mode is off."""
        active = self.active(columns)
        return values if active is None else values * active

    def _on(self, mode: str, columns: Mapping[str, Tensor]) -> Tensor:
        on = columns[mode.removeprefix("!")][..., 0]
        return ~on if mode.startswith("!") else on


def _require_controls(schema: Schema, selected: Sequence[tuple[str, ...]]) -> None:
    for keys in selected:
        for key in keys:
            if key not in schema.control_keys:
                raise UsageError(
                    f"output_controls: {schema.name} has no control '{key}': "
                    f"{did_you_mean(key, schema.control_keys)}"
                )
        kinds = [schema.columns[key].field.kind for key in keys]
        if len(set(kinds)) > 1:
            raise UsageError(
                f"output_controls: controls joined by | must be of one kind "
                f"(got {'|'.join(keys)} of kinds {', '.join(kinds)})"
            )
