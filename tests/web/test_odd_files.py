"""Lists of a server that hold damaged files, pipes and links to nothing: the other lines stay."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from conftest import TOY, random_episode

from shadowbox.core.game import game_of_schema
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import ShadowboxError
from shadowbox.web import runs, stored, tournaments
from shadowbox.web.site import Site

RATED = {"agent": "a & b", "elo": 1000, "low": 990, "high": 1010}


@pytest.fixture
def site(tmp_path):
    """A site with a store, a tournament and a run, each beside odd files."""
    with Writer(tmp_path / "store", TOY) as writer:
        for seed in range(3):
            writer.add(random_episode(TOY, 9, seed, players=[f"p{seed}", "q"]))
    game = game_of_schema(TOY, ())
    for name in ("tournaments", "runs", "cards"):
        (tmp_path / name).mkdir()
    good = {"ratings": [RATED], "payoff": {}, "game": "toy"}
    (tmp_path / "tournaments" / "a good?#one.json").write_text(json.dumps(good))
    folders = {name: tmp_path / name for name in ("tournaments", "runs", "cards", "out")}
    return Site(game=game, known=lambda name: game, stores=(tmp_path / "store",), **folders)


def test_a_tournament_list_survives_odd_files(site):
    """Numbers of 400 digits, a pipe and a link to nothing are lines; names are quoted in links."""
    folder = site.tournaments
    (folder / "huge.json").write_text(
        json.dumps({"ratings": [RATED | {"elo": 10**400}], "payoff": {}})
    )
    (folder / "gone.json").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.json")
    page = tournaments.tournaments(site)
    assert page.count(">unreadable<") == 3
    assert 'href="/tournaments/a%20good%3F%23one"' in page


def test_cycles_and_the_mixture_on_the_page(site):
    """Unreliable ratings are marked, the mixture is a table; odd ones are refused by name."""
    interval = {"value": 0.25, "low": 0.125, "high": 0.5}
    test = {"p": 0.002, "cyclic": 0.9, "expected": 0.1, "elo_is_reliable": False}
    good = {
        "ratings": [RATED],
        "payoff": {},
        "cycle_test": test,
        "nash": {"a & b": {"weight": interval, "score": interval}},
    }
    path = site.tournaments / "cyclic.json"
    path.write_text(json.dumps(good))
    page = tournaments.tournament(site, "cyclic")
    assert "Elo is unreliable here" in page
    assert "Nash averaging" in page
    assert "12 .. 50" in page
    odd = ({"cycle_test": {"p": 0.1}}, {"nash": {}}, {"nash": {"a & b": {"weight": interval}}})
    for change in odd:
        path.write_text(json.dumps(good | change))
        with pytest.raises(ShadowboxError, match="|".join(change)):
            tournaments.tournament(site, "cyclic")
    path.unlink()


def test_a_list_of_matches_survives_a_damaged_one(site):
    """Metadata of one match with a number of 400 digits costs its own line alone."""
    path = site.stores[0] / "00000.meta.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[1] = b'{"result":' + b"9" * (len(lines[1]) - 11) + b"}"
    path.write_bytes(b"\n".join(lines))
    page = stored.matches(site, None, 0)
    assert page.count(">unreadable<") == 1
    assert "p0" in page
    assert "p2" in page


def test_a_list_of_runs_survives_odd_files(site):
    """A run whose log is a pipe, and one whose facts hold a number of 400 digits, are lines."""
    for name, text in (("pipe", "{}"), ("huge", '{"total": 1' + "0" * 400 + "}"), ("good", "{}")):
        (site.runs / name).mkdir()
        (site.runs / name / "run.json").write_text(text)
    for name in ("metrics.jsonl", "events.jsonl"):
        os.mkfifo(site.runs / "pipe" / name)
    page = runs.runs(site)
    assert page.count(">unreadable<") == 1
    assert 'href="/runs/good"' in page
    assert 'href="/runs/pipe"' in page
    assert len(Store(site.stores[0])) == 3
    shutil.rmtree(site.runs / "pipe")
