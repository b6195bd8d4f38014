"""One process of a run under torchrun: `shadowbox train` with a learner that runs out of memory on one rank.

rank.py FOLDER RANK STEP MOST ARGUMENTS: from that step on, rank RANK has no room for more than MOST
examples. Leaves FOLDER/threads-RANK: the threads that are there when the program is about to end.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import torch
from apprentice import Wrapped

from shadowbox.cli import main
from shadowbox.learners import imitation_task

FOLDER, HUNGRY, STEP, MOST = Path(sys.argv[1]), *map(int, sys.argv[2:5])
prepare = imitation_task.prepare


class Tight(Wrapped):
    """Has no room on one rank, in the middle of a step: after some parts went well."""

    most = MOST
    parts = 0

    def loss(self, model, batch):
        found = super().loss(model, batch)
        if os.environ["RANK"] == str(HUNGRY) and self.calls >= STEP and len(batch.rows) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4.00 GiB")
        return found


def tight(*arguments, **options):
    """The task, without dropout, of this learner."""
    task = prepare(*arguments, **options, dropout=0.0)
    return dataclasses.replace(task, learner=Tight(task.learner))


imitation_task.prepare = tight
try:
    main(sys.argv[5:])
finally:
    names = [
        Path(f"/proc/self/task/{task}/comm").read_text().strip()
        for task in os.listdir("/proc/self/task")
    ]
    (FOLDER / f"threads-{os.environ['RANK']}").write_text("\n".join(names))
