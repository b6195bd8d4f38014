"""Recorded seats, and predictions at their frames: the data of all offline figures.

T: decisions of an episode. A seat has its own slot first, as the player sees the world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from shadowbox.core import baselines, presses
from shadowbox.core.baselines import means_by_situation
from shadowbox.core.game import noise, stable_hash
from shadowbox.core.schema import Array, Choice, Columns, Schema
from shadowbox.core.view import from_seat
from shadowbox.data.store import Store
from shadowbox.evaluate import sticks as places
from shadowbox.evaluate.sticks import SMALLEST, StickPositions

PRIOR = 1.0  # frames at the overall rate that each situation of the look-up table begins with
DRAW = 900  # of the baselines' noise, far from those that bots and policies make


@dataclass(frozen=True)
class SeatData:
    """One player of one episode: columns [T, slots], own controls, and those of the frame before."""

    episode: int
    player: int
    view: Columns  # state_t and everybody's controls_{t-1}, own slot first: what an agent is shown
    own: Columns  # the controls that answered it [T, slots a player]
    down: dict[str, Array]  # button -> bool [T]
    before: dict[str, Array]
    stick: dict[str, Array]  # stick -> f32 [T]
    stick_before: dict[str, Array]
    # stick -> its places, those of whom is judged
    standing: dict[str, StickPositions] = field(default_factory=dict)
    person: str = ""  # of whom an interval resamples all seats together; empty: by episode

    @property
    def sample(self) -> tuple[str, int]:
        """Whom or which episode an interval resamples as a whole."""
        return (self.person, 0) if self.person else ("", self.episode)

    @property
    def frames(self) -> int:
        """Number of decisions (T)."""
        return len(next(iter((self.down or self.stick).values())))


@dataclass(frozen=True)
class SeatAnswer:
    """Predictions at each frame of a seat, given everything recorded up to there."""

    chance: dict[str, Array]  # button -> P(down) [T]
    drawn: dict[str, Array]  # button -> bool [T], as in play
    position: dict[str, Array]  # stick -> expected [T]
    cost: Array  # nats of the pressed buttons [T]
    blank: Array | None = None  # the same with the own last controls hidden
    stick_cost: dict[str, Array] = field(default_factory=dict)  # stick -> nats of its place [T]


def load_seats(
    store: Store,
    episodes: Sequence[int],
    players: Sequence[int] | None = None,
    name: str = "",
    *,
    by_person: bool = False,
) -> Iterator[SeatData]:
    """Load seats of episodes; with a player's name, only the seats of that player."""
    for number in episodes:
        chosen = [player for player in (range(store.schema.players) if players is None else players)
                  if not name or player_in_seat(store, int(number), player) == name]  # fmt: skip
        if not chosen:
            continue
        columns, absent = (
            store.schema.unpack(store.rows_of(int(number))),
            store.absent_in(int(number)),
        )
        for player in chosen:
            person = player_in_seat(store, int(number), player) if by_person else ""
            seat = load_seat(store.schema, columns, int(number), player, absent)
            yield replace(seat, person=person)


def load_seat(
    schema: Schema,
    columns: Mapping[str, Array],
    episode: int,
    player: int,
    absent: frozenset[str] = frozenset(),
) -> SeatData:
    """One seat of an episode's columns [T + 1, slots], without controls that were not recorded."""
    each = schema.controls.slots // schema.players
    seen = from_seat(schema, columns, player)
    view = {
        key: seen[key][:-1] if key in schema.state_keys else _shifted(seen[key][:-1])
        for key in schema.columns
    }
    own = {key: seen[key][:-1, :each] for key in schema.control_keys}
    known = {key: values for key, values in own.items() if key not in absent}
    down = _by_slot(presses.buttons(schema, known), each)
    stick = _by_slot({key: known[key] for key in presses.stick_keys(schema) if key in known}, each)
    before = {name: presses.held_before(values) for name, values in down.items()}
    moved = {name: _shifted(values) for name, values in stick.items()}
    return SeatData(episode, player, view, own, down, before, stick, moved)


def player_in_seat(store: Store, episode: int, player: int) -> str:
    """Name of a seat's player; empty if the metadata do not have it."""
    names = store.meta_of(episode).get("players")
    return str(names[player]) if isinstance(names, list) and player < len(names) else ""


def select_controls(seat: SeatData, sources: Sequence[Sequence[str]]) -> SeatData:
    """The seat with only the controls of a policy, some merged (X or Y becomes the first of them)."""

    def joined(found: dict[str, Array]) -> dict[str, Array]:
        some = {keys[0]: [found[key] for key in keys if key in found] for keys in sources}
        return {name: np.max(parts, axis=0) for name, parts in some.items() if parts}

    down, stick = joined(seat.down), joined(seat.stick)
    before = {name: presses.held_before(values) for name, values in down.items()}
    moved = {name: _shifted(values) for name, values in stick.items()}
    return replace(seat, down=down, before=before, stick=stick, stick_before=moved)


def press_values(
    schema: Schema, columns: Mapping[str, Array], seat: SeatData, answer: SeatAnswer
) -> Columns:
    """An episode's columns [T + 1, slots] with the seat's controls as predicted, others neutral."""
    each = schema.controls.slots // schema.players
    found = {key: values.copy() for key, values in columns.items()}
    for key in schema.control_keys:
        found[key][:, seat.player * each : (seat.player + 1) * each] = 0
    for name, values in (*answer.drawn.items(), *answer.position.items()):
        key, _, slot = name.partition("[")
        found[key][: seat.frames, seat.player * each + int(slot.rstrip("]") or 0)] = values
    return found


def state_keys(schema: Schema) -> tuple[str, ...]:
    """Named choices of each player's state, such as the action."""
    found = [
        key
        for key in schema.state_keys
        if (column := schema.columns[key]).group.per
        and isinstance(column.field, Choice)
        and column.field.names
    ]
    return tuple(found)


# ---- the baselines -------------------------------------------------------------------------------


class ControlLookup:
    """Look-up table baseline: press rates by state and by whether the button was held, and stick means.

    Counted on seats, smoothed by one frame at the overall rate. The state is the first of
    `state_keys`. Moves of sticks between places (`sticks.StickMoves`) are counted if the seats have
    places.
    """

    def __init__(self, schema: Schema, counted: Sequence[SeatData]) -> None:
        self.situations = baselines.Situations.of(schema, state_keys(schema)[:1])
        self.states = self.situations.count
        names = list(dict.fromkeys(name for seat in counted for name in seat.down))
        count = {name: np.zeros((self.states, 2, 2)) for name in names}  # [state, before, now]
        sticks = {name: np.zeros((self.states, 2)) for seat in counted for name in seat.stick}
        for seat in counted:
            state = self.situation(seat.view)
            for name, now in seat.down.items():
                np.add.at(count[name], (state, seat.before[name].astype(int), now.astype(int)), 1)
            for name, values in seat.stick.items():
                np.add.at(sticks[name], state, np.stack([values, np.ones_like(values)], 1))
        self.rate = {name: _share(table.sum((0, 1))) for name, table in count.items()}
        # [before]
        self.after = {
            name: np.array([_share(row) for row in table.sum(0)]) for name, table in count.items()
        }
        self.begins = {name: float(after[0]) for name, after in self.after.items()}
        self.chance = {
            name: means_by_situation(table[..., 1], table.sum(-1), self.after[name], PRIOR)
            for name, table in count.items()
        }  # [state, before]
        self.moves = {
            name: self._moves(name, counted)
            for name in dict.fromkeys(n for seat in counted for n in seat.standing)
        }
        mean = {
            name: float(table[:, 0].sum() / max(table[:, 1].sum(), 1))
            for name, table in sticks.items()
        }
        self.position = {
            name: means_by_situation(table[:, 0], table[:, 1], mean[name], PRIOR)
            for name, table in sticks.items()
        }

    def situation(self, view: Mapping[str, Array]) -> Array:
        """State of the own player: columns [T, slots] -> [T]."""
        own = {key: view[key][:, 0].astype(np.int64) for key in self.situations.by}
        frames = len(next(iter(view.values())))
        return np.broadcast_to(self.situations.index(own), frames)

    def look_up(self, seat: SeatData) -> SeatAnswer:
        """Predictions from the table."""
        state = self.situation(seat.view)
        chance = {
            name: self.chance[name][state, before.astype(int)]
            for name, before in seat.before.items()
        }
        position = {name: self.position[name][state] for name in seat.stick}
        costs = {
            name: self.moves[name].staying(standing, 1 + state)
            for name, standing in seat.standing.items()
        }
        return SeatAnswer(
            chance, sample_presses(seat, chance), position, _cost(seat, chance), None, costs
        )

    def copy_last(self, seat: SeatData) -> SeatAnswer:
        """Predictions of the baseline copy_last.

        Its likelihood uses the average rate of staying.
        """
        usual = {name: self.after[name][before.astype(int)] for name, before in seat.before.items()}
        chance = {name: before.astype(np.float64) for name, before in seat.before.items()}
        blank = _cost(seat, {name: np.full(seat.frames, self.rate[name]) for name in seat.down})
        stays = {
            name: self.moves[name].staying(standing) for name, standing in seat.standing.items()
        }
        return SeatAnswer(
            chance, dict(seat.before), dict(seat.stick_before), _cost(seat, usual), blank, stays
        )

    def usual(self, seat: SeatData) -> SeatAnswer:
        """Predictions of the baseline rate: every button at its average rate."""
        chance = {
            name: np.where(before, self.rate[name], self.begins[name])
            for name, before in seat.before.items()
        }
        alone = {name: np.full(seat.frames, self.rate[name]) for name in seat.down}
        anywhere = {
            name: self.moves[name].anywhere(standing) for name, standing in seat.standing.items()
        }
        return SeatAnswer(chance, {}, {}, _cost(seat, alone), None, anywhere)

    def _moves(self, name: str, counted: Sequence[SeatData]) -> places._StickMoves:
        known = [seat for seat in counted if name in seat.standing]
        return places.count_moves(
            [seat.standing[name] for seat in known],
            [self.situation(seat.view) for seat in known],
            self.states,
        )


def never_press(seat: SeatData) -> SeatAnswer:
    """Predictions of the baseline never_press, without a likelihood: one press would cost infinity."""
    zeros = np.zeros(seat.frames)
    nothing = {name: zeros.astype(bool) for name in seat.down}
    return SeatAnswer(
        dict.fromkeys(seat.down, zeros),
        nothing,
        dict.fromkeys(seat.stick, zeros),
        np.full(len(zeros), np.nan),
    )


def sample_presses(
    seat: SeatData, chance: Mapping[str, Array], draw: int = DRAW
) -> dict[str, Array]:
    """Presses sampled from probabilities, a function of episode, frame, seat and button."""
    frames = np.arange(seat.frames)
    seeds = np.full(seat.frames, stable_hash("recorded", seat.episode) >> 1, np.int64)
    return {
        name: noise(seeds, frames, seat.player, draw + at) < p
        for at, (name, p) in enumerate(chance.items())
    }


def _cost(seat: SeatData, chance: Mapping[str, Array]) -> Array:
    """Nats of all buttons, each on its own: [T]."""
    total = np.zeros(seat.frames)
    for name, p in chance.items():
        total -= np.log(np.clip(np.where(seat.down[name], p, 1 - p), SMALLEST, 1))
    return total


def _share(counts: Array) -> float:
    """Share of yes in (no, yes) counts, smoothed by half a count each."""
    return float((counts[1] + 0.5) / (counts.sum() + 1))


def _shifted(values: Array) -> Array:
    before = np.zeros_like(values)
    before[1:] = values[:-1]
    return before


def _by_slot(columns: Mapping[str, Array], each: int) -> dict[str, Array]:
    """Columns [T, each] as one array [T] a slot, named by the column if a player has one slot."""
    return {
        f"{key}[{at}]" if each > 1 else key: values[:, at]
        for key, values in columns.items()
        for at in range(each)
    }
