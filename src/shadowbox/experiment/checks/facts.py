"""Facts of a card, computed from its model, settings and data, and compared with the stated ones."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from shadowbox.cards.card import Card
from shadowbox.cards.front_matter import Path as Place
from shadowbox.core import system
from shadowbox.errors import did_you_mean
from shadowbox.experiment import dataset
from shadowbox.experiment.checks import inputs
from shadowbox.experiment.checks.state import CardCheck
from shadowbox.learners.registry import RunSpec
from shadowbox.train import runs

# every fact that a card may state, and its source
FACTS = {
    "parameters": "model",
    "model_bytes": "model",
    "episodes": "data",
    "frames": "data",  # decisions: an episode of T decisions has T + 1 rows
    "store_bytes": "data",
    "train_episodes": "data",
    "val_episodes": "data",
    "train_frames": "data",
    "val_frames": "data",
    "train_examples": "data",  # decisions of the seats that are learned from
    "val_examples": "data",
    "batches_per_epoch": "data",
    "steps": "run",
}


def weigh(case: CardCheck) -> None:
    """Compute the size of the model, and check that it fits into memory."""
    if case.model is None or case.settled is None:
        return
    if not case.model.exact:
        case.facts["parameters_before_data"] = case.model.parameters
        return
    case.facts.pop("parameters_before_data", None)
    config, count = case.settled.config, case.model.parameters
    # weights, gradients, two moments; averages, and what is averaged
    copies = 4 + 2 * bool(config.ema)
    needed = 4 * count * copies
    case.facts |= {"parameters": count, "model_bytes": 4 * count, "training_bytes": needed}
    if (there := system.memory()) and needed > there and config.device in ("auto", "cpu"):
        case.add(
            ("preset",), f"weights and their optimizer need {needed:,} bytes, here are {there:,}"
        )


def describe_inputs(case: CardCheck) -> None:
    """Add the facts about the inputs of the model, and keep those of earlier runs beside them."""
    chosen, settled, game = case.learner, case.settled, case.game
    if chosen is None or settled is None or game is None:
        return
    own = case.attempt(("set",), lambda: chosen.input_facts(settled.plan)) or {}
    case.facts |= own
    run = runs.find_run(case.card.baseline.run) if case.card.baseline.run else None
    named: list[tuple[Place, str, Any]] = [
        (("prior", at), each.name, each.encoding) for at, each in enumerate(case.card.prior)
    ]
    if run is not None:
        named.insert(0, (("baseline",), str(run.path), run.settings.get("learner.encoding")))
    for place, name, encoding in named:
        if own and encoding:
            spec = RunSpec(game, case.card.preset, {}, {"encoding": encoding})
            found = case.attempt(place, functools.partial(chosen.input_facts, spec))
            case.beside[name] = dict(found or {})


def check_data(case: CardCheck) -> None:
    """Check the store of a card whose learner or evaluation needs one."""
    data = case.card.data
    if data is None or not case.needs_store or ("data" in case.unread and not data.store):
        return
    if not data.store:
        case.add(("data",), "name a store: data: {store: data/NAME, make: ...}")
        return
    ways = data.make and (data.make.record, data.make.ingest)
    if ways and (ways[0] is None) == (ways[1] is None):
        case.add(("data", "make"), "say either record or ingest")
        return
    if case.game is not None:
        for place, message in dataset.data_call_problems(case.card, case.game):
            case.add(("data", "make", *place), message)
        if (other := dataset.judged_on(case.card)) is not None:
            for place, message in dataset.data_call_problems(other, case.game):
                case.add(("eval", "data", "make", *place), message)
    case.store = case.attempt(("data", "store"), lambda: dataset.existing_store(case.card))
    if case.store is not None:
        _describe_store(case)
    elif (
        not data.make
        and not data.external
        and not any(mistake.field == "data.store" for mistake in case.mistakes)
    ):
        case.add(
            ("data", "store"),
            f"{data.store} is not here, and neither `make` nor `external` says where it comes from",
        )


def _describe_store(case: CardCheck) -> None:
    store, game = case.store, case.game
    assert store is not None
    for problem in dataset.dataset_problems(case.card, game, store) if game else ():
        case.add(("data", "store"), problem)
    known = dataset.data_fingerprint(case.card, game, store) if game else store.fingerprint
    shards = store.manifest.shards
    case.facts |= {
        "episodes": len(store),
        "frames": int(store.frames),
        "store_bytes": sum(file.bytes for shard in shards for file in shard.files.values()),
        "fingerprint": known,
    }


def count(case: CardCheck) -> None:
    """Count episodes, frames and batches of each side of the split, and steps of the run."""
    chosen, settled, game = case.learner, case.settled, case.game
    wants_store = chosen is not None and "store" in chosen.needs
    if chosen is None or settled is None or game is None or case.mistakes:
        return
    if wants_store and case.store is None:
        return
    data = case.card.data
    seeds = case.card.seeds[: None if data and data.resplit else 1]
    # settled anew for each seed only in its split
    given = [inputs.inputs_of(case.card, game, settled, case.store, seed=seed) for seed in seeds]
    found = case.attempt(("data",), lambda: [chosen.count(each) for each in given])
    if found is None:
        return
    case.facts |= found[0]
    sides = [f"{side}_episodes" for side in ("train", "val") if f"{side}_episodes" in found[0]]
    if case.model and not case.model.exact and all(found[0][side] for side in sides):
        case.model = case.attempt(("data",), lambda: chosen.summarize(given[0]))
        weigh(case)
    for side in sides:
        for each, counts in zip(given, found, strict=True):
            if not counts[side]:
                name = side.removesuffix("_episodes")
                text = f"no episode is on the side '{name}' of {each.split}: make more, or change the split"
                case.add(("data", "split"), text)
    _count_steps(case, found[0].get("batches_per_epoch"), has_epochs=bool(sides))


def _count_steps(case: CardCheck, batches: int | None, *, has_epochs: bool) -> None:
    assert case.settled is not None
    config = case.settled.config
    if batches:
        case.facts["steps"] = config.steps or (config.epochs or 0) * batches
    elif has_epochs or batches == 0:
        case.add(
            ("set", "train", "batch"),
            f"a batch of {config.batch} is more than an epoch has",
        )
    elif config.steps:
        case.facts["steps"] = config.steps
    else:
        case.add(
            ("set",),
            f"learner '{case.card.learner}' has no epochs: give its length as train.steps",
        )


def count_logs(case: CardCheck, every: int, expected: Mapping[str, Any] | None) -> None:
    """Add the facts about lines of the log, one in `every` steps.

    Seconds between two of them follow from the estimate.
    """
    case.facts["log_interval"] = every
    if batches := case.facts.get("batches_per_epoch"):
        case.facts["logs_per_epoch"] = batches // every
    if expected and expected.get("step_s"):
        case.facts["seconds_between_logs"] = float(f"{every * expected['step_s']:.3g}")


def check_stated(case: CardCheck) -> None:
    """Compare the facts that the card states with the computed ones.

    Facts of data that is elsewhere are only shown beside: a store of the same kind that is here has
    other numbers, and they may have been counted in another way.
    """
    for name, stated in case.card.facts.items():
        source = FACTS.get(name)
        if source is None:
            case.add(("facts", name), f"unknown fact '{name}': {did_you_mean(name, FACTS)}")
        elif is_as_stated(case.card, name, case.facts):
            continue
        elif name in case.facts:
            if stated != case.facts[name]:
                case.add(
                    ("facts", name),
                    f"the card says {stated:,.0f} {name}, the {source} has {case.facts[name]:,}",
                )
        elif source != "run" and case.store is None:
            case.add(
                ("facts", name),
                f"{stated:,.0f} cannot be checked: the data is not here; leave the fact out, "
                "or make the data",
            )


def is_as_stated(card: Card, name: str, computed: Mapping[str, Any]) -> bool:
    """True for a stated fact that follows from data which is elsewhere."""
    if card.data is None or not card.data.external:
        return False
    source = FACTS.get(name)
    if source == "run":
        return card.settings.get("train.steps") is None
    return source == "data" or (source == "model" and name not in computed)
