"""Runtime of networks in a browser: npm's `onnxruntime-web`, fetched once and kept for this user."""

from __future__ import annotations

import re
from pathlib import Path

from shadowbox.core import system
from shadowbox.core.downloads import npm
from shadowbox.errors import ShadowboxError

VERSION, LICENSE = "1.24.3", "MIT"
NPM = npm._NpmPackage(
    "onnxruntime-web",
    VERSION,
    "e35743abb7f1b539b45f3184ecdd1dea6f0570e63c116b5403ae4690e8b124f0"
    "7f1bb0c6cc19a20c09d55571f39d1c3d6e0519a5bfb8ff59502bf3cdc46a5bad",
    30_848_838,
    "shadowbox export web",
)
SCRIPT, CODE = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
KEPT = {SCRIPT: 72_812, CODE: 12_361_745}  # file -> bytes
_EXPORTS = re.compile(r"export\{([^}]*)\};")


def runtime_folder() -> Path:
    """Folder of the runtime in this user's data."""
    return system.user_data() / "onnxruntime-web" / VERSION


def runtime_files() -> tuple[str, bytes]:
    """Script and compiled code of the runtime; fetched by npm, and checked, if they are not here."""
    folder = runtime_folder()
    files = {name: folder / name for name in KEPT}
    if not all(p.is_file() and p.stat().st_size == KEPT[name] for name, p in files.items()):
        npm.keep(NPM.name, npm.fetched(NPM), KEPT, folder, "package/dist")
    return files[SCRIPT].read_text(encoding="utf-8"), files[CODE].read_bytes()


def runtime_script(text: str) -> str:
    """The runtime's module as a constant `$ort` of another module."""
    found = _EXPORTS.search(text)
    if found is None:
        raise ShadowboxError(f"{NPM.name} {VERSION}: {SCRIPT} exports nothing")
    pairs = [pair.strip().split(" as ") for pair in found[1].split(",")]
    names = ", ".join(f"{given}: {own}" for own, given in pairs if given != "default")
    body = text[: found.start()]
    return f"const $ort = (() => {{\n{body}\nreturn {{ {names} }};\n}})();"
