"""Other people's dashboards: wandb and TensorBoard, imported when they are asked for, and never needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from shadowbox.train.log import Line, Sink, numbers


def builder(name: str, run: Path, facts: Mapping[str, Any], step: int) -> Callable[[], Sink]:
    """What builds the sink of a name.

    `step`: where the run goes on; later lines of an earlier try do not count.
    """
    builders: dict[str, Callable[[], Sink]] = {
        "wandb": lambda: _Wandb(run, facts),
        "tensorboard": lambda: _TensorBoard(run, step),
    }
    return builders[name]


class _Wandb:
    """A wandb run in RUN/wandb.

    Offline unless WANDB_MODE says otherwise; `wandb sync` uploads it.
    """

    def __init__(self, run: Path, facts: Mapping[str, Any]) -> None:
        wandb: Any = import_module("wandb")  # it may not be installed; the log says so then
        self._run = wandb.init(
            dir=run,
            project=os.environ.get("WANDB_PROJECT", "shadowbox"),
            name=str(run),
            mode=os.environ.get("WANDB_MODE", "offline"),
            config={"config": facts.get("config"), "fingerprint": facts.get("fingerprint")},
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )

    def write(self, line: Line) -> None:
        """One row of the history; `step` is among the figures, because wandb counts calls."""
        self._run.log(
            {f"{line['kind']}/{name}": value for name, value in numbers(line)}
            | {"step": line["step"]}
        )

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class _TensorBoard:
    """Event files in RUN/tensorboard."""

    def __init__(self, run: Path, step: int) -> None:
        module: Any = import_module("tensorboardX")
        self._writer = module.SummaryWriter(
            str(run / "tensorboard"), purge_step=step + 1 if step else None
        )

    def write(self, line: Line) -> None:
        """A scalar for each figure."""
        for name, value in numbers(line):
            self._writer.add_scalar(
                f"{line['kind']}/{name}", value, line["step"], walltime=line["wall"]
            )

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
