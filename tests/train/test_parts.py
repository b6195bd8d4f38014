"""Parts of the loop: rates, parameter groups, averages, devices, console, and updaters."""

from __future__ import annotations

import dataclasses
import io
import itertools
import math

import pytest
import torch
from apprentice import Wrapped, config, make_store, make_task, run, same, stop_at, weights
from torch import nn

from shadowbox.core import system
from shadowbox.errors import UsageError
from shadowbox.train import console as consoles
from shadowbox.train import distributed, schedule
from shadowbox.train.console import Console
from shadowbox.train.log import read_lines
from shadowbox.train.protocols import Updater


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twelve short matches."""
    return make_store(tmp_path_factory.mktemp("toy") / "s")


def test_rates():
    """The rate rises in equal steps to `lr`, falls along a cosine, and ends at `final_lr` of it.

    Short runs warm up less.
    """
    settings = config(steps=100, warmup=10, lr=1.0, final_lr=0.1)
    rates = [schedule.learning_rate(settings, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == 1.0
    assert rates[99] == pytest.approx(0.1)
    middle = 0.1 + 0.9 * (1 + math.cos(math.pi * 45 / 89)) / 2
    assert rates[55] == pytest.approx(middle)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert schedule.learning_rate(settings, 0, 1) > 0


def test_what_does_not_decay():
    """Norms, biases and embeddings are in the group without decay, every other weight in the one with it."""
    model = nn.ModuleDict(
        {"table": nn.Embedding(5, 4), "map": nn.Linear(4, 4), "norm": nn.LayerNorm(4)}
    )
    decays, stays = schedule.build_optimizer(
        model, config(weight_decay=0.3), torch.device("cpu")
    ).param_groups
    assert [id(p) for p in decays["params"]] == [id(model["map"].weight)]
    assert (decays["weight_decay"], stays["weight_decay"]) == (0.3, 0.0)
    assert len(stays["params"]) == 4


def test_the_average_follows():
    """The average is the weighted mean of the weights that it saw.

    Swapping twice changes nothing.
    """
    model = nn.Linear(1, 1, bias=False)
    average = schedule.WeightAverage(model, 0.5)
    nn.init.constant_(model.weight, 4.0)
    expected = float(average.weights()["weight"])
    for seen in range(1, 6):
        average.follow()
        decay = min(0.5, seen / (seen + 9))
        expected = decay * expected + (1 - decay) * 4.0
    assert float(average.weights()["weight"]) == pytest.approx(expected, rel=1e-5)
    with schedule.averaged(average):
        assert model.weight.item() == pytest.approx(expected, rel=1e-5)
    assert model.weight.item() == 4.0


def test_bf16_is_for_hardware_that_has_it(monkeypatch):
    """Without amx_bf16 or avx512_bf16 asking for bf16 on a CPU is refused.

    Auto takes it where the hardware has it, for models that gain from it.
    """
    few, many = distributed.BF16_FROM - 1, distributed.BF16_FROM
    device = torch.device("cpu")
    for flags, able in (
        (set(), False),
        ({"avx2"}, False),
        ({"amx_bf16"}, True),
        ({"avx512_bf16"}, True),
    ):
        monkeypatch.setattr(system, "processor_flags", lambda flags=flags: flags)
        assert distributed.computes_bf16(device) == able
        assert distributed.choose_precision(config(), device, few) == "fp32"
        assert distributed.choose_precision(config(), device, many) == ("bf16" if able else "fp32")
        assert distributed.choose_precision(config(precision="fp32"), device, many) == "fp32"
        if able:
            assert distributed.choose_precision(config(precision="bf16"), device, few) == "bf16"
        else:
            with pytest.raises(UsageError, match="does not compute it in hardware"):
                distributed.require_possible(config(precision="bf16", device="cpu"))
    assert isinstance(distributed.autocast("bf16", device), torch.autocast)
    assert not isinstance(distributed.autocast("fp32", device), torch.autocast)


def test_flags_of_a_processor(tmp_path):
    """The flags are read where the system tells them; elsewhere there are none."""
    (tmp_path / "cpuinfo").write_text(
        "model name\t: x\nflags\t\t: fpu avx2 amx_bf16\n\nflags\t\t: other\n"
    )
    assert system.processor_flags(tmp_path / "cpuinfo") == {"fpu", "avx2", "amx_bf16"}
    assert system.processor_flags(tmp_path / "nothing") == set()


@pytest.mark.skipif(
    not distributed.computes_bf16(torch.device("cpu")), reason="this processor has no bf16"
)
def test_a_run_in_bf16(store, tmp_path):
    """Where the hardware has it, a run in bf16 learns and keeps its weights in f32."""
    result, _ = run(store, tmp_path / "r", precision="bf16")
    assert result.ended == "finished"
    assert {value.dtype for value in weights(tmp_path / "r").values()} == {torch.float32}


class Alone(Wrapped):
    """Takes two steps of the optimizer on each batch, as self-play does."""

    def update(self, model, batch, descend):
        for _ in range(2):
            loss, found = self.loss(model, batch)
            descend(loss)
        return found


def test_a_learner_that_steps_alone(store, tmp_path):
    """`update` replaces the loop's step: called once a batch, guarded, logged, and resumable."""
    alone = lambda task: dataclasses.replace(task, learner=Alone(task.learner))  # noqa: E731
    task = alone(make_task(store, config()))
    assert isinstance(task.learner, Updater)
    run(store, tmp_path / "a", wrap=alone)
    lines = [
        line for line in read_lines(tmp_path / "a" / "metrics.jsonl") if line["kind"] == "train"
    ]
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 25, 30]
    assert lines[-1]["loss"] < lines[0]["loss"]
    run(store, tmp_path / "once")
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "once"))
    stopped, _ = run(store, tmp_path / "b", wrap=lambda task: alone(stop_at(14)(task)))
    assert stopped.ended == "SIGTERM"
    run(store, tmp_path / "b", wrap=alone, resume=True)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "shown"),
    [(io.StringIO(), "step 90 of 100, loss 0.5, about"), (Terminal(), "90/100")],
)
def test_progress(monkeypatch, stream, shown):
    """After two seconds a terminal shows a bar with the time left, and other streams a line at times."""
    clock = iter(range(0, 10_000, 12))
    monkeypatch.setattr(consoles.time, "monotonic", lambda: next(clock))
    console = Console(stream)
    for step in range(0, 100, 10):
        console.step(step, 100, 0.5)
    console.row(1, {"TrLoss": 1.5, "loss": float("nan"), "LR": 1e-4}, best=True)
    console.close()
    assert shown in stream.getvalue()
    row = next(line for line in stream.getvalue().splitlines() if line.rstrip().endswith("*"))
    assert row.split()[-5:] == ["1", "1.5000", "-", "1.0e-04", "*"]
