"""Where it computes: the device, its precision, and the other ranks of a run under torchrun."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shadowbox.errors import UsageError
from shadowbox.learn.config import Config


class Ranks:
    """The processes that share a run. torchrun says in the environment who they are; without it there is one."""

    def __init__(self, device: torch.device) -> None:
        self.count, self.rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        self.device = device
        if self.count > 1:
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")

    @property
    def first(self) -> bool:
        """It is the one that writes."""
        return self.rank == 0

    def share(self, batch: int) -> int:
        """Examples of a batch that one rank computes."""
        if batch % self.count:
            raise UsageError(f"a batch of {batch} cannot be shared by {self.count} processes: choose a multiple")
        return batch // self.count

    def add(self, values: Sequence[float]) -> list[float]:
        """The sum of each value over all ranks."""
        if self.count == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(together)
        return list(map(float, together.tolist()))

    def collect(self, value: Any) -> list[Any]:
        """The plain values of all ranks, in their order."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            torch.distributed.barrier()

    def close(self) -> None:
        """Leave."""
        if self.count > 1:
            torch.distributed.destroy_process_group()


def choose_device(name: str) -> torch.device:
    """The device of a name; auto: cuda, then mps, then cpu."""
    there = [kind for kind in ("cuda", "mps") if _there(kind)] + ["cpu"]
    if name == "auto":
        name = there[0]
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"there is no device '{name}': cuda, mps, cpu or auto") from error
    if device.type not in there:
        raise UsageError(f"the device '{name}' is not on this machine; auto takes what is there")
    if name == "cuda":  # torchrun says which of them is this rank's
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    return device


def _there(kind: str) -> bool:
    return torch.cuda.is_available() if kind == "cuda" else bool(torch.backends.mps.is_available())


def computes_bf16(device: torch.device) -> bool:
    """Whether the device has it in hardware; elsewhere it is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool({"amx_bf16", "avx512_bf16"} & cpu_flags())


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    """What the processor can do, where the system says so."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def autocast(config: Config, device: torch.device) -> AbstractContextManager[Any]:
    """Mixed precision where it is asked for and worth it. `auto` means it on a GPU; on a CPU it must be asked for."""
    can = computes_bf16(device)
    if config.precision == "bf16" and not can:
        raise UsageError(f"precision bf16: {device} does not compute it in hardware, and would be slower than in fp32")
    wanted = config.precision == "bf16" or (config.precision == "auto" and device.type == "cuda" and can)
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()


def wrap(model: nn.Module, config: Config, ranks: Ranks) -> nn.Module:
    """The model as the learner calls it: compiled where wanted, and shared among ranks."""
    called: Any = torch.compile(model) if config.compile else model
    if ranks.count > 1:
        called = nn.parallel.DistributedDataParallel(called)
    return called  # type: ignore[no-any-return]


def unsynced(model: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Between the parts of an accumulated batch ranks need not talk."""
    if last or not isinstance(model, nn.parallel.DistributedDataParallel):
        return nullcontext()
    return model.no_sync()
