"""Matches that are stored: lists of them, and one to look at."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shadowbox.core.game import Game, game_of_schema
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError
from shadowbox.page.document import Html, badge, code, heading, table
from shadowbox.page.match_page import event_list
from shadowbox.report.match import below_the_viewer, greeting, match_document
from shadowbox.web.markup import command, element, empty, framed, link
from shadowbox.web.site import Site

A_PAGE = 50  # matches


class PageNotFound(ShadowboxError):
    """There is no such store, match or tournament."""


def matches(site: Site, shelf: int | None, page: int) -> str:
    """The newest matches of every store, or more of one."""
    shelves = dict(site.shelves())
    if shelf is not None and shelf not in shelves:
        raise PageNotFound("There is no such store: this server was started with others.")
    blocks: list[str] = [element("h1", "Matches")]
    if shelves:
        blocks.append(element("p", "The newest first; the winner is in bold."))
    for number, path in shelves.items():
        if shelf is None or shelf == number:
            blocks += _listing(number, path, page)
    if not shelves:
        play = f"shadowbox record {site.game.name} --p0 based --p1 random --matches 20 --out data/{site.game.name}"
        blocks.append(
            empty("No store is shown here.", "Record some matches, and name the store:", play)
        )
        blocks.append(command(f"shadowbox serve data/{site.game.name}"))
        blocks.append(
            element(
                "p", "Or ", link("/play", "play one yourself"), ": it is stored, and listed here."
            )
        )
    return framed("Matches", "/matches", blocks, module="web")


def match(site: Site, shelf: int, number: int) -> str:
    """The page of one match; its script fetches `match_data`."""
    store, game = _opened(site, shelf, number)
    meta = store.meta_of(number)
    more = element(
        "a",
        "This match as one file that works offline",
        href=f"/matches/{shelf}/{number}.html",
        download=True,
    )
    below = below_the_viewer(game, store.episode(number), [("store", f"{store.path}#{number}")])
    blocks: list[str] = [
        element("match-viewer", keys="page"),
        element("p", id="told", role="status"),
        element("section", element("p", more), class_="under"),
        element("section", *below, class_="column"),
    ]
    title = " against ".join(_players(meta)) or f"{store.path}#{number}"
    return framed(
        title,
        "/matches",
        blocks,
        module="stored",
        wide=True,
        source=f"/matches/{shelf}/{number}.json",
    )


def match_data(site: Site, shelf: int, number: int) -> dict[str, Any]:
    """What the viewer needs."""
    store, game = _opened(site, shelf, number)
    meta = store.meta_of(number)
    result = meta.get("result")
    return {
        "hello": greeting(game, meta, store.schema.unpack(store.rows_of(number))),
        "rows": base64.b64encode(store.rows_of(number).tobytes()).decode(),
        "events": event_list(store.events_of(number)),
        "result": result if isinstance(result, dict) else None,
    }


def match_file(site: Site, shelf: int, number: int) -> str:
    """The same as `shadowbox view` writes it."""
    store, game = _opened(site, shelf, number)
    return match_document(game, store.episode(number), [("store", f"{store.path}#{number}")])


# ---- inside ----------------------------------------------------------------------------------------------------


def _opened(site: Site, shelf: int, number: int) -> tuple[Store, Game]:
    path = dict(site.shelves()).get(shelf)
    if path is None:
        raise PageNotFound("There is no such store: this server was started with others.")
    store = Store(path)
    if not 0 <= number < len(store):
        raise PageNotFound(f"{path} has no match {number}: it holds {len(store)}, numbered from 0.")
    game = site.known(store.schema.name)
    if game is None or game.schema.facts_hash != store.schema.facts_hash:
        game = game_of_schema(store.schema, store.manifest.event_kinds)  # drawn by its fields
    return store, game


def _listing(shelf: int, path: Path, page: int) -> list[str]:
    """One store: newest first."""
    head = heading(code(str(path)))
    try:
        store = Store(path)
        newest = len(store) - 1 - page * A_PAGE
        numbers = range(newest, max(newest - A_PAGE, -1), -1)
        rows = [_line(store, shelf, number) for number in numbers]
    except ShadowboxError as error:
        return [head, element("p", badge("unreadable", "bad"), " ", str(error))]
    if not rows:
        return [head, element("p", "No match here.", class_="soft")]
    said = element(
        "p",
        f"{len(store):,} matches of {store.schema.name}; {numbers[-1]} to {numbers[0]} are shown.",
        class_="soft",
    )
    older = link(f"/matches/{shelf}?page={page + 1}", "Older ones") if numbers[-1] > 0 else Html()
    columns = ["match", "players", "result", "stocks", "damage", "frames"]
    return [head, said, table(columns, rows, left=3), element("p", older)]


def _line(store: Store, shelf: int, number: int) -> list[str]:
    meta, frames = store.meta_of(number), int(store.lengths[number]) - 1
    result = meta.get("result")
    result = result if isinstance(result, dict) else {}
    players = _players(meta)
    sides = Html(
        element("small", " against ").join(
            _side(name, seat, result) for seat, name in enumerate(players)
        )
    )
    return [
        link(f"/matches/{shelf}/{number}", f"#{number}"),
        sides or element("span", "unknown", class_="soft"),
        _verdict(players, result),
        _numbers(result.get("stocks")),
        _numbers(result.get("damage")),
        f"{frames:,}",
    ]


def _side(name: str, seat: int, result: Mapping[str, Any]) -> Html:
    words = element("b", name) if result.get("winner") == seat else name
    return element("span", words, class_=f"player p{seat + 1}")


def _verdict(players: list[str], result: Mapping[str, Any]) -> str:
    winner, reason = result.get("winner"), str(result.get("reason", "unknown")).replace("_", " ")
    if not isinstance(winner, int) or not 0 <= winner < len(players):
        return f"no winner · {reason}"
    return (
        f"{('first', 'second')[winner] if winner < 2 else f'player {winner + 1}'} wins · {reason}"
    )


def _numbers(values: Any) -> str:
    if not isinstance(values, list):
        return "-"
    return " : ".join(f"{value:.0f}" if isinstance(value, int | float) else "-" for value in values)


def _players(meta: Mapping[str, Any]) -> list[str]:
    players = meta.get("players")
    return [str(player) for player in players] if isinstance(players, list) else []
