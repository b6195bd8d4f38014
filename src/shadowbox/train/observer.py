"""Observer of a run: it is shown each line of the log and answers whether the run continues.

Only the first rank asks; all ranks act at the same step, after a checkpoint of it. A resumed run
shows new lines only: at the first call `metrics.jsonl` holds all lines up to and including this
one, and those after the checkpoint have been removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

# end of a run that its observer stopped; it is over unless it is resumed explicitly
CALLED_OFF = "called off"
Note = Callable[..., None]
PAUSED = "paused"  # end of a run that its observer paused; resuming continues it


@dataclass(frozen=True)
class TrainProgress:
    """A line of the log, as it was just written."""

    kind: str  # train, val, or one that the learner declares
    step: int
    total: int  # steps that the run is to have
    epoch: int
    wall_s: float  # seconds that the run has taken, all its sessions together
    metrics: Mapping[str, float]  # those of the line; what is null there is not finite here
    note: Note  # what, text, **facts -> a line of events.jsonl, printed, too


class ObserverDecision(NamedTuple):
    """The observer's decision, with the reason for ending or pausing."""

    do: Literal["continue", "pause", "stop"]
    reason: str = ""


Observer = Callable[[TrainProgress], ObserverDecision]
CONTINUE = ObserverDecision("continue")
STRENGTH = ("continue", "pause", "stop")


def stronger(one: ObserverDecision, other: ObserverDecision) -> ObserverDecision:
    """The stronger of two decisions; the first of equals."""
    return max(one, other, key=lambda each: STRENGTH.index(each.do))


@runtime_checkable
class _SaveObserver(Protocol):
    """An observer that is called after each checkpoint, too: when all files of the run are whole."""

    def saved(self, step: int, epoch: int, note: Note) -> None:
        """Copy the run elsewhere, for example; an error ends the run, whose checkpoint is saved."""
        ...
