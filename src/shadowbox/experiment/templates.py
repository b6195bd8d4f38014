"""Templates of new cards: blank, from a run, ablations, or a follow-up of a warning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from shadowbox.cards import card as cards
from shadowbox.cards.card import Card
from shadowbox.cards.field_types import NAME
from shadowbox.cards.file import CardFile
from shadowbox.cards.rules.conditions import COMPARISONS
from shadowbox.errors import CardError, UsageError
from shadowbox.experiment import results, settings
from shadowbox.train import runs
from shadowbox.train.config import TrainConfig

FOLDER = Path("cards")
PROSE = """
# {title}

## Why

What is known, what is not, and what will be done with the answer.

## Risks

What could make the answer worthless, and how one would see it.
"""


def blank(name: str, game: str) -> dict[str, Any]:
    """Front matter to fill in."""
    return {
        "card": 1,
        "id": name,
        "goal": "say in one sentence what this run is for",
        "question": "what is not known yet?",
        "prediction": "what do you expect, and why?",
        "game": game,
        "learner": "imitation",
        "preset": "tiny",
        "set": {"train": {"steps": 300, "batch": 32, "validate_every": 100}},
        "data": {
            "store": f"data/{name}",
            "make": {"record": {"p0": "based", "p1": "based", "matches": 100, "seed": 1}},
        },
        "targets": [
            {
                "metric": "val/onset_f1_greedy",
                "op": ">",
                "value": "val/onset_f1_greedy/markov",
                "primary": True,
            }
        ],
        "kill": [
            {"when": "nonfinite(train/loss)", "action": "stop"},
            {"when": "no_decrease(val/loss)", "for": "50%", "action": "stop"},
        ],
        "budget": {"wall": "30 min"},
        "seeds": [0],
        "reviewers": {"min": 0},
    }


def from_run(name: str, where: str) -> dict[str, Any]:
    """Front matter with a run's settings, and the run as the baseline."""
    run = runs.find_run(where)
    if run is None:
        raise UsageError(f"run {where} not found: give a folder such as runs/NAME")
    facts = run.facts
    if not facts.get("settings") and not facts.get("config"):
        raise UsageError(f"{run.path} does not say what it was configured with")
    head = blank(name, str(facts.get("game")))
    head |= {"learner": facts.get("learner", "imitation"), "preset": facts.get("preset", "tiny")}
    head["goal"] = f"what follows after {run.path}"
    head["set"] = _own_settings(run)
    known = {
        name: value for name, value in (facts.get("data") or {}).items() if name != "fingerprint"
    }
    head["data"] = known or {"store": facts.get("store") or f"data/{name}"}
    made = _made(Path(head["data"]["store"]))
    if made and not known:
        head["data"]["make"] = made
    head["baseline"] = {"run": str(run.path)}
    figures = run.figures()
    metric = f"val/{(facts.get('best') or {}).get('score', 'loss')}"
    if metric in figures:
        better = "<" if metric.endswith(("loss", "error", "mae")) else ">"
        head["targets"] = [
            {"metric": metric, "op": better, "value": figures[metric], "primary": True}
        ]
    return head


def ablations(
    name: str, head: Mapping[str, Any], switches: Sequence[str], usual: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Front matter for each ablation: a flag turned over, or NAME=VALUE."""
    for switch in switches:
        setting, equals, text = switch.partition("=")
        if equals:
            value: Any = yaml.safe_load(text)
        elif isinstance(usual.get(setting), bool):
            value = not usual[setting]
        else:
            known = "is not a flag" if setting in usual else "is not a setting"
            raise UsageError(
                f"--ablate {switch}: {setting} {known}; give its value, as in --ablate train.ema=0.99"
            )
        changed = cards.with_changes(head, {setting: value})
        word = str(value).lower().replace("/", "-")
        changed |= {
            "id": f"{name}-{setting.rpartition('.')[2]}-{word}"[:80],
            "goal": f"what {setting}: {value} changes",
        }
        yield changed


def follow_up(name: str, where: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Front matter of the card that made a run, with the changes that its warnings proposed.

    The run becomes the baseline.
    """
    run = runs.find_run(where)
    if run is None:
        raise UsageError(f"run {where} not found")
    proposals: dict[str, Any] = {}
    for fired in results.firings(run):
        proposals |= fired.get("set") or {}
    if not proposals:
        raise UsageError(
            f"no warning of {run.path} proposed a change; "
            f"`card new {name} --from {run.path}` copies its settings"
        )
    old = folder / f"{run.facts.get('card')}.md"
    if old.exists():
        _, known = cards.require_card(old)
        head = known.model_dump(by_alias=True, exclude_defaults=True) | {"card": 1}
        head["baseline"] = {"run": str(run.path)}
        head["targets"] = [_beyond(target, run.figures()) for target in head["targets"]]
    else:
        head = from_run(name, where)
    words = ", ".join(f"{setting}: {value}" for setting, value in proposals.items())
    return cards.with_changes(head, proposals) | {
        "id": name,
        "goal": f"what a warning in {run.path} proposed: {words}",
    }


def write(head: Mapping[str, Any], folder: Path = FOLDER) -> CardFile:
    """Write a new card; refuses to overwrite."""
    name = str(head["id"])
    if not NAME.fullmatch(name):
        raise UsageError(
            f"'{name[:80]}' is not a name for a card: use letters, digits, dots, - and _"
        )
    path = folder / f"{name}.md"
    if path.exists():
        raise CardError(f"{path} is there already")
    text = f"---\n{_yaml(head)}---\n{PROSE.format(title=name)}"
    file = CardFile(path, text)
    file.write()
    return file


def with_prior(file: CardFile, card: Card, settled: settings.RunSettings) -> CardFile:
    """The card with a table of comparable runs: their figures, and differing settings."""
    mine = {name: value for name, (value, _) in settled.origins.items()}
    found = runs.comparable(card, mine)
    if not found:
        return file
    metrics = list(dict.fromkeys(target.metric for target in card.targets)) or ["val/loss"]
    lines = [
        "| run | " + " | ".join(metrics) + " | set otherwise here |",
        "|---" * (len(metrics) + 2) + "|",
    ]
    for run, deltas in found:
        figures = run.figures()
        values = " | ".join(results.number(figures.get(metric)) for metric in metrics)
        lines.append(
            f"| `{run.path}` | {values} | {', '.join(deltas[:8]) or 'nothing'} |".replace(
                "<", "&lt;"
            )
        )
    return file.with_block("prior", "\n".join(lines))


def _beyond(target: Mapping[str, Any], figures: Mapping[str, float]) -> dict[str, Any]:
    """Tighten a target that the run meets already: better than that run."""
    reached, wanted = figures.get(target["metric"]), target["value"]
    if reached is None or isinstance(wanted, str) or not COMPARISONS[target["op"]](reached, wanted):
        return dict(target)
    return {**target, "op": target["op"][0], "value": reached}


def _own_settings(run: runs.Run) -> dict[str, Any]:
    """Settings of a run that are not defaults."""
    said = run.facts.get("settings")
    if said:
        own = {
            name: entry["value"]
            for name, entry in said.items()
            if entry.get("from") in ("card", "--set")
        }
    else:
        usual = TrainConfig(steps=1).to_json()
        own = {
            f"train.{name}": value
            for name, value in run.facts["config"].items()
            if value != usual.get(name)
        }
    return {
        name: value
        for name, value in own.items()
        if name.removeprefix("train.") not in settings.CARD_SAYS
    }


def _made(store: Path) -> dict[str, Any] | None:
    """The call that made a store, as a card's `make`."""
    from shadowbox.data.store import Store

    if not (store / "manifest.json").exists():
        return None
    call = Store(store).manifest.made.get("record")
    if not isinstance(call, dict) or len(call.get("pairings", ())) != 1:
        return None
    return {"record": {**call["pairings"][0], "seed": call["seed"], "options": call["options"]}}


def _yaml(head: Mapping[str, Any]) -> str:
    """Front matter as people write it: short values on one line."""
    lines = []
    for name, value in head.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            lines += [f"{name}:", *(f"  - {_flow(item)}" for item in value)]
        elif name in ("set", "data") and isinstance(value, dict):
            lines += [f"{name}:", *(f"  {key}: {_flow(item)}" for key, item in value.items())]
        else:
            lines.append(f"{name}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """A value on one line.

    JSON is understood by the parser of front matter; plain words need no quotes.
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if (
        isinstance(value, str)
        and value
        and all(letter.isalnum() or letter in "-_/. " for letter in value)
    ):
        plain = yaml.safe_load(value)
        if isinstance(plain, str) and value == value.strip() and value[0].isalpha():
            return value
    return json.dumps(value, ensure_ascii=False)
