"""Models that find pose and hands in a browser: npm's `@mediapipe/holistic`, fetched once.

`fetch` calls `npm pack`, which asks the registry that is configured for npm, and nothing else. The
archive is checked against the SHA-512 below before it is opened. What is kept goes into the user's
data folder, from which the page of games/gesture/page is served; the browser needs no network.
"""

from __future__ import annotations

from pathlib import Path

from shadowbox.core import system
from shadowbox.core.downloads import npm
from shadowbox.errors import ShadowboxError

PACKAGE, VERSION, LICENSE = "@mediapipe/holistic", "0.5.1675471629", "Apache-2.0"
SHA512 = (
    "a98f9cc6d0de48ebd5b5ebeb2e09e8762c1761a02d3e2edd1d9b4dbff6d4086123162700398b4c9ab652a8c99b3e44c1"
    "dbee232e73c5d6f82c86402a41149803"
)
ARCHIVE_BYTES = 52_558_610
HEAVY = "pose_landmark_heavy.tflite"
KEPT = {  # file -> bytes
    "holistic.js": 78_139,
    "holistic.binarypb": 1_741,
    "holistic_solution_packed_assets.data": 16_877_755,
    "holistic_solution_packed_assets_loader.js": 9_786,
    "holistic_solution_simd_wasm_bin.js": 276_482,
    "holistic_solution_simd_wasm_bin.wasm": 6_511_073,
    "pose_landmark_full.tflite": 6_440_512,
    "pose_landmark_lite.tflite": 2_819_824,
    "package.json": 657,
    HEAVY: 27_709_200,
}
SETUP = "shadowbox setup camera"
NPM = npm._NpmPackage(PACKAGE, VERSION, SHA512, ARCHIVE_BYTES, SETUP)


def camera_folder() -> Path:
    """Folder of the models in this user's data."""
    return system.user_data() / "camera" / VERSION


def kept(heavy: bool = False) -> dict[str, int]:
    """Files that are kept, with their bytes; the heavy model only where it is asked for."""
    return {name: size for name, size in KEPT.items() if heavy or name != HEAVY}


def is_complete(folder: Path, heavy: bool = False) -> bool:
    """Return true if every file is in the folder, in its size."""
    files = {name: folder / name for name in kept(heavy)}
    return all(path.is_file() and path.stat().st_size == KEPT[name] for name, path in files.items())


def require(folder: Path | None = None, heavy: bool = False) -> Path:
    """Folder of the models; an error that says how to get them if there are none."""
    folder = folder or camera_folder()
    if not is_complete(folder, heavy):
        raise ShadowboxError(
            f"the browser's models are not in {folder}; fetch them once with "
            f"`{SETUP}{' --heavy' * heavy}`"
        )
    return folder


def fetch(folder: Path, heavy: bool = False) -> None:
    """Fetch the package by npm, check its digest, and keep its files in `folder`."""
    keep(npm.fetched(NPM), folder, heavy)


def checked(archive: Path) -> bytes:
    """Content of the archive, if it has the pinned digest."""
    return npm.checked(NPM, archive)


def keep(content: bytes, folder: Path, heavy: bool = False) -> None:
    """Write the files of an archive that are needed, each whole, in their known sizes."""
    npm.keep(PACKAGE, content, kept(heavy), folder, "package")
