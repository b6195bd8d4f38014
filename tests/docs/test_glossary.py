"""The glossary: every term is explained in two sentences and has an existing place in the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "shadowbox"
ENTRIES = re.findall(
    r"^\*\*([^*]+)\.\*\* (.*?)(?=\n\n|\Z)", (ROOT / "docs" / "glossary.md").read_text(), re.M | re.S
)
PLACE = re.compile(r"`([\w/]+\.py)`:\s((?:`[\w.]+`(?:,\s)?)+)\.")


def defined_in(path):
    """Dotted names that a file defines, and its strings, which name entries of tables."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            parts = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            names |= {node.name, *(f"{node.name}.{part.name}" for part in parts)}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return names


@pytest.mark.parametrize(("term", "text"), ENTRIES, ids=[term for term, _ in ENTRIES])
def test_a_term_has_two_sentences_and_a_place(term, text):
    """A term is explained in exactly two sentences and names files and symbols that exist."""
    places = PLACE.findall(text)
    assert places
    for file, symbols in places:
        missing = set(re.findall(r"`([\w.]+)`", symbols)) - defined_in(SOURCE / file)
        assert not missing, file
    sentences = PLACE.sub("", text).strip()
    assert len(re.findall(r"[.!?](?=\s|$)", sentences)) == 2


def test_the_glossary_is_short():
    """The glossary holds about a dozen terms, each of them once, and nothing between them."""
    page = (ROOT / "docs" / "glossary.md").read_text()
    assert 10 <= len(ENTRIES) <= 16
    assert len({term for term, _ in ENTRIES}) == len(ENTRIES)
    assert page.count("\n**") == len(ENTRIES)
