"""Data and sizes of a learned world and of the policies that play in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shadowbox.core.game import Agent, Game, World
from shadowbox.play import checkpoints


class _Provenance(NamedTuple):
    """A world or an agent: its checkpoint, parameters and data; None: it has none, or it is not known."""

    spec: str
    folder: Path | None
    parameters: int | None
    fingerprint: str | None  # of the store that it was trained on

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        found = self._asdict() | {"learned": self.folder is not None}
        return {name: value for name, value in found.items() if name != "folder"}


def provenance(spec: str, made: World | Agent, game: Game) -> _Provenance:
    """Provenance of the world or agent that was made of `spec`."""
    folder = checkpoints.folder_of_spec(spec, game)
    if folder is None:
        return _Provenance(spec, None, None, None)
    return _Provenance(spec, folder, _parameters(made), checkpoints.trained_split(folder)[1])


def differences(world: _Provenance, players: Sequence[_Provenance]) -> list[str]:
    """Remarks on policies whose data is not known to be that of a learned world."""
    if world.folder is None:
        return []
    found = []
    for each in dict.fromkeys(players):
        if each.folder is None or each.fingerprint == world.fingerprint is not None:
            continue
        if each.fingerprint is None:
            remark = f"no recordings are known that {each.spec} was trained on"
        elif world.fingerprint is None:
            remark = f"no recordings are known that {world.spec} was trained on"
        else:
            remark = (
                f"{each.spec} was trained on other recordings ({each.fingerprint}) "
                f"than {world.spec} ({world.fingerprint})"
            )
        found.append(remark)
    return list(dict.fromkeys(found))


def _parameters(made: Any) -> int | None:
    """Number of parameters of the model of a world or an agent, whatever slows the agent down."""
    while hasattr(made, "agent"):
        made = made.agent
    model = getattr(made, "model", None) or getattr(made, "policy", None)
    parameters = getattr(model, "parameters", None)
    return sum(each.numel() for each in parameters()) if parameters else None
