"""Kinds of log lines: `train` and `val` belong to the loop, all others are declared by a learner.

Lines of undeclared kinds and figures with undeclared names are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from shadowbox.core.metrics import MetricInfo, find_info
from shadowbox.errors import TrainingError, UsageError, did_you_mean
from shadowbox.train.config import TrainConfig
from shadowbox.train.distributed import Ranks
from shadowbox.train.protocols import Learner, LineSource, TrainTask

OWN = ("train", "val")  # of the loop
RESERVED = (*OWN, "eval", "time")  # eval/...: figures of an evaluation, after the run
KIND = re.compile(r"[a-z][a-z0-9_]*")
NAME = re.compile(r"[A-Za-z0-9_.+~@-]+(?:/[A-Za-z0-9_.+~@-]+)*")


def declared_lines(learner: Learner) -> Mapping[str, Mapping[str, MetricInfo]]:
    """Figures of a learner's own lines by kind; invalid declarations are refused."""
    lines = learner.lines if isinstance(learner, LineSource) else {}
    for kind, figures in lines.items():
        if not KIND.fullmatch(kind) or kind in RESERVED:
            raise TrainingError(
                f"the learner declares lines of kind '{kind}', expected a word in small letters "
                f"other than {', '.join(RESERVED)}"
            )
        for name in figures:
            if not NAME.fullmatch(name):
                raise TrainingError(
                    f"the learner declares the figure '{kind}/{name}': no such name"
                )
    return lines


def merged(
    taken: Mapping[str, Mapping[str, tuple[float, float]]],
    declared: Mapping[str, Mapping[str, MetricInfo]],
    ranks: Ranks,
) -> dict[str, dict[str, float]]:
    """Figures of all ranks together by kind, from each rank's numerators and denominators.

    A figure is declared by its own name or by the part before a dot or slash: win_rate.based and
    win_rate/random are figures of win_rate. A zero denominator gives NaN; figures that no rank has
    are left out.
    """
    sums: dict[str, dict[str, list[float]]] = {}
    for part in ranks.collect(
        {kind: {name: tuple(pair) for name, pair in each.items()} for kind, each in taken.items()}
    ):
        for kind, figures in part.items():
            if kind not in declared:
                raise TrainingError(
                    f"the learner writes a line of kind '{kind}', which it does not declare: "
                    f"{did_you_mean(kind, declared)}"
                )
            for name, (top, bottom) in figures.items():
                if find_info(name, declared[kind]) is None:
                    raise TrainingError(
                        f"the learner writes {kind}/{name}, which it does not declare: "
                        f"{did_you_mean(name, declared[kind])}"
                    )
                before = sums.setdefault(kind, {}).setdefault(name, [0.0, 0.0])
                before[0] += float(top)
                before[1] += float(bottom)
    return {
        kind: {
            name: top / bottom if bottom else float("nan")
            for name, (top, bottom) in figures.items()
        }
        for kind, figures in sums.items()
    }


def deciding_score(task: TrainTask, config: TrainConfig) -> tuple[str, str, MetricInfo] | None:
    """Kind of line, name and facts of the score that decides which checkpoint is best.

    `loss` is a score of validation, `play/win_rate` of a learner's own line. None if a run has no
    validation and its config names no other score.
    """
    kind, slash, name = config.score.partition("/")
    lines = declared_lines(task.learner)
    if not slash:
        kind, name = "val", config.score
        if task.validation is None:
            if config.patience:
                raise UsageError(
                    "patience needs validation, or a score such as play/win_rate: without one "
                    "nothing says when to stop"
                )
            return None
    known = {"val": task.learner.scores, **lines}
    if name not in known.get(kind, {}):
        names = [
            *task.learner.scores,
            *(f"{k}/{n}" for k, figures in lines.items() for n in figures),
        ]
        raise UsageError(f"the learner has no score '{config.score}': {', '.join(names)}")
    info = known[kind][name]
    if not info.better:
        raise UsageError(
            f"train.score is {config.score}, of which no direction is better: choose another one"
        )
    return kind, name, info
