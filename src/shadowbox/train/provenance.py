"""What a run was made with: commit, versions, machine, and what it cost."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from shadowbox import __version__
from shadowbox.core import system

COUNTED = ("numpy", "torch", "safetensors")


def made_with(device: torch.device, ranks: int) -> dict[str, Any]:
    """Everything that can be known before the first step."""
    return {
        "commit": commit(),
        "versions": {"shadowbox": __version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in COUNTED},
        "machine": {
            "system": platform.system(),
            "processor": system.processor(),
            "cores": os.cpu_count(),
            "memory_bytes": system.memory(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "ranks": ranks,
        },
    }


class CostMeter:
    """What a run has cost: this process since the meter began, and the sessions `before`."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self.before: Mapping[str, float] = {}

    @property
    def wall_s(self) -> float:
        """Seconds by the clock."""
        return round(time.monotonic() - self._wall + self.before.get("wall_s", 0), 3)

    def cost(self) -> dict[str, float]:
        """Seconds of wall time and of CPU time, and the most bytes of memory at a time, where the system says."""
        peaks = [system.peak_memory(), self.before.get("memory_bytes")]
        known = [bytes_ for bytes_ in peaks if bytes_ is not None]
        return {
            "wall_s": self.wall_s,
            "cpu_s": round(time.process_time() - self._cpu + self.before.get("cpu_s", 0), 3),
        } | ({"memory_bytes": max(known)} if known else {})


def commit() -> str | None:
    """The commit of this program's source, marked where files differ from it.

    None outside a clone.
    """
    folder = str(Path(__file__).resolve().parent)

    def git(*arguments: str) -> str:
        command = ["git", "-C", folder, *arguments]
        answer = subprocess.run(command, capture_output=True, check=True, timeout=10)  # noqa: S603
        return answer.stdout.decode(errors="replace").strip()

    try:
        return git("rev-parse", "HEAD") + (
            "-changed" if git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None
