"""Chain of state heads: the next frame of both players, part by part, each given those before it.

    events     the joint event of all players, one of those that were seen
    together   the choices that a game draws as one (state and move), for each player
    flags      all flags
    choices    all other choices, as options: count, stay, or jump to a value
    reals      amounts and velocities, as exact amounts or a mixture
    motion     positions, as what remains beside their next velocity

All fields of a part are one tensor and one call. In training each part is given the recorded values
of those before it, some of them hidden; in play it is given what was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.core.dynamics.rules import _Rules, _Step
from shadowbox.core.schema import Choice, Flag, Real, Schema
from shadowbox.model.world import parts
from shadowbox.model.world.derived import drawn_of, joint_code, place_keys, real_base, settle
from shadowbox.model.world.layout import _Flat, _Layout, _Unit
from shadowbox.model.world.mixture import (
    NEVER,
    RULED_OUT,
    _Mixture,
    _Numbers,
    certain,
    choose,
    nats_of,
)
from shadowbox.model.world.parts import _Cost, _Part, _Tables
from shadowbox.model.world.possible import (
    _Possible,
    _PossibleEvents,
    _PossibleFlags,
    flags_there,
    possible_events,
)
from shadowbox.model.world.reach import reaches_of
from shadowbox.model.world.spans import _Spans, choice_limits, limited
from shadowbox.model.world.vocabulary import _Vocabulary, event_bits, event_code

PARTS = ("events", "together", "flags", "choices", "reals", "motion")


class _ChainHeads(_Tables):
    """Distribution over the next frame, from features of a trunk [..., features]."""

    chained = True  # each part is given those before it

    def __init__(
        self,
        schema: Schema,
        rules: _Rules,
        vocabulary: _Vocabulary,
        *,
        width: int,
        ancestor_dropout: float = 0.1,
        gated: bool = True,
    ) -> None:
        """`gated`: events decide which joint choices may follow."""
        super().__init__()
        self.schema, self.rules, self.vocabulary = schema, rules, vocabulary
        self.layout, self.ancestor_dropout = _Layout(schema), ancestor_dropout
        self.gated = gated
        drawn = [key for key in rules.drawn if key not in rules.dynamics.together]
        kinds = {key: schema.columns[key].field for key in drawn}
        units = self.layout.units
        self.together = rules.dynamics.together
        self.slots = schema.columns[self.together[0]].slots if self.together else 0
        self.flags = units(key for key in drawn if isinstance(kinds[key], Flag))
        self.choices = units(key for key in drawn if isinstance(kinds[key], Choice))
        reals = [key for key in drawn if isinstance(kinds[key], Real)]
        self.reals = units(key for key in reals if key not in rules.rates)
        self.motion = units(key for key in reals if key in rules.rates)
        self.enter: nn.Module = nn.Identity()  # from the features of a trunk
        self.parts, self.given = nn.ModuleDict(), nn.ModuleDict()
        self.mixtures = nn.ModuleDict()  # without weights
        self.possible = nn.ModuleDict()  # options of reals beside what was drawn
        self.reach = reaches_of(schema, rules, vocabulary.tables)  # of events between players
        self._build_events(width)
        self._build_together(width)
        if self.flags:
            parts.place(self, "flag", self.flags, self.layout.width(self.layout.flags))
            self.parts["flags"] = _Part(width, len(self.flags))
            stays = parts.log_shares(parts.shares_of(self.vocabulary, self.flags), 2).view(-1, 2)
            self.flag_stays = nn.Parameter(stays[:, 0] - stays[:, 1])
            self.given["flags"] = nn.Linear(len(self.flags), width)
            if self.together and self.chained:
                self.possible["flags"] = _PossibleFlags(schema, rules, vocabulary, self.flags)
        self._build_choices(width)
        for name, chosen in (("reals", self.reals), ("motion", self.motion)):
            self._build_reals(name, chosen, width)
        self.spans: _Spans | None = None
        if vocabulary.spans:
            most = self.mixture("motion").atoms + 1
            self.spans = _Spans(schema, rules, vocabulary.spans, self.motion, most)
        self.limits = choice_limits(schema, rules, vocabulary, self.choices)

    # ---- building --------------------------------------------------------------------------------

    def _build_events(self, width: int) -> None:
        """Table from the code of a joint event to its number, and its events by slot."""
        names, codes = list(self.rules.dynamics.events), self.vocabulary.events
        if not names:
            return
        slots = self.schema.columns[self.rules.triggers[names[0]][0]].slots
        for kind, table in parts.event_tables(len(names), codes, slots).items():
            self.register_buffer(f"event_{kind}", table, persistent=False)
        shares = self.vocabulary.tables.get("share/events")
        self.parts["events"] = _Part(width, len(codes), parts.log_shares([shares], len(codes)))
        self.given["events"] = nn.Embedding(len(codes), width)
        given = self.together and self.chained
        if given and place_keys(self.schema, self.rules, self.together[0]):
            self.possible["events"] = _PossibleEvents(self.schema, self.rules, self.vocabulary)

    def _build_together(self, width: int) -> None:
        """Legal joint choices and events; these tables are weights, since recordings decide them."""
        if not self.together:
            return
        codes = self.vocabulary.together
        for kind, table in parts.class_tables(self.schema, self.together, codes).items():
            self.register_buffer(f"class_{kind}", table, persistent=False)
        for name, values in parts.joint_tables(
            self.schema, self.rules, self.vocabulary, gated=self.gated, given=self.chained
        ).items():
            self.register_buffer(name, torch.from_numpy(values))
        self.register_buffer("class_first", torch.arange(self.slots) * len(codes), persistent=False)
        self.parts["together"] = _Part(width, self.slots * len(codes))
        self.given["together"] = nn.Embedding(self.slots * len(codes), width)

    def _build_choices(self, width: int) -> None:
        """Next value of every unit by (value, option), in one table of rows."""
        if not self.choices:
            return
        following, first = parts.choice_table(self.schema, self.vocabulary, self.choices)
        most = following.shape[1]
        parts.place(self, "choice", self.choices, self.layout.width(self.layout.choices))
        self.register_buffer("next_value", torch.from_numpy(following), persistent=False)
        self.register_buffer("next_first", torch.tensor(first), persistent=False)
        self.most = most
        shares = parts.log_shares(parts.shares_of(self.vocabulary, self.choices), most)
        self.parts["choices"] = _Part(width, len(first) * most, shares)
        self.given["choices"] = nn.Linear(len(first) * most, width)

    def _build_reals(self, name: str, units: Sequence[_Unit], width: int) -> None:
        if not units:
            return
        parts.place(self, name, units, self.layout.width(self.layout.reals))
        mixture = _Mixture(self.schema, self.vocabulary, units, self.rules.within)
        if self.together and self.chained:
            self.possible[name] = _Possible(
                self.schema, self.rules, self.vocabulary, self.layout, units, mixture.atoms + 1
            )
        self.mixtures[name] = mixture
        part = self.parts[name] = _Part(width, mixture.outputs)
        mixture.begin(part.out.bias, parts.shares_of(self.vocabulary, units))
        if name == "reals":
            self.given[name] = nn.Linear(2 * len(units), width)
        elif mixture.distances:
            self.given[name] = nn.Linear(mixture.distances, width, bias=False)

    # ---- likelihood ------------------------------------------------------------------------------

    def costs(self, h: Tensor, step: _Step, before: _Flat, after: _Flat) -> dict[str, _Cost]:
        """Nats of the frame after, also in `step`, part by part, and the mask of what is drawn."""
        z, costs, there = self.enter(h), {}, flags_there(self.possible, step)
        if "events" in self.parts:
            z, costs["events"], number = self._event_cost(z, step, before)
            z = self._tell(z, "events", number.clamp(min=0))
        if "together" in self.parts:
            z, costs["together"], chosen = self._together_cost(z, step, before, after, there)
            z = self._tell(z, "together", chosen + self.class_first)
        if "flags" in self.parts:
            z, logits = self._flag_logits(z, there, before, after)
            target = after.flags[..., self.flag_place].float()
            nats = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
            costs["flags"] = _Cost(nats, drawn_of(self.rules, self.flags, step))
            z = self._tell(z, "flags", 2 * target - 1)
        if "choices" in self.parts:
            z, costs["choices"], chosen = self._choice_cost(z, step, before, after)
            z = self._tell(z, "choices", chosen)
        for name, units in (("reals", self.reals), ("motion", self.motion)):
            if name in self.parts:
                base = self._base(name, step, before)
                z, output = self.parts[name](self._near_exact(name, z, base))
                target = after.reals[..., getattr(self, f"{name}_place")]
                possible = self._possible_options(name, after, base, step)
                nats = self.mixture(name).nats(output, base, target, possible)
                costs[name] = _Cost(nats, drawn_of(self.rules, units, step))
                if name == "reals":
                    z = self._tell(z, "reals", self._of_reals(base, target))
        return costs

    def _event_cost(self, z: Tensor, step: _Step, before: _Flat) -> tuple[Tensor, _Cost, Tensor]:
        z, logits = self.parts["events"](z)
        bits = event_bits(step.events) & ~self.rules.implied
        number = self.event_number[event_code(bits, len(step.events))]
        log_probs = (logits + self._event_mask(step, before)).log_softmax(-1)
        nats, fits = nats_of(log_probs, number)
        return z, _Cost(nats[..., None], fits[..., None]), number

    def _together_cost(
        self, z: Tensor, step: _Step, before: _Flat, after: _Flat, there: Tensor | None
    ) -> tuple[Tensor, _Cost, Tensor]:
        z, logits = self.parts["together"](z)
        shape = (*logits.shape[:-1], self.slots, -1)
        bits = event_bits(step.events) & ~self.rules.implied if step.events else 0
        legal, usual = self._legal(bits, there, before)
        log_probs = (logits.view(shape) + usual).masked_fill(~legal, NEVER).log_softmax(-1)
        chosen = self.class_number[self._code(after)]
        nats, fits = nats_of(log_probs, chosen)
        return z, _Cost(nats, fits), chosen.clamp(min=0)

    def _choice_cost(
        self, z: Tensor, step: _Step, before: _Flat, after: _Flat
    ) -> tuple[Tensor, _Cost, Tensor]:
        z, logits = self.parts["choices"](z)
        following = self._following(before, step)
        hits = following == after.choices[..., self.choice_place][..., None]
        chosen = torch.where(hits.any(-1), hits.int().argmax(-1), -1)
        shape = (*logits.shape[:-1], len(self.choices), self.most)
        log_probs = logits.view(shape).masked_fill(following < 0, RULED_OUT).log_softmax(-1)
        nats, fits = nats_of(log_probs, chosen)
        return (
            z,
            _Cost(nats, fits & drawn_of(self.rules, self.choices, step)),
            hits.flatten(-2).float(),
        )

    # ---- drawing ---------------------------------------------------------------------------------

    @property
    def draws(self) -> int:
        """Number of uniform numbers that a frame takes."""
        return (
            1 + self.slots + len(self.flags) + len(self.choices)
            + 3 * (len(self.reals) + len(self.motion))
        )  # fmt: skip

    @torch.no_grad()
    def draw(self, h: Tensor, before: _Flat, after: _Flat, uniform: Tensor | None) -> Tensor | None:
        """Draw the next frame into `after` [N, ...], whose early columns are given.

        `uniform` [N, draws]; None: the most likely value of each part. Returns the events of each
        slot as bits [N, slots]; None without events.
        """
        z, bits = self.enter(h), None
        events: dict[str, Tensor] = {}
        step = _Step(self.layout.views(before), self.layout.views(after), {}, events, {}, torch)
        u = (lambda n: None) if uniform is None else _Numbers(uniform)
        there = flags_there(self.possible, step)
        if "events" in self.parts:
            z, logits = self.parts["events"](z)
            number = choose(logits + self._event_mask(step, before), u(1), one=True)
            bits = self.event_bits[number]
            events.update(self.rules.events_in(bits))
            z = self._tell(z, "events", number)
        if "together" in self.parts:
            z, logits = self.parts["together"](z)
            legal, usual = self._legal(0 if bits is None else bits, there, before)
            shaped = logits.view(len(logits), self.slots, -1) + usual
            shaped = shaped.masked_fill(~legal, NEVER)
            chosen = choose(shaped, u(self.slots))
            for key, values in zip(self.together, self.class_values, strict=True):
                step.after[key].copy_(values[chosen])
            z = self._tell(z, "together", chosen + self.class_first)
        if "flags" in self.parts:
            z, logits = self._flag_logits(z, there, before, after)
            numbers = u(len(self.flags))
            drawn = logits > 0 if numbers is None else numbers < certain(logits)
            if "flags" in self.possible:
                given = (self._class(after), there)
                drawn = self.possible["flags"].draw(logits, drawn, numbers, *given)  # type: ignore[operator]
            after.flags.copy_(parts.spread(drawn, self.flag_source, after.flags))
            settle(self.rules, self.flags, step)
            z = self._tell(z, "flags", after.flags[:, self.flag_place] * 2.0 - 1.0)
        if "choices" in self.parts:
            z, logits = self.parts["choices"](z)
            following = self._following(before, step)
            shaped = logits.view(following.shape).masked_fill(following < 0, NEVER)
            chosen = choose(shaped, u(len(self.choices)))
            values = following.gather(-1, chosen[..., None])[..., 0]
            after.choices.copy_(parts.spread(values, self.choice_source, after.choices))
            settle(self.rules, self.choices, step)
            hits = following == after.choices[:, self.choice_place][..., None]
            z = self._tell(z, "choices", hits.flatten(-2).float())
        for name in ("reals", "motion"):
            if name in self.parts:
                z = self._draw_reals(name, z, step, before, after, u)
        if "flags" in self.possible:
            self.possible["flags"].settle(step)  # type: ignore[operator]
        return bits

    def _draw_reals(
        self, name: str, z: Tensor, step: _Step, before: _Flat, after: _Flat, u: Any
    ) -> Tensor:
        units, base = getattr(self, name), self._base(name, step, before)
        z, output = self.parts[name](self._near_exact(name, z, base))
        bounds = self.spans.bounds(base, step) if name == "motion" and self.spans else None
        options = self._possible_options(name, after, base, step)
        drawn = self.mixture(name).draw(output, base, u(3 * len(units)), options, bounds)
        after.reals.copy_(parts.spread(drawn, getattr(self, f"{name}_source"), after.reals))
        if name == "motion":
            return z
        settle(self.rules, units, step)
        return self._tell(z, "reals", self._of_reals(base, after.reals[:, self.reals_place]))

    def _flag_logits(
        self, z: Tensor, there: Tensor | None, before: _Flat, after: _Flat
    ) -> tuple[Tensor, Tensor]:
        """Features, and logits of flags: those of a change, turned where the flag is on."""
        z, logits = self.parts["flags"](z)
        logits = logits + (before.flags[..., self.flag_place] * 2.0 - 1.0) * self.flag_stays
        if "flags" in self.possible:
            logits = self.possible["flags"](logits, self._class(after), there)
        return z, logits

    # ---- shared ----------------------------------------------------------------------------------

    def mixture(self, name: str) -> _Mixture:
        """Distributions of the part `reals` or `motion`."""
        return cast(_Mixture, self.mixtures[name])

    def _tell(self, z: Tensor, name: str, drawn: Tensor) -> Tensor:
        """Add what was drawn of a part, hidden at some positions in training."""
        given: Tensor = self.given[name](drawn)
        if name == "together":
            given = given.sum(-2)  # of all slots
        if self.training and self.ancestor_dropout:
            shape = (*given.shape[:-1], 1)
            kept = torch.rand(shape, device=given.device) >= self.ancestor_dropout
            given = given * kept
        return z + given

    def _code(self, frame: _Flat) -> Tensor:
        """Code of the joint choice of each slot, [..., slots]."""
        at = self.layout.choices
        values = {k: frame.choices[..., at[k] :][..., : self.slots] for k in self.together}
        code: Tensor = joint_code(self.schema, self.together, values)
        return code

    def _legal(self, bits: Any, there: Tensor | None, before: _Flat) -> tuple[Tensor, Tensor]:
        """Mask of legal joint choices, and logits of how often they were seen, [..., slots, C]."""
        at = (bits, self._code(before))
        legal: Tensor = self.allowed[at]
        if "flags" in self.possible:
            legal = self.possible["flags"].classes(legal, there)  # type: ignore[operator]
        return legal, self.usual[at]

    def _event_mask(self, step: _Step, before: _Flat) -> Tensor:
        """Logits [..., events] of joint events that cannot happen now, of 0 for others."""
        if not self.together:
            return before.reals.new_zeros(())
        happens, masks = self.happens[self._code(before)], (self.possible, self.reach)
        may = possible_events(happens, self.event_bits, *masks, step.before)
        return torch.where(may, 0.0, NEVER)

    def _following(self, before: _Flat, step: _Step) -> Tensor:
        """Next value of each unit by option, [..., U, options]; -1: no such option."""
        found = self.next_value[before.choices[..., self.choice_place] + self.next_first]
        return limited(self.limits, found, step.before)

    def _base(self, name: str, step: _Step, before: _Flat) -> Tensor:
        """Values of reals without a surprise, [..., U]."""
        if name == "reals":
            return before.reals[..., self.reals_place]
        keys = dict.fromkeys(unit.key for unit in self.motion)
        bases = [real_base(self.schema, self.rules, key, step.before, step.after) for key in keys]
        return torch.cat(bases, -1)

    def _possible_options(
        self, name: str, after: _Flat, base: Tensor, step: _Step
    ) -> Tensor | None:
        found: Tensor | None = None
        if name in self.possible:
            found = self.possible[name](self._class(after), after.flags)
        if name != "motion" or self.spans is None:
            return found
        return self.spans.near(found, self.mixture(name).exact(base), base, step)

    def _class(self, frame: _Flat) -> Tensor:
        """Number of the joint choice of each slot."""
        return self.class_number[self._code(frame)].clamp(min=0)

    def _near_exact(self, name: str, z: Tensor, base: Tensor) -> Tensor:
        if name != "motion" or name not in self.given:
            return z
        near: Tensor = self.given[name](self.mixture(name).to_exact(base))
        return z + near

    def _of_reals(self, base: Tensor, value: Tensor) -> Tensor:
        scale = self.mixture("reals").scale
        return torch.cat([(value - base) * scale, value * scale], -1).clamp(-8, 8)
