"""What a game brings, and the two protocols that let everything meet: worlds and agents.

Shapes: N matches side by side; columns are "group/field" -> [N, slots]. A row pairs `state_t` with
`controls_t`, which were pressed having seen `state_t` and produced `state_{t+1}`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from shadowbox.core.schema import Array, Columns, Schema

# One thing that happened. `frame` is the first row that shows its effect. In a World `match` is the
# position in the batch, in a store the episode's number. `kind` counts along `Game.event_kinds`.
# `player` did it or suffered it alone, `other` is the second player (-1: none). A hit: `what` is
# the move and `value` the damage.
EVENT = np.dtype(
    [
        ("match", "<i4"),
        ("frame", "<i4"),
        ("value", "<f4"),
        ("what", "<i2"),
        ("kind", "u1"),
        ("player", "i1"),
        ("other", "i1"),
    ]
)


def no_events() -> Array:
    """An empty array of events."""
    return np.zeros(0, EVENT)


class World(Protocol):
    """N matches of a game: the true simulator, a learned dream, or a live game.

    Arrays that it returns are valid until its next step. A finished match stays as it is: stepping
    it changes nothing and emits nothing, and `done` stays true; when to reset it is the caller's
    decision.

    Three more members are optional; `play/turn.py` uses them where a world has them:

    `load(columns, where=None) -> columns`: put recorded rows [n, slots] into the n matches of the
    mask `where`, to go on from there. The state columns of a row must be enough: a world that keeps
    more has no `load`, or documents what it does not restore.

    `context(where=None) -> columns`: the rows [K, n, slots] that led to the present state of the n
    matches, oldest first, each with the controls that were pressed having seen it. Agents that
    start here are warmed up with them.

    `truncated`, bool [N]: the matches that the last step ended although the game went on, such as a
    dream that is no longer sure of itself. `done` is true for them, too.
    """

    schema: Schema
    matches: int
    name: str  # the spec that built it; every result carries it

    def reset(self, seeds: Array, where: Array | None = None) -> Columns:
        """Start the matches in the mask `where` [N] (default: all) from `seeds` [N].

        The columns of all N.
        """
        ...

    def step(self, controls: Columns) -> tuple[Columns, Array, Array]:
        """One frame: controls [N, slots] -> columns [N, slots], events [E] (EVENT), done [N]."""
        ...

    def snapshot(self, where: Array | None = None) -> Any:
        """Everything that the chosen matches need to go on, as plain arrays."""
        ...

    def restore(self, snapshot: Any, where: Array | None = None) -> Columns:
        """Put a snapshot into equally many matches; the columns of all N."""
        ...


class Agent(Protocol):
    """A player of many matches at once.

    All memory is in `state`, so that one agent can sit in both seats. Optional members:

    `mark`: a sentence for everybody who meets the agent, such as a failed gate.

    `track_types` (core.tracks.Track) and `tracks(state) -> {name: [N, ...]}`: series that the agent
    shows of its last decision, such as probabilities; recorded with a match and sent to its pages.

    `put(state, part, where) -> state`: the state with the n matches of `part` in the places `where`
    [N]. Needed by agents whose state is more than arrays [N, ...] in dicts, lists and tuples, to be
    warmed up in some of their matches (play/warm_start.py).

    `settings` ({name: (value, low, high)}) and `set(name, value)`: numbers that may be changed
    while a match goes on, such as a temperature.
    """

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """State for matches with `seeds` [N] in the seats `players` [N].

        With `where` only those begin anew in `state`.
        """
        ...

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """One decision a match: the own slot's controls [N, slots a player] by key, the new state.

        `view` is state_t and everybody's controls_{t-1} (neutral at the start), own slot first.
        """
        ...


@dataclass(frozen=True)
class Outcome:
    """How a match ended: the winner (a player, or None) and the reason in a word of the game's own.

    `timeout`: the clock ended it, so that a learner asks what would have come next.
    """

    winner: int | None
    reason: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    timeout: bool = False


class Reward(Protocol):
    """What players earn in a frame: a sum of named terms, for N matches and all players at once."""

    def before(self, columns: Columns) -> Columns:
        """Copies of what it needs of a frame that the next step will overwrite."""
        ...

    def __call__(
        self, earlier: Columns, after: Columns, events: Array, step: int = 0
    ) -> tuple[Array, dict[str, Array]]:
        """The sum [N, players] and each weighted term [N, players].

        Weights may depend on the learning step.
        """
        ...


class Bot(Protocol):
    """Builds an agent from the text after its name in a spec (`clockwork:...`), empty where there is none."""

    def __call__(self, argument: str = "") -> Agent: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Game:
    """All that Shadowbox knows about a game.

    Heavy parts are functions that import when they are called.
    """

    name: str
    title: str  # one line for `shadowbox games`
    schema: Schema
    event_kinds: tuple[str, ...] = ()
    # kind -> names of its `what` (a hit: the moves)
    event_whats: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # "module:function", so that a worker can import it: path or bytes, name, **options -> Episodes
    reader: str | None = None
    reader_endings: tuple[str, ...] = ()  # of the names of recordings, such as ".slp"
    reader_options: Mapping[str, Any] = field(default_factory=dict)  # each with its default
    # options that go together, by name
    reader_filters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    world: Callable[..., World] | None = None  # (matches, **options) -> World
    # columns [T + 1, slots] -> events, for games whose rules are elsewhere
    events: Callable[[Columns], Array] | None = None
    # rows [n, slots], their events; the last row must suffice
    outcome: Callable[[Columns, Array], Outcome] | None = None
    # columns [T + 1, slots] -> where an attack begins, bool [T + 1, players]
    attacks: Callable[[Columns], Array] | None = None
    # where each player began ("left"), so that luck of place shows
    places: Callable[[Columns], Sequence[str]] | None = None
    # file format -> (episode, path)
    writers: Mapping[str, Callable[..., None]] = field(default_factory=dict)
    bots: Mapping[str, Bot] = field(default_factory=dict)
    held_out: frozenset[str] = frozenset()  # bots that learners never train on
    policies: Mapping[str, str] = field(default_factory=dict)  # shipped agents by name -> path
    # shipped learned worlds by name -> path
    worlds: Mapping[str, str] = field(default_factory=dict)
    # presets, built when called
    rewards: Mapping[str, Callable[[], Reward]] = field(default_factory=dict)
    # one of the user's own: weights by term -> Reward
    reward: Callable[[Mapping[str, Any]], Reward] | None = None
    # by name: column keys ("default"), or a core.encoding.Encoding
    encodings: Mapping[str, Any] = field(default_factory=dict)
    # one of the user's own: (name of one to begin with, **switches) -> Encoding
    encoding: Callable[..., Any] | None = None
    observations: Mapping[str, Any] = field(default_factory=dict)
    actions: Mapping[str, Any] = field(default_factory=dict)  # named tables of control combinations
    scene: Callable[[], Mapping[str, Any]] | None = None  # what to draw; `core.default_scene` else
    learns_by: tuple[str, ...] = ()  # imitation, world, selfplay, dream
    # `module:NAME` of a game that is found by no name; `games.load` fills it in
    spec: str = ""

    @property
    def made(self) -> dict[str, str]:
        """What a store must remember to say which `--game` made it; nothing of a named game."""
        return {"game": self.spec} if self.spec else {}


def game_of_schema(schema: Schema, event_kinds: Sequence[str] = ()) -> Game:
    """The record of a game of which only stored data is here: fields and events, no code."""
    return Game(
        name=schema.name,
        title="known by its stored data only",
        schema=schema,
        event_kinds=tuple(event_kinds),
    )


def noise(seeds: Array, frame: int | Array, player: int | Array, draw: int) -> Array:
    """Counter-based uniforms in [0, 1): a function of (match seed, frame, player, draw), whatever the batch or order.

    `seeds` [N] int64 -> [N] f64. The mixing steps are those of splitmix64.
    """
    with np.errstate(over="ignore"):
        x = np.asarray(seeds).astype(np.uint64)
        for word in (frame, player, draw):
            x = _mix(
                x
                + (np.asarray(word).astype(np.uint64) + np.uint64(1))
                * np.uint64(0x9E3779B97F4A7C15)
            )
    return np.asarray((x >> np.uint64(11)) * 2.0**-53)


def _mix(x: Array) -> Array:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def stable_hash(*parts: str | bytes | int) -> int:
    """A 64-bit hash that is the same in every process and on every machine."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(digest.digest(), "little")
