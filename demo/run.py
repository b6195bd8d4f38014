"""Demo of the whole toolkit in some minutes: matches, a game of your own, a policy, a dream, a body.

`make demo` runs it; the results are in runs/demo.
"""

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
CARD = """\
---
card: 1
id: clone
goal: a policy that presses like the aggressive bot, trained in a minute
question: does a small policy press at all if its actions are sampled and not rounded?
prediction: onsets within a factor of 1.5 of the recordings
game: brawl
learner: imitation
preset: small
set:
  train: {steps: 300, batch: 16, lr: 3e-3, validate_every: 100, threads: 1}
data:
  store: clone-store
  make: {record: {p0: aggressive, p1: based, matches: 100, seed: 7}}
  split: 80/20/0
targets:
  - {metric: val/onset_f1_greedy, op: ">", value: val/onset_f1_greedy/markov, primary: true}
  - {metric: val/onset_ratio_expected, op: ">", value: 0.67, at: last}
kill:
  - {when: "nonfinite(train/loss)", action: stop}
  - {when: "no_decrease(val/loss)", for: "50%", action: stop}
budget: {wall: 10 min}
seeds: [0]
reviewers: {min: 1}
---

# A clone in a minute

Data, model and training are as small as a demo requires. `cards/brawl-clone.md` is the full
experiment.
"""


def main() -> None:
    """Run the demo in runs/demo."""
    began = time.monotonic()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    brawl()
    paddles()
    clone()
    dream()
    body()
    page = OUT / "clone.html"
    others = "world.html, dream.html, clone-match.html, brawl.html, match.html, paddles.html and body.html"
    say(
        f"done in {time.monotonic() - began:.0f} s; open {page.relative_to(ROOT)}, "
        f"and beside it {others}"
    )
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform in ("darwin", "win32")):
        webbrowser.open(page.as_uri())


def brawl() -> None:
    """Record, audit and view matches between scripted fighters of the built-in game."""
    (OUT / "mix.yaml").write_text(MIX, encoding="utf-8")
    say("brawl, the built-in platform fighter")
    call("shadowbox record brawl --mix mix.yaml --matches 200 --seed 7 --out brawl-store")
    call("shadowbox audit brawl-store --verify --brief --html brawl.html")
    call("shadowbox view brawl-store#0 --out match.html")


def paddles() -> None:
    """Build the game of docs/add-a-game.md, record it, and audit it."""
    files = write_files(OUT)
    say(f"paddles, the game of docs/add-a-game.md: {len(files)} files in runs/demo/paddles")
    call("shadowbox games paddles:GAME")
    for opponent in ("follower", "idle"):
        players = f"--p0 follower --p1 {opponent}"
        call(f"shadowbox record paddles:GAME {players} --matches 100 --out paddles-store")
    call("shadowbox audit paddles-store --verify --html paddles.html")
    call("python paddles/look.py paddles-store")


def clone() -> None:
    """Train, evaluate and play a small imitation policy from a run card."""
    (OUT / "cards").mkdir()
    say("a run card: its plan is checked, signed, enforced during the run, and evaluated")
    call("shadowbox card new blank")
    (OUT / "cards" / "clone.md").write_text(CARD, encoding="utf-8")
    call("shadowbox card check clone")
    call("shadowbox card sign clone --as demo")
    call("shadowbox run clone")
    call('shadowbox card close clone --note "a first look"')
    call("shadowbox report clone --out clone.html")
    call("shadowbox match brawl --p0 policy:runs/clone --p1 based --seed 7 --out clone-match.html")


def dream() -> None:
    """Dream a match in the shipped world, and show the same moments recorded and dreamt."""
    say("dream:brawl, the learned world that comes with the package")
    players = "--p0 based --p1 aggressive --seed 7 --max-frames 300"
    call(f"shadowbox match brawl --world dream:brawl {players} --out dream.html")
    small = "--side all --episodes 20 --starts 20 --samples 2 --frames 120"
    call(f"shadowbox eval dream:brawl brawl-store {small} --out world.html")


def body() -> None:
    """Record a simulated person's gestures, and let one walk the course of a mock of Minecraft."""
    say("gesture: a simulated body presses the keys of Minecraft, here of a mock, over sockets")
    call("shadowbox record gesture --matches 1 --set people=1 --set seconds=15 --out body-store")
    call("shadowbox view body-store#0 --out body.html")
    call("shadowbox play gesture --mock --once --no-page --seconds 40")


def call(command: str) -> None:
    """Show a command and run it in runs/demo, with this interpreter."""
    print(f"\n$ {command}", flush=True)
    program, *arguments = shlex.split(command)
    words = ["-m", program, *arguments] if program == "shadowbox" else arguments
    environment = {**os.environ, "PYTHONPATH": str(OUT), "OMP_NUM_THREADS": "1"}
    finished = subprocess.run([sys.executable, *words], cwd=OUT, env=environment, check=False)
    if finished.returncode:
        sys.exit(f"demo: the command failed with exit code {finished.returncode}: {command}")


def say(text: str) -> None:
    """Print a line that introduces the next commands."""
    print(f"\n--- {text}", flush=True)


if __name__ == "__main__":
    main()
