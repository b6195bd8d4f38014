"""State of a card's check: facts found by one step and used by the next ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from shadowbox.cards.card import ParsedCard
from shadowbox.cards.file import CardFile
from shadowbox.cards.front_matter import Mistake
from shadowbox.cards.front_matter import Path as Place
from shadowbox.core.game import Game
from shadowbox.core.metrics import MetricInfo, find_info
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError, did_you_mean
from shadowbox.experiment import evaluation, settings
from shadowbox.learners.registry import LearnerSpec, ModelSummary, learner_spec
from shadowbox.train import runs

Found = TypeVar("Found")


class CardCheck:
    """A card during its check: game, learner, settings, model, store, facts, and mistakes so far."""

    def __init__(self, file: CardFile, reading: ParsedCard, games: settings.Games) -> None:
        self.file, self.reading, self.card = file, reading, reading.card
        # keys of which something could not be read; that was said already
        self.unread = {
            mistake.field.partition(".")[0].partition("[")[0] for mistake in reading.mistakes
        }
        self.facts: dict[str, Any] = {}
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []
        self.beside: dict[str, dict[str, Any]] = {}  # the same facts of earlier runs, by run
        self.game: Game | None = (
            self.attempt(("game",), lambda: games(self.card.game)) if self.card.game else None
        )
        self.learner: LearnerSpec | None = self.attempt(
            ("learner",), lambda: learner_spec(self.card.learner)
        )
        self.settled: settings.RunSettings | None = None
        self.model: ModelSummary | None = None
        self.store: Store | None = None

    @property
    def needs_store(self) -> bool:
        """True if the card needs recordings, for its learner or its evaluation."""
        wanted = self.learner is None or "store" in self.learner.needs | self.learner.takes
        return wanted or (self.card.data is not None and self.card.eval is not None)

    @property
    def kind(self) -> str:
        """Kind of the checkpoints of its runs."""
        return self.model.kind if self.model else "policy"

    @property
    def steps(self) -> float | None:
        """Steps of a run; None if unknown."""
        return self.facts.get("steps") or (self.settled.config.steps if self.settled else None)

    @property
    def metrics(self) -> Mapping[str, MetricInfo]:
        """Logged metrics with their bounds, as far as known."""
        return self.model.metrics if self.model else {}

    def baseline(self) -> dict[str, float]:
        """Values of the baseline by metric: of its run on disk, or as the card gives them."""
        base = self.card.baseline
        run = runs.find_run(base.run) if base.run else None
        return {**base.values, **(run.figures() if run else {})}

    def info_of(self, metric: str) -> MetricInfo | None:
        """Facts of a logged or evaluated metric; None for an unknown one."""
        if metric.startswith("eval/"):
            return evaluation.eval_info(metric, self.kind, self.card.data is not None)
        return self.metrics.get(metric) or self._own_info(metric)

    def require_known(self, place: Place, metric: str) -> bool:
        """True if a metric is logged; adds a mistake otherwise."""
        if metric.startswith("eval/"):
            if self.card.eval is None:
                self.add(place, f"{metric} needs an `eval` block: who plays against whom")
                return False
            figures = evaluation.eval_figures(self.kind, self.card.data is not None)
            known: Any = [f"eval/{name}" for name in figures]
        elif self.model is None:
            return True  # its metrics cannot be known, and the reason has been said
        else:
            known = self.metrics
        if self.info_of(metric) is not None:
            return True
        self.add(place, f"nothing logs '{metric}': {did_you_mean(metric, known)}")
        return False

    def place_of(self, setting: str) -> Place:
        """Path of a setting in the head, written as train: {lr: 1} or as train.lr: 1."""
        nested: Place = ("set", *setting.split(".", 1))
        return nested if nested in self.reading.head.lines else ("set", setting)

    def attempt(self, place: Place, find: Callable[[], Found]) -> Found | None:
        """Result of `find`; on an error None, with the error as a mistake."""
        try:
            return find()
        except ShadowboxError as error:
            self.add(place, str(error))
            return None

    def add(self, place: Place, message: str) -> None:
        """Add a mistake on the line of its place."""
        self.mistakes.append(self.reading.mistake(place, " ".join(message.split())))

    def warn(self, place: Place, message: str) -> None:
        """Add a warning on the line of its place."""
        self.warnings.append(self.reading.mistake(place, " ".join(message.split())))

    def _own_info(self, metric: str) -> MetricInfo | None:
        """Facts of a figure on the learner's own lines: play/win_rate.based is one of play/win_rate."""
        if metric.startswith(("train/", "val/")):
            return None
        return find_info(metric, self.metrics)
