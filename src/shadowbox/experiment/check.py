"""Is a card right? Facts are computed and not believed, and every mistake is said in one go, with its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shadowbox.cards import card as cards
from shadowbox.cards import signatures
from shadowbox.cards.card import Card, ParsedCard
from shadowbox.cards.file import CardFile
from shadowbox.cards.front_matter import Mistake
from shadowbox.cards.front_matter import Path as Place
from shadowbox.cards.rules import grammar
from shadowbox.cards.rules.conditions import COMPARISONS, Comparison
from shadowbox.cards.rules.monitor import RuleMonitor
from shadowbox.core import system
from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError, did_you_mean
from shadowbox.experiment import dataset, estimate, feasibility, prices, settings
from shadowbox.learners.registry import LEARNERS, MetricInfo, ModelSummary, RunSpec, learner_spec
from shadowbox.train import runs

TYPED_FACTS = (
    "parameters", "episodes", "frames", "train_episodes", "val_episodes", "train_frames", "val_frames",
    "batches_per_epoch", "steps", "store_bytes", "model_bytes",
)  # fmt: skip
# some heads know only from the data how many answers they have
OF_DATA = frozenset(TYPED_FACTS) - {"steps"}


@dataclass
class CheckedCard:
    """A card, what is wrong with it, and what is so."""

    file: CardFile
    card: Card
    mistakes: list[Mistake]
    facts: dict[str, Any] = field(default_factory=dict)
    settled: settings.RunSettings | None = None

    @property
    def good(self) -> bool:
        """It may run, as far as it goes by what it says."""
        return not self.mistakes


def check_card(
    path: Path, games: settings.Games, changes: Mapping[str, Any] | None = None
) -> CheckedCard:
    """Read a card, build its model without memory, open its data's manifest, and compare everything that can be."""
    file = CardFile.read(path)
    reading = cards.read_card(file, changes)
    if reading.outdated:
        return CheckedCard(file, reading.card, reading.mistakes)
    case = _Case(file, reading, games)
    mistakes = [*reading.mistakes, *case.mistakes()]
    return CheckedCard(file, reading.card, sorted(set(mistakes)), case.facts, case.settled)


class _Case:
    """What is known of a card while it is checked; what one check finds out the next ones use."""

    def __init__(self, file: CardFile, reading: ParsedCard, games: settings.Games) -> None:
        self.file, self.reading, self.card = file, reading, reading.card
        self.unread = {
            mistake.field.partition(".")[0].partition("[")[0] for mistake in reading.mistakes
        }
        self.facts: dict[str, Any] = {}
        self.found: list[Mistake] = []
        self.game: Game | None = (
            self._try(("game",), lambda: games(self.card.game)) if self.card.game else None
        )
        self.model: ModelSummary | None = None
        self.settled: settings.RunSettings | None = None
        self.store: Store | None = None

    def mistakes(self) -> list[Mistake]:
        """All that is wrong beyond types."""
        self._who()
        self._settings()
        self._data()
        self._facts()
        self._targets()
        self._rules()
        self._budget()
        self._descent()
        self._sweep()
        self._blocks()
        return self.found

    # ---- one after the other ---------------------------------------------------------------------------------

    def _who(self) -> None:
        card = self.card
        if "id" not in self.unread and card.id != self.file.name:
            self._add(("id",), f"the id is '{card.id}', the file is called '{self.file.name}'")
        if card.learner not in LEARNERS:
            self._add(
                ("learner",),
                f"there is no learner '{card.learner}': {did_you_mean(card.learner, LEARNERS)}",
            )
        elif card.preset and card.preset not in (presets := learner_spec(card.learner).presets()):
            self._add(
                ("preset",),
                f"{card.learner} has no preset '{card.preset}': {did_you_mean(card.preset, presets)}",
            )
        if not card.seeds:
            self._add(("seeds",), "at least one seed is needed")
        if len(set(card.seeds)) < len(card.seeds):
            self._add(("seeds",), "a seed stands here twice: it would be the same run")
        if len(card.reviewers.required) > card.reviewers.min > 0:
            self._add(
                ("reviewers", "min"),
                f"{len(card.reviewers.required)} are required, and {card.reviewers.min} suffice",
            )

    def _settings(self) -> None:
        wrong = list(settings.setting_problems(self.card, self.game))
        for name, message in wrong:
            self._add(self._place_of(name), message)
        if self.game is None or self.card.learner not in LEARNERS:
            return
        game = self.game
        # what it would log is known all the same
        if wrong or self.card.preset not in _presets(self.card):
            usual = RunSpec(game, next(iter(_presets(self.card))))
            self.model = self._try(
                ("learner",), lambda: learner_spec(self.card.learner).summarize(game.schema, usual)
            )
            return
        self.settled = self._try(("set",), lambda: settings.resolve_settings(self.card, game))
        if self.settled is None:
            return
        plan, schema = self.settled.plan, game.schema
        self.model = self._try(
            ("set",), lambda: learner_spec(self.card.learner).summarize(schema, plan)
        )
        self._weigh()

    def _weigh(self) -> None:
        """How large the model is, and whether there is room for it."""
        if self.model is None or self.settled is None:
            return
        if not self.model.exact:
            self.facts["parameters_before_data"] = self.model.parameters
            return
        self.facts.pop("parameters_before_data", None)
        config, count = self.settled.config, self.model.parameters
        # weights, gradients, two moments; averages, and what is averaged
        copies = 4 + 2 * bool(config.ema)
        self.facts |= {
            "parameters": count,
            "model_bytes": 4 * count,
            "training_bytes": 4 * count * copies,
        }
        if (
            (there := system.memory())
            and 4 * count * copies > there
            and config.device in ("auto", "cpu")
        ):
            self._add(
                ("preset",),
                f"weights and their optimizer need {4 * count * copies:,} bytes, here are {there:,}",
            )

    def _data(self) -> None:
        data = self.card.data
        if "data" in self.unread and not data.store:
            return
        if not data.store:
            self._add(("data",), "name a store: data: {store: data/NAME, make: ...}")
            return
        ways = data.make and (data.make.record, data.make.ingest)
        if ways is not None and ways and (ways[0] is None) == (ways[1] is None):
            self._add(("data", "make"), "say either record or ingest")
            return
        if self.game is not None:
            for place, message in dataset.data_call_problems(self.card, self.game):
                self._add(("data", "make", *place), message)
        self.store = self._try(("data", "store"), lambda: dataset.existing_store(self.card))
        if self.store is None:
            if (
                not data.make
                and not data.external
                and not any(found.field == "data.store" for found in self.found)
            ):
                self._add(
                    ("data", "store"),
                    f"{data.store} is not here, and neither `make` nor `external` says where it comes from",
                )
            return
        if self.game:
            for problem in dataset.dataset_problems(self.card, self.game, self.store):
                self._add(("data", "store"), problem)
        self.facts |= {
            "episodes": len(self.store),
            "frames": int(self.store.frames),
            "store_bytes": sum(
                file.bytes for shard in self.store.manifest.shards for file in shard.files.values()
            ),
            "fingerprint": dataset.data_fingerprint(self.card, self.game, self.store)
            if self.game
            else self.store.fingerprint,
        }
        self._count()

    def _count(self) -> None:
        """How much of the store is for what, and how long the run is."""
        if self.settled is None or self.store is None or self.found:
            return
        store, settled = self.store, self.settled
        data, chosen = self.card.data, learner_spec(self.card.learner)
        splits = [
            dataset.split_of(data, seed) for seed in self.card.seeds[: None if data.resplit else 1]
        ]
        found = self._try(
            ("data",), lambda: [chosen.count(store, settled.plan, split, settled.config.batch) for split in splits]
        )  # fmt: skip
        if not found:
            return
        counted = found[0]
        self.facts |= counted
        if (
            self.model
            and not self.model.exact
            and counted["train_episodes"]
            and counted["val_episodes"]
        ):
            self.model = self._try(
                ("data",), lambda: chosen.summarize(store.schema, settled.plan, store, splits[0])
            )
            self._weigh()
        empty = [(side, split) for split, counts in zip(splits, found, strict=True) for side in ("train", "val")
                 if not counts[f"{side}_episodes"]]  # fmt: skip
        for side, split in empty:
            self._add(
                ("data", "split"),
                f"no episode is on the side '{side}' of {split}: make more, or change the split",
            )
        batches = counted.get("batches_per_epoch", 0)
        if not batches:
            self._add(
                ("set", "train", "batch"),
                f"a batch of {settled.config.batch} is more than an epoch has",
            )
            return
        self.facts["steps"] = settled.config.steps or (settled.config.epochs or 0) * batches

    def _facts(self) -> None:
        for name, said in self.card.facts.items():
            if name not in TYPED_FACTS:
                self._add(
                    ("facts", name), f"there is no fact '{name}': {did_you_mean(name, TYPED_FACTS)}"
                )
            elif name in self.facts:
                if said != self.facts[name]:
                    whose = (
                        "model"
                        if name in ("parameters", "model_bytes")
                        else "run"
                        if name == "steps"
                        else "data"
                    )
                    self._add(
                        ("facts", name),
                        f"the card says {said:,.0f} {name}, the {whose} has {self.facts[name]:,}",
                    )
            elif name in OF_DATA and self.store is None and not self.card.data.external:
                self._add(
                    ("facts", name),
                    f"{said:,.0f} cannot be checked: the data is not here; leave the fact out, or make the data",
                )

    def _targets(self) -> None:
        card = self.card
        if not card.targets and "targets" not in self.unread:
            self._add(("targets",), "a card without a target promises nothing")
        standing = self._baseline()
        for at, target in enumerate(card.targets):
            place: Place = ("targets", at)
            self._must_be_known(place, target.metric)
            if isinstance(target.value, str):
                self._must_be_known(place, target.value)
                continue
            grade = self._metric_info().get(target.metric)
            if grade and not feasibility.is_reachable(target, grade):
                self._add(
                    place,
                    f"{target} can never be met: {target.metric} is in {grade.low:g} .. {grade.high:g}",
                )
            known = standing.get(target.metric)
            if known is not None and COMPARISONS[target.op](known, target.value):
                self._add(place, f"the baseline meets {target} already: it has {known:.4g}")

    def _rules(self) -> None:
        total, per_epoch = self._length()
        for at, kill in enumerate(self.card.kill):
            place: Place = ("kill", at)
            condition = grammar.parse_rule(kill.when)
            unknown = [
                name
                for name in dict.fromkeys(condition.metrics)
                if not self._must_be_known(place, name)
            ]
            for name in condition.metrics:
                if name.startswith("eval/") and name not in unknown:
                    self._add(
                        place,
                        f"{name} is known only when the run is over: a rule needs train/... or val/...",
                    )
            if not unknown and (
                why := feasibility.why_never(
                    kill, self._metric_info(), total, per_epoch, self._epochs()
                )
            ):
                self._add(place, f"this rule can never fire: {why}")
            for name in kill.set:
                if name.partition(".")[0] not in cards.SECTIONS:
                    self._add(
                        (*place, "set"),
                        f"'{name}' is no setting: train.NAME, model.NAME or learner.NAME",
                    )
            if kill.set and kill.action != "warn":
                self._add(
                    (*place, "set"),
                    f"only a warning proposes settings; this rule is to {kill.action}",
                )
        self._must_spare_the_baseline(total, per_epoch)

    def _must_spare_the_baseline(self, total: float | None, per_epoch: float | None) -> None:
        """A rule that would have ended the run it is compared with, at once, is a mistake more often than a promise."""
        card, standing = self.card, self._baseline()
        run = runs.find_run(card.baseline.run) if card.baseline.run else None
        lines = run.lines if run else []
        for at, kill in enumerate(card.kill):
            if kill.action == "warn":
                continue
            condition = grammar.parse_rule(kill.when)
            if lines:
                ends = max(line["step"] for line in lines)
                epochs = max((line.get("epoch", 0) for line in lines), default=0) or 1
                fired = RuleMonitor([kill.rule], ends, ends / epochs).replay(lines)
                first = min(
                    (line["step"] for line in lines if _has(line, condition.metrics)), default=None
                )
                if fired and fired[0].step == first:
                    self._add(
                        ("kill", at),
                        f"this rule would have ended the baseline {card.baseline.run} at once, at step {first:,}",
                    )
            elif isinstance(condition, Comparison) and set(condition.metrics) <= standing.keys():
                condition.see(1, standing)
                if condition.since() is not None:
                    values = ", ".join(
                        f"{name} is {standing[name]:.4g}" for name in condition.metrics
                    )
                    self._add(("kill", at), f"this rule would end the baseline itself ({values})")

    def _budget(self) -> None:
        budget = self.card.budget
        table = self._try(("budget",), prices.read_prices)
        if table and self._try(("budget", "machine"), lambda: table.of(budget.machine)) is None:
            table = None
        expected = estimate.stored_estimate(self.file)
        if not expected:
            return
        worst = expected["pessimistic_s"]
        limits = {("timeout",): self.card.timeout, ("budget", "wall"): budget.wall}
        for place, limit in limits.items():
            if limit is not None and limit < worst:
                self._add(
                    place, f"{limit:,.0f} s are less than the estimate's pessimistic {worst:,.0f} s"
                )
        if (
            table
            and budget.usd is not None
            and (cost := table.cost(budget.machine, worst)) > budget.usd
        ):
            self._add(
                ("budget", "usd"),
                f"{budget.usd:g} are less than the estimate's pessimistic {cost:.2f}",
            )

    def _descent(self) -> None:
        card = self.card
        if card.parent:
            run = card.parent.partition("@")[0]
            name = Path(run).parts[1] if len(Path(run).parts) > 1 else run
            if not Path(run).exists() and not self.file.path.with_name(f"{name}.md").exists():
                self._add(
                    ("parent",), f"there is no run {run}, and no card {name} that would make it"
                )
        base = card.baseline
        if base.run and not base.values and runs.find_run(base.run) is None:
            name = Path(base.run).name
            if not self.file.path.with_name(f"{name}.md").exists():
                self._add(
                    ("baseline", "run"),
                    f"there is no run {base.run}: train it, or give its values and their source",
                )
        if base.values and not base.source and not base.run:
            self._add(
                ("baseline", "values"),
                "say where these values come from: baseline: {values: ..., source: ...}",
            )
        for name in base.values:
            self._must_be_known(("baseline", "values", name), name)

    def _sweep(self) -> None:
        from shadowbox.experiment import sweep

        if self.card.sweep is not None and self.game is not None:
            for name, message in sweep.sweep_problems(self.card, self.game):
                self._add(("sweep", *([name] if name else [])), message)

    def _blocks(self) -> None:
        for line, name in self.file.edited():
            self.found.append(
                Mistake(
                    line,
                    f"card:{name}",
                    "this block was edited by hand, or never ends: delete it, or undo that",
                )
            )
        for line, message in signatures.signature_problems(self.file):
            self.found.append(Mistake(line, "card:signatures", message))

    # ---- what they share ---------------------------------------------------------------------------------------

    def _baseline(self) -> dict[str, float]:
        """Metric -> the baseline's value: of the run on disk, else as the card says."""
        base = self.card.baseline
        run = runs.find_run(base.run) if base.run else None
        return {**base.values, **(run.figures() if run else {})}

    def _length(self) -> tuple[float | None, float | None]:
        """Steps of the run and of an epoch, as far as they are known."""
        steps = self.facts.get("steps") or (self.settled.config.steps if self.settled else None)
        return steps, self.facts.get("batches_per_epoch")

    def _epochs(self) -> int | None:
        return self.settled.config.epochs if self.settled else None

    def _metric_info(self) -> Mapping[str, MetricInfo]:
        """What will be logged, and within which bounds, as far as that is known."""
        return self.model.metrics if self.model else {}

    def _must_be_known(self, place: Place, metric: str) -> bool:
        if metric.startswith("eval/"):
            if self.card.eval is None:
                self._add(place, f"{metric} needs an `eval` block: who plays against whom")
                return False
            from shadowbox.experiment import evaluation

            if evaluation.eval_info(metric):
                return True
            known: Any = [f"eval/{name}" for name in evaluation.eval_figures("policy")]
        elif self.model is None:
            return True  # what it logs cannot be known, and why has been said
        else:
            known = self.model.metrics
        if metric in known:
            return True
        self._add(place, f"nothing logs '{metric}': {did_you_mean(metric, known)}")
        return False

    def _place_of(self, setting: str) -> Place:
        """train.lr stands under set as train: {lr: 1} or as train.lr: 1."""
        nested: Place = ("set", *setting.split(".", 1))
        return nested if nested in self.reading.head.lines else ("set", setting)

    def _try(self, place: Place, find: Any) -> Any:
        """What `find` finds, or None and its complaint as a mistake."""
        try:
            return find()
        except ShadowboxError as error:
            self._add(place, str(error))
            return None

    def _add(self, place: Place, message: str) -> None:
        self.found.append(self.reading.mistake(place, " ".join(message.split())))


def _presets(card: Card) -> Mapping[str, Any]:
    return learner_spec(card.learner).presets()


def _has(line: Mapping[str, Any], metrics: tuple[str, ...]) -> bool:
    return any(f"{line['kind']}/{name}" in metrics for name in line)
