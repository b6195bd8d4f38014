"""`shadowbox match`: one match between two agents, its result, and a page to watch it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shadowbox.cli.terminal import (
    PATH,
    SEED,
    emit,
    json_option,
    number,
    size,
    stage_option,
    table,
    world_options,
    write_page,
)
from shadowbox.games import load


@click.command()
@click.argument("game")
@click.option("--p0", required=True, help="Agent in the first seat, such as based.")
@click.option("--p1", required=True, help="Agent in the second seat.")
@click.option(
    "--seed",
    type=SEED,
    help="Random seed of the match.  [default: 0, or the recorded seed with --from]",
)
@world_options
@click.option(
    "--from",
    "begin",
    metavar="STORE#EPISODE:ROW",
    help="Begin from this row of a stored match; the agents watch the rows before it first.",
)
@click.option("--out", type=PATH, help="Write the match as one page that works offline.")
@click.option("--store", type=PATH, help="Append the match to this store.")
@json_option
def match(
    game: str,
    p0: str,
    p1: str,
    seed: int | None,
    world: str,
    stage: str | None,
    begin: str | None,
    out: Path | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Play one match of GAME between two agents.

    Any agent may be slowed down, as in expert@delay=12@apm=300@hold=3: it sees the game 12 frames
    late, presses at most 300 keys a minute, and holds each press for at least 3 frames.

    The same call gives the same match, bit for bit.
    """
    import numpy as np

    from shadowbox.play import specs
    from shadowbox.play.match import play
    from shadowbox.play.match_facts import match_facts
    from shadowbox.play.recorded_start import recorded_start

    found = load(game)
    start = recorded_start(begin, found, world) if begin else None
    make_world = specs.world_factory(start.world if start else world, found, **stage_option(stage))
    agents = [specs.agent(agent, found) for agent in (p0, p1)]
    seeds = np.array([seed if seed is not None else start.seed if start else 0], np.int64)
    past, more = (start.past, {"from": begin}) if start else (None, None)
    keep = bool(out or store)
    (played,) = play(
        found, make_world(1), agents, (p0, p1), seeds, past=past, tracks=keep, more=more
    )
    facts = match_facts(found, played.episode, played.outcome)
    if store:
        from shadowbox.data.write import Writer

        kinds, made = found.event_kinds, found.made
        with Writer(store, found.schema, event_kinds=kinds, made=made) as writer:
            facts["stored"] = f"{store}#{writer.add(played.episode)}"
    if out:
        from shadowbox.report.match import match_document

        write_page(out, match_document(found, played.episode))
        facts["out"] = str(out)
    if as_json:
        emit(facts)
    else:
        print(_as_text(facts))


def _as_text(facts: dict[str, Any]) -> str:
    players = facts["players"]
    rows = []
    for label, key in (
        ("damage dealt", "damage_dealt"),
        ("damage taken", "damage_taken"),
        ("attacks begun", "attacks"),
    ):
        if key in players[0]:
            rows.append([label, *(number(int(player[key])) for player in players)])
    for label in dict.fromkeys(kind for player in players for kind in player["events"]):
        rows.append([label, *(number(player["events"].get(label, 0)) for player in players)])
    for label in dict.fromkeys(what for player in players for what in player.get("hits", {})):
        rows.append(
            [f"hits by {label}", *(number(player["hits"].get(label, 0)) for player in players)]
        )
    winner = "draw" if facts["winner"] is None else f"{players[facts['winner']]['name']} wins"
    lines = [table(["", *(player["name"] for player in players)], rows), ""]
    lines += [f"warning: {mark['player']} {mark['mark']}" for mark in facts["marks"]]
    lines += [f"note: {remark}" for remark in facts["remarks"]]
    lines += [
        f"forfeit: player {loss['player']}: {loss['reason']}" for loss in facts.get("forfeit", ())
    ]
    if "out" in facts:
        lines.append(f"page: {facts['out']}, {size(Path(facts['out']).stat().st_size)}")
    if "stored" in facts:
        lines.append(f"stored: {facts['stored']}")
    lines.append(
        f"{winner} by {facts['reason']} after {facts['frames']:,} frames "
        f"({facts['seconds']:.0f} s) in {facts['world']}, seed {facts['seed']}, "
        f"fingerprint {facts['fingerprint']}"
    )
    return "\n".join(lines)
