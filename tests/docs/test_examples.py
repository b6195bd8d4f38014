"""The examples run as their first lines say, in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, *arguments: object, folder: Path) -> str:
    """An example's standard output; it must end well."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    answer = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=280
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    return answer.stdout


def test_every_example_is_tested():
    """Each file in examples/ is run by a test of this file."""
    text = Path(__file__).read_text(encoding="utf-8")
    files = [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")]
    assert [path.name for path in files if path.stem not in text] == []


@pytest.mark.slow
def test_train_and_play(tmp_path, monkeypatch, capsys):
    """A policy is trained and plays a match, whose page has the viewer in it; here on less data."""
    text = (EXAMPLES / "train_and_play.py").read_text(encoding="utf-8")
    less = text.replace("matches=100", "matches=24").replace("steps=300", "steps=4")
    assert less != text
    monkeypatch.chdir(tmp_path)
    exec(compile(less, "train_and_play.py", "exec"), {})
    assert "won after" in capsys.readouterr().out
    assert "<match-viewer" in (tmp_path / "match.html").read_text(encoding="utf-8")
    lines = text.splitlines()
    code = [line for line in lines[lines.index("import shadowbox as sb") :] if line.strip()]
    assert len(code) <= 15


def test_own_game(tmp_path):
    """A game in one file is played, and drawn without a scene of its own."""
    assert "wins: " in run("own_game.py", folder=tmp_path)
    page = (tmp_path / "tag.html").read_text(encoding="utf-8")
    assert "<match-viewer" in page
    assert "tagged" in page


def test_the_game_of_the_example_is_a_world(monkeypatch):
    """The example's World keeps what every World promises."""
    from shadowbox.games import load
    from shadowbox.testing import check_world

    monkeypatch.chdir(EXAMPLES)
    game = load("own_game:GAME")
    check_world(game.world, game)


@pytest.mark.slow
def test_replays_to_report(tmp_path, monkeypatch, capsys):
    """Replays become a store, an audit page, a policy and its report; here after a few steps."""
    from made_matches import content

    (tmp_path / "replays").mkdir()
    for seed in range(24):
        path = tmp_path / "replays" / f"{seed}.slp"
        path.write_bytes(content(frames=60, seed=seed, end="game"))
    monkeypatch.syspath_prepend(EXAMPLES)
    from replays_to_report import main

    main(tmp_path / "replays", tmp_path / "out", steps=4)
    assert "24 of 24 recordings read" in capsys.readouterr().out
    for page in ("audit.html", "report.html"):
        assert (tmp_path / "out" / page).read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of other packages
def test_sb3_in_a_tournament(tmp_path, monkeypatch, capsys):
    """A Stable-Baselines3 agent is trained, saved, and rated beside the bots, in short matches."""
    text = (EXAMPLES / "sb3_in_a_tournament.py").read_text(encoding="utf-8")
    less = text.replace("matches=20)", 'matches=2, world="brawl@time_limit=120")')
    assert less != text
    monkeypatch.syspath_prepend(EXAMPLES)  # the spec imports the example by its name
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sb3_in_a_tournament.py", "256"])
    exec(compile(less, "sb3_in_a_tournament.py", "exec"), {"__name__": "__main__"})
    rated = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert rated == {"based", "py:sb3_in_a_tournament:ppo", "random"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of other packages
def test_first_steps_notebook(tmp_path, monkeypatch):
    """Every cell of first_steps.ipynb runs, and the match and the figures are shown; on less data."""
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    notebook = nbformat.read(EXAMPLES / "first_steps.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is stored without outputs"
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    sizes = "MATCHES, STEPS, JUDGED = 100, 300, 40"
    assert sizes in cell.source
    cell.source = cell.source.replace(sizes, "MATCHES, STEPS, JUDGED = 24, 4, 2")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    client(notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = json.dumps(notebook.cells)
    for words in ("24 matches", "winner:", "<iframe srcdoc", "onset_f1", "behavior gate passed"):
        assert words in shown
