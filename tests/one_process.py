"""Several commands of Shadowbox in one new process, which costs as much as one of them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple

CODE = """
import contextlib, io, json, sys
from shadowbox.cli import main
for words in json.loads(sys.argv[1]):
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as stop:
            status = stop.code or 0
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""


class Answer(NamedTuple):
    """Exit status of a command, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def commands(folder, environment, *lines):
    """The answer to each command, one after another, in a folder that is not on the path."""
    words = [[str(word) for word in line] for line in lines]
    call = [sys.executable, "-P", "-c", CODE, json.dumps(words)]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [Answer(*json.loads(line)) for line in done.stdout.splitlines()]


def objects(folder, environment, *lines):
    """The object that each command prints with --json; all end well."""
    found = commands(folder, environment, *([*line, "--json"] for line in lines))
    for answer in found:
        assert answer.returncode == 0, answer.stderr
    return [json.loads(answer.stdout) for answer in found]
