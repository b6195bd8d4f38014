"""Site: the game, stores, tournaments, runs and cards that one server shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shadowbox.core.game import Game
from shadowbox.core.schema import Choice
from shadowbox.data.manifest import NAME
from shadowbox.errors import ShadowboxError
from shadowbox.play.checkpoints import agents_of_runs, shipped_agents
from shadowbox.play.specs import bot_names


class PageNotFound(ShadowboxError):
    """Address of a match, tournament, run, card or file that does not exist; status 404."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Options of a server: the game and the folders it shows. They do not change while it runs."""

    game: Game  # for the Arena and Play pages
    known: Callable[[str], Game | None]  # any game by name, to draw stored matches
    worlds: tuple[str, ...] = ()  # specs to play in, the first by default; else the simulator
    stores: tuple[Path, ...] = ()
    out: Path = Path("data/played")  # store for the matches of people
    tournaments: Path = Path("runs/tournaments")
    runs: Path = Path("runs")
    cards: Path = Path("cards")

    def numbered_stores(self) -> Iterator[tuple[int, Path]]:
        """Stores by number, as in addresses: the given ones, then `out` as soon as it exists."""
        yield from enumerate(self.stores)
        if self.out not in self.stores and (self.out / NAME).exists():
            yield len(self.stores), self.out

    @cached_property
    def agents(self) -> list[str]:
        """Agent specs of the game itself: its bots, those of any game, and its shipped policies."""
        bots = [name for name in bot_names(self.game) if name != "hold"]  # it needs a control
        return [*bots, *shipped_agents(self.game)]

    @property
    def trained(self) -> list[str]:
        """Agent specs of the policies in the folder of runs, read anew at each access."""
        return agents_of_runs(self.runs, self.game.name)

    @cached_property
    def playable_worlds(self) -> list[str]:
        """World specs to begin with: the given ones, the simulator, and the shipped dreams."""
        simulator = [self.game.name] if self.game.world else []
        dreams = [f"dream:{name}" for name in sorted(self.game.worlds)]
        return list(dict.fromkeys([*self.worlds, *simulator, *dreams]))

    @cached_property
    def stages(self) -> list[str]:
        """Names of the stages: those of the first choice called `stage`; empty without one."""
        fields = (
            column.field
            for key, column in self.game.schema.columns.items()
            if key.endswith("/stage")
        )
        return next(
            (list(field.names) for field in fields if isinstance(field, Choice) and field.names), []
        )
