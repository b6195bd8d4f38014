"""Whose style a policy plays in: told as a vector beside what it sees. B: matches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.codec import View

NAMELESS = 0.1  # of the matches that are learned from: whose style it is is not told


class PlayerStyle(nn.Module):
    """Whose style, and how strong: a vector a match. Number 0 is nobody in particular."""

    def __init__(self, players: Sequence[str], strength: bool) -> None:
        super().__init__()
        self.players = players
        self.table = nn.Embedding(len(players) + 1, 8) if players else None
        self.width = (8 if players else 0) + (2 if strength else 0)
        self.strength = strength

    def forward(self, style: View | None, batch: int, device: torch.device) -> Tensor:
        """{"player": [B], "strength": [B, 2]} -> [B, width]; without them, nobody in particular."""
        parts = []
        if self.table is not None:
            nobody = torch.zeros(batch, dtype=torch.int64, device=device)
            parts.append(
                self.table(self._told(style["player"]) if style and "player" in style else nobody)
            )
        if self.strength:
            unknown = torch.zeros(batch, 2, device=device)
            parts.append(
                self._told(style["strength"]) if style and "strength" in style else unknown
            )
        return torch.cat(parts, -1)

    def _told(self, values: Tensor) -> Tensor:
        """While it learns, some matches are nobody's in particular: otherwise it would not know how nobody plays."""
        if not self.training:
            return values
        kept = torch.rand(len(values), device=values.device) >= NAMELESS
        return values * (kept if values.dim() == 1 else kept[:, None])

    def of(
        self, players: Sequence[str], strengths: Sequence[float | None] | None
    ) -> dict[str, Tensor]:
        """Names and strengths as tensors; strength is (value, known)."""
        for name in players:
            if name and name not in self.players:
                known_ones = (
                    did_you_mean(name, self.players)
                    if self.players
                    else "it was trained without players"
                )
                raise UsageError(f"this policy has no style of '{name}': {known_ones}")
        if not self.strength and any(value is not None for value in strengths or ()):
            raise UsageError("this policy was trained without strength, and can be told none")
        numbers = [self.players.index(name) + 1 if name else 0 for name in players]
        known = [
            (0.0, 0.0) if value is None else (float(value), 1.0)
            for value in strengths or [None] * len(numbers)
        ]
        return {"player": torch.tensor(numbers), "strength": torch.tensor(known)}
