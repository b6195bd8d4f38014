"""Connections that are silent, and sockets that end, take nothing from other visitors."""

from __future__ import annotations

import logging
import socket
import threading
import time

import anyio
import pytest
import uvicorn
from starlette.websockets import WebSocketDisconnect

from shadowbox.web import connection, server
from shadowbox.web.sockets import _Page

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def answers(scope, receive, send):
    """An application that says yes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"yes"})


@pytest.fixture
def port(monkeypatch):
    """Port of a server in a thread, which waits half a second for a request."""
    monkeypatch.setattr(connection, "SILENT_S", 0.5)
    monkeypatch.setattr(connection, "MOST_FROM_ADDRESS", 10)
    listener = server.listen("127.0.0.1", 0)
    options = {"http": connection._Connection, "log_config": None, "lifespan": "off"}
    served = uvicorn.Server(uvicorn.Config(answers, limit_concurrency=40, **options))
    thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    served.should_exit = True
    thread.join(20)


def opened(port, sent=b""):
    """A connection on which these bytes were sent."""
    one = socket.create_connection(("127.0.0.1", port), timeout=20)
    one.sendall(sent)
    return one


def ended(one):
    """Wait for the end of a connection."""
    try:
        return one.recv(1000) == b""
    except ConnectionResetError:
        return True
    finally:
        one.close()


@pytest.mark.parametrize(
    "sent", [b"", REQUEST[:9], b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n"]
)
def test_a_silent_connection_is_closed(port, sent):
    """A connection that sends nothing, or a part of a request only, is closed after a while."""
    one = opened(port, sent)
    assert ended(one)


def test_a_connection_that_drips_is_closed(port):
    """A byte now and then does not keep a connection open."""
    one, began = opened(port), time.monotonic()
    try:
        for byte in REQUEST[:-2] * 40:
            one.send(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        pass
    assert time.monotonic() - began < 20
    assert ended(one)


def test_idle_connections_lock_nobody_out(port, monkeypatch):
    """With more idle connections than the server takes in all, a request is still answered."""
    monkeypatch.setattr(connection, "SILENT_S", 60)
    idle = [opened(port) for _ in range(60)]
    one = opened(port, REQUEST)
    assert one.recv(1000).startswith(b"HTTP/1.1 200")
    one.close()
    assert ended(idle[0]), "the oldest silent connection is closed first"
    for each in idle:
        each.close()


@pytest.mark.parametrize("error", [RuntimeError("after close"), ConnectionResetError()])
def test_a_socket_that_ends_while_sending_is_no_error(error, caplog):
    """A page that leaves while it is sent something ends its two directions without a traceback."""

    class Gone:
        async def send_text(self, text):
            raise error

    page = object.__new__(_Page)
    page.socket, page.closed = Gone(), False

    async def serve():
        with pytest.raises(WebSocketDisconnect):
            await page.send("hello")
        with anyio.CancelScope() as scope:
            await page._run(lambda: page.send("hello"), scope)

    with caplog.at_level(logging.WARNING):
        # in a thread: a browser of another test may have left a loop in this one
        one = threading.Thread(target=anyio.run, args=(serve,))
        one.start()
        one.join(20)
    assert caplog.text == ""
