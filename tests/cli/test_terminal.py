"""The terminal as people use it: the tab key, narrow windows, and quick answers to wrong names."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time

import pytest
from conftest import random_episode
from test_cli import PROGRAM, _options, run

from shadowbox import cli
from shadowbox.cli.completion.names import BY_METAVAR
from shadowbox.cli.text.tables import fit
from shadowbox.data.write import Writer
from shadowbox.games import load


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a store, a card and `shadowbox` on the path, as the current one."""
    program = tmp_path / "bin" / "shadowbox"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m shadowbox "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    with Writer(tmp_path / "data" / "first", load("brawl").schema) as writer:
        for seed in range(4):
            writer.add(random_episode(load("brawl").schema, 30, seed=seed, players=["a", "b"]))
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "mine.md").write_text("")
    return tmp_path


ASK = """
import io, json, os, sys
from contextlib import redirect_stdout
from shadowbox import cli
answers = []
for asked in json.load(sys.stdin):
    os.environ.update(asked)
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    try:
        with redirect_stdout(out):
            cli.main([])
    except SystemExit as stop:
        answers.append([stop.code, out.buffer.getvalue().decode()])
print(json.dumps([answers, "torch" in sys.modules]))
"""


def names(lines):
    """What each (shell, line) is offered, as the process of a shell finds it, and torch or not."""
    asked = []
    for shell, line in lines:
        words = line.split(" ")
        asked.append(
            {
                "bash": {"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_BREAKS": " :=@"},
                "zsh": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
                "fish": {"COMP_WORDS": line, "COMP_CWORD": words[-1]},
            }[shell]
            | {"_SHADOWBOX_COMPLETE": f"{shell}_complete"}
        )
    answer = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps(asked), env={**os.environ, "_SHADOWBOX_COMPLETE": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (answer.returncode, answer.stderr) == (0, "")
    found, torch = json.loads(answer.stdout)
    assert all(code == 0 for code, _ in found)
    return [[each for each in re.split(r"[\n,\t]", text) if each] for _, text in found], torch


def test_names_are_completed(place):
    """Games, agents, worlds, stages, presets, stores, episodes and cards are offered."""
    offers = {
        "shadowbox tour": "tournament",
        "shadowbox match br": "brawl",
        "shadowbox match brawl --p0 exp": "expert",
        "shadowbox tournament brawl based policy:ch": "champion",  # bash keeps what is before the :
        "shadowbox match brawl --stage mi": "mirror",
        "shadowbox record brawl --world brawl@stage=mi": "mirror",
        "shadowbox train data/first --preset ti": "tiny",
        "shadowbox audit da": "data/first",
        "shadowbox view data/first#": "data/first#0",
        "shadowbox card check m": "mine",
        "shadowbox setup comp": "completion",
    }
    others = [
        ("zsh", "shadowbox match br"),
        ("fish", "shadowbox match brawl --p0 policy:ch"),
        ("bash", "shadowbox match brawl --p0 nobody"),
    ]
    found, torch = names([*(("bash", line) for line in offers), *others])
    for (line, value), offered in zip(offers.items(), found, strict=False):
        assert value in offered, line
    assert "brawl" in found[-3]
    assert "policy:champion" in found[-2]
    assert found[-1][0] == "file"  # and no error
    assert not torch


def test_every_metavar_of_a_name_is_known():
    """What help calls a store, an episode, a card or a run is completed as one."""
    wanted = re.compile(r"\b(STORE|CARD|RUN)\b")
    found = {option.metavar for _, option in _options(cli.shadowbox) if option.metavar}
    texts = {name for name in found if wanted.search(name) and "dream:" not in name}
    assert texts - set(BY_METAVAR) == set()


@pytest.mark.skipif(shutil.which("bash") is None, reason="a system without bash")
def test_the_tab_key_of_bash(place):
    """The installed script completes an agent whose name holds a colon, in a real bash."""
    with open(place / "rc", "w") as out:
        subprocess.run([*PROGRAM, "setup", "completion", "bash"], stdout=out, check=True)
    child, terminal = pty.fork()
    if child == 0:
        os.execvp("bash", ["bash", "--noprofile", "--rcfile", str(place / "rc"), "-i"])
    try:
        _until(terminal, rb"[$#] $")
        os.write(terminal, b"echo shadowbox; shadowbox match brawl --p0 policy:ch\t")
        # a beep: it may be with a delay, too
        assert b"ampion" in _until(terminal, rb"policy:ch\x07?ampion")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def _until(terminal, pattern, seconds=60):
    """Read a terminal until its text matches."""
    text, end = b"", time.monotonic() + seconds
    while not re.search(pattern, text):
        assert time.monotonic() < end, text
        if select.select([terminal], [], [], 0.2)[0]:
            text += os.read(terminal, 4096)
    return text


def test_how_completion_is_installed(capsys, monkeypatch):
    """In a terminal the one line is shown; elsewhere the script of the user's shell is printed."""
    for shell in ("bash", "zsh", "fish"):
        monkeypatch.setenv("SHELL", f"/bin/{shell}")
        code, out, _ = run(capsys, "setup", "completion")
        assert code == 0
        assert f"_SHADOWBOX_COMPLETE={shell}_complete" in out
    monkeypatch.setenv("SHELL", "/bin/ksh")
    assert run(capsys, "setup", "completion")[0] == 2
    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "isatty", lambda: True)
        _, out, _ = run(capsys, "setup", "completion", "zsh")
    assert out.splitlines()[-1].strip() == "shadowbox setup completion zsh >> ~/.zshrc"


def test_a_game_lists_its_bots_styles_and_stages(capsys):
    """`games brawl` has each bot with a line on its style, opponents with delays, and stages."""
    from shadowbox.games.brawl import GAME

    code, out, _ = run(capsys, "games", "brawl")
    assert code == 0
    for bot in GAME.bots:
        assert re.search(rf"^{bot}\b.*{re.escape(GAME.bot_notes[bot])}", out, re.MULTILINE), bot
    assert "based@delay=9" in out
    assert re.search(r"^stage +warehouse, mirror$", out, re.MULTILINE)


WRONG = {
    "no store": (["train", "nope", "--out", "x"], "nope is not a store"),
    "no preset": (["train", "data/first", "--out", "x", "--preset", "tny"], "did you mean 'tiny'?"),
    "no encoding": (["train", "data/first", "--out", "x", "--encoding", "al"], "has no encoding"),
    "no setting": (["train", "data/first", "--out", "x", "--set", "stps=3"], "stps"),
    "no run": (["eval", "nope"], "nope is not a run"),
    "a policy of a game": (
        ["eval", "policy:champion"],
        "shadowbox tournament GAME policy:champion",
    ),
    "no run to analyze": (["analyze", "nope"], "nope is not a run"),
    "no bot": (["match", "brawl", "--p0", "bsed", "--p1", "based"], "did you mean 'based'?"),
    "no stage": (
        ["match", "brawl", "--p0", "based", "--p1", "based", "--stage", "miror"],
        "did you mean 'mirror'?",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_names_are_refused_before_torch(place, arguments, message):
    """A wrong name needs no import of torch, which takes seconds."""
    code = (
        "import sys\nfrom shadowbox import cli\n"
        "try:\n    cli.main(sys.argv[1:])\n"
        "except SystemExit as stop:\n    print(stop.code, 'torch' in sys.modules)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert message in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert answer.stdout.split()[1:] == ["False"], answer.stdout
    assert answer.stdout.split()[0] in ("1", "2")


def test_tables_fit_a_narrow_terminal(capsys, monkeypatch, place):
    """In 40 columns no line of a table is longer, and no row of it is lost."""
    calls = (
        ["games"],
        ["games", "brawl"],
        ["audit", "data/first"],
        ["store", "info", "data/first"],
    )
    wide = [run(capsys, *call)[1] for call in calls]
    monkeypatch.setenv("COLUMNS", "40")
    for call, text in zip(calls, wide, strict=True):
        code, out, _ = run(capsys, *call)
        assert code == 0
        tables = [line for line in out.splitlines() if "  " in line.rstrip()]
        assert max(map(len, tables)) <= 40, call
        first = {line.split()[0] for line in text.splitlines() if "  " in line.strip()}
        assert len(first - {*out.split()}) <= text.count("\n\n") + 1, call  # heads of tables


def test_text_is_wrapped_before_rows_are_stacked():
    """A table keeps its columns if wrapped names suffice; a number is never wrapped."""
    rows = [["game", "what it is", "fps"], ["brawl", "a platform fighter for two people", "30"]]
    assert fit(rows, 2, None) == fit(rows, 2, 80)
    narrow = fit(rows, 2, 32).splitlines()
    assert max(map(len, narrow)) <= 32
    assert narrow[1].endswith(" 30")
    assert narrow[2].startswith("       ")
    assert fit(rows, 2, 20).splitlines() == [
        "brawl", "  what it is: a", "    platform fighter", "    for two people", "  fps: 30",
    ]  # fmt: skip
