"""Page of a live loop: its parts, its socket, its orders, and its refusals."""

from __future__ import annotations

import json
import threading
from importlib.resources import files

import pytest
from browser import until
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from shadowbox.cli.play.gesture import _obey, _state
from shadowbox.errors import UsageError
from shadowbox.games.gesture.body import person
from shadowbox.games.gesture.live import _KeysPolicy, _LiveLoop
from shadowbox.games.gesture.mcctp_bridge import _Bridge
from shadowbox.games.gesture.place.person import _SyntheticPlayer
from shadowbox.games.gesture.place.server import _MockInThread, _MockServer
from shadowbox.games.gesture.sources import _SyntheticSource
from shadowbox.web.live_page import live_application, served

HERE = "http://127.0.0.1:8777"
FOLDER = files("shadowbox.games.gesture") / "page"


@pytest.fixture
def orders():
    """Orders that the page has given."""
    return []


@pytest.fixture
def client(orders):
    """Test client of a page whose state is one number."""
    application = live_application("Test", FOLDER, lambda: {"n": 1}, orders.append)
    with TestClient(application, base_url=HERE) as client:
        yield client


def test_the_page_and_its_parts_are_served(client):
    """The page names its scripts and styles, each is served with its type, and nothing else is."""
    page = client.get("/")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for name, kind in (("live.js", "javascript"), ("place.js", "javascript"), ("style.css", "css")):
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200
        assert kind in answer.headers["content-type"]
    for name in ("../__init__.py", "secret.txt", "live.py"):
        assert client.get(f"/static/{name}").status_code == 404


def test_the_socket_sends_states_and_takes_orders(client, orders):
    """States come without being asked for; an order is obeyed, and what is not an order is ignored."""
    with client.websocket_connect("ws://127.0.0.1:8777/live") as socket:
        assert json.loads(socket.receive_text()) == {"n": 1}
        for text in ("[1]", "{", "x" * 2000, '{"panic": true}'):
            socket.send_text(text)
        for _ in range(20):
            socket.receive_text()
            if orders:
                break
    assert orders == [{"panic": True}]


def test_pages_of_other_sites_are_refused(client):
    """A socket or a request from another site, or by another host name, is refused."""
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(
            "ws://127.0.0.1:8777/live", headers={"origin": "http://elsewhere.example"}
        ),
    ):
        pass
    assert client.get("/", headers={"host": "elsewhere.example"}).status_code == 403


def test_a_port_in_use_is_named():
    """A second page on the same port is refused with the port in the message."""
    application = live_application("Test", FOLDER, dict, print)
    with served(application, "127.0.0.1", 0, None) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        with (
            pytest.raises(UsageError, match=f"port {port}"),
            served(application, "127.0.0.1", port, None),
        ):
            pass


def test_orders_change_the_loop():
    """Panic, thresholds and the look are changed within their ranges; other orders do nothing."""
    loop = _LiveLoop(
        _SyntheticSource(lambda: None), _KeysPolicy(lambda n: {}), _Bridge("ws://127.0.0.1:1/")
    )
    obey = _obey(loop)
    obey({"set": "look", "by": -20})
    obey({"set": "threshold", "by": 0.05})
    for wrong in ({"set": "clock", "by": 1}, {"set": "look", "by": "1"}, {"panic": 1}, {}):
        obey(wrong)
    assert (loop.settings.look_speed, loop.settings.threshold) == (280, 0.55)
    assert not loop.panicking
    for _ in range(40):
        obey({"set": "threshold", "by": -0.5})
    assert loop.settings.threshold == 0.05
    obey({"panic": True})
    assert loop.panicking


@pytest.mark.slow
def test_a_browser_shows_the_person_play_and_stops_everything(browse):
    """In Chromium the course advances, keys light up, and space releases everything until space."""
    mock = _MockServer(seed=1)
    player = _SyntheticPlayer(mock, person(0, 0))
    with (
        _MockInThread(mock) as game,
        _SyntheticSource(player.pose) as source,
        _Bridge(game.url) as bridge,
    ):
        loop = _LiveLoop(source, _KeysPolicy(player.meant), bridge)
        thread = threading.Thread(target=loop.run)
        thread.start()
        application = live_application("Gesture", FOLDER, _state(loop, mock, {}), _obey(loop))
        with served(application, "127.0.0.1", 0, None) as address:
            page = browse(address)
            until(page, "document.querySelector('.badge').textContent === 'playing'")
            mock.begin(1)
            until(page, "document.querySelector('kbd.down') !== null")
            until(page, "/[1-9] of 10 tasks/.test(document.querySelector('.score').textContent)")
            page.keyboard.press("Space")
            until(page, "document.querySelector('.badge').textContent.includes('panic')")
            assert not mock.place.held
            page.keyboard.press("Space")
            until(page, "document.querySelector('.badge').textContent === 'playing'")
            page.close()
        loop.stop()
        thread.join()
