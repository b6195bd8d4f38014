"""Counterfactuals: a recorded moment continued in a world and in the simulator."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path

import broken_worlds as broken
import numpy as np
import pytest

from shadowbox import cli
from shadowbox.collect.matches import Pairing, record
from shadowbox.core.evaluation import FILE
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.evaluate.worlds.verdict import verdict_of
from shadowbox.evaluate.worlds.what_if import what_if
from shadowbox.report.what_if import what_if_page

GAME = broken.GAME
CONFIG = EvalConfig(samples=4, seed=2)
BUSY = 60  # a row after which there are hits


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Path of a store of two matches of eight seconds."""
    path = tmp_path_factory.mktemp("what_if") / "store"
    quick = dataclasses.replace(GAME, world=partial(GAME.world, time_limit=240))
    record(quick, [Pairing("expert", "aggressive", 2)], path, seed=3)
    return path


@pytest.fixture(scope="module")
def found(store):
    """The answer of the simulator itself."""
    return what_if("brawl", f"{store}#0:{BUSY}", by=("based",), config=CONFIG)


def hits_of(store, episode, first, last):
    """Hits that the recording announced in some rows."""
    events = Store(store).episode(episode).events
    hits = events[events["kind"] == GAME.event_kinds.index("hit")]
    return hits[(hits["frame"] > first) & (hits["frame"] <= last)]


def test_recorded_controls_in_the_simulator_are_the_recording(store, found):
    """Every sample has the recorded rows; damage and stocks are those that were recorded."""
    branch = found.recorded_in("brawl")
    truth = Store(store).episode(0)
    for key in GAME.schema.state_keys:
        values = truth.columns[key][BUSY : BUSY + len(branch.rows[key])]
        np.testing.assert_array_equal(branch.rows[key], values, key)
    for at, frames in enumerate((60, 150)):
        hits = hits_of(store, 0, BUSY, BUSY + frames)
        dealt = hits["value"][hits["player"] == 0].sum()
        taken = hits["value"][hits["other"] == 0].sum()
        stocks = truth.columns["player/stocks"][[BUSY, BUSY + frames]].astype(int)
        lost = stocks[0] - stocks[1]
        expected = {"dealt": dealt, "taken": taken, "stocks taken": lost[1], "stocks lost": lost[0]}
        for each in (branch, found.truth):
            for name, value in expected.items():
                assert each.totals[name][:, at] == pytest.approx(value), (name, frames)
    assert found.truth.totals["dealt"].sum() > 0
    assert branch.after("dealt", 1).low == branch.after("dealt", 1).high


def test_ways_are_played_as_named(found):
    """Nothing is pressed in one branch; the bot presses keys of its own, and the opponent its own."""
    ways = {branch.by: branch for branch in found.branches}
    assert list(ways) == ["recorded", "neutral", "based"]
    for key in GAME.schema.control_keys:
        assert not ways["neutral"].rows[key][:-1, 0].any()
        opponent = ways["recorded"].rows[key][:-1, 1]
        for branch in ways.values():
            np.testing.assert_array_equal(
                branch.rows[key][:-1, 1], opponent[: len(branch.rows[key]) - 1]
            )
    pressed = [ways[way].rows["keys/d"][:-1, 0] for way in ("recorded", "based")]
    assert not np.array_equal(*pressed)
    assert ways["based"].rows["keys/d"][:-1, 0].any()
    assert (ways["neutral"].totals["dealt"] == 0).all()


def test_an_opponent_may_react(store):
    """With `against` the other seat is an agent's, and the remark about recorded keys is gone."""
    where = f"{store}#1:{BUSY}"
    fixed = what_if("brawl", where, player=1, config=CONFIG)
    free = what_if("brawl", where, player=1, against="neutral", config=CONFIG)
    assert any("does not react" in remark for remark in fixed.remarks)
    assert not any("does not react" in remark for remark in free.remarks)
    assert (free.recorded_in("brawl").totals["taken"] == 0).all()
    assert not free.recorded_in("brawl").rows["keys/a"][:-1, 0].any()


def test_intervals_and_answers(found):
    """Samples differ by the draws of agents; a better way is one whose interval is above 0."""
    based = next(branch for branch in found.branches if branch.by == "based")
    known = found.recorded_in("brawl")
    assert len(np.unique(based.totals["dealt"][:, 1] - based.totals["taken"][:, 1])) > 1
    gain = based.beside(known, 1)
    assert gain.low <= gain.value <= gain.high
    assert gain.low < gain.high
    for branch, unit, by in found.better("brawl"):
        assert by.low > 0
        assert unit in ("stocks", "damage")
        assert branch is not known
    # one that deals more by a wide margin is named, one that also loses a stock is not
    last = {name: values.copy() for name, values in known.totals.items()}
    last["dealt"] += 50
    strong = known._replace(by="strong", totals=last)
    weak = known._replace(by="weak", totals=last | {"stocks lost": last["stocks lost"] + 1})
    changed = dataclasses.replace(found, branches=[known, strong, weak])
    assert [branch.by for branch, _, _ in changed.better("brawl")] == ["strong"]
    assert "opponent who does not react: strong (damage +50.0" in changed.answer("brawl")
    free = dataclasses.replace(changed, against="based")
    assert "keys after 5 s: strong" in free.answer("brawl")


def test_a_world_is_beside_the_simulator(store, monkeypatch):
    """Another world and the simulator answer the same question; phantom damage is not a hit."""
    monkeypatch.syspath_prepend(Path(broken.__file__).parent)
    (Path(store).parent / "creeping.py").write_text(
        "import broken_worlds as b\n\n\ndef world(matches):\n    return b.Changed(matches, b.creep)\n"
    )
    monkeypatch.syspath_prepend(Path(store).parent)
    result = what_if("py:creeping:world", f"{store}#0:{BUSY}", config=CONFIG)
    worlds = [branch.world for branch in result.branches]
    assert worlds == ["py:creeping:world", "py:creeping:world", "brawl", "brawl"]
    assert "not known" in result.verdict.warning
    idle = next(branch for branch in result.branches if branch.by == "neutral")
    assert idle.rows["player/damage"][-1, 1] > idle.rows["player/damage"][0, 1] + 50
    assert (idle.totals["dealt"] == 0).all()
    text = json.dumps(result.to_json(), allow_nan=False)
    assert json.loads(text)["branches"][2]["after"]["5"]["dealt"]["value"] >= 0


def test_the_gate_goes_first(tmp_path):
    """A world that was never evaluated, failed, or has an unreadable result is announced so."""
    spec = "dream:runs/w"
    assert verdict_of(None, "brawl", GAME).passed
    assert verdict_of(tmp_path, spec, GAME).passed is None
    assert "never evaluated on brawl" in verdict_of(tmp_path, spec, GAME).warning
    gate = {"passed": False, "why": ["skill: player/x at 1", "events: hits"]}
    (tmp_path / FILE).write_text(json.dumps({"gate": gate}))
    failed = verdict_of(tmp_path, spec, GAME)
    assert failed.passed is False
    assert (
        failed.warning == f"{spec} failed its own gate on brawl: skill: player/x at 1 (and 1 more)"
    )
    (tmp_path / FILE).write_text(json.dumps({"gate": {"passed": True, "why": []}}))
    assert verdict_of(tmp_path, spec, GAME) == (True, (), "")
    (tmp_path / FILE).write_text("{}")
    assert "cannot be read" in verdict_of(tmp_path, spec, GAME).warning


def test_the_page_and_the_end_of_a_recording(store):
    """Near the end of a recording the answer says so; the page has a clip of each way.

    The recorded keys repeat the recording in the simulator, and are shown once.
    """
    last = Store(store).episode(0).frames - 30
    result = what_if("brawl", f"{store}#0:{last}", by=("hold:keys/j",), config=CONFIG)
    assert any("the recording ends 1.0 s after the moment" in each for each in result.remarks)
    page = what_if_page(dataclasses.replace(result, spec="<img src=x>"))
    assert page.count('<figure class="clip">') == len(result.branches)
    assert "<img src=x" not in page


def call(capsys, *arguments):
    """Exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def test_on_the_command_line(capsys, store, tmp_path):
    """The text has a table for each horizon and an answer, --json the figures, --out a page."""
    command = ("eval", "brawl", "--what-if", f"{store}#0:{BUSY}", "--samples", 2)
    code, out, err = call(capsys, *command, "--out", tmp_path / "p.html")
    assert code == 0, err
    assert "brawl, after 2 s" in out
    assert "brawl, after 5 s" in out
    assert "does not react" in out
    assert "WARNING" not in out
    assert (tmp_path / "p.html").is_file()
    code, out, _ = call(capsys, *command, "--json")
    data = json.loads(out)
    assert (code, data["kind"], data["gate"]["passed"]) == (0, "what-if", True)
    recorded = data["branches"][0]["after"]["5"]
    assert recorded["dealt"] == data["recording"]["5"]["dealt"] | {
        name: recorded["dealt"][name] for name in ("low", "high")
    }


@pytest.mark.parametrize(
    ("where", "options", "message"),
    [
        ("{}", {}, "expected STORE#EPISODE:FRAME"),
        ("{}#0:240", {}, "has 240 decisions, in the rows 0 to 239"),
        ("{}#0:5", {"player": 2}, "player must be from 0 to 1"),
        ("{}#0:5", {"by": ("basd",)}, "did you mean 'based'"),
    ],
)
def test_wrong_questions(store, where, options, message):
    """A moment, seat or agent that does not exist is refused by name."""
    with pytest.raises(UsageError, match=message):
        what_if("brawl", where.format(store), config=CONFIG, **options)
