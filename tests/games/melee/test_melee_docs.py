"""Tables of docs/melee.md, compared with the code.

`python tests/games/melee/test_melee_docs.py` prints them.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shadowbox.games.melee.accept import DEFAULTS, FILTERS, AcceptOptions
from shadowbox.games.melee.encodings import PRESETS, _EncodingSwitches, encoding
from shadowbox.games.melee.schema import SCHEMA

PAGE = Path(__file__).parents[3] / "docs" / "melee.md"


def meaning(lines, at):
    """The comment of a field: on its line, or on the lines above it."""
    if "# " in lines[at]:
        return lines[at].partition("# ")[2]
    above = []
    while lines[at - 1].strip().startswith("#"):
        at -= 1
        above.insert(0, lines[at].strip().removeprefix("# "))
    assert above
    return " ".join(above)


def settings(kind, head):
    """A table of a settings class: each field with its default, and its comment."""
    lines = inspect.getsource(kind).splitlines()
    rows = [f"| {head} | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(kind):
        (at,) = (at for at, line in enumerate(lines) if re.match(rf"\s+{field.name}:", line))
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        rows.append(
            f"| `{field.name}` | {f'`{default}`' if default != '' else ''} | {meaning(lines, at)} |"
        )
    return "\n".join(rows)


def filters():
    """The named filters, in words."""
    return (
        "; ".join(
            f"`{name}` is " + ", ".join(f"`{key}={value}`" for key, value in options.items())
            for name, options in FILTERS.items()
        )
        + "."
    )


def encodings():
    """The widths of the presets."""
    head = (
        "encoding",
        "floats a player",
        "a frame",
        "ints",
        "float targets",
        "category targets",
        "features",
        "switches",
    )
    rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, switches in PRESETS.items():
        made = encoding(name)
        switched = [
            f"`{f.name}={getattr(switches, f.name)}`"
            for f in dataclasses.fields(switches)
            if getattr(switches, f.name) != f.default
        ]
        cells = (
            len(made.numbers),
            made.floats,
            made.ints,
            made.float_targets,
            made.int_targets,
            made.frame_width,
        )
        rows.append(f"| `{name}` | " + " | ".join(map(str, cells)) + f" | {', '.join(switched)} |")
    return "\n".join(rows)


TABLES = {
    "OPTIONS": lambda: settings(AcceptOptions, "option"),
    "FILTERS": filters,
    "FIELDS": SCHEMA.table,
    "ENCODINGS": encodings,
    "SWITCHES": lambda: settings(_EncodingSwitches, "switch"),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_docs_agree_with_the_code(name):
    """Options, filters, fields, encodings and switches are in docs/melee.md as in the code."""
    assert TABLES[name]() in PAGE.read_text()
    assert DEFAULTS.keys() == {field.name for field in dataclasses.fields(AcceptOptions)}


def test_describing_the_game_is_light():
    """The record of the game loads without Numba and without torch."""
    code = (
        "import sys; from shadowbox.games import load; load('melee'); "
        "print({'numba', 'torch'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


if __name__ == "__main__":
    for name, table in TABLES.items():
        print(f"{name}\n{table()}\n")
