"""Recorded players of a store: splits, names, strengths, and ranges of controls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.episode import UNKNOWN
from shadowbox.core.schema import Array, Real, Schema
from shadowbox.data.sample import Batch, Segments
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.learners.control_baselines import recorded_values
from shadowbox.learners.imitation_options import ImitationConfig, lasting_frames, loss_weights
from shadowbox.model.codec import ControlValues, decode, from_every_seat
from shadowbox.model.heads import Head
from shadowbox.model.policy import Policy
from shadowbox.model.strategy.encoder import opponent_numbers
from shadowbox.train.config import TrainConfig

MOST_COUNTED = 1 << 20  # rows in which presses are counted
MOST_OPPONENTS = 256  # names that a strategy encoder learns to tell apart


def split_episodes(store: Store, split: Split) -> dict[str, Array]:
    """Episodes of the sides train and val; refuses a side without any."""
    sides = {side: split.episodes(store, side) for side in ("train", "val")}
    for side, episodes in sides.items():
        if not len(episodes):
            raise UsageError(
                f"{store.path}: none of its {len(store)} episodes is on the side '{side}': "
                "record more, or change the split"
            )
    return sides


def validation_episodes(store: Store, episodes: Array, length: int, most: int) -> Array:
    """Episodes, evenly spread, whose segments of `length` decisions have at most about `most` rows."""
    rows = -(-(store.lengths[episodes] - 1) // length) * length  # with those outside the episode
    return episodes[:: max(1, -(-int(rows.sum()) // most))]


def segment_batches(
    store: Store, length: int, config: TrainConfig, trained: Array, validated: Array
) -> tuple[Callable[[int, int, int], Segments], Callable[[], Iterable[Batch]]]:
    """Source and validation of a task on segments of `length` decisions of these episodes."""

    def source(batch: int, rank: int, ranks: int) -> Segments:
        return Segments(
            store,
            length,
            batch,
            episodes=trained,
            seed=config.seed,
            rank=rank,
            ranks=ranks,
            drop_last=True,
        )

    def validation() -> Iterable[Batch]:
        whole = Segments(store, length, config.batch, episodes=validated, shuffle=False)
        return whole.rest_of_epoch()

    return source, validation


def episode_labels(
    store: Store, model: Policy, seats: Sequence[int], train: Array
) -> tuple[Array, Array, Array]:
    """Labels by episode: recorded terms bool [E, N], players int64 [E, seats], strengths f32 [E, seats, 2].

    A control that no training episode has is read as never used; one that only some have is not a
    target where it is missing.
    """
    recorded = recorded_values(store, np.arange(len(store)), model.values)
    missing = ~recorded & recorded[train].any(axis=0)
    whose = np.zeros((len(store), len(seats)), np.int64)
    strength = np.zeros((len(store), len(seats), 2), np.float32)
    number = {name: at + 1 for at, name in enumerate(model.config.players)}
    if model.style is not None:
        for episode in range(len(store)):
            whose[episode] = [number.get(name, 0) for name in player_names(store, episode, seats)]
            strengths = store.meta_of(episode).get("strength") or [None] * model.schema.players
            strength[episode] = [
                (0.0, 0.0) if strengths[seat] is None else (strengths[seat], 1.0) for seat in seats
            ]
    return ~(missing @ model.head.members.numpy().T), whose, strength


def player_names(store: Store, episode: int, seats: Sequence[int]) -> list[str]:
    """Names of the players in these seats; empty for unknown ones."""
    names = store.meta_of(episode).get("players") or []
    named = [str(names[seat]) if seat < len(names) else "" for seat in seats]
    return ["" if name == UNKNOWN else name for name in named]


def opponent_names(store: Store, episodes: Sequence[int] | Array) -> tuple[str, ...]:
    """Names of the players in these episodes, of whom each may be an opponent; the most frequent."""
    seats = range(store.schema.players)
    met = Counter(name for each in episodes for name in player_names(store, int(each), seats))
    del met[""]
    return tuple(sorted(name for name, _ in met.most_common(MOST_OPPONENTS)))


def opponent_labels(store: Store, names: Sequence[str], seats: Sequence[int]) -> Array:
    """Number of the opponent of each seat among `names`, int64 [E, seats]; -1 for others."""
    across = [store.schema.players - 1 - seat for seat in seats]
    met = [opponent_numbers(names, player_names(store, at, across)) for at in range(len(store))]
    return np.array(met, np.int64).reshape(len(store), len(across))


def value_ranges(schema: Schema, names: Sequence[str]) -> Tensor:
    """Width of each value's range; 1 for others than bounded reals."""
    fields = [schema.columns[name].field for name in names]
    wide = [
        f.high - f.low if isinstance(f, Real) and f.low is not None and f.high is not None else 1.0
        for f in fields
    ]
    return torch.tensor(wide)


# ---- changes of a batch --------------------------------------------------------------------------


def with_lasting_presses(
    columns: Mapping[str, Tensor], frames: Mapping[str, int]
) -> dict[str, Tensor]:
    """Columns [B, R, slots] in which presses of these controls last at least some frames."""
    changed = dict(columns)
    for key, least in frames.items():
        values = columns[key]
        before = torch.cat([values[:, :1], values[:, :-1]], 1)
        began = torch.where((values != before) & (values != 0), values, torch.zeros_like(values))
        held = values
        for by in range(1, min(least, values.shape[1])):
            late = torch.cat([torch.zeros_like(began[:, :by]), began[:, :-by]], 1)
            held = torch.where(held == 0, late, held)
        changed[key] = held
    return changed


def without_parts(schema: Schema, columns: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Columns [B, R, slots] in which parts of the state are missing for a while.

    A part is the slots that a flag shows (`Group.shown_by`); each is missing in a `share` of the
    examples, from a random row on and for a random time.
    """
    changed, device = dict(columns), next(iter(columns.values())).device
    batch, rows = next(iter(columns.values())).shape[:2]
    at = torch.arange(rows, device=device)
    for flag in dict.fromkeys(flag for group in schema.state for flag in group.shown_by):
        ends = (torch.rand(2, batch, 1, device=device) * (rows + 1)).sort(0).values
        chosen = torch.rand(batch, 1, device=device) < share
        gone = (chosen & (at >= ends[0]) & (at < ends[1]))[..., None]  # [B, R, 1]
        changed[flag] = changed[flag] & ~gone
        for group in schema.state:
            if flag not in group.shown_by:
                continue
            of_part = torch.tensor([name == flag for name in group.shown_by], device=device)
            for key in (f"{group.name}/{field.name}" for field in group.fields):
                if key in changed:
                    values = changed[key]
                    changed[key] = torch.where(gone & of_part, torch.zeros_like(values), values)
    return changed


def class_weights(
    store: Store,
    episodes: Array,
    seats: Sequence[int],
    values: ControlValues,
    options: ImitationConfig,
) -> tuple[str, ...]:
    """`pos_weights` of the flags: frames up over frames down, of those in which each counts.

    A flag that is never down keeps weight 1, as there is nothing to learn about it; other weights
    are from 1 / `pos_weight_cap` to `pos_weight_cap`.
    """
    most, lasting = options.pos_weight_cap, lasting_frames(options.lasting)
    columns = sampled_rows(store, episodes, values.read_beside(()), MOST_COUNTED)
    rows = with_lasting_presses({key: part[None] for key, part in columns.items()}, lasting)
    view = from_every_seat(store.schema, rows, seats)
    active, pressed = values.active(view), values.of(view) > 0.5
    mask = torch.ones_like(pressed) if active is None else active
    down = (pressed & mask).flatten(0, 1).sum(0).numpy()
    up = mask.flatten(0, 1).sum(0).numpy() - down
    found = {
        values.names[at]: min(max(up[at] / down[at], 1 / most), most)
        for at in np.flatnonzero((values.kinds == "flag") & (down > 0))
    }
    return tuple(f"{name}={weight:.4g}" for name, weight in found.items())


def sampled_rows(
    store: Store, episodes: Array, keys: Sequence[str], most: int
) -> dict[str, Tensor]:
    """Columns [T, slots] of evenly spread episodes, one after another, up to about `most` rows."""
    chosen = episodes[:: max(1, -(-int(store.lengths[episodes].sum()) // most))]
    rows = store.rows_together(chosen, last=False)
    packed = torch.from_numpy(rows.view(np.uint8).reshape(len(rows), -1))
    return decode(store.schema, packed, keys)


def weighted_losses(
    losses: Mapping[str, float], head: Head, values: ControlValues, config: ImitationConfig
) -> dict[str, float]:
    """Weights of the losses, times those of `control_weights`; a term may be of several controls."""
    own, found = loss_weights(config.control_weights), dict(losses)
    for name, among in zip(head.names, head.members.cpu().numpy(), strict=True):
        given = [own[key] for at, key in enumerate(values.names) if among[at] and key in own]
        found[name] = losses[name] * max(given, default=1.0)
    return found
