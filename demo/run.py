"""The whole way, in half a minute: matches of the built-in game, then a game of one's own; stored, audited, looked at."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

from walkthrough import write_files

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "runs" / "demo"
MIX = """\
- {p0: based, p1: random}
- {p0: aggressive, p1: defensive}
- {p0: aerial, p1: kiter, share: 2}
"""


def main() -> None:
    """Run the demo; its results lie in runs/demo."""
    began = time.monotonic()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    brawl()
    paddles()
    page = OUT / "brawl.html"
    say(
        f"done in {time.monotonic() - began:.0f} s; to look at: {page.relative_to(ROOT)}, match.html and paddles.html beside it"
    )
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform == "darwin"):
        webbrowser.open(page.as_uri())


def brawl() -> None:
    """The built-in platform fighter: matches between scripted fighters of several styles."""
    (OUT / "mix.yaml").write_text(MIX)
    say("brawl, the built-in platform fighter (the first call compiles its rules: some seconds)")
    call("shadowbox record brawl --mix mix.yaml --matches 200 --seed 7 --out brawl-store")
    call("shadowbox audit brawl-store --verify --brief --html brawl.html")
    call("shadowbox view brawl-store#0 --out match.html")


def paddles() -> None:
    """The game that docs/add-a-game.md builds, word for word."""
    files = write_files(OUT)
    say(f"paddles, the game of docs/add-a-game.md: {len(files)} files in runs/demo/paddles")
    call("shadowbox games paddles:GAME")
    call("shadowbox record paddles:GAME --p0 follower --p1 follower --matches 100 --out paddles-store")
    call("shadowbox record paddles:GAME --p0 follower --p1 idle --matches 100 --out paddles-store")
    call("shadowbox audit paddles-store --verify --html paddles.html")
    call("python paddles/look.py paddles-store")


def call(command: str) -> None:
    """Show a command and run it in runs/demo, with this interpreter."""
    print(f"\n$ {command}", flush=True)
    program, *arguments = shlex.split(command)
    words = ["-m", program, *arguments] if program == "shadowbox" else arguments
    environment = {**os.environ, "PYTHONPATH": str(OUT), "OMP_NUM_THREADS": "1"}
    finished = subprocess.run([sys.executable, *words], cwd=OUT, env=environment, check=False)
    if finished.returncode:
        sys.exit(f"demo: that command failed (exit {finished.returncode})")


def say(text: str) -> None:
    """A line of the story, apart from what the commands print."""
    print(f"\n--- {text}", flush=True)


if __name__ == "__main__":
    main()
