"""The clone of the person who plays: what it needs, and its training in the background."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from browser import until
from quick_brawl import GAME
from starlette.testclient import TestClient

from shadowbox.data.write import Writer
from shadowbox.play import specs
from shadowbox.play.match import play
from shadowbox.web.app import application
from shadowbox.web.front import clone
from shadowbox.web.site import Site

HERE = "http://127.0.0.1:8777"


def played(out, matches, seed=0):
    """Stored matches of a person, for whom a bot stands in, as the server stores them."""
    agents = [specs.agent(name, GAME) for name in ("aggressive", "based")]
    seeds = np.arange(seed, seed + matches)
    made = {**GAME.made, "serve": GAME.name}
    with Writer(out, GAME.schema, event_kinds=GAME.event_kinds, made=made) as writer:
        for one in play(
            GAME, specs.world("brawl", GAME, matches), agents, ["person:ann", "based"], seeds
        ):
            writer.add(dataclasses.replace(one.episode, meta={**one.episode.meta, "person": 0}))


@pytest.fixture
def site(tmp_path):
    """A server without stores and runs."""
    return Site(game=GAME, known=lambda name: None, out=tmp_path / "mine", runs=tmp_path / "runs")


@pytest.fixture
def client(site):
    """A client of its server."""
    with TestClient(application(site), base_url=HERE) as client:
        yield client


def test_a_clone_needs_some_matches(client, site):
    """Without matches it waits, and a request is refused with what to do; enough of them make it possible."""
    state = client.get("/clone.json").json()
    assert state == {"matches": 0, "needed": clone.NEEDED, "clone": None, "state": "waiting"}
    refused = client.post("/clone", json={})
    assert refused.status_code == 400
    assert "play more" in refused.json()["error"]
    played(site.out, clone.NEEDED)
    assert client.get("/clone.json").json()["state"] == "possible"
    assert client.post("/clone", json={"steps": 9}).status_code == 400


@pytest.mark.slow
def test_a_clone_is_trained_in_the_background(client, site, monkeypatch):
    """Progress is shown, the likeness is measured, and the clone is an opponent; a second one waits."""
    monkeypatch.setattr(clone, "STEPS", 6)
    monkeypatch.setattr(clone, "COMPARED", 4)
    played(site.out, clone.NEEDED)
    assert client.post("/clone", json={}).status_code == 202
    assert "already" in client.post("/clone", json={}).json()["error"]
    seen, end = set(), time.monotonic() + 240
    while (state := client.get("/clone.json").json())["state"] in ("training", "judging"):
        assert time.monotonic() < end
        assert 0 <= state.get("share", 0) <= 1
        seen.add(state["state"])
        time.sleep(0.1)
    assert seen == {"training", "judging"}
    found = state["clone"]
    assert found["matches"] == clone.NEEDED
    assert 0.5 < found["likeness"]["likeness_auc"]["value"] <= 1
    assert specs.agent(found["spec"], GAME)


def test_a_training_that_fails_says_why(client, site, monkeypatch):
    """The message of the command is the reason on the page."""
    monkeypatch.setattr(clone, "SETTINGS", ("--preset", "enormous"))
    played(site.out, clone.NEEDED)
    client.post("/clone", json={})
    end = time.monotonic() + 60
    while (state := client.get("/clone.json").json())["state"] == "training":
        assert time.monotonic() < end
        time.sleep(0.1)
    assert state["state"] == "failed"
    assert "enormous" in state["why"]


def test_the_page_says_what_a_clone_needs(server, browse):
    """Play says how many matches are missing; with enough of them it offers the training."""
    one = server()
    page = browse(one.url + "play")
    until(page, "document.getElementById('clone').innerText.includes('Play 5 more matches')")
    played(one.folder / "data" / "played", clone.NEEDED)
    until(page, "document.getElementById('clone').innerText.includes('Train my clone')")
