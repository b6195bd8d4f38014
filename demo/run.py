"""The whole way on a small game, in seconds: describe it, play it, store it, audit it, look at it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

from walkthrough import write_files

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "runs" / "demo"


def main() -> None:
    """Run the demo; its results lie in runs/demo."""
    began = time.monotonic()
    shutil.rmtree(OUT, ignore_errors=True)
    files = write_files(OUT)
    say(f"paddles, the game of docs/add-a-game.md: {len(files)} files in {OUT.relative_to(ROOT)}/paddles")
    call("its fields", "-m", "shadowbox", "games", "paddles:GAME")
    for opponent in ("follower", "idle"):
        players = ("--p0", "follower", "--p1", opponent)
        call(
            "100 matches into a store",
            "-m",
            "shadowbox",
            "record",
            "paddles:GAME",
            *players,
            "--matches",
            "100",
            "--out",
            "store",
        )
    call("what is in the store, every file verified", "-m", "shadowbox", "audit", "store", "--verify", "--html", "audit.html")
    call("what a policy would see and be asked", "paddles/look.py", "store")
    page = OUT / "audit.html"
    say(f"done in {time.monotonic() - began:.0f} s; the page to look at: {page.relative_to(ROOT)}")
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform == "darwin"):
        webbrowser.open(page.as_uri())


def call(what: str, *arguments: str) -> None:
    """Say what happens next, show the command, and run it in runs/demo."""
    shown = " ".join("shadowbox" if a == "shadowbox" else a for a in arguments if a != "-m" or "shadowbox" not in arguments)
    say(f"{what}\n$ {shown if shown.startswith('shadowbox') else f'python {shown}'}")
    environment = {**os.environ, "PYTHONPATH": str(OUT), "OMP_NUM_THREADS": "1"}
    finished = subprocess.run([sys.executable, *arguments], cwd=OUT, env=environment, check=False)
    if finished.returncode:
        sys.exit(f"demo: that command failed (exit {finished.returncode})")


def say(text: str) -> None:
    """A line of the story, apart from what the commands print."""
    print(f"\n--- {text}", flush=True)


if __name__ == "__main__":
    main()
