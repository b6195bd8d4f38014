"""Who may ask at all. In front of every page and socket, and the one place that sets security headers.

A browser is a way in: a foreign page may post to this server, open sockets to it, or get a name of
its own to point here (DNS rebinding). So the Host must be an address, localhost or this machine,
and whoever brings an Origin must come from here. Where the server listens to more than this
machine, every request needs the token, too.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import secrets
import socket
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = ("GET", "HEAD")
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

log = logging.getLogger(__name__)


class AccessGuard:
    """An ASGI application around another one. `refuse` builds the page that says why."""

    def __init__(
        self, app: ASGIApp, *, token: str | None, refuse: Callable[[int, str], Response]
    ) -> None:
        self.app, self.token, self.refuse = app, token, refuse
        self.names = {"localhost", socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        method = scope.get("method", "GET")
        problem = self._stranger(
            headers, must_be_ours=scope["type"] == "websocket" or method not in SAFE
        )
        response = None
        if problem:
            response = self.refuse(403, problem)
        elif self.token is not None:
            response = self._asked_for_token(scope, headers, self.token)
        if response is None:
            await self.app(scope, receive, self._with_headers(send))
            return
        if response.status_code >= 400:
            client = (scope.get("client") or ("somebody",))[0]
            log.warning(
                "refused %s %.200r of %s: %d", method, scope["path"], client, response.status_code
            )
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await response(scope, receive, self._with_headers(send))

    def _stranger(self, headers: Headers, *, must_be_ours: bool) -> str:
        """Why a request does not come from a page of ours, in words."""
        host = headers.get("host", "")
        if not self._known(host):
            return "This server answers to its address, to localhost and to the name of its machine, to no other name."
        origin = headers.get("origin")
        if (
            must_be_ours
            and origin is not None
            and (origin == "null" or urlsplit(origin).netloc.lower() != host.lower())
        ):
            return "This came from a page of another server."
        return ""

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in self.names:
                return True
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return False
        return True

    def _asked_for_token(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        """None for those who have it.

        Those who bring it in the address get it as a cookie, and an address without it.
        """
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        brought = [value for name, value in query if name == "token"]
        name = cookie_name(token)
        if _cookie(headers.get("cookie", ""), name) is not None and _same(
            _cookie(headers["cookie"], name) or "", token
        ):
            return None
        if not brought or not _same(brought[0], token):
            return self.refuse(
                401,
                "This server needs its token: open the address that was printed when it was started.",
            )
        if scope["type"] == "websocket":
            return None
        rest = urlencode([(key, value) for key, value in query if key != "token"])
        path = "/" + scope["path"].lstrip("/")  # //elsewhere would be another server
        response = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        response.set_cookie(name, token, httponly=True, samesite="strict")
        return response

    def _with_headers(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        return sent


def cookie_name(token: str) -> str:
    """Of a server: cookies do not know ports, and two servers on a machine must not take each other's."""
    return "shadowbox_" + hashlib.sha256(token.encode()).hexdigest()[:8]


def _cookie(header: str, name: str) -> str | None:
    jar = SimpleCookie()
    try:
        jar.load(header)
    except CookieError:
        return None
    return jar[name].value if name in jar else None


def _same(ours: str, theirs: str) -> bool:
    return secrets.compare_digest(ours.encode(), theirs.encode())
