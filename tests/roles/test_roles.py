"""Three newcomers, each from an empty folder to a goal: in a real terminal and a real browser.

Each notes the times of its calls in a file `times.json` of its folder.
"""

from __future__ import annotations

import json
import sys
import time

import pytest
from browser import until
from made_matches import content
from terminal import Call

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a terminal of Linux"),
]
SHORT = "brawl@time_limit=90"
# seconds of CPU until the first letter of a call: on an idle machine those of the clock as well,
# which in a suite of tests also count other work
FIRST_SIGN = 2.0
WHOLE = 15 * 60  # seconds, from the first call to the goal


class Newcomer:
    """A person in an empty folder, who reads each answer and notes how long it took."""

    def __init__(self, folder):
        self.folder, self.times, self.began = folder, [], time.monotonic()
        self.servers = []

    def call(self, *words):
        """Run `shadowbox WORDS` to its end, which is a success; returns what the terminal shows."""
        call = Call(["shadowbox", *map(str, words)], self.folder)
        status, times = call.end()
        self.times.append(times)
        assert status == 0, call.text
        assert "Traceback" not in call.text
        return call.text

    def serve(self, *words):
        """Start a server; returns the call and its address."""
        call = Call(["shadowbox", "serve", "--port", "0", *map(str, words)], self.folder)
        self.servers.append(call)
        found = call.until(r"http://\S+/")
        assert found, call.text
        return call, found[0]

    def stop(self, server):
        """End a server by Ctrl-C."""
        server.interrupt()
        _, times = server.end()
        self.times.append(times)
        assert "Traceback" not in server.text, server.text

    def done(self):
        """The goal is reached: write the times, and hold the promise about them."""
        whole = round(time.monotonic() - self.began, 1)
        noted = {"whole_s": whole, "calls": self.times}
        (self.folder / "times.json").write_text(json.dumps(noted, indent=1))
        print(json.dumps(noted, indent=1))
        assert whole < WHOLE
        slow = [call for call in self.times if call["first_cpu_s"] > FIRST_SIGN]
        assert not slow, slow


@pytest.fixture
def newcomer(tmp_path):
    """A person in an empty folder; their servers end with the test, also with one that fails."""
    person = Newcomer(tmp_path)
    yield person
    for server in person.servers:
        server.kill()


def test_a_player_gets_an_agent_that_plays_like_them(newcomer, browse, visit):
    """Greeting, matches in the browser, a policy of them, a match of it to watch, and one against it."""
    assert "shadowbox serve --open" in newcomer.call()
    server, address = newcomer.serve("--world", SHORT)
    page = browse(address, width=1000, height=700)
    page.get_by_role("link", name="Play You against a bot").click()
    page.fill("[name=name]", "ann")
    page.click(".go")
    for number in range(4):
        until(page, "window.__viewer?.rows?.length > 0 && !__viewer.atEnd")
        for key in ("KeyD", "KeyJ", "Space"):
            page.keyboard.down(key)
            page.wait_for_timeout(300)
            page.keyboard.up(key)
        until(page, "!document.getElementById('veil').hidden", 240)
        if number < 3:
            page.locator("#veil button.main").click()  # not a moment of the match, if it has any
            until(page, "document.getElementById('veil').hidden")
    newcomer.stop(server)
    assert "4 episodes" in newcomer.call("audit", "data/played", "--brief")
    said = newcomer.call(
        *("train", "data/played", "--out", "runs/me", "--preset", "tiny", "--steps", 10),
        *("--with", "seats=[0]"),
    )
    assert "runs/me: finished" in said
    said = newcomer.call(
        *("match", "brawl", "--world", SHORT, "--p0", "policy:runs/me", "--p1", "based"),
        *("--out", "me.html"),
    )
    page = visit(newcomer.folder / "me.html")
    until(page, "document.querySelector('match-viewer').rows?.length > 30")
    server, address = newcomer.serve("--world", SHORT)
    page = browse(address + "play", width=1000, height=700)
    (clone,) = page.evaluate(
        "[...document.querySelectorAll('datalist option')].map((one) => one.value)"
        ".filter((spec) => spec.startsWith('policy:runs/me'))"
    )
    page.fill("[name=opponent]", clone)
    page.click(".go")
    until(
        page, "window.__viewer?.rows?.length > 10 && __viewer.hello.players[1].includes('runs/me')"
    )
    until(page, "!document.getElementById('veil').hidden", 240)
    newcomer.stop(server)
    newcomer.done()


def test_a_researcher_gets_a_policy_of_replays(newcomer, visit):
    """Replays to a store, an audit, a policy, its evaluation beside baselines, and a report."""
    (newcomer.folder / "replays").mkdir()
    for seed in range(13):
        (newcomer.folder / "replays" / f"{seed}.slp").write_bytes(content(frames=40, seed=seed))
    assert "13 of 13 recordings" in newcomer.call("ingest", "melee", "replays", "--out", "melee")
    newcomer.call("audit", "melee", "--html", "audit.html")
    newcomer.call("train", "melee", "--out", "runs/melee", "--preset", "tiny", "--steps", 10)
    said = newcomer.call("eval", "runs/melee", "melee", "--out", "eval.html")
    assert "copy_last" in said
    newcomer.call("view", "melee#0", "--out", "match.html")
    newcomer.call("report", "runs/melee", "--no-match")
    for name in ("audit.html", "eval.html", "match.html", "runs/melee/report.html"):
        page = visit(newcomer.folder / name)
        until(page, "document.querySelector('h1, match-viewer') !== null")
    newcomer.done()


def test_an_engineer_gets_a_policy_of_a_gymnasium_game(newcomer, browse):
    """One spec from recording over training and evaluation to the pages of the server."""
    pytest.importorskip("gymnasium")
    spec = "gym:CartPole-v1"
    assert "60 matches" in newcomer.call("record", spec, "--matches", 60, "--out", "pole")
    newcomer.call("audit", "pole")
    newcomer.call("train", "pole", "--out", "runs/pole", "--preset", "tiny", "--steps", 10)
    said = newcomer.call("view", "pole#0", "--out", "pole.png")
    assert "no game" not in said
    assert (newcomer.folder / "pole.png").read_bytes().startswith(b"\x89PNG")
    assert "onset_f1" in newcomer.call("eval", "runs/pole", "pole")
    said = newcomer.call("match", spec, "--p0", "policy:runs/pole", "--out", "pole.html")
    assert "frames" in said
    server, address = newcomer.serve("pole", "--game", spec)
    page = browse(address + "matches", width=1000, height=700)
    page.locator("main a[href*='/matches/']").first.click()
    until(page, "document.querySelector('match-viewer').rows?.length > 5")
    newcomer.stop(server)
    newcomer.done()
