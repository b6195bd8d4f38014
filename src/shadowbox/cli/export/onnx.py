"""`shadowbox export onnx`: single steps as ONNX files, each compared with PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shadowbox.cli.terminal import PATH, SEED, at_least, emit, json_option, number, size, table


@click.command()
@click.argument("what", metavar="RUN")
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="File ending in .onnx for the main step in full precision, or folder for all files.",
)
@click.option("--int8", is_flag=True, help="Also write weights of eight bits, and check them.")
@click.option(
    "--store",
    type=PATH,
    help="Recordings to compare on.  [default: a match that is played for this]",
)
@click.option(
    "--rows", default=1000, show_default=True, type=at_least(1), help="Number of rows to compare."
)
@click.option(
    "--opponent", default="based", show_default=True, help="Bot to play against as a check."
)
@click.option(
    "--matches",
    default=64,
    show_default=True,
    type=at_least(0),
    help="Matches of that check, half of them from either seat; 0 leaves it out.",
)
@click.option("--world", default="", help="World of that check.  [default: the game's simulator]")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Random seed of the checks.")
@click.option("--game", "named", help="Game of the run.  [default: the one in its checkpoint]")
@json_option
def onnx(what: str, out: Path, named: str | None, as_json: bool, **options: Any) -> None:
    """Write one step of RUN as ONNX, for any runtime, and compare it with PyTorch.

    RUN is a run, a checkpoint, or what ships: policy:champion, dream:brawl. What is drawn is a
    function of uniform numbers that the caller gives. A policy with an encoder of the opponent's
    history gets a second file, for the encoder alone.
    """
    from shadowbox.export.report import export_onnx
    from shadowbox.games import load

    facts = export_onnx(what, out, load(named) if named else None, **options)
    if as_json:
        emit(facts)
    else:
        click.echo(_text(facts))


def _text(facts: dict[str, Any]) -> str:
    rows = [
        [
            Path(each["path"]).name,
            size(each["bytes"]),
            f"{each['largest']:.1e}",
            f"{each['equal']:,} of {each['rows']:,}",
            number(each["p50_ms"], 3),
            number(each["p99_ms"], 3),
        ]
        for each in facts["files"]
    ]
    head = ["file", "size", "largest difference", "equal", "ms p50", "ms p99"]
    lines = [table(head, rows)]
    for each in facts["files"]:
        if "play" in each:
            lines.append(_play_text(Path(each["path"]).name, each["play"], facts))
    return "\n".join([*lines, f"written: {facts['out']}"])


def _play_text(name: str, play: dict[str, Any], facts: dict[str, Any]) -> str:
    own, plain, gap = play["wins"], play["pytorch"], play["difference"]
    matches, equal = f"against {facts['opponent']}", ""
    if "bot" in play:  # of two bots, in a world that the file draws
        matches = f"draws {play['matches']} matches of {facts['opponent']} against {play['bot']}"
        equal = f"; {play['equal']} end as those of PyTorch"
    return (
        f"{name} {matches}: wins {own['value']:.3f}, PyTorch {plain['value']:.3f}, "
        f"difference {gap['value']:+.3f} ({gap['low']:+.3f} .. {gap['high']:+.3f}){equal}"
    )
