"""Registry of learners: the `learner` of a card by name, with its needs, presets and metrics.

A learner says what it needs: recordings (`store`), or a `world`, a `reward` and `opponents`, or
both. A built-in one is a file beside this and a line in LEARNERS. Another package brings learners
by the entry point group `shadowbox.learners`:

    [project.entry-points."shadowbox.learners"]
    bandit = "bandits:SPEC"

and a card may name one as `module:SPEC`, installed or in the current folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowbox.cards.sections import Milestone, Stage
from shadowbox.core.game import Agent, Game, Reward, World
from shadowbox.core.imports import import_object
from shadowbox.core.metrics import MetricInfo
from shadowbox.core.schema import Schema
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.train.config import TrainConfig

if TYPE_CHECKING:  # it needs torch
    from shadowbox.train.protocols import TrainTask

GROUP = "shadowbox.learners"  # of entry points
LOGGED = ("norm", "lr", "examples_per_s", "skipped")  # by the loop, of every learner
# what a learner may need -> the key of a card that gives it, and an example
NEEDS = {
    "store": ("data", "data: {store: data/NAME, make: ...}"),
    "world": ("world", "world: {game}"),
    "reward": ("reward", "reward: {reward}"),
    "opponents": ("opponents", "opponents: [{bot}]"),
}
OPTIONAL = ("stages", "milestones", "teacher")  # keys that only learners read which take them


@dataclass(frozen=True)
class RunSpec:
    """Game, model and learner of a run, without the settings of the loop."""

    game: Game
    preset: str
    model: Mapping[str, Any] = field(default_factory=dict)  # changes of the preset
    learner: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Inputs of a learner for one run. Parts that it does not need are None or empty."""

    spec: RunSpec
    config: TrainConfig = field(default_factory=lambda: TrainConfig(steps=1))
    store: Store | None = None  # None also while the data of a card is not here yet
    split: Split | None = None
    worlds: Callable[[int], World] | None = None  # matches -> a world of the card's spec
    agents: Callable[[str], Agent] | None = None  # spec -> agent
    opponents: Mapping[str, float] = field(default_factory=dict)  # spec -> share of the matches
    reward: Reward | None = None
    stages: Sequence[Stage] = ()
    milestones: Sequence[Milestone] = ()
    teacher: str = ""  # spec of an agent
    parent: str = ""  # spec of the checkpoint that the run begins from
    run: Path | None = None  # the run's folder, for files of the learner's own
    facts: Mapping[str, Any] = field(default_factory=dict)  # for run.json
    resume: str = ""  # the command that goes on, printed when a run stops

    @property
    def game(self) -> Game:
        """The game's record."""
        return self.spec.game

    @property
    def schema(self) -> Schema:
        """Fields to learn on: the store's, else the game's."""
        return self.store.schema if self.store is not None else self.game.schema

    @cached_property
    def recordings(self) -> Store:
        """The store; raises if there is none."""
        if self.store is None:
            raise UsageError("this learner needs recordings: give a store")
        return self.store


@dataclass(frozen=True)
class ModelSummary:
    """Model and metrics of a run, without weights and data."""

    arguments: Mapping[str, Any]
    parameters: int
    metrics: Mapping[str, MetricInfo]  # as in val/loss and play/win_rate
    # the count; without the data some heads do not know yet how many answers they have
    exact: bool = True
    kind: str = "policy"  # of its checkpoints


class LearnerSpec:
    """Base of registered learners: subclass it and register an instance.

    `needs`: a subset of store, world, reward, opponents. `takes`: optional ones, and stages,
    milestones and teacher. `own_opponents`: names of opponents that it brings itself, such as
    `self`. `page`: `module:function`, (run) -> blocks of the page of its runs.
    """

    needs: frozenset[str] = frozenset({"store"})
    takes: frozenset[str] = frozenset()
    own_opponents: frozenset[str] = frozenset()
    page: str = ""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Settings of the learner, `learner.NAME` in a card, with their defaults."""
        return {}

    def presets(self) -> Mapping[str, Mapping[str, Any]]:
        """Presets of the model by name, each with all its settings, `model.NAME` in a card."""
        return {"default": {}}

    def preset_settings(self, preset: str) -> Mapping[str, Any]:
        """Settings of a preset beside its model, such as `train.lr` and `learner.n_steps`.

        They take the place of defaults; a card can change them.
        """
        return {}

    def summarize(self, inputs: Inputs) -> ModelSummary:
        """Model and metrics of a run; the store may be missing."""
        raise NotImplementedError

    def input_facts(self, spec: RunSpec) -> Mapping[str, Any]:
        """Facts about the inputs of the model, such as the widths of an encoding."""
        return {}

    def count(self, inputs: Inputs) -> dict[str, int]:
        """Facts of a run that follow from its data, such as batches_per_epoch.

        None without epochs.
        """
        return {}

    def examples(self, inputs: Inputs) -> int:
        """Examples (decisions that are learned from) of one item of a batch."""
        return 1

    def prepare(self, inputs: Inputs) -> TrainTask:
        """The task for the training loop."""
        raise NotImplementedError


def metric_info(
    losses: Mapping[str, float],
    scores: Mapping[str, MetricInfo],
    metrics: Sequence[str] = (),
    lines: Mapping[str, Mapping[str, MetricInfo]] | None = None,
) -> dict[str, MetricInfo]:
    """All metrics that a run logs, by full name: train/loss, val/loss/copy_last, play/win_rate.

    The arguments are those that a learner declares to the loop.
    """
    found = {
        f"train/{name}": scores.get(name, MetricInfo())._replace(baselines=())
        for name in ("loss", *losses, *metrics)
    }
    found |= {f"train/{name}": MetricInfo("", 0.0) for name in LOGGED}
    for kind, named in {"val": scores, **(lines or {})}.items():
        for name, info in named.items():
            found |= _with_ends(f"{kind}/{name}", info)
            for each in info.baselines:
                found |= _with_ends(f"{kind}/{name}/{each}", info._replace(baselines=()))
    return found


def _with_ends(name: str, info: MetricInfo) -> dict[str, MetricInfo]:
    """A figure and the ends of its interval."""
    return dict.fromkeys((name, f"{name}.low", f"{name}.high"), info)


# ---- by name -------------------------------------------------------------------------------------

LEARNERS: dict[str, str] = {  # name -> module:SPEC, imported on demand
    "imitation": "shadowbox.learners.imitation_spec:SPEC",
    "selfplay": "shadowbox.learners.selfplay_spec:SPEC",
    "dynamics": "shadowbox.learners.dynamics.spec:SPEC",
    "encoder": "shadowbox.learners.encoder.spec:SPEC",
    "windows": "shadowbox.learners.windows.spec:SPEC",
}
_loaded: dict[str, LearnerSpec] = {}  # as module:SPEC, in this process


def names() -> list[str]:
    """Names of built-in and installed learners."""
    return sorted({*LEARNERS, *(entry.name for entry in entry_points(group=GROUP))})


def is_code(name: str) -> bool:
    """True if a learner's name is code that is not imported yet: module:SPEC."""
    return ":" in name and name not in _loaded


def learner_spec(name: str) -> LearnerSpec:
    """The learner of a name, or at `module:SPEC`."""
    if name in _loaded:
        return _loaded[name]
    where = name if ":" in name else LEARNERS.get(name, "") or _installed(name)
    if not where:
        raise UsageError(f"unknown learner '{name}': {did_you_mean(name, names())}")
    try:
        found = import_object(where)
    except Exception as error:  # a third party's module may raise anything
        kind = (
            "" if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: "
        )
        raise UsageError(f"learner '{name}' cannot be imported: {kind}{error}") from error
    if not isinstance(found, LearnerSpec):
        raise UsageError(
            f"learner '{name}': {where} is a {type(found).__name__}, expected an instance of "
            "shadowbox.learners.registry.LearnerSpec"
        )
    unknown = (found.needs - NEEDS.keys()) | (found.takes - NEEDS.keys() - set(OPTIONAL))
    if unknown:
        raise UsageError(
            f"learner '{name}' needs or takes {sorted(unknown)[0]!r}: "
            f"{did_you_mean(sorted(unknown)[0], [*NEEDS, *OPTIONAL])}"
        )
    if ":" in name:
        _loaded[name] = found
    return found


def _installed(name: str) -> str:
    """`module:SPEC` of an entry point; refuses two packages with the same name."""
    found = sorted({entry.value for entry in entry_points(group=GROUP) if entry.name == name})
    if len(found) > 1:
        raise UsageError(
            f"learner '{name}' is installed twice, as {' and '.join(found)}: name one as module:SPEC"
        )
    return found[0] if found else ""


def parent_arguments(inputs: Inputs, kind: str) -> dict[str, Any]:
    """Arguments of the model that the run begins from, as plain data.

    Empty without a parent, or while it is not here yet. A resumed run has its own checkpoints.
    """
    return begun_arguments(inputs.parent, inputs.run, kind) if inputs.parent else {}


def begun_arguments(parent: str, run: Path | None, kind: str) -> dict[str, Any]:
    """Arguments of the model in the latest checkpoint of `run`, else in `parent`; empty without."""
    from shadowbox.model import checkpoint

    own = run is not None and bool(checkpoint.steps(run))
    if not own and not (parent and Path(parent.partition("@")[0]).exists()):
        return {}
    folder = checkpoint.find_checkpoint(f"{run}@latest" if own else parent)
    return dict(checkpoint.load(folder, kind=kind).about.arguments)
