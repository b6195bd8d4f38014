"""Matches page: lists of the stored matches, and the pages of one match and of two that play as one."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shadowbox.core.game import Game, game_of_schema
from shadowbox.core.tracks import with_tracks
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError
from shadowbox.page.document import Html, badge, code, heading, table
from shadowbox.page.match_page import event_list
from shadowbox.report.match import (
    below_the_viewer,
    greeting,
    later_part,
    match_document,
    same_moment,
)
from shadowbox.web.markup import command, element, empty, framed, link
from shadowbox.web.site import PageNotFound, Site

MATCHES_PER_PAGE = 50
RECORD = "shadowbox record {game} --p0 based --p1 random --matches 20 --out data/{game}"
UNKNOWN_STORE = "Store not found. The Matches page lists the stores of this server."


def matches(site: Site, index: int | None, page: int) -> str:
    """Newest matches of every store, or one page of the matches of store `index`."""
    stores = dict(site.numbered_stores())
    if index is not None and index not in stores:
        raise PageNotFound(UNKNOWN_STORE)
    blocks: list[str] = [element("h1", "Matches")]
    if stores:
        blocks.append(element("p", "Newest first. Winners are in bold."))
    for number, path in stores.items():
        if index is None or index == number:
            blocks += _listing(number, path, page)
    if not stores:
        blocks += _no_stores(site.game.name)
    return framed("Matches", "/matches", blocks, module="web")


def match(site: Site, store: int, number: int) -> str:
    """Page of one match; its script fetches `match_data`."""
    opened, game = _open(site, store, number)
    meta = opened.meta_of(number)
    download = element(
        "a",
        "Download this match as one file that works offline",
        href=f"/matches/{store}/{number}.html",
        download=True,
    )
    below = below_the_viewer(game, opened.episode(number), [("store", f"{opened.path}#{number}")])
    blocks: list[str] = [
        element("match-viewer", keys="page"),
        element("p", id="status", role="status"),
        element(
            "section",
            element("div", id="tools", class_="row"),
            element("p", download),
            element(
                "p",
                link(f"/matches/compare?match={store}/{number}", "Compare with another match"),
            ),
            class_="under",
        ),
        element("section", *below, class_="column"),
    ]
    title = " against ".join(_players(meta)) or f"{opened.path}#{number}"
    return framed(
        title,
        "/matches",
        blocks,
        module="stored",
        wide=True,
        source=f"/matches/{store}/{number}.json",
    )


def compare(site: Site, matches: Sequence[str], store: int | None, page: int) -> str:
    """Page of two matches, each `STORE/NUMBER`, that play as one.

    With one match it is the list to choose the other one from: of all stores, or of `store`.
    """
    places = [re.fullmatch(r"(\d{1,9})/(\d{1,9})", each) for each in matches]
    if not 1 <= len(places) <= 2 or not all(places):
        raise PageNotFound("Name two matches as STORE/NUMBER, such as ?match=0/3&match=0/4.")
    chosen = [(int(place[1]), int(place[2])) for place in places if place]
    opened = [(*_open(site, *each)[:1], each[1]) for each in chosen]
    names = [f"{found.path}#{number}" for found, number in opened]
    if len(chosen) == 1:
        return _choice(site, matches[0], names[0], store, page)
    one, other = ((found.path, number, found.meta_of(number)) for found, number in opened)
    figures = []
    for name, (index, number), first in zip(names, chosen, same_moment(one, other), strict=True):
        address = f"/matches/{index}/{number}"
        words = f" from frame {first}" if first else ""
        viewer = element("match-viewer", data_source=f"{address}.json?from={first}")
        figures.append(
            element(
                "figure", element("figcaption", link(address, name), words), viewer, class_="clip"
            )
        )
    blocks = [
        element("h1", "Two matches, moment by moment", class_="hidden-title"),
        element("div", *figures, class_="lockstep whole"),
        element("p", id="status", role="status"),
        element(
            "section",
            element("div", id="tools", class_="row"),
            element("p", "As one file that works offline:"),
            command(f"shadowbox view {' '.join(shlex.quote(name) for name in names)}"),
            class_="column",
        ),
    ]
    return framed(" beside ".join(names), "/matches", blocks, module="compare", wide=True)


def match_data(site: Site, store: int, number: int, first: int = 0) -> dict[str, Any]:
    """Data for the viewer of a match: schema and scene, packed rows in base64, events, result.

    It begins at the row `first`, or at the last one.
    """
    opened, game = _open(site, store, number)
    rows = opened.rows_of(number)
    first = min(first, len(rows) - 1)
    episode = later_part(opened.episode(number), first)
    result = episode.meta.get("result")
    return {
        "hello": greeting(game, episode.meta, episode.columns, episode.tracks),
        "rows": base64.b64encode(with_tracks(rows[first:], episode.tracks).tobytes()).decode(),
        "events": event_list(episode.events),
        "result": result if isinstance(result, dict) else None,
    }


def match_file(site: Site, store: int, number: int) -> str:
    """Match as one HTML file that works offline, as `shadowbox view` writes it."""
    opened, game = _open(site, store, number)
    return match_document(game, opened.episode(number), [("store", f"{opened.path}#{number}")])


# ---- inside ----


def _open(site: Site, index: int, number: int) -> tuple[Store, Game]:
    """Store that holds a match, and the game to draw it with.

    A store of an unknown game, or of another version of its schema, is drawn by its fields.
    """
    path = dict(site.numbered_stores()).get(index)
    if path is None:
        raise PageNotFound(UNKNOWN_STORE)
    store = Store(path)
    if not 0 <= number < len(store):
        raise PageNotFound(
            f"Match {number} not found: {path} holds {len(store)} matches, numbered from 0."
        )
    game = site.known(store.schema.name)
    if game is None or game.schema.facts_hash != store.schema.facts_hash:
        game = game_of_schema(store.schema, store.manifest.event_kinds)
    return store, game


def _no_stores(game: str) -> list[str]:
    """Content of the page if the server has no store: the commands that make one and show it."""
    return [
        empty("No matches yet.", "Record some, then show them:", RECORD.format(game=game)),
        command(f"shadowbox serve data/{game}"),
        element(
            "p", "Or ", link("/play", "play a match yourself"), ": it is stored and listed here."
        ),
    ]


def _choice(site: Site, match: str, name: str, store: int | None, page: int) -> str:
    """Page to choose the match that another one is compared with."""
    blocks: list[str] = [
        element("h1", "Compare with another match"),
        element("p", "Choose the match to see beside ", link(f"/matches/{match}", name), "."),
    ]
    for index, path in site.numbered_stores():
        if store is None or index == store:
            blocks += _listing(index, path, page, beside=match)
    return framed("Compare", "/matches", blocks, module="web")


def _listing(index: int, path: Path, page: int, beside: str = "") -> list[str]:
    """Section of one store: its matches on a page, newest first.

    With `beside`, a match as `STORE/NUMBER`, the links lead to both.
    """
    head = heading(code(str(path)))
    try:
        store = Store(path)
        newest = len(store) - 1 - page * MATCHES_PER_PAGE
        numbers = range(newest, max(newest - MATCHES_PER_PAGE, -1), -1)
        rows = [_readable_row(store, index, number, beside) for number in numbers]
    except ShadowboxError as error:
        return [head, element("p", badge("unreadable", "bad"), " ", str(error))]
    if not rows:
        return [head, element("p", "No matches on this page.", class_="soft")]
    count = element(
        "p",
        f"Matches {numbers[-1]} to {numbers[0]} of {len(store):,} ({store.schema.name}).",
        class_="soft",
    )
    address = f"/matches/{index}?page={page + 1}"
    if beside:
        address = f"/matches/compare?match={beside}&store={index}&page={page + 1}"
    older = link(address, "Older matches") if numbers[-1] else Html()
    columns = ["match", "players", "result", "stocks", "damage", "frames"]
    return [head, count, table(columns, rows, left=3), element("p", older)]


def _readable_row(store: Store, index: int, number: int, beside: str) -> list[str]:
    """Row of a match; a damaged one says so and leaves the others alone."""
    try:
        return _row(store, index, number, beside)
    except ShadowboxError as error:
        unreadable = badge("unreadable", "bad")
        return [f"#{number}", unreadable, element("span", str(error), class_="words"), "", "", ""]


def _row(store: Store, index: int, number: int, beside: str) -> list[str]:
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
        link(
            f"/matches/compare?match={beside}&match={index}/{number}"
            if beside
            else f"/matches/{index}/{number}",
            f"#{number}",
        ),
        sides or element("span", "unknown", class_="soft"),
        _result(players, result),
        _numbers(result.get("stocks")),
        _numbers(result.get("damage")),
        f"{frames:,}",
    ]


def _side(name: str, seat: int, result: Mapping[str, Any]) -> Html:
    label = element("b", name) if result.get("winner") == seat else name
    return element("span", label, class_=f"player p{seat + 1}")


def _result(players: list[str], result: Mapping[str, Any]) -> str:
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
