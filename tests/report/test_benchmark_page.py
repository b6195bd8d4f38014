"""Page of an evaluation by matches: wins with intervals, opponents met, and clips of real matches."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from browser import until

from shadowbox.evaluate.benchmark import _MatchEvaluation, benchmark_seeds
from shadowbox.games import load
from shadowbox.play import specs
from shadowbox.play.benchmark import benchmark
from shadowbox.report.benchmark import matches_page

GAME = load("brawl")
UNKIND = "<img src=x onerror=alert(1)>'\"&"
WORLD = "brawl@time_limit=150"
OPPONENTS = ("constant", "random", "charger")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Evaluation of a bot in the place of a policy, whose run has met opponents with unkind names."""
    checkpoint = tmp_path_factory.mktemp("runs") / UNKIND.replace("/", "") / "7" / "c" / "00000024"
    checkpoint.mkdir(parents=True)
    met = {"constant": 0.5, UNKIND: 0.5}
    (checkpoint.parent.parent / "run.json").write_text(json.dumps({"opponents": met}))
    worlds = partial(GAME.world, time_limit=150)
    results = {
        spec: benchmark(GAME, worlds, specs.agent("expert", GAME), specs.agent(spec, GAME), seeds)
        for spec in OPPONENTS
        if len(seeds := benchmark_seeds(spec, 12))
    }
    return _MatchEvaluation(
        checkpoint, GAME, WORLD, "expert", results, {spec: (spec, 0) for spec in OPPONENTS}
    )


def test_a_replayed_match_is_the_counted_one(found):
    """Every match played again has the result and the length that were counted."""
    for seat, number in ((0, 0), (1, 3), (0, 5)):
        episode = found.replay("random", seat, number)
        winner = episode.meta["result"]["winner"]
        won = 0 if winner is None else 1 if winner == seat else -1
        assert won == found.results["random"].results[seat, number]
        assert episode.frames == found.results["random"].frames[seat, number]


def test_the_page_tells_who_was_met_and_escapes_names(found, visit, tmp_path):
    """Bars, places, opponents and clips are on the page; names of files are text; it fits a phone."""
    path = tmp_path / "page.html"
    path.write_text(matches_page(found))
    text = path.read_text()
    assert UNKIND not in text
    assert "<img" not in text
    page = visit(path, width=390, height=800)
    body = page.inner_text("main")
    for words in ("Wins by starting place", "Never met in training: charger.", "50%", "at step 24"):
        assert words in body, words
    rows = page.locator("h2:has-text('Opponents met') ~ .wide").first.locator("tbody tr")
    marks = {row.split()[0]: row for row in rows.all_inner_texts()}
    assert "held out" in marks["charger"]
    assert "stranger" in marks["random"]
    assert "stranger" not in marks["constant"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ends = {int(end) for each in found.results.values() for end in np.unique(each.results)}
    wanted = [end for end in (1, -1) if end in ends] or [0]
    captions = page.locator("figcaption").all_inner_texts()
    assert len(captions) >= len(wanted)
    assert captions[0].startswith("Won against")
    until(
        page, "[...document.querySelectorAll('match-viewer')].every((one) => one.rows?.length > 1)"
    )
