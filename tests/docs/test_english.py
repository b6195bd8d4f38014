"""The English of the package: habits that were counted once, and are kept out for good.

Docstrings name their subject: they do not open with a relative clause ("What the policy sees").
Sentences say what is missing or required, not what a thing "is no". Positions and people have
their plain words, not "lies", "stands", "nobody", "whoever" or "told".
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "shadowbox"
TEXTS = {path: path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}
RELATIVE = re.compile(r"(What|Who|Whose|Whom|Where|How|Whether|When|Which|Why)\b")
IS_NO = re.compile(r"\b(is|are) no\b(?! (longer|more)\b)")
WORDS = re.compile(r"\b(lies?|stands?|nobody|somebody|anybody|whoever|told|tells)\b", re.IGNORECASE)
MOST_IS_NO = 3  # lines
MOST_WORDS = 10  # lines; "nobody" is a name of values in three of them


def docstrings():
    """Place and docstring of every module, class and function."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path, text in TEXTS.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, kinds) and (docstring := ast.get_docstring(node)):
                place = f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 1)}"
                yield place, docstring


def lines_with(pattern):
    """Lines of the package in which a pattern occurs, with their places."""
    return [
        f"{path.relative_to(SOURCE)}:{number}: {line.strip()}"
        for path, text in TEXTS.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_docstrings_name_their_subject():
    """Fewer than two of a hundred docstrings open with What, Who, Where, How, Whether and the like."""
    all_of_them = list(docstrings())
    relative = [f"{place}: {text.splitlines()[0]}" for place, text in all_of_them
                if RELATIVE.match(text)]  # fmt: skip
    assert len(relative) < 0.02 * len(all_of_them), "\n".join(relative)


def test_nothing_is_defined_by_what_it_is_not():
    """At most three lines of docstrings, comments and messages hold "is no" or "are no"."""
    lines = lines_with(IS_NO)
    assert len(lines) <= MOST_IS_NO, "\n".join(lines)


def test_things_have_plain_words():
    """At most ten lines hold one of the words "lies", "stands", "nobody", "told", ..."""
    lines = lines_with(WORDS)
    assert len(lines) <= MOST_WORDS, "\n".join(lines)
