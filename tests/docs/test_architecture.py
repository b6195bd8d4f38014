"""The architecture page: every file of the package with its caption, and never out of date."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "shadowbox"
PAGE = ROOT / "docs" / "architecture.md"
SUFFIXES = (".py", ".js", ".css", ".html", ".yaml", ".yml", ".json")


@pytest.fixture(scope="module")
def script():
    """The functions of docs/architecture.py."""
    return runpy.run_path(str(ROOT / "docs" / "architecture.py"))


def test_the_architecture_page_is_up_to_date(script):
    """docs/architecture.md holds what its script would write into it now."""
    page = PAGE.read_text(encoding="utf-8")
    if script["rewritten"](page) != page:
        pytest.fail(
            "docs/architecture.md is out of date; rewrite it with: make docs", pytrace=False
        )


def test_the_tree_of_the_architecture_page_is_the_tree():
    """The page links every file of the package once with a caption, and nothing that is not there."""
    links = re.findall(
        r"^ *- \[([\w.]+)\]\(\.\./src/shadowbox/(\S+)\): (?:\S.*)$",
        PAGE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert all(path.rsplit("/", 1)[-1] == name for name, path in links)
    files = [path for path in SOURCE.rglob("*.*") if path.suffix in SUFFIXES]
    files = [path for path in files if "shipped" not in path.parts]  # weights are no source
    there = [str(path.relative_to(SOURCE)) for path in files if path.name != "__init__.py"]
    assert sorted(path for _, path in links) == sorted(there)


def test_the_rooms_are_listed_in_the_order_of_their_imports(script):
    """The table names every room once, each after all rooms that may import it."""
    text = PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[`(\w+)/`\]\(#\w+\) \| \S", text, re.MULTILINE)
    assert sorted(listed) == sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
    order = [room for layer in script["_layers"]() for room in layer]
    assert [room for room in order if room in listed] == listed
    assert listed[0] == "cli"


@pytest.mark.parametrize(
    ("name", "text", "caption"),
    [
        ("a.py", '"""Reads replays. In two passes."""', "Reads replays"),
        ("a.py", '"""Smash Bros. Melee, by replays.\n\nMore."""', "Smash Bros. Melee, by replays"),
        ("a.js", "/**\n * Draws `<b>` and\n * <i>. Fast.\n */\nlet a;", "Draws `<b>` and &lt;i>"),
        ("a.css", "/* Colors. */\n:root {}", "Colors"),
        ("a.yaml", "# Prices an hour.\n# Dated.\na: 1\n", "Prices an hour"),
    ],
)  # fmt: skip
def test_a_caption_is_the_first_sentence_of_a_file(script, tmp_path, name, text, caption):
    """Whatever the language, the caption is the first sentence of the docstring or first comment."""
    (tmp_path / name).write_text(text)
    assert script["caption"](tmp_path / name) == caption


@pytest.mark.parametrize(("name", "text"), [("a.py", "x = 1"), ("a.css", ":root {} /* late */")])
def test_a_file_without_a_caption_is_refused(script, tmp_path, name, text):
    """A file without a docstring or first comment ends the script with the file's name."""
    (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit, match=rf"{name}: begin it with a sentence"):
        script["caption"](tmp_path / name)
