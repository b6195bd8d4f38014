"""Shared by tests of the loop: a small store, a tiny learner, and learners that misbehave."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from conftest import TOY, random_episode
from torch import nn

from shadowbox.core.episode import Episode
from shadowbox.core.metrics import MetricInfo
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.learners.imitation_task import prepare
from shadowbox.model import checkpoint
from shadowbox.train.config import TrainConfig
from shadowbox.train.console import Console
from shadowbox.train.log import read_lines
from shadowbox.train.loop import train

HALF = Split(0.5, 0.5, 0.0)
SEES = ("player/on_ground", "player/hit_by")
FAST = {"batch": 8, "lr": 3e-3, "warmup": 5, "log_every": 5, "seed": 7, "device": "cpu"}


def make_store(path: Path, episodes: int = 12, frames: int = 60) -> Store:
    """Matches in which `a` follows `on_ground`, and the other keys are held for a while."""
    with Writer(path, TOY) as writer:
        for seed in range(episodes):
            made = random_episode(TOY, frames, seed=seed)
            draws = np.random.default_rng(seed)
            columns = dict(made.columns)
            columns["pad/a"] = columns["player/on_ground"].copy()
            for key in ("pad/left", "pad/right"):
                columns[key] = np.repeat(draws.random((frames // 6 + 1, 2)) < 0.4, 6, axis=0)[
                    : frames + 1
                ]
            writer.add(Episode(columns, made.meta, made.events))
    return Store(path)


def make_task(store, config, **changes):
    """The tiny policy, with dropout so that random numbers matter."""
    changes = {
        "length": 8,
        "preset": "tiny",
        "dropout": 0.1,
        "width": 32,
        "resume": "again",
        "input_columns": SEES,
        **changes,
    }
    return prepare(store, config, split=HALF, **changes)


def config(**changes) -> TrainConfig:
    """Quick settings, changed."""
    changes = FAST | changes
    if "epochs" not in changes:
        changes.setdefault("steps", 30)
    return TrainConfig.of(changes)


def run(store, out, *, wrap=None, resume=False, parent=None, observer=None, **changes):
    """Train; what came of it, and what was said."""
    settings, said = config(**changes), io.StringIO()
    task = make_task(store, settings)
    if wrap:
        task = wrap(task)
    result = train(
        task, out, settings, resume=resume, parent=parent, console=Console(said), observer=observer
    )
    return result, said.getvalue()


def weights(out, which="latest"):
    """The weights of a run's checkpoint."""
    return checkpoint.load(checkpoint.find_checkpoint(f"{out}@{which}")).weights


def same(one, other):
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


FIGURES = (
    "kind",
    "step",
    "epoch",
    "loss",
    "lr",
    "norm",
    "accuracy",
    "onset_f1_greedy",
    "onset_f1_greedy/copy_last",
    "win_rate",
    "win_rate/random",
    "length",
    "passed",
)


def figures(out):
    """The lines of the log without clocks."""
    return [
        {name: line[name] for name in FIGURES if name in line}
        for line in read_lines(out / "metrics.jsonl")
    ]


class Wrapped:
    """A learner that passes everything on; tests override what should go wrong."""

    def __init__(self, learner):
        self.inner = learner
        self.calls = 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def loss(self, model, batch):
        self.calls += 1
        return self.inner.loss(model, batch)


class Poisoned(Wrapped):
    """Losses that are not finite, at the calls that `bad` names."""

    bad = ()

    def loss(self, model, batch):
        loss, found = super().loss(model, batch)
        return (loss * float("nan"), found) if self.calls in self.bad else (loss, found)


class Hungry(Wrapped):
    """Runs out of memory above so many examples."""

    most = 2

    def loss(self, model: nn.Module, batch):
        if len(batch.rows) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4.00 GiB")
        return super().loss(model, batch)


class Remembering(Wrapped):
    """Has a state of its own that moves with every batch, and that the losses depend on."""

    def __init__(self, learner):
        super().__init__(learner)
        self.usual = torch.zeros(3)
        self.seen = []  # episodes of the last batches, of this rank

    def loss(self, model, batch):
        loss, found = super().loss(model, batch)
        value = loss.detach().float().cpu()
        self.usual = 0.9 * self.usual + 0.1 * torch.stack([value, value**2, torch.rand(())])
        self.seen = [*self.seen[-4:], float(value)]
        scale = 1 + 0.5 * torch.tanh(self.usual.sum())
        return loss * scale, {name: each * scale for name, each in found.items()}

    def state(self):
        return {"usual": self.usual.clone(), "seen": list(self.seen)}

    def load(self, state):
        self.usual, self.seen = state["usual"].clone(), list(state["seen"])


class Playing(Remembering):
    """Writes a line of kind `play` whenever one of training is written, and one of `gate` at times."""

    lines = MappingProxyType(
        {
            "play": {"win_rate": MetricInfo("high", 0.0, 1.0, ("random",)), "length": MetricInfo()},
            "gate": {"passed": MetricInfo("high", 0.0, 1.0)},
        }
    )

    def __init__(self, learner):
        super().__init__(learner)
        self.games = self.wins = 0

    def loss(self, model, batch):
        found = super().loss(model, batch)
        self.games += 2 + self.rank()
        self.wins += 1
        return found

    def rank(self):
        return int(os.environ.get("RANK", "0"))

    def take_lines(self, due):
        taken = {"gate": {"passed": (1.0, 1.0)}} if self.calls == 7 else {}
        if due:
            figures = {"win_rate": (self.wins, self.games), "win_rate/random": (1, 4)}
            taken["play"] = {**figures, "length": (100.0 * self.calls, self.calls)}
            self.games = self.wins = 0
        return taken

    def state(self):
        return {**super().state(), "games": [self.games, self.wins], "calls": self.calls}

    def load(self, state):
        super().load(state)
        self.games, self.wins = state["games"]
        self.calls = state["calls"]


def wrapped(kind):
    """A task whose learner is wrapped."""
    return lambda task: dataclasses.replace(task, learner=kind(task.learner))


def stop_at(step):
    """A learner that is sent SIGTERM during this step."""

    class Stopped(Wrapped):
        def loss(self, model, batch):
            if self.calls + 1 == step:
                signal.raise_signal(signal.SIGTERM)
            return super().loss(model, batch)

    return lambda task: dataclasses.replace(task, learner=Stopped(task.learner))
