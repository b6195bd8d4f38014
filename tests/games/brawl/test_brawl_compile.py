"""Compilation of the simulator: a progress bar for the first call, and a cache for later ones."""

from __future__ import annotations

import ast
import io
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest

from shadowbox.games import load
from shadowbox.games.brawl import jit, loop, physics

FOLDER = Path(jit.__file__).parent


class Terminal(io.StringIO):
    """Stream that claims to be a terminal."""

    def isatty(self):
        return True


def called(function):
    """A compiled caller, because Python cannot call inner functions."""
    return numba.njit(lambda x: function(x))


def drawn(stream, share):
    """True if the stream shows that share of the bar; a file shows no bar, but the first line."""
    return ("#" * int(share * jit.BAR) if stream.isatty() else "compiling") in stream.getvalue()


def compile_something(monkeypatch, stream, *, quiet_s=0.01, error=None, silent=False):
    """Compile two functions as the physics does, each for so long that the bar shows it."""
    monkeypatch.setattr(jit, "QUIET_S", quiet_s)
    monkeypatch.setattr(jit, "_inner", set())

    @jit.inner
    def one(x):
        return x + 1

    @jit.inner
    def other(x):
        return x * 2

    with jit.compiling(stream):
        for at, function in enumerate((one, other), 1):
            called(function)(1)
            end = time.monotonic() + (0.3 if silent else 120)
            while time.monotonic() < end and (silent or not drawn(stream, at / 2)):
                time.sleep(0.01)
            if error:
                raise error


def test_a_terminal_has_a_bar(monkeypatch):
    """The bar keeps to one line, grows with each compiled function, and ends with the time."""
    terminal = Terminal()
    compile_something(monkeypatch, terminal)
    text = terminal.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    frames = [frame.rstrip() for frame in text.split("\r")[1:]]
    shares = [frame.count("#") for frame in frames[:-1]]
    assert frames[0].startswith("compiling the simulator, once: about 20 s [")
    assert shares == sorted(shares)
    assert {jit.BAR // 2, jit.BAR} <= set(shares)
    assert frames[-1].startswith("compiled the simulator in ")
    assert max(map(len, frames)) < 80


def test_a_file_gets_two_lines(monkeypatch):
    """A file or a pipe gets a line at the beginning and one at the end."""
    file = io.StringIO()
    compile_something(monkeypatch, file)
    first, last = file.getvalue().splitlines()
    assert first == "compiling the simulator, once: about 20 s"
    assert last.startswith("compiled the simulator in ")


def test_quick_compilation_is_silent(monkeypatch):
    """Compilation within two seconds prints nothing, and neither does a cached call."""
    terminal = Terminal()
    compile_something(monkeypatch, terminal, quiet_s=60, silent=True)
    with jit.compiling(terminal):
        time.sleep(0.05)
    assert terminal.getvalue() == ""


def test_an_interruption_ends_the_bar(monkeypatch):
    """Ctrl-C ends the line of the bar, without a message of success or further drawing."""
    terminal = Terminal()
    with pytest.raises(KeyboardInterrupt):
        compile_something(monkeypatch, terminal, error=KeyboardInterrupt())
    text = terminal.getvalue()
    assert text.endswith("\n")
    assert "compiled" not in text
    numba.njit(lambda x: x - 1)(1)
    assert terminal.getvalue() == text


@pytest.mark.parametrize("worker", ["process", "rank"])
def test_workers_are_silent(monkeypatch, worker):
    """Worker processes and other ranks print nothing."""
    if worker == "process":
        monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    else:
        monkeypatch.setenv("RANK", "1")
    terminal = Terminal()
    compile_something(monkeypatch, terminal, silent=True)
    assert terminal.getvalue() == ""


def test_the_fingerprint_covers_what_is_compiled():
    """The cache is keyed by every file of the game that is compiled."""
    imported, left = set(), ["loop", "physics"]
    while left:
        name = left.pop()
        if name in imported or name == "jit":
            continue
        imported.add(name)
        for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "shadowbox.games.brawl":
                left += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module.startswith(
                "shadowbox.games.brawl."
            ):
                left.append(node.module.removeprefix("shadowbox.games.brawl.").replace(".", "/"))
    assert imported == set(jit.SOURCES)


def test_constants_of_callers_need_no_versions_of_their_own():
    """A function that callers give a constant, such as a seat, is compiled once for all of them."""

    @jit.inner
    def sum_of(seat, number):
        return seat * 10 + number

    @numba.njit
    def both(number):
        return sum_of(0, number) + sum_of(1, 2)

    assert both(4) == 4 + 12
    assert len(sum_of.signatures) == 1


def test_the_first_world_compiles_all():
    """The first world compiles both functions once; other array layouts need no new versions.

    Moves with paths have records of their own, for which other tests may have compiled `run`.
    """
    game = load("brawl")
    world = game.world(2)
    many = len(loop.run.signatures)
    assert len(physics.begin_all.signatures) == 1 <= many <= 2
    read_only = np.broadcast_to(np.zeros(2, bool), (2, 2))
    for keys in (
        np.zeros((2, 2), bool),
        read_only,
        np.zeros((2, 4), bool)[:, ::2],
        np.zeros((2, 2)),
    ):
        world.step(dict.fromkeys(game.schema.control_keys, keys))
    assert len(loop.run.signatures) == many


def test_compiling_ahead_is_quiet():
    """`python -m shadowbox.games.brawl.compile` prints nothing if everything is compiled."""
    load("brawl").world(1)
    done = subprocess.run(
        [sys.executable, "-m", "shadowbox.games.brawl.compile"], capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")
