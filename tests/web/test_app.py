"""Server without a browser: its pages, its refusals, and its survival of bad requests."""

from __future__ import annotations

import base64
import json
import logging
import time

import numpy as np
import pytest
from conftest import TOY, random_episode
from quick_brawl import GAME, LENGTH
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from shadowbox.collect.matches import Pairing, record
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError
from shadowbox.web import live_matches, server
from shadowbox.web.access import cookie_name
from shadowbox.web.app import application
from shadowbox.web.site import Site
from shadowbox.web.wire import HEAD

HERE = "http://127.0.0.1:8765"
UNKIND = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
TOKEN = "abcdefabcdef1234"
PAGES = [
    "/",
    "/arena",
    "/play",
    "/matches",
    "/tournaments",
    "/live",
    "/static/viewer.js",
    "/static/web.css",
]


@pytest.fixture
def site(tmp_path):
    """Site with a store of three matches, a store of another game, and a folder of tournaments."""
    record(GAME, [Pairing("based", "random", 3)], tmp_path / "fights")
    with Writer(tmp_path / "toys", TOY) as writer:
        writer.add(random_episode(TOY, 5))
    (tmp_path / "tournaments").mkdir()
    return Site(
        game=GAME,
        known=lambda name: GAME if name == "brawl" else None,
        stores=(tmp_path / "fights", tmp_path / "toys"),
        out=tmp_path / "played",
        tournaments=tmp_path / "tournaments",
    )


@pytest.fixture
def client(site):
    """Test client that calls the application as a browser on this machine does."""
    with TestClient(application(site), base_url=HERE, raise_server_exceptions=False) as client:
        yield client


def connect(client, path, **more):
    """Open a socket with the host name of the client; the test client would use another one."""
    return client.websocket_connect(HERE.replace("http", "ws") + path, **more)


def begin(client, **options):
    """Start a match; returns its number and key."""
    answer = client.post("/live", json=options)
    assert answer.status_code == 201, answer.text
    return answer.json()


def messages(socket):
    """All messages of a match until its end: rows by number, and the other messages in order."""
    rows, others = {}, []
    while True:
        message = socket.receive()
        if message["type"] == "websocket.close":
            return rows, others
        if (data := message.get("bytes")) is not None:
            first, count = HEAD.unpack_from(data)
            width = (len(data) - HEAD.size) // count
            rows |= {
                first + n: data[HEAD.size + n * width : HEAD.size + (n + 1) * width]
                for n in range(count)
            }
            continue
        others.append(json.loads(message["text"]))
        if others[-1]["kind"] in ("end", "refused"):
            return rows, others


@pytest.mark.parametrize("path", PAGES)
def test_pages(client, path):
    """Every page answers, allows only the server's own scripts, and cannot be framed."""
    answer = client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "style=" not in answer.text.replace("style.", "") or path.startswith("/static")
    assert " onclick" not in answer.text


def test_a_match_from_hello_to_end(client, site):
    """A page gets a hello, every row once, the events and the result; a late page gets the same."""
    begun = begin(client, p0="based", p1="random", seed=7)
    seen = []
    for _ in range(2):
        with connect(client, f"/live/{begun['match']}/socket") as socket:
            socket.send_json({"kind": "own", "key": begun["key"]})
            socket.send_json({"kind": "speed", "times": 8})
            seen.append(messages(socket))
    (rows, others), (again, more) = seen
    assert others[0]["kind"] == "hello"
    assert others[0]["players"] == ["based", "random"]
    assert others[0]["facts_hash"] == GAME.schema.facts_hash
    assert others[-1]["frames"] == LENGTH
    assert sorted(rows) == list(range(LENGTH + 1))
    assert rows == again
    assert others[-1] == more[-1]
    events = [
        [event for message in sent if message["kind"] == "events" for event in message["events"]]
        for sent in (others, more)
    ]
    assert events[0] == events[1] != []
    live = client.get("/live").json()
    assert live[0]["result"] == others[-1]["result"]


def test_viewers_cannot_control_a_match(client):
    """Without the key of a match no message that controls it is obeyed; with the key all are."""
    begun = begin(client, p0="constant", p1="constant")
    address = f"/live/{begun['match']}/socket"
    with connect(client, address) as socket:
        for message in (
            {"kind": "pause", "on": True},
            {"kind": "step", "frames": 1},
            {"kind": "own", "key": "\ud800"},
        ):
            socket.send_text(json.dumps(message))
            assert messages(socket)[1][-1]["kind"] == "refused"
        assert client.get("/live").json()[0]["paused"] is False
        socket.send_json({"kind": "own", "key": begun["key"]})
        socket.send_json({"kind": "pause", "on": True})
        state = None
        while not (state and state["paused"]):
            message = socket.receive()
            state = (
                json.loads(message["text"])
                if "text" in message and "paused" in message["text"]
                else state
            )
        socket.send_json({"kind": "keys", "held": []})
        assert messages(socket)[1][-1]["why"] == "this match has no person to press keys"


def test_tracks_come_after_each_row(client):
    """The hello declares the tracks of each seat; every row on the wire carries their values."""
    begun = begin(client, p0="constant", p1="shows", seed=3)
    with connect(client, f"/live/{begun['match']}/socket") as socket:
        socket.send_json({"kind": "own", "key": begun["key"]})
        socket.send_json({"kind": "speed", "times": 8})
        rows, others = messages(socket)
    hello = others[0]
    assert hello["tracks"] == [
        {"name": "value", "seat": 1, "dtype": "f4", "shape": []},
        {"name": "parts", "seat": 1, "dtype": "f2", "shape": [2, 2]},
        {"name": "count", "seat": 1, "dtype": "u2", "shape": []},
    ]
    assert (hello["row_bytes"], hello["track_bytes"]) == (GAME.schema.row_dtype.itemsize, 14)
    assert {len(row) for row in rows.values()} == {GAME.schema.row_dtype.itemsize + 14}
    shown = np.frombuffer(
        b"".join(rows[number][-14:] for number in range(LENGTH + 1)),
        [("value", "<f4"), ("parts", "<f2", (2, 2)), ("count", "<u2")],
    )
    frames = np.arange(LENGTH)
    np.testing.assert_array_equal(shown["value"][:-1], frames / 4)
    np.testing.assert_array_equal(shown["parts"][:-1, 0, 1], -frames)
    np.testing.assert_array_equal(shown["count"][:-1], frames)
    assert np.isnan(shown["value"][-1]), "the last row has no decision"


def test_an_owner_takes_a_seat_and_gives_it_back(client, site):
    """The match is stored with its spans.

    Viewers may not take seats, and one person plays at most.
    """
    begun = begin(client, p0="shows", p1="tapper", seed=3)
    address = f"/live/{begun['match']}/socket"
    with connect(client, address) as viewer, connect(client, address) as owner:
        viewer.send_json({"kind": "take", "seat": 0, "name": ""})
        assert messages(viewer)[1][-1]["why"].startswith("only the page that started")
        for message in (
            {"kind": "own", "key": begun["key"]},
            {"kind": "pause", "on": True},
            {"kind": "take", "seat": 0, "name": " ann  lee "},
            {"kind": "keys", "held": ["keys/d"]},
            {"kind": "take", "seat": 1, "name": "bob"},
        ):
            owner.send_json(message)
        others = messages(owner)[1]
        assert others[-1]["why"] == "a person plays in this match already"
        state_with(owner, "holders", ["person:ann lee", "tapper"], others)
        assert client.get("/live").json()[0]["person"] == 0
        owner.send_json({"kind": "step", "frames": 30})
        wait_for(lambda: client.get("/live").json()[0]["frame"] >= 30)
        owner.send_json({"kind": "give", "seat": 0})
        owner.send_json({"kind": "give", "seat": 0})
        assert messages(owner)[1][-1]["why"] == "the seat of shows is not taken"
        assert client.get("/live").json()[0]["person"] is None
        owner.send_json({"kind": "speed", "times": 8})
        owner.send_json({"kind": "pause", "on": False})
        messages(owner)
        saved = owner.receive_json()
        while saved["kind"] != "saved":
            saved = owner.receive_json()
    assert saved["where"] == f"{site.out}#0"
    episode = Store(site.out, GAME.schema).episode(0)
    held = [span for span in episode.meta["spans"] if span["by"] == "person:ann lee"]
    assert [(span["seat"], span["to"] - span["from"] >= 30) for span in held] == [(0, True)]
    pressed = episode.columns["keys/d"][:-1, 0]
    assert pressed[held[0]["from"] : held[0]["to"]].all()
    assert pressed.sum() == held[0]["to"] - held[0]["from"]
    assert (episode.meta["person"], set(episode.tracks)) == (0, {"0/value", "0/parts", "0/count"})
    np.testing.assert_array_equal(episode.tracks["0/count"][:-1], np.arange(episode.frames))
    assert client.get("/matches/0/0.json").status_code == 200


def test_a_taken_seat_goes_back_when_its_person_leaves(client):
    """Closing the page gives the seat to its agent again.

    The match continues without the person.
    """
    begun = begin(client, p0="constant", p1="constant")
    with connect(client, f"/live/{begun['match']}/socket") as owner:
        owner.send_json({"kind": "own", "key": begun["key"]})
        owner.send_json({"kind": "take", "seat": 1, "name": ""})
        wait_for(lambda: client.get("/live").json()[0]["person"] == 1)
    wait_for(lambda: client.get("/live").json()[0]["person"] is None)
    assert client.get("/live").json()[0]["result"] is None


def test_the_world_and_settings_of_a_running_match(client):
    """An owner changes the world and a setting.

    Wrong ones are refused, and all pages learn of it.
    """
    begun = begin(client, p0="shows", p1="constant")
    with connect(client, f"/live/{begun['match']}/socket") as owner:
        owner.send_json({"kind": "own", "key": begun["key"]})
        owner.send_json({"kind": "pause", "on": True})
        for message, why in (
            ({"kind": "set", "name": "p0.pressure", "value": 9}, "expected 0 to 5"),
            ({"kind": "set", "name": "p1.x", "value": 1}, "unknown setting 'p1.x'"),
            ({"kind": "world", "spec": "brawl@stage=mirror"}, "another stage"),
            ({"kind": "world", "spec": "moon"}, "brawl has no world 'moon'"),
            ({"kind": "world", "spec": "py:os:getcwd"}, "must be named when the server is started"),
            ({"kind": "world", "spec": "dream:runs/w"}, "runs/w is not a run"),
        ):
            owner.send_json(message)
            assert why in messages(owner)[1][-1]["why"]
        owner.send_json({"kind": "set", "name": "p0.pressure", "value": 2.5})
        owner.send_json({"kind": "world", "spec": "brawl@weapons=off"})
        other = "brawl@weapons=off@time_limit=240"
        state = state_with(owner, "world", other)
        assert state["settings"] == {"p0.pressure": [2.5, 0.0, 5.0]}
        assert client.get("/live").json()[0]["world"] == other


def state_with(socket, name, value, seen=()):
    """The first state message, among those seen and those to come, in which this has that value."""
    seen = list(seen)
    while True:
        state = seen.pop(0) if seen else json.loads(socket.receive().get("text", "{}"))
        if state.get("kind") == "state" and state[name] == value:
            return state


def wait_for(condition, seconds=120):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    "bad", ["nonsense", "[]", '{"kind": "die"}', b"\x00\xff" * 50, "x" * 5000], ids=range(5)
)
def test_bad_messages_end_their_connection_only(client, bad, caplog):
    """An invalid message is refused and logged, and its connection closed; the match continues."""
    begun = begin(client, p0="constant", p1="constant")
    address = f"/live/{begun['match']}/socket"
    with connect(client, address) as good, caplog.at_level(logging.WARNING):
        with connect(client, address) as socket:
            socket.send_bytes(bad) if isinstance(bad, bytes) else socket.send_text(bad)
            assert messages(socket)[1][-1]["kind"] == "refused"
            assert socket.receive()["code"] == 1008
        assert "refused a message" in caplog.text
        assert "Traceback" not in caplog.text
        good.send_json({"kind": "own", "key": begun["key"]})
        good.send_json({"kind": "speed", "times": 8})
        assert len(messages(good)[0]) == LENGTH + 1


def test_a_flood_is_stopped(client):
    """A page that sends too many messages loses its connection."""
    begun = begin(client, p0="constant", p1="constant")
    with connect(client, f"/live/{begun['match']}/socket") as socket:
        for _ in range(600):
            socket.send_json({"kind": "want", "first": 0, "end": 1})
        assert messages(socket)[1][-1] == {"kind": "refused", "why": "too many messages"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "has no bot ''"),
        ({"p0": "basedd", "p1": "random"}, "did you mean 'based'?"),
        ({"p0": "based", "p1": "random", "stage": "moon"}, "unknown stage 'moon'"),
        ({"p0": "based", "p1": "random", "seed": -1}, "seed must be a whole number"),
        ({"p0": "based", "p1": "random", "seed": 1e300}, "seed must be a whole number"),
        ({"p0": "based", "p1": "random", "seat": 2}, "seat must be a whole number"),
        ({"p0": "b" * 300, "p1": "random"}, "p0 must be a text"),
        ({"p0": ["based"], "p1": "random"}, "p0 must be a text"),
        (
            {"p0": "x" * 40, "p1": "random", "seat": 0},
            "your name must have at most 32 printable letters",
        ),
        ({"p0": "based", "p1": "random", "shell": "rm"}, "unknown option 'shell' of a match"),
        (["based"], "must be a JSON object"),
    ],
)
def test_impossible_matches_are_refused(client, options, reason):
    """An impossible match is refused with the message of the command line, and does not start."""
    answer = client.post("/live", json=options)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]
    assert client.get("/live").json() == []


def test_malformed_requests_are_refused(client):
    """A request for a match is refused if it is not JSON, too long, or a plain form."""
    json_type = {"content-type": "application/json"}
    assert (
        client.post(
            "/live", content=b"p0=based", headers={"content-type": "text/plain"}
        ).status_code
        == 400
    )
    assert client.post("/live", content=b"\xff{", headers=json_type).status_code == 400
    assert client.post("/live", content=b"[" * 4000, headers=json_type).status_code == 400
    assert (
        "4096" in client.post("/live", content=b" " * 10_000_000, headers=json_type).json()["error"]
    )
    assert client.put("/live").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/live/99",
        "/live/-1",
        "/live/" + "9" * 5000,
        "/matches/9",
        "/matches/0/3",
        "/matches/9/0.json",
        "/matches/compare",
        "/matches/compare?match=0/0&match=9/0",
        "/matches/compare?match=0/0&match=0/1&match=0/2",
        "/matches/compare?match=../0",
        "/matches/1/1",
        "/matches/0/x",
        "/static/../app.py",
        "/static/..%2f..%2fpyproject.toml",
        "/static/app.py",
        "/static/%2e%2e/%2e%2e/errors.py",
        "/static//etc/passwd",
        "/tournaments/..%2f..%2fsecret",
        "/tournaments/none",
        "/tournaments/%00",
        "/matches/../../etc/passwd",
    ],
)
def test_unknown_addresses_are_not_found(client, site, path):
    """Unknown numbers and names, and paths out of a folder, give a page that shows no file."""
    (site.tournaments.parent / "secret.json").write_text("{}")
    answer = client.get(path)
    assert answer.status_code == 404
    assert "Traceback" not in answer.text
    assert "import" not in answer.text
    assert client.get("/").status_code == 200


def test_an_unknown_match_has_no_socket(client):
    """A socket to an unknown match is refused."""
    with pytest.raises(WebSocketDisconnect), connect(client, "/live/99/socket"):
        pass


# ---- access control ----


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "[::",
    ],
)
def test_foreign_names_are_refused(client, host, caplog):
    """A foreign host name that resolves to this machine reads nothing."""
    answer = client.get("/matches", headers={"host": host})
    assert answer.status_code == 403
    assert "fights" not in answer.text
    assert "403" in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:1", "[::1]:8765", "192.168.0.7"])
def test_addresses_and_this_machine_are_known(client, host):
    """IP addresses and localhost are allowed as host names: no other site can point them here."""
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1:8765.evil.example"],
)
def test_foreign_pages_are_refused(client, origin):
    """A page of another site can neither start a match nor open a socket; an own page can."""
    options = {"p0": "constant", "p1": "constant"}
    assert client.post("/live", json=options, headers={"origin": origin}).status_code == 403
    begun = client.post("/live", json=options, headers={"origin": HERE})
    assert begun.status_code == 201
    address = f"/live/{begun.json()['match']}/socket"
    with pytest.raises(WebSocketDisconnect), connect(client, address, headers={"origin": origin}):
        pass
    with connect(client, address, headers={"origin": HERE}) as socket:
        assert socket.receive_json()["kind"] == "hello"


@pytest.fixture
def guarded(site):
    """Test client of a server that needs a token."""
    with TestClient(
        application(site, token=TOKEN), base_url=HERE, follow_redirects=False
    ) as client:
        yield client


@pytest.mark.parametrize("path", [*PAGES, "/nowhere", "/matches/0/0.json"])
@pytest.mark.parametrize(
    "query", ["", "?token=", "?token=wrong", "?token=" + TOKEN[:-1], "?token=%ff"]
)
def test_without_the_token_every_page_is_refused(guarded, path, query):
    """A missing or wrong token gives the same page at every address, also with a wrong cookie."""
    guarded.cookies.set(cookie_name(TOKEN), "wrong")
    answer = guarded.get(path + query)
    assert answer.status_code == 401
    assert "token" in answer.text
    assert TOKEN not in answer.text
    assert "fights" not in answer.text


def test_the_token_becomes_a_cookie(guarded):
    """A token in an address moves to a cookie, which scripts and other sites cannot read."""
    answer = guarded.get(f"/matches?page=0&token={TOKEN}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/matches?page=0"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert guarded.get("/matches").status_code == 200
    assert (
        guarded.get(f"//evil.example/?token={TOKEN}", headers={"cookie": ""}).headers.get(
            "location", "/x"
        )[:2]
        != "//"
    )


def test_sockets_and_posts_need_the_token(guarded):
    """Starting a match and opening its socket need the token."""
    options = {"p0": "constant", "p1": "constant"}
    assert guarded.post("/live", json=options).status_code == 401
    guarded.get(f"/?token={TOKEN}")
    number = guarded.post("/live", json=options).json()["match"]
    with connect(guarded, f"/live/{number}/socket") as socket:
        assert socket.receive_json()["kind"] == "hello"
    guarded.cookies.clear()
    with pytest.raises(WebSocketDisconnect), connect(guarded, f"/live/{number}/socket"):
        pass
    with connect(guarded, f"/live/{number}/socket?token={TOKEN}") as socket:
        assert socket.receive_json()["kind"] == "hello"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.7", "box"])
def test_a_server_for_other_machines_has_a_token(host):
    """Only a loopback address needs no token; a token that is too short is refused."""
    needed = host not in ("127.0.0.1", "localhost", "::1")
    made = server.token_for(host, None)
    assert (made is not None) == needed
    assert made is None or len(made) >= 32
    assert server.token_for(host, TOKEN) == TOKEN
    with pytest.raises(UsageError, match="at least 12"):
        server.token_for(host, "short")


# ---- people ----


@pytest.mark.parametrize("seat", [0, 1])
def test_the_match_of_a_person_is_stored(client, site, seat):
    """Held keys are in the seat of the person; the match is stored, and listed on Matches."""
    names = ["ann", "constant"] if seat == 0 else ["constant", "ann"]
    begun = begin(client, p0=names[0], p1=names[1], seat=seat, seed=3)
    key = "keys/d" if seat == 0 else "keys/a"
    with connect(client, f"/live/{begun['match']}/socket") as socket:
        for message in (
            {"kind": "own", "key": begun["key"]},
            {"kind": "keys", "held": [key, "keys/j"]},
            {"kind": "speed", "times": 8},
            {"kind": "pause", "on": False},
        ):
            socket.send_json(message)
        rows, _ = messages(socket)
        where = socket.receive_json()
        while where["kind"] != "saved":
            where = socket.receive_json()
    assert where["where"] == f"{site.out}#0"
    store = Store(site.out, GAME.schema)
    episode = store.episode(0)
    assert store.rows_of(0).tobytes() == b"".join(rows[number] for number in range(LENGTH + 1))
    assert episode.columns[key][5:-1, seat].all()
    assert not episode.columns[key][:, 1 - seat].any()
    assert episode.meta["players"][seat] == "person:ann"
    assert episode.meta["person"] == seat
    assert "person:ann" in client.get("/matches").text


def test_a_match_whose_person_left_is_broken_off(client, monkeypatch):
    """An unknown key is refused; a match whose person left is broken off."""
    monkeypatch.setattr(live_matches, "ABANDONED", 0.3)
    begun = begin(client, p0="ann", p1="constant", seat=0)
    with connect(client, f"/live/{begun['match']}/socket") as socket:
        socket.send_json({"kind": "own", "key": begun["key"]})
        socket.send_json({"kind": "keys", "held": ["keys/d"]})
        socket.send_json({"kind": "keys", "held": ["keys/nonsense"]})
        assert "unknown key" in messages(socket)[1][-1]["why"]
    end = time.monotonic() + 120
    while not (result := client.get("/live").json()[0]["result"]):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert result["reason"] == "broken off: the player left"


def test_the_number_of_matches_is_limited(client, monkeypatch):
    """A match beyond the limit of running ones is refused, and old matches are dropped."""
    monkeypatch.setattr(live_matches, "MOST_RUNNING", 2)
    monkeypatch.setattr(live_matches, "MOST_FINISHED", 1)
    options = {"p0": "raises", "p1": "constant"}
    begin(client, **options), begin(client, **options)
    assert "2 matches are being played" in client.post("/live", json=options).json()["error"]
    end = time.monotonic() + 120
    while len(client.get("/live").json()) > 1:
        assert time.monotonic() < end
        time.sleep(0.1)
    begin(client, **options)


# ---- files ----


def test_names_are_text(client, site):
    """Markup in the name of a player, in an address or in a file is shown as text on every page."""
    episode = Store(site.stores[0]).episode(0)
    episode.meta["players"][:] = [UNKIND, UNKIND]
    episode.meta["world"] = episode.meta["result"]["reason"] = UNKIND
    with Writer(site.stores[0], GAME.schema, event_kinds=GAME.event_kinds) as writer:
        number = writer.add(episode)
    rating = {"agent": UNKIND, "elo": 1, "low": 0, "high": 2}
    cell = {
        "wins": UNKIND,
        "losses": 1,
        "draws": 0,
        "win_rate": 0.5,
        "low": 0,
        "high": 1,
        "by_seat": {UNKIND: 0.5},
    }
    good = {
        "ratings": [rating],
        "payoff": {UNKIND: {"b": {**cell, "wins": 1}}},
        "game": UNKIND,
        "world": UNKIND,
    }
    (site.tournaments / "t.json").write_text(json.dumps(good))
    (site.tournaments / "u.json").write_text(json.dumps({**good, "payoff": {UNKIND: {"b": cell}}}))
    (site.tournaments / "<img src=x>.json").write_text(json.dumps(good))
    addresses = [
        "/matches",
        f"/matches/0/{number}",
        f"/matches/0/{number}.html",
        "/tournaments",
        "/tournaments/t",
        "/arena?p0=%3Cscript%3E&seed=%22%3E%3Cscript%3E",
        "/play?p1=%22%3E%3Cscript%3E",
    ]
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert "<script>" not in answer.text.replace('<script type="module">', "")
        assert "<img" not in answer.text
    begin(client, p0="<img src=x>", p1="constant", seat=0)
    assert "<img" not in client.get("/live/1").text


def test_a_stored_match_can_be_looked_at(client, site):
    """The page of a stored match, its data and its one-file copy are those of the store."""
    assert client.get("/matches/0").status_code == 200
    assert 'data-source="/matches/0/2.json"' in client.get("/matches/0/2").text
    data = client.get("/matches/0/2.json").json()
    assert data["result"] == Store(site.stores[0]).meta_of(2)["result"]
    assert data["hello"]["row_bytes"] == GAME.schema.row_dtype.itemsize
    answer = client.get("/matches/0/2.html")
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.text.startswith("<!doctype html>")


def test_two_stored_matches_are_compared(client, site):
    """A match links to the list of all others, and that to the page of both; data begin at any row."""
    assert "/matches/compare?match=0/2" in client.get("/matches/0/2").text
    choice = client.get("/matches/compare?match=0/2").text
    assert "/matches/compare?match=0/2&amp;match=1/0" in choice
    page = client.get("/matches/compare?match=0/2&match=0/1").text
    assert 'data-source="/matches/0/2.json?from=0"' in page
    assert 'data-source="/matches/0/1.json?from=0"' in page
    whole, part = (client.get(f"/matches/0/2.json{query}").json() for query in ("", "?from=5"))
    rows = [base64.b64decode(each["rows"]) for each in (whole, part)]
    assert rows[0].endswith(rows[1])
    assert len(rows[0]) - len(rows[1]) == 5 * GAME.schema.row_dtype.itemsize
    last = client.get("/matches/0/2.json?from=99999").json()
    assert len(base64.b64decode(last["rows"])) == GAME.schema.row_dtype.itemsize


def test_a_match_of_an_unknown_game_is_drawn_by_its_fields(client):
    """A store whose game this server does not know is listed, and shown with a default scene."""
    assert client.get("/matches/1/0").status_code == 200
    hello = client.get("/matches/1/0.json").json()["hello"]
    assert hello["game"] == TOY.name
    assert hello["scene"]["shapes"] != []


def test_long_lists_have_pages(client, site):
    """A list has fifty matches per page, newest first, and a link to the older ones."""
    record(GAME, [Pairing("constant", "constant", 60)], site.stores[0])
    first, second = client.get("/matches/0").text, client.get("/matches/0?page=1").text
    assert "#62" in first
    assert "#12<" not in first
    assert "#12<" in second
    assert "#0<" in second
    assert client.get("/matches/0?page=99").status_code == 200


def test_tournaments(client, site):
    """A tournament has ratings and a cross-table with intervals; an invalid file says why."""
    payoff = {
        "wins": 70,
        "losses": 30,
        "draws": 0,
        "win_rate": 0.7,
        "low": 0.6,
        "high": 0.78,
        "distinct": 99,
    }
    data = {
        "agents": ["based", "random"],
        "ratings": [
            {"agent": "random", "elo": 1000, "low": 950, "high": 1050},
            {"agent": "based", "elo": 1147, "low": 1101, "high": 1200},
        ],
        "payoff": {
            "based": {"random": payoff},
            "random": {"based": {**payoff, "win_rate": 0.3, "low": 0.22, "high": 0.4}},
        },
        "game": "brawl",
        "stage": "warehouse",
        "matches": 100,
        "world": "brawl",
    }
    (site.tournaments / "first.json").write_text(json.dumps(data))
    (site.tournaments / "broken.json").write_text('{"ratings": [{"agent": "a"}], "payoff": {}}')
    (site.tournaments / "deep.json").write_text("[" * 100_000)
    text = client.get("/tournaments").text
    assert "ratings[0] has no elo" in text
    assert "nested deeper" in text
    text = client.get("/tournaments/first").text
    for part in (
        "based is the strongest of 2 agents.",
        "1101 .. 1200",
        "60 .. 78",
        "<b>70</b>",
        "22 .. 40",
    ):
        assert part in text
    assert client.get("/tournaments/broken").status_code == 400


def test_empty_pages_say_what_to_do(tmp_path):
    """Without stores or tournaments the pages show the command that makes one."""
    site = Site(
        game=GAME, known=lambda name: None, out=tmp_path / "none", tournaments=tmp_path / "none"
    )
    with TestClient(application(site), base_url=HERE) as client:
        assert "shadowbox record brawl" in client.get("/matches").text
        assert "shadowbox tournament brawl" in client.get("/tournaments").text


def test_an_internal_error_is_logged_and_not_shown(site, monkeypatch, caplog):
    """An unexpected error is logged, and its page shows nothing of it."""
    monkeypatch.setattr("shadowbox.web.stored.Store", lambda path: 1 / 0)
    with TestClient(application(site), base_url=HERE, raise_server_exceptions=False) as client:
        answer = client.get("/matches")
        assert answer.status_code == 500
        assert "division" not in answer.text
        assert "division" in caplog.text
        assert client.get("/").status_code == 200
