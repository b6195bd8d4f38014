"""`shadowbox report`: write one page about a run or a card."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shadowbox.cli.terminal import PATH, emit, json_option, size
from shadowbox.core.files import write_whole
from shadowbox.errors import UsageError
from shadowbox.games import load


@click.command()
@click.argument("what", metavar="RUN")
@click.option(
    "--out",
    type=PATH,
    help="Path of the page.  [default: report.html in the run's folder]",
)
@click.option(
    "--cards",
    default="cards",
    show_default=True,
    type=PATH,
    help="Folder of cards.",
)
@click.option(
    "--runs",
    default="runs",
    show_default=True,
    type=PATH,
    help="Folder of runs.",
)
@click.option(
    "--game",
    "named",
    metavar="MODULE:GAME",
    help="Game of the run, if it is not built in or installed.",
)
@click.option(
    "--match/--no-match",
    default=True,
    show_default=True,
    help="Play one match with the policy and show it on the page.",
)
@json_option
def report(
    what: str,
    out: Path | None,
    cards: Path,
    runs: Path,
    named: str | None,
    match: bool,
    as_json: bool,
) -> None:
    """Write one page about RUN: a run's folder, a card's folder of runs, or a card.

    It needs nothing else, also offline.
    """
    from shadowbox.report import run, source

    if out is not None and not out.parent.is_dir():
        raise UsageError(f"--out {out}: folder {out.parent} does not exist")
    if named:
        load(named)  # its name is known from here on
    subject = source.find_source(what, cards, runs)
    path = out or subject.folder / "report.html"
    if match:
        print(
            "the policy plays a match to look at; --no-match leaves it out",
            file=sys.stderr,
            flush=True,
        )
    write_whole(path, run.report(subject, load, match=match).encode(errors="backslashreplace"))
    if as_json:
        emit(run.to_json(subject) | {"out": str(path)})
        return
    done = subject.finished
    for outcome in done.outcomes:
        print(f"{outcome.target}: {outcome.verdict}")
    print(f"{path}: {done.verdict}, {size(path.stat().st_size)}")
