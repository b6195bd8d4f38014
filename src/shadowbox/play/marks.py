"""The mark of a checkpoint that did not pass the behavior gate."""

from __future__ import annotations

from pathlib import Path

from shadowbox.core.evaluation import FILE, NOT_SHOWN, GateReport
from shadowbox.core.files import read_json
from shadowbox.errors import CheckpointError

__all__ = ["FILE", "mark_of"]


def mark_of(checkpoint: Path) -> str:
    """Sentence that names an agent of a checkpoint that did not pass its gate.

    Empty if it passed, or was never evaluated.
    """
    try:
        found = read_json(checkpoint / FILE, error=CheckpointError)
        gate = GateReport.from_json(found.get("gate"))
    except FileNotFoundError:
        return ""
    except CheckpointError:
        return "its evaluation cannot be read"
    if gate.passed:
        return ""
    more = f" (and {len(gate.why) - 1} more)" if len(gate.why) > 1 else ""
    verb = "was not shown to pass" if gate.verdict == NOT_SHOWN else "failed"
    return f"{verb} the behavior gate: {gate.why[0] if gate.why else 'no reason given'}{more}"
