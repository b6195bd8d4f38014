"""Templates of new cards: blank, from a run, ablations, or a follow-up of a warning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from shadowbox.cards import card as cards
from shadowbox.cards import front_matter
from shadowbox.cards.card import Card
from shadowbox.cards.field_types import NAME
from shadowbox.cards.file import CardFile
from shadowbox.cards.rules.conditions import COMPARISONS
from shadowbox.core.game import Game
from shadowbox.core.metrics import MetricInfo
from shadowbox.errors import CardError, UsageError
from shadowbox.experiment import results, settings
from shadowbox.experiment.checks.inputs import FACTS
from shadowbox.learners.registry import NEEDS, Inputs, RunSpec, learner_spec
from shadowbox.train import runs
from shadowbox.train.config import TrainConfig

FOLDER = Path("cards")
FAVORITE = "val/onset_f1_greedy"  # of imitation
FLAGS_DOMINATE = {  # of worlds: many flags may drown positions
    "when": "ratio(train/loss/binary, train/loss/continuous) > 3",
    "after": "5%",
    "action": "warn",
    "set": {"learner.binary_weight": 0.1},
}
KEYS = {need: key for need, (key, _) in NEEDS.items()}
PROSE = """
# {title}

## Why

What is known, what is not, and what will be done with the answer.

## Risks

What could make the answer worthless, and how one would see it.
"""


def blank(name: str, game: Game, learner: str = "imitation") -> dict[str, Any]:
    """Front matter to fill in, with the keys that the learner needs."""
    chosen = learner_spec(learner)
    presets = chosen.presets()
    head = _head(name, game.spec or game.name, learner)
    head["preset"] = "tiny" if "tiny" in presets else next(iter(presets))
    metrics = chosen.summarize(Inputs(spec=RunSpec(game, head["preset"]))).metrics
    validated = any(metric.startswith("val/") for metric in metrics)
    train = {"steps": 300, "batch": 32} | ({"validate_every": 100} if validated else {})
    head["set"] = {"train": train}
    head |= {key: _example(key, name, game) for need, key in KEYS.items() if need in chosen.needs}
    head["targets"] = [_first_target(metrics)]
    head["kill"] = [{"when": "nonfinite(train/loss)", "action": "stop"}]
    if validated:
        head["kill"] += [{"when": "no_decrease(val/loss)", "for": "50%", "action": "stop"}]
    if "binary_weight" in chosen.defaults:
        head["kill"].append(FLAGS_DOMINATE)
    return head | {"budget": {"wall": "30 min"}, "seeds": [0], "reviewers": {"min": 0}}


def _head(name: str, game: str, learner: str) -> dict[str, Any]:
    return {
        "card": 1,
        "id": name,
        "goal": "say in one sentence what this run is for",
        "question": "what is not known yet?",
        "prediction": "what do you expect, and why?",
        "game": game,
        "learner": learner,
    }


def _example(key: str, name: str, game: Game) -> Any:
    """A value of a key that a learner needs, to be changed."""
    bots = sorted(set(game.bots) - game.held_out)
    bot = "based" if "based" in bots else bots[0] if bots else "policy:runs/NAME"
    call = {"p0": bot, "p1": bot, "matches": 100, "seed": 1}
    make: dict[str, Any] = {"record": call}
    if game.world is None and game.reader and not game.sources:
        make = {"ingest": {"paths": ["replays"]}}
    return {
        "data": {"store": f"data/{name}", "make": make},
        "world": game.name,
        "opponents": [bot],
        "reward": next(iter(game.rewards), "NAME"),
    }[key]


def _first_target(metrics: Mapping[str, MetricInfo]) -> dict[str, Any]:
    """A target on the metric that says most of a learner: beat a baseline that needs no learning."""
    judged = {
        name: info
        for name, info in metrics.items()
        if info.better in ("low", "high") and not name.startswith("train/")
    }
    name = FAVORITE if FAVORITE in judged else next(iter(judged), "train/loss")
    info = metrics.get(name, MetricInfo())
    value = f"{name}/{info.baselines[-1]}" if info.baselines else 0.0
    return {
        "metric": name,
        "op": "<" if info.better == "low" else ">",
        "value": value,
        "primary": True,
    }


def from_run(name: str, where: str) -> dict[str, Any]:
    """Front matter with a run's settings, and the run as the baseline."""
    run = runs.find_run(where)
    if run is None:
        raise UsageError(f"run {where} not found: give a folder such as runs/NAME")
    facts = run.facts
    if not facts.get("settings") and not facts.get("config"):
        raise UsageError(f"{run.path} does not say what it was configured with")
    head = _head(name, str(facts.get("game")), str(facts.get("learner", "imitation")))
    head["preset"] = facts.get("preset", "tiny")
    head["goal"] = f"what follows after {run.path}"
    head["set"] = _own_settings(run)
    head |= {key: facts[key] for key in FACTS if key in facts}
    if "store" in learner_spec(head["learner"]).needs:
        head["data"] = _data(name, facts)
    head["baseline"] = {"run": str(run.path)}
    head["targets"] = _beat(run)
    head["kill"] = [{"when": "nonfinite(train/loss)", "action": "stop"}]
    return head | {"budget": {"wall": "30 min"}, "seeds": [0], "reviewers": {"min": 0}}


def _data(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a run, and the call that made it."""
    known = {key: value for key, value in (facts.get("data") or {}).items() if key != "fingerprint"}
    if known:
        return known
    data: dict[str, Any] = {"store": facts.get("store") or f"data/{name}"}
    made = _made(Path(data["store"]))
    return data | ({"make": made} if made else {})


def _beat(run: runs.Run) -> list[dict[str, Any]]:
    """A target that is met by a better best checkpoint than the run's."""
    figures, score = run.figures(), str((run.facts.get("best") or {}).get("score", "loss"))
    metric = score if "/" in score else f"val/{score}"
    if metric not in figures:
        metric = "train/loss"
    better = "<" if metric.endswith(("loss", "error", "mae", "nll")) else ">"
    return [{"metric": metric, "op": better, "value": figures.get(metric, 0.0), "primary": True}]


def ablations(
    name: str, head: Mapping[str, Any], switches: Sequence[str], usual: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Front matter for each ablation: a flag turned over, or NAME=VALUE."""
    for switch in switches:
        setting, equals, text = switch.partition("=")
        if equals:
            value: Any = front_matter.parse_setting(text)
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
