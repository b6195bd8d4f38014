"""What a run was made with: commit, versions, machine, and what it cost."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from shadowbox import __version__

COUNTED = ("numpy", "torch", "safetensors")


def made_with(device: torch.device, ranks: int) -> dict[str, Any]:
    """Everything that can be known before the first step."""
    return {
        "commit": commit(),
        "versions": {"shadowbox": __version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in COUNTED},
        "machine": {
            "system": platform.system(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "ranks": ranks,
        },
    }


class Meter:
    """What a run has cost: this process since the meter began, and the sessions `before`."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self.before: Mapping[str, float] = {}

    @property
    def wall_s(self) -> float:
        """Seconds by the clock."""
        return round(time.monotonic() - self._wall + self.before.get("wall_s", 0), 3)

    def cost(self) -> dict[str, float]:
        """Seconds by the clock and of the processor, and the most memory at a time."""
        unit = 1 if sys.platform == "darwin" else 1024
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return {
            "wall_s": self.wall_s,
            "cpu_s": round(time.process_time() - self._cpu + self.before.get("cpu_s", 0), 3),
            "memory_bytes": max(memory, self.before.get("memory_bytes", 0)),
        }


def commit() -> str | None:
    """The commit of this program's source, marked where files differ from it.

    None outside a clone.
    """
    folder = str(Path(__file__).resolve().parent)

    def git(*arguments: str) -> str:
        command = ["git", "-C", folder, *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
        return answer.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + (
            "-changed" if git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None


def processor() -> str:
    """The processor by name, where the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
