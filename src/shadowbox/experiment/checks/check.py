"""Check of a card: facts are computed instead of believed, and every mistake is listed with its line."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shadowbox.cards import card as cards
from shadowbox.cards import signatures
from shadowbox.cards.card import Card
from shadowbox.cards.file import CardFile
from shadowbox.cards.front_matter import Mistake
from shadowbox.cards.sections import shares_of
from shadowbox.errors import did_you_mean
from shadowbox.experiment import estimate, limits, prices, settings, sweep
from shadowbox.experiment.checks import facts, feasibility, inputs
from shadowbox.experiment.checks.state import CardCheck
from shadowbox.learners.registry import Inputs, RunSpec
from shadowbox.model import kinds
from shadowbox.train import runs


@dataclass
class CheckedCard:
    """A card with its mistakes and its computed facts."""

    file: CardFile
    card: Card
    mistakes: list[Mistake]
    facts: dict[str, Any] = field(default_factory=dict)
    settled: settings.RunSettings | None = None
    warnings: list[Mistake] = field(default_factory=list)  # these keep no card from running
    beside: dict[str, dict[str, Any]] = field(default_factory=dict)  # facts of earlier runs, by run

    @property
    def good(self) -> bool:
        """True if the card has no mistakes."""
        return not self.mistakes


def check_card(
    card: Path | CardFile, games: settings.Games, changes: Mapping[str, Any] | None = None
) -> CheckedCard:
    """Check a card: parse it, build its model without memory, open its store, and compare everything."""
    file = card if isinstance(card, CardFile) else CardFile.read(card)
    reading = cards.read_card(file, changes)
    if reading.outdated:
        return CheckedCard(file, reading.card, reading.mistakes)
    case = CardCheck(file, reading, games)
    for step in STEPS:
        step(case)
    mistakes = sorted({*reading.mistakes, *case.mistakes})
    warnings = sorted(set(case.warnings))
    return CheckedCard(
        file, reading.card, mistakes, case.facts, case.settled, warnings, case.beside
    )


# ---- one step after the other --------------------------------------------------------------------


def _check_identity(case: CardCheck) -> None:
    card = case.card
    if "id" not in case.unread and card.id != case.file.name:
        case.add(("id",), f"the id is '{card.id}', the file is called '{case.file.name}'")
    presets = case.learner.presets() if case.learner else {}
    if case.learner and card.preset and card.preset not in presets:
        text = f"{card.learner} has no preset '{card.preset}': {did_you_mean(card.preset, presets)}"
        case.add(("preset",), text)
    if not card.seeds:
        case.add(("seeds",), "at least one seed is needed")
    if len(set(card.seeds)) < len(card.seeds):
        case.add(("seeds",), "a seed is given twice: it would be the same run")
    if len(card.reviewers.required) > card.reviewers.min > 0:
        case.add(
            ("reviewers", "min"),
            f"{len(card.reviewers.required)} are required, and {card.reviewers.min} suffice",
        )


def _check_settings(case: CardCheck) -> None:
    wrong = list(settings.setting_problems(case.card, case.game))
    for name, message in wrong:
        case.add(case.place_of(name), message)
    game, chosen = case.game, case.learner
    if game is None or chosen is None:
        return
    # the metrics of a run are known all the same
    if wrong or case.card.preset not in chosen.presets():
        usual = Inputs(spec=RunSpec(game, next(iter(chosen.presets()))))
        case.model = case.attempt(("learner",), lambda: chosen.summarize(usual))
        return
    case.settled = case.attempt(("set",), lambda: settings.resolve_settings(case.card, game))
    if case.settled is not None:
        given = Inputs(
            spec=case.settled.plan,
            config=case.settled.config,
            opponents=shares_of(case.card.opponents),
            stages=tuple(case.card.stages),
        )
        case.model = case.attempt(("set",), lambda: chosen.summarize(given))
        _check_score(case, case.settled.config.score)
        facts.weigh(case)
        facts.describe_inputs(case)


def _check_score(case: CardCheck, score: str) -> None:
    """Check that the score that decides which checkpoint is best is logged, and has a better side."""
    if case.model is None:
        return
    known = {
        name: info
        for name, info in case.model.metrics.items()
        if name.count("/") == 1 and not name.startswith("train/")
    }
    name = score if "/" in score else f"val/{score}"
    if "/" not in score and not any(each.startswith("val/") for each in known):
        return  # without validation the usual score decides nothing
    place = case.place_of("train.score")
    if name not in known:
        case.add(place, f"no line has the score '{name}': {did_you_mean(name, known)}")
    elif not known[name].better:
        case.add(place, f"no direction of {name} is better: choose another score")


def _check_inputs(case: CardCheck) -> None:
    if case.learner is None:
        return
    for place, message in inputs.input_problems(case.card, case.game):
        if place[0] not in case.unread:
            case.add(place, message)


def _check_eval(case: CardCheck) -> None:
    """Check that an evaluation has what the kind of checkpoint needs."""
    wish = case.card.eval
    kind = case.attempt(("learner",), lambda: kinds.checkpoint_kind(case.kind))
    if wish is None or kind is None:
        return
    if not kind.evaluate:
        case.add(("eval",), f"checkpoints of kind '{kind.name}' have no evaluation")
    elif "store" in kind.needs and case.card.data is None:
        case.add(
            ("eval",),
            f"the evaluation of a {kind.name} needs recordings: give `data: {{store: data/NAME}}`",
        )
    if kind.name == "policy" and not _can_be_played(case):
        swept = sweep.swept_names(case.card)
        for name in ("matches", "against"):
            if name in wish.model_fields_set or f"eval.{name}" in swept:
                assert case.game is not None
                text = f"{case.game.name} has no simulator, so that no match is played"
                case.add(("eval", name), f"{text}: leave {name} out")
    if wish.calibrate and kind.name != "policy":
        case.add(("eval", "calibrate"), f"only a policy is calibrated, this is a {kind.name}")


def _can_be_played(case: CardCheck) -> bool:
    """True if a policy can be evaluated in matches: in the game's simulator, or as was recorded."""
    made = case.card.data.make if case.card.data else None
    recorded = made is not None and made.record is not None and bool(made.record.world)
    return case.game is None or case.game.world is not None or recorded


def _check_budget(case: CardCheck) -> None:
    budget = case.card.budget
    table = case.attempt(("budget",), prices.read_prices)
    if table is not None:
        price = functools.partial(table.of, budget.machine)
        table = None if case.attempt(("budget", "machine"), price) is None else table
    expected = estimate.stored_estimate(case.file)
    if expected and expected.get("priced_as", budget.machine) != budget.machine:
        expected = None  # --set names another machine, whose speed is another one
    config = case.settled.config if case.settled else None
    if config is not None:
        facts.count_logs(case, config.log_every, expected)
    if not expected or table is None:
        return
    for place, message in limits.limit_problems(case.card, expected, table):
        case.add(place, message)
    if config is not None:
        for place, message in limits.limit_warnings(case.card, expected, table, config.log_every):
            case.warn(place, message)


def _check_parent(case: CardCheck) -> None:
    parent = case.card.parent
    if not parent:
        return
    run = parent.partition("@")[0]
    name = Path(run).parts[1] if len(Path(run).parts) > 1 else run
    if Path(run).exists():
        case.attempt(("parent",), functools.partial(_find_parent, parent))
    elif not case.file.path.with_name(f"{name}.md").exists():
        case.add(("parent",), f"run {run} not found, and no card {name} makes it")


def _check_baselines(case: CardCheck) -> None:
    card = case.card
    base = card.baseline
    if base.run and not base.values and runs.find_run(base.run) is None:
        name = Path(base.run).name
        if not case.file.path.with_name(f"{name}.md").exists():
            text = f"run {base.run} not found: train it, or give its values and their source"
            case.add(("baseline", "run"), text)
    if base.values and not base.source and not base.run:
        text = "say where these values come from: baseline: {values: ..., source: ...}"
        case.add(("baseline", "values"), text)
    for name in base.values:
        case.require_known(("baseline", "values", name), name)
    for at, earlier in enumerate(card.prior):
        for name in earlier.values:
            case.require_known(("prior", at, "values", name), name)


def _find_parent(spec: str) -> Path:
    """Folder of the checkpoint that a run begins from; refused if there is none."""
    from shadowbox.model import checkpoint

    return checkpoint.find_checkpoint(spec)


def _check_sweep(case: CardCheck) -> None:
    if case.card.sweep is not None and case.game is not None:
        for name, message in sweep.sweep_problems(case.card, case.game):
            case.add(("sweep", *([name] if name else [])), message)


def _check_blocks(case: CardCheck) -> None:
    text = "this block was edited by hand, or never ends: delete it, or undo that"
    for line, name in case.file.edited():
        case.mistakes.append(Mistake(line, f"card:{name}", text))
    for line, message in signatures.signature_problems(case.file):
        case.mistakes.append(Mistake(line, "card:signatures", message))


STEPS = (
    _check_identity,
    _check_settings,
    _check_inputs,
    _check_parent,  # before its model is looked at
    facts.check_data,
    facts.count,
    facts.check_stated,
    _check_eval,
    feasibility.check_targets,
    feasibility.check_milestones,
    feasibility.check_rules,
    _check_budget,
    _check_baselines,
    _check_sweep,
    _check_blocks,
)
