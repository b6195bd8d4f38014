"""Agents named by `py:MODULE:FACTORY`: code of a user, from the current folder."""

from __future__ import annotations

import pytest

from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.play import specs

CODE = """
from shadowbox.games import load

def idle():
    return load("brawl").bots["constant"]("")

def broken():
    raise RuntimeError("no model here")

def nothing():
    return 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with a module of agents in it."""
    (tmp_path / "agents_of_mine.py").write_text(CODE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_function_makes_the_agent(here):
    """The factory is called, and options such as a delay apply to what it returns."""
    brawl = load("brawl")
    assert hasattr(specs.agent("py:agents_of_mine:idle", brawl), "act")
    assert specs.agent("py:agents_of_mine:idle@delay=3", brawl).frames == 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("py:agents_of_mine", "give a module and a function"),
        ("py:agents_of_mine:best", "has no attribute 'best'"),
        ("py:not_here:best", "No module named 'not_here'"),
        ("py:agents_of_mine:broken", "RuntimeError: no model here"),
        ("py:agents_of_mine:nothing", "returned a int; an agent has the methods start and act"),
    ],
)
def test_what_makes_no_agent_is_refused(here, spec, message):
    """Each mistake is one line that names the spec."""
    with pytest.raises(UsageError, match=message) as error:
        specs.agent(spec, load("brawl"))
    assert spec in str(error.value)
