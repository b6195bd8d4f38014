"""Trunks: what happened so far -> what matters now. Each has `seq` for training and `step` for play, with equal results.

To add one: write a class with `out`, `begin` and `seq` as `Trunk` says them (and `step`, where
there is a faster way than a sequence of one), give it a line in `TRUNKS`, and
tests/model/test_trunks.py holds it to the protocol.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from shadowbox.model.policy import Design

Memory = dict[str, Tensor]  # each [B, ...]: matches can be merged, dropped and begun row by row


class Trunk(Protocol):
    """x [B, T, F] -> h [B, T, out], with a memory that carries over; `reset` [B, T] forgets what was before that position.

    However a sequence is cut, and whether by `seq` or `step`, the answers are the same within 1e-5.
    """

    out: int

    def begin(self, batch: int, device: torch.device) -> Memory:
        """The memory of matches that have not begun."""
        ...

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """T positions at once.

        The memory may hold more than the trunk's own; its own comes back.
        """
        ...

    def step(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """One position: x [B, F], reset [B] -> h [B, out]."""
        ...


class _Stepping(nn.Module):
    """A step is a sequence of one."""

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        raise NotImplementedError

    def step(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """X [B, F], reset [B] -> h [B, out], memory."""
        h, memory = self.seq(x[:, None], memory, reset[:, None])
        return h[:, 0], memory


# ---- a window --------------------------------------------------------------------------------------------------


class Window(_Stepping):
    """A perceptron over the last `frames` frames; what lies before the beginning is zeros.

    Its memory is those frames.
    """

    def __init__(self, features: int, fixed: int, *, frames: int, width: int, last: int, depth: int, dropout: float,
                 plain: bool) -> None:  # fmt: skip
        """`fixed`: so many features come first and need no gradient."""
        super().__init__()
        self.features, self.fixed, self.frames, self.out = features, fixed, frames, last or width
        # where nothing is learned, there is nothing to keep apart
        self.fixed = fixed = fixed if fixed < features else 0
        wide = width if depth > 1 else self.out
        self.facts = nn.Linear(fixed * frames, wide, bias=False) if fixed else None
        self.first = nn.Linear((features - fixed) * frames, wide)
        for weight in (*self.first.parameters(), *(self.facts.parameters() if self.facts else ())):
            # as one layer over all
            nn.init.uniform_(weight, -((features * frames) ** -0.5), (features * frames) ** -0.5)
        layers: list[nn.Module] = []
        for at in range(depth):
            wide = self.out if at + 1 == depth else width
            layers += [nn.Linear(width, wide)] if at else []
            layers += [nn.ReLU()] if plain else [nn.LayerNorm(wide), nn.GELU()]
            layers += [Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers)

    def begin(self, batch: int, device: torch.device) -> Memory:
        """No frames yet."""
        return {"frames": torch.zeros(batch, self.frames - 1, self.features, device=device)}

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """X [B, T, F], reset [B, T] -> h [B, T, out], memory."""
        steps, past = x.shape[1], self.frames - 1
        frames = torch.cat([memory["frames"].to(x.dtype), x], dim=1)
        since = begun(reset)
        offset = torch.arange(-past, 1, device=x.device)
        # [B, T, K]
        known = torch.arange(steps, device=x.device)[:, None] + offset >= since[..., None]
        kept = (
            frames[:, steps:]
            * (torch.arange(steps - past, steps, device=x.device) >= since[:, -1:])[..., None]
        )
        return self.layers(self._over_windows(frames, known)), {"frames": kept.float()}

    def _over_windows(self, frames: Tensor, known: Tensor) -> Tensor:
        """The first layer on every window: frames [B, K - 1 + T, F], known [B, T, K] -> [B, T, width].

        Facts and learned features have weights of their own, so that the gradient, of which windows
        make K times as much work as frames, is computed for the learned ones alone.
        """
        # before the windows are cut, which makes K frames of each
        if torch.is_autocast_enabled(frames.device.type):
            frames = frames.to(torch.get_autocast_dtype(frames.device.type))
        mask = None if bool(known.all()) else known
        found: Tensor = self.first(self._windows(frames[..., self.fixed :], mask))
        if self.facts is not None:
            found = found + self.facts(self._windows(frames[..., : self.fixed].detach(), mask))
        return found

    def _windows(self, frames: Tensor, mask: Tensor | None) -> Tensor:
        """[B, K - 1 + T, f] -> [B, T, K * f], zeros where a frame is not known."""
        steps = frames.shape[1] - self.frames + 1
        parts = [frames[:, at : at + steps] for at in range(self.frames)]
        if mask is not None:
            parts = [part * mask[..., at, None] for at, part in enumerate(parts)]
        return torch.cat(parts, -1)


# ---- a recurrent net -------------------------------------------------------------------------------------------


class Recurrent(_Stepping):
    """Layers over each frame, then gated recurrent units (GRU).

    The frame itself goes past them to the answer.
    """

    def __init__(
        self,
        features: int,
        fixed: int,
        *,
        width: int,
        memory: int,
        layers: int,
        depth: int,
        dropout: float,
    ) -> None:
        """`width` of the `layers` over a frame, `memory` of the `depth` recurrent layers.

        `fixed` features need no gradient.
        """
        super().__init__()
        self.width, self.depth, self.out = memory, depth, width + memory
        self.fixed, self.enter, self.norm = fixed, nn.Linear(features, width), nn.LayerNorm(width)
        self.frame = nn.ModuleList([_Residual(width) for _ in range(layers - 1)])
        self.inputs = nn.ModuleList(
            [nn.Linear(memory if layer else width, 3 * memory) for layer in range(depth)]
        )
        self.memory = nn.ParameterList(
            [nn.Parameter(torch.empty(3 * memory, memory)) for _ in range(depth)]
        )
        self.bias = nn.ParameterList([nn.Parameter(torch.zeros(memory)) for _ in range(depth)])
        for weight in self.memory:
            for gate in weight.data.split(memory):
                nn.init.orthogonal_(gate)
        self.dropout = Dropout(dropout)

    def begin(self, batch: int, device: torch.device) -> Memory:
        """Zeros."""
        return {
            f"h{layer}": torch.zeros(batch, self.width, device=device)
            for layer in range(self.depth)
        }

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """X [B, T, F], reset [B, T] -> h [B, T, out], memory."""
        frame = functional.relu(self.norm(_linear(x, self.fixed, self.enter)))
        for block in self.frame:
            frame = block(frame)
        h = frame.transpose(0, 1)  # time first, so that each position lies in one piece
        keep = (~reset).float().t()[..., None]  # [T, B, 1]
        kept: Memory = {}
        for layer in range(self.depth):
            gates = self.inputs[layer](self.dropout(h))
            h = _Gru.apply(gates, memory[f"h{layer}"], keep, self.memory[layer], self.bias[layer])  # type: ignore[no-untyped-call]
            kept[f"h{layer}"] = h[-1]
        return torch.cat([self.dropout(h.transpose(0, 1)), frame], -1), kept


class _Residual(nn.Module):
    """A hidden layer around a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.back = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]"""  # noqa: D400, D415
        out: Tensor = self.norm(x + self.back(functional.relu(self.hidden(x))))
        return out


class _Gru(torch.autograd.Function):
    """One layer over time.

    The weights' gradient is one product over all positions instead of one for each.
    """

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, h: Tensor, keep: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        """What the inputs ask of the gates [T, B, 3H] (reset, update, new), h [B, H], keep [T, B, 1] -> [T, B, H]."""
        half = gates.dtype != torch.float32
        matrix = weight.t().to(gates.dtype) if half else weight.t()
        steps, width = len(gates), h.shape[-1]
        asked = gates.float() if half else gates
        before = asked.new_empty(steps, *h.shape)
        opened = asked.new_empty(steps, h.shape[0], 2 * width)  # reset and update gates
        fresh, inner, out = (torch.empty_like(before) for _ in range(3))
        for t in range(steps):
            torch.mul(h, keep[t], out=before[t])
            recalled = (before[t].to(gates.dtype) @ matrix).float() if half else before[t] @ matrix
            torch.add(asked[t, :, : 2 * width], recalled[:, : 2 * width], out=opened[t]).sigmoid_()
            torch.add(recalled[:, 2 * width :], bias, out=inner[t])
            torch.addcmul(
                asked[t, :, 2 * width :], opened[t, :, :width], inner[t], out=fresh[t]
            ).tanh_()
            h = torch.lerp(fresh[t], before[t], opened[t, :, width:], out=out[t])
        ctx.save_for_backward(before, opened, fresh, inner, keep, weight)
        ctx.dtype = gates.dtype
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time."""
        before, opened, fresh, inner, keep, weight = ctx.saved_tensors
        (given,) = upstream
        steps, batch, width = before.shape
        half = ctx.dtype != torch.float32
        matrix = weight.to(ctx.dtype) if half else weight
        # all that does not depend on what comes back from later positions, for all positions at
        # once
        reset, update = opened[..., :width], opened[..., width:]
        to_update = (before - fresh) * update * (1 - update)
        to_new = (1 - update) * (1 - fresh * fresh)
        to_reset = to_new * inner * reset * (1 - reset)
        asked = before.new_empty(steps, batch, 3 * width)  # gradient of what inputs ask
        recalled = torch.empty_like(asked)  # gradient of what memory asks
        later = torch.zeros_like(before[0])
        for t in range(steps - 1, -1, -1):
            here = given[t] + later
            torch.mul(here, to_reset[t], out=recalled[t, :, :width])
            torch.mul(here, to_update[t], out=recalled[t, :, width : 2 * width])
            torch.mul(here, to_new[t], out=asked[t, :, 2 * width :])
            torch.mul(asked[t, :, 2 * width :], reset[t], out=recalled[t, :, 2 * width :])
            back = (recalled[t].to(ctx.dtype) @ matrix).float() if half else recalled[t] @ matrix
            later = torch.addcmul(back, here, update[t]).mul_(keep[t])
        asked[..., : 2 * width] = recalled[..., : 2 * width]
        flat = recalled.flatten(0, 1)
        if half:
            of_weight = (flat.to(ctx.dtype).t() @ before.flatten(0, 1).to(ctx.dtype)).float()
        else:
            of_weight = flat.t() @ before.flatten(0, 1)
        of_bias = flat[:, 2 * width :].sum(0)
        return asked.to(ctx.dtype), later, None, of_weight, of_bias


# ---- a transformer ---------------------------------------------------------------------------------------------


class Transformer(_Stepping):
    """Causal attention over the last `frames` frames in each layer. Keys and values of past frames are kept in a ring.

    Distance is a learned bias of each head, so an answer depends on how long ago something was, and
    not on the clock.
    """

    def __init__(
        self, features: int, *, width: int, depth: int, frames: int, dropout: float
    ) -> None:
        super().__init__()
        self.width, self.depth, self.frames, self.out = width, depth, frames, width
        self.heads = max(1, math.gcd(width, max(1, width // 32)))
        self.enter = nn.Linear(features, width)
        self.layers = nn.ModuleList(
            [_Layer(width, self.heads, frames, dropout) for _ in range(depth)]
        )
        self.norm = nn.LayerNorm(width)

    def begin(self, batch: int, device: torch.device) -> Memory:
        """An empty ring; `known` counts the frames in it, `next` is where the next one goes."""
        ring = {f"{name}{layer}": torch.zeros(batch, self.frames, self.width, device=device)
                for layer in range(self.depth) for name in ("key", "value")}  # fmt: skip
        count = {
            name: torch.zeros(batch, dtype=torch.int64, device=device) for name in ("known", "next")
        }
        return {**ring, **count}

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """X [B, T, F], reset [B, T] -> h [B, T, out], memory."""
        steps, size = x.shape[1], self.frames
        places = torch.arange(size, device=x.device)
        oldest_first = (memory["next"][:, None] + places) % size
        at = torch.arange(steps, device=x.device)
        # of each key; negative ones are in the ring
        here = torch.arange(-size, steps, device=x.device)
        distance = at[:, None] - here  # [T, size + T]
        since = begun(reset)
        # the oldest position that each one may see
        first = torch.where(since < 0, -memory["known"][:, None], since)
        seen = (distance >= 0) & (distance < size) & (here >= first[..., None])  # [B, T, size + T]
        h, kept = self.enter(x), {}
        # the last `size` positions, in keys' counting
        ends = torch.arange(steps - size, steps, device=x.device) + size
        into = (memory["next"][:, None] + steps + places) % size
        for number, layer in enumerate(self.layers):
            rings = [memory[f"{name}{number}"].gather(1, oldest_first[..., None].expand(-1, -1, self.width))
                     for name in ("key", "value")]  # fmt: skip
            h, keys, values = layer(h, *rings, seen, distance)
            for name, found in (("key", keys), ("value", values)):
                ring = torch.empty_like(found[:, :size])
                kept[f"{name}{number}"] = ring.scatter(
                    1, into[..., None].expand(-1, -1, self.width), found[:, ends]
                ).float()
        known = (steps - first[:, -1]).clamp(max=size)
        return self.norm(h), {**kept, "known": known, "next": (memory["next"] + steps) % size}


class _Layer(nn.Module):
    """Attention and a perceptron, each around a residual."""

    def __init__(self, width: int, heads: int, frames: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.answer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(heads, frames))
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), Dropout(dropout)
        )
        self.dropout = dropout

    def forward(
        self, h: Tensor, keys: Tensor, values: Tensor, seen: Tensor, distance: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """H [B, T, W], the ring's keys and values [B, size, W], seen [B, T, size + T] -> h, all keys, all values."""
        query, key, value = self.ask(self.norm(h)).chunk(3, -1)
        keys, values = (
            torch.cat([keys.to(key.dtype), key], 1),
            torch.cat([values.to(value.dtype), value], 1),
        )
        bias = self.bias[:, distance.clamp(0, self.bias.shape[1] - 1)]  # [heads, T, size + T]
        mask = torch.where(seen[:, None], bias, -torch.inf).to(query.dtype)
        asked, offered, told = (
            part.view(*part.shape[:2], self.heads, -1).transpose(1, 2)
            for part in (query, keys, values)
        )
        dropout = self.dropout if self.training else 0.0
        found = functional.scaled_dot_product_attention(
            asked, offered, told, attn_mask=mask, dropout_p=dropout
        )
        h = h + self.answer(found.transpose(1, 2).flatten(2))
        return h + self.mlp(self.norm_after(h)), keys, values


# ---- parts of them ---------------------------------------------------------------------------------------------


class Dropout(nn.Module):
    """Drops values in steps of 1/256: a byte a value is drawn instead of a number, which on a CPU is most of its cost."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.cut = round(share * 256)

    def forward(self, x: Tensor) -> Tensor:
        """Some values zero, the others that much larger; in play as it is."""
        if not self.training or not self.cut:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(
            -(1 << 63), None
        )
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.cut
        return x * kept.to(x.dtype).mul_(256 / (256 - self.cut))


# ---- which there are -------------------------------------------------------------------------------------------

TRUNKS: dict[str, Callable[[Design, int, int], Any]] = {
    "window": lambda design, features, fixed: Window(
        features, fixed, frames=design.frames, width=design.width, last=design.trunk_width, depth=design.depth,
        dropout=design.dropout, plain=design.plain,
    ),
    "gru": lambda design, features, fixed: Recurrent(
        features, fixed, width=design.width, memory=design.memory or design.width, layers=design.layers, depth=design.depth,
        dropout=design.dropout,
    ),
    "transformer": lambda design, features, fixed: Transformer(
        features, width=design.width, depth=design.depth, frames=design.frames, dropout=design.dropout
    ),
}  # fmt: skip


def build(design: Design, features: int, fixed: int) -> Any:
    """The trunk of a design, for so many features, the first `fixed` of which need no gradient."""
    return TRUNKS[design.trunk](design, features, fixed)


def _linear(x: Tensor, fixed: int, layer: nn.Linear) -> Tensor:
    """A layer over features [..., F] of which the first `fixed` need no gradient, so that none is computed for them."""
    flat = x.flatten(0, -2)
    found = functional.linear(flat[:, fixed:], layer.weight[:, fixed:], layer.bias)
    if fixed:
        found = found + functional.linear(flat[:, :fixed].detach(), layer.weight[:, :fixed])
    return found.view(*x.shape[:-1], -1)


def begun(reset: Tensor) -> Tensor:
    """The last reset at or before each position, [B, T].

    A large negative number where there is none.
    """
    at = torch.arange(reset.shape[1], device=reset.device)
    return torch.where(reset, at, -(1 << 30)).cummax(dim=1).values
