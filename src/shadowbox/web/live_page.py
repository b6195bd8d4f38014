"""Page of a live loop: one page, its scripts, and a socket that sends the loop's state.

The page of a game is a folder with `live.js` and `live.css`; the state and the orders are that
game's own. A page with a webcam gets a second socket, on which it sends what it finds, and the
models that find it. Like every page, it answers to its own address only (access.py).
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.abc import Traversable
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from shadowbox.web import server
from shadowbox.web.access import access_guard
from shadowbox.web.markup import element, head_of

INTERVAL_S = 0.05  # between two states on the socket
LARGEST_ORDER = 1000  # letters
SHARED = ("style.css",)  # of page/
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm"}
BYTES = "application/octet-stream"
# beyond the policy of other pages: compiled modules, whose text is not evaluated, and a worker
CAMERA_POLICY = {
    "script-src": "'wasm-unsafe-eval'",
    "worker-src": "'self'",
    "media-src": "'self' blob:",
}


def live_application(
    title: str,
    folder: Traversable,
    state: Callable[[], dict[str, Any]],
    obey: Callable[[dict[str, Any]], None],
    token: str | None = None,
    *,
    receive: Callable[[str | bytes], None] | None = None,
    models: Path | None = None,
    script: str = "live",
) -> Starlette:
    """Application of one page; `state` is sent as JSON, and `obey` takes the page's orders.

    `script` is the module of the folder that builds the page. With `receive` the page has a webcam:
    it takes the messages of the socket `/landmarks`, and the files of the folder `models` are
    served below `/camera`.
    """
    assets = {part.name: part for part in folder.iterdir()}
    assets |= {name: files("shadowbox.page") / name for name in SHARED}

    async def page(request: Request) -> Response:
        return HTMLResponse(_document(title, script))

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        media_type = MEDIA_TYPES.get(name[name.rfind(".") :])
        if name not in assets or media_type is None:
            return _refuse(404, "File not found.")
        return Response(assets[name].read_text(encoding="utf-8"), media_type=media_type)

    async def live(socket: WebSocket) -> None:
        await socket.accept()
        reader = asyncio.create_task(_orders(socket, obey))
        try:
            while not reader.done():
                await socket.send_text(json.dumps(state(), allow_nan=False))
                await asyncio.sleep(INTERVAL_S)
        except (WebSocketDisconnect, RuntimeError):  # the page has gone
            return
        finally:
            reader.cancel()

    return Starlette(
        routes=[
            Route("/", page),
            Route("/static/{name}", static),
            WebSocketRoute("/live", live),
            *(_camera_routes(receive, models) if receive else ()),
        ],
        middleware=[
            access_guard(token=token, refuse=_refuse, allow=CAMERA_POLICY if receive else None)
        ],
    )


def _camera_routes(
    receive: Callable[[str | bytes], None], models: Path | None
) -> tuple[Route, WebSocketRoute]:
    """Routes of a page with a webcam: the files of its models, and the socket of its landmarks."""

    async def model(request: Request) -> Response:
        path = models / request.path_params["name"] if models else None
        if path is None or not path.is_file():
            return _refuse(404, "File not found.")
        return FileResponse(path, media_type=MEDIA_TYPES.get(path.suffix, BYTES))

    async def landmarks(socket: WebSocket) -> None:
        await socket.accept()
        with suppress(WebSocketDisconnect, RuntimeError, KeyError):  # the page has gone
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                receive(message.get("text") or message.get("bytes") or "")

    return Route("/camera/{name}", model), WebSocketRoute("/landmarks", landmarks)


@contextmanager
def served(application: Starlette, host: str, port: int, token: str | None) -> Iterator[str]:
    """Serve the page in a thread while the block runs; yields its address."""
    listener = server.listen(host, port)
    running = server.uvicorn_server(application)
    thread = threading.Thread(
        target=running.run, kwargs={"sockets": [listener]}, name="page", daemon=True
    )
    thread.start()
    try:
        yield server.address(listener, token)
    finally:
        running.should_exit = True
        thread.join(timeout=3)
        listener.close()


async def _orders(socket: WebSocket, obey: Callable[[dict[str, Any]], None]) -> None:
    """Obey the page's orders, JSON objects; others are ignored."""
    while True:
        try:
            text = await socket.receive_text()
        except (WebSocketDisconnect, RuntimeError, KeyError):
            return
        try:
            order = json.loads(text) if len(text) <= LARGEST_ORDER else None
        except (ValueError, RecursionError):
            continue
        if isinstance(order, dict):
            obey(order)


def _document(title: str, script: str) -> str:
    head = head_of(title, (*SHARED, "live.css"), script)
    return "<!doctype html>\n" + element("html", head, element("body"), lang="en") + "\n"


def _refuse(status: int, message: str) -> Response:
    return PlainTextResponse(message + "\n", status)
