"""One step of the training loop: gradients of a batch, in as many parts as memory allows.

A non-finite gradient is skipped; after too many, the weights of the last checkpoint are restored,
and after too many of those the run stops.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from shadowbox.errors import ReportedElsewhere, TrainingError
from shadowbox.model import checkpoint
from shadowbox.train import distributed, guardrails, schedule, validate
from shadowbox.train.console import Console
from shadowbox.train.protocols import Updater
from shadowbox.train.session import Session


def take_step(session: Session, batch: Any, console: Console | None) -> None:
    """Learn from one batch."""
    session.clock.add("data")
    if session.updater:
        (figures, norm), weight = _update(session, session.updater, batch), 1.0
        session.updated = figures, norm
    else:
        figures, weight = _in_parts(session, batch)
        norm = _descend(session, batch)
    session.ranks.follow(session.buffers)
    session.step += 1
    if norm is not None:
        session.recent.add(figures, weight, norm)
        session.since.add(figures, weight, norm)
    if console and session.ranks.first and session.step % session.config.log_every == 0:
        loss = float(session.recent.sums[0]) / max(session.recent.weight, 1e-9)
        console.step(session.step, session.total, loss)
    session.clock.add("log")


def _in_parts(session: Session, batch: Any) -> tuple[Tensor, float]:
    """Gradients of a batch; figures [F] times their weight, and that weight.

    A rank computes its share without communication. Before gradients are summed all ranks agree
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
    """Gradients of one rank's batch, whose parts count by their share of `total` targets.

    Parts and ranks together are then the whole batch.
    """
    learner, clock, device = session.task.learner, session.clock, session.ranks.device
    figures: Tensor | None = None
    for part in _parts(batch, session.accumulate):
        count = learner.num_targets(part)
        clock.add("data")
        tensors = learner.to_device(part, device)
        clock.add("transfer")
        with distributed.autocast(session.precision, device):
            loss, found = learner.loss(session.called, tensors)
        clock.add("forward")
        share = count / max(total, 1)
        (loss if share == 1 else loss * share).backward()  # type: ignore[no-untyped-call]
        clock.add("backward")
        own = _stacked(session, loss, found) * count
        figures = own if figures is None else figures + own
    assert figures is not None
    return figures


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
    """Figures of a learner that steps by itself, and the last norm.

    None where a step was left out.
    """
    norms: list[float | None] = []

    def descend(loss: Tensor) -> None:
        session.clock.add("forward")
        loss.backward()  # type: ignore[no-untyped-call]
        session.clock.add("backward")
        _average(session)
        norms.append(_descend(session, batch))

    tensors = session.task.learner.to_device(batch, session.ranks.device)
    session.clock.add("transfer")
    with distributed.autocast(session.precision, session.ranks.device):
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
    """The loss and its terms, [F]. The first time they are compared with the declared ones."""
    learner = session.task.learner
    if not session.checked:
        validate.require_declared("losses and metrics", found, (*learner.losses, *learner.metrics))
        if learner.losses:
            validate.require_weighted_sum(loss, found, learner.losses)
        session.checked = True
    names = (*learner.losses, *learner.metrics)
    return torch.stack([loss.detach().float(), *(found[name].detach().float() for name in names)])


# ---- when something goes wrong -------------------------------------------------------------------


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
            text = (
                f"step {at}: back to the weights of step {found.step}, and on with the next batch"
            )
            session.log.event("back", at, text)
        case _:
            path = guardrails.keep_batch(session.run, at, batch)
            raise TrainingError(
                f"{session.run}: step {at}: the gradient is still not finite after going back "
                f"{session.finite.rollbacks} times; the batch is kept in {path}, the last "
                "checkpoint is intact: try a smaller lr or max_grad_norm"
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
            f"{session.run}: out of memory with {examples} examples in {session.accumulate} parts "
            f"({reason}); the last checkpoint is intact: use a smaller model, or a larger accumulate"
        )
    session.accumulate = parts
    session.optimizer.zero_grad(set_to_none=True)
    if session.ranks.device.type == "cuda":
        torch.cuda.empty_cache()
    text = f"out of memory: from now on the batch is computed in {parts} parts; its size stays"
    session.log.event("halve", session.step + 1, text, parts=parts, reason=reason)
