"""`shadowbox play melee`: matches in Slippi Dolphin between a policy and a person, a CPU or an agent."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cli.terminal import PATH, at_least, emit, json_option
from shadowbox.core.files import write_whole
from shadowbox.core.system import shielded
from shadowbox.errors import UsageError
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.games.melee.dolphin import _GameSetup
    from shadowbox.games.melee.live.world import DolphinWorld
    from shadowbox.play.live_games.session import _LiveSession

HUMAN, CPU, AGENT = "human", "cpu", "agent"
LEVEL = re.compile(r"cpu(?:@level=([1-9]))?")
PORTS = re.compile(r"([1-4]),([1-4])")
DRY_FRAMES = 600  # of a match of a dry run, counted from the entry: ten seconds


@dataclass(frozen=True)
class _Seat:
    """One player as the command line names it."""

    option: str  # p0 or p1
    spec: str
    port: int
    character: str

    @property
    def kind(self) -> str:
        """human, cpu or agent."""
        return HUMAN if self.spec == HUMAN else CPU if self.level else AGENT

    @property
    def level(self) -> int:
        """Level of a CPU; 0: not a CPU."""
        found = LEVEL.fullmatch(self.spec)
        return int(found[1] or 9) if found else 0

    @property
    def name(self) -> str:
        """Name in results, where the seat has no agent."""
        return f"cpu@level={self.level}" if self.level else self.spec


@click.command()
@click.option(
    "--p0",
    required=True,
    metavar="SEAT",
    help="First player: an agent such as policy:RUN, human, or cpu.",
)
@click.option(
    "--p1",
    default=HUMAN,
    show_default=True,
    metavar="SEAT",
    help="Second player. cpu@level=N is a CPU of the game, 1 to 9.  [default level: 9]",
)
@click.option(
    "--dolphin",
    default="",
    metavar="PATH",
    help="Slippi Dolphin.  [default: SHADOWBOX_DOLPHIN, or where Slippi's launcher has put it]",
)
@click.option(
    "--iso",
    default="",
    metavar="PATH",
    help="Your copy of Melee, NTSC 1.02.  [default: SHADOWBOX_MELEE_ISO, or the launcher's choice]",
)
@click.option(
    "--ports", default="1,2", show_default=True, help="Controller ports of --p0 and --p1."
)
@click.option(
    "--characters",
    default="fox,fox",
    show_default=True,
    help="Characters of --p0 and --p1. A person chooses at the screen, whatever is named here.",
)
@click.option(
    "--stage",
    help="Stage. With a person, naming it makes the match begin once both are ready; without it the "
    "person presses START and chooses.  [default: final_destination, without a person]",
)
@click.option(
    "--delay",
    type=click.IntRange(0, 120),
    default=0,
    show_default=True,
    help="Frames that agents see the game late; the same as @delay=N of each.",
)
@click.option(
    "--pad",
    type=click.Choice(["adapter", "own"]),
    default="adapter",
    show_default=True,
    help="A person's controller: a GameCube adapter, or as set up in your own Slippi Dolphin.",
)
@click.option(
    "--matches",
    type=at_least(1),
    help="End after this many matches.  [default: Ctrl-C; dry run: 1]",
)
@click.option(
    "--reload",
    type=click.Choice(["match", "now", "off"]),
    default="match",
    show_default=True,
    help="Take a newer checkpoint of a run before the next match, at once, or never.",
)
@click.option(
    "--wait/--no-wait",
    "waits",
    default=True,
    show_default=True,
    help="Let the game wait for an agent that is late, or go on and drop frames.",
)
@click.option(
    "--replays", type=PATH, metavar="DIR", help="Write each match as a .slp to this folder."
)
@click.option(
    "--slippi-port",
    type=click.IntRange(1, 65535),
    default=51441,
    show_default=True,
    help="Port of Slippi.",
)
@click.option("--check", is_flag=True, help="Say what would be started, and start nothing.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Play against a small server in place of Dolphin, with a made-up person.",
)
@click.option(
    "--frames",
    type=at_least(100),
    default=DRY_FRAMES,
    show_default=True,
    help="Longest match of --dry-run, in frames.",
)
@json_option
def melee(**options: Any) -> None:
    """Play Super Smash Bros. Melee in Slippi Dolphin: a policy against you, a CPU or an agent.

    shadowbox play melee --p0 policy:runs/fox --p1 human --characters fox,marth

    The controllers are released at the end, at Ctrl-C and when the game is lost. Do not play in
    unranked online games.
    """
    from shadowbox.play.live_games.newest import _NewestAgent
    from shadowbox.play.live_games.session import _LiveSession

    game = load("melee")
    seats = _seats(options)
    setup = _setup(options, seats)
    if options["check"]:
        _check(options, seats, setup)
        return
    with contextlib.ExitStack() as stack:
        places = None if options["dry_run"] else _found(options)
        agents: list[_NewestAgent | None] = []
        for seat in seats:
            if seat.kind != AGENT:
                agents.append(None)
                continue
            agent = _NewestAgent(_delayed(seat, options), game, watch=options["reload"] != "off")
            stack.callback(agent.close)
            if mark := getattr(agent.agent, "mark", ""):
                _say(f"{agent.name}: {mark}")
            agents.append(agent)
        world = stack.enter_context(_world(options, setup, places))
        replays = _Replays(options["replays"], world)
        names = [seat.name for seat in seats]
        session = _LiveSession(
            game, world, agents, names, reload=options["reload"], say=_say, after=replays.write
        )
        if HUMAN in setup.kinds and not options["dry_run"]:
            _say(_instructions(setup))
        session.run(options["matches"] or (1 if options["dry_run"] else None))
    facts = {"seats": [vars(seat) for seat in seats], "dry_run": options["dry_run"]}
    _report(session, facts, options["as_json"])


def _report(session: _LiveSession, facts: dict[str, Any], as_json: bool) -> None:
    """Print the figures; a session that failed is an error."""
    figures = session.figures()
    if as_json:
        emit(facts | figures)
    else:
        print(_in_words(figures))
    if session.failed:
        print(f"shadowbox: {session.ended}", file=sys.stderr)
        sys.exit(1)


def _in_words(figures: dict[str, Any]) -> str:
    """The figures of a session as text."""
    lines = [f"{len(figures['matches'])} matches, {figures['frames']:,} frames: {figures['ended']}"]
    times = figures["decision_ms"]
    if times["median"] is not None:
        lines.append(
            f"from a frame to its controls: median {times['median']:.1f} ms, p95 {times['p95']:.1f}, "
            f"p99 {times['p99']:.1f}, longest {times['max']:.1f}"
        )
    lines.append(f"later than one frame: {figures['late']:,}; dropped: {figures['dropped']:,}")
    lines += [f"replay: {match['replay']}" for match in figures["matches"] if "replay" in match]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---- what is to be played ------------------------------------------------------------------------


def _seats(options: dict[str, Any]) -> list[_Seat]:
    """Players in the order of their ports."""
    found = PORTS.fullmatch(options["ports"])
    if found is None or found[1] == found[2]:
        raise UsageError(f"--ports {options['ports']}: expected two of 1 to 4, as in 1,2")
    names = options["characters"].split(",")
    if len(names) != 2:
        raise UsageError(
            f"--characters {options['characters']}: expected one for each player, as in fox,marth"
        )
    seats = [
        _Seat(option, options[option], int(found[at + 1]), names[at])
        for at, option in enumerate(("p0", "p1"))
    ]
    for seat in seats:
        if seat.spec.startswith(("cpu", "human")) and seat.kind == AGENT:
            raise UsageError(
                f"--{seat.option} {seat.spec}: expected human, cpu or cpu@level=1 to 9"
            )
    if all(seat.kind != AGENT for seat in seats):
        raise UsageError(
            "neither player is an agent: name one, as in --p0 policy:RUN; without one, Slippi alone "
            "is the better place to play"
        )
    return sorted(seats, key=lambda seat: seat.port)


def _setup(options: dict[str, Any], seats: list[_Seat]) -> _GameSetup:
    """The live game of these options; wrong names are refused before anything is started."""
    from shadowbox.games.melee.dolphin import _GameSetup
    from shadowbox.games.melee.live.menus import menus

    human = any(seat.kind == HUMAN for seat in seats)
    setup = _GameSetup(
        ",".join(seat.character for seat in seats),
        options["stage"] or "final_destination",
        ports=(seats[0].port, seats[1].port),
        kinds=(seats[0].kind, seats[1].kind),
        levels=(seats[0].level, seats[1].level),
        waits=options["waits"],
        begins=not human or options["stage"] is not None,
        pad=options["pad"],
        slippi_port=options["slippi_port"],
    )
    menus(setup.characters, setup.stage, setup.levels, start=setup.begins)
    return setup


def _delayed(seat: _Seat, options: dict[str, Any]) -> str:
    if not options["delay"]:
        return seat.spec
    if "@delay=" in seat.spec:
        raise UsageError(f"--{seat.option} {seat.spec}: its delay is given twice, by --delay too")
    return f"{seat.spec}@delay={options['delay']}"


def _found(options: dict[str, Any]) -> tuple[Path, Path]:
    """Dolphin and the copy of the game."""
    from shadowbox.games.melee.live import launcher

    return launcher.find_dolphin(options["dolphin"]), launcher.find_iso(options["iso"])


@contextlib.contextmanager
def _world(
    options: dict[str, Any], setup: _GameSetup, places: tuple[Path, Path] | None
) -> Iterator[DolphinWorld]:
    """The live world while it is played; its controllers are released at the end."""
    if places is None:
        from shadowbox.games.melee.live.fake_dolphin import rehearsal

        games = options["matches"] or 1
        with rehearsal(setup, frames=options["frames"], games=games) as (world, _):
            yield world
        return
    from shadowbox.games.melee.dolphin import start

    world = start(setup, *places)
    try:
        yield world
    finally:
        with shielded():  # a second Ctrl-C must not leave keys pressed
            world.close()


class _Replays:
    """Replays of a session's matches, in a folder."""

    def __init__(self, folder: Path | None, world: DolphinWorld) -> None:
        self.folder, self.world = folder, world

    def write(self, number: int) -> dict[str, Any]:
        """Write a match that has just ended; where it is, as a fact of the match."""
        if self.folder is None:
            return {}
        self.folder.mkdir(parents=True, exist_ok=True)
        while (path := self.folder / f"match-{number + 1:03d}.slp").exists():
            number += 1  # of an earlier session
        write_whole(path, self.world.replay_file())
        return {"replay": str(path)}


def _instructions(setup: _GameSetup) -> str:
    port = setup.ports[setup.kinds.index(HUMAN)]
    begin = "the match begins then" if setup.begins else "press START, and choose the stage"
    return f"port {port} is yours: choose a character in the window of Dolphin; {begin}"


def _check(options: dict[str, Any], seats: list[_Seat], setup: _GameSetup) -> None:
    """Find everything that a session needs, and say where it is."""
    from shadowbox.games.melee.live.menus import libmelee
    from shadowbox.play import specs

    for seat in seats:
        if seat.kind == AGENT:
            specs.agent(_delayed(seat, options), load("melee"))
    libmelee()
    places = None if options["dry_run"] else _found(options)
    facts: dict[str, Any] = {
        "seats": [vars(seat) for seat in seats],
        "stage": setup.stage if setup.begins else None,
        "dolphin": str(places[0]) if places else None,
        "iso": str(places[1]) if places else None,
    }
    if options["as_json"]:
        emit(facts)
        return
    for seat in seats:
        print(f"port {seat.port}: {seat.name} as {seat.character}")
    for name in ("stage", "dolphin", "iso"):
        print(f"{name}: {facts[name] or '-'}")
