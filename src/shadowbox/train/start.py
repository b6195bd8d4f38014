"""Start of a run: new, from another run's checkpoint, or resumed; and the facts in `run.json`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shadowbox.errors import UsageError
from shadowbox.model import checkpoint
from shadowbox.model.kinds import run_of
from shadowbox.train import log, provenance, schedule
from shadowbox.train.config import MAY_CHANGE, TrainConfig
from shadowbox.train.protocols import ParentCheckpoint
from shadowbox.train.session import Session

# facts of a run that it keeps until its end
SAME = (
    ("fingerprint", "data"),
    ("split", "the split"),
    ("world", "the world"),
    ("opponents", "opponents"),
    ("reward", "the reward"),
    ("teacher", "the teacher"),
)


def resolve_config(run: Path, config: TrainConfig, resume: bool) -> TrainConfig:
    """Settings of the run: a resumed run keeps its own; different ones are refused with what differs."""
    if not resume:
        if checkpoint.steps(run):
            raise UsageError(
                f"{run} has checkpoints already: --resume goes on with it, another --out begins another run"
            )
        return config
    kept = TrainConfig.of(log.read_facts(run)["config"])
    lines = [
        f"{name}: {value!r} in the run, {getattr(config, name)!r} asked for"
        for name, value in vars(kept).items()
        if value != getattr(config, name) and name not in MAY_CHANGE
    ]
    if lines:
        raise UsageError(
            f"{run} cannot be resumed with other settings ({'; '.join(lines)}): "
            f"begin a new run with --parent {run}@latest"
        )
    return config


def start_session(session: Session, parent: ParentCheckpoint | None, resume: bool) -> None:
    """Bring a session to the step at which its run starts."""
    if session.ranks.first:
        checkpoint.sweep(session.run)
    if resume:
        _resume(session)
        return
    facts_of = _facts(session)
    if parent:
        facts_of |= _continue(session, parent)
    if session.ranks.first:
        log.write_facts(session.run, facts_of)
    session.log.event(
        "begin",
        0,
        f"{facts_of['parameters']:,} parameters; {schedule.in_words(session.config, session.total)}"
        + (f"; validates on {facts_of['validation']}" if "validation" in facts_of else ""),
    )
    session.save()  # something to go back to, from the first step on


def write_run_facts(session: Session, status: str) -> None:
    """Update `run.json`: the progress of the run, and its cost over all sessions."""
    if not session.ranks.first:
        return
    known = log.read_facts(session.run)
    known |= {"status": status, "step": session.step, "epoch": session.epoch, "best": session.best}
    log.write_facts(session.run, known | {"reason": session.reason, "cost": session.meter.cost()})


def write_dashboards(session: Session) -> None:
    """Add the run's pages in other dashboards to `run.json`, and say their addresses."""
    if not session.log.pages:
        return
    known = log.read_facts(session.run)
    before = known.get("dashboards") or {}
    log.write_facts(session.run, known | {"dashboards": {**before, **session.log.pages}})
    for name, page in session.log.pages.items():
        if page.get("url"):
            session.log.event("dashboard", session.step, f"{name}: {page['url']}", **page)


def _resume(session: Session) -> None:
    folder = _latest(session)
    found = checkpoint.load(folder, schema=session.task.about.schema, kind=session.task.about.kind)
    _must_be_the_same_data(session)
    session.load(found)
    if session.ranks.first:
        session.point()
        again = session.log.cut(session.step)
        session.log.event(
            "resume",
            session.step,
            f"resumed at step {session.step:,}{_other_ranks(session)}",
            lines_taken_back=again,
            ranks=session.ranks.count,
        )


def _other_ranks(session: Session) -> str:
    """What differs if the run goes on with another number of processes, in words."""
    before, now = session.resumed_from, session.ranks.count
    if before == now:
        return ""
    drawn = " further processes draw new random numbers, and" if now > before else ""
    return (
        f" by {now} process{'es' * (now > 1)} where {before} trained before: the same batches in the "
        "same order;"
        f"{drawn} sums over processes differ in their last bits"
    )


def _latest(session: Session) -> Path:
    """The checkpoint that `latest` names.

    If a kill came between two renames, the newest complete checkpoint.
    """
    there = checkpoint.steps(session.run)
    pointed = checkpoint.pointed(session.run, "latest")
    if pointed is None and there:
        return checkpoint.find_checkpoint(f"{session.run}@step={there[-1]}")
    if (
        pointed is not None
        and pointed not in there
        and not (session.run / checkpoint.FOLDER / f"{pointed:08d}").exists()
        and there
    ):
        session.log.event(
            "resume",
            there[-1],
            f"the checkpoint of step {pointed} is gone; step {there[-1]} is taken",
        )
        return checkpoint.find_checkpoint(f"{session.run}@step={there[-1]}")
    return checkpoint.find_checkpoint(f"{session.run}@latest")


def _must_be_the_same_data(session: Session) -> None:
    before, now = log.read_facts(session.run), session.task.facts
    for name, what in SAME:
        if name in before and before[name] != now.get(name):
            raise UsageError(
                f"{session.run} was trained on {what} {before.get(name)}, this is {now.get(name)}: "
                f"take --parent {session.run}@latest into a new run"
            )


def _continue(session: Session, parent: ParentCheckpoint) -> dict[str, Any]:
    """Load weights of another run and record it as the parent."""
    folder = checkpoint.find_checkpoint(parent.spec)
    found = checkpoint.load(folder, schema=session.task.about.schema, kind=session.task.about.kind)
    own = session.model.state_dict()
    fresh = {
        name: values
        for name, values in own.items()
        if name not in found.weights and name.startswith(session.task.fresh)
    }
    if fresh and parent.optimizer:
        raise UsageError(
            f"{parent.spec} has no {next(iter(fresh))}, and so its optimizer fits no part of it: "
            "leave parent_optimizer out"
        )
    grown = {
        name: _fitted(found.weights[name], own[name])
        for name, many in session.task.grown.items()
        if name in found.weights and own[name].shape[1] - found.weights[name].shape[1] in (many, -1)
    }
    if grown and parent.optimizer:
        raise UsageError(
            f"{parent.spec} has other inputs, and its optimizer does not fit: leave "
            "parent_optimizer out"
        )
    own_data = {name: own[name] for name in session.task.own}
    found = replace(found, weights={**found.weights, **fresh, **grown, **own_data})
    state = found.trainer() if parent.optimizer else {}
    session.load_weights(
        found,
        {key: state[key] for key in ("optimizer", "raw") if key in state},
        optimizer=parent.optimizer,
    )
    if session.average:
        session.average = schedule.WeightAverage(session.model, session.config.ema)
    run = run_of(folder)
    before = log.read_facts(run) if (run / log.FACTS).exists() else {}
    lineage = [
        *before.get("lineage", []),
        {"run": str(run), "step": found.step, "spec": parent.spec},
    ]
    kept = "weights and optimizer" if parent.optimizer else "weights; the optimizer begins anew"
    session.log.event(
        "parent",
        0,
        f"continues {parent.spec} (step {found.step:,}): {kept}, and so does the schedule",
    )
    return {
        "parent": {"spec": parent.spec, "step": found.step, "optimizer": parent.optimizer},
        "lineage": lineage,
    }


def _fitted(weight: Tensor, own: Tensor) -> Tensor:
    """Weights [out, in] of a parent with fewer inputs, which begin as zeros, or without its last."""
    if weight.shape[1] > own.shape[1]:
        return weight[:, :-1].clone()
    return torch.cat([weight, torch.zeros_like(own[:, weight.shape[1] :])], 1)


def _facts(session: Session) -> dict[str, Any]:
    about, config = session.task.about, session.config
    return {
        "format": log.FORMAT,
        "version": log.VERSION,
        "status": "running",
        "step": 0,
        "total": session.total,
        "config": config.to_json(),
        "game": about.schema.name,
        "kind": about.kind,
        "preset": about.preset,
        "parameters": schedule.count(session.model.parameters()),
        "facts_hash": about.schema.facts_hash,
        "coding_hash": about.schema.coding_hash,
        "card_hash": None,
        "fingerprint": None,
        "lineage": [],
        **session.task.facts,
        **provenance.made_with(session.ranks.device, session.ranks.count, session.precision),
    }
