"""`shadowbox export web`: a page in which a person plays in a learned world, without a server."""

from __future__ import annotations

from pathlib import Path

import click

from shadowbox.cli.terminal import PATH, emit, json_option, size


@click.command()
@click.argument("what", metavar="RUN")
@click.option("--out", type=PATH, required=True, help="Folder of the page.")
@click.option(
    "--against",
    default="",
    metavar="policy:RUN",
    help="Opponent, such as policy:champion@delay=6.  [default: the policy that the game ships]",
)
@click.option(
    "--world",
    default="",
    metavar="dream:RUN",
    help="World, where RUN is a policy.  [default: the world that the game ships]",
)
@click.option("--game", "named", help="Game of the run.  [default: the one in its checkpoint]")
@json_option
def web(what: str, out: Path, against: str, world: str, named: str | None, as_json: bool) -> None:
    """Write a page in which a person plays inside the learned world RUN, against a policy.

    RUN is a run or dream:NAME, or a policy to play against. The page holds the networks and what
    runs them (npm's onnxruntime-web, fetched once), works from a disk, and needs no network.
    """
    from shadowbox.export.web import export_web
    from shadowbox.games import load

    facts = export_web(what, out, load(named) if named else None, against=against, world=world)
    if as_json:
        emit(facts)
    else:
        click.echo(
            f"{facts['out']}: {size(facts['bytes'])}, {facts['world']} against "
            f"{facts['against']}, with {facts['runtime']}"
        )
