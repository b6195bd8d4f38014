"""Specs of agents and worlds: the one place that parses texts such as `expert@delay=6`.

An agent is NAME[:ARGUMENT][@OPTION...], one of

    BOT[:ARGUMENT]         a bot of the game
    neutral                presses nothing
    random                 draws every control anew in each frame
    hold:CONTROL[=VALUE]   holds a control; several are joined by +
    policy:RUN             a trained policy: a run, a card's folder of runs (the lowest seed), a
                           checkpoint's folder, or a policy that the game ships
    replay:STORE#12        the controls recorded in the same seat of a stored match
    py:MODULE:FACTORY      the Agent that a function of yours returns; installed, or in the
                           current folder

A bot of the game comes before the agents `neutral`, `random` and `hold` that every game has.

`delay=N` sees the world N frames late. `apm=N` presses at most N keys a minute, and `hold=N` holds
each pressed key for at least N frames, in games whose controls are keys. A policy also takes a
number (the temperature), `best`, `latest`, `step=N`, `seed=N`, `threshold=P` (or `threshold`: the
tuned ones), `bias=B` (added to the log-odds of every button; `bias` alone: the calibrated offset of
each), `device=NAME` and `block=N`: matches that are computed together (32), of which a larger number
is faster, but rounds the last bits otherwise.

A world is one of

    GAME[@KEY=VALUE...]                  the game's own simulator, with options of that game
    dream:RUN[@OPTION...]                a learned world: a run, a checkpoint, or one that the game ships
    py:MODULE:FACTORY[@KEY=VALUE...]     FACTORY(matches, **options) -> World, installed or in the
                                         current folder

and the empty text is the game's own simulator. Of KEY=VALUE, numbers become numbers, and `on` and
`off` yes and no.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowbox.core.game import Agent, Game, World
from shadowbox.core.imports import import_object
from shadowbox.core.schema import Columns, require_same
from shadowbox.data.store import Store, parse_episode_spec
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.kinds import checkpoint_kind, spec_kind
from shadowbox.play.agent import Delayed, Replay, _LimitedKeys
from shadowbox.play.schema_agents import AGENTS, schema_agent

# of learned policies
POLICY_ONLY = re.compile(
    r"\d*\.?\d+|best|latest|(step|seed|snapshot)=\d+|threshold=\d*\.?\d+|device=[\w:]+|block=\d+|bias(=-?\d*\.?\d+)?"
)
NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)")
LIMITS = {  # of every agent: lowest and highest value, and the unit
    "delay": ((0, 120), "frames"),
    "apm": ((1, 10_000), "key presses a minute"),
    "hold": ((1, 600), "frames"),
}
WORLD_MEMBERS = ("reset", "step", "snapshot", "restore", "matches", "schema", "name")


def runs_code(spec: str) -> bool:
    """True if the spec of an agent or a world names Python code.

    Such a spec is for the command line and for Python; a name in stored data or in a request of a
    page must not make code run.
    """
    return spec.startswith("py:")


# ---- agents --------------------------------------------------------------------------------------


def agent(spec: str, game: Game) -> Agent:
    """The agent that `spec` names."""
    text, *options = spec.split("@")
    name, colon, argument = text.partition(":")
    if name == "replay":
        made = _replay(argument, game, spec)
    elif name == "py":
        made = _of_python(argument, spec)
    elif name in game.bots:
        made = game.bots[name](argument)
    elif name in AGENTS:
        made = schema_agent(name, argument, game.schema)
    elif (kind := spec_kind(name, "agent") if colon else None) is not None:
        of_kind = [option for option in options if option.partition("=")[0] not in LIMITS]
        made = kind.part("agent")(argument, of_kind, game, spec)
        options = [option for option in options if option not in of_kind]
    elif name == "dream":
        raise UsageError(f"agent '{spec}': a dream is a world; play in it with --world {spec}")
    else:
        known = [*bot_names(game), "policy", "replay", "py"]
        raise UsageError(
            f"agent '{spec}': {game.name} has no bot '{name}': {did_you_mean(name, known)}"
        )
    return _with_limits(made, options, game, spec)


def bot_names(game: Game) -> list[str]:
    """Names of the game's bots, then of the agents that every game has."""
    return [*sorted(game.bots), *(name for name in AGENTS if name not in game.bots)]


def held_out(specs: Iterable[str], game: Game) -> list[str]:
    """Specs that name held-out bots of the game, whatever their arguments and delays."""
    return [spec for spec in specs if re.split("[:@]", spec, maxsplit=1)[0] in game.held_out]


def training_opponents(specs: Iterable[str], game: Game) -> list[str]:
    """Opponents to learn against, as given; a held-out bot among them is refused.

    Held-out bots measure how well a learner copes with a stranger, so no learner may meet them.
    """
    opponents = list(specs)
    for spec in held_out(opponents, game):
        usual = ", ".join(sorted(set(game.bots) - game.held_out))
        raise UsageError(
            f"opponents: '{spec}' is held out, so that evaluations meet a stranger; "
            f"{game.name} has {usual} to learn against"
        )
    return opponents


def _with_limits(made: Agent, options: Iterable[str], game: Game, spec: str) -> Agent:
    """The agent with the options that every agent has."""
    has = "a bot has delay=N, apm=N and hold=N"
    limits: dict[str, int] = {}
    for option in options:
        name, _, value = option.partition("=")
        if POLICY_ONLY.fullmatch(option):
            raise UsageError(f"agent '{spec}': '{option}' is for learned policies; {has}")
        if name not in LIMITS:
            raise UsageError(f"agent '{spec}': unknown option '{option}'; {has}")
        (low, high), what = LIMITS[name]
        if not value.isdecimal() or not low <= int(value) <= high:
            raise UsageError(
                f"agent '{spec}': {name} is a number of {what}, {low} to {high}, "
                f"as in {spec.split('@')[0]}@{name}=6"
            )
        limits[name] = int(value)
    if frames := limits.pop("delay", 0):
        takes_delay = getattr(made, "with_delay", None)
        made = takes_delay(frames) if takes_delay else Delayed(made, frames)
    # outside of the delay: fingers are limited by what is pressed now
    return _LimitedKeys(made, game.schema, **limits) if limits else made


def _replay(where: str, game: Game, spec: str) -> Agent:
    path, number = parse_episode_spec(where)
    if number is None:
        raise UsageError(f"agent '{spec}': name one match, as in replay:{path}#12")
    columns = Store(path, game.schema).episode(number).columns
    return Replay({key: columns[key][:-1] for key in game.schema.control_keys})


def _of_python(where: str, spec: str) -> Agent:
    """The agent that MODULE:FACTORY returns."""
    if not re.fullmatch(r"[\w.]+:\w+", where):
        raise UsageError(f"agent '{spec}': give a module and a function, as in py:my_agents:best")
    try:
        made: Agent = import_object(where)()
    except Exception as error:  # a user's code may raise anything
        raise UsageError(f"agent '{spec}': {type(error).__name__}: {error}") from error
    if not (hasattr(made, "start") and hasattr(made, "act")):
        raise UsageError(
            f"agent '{spec}': {where} returned a {type(made).__name__}; "
            "an agent has the methods start and act"
        )
    return made


# ---- worlds --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _WorldSpec:
    """The parts of a world's spec: what builds it (`game`, `py`, or a kind of checkpoint) and its options."""

    text: str  # as given
    builder: str
    argument: str
    options: tuple[str, ...]  # as given

    def values(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """The options as keyword arguments, with some that were given beside the spec."""
        found = dict(self._value(option) for option in self.options)
        for name in more:
            if name in found and found[name] != more[name]:
                raise UsageError(
                    f"world '{self.text}': {name} is given twice, as {found[name]!r} and as {more[name]!r}"
                )
        return {**found, **more}

    def _value(self, option: str) -> tuple[str, Any]:
        name, equals, value = option.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(
                f"world '{self.text}': '{option}' is not an option; options are KEY=VALUE, "
                f"as in {self.text.split('@')[0]}@stage=mirror"
            )
        if NUMBER.fullmatch(value):
            return name, float(value) if "." in value else int(value)
        return name, {"on": True, "off": False}.get(value, value)


def parse_world(spec: str, game: Game) -> _WorldSpec:
    """The parts of a world's spec.

    Refuses a world that the game does not have, without building it.
    """
    given = spec or game.name
    own = next((n for n in (game.name, game.spec) if n and f"{given}@".startswith(f"{n}@")), "")
    text, *options = given.removeprefix(own).split("@")  # the name of a game may contain @
    name, colon, argument = text.partition(":")
    if own:
        if game.world is None:
            raise UsageError(
                f"{game.name} has no simulator; its episodes come from recordings. "
                "A world of another kind plays it: --world py:MODULE:FACTORY"
            )
        return _WorldSpec(spec or game.name, "game", game.name, tuple(options))
    if name == "py":
        if not re.fullmatch(r"[\w.]+:\w+", argument):
            raise UsageError(f"world '{spec}': expected py:MODULE:FACTORY, such as py:arena:World")
        return _WorldSpec(spec, "py", argument, tuple(options))
    if colon and (name == "dream" or spec_kind(name, "world")):
        if not argument:
            raise UsageError(f"world '{spec}': name a run or a checkpoint, as in {name}:runs/x")
        return _WorldSpec(spec, name, game.worlds.get(argument, argument), tuple(options))
    own = f"its simulator is '{game.name}'" if game.world else "it has no simulator"
    shipped = ", ".join(f"dream:{name}" for name in sorted(game.worlds))
    raise UsageError(
        f"{game.name} has no world '{spec}'; {own}; others are dream:RUN and py:MODULE:FACTORY"
        f"{f'; it ships {shipped}' if shipped else ''}"
    )


def world(spec: str, game: Game, matches: int, **options: Any) -> World:
    """The world that `spec` names, for so many matches.

    `stage="mirror"` is the same as `@stage=mirror`.
    """
    return world_factory(spec, game, **options)(matches)


def world_factory(spec: str, game: Game, **options: Any) -> Callable[[int], World]:
    """A function of a number of matches that builds the world of a spec.

    Mistakes in the spec and unknown options are refused at once, before anything is built.
    """
    parsed = parse_world(spec, game)
    if parsed.builder == "game":
        assert game.world is not None
        values = parsed.values(options)
        _require_options(game.world, values, f"a world of {game.name}")
        simulator = game.world
        return lambda matches: simulator(matches, **values)
    if parsed.builder == "py":
        factory, values = _imported(parsed), parsed.values(options)
        _require_options(factory, values, f"world '{parsed.text}'")
        return lambda matches: _from_python(factory, parsed, values, game, matches)
    kind = spec_kind(parsed.builder, "world") or checkpoint_kind("world")
    given = [*parsed.options, *(f"{name}={value}" for name, value in options.items())]
    build = kind.part("world")
    return lambda matches: _checked(
        build(parsed.argument, given, game, matches, parsed.text), parsed, game, matches
    )


def _require_options(factory: Callable[..., Any], options: Mapping[str, Any], what: str) -> None:
    """Refuse options that a factory of worlds does not take."""
    parameters = inspect.signature(factory).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return  # it refuses unknown ones itself
    known = list(parameters)[1:]
    for name in options:
        if name not in known:
            raise UsageError(f"{what} has no option '{name}': {did_you_mean(name, known)}")


def _imported(parsed: _WorldSpec) -> Callable[..., Any]:
    try:
        factory = import_object(parsed.argument)
    except Exception as error:  # code of a user's module may raise anything
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        raise UsageError(f"world '{parsed.text}' cannot be imported: {kind}{error}") from error
    if not callable(factory):
        raise UsageError(
            f"world '{parsed.text}': {parsed.argument} is a {type(factory).__name__}, "
            "expected a function or class: FACTORY(matches, **options) -> World"
        )
    made: Callable[..., Any] = factory
    return made


def _from_python(
    factory: Callable[..., Any],
    parsed: _WorldSpec,
    options: Mapping[str, Any],
    game: Game,
    matches: int,
) -> World:
    try:
        made = factory(matches, **options)
    except UsageError:
        raise
    except (TypeError, ValueError) as error:  # a wrong option
        raise UsageError(f"world '{parsed.text}' cannot be built: {error}") from error
    made = _checked(made, parsed, game, matches)
    try:
        made.name = parsed.text
    except AttributeError as error:
        raise UsageError(
            f"world '{parsed.text}': its name must be an attribute that can be set"
        ) from error
    return made


def _checked(made: Any, parsed: _WorldSpec, game: Game, matches: int) -> World:
    """A world that is one: the members of the protocol, the game's fields, so many matches."""
    missing = [name for name in WORLD_MEMBERS if not hasattr(made, name)]
    if missing:
        raise UsageError(
            f"world '{parsed.text}' is a {type(made).__name__} without '{missing[0]}'; "
            "core.game.World says what a world has"
        )
    require_same(game.schema, made.schema, f"world '{parsed.text}'")
    if made.matches != matches:
        raise UsageError(
            f"world '{parsed.text}' has {made.matches} matches, {matches} were asked for"
        )
    found: World = made
    return found


# ---- starts --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _RecordedStart:
    """A stored match up to the row to begin from, its seed and its world."""

    past: Columns  # [row + 1, slots]
    seed: int
    world: str  # a spec; empty where the recording does not name one


def recorded_start(where: str, game: Game, world: str = "") -> _RecordedStart:
    """The start that `STORE#EPISODE:ROW` names, in `world` or in the recorded one."""
    parts = re.fullmatch(r"(.+)#(\d+):(\d+)", where)
    if parts is None:
        raise UsageError(f"'{where}': expected STORE#EPISODE:ROW, such as data/brawl#12:300")
    store, number, row = Store(Path(parts[1]), game.schema), int(parts[2]), int(parts[3])
    episode = store.episode(number)
    if row >= episode.frames:
        raise UsageError(
            f"'{where}': episode {number} has {episode.frames} decisions, "
            f"in the rows 0 to {episode.frames - 1}"
        )
    needed = [key for key in episode.absent if key in game.schema.state_keys]
    if needed:
        raise UsageError(
            f"'{where}': {needed[0]} is absent from this recording, so it cannot be gone on from"
        )
    seed, recorded_in = episode.meta.get("seed"), str(episode.meta.get("world", ""))
    if runs_code(recorded_in) and not world:
        raise UsageError(
            f"'{where}' was played in '{recorded_in}', which is code: name it with --world to run "
            "it, or another world"
        )
    return _RecordedStart(
        {key: episode.columns[key][: row + 1] for key in game.schema.columns},
        seed if isinstance(seed, int) and seed >= 0 else 0,
        world or recorded_in,
    )
