"""The shape of the source tree: no import circles, small folders, short functions, few public classes."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
FILES = sorted((SOURCE / "shadowbox").rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def module_of(path: Path) -> str:
    """The dotted name of a file."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports_of(tree: ast.Module, *, lazy: bool) -> set[str]:
    """Modules of the package that a module imports, TYPE_CHECKING blocks included.

    `lazy`: also the imports inside functions.
    """
    found = set()
    nodes = list(ast.walk(tree)) if lazy else [*outside_functions(tree)]
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found & MODULES.keys()


def outside_functions(node: ast.AST):
    """Every node that is executed when the module is imported, or read by a type checker."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from outside_functions(child)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


@pytest.mark.parametrize("lazy", [False, True], ids=["at the top", "inside functions too"])
def test_no_module_imports_itself_in_a_circle(lazy):
    """No import circles, those of TYPE_CHECKING blocks included; nor with imports inside functions.

    A package does not depend on a module of its own for being imported through it.
    """
    graph = {name: imports_of(TREES[path], lazy=lazy) - {name} for name, path in MODULES.items()}
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    for name, others in graph.items():
        graph[name] = {
            other
            for other in others
            if other not in packages or name.startswith(f"{other}.") is False
        }
    assert circles(graph) == []


def test_folders_are_small():
    """No folder holds more than twenty Python files."""
    counts = Counter(path.parent for path in FILES)
    assert {str(folder): count for folder, count in counts.items() if count > 20} == {}


def test_functions_fit_on_a_screen():
    """No function is longer than sixty lines."""
    long = [
        f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > 60
    ]
    assert long == []


def test_files_are_short():
    """No file is longer than four hundred lines."""
    long = [
        f"{path.relative_to(SOURCE)}: {count}"
        for path in FILES
        if (count := path.read_text(encoding="utf-8").count("\n")) > 400
    ]
    assert long == []


def test_few_public_classes():
    """The package has at most two hundred public classes."""
    public = [
        node.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert len(public) <= 200


def test_lines_are_short():
    """Fewer than two of a hundred lines are longer than a hundred columns."""
    lines = [line for path in FILES for line in path.read_text(encoding="utf-8").splitlines()]
    assert sum(len(line) > 100 for line in lines) < 0.02 * len(lines)


def test_test_files_have_names_of_their_own():
    """No two test files share a name: pytest cannot collect both."""
    tests = Counter(path.name for path in (SOURCE.parent / "tests").rglob("test_*.py"))
    assert [name for name, count in tests.items() if count > 1] == []
