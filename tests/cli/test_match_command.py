"""`shadowbox match`: one match, the same on every call, with its facts and a page to watch it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shadowbox import cli
from shadowbox.core.game import EVENT
from shadowbox.data.store import Store
from shadowbox.games import load
from shadowbox.report.match import match_document, outcome_of

SHORT = ("--world", "brawl@time_limit=300")
MATCH = ("match", "brawl", *SHORT, "--p0")


def call(capsys, *arguments):
    """Exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def facts_of(capsys, *arguments):
    """The one JSON object that a call prints."""
    code, out, err = call(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_the_same_call_is_the_same_match(capsys):
    """Winner, length and fingerprint are the same on every call, and another seed gives another match."""
    command = [*MATCH, "based", "--p1", "random", "--seed"]
    one, again, other = (facts_of(capsys, *command, seed) for seed in (7, 7, 8))
    assert one == again
    assert one["fingerprint"] != other["fingerprint"]
    assert {"winner", "stocks", "damage", "frames", "world", "players", "remarks"} <= set(one)
    assert one["world"] == "brawl@time_limit=300"


def test_facts_agree_with_the_match(capsys, tmp_path):
    """What the facts say of damage, stocks, hits and presses is what the stored rows and events say."""
    facts = facts_of(
        capsys, *MATCH, "based", "--p1", "aggressive", "--seed", 3, "--store", tmp_path / "s"
    )
    assert facts["stored"] == f"{tmp_path / 's'}#0"
    episode = Store(tmp_path / "s").episode(0)
    assert facts["frames"] == episode.frames
    assert facts["stocks"] == episode.columns["player/stocks"][-1].tolist()
    hits = episode.events[episode.events["kind"] == load("brawl").event_kinds.index("hit")]
    for player, found in enumerate(facts["players"]):
        mine = hits[hits["player"] == player]
        assert found["damage_dealt"] == pytest.approx(float(mine["value"].sum()), rel=1e-5)
        assert sum(found["hits"].values()) == len(mine)
        assert (
            found["controls"]["keys/j"]["presses"] == episode.columns["keys/j"][:-1, player].sum()
        )
        assert sum(found["states"]["player/state"].values()) == pytest.approx(1)
        assert 0 < found["attacks"] >= len(np.unique(mine["frame"])) / 4


def test_who_does_not_attack_is_named(capsys):
    """A player without one attack in 200 frames is named in words, in the text and in the data."""
    facts = facts_of(capsys, *MATCH, "constant", "--p1", "based", "--seed", 1)
    assert "constant (player 0) did not attack once in the whole match" in facts["remarks"]
    _, out, _ = call(capsys, *MATCH, "constant", "--p1", "based", "--seed", 1)
    assert "note: constant (player 0) did not attack once in the whole match" in out


def test_a_match_as_a_page(capsys, tmp_path):
    """`--out` writes one page with the rows and the facts inside, and says where.

    Names on it are text.
    """
    code, out, _ = call(
        capsys, *MATCH, "based", "--p1", "random", "--out", tmp_path / "deep" / "m.html"
    )
    assert code == 0
    page = (tmp_path / "deep" / "m.html").read_text()
    assert "Hits by what hit" in page
    assert f"page: {tmp_path / 'deep' / 'm.html'}" in out
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_names_on_the_page_are_text(capsys, tmp_path):
    """A player called like a piece of markup is shown by that name and does nothing."""
    call(capsys, *MATCH, "based", "--p1", "random", "--store", tmp_path / "s")
    episode = Store(tmp_path / "s").episode(0)
    hostile = "<img src=x onerror=alert(1)>"
    named = type(episode)(
        episode.columns, {**episode.meta, "players": [hostile, "b"]}, episode.events
    )
    page = match_document(load("brawl"), named)
    assert hostile not in page
    assert "&lt;img src=x" in page


def test_an_outcome_is_read_from_the_rows_where_nobody_wrote_it(capsys, tmp_path):
    """An episode without a result in its metadata ends as its rows say.

    One of a game that cannot tell ends unknown.
    """
    facts = facts_of(capsys, *MATCH, "expert", "--p1", "constant", "--store", tmp_path / "s")
    episode = Store(tmp_path / "s").episode(0)
    bare = type(episode)(episode.columns, {}, episode.events)
    assert outcome_of(load("brawl"), bare).winner == facts["winner"] == 0
    assert outcome_of(load("brawl"), episode).winner == 0
    assert episode.events.dtype == EVENT


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--p0", "based"], "Missing option '--p1'"),
        (["--p0", "based", "--p1", "basd"], "did you mean 'based'"),
        (["--p0", "based", "--p1", "based", "--stage", "warehous"], "did you mean 'warehouse'"),
        (["--p0", "based", "--p1", "clockwork:q*5"], "clockwork"),
        (["--p0", "based", "--p1", "replay:nowhere#1"], "nowhere is not a store"),
        (["--p0", "based", "--p1", "based", "--seed", "-1"], "-1 is not in the range"),
    ],
)
def test_wrong_calls_of_match(capsys, monkeypatch, tmp_path, options, message):
    """A call that names nothing that exists is one line on standard error."""
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, "match", "brawl", *options)
    assert code in (1, 2)
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
