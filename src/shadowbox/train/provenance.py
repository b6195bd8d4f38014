"""Provenance of a run: commit, versions, machine and cost."""

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


def made_with(device: torch.device, ranks: int, precision: str) -> dict[str, Any]:
    """Facts that are known before the first step."""
    return {
        "commit": commit(),
        "versions": versions(),
        "machine": {
            "system": platform.system(),
            "processor": system.processor(),
            "cores": os.cpu_count(),
            "memory_bytes": system.memory(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "ranks": ranks,
            "precision": precision,
        },
    }


def versions() -> dict[str, str]:
    """Versions of this program, of Python and of the packages that numbers depend on."""
    own = {"shadowbox": __version__, "python": platform.python_version()}
    return own | {name: metadata.version(name) for name in COUNTED}


class CostMeter:
    """Cost of a run: this process since the meter began, plus earlier sessions (`before`)."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self.before: Mapping[str, float] = {}

    @property
    def wall_s(self) -> float:
        """Wall-clock seconds."""
        return round(time.monotonic() - self._wall + self.before.get("wall_s", 0), 3)

    def cost(self) -> dict[str, float]:
        """Wall-clock seconds, CPU seconds, and peak memory where the system reports it."""
        peaks = [system.peak_memory(), self.before.get("memory_bytes")]
        known = [bytes_ for bytes_ in peaks if bytes_ is not None]
        return {
            **self.before,
            "wall_s": self.wall_s,
            "cpu_s": round(time.process_time() - self._cpu + self.before.get("cpu_s", 0), 3),
        } | ({"memory_bytes": max(known)} if known else {})


def commit() -> str | None:
    """Commit of this program's source, marked if files differ from it; None outside a clone."""
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
