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
MOST_DIFFERING = 0.004  # share of frames; a number close to an edge may fall on either side of it
NOT_READ = ("contexts", "context_length")  # weights that a step does not read


def compiled_step(pure: _PureStep, samples: Sequence[Sequence[Tensor]], name: str) -> Run | None:
    """The step for arguments like these, compiled now if it is not kept from before.

    None, and a sentence on standard error, if this machine has no C++ compiler, or if what it
    compiles differs from PyTorch on the samples.
    """
    path = cache_folder() / f"{_digest(pure, samples[0])}.pt2"
    return _loaded(path) if path.is_file() else _compile(pure, samples, path, name)


def _loaded(path: Path) -> Run:
    inductor: Any = torch._inductor
    run: Run = inductor.aoti_load_package(str(path)).loader.run
    return run


def cache_folder() -> Path:
    """Folder of the compiled steps of this user."""
    usual = Path.home() / (".cache" if os.name != "nt" else "AppData/Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or usual) / "shadowbox" / "compiled"


def _compile(
    pure: _PureStep, samples: Sequence[Sequence[Tensor]], path: Path, name: str
) -> Run | None:
    """Compile a step into `path`, which only a file gets that agrees with PyTorch."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        say(f"world '{name}': this machine lacks a C++ compiler such as g++, so it runs plain")
        return None
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
        program = torch.export.export(pure, tuple(samples[0]), strict=False)
        if len(samples[0][0]) == 1:
            program = program.run_decompositions(_products_of_one_row())
        inductor.aoti_compile_and_package(
            program, package_path=str(beside), inductor_configs={"memory_planning": True}
        )
    run = _loaded(beside)
    differing = _differing(pure, run, samples)
    if differing > MOST_DIFFERING:
        beside.unlink()
        say(
            f"world '{name}': {differing:.1%} of the frames of the compiled step differ from those "
            "of PyTorch, so it runs plain"
        )
        return None
    system.replace(beside, path)
    say(f"world '{name}': compiled in {time.monotonic() - began:.0f} s")
    return run


def _differing(pure: _PureStep, run: Run, samples: Sequence[Sequence[Tensor]]) -> float:
    """Share of the sampled frames in which another flag or choice is drawn than by PyTorch."""
    found = []
    for given in samples:
        (_, *plain), (_, *compiled) = pure(*given)[:3], run(given)[:3]
        pairs = zip(plain, compiled, strict=True)
        found.append(torch.stack([(a != b).any(-1) for a, b in pairs]).any(0))
    return float(torch.cat(found).float().mean())


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
