"""Devices, precision, and the ranks of a run under torchrun."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from shadowbox.core import system
from shadowbox.errors import TrainingError, UsageError
from shadowbox.train.config import TrainConfig

# parameters of a model that gains from bf16 on a CPU; smaller ones lose precision for nothing
BF16_FROM = 250_000


class Ranks:
    """The processes that share a run, as torchrun's environment describes them; one without torchrun.

    All ranks make the same calls in the same order. Host values go over gloo, so that no GPU is
    waited for; gradients go over the backend of the device.
    """

    def __init__(self, device: torch.device) -> None:
        self.count, self.rank = (
            int(os.environ.get("WORLD_SIZE", "1")),
            int(os.environ.get("RANK", "0")),
        )
        self.device = device

    def __enter__(self) -> Ranks:
        if self.count > 1:
            # A thread of the group that lives on while Python ends can abort the process, so the
            # group must be gone by then. This module keeps the group that is there when it is
            # imported, for good, and making an optimizer imports it.
            importlib.import_module("torch.distributed.nn.functional")
            with self._together():
                torch.distributed.init_process_group(
                    "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
                )
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Leave together; leave at once if this rank fails, because the others may never arrive."""
        if self.count == 1:
            return
        try:
            if kind is None:
                self.wait()
            elif self.device.type == "cuda":  # else NCCL would wait for a sum that never ends
                torch.distributed.distributed_c10d._abort_process_group()
                return
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()

    @property
    def first(self) -> bool:
        """True if this rank is the one that writes files."""
        return self.rank == 0

    def share(self, batch: int) -> int:
        """Examples of a batch that each rank computes."""
        if batch % self.count:
            raise UsageError(
                f"a batch of {batch} cannot be shared by {self.count} processes: choose a multiple"
            )
        return batch // self.count

    def add(self, values: Sequence[float]) -> list[float]:
        """Sum of each value over all ranks."""
        if self.count == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64)
        with self._together():
            torch.distributed.all_reduce(together)
        return list(map(float, together.tolist()))

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether it is set on any rank."""
        if self.count == 1:
            return list(flags)
        together = torch.tensor(flags, dtype=torch.uint8)
        with self._together():
            torch.distributed.all_reduce(together, op=torch.distributed.ReduceOp.MAX)
        return list(map(bool, together.tolist()))

    def collect(self, value: Any) -> list[Any]:
        """The plain values of all ranks, ordered by rank."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        with self._together():
            torch.distributed.all_gather_object(found, value)
        return found

    def sum(self, row: Tensor) -> None:
        """Replace a tensor on the device by its sum over all ranks.

        All ranks get the same bits.
        """
        if self.count > 1:
            with self._together():
                torch.distributed.all_reduce(row)

    def follow(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of the first rank."""
        if self.count > 1:
            with self._together(), torch.no_grad():
                for tensor in tensors:
                    torch.distributed.broadcast(tensor, 0)

    def wait(self) -> None:
        """Wait until all ranks arrive."""
        if self.count > 1:
            with self._together():
                torch.distributed.barrier()

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Report in one line that another rank is gone.

        That rank has printed its reason if it could.
        """
        try:
            yield
        except RuntimeError as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise TrainingError(
                f"another of the run's {self.count} processes is gone: its own message says why ({reason}); "
                f"the last checkpoint is intact: --resume goes on from there"
            ) from error


def pack(parameters: Sequence[Tensor]) -> Tensor:
    """Gradients of parameters in one row [numbers], with zeros for missing ones."""
    return torch.cat(
        [
            (torch.zeros_like(each) if each.grad is None else each.grad).reshape(-1)
            for each in parameters
        ]
    )


def unpack(row: Tensor, parameters: Sequence[Tensor], there: Sequence[bool]) -> None:
    """Gradients from their row [numbers]; None for those that are not `there`."""
    for parameter, part, used in zip(
        parameters, torch.split(row, [each.numel() for each in parameters]), there, strict=True
    ):
        parameter.grad = part.view_as(parameter) if used else None


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` takes cuda, then mps, then cpu."""
    there = [kind for kind in ("cuda", "mps") if _there(kind)] + ["cpu"]
    if name == "auto":
        name = there[0]
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"device '{name}' is not available here: use cuda, mps, cpu or auto"
        ) from error
    if device.type not in there:
        raise UsageError(f"the device '{name}' is not on this machine; auto takes what is there")
    if name == "cuda":  # torchrun says which of them is this rank's
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    return device


def _there(kind: str) -> bool:
    return torch.cuda.is_available() if kind == "cuda" else bool(torch.backends.mps.is_available())


def computes_bf16(device: torch.device) -> bool:
    """True if the device computes bf16 in hardware; elsewhere bf16 is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool({"amx_bf16", "avx512_bf16"} & system.processor_flags())


def choose_precision(config: TrainConfig, device: torch.device, parameters: int) -> str:
    """Precision of a run, fp32 or bf16; refuses bf16 on a device that does not compute it.

    `auto` takes bf16 where the device computes it, but on a CPU only from BF16_FROM parameters on.
    """
    can = computes_bf16(device)
    if config.precision == "bf16" and not can:
        raise UsageError(
            f"precision bf16: {device} does not compute it in hardware, and would be slower than in "
            "fp32: leave it out, for auto takes what the machine has"
        )
    if config.precision != "auto":
        return config.precision
    gains = device.type == "cuda" or (device.type == "cpu" and parameters >= BF16_FROM)
    return "bf16" if can and gains else "fp32"


def require_possible(config: TrainConfig) -> None:
    """Refuse settings of a run that this machine cannot follow, before anything is made for it."""
    choose_precision(config, choose_device(config.device), 0)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Mixed precision, if bf16 was chosen."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def compiled(model: nn.Module, config: TrainConfig) -> nn.Module:
    """The model that the learner calls: compiled if the config says so."""
    called: Any = torch.compile(model) if config.compile else model
    return called  # type: ignore[no-any-return]
