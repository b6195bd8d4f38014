"""Render the API pages from the docstrings: `make docs`, or `python docs/api.py FOLDER`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc

# the commands have --help, and benchmarks are run and not imported
MODULES = ("shadowbox", "!shadowbox.cli", "!shadowbox.bench", "!shadowbox.__main__")


def render(folder: Path, modules: tuple[str, ...] = MODULES) -> None:
    """Write a page for each public module into `folder`, with a search and without a server."""
    # pdoc looks for the annotations of a NamedTuple in the module `collections`
    warnings.filterwarnings("ignore", message=r"Error parsing type annotation .*\.__init__")
    pdoc.render.configure(show_source=False, footer_text="Shadowbox")
    pdoc.pdoc(*modules, output_directory=folder)


if __name__ == "__main__":
    render(Path(sys.argv[1]))
