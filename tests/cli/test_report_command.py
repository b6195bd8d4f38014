"""`shadowbox report`: where the page lies, what is printed, what is refused."""

from __future__ import annotations

import json

import pytest
from kept_promises import write_card, write_run

from shadowbox import cli


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a card that has run."""
    monkeypatch.chdir(tmp_path)
    write_card(tmp_path / "cards", seeds="0")
    write_run(tmp_path / "runs" / "toy" / "0")
    return tmp_path


def ran(capsys, *arguments):
    """Exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["report", *arguments])
    said = capsys.readouterr()
    return stop.value.code, said.out, said.err


@pytest.mark.parametrize("what", ["toy", "runs/toy", "runs/toy/0", "cards/toy.md"])
def test_a_run_is_found_by_folder_and_by_card(here, capsys, what):
    """A card's name, its file, its folder of runs and one run are each a way to name a report."""
    status, out, _ = ran(capsys, what, "--out", "page.html", "--no-match")
    assert status == 0
    assert out.splitlines()[0] == "val/onset_f1_greedy > 0.3: missed"
    assert "<!doctype html>" in (here / "page.html").read_text()


def test_json_is_one_object(here, capsys):
    """--json prints the verdict, each target, and the path of the page, by default in the run's folder."""
    status, out, _ = ran(capsys, "toy", "--no-match", "--json")
    found = json.loads(out)
    assert status == 0
    assert (found["verdict"], found["run"], found["out"]) == (
        "missed",
        "runs/toy",
        "runs/toy/report.html",
    )
    assert found["targets"][0]["value"] == 0.2
    assert (here / found["out"]).is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none"], "no run found in none"),
        (["toy", "--out", "no/x.html"], "folder no does not exist"),
    ],
)
def test_wrong_calls_are_refused(here, capsys, arguments, words):
    """Exit status 2, and what to do."""
    status, _, said = ran(capsys, *arguments)
    assert status == 2
    assert words in said
