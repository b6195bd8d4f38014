"""`shadowbox record`: matches between bots, or other agents, into a store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cli.ingest import typed_option
from shadowbox.cli.launch.workers import WORKERS, _Workers, backend
from shadowbox.cli.terminal import (
    PATH,
    SEED,
    at_least,
    emit,
    json_option,
    number,
    progress,
    stage_option,
    table,
    world_options,
)
from shadowbox.core import system
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.collect.matches import Pairing
    from shadowbox.core.game import Game


@click.command()
@click.argument("game")
@click.option("--p0", help="Agent in the first seat, such as based.")
@click.option("--p1", help="Agent in the second seat.")
@click.option(
    "--mix",
    type=PATH,
    help="YAML list of {p0, p1, share} in place of --p0 and --p1.",
)
@click.option("--matches", default=100, show_default=True, type=at_least(1))
@click.option("--source", help="Source of sessions, such as synthetic, for a game that has them.")
@click.option(
    "--set",
    "given",
    metavar="OPTION=VALUE",
    multiple=True,
    help="Option of the source, such as people=8 (repeatable).",
)
@click.option(
    "--out",
    required=True,
    type=PATH,
    help="The store; matches are appended to it.",
)
@click.option("--seed", default=0, show_default=True, type=SEED)
@world_options
@click.option(
    "--tracks", is_flag=True, help="Store the tracks of the agents, such as probabilities."
)
@click.option(
    "--workers",
    default="1",
    show_default=True,
    type=WORKERS,
    help="Processes that share the matches, or ray[:ADDRESS].",
)
@click.option(
    "--resume", is_flag=True, help="Play only the matches that the store of the same call lacks."
)
@json_option
def record(
    game: str,
    p0: str | None,
    p1: str | None,
    mix: Path | None,
    matches: int,
    source: str | None,
    given: tuple[str, ...],
    out: Path,
    seed: int,
    world: str,
    stage: str | None,
    tracks: bool,
    workers: _Workers,
    resume: bool,
    as_json: bool,
) -> None:
    """Play matches of GAME between two agents and store them.

    Ctrl-C stores the matches that are over and says how to go on; so does SIGTERM.

    GAME may be gym:ENV_ID, a registered Gymnasium environment; --p0 module:function then acts in
    it, or chance does. A game without matches has sources of sessions: --source names one (default:
    the first), --matches is the number of sessions, and --set changes an option. A person in front
    of a camera (--source page) is recorded from a page, until q or Ctrl-C.
    """
    if game.startswith("gym:"):
        if p1 or mix or stage or world or tracks or resume:
            raise UsageError(
                f"{game} is played by --p0 module:function, or by chance; "
                "it takes no --p1, --mix, --world, --stage, --tracks or --resume"
            )
        _record_gym(game.removeprefix("gym:"), p0, matches, out, seed, as_json)
        return
    from shadowbox.collect.matches import record as play_and_store

    played = load(game)
    if source is not None or (played.sources and played.world is None):
        _refuse_options_of_matches(game, p0, p1, mix, stage, world, tracks)
        _record_sessions(played, source, matches, out, seed, given, resume, as_json)
        return
    if given:
        raise UsageError("--set changes an option of a source: name one with --source")
    began, children = time.process_time(), system.children_cpu_s() or 0.0
    with backend(workers, pool=True) as found, progress("playing") as update:
        facts = play_and_store(
            played,
            _pairings(played, p0, p1, mix, matches),
            out,
            seed=seed,
            world=world,
            options=stage_option(stage),
            tracks=tracks,
            resume=resume,
            backend=found,
            game_spec=game,
            progress=update,
        )
    facts["frames_per_cpu_s"] = _rate_of_all(facts["frames"], began, children, workers)
    emit(facts) if as_json else _say(facts)


def _pairings(
    played: Game, p0: str | None, p1: str | None, mix: Path | None, matches: int
) -> list[Pairing]:
    from shadowbox.collect.matches import Pairing, read_pairings
    from shadowbox.play.specs import bot_names

    if mix is not None:
        if p0 or p1:
            raise UsageError("give either --mix or --p0 and --p1")
        return read_pairings(mix, matches)
    if p0 and p1:
        return [Pairing(p0, p1, matches)]
    raise UsageError(
        "name the agents with --p0 and --p1, or pairings with --mix; "
        f"{played.name} has the bots {', '.join(bot_names(played))}"
    )


def _refuse_options_of_matches(game: str, *given: object) -> None:
    if any(given):
        raise UsageError(
            f"sessions of {game} take no --p0, --p1, --mix, --world, --stage or --tracks"
        )


def _record_sessions(
    game: Game,
    source: str | None,
    sessions: int,
    out: Path,
    seed: int,
    given: tuple[str, ...],
    resume: bool,
    as_json: bool,
) -> None:
    from shadowbox.collect.sources import record_sessions

    name = source or next(iter(game.sources))
    live = game.live_sources.get(name)
    defaults = live or (game.sources[name][1] if name in game.sources else {})
    options: dict[str, Any] = {}
    for text in given:
        key, mark, value = text.partition("=")
        if not mark:
            raise UsageError(f"--set {text}: expected OPTION=VALUE, as in --set people=8")
        options[key] = typed_option(key, value, defaults[key]) if key in defaults else value
    if live is not None:
        _record_live(game, name, sessions, out, seed, options, as_json)
        return
    began = time.process_time()
    with progress("recording") as update:
        facts = record_sessions(
            game, name, sessions, out, seed=seed, options=options, resume=resume, progress=update
        )
    facts["frames_per_cpu_s"] = _rate(facts["frames"], began)
    if as_json:
        emit(facts)
        return
    print(
        f"{facts['store']}: {facts['sessions']:,} sessions of {facts['people']:,} people from "
        f"{name}, {facts['episodes']:,} episodes and {facts['frames']:,} frames appended, "
        f"{number(int(facts['frames_per_cpu_s']))} frames per CPU-second"
    )


def _record_live(
    game: Game,
    name: str,
    takes: int,
    out: Path,
    seed: int,
    given: dict[str, Any],
    as_json: bool,
) -> None:
    from shadowbox.cli.play.recording import record_person

    defaults = game.live_sources[name]
    for option in given:
        if option not in defaults:
            raise UsageError(
                f"source '{name}' has no option '{option}': {did_you_mean(option, defaults)}"
            )
    facts = record_person(game, name, out, {**defaults, **given}, seed=seed, takes=takes)
    if as_json:
        emit(facts)
        return
    print(
        f"{facts['store']}: {facts['takes']} takes of {facts['person']}, {facts['seconds']:g} s, "
        f"{facts['episodes']:,} episodes appended"
    )
    for problem in facts["problems"]:
        print(f"problem: {problem}")


def _record_gym(
    env_id: str, policy: str | None, episodes: int, out: Path, seed: int, as_json: bool
) -> None:
    from shadowbox.collect.gym import record_gym as play_and_store

    began = time.process_time()
    with progress("playing") as update:
        facts = play_and_store(
            env_id, out, episodes=episodes, seed=seed, policy=policy, progress=update
        )
    facts["frames_per_cpu_s"] = _rate(facts["frames"], began)
    if as_json:
        emit(facts)
    else:
        _say_total(facts)


def _rate(frames: int, began: float) -> float:
    """Frames per CPU-second; the clock of Windows has steps of 16 ms and may not have moved."""
    return frames / max(time.process_time() - began, 1e-3)


def _rate_of_all(frames: int, began: float, children: float, workers: _Workers) -> float | None:
    """Frames per CPU-second of this process and its workers; those of Ray are not known here."""
    spent = (system.children_cpu_s() or 0.0) - children
    return _rate(frames, began - spent) if workers.ray is None else None


def _say(facts: dict[str, Any]) -> None:
    rows = [
        [
            f"{pairing['p0']} - {pairing['p1']}",
            *(number(pairing["won"][key]) for key in ("p0", "p1", "draws", "frames")),
        ]
        for pairing in facts["pairings"]
    ]
    print(table(["pairing", "p0 won", "p1 won", "draws", "frames"], rows))
    print()
    _say_total(facts)


def _say_total(facts: dict[str, Any]) -> None:
    rate = facts["frames_per_cpu_s"]
    print(
        f"{facts['store']}: {facts['episodes']:,} matches, {facts['frames']:,} frames appended"
        + (f", {number(int(rate))} frames per CPU-second" if rate is not None else "")
    )
