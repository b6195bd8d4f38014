"""Every page with axe-core, which looks for what a screen reader or a keyboard stumbles over."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from browser import until
from quick_brawl import GAME
from test_cli import run
from test_runs_page import make_run, train_line, val_line

from shadowbox.collect.matches import Pairing, record
from shadowbox.core import system
from shadowbox.core.downloads import npm

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
    saved = [tmp_path / "match.html", tmp_path / "report.html"]
    assert run(capsys, "view", f"{tmp_path / 'store'}#0", "--out", saved[0])[0] == 0
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
    assert not found, "\n".join(f"{each}: {where}" for each, where in found.items())


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
