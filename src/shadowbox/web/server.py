"""Listening: a socket that is bound before anything is promised, and uvicorn on it."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from typing import Any

from shadowbox.errors import UsageError

# bytes that the kernel keeps for one slow page; otherwise it takes megabytes before we notice
SENT_AHEAD = 64 << 10
LARGEST_MESSAGE = 4096  # bytes from a page
SHORTEST_TOKEN = 12


def listen(host: str, port: int) -> socket.socket:
    """A socket on which connections wait."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AHEAD)  # what connections inherit
        made.bind(address)
        made.listen(128)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(
            f"{host} port {port} cannot be listened to: {why}; --port 0 takes any that is free"
        ) from error
    return made


def address(made: socket.socket, token: str | None) -> str:
    """What to open in a browser."""
    host, port = made.getsockname()[:2]
    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104 - only compared
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def token_for(host: str, given: str | None) -> str | None:
    """The token that everybody must have: none on this machine alone, unless one was given."""
    if given is not None and (
        len(given) < SHORTEST_TOKEN or not given.isalnum() or not given.isascii()
    ):
        raise UsageError(
            f"a token has at least {SHORTEST_TOKEN} letters and digits; without --token one is made where it is needed"
        )
    return given or (None if _only_here(host) else secrets.token_hex(16))


def run(app: Any, made: socket.socket) -> None:
    """Serve until interrupted."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws_max_size=LARGEST_MESSAGE,
        # costs more time and memory a page than it saves on this machine
        ws_per_message_deflate=False,
        limit_concurrency=400,  # connections; more are told to come later
        timeout_graceful_shutdown=2,
        lifespan="on",
    )
    uvicorn.Server(config).run(sockets=[made])


def _only_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
