"""Docs pages of the server: every page of the docs, as markup that nothing in a text can break."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser import follow, until
from quick_brawl import GAME
from starlette.testclient import TestClient

from shadowbox.web.app import application
from shadowbox.web.front import documents
from shadowbox.web.site import Site

DOCS = Path(__file__).resolve().parents[2] / "docs"
HERE = "http://127.0.0.1:8777"


@pytest.fixture
def client(tmp_path):
    """A server without stores and runs."""
    site = Site(game=GAME, known=lambda name: None, out=tmp_path / "mine", runs=tmp_path / "runs")
    with TestClient(application(site), base_url=HERE) as client:
        yield client


def test_every_page_is_listed_and_every_link_leads_to_a_page(client):
    """The list names each file of the docs once; each link between pages and to a heading is found."""
    listed = re.findall(r'href="/docs/([a-z0-9-]+)"', client.get("/docs").text)
    assert sorted(listed) == sorted(path.stem for path in DOCS.glob("*.md"))
    pages = {name: client.get(f"/docs/{name}").text for name in listed}
    for name, page in pages.items():
        assert "<h1" in page, name
        for other, anchor in re.findall(r'href="/docs/([a-z0-9-]+)(?:#([\w-]+))?"', page):
            assert other in pages, (name, other)
            assert not anchor or f'id="{anchor}"' in pages[other], (name, other, anchor)


def test_a_text_is_never_markup():
    """Tags are shown, scripts in links do not exist, and links into the source become text."""
    page = documents.render(
        "# <b>\n\n<script>x</script> [a](javascript:x) [b](../src/x.py) [c](tour.md#one) ![d](d.gif)\n"
        "\n| n |\n|--:|\n| `<i>` |\n\n```console\n</pre><script>\n```\n"
    )
    assert not re.search(r"<(script|b|i|img)\b", page)
    assert re.findall(r'href="([^"]*)"', page) == ["/docs/tour#one"]
    assert "style=" not in page
    assert "&lt;/pre&gt;&lt;script&gt;" in page


def test_a_page_that_does_not_exist_is_not_found(client):
    """Unknown names and paths out of the folder are answered with 404 and a hint."""
    for name in ("nothing", "..%2Fpyproject", "architecture.py"):
        answer = client.get(f"/docs/{name}")
        assert answer.status_code == 404
    assert "/docs lists them" in client.get("/docs/nothing").text


def test_without_docs_a_line_says_where_they_are(client, monkeypatch, tmp_path):
    """A package whose docs were not installed says so, and how to get them."""
    monkeypatch.setattr(documents, "checkout", lambda: None)
    monkeypatch.setattr(documents.sysconfig, "get_path", lambda name: str(tmp_path))
    page = client.get("/docs").text
    assert "The docs are not installed here." in page
    assert client.get("/docs/tour").status_code == 404
    (tmp_path / documents.INSTALLED).mkdir(parents=True)
    (tmp_path / documents.INSTALLED / "tour.md").write_text("# A tour\n\nOf it.\n")
    assert 'href="/docs/tour"' in client.get("/docs").text


@pytest.mark.slow
def test_a_newcomer_walks_from_home_to_a_command(server, browse):
    """The third door leads to a page whose commands have a button that copies them."""
    page = browse(server().url, width=390, height=844)
    follow(page, page.get_by_role("link", name="Train your own"))
    assert page.title() == "An agent that plays like you · Shadowbox"
    until(page, "document.querySelectorAll('.command button').length >= 5")
    follow(page, page.get_by_role("link", name="troubleshooting").first)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, "nothing is wider than the window"
