"""Optional sinks for metrics: wandb, TensorBoard and trackio, imported when they are asked for.

Owner, project and tags of a run come from its card (`tracking`, kept in `run.json`); a sink with a
page of its own for the run says its address in `url`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shadowbox.errors import ReportedElsewhere, UsageError, install_hint
from shadowbox.train.distributed import Ranks
from shadowbox.train.log import Line, Sink, numbers

MODULES = {"wandb": "wandb", "tensorboard": "tensorboardX", "trackio": "trackio"}
PROJECT = "shadowbox"  # of runs whose card names none


def require(names: Sequence[str], ranks: Ranks) -> None:
    """Refuse sinks that are not installed, on all ranks together."""
    absent = [name for name in names if ranks.first and find_spec(MODULES[name]) is None]
    (absent, *_) = ranks.collect(absent)
    if not absent:
        return
    problem = (
        f"sinks: {' and '.join(absent)} not installed: {' and '.join(map(install_hint, absent))}, "
        "or train without: --set sinks=[]"
    )
    error = UsageError(problem) if ranks.first else ReportedElsewhere(problem)
    error.exit_code = UsageError.exit_code
    raise error


def builder(name: str, run: Path, facts: Mapping[str, Any], step: int) -> Callable[[], Sink]:
    """The function that builds the sink of a name.

    `step`: the step at which the run continues; later lines of an earlier try are dropped.
    """
    builders: dict[str, Callable[[], Sink]] = {
        "wandb": lambda: _Wandb(run, facts),
        "tensorboard": lambda: _TensorBoard(run, step),
        "trackio": lambda: _Trackio(run, facts),
    }
    return builders[name]


def _tracking(facts: Mapping[str, Any]) -> tuple[str | None, str, list[str]]:
    """Owner, project and tags of a run, of its card or of wandb's own variables."""
    said = facts.get("tracking") or {}
    entity = said.get("entity") or os.environ.get("WANDB_ENTITY") or None
    project = said.get("project") or os.environ.get("WANDB_PROJECT") or PROJECT
    return entity, project, list(said.get("tags") or ())


class _Wandb:
    """A wandb run in RUN/wandb.

    Offline unless WANDB_MODE says otherwise; `wandb sync` uploads it. A resumed run goes on with
    the same run of wandb.
    """

    def __init__(self, run: Path, facts: Mapping[str, Any]) -> None:
        wandb: Any = import_module(MODULES["wandb"])
        entity, project, tags = _tracking(facts)
        known = (facts.get("dashboards") or {}).get("wandb") or {}
        self._run = wandb.init(
            dir=run,
            entity=entity,
            project=project,
            tags=tags or None,
            name=str(run),
            id=known.get("id"),
            resume="allow" if known.get("id") else None,
            mode=os.environ.get("WANDB_MODE", "offline"),
            config={"config": facts.get("config"), "fingerprint": facts.get("fingerprint")},
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        # offline, `url` is None: it is where `wandb sync` will put the run, if its owner is known
        address = self._run.url or (self._run.settings.run_url if entity else "")
        self.page = {"id": str(self._run.id), "url": str(address or "")}

    def write(self, line: Line) -> None:
        """Write one row of the history; `step` is a figure, because wandb itself counts calls."""
        self._run.log(
            {f"{line['kind']}/{name}": value for name, value in numbers(line)}
            | {"step": line["step"]}
        )

    def close(self) -> None:
        """Finish the wandb run."""
        self._run.finish()


class _TensorBoard:
    """Event files in RUN/tensorboard."""

    def __init__(self, run: Path, step: int) -> None:
        module: Any = import_module(MODULES["tensorboard"])
        self._writer = module.SummaryWriter(
            str(run / "tensorboard"), purge_step=step + 1 if step else None
        )

    def write(self, line: Line) -> None:
        """Write a scalar for each figure."""
        for name, value in numbers(line):
            self._writer.add_scalar(
                f"{line['kind']}/{name}", value, line["step"], walltime=line["wall"]
            )

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class _Trackio:
    """A run of trackio, in its database on this machine, or in the space of TRACKIO_SPACE_ID."""

    def __init__(self, run: Path, facts: Mapping[str, Any]) -> None:
        trackio: Any = import_module(MODULES["trackio"])
        entity, project, tags = _tracking(facts)
        config = {"entity": entity, "tags": tags, "config": facts.get("config")}
        with contextlib.redirect_stdout(sys.stderr):  # it prints, and --json has one object alone
            self._run = trackio.init(
                project=project,
                name=str(run),
                config=config,
                resume="allow",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )
        self._finish = trackio.finish

    def write(self, line: Line) -> None:
        """Write one row; `step` is that of the run."""
        figures = {f"{line['kind']}/{name}": value for name, value in numbers(line)}
        self._run.log(figures, step=line["step"])

    def close(self) -> None:
        """Finish the run."""
        with contextlib.redirect_stdout(sys.stderr):
            self._finish()
