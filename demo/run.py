"""The whole way, in two minutes: matches of the built-in game, a game of one's own, and a policy that a run card promises."""

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
goal: a policy that presses as the aggressive bot does, in a minute
question: does a small policy press at all, when it is drawn from and not rounded?
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

Too little of everything, so that it fits into a demonstration. `cards/brawl-clone.md` is the serious one.
"""


def main() -> None:
    """Run the demo; its results lie in runs/demo."""
    began = time.monotonic()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    brawl()
    paddles()
    clone()
    page = OUT / "clone.html"
    others = "clone-match.html, brawl.html, match.html and paddles.html"
    say(
        f"done in {time.monotonic() - began:.0f} s; to look at: {page.relative_to(ROOT)}, beside it {others}"
    )
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform in ("darwin", "win32")):
        webbrowser.open(page.as_uri())


def brawl() -> None:
    """The built-in platform fighter: matches between scripted fighters of several styles."""
    (OUT / "mix.yaml").write_text(MIX, encoding="utf-8")
    say("brawl, the built-in platform fighter")
    call("shadowbox record brawl --mix mix.yaml --matches 200 --seed 7 --out brawl-store")
    call("shadowbox audit brawl-store --verify --brief --html brawl.html")
    call("shadowbox view brawl-store#0 --out match.html")


def paddles() -> None:
    """The game that docs/add-a-game.md builds, word for word."""
    files = write_files(OUT)
    say(f"paddles, the game of docs/add-a-game.md: {len(files)} files in runs/demo/paddles")
    call("shadowbox games paddles:GAME")
    call(
        "shadowbox record paddles:GAME --p0 follower --p1 follower --matches 100 --out paddles-store"
    )
    call("shadowbox record paddles:GAME --p0 follower --p1 idle --matches 100 --out paddles-store")
    call("shadowbox audit paddles-store --verify --html paddles.html")
    call("python paddles/look.py paddles-store")


def clone() -> None:
    """A promise about an experiment, kept: a small policy learns to press as a scripted fighter does, and plays."""
    (OUT / "cards").mkdir()
    say("a run card: what is promised is checked, signed, enforced while it runs, and judged")
    call("shadowbox card new blank")
    (OUT / "cards" / "clone.md").write_text(CARD, encoding="utf-8")
    call("shadowbox card check clone")
    call("shadowbox card sign clone --as demo")
    call("shadowbox run clone")
    call('shadowbox card close clone --note "a first look"')
    call("shadowbox report clone --out clone.html")
    call("shadowbox match brawl --p0 policy:runs/clone --p1 based --seed 7 --out clone-match.html")


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
