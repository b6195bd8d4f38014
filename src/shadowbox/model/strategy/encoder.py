"""Encoder of an opponent's history: what the opponent did lately, as a latent vector of each frame.

B: matches, T: positions. An encoder reads the opponent's own columns and keys alone, each frame
once, and follows the protocol of trunks: `seq` in training, `step` in play, with equal results. Two
auxiliary tasks keep the latent from being ignored: the opponent's next controls, and who it is.

    banded   causal attention, two layers over 33 frames: exactly the last 65 frames
    gru      recurrent
    window   that of older systems: 65 frames encoded anew for every frame, in both directions
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.core.schema import Choice, Flag, Group, Schema
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.codec import View
from shadowbox.model.design import TrunkConfig
from shadowbox.model.embedding import ColumnEmbedding, visible_columns
from shadowbox.model.trunks.base import Memory
from shadowbox.model.trunks.registry import build_trunk

ENCODERS: dict[str, TrunkConfig] = {
    "banded": TrunkConfig(trunk="transformer", width=128, depth=2, frames=33),
    "gru": TrunkConfig(trunk="gru", width=128),
    "window": TrunkConfig(trunk="history", width=256, depth=6, frames=65, dropout=0.1),
}
ATTENTIVE = ("banded", "window")  # encoders that look back a number of frames
PREFIX = "strategy."  # of its entries in a policy's memory


class StrategyEncoder(nn.Module):
    """Views of a player [B, T, slots] -> latents of the opponent [B, T, out]."""

    def __init__(
        self, schema: Schema, keys: Sequence[str], name: str, opponents: Sequence[str] = ()
    ) -> None:
        """`keys`: columns that may be read; those of the players are. `opponents`: names to guess."""
        super().__init__()
        trunk = encoder_trunk(name)
        seen = opponent_schema(schema)
        self.name = name
        self.keys = tuple(key for key in visible_columns(seen) if key in keys)
        self.slots = {key: seen.columns[key].slots for key in self.keys}
        self.embed = ColumnEmbedding(seen, self.keys)
        self.trunk = build_trunk(trunk, self.embed.width, self.embed.fixed)
        self.out = self.trunk.out
        self.flags = [key for key in seen.control_keys if isinstance(seen.columns[key].field, Flag)]
        self.pressed = sum(seen.columns[key].slots for key in self.flags)  # keys of a player
        self.next_controls = nn.Linear(self.out, self.pressed) if self.flags else None
        self.opponents = tuple(opponents)
        self.identity = nn.Linear(self.out, len(opponents)) if opponents else None

    def initial(self, batch: int, device: torch.device) -> Memory:
        """Memory of matches that have not begun."""
        return {f"{PREFIX}{key}": v for key, v in self.trunk.begin(batch, device).items()}

    def seq(self, view: View, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Latents [B, T, out] of views [B, T, slots] with resets [B, T], and the new memory."""
        latent, after = self.trunk.seq(self.embed(self._opponent(view)), _own(memory), reset)
        return latent, {f"{PREFIX}{key}": values for key, values in after.items()}

    def attention(self, view: View, memory: Memory, reset: Tensor) -> tuple[Tensor | None, Memory]:
        """Weights [B, T, reach] of the frames 0, 1, 2, ... ago, and the memory of the read-out.

        Arguments are those of `seq`. None for an encoder without attention.
        """
        attention = getattr(self.trunk, "attention", None)
        if attention is None:
            return None, {}
        weights, after = attention(self.embed(self._opponent(view)), _own(memory), reset)
        return weights, {f"{PREFIX}{key}": values for key, values in after.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the auxiliary losses."""
        return tuple(name for name, head in self._heads().items() if head is not None)

    def costs(
        self,
        latent: Tensor,
        view: View,
        reset: Tensor,
        opponent: Tensor | None = None,
        decided: Tensor | None = None,
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Cost of each auxiliary task [B, T] in nats, and the mask [B, T] of the costs that count.

        `view` [B, T, slots] and `reset` [B, T] as for `seq`: the keys pressed at a position are seen
        in the view of the next one, if the match still goes on there. `opponent` [B] is the number
        of each row's opponent among `opponents`, -1 if it is none of them. `decided` [B, T] leaves
        out positions outside of a match.
        """
        inside = torch.ones_like(reset) if decided is None else decided
        following = self._opponent(view)
        found = {}
        if self.next_controls is not None:
            targets = torch.cat([following[key].float() for key in self.flags], -1)[:, 1:]
            logits = self.next_controls(latent[:, :-1])
            cost = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
            counted = functional.pad(~reset[:, 1:], (0, 1)) & inside
            found["next_controls"] = functional.pad(cost.mean(-1), (0, 1)), counted
        if self.identity is not None:
            known = latent.new_full(reset.shape[:1], -1).long() if opponent is None else opponent
            logits = self.identity(latent).transpose(1, 2)  # [B, names, T]
            targets = known.clamp(min=0)[:, None].expand(reset.shape)
            cost = functional.cross_entropy(logits, targets, reduction="none")
            found["identity"] = cost, (known >= 0)[:, None] & inside
        return found

    def losses(
        self,
        latent: Tensor,
        view: View,
        reset: Tensor,
        opponent: Tensor | None = None,
        decided: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Mean of each cost over the positions that count: nats a key, nats a position."""
        return {
            name: (cost * counted).sum() / counted.sum().clamp(min=1)
            for name, (cost, counted) in self.costs(latent, view, reset, opponent, decided).items()
        }

    def forward(
        self, view: View, reset: Tensor, decided: Tensor, opponent: Tensor
    ) -> dict[str, Tensor]:
        """Losses in matches without a past, for training an encoder alone."""
        latent, _ = self.seq(view, self.initial(len(reset), reset.device), reset)
        return self.losses(latent, view, reset, opponent, decided)

    def guess(self, latent: Tensor) -> Tensor:
        """Probability of each of `opponents`, [..., names], from latents [..., out]."""
        if self.identity is None:
            raise UsageError("this encoder has learned no opponents' names")
        found: Tensor = self.identity(latent).softmax(-1)
        return found

    def _heads(self) -> dict[str, nn.Module | None]:
        return {"next_controls": self.next_controls, "identity": self.identity}

    def _opponent(self, view: View) -> Mapping[str, Tensor]:
        """Columns of the opponent alone: the second player's slots."""
        return {key: view[key][..., slots : 2 * slots] for key, slots in self.slots.items()}


def _own(memory: Memory) -> Memory:
    """Entries of the encoder in a policy's memory."""
    return {key.removeprefix(PREFIX): v for key, v in memory.items() if key.startswith(PREFIX)}


def encoder_trunk(name: str) -> TrunkConfig:
    """Trunk of an encoder: `window`, or `window@45` for another number of frames."""
    base, at, frames = name.partition("@")
    if base not in ENCODERS:
        raise UsageError(f"unknown strategy encoder '{name}': {did_you_mean(base, ENCODERS)}")
    if not at:
        return ENCODERS[base]
    if base not in ATTENTIVE or not frames.isdecimal():
        raise UsageError(
            f"strategy is '{name}': a number of frames is given as in window@45, for "
            f"{' and '.join(ATTENTIVE)}"
        )
    return dataclasses.replace(ENCODERS[base], frames=int(frames))


def opponent_schema(schema: Schema) -> Schema:
    """Fields of one player of a game, as a schema of their own."""
    if schema.players != 2:
        raise UsageError(
            f"an opponent's history needs two players; {schema.name} has {schema.players}"
        )

    if any(group.private for group in schema.groups):
        raise UsageError(f"players of {schema.name} do not see what their opponents do")

    def of_one(group: Group) -> Group:
        # a field that names a seat names one of two, also in the schema of one player
        fields = tuple(
            dataclasses.replace(each, seat=False) if isinstance(each, Choice) else each
            for each in group.fields
        )
        return dataclasses.replace(group, fields=fields, slots=group.slots // schema.players)

    return dataclasses.replace(
        schema,
        state=tuple(of_one(group) for group in schema.state if group.per),
        controls=of_one(schema.controls),
        players=1,
    )


def build_encoder(schema: Schema, arguments: Mapping[str, Any], seed: int = 0) -> StrategyEncoder:
    """New encoder from plain data, whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return StrategyEncoder(
            schema, arguments["keys"], arguments["encoder"], arguments.get("opponents", ())
        )


@torch.no_grad()
def start_from(encoder: StrategyEncoder, other: StrategyEncoder) -> None:
    """Give an encoder the weights of another; names of opponents that both know keep their guess.

    Both must be of one kind and read the same columns.
    """
    for what, own, found in (
        ("is", encoder.name, other.name),
        ("reads", ", ".join(encoder.keys), ", ".join(other.keys)),
    ):
        if own != found:
            raise UsageError(f"the other encoder {what} {found}, expected {own}")
    for name, module in other.named_children():
        if name != "identity":
            encoder.get_submodule(name).load_state_dict(module.state_dict())
    if encoder.identity is not None and other.identity is not None:
        for at, number in enumerate(opponent_numbers(other.opponents, encoder.opponents)):
            if number >= 0:
                encoder.identity.weight[at] = other.identity.weight[number]
                encoder.identity.bias[at] = other.identity.bias[number]


def task_scores(
    encoder: StrategyEncoder,
    latent: Tensor,
    view: View,
    reset: Tensor,
    decided: Tensor,
    opponent: Tensor,
    *,
    most_frequent: int = 0,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Scores of the tasks and their baselines at each position, numerator and denominator [B, T].

    next_controls: nats a key; copy_last repeats the keys of the last frame, with the rate at which
    each changes in these positions, which favors it. identity: share of right guesses;
    most_frequent always guesses one name.
    """
    costs = encoder.costs(latent, view, reset, opponent, decided)
    found = {}
    if "next_controls" in costs:
        cost, counted = costs["next_controls"]
        keys = torch.cat([encoder._opponent(view)[key] for key in encoder.flags], -1)
        changed = functional.pad(keys[:, 1:] != keys[:, :-1], (0, 0, 0, 1)).float()
        mask = counted[..., None]
        rate = ((changed * mask).sum((0, 1)) / mask.sum().clamp(min=1)).clamp(1e-4, 1 - 1e-4)
        copied = -(changed * rate.log() + (1 - changed) * (1 - rate).log()).mean(-1)
        for name, each in (("", cost), ("/copy_last", copied)):
            found[f"next_controls{name}"] = each * counted, counted.float()
    if encoder.identity is not None:
        _, counted = costs["identity"]
        guessed = encoder.identity(latent).argmax(-1)
        for name, each in (
            ("", guessed),
            ("/most_frequent", torch.full_like(guessed, most_frequent)),
        ):
            right = (each == opponent[:, None]) & counted
            found[f"identity{name}"] = right.float(), counted.float()
    return found


def auxiliary_weights(
    encoder: StrategyEncoder | None, strategy_coef: float, identity_coef: float
) -> dict[str, float]:
    """Weight of each auxiliary loss that an encoder has; none without an encoder."""
    weights = {"next_controls": strategy_coef, "identity": identity_coef}
    return {name: weights[name] for name in encoder.names} if encoder is not None else {}


def opponent_numbers(names: Sequence[str], met: Sequence[str]) -> list[int]:
    """Number of each met opponent among `names`; -1 for others."""
    number = {name: at for at, name in enumerate(names)}
    return [number.get(name, -1) for name in met]
