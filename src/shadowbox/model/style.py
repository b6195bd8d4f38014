"""Style of a player as an input of a policy: a vector made of identity, strength and skill.

B is the number of matches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.codec import View

NAMELESS = 0.1  # share of training matches whose style is replaced by the anonymous one


class _PlayerStyle(nn.Module):
    """Vector of a player's identity and strength for each match; number 0 is anonymous."""

    def __init__(self, players: Sequence[str], strength: bool, skill: Sequence[str] = ()) -> None:
        super().__init__()
        self.players = players
        self.table = nn.Embedding(len(players) + 1, 8) if players else None
        self.width = (8 if players else 0) + (2 if strength else 0) + 2 * len(skill)
        self.strength, self.skill = strength, skill

    def forward(self, style: View | None, batch: int, device: torch.device) -> Tensor:
        """Vectors [B, width] of {"player": [B], "strength": [B, 2]}; each may be missing."""
        parts = []
        if self.table is not None:
            player = torch.zeros(batch, dtype=torch.int64, device=device)
            if style and "player" in style:
                player = self._partly_anonymous(style["player"])
            parts.append(self.table(player))
        if self.strength:
            strength = torch.zeros(batch, 2, device=device)
            if style and "strength" in style:
                strength = self._partly_anonymous(style["strength"])
            parts.append(strength)
        for at in range(len(self.skill)):  # each is unknown by itself
            skill = torch.zeros(batch, 2, device=device)
            if style and "skill" in style:
                skill = self._partly_anonymous(style["skill"][:, 2 * at : 2 * at + 2])
            parts.append(skill)
        return torch.cat(parts, -1)

    def _partly_anonymous(self, values: Tensor) -> Tensor:
        """Make some training matches anonymous, so that the anonymous style is learned, too."""
        if not self.training:
            return values
        kept = torch.rand(len(values), device=values.device) >= NAMELESS
        return values * (kept if values.dim() == 1 else kept[:, None])

    def of(
        self,
        players: Sequence[str],
        strengths: Sequence[float | None] | None,
        skill: Mapping[str, float] | None = None,
    ) -> dict[str, Tensor]:
        """Names, strengths and skills as tensors; strength and each skill are (value, known)."""
        for name in players:
            if name and name not in self.players:
                hint = (
                    did_you_mean(name, self.players)
                    if self.players
                    else "it was trained without players"
                )
                raise UsageError(f"this policy has no style of '{name}': {hint}")
        if not self.strength and any(value is not None for value in strengths or ()):
            raise UsageError("this policy was trained without strength; leave strength out")
        numbers = [self.players.index(name) + 1 if name else 0 for name in players]
        pairs = [
            (0.0, 0.0) if value is None else (float(value), 1.0)
            for value in strengths or [None] * len(numbers)
        ]
        found = {"player": torch.tensor(numbers), "strength": torch.tensor(pairs)}
        return found | ({"skill": self._skills(skill, len(numbers))} if skill else {})

    def _skills(self, skill: Mapping[str, float], batch: int) -> Tensor:
        """Skills as a tensor [B, 2 * skills]; the name "" means each of them."""
        for name in skill:
            if name and name not in self.skill:
                raise UsageError(
                    f"this policy has no skill '{name}': "
                    + (did_you_mean(name, self.skill) if self.skill else "it was trained without")
                )
        if not self.skill:
            raise UsageError("this policy was trained without skill; leave skill out")
        values = [skill.get(name, skill.get("")) for name in self.skill]
        pairs = [(0.0, 0.0) if value is None else (value, 1.0) for value in values]
        return torch.tensor(pairs).flatten().repeat(batch, 1)
