"""Evaluation of checkpoints of any kind, by the evaluator that their kind registers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from shadowbox.core.evaluation import EvaluationReport
from shadowbox.core.game import Game
from shadowbox.errors import UsageError
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.evaluate.worlds.starts import is_world_spec
from shadowbox.model import kinds
from shadowbox.model.kinds import CheckpointKind
from shadowbox.play import checkpoints


class _Evaluated(Protocol):
    """Result of an evaluation, from which the page of its kind is made."""

    def report(self) -> EvaluationReport:
        """The report that is printed and stored."""
        ...


def kind_at(checkpoint: str | Path, game: Game | None = None) -> CheckpointKind:
    """Kind of a checkpoint: a run, `RUN@step=N`, a checkpoint's folder, or a world's spec."""
    if is_world_spec(str(checkpoint), game):
        return kinds.checkpoint_kind("world")
    where, _, which = str(checkpoint).partition("@")
    return kinds.kind_of(checkpoints.checkpoint_folder(where, which))


def evaluate_checkpoint(
    checkpoint: str | Path,
    store: str | Path | None,
    config: EvalConfig | None = None,
    *,
    game: Game | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> _Evaluated:
    """Evaluate a checkpoint with its kind's evaluator; the report is written beside it."""
    kind = kind_at(checkpoint, game)
    if store is None and "store" in kind.needs:
        raise UsageError(f"the evaluation of a {kind.name} needs recordings: name a store")
    evaluate = kind.part("evaluate")
    found: _Evaluated = evaluate(checkpoint, store, config, game=game, progress=progress)
    return found
