"""The application: every address, and what answers there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.web import cards, pages, runs, stored, tournaments
from shadowbox.web.access import AccessGuard
from shadowbox.web.live_matches import MatchManager, MatchRequest
from shadowbox.web.runlog import Logs
from shadowbox.web.site import Site
from shadowbox.web.sockets import watch

LONGEST_BODY = 4096  # bytes
SERVED = {".js": "text/javascript", ".css": "text/css"}

log = logging.getLogger(__name__)


class _Number(Convertor[int]):
    """A number in an address; one that is longer is no address of ours."""

    regex = "[0-9]{1,9}"

    def convert(self, value: str) -> int:  # noqa: D102
        return int(value)

    def to_string(self, value: int) -> str:  # noqa: D102
        return str(value)


register_url_convertor("number", _Number())


def application(site: Site, *, token: str | None = None) -> Starlette:
    """Everything that a browser can ask for."""
    app = Starlette(
        routes=[
            Route("/", arena),
            Route("/live", list_live),
            Route("/live", begin, methods=["POST"]),
            Route("/live/{number:number}", live),
            WebSocketRoute("/live/{number:number}/socket", watch),
            Route("/play", play),
            Route("/matches", stored_matches),
            Route("/matches/{shelf:number}", stored_matches),
            Route("/matches/{shelf:number}/{number:number}", stored_match),
            Route("/matches/{shelf:number}/{number:number}.json", stored_match_data),
            Route("/matches/{shelf:number}/{number:number}.html", stored_match_file),
            Route("/tournaments", all_tournaments),
            Route("/tournaments/{name}", one_tournament),
            Route("/runs", all_runs),
            Route("/runs/compare", compared_runs),
            Route("/runs/{name:path}/metrics.json", run_news),
            Route("/runs/{name:path}", one_run),
            Route("/cards", all_cards),
            Route("/cards/compare", two_cards),
            Route("/cards/{name}", one_card),
            Route("/static/{name}", static),
        ],
        middleware=[Middleware(AccessGuard, token=token, refuse=_said)],
        exception_handlers={
            HTTPException: _http_error,
            ShadowboxError: _refusal,
            Exception: _mistake,
        },
        lifespan=_lifespan,
    )
    app.state.site = site
    app.state.hall = MatchManager(site.game, site.out)
    app.state.logs = Logs()
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    keeper = asyncio.create_task(app.state.hall.look_after(), name="looking after the matches")
    ready = asyncio.create_task(
        run_in_threadpool(cards.make_ready, app.state.site), name="getting ready for cards"
    )
    for task in (keeper, ready):
        task.add_done_callback(_report)
    yield
    keeper.cancel()
    ready.cancel()
    app.state.hall.close()


# ---- matches that are played here ------------------------------------------------------------------------------


async def arena(request: Request) -> Response:
    """Choose two agents."""
    return HTMLResponse(pages.arena(request.app.state.site, request.query_params))


async def play(request: Request) -> Response:
    """Play against one."""
    return HTMLResponse(pages.play(request.app.state.site, request.query_params))


async def list_live(request: Request) -> Response:
    """What is played here and was a while ago, newest first."""
    tables = request.app.state.hall.tables
    return JSONResponse([tables[number].greeting for number in sorted(tables, reverse=True)])


async def live(request: Request) -> Response:
    """The page of one of them."""
    table = request.app.state.hall.tables.get(request.path_params["number"])
    if table is None:
        raise stored.PageNotFound(
            "There is no such match: the server keeps the last ones only, until it ends."
        )
    return HTMLResponse(await run_in_threadpool(pages.live, table))


async def begin(request: Request) -> Response:
    """Begin a match; the answer has its number, and the key for whoever leads it."""
    table = await request.app.state.hall.open(_wish(await _json_body(request)))
    return JSONResponse({"match": table.number, "key": table.key}, 201)


async def _json_body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        # a form of a foreign page cannot send that
        raise UsageError("a match is asked for in JSON")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST_BODY:
            raise UsageError(f"at most {LONGEST_BODY} bytes describe a match")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("this is not JSON") from None
    if not isinstance(data, dict):
        raise UsageError("a match is described by an object")
    return data


def _wish(data: dict[str, Any]) -> MatchRequest:
    if unknown := data.keys() - {"p0", "p1", "stage", "seed", "seat"}:
        raise UsageError(f"a match has no '{sorted(unknown)[0][:60]}'")
    for name in ("p0", "p1", "stage"):
        text = data.get(name, "")
        if not isinstance(text, str) or len(text) > pages.LONGEST_SPEC or not text.isprintable():
            raise UsageError(f"{name} must be a text of at most {pages.LONGEST_SPEC} letters")
    for name, most in (("seed", 10**15), ("seat", 2)):
        number = data.get(name)
        if number is not None and (
            not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < most
        ):
            raise UsageError(f"{name} must be a whole number from 0 to {most - 1:,}")
    return MatchRequest(**{"p0": "", "p1": "", **data})


# ---- what is on the disk: read in threads, so that live matches go on ------------------------------------------


async def stored_matches(request: Request) -> Response:
    """Lists of stored matches."""
    page = request.query_params.get("page", "0")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 10 else 0
    return await _html(stored.matches, request, request.path_params.get("shelf"), number)


async def stored_match(request: Request) -> Response:
    """One of them."""
    return await _html(stored.match, request, **request.path_params)


async def stored_match_data(request: Request) -> Response:
    """Its rows and events."""
    return JSONResponse(
        await run_in_threadpool(stored.match_data, request.app.state.site, **request.path_params)
    )


async def stored_match_file(request: Request) -> Response:
    """The same as one file."""
    answer = await _html(stored.match_file, request, **request.path_params)
    name = "match-{shelf}-{number}.html".format(**request.path_params)
    answer.headers["content-disposition"] = f'attachment; filename="{name}"'
    return answer


async def all_tournaments(request: Request) -> Response:
    """A list."""
    return await _html(tournaments.tournaments, request)


async def one_tournament(request: Request) -> Response:
    """Ratings and cross-table."""
    return await _html(tournaments.tournament, request, **request.path_params)


async def all_runs(request: Request) -> Response:
    """A list."""
    return await _html(runs.runs, request)


async def one_run(request: Request) -> Response:
    """Curves, time, events and facts."""
    return await _html(runs.run, request, **request.path_params)


async def compared_runs(request: Request) -> Response:
    """Several over each other."""
    return await _html(runs.compare, request, request.query_params.getlist("run"))


async def run_news(request: Request) -> Response:
    """What a run has written after a step.

    A page that has seen so many events is not sent them again.
    """
    after, events = (_whole(request, name) for name in ("after", "events"))
    state = request.app.state
    return JSONResponse(
        await run_in_threadpool(
            runs.news, state.site, state.logs, request.path_params["name"], after, events
        )
    )


async def all_cards(request: Request) -> Response:
    """A list."""
    return await _html(cards.all_cards, request)


async def one_card(request: Request) -> Response:
    """What it promises, who stands behind it, what came of it."""
    return await _html(cards.one_card, request, **request.path_params)


async def two_cards(request: Request) -> Response:
    """What they say otherwise."""
    return await _html(cards.two_cards, request, request.query_params.getlist("card"))


def _whole(request: Request, name: str) -> int:
    text = request.query_params.get(name, "-1")
    if text != "-1" and not (text.isascii() and text.isdigit() and len(text) < 17):
        raise UsageError(f"{name} must be a whole number")
    return int(text)


async def _html(
    build: Callable[..., str], request: Request, *arguments: Any, **more: Any
) -> Response:
    return HTMLResponse(await run_in_threadpool(build, request.app.state.site, *arguments, **more))


@cache
def _assets() -> dict[str, tuple[str, str]]:
    """Name -> content and type of each script and style, from the packages that hold them."""
    folders = (files("shadowbox.page"), files("shadowbox.web"))
    found = [
        part
        for folder in folders
        for part in folder.iterdir()
        if part.name[part.name.rfind(".") :] in SERVED
    ]
    return {
        part.name: (part.read_text(encoding="utf-8"), SERVED[part.name[part.name.rfind(".") :]])
        for part in found
    }


async def static(request: Request) -> Response:
    """A script or a style."""
    asset = _assets().get(request.path_params["name"])
    if asset is None:
        raise stored.PageNotFound("There is no such file.")
    return Response(asset[0], media_type=asset[1], headers={"cache-control": "no-cache"})


# ---- what went wrong -------------------------------------------------------------------------------------------


def _said(status: int, words: str) -> Response:
    return HTMLResponse(pages.refused(status, words), status)


def _answer(request: Request, status: int, words: str) -> Response:
    """For scripts as JSON, for people as a page."""
    if request.method == "POST" or request.url.path.endswith(".json"):
        return JSONResponse({"error": words}, status)
    return _said(status, words)


async def _refusal(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, stored.PageNotFound) else 400
    log.warning("refused %s %.200r: %s", request.method, request.url.path, error)
    return _answer(request, status, str(error))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = "There is no such page." if error.status_code == 404 else error.detail
    return _answer(request, error.status_code, words)


async def _mistake(request: Request, error: Exception) -> Response:
    log.error("%s %.200r failed", request.method, request.url.path, exc_info=error)
    return _answer(
        request,
        500,
        "Something went wrong inside the server; the terminal in which it runs shows what.",
    )


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s has ended", task.get_name(), exc_info=task.exception())
