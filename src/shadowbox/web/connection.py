"""Connection of the server: closed while it sends nothing, and at most so many from one address."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SILENT_S = 8.0  # seconds in which a request must be complete
MOST_FROM_ADDRESS = 100  # connections; a browser opens six


class _Connection(H11Protocol):
    """HTTP connection that waits a limited time for each request."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock; beyond the limit of an address its oldest silent connection is closed."""
        super().connection_made(transport)
        self._watch()
        same = [
            other
            for other in self.connections
            if isinstance(other, _Connection) and _host(other) == _host(self)
        ]
        if len(same) > MOST_FROM_ADDRESS:
            silent = [other for other in same if other._timer is not None]
            oldest = min(silent, key=lambda other: other._timer.when())  # type: ignore[union-attr]
            oldest.transport.abort()
            self.connections.discard(oldest)  # which only ends later; many may come at once

    def data_received(self, data: bytes) -> None:
        """Pass data on, and stop the clock once the request is complete."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        # after an upgrade to a web socket the connection has another protocol, and its own rules
        upgraded = self.transport.get_protocol() is not self
        if upgraded or self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(SILENT_S, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _host(connection: _Connection) -> str | None:
    return connection.client[0] if connection.client else None
