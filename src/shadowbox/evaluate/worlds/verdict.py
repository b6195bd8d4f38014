"""Result of a world's own gate, for everybody who asks the world a question."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shadowbox.core.evaluation import FILE, GateReport
from shadowbox.core.files import read_json
from shadowbox.core.game import Game
from shadowbox.errors import CheckpointError
from shadowbox.play import checkpoints


class _Verdict(NamedTuple):
    """Whether a world passed its gate on a game; None: it is not known."""

    passed: bool | None
    why: tuple[str, ...]
    warning: str  # in one sentence; empty for a world that passed

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return self._asdict() | {"why": list(self.why)}


def verdict_of(folder: Path | None, spec: str, game: Game) -> _Verdict:
    """Verdict of the evaluation beside a world's checkpoint; the game's own simulator is the truth."""
    if spec.partition("@")[0] in (game.name, game.spec):
        return _Verdict(True, (), "")
    if folder is None:
        return _Verdict(
            None, (), f"{spec} has no evaluation: whether it passes its gate is not known"
        )
    try:
        found = read_json(folder / FILE, error=CheckpointError)
        gate = GateReport.from_json(found.get("gate"))
    except FileNotFoundError:
        advice = f"shadowbox eval {spec} STORE"
        return _Verdict(
            None, (), f"{spec} was never evaluated on {game.name}, its gate is not known: {advice}"
        )
    except CheckpointError:
        return _Verdict(None, (), f"the evaluation of {spec} cannot be read, its gate is not known")
    if gate.passed:
        return _Verdict(True, (), "")
    more = f" (and {len(gate.why) - 1} more)" if len(gate.why) > 1 else ""
    reason = gate.why[0] if gate.why else "no reason given"
    return _Verdict(False, gate.why, f"{spec} failed its own gate on {game.name}: {reason}{more}")


def gate_of_world(spec: str | None, game: Game) -> dict[str, Any] | None:
    """Verdict on a learned world that a policy is evaluated in; None for another world."""
    if not spec or not spec.startswith("dream:"):
        return None
    return verdict_of(checkpoints.folder_of_spec(spec, game), spec, game).to_json()


def gate_sentence(facts: Mapping[str, Any]) -> str:
    """Sentence on the gate of the learned world of an evaluation's `facts`; empty without one."""
    gate = facts.get("world_gate")
    if not gate:
        return ""
    if gate["passed"]:
        return f"It played in a learned world, {facts['world']}, which passed its own gate."
    return f"It played in a learned world: {gate['warning']}."
