"""Predictions of a policy at every frame of recorded seats, given everything recorded up to there.

Each recording is read once, many seats at a time, with the policy's memory carried along; nothing
is encoded twice. B: seats, T: positions, V: control values, A: draws of the controls decided
earlier in the same frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.game import noise, stable_hash
from shadowbox.core.schema import Array, Real
from shadowbox.evaluate.offline import Answers
from shadowbox.evaluate.recorded import SeatAnswer, SeatData
from shadowbox.evaluate.sticks import StickPositions
from shadowbox.model.codebook import CodebookDistribution
from shadowbox.model.heads import Temperature
from shadowbox.play.policy_agent import as_tensor
from shadowbox.play.restored_policy import value_names

if TYPE_CHECKING:
    from shadowbox.model.policy import Policy
    from shadowbox.model.predictions import PolicyOutput

SEATS = 32  # at a time
STEPS = 256  # positions at a time
DRAW = 2000  # the first draw of what would be pressed
# draws of what a part depends on in its own frame: it must not know what was pressed there
ANCESTORS = 4

Report = Callable[[int, int], None]


@torch.inference_mode()
def answer_seats(
    policy: Policy,
    seats: Sequence[SeatData],
    progress: Report | None = None,
    *,
    temperature: Temperature = 1.0,
    threshold: float | None = None,
    player: str = "",
) -> Answers:
    """Predictions at all frames of the seats, at a temperature, sampled or by a threshold, in a style."""
    policy.eval()
    # alike lengths together: little is filled up
    order = sorted(range(len(seats)), key=lambda at: seats[at].frames)
    answers: dict[int, SeatAnswer] = {}
    for first in range(0, len(order), SEATS):
        chosen = order[first : first + SEATS]
        for at, answer in zip(
            chosen, _ask(policy, [seats[at] for at in chosen], temperature, player), strict=True
        ):
            answers[at] = answer if threshold is None else _pressed_above(answer, threshold)
        if progress:
            progress(len(answers), len(seats))
    return Answers(seats, [answers[at] for at in range(len(seats))])


@torch.inference_mode()
def with_vocabulary_places(policy: Policy, seats: Sequence[SeatData]) -> list[SeatData]:
    """Seats with stick positions mapped to the policy's vocabulary, where both have them."""
    device, names = next(policy.parameters()).device, value_names(policy)
    found = []
    for seat in seats:
        rows = slice(0, seat.frames)
        books = [
            book for _, book in _sticks(policy) if all(names[at] in seat.stick for at in book.at)
        ]
        keys = policy.schema.control_keys if books else ()
        view, own = (
            {key: _stacked([side[key]], rows).to(device) for key in keys}
            for side in (seat.view, seat.own)
        )
        standing = {}
        for book in books:
            now, before = (
                book.index(policy.values.of(side)[0][:, list(book.at)]).cpu().numpy()
                for side in (own, view)
            )
            standing[_called(book)] = StickPositions(now, before, book.size)
        found.append(replace(seat, standing=standing))
    return found


def _ask(
    policy: Policy, seats: Sequence[SeatData], temperature: Temperature, player: str
) -> list[SeatAnswer]:
    """Predict seats side by side, from their first frame to their last."""
    parts = [_read(policy, step, temperature) for step in walk(policy, seats, player)]
    joined = {name: torch.cat([part[name] for part in parts], 1).cpu().numpy() for name in parts[0]}
    return [_answer(policy, seat, {name: values[at, : seat.frames] for name, values in joined.items()})
            for at, seat in enumerate(seats)]  # fmt: skip


@dataclass(frozen=True)
class _Step:
    """A slice of some seats [B, T]: recorded controls, inputs, and inputs with the history hidden."""

    view: dict[str, Tensor]
    controls: Tensor  # [B, T, V]
    inside: Tensor  # bool [B, T]: frames of the seat
    seen: PolicyOutput
    blind: PolicyOutput
    draws: Tensor  # uniform [B, T, (ANCESTORS + 1) * draws]


def walk(policy: Policy, seats: Sequence[SeatData], player: str = "") -> Iterator[_Step]:
    """Slices of all frames of the seats, in order, with the memory carried along."""
    longest, device = max(seat.frames for seat in seats), next(policy.parameters()).device
    styles = policy.style_of([player] * len(seats)) if player else {}
    style = {key: values.to(device) for key, values in styles.items()}
    memory, forgetful = policy.initial(len(seats)), policy.initial(len(seats))
    ends = torch.tensor([seat.frames for seat in seats], device=device)
    for first in range(0, longest, STEPS):
        rows = slice(first, min(first + STEPS, longest))
        view = {key: _stacked([seat.view[key] for seat in seats], rows).to(device)
                for key in policy.reads}  # fmt: skip
        own = {
            key: _stacked([seat.own[key] for seat in seats], rows).to(device)
            for keys in policy.values.sources
            for key in keys
        }
        controls = policy.values.only_active(policy.values.of(own), view)
        reset = torch.zeros(controls.shape[:2], dtype=torch.bool, device=device)
        reset[:, 0] = first == 0
        draws = torch.from_numpy(_noise(seats, rows, policy.draws * (ANCESTORS + 1))).to(device)
        seen, memory = policy.seq(view, controls, reset, memory, style)
        blind, forgetful = policy.seq(view, controls, reset, forgetful, style, hide=True)
        inside = torch.arange(rows.start, rows.stop, device=device) < ends[:, None]
        yield _Step(view, controls, inside, seen, blind, draws)


def _read(policy: Policy, step: _Step, temperature: Temperature) -> dict[str, Tensor]:
    """Press probabilities and stick means, sampled values [B, T, V], and nats [B, T]."""
    seen, draws = step.seen, step.draws
    last = draws[..., -policy.draws :]
    ancestors = [draws[..., at * policy.draws : (at + 1) * policy.draws] for at in range(ANCESTORS)]
    if len(policy.head.parts) == 1:
        ancestors = ancestors[:1]  # nothing depends on anything
    values = []
    sticks = _sticks(policy)
    costs: dict[str, list[Tensor]] = {
        "cost": [],
        "blank": [],
        **{_called(book): [] for _, book in sticks},
    }
    for noises in ancestors:
        each = {"cost": seen, "blank": step.blind}
        if len(policy.head.parts) > 1:
            each = {name: one.given(one.drawn(noises, temperature)) for name, one in each.items()}
        values.append(_chances(policy, each["cost"], temperature))
        for name, one in each.items():
            by_part = one.log_prob(step.controls, temperature)
            costs[name].append(by_part[..., _button_parts(policy)].sum(-1))
            for at, book in sticks if one is each["cost"] else ():
                costs[_called(book)].append(by_part[..., at])
    found = {
        name: math.log(len(all_)) - torch.stack(all_).logsumexp(0) for name, all_ in costs.items()
    }
    drawn = policy.values.only_active(seen.drawn(last, temperature), step.view)
    return {**found, "values": torch.stack(values).mean(0), "drawn": drawn}


def _chances(policy: Policy, seen: PolicyOutput, temperature: Temperature) -> Tensor:
    """Probability that a button is down, or expected position of a stick: [B, T, V]."""
    found = seen.mean(temperature).clone()
    temperatures = policy.head.by_part(temperature)
    for at, part in enumerate(policy.head.parts):
        if isinstance(part, CodebookDistribution) and not _is_stick(policy, part.keys[0]):
            output = torch.split(seen.output, policy.head.widths, -1)[at]
            likely = part.log_probs(
                output, part.index(seen.previous[..., list(part.at)]), temperatures[at]
            ).exp()
            found[..., list(part.at)] = likely @ (part.points != 0).to(likely.dtype)
    return found


def _pressed_above(answer: SeatAnswer, threshold: float) -> SeatAnswer:
    return replace(
        answer, drawn={name: chance >= threshold for name, chance in answer.chance.items()}
    )


def _button_parts(policy: Policy) -> list[int]:
    return [at for at, part in enumerate(policy.head.parts) if not _is_stick(policy, part.keys[0])]


def _sticks(policy: Policy) -> list[tuple[int, CodebookDistribution]]:
    """Distributions that put a stick or trigger at points of a codebook, with their index."""
    parts = enumerate(policy.head.parts)
    return [
        (at, part)
        for at, part in parts
        if isinstance(part, CodebookDistribution) and _is_stick(policy, part.keys[0])
    ]


def control_bins(policy: Policy) -> dict[str, Any]:
    """Controls of each part of the head and their number of options, and a fingerprint of all points.

    Likelihoods are comparable where these are equal. A part without a list of points has 0 options.
    """
    found: dict[str, Any] = {}
    seen: list[str | bytes] = []
    for part in policy.head.parts:
        book = part if isinstance(part, CodebookDistribution) else None
        found[part.name] = {"controls": list(part.keys), "options": book.size if book else 0}
        seen += [part.name, *part.keys, book.points.cpu().numpy().tobytes() if book else b""]
    return {**found, "fingerprint": f"{stable_hash(*seen):016x}"}


def _called(book: CodebookDistribution) -> str:
    """Name of a stick beside the names of buttons."""
    return f"{book.keys[0].split('/')[0]}/{book.name}"


def _is_stick(policy: Policy, key: str) -> bool:
    return isinstance(policy.schema.columns[key].field, Real)


def _answer(policy: Policy, seat: SeatData, found: dict[str, Array]) -> SeatAnswer:
    """Predictions for one seat, by the names of its buttons and sticks."""
    chance, drawn, position = {}, {}, {}
    for at, name in enumerate(value_names(policy)):
        if name in seat.down:
            chance[name], drawn[name] = (
                found["values"][:, at].astype(np.float64),
                found["drawn"][:, at] > 0.5,
            )
        elif name in seat.stick:
            position[name] = found["values"][:, at]
    cost, blank = (found[name].astype(np.float64) for name in ("cost", "blank"))
    return SeatAnswer(
        chance,
        drawn,
        position,
        cost,
        blank,
        {name: found[name].astype(np.float64) for name in seat.standing},
    )


def _stacked(values: Sequence[Array], rows: slice) -> Tensor:
    """Pad and stack seats: [T, slots] each -> [B, rows, slots], zeros after the end of a seat."""
    width = rows.stop - rows.start
    out = np.zeros((len(values), width, *values[0].shape[1:]), values[0].dtype)
    for at, each in enumerate(values):
        part = each[rows]
        out[at, : len(part)] = part
    return as_tensor(out)


def _noise(seats: Sequence[SeatData], rows: slice, draws: int) -> Array:
    """Uniform numbers by episode, seat, frame and draw: f32 [B, T, draws] in [0, 1)."""
    frames = np.arange(rows.start, rows.stop)
    parts = [
        noise(
            np.full((len(frames), 1), stable_hash("asked", seat.episode) >> 1),
            frames[:, None],
            seat.player,
            DRAW + np.arange(draws),
        )
        for seat in seats
    ]  # fmt: skip
    return np.asarray(np.floor(np.stack(parts) * 2**24) * 2.0**-24, np.float32)
