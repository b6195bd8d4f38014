"""`shadowbox view`: one match, or two, as a page that works offline; a picture, or a short film."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from shadowbox.cli.terminal import PATH, at_least, emit, json_option, progress, size
from shadowbox.core.episode import Episode
from shadowbox.core.files import write_whole
from shadowbox.core.game import Game
from shadowbox.core.scenes.default import scene_of
from shadowbox.core.schema import Array, require_same
from shadowbox.data.store import Store, parse_episode_spec
from shadowbox.errors import UsageError
from shadowbox.games import ENVIRONMENTS, game_of, load, option_for

PICTURE_WIDTH = 960  # pixels, of one match or of two beside each other
FILM_WIDTH = 640
BETWEEN = 4  # pixels of the line between two matches
LINE = 0x7C  # its gray, on a light and a dark ground
FILM_FPS = 15.0  # at most: a GIF grows with every picture


class _Match(NamedTuple):
    """A stored match from the row on that it is shown from."""

    game: Game
    store: Path
    number: int
    row: int
    episode: Episode

    @property
    def name(self) -> str:
        return f"{self.store}#{self.number}" + (f" from frame {self.row}" if self.row else "")


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
    matches = _matches(what, named)
    written = _write(matches, out, png, gif, theme)
    if as_json:
        emit(_facts(matches) | {kind: str(path) for kind, path in written.items()})
        return
    for path in written.values():
        print(f"{path}: {size(path.stat().st_size)}")


def _matches(what: Sequence[str], named: str | None) -> list[_Match]:
    """The matches that were named, each from its row on."""
    if len(what) > 2:
        raise UsageError(f"{len(what)} matches: name one, or two to see them side by side")
    parts = [re.fullmatch(r"(.*#\d+):(\d+)", each) for each in what]
    opened = [_episode(part[1] if part else each) for part, each in zip(parts, what, strict=True)]
    rows = [int(part[2]) if part else 0 for part in parts]
    if len(opened) == 2 and not any(parts):
        from shadowbox.report.match import same_moment

        one, other = ((found.path, number, found.meta_of(number)) for found, number in opened)
        rows = list(same_moment(one, other))
    return [
        _from(found, number, row, named) for (found, number), row in zip(opened, rows, strict=True)
    ]


def _from(found: Store, number: int, row: int, named: str | None) -> _Match:
    """A match of a store from a row on."""
    if row >= (length := len(found.rows_of(number))):
        raise UsageError(f"{found.path}#{number}:{row}: the match has the rows 0 to {length - 1}")
    game, episode = _game(found, named), found.episode(number)
    if row:
        from shadowbox.report.match import later_part

        episode = later_part(episode, row)
    return _Match(game, found.path, number, row, episode)


def _facts(matches: Sequence[_Match]) -> dict[str, Any]:
    """Facts about the matches for --json."""
    if len(matches) == 2:
        return {
            "episodes": [match.number for match in matches],
            "rows": [match.row for match in matches],
        }
    (match,) = matches
    meta = {key: match.episode.meta.get(key) for key in ("players", "world", "seed", "result")}
    frames = match.episode.frames
    return {"episode": match.number, "game": match.game.name, "frames": frames, **meta}


def _write(
    matches: Sequence[_Match], out: Path | None, png: int | None, gif: str | None, theme: str
) -> dict[str, Path]:
    """Write what was asked for; the files by their kind."""
    stem = (
        out.with_suffix("") if out else Path("-".join(["match", *(str(m.number) for m in matches)]))
    )
    ending = out.suffix.lower() if out else ""
    if ending == ".png" and png is None:
        png = max(match.episode.rows for match in matches) // 2
    if ending == ".gif":
        gif = gif or ":"
    written = {}
    if (out is not None and ending not in (".png", ".gif")) or (png is None and gif is None):
        written["out"] = out or stem.with_name(f"{stem.name}.html")
        write_whole(written["out"], _page(matches).encode())
    if png is not None:
        path = stem.with_name(f"{stem.name}-{png}.png")
        written["png"] = out if out and ending == ".png" else path
        _png(matches, written["png"], png, theme)
    if gif is not None:
        path = stem.with_name(f"{stem.name}.gif")
        written["gif"] = out if out and ending == ".gif" else path
        _gif(matches, written["gif"], gif, theme)
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


def _page(matches: Sequence[_Match]) -> str:
    from shadowbox.report.match import lockstep_document, match_document

    if len(matches) > 1:
        return lockstep_document([(match.game, match.episode, match.name) for match in matches])
    (match,) = matches
    return match_document(match.game, match.episode, [("store", match.name)])


def _png(matches: Sequence[_Match], path: Path, frame: int, theme: str) -> None:
    from shadowbox.page.paint import save

    painters = [_painter(match, PICTURE_WIDTH // len(matches), theme) for match in matches]
    length = max(match.episode.rows for match in matches)
    if frame >= length:
        raise UsageError(f"--png {frame}: the match has the frames 0 to {length - 1}")
    save(_beside([paint(frame) for paint in painters]), path)


def _gif(matches: Sequence[_Match], path: Path, span: str, theme: str) -> None:
    from shadowbox.page.paint import save_gif

    painters = [_painter(match, FILM_WIDTH // len(matches), theme) for match in matches]
    start, end = _span(span, max(match.episode.rows for match in matches))
    fps = matches[0].game.schema.fps
    every = max(1, round(fps / FILM_FPS))
    frames = range(start, end, every)
    with progress("painting") as update:
        pictures = []
        for done, frame in enumerate(frames, start=1):
            pictures.append(_beside([paint(frame) for paint in painters]))
            update(done, len(frames))
        save_gif(pictures, path, fps / every)


def _painter(match: _Match, width: int, theme: str) -> Callable[[int], Array]:
    """Function of a frame that paints it; after the end of the match, its last one."""
    from shadowbox.core.scenes.grammar import validate
    from shadowbox.core.scenes.motion import Film
    from shadowbox.page.paint import paint_frame

    columns, meta = match.episode.columns, match.episode.meta
    scene = scene_of(match.game, columns)
    validate(scene, match.game.schema)
    film = Film(scene, columns, match.episode.events)
    given = meta.get("players")
    names = [str(player) for player in given] if isinstance(given, list) else []
    world = str(meta.get("world", ""))
    return lambda frame: paint_frame(
        film, min(frame, film.length - 1), width=width, theme=theme, names=names, world=world
    )


def _beside(pictures: Sequence[Array]) -> Array:
    """Pictures [height, width, 3] beside each other with a line between; the lowest sets the height."""
    height = min(len(picture) for picture in pictures)
    line = np.full((height, BETWEEN, 3), LINE, np.uint8)
    parts = [part for picture in pictures for part in (line, picture[:height])]
    return np.concatenate(parts[1:], axis=1)


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
