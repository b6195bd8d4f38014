"""The one training loop.

It knows no game and no card: a task says what is learned, a config says how.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from shadowbox.errors import ReportedElsewhere, TrainingError, UsageError
from shadowbox.model import checkpoint
from shadowbox.train import distributed, guardrails, provenance, schedule, sinks, start, validate
from shadowbox.train.config import TrainConfig
from shadowbox.train.console import Console
from shadowbox.train.log import Log, read_facts
from shadowbox.train.observer import (
    CALLED_OFF,
    CONTINUE,
    PAUSED,
    Observer,
    ObserverDecision,
    TrainProgress,
    stronger,
)
from shadowbox.train.protocols import ParentCheckpoint, TrainResult, TrainTask, Updater
from shadowbox.train.session import Session


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
    """Train until the run ends, someone stops it, or it cannot go on.

    What is left behind can always be resumed.
    """
    with ExitStack() as stack:
        session = _open(task, run, config, parent, resume, console, stack)
        session.observer = observer
        stop = stack.enter_context(guardrails.StopSignal(others=session.ranks.count > 1))
        while not session.ended and session.step < session.total:
            _step(session, next(session.batches), console)
            _log(session)
            _validate(session, console)
            stopped = _stopped(session, stop)
            if session.step >= session.total and not session.ended:
                session.ended = "finished"
            _save(session, stopped)
            if stopped and not session.ended:
                return _say_goodbye(session, stopped)
        session.ended = session.ended or "finished"
        start.write_run_facts(session, session.ended)
        return _result(session, session.ended)


# ---- the way of one step ---------------------------------------------------------------------------------------


def _step(session: Session, batch: Any, console: Console | None) -> None:
    """Learn from one batch."""
    session.clock.add("data")
    if session.updater:
        (figures, norm), weight = _update(session, session.updater, batch), 1.0
    else:
        figures, weight = _in_parts(session, batch)
        norm = _descend(session, batch)
    session.ranks.follow(session.buffers)
    session.step += 1
    if norm is not None:
        session.recent.add(figures, weight, norm)
        session.since.add(figures, weight, norm)
    if console and session.ranks.first and session.step % session.config.log_every == 0:
        console.step(
            session.step,
            session.total,
            float(session.recent.sums[0]) / max(session.recent.weight, 1e-9),
        )
    session.clock.add("log")


def _in_parts(session: Session, batch: Any) -> tuple[Tensor, float]:
    """Gradients of a batch, in as many parts as memory asks for; figures [F] times their weight, and that weight.

    A rank computes its share without talking. Before their gradients are summed all ranks agree
    whether any of them ran out of memory: then all drop what they have and compute the same batch
    again in smaller parts.
    """
    ranks, parameters = session.ranks, session.parameters
    weight = session.task.learner.num_targets(batch)
    (total,) = ranks.add([weight])
    while True:
        figures = row = None
        reason = ""
        try:
            figures = _gradients(session, batch, total)
            session.clock.add("backward")  # that it is let go of is part of it
            row = distributed.pack(parameters) if ranks.count > 1 else None
        except (RuntimeError, MemoryError) as error:
            if not guardrails.is_out_of_memory(error):
                raise
            reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        out, *there = ranks.any(
            [bool(reason), *(parameter.grad is not None for parameter in parameters)]
        )
        if not out and figures is not None:
            if row is not None:
                ranks.sum(row)
                distributed.unpack(row, parameters, there)
            session.clock.add("wait")
            return figures, weight
        del figures, row  # what the next try needs the room of
        _halve(session, len(batch), reason)


def _gradients(session: Session, batch: Any, total: float) -> Tensor:
    """Each part counts as much as it has targets, so that parts and ranks together are the whole batch of `total`."""
    learner, clock, device = session.task.learner, session.clock, session.ranks.device
    figures: Tensor | None = None
    for part in _parts(batch, session.accumulate):
        count = learner.num_targets(part)
        clock.add("data")
        tensors = learner.to_device(part, device)
        clock.add("transfer")
        with distributed.autocast(session.config, device):
            loss, found = learner.loss(session.called, tensors)
        clock.add("forward")
        share = count / max(total, 1)
        (loss if share == 1 else loss * share).backward()  # type: ignore[no-untyped-call]
        clock.add("backward")
        mine = _stacked(session, loss, found) * count
        figures = mine if figures is None else figures + mine
    assert figures is not None
    return figures


def _descend(session: Session, batch: Any) -> float | None:
    """One step of the optimizer; the gradient's norm, or None where the step was left out."""
    config = session.config
    length = torch.nn.utils.clip_grad_norm_(
        session.parameters, config.max_grad_norm or float("inf")
    )
    session.clock.add("optimizer")
    norm = length.item()  # the one number of a step that is waited for
    session.clock.add("wait")
    if not math.isfinite(norm):  # on all ranks or on none: they have the same gradients
        _not_finite(session, batch)
        return None
    session.finite.good()
    for group in session.optimizer.param_groups:
        group["lr"] = schedule.learning_rate(config, session.step, session.total)
    session.optimizer.step()
    session.optimizer.zero_grad(set_to_none=True)
    if session.average:
        session.average.follow()
    session.clock.add("optimizer")
    return norm


def _update(session: Session, learner: Updater, batch: Any) -> tuple[Tensor, float | None]:
    """A learner that steps by itself: its figures, and the last norm; None where any step was left out."""
    norms: list[float | None] = []

    def descend(loss: Tensor) -> None:
        session.clock.add("forward")
        loss.backward()  # type: ignore[no-untyped-call]
        session.clock.add("backward")
        _average(session)
        norms.append(_descend(session, batch))

    tensors = session.task.learner.to_device(batch, session.ranks.device)
    session.clock.add("transfer")
    with distributed.autocast(session.config, session.ranks.device):
        found = learner.update(session.called, tensors, descend)
    losses = session.task.learner.losses
    loss = torch.as_tensor(
        sum(weight * found[name] for name, weight in losses.items() if name in found)
    )
    return _stacked(session, loss, found), None if None in norms or not norms else norms[-1]


def _average(session: Session) -> None:
    """The mean of the ranks' gradients, where a learner steps by itself."""
    ranks, parameters = session.ranks, session.parameters
    if ranks.count > 1:
        there = ranks.any([parameter.grad is not None for parameter in parameters])
        row = distributed.pack(parameters) / ranks.count
        ranks.sum(row)
        distributed.unpack(row, parameters, there)
        session.clock.add("wait")


def _stacked(session: Session, loss: Tensor, found: dict[str, Tensor]) -> Tensor:
    """The loss and what it is made of, [F].

    The first time it is asserted that they are what was declared.
    """
    learner = session.task.learner
    if not session.checked:
        validate.require_declared("losses and metrics", found, (*learner.losses, *learner.metrics))
        if learner.losses:
            validate.require_weighted_sum(loss, found, learner.losses)
        session.checked = True
    names = (*learner.losses, *learner.metrics)
    return torch.stack([loss.detach().float(), *(found[name].detach().float() for name in names)])


# ---- between steps ---------------------------------------------------------------------------------------------


def _log(session: Session) -> None:
    """A line of figures every `log_every` steps: means since the last one, and where the time went."""
    config = session.config
    if session.step % config.log_every and session.step < session.total:
        return
    figures = session.recent.take(session.ranks)
    seconds = session.clock.take()
    per_s = config.log_every * config.batch / max(sum(seconds.values()), 1e-9)
    lr = schedule.learning_rate(config, session.step - 1, session.total)
    times = {f"time/{part}": round(value, 6) for part, value in seconds.items()}
    _write(
        session,
        "train",
        {**figures, "lr": lr, "examples_per_s": per_s, "skipped": session.finite.news(), **times},
    )
    session.clock.add("log")


def _write(session: Session, kind: Literal["train", "val"], figures: dict[str, float]) -> None:
    """A line of the log; who watches the run hears it, too, and may end it."""
    session.log.metric(kind, session.step, session.epoch, figures)
    if session.observer and session.ranks.first:
        at = session.step, session.total, session.epoch, session.meter.wall_s
        progress = TrainProgress(
            kind,
            *at,
            figures,
            lambda what, text, **said: session.log.event(what, session.step, text, **said),
        )
        session.told = stronger(session.told, session.observer(progress))


def _validate(session: Session, console: Console | None) -> None:
    """Scores beside their baselines.

    Whether this is the best so far, and whether it is time to stop.
    """
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
        batches = islice(task.validation(), session.ranks.rank, None, session.ranks.count)
        with schedule.averaged(session.average):
            scores = validate.validate(task.learner, session.model, batches, session.ranks)
        session.validated = session.step
        value, info = scores[config.score].value, task.learner.scores[config.score]
        best = not session.best or validate.distance(value, info.better) < validate.distance(
            session.best["value"], info.better
        )
        session.stale = 0 if best else session.stale + 1
        if best:
            floors = {name: scores[f"{config.score}/{name}"].value for name in info.baselines}
            session.best = {
                "step": session.step,
                "score": config.score,
                "value": value,
                "baselines": floors,
            }
        if config.patience and session.stale >= config.patience:
            session.ended = "early stop"
        trained = session.since.take(session.ranks)
        _write(session, "val", validate.as_figures(scores))
        if console and session.ranks.first:
            lr = schedule.learning_rate(config, session.step - 1, session.total)
            console.row(
                session.epoch,
                {"TrLoss": trained["loss"], **validate.as_row(task.learner, scores), "LR": lr},
                best,
            )


def _save(session: Session, stopped: str) -> None:
    """A checkpoint where one is due: regularly, at a new best, and at the end."""
    every = session.config.save_every
    due = session.step % every == 0 if every else session.source.left == 0
    best = session.best.get("step") == session.step
    if due or best or stopped or session.ended:
        with session.clock.aside("save"):
            session.save()
            start.write_run_facts(session, session.ended or ("stopped" if stopped else "running"))


def _stopped(session: Session, stop: guardrails.StopSignal) -> str:
    """The signal that any rank was given, or `paused`; a run that is called off has ended.

    All ranks answer the same.
    """
    if not any(session.ranks.any([bool(stop.name), session.told.do != "continue"])):
        return ""
    found = session.ranks.collect((stop.name, session.told))
    told, session.told = ObserverDecision(*found[0][1]), CONTINUE
    if told.do == "stop":
        session.ended, session.reason = CALLED_OFF, told.reason
        session.log.event(
            "stop",
            session.step,
            f"called off at step {session.step:,}: {told.reason}",
            reason=told.reason,
        )
    elif told.do == "pause" and session.step < session.total and not session.ended:
        session.reason = told.reason
        return PAUSED
    return next((name for name, _ in found if name), "")


# ---- when something goes wrong ---------------------------------------------------------------------------------


def _not_finite(session: Session, batch: Any) -> None:
    """Leave the step out.

    After too many go back to the last checkpoint; after too many of those stop.
    """
    session.optimizer.zero_grad(set_to_none=True)
    at = session.step + 1
    match session.finite.bad():
        case "skip":
            session.log.event(
                "skip", at, f"step {at}: the gradient is not finite; the step is left out"
            )
        case "back":
            found = checkpoint.load(checkpoint.find_checkpoint(f"{session.run}@latest"))
            session.load_weights(found, found.trainer())
            session.log.event(
                "back",
                at,
                f"step {at}: back to the weights of step {found.step}, and on with the next batch",
            )
        case _:
            path = guardrails.keep_batch(session.run, at, batch)
            text = f"{session.run}: step {at}: the gradient is still not finite after going back {session.finite.rollbacks} times"
            raise TrainingError(
                f"{text}; the batch is kept in {path}, the last checkpoint is intact: try a smaller lr or max_grad_norm"
            )


def _halve(session: Session, examples: int, reason: str) -> None:
    """Compute the batch in twice as many parts from now on, on all ranks.

    Its size, and so the result, stays.
    """
    session.halvings += 1
    parts, ranks = session.accumulate * 2, session.ranks
    reasons = {rank: text for rank, text in enumerate(ranks.collect(reason)) if text}
    reason = next(iter(reasons.values()))
    if ranks.count > 1:
        reason = f"{reason}; on rank {', '.join(map(str, reasons))} of {ranks.count}"
    if session.halvings > session.config.halvings or parts > examples:
        kind = TrainingError if ranks.first else ReportedElsewhere
        raise kind(
            f"{session.run}: out of memory with {examples} examples in {session.accumulate} parts ({reason}); "
            f"the last checkpoint is intact: use a smaller model, or a larger accumulate"
        )
    session.accumulate = parts
    session.optimizer.zero_grad(set_to_none=True)
    if session.ranks.device.type == "cuda":
        torch.cuda.empty_cache()
    text = f"out of memory: from now on the batch is computed in {parts} parts; its size stays"
    session.log.event("halve", session.step + 1, text, parts=parts, reason=reason)


# ---- beginning and end -----------------------------------------------------------------------------------------


def _open(
    task: TrainTask,
    run: Path,
    config: TrainConfig,
    parent: ParentCheckpoint | None,
    resume: bool,
    console: Console | None,
    stack: ExitStack,
) -> Session:
    """A session at its beginning; the stack closes what was opened."""
    if parent and resume:
        raise UsageError("a run is resumed or begins from a parent, not both")
    if task.validation is None and config.patience:
        raise UsageError("patience needs validation: without it nothing says when to stop")
    if task.validation is not None and config.score not in task.learner.scores:
        raise UsageError(
            f"the learner has no score '{config.score}': {', '.join(task.learner.scores)}"
        )
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
    log = Log(run, live=ranks.first, say=console.say if console else None)
    stack.callback(log.close)
    if console:
        stack.callback(console.close)
    session = Session(task, run, config, ranks, log, meter)
    start.start_session(session, parent, resume)
    known = read_facts(run) if ranks.first else {}
    meter.before = dict(known.get("cost", {}))
    for name in config.sinks:
        log.add(name, sinks.builder(name, run, known, session.step))
    session.model.train()
    session.clock.start()
    return session


def _parts(batch: Any, count: int) -> Iterator[Any]:
    """The batch in `count` nearly equal parts."""
    if count == 1:
        yield batch
        return
    size = len(batch)
    for at in range(count):
        rows = slice(size * at // count, size * (at + 1) // count)
        if rows.stop > rows.start:
            yield batch.part(rows)


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
