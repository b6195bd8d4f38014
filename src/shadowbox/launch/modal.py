"""Jobs on Modal: an app with one function from the spec; data goes up, checkpoints come down.

The app is built without an account and without a network, and its function runs here with
`.local()`. The function goes on with the card's run in a volume, commits it after each checkpoint,
and ends before the time-out with an error, after which Modal starts it again.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from shadowbox import __version__
from shadowbox.core.files import write_whole
from shadowbox.core.system import command_line
from shadowbox.errors import ShadowboxError, UsageError, checkout, install_hint
from shadowbox.launch import records
from shadowbox.launch.spec import _LaunchSpec

MOUNT = "/shadowbox"  # of the volume in the container, which is the folder that the job works in
PACKAGE = "/root/package"  # of this clone's source in the container
FUNCTION = "train"
LONGEST_S, MOST_RETRIES = 86400, 10  # of Modal's functions
GPUS = {"A100-SXM4-40GB": "A100-40GB"}  # other names of machines -> Modal's


class _Job(NamedTuple):
    """An app and its function."""

    app: Any
    train: Any  # (spec, files, place) -> the card's result


def build(spec: _LaunchSpec, *, commit: Callable[[], object] | None = None) -> _Job:
    """The app of a job; nothing is sent anywhere.

    `commit` replaces the commit of the volume, which exists in Modal's containers alone.
    """
    modal = _modal()
    if spec.timeout_s > LONGEST_S:
        raise UsageError(
            f"the time-out of {spec.card} is {spec.timeout_s:,} s, Modal allows {LONGEST_S:,}: "
            "give the card a shorter `timeout`; its run goes on by itself"
        )
    name = volume_name(spec)
    app = modal.App(f"shadowbox-{spec.card}")
    volume = modal.Volume.from_name(name, create_if_missing=True)
    gpu = GPUS.get(spec.accelerator, spec.accelerator)
    settings: dict[str, Any] = {
        "image": _image(modal),
        "gpu": f"{gpu}:{spec.accelerators}" if gpu else None,
        "timeout": spec.timeout_s,
        "volumes": {MOUNT: volume},
        "secrets": [modal.Secret.from_name(each) for each in spec.secrets],
        "retries": modal.Retries(
            max_retries=min(spec.resumes, MOST_RETRIES), initial_delay=0.0, backoff_coefficient=1.0
        ),
        "name": FUNCTION,
        "single_use_containers": True,  # a session after an error begins in a fresh one
        "serialized": True,  # it is made here, and found in no module
    }
    if spec.workers:
        settings["cpu"] = float(spec.workers)
    if spec.environment:
        settings["env"] = dict(spec.environment)

    def train(data: dict[str, Any], files: dict[str, str], place: str = MOUNT) -> dict[str, Any]:
        from pathlib import Path

        from shadowbox.launch import session
        from shadowbox.launch.modal import commit_volume

        done = commit or (lambda: commit_volume(data))
        return session.run_session(data, files, Path(place), done)

    return _Job(app, app.function(**settings)(train))


def volume_name(spec: _LaunchSpec) -> str:
    """Name of the volume of a job."""
    return spec.volume or "shadowbox"


def commit_volume(data: Mapping[str, Any]) -> None:
    """Commit the volume of a job, in a container that has mounted it."""
    _modal().Volume.from_name(data["volume"] or "shadowbox").commit()


def submit(spec: _LaunchSpec, files: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Start a job; its record."""
    modal = _modal()
    job = build(spec)
    try:
        with modal.enable_output(), job.app.run(detach=spec.detach):
            call = job.train.spawn(spec.to_json(), dict(files))
            if not spec.detach:
                call.get()
    except modal.exception.AuthError as error:
        raise ShadowboxError(
            f"Modal knows no account here ({error}): `modal token new` asks for one"
        ) from None
    record = records.new_record(spec, secrets.token_hex(8))
    record |= {"state": records.SUBMITTED, "job": call.object_id, "app": str(job.app.app_id)}
    records.write_record(folder, record)
    return record


def status(record: dict[str, Any]) -> dict[str, Any]:
    """The record with Modal's state of the job."""
    if record["state"] not in records.ALIVE or "job" not in record:
        return record
    modal = _modal()
    try:
        modal.FunctionCall.from_id(record["job"]).get(timeout=0)
    except TimeoutError:
        return record | {"state": records.RUNNING, "text": f"modal app logs {record['app']}"}
    except Exception as error:  # the job's own, of whatever class
        return record | {"state": records.FAILED, "text": f"{type(error).__name__}: {error}"}
    return record | {"state": records.FINISHED, "text": ""}


def stop(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Cancel a job; what it has committed stays. Its record."""
    if record["state"] in records.ALIVE and "job" in record:
        _modal().FunctionCall.from_id(record["job"]).cancel(terminate_containers=True)
        again = command_line(["shadowbox", "launch", "modal", record["spec"]["card"]])
        record |= {"state": records.STOPPED, "text": f"go on with: {again}"}
        records.write_record(folder, record)
    return record


def upload(volume: Any, paths: Iterable[Path]) -> list[str]:
    """Send files and folders of this folder to the same places in a volume; their places."""
    places = []
    with volume.batch_upload(force=True) as batch:
        for path in paths:
            if path.is_absolute() or ".." in path.parts:
                raise UsageError(
                    f"'{path}' is not below this folder, which the volume is a copy of"
                )
            place = f"/{path.as_posix()}"
            if path.is_dir():
                batch.put_directory(str(path), place)
            else:
                batch.put_file(str(path), place)
            places.append(place)
    return places


def download(volume: Any, place: str, here: Path) -> list[Path]:
    """Fetch a folder of a volume, such as runs/CARD, into the same place below `here`.

    Each file is written whole; files that are here and not in the volume stay. A folder that holds
    checkpoints is complete once its last file, the mark `done`, is there, so marks come last.
    """
    found = [
        entry.path for entry in volume.listdir(place, recursive=True) if int(entry.type) == 1
    ]  # 1: a plain file
    written = []
    for name in sorted(found, key=lambda name: (_is_mark(name), name)):
        path = PurePosixPath(name.lstrip("/"))
        if ".." in path.parts:
            raise ShadowboxError(f"the volume has a file '{name}', which leads out of this folder")
        target = here / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, volume.read_file(name))
        written.append(target)
    return written


def _is_mark(name: str) -> bool:
    """True for files that say that others are complete: marks, pointers and run.json."""
    return PurePosixPath(name).name in ("done", "latest", "best", "run.json", "verdict.json")


def volume_of(spec: _LaunchSpec) -> Any:
    """The volume of a job."""
    return _modal().Volume.from_name(volume_name(spec), create_if_missing=True)


def _image(modal: Any) -> Any:
    """Image of the container: this version of Shadowbox, or the source of this clone."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    image = modal.Image.debian_slim(python_version=version)
    root = checkout()
    if root is None:
        return image.pip_install(f"shadowbox[wandb]=={__version__}")
    image = image.pip_install_from_pyproject(str(root / "pyproject.toml"), ["wandb"])
    image = image.env({"PYTHONPATH": PACKAGE, "PYTHONDONTWRITEBYTECODE": "1"})
    return image.add_local_dir(
        str(root / "src" / "shadowbox"), f"{PACKAGE}/shadowbox", ignore=["**/__pycache__"]
    )


def _modal() -> Any:
    try:
        return import_module("modal")
    except ModuleNotFoundError:
        raise UsageError(f"Modal is not installed: {install_hint('modal')}") from None
