"""`shadowbox export`: write a policy or a world for programs that do not have Shadowbox."""

from __future__ import annotations

from shadowbox.cli import _LazyGroup

COMMANDS = {  # name -> (module:object, what `--help` says)
    "onnx": (
        "shadowbox.cli.export.onnx:onnx",
        "One step of a policy, a world or an encoder as ONNX, compared with PyTorch.",
    ),
}

export = _LazyGroup(
    "export",
    commands_at=COMMANDS,
    help="Write a policy or a world for programs that do not have Shadowbox.",
)
