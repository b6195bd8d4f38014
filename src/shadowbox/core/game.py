"""Record of a game, and the protocols of worlds, agents, rewards and bots.

Shapes: N matches side by side; columns are "group/field" -> [N, slots]. A row pairs `state_t` with
`controls_t`, which were pressed having seen `state_t` and produced `state_{t+1}`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from shadowbox.core.dynamics.declaration import _Dynamics
from shadowbox.core.encoding import _NamedEncodings
from shadowbox.core.figures.declaration import _Behavior as _Behavior
from shadowbox.core.figures.declaration import _Replay
from shadowbox.core.schema import Array, Columns, Schema

# One event. `frame` is the first row that shows its effect. In a World `match` is the position in
# the batch, in a store the episode's number. `kind` is an index of `Game.event_kinds`. `player` did
# it, or suffered it alone; `other` is the second player (-1: none). Of a hit, `what` is the move
# and `value` the damage.
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
    """Empty array of events."""
    return np.zeros(0, EVENT)


class World(Protocol):
    """N matches of a game: the true simulator, a learned dream, or a live game.

    Returned arrays are valid until the next step. A finished match stays as it is: stepping it
    changes nothing and emits nothing, and `done` stays true; the caller decides when to reset it.

    Five more members are optional; `play/turn.py` uses them where a world has them:

    `load(columns, where=None) -> columns`: put recorded rows [n, slots] into the n matches of the
    mask `where`, to continue from there. The state columns of a row must be enough: a world that
    keeps more has no `load`, or says so by `loads_exactly = False`.

    `context(where=None) -> columns`: the rows [K, n, slots] that led to the present state of the n
    matches, oldest first, each with the controls that were pressed having seen it. Agents that
    start here are warmed up with them.

    `truncated`, bool [N]: the matches that the last step ended although the game continues, such as
    a dream whose predictions became unreliable. `done` is true for them, too.

    `projected`, {column: count}: predicted values so far that were not allowed, and were replaced.

    `compiled(agents, reward, observation) -> CompiledMatches | None`: the same matches in a compiled
    loop, for agents that the world itself can decide for; None as soon as one is of another kind.
    """

    schema: Schema
    matches: int
    name: str  # the spec that built it, which every result carries

    def reset(self, seeds: Array, where: Array | None = None) -> Columns:
        """Start the matches in the mask `where` [N] (default: all) from `seeds` [N].

        Returns the columns of all N matches.
        """
        ...

    def step(self, controls: Columns) -> tuple[Columns, Array, Array]:
        """Step all matches: controls [N, slots] -> columns [N, slots], events [E], done [N]."""
        ...

    def snapshot(self, where: Array | None = None) -> Any:
        """Full state of the chosen matches as plain arrays."""
        ...

    def restore(self, snapshot: Any, where: Array | None = None) -> Columns:
        """Put a snapshot into equally many matches. Returns the columns of all N matches."""
        ...


class CompiledMatches(Protocol):
    """Matches of a world whose turns are taken in one call, without views for agents.

    Bit for bit equal to turns in which the agents act on their views. `reward` and `observation`
    are those that the loop computes itself; None: the caller does, from columns.
    """

    reward: Any
    observation: Any
    pressed: Columns  # the controls of the last turn, [N, slots]

    def begin(self, seeds: Array, where: Array) -> None:
        """Start the agents of the matches `where` [N], which the world has just begun."""
        ...

    def pay(self, reward: Any) -> None:
        """Compute another reward from the next turn on; one that is not known is left to the caller."""
        ...

    def seat(self, agent: Agent | None, matches: Array, seats: Array) -> bool:
        """Let an agent play the seats [n] of these matches [n]; False: the loop does not know it.

        Without an agent, and in the other seat of each match, controls come from outside.
        """
        ...

    def turn(
        self, outside: Mapping[int, Array], learning_step: int = 0
    ) -> tuple[Array, Array | None]:
        """Take a turn: its events, and `done` [N] if a match ended.

        `outside`: control values [N, values] of each seat without an agent, in the order of the
        schema.
        """
        ...

    @property
    def rewards(self) -> tuple[Array, Mapping[str, Array]]:
        """Rewards [N, players] of the last turn, and the terms that they are sums of."""
        ...

    def seen(self, seat: int) -> Array:
        """Observation [N, size] of a seat without an agent after the last turn.

        Each turn fills a fresh array.
        """
        ...

    def observe(self) -> None:
        """Observe again, into fresh arrays, because matches have begun since the last turn."""
        ...

    def play(self, seeds: Array) -> Iterator[tuple[Array, Array]]:
        """Play a match for each seed, with an agent in every seat: packed rows [T + 1], events."""
        ...


class Agent(Protocol):
    """Player of many matches at once.

    All memory is in `state`, so that one agent can be in both seats. Optional members:

    `mark`: a sentence for everyone who meets the agent, such as a failed gate.

    `track_types` (core.tracks.Track) and `tracks(state) -> {name: [N, ...]}`: series about the
    agent's last decision, such as probabilities; recorded with a match and sent to its pages.

    `put(state, part, where) -> state`: the state with the n matches of `part` in the places `where`
    [N]. Needed by agents whose state is more than arrays [N, ...] in dicts, lists and tuples, to be
    warmed up in some of their matches (play/warm_start.py).

    `settings` ({name: (value, low, high)}) and `set(name, value)`: numbers that may be changed
    during a match, such as a temperature.
    """

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """State for matches with `seeds` [N] in the seats `players` [N].

        With `where`, only those matches start again in `state`.
        """
        ...

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Decide one frame of each match: controls [N, slots a player] by key, and the new state.

        `view` is state_t and every player's controls_{t-1} (neutral at the start), own slot first.
        """
        ...


@dataclass(frozen=True)
class Outcome:
    """End of a match: the winner (a player, or None), and the reason in a word of the game.

    `timeout`: the clock ended the match, so that a learner estimates the value of its continuation.
    """

    winner: int | None
    reason: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    timeout: bool = False


class Reward(Protocol):
    """Rewards of all players of N matches in a frame: a sum of named terms.

    Optional: `over(budget) -> Reward`, the same with weights that move by shares of a budget of
    learning steps.
    """

    def before(self, columns: Columns) -> Columns:
        """Copies of the columns it needs of a frame, which the next step overwrites."""
        ...

    def __call__(
        self, earlier: Columns, after: Columns, events: Array, step: int = 0
    ) -> tuple[Array, dict[str, Array]]:
        """Sum [N, players] and each weighted term [N, players].

        Weights may depend on the learning step.
        """
        ...


class _TermBlock(Mapping[str, Array]):
    """Weighted terms of a reward by name, [N, players] each, in one array with their sum.

    `judged` [1 + terms, N, players] holds the sum first.
    """

    __slots__ = ("judged", "names")

    def __init__(self, names: tuple[str, ...], judged: Array) -> None:
        self.names, self.judged = names, judged

    def __getitem__(self, name: str) -> Array:
        if name not in self.names:
            raise KeyError(name)
        found: Array = self.judged[1 + self.names.index(name)]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def terms_block(terms: Mapping[str, Array]) -> Array:
    """The terms in their order as one array [terms, N, players]."""
    if isinstance(terms, _TermBlock):
        return terms.judged[1:]
    return np.stack(list(terms.values()))


def terms_of(terms: Mapping[str, Array], match: int, player: int) -> dict[str, float]:
    """The terms of one player of a match as numbers."""
    if isinstance(terms, _TermBlock):
        return dict(zip(terms.names, terms.judged[1:, match, player].tolist(), strict=True))
    return {name: float(values[match, player]) for name, values in terms.items()}


def terms_of_player(terms: Mapping[str, Array], player: int) -> dict[str, Array]:
    """The terms of one player in all matches, a fresh array [N] f8 each."""
    if isinstance(terms, _TermBlock):
        return dict(zip(terms.names, terms.judged[1:, :, player].copy(), strict=True))
    return {name: values[:, player].astype(float) for name, values in terms.items()}


class Bot(Protocol):
    """Builder of an agent from the text after its name in a spec, such as `clockwork:...`."""

    def __call__(self, argument: str = "") -> Agent: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Game:
    """Record of a game: all that Shadowbox knows about it.

    Heavy parts are functions that import when they are called.
    """

    name: str
    title: str  # one line for `shadowbox games`
    schema: Schema
    event_kinds: tuple[str, ...] = ()
    event_whats: Mapping[str, Sequence[str]] = field(default_factory=dict)  # kind -> its moves
    # "module:function", which workers can import: path or bytes, name, **options -> Episodes
    reader: str | None = None
    reader_endings: tuple[str, ...] = ()  # endings of recordings' names, such as ".slp"
    # endings of recordings that are known and cannot be read -> the reason, and the next step
    reader_missing: Mapping[str, str] = field(default_factory=dict)
    reader_options: Mapping[str, Any] = field(default_factory=dict)  # each with its default
    reader_filters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # named options
    # recorders of sessions by name: "module:function" (collect/sources.py), options with defaults
    sources: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    # sources of a person in front of a camera by name: options with defaults (cli/play/recording.py)
    live_sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    world: Callable[..., World] | None = None  # (matches, **options) -> World
    # columns [T + 1, slots] -> events, each from two neighboring rows
    events: Callable[[Columns], Array] | None = None
    # columns [T + 1, slots] -> steps in which fields contradict each other, [T, players] by name
    couplings: Callable[[Columns], Mapping[str, Array]] | None = None
    hits: Callable[[Columns], Array] | None = None  # [T, players], found from the state alone
    impossible: Callable[[Columns], Mapping[str, Array]] | None = None  # in any match
    repairs: Callable[[Columns], Mapping[str, tuple[Array, int]]] | None = None  # of drawn rows
    repairs_script: Callable[[], str] | None = None  # the same for a page: `$repair(columns)`
    world_fields: tuple[str, ...] = ()  # in which a learned world must beat every baseline
    # rows [n, slots], their events; the last row must suffice
    outcome: Callable[[Columns, Array], Outcome] | None = None
    # columns [T + 1, slots] -> mask of frames at which an attack begins, bool [T + 1, players]
    attacks: Callable[[Columns], Array] | None = None
    behavior: _Behavior | None = None  # of players in a match, for the tables of training runs
    replay: _Replay | None = None  # closed loop on recordings, of a game without a simulator
    # state columns [T + 1, slots], events -> figures, [players, 2] each: a count and its denominator
    tactics: Callable[[Columns, Array], Mapping[str, Array]] | None = None
    places: Callable[[Columns], Sequence[str]] | None = None  # starting place of each player
    dynamics: _Dynamics | None = None  # rules that learned worlds need not learn
    writers: Mapping[str, Callable[..., None]] = field(default_factory=dict)  # (episode, path)
    bots: Mapping[str, Bot] = field(default_factory=dict)
    held_out: frozenset[str] = frozenset()  # bots that learners never train against
    # opponents for people, from easy to hard: (agent spec, difficulty, a line on its style)
    rivals: Sequence[tuple[str, str, str]] = ()
    bot_notes: Mapping[str, str] = field(default_factory=dict)  # bot -> a line on its style
    # world options that are a choice -> their values, such as the stages of `stage`
    world_choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)  # shipped agents by name -> path
    worlds: Mapping[str, str] = field(default_factory=dict)  # shipped learned worlds: name -> path
    rewards: Mapping[str, Callable[[], Reward]] = field(default_factory=dict)  # presets
    # builder of a user's own reward: weights by term -> Reward
    reward: Callable[[Mapping[str, Any]], Reward] | None = None
    # by name: column keys ("default"), or a core.encoding.Encoding
    encodings: Mapping[str, Any] = field(default_factory=dict)
    # builder of a user's own encoding: (name of a base encoding, **switches) -> Encoding; with it
    # `encodings` also has NAME@SWITCH=VALUE
    encoding: Callable[..., Any] | None = None
    observations: Mapping[str, Any] = field(default_factory=dict)
    # tournaments by name -> module that is the text of an entry (export/submission.py)
    submissions: Mapping[str, str] = field(default_factory=dict)
    actions: Mapping[str, Any] = field(default_factory=dict)  # named tables of control combinations
    # frames for which a decision is held -> rules by control that does nothing then: {"when":
    # conditions ({own column: ranges of values}), "without": controls beside which it acts anyway}
    action_masks: Callable[[int], Mapping[str, Mapping[str, Any]]] | None = None
    scene: Callable[[], Mapping[str, Any]] | None = None  # default: `core.default_scene`
    learns_by: tuple[str, ...] = ()  # learners of learners/registry.py that can train on it today
    # `module:NAME` of a game that has no registered name; filled in by `games.load`
    spec: str = ""

    def __post_init__(self) -> None:
        if self.encoding is not None and not isinstance(self.encodings, _NamedEncodings):
            named = _NamedEncodings(self.encodings, self.encoding)
            object.__setattr__(self, "encodings", named)  # frozen for everybody else

    @property
    def made(self) -> dict[str, str]:
        """Metadata from which a store's `--game` is found again; empty for a registered game."""
        return {"game": self.spec} if self.spec else {}


def game_of_schema(schema: Schema, event_kinds: Sequence[str] = ()) -> Game:
    """Record of a game that is known by stored data only: fields and events, no code."""
    return Game(
        name=schema.name,
        title="known by its stored data only",
        schema=schema,
        event_kinds=tuple(event_kinds),
    )


def noise(seeds: Array, frame: int | Array, player: int | Array, draw: int | Array) -> Array:
    """Uniform numbers in [0, 1): a function of (match seed, frame, player, draw) alone.

    They do not depend on the batch or the order of calls. `seeds` [N] int64 -> [N] f64. The mixing
    steps are those of splitmix64.
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
    """64-bit hash that is the same in every process and on every machine."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(digest.digest(), "little")
