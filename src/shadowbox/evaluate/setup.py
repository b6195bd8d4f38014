"""The policy to evaluate, the store to evaluate it on, and the options of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shadowbox.core.game import Game, World
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.evaluate import recorded
from shadowbox.play import checkpoints as learned
from shadowbox.play import specs

if TYPE_CHECKING:
    from shadowbox.core.schema import Schema
    from shadowbox.model.checkpoint import Checkpoint
    from shadowbox.model.policy import Policy


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How to judge. The defaults suit a store of some hundred matches and two CPU cores."""

    matches: int = 200  # that it plays
    against: str | None = None  # instead of the opponents in the data
    world: str = ""  # a world's spec; empty: as recorded, or the game's simulator
    side: str = "val"  # of the split; the look-up table is counted on the others
    split: Split | None = None  # None: as in training, where that is known
    # whose players it is compared with; None: those that it learned from
    seats: tuple[int, ...] | None = None
    most: int = 100  # episodes that are asked about
    tolerance: int = 2  # frames between onsets that count as the same press
    temperature: float = 1.0
    threshold: float | None = None  # play by it instead of drawing
    player: str = ""  # in whose style, where it was told who plays; on the seats of that player
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.matches < 2 or self.most < 2 or self.tolerance < 0:
            raise UsageError(
                f"{self.matches} matches, {self.most} episodes, tolerance {self.tolerance}: at least 2, 2 and 0"
            )


@dataclass(frozen=True)
class EvaluatedPolicy:
    """Who is judged, and on what."""

    name: str  # as it was given
    folder: Path  # of the checkpoint
    found: Checkpoint
    policy: Policy
    game: Game
    store: Store
    players: tuple[int, ...]  # whose chairs it takes
    split: Split

    @property
    def schema(self) -> Schema:
        """The store's."""
        return self.store.schema

    def temperatures(self, settings: EvalConfig) -> list[float]:
        """The temperature of each part at which it plays."""
        from shadowbox.play.policy_agent import head_temperatures

        return head_temperatures(self.policy, settings.temperature, self.found.calibration)


def load_evaluated_policy(
    name: str, store: Store, settings: EvalConfig, game: Game | None
) -> EvaluatedPolicy:
    """Load it, and find out whose chairs it takes and which episodes it never saw."""
    from shadowbox.model import checkpoint
    from shadowbox.play.policy_agent import restore_policy

    where, _, which = name.partition("@")
    folder = learned.checkpoint_folder(where, which)
    game = game or _game(store)
    found = checkpoint.load(folder, kind="policy", device=settings.device)
    policy = restore_policy(found, store.schema, settings.device, game.encodings)
    if settings.player:
        policy.style_of([settings.player])  # who is a stranger is refused before anything is asked
    players = (
        settings.seats
        or learned.trained_seats(folder, found.about)
        or tuple(range(store.schema.players))
    )
    return EvaluatedPolicy(
        name,
        folder,
        found,
        policy,
        game,
        store,
        players,
        settings.split or learned.trained_split(folder)[0] or Split(),
    )


def has_player(subject: EvaluatedPolicy, player: str, episode: int) -> bool:
    """Whether that player has a seat of this episode; without a name anybody does."""
    return not player or any(
        recorded.player_in_seat(subject.store, episode, seat) == player for seat in subject.players
    )


def held_out_episodes(subject: EvaluatedPolicy, side: str) -> list[int]:
    """The episodes of one side.

    Refused where the run learned from some of them, unless that is what was asked for.
    """
    store, split = subject.store, subject.split
    chosen: list[int] = split.episodes(store, side).tolist()
    known, fingerprint = learned.trained_split(subject.folder)
    learnt = (
        known.episodes(store, "train").tolist()
        if known and fingerprint == store.fingerprint
        else []
    )
    both = set(chosen) & set(learnt)
    if both and side in ("val", "test"):
        raise UsageError(f"{len(both)} of the {len(chosen)} episodes on the side '{side}' of {split} were learned from: "
                         f"its run divided {store.path} {known}; leave the shares out to judge as it was trained")  # fmt: skip
    return chosen


def _game(store: Store) -> Game:
    from shadowbox.games import game_of, option_for

    game, reason = game_of(store.schema, store.manifest.event_kinds)
    if reason:
        option = option_for(store.manifest.made)
        raise UsageError(f"{store.path}: {reason}; name the game with {option}")
    return game


def playable_world(
    game: Game, store: Store, settings: EvalConfig
) -> tuple[str, Callable[[int], World]] | None:
    """The world to play in, as a spec and a function of a number of matches; None where there is none.

    It is that of the settings, or the one that the recordings were made in, or the game's
    simulator.
    """
    call = store.manifest.made.get("record")
    call = call if isinstance(call, Mapping) else {}
    recorded_in, options = call.get("world"), call.get("options")
    spec = settings.world or (recorded_in if isinstance(recorded_in, str) else "")
    if not spec and game.world is None:
        return None
    more = dict(options) if isinstance(options, Mapping) and not settings.world else {}
    return spec or game.name, specs.world_factory(spec, game, **more)
