"""README of a hub folder: a model card, a dataset card or the summary of a run card.

Every number is computed from the folder's own files, and has its baselines and 95 % interval where
they have them. The head is the one of the hub: license, library and tags.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowbox import __version__
from shadowbox.cards.card import read_card
from shadowbox.cards.file import DATA, CardFile
from shadowbox.core.evaluation import Figure, read_evaluation
from shadowbox.core.files import read_json
from shadowbox.core.stats import Interval
from shadowbox.data.baseline_scores import baseline_scores
from shadowbox.data.store import Store
from shadowbox.hub.listing import LIST
from shadowbox.train import log
from shadowbox.train.runs import Run

if TYPE_CHECKING:
    from shadowbox.hub.contents import _Content

UNKNOWN_LICENSE = "unknown"
MOST_FIGURES = 40
MOST_NAMES = 20


def readme(folder: Path, content: _Content) -> str:
    """Text of README.md of a filled folder."""
    makers = {"store": _store, "card": _card}
    body = list(makers.get(content.kind, _model)(folder, content))
    license = content.license or UNKNOWN_LICENSE
    tags = ["shadowbox", content.game, content.kind, *_tags(folder, content)]
    head = [
        "---",
        f"license: {license}",
        "library_name: shadowbox",
        "tags:",
        *(f"- {json.dumps(tag)}" for tag in dict.fromkeys(tags) if tag),
        "---",
    ]
    said = (
        f"License: {license}."
        if content.license
        else "License: none was given; ask the publisher of this folder before you use it."
    )
    end = [
        "",
        "## License and files",
        "",
        said,
        "",
        f"`{LIST}` names every file with its size and BLAKE2b-256. `shadowbox pull` compares all of them and "
        "takes no other file; nothing in this folder is run or unpickled.",
        "",
        f"Written by shadowbox {__version__}; all figures were computed from the files of this folder.",
        "",
    ]
    return "\n".join([*head, "", *body, *end])


def _tags(folder: Path, content: _Content) -> list[str]:
    if content.kind in ("store", "card"):
        return []
    config = read_json(folder / "config.json")
    return [str(config["kind"]), "reinforcement-learning"]


# ---- models --------------------------------------------------------------------------------------


def _model(folder: Path, content: _Content) -> Iterator[str]:
    config = read_json(folder / "config.json")
    facts = read_json(folder / log.FACTS) if (folder / log.FACTS).is_file() else {}
    word = {"world": "dream"}.get(config["kind"], config["kind"])
    yield f"# {content.name}"
    yield ""
    yield (
        f"A {config['kind']} of the game {content.game}, of the preset {config['preset']}, at step "
        f"{config['step']:,}."
    )
    yield from _block(
        f"shadowbox pull REMOTE --to runs/{content.name}",
        f"shadowbox eval runs/{content.name} STORE",
        f"shadowbox export onnx {word}:runs/{content.name} --out {content.name}.onnx",
    )
    yield "## Facts"
    yield ""
    yield from _table(("", ""), _model_facts(folder, config, facts))
    yield from _figures(folder, facts)
    yield from _lineage(folder, facts)


def _model_facts(
    folder: Path, config: Mapping[str, Any], facts: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    yield "parameters", f"{_parameters(folder):,}"
    for name in ("facts_hash", "coding_hash"):
        yield name.replace("_", " "), f"`{config[name]}`"
    if config.get("calibration"):
        yield "calibrated", "yes"
    for name in ("learner", "status", "commit"):
        if facts.get(name):
            yield name, str(facts[name])
    episodes = facts.get("episodes")
    if isinstance(episodes, dict):
        yield "episodes", ", ".join(f"{side} {count:,}" for side, count in episodes.items())
    versions, machine = facts.get("versions") or {}, facts.get("machine") or {}
    if versions:
        yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items())
    if machine:
        yield "machine", ", ".join(str(machine.get(name)) for name in ("processor", "device"))
    cost = facts.get("cost") or {}
    if "wall_s" in cost:
        yield "cost", f"{cost['wall_s']:,.0f} s, {cost.get('cpu_s', 0):,.0f} CPU seconds"


def _parameters(folder: Path) -> int:
    """Number of weights, from the header of their file."""
    with open(folder / "model.safetensors", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    return sum(math.prod(shape) for shape in shapes)


def _figures(folder: Path, facts: Mapping[str, Any]) -> Iterator[str]:
    found = read_evaluation(folder)
    yield ""
    if found is not None:
        yield "## Evaluation"
        yield ""
        why = f" ({'; '.join(found.gate.why[:3])})" if found.gate.why else ""
        yield f"Gate: {found.gate.verdict}{why}. Store: {found.store or 'none, matches'}."
        figures = found.figures
    else:
        yield "## Validation"
        yield ""
        figures = _validated(folder, facts)
        yield (
            "It was not evaluated (`shadowbox eval`); these are scores of its validation."
            if figures
            else "It was neither evaluated nor validated: nothing is known about how good it is."
        )
    if not figures:
        return
    yield ""
    rows = [
        (
            f"`{name}`",
            _interval(figure.value),
            ", ".join(f"{each} {_interval(value)}" for each, value in figure.baselines.items())
            or "-",
        )
        for name, figure in sorted(figures.items(), key=lambda item: not item[1].baselines)
    ]
    yield from _table(("figure", "value (95 %)", "baselines"), rows[:MOST_FIGURES])
    if len(rows) > MOST_FIGURES:
        yield ""
        yield f"And {len(rows) - MOST_FIGURES:,} more in `evaluation.json`."


def _validated(folder: Path, facts: Mapping[str, Any]) -> dict[str, Figure]:
    """Figures of the best validation, or the last one, from the log."""
    lines = [line for line in Run(folder, facts).lines if line["kind"] == "val"]
    best = (facts.get("best") or {}).get("step")
    lines = [line for line in lines if best is None or line["step"] == best]
    if not lines:
        return {}
    values = dict(log.numbers(lines[-1]))

    def interval(name: str) -> Interval:
        return Interval(*(float(values.get(name + end, math.nan)) for end in ("", ".low", ".high")))

    names = [name for name in values if "/" not in name and not name.endswith((".low", ".high"))]
    return {
        name: Figure(
            interval(name),
            {
                key.partition("/")[2]: interval(key)
                for key in values
                if key.startswith(f"{name}/") and not key.endswith((".low", ".high"))
            },
        )
        for name in names
        if name not in ("epoch", "step", "episodes")
    }


def _lineage(folder: Path, facts: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "## Lineage"
    yield ""
    rows = []
    if facts.get("card"):
        rows.append(("card", f"{facts['card']}, contract `{facts.get('card_hash')}`"))
    data = facts.get("data")
    store = data.get("store") if isinstance(data, dict) else facts.get("store")
    if facts.get("fingerprint"):
        rows.append(("data", f"{store}, fingerprint `{facts['fingerprint']}`"))
    for parent in facts.get("lineage") or ():
        rows.append(("parent", f"{parent.get('run')}, step {parent.get('step')}"))
    opponents = facts.get("opponents")
    if isinstance(opponents, dict):
        rows.append(
            ("opponents", ", ".join(f"{name} {share}" for name, share in opponents.items()))
        )
    evaluated = read_evaluation(folder)
    if evaluated is not None:
        rows.append(("evaluated as", evaluated.spec))
    if not rows:
        yield "None is known: the checkpoint came without its run."
        return
    yield from _table(("", ""), rows)


# ---- stores --------------------------------------------------------------------------------------


def _store(folder: Path, content: _Content) -> Iterator[str]:
    store = Store(folder)
    players = Counter(
        str(name) for at in range(len(store)) for name in store.meta_of(at).get("players", ())
    )
    shown = ", ".join(f"{name} ({count:,})" for name, count in players.most_common(MOST_NAMES))
    more = f", and {len(players) - MOST_NAMES:,} more" if len(players) > MOST_NAMES else ""
    size = sum(entry.bytes for shard in store.manifest.shards for entry in shard.files.values())
    yield f"# {content.name}"
    yield ""
    yield f"Recorded matches of the game {content.game}, a store of Shadowbox."
    yield from _block(
        f"shadowbox pull REMOTE --to data/{content.name}",
        f"shadowbox audit data/{content.name}",
        f"shadowbox train data/{content.name} --out runs/mine",
    )
    yield (
        'Without Shadowbox, `np.load("00000.rows.npy", mmap_mode="r")["player/x"]` has one value for each '
        "frame and slot."
    )
    yield ""
    yield "## Facts"
    yield ""
    yield from _table(
        ("", ""),
        [
            ("episodes", f"{len(store):,}"),
            ("frames", f"{store.frames:,} ({store.frames / store.schema.fps / 3600:.2f} hours)"),
            ("bytes", f"{size:,}"),
            ("fingerprint", f"`{store.fingerprint}`"),
            ("facts hash", f"`{store.schema.facts_hash}`"),
            ("players", shown + more or "-"),
            ("columns", ", ".join(f"`{key}`" for key in store.schema.columns)),
        ],
    )
    yield ""
    yield "## Baselines"
    yield ""
    yield from _scores(store)
    yield ""
    yield "## Lineage"
    yield ""
    made = {name: value for name, value in store.manifest.made.items() if value}
    yield from _table(
        ("", ""), [(name, f"`{json.dumps(value)}`"[:600]) for name, value in made.items()]
    )


def _scores(store: Store) -> Iterator[str]:
    """Table of baselines one frame ahead, which a model has to beat."""
    scores = baseline_scores(store)
    columns = scores["columns"]
    names = list(dict.fromkeys(name for row in columns.values() for name in row))
    yield (
        f"One frame ahead, without training, on {scores['episodes']:,} of the episodes: the mean absolute "
        "error of numbers, the share that is right of all others."
    )
    yield ""
    rows = [
        (
            f"`{key}`",
            *(_interval(_known(row[name])) if name in row else "-" for name in names),
        )
        for key, row in columns.items()
    ]
    yield from _table(("column", *names), rows)


def _known(score: Mapping[str, float | None]) -> Interval:
    values = (score.get(name) for name in Interval._fields)
    return Interval(*(math.nan if value is None else value for value in values))


# ---- cards ---------------------------------------------------------------------------------------


def _card(folder: Path, content: _Content) -> Iterator[str]:
    file = CardFile.read(folder / f"{content.name}.md")
    card = read_card(file).card
    yield f"# {content.name}"
    yield ""
    yield f"A run card of Shadowbox: the contract of an experiment in the game {content.game}."
    yield from _block(
        f"shadowbox pull REMOTE --to cards/{content.name}",
        f"shadowbox run cards/{content.name}/{content.name}.md",
    )
    rows = [("contract", f"`{file.hash}`")]
    rows += [(name, getattr(card, name)) for name in ("goal", "question", "prediction", "learner")]
    yield from _table(("", ""), [row for row in rows if row[1]])
    yield ""
    yield "## Results"
    yield ""
    results = file.block("results")
    yield DATA.sub("", results).strip() if results else "It was not run yet."


# ---- Markdown ------------------------------------------------------------------------------------


def _block(*lines: str) -> list[str]:
    return ["", "```console", *lines, "```", ""]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        cells = (" ".join(str(cell).split()).replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"


def _interval(interval: Interval) -> str:
    if not math.isfinite(interval.value):
        return "-"
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return f"{interval.value:.4g}"
    return f"{interval.value:.4g} ({interval.low:.4g} .. {interval.high:.4g})"
