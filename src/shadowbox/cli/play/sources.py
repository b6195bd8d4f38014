"""Sources of landmarks by their names on the command line."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from shadowbox.core.imports import import_object
from shadowbox.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shadowbox.games.gesture.sources import _Source

REAL = ("page", "landmarks", "camera", "phone", "video")  # sources of a real person
PORT = click.IntRange(0, 65535)
COMPLEXITY = ("lite", "full", "heavy")  # models of the pose, by their number in the package


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the sources of a real person to a command."""
    options = (
        click.option(
            "--landmarks-port",
            default=8778,
            show_default=True,
            type=PORT,
            help="Port for landmarks.",
        ),
        click.option(
            "--complexity",
            type=click.Choice(COMPLEXITY),
            default="full",
            show_default=True,
            help="Model of the pose for --source page.",
        ),
        click.option(
            "--camera",
            "camera_number",
            default=0,
            show_default=True,
            type=click.IntRange(0, 63),
            help="Number of the camera.",
        ),
        click.option("--video", metavar="FILE", help="Video for --source video."),
        *(
            click.option(
                f"--{part}-model",
                default="",
                metavar="FILE",
                help=f"Own model of the {what}, a .task bundle of MediaPipe, for --source camera, "
                "phone and video.",
            )
            for part, what in (("pose", "pose"), ("hand", "hands"))
        ),
        click.option(
            "--phone", metavar="HOST[:PORT]", help="Phone that streams pictures.  [port: 5000]"
        ),
        click.option(
            "--estimator",
            metavar="MODULE:FUNCTION",
            help="Function from a JPEG (bytes) to landmarks [260] or None, for --source phone.  "
            "[default: MediaPipe]",
        ),
        click.option(
            "--port", default=8777, show_default=True, type=PORT, help="Port of the page."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def source_of(options: dict[str, Any], stack: contextlib.ExitStack) -> _Source:
    """Source of a real person, not entered yet; what it needs is entered on the stack."""
    from shadowbox.games.gesture import sources

    kind = options["source"]
    if kind == "page":
        from shadowbox.games.gesture.camera.package import require

        require(heavy=options["complexity"] == "heavy")
        return sources._PageSource()
    if kind == "landmarks":
        origins = tuple(f"http://{host}:{options['port']}" for host in ("127.0.0.1", "localhost"))
        return sources._LandmarkSource(options["landmarks_port"], origins)
    source = _pictures(kind, options, stack)
    if options["estimator"] is None:
        from shadowbox.games.gesture.camera.pictures import camera_python

        print(f"{kind}: body and hands by MediaPipe, {camera_python()}", file=sys.stderr)
    return source


def _pictures(kind: str, options: dict[str, Any], stack: contextlib.ExitStack) -> _Source:
    """Source of pictures, in which another process finds the landmarks."""
    from shadowbox.games.gesture.camera import pictures

    models = pictures.own_models(options["pose_model"], options["hand_model"])
    if kind == "camera":
        return pictures._CameraSource("camera", str(options["camera_number"]), models)
    if kind == "video":
        if not options["video"]:
            raise UsageError("source video needs --video FILE (of record: --set video=FILE)")
        return pictures._CameraSource("video", options["video"], models)
    if not options["phone"]:
        raise UsageError(
            "source phone needs the phone's address: --phone HOST[:PORT] (of record: --set phone=HOST)"
        )
    host, _, port = options["phone"].partition(":")
    if not port.isdecimal() and port:
        raise UsageError(f"--phone {options['phone']}: expected HOST or HOST:PORT")
    if options["estimator"] is None:
        estimate = stack.enter_context(pictures._Worker("pictures", *models)).estimate
    else:
        estimate = _estimator(options["estimator"])
    return pictures._PhoneSource(host, int(port or 5000), estimate)


def _estimator(path: str) -> Any:
    try:
        return import_object(path)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--estimator {path}: {error}; expected MODULE:FUNCTION") from error


def page_of(source: _Source, options: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `live_application` for a source: with `page`, a webcam and its models."""
    from shadowbox.games.gesture.camera.package import camera_folder
    from shadowbox.games.gesture.sources import _PageSource

    if options["source"] != "page":
        return {}
    assert isinstance(source, _PageSource)
    return {"receive": source.receive, "models": camera_folder()}


def camera_facts(options: dict[str, Any]) -> dict[str, Any]:
    """Part of a page's state that makes it show its webcam."""
    if options["source"] != "page":
        return {}
    return {"camera": {"complexity": COMPLEXITY.index(options["complexity"])}}
