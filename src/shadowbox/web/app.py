"""Web application: every address of the server and the function that answers it."""

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
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.web import cards, pages, runs, stored, tournaments
from shadowbox.web.access import access_guard
from shadowbox.web.front import clone, documents
from shadowbox.web.front import home as front
from shadowbox.web.live_matches import MatchManager, MatchRequest
from shadowbox.web.runlog import log_cache
from shadowbox.web.site import PageNotFound, Site
from shadowbox.web.sockets import watch

LONGEST_BODY = 4096  # bytes
MATCH_OPTIONS = ("p0", "p1", "world", "stage", "seed", "seat")
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}

log = logging.getLogger(__name__)


class _Number(Convertor[int]):
    """Number in an address, of at most nine digits; a longer one is not found."""

    regex = "[0-9]{1,9}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("number", _Number())


def application(site: Site, *, token: str | None = None) -> Starlette:
    """Build the ASGI application for a site: routes, access control and error pages."""
    app = Starlette(
        routes=[
            Route("/", home),
            Route("/home.json", home_match),
            Route("/arena", arena),
            Route("/live", list_live),
            Route("/live", begin, methods=["POST"]),
            Route("/live/{number:number}", live),
            WebSocketRoute("/live/{number:number}/socket", watch),
            Route("/play", play),
            Route("/clone", train_clone, methods=["POST"]),
            Route("/clone.json", clone_state),
            Route("/matches", stored_matches),
            Route("/matches/compare", compared_matches),
            Route("/matches/{store:number}", stored_matches),
            Route("/matches/{store:number}/{number:number}", stored_match),
            Route("/matches/{store:number}/{number:number}.json", stored_match_data),
            Route("/matches/{store:number}/{number:number}.html", stored_match_file),
            Route("/tournaments", all_tournaments),
            Route("/tournaments/{name}", one_tournament),
            Route("/runs", all_runs),
            Route("/runs/compare", compared_runs),
            Route("/runs/{name:path}/metrics.json", run_news),
            Route("/runs/{name:path}/own.html", run_own_part),
            Route("/runs/{name:path}", one_run),
            Route("/cards", all_cards),
            Route("/cards/compare", two_cards),
            Route("/cards/{name}", one_card),
            Route("/docs", all_documents),
            Route("/docs/{name}", one_document),
            Route("/static/{name}", static),
        ],
        middleware=[access_guard(token=token, refuse=_error_page)],
        exception_handlers={
            HTTPException: _http_error,
            ShadowboxError: _refused,
            Exception: _server_error,
        },
        lifespan=_lifespan,
    )
    app.state.site = site
    app.state.manager = MatchManager(site.game, site.out, site.worlds)
    app.state.logs = log_cache()
    app.state.home = front._HomeMatch(site)
    app.state.clone = clone._Clone(site)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    keeper = asyncio.create_task(app.state.manager.look_after(), name="the task of live matches")
    warmup = asyncio.create_task(
        run_in_threadpool(cards.warm_up, app.state.site), name="the warm-up for cards"
    )
    for task in (keeper, warmup):
        task.add_done_callback(_log_failure)
    yield
    keeper.cancel()
    warmup.cancel()
    app.state.clone.close()
    app.state.manager.close()


# ---- live matches ----


async def home(request: Request) -> Response:
    """Home page: a match that plays by itself, and the doors to the other pages."""
    return await _html(front.home, request)


async def home_match(request: Request) -> Response:
    """Match of the Home page, as JSON for its script, or its state before that."""
    return JSONResponse(request.app.state.home.data())


async def arena(request: Request) -> Response:
    """Arena page: choose two agents and start a match."""
    return HTMLResponse(pages.arena(request.app.state.site, request.query_params))


async def play(request: Request) -> Response:
    """Play page: a match of a person against an agent."""
    return HTMLResponse(pages.play(request.app.state.site, request.query_params))


async def clone_state(request: Request) -> Response:
    """State of the person's clone, as JSON for the Play page."""
    return JSONResponse(await run_in_threadpool(request.app.state.clone.data))


async def train_clone(request: Request) -> Response:
    """Start to train the person's clone; refused while one is trained, or with too few matches."""
    if await _json_body(request):
        raise UsageError("a request for a clone has no options")
    await run_in_threadpool(request.app.state.clone.begin)
    return JSONResponse({}, 202)


async def list_live(request: Request) -> Response:
    """List the live matches and those that ended recently, newest first, as JSON."""
    matches = request.app.state.manager.matches
    return JSONResponse([matches[number].summary for number in sorted(matches, reverse=True)])


async def live(request: Request) -> Response:
    """Page of one live match."""
    match = request.app.state.manager.matches.get(request.path_params["number"])
    if match is None:
        raise PageNotFound(
            "Match not found. The server keeps only the latest matches, and only until it stops."
        )
    return HTMLResponse(await run_in_threadpool(pages.live, match))


async def begin(request: Request) -> Response:
    """Start a match; answer with its number and the key that controls it."""
    match = await request.app.state.manager.open(_match_request(await _json_body(request)))
    return JSONResponse({"match": match.number, "key": match.key}, 201)


async def _json_body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        # the form of a page of another site cannot send this type
        raise UsageError("a request for a match must have the content type application/json")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST_BODY:
            raise UsageError(f"a request for a match must have at most {LONGEST_BODY} bytes")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("the request for a match is not valid JSON") from None
    if not isinstance(data, dict):
        raise UsageError("a request for a match must be a JSON object")
    return data


def _match_request(data: dict[str, Any]) -> MatchRequest:
    if unknown := data.keys() - set(MATCH_OPTIONS):
        raise UsageError(
            f"unknown option '{sorted(unknown)[0][:60]}' of a match; "
            f"options: {', '.join(MATCH_OPTIONS)}"
        )
    for name in ("p0", "p1", "world", "stage"):
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


# ---- pages from files: read in threads, so that live matches are not held up ----


async def stored_matches(request: Request) -> Response:
    """Matches page: the matches of all stores, or of one."""
    page = request.query_params.get("page", "0")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 10 else 0
    return await _html(stored.matches, request, request.path_params.get("store"), number)


async def stored_match(request: Request) -> Response:
    """Page of one stored match."""
    return await _html(stored.match, request, **request.path_params)


async def compared_matches(request: Request) -> Response:
    """Page of two stored matches that play as one, or the choice of the second one."""
    store, page = (_whole_number(request, name) for name in ("store", "page"))
    matches = request.query_params.getlist("match")
    return await _html(
        stored.compare, request, matches, store if store >= 0 else None, max(page, 0)
    )


async def stored_match_data(request: Request) -> Response:
    """Rows, events and result of a stored match, from the row `from` on, as JSON for its page."""
    site, first = request.app.state.site, max(_whole_number(request, "from"), 0)
    return JSONResponse(
        await run_in_threadpool(stored.match_data, site, **request.path_params, first=first)
    )


async def stored_match_file(request: Request) -> Response:
    """Download of a stored match as one HTML file that works offline."""
    answer = await _html(stored.match_file, request, **request.path_params)
    name = "match-{store}-{number}.html".format(**request.path_params)
    answer.headers["content-disposition"] = f'attachment; filename="{name}"'
    return answer


async def all_tournaments(request: Request) -> Response:
    """Tournaments page: all tournaments, newest first."""
    return await _html(tournaments.tournaments, request)


async def one_tournament(request: Request) -> Response:
    """Page of one tournament: ratings and cross-table."""
    return await _html(tournaments.tournament, request, **request.path_params)


async def all_runs(request: Request) -> Response:
    """Runs page: all runs, newest first."""
    return await _html(runs.runs, request, request.query_params.get("metric", "")[:200])


async def one_run(request: Request) -> Response:
    """Page of one run: curves, time, events and settings."""
    return await _html(runs.run, request, **request.path_params)


async def compared_runs(request: Request) -> Response:
    """Page of several runs with their curves on the same axes."""
    return await _html(runs.compare, request, request.query_params.getlist("run"))


async def run_news(request: Request) -> Response:
    """New log lines of a run, as JSON for its page.

    The page sends `after`, the last step that it has, and `events`, the number of events that it
    has; the events are left out if their number is still the same.
    """
    after, events = (_whole_number(request, name) for name in ("after", "events"))
    state = request.app.state
    return JSONResponse(
        await run_in_threadpool(
            runs.news, state.site, state.logs, request.path_params["name"], after, events
        )
    )


async def run_own_part(request: Request) -> Response:
    """Part of a run's page that its learner brings, as markup for the page."""
    return await _html(runs.own_part, request, **request.path_params)


async def all_cards(request: Request) -> Response:
    """Cards page: all experiment cards with their status."""
    return await _html(cards.all_cards, request)


async def one_card(request: Request) -> Response:
    """Page of one card: targets, settings, signatures and results."""
    return await _html(cards.one_card, request, **request.path_params)


async def two_cards(request: Request) -> Response:
    """Page of the differences between two cards."""
    return await _html(cards.two_cards, request, request.query_params.getlist("card"))


def _whole_number(request: Request, name: str) -> int:
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
    """Scripts and styles by name, each with its content and media type."""
    assets = {}
    for folder in (files("shadowbox.page"), files("shadowbox.web")):
        for part in folder.iterdir():
            media_type = MEDIA_TYPES.get(part.name[part.name.rfind(".") :])
            if media_type is not None:
                assets[part.name] = part.read_text(encoding="utf-8"), media_type
    return assets


async def all_documents(request: Request) -> Response:
    """Docs page: all pages of the docs."""
    return HTMLResponse(await run_in_threadpool(documents.documents))


async def one_document(request: Request) -> Response:
    """One page of the docs."""
    return HTMLResponse(await run_in_threadpool(documents.document, request.path_params["name"]))


async def static(request: Request) -> Response:
    """Script or style of the pages."""
    asset = _assets().get(request.path_params["name"])
    if asset is None:
        raise PageNotFound("File not found.")
    return Response(asset[0], media_type=asset[1], headers={"cache-control": "no-cache"})


# ---- errors ----


def _error_page(status: int, message: str) -> Response:
    return HTMLResponse(pages.error(status, message), status)


def _error(request: Request, status: int, message: str) -> Response:
    """Error response: JSON for scripts, a page for people."""
    if request.method == "POST" or request.url.path.endswith(".json"):
        return JSONResponse({"error": message}, status)
    return _error_page(status, message)


async def _refused(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, PageNotFound) else 400
    log.warning("refused %s %.200r: %s", request.method, request.url.path, error)
    return _error(request, status, str(error))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    missing = "This address has no page. Choose a page from the navigation above."
    message = missing if error.status_code == 404 else error.detail
    return _error(request, error.status_code, message)


async def _server_error(request: Request, error: Exception) -> Response:
    log.error("%s %.200r failed", request.method, request.url.path, exc_info=error)
    return _error(
        request,
        500,
        "The server failed to build this page. The error is in the terminal that runs the server.",
    )


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s failed", task.get_name(), exc_info=task.exception())
