"""Access control: the checks in front of every page and socket, and the security headers.

A browser gives other sites a way in: their pages can post to this server, open sockets to it, or
point a name of their own at its address (DNS rebinding). A request is therefore refused unless its
Host is an address, localhost or the name of this machine, and unless its Origin, where it has one,
is this server. A server that listens to other machines also needs a token on every request.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import secrets
import socket
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = ("GET", "HEAD")
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

log = logging.getLogger(__name__)


def access_guard(
    *,
    token: str | None,
    refuse: Callable[[int, str], Response],
    allow: Mapping[str, str] | None = None,
) -> Middleware:
    """Middleware that checks each request; `refuse(status, message)` builds the error page.

    `allow` adds to `POLICY` what the pages of an application need beyond it, by directive.
    """
    allowed = allow or {}
    directives = {**allowed, **{key: f"{POLICY[key]} {allowed.get(key, '')}" for key in POLICY}}
    policy = "; ".join(f"{key} {value}".strip() for key, value in directives.items())
    return Middleware(_AccessGuard, token=token, refuse=refuse, policy=policy)


class _AccessGuard:
    """ASGI application that checks a request before it calls the application inside."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        refuse: Callable[[int, str], Response],
        policy: str,
    ) -> None:
        self.app, self.token, self.refuse = app, token, refuse
        self.headers = {"content-security-policy": policy, **HEADERS}
        self.names = {"localhost", socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on with the security headers added to its response."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        method = scope.get("method", "GET")
        problem = self._foreign(
            headers, check_origin=scope["type"] == "websocket" or method not in SAFE
        )
        response = None
        if problem:
            response = self.refuse(403, problem)
        elif self.token is not None:
            response = self._check_token(scope, headers, self.token)
        if response is None:
            await self.app(scope, receive, self._with_headers(send))
            return
        if response.status_code >= 400:
            client = (scope.get("client") or ("an unknown address",))[0]
            log.warning(
                "refused %s %.200r from %s: %d", method, scope["path"], client, response.status_code
            )
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await response(scope, receive, self._with_headers(send))

    def _foreign(self, headers: Headers, *, check_origin: bool) -> str:
        """Reason to refuse the headers of a request from a page of another site; empty if none."""
        host = headers.get("host", "")
        if not self._is_own_host(host):
            return (
                "This server does not answer to that host name. Open it by its address, "
                "by localhost or by the name of its machine."
            )
        origin = headers.get("origin")
        if (
            check_origin
            and origin is not None
            and (origin == "null" or urlsplit(origin).netloc.lower() != host.lower())
        ):
            return (
                "The request came from a page of another site. Send it from a page of this server."
            )
        return ""

    def _is_own_host(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in self.names:
                return True
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return False
        return True

    def _check_token(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        """Response to a request without the token in a cookie; None for one that has it there.

        A token in the address is moved to a cookie, by a redirect to the same address without it.
        """
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        name = cookie_name(token)
        if _cookie(headers.get("cookie", ""), name) is not None and _same(
            _cookie(headers["cookie"], name) or "", token
        ):
            return None
        if not given or not _same(given[0], token):
            return self.refuse(
                401,
                "This server needs a token. Open the address that it printed when it started.",
            )
        if scope["type"] == "websocket":
            return None
        rest = urlencode([(key, value) for key, value in query if key != "token"])
        path = "/" + scope["path"].lstrip("/")  # //elsewhere would be another server
        response = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        response.set_cookie(name, token, httponly=True, samesite="strict")
        return response

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        return send_with_headers


def cookie_name(token: str) -> str:
    """Name of the cookie for a token; cookies ignore ports, so each server needs its own name."""
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
