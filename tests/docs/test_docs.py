"""The documentation: its code runs, its links exist, and its tables agree with the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from walkthrough import BLOCK, PAGE

from shadowbox import cli

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_demo_runs_to_its_page(tmp_path):
    """`make demo` plays the game of the docs, stores 200 matches, verifies them and writes a page."""
    copy = tmp_path / "clone"
    for folder in ("demo", "docs"):
        (copy / folder).mkdir(parents=True)
        for path in (ROOT / folder).glob("*.*"):
            (copy / folder / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, "demo/run.py"]
    answer = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "200 episodes" in answer.stdout
    assert "frames of brawl" in answer.stdout
    assert "every file verified" in answer.stdout
    assert "constant_velocity" in answer.stdout
    assert (copy / "runs" / "demo" / "brawl.html").read_text().startswith("<!doctype html>")
    assert "targets {'keys/up': (16, 32, 2)" in answer.stdout


@pytest.mark.slow
def test_the_example_of_the_front_page_runs(tmp_path):
    """The README's Python, word for word, trains a policy, plays it, and evaluates it."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    answer = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("winner: ")
    assert "F1 of presses that begin: {'value': 0." in answer.stdout
    assert "<match-viewer" in (tmp_path / "match.html").read_text(encoding="utf-8")


def test_the_walkthrough_names_its_files():
    """Every file that the walkthrough lists has its code on the page."""
    listed = re.findall(r"^  (\w+\.py) ", PAGE.read_text(), re.MULTILINE)
    assert {f"paddles/{name}" for name in listed} <= {
        name for name, _ in BLOCK.findall(PAGE.read_text())
    }
    assert len(listed) == 5


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link of a page is a file that exists."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_files_exist(page):
    """Every file of a room, of tests, docs or examples that a page names in code exists."""
    source = ROOT / "src" / "shadowbox"
    rooms = {path.name for path in source.iterdir() if path.is_dir()}
    for name in re.findall(r"`((?:\w+/)+[\w.]+\.(?:py|js|css|html|yaml))`", page.read_text()):
        base = name.partition("/")[0]
        if base in ("tests", "docs", "examples", "demo"):
            assert (ROOT / name).exists(), name
        elif base in rooms and "NAME" not in name:
            assert (source / name).exists(), name


def test_every_command_is_in_the_docs():
    """Each command of the program is mentioned on the tour or the front page."""
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "tour.md").read_text()
    for name in cli.COMMANDS:
        assert f"shadowbox {name}" in text, name


def test_formats_lists_what_the_index_holds():
    """docs/formats.md names every member of the episode index, of an event and of the manifest."""
    from conftest import TOY

    from shadowbox.core.game import EVENT
    from shadowbox.data import manifest
    from shadowbox.data.store import index_dtype

    text = (ROOT / "docs" / "formats.md").read_text()
    keys = [
        *index_dtype(TOY).names,
        *EVENT.names,
        *manifest._to_json(manifest.Manifest(TOY)),
        "seal",
    ]
    missing = [name for name in keys if f"`{name}`" not in text]
    assert not missing


def test_the_metrics_of_the_docs_are_those_of_the_code():
    """docs/metrics.md describes every metric and baseline of the code as the code does, and no other."""
    from shadowbox.core.metrics import BASELINES, METRICS

    text = (ROOT / "docs" / "metrics.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    metrics = {row[0].strip("`"): row for row in rows if len(row) == 6}
    assert list(metrics) == [metric.name for metric in METRICS]
    for metric in METRICS:
        _, where, better, per, baselines, meaning = metrics[metric.name]
        assert (where.replace(" ", "_"), better, per) == (
            metric.where,
            metric.better,
            metric.per or "-",
        )
        named = tuple(name.strip("` ") for name in baselines.split(",")) if baselines != "-" else ()
        assert named == metric.baselines
        assert meaning == metric.meaning
    assert {row[0].strip("`"): row[1] for row in rows if len(row) == 2} == BASELINES
    used = {name for metric in METRICS for name in metric.baselines}
    assert used == set(BASELINES)
