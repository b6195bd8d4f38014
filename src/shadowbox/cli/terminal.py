"""Output and shared options of commands: one JSON object, aligned tables, progress bars, worlds."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from shadowbox.cli.text.tables import fit
from shadowbox.core.files import write_whole
from shadowbox.errors import ShadowboxError, system_error

Command = TypeVar("Command", bound=Callable[..., Any])
SEED = click.IntRange(0, 2**63 - 1)
MOST = 2**31 - 1  # of matches, steps, workers and the like


class _Path(click.Path):
    """Path of a file or folder; the empty text, which would be the current folder, is refused."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if str(value) == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


PATH = _Path(path_type=Path)


def at_least(least: int) -> click.IntRange:
    """Type of an option that is a number of things, or a position: from `least` to `MOST`."""
    return click.IntRange(least, MOST)


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of text."
)


def world_options(command: Command) -> Command:
    """Add --world and --stage to a command; `stage_option` turns the second into options."""
    command = click.option(
        "--stage", help="Stage of the world; the same as @stage=NAME in --world."
    )(command)
    return click.option(
        "--world",
        default="",
        metavar="SPEC",
        help="World to play in: GAME[@KEY=VALUE...], dream:RUN or py:MODULE:FACTORY.  "
        "[default: the game's simulator]",
    )(command)


def stage_option(stage: str | None) -> dict[str, Any]:
    """--stage as an option of a world."""
    return {} if stage is None else {"stage": stage}


def emit(data: Any) -> None:
    """Print the JSON object of `--json` to standard output."""
    print(json.dumps(data, allow_nan=False))


def write_page(path: Path, page: str) -> None:
    """Write a page to `path`, whole or not at all, creating its folder."""
    save_text(path, page)


def save_text(path: Path, text: str) -> None:
    """Write a text to `path`, whole or not at all, creating its folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise ShadowboxError(f"not written: {system_error(error)}") from error


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Aligned columns without boxes: the first `left` are left-aligned names, the others numbers.

    In a terminal that is narrower, names are wrapped, and else each row becomes a few lines.
    """
    return fit([list(head), *map(list, rows)], left, _columns())


def _columns() -> int | None:
    """Width of the terminal; None if output goes elsewhere and COLUMNS does not name a width."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS", "").isdecimal():
        return None
    return shutil.get_terminal_size().columns


def number(value: float | None, digits: int = 4) -> str:
    """A number for a table, or a dash for None."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def share(value: float | None) -> str:
    """A share as a percentage."""
    return "-" if value is None else f"{100 * value:.1f}%"


def size(count: float) -> str:
    """A number of bytes with its unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("the loop returns")


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error for work that takes longer than two seconds.

    Yields a function of (done, total). Without a terminal, prints a line every ten seconds, with
    the rate and the time that is left at this rate.
    """
    bar: Any = None
    task: Any = None
    began = shown = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal bar, task, shown
        now = time.monotonic()
        if now - began < 2:
            return
        if sys.stderr.isatty():
            if bar is None:
                from rich.console import Console
                from rich.progress import MofNCompleteColumn, Progress

                columns = (*Progress.get_default_columns(), MofNCompleteColumn())
                bar = Progress(*columns, console=Console(stderr=True), transient=True)
                bar.start()
                task = bar.add_task(what, total=total)
            bar.update(task, completed=done, total=total)
        elif now - shown > 10:
            shown = now
            line = (
                f"{what}: {share(done / total if total else 1.0)}{_pace(done, total, now - began)}"
            )
            print(line, file=sys.stderr, flush=True)

    try:
        yield update
    finally:
        if bar is not None:
            bar.stop()


def _pace(done: int, total: int, seconds: float) -> str:
    """Count, rate and time left of work in progress; empty before anything is done."""
    if not 0 < done < total:
        return ""
    rate, left = done / seconds, (total - done) * seconds / done
    took = f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} minutes"
    return f", {done:,} of {total:,}, {rate:,.3g} a second, about {took} left"
