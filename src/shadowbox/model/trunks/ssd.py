"""SSD trunk: Mamba-2 (Dao and Gu 2024), a state-space model in its dual form, in plain PyTorch.

B: matches, T: positions, S: positions of a chunk, C: chunks, H: heads, P: width of a head, N: size
of the state. A state is [B, N, H * P]. Each head forgets by a rate that depends on the frame:

    state_t = decay_t * state_{t-1} + key_t (outer) (dt_t * x_t)    decay_t = exp(-dt_t * exp(A_log))
    y_t = query_t @ state_t + D * x_t

where `key` and `query` (B and C of the paper) are shared by all heads. Within a chunk the same `y` is
a product of a lower triangular matrix [S, S] with `dt * x`, and states connect the chunks.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.errors import UsageError
from shadowbox.model.design import TrunkConfig
from shadowbox.model.trunks.base import Dropout, Memory, Trunk, partly_fixed_linear

CHUNK = 64  # positions; a longer one costs more in the matrix, a shorter one more in the states
HEAD = 64  # channels of a head, where the number of heads is not given
EPS = 1e-5
TINY = 1e-30  # smallest dt, whose logarithm is taken


def ssd_trunk(config: TrunkConfig, features: int, fixed: int) -> Trunk:
    """SSD trunk for `features` numbers a frame, the first `fixed` of them fixed."""
    return _SsdTrunk(config, features, fixed)


class _SsdTrunk(nn.Module):
    """Mamba-2 layers with residual connections after a linear layer over each frame.

    Weights of the layers have the names and shapes of Hugging Face's Mamba2 with one group.
    """

    in_place: bool = (
        False  # `step` overwrites the memory it is given; for callers that keep no copy
    )

    def __init__(self, config: TrunkConfig, features: int, fixed: int) -> None:
        super().__init__()
        self.fixed, self.out = fixed, config.width
        self.enter = nn.Linear(features, config.width)
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList([_Layer(config) for _ in range(config.depth)])
        self.norm_f = nn.RMSNorm(config.width, EPS)
        inner = config.ssm_expand * config.width
        # of a layer: past inputs of the convolution, and the state
        self.shapes = {
            "conv": (config.ssm_conv - 1, inner + 2 * config.ssm_state),
            "ssm": (config.ssm_state, inner),
        }

    def begin(self, batch: int, device: torch.device) -> Memory:
        """Zero states, and zero inputs of the convolutions."""
        memory: Memory = {}
        for number in range(len(self.layers)):
            for name, shape in self.shapes.items():
                memory[f"{name}{number}"] = torch.zeros(batch, *shape, device=device)
        return memory

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features h [B, T, out] of x [B, T, F] with resets [B, T], and the new memory."""
        h = self.dropout(partly_fixed_linear(x, self.fixed, self.enter))
        chunks = _chunks(reset)
        after: Memory = {}
        for number, layer in enumerate(self.layers):
            names = f"conv{number}", f"ssm{number}"
            h, *kept = layer(h, *(memory[name] for name in names), chunks)
            after.update(zip(names, kept, strict=True))
        return self.norm_f(h), after

    def step(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features of one position, and the new memory: x [B, F], reset [B] -> h [B, out]."""
        h = self.dropout(self.enter(x))
        keep = (~reset).float()[:, None]
        after: Memory = {}
        for number, layer in enumerate(self.layers):
            names = f"conv{number}", f"ssm{number}"
            h, *kept = layer(h, *(memory[name] for name in names), keep, in_place=self.in_place)
            after.update(zip(names, kept, strict=True))
        return self.norm_f(h), after


class _Chunks(NamedTuple):
    """Resets of a sequence, cut into chunks; the last one is filled up."""

    steps: int  # positions of the sequence, T
    segment: Tensor  # number of resets since the start of the chunk, [B, C, S]
    hidden: Tensor  # [B, C, 1, S, S] or [S, S]: j is after i, or in another match
    matches: Tensor | None  # number of resets since the start, [B, T]; none without any reset


def _chunks(reset: Tensor) -> _Chunks:
    steps = reset.shape[1]
    size = min(steps, CHUNK)
    padded = functional.pad(reset, (0, -steps % size)).view(len(reset), -1, size)
    segment = padded.int().cumsum(2)
    hidden = torch.ones(size, size, dtype=torch.bool, device=reset.device).triu(1)
    if reset.device.type == "cpu" and not reset.any():
        return _Chunks(steps, segment, hidden, None)
    other = segment[..., :, None] != segment[..., None, :]
    return _Chunks(steps, segment, (hidden | other)[:, :, None], reset.int().cumsum(1))


class _Layer(nn.Module):
    """Mixer of a layer, and the norm before it."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.norm, self.mixer = nn.RMSNorm(config.width, EPS), _Mixer(config)

    def forward(
        self,
        h: Tensor,
        past: Tensor,
        state: Tensor,
        resets: Tensor | _Chunks,
        *,
        in_place: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features of a sequence with chunks, or of a step with a mask, and the new memory."""
        if isinstance(resets, _Chunks):
            mixed, past, state = self.mixer.seq(self.norm(h), past, state, resets)
        else:
            mixed, past, state = self.mixer.step(self.norm(h), past, state, resets, in_place)
        return h + mixed, past, state


class _Mixer(nn.Module):
    """Mamba-2 layer: projection, short convolution, state-space model, gate, projection."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.inner, self.state = config.ssm_expand * config.width, config.ssm_state
        self.heads = config.ssm_heads or math.gcd(self.inner, max(1, self.inner // HEAD))
        if self.inner % self.heads:
            raise UsageError(
                f"ssm_heads must divide the {self.inner} channels of width {config.width} times "
                f"ssm_expand {config.ssm_expand} (got {self.heads})"
            )
        self.head, channels = self.inner // self.heads, self.inner + 2 * self.state
        self.in_proj = nn.Linear(config.width, self.inner + channels + self.heads, bias=False)
        self.conv1d = nn.Conv1d(channels, channels, config.ssm_conv, groups=channels)
        self.dt_bias, self.A_log = _initial_rates(config.ssm_init, self.heads)
        self.D = nn.Parameter(torch.ones(self.heads))
        self.norm = nn.RMSNorm(self.inner, EPS)
        self.out_proj = nn.Linear(self.inner, config.width, bias=False)

    def seq(
        self, h: Tensor, past: Tensor, state: Tensor, chunks: _Chunks
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Output [B, T, width] of h [B, T, width], and the new memory."""
        gate, inputs, dt = self._project(h)
        weight, bias = self._taps()
        inputs, past = convolve(inputs, past, weight, bias, chunks.matches)
        x, key, query = inputs.split_with_sizes([self.inner, self.state, self.state], -1)
        y, state = self._scan(x, key, query, dt, state, chunks)
        return self._leave(y, gate), past, state

    def step(
        self, h: Tensor, past: Tensor, state: Tensor, keep: Tensor, in_place: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Output [B, width] of h [B, width], and the new memory; keep [B, 1] is 0 at a reset."""
        gate, inputs, dt = self._project(h)
        taps = torch.cat([past * keep[..., None], inputs.float()[:, None]], 1)
        weight, bias = self._taps()
        inputs = functional.silu((taps * weight).sum(1) + bias)
        x, key, query = inputs.split_with_sizes([self.inner, self.state, self.state], -1)
        decay = (torch.exp(-dt * self.A_log.exp()) * keep).repeat_interleave(self.head, -1)
        driven = x * dt.repeat_interleave(self.head, -1)
        state = state.mul_(decay[:, None]) if in_place else state * decay[:, None]
        state.baddbmm_(key[..., None], driven[:, None])
        y = torch.bmm(query[:, None], state)[:, 0] + x * self.D.repeat_interleave(self.head)
        return self._leave(y, gate), taps[:, 1:], state

    def _taps(self) -> tuple[Tensor, Tensor]:
        """Weights [taps, channels] and bias [channels] of the convolution."""
        assert self.conv1d.bias is not None
        return self.conv1d.weight[:, 0].t(), self.conv1d.bias

    def _project(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gate [..., H * P], inputs of the convolution [..., channels], and dt [..., H]."""
        channels = len(self.conv1d.weight)
        gate, inputs, dt = self.in_proj(h).split_with_sizes([self.inner, channels, self.heads], -1)
        return gate, inputs, functional.softplus(dt.float() + self.dt_bias)

    def _leave(self, y: Tensor, gate: Tensor) -> Tensor:
        """Gated norm and output projection; the norm's factors are applied where they are few."""
        gated = y * functional.silu(gate)
        scale = torch.rsqrt(torch.linalg.vecdot(gated, gated)[..., None] / self.inner + EPS)
        return functional.linear(gated, self.out_proj.weight * self.norm.weight) * scale

    def _scan(
        self, x: Tensor, key: Tensor, query: Tensor, dt: Tensor, state: Tensor, chunks: _Chunks
    ) -> tuple[Tensor, Tensor]:
        """Output y [B, T, H * P] of the state-space model, and the last state."""
        size = chunks.segment.shape[2]
        missing = -chunks.steps % size

        def chunked(values: Tensor) -> Tensor:
            """Chunks [B, C, S, ...] of values [B, T, ...]; added positions change no state."""
            values = functional.pad(values, (0, 0, 0, missing)) if missing else values
            return values.reshape(len(values), -1, size, values.shape[2])

        x, key, query = chunked(x), chunked(key), chunked(query)
        dt = chunked(dt).transpose(2, 3)  # [B, C, H, S]
        # sums of many terms are subtracted, so they need more digits than their differences
        decayed = (dt * -self.A_log.exp()[:, None]).double().cumsum(3)
        entered = decayed - dt.clamp(min=TINY).log()
        weights = (decayed[..., :, None] - entered[..., None, :]).float()
        weights = weights.masked_fill_(chunks.hidden, -torch.inf).exp_()  # [B, C, H, S, S]
        matrix = weights * (query @ key.mT)[:, :, None]
        matrix.diagonal(dim1=-2, dim2=-1).add_(self.D[:, None])
        y = (
            (matrix @ x.view(*x.shape[:3], self.heads, -1).transpose(2, 3))
            .transpose(2, 3)
            .flatten(3)
        )
        local = key.mT @ (x * self._spread(weights[..., -1, :].transpose(2, 3)))
        if local.shape[1] == 1 and x.device.type == "cpu" and not state.any():
            return y.flatten(1, 2), local[:, 0].float()
        kept = decayed.float().exp() * (chunks.segment == 0)[:, :, None]
        kept = self._spread(kept.transpose(2, 3))  # [B, C, S, H * P]
        states = []
        for chunk in range(local.shape[1]):
            states.append(state)
            state = state * kept[:, chunk, -1:] + local[:, chunk]
        y = y + (query @ torch.stack(states, 1)) * kept
        return y.flatten(1, 2)[:, : chunks.steps], state.float()

    def _spread(self, values: Tensor) -> Tensor:
        """Values of heads [..., H] for each of their channels, [..., H * P]."""
        return values[..., None].expand(*values.shape, self.head).flatten(-2)


def convolve(
    x: Tensor, past: Tensor, weight: Tensor, bias: Tensor, matches: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Causal convolution over each channel and SiLU of x [B, T, channels], and the new past.

    past [B, taps - 1, channels] comes before x; weight is [taps, channels]. Frames whose number in
    `matches` [B, T] differs are not mixed.
    """
    steps, taps = x.shape[1], len(weight)
    if matches is None:
        kept = torch.cat([past, x[:, 1 - taps :].float()], 1)[:, 1 - taps :]
        output: Tensor = _Convolution.apply(  # type: ignore[no-untyped-call]
            x, past.to(x.dtype), weight, bias
        )
        return output, kept
    frames = torch.cat([past.to(x.dtype), x], 1)
    match = functional.pad(matches, (taps - 1, 0))  # those before the sequence continue
    output = bias.expand_as(x)
    for tap in range(taps):
        same = (match[:, tap : tap + steps] == matches)[..., None]
        output = output + frames[:, tap : tap + steps] * same * weight[tap]
    kept = frames[:, steps:] * (match[:, steps:] == matches[:, -1:])[..., None]
    return functional.silu(output), kept.float()


class _Convolution(torch.autograd.Function):
    """`convolve` without resets, as sums of shifted frames: PyTorch's own is slow on CPUs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, past: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Output [B, T, channels], as in `convolve`."""
        taps = len(weight)
        output = torch.addcmul(bias, x, weight[-1])
        for away in range(1, taps):
            tap = weight[taps - 1 - away]
            output[:, away:].addcmul_(x[:, :-away], tap)
            output[:, :away].addcmul_(past[:, past.shape[1] - away :][:, : x.shape[1]], tap)
        ctx.save_for_backward(x, past, weight, output)
        return functional.silu(output)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, ...]:
        """Gradients of all inputs."""
        x, past, weight, output = ctx.saved_tensors
        taps = len(weight)
        grad = torch.ops.aten.silu_backward(upstream[0], output)
        of_x, of_past, of_weight = (
            grad * weight[-1],
            torch.zeros_like(past),
            torch.empty_like(weight),
        )
        of_weight[-1] = (grad * x).sum((0, 1))
        for away in range(1, taps):
            tap, first = taps - 1 - away, grad[:, :away]
            before = slice(past.shape[1] - away, past.shape[1] - away + first.shape[1])
            of_x[:, :-away].addcmul_(grad[:, away:], weight[tap])
            of_past[:, before].addcmul_(first, weight[tap])
            of_weight[tap] = (grad[:, away:] * x[:, :-away]).sum((0, 1))
            of_weight[tap] += (first * past[:, before]).sum((0, 1))
        return of_x, of_past, of_weight, grad.sum((0, 1))


def _initial_rates(init: str, heads: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Initial dt_bias and A_log, each [H].

    Reference: dt is log-uniform in 0.001 to 0.1 and A uniform in 1 to 16, so that the half-life of
    heads is 0.4 to 690 frames. Older: biases uniform in -1 to 1 and A 1, 2, 3, ...; no head then
    remembers more than a few frames.
    """
    if init == "older":
        rate = torch.arange(1, heads + 1, dtype=torch.float32)
        return nn.Parameter(torch.rand(heads) * 2 - 1), nn.Parameter(rate.log())
    dt = torch.exp(torch.empty(heads).uniform_(math.log(1e-3), math.log(0.1)))
    # inverse of softplus
    bias = dt + torch.log(-torch.expm1(-dt))
    return nn.Parameter(bias), nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
