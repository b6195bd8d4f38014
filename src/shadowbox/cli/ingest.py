"""`shadowbox ingest`: read recordings made elsewhere, such as replays, into a store."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from shadowbox.cli.launch.workers import WORKERS, _Workers, backend
from shadowbox.cli.terminal import PATH, emit, json_option, number, progress, table
from shadowbox.core.game import Game
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games import load

LONG_LIST = 12  # rejected files from which a table of reasons follows their list
MOST_REASONS = 12  # in the table
LONGEST_TEXT = 400  # characters of a name or reason; --json has all of them


@click.command()
@click.argument("game")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@click.option(
    "--out",
    required=True,
    type=PATH,
    help="Store to append the episodes to; created if missing.",
)
@click.option(
    "--workers",
    default="1",
    show_default=True,
    type=WORKERS,
    help="Number of reader processes, or ray[:ADDRESS]: a Ray cluster, or Ray on this machine.",
)
@click.option(
    "--filter",
    "named",
    metavar="NAME",
    help="Named set of the game's reader options, such as train.",
)
@click.option(
    "--set",
    "given",
    metavar="OPTION=VALUE",
    multiple=True,
    help="Reader option of the game, such as human=true (repeatable).",
)
@click.option(
    "--keep-names",
    is_flag=True,
    help="Keep players' names and codes instead of replacing them by pseudonyms.",
)
@click.option("--resume", is_flag=True, help="Skip files that are already in the store.")
@json_option
def ingest(
    game: str,
    paths: tuple[Path, ...],
    out: Path,
    workers: _Workers,
    named: str | None,
    given: tuple[str, ...],
    keep_names: bool,
    resume: bool,
    as_json: bool,
) -> None:
    """Read recordings of GAME (files, folders, archives) and store them as episodes.

    Archives are .zip, .tar and .7z; files may be compressed (.gz, .xz, .zlib), and a .parquet file
    is one that `store export` wrote. Identical recordings are stored once. Recordings that cannot be
    read or do not pass the filter are listed with the reason; the command fails only if no recording
    came in. Ctrl-C stores what was read and says how to go on; so does SIGTERM.

    GAME may be minari or lerobot: PATH is then a dataset of that library (of Minari also the name of
    a downloaded one).
    """
    from shadowbox.collect.datasets import READERS, dataset_game
    from shadowbox.data.ingest import ingest as take_in

    read, files = dataset_game(game, paths) if game in READERS else (load(game), list(paths))
    options = _options(read, named, given)
    if keep_names:
        _must_be(read, "keep_names")
        options["keep_names"] = True
    with backend(workers) as found, progress("reading") as update:
        facts = take_in(
            read,
            files,
            out,
            workers=workers.number,
            backend=found,
            options=options,
            resume=resume,
            progress=update,
        )
    if as_json:
        emit(facts)
    else:
        _say(facts)
    if not facts["accepted"] and not facts["resumed"]:
        sys.exit(1)


def _options(game: Game, named: str | None, given: tuple[str, ...]) -> dict[str, Any]:
    """Reader options: the named set, updated with single `--set` options."""
    if named is not None and named not in game.reader_filters:
        raise UsageError(
            f"{game.name} has no filter '{named}': {did_you_mean(named, game.reader_filters)}"
        )
    options = dict(game.reader_filters[named]) if named is not None else {}
    for text in given:
        name, mark, value = text.partition("=")
        if not mark:
            raise UsageError(f"--set {text}: expected OPTION=VALUE, as in --set human=true")
        _must_be(game, name)
        options[name] = typed_option(name, value, game.reader_options[name])
    return options


def _must_be(game: Game, name: str) -> None:
    if name not in game.reader_options:
        raise UsageError(
            f"the reader of {game.name} has no option '{name}': {did_you_mean(name, game.reader_options)}"
        )


def typed_option(name: str, value: str, default: Any) -> Any:
    """The value converted to the type of the option's default."""
    if isinstance(default, bool):
        if value not in ("true", "false"):
            raise UsageError(f"--set {name}={value}: expected true or false")
        return value == "true"
    try:
        return type(default)(value)
    except ValueError:
        raise UsageError(
            f"--set {name}={value}: expected a number, as in {name}={default}"
        ) from None


def _say(facts: dict[str, Any]) -> None:
    for entry in facts["rejected"]:
        print(f"rejected: {_printable(entry['file'])}: {_printable(entry['reason'])}")
    for entry in facts["cut"]:
        frames = f"{entry['frames']:,} {'frame' if entry['frames'] == 1 else 'frames'}"
        print(f"cut: {_printable(entry['file'])}: {frames}, at {entry['why']}")
    for entry in facts["notes"]:
        print(f"note: {_printable(entry['file'])}: {_printable(entry['note'])}")
    for key, count in facts["unusable"].items():
        print(f"absent: {key} holds nothing possible in {count:,} recordings")
    for name, count in facts["left_out"].items():
        if count:
            print(f"{name.replace('_', ' ')}: {count:,}")
    _say_reasons(facts["rejected"])
    rate = facts["frames_per_cpu_s"]
    resumed = f", {facts['resumed']:,} already stored" if facts["resumed"] else ""
    print(
        f"{facts['store']}: {facts['accepted']:,} of {facts['files']:,} recordings accepted{resumed}: "
        f"{facts['episodes']:,} episodes, {facts['frames']:,} frames, "
        f"{number(facts['bytes_per_frame'])} bytes a frame, "
        f"{number(rate and int(rate))} frames per CPU-second"
    )


def _say_reasons(rejected: list[dict[str, str]]) -> None:
    """Print a table of reasons, which helps when the list of files is long."""
    reasons = Counter(_printable(entry["reason"].partition(":")[0]) for entry in rejected)
    if len(rejected) < LONG_LIST:
        return
    rows = [[reason, str(count)] for reason, count in reasons.most_common(MOST_REASONS)]
    if (rest := len(reasons) - len(rows)) > 0:
        others = sum(reasons.values()) - sum(int(row[1]) for row in rows)
        rows.append([f"{rest} other reasons", str(others)])
    print(table(["reason for rejection", "files"], rows))
    print()


def _printable(text: str) -> str:
    """Text of an untrusted file in one line: other characters are escaped, a long one is cut."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}..."
