"""Writes the golden files of a version: `python tests/golden/write.py`.

Each released version has a folder here, named by its number. It holds what a user of that version
has on disk, made by the command line alone:

    cards/golden.md             a card with facts and results
    data/golden/                a store of brawl: a few matches of two seconds
    runs/golden/0/              the run of the card: a tiny policy, with its evaluation
    match.html                  the page of the first match of the store
    expected.json               the numbers that later versions must find in these files

`test_golden.py` opens each folder with the version at hand. The folder of a version that was
released is never written again; this script refuses to. Write one before each release, once
everything else is done.

`before-0.1.0` was written by the commit d1c84ac, the last one with the old names of settings:

    PYTHONPATH=CLONE/src python tests/golden/write.py before-0.1.0
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OLDEST = "before-0.1.0"
FRAME = 60  # of an episode, at which the policy is probed
PROBED = ((0, 0), (0, 1), (3, 0), (3, 1))  # episode and player
VALUES = ("player/x", "player/y", "match/stage")  # of the first match, that are written down
OLD = {  # a name of the oldest card -> its present one
    "imitation": "imitate",
    "max_grad_norm": "clip",
    "prev_control_dropout": "blank",
    "prev_control_noise": "slips",
    "relative_positions": "distances",
    "label_smoothing": "smoothing",
    "actionable_when": "actionable",
    "non_actionable_weight": "elsewhere",
    "static_segment_keep: 0.5": "thin: 2",
    "eval/press_accuracy": "eval/val/btn_pressed_acc",
    "onset_f1_greedy/markov": "onset_f1/look_up",
    "onset_f1_greedy": "onset_f1",
    "accuracy": "right",
    "change_nll": "change",
    "copy_last": "hold",
}
CARD = """\
---
card: 1
id: golden
goal: A card, its store and its run, as this version writes them
game: brawl
learner: imitation  # the first comment
preset: tiny
set:
  train: {steps: 20, batch: 4, lr: 3e-3, warmup: 4, max_grad_norm: 0.5, score: accuracy, log_every: 5,
          validate_every: 20, threads: 1, device: cpu, precision: fp32}
  model: {width: 4, depth: 1, frames: 1, head_width: 8, prev_control_dropout: 0.1, prev_control_noise: 0.01}
  model.relative_positions: false
  model.label_smoothing: 0.02
  learner: {length: 16, actionable_when: ["player/stun=0"], non_actionable_weight: 0.5,
            static_segment_keep: 0.5}
data:
  store: data/golden
  split: 60/40/0
  make: {record: {p0: tapper, p1: based, matches: 5, seed: 7, options: {time_limit: 120}}}
targets:
  - {metric: val/loss, op: "<", value: val/loss/copy_last, primary: true}
  - {metric: val/accuracy, op: ">", value: 0.1}  # the second comment
  - {metric: val/change_nll, op: "<", value: 100.0}
  - {metric: val/onset_f1_greedy, op: ">=", value: val/onset_f1_greedy/markov}
  - {metric: eval/press_accuracy, op: ">", value: 0.5}
  - {metric: eval/onset_f1, op: ">", value: eval/onset_f1/look_up}
eval: {matches: 2, episodes: 2}
kill:
  - {when: "nonfinite(train/loss) or val/accuracy < 0.001", action: stop}
seeds: [0]
---

# golden

Prose, with `a word`.
"""


def main() -> None:
    """Write the folder of the version at hand."""
    version = sys.argv[1] if len(sys.argv) > 1 else shadowbox("--version").split()[-1]
    target = HERE / version
    if target.exists():
        sys.exit(f"{target} is there: the files of a version are never written again")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cards").mkdir()
        card = CARD
        for new, old in OLD.items() if version == OLDEST else ():
            card = card.replace(new, old)
        (folder / "cards" / "golden.md").write_text(card, encoding="utf-8")
        shadowbox("run", "cards/golden.md", at=folder)
        if version != OLDEST:
            shadowbox("view", "data/golden#0", "--out", "match.html", at=folder)
        found = json.dumps(expected(folder), indent=1) + "\n"
        (folder / "expected.json").write_text(found, encoding="utf-8")
        for path in [*folder.glob("**/*.lock"), *folder.glob("**/curves.*")]:
            path.unlink()
        shutil.copytree(folder, target)
    total = sum(path.stat().st_size for path in target.glob("**/*") if path.is_file())
    print(f"{target}: {total:,} bytes")


def expected(folder: Path) -> dict[str, Any]:
    """The numbers that every later version must find."""
    facts = json.loads((folder / "runs/golden/0/run.json").read_bytes())
    verdict = json.loads((folder / "runs/golden/verdict.json").read_bytes())
    return {
        "fingerprint": json.loads(shadowbox("store", "info", "data/golden", "--json", at=folder))[
            "fingerprint"
        ],
        "episodes": [
            json.loads(shadowbox("store", "info", f"data/golden#{at}", "--json", at=folder))
            for at in range(5)
        ],
        "values": first_values(folder),
        "card_hash": facts["card_hash"],
        "targets": {each["metric"]: each["value"] for each in verdict["targets"]},
        "probabilities": [probabilities(folder, *each) for each in PROBED],
    }


def first_values(folder: Path) -> dict[str, Any]:
    """A few columns of the first match, at the frame FRAME."""
    import numpy as np

    shadowbox("store", "export", "data/golden#0", "--out", "one.npz", at=folder)
    with np.load(folder / "one.npz") as columns:
        values = {key: columns[key][FRAME].tolist() for key in VALUES}
    (folder / "one.npz").unlink()
    return values


def probabilities(folder: Path, episode: int, player: int) -> dict[str, float]:
    """The probability of each button at the frame FRAME."""
    words = ("--probe", f"data/golden#{episode}:{FRAME}", "--player", str(player), "--json")
    found = json.loads(shadowbox("eval", "runs/golden/0", *words, at=folder))
    return {name: each["probability"] for name, each in found["buttons"].items()}


def shadowbox(*words: str, at: Path | None = None) -> str:
    """Call the command line in a folder; its standard output."""
    command = [sys.executable, "-m", "shadowbox", *words]
    done = subprocess.run(command, cwd=at, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


if __name__ == "__main__":
    main()
