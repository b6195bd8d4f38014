"""What a card says, typed: a promise about an experiment, and the configuration it runs with.

Reading never stops at the first mistake: what can be understood is, and everything else is listed
with its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shadowbox.cards import front_matter
from shadowbox.cards.field_types import (
    Count,
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
from shadowbox.cards.file import CardFile
from shadowbox.cards.front_matter import FrontMatter, Mistake
from shadowbox.cards.migrate import rename_head
from shadowbox.cards.rules.monitor import Rule
from shadowbox.errors import CardError, UsageError

# what `set` can change: the loop, the model, and what the learner does
SECTIONS = ("train", "model", "learner")
MOST_SEEDS, MOST_SETTINGS = 100, 1000


class CardModel(BaseModel):
    """A part of a head. Unknown names are refused, and so are values of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class RecordCall(CardModel):
    """A call of `shadowbox record` that makes the data; `mix` names several pairings."""

    p0: str = Field(default="", max_length=200)
    p1: str = Field(default="", max_length=200)
    mix: list[dict[str, Any]] = Field(default_factory=list, max_length=100)
    matches: int = Field(default=100, ge=1, le=10_000_000)
    seed: int = Field(default=0, ge=0)
    world: str = Field(default="", max_length=200)  # a world's spec; empty: the game's simulator
    options: dict[str, Any] = Field(default_factory=dict)


class IngestCall(CardModel):
    """A call of `shadowbox ingest` that makes the data out of recordings of one's own."""

    paths: list[Inside] = Field(min_length=1, max_length=1000)
    filter: Word = ""  # a named set of the game's options
    options: dict[str, Any] = Field(default_factory=dict)


class DataCall(CardModel):
    """How a missing store is made."""

    record: RecordCall | None = None
    ingest: IngestCall | None = None


class DataSection(CardModel):
    """What is learned from.

    Data is here, or can be made, or is said to lie elsewhere (`external`: where, in words).
    """

    store: Inside = ""
    split: SplitShares = "80/10/10"
    # every seed draws its own split, so that their interval is one over data, too
    resplit: bool = False
    fingerprint: str | None = Field(default=None, max_length=200)
    make: DataCall | None = None
    external: str | None = Field(default=None, max_length=500)


class _Baseline(CardModel):
    """What the targets are compared with: a run on disk, and values that stand elsewhere, with their source."""

    run: Inside | None = None
    values: dict[MetricName, float] = Field(default_factory=dict)
    source: Sentence = ""


class Target(CardModel):
    """A number that is promised.

    `value` may be another metric, such as val/onset_f1_greedy/markov: better than the table.
    """

    metric: MetricName
    op: Literal["<", "<=", ">", ">="]
    value: float | MetricName
    at: Literal["best", "last"] = "best"
    primary: bool = False

    def __str__(self) -> str:
        wanted = self.value if isinstance(self.value, str) else f"{self.value:g}"
        return f"{self.metric} {self.op} {wanted}"


class KillRule(CardModel):
    """A rule that ends, pauses or comments on the run while it is going."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    when: RuleText
    after: SpanText = ""
    lasting: SpanText = Field(default="", alias="for")
    action: Literal["stop", "pause", "warn"] = "stop"
    set: dict[str, Any] = Field(default_factory=dict)

    @property
    def rule(self) -> Rule:
        """As the guard wants it."""
        return Rule(self.when, self.action, self.after, self.lasting, flatten(self.set))


class _OnOom(CardModel):
    """What happens when memory runs out: the batch is computed in parts, down to `batch` examples, so many times halved."""

    batch: int | None = Field(default=None, ge=1)
    retries: int | None = Field(default=None, ge=0, le=20)


class _Budget(CardModel):
    """What a run may cost, all its seeds together. It stops where it would cost more."""

    wall: Seconds | None = None
    usd: float | None = Field(default=None, gt=0)
    machine: Word = "local"


class _Reviewers(CardModel):
    """Who must have signed before it runs."""

    min: int = Field(default=0, ge=0, le=20)
    required: list[Name] = Field(default_factory=list, max_length=20)


class _Sweep(CardModel):
    """Several settings of one card: those of a list, all of a grid, or `tries` drawn at random, until the time is over.

    What is set are train.NAME, model.NAME and learner.NAME, preset, learner, and eval.NAME; in a
    list `name` names one.
    """

    cases: list[dict[str, Any]] = Field(default_factory=list, max_length=MOST_SETTINGS)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    random: dict[str, Any] = Field(default_factory=dict)
    tries: int = Field(default=0, ge=0, le=MOST_SETTINGS)
    seed: int = Field(default=0, ge=0)
    wall: Seconds | None = None


class EvalSection(CardModel):
    """How the trained policy is judged by playing, for targets named eval/..., such as eval/gate."""

    against: Word = ""  # an agent; empty: the opponents in the data
    matches: int = Field(default=200, ge=2, le=100_000)
    episodes: int = Field(default=100, ge=2, le=100_000)  # recorded ones that it is asked about
    temperature: float = Field(default=1.0, gt=0, le=10)
    # first temperatures are chosen, that of play in matches that it is not judged by
    calibrate: bool = False
    threshold: float | None = Field(default=None, gt=0, lt=1)  # press by it in place of drawing


class Card(CardModel):
    """The contract."""

    card: Literal[1] = 1
    id: Name = "card"
    goal: Sentence = ""
    question: Sentence = ""
    prediction: Sentence = ""
    game: Word = ""
    learner: Word = "imitation"
    preset: Word = ""
    set: dict[str, Any] = Field(default_factory=dict)
    data: DataSection = DataSection()
    facts: dict[str, Count] = Field(default_factory=dict)
    baseline: _Baseline = _Baseline()
    targets: list[Target] = Field(default_factory=list, max_length=50)
    kill: list[KillRule] = Field(default_factory=list, max_length=50)
    on_oom: _OnOom = _OnOom()
    budget: _Budget = _Budget()
    timeout: Seconds | None = None
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(
        default_factory=lambda: [0], max_length=MOST_SEEDS
    )
    parent: Inside | None = None
    parent_optimizer: bool = False
    reviewers: _Reviewers = _Reviewers()
    sweep: _Sweep | None = None
    eval: EvalSection | None = None
    fallback: Sentence = ""

    @property
    def settings(self) -> dict[str, Any]:
        """What `set` changes, by dotted name."""
        return flatten(self.set)


# a card without one of these promises nothing
NEEDED = ("card", "id", "goal", "game", "preset", "targets")


@dataclass(frozen=True)
class ParsedCard:
    """What a card says, as far as it can be understood, and everything that cannot."""

    card: Card
    head: FrontMatter
    mistakes: list[Mistake]
    # list -> where its items stood before mistaken ones were left out
    kept: Mapping[front_matter.Path, list[int]]
    outdated: bool = False  # it has names of an earlier version; the mistakes say which

    def mistake(self, path: front_matter.Path, message: str) -> Mistake:
        """A mistake at a part of the card."""
        place = tuple(
            self.kept[path[:at]][part] if isinstance(part, int) and path[:at] in self.kept else part
            for at, part in enumerate(path)
        )
        return Mistake(self.head.line(place), front_matter.path_text(place), message)


def read_card(file: CardFile, changes: Mapping[str, Any] | None = None) -> ParsedCard:
    """The card in a file. `changes` come from --set."""
    head = front_matter.parse_front_matter(file.head, first_line=2)
    renamed = rename_head(file.head)[1]
    data = with_changes(head.data, changes or {})
    card, mistakes, kept = _typed(data, head)
    if renamed:
        advice = f"run `shadowbox migrate {file.path}`"
        mistakes = [
            Mistake(line, "", f"{old} is called {new} now: {advice}") for line, old, new in renamed
        ]
        return ParsedCard(card, head, sorted(set(mistakes)), kept, outdated=True)
    if not head.mistakes or head.data:
        mistakes += [
            Mistake(2, name, f"'{name}' is missing") for name in NEEDED if name not in data
        ]
    return ParsedCard(card, head, sorted({*head.mistakes, *mistakes}), kept)


def parse_value(data: Mapping[str, Any]) -> Card:
    """A card out of plain data; it must be right."""
    try:
        return Card.model_validate(dict(data))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise CardError(f"{front_matter.path_text(problem['loc'])}: {_message(problem)}") from None


def require_card(path: Path, changes: Mapping[str, Any] | None = None) -> tuple[CardFile, Card]:
    """A card that can be understood; else an error with all that cannot."""
    file = CardFile.read(path)
    found = read_card(file, changes)
    if found.mistakes:
        raise CardError(list_cards(path, found.mistakes))
    return file, found.card


def list_cards(path: Path, mistakes: list[Mistake]) -> str:
    """All mistakes of a card, a line each, as compilers do."""
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    lines = [
        f"{path}:{line}: {field + ': ' if field else ''}{message}"
        for line, field, message in mistakes
    ]
    return "\n".join([f"{path} has {count}", *lines])


def flatten(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """{"train": {"lr": 1}} and {"train.lr": 1} are both train.lr: 1."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and (before + name).count(".") < 1:
            found |= flatten(value, f"{before}{name}.")
        else:
            found[before + name] = value
    return found


def with_changes(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A head's data with --set applied: train.lr=..., model.width=..., or a path of the head such as seeds or data.store."""
    changed = dict(data)
    for name, value in changes.items():
        first, _, rest = name.partition(".")
        if first in SECTIONS:
            changed["set"] = {**flatten(_mapping(changed.get("set"))), name: value}
        elif first not in Card.model_fields:
            known = ", ".join([*(f"{section}.NAME" for section in SECTIONS), *Card.model_fields])
            raise UsageError(f"--set {name}: a card has no '{first}'; it has {known}")
        elif rest:
            changed[first] = _deep(_mapping(changed.get(first)), rest.split("."), value)
        else:
            changed[first] = value
    return changed


def _deep(data: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    if len(path) == 1:
        return {**data, path[0]: value}
    return {**data, path[0]: _deep(_mapping(data.get(path[0])), path[1:], value)}


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _typed(
    data: dict[str, Any], head: FrontMatter
) -> tuple[Card, list[Mistake], dict[front_matter.Path, list[int]]]:
    """A card out of what is well-typed; the rest is a list of mistakes."""
    mistakes: list[Mistake] = []
    kept: dict[front_matter.Path, list[int]] = {}
    # leaving out one thing can bring up another; it soon ends, for all errors of a pass go at once
    for _ in range(10):
        try:
            return Card.model_validate(data), mistakes, kept
        except ValidationError as error:
            found = [
                (_path_in(data, problem["loc"]), problem)
                for problem in error.errors(include_url=False)
            ]
            # of a choice's branches the last one speaks
            data = _without(data, list(told := dict(found)), (), kept)
            mistakes += [
                Mistake(head.line(path), front_matter.path_text(path), _message(told[path]))
                for path in told
            ]
    return Card(), mistakes, kept


def _path_in(data: Any, location: tuple[int | str, ...]) -> front_matter.Path:
    """Where in the data an error lies: pydantic also names the branches of its types, which nobody wrote."""
    path: list[int | str] = []
    for part in location:
        if isinstance(data, dict):
            path.append(part)
            if part not in data:
                break  # it is missing here
            data = data[part]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
    return tuple(path)


def _without(
    data: Any,
    paths: list[front_matter.Path],
    here: front_matter.Path,
    kept: dict[front_matter.Path, list[int]],
) -> Any:
    """The data without the parts at `paths`.

    An item of a list goes as a whole; where its place was is kept in mind.
    """
    below = {
        path[len(here)] for path in paths if path[: len(here)] == here and len(path) > len(here)
    }
    if isinstance(data, list):
        places = [at for at in range(len(data)) if at not in below]
        before = kept.get(here, list(range(len(data))))
        kept[here] = [before[at] for at in places]
        return [data[at] for at in places]
    if not isinstance(data, dict):
        return data
    found: dict[str, Any] = {}
    for name, value in data.items():
        path = (*here, name)
        if path in paths or (not isinstance(value, dict | list) and name in below):
            continue
        found[name] = _without(value, paths, path, kept) if name in below else value
    return found


def _message(problem: Any) -> str:
    """Pydantic's words in ours."""
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        return f"there is no '{problem['loc'][-1]}' here"[:200]
    if kind == "missing":
        return f"'{problem['loc'][-1]}' is missing"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    text = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{given!r:.60} is given, {text} is needed".replace("a valid ", "a ")
