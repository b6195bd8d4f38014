"""Configuration of an evaluation: options, the loaded policy, its store and its world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shadowbox.core.game import Game, World
from shadowbox.data.split import PLAYER, Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.evaluate import recorded
from shadowbox.play import checkpoints as learned
from shadowbox.play import specs

if TYPE_CHECKING:
    from shadowbox.core.schema import Schema
    from shadowbox.model.checkpoint import Checkpoint
    from shadowbox.model.policy import Policy


MATCHES = 200  # that an evaluation plays


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Options of an evaluation. The defaults suit a few hundred matches and two CPU cores."""

    matches: int | None = None  # to play; None: MATCHES of them, where there is a simulator
    against: str | None = None  # play against this agent instead of the recorded opponents
    opponents: tuple[str, ...] = ()  # without recordings: agents to play against; default: all bots
    # without recordings: reaction delays of the policy in frames, each judged by all matches
    delays: tuple[int, ...] = (0,)
    world: str = ""  # a world's spec; empty: as recorded, or the game's simulator
    side: str = "val"  # of the split; the look-up table is counted on the others
    split: Split | None = None  # None: as in training, where that is known
    # of the players to compare with; None: the seats that it was trained on
    seats: tuple[int, ...] | None = None
    most: int = 100  # episodes to evaluate on
    tolerance: int = 2  # frames between onsets that count as the same press
    temperature: float = 1.0
    threshold: float | None = None  # press above this probability instead of sampling
    player: str = ""  # play in the style of this player, on this player's seats
    device: str = "cpu"
    # of worlds: recorded moments to predict from, predictions of each, their frames, and a seed
    starts: int = 500
    samples: int = 8
    frames: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        if self.to_play < 2 or self.most < 2 or self.tolerance < 0:
            raise UsageError(
                "matches and episodes must be at least 2 and tolerance at least 0 "
                f"(got {self.matches}, {self.most} and {self.tolerance})"
            )
        if self.starts < 2 or self.samples < 1 or self.frames < 20:
            raise UsageError(
                "starts must be at least 2, samples at least 1 and frames at least 20 "
                f"(got {self.starts}, {self.samples} and {self.frames})"
            )
        if not self.delays or len(set(self.delays)) < len(self.delays) or min(self.delays) < 0:
            raise UsageError(
                f"delay must name different numbers of frames, such as 0,6,12 (got {list(self.delays)})"
            )

    @property
    def to_play(self) -> int:
        """Number of matches to play, where there is a simulator."""
        return MATCHES if self.matches is None else self.matches


@dataclass(frozen=True)
class EvaluatedPolicy:
    """A loaded policy with the store, seats and split to evaluate it on."""

    name: str  # as it was given
    folder: Path  # of the checkpoint
    found: Checkpoint
    policy: Policy
    game: Game
    store: Store
    players: tuple[int, ...]  # whose chairs it takes
    split: Split

    @property
    def by_person(self) -> bool:
        """True if players are held out: then intervals resample players, and not episodes."""
        return self.split.key == PLAYER

    @property
    def schema(self) -> Schema:
        """Schema of the store."""
        return self.store.schema

    def temperatures(self, settings: EvalConfig) -> list[float]:
        """Sampling temperature of each part of the head."""
        from shadowbox.play.policy_agent import head_temperatures

        return head_temperatures(self.policy, settings.temperature, self.found.calibration)


def load_evaluated_policy(
    name: str, store: Store, settings: EvalConfig, game: Game | None
) -> EvaluatedPolicy:
    """Load a policy, and choose its seats and held-out episodes."""
    from shadowbox.model import checkpoint
    from shadowbox.play.restored_policy import restore_policy

    where, _, which = name.partition("@")
    folder = learned.checkpoint_folder(where, which)
    game = game or game_of_store(store)
    found = checkpoint.load(folder, kind="policy", device=settings.device)
    policy = restore_policy(found, store.schema, settings.device, game.encodings)
    if settings.player:
        policy.style_of([settings.player])  # who is a stranger is refused before anything is asked
    split = settings.split or learned.trained_split(folder)[0] or Split()
    held_out = (split.seat,) if split.key == PLAYER else ()  # the other seats are not judged
    players = (
        settings.seats
        or held_out
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
        split,
    )


def has_player(subject: EvaluatedPolicy, player: str, episode: int) -> bool:
    """True if that player has a seat in the episode; always true without a name."""
    return not player or any(
        recorded.player_in_seat(subject.store, episode, seat) == player for seat in subject.players
    )


def held_out_episodes(subject: EvaluatedPolicy, side: str) -> list[int]:
    """Episodes of a side; refused if the run trained on some of them, unless asked for by name."""
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
        raise UsageError(
            f"{len(both)} of the {len(chosen)} episodes on the side '{side}' of {split} were trained on: "
            f"the run split {store.path} as {known}; leave --shares out to use the same split"
        )
    return chosen


def game_of_store(store: Store) -> Game:
    """Game of a store; data of an unknown one is refused."""
    from shadowbox.games import game_of, option_for

    game, reason = game_of(store.schema, store.manifest.event_kinds)
    if reason:
        option = option_for(store.manifest.made)
        raise UsageError(f"{store.path}: {reason}; name the game with {option}")
    return game


def playable_world(
    game: Game, store: Store, settings: EvalConfig
) -> tuple[str, Callable[[int], World]] | None:
    """World for the closed loop: its spec, and a factory by number of matches; None without one.

    The configured world, the world of the recordings, or the game's simulator, in this order. A game
    of one player has no recorded opponents to play against: its matches need no store.
    """
    if game.schema.players == 1 and game.world is not None:
        return None
    call = store.manifest.made.get("record")
    call = call if isinstance(call, Mapping) else {}
    recorded_in, options = call.get("world"), call.get("options")
    spec = settings.world or (recorded_in if isinstance(recorded_in, str) else "")
    if not spec and game.world is None:
        return None
    if specs.runs_code(spec) and not settings.world:
        raise UsageError(
            f"{store.path} was recorded in '{spec}', which is code: name it with --world to run it, "
            "or another world"
        )
    more = dict(options) if isinstance(options, Mapping) and not settings.world else {}
    return spec or game.name, specs.world_factory(spec, game, **more)


def require_playable(game: Game, store: Store, settings: EvalConfig) -> None:
    """Refuse a wish about matches where none can be played."""
    if playable_world(game, store, settings) is not None:
        return
    for name, wish in (("matches", settings.matches), ("against", settings.against)):
        if wish is not None and game.world is not None:
            raise UsageError(
                f"{name}: a game of one player is played without recordings; leave {store.path} out"
            )
        if wish is not None:
            raise UsageError(
                f"{game.name} has no simulator, so that no match is played: the policy is asked on "
                f"recorded contexts, one frame ahead. Leave {name} out, or name a world"
            )
