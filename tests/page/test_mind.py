"""The read-out of policies beside a match: value, attention, and the guess of the opponent."""

from __future__ import annotations

import numpy as np
from browser import until
from conftest import TOY, random_episode

from shadowbox.core.episode import Episode
from shadowbox.core.game import game_of_schema
from shadowbox.report.match import match_document

ROWS = 31


def page_of(tmp_path, tracks):
    """Page of a match with tracks."""
    episode = random_episode(TOY, ROWS - 1, players=["one", "two"])
    path = tmp_path / "match.html"
    shown = Episode(episode.columns, episode.meta, episode.events, tracks=tracks)
    path.write_text(match_document(game_of_schema(TOY), shown))
    return path


def test_the_panel_follows_the_playhead(tmp_path, visit):
    """Numbers are those of the shown frame; the likeliest opponent comes first; names are text."""
    looks = np.zeros((ROWS, 5), np.float16)
    looks[:, 1] = 1
    rising = np.linspace(0, 1, ROWS, dtype=np.float32)
    tracks = {
        "1/value": rising - 0.5,
        "1/attention": looks,
        "1/guess/<b>x</b>": rising,
        "1/guess/based": 1 - rising,
    }
    page = visit(page_of(tmp_path, tracks), width=390, height=800, part="#0")
    until(page, "document.querySelector('.mind .guess')")
    words, guesses = page.locator(".mind .values"), page.locator(".mind .guess")
    assert words.inner_text().endswith("two \u22120.50")
    assert guesses.first.inner_text().split() == ["based", "100", "%"]
    page.evaluate("window.__viewer.seek(30)")
    assert words.inner_text().endswith("two 0.50")
    assert guesses.first.inner_text().split() == ["<b>x</b>", "100", "%"]
    heights = page.evaluate("[...document.querySelectorAll('.looks i')].map((i) => i.clientHeight)")
    assert [height > 0 for height in heights] == [False, False, False, True, False]
    canvas = "document.querySelector('.mind canvas')"
    assert page.evaluate(f"{canvas}.width === {canvas}.clientWidth")  # it was painted in its size
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_a_policy_there_is_no_panel(tmp_path, visit):
    """A match without such tracks has nothing below the playback bar."""
    page = visit(page_of(tmp_path, {"0/press/pad/a": np.zeros(ROWS, np.float32)}), part="#0")
    until(page, "document.querySelector('.mind')")
    assert page.locator(".mind").is_hidden()


def test_a_dream_shows_its_errors(tmp_path, visit):
    """Beside a dream the error of each field in the shown frame, and that of holding its value."""
    errors = np.stack([np.linspace(0, 2, ROWS), np.linspace(0, 4, ROWS)], -1).astype(np.float32)
    page = visit(page_of(tmp_path, {"0/error/x": errors}), part="#0")
    until(page, "document.querySelector('.mind .miss')")
    assert page.locator(".miss").inner_text().split() == ["x", "0.00", "(0.00)"]
    page.evaluate("window.__viewer.seek(30)")
    assert page.locator(".miss").inner_text().split() == ["x", "2.00", "(4.00)"]
