"""Every page with axe-core, which looks for what a screen reader or a keyboard stumbles over."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from browser import until
from quick_brawl import BRAWL, GAME
from test_cli import run
from test_runs_page import make_run, train_line, val_line

from shadowbox.collect.matches import Pairing, record
from shadowbox.core import system
from shadowbox.core.downloads import npm
from shadowbox.core.episode import Episode
from shadowbox.data.store import Store
from shadowbox.report.match import match_document

AXE = npm._NpmPackage(  # MPL-2.0; tests alone use it
    "axe-core",
    "4.14.1",
    "1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b73"
    "4f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5",
    708_405,
    "pytest tests/web/test_accessibility.py",
)
SCRIPT, BYTES = "axe.min.js", 653_780
SIZES = {"wide": (1440, 900), "narrow": (390, 844)}
PAGES = (
    *("", "play", "arena", "live/1", "matches", "matches/0", "matches/0/0"),
    *("matches/compare?match=0/0", "matches/compare?match=0/0&match=0/1"),
    *("tournaments", "tournaments/small", "runs", "runs/first/0"),
    *("runs/compare?run=first/0&run=second/0", "cards", "cards/policy-22k"),
    *("docs", "docs/play-like-me", "docs/metrics"),
)
ROOT = Path(__file__).resolve().parents[2]
GRAVE = ("serious", "critical")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("npm") is None, reason="NO NPM: axe-core was not run"),
]


@pytest.fixture(scope="module")
def axe():
    """Text of axe-core, fetched once by npm and kept in this user's data."""
    folder = system.user_data() / AXE.name / AXE.version
    path = folder / SCRIPT
    if not path.is_file() or path.stat().st_size != BYTES:
        npm.keep(AXE.name, npm.fetched(AXE), {SCRIPT: BYTES}, folder, "package")
    return path.read_text(encoding="utf-8")


def test_axe_finds_nothing_serious(server, browse, axe, tmp_path, capsys):
    """No serious and no critical finding: all pages, wide and narrow, light and dark."""
    record(GAME, [Pairing("based", "expert", 2)], tmp_path / "store", seed=1)
    lines = [train_line(step) for step in range(10, 110, 10)] + [val_line(50), val_line(100)]
    for name in ("first/0", "second/0"):
        make_run(tmp_path / "runs" / name, lines=lines, status="finished")
    (tmp_path / "cards").mkdir()
    shutil.copy(ROOT / "cards" / "policy-22k.md", tmp_path / "cards")
    table = tmp_path / "runs" / "tournaments" / "small.jsonl"
    few = ("--matches", 2, "--workers", 1, "--world", "brawl@time_limit=90", "--out", table)
    assert run(capsys, "tournament", "brawl", "based", "random", *few)[0] == 0
    names = ("match", "report", "two", "mind")
    saved = [tmp_path / f"{name}.html" for name in names]
    matches = [f"{tmp_path / 'store'}#{number}" for number in (0, 1)]
    assert run(capsys, "view", matches[0], "--out", saved[0])[0] == 0
    assert run(capsys, "view", *matches, "--out", saved[2])[0] == 0
    saved[3].write_text(_with_thoughts(tmp_path / "store"), encoding="utf-8")
    first = tmp_path / "runs" / "first" / "0"
    assert run(capsys, "report", first, "--no-match", "--out", saved[1])[0] == 0
    running = server(
        *(tmp_path / "store", "--runs", tmp_path / "runs", "--cards", tmp_path / "cards")
    )
    assert running.begin(p0="based", p1="random", seed=1)["match"] == 1
    page = browse(running.url, width=1440, height=900, bypass_csp=True)
    found = {}
    for address in (*(running.url + name for name in PAGES), *(path.as_uri() for path in saved)):
        page.goto(address)
        until(page, "document.querySelector('h1, main') !== null")
        page.wait_for_timeout(200)
        _look(page, axe, address, found)
    assert not found, "\n".join(f"{each}: {where}" for each, where in found.items())


def test_axe_finds_nothing_serious_while_one_plays(server, browse, axe):
    """A match that is played, its pause, its end, and the page of an address that is not there."""
    running, found = server(), {}
    page = browse(running.url, width=1440, height=900, bypass_csp=True)
    _begin(page, f"{running.url}play?world=brawl@time_limit=9000", "constant")
    until(page, "__viewer.rows.length > 10 && __viewer.frame > 5")
    _look(page, axe, "play, mid-match", found)
    page.keyboard.press("p")
    until(page, "document.getElementById('veil').innerText.includes('Paused')")
    _look(page, axe, "play, paused", found)
    _begin(page, f"{running.url}play", "aggressive")
    until(page, "document.getElementById('veil').innerText.includes('Best of three')")
    _look(page, axe, "play, its end", found)
    # a browser logs the status of a page that is missing, which `browse` would take for a mistake
    page.route("**/nowhere", lambda route: route.fulfill(response=route.fetch(), status=200))
    page.goto(f"{running.url}nowhere")
    assert "not found" in page.locator("h1").inner_text().lower()
    _look(page, axe, "a page that is not there", found)
    assert not found, "\n".join(f"{each}: {where}" for each, where in found.items())


def _begin(page, address, opponent):
    """Begin a match of the Play page with its first key."""
    page.goto(address)
    page.fill("[name=opponent]", opponent)
    page.click(".go")
    until(page, "window.__viewer?.rows?.length > 3")
    page.keyboard.press("d")


def _with_thoughts(store):
    """Page of a stored match beside what a policy could have thought, at its first frame."""
    known = Store(store, BRAWL.schema).episode(0)
    rows = known.rows
    odds = {f"{seat}/press/{key}": 0.5 for seat in (0, 1) for key in BRAWL.schema.control_keys}
    tracks = {
        key: np.full(rows, value, np.float32)
        for key, value in {**odds, "0/value": 1.0, "1/value": -1.0, "0/guess/based": 0.9}.items()
    }
    tracks["0/attention"] = np.full((rows, 65), 1 / 65, np.float16)
    return match_document(BRAWL, Episode(known.columns, known.meta, known.events, tracks=tracks))


def _look(page, axe, address, found):
    """Add the findings of axe on a page, by what was found, in both themes and sizes."""
    page.evaluate(axe)
    for theme, size, rules in (
        ("light", "wide", None),
        ("dark", "wide", ["color-contrast"]),  # what a theme alone can change
        ("dark", "narrow", None),
        ("light", "narrow", ["color-contrast"]),
    ):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        for each in _findings(page, rules):
            found.setdefault(each, []).append(f"{address} {theme} {size}")


def _findings(page, rules):
    """Grave findings of axe on a page: rule, first element and the reason."""
    answer = page.evaluate(
        "(rules) => axe.run(document, { resultTypes: ['violations'],"
        " ...(rules && { runOnly: { type: 'rule', values: rules } }) })",
        rules,
    )
    return [
        f"{each['id']}: {node['html'][:120]}: {' '.join(node['failureSummary'].split())[:200]}"
        for each in answer["violations"]
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]
