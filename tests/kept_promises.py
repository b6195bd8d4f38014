"""A card and its runs as `card new` and `run` leave them, without the training: for pages that show them."""

from __future__ import annotations

import json
from pathlib import Path

from shadowbox.cards.file import CardFile

BEGAN = 1_000_000.0  # seconds since the epoch
UNKIND = "<img src=x onerror=alert(1)>'\"&#?</script><script>alert(2)</script>"
TARGETS = [
    {"metric": "val/onset_f1_greedy", "op": ">", "value": 0.3, "at": "best", "primary": True},
    {"metric": "val/loss", "op": "<", "value": 1.1, "at": "best", "primary": False},
]
KILL = [
    {"when": "val/loss > 400", "after": "", "for": "", "action": "stop", "set": {}},
    {
        "when": "train/norm > 0.5 and 3 < train/loss",
        "after": "",
        "for": "",
        "action": "warn",
        "set": {},
    },
]
CARD = """---
card: 1
id: {name}
goal: Learn what they press
question: Do 40 steps suffice?
prediction: They do.
game: brawl
preset: tiny
set: {{train: {{steps: 40, batch: 8}}}}
data: {{store: data/none, external: on a shelf}}
targets:
  - {{metric: val/onset_f1_greedy, op: ">", value: 0.3, primary: true}}
  - {{metric: val/loss, op: "<", value: 1.1}}
kill:
  - {{when: "val/loss > 400", action: stop}}
  - {{when: "train/norm > 0.5", action: warn, set: {{train.lr: 0.0001}}}}
seeds: [{seeds}]
{more}---

# Why

Because **nobody** knows. See `this`.

- first
- second

| a | b |
|---|---|
| 1 | 2 |
"""


def write_card(folder: Path, name: str = "toy", *, seeds: str = "0, 1", more: str = "") -> CardFile:
    """A right card."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(CARD.format(name=name, seeds=seeds, more=more))
    return CardFile.read(folder / f"{name}.md")


def write_run(folder: Path, *, onset_f1: float = 0.2, **facts: object) -> Path:
    """A run's folder: four lines of training, two of validation, a rule that fired."""
    folder.mkdir(parents=True)
    floors = {
        "loss/copy_last": 1.5,
        "onset_f1_greedy/copy_last": 0.1,
        "onset_f1_greedy/copy_last.low": 0.05,
        "onset_f1_greedy/copy_last.high": 0.15,
    }
    lines: list[dict[str, object]] = []
    for step in (10, 20, 30, 40):
        train = {"loss": 2 / (1 + step / 20), "norm": 1.0, "lr": 1e-3, "time/forward": 0.3}
        lines.append({"kind": "train", "step": step, "epoch": 0, "wall": BEGAN + step, **train})
        if step % 20 == 0:
            val = {"loss": 1.0, "loss.low": 0.9, "loss.high": 1.1, **floors}
            val |= {
                "onset_f1_greedy": onset_f1,
                "onset_f1_greedy.low": onset_f1 - 0.15,
                "onset_f1_greedy.high": onset_f1 + 0.15,
            }
            lines.append({"kind": "val", "step": step, "epoch": 0, "wall": BEGAN + step + 1, **val})
    warned = {"rule": 1, "action": "warn", "figures": {"train/norm": 1.0}, "set": {}}
    events = [
        {"event": "begin", "step": 0, "wall": BEGAN, "text": "4,393 parameters"},
        {
            "event": "rule",
            "step": 20,
            "wall": BEGAN + 20,
            "text": "step 20: warn: kill[1]: norm",
            **warned,
        },
    ]
    known = {
        "status": "finished",
        "step": 40,
        "total": 40,
        "game": "brawl",
        "kind": "policy",
        "card": "toy",
        "targets": TARGETS,
        "kill": KILL,
        "data": {"store": "data/none"},
        "stamps": [],
        "cost": {"wall_s": 40.0, "cpu_s": 30.0},
        "estimate": {"per_run_s": 32.0},
        "settings": {"train.lr": {"value": 0.001, "from": "default"}},
        "best": {"step": 40, "score": "loss", "value": 1.0, "baselines": {"copy_last": 1.5}},
        "config": {"lr": 0.001},
    }
    (folder / "run.json").write_text(json.dumps(known | facts))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder
