"""The API pages that `make docs` writes out of the docstrings."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

pytest.importorskip("pdoc")

ROOT = Path(__file__).resolve().parents[2]


def test_the_front_door_and_the_schema_are_rendered_without_a_warning(tmp_path):
    """A page each for `shadowbox` and `core.schema` is written, with an index, and nothing warns."""
    render = runpy.run_path(str(ROOT / "docs" / "api.py"))["render"]
    render(tmp_path, ("shadowbox", r"!shadowbox\..*", "shadowbox.core.schema"))
    assert (tmp_path / "shadowbox.html").exists()
    page = (tmp_path / "shadowbox" / "core" / "schema.html").read_text(encoding="utf-8")
    assert "facts_hash" in page
    assert (tmp_path / "index.html").exists()
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html"))
    assert written == ["index.html", "shadowbox.html", "shadowbox/core/schema.html"]
