"""Settings of imitation: which recorded decisions are targets, and how much each counts."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shadowbox.cards.rules.conditions import holds_on
from shadowbox.cards.rules.grammar import parse_rule
from shadowbox.core.declaration import PLACES, RATES
from shadowbox.core.schema import Real, Schema
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.codec import has_mirror

LOSS_NORMS = ("own", "all")
SKILLS = ("rank", "outcome")
# settings of changed bodies
BODY = ("body_size", "body_lengths", "body_amplitude", "body_turn", "body_tremor", "body_noise")
HEAVIEST = 1000.0  # weight of the loss of a control
LONGEST_PRESS = 1 << 10  # frames that a press may be made to last


@dataclass(frozen=True, kw_only=True)
class ImitationConfig:
    """Settings of imitation: the recorded decisions to learn from, and their weights."""

    seats: tuple[int, ...] = ()  # whose decisions are targets; empty: everybody's
    # every second segment with left and right exchanged, where the game has a mirror
    mirror: bool = False
    # the player's name (in the metadata) is an input of the policy
    by_player: bool = False
    # conditions such as "player/stun=0" or "player/state in (1, 4 .. 7)", in the grammar of kill
    # rules; a frame is actionable where all hold for the own slot
    actionable_when: tuple[str, ...] = ()
    # weight of the other frames (actionable ones have 1); it changes no conditional probability
    non_actionable_weight: float = 0.0
    # share of the segments without any change of a control that is kept; each then counts 1 / share
    static_segment_keep: float = 1.0
    # what the loss of a control is a mean over: own (frames in which it counts, by its mode) or all
    loss_norm: str = "own"
    # largest pos_weight of a flag, which is its frames up over its frames down, of those in which it
    # counts on the training side; 0: none is counted
    pos_weight_cap: float = 0.0
    # added to the weight of flags and choices in frames in which none of them is used
    idle_penalty: float = 0.0
    # frames for which a press lasts at least, such as control/hotbar=5: a press of one frame, whose
    # exact frame no model can know, never reaches a probability of one half
    lasting: tuple[str, ...] = ()
    # weight of the loss of single controls, such as control/hotbar=6, for those that are rarely used
    # and need features of their own; it changes no probability of an independent head
    control_weights: tuple[str, ...] = ()
    # share of the segments in which a part of the state that may be missing, such as a hand, is
    # missing for a while (for each part; the schema's `shown_by`)
    part_dropout: float = 0.0
    # inputs of the policy, chosen again when it plays (`@skill=1`): rank (the player's mean outcome) and
    # outcome (of this match); each is unknown in a tenth of the training segments
    skill: tuple[str, ...] = ()
    # advantage-weighted regression: decisions count by exp(advantage / beta), in deviations of the
    # advantage; 0: all count the same
    advantage_beta: float = 0.0
    advantage_clip: float = 20.0  # largest weight, before the mean becomes 1
    advantage_gamma: float = 0.997  # discount a frame of the return
    advantage_reward: str = ""  # a reward of the game; empty: the result of the match alone
    # of the bodies of the segments (the schema's `bones`), each by its own draws
    # (learners/augmentation): largest change of the size, of single lengths, and of the angles from
    # the usual direction of each bone, as shares; of the camera's direction, and of trembling, in rad;
    # of white noise as a share of the size; 0: none
    body_size: float = 0.0
    body_lengths: float = 0.0
    body_amplitude: float = 0.0
    body_turn: float = 0.0
    body_tremor: float = 0.0
    body_noise: float = 0.0
    # weight of decisions by the holder of the seat, such as person=4 and policy=0.2, by a player's name
    # or its beginning; the first that fits counts, others have 1
    holder_weights: tuple[str, ...] = ()
    # with a strategy encoder, weights of predicting the opponent's next keys, and its name
    strategy_coef: float = 0.1
    identity_coef: float = 0.1

    @staticmethod
    def of(values: Mapping[str, Any]) -> ImitationConfig:
        """Build from plain data; refuse unknown names."""
        known = [field.name for field in dataclasses.fields(ImitationConfig)]
        for name in values:
            if name not in known:
                raise UsageError(f"imitation has no setting '{name}': {did_you_mean(name, known)}")
        given: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in values.items()
        }
        return ImitationConfig(**given)

    def __post_init__(self) -> None:
        if not 0 < self.static_segment_keep <= 1:
            raise UsageError(
                f"imitation: static_segment_keep is {self.static_segment_keep}, "
                "a share above 0 and at most 1 is needed"
            )
        if not 0 <= self.non_actionable_weight <= 1:
            raise UsageError(
                f"imitation: non_actionable_weight is {self.non_actionable_weight}, "
                "0 to 1 is needed"
            )
        if self.loss_norm not in LOSS_NORMS:
            raise UsageError(
                f"imitation: loss_norm is '{self.loss_norm}': "
                f"{did_you_mean(self.loss_norm, LOSS_NORMS)}"
            )
        if self.idle_penalty < 0 or self.pos_weight_cap < 0 or not 0 <= self.part_dropout < 1:
            raise UsageError(
                "imitation: expected idle_penalty >= 0, pos_weight_cap >= 0 and part_dropout from 0 "
                f"to below 1 (got {self.idle_penalty}, {self.pos_weight_cap}, {self.part_dropout})"
            )
        _require_weighting(self)
        for name in BODY:
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(
                    f"imitation: {name} is {getattr(self, name)}, a share or an angle from 0 to "
                    "below 1 is needed"
                )
        lasting_frames(self.lasting)
        loss_weights(self.control_weights)
        player_weights(self.holder_weights)

    @property
    def changes_bodies(self) -> bool:
        """True if the bodies of the segments are changed."""
        return any(getattr(self, name) for name in BODY)


def _require_weighting(config: ImitationConfig) -> None:
    """Refuse unknown skills and impossible numbers of an advantage."""
    for name in config.skill:
        if name not in SKILLS:
            raise UsageError(f"imitation: unknown skill '{name}': {did_you_mean(name, SKILLS)}")
    if len(set(config.skill)) < len(config.skill):
        raise UsageError(f"imitation: skill names one twice (got {list(config.skill)})")
    beta, clip, gamma = config.advantage_beta, config.advantage_clip, config.advantage_gamma
    if not (0 <= beta <= 1e3 and clip >= 1 and 0 < gamma <= 1):
        raise UsageError(
            "imitation: expected advantage_beta from 0 to 1,000, advantage_clip >= 1 and "
            f"advantage_gamma above 0 and at most 1 (got {beta}, {clip} and {gamma})"
        )
    if config.advantage_reward and not beta:
        raise UsageError("imitation: advantage_reward has no effect without advantage_beta above 0")


def require_possible(schema: Schema, config: ImitationConfig) -> None:
    """Refuse settings that this game cannot have."""
    for seat in config.seats:
        if not isinstance(seat, int) or not 0 <= seat < schema.players:
            raise UsageError(
                f"imitation: {schema.name} has no seat {seat!r}: seats are 0 .. {schema.players - 1}"
            )
    if config.mirror and not has_mirror(schema):
        raise UsageError(
            f"imitation: {schema.name} declares no mirror, so there is nothing to exchange"
        )
    for key in lasting_frames(config.lasting):
        if key not in schema.control_keys or isinstance(schema.columns[key].field, Real):
            raise UsageError(
                f"imitation: lasting: {schema.name} has no button or choice '{key}': "
                f"{did_you_mean(key, schema.control_keys)}"
            )
    for key in loss_weights(config.control_weights):
        if key not in schema.control_keys:
            raise UsageError(
                f"imitation: control_weights: {schema.name} has no control '{key}': "
                f"{did_you_mean(key, schema.control_keys)}"
            )
    if config.part_dropout and not any(group.shown_by for group in schema.state):
        raise UsageError(f"imitation: {schema.name} declares no part that may be missing")
    if config.changes_bodies and not any(group.bones for group in schema.state):
        raise UsageError(
            f"imitation: {schema.name} declares no skeleton, so that no body can be changed "
            "(a store of an older version has to be recorded again)"
        )
    for condition in config.actionable_when:
        _require_condition(schema, condition)


def lasting_frames(texts: Sequence[str]) -> dict[str, int]:
    """Frames by control of texts such as control/hotbar=5."""
    found = {}
    for text in texts:
        key, _, number = text.partition("=")
        if not number.isdecimal() or not 1 <= int(number) <= LONGEST_PRESS:
            raise UsageError(
                f"imitation: lasting '{text}': expected a control and a number of frames from 1 to "
                f"{LONGEST_PRESS:,}, such as control/hotbar=5"
            )
        found[key] = int(number)
    return found


def loss_weights(texts: Sequence[str]) -> dict[str, float]:
    """Weights by control of texts such as control/hotbar=6."""
    found = _weights(texts)
    for text, weight in zip(texts, found, strict=True):
        if not weight or not 0 < weight[1] <= HEAVIEST:
            raise UsageError(
                f"imitation: control_weights '{text}': expected a control and a weight above 0 and at "
                f"most {HEAVIEST:g}, such as control/hotbar=6"
            )
    return dict(weight for weight in found if weight)


def player_weights(texts: Sequence[str]) -> dict[str, float]:
    """Weights by the name of a player of texts such as person=4."""
    found = _weights(texts)
    for text, weight in zip(texts, found, strict=True):
        if not weight or not 0 <= weight[1] <= HEAVIEST:
            raise UsageError(
                f"imitation: holder_weights '{text}': expected a player and a weight from 0 to "
                f"{HEAVIEST:g}, such as person=4 or policy=0"
            )
    return dict(weight for weight in found if weight)


def _weights(texts: Sequence[str]) -> list[tuple[str, float] | None]:
    """Name and number of texts NAME=NUMBER; None for any other text."""
    found: list[tuple[str, float] | None] = []
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            found.append((name, float(number)) if name else None)
        except ValueError:
            found.append(None)
    return found


def _require_condition(schema: Schema, text: str) -> None:
    """Refuse a condition that cannot be decided frame by frame from fields of the state."""
    try:
        condition = parse_rule(text)
        holds_on(condition, dict.fromkeys(condition.metrics, 0.0))
        unknown = [key for key in condition.metrics if key not in schema.state_keys]
        reason = f"unknown field '{unknown[0]}'" if unknown else ""
    except UsageError as error:
        reason = str(error)
    if reason:
        raise UsageError(
            f"imitation: actionable_when '{text}' is not a condition on {schema.name}, such as "
            f"player/stun=0, GROUP/FIELD != 3, or GROUP/FIELD in (1, 4 .. 7): {reason}"
        )


def actionable_frames(view: Mapping[str, Any], texts: Sequence[str]) -> Any:
    """Truth of all conditions in each frame, for the own slot, which is the first of a view."""
    own = {key: view[key][..., 0] for key in _condition_columns(texts)}
    return functools.reduce(operator.and_, [holds_on(parse_rule(text), own) for text in texts])


def _condition_columns(texts: Sequence[str]) -> list[str]:
    return [key for text in texts for key in parse_rule(text).metrics]


def needed_columns(schema: Schema, keys: Sequence[str], config: ImitationConfig) -> tuple[str, ...]:
    """Columns to decode: the inputs, their modes and conditions, and the partners of the mirror."""
    wanted = dict.fromkeys(keys)
    wanted |= dict.fromkeys(_condition_columns(config.actionable_when))
    wanted |= dict.fromkeys(
        m.removeprefix("!") for key in schema.control_keys if (m := schema.columns[key].field.when)
    )
    if config.part_dropout:
        wanted |= dict.fromkeys(flag for group in schema.state for flag in group.shown_by)
    if config.changes_bodies:
        skeletons = [group for group in schema.state if group.bones]
        wanted |= dict.fromkeys(
            f"{group.name}/{name}" for group in skeletons for name in (*PLACES, *RATES)
        )
        wanted |= dict.fromkeys(flag for group in skeletons for flag in group.shown_by)
    if config.mirror:
        for key in list(wanted):
            group, rule = schema.columns[key].group, schema.columns[key].field.mirror
            wanted |= dict.fromkeys(
                [f"{group.name}/{group.mask}"] if group.mask and rule == "invert" else []
            )
            wanted |= dict.fromkeys(
                [f"{group.name}/{rule}"] if rule not in ("keep", "negate", "invert") else []
            )
    return tuple(wanted)
