"""Server process: the listening socket, the address and token to print, and uvicorn on them."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from typing import TYPE_CHECKING, Any

from shadowbox.errors import UsageError

if TYPE_CHECKING:
    import uvicorn

# bytes that the kernel buffers for one slow page; by default megabytes, so slowness shows too late
SENT_AHEAD = 64 << 10
LARGEST_MESSAGE = 4096  # bytes from a page
SHORTEST_TOKEN = 12


def listen(host: str, port: int) -> socket.socket:
    """Bind a listening socket; connections wait in it until `run` serves them."""
    listener = None
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AHEAD
        )  # connections inherit it
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        if listener is not None:
            listener.close()
        why = error.strerror or str(error)
        raise UsageError(
            f"cannot listen on {host} port {port}: {why}; --port 0 takes any free port"
        ) from error
    return listener


def address(listener: socket.socket, token: str | None) -> str:
    """URL to open in a browser, with the token if the server has one."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - only compared
        host = socket.gethostname()
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def token_for(host: str, given: str | None) -> str | None:
    """Token that every request needs; None on a loopback address for which none was given."""
    if given is not None and (
        len(given) < SHORTEST_TOKEN or not given.isalnum() or not given.isascii()
    ):
        raise UsageError(
            f"--token must be at least {SHORTEST_TOKEN} ASCII letters and digits, nothing else; "
            "leave --token out to generate one"
        )
    return given or (None if _is_loopback(host) else secrets.token_hex(16))


def run(app: Any, listener: socket.socket) -> None:
    """Serve the application on a socket of `listen` until interrupted."""
    uvicorn_server(app).run(sockets=[listener])


def uvicorn_server(app: Any) -> uvicorn.Server:
    """Server of an application, not started yet."""
    import uvicorn

    from shadowbox.web.connection import _Connection

    config = uvicorn.Config(
        app,
        http=_Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        ws_max_size=LARGEST_MESSAGE,
        # compression costs more time and memory per page than it saves
        ws_per_message_deflate=False,
        limit_concurrency=400,  # connections; further ones get status 503
        timeout_graceful_shutdown=2,
        lifespan="on",
    )
    return uvicorn.Server(config)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
