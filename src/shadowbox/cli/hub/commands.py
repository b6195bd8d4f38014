"""`shadowbox push` and `pull`: runs, stores and cards as plain folders at another place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shadowbox.cli.terminal import PATH, emit, json_option, size


@click.command()
@click.argument("what", metavar="WHAT")
@click.argument("remote", metavar="REMOTE")
@click.option(
    "--license", default="", help="License, such as mit or cc-by-4.0.  [default: unknown]"
)
@click.option(
    "--replace",
    is_flag=True,
    help="Write pseudonyms for names and codes, and the last part of absolute paths.",
)
@click.option(
    "--allow", multiple=True, metavar="TEXT", help="Let this text pass the scan (repeatable)."
)
@click.option("--overwrite", is_flag=True, help="Replace the hub folder that is there.")
@click.option("--game", "named", help="Game of WHAT.  [default: the one that its files name]")
@json_option
def push(what: str, remote: str, named: str | None, as_json: bool, **options: Any) -> None:
    """Write WHAT to REMOTE as a folder in the layout of the Hugging Face hub.

    WHAT is a run, a checkpoint, a store, a card's file, or what a game ships, such as
    policy:champion. REMOTE is a new folder, s3://BUCKET/NAME, hf://OWNER/NAME, or another URL of
    fsspec. Names of players, connect codes, absolute paths and mail addresses are refused with
    their places.
    """
    from shadowbox.games import load
    from shadowbox.hub.push import push

    facts = push(what, remote, game=load(named) if named else None, **options)
    _say(facts, facts["remote"], as_json)


@click.command()
@click.argument("remote", metavar="REMOTE")
@click.option(
    "--to",
    type=PATH,
    metavar="FOLDER",
    help="New folder.  [default: runs/NAME, data/NAME or cards/NAME]",
)
@click.option("--digest", default="", help="Refuse any folder but that of this digest.")
@json_option
def pull(remote: str, to: Path | None, digest: str, as_json: bool) -> None:
    """Copy a pushed folder from REMOTE, after every file was compared with its digest.

    A file that was changed or added is refused by name, and nothing is kept. No file is run or
    unpickled.
    """
    from shadowbox.hub.pull import pull

    facts = pull(remote, to, digest=digest)
    _say(facts, facts["folder"], as_json)


def _say(facts: dict[str, Any], where: str, as_json: bool) -> None:
    if as_json:
        emit(facts)
        return
    license = facts["license"] or "unknown"
    click.echo(
        f"{where}: the {facts['kind']} {facts['name']} of {facts['game']}, {facts['files']} files, "
        f"{size(facts['bytes'])}, license {license}\ndigest {facts['digest']}"
    )
