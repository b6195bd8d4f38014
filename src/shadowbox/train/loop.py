"""The training loop.

A task says what is learned, a config how; no game and no card is known here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import torch

from shadowbox.core.files import write_whole
from shadowbox.core.stats import Interval
from shadowbox.errors import UsageError
from shadowbox.model import kinds
from shadowbox.train import (
    distributed,
    guardrails,
    lines,
    provenance,
    schedule,
    sinks,
    start,
    steps,
    validate,
)
from shadowbox.train.config import TrainConfig
from shadowbox.train.console import Console
from shadowbox.train.log import Log, read_facts
from shadowbox.train.observer import (
    CALLED_OFF,
    CONTINUE,
    PAUSED,
    Note,
    Observer,
    ObserverDecision,
    TrainProgress,
    _SaveObserver,
    stronger,
)
from shadowbox.train.protocols import (
    ParentCheckpoint,
    TrainResult,
    TrainTask,
    Updater,
    _RowSource,
    _TableSource,
)
from shadowbox.train.session import Session
from shadowbox.train.tables import UPDATES, _Table


def train(
    task: TrainTask,
    run: Path,
    config: TrainConfig,
    *,
    parent: ParentCheckpoint | None = None,
    resume: bool = False,
    console: Console | None = None,
    observer: Observer | None = None,
) -> TrainResult:
    """Train until the run is finished, stopped by a signal or its observer, or cannot continue.

    Every end leaves a checkpoint that the run can be resumed from.
    """
    with ExitStack() as stack:
        session = _open(task, run, config, parent, resume, console, stack)
        session.observer = observer
        stop = stack.enter_context(guardrails._StopSignal(others=session.ranks.count > 1))
        while not session.ended and session.step < session.total:
            steps.take_step(session, next(session.batches), console)
            _log(session)
            _write_lines(session, console)
            _write_rows(session)
            _validate(session, console)
            stopped = _stopped(session, stop)
            if session.step >= session.total and not session.ended:
                session.ended = "finished"
            _save(session, stopped)
            if stopped and not session.ended:
                _draw_pages(session)
                return _say_goodbye(session, stopped)
        session.ended = session.ended or "finished"
        _draw_pages(session)
        start.write_run_facts(session, session.ended)
        return _result(session, session.ended)


# ---- between steps -------------------------------------------------------------------------------


def _log(session: Session) -> None:
    """Write a line of figures every `log_every` steps: means since the last one, and times."""
    config = session.config
    if not session.due:
        return
    figures = session.recent.take(session.ranks)
    seconds = session.clock.take()
    per_s = config.log_every * config.batch / max(sum(seconds.values()), 1e-9)
    lr = schedule.learning_rate(config, session.step - 1, session.total)
    times = {f"time/{part}": round(value, 6) for part, value in seconds.items()}
    more = {"lr": lr, "examples_per_s": per_s, "skipped": session.finite.news()}
    _write(session, "train", {**figures, **more, **times})
    session.clock.add("log")


def _write(session: Session, kind: str, figures: Mapping[str, float]) -> None:
    """Write a line of the log and show it to the observer, which may end the run."""
    session.log.metric(kind, session.step, session.epoch, figures)
    if session.observer and session.ranks.first:
        at = session.step, session.total, session.epoch, session.meter.wall_s
        progress = TrainProgress(
            kind,
            *at,
            figures,
            _note(session),
        )
        session.decision = stronger(session.decision, session.observer(progress))


def _note(session: Session) -> Note:
    """The function by which an observer writes events of this step."""
    return lambda what, text, **facts: session.log.event(what, session.step, text, **facts)


def _write_lines(session: Session, console: Console | None) -> None:
    """Write the lines of the learner's own kinds, if it has any now."""
    if session.line_source is None:
        return
    taken = session.line_source.take_lines(session.due)
    for kind, figures in lines.merged(taken, session.lines, session.ranks).items():
        _write(session, kind, figures)
        if console and session.ranks.first:
            console.line(kind, session.step, figures)
        _consider_line(session, kind, figures)
    session.clock.add("log")


def _write_rows(session: Session) -> None:
    """Write the rows of the learner's own tables, if it has any now."""
    source = session.table_source
    if source is None:
        return
    if session.updater and session.ranks.first:
        session.log.tables.write(session.step, {UPDATES: [_update_row(session)]})
    seen = [each for part in session.ranks.collect(source.take_seen()) for each in part]
    if session.ranks.first and seen:
        session.log.tables.write(session.step, source.table_rows(seen))
    session.clock.add("log")


def _update_row(session: Session) -> dict[str, float]:
    """Figures of the update that was just made, on this rank."""
    figures, norm = session.updated
    names = session.recent.names
    row = {} if figures is None else dict(zip(names, figures.tolist(), strict=True))
    lr = schedule.learning_rate(session.config, session.step - 1, session.total)
    return row | {"norm": float("nan") if norm is None else norm, "lr": lr}


def _table_kinds(task: TrainTask) -> dict[str, _Table]:
    """Tables of a task: those of its learner, and that of updates."""
    learner = task.learner
    if not isinstance(learner, _TableSource):
        return {}
    updates = ("step", "loss", *learner.losses, *learner.metrics, "norm", "lr")
    own = {UPDATES: _Table(updates)} if isinstance(learner, Updater) else {}
    return {**own, **learner.tables}


def _draw_pages(session: Session) -> None:
    """Write the files that the learner draws from its tables."""
    if session.table_source is not None and session.ranks.first:
        for name, data in session.table_source.pages(session.run).items():
            write_whole(session.run / name, data)


def _validate(session: Session, console: Console | None) -> None:
    """Validate, if due, and log the scores beside their baselines."""
    config, task = session.config, session.task
    due = (
        session.step % config.validate_every == 0
        if config.validate_every
        else session.source.left == 0
    )
    if (
        task.validation is None
        or session.validated == session.step
        or not (due or session.step >= session.total)
    ):
        return
    with session.clock.aside("validate"):
        batches = validate._Bounded(
            islice(task.validation(), session.ranks.rank, None, session.ranks.count),
            session.validation_batches,
            config.validate_s,
        )
        with schedule.averaged(session.average):
            scores = validate.validate(task.learner, session.model, batches, session.ranks)
        _remember_bound(session, batches)
        session.validated = session.step
        best = _is_best(session, scores)
        trained = session.since.take(session.ranks)
        _write(session, "val", validate.as_figures(scores))
        if console and session.ranks.first:
            lr = schedule.learning_rate(config, session.step - 1, session.total)
            row = (
                task.learner.table_row(trained, scores, lr)
                if isinstance(task.learner, _RowSource)
                else {"TrLoss": trained["loss"], **validate.as_row(task.learner, scores), "LR": lr}
            )
            console.row(session.epoch, row, best)


def _remember_bound(session: Session, batches: validate._Bounded) -> None:
    """Take the batches of a validation that ran out of time in all later ones, so that they compare."""
    if not any(session.ranks.any([batches.late])):
        return
    session.validation_batches = min(session.ranks.collect(batches.taken))
    session.log.event(
        "validation",
        session.step,
        f"validation took {session.config.validate_s:g} s (validate_s): from here on it takes its "
        f"first {session.validation_batches:,} batches only",
        batches=session.validation_batches,
    )


def _consider_line(session: Session, kind: str, figures: Mapping[str, float]) -> None:
    """Check a line of the learner's own kind for the deciding score."""
    if session.score and session.score[0] == kind and session.score[1] in figures:
        _, name, info = session.score
        beside = {
            each: figures[f"{name}/{each}"]
            for each in info.baselines
            if f"{name}/{each}" in figures
        }
        _consider(session, figures[name], beside)


def _is_best(session: Session, scores: Mapping[str, Interval]) -> bool:
    if session.score is None or session.score[0] != "val":
        return False
    _, name, info = session.score
    beside = {each: scores[f"{name}/{each}"].value for each in info.baselines}
    return _consider(session, scores[name].value, beside)


def _consider(session: Session, value: float, baselines: Mapping[str, float]) -> bool:
    """Remember the best value of the deciding score, and end the run if patience is exhausted."""
    assert session.score is not None
    better = session.score[2].better
    best = math.isfinite(value) and (
        not session.best
        or validate.distance(value, better) < validate.distance(session.best["value"], better)
    )
    session.stale = 0 if best else session.stale + 1
    if best:
        session.best = {
            "step": session.step,
            "score": session.config.score,
            "value": value,
            "baselines": dict(baselines),
        }
    if session.config.patience and session.stale >= session.config.patience:
        session.ended = "early stop"
    return best


def _save(session: Session, stopped: str) -> None:
    """Save a checkpoint, if due: regularly, at a new best, and at the end."""
    every = session.config.save_every
    due = session.step % every == 0 if every else session.source.left == 0
    best = session.best.get("step") == session.step
    if due or best or stopped or session.ended:
        with session.clock.aside("save"):
            session.save()
            start.write_run_facts(session, session.ended or ("stopped" if stopped else "running"))
            observer: object = session.observer
            if session.ranks.first and isinstance(observer, _SaveObserver):
                observer.saved(session.step, session.epoch, _note(session))


def _stopped(session: Session, stop: guardrails._StopSignal) -> str:
    """The signal that any rank received, or `paused`; a run that its observer ended has ended already.

    All ranks return the same.
    """
    if not any(session.ranks.any([bool(stop.name), session.decision.do != "continue"])):
        return ""
    found = session.ranks.collect((stop.name, session.decision))
    decision, session.decision = ObserverDecision(*found[0][1]), CONTINUE
    if decision.do == "stop":
        session.ended, session.reason = CALLED_OFF, decision.reason
        text = f"called off at step {session.step:,}: {decision.reason}"
        session.log.event("stop", session.step, text, reason=decision.reason)
    elif decision.do == "pause" and session.step < session.total and not session.ended:
        session.reason = decision.reason
        return PAUSED
    return next((name for name, _ in found if name), "")


# ---- beginning and end ---------------------------------------------------------------------------


def _open(
    task: TrainTask,
    run: Path,
    config: TrainConfig,
    parent: ParentCheckpoint | None,
    resume: bool,
    console: Console | None,
    stack: ExitStack,
) -> Session:
    """Open a session; the stack closes its files and its process group."""
    if parent and resume:
        raise UsageError("a run is resumed or begins from a parent, not both")
    kinds.checkpoint_kind(task.about.kind)  # one that nothing can load again is refused
    score = lines.deciding_score(task, config)
    meter = provenance.CostMeter()
    if config.threads:
        torch.set_num_threads(config.threads)
    ranks = stack.enter_context(distributed.Ranks(distributed.choose_device(config.device)))
    sinks.require(config.sinks, ranks)
    stack.enter_context(guardrails.disk_full(run))
    if ranks.first:
        stack.enter_context(guardrails.lock_run(run))
    config = start.resolve_config(run, config, resume)
    ranks.wait()
    declared = lines.declared_lines(task.learner)
    say = console.say if console else None
    kinds_of_lines = (*lines.OWN, *declared)
    log = Log(run, live=ranks.first, say=say, kinds=kinds_of_lines, tables=_table_kinds(task))
    stack.callback(log.close)
    if console:
        stack.callback(console.close)
    session = Session(task, run, config, ranks, log, meter)
    session.score, session.lines = score, declared
    start.start_session(session, parent, resume)
    known = read_facts(run) if ranks.first else {}
    meter.before = dict(known.get("cost", {}))
    for name in config.sinks:
        log.add(name, sinks.builder(name, run, known, session.step))
    start.write_dashboards(session)
    session.model.train()
    session.clock.start()
    return session


def _say_goodbye(session: Session, stopped: str) -> TrainResult:
    again = f"; go on with: {session.task.resume}" if session.task.resume else ""
    why = f" ({session.reason})" if session.reason else ""
    session.log.event(
        "stop",
        session.step,
        f"{stopped}{why}: saved at step {session.step:,}{again}",
        signal=stopped,
    )
    return _result(session, stopped)


def _result(session: Session, ended: str) -> TrainResult:
    session.clock.take()
    ranks, table = session.ranks, session.clock.total
    return TrainResult(
        session.run,
        session.step,
        session.epoch,
        ended,
        session.best,
        table,
        ranks.rank,
        session.reason,
    )
