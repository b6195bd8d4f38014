"""Cards on the command line, as their users meet them."""

import json
from types import SimpleNamespace

import pytest

from shadowbox import cli
from shadowbox.cards.file import CardFile

QUICK = """---
card: 1
id: small
goal: the whole way of a card
game: paddles:GAME
preset: tiny
set:
  train: {steps: 6, batch: 4, log_every: 2, validate_every: 3, device: cpu}
  model: {width: 16, head_width: 16}
  learner: {length: 8}
data:
  store: data/small
  split: 50/50/0
  make: {record: {p0: follower, p1: follower, matches: 8, seed: 1}}
targets:
  - {metric: val/loss, op: "<", value: 1000, primary: true}
kill:
  - {when: "nonfinite(train/loss)"}
reviewers: {min: 1}
---
Prose.
"""


@pytest.fixture
def call(tmp_path, paddles, monkeypatch, capsys):
    """Run commands in a folder with one card."""
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "small.md").write_text(QUICK)
    monkeypatch.chdir(tmp_path)

    def run(*words, rc=0):
        with pytest.raises(SystemExit) as stop:
            cli.main(list(words))
        said = capsys.readouterr()
        assert (stop.value.code or 0) == rc, said.out + said.err
        assert "Traceback" not in said.err
        return SimpleNamespace(stdout=said.out, stderr=said.err)

    run.folder = tmp_path
    return run


@pytest.mark.slow
def test_the_whole_way(call):
    """Check, make, estimate, sign, run, report and close work as commands, with the promised exit status."""
    found = json.loads(call("card", "check", "small", "--json").stdout)
    assert found["errors"] == []
    made = json.loads(call("card", "make", "small", "--json").stdout)
    assert made["episodes"] == 8
    text = call("card", "check", "small").stdout
    assert "parameters" in text
    assert "before it runs: 1 must sign, 0 did" in text
    assert "| frames |" in (call.folder / "cards/small.md").read_text()
    estimated = json.loads(call("card", "estimate", "small", "--json").stdout)
    assert estimated["expected_s"] > 0
    refused = call("run", "small", rc=1).stderr
    assert "1 must sign, 0 did" in refused
    assert "it may run" in call("card", "sign", "small", "--as", "ada").stdout
    answer = json.loads(call("run", "small", "--json").stdout)
    assert (answer["verdict"], answer["run"]) == ("passed", "runs/small")
    assert {"value", "low", "high", "passed"} <= answer["targets"][0].keys()
    assert "small: passed" in call("card", "close", "small", "--note", "done").stdout
    index = json.loads(call("card", "index", "--json").stdout)
    assert index["cards"][0]["status"] == "closed: passed"
    again = call(
        "run", "small", "--set", "kill=[{when: train/loss > 0.0001}]", "--unsigned", "--json", rc=75
    )
    assert json.loads(again.stdout)["verdict"] == "killed"
    assert CardFile.read(call.folder / "cards/small.md").edited() == []


def test_mistakes(call):
    """A wrong card: every mistake on a line of its own with file and line, exit 1, and the same as JSON."""
    path = call.folder / "cards" / "small.md"
    path.write_text(QUICK.replace("preset: tiny", "preset: tinny\ncolor: red"))
    text = call("card", "check", "small", rc=1).stdout
    assert "cards/small.md:6: preset: imitation has no preset 'tinny': did you mean 'tiny'?" in text
    assert "cards/small.md:7: color: unknown key 'color'" in text
    found = json.loads(call("card", "check", "small", "--json", rc=1).stdout)
    assert [(error["line"], error["field"]) for error in found["errors"]] == [
        (6, "preset"),
        (7, "color"),
    ]
    assert json.loads(call("run", "small", "--json", rc=1).stdout)["exit"] == 1


def test_wrong_calls(call):
    """What cannot be is refused in a line that says what to do."""
    assert (
        "card cards/none.md not found: `shadowbox card new none` writes one"
        in call("card", "check", "none", rc=1).stderr
    )
    assert "as in --set train.lr=1e-4" in call("run", "small", "--set", "lr", rc=2).stderr
    assert "a card has no 'lr'" in call("run", "small", "--set", "lr=3", rc=2).stderr
    assert "unknown game 'chess'" in call("card", "new", "x", "--game", "chess", rc=2).stderr
    assert not (call.folder / "cards" / "x.md").exists()
