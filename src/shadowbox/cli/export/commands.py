"""`shadowbox export`: write a policy or a world for programs that do not have Shadowbox."""

from __future__ import annotations

from shadowbox.cli import _LazyGroup

COMMANDS = {  # name -> (module:object, what `--help` says)
    "warehouse": (
        "shadowbox.cli.export.warehouse:warehouse",
        "A policy as the one file of the Warehouse Brawl tournament, of NumPy alone.",
    ),
    "onnx": (
        "shadowbox.cli.export.onnx:onnx",
        "One step of a policy, a world or an encoder as ONNX, compared with PyTorch.",
    ),
    "web": (
        "shadowbox.cli.export.web:web",
        "A page in which a browser plays in a learned world, without a server.",
    ),
}

export = _LazyGroup(
    "export",
    commands_at=COMMANDS,
    help="Write a policy or a world for programs that do not have Shadowbox.",
)
