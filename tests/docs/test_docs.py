"""The documentation: its code runs, its links exist, and its tables agree with the code."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from browser import until
from walkthrough import BLOCK, PAGE

from shadowbox import cli

ROOT = Path(__file__).resolve().parent.parent.parent
FEWER = {  # of the demo
    "--matches 200": "--matches 24", "--matches 100": "--matches 12", "matches: 100": "matches: 24",
    "steps: 300": "steps: 10", "every: 100": "every: 5", "steps: 250": "steps: 8", "every: 125": "every: 4",
    "steps: 36, batch: 64": "steps: 2, batch: 8", "n_steps: 64": "n_steps: 16", "matches: 40": "matches: 2",
    "--matches 8": "--matches 2 --workers 1", "limit=900": "limit=90", "seconds=40": "seconds=2",
    "--episodes 20 --starts 12": "--episodes 4 --starts 4", "--frames 120": "--frames 30",
    "--max-frames 240": "--max-frames 30", "--seed 7 --store": "--seed 7 --max-frames 60 --store",
}  # fmt: skip
SMALLER = {"matches=100": "matches=24", "steps=300": "steps=4", "matches=40": "matches=2"}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.slow
def test_the_demo_shows_the_whole_loop_on_one_page(tmp_path, monkeypatch, visit):
    """Each part of `make demo` is on its page as soon as it is done, with a picture that opens.

    Here its commands of Shadowbox run in this process, and all of its numbers are small.
    """
    import run as demo

    seen = []

    def call(command, *, as_json=False):
        text = (out / "index.html").read_text(encoding="utf-8")
        seen.append([text.count(f'">{state}</span></h2>') for state in ("done", "running")])
        for usual, less in FEWER.items():
            command = command.replace(usual, less)
        if not command.startswith("shadowbox "):
            return process(command)
        said = io.StringIO()
        words = [*shlex.split(command)[1:], *["--json"] * as_json]
        with (
            contextlib.chdir(out),
            contextlib.redirect_stdout(said),
            pytest.raises(SystemExit) as stop,
        ):
            cli.main(words)
        assert stop.value.code == 0, command
        return json.loads(said.getvalue()) if as_json else {}

    process, out, cards = demo.call, tmp_path / "runs" / "demo", tmp_path / "cards"
    shutil.copytree(demo.CARDS, cards)
    for card in cards.iterdir():
        text = card.read_text(encoding="utf-8")
        for usual, less in FEWER.items():
            text = text.replace(usual, less)
        card.write_text(text, encoding="utf-8")
    for name, value in (("OUT", out), ("CARDS", cards), ("call", call)):
        monkeypatch.setattr(demo, name, value)
    monkeypatch.syspath_prepend(str(out))
    demo.main()
    assert seen[0] == [0, 1]
    assert all(running == 1 for _, running in seen)
    assert sorted({done for done, _ in seen}) == list(range(9))
    page = visit(out / "index.html")
    assert page.locator("h2 .badge").all_inner_texts() == ["done"] * 9
    until(page, "[...document.querySelectorAll('match-viewer')].every((v) => v.rows?.length > 5)")
    assert page.locator("match-viewer").count() == 8
    assert page.evaluate("document.body.scrollWidth <= innerWidth")


@pytest.mark.slow
def test_the_example_of_the_front_page_runs(tmp_path, monkeypatch, capsys):
    """The README's Python trains a policy, plays it, and evaluates it; here with smaller numbers."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for usual, less in SMALLER.items():
        assert example.count(usual) == 1
        example = example.replace(usual, less)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert said.startswith("winner: ")
    assert "F1 of presses that begin: {'value': 0." in said
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
