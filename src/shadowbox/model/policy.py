"""Policy network: states and previous controls, seen from a seat -> distributions over controls.

B: matches or segments, T: positions, V: control values of the own seat (`Policy.values.names` lists
them), P: parts. A `view` is columns [B, slots] (or [B, T, slots]) of state_t and every player's
controls_{t-1}, own slot first; columns other than `input_columns` are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from shadowbox.core.encoding import Encoding
from shadowbox.core.schema import Schema
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.codec import ControlValues, View
from shadowbox.model.design import DELAY, PRESETS, PolicyConfig
from shadowbox.model.embedding import ColumnEmbedding, EncodingEmbedding
from shadowbox.model.head_registry import build_head, value_head
from shadowbox.model.heads import Temperature, Vocabulary
from shadowbox.model.inputs import (
    delay_feature,
    delayed,
    with_control_noise,
    with_own_controls,
    with_state_noise,
)
from shadowbox.model.masks import action_mask, masked
from shadowbox.model.predictions import PolicyOutput, _ActionEvaluation, _Decision
from shadowbox.model.strategy.encoder import StrategyEncoder
from shadowbox.model.style import _PlayerStyle
from shadowbox.model.trunks.base import Memory
from shadowbox.model.trunks.registry import build_trunk
from shadowbox.model.vocabulary import default_vocabulary


class _Features(NamedTuple):
    """Input of the trunk."""

    x: Tensor  # [B, T, F]
    hidden: Tensor | None  # mask of frames whose previous controls are hidden, [B, T]
    memory: Memory  # queue of the delay, memory of the strategy encoder
    latent: Tensor | None  # [B, T, D]


class Policy(nn.Module):
    """Embedding, trunk and head. `input_columns` are the state columns that it embeds.

    `reads` are all columns that a view must have: with controls, and flags of their modes.
    `draws` is the number of uniform numbers that a decision takes; `parts` names the parts of a
    decision in order.
    """

    def __init__(
        self,
        schema: Schema,
        input_columns: Iterable[str],
        config: PolicyConfig,
        vocabulary: Vocabulary | None = None,
        encoding: Encoding | None = None,
        masks: Mapping[str, Any] | None = None,
    ) -> None:
        """`encoding`: of all `input_columns`, as the inputs. `masks`: those of `Game.action_masks`."""
        super().__init__()
        self.schema, self.config = schema, config
        self.input_columns = tuple(key for key in input_columns if key in schema.state_keys)
        self.values = ControlValues(schema, config.output_controls)
        self.reads = self.values.read_beside(self.input_columns)
        before = schema.control_keys if config.previous_controls else ()
        columns = (*self.input_columns, *before)
        history = columns if config.opponent_controls else self.input_columns
        self.embed = (
            EncodingEmbedding(encoding)
            if encoding
            else ColumnEmbedding(
                schema,
                columns,
                relative_positions=config.relative_positions,
                normalize=config.normalize,
                own_only=() if config.opponent_controls else before,
            )
        )
        self.style = (
            _PlayerStyle(config.players, config.strength, config.skill)
            if config.players or config.strength or config.skill
            else None
        )
        self.strategy = (
            StrategyEncoder(schema, history, config.strategy, config.opponents)
            if config.strategy
            else None
        )
        width = self.embed.width + sum(self._appended().values())
        places = self.embed.places(before, self.values.slots)
        own = torch.zeros(width, dtype=torch.bool)
        own[places] = True
        self.register_buffer("own", own, persistent=False)  # features of the own previous controls
        self.trunk = build_trunk(config.trunk, width, self.embed.fixed, places)
        self.head = build_head(
            config.head,
            config.loss,
            self.trunk.out,
            self.values,
            vocabulary or default_vocabulary(self.values),
        )
        self.draws, self.parts = self.head.draws, tuple(part.name for part in self.head.parts)
        self.value = value_head(self.trunk.out, config.head.head_width) if config.value else None
        self.mask = action_mask(schema, self.head.parts, self.input_columns, masks)

    own: Tensor

    # ---- playing ---------------------------------------------------------------------------------

    def initial(self, batch: int, device: torch.device | str | None = None) -> Memory:
        """Memory of matches that have not begun: tensors [B, ...] to merge with `torch.where`."""
        target_device = self.own.device if device is None else torch.device(device)
        delay = self.config.delay
        queue = {
            "queue": torch.zeros(batch, delay, len(self.own), device=target_device),
            "waiting": torch.zeros(batch, dtype=torch.int64, device=target_device),
        }
        latent = self.strategy.initial(batch, target_device) if self.strategy else {}
        return {**self.trunk.begin(batch, target_device), **(queue if delay else {}), **latent}

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
        """Decide one frame of each match.

        Returns the own controls {key: [B, slots a player]}, their log-probability by part [B, P]
        and the new memory. `view` is [B, slots], `noise` is uniform [B, draws], `reset` bool [B]
        marks matches that begin with this frame. The log-probability is that of the sampled
        distribution at this temperature. No gradient is kept.
        """
        found = self.decide(view, memory, noise, reset=reset, temperature=temperature, style=style)
        return self.values.columns(found.values), found.log_prob, found.memory

    @torch.no_grad()
    def decide(
        self,
        view: View,
        memory: Memory,
        noise: Tensor,
        *,
        reset: Tensor | None = None,
        temperature: Temperature = 1.0,
        style: View | None = None,
    ) -> _Decision:
        """`step`, with the pressed values [B, V] and the value of the state, for rollouts."""
        previous = self.values.of(view)
        begins = previous.new_zeros(len(previous), dtype=torch.bool) if reset is None else reset
        seen = self._features(
            {key: values[:, None] for key, values in view.items()}, memory, begins[:, None], style
        )
        assert seen.hidden is None, (
            "call eval() before playing: previous controls are hidden in training"
        )
        h, state = self.trunk.step(seen.x[:, 0], memory, begins)
        if self.mask is None:
            values, log_prob = self.head.sample(h, previous, noise, temperature)
        else:
            output = masked(self.head(h, previous, previous), self.mask(view))
            values, log_prob = self.head.draw(output, previous, noise, temperature)
        return _Decision(
            self.values.only_active(values, view),
            log_prob,
            None if self.value is None else self.value(h)[..., 0].float(),
            {**seen.memory, **state},
        )

    # ---- learning --------------------------------------------------------------------------------

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
        """Distributions at T positions, and the new memory.

        `view` is [B, T, slots], `controls` [B, T, V] are the pressed ones, `reset` is [B, T]. The
        distribution of a position depends on `controls` only within its own frame, and there a part
        only on those before it. `hide` hides the own previous controls, which measures how much the
        policy copies them.
        """
        output, _, memory = self._sequence(view, controls, reset, memory, style, hide)
        return output, memory

    def _sequence(
        self,
        view: View,
        controls: Tensor,
        reset: Tensor,
        memory: Memory | None,
        style: View | None,
        hide: bool = False,
    ) -> tuple[PolicyOutput, Tensor | None, Memory]:
        """`seq`, with the latent of the opponent's history [B, T, D]."""
        memory = self.initial(len(reset), reset.device) if memory is None else memory
        seen = self._features(view, memory, reset, style, hide)
        h, state = self.trunk.seq(seen.x, memory, reset)
        previous = self.values.of(view)
        allowed = None if self.mask is None else self.mask(view)
        output = masked(self.head(h, controls, previous, seen.hidden), allowed)
        found = PolicyOutput(self.head, output, previous, h, seen.hidden, allowed)
        return found, seen.latent, {**seen.memory, **state}

    def evaluate_actions(
        self,
        view: View,
        controls: Tensor,
        reset: Tensor,
        memory: Memory | None = None,
        style: View | None = None,
    ) -> _ActionEvaluation:
        """Log-probability and entropy of pressed controls, and the value of each state.

        Arguments are those of `seq`; sequences go on from `memory`, that of their first position.
        """
        if self.value is None:
            raise UsageError("this policy estimates no value: build it with value=True")
        found, latent, _ = self._sequence(view, controls, reset, memory, style)
        log_prob, value = found.log_prob(controls).sum(-1), self.value(found.h)[..., 0].float()
        return _ActionEvaluation(log_prob, found.entropy(), value, found, latent)

    def forward(
        self, view: View, controls: Tensor, reset: Tensor, style: View | None = None
    ) -> Tensor:
        """Training loss of the pressed controls, [B, T, names], in matches without a past.

        With an encoder of the opponent's history, its auxiliary losses follow, [B, T, names + tasks];
        `style` then has the number of each `opponent` [B], if known.
        """
        memory = self.initial(len(reset), reset.device)
        if self.training and (share := self.config.noise.prev_control_noise):
            view = with_control_noise(self.values, self.head, share, view)
        if self.training and (share := self.config.noise.prev_control_own):

            def draw(some: View, rows: Tensor) -> Tensor:
                own_style = {key: values[rows] for key, values in (style or {}).items()}
                return self._drawn(some, controls[rows], reset[rows], own_style or None)

            view = with_own_controls(self.values, draw, share, view, reset)
        seen = self._features(view, memory, reset, style)
        h, _ = self.trunk.seq(seen.x, memory, reset)
        costs = self.head.learn(h, controls, self.values.of(view), seen.hidden)
        if self.strategy is None or seen.latent is None:
            return costs
        tasks = self.strategy.costs(seen.latent, view, reset, (style or {}).get("opponent"))
        masked = [cost * counted for cost, counted in tasks.values()]
        return torch.cat([costs, torch.stack(masked, -1)], -1)

    @torch.no_grad()
    def _drawn(self, view: View, controls: Tensor, reset: Tensor, style: View | None) -> Tensor:
        """Controls [B, T, V] drawn at each position, given the recorded ones before it."""
        seen, _ = self.seq(view, controls, reset, style=style)
        noise = torch.rand(*controls.shape[:-1], self.draws, device=reset.device)
        return self.values.only_active(seen.drawn(noise), view)

    def describe(self) -> list[tuple[str, int, int]]:
        """Spans (name, first, end) of a frame's input vector in order; columns carry their slot."""
        spans, at = self.embed.describe(), self.embed.width
        for name, width in self._appended().items():
            spans += [(name, at, at + width)] if width else []
            at += width
        return spans

    def _appended(self) -> dict[str, int]:
        """Widths of the features behind the embedding, in order."""
        return {
            "history hidden": int(self.config.noise.prev_control_dropout > 0),
            "style": self.style.width if self.style else 0,
            "strategy": self.strategy.out if self.strategy else 0,
            DELAY: int(len(self.config.delays) > 0),
        }

    def style_of(
        self,
        players: Sequence[str],
        strengths: Sequence[float | None] | None = None,
        skill: Mapping[str, float] | None = None,
    ) -> dict[str, Tensor]:
        """Style of each match: player [B], strength [B, 2], skill; an unknown name is refused."""
        if self.style is None:
            raise UsageError(
                "this policy has one style, since it was trained without players and strength; "
                "leave player, strength and skill out"
            )
        return self.style.of(players, strengths, skill)

    # ---- inside ----------------------------------------------------------------------------------

    def _features(
        self,
        view: View,
        memory: Memory,
        reset: Tensor,
        style: View | None,
        hide: bool | None = None,
    ) -> _Features:
        """Input of the trunk for views [B, T, slots]. `hide` None: as a training loss hides, at random."""
        hidden: Tensor | None = None
        after: Memory = {}
        latent: Tensor | None = None
        example = next(iter(view.values()))
        lead = (example.shape[0], example.shape[1])
        more: list[Tensor] = []
        rows = torch.full((lead[0],), bool(hide), device=example.device)
        at_random = self.training and hide is None
        if share := self.config.noise.prev_control_dropout:
            if at_random:
                rows = torch.rand(lead[0], device=example.device) < share
            more.append(rows[:, None, None].expand(*lead, 1).float())
        if hide or (share and at_random):
            hidden = rows[:, None].expand(lead)
        if self.style is not None:
            more.append(self.style(style, lead[0], example.device)[:, None].expand(*lead, -1))
        if self.strategy is not None:
            latent, after = self.strategy.seq(view, memory, reset)
            more.append(latent)
        if self.config.delays:
            more.append(delay_feature(view, self.config.delays))
        x: Tensor = self.embed(view, more)
        noise = self.config.noise
        if at_random and (noise.state_noise or noise.state_scale):
            x = with_state_noise(x, self.embed.reals_width, noise)
        if hidden is not None:
            x[rows] = x[rows] * ~self.own
        if self.config.delay:
            late, queue = delayed(x, memory, reset, self.config.delay)
            x, after = torch.where(self.own, x, late), {**after, **queue}
        return _Features(x, hidden, after, latent)


# ---- from plain data -----------------------------------------------------------------------------


def preset_arguments(
    preset: str,
    input_columns: Iterable[str],
    vocabulary: Vocabulary | None = None,
    encoding: Encoding | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Arguments of `build_policy` as plain data: a preset with changes, and optional parts.

    The optional parts are the head's vocabulary, where fitted on data, and the encoding's name.
    """
    if preset not in PRESETS:
        raise UsageError(f"unknown preset '{preset}': {did_you_mean(preset, PRESETS)}")
    config = {
        **PRESETS[preset],
        **{name: list(v) if isinstance(v, tuple) else v for name, v in changes.items()},
    }
    PolicyConfig.of(config)
    arguments: dict[str, Any] = {"input_columns": list(input_columns), "config": config}
    if vocabulary:
        arguments["vocabulary"] = {
            name: [list(point) for point in points] for name, points in vocabulary.items()
        }
    if encoding:
        arguments["encoding"] = {"name": encoding.name, "settings": dict(encoding.settings)}
    return arguments


def build_policy(
    schema: Schema, arguments: Mapping[str, Any], seed: int = 0, encoding: Encoding | None = None
) -> Policy:
    """New policy, whose weights depend on the seed alone; the global random state is unchanged.

    Where the arguments name an encoding it must be given, since a model does not know its game.
    """
    expected = arguments.get("encoding")
    got = {"name": encoding.name, "settings": dict(encoding.settings)} if encoding else None
    if expected != got:
        raise UsageError(f"this policy expects the encoding {expected} (got {got})")
    config = PolicyConfig.of(arguments["config"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vocabulary = {
            **default_vocabulary(ControlValues(schema, config.output_controls)),
            **arguments.get("vocabulary", {}),
        }
        masks = arguments.get("masks") if config.mask else None
        return Policy(schema, arguments["input_columns"], config, vocabulary, encoding, masks)
