"""`shadowbox match`: one match between two agents, its result, and a page to watch it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from shadowbox.cli.terminal import (
    PATH,
    SEED,
    emit,
    json_option,
    save_text,
    stage_option,
    world_options,
    write_page,
)
from shadowbox.cli.text.match import match_text
from shadowbox.core.episode import Episode
from shadowbox.core.game import Agent, Game, World
from shadowbox.errors import UsageError
from shadowbox.games import load

MOST_FRAMES = 20_000
STDOUT = Path("-")


@click.command()
@click.argument("game")
@click.option("--p0", required=True, help="Agent in the first seat, such as based.")
@click.option("--p1", help="Agent in the second seat, in a game of two players.")
@click.option(
    "--seed",
    type=SEED,
    help="Random seed of the match.  [default: 0, or the recorded seed with --from]",
)
@world_options
@click.option(
    "--from",
    "--context",
    "begin",
    metavar="STORE#EPISODE:ROW",
    help="Begin from this row of a stored match; the agents, and a learned world, watch the rows "
    "before it first.",
)
@click.option(
    "--max-frames",
    "most",
    type=click.IntRange(1, MOST_FRAMES),
    help=f"Cut the match off after this many frames, at most {MOST_FRAMES:,}.  "
    "[default: when the world ends it]",
)
@click.option(
    "--frames-json",
    "frames",
    type=PATH,
    metavar="PATH",
    help="Write one JSON object a frame to this file, keyed by column names (docs/formats.md); "
    "- is standard output.",
)
@click.option(
    "--out",
    type=PATH,
    help="Write the match as one page that works offline, or in a format of the game by the ending "
    "of the file, such as match.slp.",
)
@click.option("--store", type=PATH, help="Append the match to this store.")
@json_option
def match(
    game: str,
    p0: str,
    p1: str | None,
    seed: int | None,
    world: str,
    stage: str | None,
    begin: str | None,
    most: int | None,
    frames: Path | None,
    out: Path | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Play one match of GAME between two agents, or of one agent in a game of one player.

    Any agent may be slowed down, as in expert@delay=12@apm=300@hold=3: it sees the game 12 frames
    late, presses at most 300 keys a minute, and holds each press for at least 3 frames.

    The same call gives the same match, bit for bit.
    """
    import numpy as np

    from shadowbox.play import specs
    from shadowbox.play.match import play
    from shadowbox.play.match_facts import match_facts
    from shadowbox.play.specs import recorded_start

    if as_json and frames == STDOUT:
        raise UsageError("--frames-json - and --json both write to standard output: name a file")
    found = load(game)
    names = _seats(found, p0, p1)
    start = recorded_start(begin, found, world) if begin else None
    world = start.world if start else world
    build = specs.world_factory(world, found, **stage_option(stage))
    agents = [specs.agent(agent, found) for agent in names]  # before a world is compiled
    made = build(1)
    seeds = np.array([seed if seed is not None else start.seed if start else 0], np.int64)
    past, more = (start.past, {"from": begin}) if start else (None, None)
    keep = bool(out or store)
    (played,) = play(
        found, made, agents, names, seeds, past=past, tracks=keep, more=more, most=most
    )
    facts = match_facts(found, played.episode, played.outcome)
    facts |= _learned_world(found, world, made, names, agents, played.episode)
    facts |= _written(found, played.episode, store, frames, out)
    if as_json:
        emit(facts)
    else:
        click.echo(match_text(facts), err=frames == STDOUT)


def _seats(game: Game, p0: str, p1: str | None) -> tuple[str, ...]:
    """Agents by seat, as many as the game has players."""
    if game.schema.players == 1:
        if p1 is not None:
            raise UsageError(f"--p1 {p1}: {game.name} is a game of one player; leave --p1 out")
        return (p0,)
    if p1 is None:
        raise UsageError(f"Missing option '--p1': {game.name} is a game of two players")
    return p0, p1


def _written(
    game: Game, episode: Episode, store: Path | None, frames: Path | None, out: Path | None
) -> dict[str, Any]:
    """Write the match where it was asked for; the places by name."""
    places = {}
    if store:
        from shadowbox.data.write import Writer

        kinds = game.event_kinds
        with Writer(store, game.schema, event_kinds=kinds, made=game.made) as writer:
            places["stored"] = f"{store}#{writer.add(episode)}"
    if frames:
        _write_frames(frames, game, episode)
        places["frames_json"] = str(frames)
    if out:
        if (write := game.writers.get(out.suffix[1:])) is not None:
            write(episode, out)
        else:
            from shadowbox.report.match import match_document

            write_page(out, match_document(game, episode))
        places["out"] = str(out)
    return places


def _learned_world(
    game: Game,
    spec: str,
    world: World,
    names: Sequence[str],
    agents: Sequence[Agent],
    episode: Episode,
) -> dict[str, Any]:
    """Data and sizes of a learned world and its players, and frames outside of that data."""
    from shadowbox.evaluate.worlds.provenance import differences, provenance
    from shadowbox.evaluate.worlds.unseen import unseen_share

    own = provenance(spec, world, game)
    if own.folder is None:
        return {}
    players = [provenance(*each, game) for each in zip(names, agents, strict=True)]
    state = {key: episode.columns[key][1:] for key in game.schema.state_keys}
    unseen = unseen_share(game, world, own.folder, state)
    return {
        "learned": {
            "world": own.to_json(),
            "players": [each.to_json() for each in players],
            "differences": differences(own, players),
            "put_right": dict(getattr(world, "projected", None) or {}),
        },
        "unseen": None if unseen is None else unseen.to_json(),
    }


def _write_frames(path: Path, game: Game, episode: Episode) -> None:
    from shadowbox.data.frames_json import frame_lines

    lines = frame_lines(game.schema, episode, game.event_kinds)
    if path == STDOUT:
        for line in lines:
            click.echo(line)
    else:
        save_text(path, "".join(f"{line}\n" for line in lines))
