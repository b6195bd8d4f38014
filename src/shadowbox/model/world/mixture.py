"""Distribution over reals: exact amounts and values (atoms), and a continuous mixture beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.core.dynamics.rules import _Span
from shadowbox.core.schema import Array, Real, Schema
from shadowbox.model.world.layout import _Unit
from shadowbox.model.world.vocabulary import ABSOLUTE, RELATIVE, SCALED, _Vocabulary, tolerance

NEVER = -1e9  # logit of an option that is not legal
COMPONENTS = 4  # of the continuous mixture
RULED_OUT = -50.0  # log of a probability of zero; exponentials of less than -87 are slow
WORST = 60.0  # nats of a value that the distribution excludes
# options of less than this share of the most likely one are not drawn: most of them are what a model
# does not know yet, and a frame that cannot be is followed by others
RAREST = 0.02
STEEP = (4.0, 16.0, 64.0, 512.0)  # steepness of the tanh of a distance, in scales of the field


class _Mixture(nn.Module):
    """Distributions over U reals, from outputs [..., U * (atoms + 3 * components)].

    A value is given as its distance from `base`, the value without a surprise. Atoms are padded to
    one number; probabilities are those of a bin as wide as the resolution of the field.
    """

    atom: Tensor
    relative: Tensor
    scale: Tensor
    near: Tensor
    legal: Tensor
    limits: Tensor  # [2, U, 1]
    wall: Tensor
    wall_unit: Tensor

    def __init__(
        self,
        schema: Schema,
        vocabulary: _Vocabulary,
        units: Sequence[_Unit],
        zones: Mapping[str, Sequence[_Span]],
    ) -> None:
        """`zones`: ends between which columns stay, beside the exact values that they jump to."""
        super().__init__()
        ways = [vocabulary.reals[unit.key] for unit in units]
        most = max(1, *map(len, ways))
        value = torch.full((len(units), most), torch.nan)
        relative = torch.zeros(len(units), most)
        for at, atoms in enumerate(ways):
            for place, (kind, amount) in enumerate(atoms):
                value[at, place] = 0.0 if kind == SCALED else amount
                relative[at, place] = amount if kind == SCALED else float(kind != ABSOLUTE)
        fields = [schema.columns[unit.key].field for unit in units]
        legal = functional.pad(torch.where(value.isnan(), RULED_OUT, 0.0), (0, COMPONENTS))
        for name, tensor in (
            ("atom", value.nan_to_num(1e30)),
            ("relative", relative),
            ("scale", torch.tensor([each.scale for each in fields if isinstance(each, Real)])),
            ("near", torch.tensor([tolerance(unit.key, schema) for unit in units])),
            ("legal", legal),
            ("limits", torch.tensor([each.limits for each in fields]).float().T[..., None]),
        ):
            self.register_buffer(name, tensor, persistent=False)
        self.atoms, self.outputs = most, len(units) * (most + 3 * COMPONENTS)
        walls = [
            (at, amount)
            for at, (atoms, field) in enumerate(zip(ways, fields, strict=True))
            for amount in (
                *_exact_values(atoms, field.limits[0]),
                *(end for span in zones.get(units[at].key, ()) for end in span[:2]),
                *vocabulary.ends.get(units[at].key, ()),
            )
        ]
        self.register_buffer(
            "wall_unit", torch.tensor([at for at, _ in walls], dtype=torch.int64), persistent=False
        )
        self.register_buffer("wall", torch.tensor([a for _, a in walls]).float(), persistent=False)
        self.distances = len(STEEP) * len(walls)  # outputs of `to_exact`

    def begin(self, bias: Tensor, shares: Sequence[Array | None]) -> None:
        """Set the bias of the outputs so that every option is as likely as it is frequent."""
        logits = bias.data.view(len(shares), -1)
        for row, known in zip(logits, shares, strict=True):
            if known is not None:
                share = torch.from_numpy(np.log(np.maximum(known, 1e-4))).float()
                row[: len(known) - 1] = share[:-1]
                row[self.atoms : self.atoms + COMPONENTS] = share[-1] - math.log(COMPONENTS)

    def nats(self, output: Tensor, base: Tensor, target: Tensor, possible: Tensor | None) -> Tensor:
        """Nats of values `target` [..., U], of the options that are possible, [..., U, atoms + 1]."""
        logits, mean, spread = self._parts(output, possible)
        logits = logits.log_softmax(-1)
        away = target[..., None] - self.exact(base)
        exact = torch.where(away.abs() <= self.near[:, None], 0.0, RULED_OUT)
        change = ((target - base) * self.scale)[..., None]
        # a two-sided exponential
        resolution = (self.near * self.scale)[:, None]
        inside = -(change - mean).abs() / spread - torch.log(spread / resolution)
        each = (logits + torch.cat([exact, inside], -1)).clamp(min=-WORST)
        return -torch.logsumexp(each, -1)

    def draw(
        self,
        output: Tensor,
        base: Tensor,
        numbers: Tensor | None,
        possible: Tensor | None,
        bounds: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Values [N, U] by uniform numbers [N, 3 U]; None: the most likely atom or mean.

        `bounds`: least and largest of the values from the continuous mixture.
        """
        logits, mean, spread = self._parts(output, possible)
        which, side, far = (None, None, None) if numbers is None else numbers.chunk(3, -1)
        chosen = choose(logits, which)[..., None]
        component = (chosen - self.atoms).clamp(min=0)
        change = mean.gather(-1, component)[..., 0]
        if side is not None and far is not None:
            # cut where 1 in 150 is beyond
            length = -torch.log1p(-far.clamp(max=0.9933))
            change = (
                change
                + torch.where(side < 0.5, -length, length) * (spread.gather(-1, component)[..., 0])
            )
        exact = self.exact(base)
        atom = exact.gather(-1, chosen.clamp(max=self.atoms - 1))[..., 0]
        other = base + change / self.scale
        if bounds is not None:
            other = torch.minimum(torch.maximum(other, bounds[0]), bounds[1])
        return torch.where(chosen[..., 0] < self.atoms, atom, other)

    def to_exact(self, base: Tensor) -> Tensor:
        """How far bases [..., U] are from every exact value, [..., distances].

        A value stops at an exact one where it would pass it: a fall at the ground, a speed at its
        limit. Networks see that late from the value alone.
        """
        away = (base[..., self.wall_unit] - self.wall) * self.scale[self.wall_unit]
        return torch.cat([torch.tanh(away * steep) for steep in STEEP], -1)

    def exact(self, base: Tensor) -> Tensor:
        """Value of each atom, [..., U, atoms]; at an end of the range an amount stops."""
        return torch.clamp(self.relative * base[..., None] + self.atom, *self.limits)

    def _parts(self, output: Tensor, possible: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [..., U, atoms + K], means and spreads [..., U, K]."""
        shaped = output.view(*output.shape[:-1], len(self.legal), -1)
        logits, mean, spread = torch.split(
            shaped, [self.legal.shape[-1], COMPONENTS, COMPONENTS], -1
        )
        resolution = (self.near * self.scale)[:, None]
        wide = functional.softplus(spread - 2.0) + 2 * resolution
        if possible is None:
            return logits + self.legal, mean, wide
        every = functional.pad(possible, (0, COMPONENTS - 1))
        every[..., self.atoms + 1 :] = possible[..., -1:]
        return (logits + self.legal).masked_fill(~every, RULED_OUT), mean, wide


def _exact_values(atoms: Sequence[Sequence[float]], least: float) -> list[float]:
    """Values that a real jumps to, and the end of its range if it counts down to it."""
    found = [amount for kind, amount in atoms if kind == ABSOLUTE]
    counts_down = any(kind == RELATIVE and amount == -1 for kind, amount in atoms)
    return [*found, least] if counts_down and least not in found else found


def choose(logits: Tensor, numbers: Tensor | None, one: bool = False) -> Tensor:
    """Option of each row of logits [N, ..., options], by a uniform number or the most likely."""
    if numbers is None:
        return logits.argmax(-1)
    shares = logits.softmax(-1)
    shares = shares * (shares >= RAREST * shares.amax(-1, keepdim=True))
    reached = shares.cumsum(-1)
    whole = reached[..., -1:]
    wanted = (numbers[:, 0] if one else numbers)[..., None] * whole
    # a number near 1 is rounded up to the whole, which no option after the last possible one may get
    return torch.minimum((reached <= wanted).sum(-1), (reached < whole).sum(-1))


def both_or_first(first: Tensor, both: Tensor) -> Tensor:
    """Mask `both` [..., options] where it leaves an option, else the first one."""
    return torch.where(both.any(-1, keepdim=True), both, first)


def certain(logits: Tensor) -> Tensor:
    """Probabilities of flags, of which those that are hardly possible are 0, or 1."""
    share, rarest = logits.sigmoid(), RAREST / (1 + RAREST)
    return torch.where(share < rarest, 0.0, torch.where(share > 1 - rarest, 1.0, share))


class _Numbers:
    """Uniform numbers [N, draws], handed out from the left."""

    def __init__(self, uniform: Tensor) -> None:
        self.uniform, self.at = uniform, 0

    def __call__(self, count: int) -> Tensor:
        self.at += count
        return self.uniform[:, self.at - count : self.at]


def nats_of(log_probs: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Nats of the chosen options [...], and the mask of those that are options at all."""
    known = chosen >= 0
    picked = log_probs.gather(-1, chosen.clamp(min=0)[..., None])[..., 0]
    return -picked.clamp(min=-WORST), known & (picked > NEVER / 2)
