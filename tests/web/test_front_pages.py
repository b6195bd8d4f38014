"""Home and Play as a person meets them: a match that plays by itself, opponents, pause, touch, the end."""

from __future__ import annotations

import base64
import json
import time

import pytest
from browser import until
from quick_brawl import GAME
from starlette.testclient import TestClient

from shadowbox.data.store import Store
from shadowbox.web.app import application
from shadowbox.web.site import Site

HERE = "http://127.0.0.1:8777"


@pytest.fixture
def client(tmp_path):
    """A server without stores and runs."""
    site = Site(game=GAME, known=lambda name: None, out=tmp_path / "mine", runs=tmp_path / "runs")
    with TestClient(application(site), base_url=HERE) as client:
        yield client


def test_home_has_a_match_and_three_doors(client):
    """Home links to Play, Watch and Train, says what to do first, and its match is a whole one."""
    page = client.get("/").text
    for words in ("Fight now", "Choose a match", "Start from matches", "Nothing yet", "make demo"):
        assert words in page
    end = time.monotonic() + 120
    while (match := client.get("/home.json").json()).get("state") == "preparing":
        assert time.monotonic() < end
        time.sleep(0.05)
    rows = base64.b64decode(match["rows"])
    assert len(rows) > 30 * match["hello"]["row_bytes"]
    assert match["hello"]["players"] == ["expert", "aggressive"]
    assert client.get("/home.json").json() == match, "it is played once"


def test_opponents_have_a_difficulty_a_delay_and_a_line(client):
    """Each opponent of the game is a button with its difficulty, its delay and its style."""
    page = client.get("/play").text
    assert page.count("data-rival=") == len(GAME.rivals) >= 5
    assert "hard · reacts after 200 ms" in page
    assert "Keep it at the tip of a spear." in page


def seen(page, words):
    """Whether a panel with these words is over the stage."""
    text = f"document.getElementById('veil').innerText.includes({words!r})"
    return f"!document.getElementById('veil').hidden && {text}"


def test_a_match_begins_by_itself_is_paused_and_ends_with_moments(server, browse):
    """Without a key a match begins; P pauses and goes on; the end names the moments that decided."""
    page = browse(server().url + "play", width=390, height=844, has_touch=True, is_mobile=True)
    page.fill("[name=opponent]", "aggressive")
    page.click(".go")
    until(page, "window.__viewer?.rows?.length > 3")
    page.keyboard.press("p")
    until(page, seen(page, "Paused"))
    rows = page.evaluate("__viewer.rows.length")
    page.wait_for_timeout(300)
    assert page.evaluate("__viewer.rows.length") <= rows + 1
    page.keyboard.press("Escape")
    until(page, f"__viewer.rows.length > {rows + 5} && document.getElementById('veil').hidden")
    jump = page.get_by_role("button", name="jump", exact=True)
    jump.dispatch_event("pointerdown")
    until(page, "[...__viewer.rows.at(__viewer.last)['keys/space']][0]")
    jump.dispatch_event("pointerup")
    until(page, seen(page, "Best of three"))
    assert page.locator(".moments button").count() >= 1
    page.locator(".moments button").first.click()
    assert page.evaluate("document.getElementById('veil').hidden && __viewer.frame < __viewer.last")


def test_a_match_that_has_just_begun_does_not_seem_paused(server, browse):
    """A state sent before the server read the first key is old: no panel says that the match is paused."""
    page = browse(server().url + "play")
    page.evaluate(
        """() => {
            window.panels = [];
            const veil = document.getElementById("veil");
            const note = () => veil.hidden || panels.push(veil.textContent);
            new MutationObserver(note).observe(veil, { attributes: true });
        }"""
    )

    def old_state(route):
        states, upstream = [], route.connect_to_server()

        def from_server(message):
            if isinstance(message, str) and json.loads(message)["kind"] == "state":
                states.append(message)
            route.send(message)

        def from_page(message):
            if isinstance(message, str) and '"pause"' in message:
                route.send(states[0])
            upstream.send(message)

        upstream.on_message(from_server)
        route.on_message(from_page)

    page.route_web_socket("**/*", old_state)
    page.click(".go")
    until(page, "window.__viewer?.rows?.length > 0")
    page.keyboard.press("KeyD")
    until(page, "__viewer.rows.length > 20")
    assert page.evaluate("panels") == []
    page.keyboard.press("p")
    until(page, "panels.length > 0 && panels[0].includes('Paused')")


def test_a_person_takes_over_a_policy_and_gives_its_seat_back(server, browse):
    """T takes the seat that an agent plays for the person, T gives it back, and who held it is stored."""
    here = server()
    page = browse(here.url + "play")
    page.fill("[name=name]", "ann")
    page.fill("[name=policy]", "shows")
    page.fill("[name=opponent]", "constant")
    page.click(".go")
    until(page, "window.__viewer?.rows?.length > 10", 90)
    page.keyboard.down("d")  # the policy's seat is not the person's yet
    page.wait_for_timeout(200)
    page.keyboard.up("d")
    page.keyboard.press("t")
    controls = "document.querySelector('.match-controls').innerText"
    until(page, f"{controls}.includes('Give the seat back')")
    page.keyboard.down("d")
    page.wait_for_timeout(500)
    page.keyboard.up("d")
    page.keyboard.press("t")
    until(page, f"{controls}.includes('Play as shows')")
    page.select_option(".match-controls select", "8")
    until(page, "document.getElementById('status').innerText.includes('Stored as')", 60)
    path, number = page.locator("#status code").inner_text().split("#")
    episode = Store(here.folder / path).episode(int(number))
    held = [span for span in episode.meta["spans"] if span["by"] == "person:ann"]
    assert [span["seat"] for span in held] == [0]
    first, end = held[0]["from"], held[0]["to"]
    pressed = episode.columns["keys/d"][:-1, 0]
    assert pressed.sum() > 3
    assert pressed[first:end].sum() == pressed.sum()
    assert episode.meta["players"] == ["shows", "constant"]


def test_a_whole_match_by_touch_alone(server, browse):
    """Taps choose an opponent and begin; stick and buttons play to the end; a tap begins the next match."""
    page = browse(server().url + "play", width=390, height=844, has_touch=True, is_mobile=True)
    page.locator("[data-rival='based@delay=9']").tap()
    assert page.input_value("[name=opponent]") == "based@delay=9"
    page.locator(".go").tap()
    until(page, "window.__viewer?.rows?.length > 3")
    held = "(name) => [...__viewer.rows.at(__viewer.last)[`keys/${name}`]][0]"
    for name in ("light attack", "jump"):
        button = page.get_by_role("button", name=name, exact=True)
        button.dispatch_event("pointerdown")
        key = {"light attack": "j", "jump": "space"}[name]
        until(page, f"({held})({key!r})")
        button.dispatch_event("pointerup")
        until(page, f"!({held})({key!r})")
    until(page, seen(page, "Best of three"))
    page.get_by_role("button", name="Next match").tap()
    until(page, "document.getElementById('score').textContent.includes('Match 2 of 3')")
    until(page, "!__viewer.ended && window.__viewer?.rows?.length > 3")


def test_home_says_that_its_match_failed(client, monkeypatch):
    """A match that ends with an error of the game is not prepared for ever: the page says so."""
    monkeypatch.setattr("shadowbox.web.front.home._match", lambda site: 1 / 0)
    end = time.monotonic() + 20
    while (match := client.get("/home.json").json())["state"] == "preparing":
        assert time.monotonic() < end
        time.sleep(0.02)
    assert match["state"] == "failed"
    assert "terminal of the server" in match["error"]
