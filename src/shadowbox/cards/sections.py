"""Sections of a card's head, typed: unknown names are refused, and so are values of another type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shadowbox.cards.field_types import (
    EnvironmentName,
    Inside,
    MetricName,
    Name,
    RuleText,
    Seconds,
    Sentence,
    SpanText,
    SplitShares,
    Word,
)
from shadowbox.cards.rules.monitor import Rule

# what `set` can change: the loop, the model, and what the learner does
SECTIONS = ("train", "model", "learner")
MOST_SETTINGS = 1000  # of a sweep
LONGEST_NAME, MOST_TERMS = 80, 100  # of a reward


class _CardModel(BaseModel):
    """Base of a card's sections. Unknown names and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class RecordCall(_CardModel):
    """Arguments of the `shadowbox record` call that makes the data.

    `mix` lists several pairings. A game without matches has sources of sessions: `source` names one
    with its `options`, and `matches` is the number of sessions.
    """

    source: Word = ""
    p0: str = Field(default="", max_length=200)
    p1: str = Field(default="", max_length=200)
    mix: list[dict[str, Any]] = Field(default_factory=list, max_length=100)
    matches: int = Field(default=100, ge=1, le=10_000_000)
    seed: int = Field(default=0, ge=0)
    world: str = Field(default="", max_length=200)  # a world's spec; empty: the game's simulator
    options: dict[str, Any] = Field(default_factory=dict)


class IngestCall(_CardModel):
    """Arguments of the `shadowbox ingest` call that makes the data from your recordings."""

    paths: list[Inside] = Field(min_length=1, max_length=1000)
    filter: Word = ""  # a named set of the game's options
    options: dict[str, Any] = Field(default_factory=dict)


class DataCall(_CardModel):
    """The call that makes a missing store."""

    record: RecordCall | None = None
    ingest: IngestCall | None = None


class DataSection(_CardModel):
    """The store to learn from, its split, and the call that makes it.

    The store is on disk, can be made (`make`), or is described in words as `external`.
    """

    store: Inside = ""
    split: SplitShares = "80/10/10"
    # what is held out whole: player, day, or another value of the metadata; empty: single episodes
    by: Word = ""
    # every seed draws its own split, so that their interval is one over data, too
    resplit: bool = False
    fingerprint: str | None = Field(default=None, max_length=200)
    make: DataCall | None = None
    external: str | None = Field(default=None, max_length=500)


class _Baseline(_CardModel):
    """Reference for the targets: a run on disk, or values from elsewhere with their source."""

    run: Inside | None = None
    values: dict[MetricName, float] = Field(default_factory=dict)
    source: Sentence = ""


class Target(_CardModel):
    """A promised bound of a metric.

    `value` is a number or another metric, such as val/onset_f1/look_up.
    """

    metric: MetricName
    op: Literal["<", "<=", ">", ">="]
    value: float | MetricName
    at: Literal["best", "last"] = "best"
    primary: bool = False

    def __str__(self) -> str:
        wanted = self.value if isinstance(self.value, str) else f"{self.value:g}"
        return f"{self.metric} {self.op} {wanted}"


class KillRule(_CardModel):
    """A rule that stops, pauses or comments on a run while it trains."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    when: RuleText
    after: SpanText = ""
    lasting: SpanText = Field(default="", alias="for")
    action: Literal["stop", "pause", "warn"] = "stop"
    set: dict[str, Any] = Field(default_factory=dict)

    @property
    def rule(self) -> Rule:
        """The rule in the form that `RuleMonitor` takes."""
        return Rule(self.when, self.action, self.after, self.lasting, flatten(self.set))


class _OnOom(_CardModel):
    """Reaction to running out of memory: compute the batch in parts, halved down to `batch` examples."""

    batch: int | None = Field(default=None, ge=1)
    retries: int | None = Field(default=None, ge=0, le=20)


class _Budget(_CardModel):
    """Limits on the cost of all seeds together. A run stops when it would exceed one."""

    wall: Seconds | None = None
    usd: float | None = Field(default=None, gt=0)
    machine: Word = "local"


class _Reviewers(_CardModel):
    """Signatures that are required before the card may run."""

    min: int = Field(default=0, ge=0, le=20)
    required: list[Name] = Field(default_factory=list, max_length=20)


class _Sweep(_CardModel):
    """Several settings of one card: a list of cases, a full grid, or `tries` random draws.

    With the method `halving` all of them begin, and after each rung the best `1 / factor` go on, by
    the first primary target at their last validation; `all` trains each to its end.

    Names are train.NAME, model.NAME, learner.NAME, eval.NAME, preset and learner; `name` labels a
    case.
    """

    cases: list[dict[str, Any]] = Field(default_factory=list, max_length=MOST_SETTINGS)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    random: dict[str, Any] = Field(default_factory=dict)
    tries: int = Field(default=0, ge=0, le=MOST_SETTINGS)
    seed: int = Field(default=0, ge=0)
    wall: Seconds | None = None
    method: Literal["all", "halving"] = "all"
    factor: int = Field(default=3, ge=2, le=10)  # of the settings from rung to rung


class _Launch(_CardModel):
    """Machine-side arguments of `shadowbox launch`; no result of a run depends on them."""

    workers: int = Field(
        default=0, ge=0, le=1024
    )  # processor cores of the job; 0: the usual number
    accelerators: int = Field(default=1, ge=1, le=64)  # of one machine, where it has any
    volume: Word = ""  # network volume that holds data/, cards/ and runs/
    detach: bool = False  # the job goes on when the command that launched it has ended
    environment: dict[EnvironmentName, Word] = Field(default_factory=dict, max_length=50)
    secrets: list[Name] = Field(default_factory=list, max_length=20)  # by name, never their values


class _Tracking(_CardModel):
    """Place of the run in other dashboards: owner, project and tags."""

    entity: Word = ""
    project: Word = ""
    tags: list[Name] = Field(default_factory=list, max_length=50)


# a spec of an agent or a world, such as policy:runs/x@best or brawl@stage=mirror
SpecText = Annotated[str, Field(min_length=1, max_length=200)]


class EvalSection(_CardModel):
    """Evaluation of the trained policy, for targets named eval/..., such as eval/gate."""

    against: Word = ""  # an agent; empty: the opponents in the data
    matches: int = Field(default=200, ge=2, le=100_000)
    episodes: int = Field(default=100, ge=2, le=100_000)  # recorded ones that it is asked about
    # of the split, to evaluate on; what is chosen (a checkpoint, a calibration) is chosen on val
    side: Literal["val", "test"] = "val"
    temperature: float = Field(default=1.0, gt=0, le=10)
    # first temperatures are chosen, that of play in matches that it is not judged by
    calibrate: bool = False
    threshold: float | None = Field(default=None, gt=0, lt=1)  # press by it in place of drawing
    # without recordings: agents to play against, each `matches` matches; empty: all bots
    opponents: list[SpecText] = Field(default_factory=list, max_length=100)
    # without recordings: reaction delays of the policy in frames, each judged by all matches
    delays: list[Annotated[int, Field(ge=0, le=120)]] = Field(
        default_factory=lambda: [0], min_length=1, max_length=20
    )
    # to play in, such as the simulator after training in a dream; without it that of the card
    world: SpecText | None = None
    # of a learned world: recorded moments to predict from, and frames of each prediction
    starts: int | None = Field(default=None, ge=2, le=100_000)
    frames: int | None = Field(default=None, ge=20, le=100_000)
    # other recordings, whose `side` by their own split is evaluated on, such as people unlike those of
    # the training; what is chosen is chosen on the card's own side val
    data: DataSection | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """All settings, by which a run knows that it was evaluated so; later ones only if given."""
        later = {name for name in ("starts", "frames", "data") if getattr(self, name) is None}
        return self.model_dump(exclude=later)


def _as_weights(value: Any) -> Any:
    """A list of agents as weights: each as often as it is listed."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return {spec: float(value.count(spec)) for spec in value}
    return value


def _as_reward(value: Any) -> Any:
    """The name of one of the game's rewards, or weights by term."""
    named = isinstance(value, str) and 0 < len(value) <= LONGEST_NAME
    weighted = isinstance(value, dict) and value and len(value) <= MOST_TERMS
    if not named and not (weighted and all(map(_is_weight, value.values()))):
        raise ValueError(
            f"{value!r:.60} is not a reward: give the name of one, or weights by term, "
            "as in {win: 1.0, damage: 0.01} or {win: 1.0, closing: {from: 0.1, to: 0, by: 0.5}}"
        )
    return value


def _is_weight(value: Any) -> bool:
    """A number; {from, to, by}, where `by` is a share of the budget; or (step, weight) pairs."""
    if isinstance(value, dict):
        return set(value) <= {"from", "to", "by"} and all(map(_is_number, value.values()))
    if isinstance(value, list):
        return all(
            isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair))
            for pair in value
        )
    return _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# agents to learn against, each with its weight; a list gives all of them the same
Opponents = Annotated[
    dict[SpecText, Annotated[float, Field(gt=0, le=1e6)]], BeforeValidator(_as_weights)
]
RewardChoice = Annotated[Any, BeforeValidator(_as_reward)]


class Stage(_CardModel):
    """A stage of a curriculum: from its name on other settings, frozen parameters and opponents hold.

    `gate` is the rule that leads to the next stage, `regress` the one that leads back.
    """

    name: Name
    set: dict[str, Any] = Field(default_factory=dict)
    freeze: list[Word] = Field(default_factory=list, max_length=100)  # groups of parameters
    opponents: Opponents | None = None
    gate: RuleText | None = None
    regress: RuleText | None = None


class Milestone(_CardModel):
    """A band in which a metric should be at a step of the run: [low, high], null where it is open."""

    step: int = Field(ge=1)
    metric: MetricName
    band: list[float | None] = Field(min_length=2, max_length=2)

    @model_validator(mode="after")
    def _ordered(self) -> Milestone:
        low, high = (
            end if end is not None else at
            for end, at in zip(self.band, (-math.inf, math.inf), strict=True)
        )
        if not low < high:
            raise ValueError(
                f"the band {self.band} is empty: [low, high] with low < high is needed"
            )
        return self


class _PriorRun(_CardModel):
    """A run of others, for comparison: its figures and where they come from."""

    name: Sentence
    data: Sentence = ""  # in words, such as 50 games
    encoding: str | dict[str, Any] = ""  # of its inputs, for comparison with those of the card
    values: dict[MetricName, float] = Field(default_factory=dict)
    source: Sentence


class _ReviewCheck(_CardModel):
    """A point of the reviewers' list: a sentence, or one that is marked as done."""

    text: Sentence
    done: bool = False


def _as_check(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


Check = Annotated[_ReviewCheck, BeforeValidator(_as_check)]


def shares_of(opponents: Mapping[str, float] | None) -> dict[str, float]:
    """Opponent -> share of the matches, summing to 1."""
    total = sum((opponents or {}).values())
    return {spec: weight / total for spec, weight in (opponents or {}).items()}


def flatten(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Flatten nested settings: {"train": {"lr": 1}} and {"train.lr": 1} both give train.lr: 1."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and (before + name).count(".") < 1:
            found |= flatten(value, f"{before}{name}.")
        else:
            found[before + name] = value
    return found


def with_switches(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Take `learner.encoding.SWITCH` into the value of `learner.encoding`, and the like.

    A value that is a name becomes a map with that name as its `preset`.
    """
    found = {name: value for name, value in settings.items() if name.count(".") < 2}
    for name, value in settings.items():
        if name not in found:
            section, setting, switch = name.split(".", 2)
            whole = found.get(f"{section}.{setting}", "default")
            known = dict(whole) if isinstance(whole, dict) else {"preset": whole}
            found[f"{section}.{setting}"] = {**known, switch: value}
    return found
