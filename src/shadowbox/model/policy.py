"""A policy: state_t and everybody's controls_{t-1}, seen from the own seat -> a distribution over the own controls_t.

B: matches or segments, T: positions, V: control values of the own seat (`Policy.values.names` says
which), P: parts. A `view` is columns [B, slots] (or [B, T, slots]): state_t and everybody's
controls_{t-1}, own slot first; more columns than `input_columns` do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from shadowbox.core.encoding import Encoding
from shadowbox.core.schema import Schema
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.codec import ColumnEmbedding, ControlValues, EncodingEmbedding, View
from shadowbox.model.design import PRESETS, PolicyConfig
from shadowbox.model.heads import Temperature, Vocabulary, build_head
from shadowbox.model.predictions import PolicyOutput
from shadowbox.model.style import PlayerStyle
from shadowbox.model.trunks.base import Memory, last_reset
from shadowbox.model.trunks.registry import build_trunk
from shadowbox.model.vocabulary import default_vocabulary


class Policy(nn.Module):
    """Embedding, trunk, head. `input_columns` are the state columns that it is shown; it knows no game, only a schema.

    `draws`: uniform numbers that a decision takes. `parts`: what is decided, in order.
    """

    def __init__(
        self,
        schema: Schema,
        input_columns: Iterable[str],
        config: PolicyConfig,
        vocabulary: Vocabulary | None = None,
        encoding: Encoding | None = None,
    ) -> None:
        """`encoding`: what it is shown instead of the columns themselves; it then reads all that `input_columns` names."""
        super().__init__()
        self.schema, self.config = schema, config
        self.input_columns = tuple(key for key in input_columns if key in schema.state_keys)
        self.values = ControlValues(schema, config.output_controls)
        self.embed = (
            EncodingEmbedding(encoding)
            if encoding
            else ColumnEmbedding(
                schema,
                (*self.input_columns, *schema.control_keys),
                relative_positions=config.relative_positions,
            )
        )
        self.style = (
            PlayerStyle(config.players, config.strength)
            if config.players or config.strength
            else None
        )
        width = (
            self.embed.width
            + bool(config.noise.prev_control_dropout)
            + (self.style.width if self.style else 0)
        )
        own = torch.zeros(width, dtype=torch.bool)
        own[self.embed.places(schema.control_keys, self.values.slots)] = True
        self.register_buffer("own", own, persistent=False)  # the features of the own past controls
        self.trunk = build_trunk(config.trunk, width, self.embed.fixed)
        self.head = build_head(
            config.head,
            config.loss,
            self.trunk.out,
            self.values,
            vocabulary or default_vocabulary(self.values),
        )
        self.draws, self.parts = self.head.draws, tuple(part.name for part in self.head.parts)

    own: Tensor

    # ---- playing -----------------------------------------------------------------------------------------------

    def initial(self, batch: int, device: torch.device | str | None = None) -> Memory:
        """The memory of matches that have not begun: a dict of tensors [B, ...], to be merged row by row with `torch.where`."""
        where = self.own.device if device is None else torch.device(device)
        delay = self.config.delay
        queue = {"queue": torch.zeros(batch, delay, len(self.own), device=where),
                 "waiting": torch.zeros(batch, dtype=torch.int64, device=where)}  # fmt: skip
        return {**self.trunk.begin(batch, where), **(queue if delay else {})}

    @torch.no_grad()
    def step(
        self,
        view: View,
        memory: Memory,
        noise: Tensor,
        *,
        reset: Tensor | None = None,
        temperature: Temperature = 1.0,
        style: View | None = None,
    ) -> tuple[dict[str, Tensor], Tensor, Memory]:
        """One decision a match: own controls {key: [B, slots a player]}, log-probability by part [B, P], the new memory.

        `view` [B, slots], `noise` uniform [B, draws], `reset` bool [B]: matches that begin with
        this frame. The log-probability is that of the distribution sampled from, at this
        temperature. No gradient is kept.
        """
        previous = self.values.of(view)
        begins = (
            torch.zeros(len(previous), dtype=torch.bool, device=previous.device)
            if reset is None
            else reset
        )
        x, hidden, queue = self._features(
            {key: values[:, None] for key, values in view.items()}, memory, begins[:, None], style
        )
        assert hidden is None, "history is hidden in training only: call eval() before playing"
        h, state = self.trunk.step(x[:, 0], memory, begins)
        values, log_prob = self.head.sample(h, previous, noise, temperature)
        return self.values.columns(self.values.counting(values, view)), log_prob, {**queue, **state}

    # ---- learning ----------------------------------------------------------------------------------------------

    def seq(
        self,
        view: View,
        controls: Tensor,
        reset: Tensor,
        memory: Memory | None = None,
        style: View | None = None,
        *,
        hide: bool = False,
    ) -> tuple[PolicyOutput, Memory]:
        """T positions at once: view [B, T, slots], pressed controls [B, T, V], reset [B, T] -> distributions, memory.

        The distribution of a position depends on `controls` only within its own frame, and there a
        part only on those before it. `hide` hides the own past controls, to see how much it copies.
        """
        memory = self.initial(len(reset), reset.device) if memory is None else memory
        x, hidden, queue = self._features(view, memory, reset, style, hide)
        h, state = self.trunk.seq(x, memory, reset)
        previous = self.values.of(view)
        return PolicyOutput(
            self.head, self.head(h, controls, previous, hidden), previous, h, hidden
        ), {
            **queue,
            **state,
        }

    def forward(
        self, view: View, controls: Tensor, reset: Tensor, style: View | None = None
    ) -> Tensor:
        """The costs of what was pressed, [B, T, names], in matches of which nothing is known before: what training calls."""
        memory = self.initial(len(reset), reset.device)
        view = (
            self.with_control_noise(view)
            if self.training and self.config.noise.prev_control_noise
            else view
        )
        x, hidden, _ = self._features(view, memory, reset, style)
        h, _ = self.trunk.seq(x, memory, reset)
        return self.head.learn(h, controls, self.values.of(view), hidden)

    def with_control_noise(self, view: View) -> View:
        """The same with the own past controls of a few frames drawn evenly from all that there are.

        In recordings nothing is held where that makes no sense; who never saw it would go on
        holding there for ever.
        """
        some = next(iter(view.values()))
        chosen = (
            torch.rand(some.shape[:2], device=some.device) < self.config.noise.prev_control_noise
        )
        drawn, slots = (
            self.values.columns(self.head.sample_uniform(chosen.shape).to(some.device)),
            self.values.slots,
        )
        found = dict(view)
        for key in (key for keys in self.values.sources for key in keys):
            own, others = view[key][..., :slots], view[key][..., slots:]
            found[key] = torch.cat(
                [torch.where(chosen[..., None], drawn[key].to(own.dtype), own), others], -1
            )
        return found

    def describe(self) -> list[tuple[str, int, int]]:
        """The input vector of a frame: (what, first, behind the last) of each piece, in order.

        Columns carry their slot.
        """
        found, at = self.embed.describe(), self.embed.width
        for name, width in (
            ("history hidden", bool(self.config.noise.prev_control_dropout)),
            ("style", self.style.width if self.style else 0),
        ):
            found += [(name, at, at + width)] if width else []
            at += width
        return found

    def style_of(
        self, players: Sequence[str], strengths: Sequence[float | None] | None = None
    ) -> dict[str, Tensor]:
        """Whose style to play in, one a match: {"player": [B], "strength": [B, 2]}; an unknown name is refused."""
        if self.style is None:
            raise UsageError(
                "this policy holds one style: it was trained without players and strength"
            )
        return self.style.of(players, strengths)

    # ---- inside ------------------------------------------------------------------------------------------------

    def _features(
        self, view: View, memory: Memory, reset: Tensor, style: View | None, hide: bool = False
    ) -> tuple[Tensor, Tensor | None, Memory]:
        """What the trunk is given [B, T, F].

        Where the own history is hidden [B, T]; the queue of what is not yet seen.
        """
        hidden: Tensor | None = None
        queue: Memory = {}
        some = next(iter(view.values()))
        lead = (some.shape[0], some.shape[1])
        more: list[Tensor] = []
        rows = torch.full((lead[0],), hide, device=some.device)
        if self.config.noise.prev_control_dropout:
            if self.training and not hide:
                rows = (
                    torch.rand(lead[0], device=some.device) < self.config.noise.prev_control_dropout
                )
            more.append(rows[:, None, None].expand(*lead, 1).float())
        if hide or (self.config.noise.prev_control_dropout and self.training):
            hidden = rows[:, None].expand(lead)
        if self.style is not None:
            more.append(self.style(style, lead[0], some.device)[:, None].expand(*lead, -1))
        x: Tensor = self.embed(view, more)
        if hidden is not None:
            x[rows] = x[rows] * ~self.own
        if self.config.delay:
            late, queue = self._late(x, memory, reset)
            x = torch.where(self.own, x, late)
        return x, hidden, queue

    def _late(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """The features of `delay` frames ago [B, T, F].

        Until a match is so old, those of its first frame.
        """
        delay, steps = self.config.delay, x.shape[1]
        past = torch.cat([memory["queue"].to(x.dtype), x], 1)
        at = torch.arange(steps, device=x.device)
        begun = last_reset(reset)
        first = torch.where(begun < 0, -memory["waiting"][:, None], begun)
        late = torch.maximum(at - delay, first) + delay
        found = past.gather(1, late[..., None].expand(-1, -1, x.shape[-1]))
        return found, {
            "queue": past[:, steps:].float(),
            "waiting": (steps - first[:, -1]).clamp(max=delay),
        }


# ---- from plain data -------------------------------------------------------------------------------------------


def preset_arguments(
    preset: str,
    input_columns: Iterable[str],
    vocabulary: Vocabulary | None = None,
    encoding: Encoding | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """What `build` needs, as plain data: a preset, changed; the head's vocabulary, where data has one; the encoding's name."""
    if preset not in PRESETS:
        raise UsageError(f"there is no preset '{preset}': {did_you_mean(preset, PRESETS)}")
    config = {
        **PRESETS[preset],
        **{name: list(v) if isinstance(v, tuple) else v for name, v in changes.items()},
    }
    PolicyConfig.of(config)
    found: dict[str, Any] = {"input_columns": list(input_columns), "config": config}
    if vocabulary:
        found["vocabulary"] = {
            name: [list(point) for point in points] for name, points in vocabulary.items()
        }
    if encoding:
        found["encoding"] = {"name": encoding.name, "settings": dict(encoding.settings)}
    return found


def build_policy(
    schema: Schema, arguments: Mapping[str, Any], seed: int = 0, encoding: Encoding | None = None
) -> Policy:
    """A new policy; its weights depend on the seed alone, and nobody else's random numbers move.

    Where the arguments name an encoding, it must be given: a model knows no game that could make
    it.
    """
    wanted = arguments.get("encoding")
    mine = {"name": encoding.name, "settings": dict(encoding.settings)} if encoding else None
    if wanted != mine:
        raise UsageError(f"this policy is shown the encoding {wanted}, given is {mine}")
    config = PolicyConfig.of(arguments["config"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vocabulary = {
            **default_vocabulary(ControlValues(schema, config.output_controls)),
            **arguments.get("vocabulary", {}),
        }
        return Policy(schema, arguments["input_columns"], config, vocabulary, encoding)
