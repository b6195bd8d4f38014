"""Rewrite the generated parts of architecture.md: `make docs`, or `python docs/architecture.py`.

Captions are never written twice. A Python file is described by the first sentence of its docstring,
any other file by the first sentence of the comment that it begins with, a folder by its
`__init__.py`. The order of the rooms is that of the import contract in `pyproject.toml`.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "shadowbox"
PAGE = ROOT / "docs" / "architecture.md"
SUFFIXES = (".py", ".js", ".css", ".html", ".yaml", ".yml", ".json")
# how a comment at the beginning of a file is written, by the file's suffix
COMMENTS = {
    ".js": r"/\*+(.*?)\*/",
    ".css": r"/\*+(.*?)\*/",
    ".html": r"(?:<!doctype[^>]*>\s*)?<!--(.*?)-->",
    ".yaml": r"((?:#[^\n]*\n)+)",
    ".yml": r"((?:#[^\n]*\n)+)",
}
SENTENCE = re.compile(r"(?<!\bBros)(?<!\be\.g)(?<!\bi\.e)[.?!](?=\s|$)")


def rewritten(page: str) -> str:
    """The page with fresh text between each `<!-- begin NAME -->` and `<!-- end NAME -->`."""
    parts = {"layers": layers(), "rooms": rooms(), "files": files()}
    for name, text in parts.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise SystemExit(f"{PAGE.name}: expected the lines '{begin}' and '{end}', once each")
        before, after = page.split(begin)[0], page.split(end)[1]
        page = f"{before}{begin}\n{text}\n{end}{after}"
    return page


def layers() -> str:
    """The import order in one line, from the top."""
    return "```\n" + " > ".join(" | ".join(layer) for layer in _layers()) + "\n```"


def rooms() -> str:
    """A table of the rooms, from the top, each with its question."""
    lines = ["| room | its question |", "|---|---|"]
    for room in _rooms():
        lines.append(f"| [`{room}/`](#{room}) | {caption(SOURCE / room / '__init__.py')} |")
    return "\n".join(lines)


def files() -> str:
    """Every file of the package with its caption, room by room."""
    lines = [*_items(SOURCE, deep=False), ""]
    for room in _rooms():
        lines += [f"### {room}", "", _summary(SOURCE / room / "__init__.py"), ""]
        lines += [*_items(SOURCE / room), ""]
    return "\n".join(lines).strip()


def caption(path: Path) -> str:
    """The first sentence that a file says about itself."""
    summary = _summary(path)
    end = SENTENCE.search(summary)
    return (summary[: end.end()] if end else summary).removesuffix(".")


def _summary(path: Path) -> str:
    """The first paragraph of a module's docstring, or of the comment that another file begins with."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        about = ast.get_docstring(ast.parse(text)) or ""
    else:
        comment = re.match(r"\s*" + COMMENTS.get(path.suffix, "(?!)"), text, re.DOTALL)
        about = re.sub(r"^[ \t]*[*#]+", "", comment[1], flags=re.MULTILINE) if comment else ""
    paragraph = " ".join(about.strip().split("\n\n")[0].split())
    if not paragraph:
        raise SystemExit(f"{path}: begin it with a sentence about its content")
    return _safe(paragraph)


def _safe(sentence: str) -> str:
    """Escape `<` outside code, which would begin a tag, and `|`, which would divide a cell."""
    parts = sentence.replace("|", "\\|").split("`")
    return "`".join(part if at % 2 else part.replace("<", "&lt;") for at, part in enumerate(parts))


def _items(folder: Path, *, deep: bool = True, indent: str = "") -> Iterator[str]:
    """List items of a folder: its files, then its folders with theirs."""
    for path in sorted(folder.iterdir()):
        if path.suffix in SUFFIXES and path.name != "__init__.py" and "shipped" not in path.parts:
            yield f"{indent}- [{path.name}]({_link(path)}): {caption(path)}"
    for path in sorted(folder.iterdir()):
        if deep and (path / "__init__.py").exists():
            about = caption(path / "__init__.py")
            yield f"{indent}- [{path.name}/]({_link(path)}): {about}"
            yield from _items(path, indent=indent + "  ")


def _link(path: Path) -> str:
    return "../" + path.relative_to(ROOT).as_posix()


def _layers() -> list[list[str]]:
    """The layers of the import contract, from the top.

    Rooms of one layer do not import each other.
    """
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (contract,) = (item for item in contracts if item.get("containers") == ["shadowbox"])
    named = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    there = [[room for room in layer if _exists(room)] for layer in named]
    return [layer for layer in there if layer]


def _exists(room: str) -> bool:
    return (SOURCE / room).is_dir() or (SOURCE / f"{room}.py").exists()


def _rooms() -> list[str]:
    there = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    ordered = [room for layer in _layers() for room in layer if room in there]
    if missing := sorted(there - set(ordered)):
        raise SystemExit(f"pyproject.toml: the import contract has no layer for {missing}")
    return ordered


if __name__ == "__main__":
    PAGE.write_bytes(rewritten(PAGE.read_text(encoding="utf-8")).encode())
