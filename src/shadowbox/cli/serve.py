"""`shadowbox serve`: the server of all pages."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import click

from shadowbox.cli.terminal import PATH, emit, json_option
from shadowbox.core.game import Game
from shadowbox.errors import UsageError
from shadowbox.games import find, load

log = logging.getLogger(__name__)


@click.command()
@click.argument("stores", nargs=-1, metavar="[STORE]...", type=PATH)
@click.option("--game", "named", default="brawl", show_default=True, help="Game to play.")
@click.option(
    "--world",
    "worlds",
    multiple=True,
    metavar="SPEC",
    help="World to offer for matches, the first by default (repeatable).  "
    "[default: the game's simulator]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; any but this machine needs a token.",
)
@click.option(
    "--port",
    default=8765,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--out",
    default="data/played",
    show_default=True,
    type=PATH,
    help="Store for the matches of people.",
)
@click.option(
    "--runs",
    default="runs",
    show_default=True,
    type=PATH,
    help="Folder of runs.",
)
@click.option(
    "--tournaments",
    type=PATH,
    help="Folder of tournaments.  [default: tournaments, in --runs]",
)
@click.option(
    "--cards",
    default="cards",
    show_default=True,
    type=PATH,
    help="Folder of cards.",
)
@click.option(
    "--token",
    help="Token that every browser must give.  [default: a random one unless --host is this machine]",
)
@click.option("--open", "open_it", is_flag=True, help="Open a browser.")
@json_option
def serve(
    stores: tuple[Path, ...],
    named: str,
    worlds: tuple[str, ...],
    host: str,
    port: int,
    out: Path,
    runs: Path,
    tournaments: Path | None,
    cards: Path,
    token: str | None,
    open_it: bool,
    as_json: bool,
) -> None:
    """Serve pages for a browser: live matches, Play, stored matches, tournaments, runs and cards."""
    from shadowbox.data.store import Store
    from shadowbox.play import specs
    from shadowbox.web import server
    from shadowbox.web.app import application
    from shadowbox.web.site import Site

    game = load(named)
    if game.world is None and not worlds:
        raise UsageError(
            f"--game {named}: {game.name} has no simulator; name a world with --world. "
            "Stored matches of it are shown beside any other game"
        )
    for world in worlds:
        specs.world_factory(world, game)  # a wrong spec is refused now, not on a page
    for path in stores:
        Store(path)  # a folder that is not a store is refused now, not on a page
    token = server.token_for(host, token)
    site = Site(
        game=game,
        known=_known(game, named),
        worlds=worlds,
        stores=stores,
        out=out,
        tournaments=tournaments or runs / "tournaments",
        runs=runs,
        cards=cards,
    )
    socket = server.listen(host, port)
    where = server.address(socket, token)
    if as_json:
        emit({"url": where, "game": game.name, "token": token})
    else:
        print(f"{where}\nCtrl-C ends it.")
    sys.stdout.flush()  # the server does not come back
    if open_it:
        click.launch(where)
    app = application(site, token=token)
    app.state.home.data()  # the simulator compiles while the address is opened
    server.run(app, socket)


def _known(played: Game, named: str) -> Callable[[str], Game | None]:
    """The games that pages may show; a game that cannot be imported counts as unknown."""

    def known(name: str) -> Game | None:
        if name in (played.name, named):
            return played
        try:
            return find(name)
        except UsageError as error:
            log.warning("%s", error)
            return None

    return known
