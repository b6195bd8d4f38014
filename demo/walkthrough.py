"""Extraction of the files of docs/add-a-game.md: fenced blocks that begin ```python file=NAME."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "add-a-game.md"
BLOCK = re.compile(r"^```python file=(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def write_files(folder: Path) -> list[Path]:
    """Write every file of the page under `folder`; return their paths."""
    paths = []
    for name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths
