"""`shadowbox view`: one match, or two, as a page that works offline; a picture, or a short film."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from shadowbox.cli.terminal import PATH, at_least, emit, json_option, progress, size
from shadowbox.core.files import write_whole
from shadowbox.core.game import Game
from shadowbox.core.scenes.default import scene_of
from shadowbox.core.schema import require_same
from shadowbox.data.store import Store, parse_episode_spec
from shadowbox.errors import UsageError
from shadowbox.games import ENVIRONMENTS, game_of, load, option_for

FILM_WIDTH = 640  # pixels
FILM_FPS = 15.0  # at most: a GIF grows with every picture


@click.command()
@click.argument("what", metavar="STORE#EPISODE...", nargs=-1, required=True)
@click.option(
    "--out",
    type=PATH,
    help="The page, or a picture or film by its ending, .png or .gif.  "
    "[default: match-EPISODE.html, or match-A-B.html for two]",
)
@click.option(
    "--png",
    type=at_least(0),
    metavar="FRAME",
    help="A picture of one frame.  [default with --out NAME.png: the middle one]",
)
@click.option(
    "--gif",
    is_flag=False,
    flag_value=":",
    metavar="[START:END]",
    help="A film of these frames, or of all.",
)
@click.option(
    "--game",
    "named",
    metavar="MODULE:GAME",
    help="The store's game, if no name here means it; without it the match is drawn by its fields.",
)
@click.option(
    "--theme",
    type=click.Choice(["light", "dark"]),
    default="light",
    show_default=True,
    help="Of pictures.",
)
@json_option
def view(
    what: tuple[str, ...],
    out: Path | None,
    png: int | None,
    gif: str | None,
    named: str | None,
    theme: str,
    as_json: bool,
) -> None:
    """Make a page of a stored match, or pictures of it with --out NAME.png, --png and --gif.

    With --png or --gif the page is written only if --out names it.

    Two matches play as one, side by side. A match that was begun from a row of the other, such as
    its dream, begins beside that row; STORE#EPISODE:ROW names another row to begin with.
    """
    if out is not None and not out.parent.is_dir():
        raise UsageError(f"--out {out}: the folder {out.parent} does not exist")
    if len(what) > 1:
        pictures = png is not None or gif is not None or (out and out.suffix in (".png", ".gif"))
        _two(what, out, named, as_json, pictures=bool(pictures))
        return
    found, number = _episode(what[0])
    game = _game(found, named)
    written = _write(found, number, game, out, png, gif, theme)
    meta = found.meta_of(number)
    if as_json:
        facts = {key: meta.get(key) for key in ("players", "world", "seed", "result")}
        files = {kind: str(path) for kind, path in written.items()}
        emit(
            {
                "episode": number,
                "game": game.name,
                "frames": len(found.rows_of(number)) - 1,
                **facts,
                **files,
            }
        )
        return
    for path in written.values():
        print(f"{path}: {size(path.stat().st_size)}")


def _two(
    what: Sequence[str], out: Path | None, named: str | None, as_json: bool, *, pictures: bool
) -> None:
    """Write the page of two matches that play as one."""
    from shadowbox.report.match import later_part, lockstep_document, same_moment

    if len(what) > 2:
        raise UsageError(f"{len(what)} matches: name one, or two to see them side by side")
    if pictures:
        raise UsageError("pictures and films are of one match: name one, or leave --png and --gif")
    parts = [re.fullmatch(r"(.*#\d+):(\d+)", each) for each in what]
    opened = [_episode(part[1] if part else each) for part, each in zip(parts, what, strict=True)]
    one, other = ((found.path, number, found.meta_of(number)) for found, number in opened)
    rows = list(same_moment(one, other))
    if any(parts):
        rows = [int(part[2]) if part else 0 for part in parts]
    matches = []
    for (found, number), row in zip(opened, rows, strict=True):
        if row >= (length := len(found.rows_of(number))):
            raise UsageError(
                f"{found.path}#{number}:{row}: the match has the rows 0 to {length - 1}"
            )
        name = f"{found.path}#{number}" + (f" from frame {row}" if row else "")
        matches.append((_game(found, named), later_part(found.episode(number), row), name))
    path = out or Path("match-{}-{}.html".format(*(number for _, number in opened)))
    write_whole(path, lockstep_document(matches).encode())
    if as_json:
        emit({"episodes": [number for _, number in opened], "rows": rows, "out": str(path)})
        return
    print(f"{path}: {size(path.stat().st_size)}")


def _write(
    found: Store,
    number: int,
    game: Game,
    out: Path | None,
    png: int | None,
    gif: str | None,
    theme: str,
) -> dict[str, Path]:
    """Write what was asked for; the files by their kind."""
    ending = out.suffix.lower() if out else ""
    if ending == ".png" and png is None:
        png = len(found.rows_of(number)) // 2
    if ending == ".gif":
        gif = gif or ":"
    written = {}
    if (out is not None and ending not in (".png", ".gif")) or (png is None and gif is None):
        written["out"] = _page(found, number, game, out or Path(f"match-{number}.html"))
    stem = out.with_suffix("") if out else Path(f"match-{number}")
    if png is not None:
        path = stem.with_name(f"{stem.name}-{png}.png")
        path = out if out and ending == ".png" else path
        written["png"] = _png(found, number, game, path, png, theme)
    if gif is not None:
        path = out if out and ending == ".gif" else stem.with_name(f"{stem.name}.gif")
        written["gif"] = _gif(found, number, game, path, gif, theme)
    return written


def _episode(what: str) -> tuple[Store, int]:
    path, number = parse_episode_spec(what)
    found = Store(path)
    if number is None:
        if len(found) != 1:
            raise UsageError(f"{path} holds {len(found)} matches: name one, as in {path}#0")
        number = 0
    found.rows_of(number)  # refuses a number that is not there, before anything is written
    return found, number


def _game(found: Store, named: str | None) -> Game:
    """The game of a store; one whose code is not at hand is drawn by its fields alone."""
    if named is not None:
        game = load(named)
        require_same(game.schema, found.schema, str(found.path))
        return game
    game, reason = game_of(found.schema, found.manifest.event_kinds)
    if reason and not found.schema.name.startswith(ENVIRONMENTS):  # none has a scene of its own
        option = option_for(found.manifest.made)
        print(f"{reason}: drawn by its fields; {option} names its own scene", file=sys.stderr)
    return game


def _page(found: Store, number: int, game: Game, path: Path) -> Path:
    from shadowbox.report.match import match_document

    write_whole(
        path,
        match_document(game, found.episode(number), [("store", f"{found.path}#{number}")]).encode(),
    )
    return path


def _png(found: Store, number: int, game: Game, path: Path, frame: int, theme: str) -> Path:
    from shadowbox.page.paint import paint_frame, save

    film = _film(found, number, game)
    if frame >= film.length:
        raise UsageError(f"--png {frame}: the match has the frames 0 to {film.length - 1}")
    meta = found.meta_of(number)
    save(
        paint_frame(film, frame, theme=theme, names=_players(found, number), world=_world(meta)),
        path,
    )
    return path


def _gif(found: Store, number: int, game: Game, path: Path, span: str, theme: str) -> Path:
    from shadowbox.page.paint import paint_frame, save_gif

    film = _film(found, number, game)
    start, end = _span(span, film.length)
    every = max(1, round(found.schema.fps / FILM_FPS))
    frames = range(start, end, every)
    names, world = _players(found, number), _world(found.meta_of(number))
    with progress("painting") as update:
        pictures = []
        for done, frame in enumerate(frames, start=1):
            pictures.append(
                paint_frame(film, frame, width=FILM_WIDTH, theme=theme, names=names, world=world)
            )
            update(done, len(frames))
        save_gif(pictures, path, found.schema.fps / every)
    return path


def _film(found: Store, number: int, game: Game) -> Any:
    from shadowbox.core.scenes.grammar import validate
    from shadowbox.core.scenes.motion import Film

    columns = found.schema.unpack(found.rows_of(number))
    scene = scene_of(game, columns)
    validate(scene, found.schema)
    return Film(scene, columns, found.events_of(number))


def _span(text: str, length: int) -> tuple[int, int]:
    """`START:END` -> the frames from START up to and without END; either may be left out."""
    parts = re.fullmatch(r"(\d*):(\d*)", text)
    if not parts:
        raise UsageError(f"--gif '{text}': two frames with a colon between, as in 120:240")
    start, end = int(parts[1] or 0), min(int(parts[2] or length), length)
    if start >= end:
        raise UsageError(
            f"--gif {text}: the range is empty; the match has frames 0 to {length - 1}"
        )
    return start, end


def _players(found: Store, number: int) -> list[str]:
    players = found.meta_of(number).get("players")
    return [str(player) for player in players] if isinstance(players, list) else []


def _world(meta: dict[str, Any]) -> str:
    return str(meta.get("world", ""))
