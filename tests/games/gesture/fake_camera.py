"""A real person without a camera: a photograph in the public domain, turned in known ways, as a webcam."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shadowbox.errors import ShadowboxError
from shadowbox.games.gesture.camera.pictures import camera_python

SIZE = (320, 240)
FLAGS = [
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-accelerated-2d-canvas",
]


def needed_python() -> str:
    """The Python with MediaPipe, whose Matplotlib brings the photograph; skipped without it."""
    try:
        return camera_python()
    except ShadowboxError:
        pytest.skip("NO .venv-camera: A REAL PERSON WAS NOT TRIED. Make it with `make camera`.")


def photograph() -> Image.Image:
    """Grace Hopper from head to chest, in the middle of a picture of SIZE."""
    folder = subprocess.run(
        [needed_python(), "-c", "import matplotlib; print(matplotlib.get_data_path())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    path = Path(folder) / "sample_data" / "grace_hopper.jpg"
    with Image.open(path) as image:
        person = image.convert("RGB").resize((190, 222))
    picture = Image.new("RGB", SIZE, (70, 70, 70))
    picture.paste(person, (65, 18))
    return picture


def turned(picture: Image.Image, degrees: float) -> Image.Image:
    """The picture, turned counter-clockwise about its middle."""
    return picture.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(70, 70, 70))


def write_y4m(path: Path, pictures: list[Image.Image], fps: int) -> None:
    """Write pictures as a raw video, which Chromium shows as its webcam, again and again."""
    wide, tall = SIZE
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{wide} H{tall} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in pictures:
            planes = np.asarray(picture.convert("YCbCr"))
            half = planes[..., 1:].reshape(tall // 2, 2, wide // 2, 2, 2).mean((1, 3))
            parts = (planes[..., 0], half[..., 0], half[..., 1])
            file.write(b"FRAME\n" + b"".join(part.astype(np.uint8).tobytes() for part in parts))


def webcam(chromium, path: Path):
    """A second Chromium beside the one of the tests, whose webcam shows a video."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    flags = [*FLAGS, f"--use-file-for-fake-video-capture={path}"]
    return chromium.browser_type.launch(executable_path=program, args=flags)
