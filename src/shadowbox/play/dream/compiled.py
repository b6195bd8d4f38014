"""Compilation of a dream's step with PyTorch's AOTInductor, kept on disk for later processes.

It takes a C++ compiler and minutes, once for each number of matches; then a step of one match is
several times faster. A file in the cache is code, which its owner alone can write.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shadowbox import model
from shadowbox.core import dynamics, system
from shadowbox.model import trunks, world
from shadowbox.model.world.step import _PureStep

Run = Callable[[Sequence[Tensor]], Sequence[Tensor]]
FOLDERS = (model, world, trunks, dynamics)  # whose source decides what is compiled
NOT_READ = ("contexts", "context_length")  # weights that a step does not read


def compiled_step(pure: _PureStep, given: Sequence[Tensor], name: str) -> Run | None:
    """The step for arguments of these shapes, compiled now if it is not kept from before.

    None, and a sentence on standard error, if this machine has no C++ compiler.
    """
    path = cache_folder() / f"{_digest(pure, given)}.pt2"
    if not path.is_file() and not _compile(pure, given, path, name):
        return None
    inductor: Any = torch._inductor
    run: Run = inductor.aoti_load_package(str(path)).loader.run
    return run


def cache_folder() -> Path:
    """Folder of the compiled steps of this user."""
    usual = Path.home() / (".cache" if os.name != "nt" else "AppData/Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or usual) / "shadowbox" / "compiled"


def _compile(pure: _PureStep, given: Sequence[Tensor], path: Path, name: str) -> bool:
    """Compile a step into `path`; false if this machine has no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        say(
            f"world '{name}': there is no C++ compiler, such as g++, so it runs without compile=true"
        )
        return False
    say(
        f"world '{name}': compiling a step of {pure.matches} matches, which takes one to five "
        f"minutes, once; it is kept in {path.parent}"
    )
    began = time.monotonic()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f"{path.stem}-{os.getpid()}.pt2")
    inductor: Any = torch._inductor
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about PyTorch's own code
        program = torch.export.export(pure, tuple(given), strict=False)
        if len(given[0]) == 1:
            program = program.run_decompositions(_products_of_one_row())
        inductor.aoti_compile_and_package(
            program, package_path=str(beside), inductor_configs={"memory_planning": True}
        )
    system.replace(beside, path)
    say(f"world '{name}': compiled in {time.monotonic() - began:.0f} s")
    return True


def say(sentence: str) -> None:
    """Print a sentence on standard error, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(f"{sentence}\n")


def _products_of_one_row() -> dict[Any, Any]:
    """Products of one row and a matrix as sums, which are compiled in line.

    A call of a library for each product takes longer than the product.
    """
    import torch._inductor.inductor_prims  # registers the operator that is used below

    ops: Any = torch.ops

    def product(x: Tensor, weight: Tensor) -> Tensor:
        """Row [1, K] by a matrix [N, K]. The row is computed once, not again for each sum."""
        row = ops.prims.inductor_force_stride_order(x, [x.shape[1], 1])
        found: Tensor = (row.unsqueeze(-2) * weight).sum(-1)
        return found

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        out = product(x, weight)
        return out if bias is None else out + bias

    def matmul(x: Tensor, matrix: Tensor) -> Tensor:
        return product(x, matrix.t())

    return {ops.aten.linear.default: linear, ops.aten.matmul.default: matmul}


def _digest(pure: _PureStep, given: Sequence[Tensor]) -> str:
    """Digest of all that decides the compiled code: weights, declarations, sources, machine."""
    made, found = pure.model, hashlib.blake2b(digest_size=16)
    about = [
        torch.__version__, platform.machine(), torch.backends.cpu.get_cpu_capability(),
        pure.matches, [[list(each.shape), str(each.dtype)] for each in given],
        made.schema.to_json(), made.rules.dynamics.to_json(), made.vocabulary.to_json(),
        made.config.flat(),
    ]  # fmt: skip
    found.update(json.dumps(about, sort_keys=True, default=str).encode())
    for name, values in made.state_dict().items():
        if name not in NOT_READ:
            found.update(name.encode() + values.contiguous().numpy().tobytes())
    sources = [path for each in FOLDERS for path in Path(each.__path__[0]).glob("*.py")]
    for path in sorted(sources):
        found.update(path.read_bytes())
    return found.hexdigest()
