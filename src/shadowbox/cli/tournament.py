"""`shadowbox tournament`: who is stronger, by how much, and how sure that is."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from shadowbox.cli.launch.workers import WORKERS, _Workers, backend
from shadowbox.cli.terminal import (
    PATH,
    SEED,
    at_least,
    emit,
    json_option,
    progress,
    share,
    stage_option,
    table,
    world_options,
)
from shadowbox.core.files import write_whole
from shadowbox.errors import UsageError
from shadowbox.games import load


@click.command()
@click.argument("game")
@click.argument("agents", nargs=-1, required=True)
@click.option(
    "--matches",
    default=100,
    show_default=True,
    type=at_least(1),
    help="Of each pair: half as many seeds, each from both seats.",
)
@click.option(
    "--gauntlet",
    is_flag=True,
    help="The first agent against each of the others, in place of all pairs.",
)
@world_options
@click.option("--seed", default=0, show_default=True, type=SEED)
@click.option(
    "--out",
    type=PATH,
    help="Ledger (.jsonl) to keep finished blocks in; the table goes beside it.",
)
@click.option(
    "--workers",
    type=WORKERS,
    help="Processes that share the work, or ray[:ADDRESS]; without it one process a core.",
)
@click.option("--resume", is_flag=True, help="Go on with the ledger where it stops.")
@click.option(
    "--sign",
    "key",
    type=PATH,
    help="SSH key to sign the ledger with, which then also holds all controls.",
)
@click.option(
    "--share",
    "checked",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.01,
    show_default=True,
    help="Of verify LEDGER: share of the matches to play again.",
)
@click.option(
    "--signers",
    type=PATH,
    help="Of verify LEDGER: file of allowed signers, as ssh-keygen reads it.",
)
@json_option
def tournament(
    game: str,
    agents: tuple[str, ...],
    matches: int,
    gauntlet: bool,
    world: str,
    stage: str | None,
    seed: int,
    out: Path | None,
    workers: _Workers | None,
    resume: bool,
    key: Path | None,
    checked: float,
    signers: Path | None,
    as_json: bool,
) -> None:
    """Let AGENTS of GAME meet in pairs and rate them; the first one is the anchor at 1000.

    `tournament verify LEDGER` checks a signed ledger instead: its chain, its signature, and some of its
    matches, which are played again from their controls.
    """
    from shadowbox.evaluate.ledger.chain import ledger_record, sign
    from shadowbox.evaluate.tournament import TournamentSpec
    from shadowbox.evaluate.tournament import tournament as play_and_rate

    if game == "verify":
        _verify(agents, checked, seed, signers, as_json)
        return
    played = load(game)
    record = ledger_record(played, agents) if key else {}
    plan = TournamentSpec(game, agents, matches, gauntlet, seed, stage_option(stage), world, record)
    ledger = (out or Path("runs") / "tournaments" / plan.name()).with_suffix(".jsonl")
    if ledger.exists() and not resume:
        if out is not None:
            raise UsageError(
                f"{ledger} is there already: go on with --resume, or name another file"
            )
        ledger.unlink()  # the last one was not named, so it is not kept
    count = workers.number if workers else os.cpu_count() or 1
    with backend(workers) as found, progress("matches") as update:
        facts = play_and_rate(played, plan, ledger, workers=count, backend=found, progress=update)
    if key:
        sign(ledger, key)
    # `serve` lists these
    write_whole(ledger.with_suffix(".json"), json.dumps(facts, indent=1).encode())
    if as_json:
        emit(facts)
    else:
        print(_as_text(facts))


def _verify(
    named: tuple[str, ...], checked: float, seed: int, signers: Path | None, as_json: bool
) -> None:
    """Check a ledger; a false match ends the command as failed."""
    from shadowbox.evaluate.ledger.verify import as_text, ledger_game, verify_ledger

    if len(named) != 1:
        raise UsageError("name one ledger, as in tournament verify LEDGER.jsonl")
    ledger = Path(named[0])
    facts = verify_ledger(
        ledger, load(ledger_game(ledger)), share=checked, seed=seed, signers=signers
    )
    if as_json:
        emit(facts)
    else:
        click.echo(as_text(facts))
    if facts["false"]:
        sys.exit(1)


def _as_text(facts: dict[str, Any]) -> str:
    from shadowbox.evaluate.tournament import elo_warning

    names = [row["agent"] for row in facts["ratings"]]
    ratings = [
        [row["agent"], f"{row['elo']:.0f}", f"{row['low']:.0f} .. {row['high']:.0f}"]
        for row in facts["ratings"]
    ]
    cross = [[a, *(_cell(facts["payoff"][a].get(b)) for b in names)] for a in names]
    parts = [
        table(["agent", "elo", "95 %"], ratings),
        table(["wins of ... against", *names], cross),
    ]
    if facts["nash"]:
        columns = ["Nash mixture", "weight", "95 %", "score against it", "95 %"]
        parts.append(table(columns, [_nash_row(name, facts["nash"][name]) for name in names]))
    if warning := elo_warning(facts["cycle_test"]):
        parts.append(f"warning: {warning}")
    for a, b, c in facts["cycles"]:
        parts.append(f"cycle: {a} beats {b}, {b} beats {c}, {c} beats {a}")
    for name, mark in facts["marks"].items():
        parts.append(f"warning: {name} {mark}")
    for name, count in facts["forfeits"].items():
        parts.append(f"forfeit: '{name}' lost {count} matches by a mistake of its own")
    parts.append(
        f"{facts['kind']} in {facts['world']}, {facts['matches']} matches a pair, "
        f"{facts['anchor']} anchors at 1000"
    )
    return "\n\n".join(parts)


def _nash_row(name: str, entry: dict[str, dict[str, float]]) -> list[str]:
    cells = [name]
    for key in ("weight", "score"):
        value, low, high = (entry[key][end] for end in ("value", "low", "high"))
        cells += [share(value), f"{share(low)} .. {share(high)}"]
    return cells


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    few = (
        f" ({entry['distinct']} distinct)"
        if entry["distinct"] < 0.5 * sum(entry[k] for k in ("wins", "losses", "draws"))
        else ""
    )
    return share(entry["win_rate"]) + few
