"""Checkpoints: folders that are written whole or not at all, and never executed when read.

    RUN/checkpoints/00001200/model.safetensors  weights to use (averaged, where a run averages)
                             config.json        format version, kind, game, preset, arguments of
                                                the model, schema hashes
                             schema.json        declaration that the weights were trained on
                             trainer.pt         state for resuming: plain containers of tensors
                                                and numbers
                             done               size and digest of each file above; written last
    RUN/latest, RUN/best                        text files that name a step

A folder is filled under another name, synced, and renamed. `NAME@latest`, `NAME@best` and
`NAME@step=N` name checkpoints.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shadowbox.core.evaluation import FILE as EVALUATION
from shadowbox.core.files import mismatches, read_bytes, write_whole
from shadowbox.core.schema import Schema, require
from shadowbox.core.system import link, replace, sync_folder
from shadowbox.errors import CheckpointError, SchemaError, UsageError, did_you_mean
from shadowbox.model.checkpoint_files import (
    CONFIG,
    DONE,
    SCHEMA,
    TRAINER,
    WEIGHTS,
    digests,
    load_plain,
    read_json,
    require_plain,
    require_whole,
    step_of,
    to_json_bytes,
    write_synced,
)

FORMAT, VERSION = "shadowbox checkpoint", 2
FOLDER = "checkpoints"
POINTERS = ("latest", "best")
SHAPE = {"kind": str, "preset": str, "arguments": dict, "calibration?": dict}  # of config.json


@dataclass(frozen=True)
class CheckpointConfig:
    """Configuration of a model, from which it is built again without the code that trained it."""

    kind: str  # policy, world
    schema: Schema
    preset: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """Checkpoint whose files are all intact."""

    path: Path
    step: int
    about: CheckpointConfig
    weights: dict[str, Tensor]
    # values chosen after training, as plain data
    calibration: Mapping[str, Any] = field(default_factory=dict)

    def trainer(self) -> dict[str, Any]:
        """State for resuming the training run."""
        if not (self.path / TRAINER).exists():
            raise CheckpointError(
                f"{self.path} was shipped without the trainer's state: it can play, be evaluated and "
                "be a parent, but no run can go on from it"
            )
        state = load_plain(self.path / TRAINER)
        if not isinstance(state, dict):
            raise CheckpointError(
                f"{self.path / TRAINER} must hold a dictionary (got a {type(state).__name__}); "
                f"use another step"
            )
        return state


# ---- writing -------------------------------------------------------------------------------------


def save(
    run: Path,
    step: int,
    about: CheckpointConfig,
    weights: Mapping[str, Tensor],
    trainer: Mapping[str, Any],
) -> Path:
    """Write the checkpoint of a step, whole or not at all, and point `latest` at it."""
    from safetensors.torch import save as packed

    require_plain(trainer, "trainer state")
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / _name(step)
    temporary = folder / f".{target.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir()
        write_synced(
            temporary / WEIGHTS,
            packed({key: value.detach().cpu().contiguous() for key, value in weights.items()}),
        )
        write_synced(temporary / CONFIG, to_json_bytes(_config(about)))
        write_synced(temporary / SCHEMA, to_json_bytes(about.schema.to_json()))
        with open(temporary / TRAINER, "wb") as file:
            torch.save(dict(trainer), file)
            file.flush()
            os.fsync(file.fileno())
        write_synced(temporary / DONE, to_json_bytes(digests(temporary)))
        sync_folder(temporary)
        if target.exists():  # the same step again, after a rollback: the old one is replaced
            replace(target, temporary.with_suffix(".old.tmp"))
        replace(temporary, target)
        sync_folder(folder)
        point(run, "latest", step)
    finally:
        sweep(run)
    return target


def point(run: Path, name: str, step: int) -> None:
    """Make `latest` or `best` name a step."""
    write_whole(run / name, f"{_name(step)}\n".encode())


def calibrate(folder: Path, calibration: Mapping[str, Any]) -> None:
    """Write values that were chosen after training into a finished checkpoint's config."""
    require_whole(folder)
    config = {**read_json(folder / CONFIG), "calibration": dict(calibration)}
    rewrite(folder, {CONFIG: to_json_bytes(config)})


def rewrite(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace some files of a finished checkpoint, all of them or none.

    Between two renames the old folder is called `.NAME.before`; a crash there loses nothing, and
    renaming it back repairs it.
    """
    temporary, before = (
        folder.parent / f".{folder.name}.{os.getpid()}.tmp",
        folder.parent / f".{folder.name}.before",
    )
    try:
        temporary.mkdir()
        for path in folder.iterdir():
            if path.name not in {*files, DONE}:
                link(path, temporary / path.name)
        for name, data in files.items():
            write_synced(temporary / name, data)
        write_synced(temporary / DONE, to_json_bytes(digests(temporary)))
        sync_folder(temporary)
        replace(folder, before)
        replace(temporary, folder)
        sync_folder(folder.parent)
        shutil.rmtree(before)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def ship(folder: Path, out: Path) -> Path:
    """Copy a finished checkpoint into the new folder `out`, without the state of its trainer.

    Its step is kept in its config, so the folder may have any name. An evaluation beside it comes
    along; `done` lists the files that are there.
    """
    require_whole(folder)
    if out.exists():
        raise UsageError(f"{out} is there already: name a folder that is not")
    config = read_json(folder / CONFIG)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        for name in (WEIGHTS, SCHEMA, EVALUATION):
            if (folder / name).exists():
                write_synced(temporary / name, (folder / name).read_bytes())
        write_synced(temporary / CONFIG, to_json_bytes({**config, "step": step_of(folder, config)}))
        write_synced(temporary / DONE, to_json_bytes(digests(temporary)))
        sync_folder(temporary)
        replace(temporary, out)
        sync_folder(out.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def sweep(run: Path) -> None:
    """Remove unfinished checkpoints."""
    for left in (run / FOLDER).glob(".*.tmp"):
        shutil.rmtree(left, ignore_errors=True)


def prune(run: Path, every: int, spare: Iterable[int] = ()) -> None:
    """Remove checkpoints but those of every `every`-th step (0: none), named ones and `spare`."""
    named = {step for name in POINTERS if (step := pointed(run, name)) is not None}
    for step in steps(run):
        if step not in named and step not in set(spare) and not (every and step % every == 0):
            shutil.rmtree(run / FOLDER / _name(step), ignore_errors=True)


# ---- reading -------------------------------------------------------------------------------------


def steps(run: Path) -> list[int]:
    """Steps that have a finished checkpoint, ascending."""
    return sorted(
        int(path.parent.name)
        for path in (run / FOLDER).glob(f"*/{DONE}")
        if path.parent.name.isdecimal()
    )


def find_checkpoint(spec: str | Path) -> Path:
    """Folder of `RUN`, `RUN@latest`, `RUN@best`, `RUN@step=N` or of a checkpoint's own path.

    A bare RUN is its best checkpoint, or its latest if none is best.
    """
    path, mark, selector = str(spec).partition("@")
    run = Path(path)
    if not mark and (run / CONFIG).exists():
        return run
    if run.is_file():
        raise CheckpointError(
            f"{run} is a file; expected the folder of a checkpoint "
            f"(files of pickled objects are never opened)"
        )
    if not (run / FOLDER).is_dir():
        raise CheckpointError(f"{run} is not a run: expected a folder {FOLDER} in it")
    selector = selector or ("best" if (run / "best").exists() else "latest")
    if selector.startswith("step=") and selector[5:].isdecimal():
        step: int | None = int(selector[5:])
    elif selector in POINTERS:
        step = pointed(run, selector)
    else:
        raise UsageError(
            f"'{spec}': expected latest, best or step=N after @; {did_you_mean(selector, POINTERS)}"
        )
    finished = ", ".join(map(str, steps(run))) or "none"
    if step is None:
        raise CheckpointError(
            f"{run} has no checkpoint called {selector}; its finished ones: {finished}"
        )
    folder = run / FOLDER / _name(step)
    if not folder.is_dir():
        raise CheckpointError(
            f"{run} has no checkpoint of step {step}; its finished ones: {finished}"
        )
    return folder


def load(
    folder: Path, *, schema: Schema | None = None, kind: str | None = None, device: str = "cpu"
) -> Checkpoint:
    """Read a checkpoint from its folder; damage is refused in one line.

    With `schema`, weights that were trained on other fields, scales or predict rules are refused
    with the differences.
    """
    require_whole(folder)
    config = read_json(folder / CONFIG)
    if (version := version_of(folder, config)) < VERSION:
        raise CheckpointError(
            f"{folder} has version {version} of the format, this Shadowbox reads {VERSION}: "
            f"run `shadowbox migrate {folder}`"
        )
    for problem in mismatches(config, SHAPE):
        raise CheckpointError(f"{folder / CONFIG} cannot be used: {problem}; use another step")
    try:
        schema_of_weights = Schema.from_json(read_json(folder / SCHEMA))
    except SchemaError as error:
        raise CheckpointError(
            f"{folder / SCHEMA} cannot be used: {error}; use another step"
        ) from error
    about = CheckpointConfig(
        config["kind"], schema_of_weights, config["preset"], config["arguments"]
    )
    if kind is not None and about.kind != kind:
        raise CheckpointError(f"{folder} holds a {about.kind}, expected a {kind}")
    if schema is not None:
        require(schema, about.schema, f"checkpoint {folder}", coding=True)
        require(
            about.schema, schema, f"checkpoint {folder}, read the other way round,", coding=True
        )
    step = step_of(folder, config)
    weights = read_weights(folder / WEIGHTS, device)
    return Checkpoint(folder, step, about, weights, config.get("calibration", {}))


def read_weights(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Weights of a file; damage is refused in one line."""
    from safetensors import SafetensorError
    from safetensors.torch import load as unpacked

    try:
        weights = unpacked(read_bytes(path, error=CheckpointError))
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} cannot be read as weights: {error}; use another step"
        ) from error
    for key, value in weights.items():
        if not torch.isfinite(value).all():
            raise CheckpointError(
                f"{path}: {key} holds values that are not finite (NaN or infinity); "
                "use another step"
            )
    return {key: value.to(device) for key, value in weights.items()}


def version_of(folder: Path, config: Mapping[str, Any]) -> int:
    """Version of a checkpoint's format; a version later than this program's is refused."""
    version = config.get("version")
    if config.get("format") != FORMAT or not isinstance(version, int) or version < 1:
        raise CheckpointError(
            f"{folder / CONFIG}: expected '{FORMAT}' version {VERSION} "
            f"(got '{config.get('format')}' version {version!r})"
        )
    if version > VERSION:
        raise CheckpointError(
            f"{folder} has version {version} of the format, this Shadowbox reads {VERSION}: "
            "update Shadowbox"
        )
    return version


def load_weights(model: torch.nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Load weights into a model; other names or shapes are refused with the differences."""
    require_weights(model, weights, where)
    model.load_state_dict(dict(weights))


def require_weights(model: torch.nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights of other names or shapes than the model's, with the differences."""
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    got = {key: tuple(value.shape) for key, value in weights.items()}
    lines = [
        f"{key}: {expected.get(key, 'no such')} expected, {got.get(key, 'none')} found"
        for key in sorted(expected | got)
        if expected.get(key) != got.get(key)
    ]
    if lines:
        more = f" (and {len(lines) - 5} more)" if len(lines) > 5 else ""
        raise CheckpointError(f"{where} does not fit this model: " + "; ".join(lines[:5]) + more)


# ---- inside --------------------------------------------------------------------------------------


def _name(step: int) -> str:
    return f"{step:08d}"


def _config(about: CheckpointConfig) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": about.kind,
        "game": about.schema.name,
        "preset": about.preset,
        "arguments": dict(about.arguments),
        "facts_hash": about.schema.facts_hash,
        "coding_hash": about.schema.coding_hash,
    }


def pointed(run: Path, name: str) -> int | None:
    """Step that `latest` or `best` names; None without that file."""
    path = run / name
    if path.is_symlink():
        raise CheckpointError(f"{path} is a link; expected a text file that names a step")
    try:
        text = (
            read_bytes(path, error=CheckpointError, largest=1000).decode(errors="replace").strip()
        )
    except FileNotFoundError:
        return None
    if not (
        text.isascii() and text.isdecimal() and len(text) < 19
    ):  # a number cannot lead out of the run
        raise CheckpointError(f"{path} must hold the number of a step (got {text[:40]!r})")
    return int(text)
