"""A policy: state_t and everybody's controls_{t-1}, seen from the own seat -> a distribution over the own controls_t.

B: matches or segments, T: positions, V: control values of the own seat (`Policy.values.names` says
which), P: parts. A `view` is columns [B, slots] (or [B, T, slots]): state_t and everybody's
controls_{t-1}, own slot first; more columns than `sees` do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from shadowbox.core.encoding import Encoding
from shadowbox.core.schema import Schema
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.codec import Embed, Encoded, Values
from shadowbox.model.design import PRESETS, Design
from shadowbox.model.heads import HEADS, Heat, Vocabulary
from shadowbox.model.predictions import Seen
from shadowbox.model.style import Style
from shadowbox.model.trunks import registry as trunks
from shadowbox.model.trunks.base import Memory, begun
from shadowbox.model.vocabulary import usual_vocabulary

View = Mapping[str, Tensor]


class Policy(nn.Module):
    """Embedding, trunk, head. `sees` are the state columns that it is shown; it knows no game, only a schema.

    `draws`: uniform numbers that a decision takes. `parts`: what is decided, in order.
    """

    def __init__(
        self,
        schema: Schema,
        sees: Iterable[str],
        design: Design,
        vocabulary: Vocabulary | None = None,
        encoding: Encoding | None = None,
    ) -> None:
        """`encoding`: what it is shown instead of the columns themselves; it then reads all that `sees` names."""
        super().__init__()
        self.schema, self.design = schema, design
        self.sees = tuple(key for key in sees if key in schema.state_keys)
        self.values = Values(schema, design.answers)
        self.embed = (
            Encoded(encoding)
            if encoding
            else Embed(schema, (*self.sees, *schema.control_keys), distances=design.distances)
        )
        self.style = Style(design) if design.players or design.strength else None
        width = self.embed.width + bool(design.blank) + (self.style.width if self.style else 0)
        own = torch.zeros(width, dtype=torch.bool)
        own[self.embed.places(schema.control_keys, self.values.slots)] = True
        self.register_buffer("own", own, persistent=False)  # the features of the own past controls
        self.trunk = trunks.build(design, width, self.embed.fixed)
        self.head = HEADS[design.head](
            self.trunk.out, self.values, vocabulary or usual_vocabulary(self.values), design
        )
        self.draws, self.parts = self.head.draws, tuple(part.name for part in self.head.parts)

    own: Tensor

    # ---- playing -----------------------------------------------------------------------------------------------

    def initial(self, batch: int, device: torch.device | str | None = None) -> Memory:
        """The memory of matches that have not begun: a dict of tensors [B, ...], to be merged row by row with `torch.where`."""
        where = self.own.device if device is None else torch.device(device)
        delay = self.design.delay
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
        temperature: Heat = 1.0,
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
    ) -> tuple[Seen, Memory]:
        """T positions at once: view [B, T, slots], pressed controls [B, T, V], reset [B, T] -> distributions, memory.

        The distribution of a position depends on `controls` only within its own frame, and there a
        part only on those before it. `hide` hides the own past controls, to see how much it copies.
        """
        memory = self.initial(len(reset), reset.device) if memory is None else memory
        x, hidden, queue = self._features(view, memory, reset, style, hide)
        h, state = self.trunk.seq(x, memory, reset)
        previous = self.values.of(view)
        return Seen(self.head, self.head(h, controls, previous, hidden), previous, h, hidden), {
            **queue,
            **state,
        }

    def forward(
        self, view: View, controls: Tensor, reset: Tensor, style: View | None = None
    ) -> Tensor:
        """The costs of what was pressed, [B, T, names], in matches of which nothing is known before: what training calls."""
        memory = self.initial(len(reset), reset.device)
        view = self.slipped(view) if self.training and self.design.slips else view
        x, hidden, _ = self._features(view, memory, reset, style)
        h, _ = self.trunk.seq(x, memory, reset)
        return self.head.learn(h, controls, self.values.of(view), hidden)

    def slipped(self, view: View) -> View:
        """The same with the own past controls of a few frames drawn evenly from all that there are.

        In recordings nothing is held where that makes no sense; who never saw it would go on
        holding there for ever.
        """
        some = next(iter(view.values()))
        chosen = torch.rand(some.shape[:2], device=some.device) < self.design.slips
        drawn, slots = (
            self.values.columns(self.head.anything(chosen.shape).to(some.device)),
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
            ("history hidden", bool(self.design.blank)),
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
        if self.design.blank:
            if self.training and not hide:
                rows = torch.rand(lead[0], device=some.device) < self.design.blank
            more.append(rows[:, None, None].expand(*lead, 1).float())
        if hide or (self.design.blank and self.training):
            hidden = rows[:, None].expand(lead)
        if self.style is not None:
            more.append(self.style(style, lead[0], some.device)[:, None].expand(*lead, -1))
        x: Tensor = self.embed(view, more)
        if hidden is not None:
            x[rows] = x[rows] * ~self.own
        if self.design.delay:
            late, queue = self._late(x, memory, reset)
            x = torch.where(self.own, x, late)
        return x, hidden, queue

    def _late(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """The features of `delay` frames ago [B, T, F].

        Until a match is so old, those of its first frame.
        """
        delay, steps = self.design.delay, x.shape[1]
        past = torch.cat([memory["queue"].to(x.dtype), x], 1)
        at = torch.arange(steps, device=x.device)
        begun = begun(reset)
        first = torch.where(begun < 0, -memory["waiting"][:, None], begun)
        late = torch.maximum(at - delay, first) + delay
        found = past.gather(1, late[..., None].expand(-1, -1, x.shape[-1]))
        return found, {
            "queue": past[:, steps:].float(),
            "waiting": (steps - first[:, -1]).clamp(max=delay),
        }


# ---- from plain data -------------------------------------------------------------------------------------------


def arguments(
    preset: str,
    sees: Iterable[str],
    vocabulary: Vocabulary | None = None,
    encoding: Encoding | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """What `build` needs, as plain data: a preset, changed; the head's vocabulary, where data has one; the encoding's name."""
    if preset not in PRESETS:
        raise UsageError(f"there is no preset '{preset}': {did_you_mean(preset, PRESETS)}")
    design = {
        **PRESETS[preset],
        **{name: list(v) if isinstance(v, tuple) else v for name, v in changes.items()},
    }
    Design.of(design)
    found: dict[str, Any] = {"sees": list(sees), "design": design}
    if vocabulary:
        found["vocabulary"] = {
            name: [list(point) for point in points] for name, points in vocabulary.items()
        }
    if encoding:
        found["encoding"] = {"name": encoding.name, "settings": dict(encoding.settings)}
    return found


def build(
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
    design = Design.of(arguments["design"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vocabulary = {
            **usual_vocabulary(Values(schema, design.answers)),
            **arguments.get("vocabulary", {}),
        }
        return Policy(schema, arguments["sees"], design, vocabulary, encoding)
