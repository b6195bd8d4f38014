"""Launch specification: everything that starts a card's job, as plain data.

It is made from the card and its estimate, and refused where the expected time exceeds the time-out
or the pessimistic price the budget. A job whose pessimistic time alone exceeds the time-out goes on
by itself, under the same run. Launchers (`local`, `slurm`, `modal`, ...) read nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shadowbox.cards import card as cards
from shadowbox.cards.card import Card
from shadowbox.core import system
from shadowbox.core.files import mismatches
from shadowbox.errors import CardError, UsageError, did_you_mean
from shadowbox.experiment import dataset, estimate, limits, settings
from shadowbox.experiment.checks import check
from shadowbox.experiment.run import RunOptions, _CardRun
from shadowbox.train import runs as prior

TARGETS = ("local", "torchrun", "slurm", "modal", "ray")
HERE = ("local", "torchrun", "ray")  # these start processes on this machine
FOLDER = ".launch"  # below the folder for runs: records of jobs
DAY = 86400  # seconds; the time-out of a card that has none
ESTIMATE = ("runs", "expected_s", "pessimistic_s", "expected_usd", "pessimistic_usd")
SHAPE = {
    "card": str, "target": str, "machine": str, "accelerator": str, "accelerators": int,
    "processes": int, "timeout_s": int, "grace_s": int, "workers": int, "volume": str,
    "environment": {str: str}, "secrets": [str], "tags": [str], "tracking": {str: str},
    "command": [str], "resume": [str], "resumes": int, "detach": bool,
    "estimate": {str: float}, "options": [str],
}  # fmt: skip


@dataclass(frozen=True)
class _LaunchSpec:
    """A job: its command, its machine, and its limits."""

    card: str  # the card's id, which is the job's name
    target: str
    machine: str  # as it is priced
    accelerator: str  # empty: none
    accelerators: int  # of each machine
    processes: int  # that share each step of the training, under torchrun or as actors of Ray
    timeout_s: int
    # seconds before the time-out at which the run is asked to save, and after which it is killed
    grace_s: int
    workers: int  # processor cores; 0: the usual number
    volume: str  # network volume with cards/, data/ and runs/; empty: this folder
    environment: Mapping[str, str]
    secrets: tuple[str, ...]
    tags: tuple[str, ...]
    tracking: Mapping[str, str]  # entity and project of other dashboards
    command: tuple[str, ...]
    resume: tuple[str, ...]  # the command that goes on after a time-out
    resumes: int  # times that the job goes on by itself
    detach: bool
    estimate: Mapping[str, float] = field(default_factory=dict)  # of all runs; empty: made later
    options: tuple[str, ...] = ()  # of the launcher, passed on as they are

    def to_json(self) -> dict[str, Any]:
        """Plain data that `read_spec` accepts."""
        return {
            name: list(value)
            if isinstance(value, tuple)
            else dict(value)
            if isinstance(value, Mapping)
            else value
            for name, value in vars(self).items()
        }


def read_spec(data: Mapping[str, Any], where: str = "the launch spec") -> _LaunchSpec:
    """A spec from plain data; unknown and missing names are refused."""
    for name in data:
        if name not in SHAPE:
            raise UsageError(f"{where}: unknown name '{name}': {did_you_mean(name, SHAPE)}")
    for problem in mismatches(dict(data), SHAPE):
        raise UsageError(f"{where}: {problem}")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
    }
    return _LaunchSpec(**values)


def make_spec(
    path: Path,
    target: str,
    games: settings.Games,
    options: RunOptions | None = None,
    *,
    processes: int = 1,
    launcher_options: Sequence[str] = (),
    address: str = "",
    say: Callable[[str], None] | None = None,
) -> _LaunchSpec:
    """The spec of a card for one of `TARGETS`; `launcher_options` are passed on to the launcher.

    `address`: of a Ray cluster.
    """
    options = options or RunOptions()
    if target not in TARGETS:
        raise UsageError(f"unknown place to launch '{target}': {did_you_mean(target, TARGETS)}")
    _require_launchable(path, games, options, here=target in HERE)
    card = cards.require_card(path, options.changes)[1]
    found = _estimate(path, card, games, options, say or (lambda text: None))
    timeout = int(card.timeout or card.budget.wall or DAY)
    if found and found["expected_s"] / found["runs"] > timeout:
        raise CardError(
            f"{path} is not launched: {found['expected_s'] / found['runs']:,.0f} s are expected for a "
            f"run, the time-out is {timeout:,} s: give the card a longer `timeout`"
        )
    needed = math.ceil(found["pessimistic_s"] / timeout) - 1 if found else 0
    command = _command(path, options, target, processes)
    if target == "ray":
        command = _on_ray(command, address, processes, options.runs / FOLDER / card.id)
    wanted = card.launch
    threads = {"OMP_NUM_THREADS": str(wanted.workers)} if wanted.workers else {}
    return _LaunchSpec(
        card=card.id,
        target=target,
        machine=card.budget.machine,
        accelerator="" if card.budget.machine == estimate.LOCAL else card.budget.machine,
        accelerators=wanted.accelerators,
        processes=processes,
        timeout_s=timeout,
        grace_s=max(1, min(300, timeout // 20)),
        workers=wanted.workers,
        volume=wanted.volume if target == "modal" else "",
        environment={**threads, **wanted.environment},
        secrets=tuple(wanted.secrets),
        tags=tuple(card.tracking.tags),
        tracking={
            name: value for name in ("entity", "project") if (value := getattr(card.tracking, name))
        },
        command=tuple(command + ["--resume"] * options.resume),
        resume=(*command, "--resume"),
        resumes=max(card.resumes, needed),
        detach=wanted.detach or target != "modal",
        estimate={name: float(found[name]) for name in ESTIMATE} if found else {},
        options=tuple(launcher_options),
    )


def described(spec: _LaunchSpec) -> list[list[str]]:
    """Rows of a table for people: name and value of what the launcher will do."""
    hours = f"{spec.timeout_s:,} s ({spec.timeout_s / 3600:.3g} h)"
    again = f", then goes on by itself, {spec.resumes} x at most" if spec.resumes else ""
    known = spec.estimate
    return [
        ["card", spec.card],
        ["launched by", spec.target],
        [
            "machine",
            f"{spec.accelerators} x {spec.accelerator}" if spec.accelerator else "as it is",
        ],
        ["time-out", hours + again],
        ["workers", str(spec.workers or "the usual number")],
        ["volume", spec.volume or "this folder"],
        ["environment", " ".join(f"{k}={v}" for k, v in spec.environment.items()) or "-"],
        ["tags", " ".join(spec.tags) or "-"],
        ["dashboard", "/".join(spec.tracking.values()) or "-"],
        [
            "expected",
            f"{known['expected_s']:,.0f} s, {known['expected_usd']:,.2f} US dollars; at worst "
            f"{known['pessimistic_s']:,.0f} s, {known['pessimistic_usd']:,.2f}"
            if known
            else "not known yet: the run times some steps first, and refuses what is too long",
        ],
        ["command", system.command_line(spec.command)],
        ["goes on with", system.command_line(spec.resume)],
    ]


def _require_launchable(
    path: Path, games: settings.Games, options: RunOptions, *, here: bool
) -> None:
    """Refuse a card that could not run; one that runs elsewhere needs no machine here."""
    case = _CardRun(path, games, options, None, lambda text: None)
    if here:
        case.require_runnable()
    else:
        case.require_valid()
        case.store = dataset.existing_store(case.card)
        case.require_signed()


def _estimate(
    path: Path,
    card: Card,
    games: settings.Games,
    options: RunOptions,
    say: Callable[[str], None],
) -> dict[str, Any] | None:
    """The card's estimate for its machine, made now if need be; None where its data is missing.

    A card of this machine whose data is not here yet is estimated by its run, after making the data.
    """
    checked = check.check_card(path, games, options.changes)
    known = estimate.stored_estimate(checked.file) if not options.changes else None
    if known is not None and estimate.is_of_here(card, known):
        return known
    store = dataset.existing_store(card)
    if card.budget.machine == estimate.LOCAL and card.data is not None and store is None:
        return None
    assert checked.settled is not None  # the card has no mistakes
    return limits.require_affordable(path, card, checked.settled, store, say)


def _command(path: Path, options: RunOptions, target: str, processes: int) -> list[str]:
    """The words of the job's command; `shadowbox` and `torchrun` are those of this Python."""
    words = ["shadowbox", "run", path.as_posix()]
    if target == "torchrun":
        words = ["torchrun", "--standalone", f"--nproc-per-node={processes}", "-m", *words]
    for name, value in options.changes.items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += ["--set", f"{name}={text}"]
    words += ["--unsigned"] * options.unsigned
    if options.runs != prior.RUNS:
        words += ["--runs", options.runs.as_posix()]
    return words + ["--keep-card"] * options.keep_card


def _on_ray(command: list[str], address: str, processes: int, logs: Path) -> list[str]:
    """A command whose runs are tasks of Ray, or, with several processes, whose ranks are actors."""
    if processes == 1:
        return [*command, "--workers", f"ray:{address}" if address else "ray"]
    shared = ["--processes", str(processes), *["--address", address][: 2 * bool(address)]]
    shared += ["--logs", logs.as_posix()]
    return ["python", "-m", "shadowbox.launch.ranks", *shared, *command[1:]]
