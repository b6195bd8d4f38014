"""Demo of the whole loop on one page: recordings, a policy, a world, self-play, a tournament, a body.

`make demo` runs it and prints the address of the page, on which each part appears as soon as it is
done. Everything is in runs/demo.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pictures
from board import Board, Part
from walkthrough import write_files

from shadowbox.core import system

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "runs" / "demo"
CARDS = Path(__file__).resolve().parent / "cards"
MIX = """\
- {p0: based, p1: random}
- {p0: aggressive, p1: defensive}
- {p0: aerial, p1: kiter, share: 2}
"""
PLACE = "py:shadowbox.games.gesture.place.world:place_world@seconds=40"
Do = Callable[..., dict[str, Any]]


def main() -> None:
    """Run the demo in runs/demo."""
    began = time.monotonic()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    shutil.copytree(CARDS, OUT / "cards")
    board = Board(OUT / "index.html", [part for part, _ in PARTS])
    board.write()
    print(f"demo: {board.file.as_uri()} shows each part as soon as it is done", flush=True)
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform in ("darwin", "win32")):
        webbrowser.open(board.file.as_uri())
    for part, run in PARTS:
        take(board, part, run)
    cpu = sum(part.cpu_s for part in board.parts)
    print(
        f"\ndemo: done in {time.monotonic() - began:.0f} s ({cpu:.0f} CPU seconds); "
        f"open {board.file}",
        flush=True,
    )


def take(board: Board, part: Part, run: Callable[[Do], list[Any]]) -> None:
    """Run one part, and write the page at its start, at each of its commands, and at its end."""
    print(f"\n--- {part.title.lower()}: {part.words}", flush=True)
    part.state, part.began, before = "running", time.time(), _cpu_seconds()

    def do(command: str, **options: Any) -> dict[str, Any]:
        part.commands.append(command)
        part.cpu_s = _cpu_seconds() - before
        board.write()
        return call(command, **options)

    try:
        part.blocks = run(do)
        part.state = "done"
    except KeyboardInterrupt:
        part.state, part.why = "stopped", "Ctrl-C; make demo begins anew."
        sys.exit(130)
    except CommandFailed as error:
        part.state, part.why = "failed", f"{error}. The terminal has its message."
        sys.exit(f"demo: {error}")
    finally:
        part.wall_s, part.cpu_s = time.time() - part.began, _cpu_seconds() - before
        board.write()


# ---- the parts: each gives its commands to `do`, and returns what the page shows --------------------


def record(do: Do) -> list[Any]:
    """Matches between scripted fighters of the built-in game."""
    (OUT / "mix.yaml").write_text(MIX, encoding="utf-8")
    do("shadowbox record brawl --mix mix.yaml --matches 200 --seed 7 --out brawl-store")
    return [pictures.match(OUT / "brawl-store", "One of them: aggressive and defensive", part=0.3)]


def audit(do: Do) -> list[Any]:
    """What is in the recordings, and what predicting nothing would score."""
    do("shadowbox audit brawl-store --verify --brief --html audit.html")
    return pictures.audit(OUT / "brawl-store", "audit.html")


def imitate(do: Do) -> list[Any]:
    """A small policy from a run card: checked, signed, trained under its kill rules, judged."""
    do("shadowbox card check clone")
    do("shadowbox card sign clone --as demo")
    do("shadowbox run clone")
    do("shadowbox report clone --no-match --out clone.html")
    do(
        "shadowbox match brawl --p0 policy:runs/clone --p1 based --seed 7 --store clone-matches "
        "--out clone-match.html"
    )
    return [
        pictures.match(OUT / "clone-matches", "The clone against a bot, in the simulator"),
        *pictures.curve(OUT / "runs/clone/0", "loss", "The clone's loss on held-out matches"),
        *pictures.targets(OUT / "runs/clone", "clone.html"),
    ]


def world(do: Do) -> list[Any]:
    """A world from the same recordings, and a match in it."""
    do("shadowbox run world")
    do(
        "shadowbox match brawl --world dream:runs/world --p0 policy:runs/clone --p1 based "
        "--max-frames 240 --store dreams"
    )
    return [
        pictures.match(OUT / "dreams", "The clone in the new world, which draws every frame"),
        *pictures.curve(OUT / "runs/world/0", "pos_mae", "The world's error of places, in units"),
        *pictures.targets(OUT / "runs/world"),
    ]


def self_play(do: Do) -> list[Any]:
    """The clone goes on by playing itself, its beginning, and random keys."""
    do("shadowbox run warm")
    do("shadowbox report warm --no-match --out warm.html")
    do(
        "shadowbox match brawl --p0 policy:runs/warm --p1 policy:runs/clone --seed 7 "
        "--store warm-matches"
    )
    return [
        pictures.match(OUT / "warm-matches", "After self-play, against the clone it was"),
        *pictures.targets(OUT / "runs/warm", "warm.html"),
    ]


def tournament(do: Do) -> list[Any]:
    """Everybody against everybody, each seed from both seats."""
    agents = "based policy:runs/clone policy:runs/warm random"
    found = do(
        f"shadowbox tournament brawl {agents} --matches 8 --world brawl@time_limit=900 "
        "--out tournament.jsonl",
        as_json=True,
    )
    return [pictures.ratings(found)]


def dream(do: Do) -> list[Any]:
    """The learned world that comes with the package, beside the recordings of this demo."""
    do(
        "shadowbox eval dream:brawl brawl-store --side all --episodes 20 --starts 12 --samples 2 "
        "--frames 120 --out dream.html"
    )
    return pictures.dream(OUT / "dream.html")


def body(do: Do) -> list[Any]:
    """A simulated person walks the course of a mock of Minecraft by gestures."""
    do(
        f"shadowbox match gesture --world {PLACE} --p0 policy:people --store body-store "
        "--out body.html"
    )
    return [
        pictures.match(OUT / "body-store", "A body, and the keys that its gestures press"),
        *pictures.course(OUT / "body-store"),
    ]


def paddles(do: Do) -> list[Any]:
    """The game of docs/add-a-game.md: built, recorded and audited as any other."""
    write_files(OUT)
    do("shadowbox games paddles:GAME")
    for opponent in ("follower", "idle"):
        players = f"--p0 follower --p1 {opponent}"
        do(f"shadowbox record paddles:GAME {players} --matches 100 --out paddles-store")
    do("shadowbox audit paddles-store --verify --html paddles.html")
    do("python paddles/look.py paddles-store")
    sys.path.insert(0, str(OUT))
    return [
        pictures.match(OUT / "paddles-store", "Paddles: a folder of Python", game="paddles:GAME")
    ]


PARTS: list[tuple[Part, Callable[[Do], list[Any]]]] = [
    (Part("record", "Record", "Scripted fighters play 200 matches."), record),
    (Part("audit", "Audit", "What is in them, and what predicting nothing would score."), audit),
    (Part("imitate", "Imitate", "A small policy learns from 100 matches what to press."), imitate),
    (Part("world", "World", "A model learns what happens next, and can be played in."), world),
    (Part("self-play", "Self-play", "The clone goes on by playing against itself."), self_play),
    (Part("tournament", "Tournament", "Each pair, each seed from both seats."), tournament),
    (Part("dream", "Dream beside reality", "Recorded moments, and the shipped world's."), dream),
    (Part("gesture", "Gesture", "A simulated body walks a course by gestures."), body),
    (Part("own-game", "A game of your own", "The game of docs/add-a-game.md."), paddles),
]


# ---- commands ---------------------------------------------------------------------------------------


class CommandFailed(Exception):
    """A command of the demo ended with an error."""


def call(command: str, *, as_json: bool = False) -> dict[str, Any]:
    """Show a command and run it in runs/demo; `as_json`: return the object that it prints."""
    print(f"\n$ {command}", flush=True)
    program, *arguments = shlex.split(command)
    words = ["-m", program, *arguments] if program == "shadowbox" else arguments
    words += ["--json"] * as_json
    environment = {**os.environ, "PYTHONPATH": _path(), "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        [sys.executable, *words],
        cwd=OUT,
        env=environment,
        check=False,
        stdout=subprocess.PIPE if as_json else None,
    )
    if finished.returncode:
        raise CommandFailed(f"exit code {finished.returncode} of: {command}")
    found: dict[str, Any] = json.loads(finished.stdout) if as_json else {}
    return found


def _path() -> str:
    """Modules of the demo, and what this process can import."""
    return os.pathsep.join([str(OUT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _cpu_seconds() -> float:
    """CPU seconds of this process and of the commands that have ended."""
    return time.process_time() + (system.children_cpu_s() or 0.0)


if __name__ == "__main__":
    main()
