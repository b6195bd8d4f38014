"""Who watches a run and may end it: told each line of its log, it answers whether the run goes on.

The first rank asks; all ranks obey at the same step, after a checkpoint of it. A resumed run tells
only what is new: at the first call `metrics.jsonl` holds all lines until then, this one too, those
after the checkpoint already taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

# how a run ended that was told to stop: it is over, until somebody resumes it all the same
CALLED_OFF = "called off"
Note = Callable[..., None]
PAUSED = "paused"  # how it ended where it was told to pause: resuming it goes on


@dataclass(frozen=True)
class TrainProgress:
    """A line of the log as it was just written."""

    kind: Literal["train", "val"]
    step: int
    total: int  # steps that the run is to have
    epoch: int
    wall_s: float  # seconds that the run has taken, all its sessions together
    metrics: Mapping[str, float]  # those of the line; what is null there is not finite here
    note: Note  # what, text, **facts -> a line of events.jsonl, said to whoever runs it, too


class ObserverDecision(NamedTuple):
    """Whether the run goes on, and why not."""

    do: Literal["continue", "pause", "stop"]
    reason: str = ""


Observer = Callable[[TrainProgress], ObserverDecision]
CONTINUE = ObserverDecision("continue")
STRENGTH = ("continue", "pause", "stop")


def stronger(one: ObserverDecision, other: ObserverDecision) -> ObserverDecision:
    """Which of two holds, where a step has two lines; the first of equals."""
    return max(one, other, key=lambda each: STRENGTH.index(each.do))
