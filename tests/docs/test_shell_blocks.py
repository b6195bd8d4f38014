"""Every shell block of the README and the docs runs, command by command, on small data.

A block is marked `console`. A block that cannot run here is marked `console no-run: REASON`.
Commands run in this process, in the order of their page, in a folder that begins empty. Their
numbers are made smaller by options that a later option of the same name would override, too.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from made_matches import content

from shadowbox import cli
from shadowbox.web import server

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROGRAMS = ("shadowbox", "make", "python", "pip", "git", "cd", "pytest", "$")
NO_RUN = {
    "docs/docker.md": ["needs Docker"],
    "docs/export.md": [
        "converts for half a minute",
        "converts for a minute, and npm fetches a runtime",
    ],
    "docs/brawl.md": ["trains for ten minutes before"],
    "docs/tour.md": ["needs an SSH key of your own"],
    "docs/gesture.md": [
        "needs a person in front of a webcam",
        "needs clips of a calibration",
        "needs a run of some minutes and an own recording",
        "needs Minecraft and a person",
        "trains for half an hour",
        "measures for a minute",
    ],
    "docs/hub.md": ["needs a bucket, or an account at the hub"],
    "docs/launch.md": [
        "trains for some minutes",
        "needs an account at Modal",
        "needs a CUDA device",
    ],
    "docs/melee.md": [
        "needs replays of your own",
        "needs Slippi Dolphin and your own copy of the game",
        "needs Slippi Dolphin and your own copy of the game",
    ],
    "docs/takeover.md": ["needs a person at the keys", "needs a session of your own"],
    "docs/pipeline.md": [
        "takes the time that it is given, and melee needs replays of your own",
    ],
    "docs/worlds.md": [
        "trains for about half an hour",
        "compiles for a minute or more",
        "needs replays of your own",
        "each trains for minutes",
    ],
}
SHORT = ["--world", "brawl@time_limit=90"]
SMALLER = {
    "record": ["--matches", "24"],
    "train": ["--batch", "8", "--preset", "tiny", "--shares", "50/50/0"],
    "match": [],
    "tournament": ["--matches", "2", "--workers", "1"],
    "eval": [
        *("--matches", "2", "--episodes", "2"),
        *("--starts", "4", "--samples", "1", "--frames", "20"),
    ],
    "ingest": ["--workers", "1"],
    "serve": ["--port", "0"],
    "play": ["--port", "0", "--seconds", "2"],
}
SHIPPED = {  # settings of a shipped card that make its run small
    "train.steps": 2,
    "train.batch": 8,
    "learner.n_steps": 8,
    "world": "brawl@time_limit=60",
    "eval.matches": 4,
    "seeds": "[1]",
}
CARDS_OF = {"docs/selfplay.md": "brawl-*.md", "docs/launch.md": "policy-22k.md"}
OF_REPLAYS = ("docs/melee.md", "docs/from-replays-to-policy.md")
WITH_FILES = ("docs/your-own-gym-game.md",)
PLAYED = {  # the matches of a person
    "docs/play-like-me.md": ["shadowbox record brawl --p0 expert --p1 based --out data/played"]
}
SICK = ("doctor",)  # commands whose status 1 is an answer
PLAYING = ("record", "match", "tournament")
CARD = {
    r"steps: \d+": "steps: 2",
    r"batch: \d+": "batch: 2",
    r"validate_every: \d+": "validate_every: 1",
    r"matches: \d+": "matches: 24",
    r"seed: 1\b": "seed: 1, options: {time_limit: 120}",
    r"(\n +)store: (\S+)": r"\1store: \2\1split: 50/50/0",
}


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: what is written beside the fence, and the text."""
    return [(info.strip(), text) for info, text in FENCE.findall(page.read_text("utf-8"))]


def commands(text: str) -> list[list[str]]:
    """The words of each command of a block."""
    lines = [re.sub(r"(^|\s)#\s.*", "", line) for line in text.splitlines()]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    found = [shlex.split(part) for line in joined for part in line.split(" && ")]
    return [words for words in found if words]


def named(page: Path) -> str:
    """Path of a page from the root."""
    return str(page.relative_to(ROOT))


WITH_COMMANDS = [page for page in PAGES if any(info == "console" for info, _ in blocks(page))]


def test_shell_blocks_are_marked():
    """A block that holds a command is marked as one, so that none is forgotten."""
    for page in PAGES:
        for info, text in blocks(page):
            first = {line.split(" ")[0] for line in text.splitlines() if line.strip()}
            if first & set(PROGRAMS):
                assert info.split(" ")[0] == "console", f"{named(page)}: {text}"
    assert {named(page) for page in WITH_COMMANDS} >= {"README.md", "docs/tour.md"}


def test_exceptions_are_few_and_say_why():
    """The blocks that no test runs are those of this list, each with its reason."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        for info, _ in blocks(page):
            if info.startswith("console") and info != "console":
                found.setdefault(named(page), []).append(info.removeprefix("console no-run: "))
    assert found == NO_RUN


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=named)
def test_the_commands_of_a_page_run(page, paddles, tmp_path, monkeypatch, capsys):
    """Each command of the page ends well, after those before it; targets of make exist."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server, "run", lambda app, listener: listener.close())
    if named(page) in OF_REPLAYS:
        (tmp_path / "replays").mkdir()
        for seed in range(24):
            (tmp_path / "replays" / f"{seed}.slp").write_bytes(content(frames=40, seed=seed))
    _prepare(page, capsys)
    if named(page) in CARDS_OF:
        (tmp_path / "cards").mkdir()
        for path in ROOT.glob(f"cards/{CARDS_OF[named(page)]}"):
            (tmp_path / "cards" / path.name).write_bytes(path.read_bytes())
    given = [
        words
        for info, text in blocks(page)
        for words in (commands(text) if info == "console" else ())
    ]
    for words in given:
        call(words, capsys)
    assert given, "a page of commands has commands that run"


def _prepare(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Write the files of a page (`python file=NAME`), and what its reader has played before."""
    for info, text in blocks(page) if named(page) in WITH_FILES else ():
        if (found := re.search(r"file=(\S+)", info)) is not None:
            Path(found[1]).write_text(text, "utf-8")
    for words in PLAYED.get(named(page), ()):
        call(words.split(), capsys)


def call(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Run one command, smaller."""
    if words[0] == "make":
        told = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        return
    assert words[0] == "shadowbox", words
    with pytest.raises(SystemExit) as stop:
        cli.main([*words[1:], *smaller(words)])
    out, err = capsys.readouterr()
    assert stop.value.code in ((0, 1) if words[1] in SICK else (0,)), (
        f"{shlex.join(words)}\n{out}{err}"
    )
    if words[1:3] == ["card", "new"]:
        path = Path("cards") / f"{words[3]}.md"
        text = path.read_text("utf-8")
        if "ingest:" in text:  # of recordings, which cannot be made smaller
            return
        for pattern, less in CARD.items():
            text, count = re.subn(pattern, less, text, count=1)
            assert count == 1, f"{pattern} is not in the new card:\n{text}"
        path.write_text(text, "utf-8")


def smaller(words: list[str]) -> list[str]:
    """Options that make a command small; those of a resumed run cannot change."""
    if words[1] == "run" and words[2].startswith("cards/"):
        return [each for name, value in SHIPPED.items() for each in ("--set", f"{name}={value}")]
    if "--resume" in words or "--probe" in words or words[1] not in SMALLER:
        return []
    if words[1:3] == ["play", "melee"]:
        return []  # its dry run is small, and has neither a page nor a time
    if words[1] == "eval" and "data/melee" in words:
        return SMALLER["eval"][2:]  # no matches of a game without a simulator
    length = ["--epochs", "1"] if "--epochs" in words else ["--steps", "2"]
    return [
        *SMALLER[words[1]],
        *(SHORT if words[1] in PLAYING and "brawl" in words and "--world" not in words else []),
        *(length if words[1] == "train" else []),
    ]
