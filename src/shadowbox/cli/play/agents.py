"""Agents that a live game plays with: a run, the files of older systems, or any other spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shadowbox.core.game import Agent, Game

OLDER = ("control_policy.pt", "control_config.json")  # in a folder of older systems


def live_agent(spec: str, game: Game) -> tuple[Agent, dict[str, Any]]:
    """Agent of a spec, and the settings of its decisions that it brings beside its thresholds."""
    from shadowbox.play import specs

    folder = Path(spec)
    if all((folder / name).is_file() for name in OLDER):
        from shadowbox.learners.windows.files import read_older
        from shadowbox.play.policy_agent import PolicyAgent

        older = read_older(folder, game.schema, game.encodings["older"])
        agent = PolicyAgent(older.policy, calibration=older.calibration, block=1)
        return agent, {"look_deadzone": older.deadzone, "look_alpha": older.smoothing}
    is_path = Path(spec.partition("@")[0]).exists() and ":" not in spec
    return specs.agent(f"policy:{spec}" if is_path else spec, game), {}
