"""The mark of a checkpoint that failed the behavior gate."""

from __future__ import annotations

import json
from pathlib import Path

FILE = "evaluation.json"  # in the checkpoint's folder: it goes where the checkpoint goes


def mark_of(checkpoint: Path) -> str:
    """What whoever plays with this checkpoint must carry: empty if it passed the gate, or was never judged."""
    try:
        found = json.loads((checkpoint / FILE).read_bytes())
        passed, why = (
            bool(found["gate"]["passed"]),
            [str(sentence) for sentence in found["gate"]["why"]],
        )
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError, KeyError, TypeError):
        return "its evaluation cannot be read"
    more = f" (and {len(why) - 1} more)" if len(why) > 1 else ""
    return (
        "" if passed else f"failed the behavior gate: {why[0] if why else 'no reason given'}{more}"
    )
