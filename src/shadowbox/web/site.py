"""What one server shows: its game, its stores, its tournaments, its runs, its cards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shadowbox.core.game import Game
from shadowbox.core.schema import Choice
from shadowbox.data.manifest import NAME
from shadowbox.play.checkpoints import policy_runs


@dataclass(frozen=True, kw_only=True)
class Site:
    """Given when the server is started, and the same until it ends."""

    game: Game  # that is played here; it has a world and a scene
    known: Callable[[str], Game | None]  # any game by name, to draw matches that are stored
    stores: tuple[Path, ...] = ()
    out: Path = Path("data/played")  # where matches of people go
    tournaments: Path = Path("runs/tournaments")
    runs: Path = Path("runs")  # what was trained
    cards: Path = Path("cards")  # what was promised of it

    def shelves(self) -> Iterator[tuple[int, Path]]:
        """The stores by number: those that were named, and the one of people's matches once there is one."""
        yield from enumerate(self.stores)
        if self.out not in self.stores and (self.out / NAME).exists():
            yield len(self.stores), self.out

    @cached_property
    def agents(self) -> list[str]:
        """Specs to begin with."""
        return [*sorted(self.game.bots), *(f"policy:{name}" for name in sorted(self.game.policies))]

    @property
    def trained(self) -> list[str]:
        """Specs of the policies that lie among the runs, as they are now."""
        return [f"policy:{run}" for run in policy_runs(self.runs, self.game.name)]

    @cached_property
    def stages(self) -> list[str]:
        """The stages of the game's world: the names of its choice called `stage`; none where it has no such choice."""
        fields = (
            column.field
            for key, column in self.game.schema.columns.items()
            if key.endswith("/stage")
        )
        return next(
            (list(field.names) for field in fields if isinstance(field, Choice) and field.names), []
        )
