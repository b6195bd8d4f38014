"""Typed run cards: the fields of a card's front matter, parsed with every mistake and its line.

Parsing does not stop at the first mistake: the fields that are valid are kept, and the others are
listed with their lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from shadowbox.cards import front_matter
from shadowbox.cards.field_types import Count, Inside, Name, Seconds, Sentence, Word
from shadowbox.cards.file import CardFile
from shadowbox.cards.front_matter import FrontMatter, Mistake
from shadowbox.cards.migrate import rename_head
from shadowbox.cards.sections import (
    SECTIONS,
    Check,
    DataSection,
    EvalSection,
    KillRule,
    Milestone,
    Opponents,
    RewardChoice,
    SpecText,
    Stage,
    Target,
    _Baseline,
    _Budget,
    _CardModel,
    _Launch,
    _OnOom,
    _PriorRun,
    _Reviewers,
    _Sweep,
    _Tracking,
    flatten,
    with_switches,
)
from shadowbox.errors import CardError, UsageError

MOST_SEEDS = 100


class Card(_CardModel):
    """Front matter of a run card: the contract of an experiment."""

    card: Literal[1] = 1
    id: Name = "card"
    goal: Sentence = ""
    question: Sentence = ""
    prediction: Sentence = ""
    game: Word = ""
    learner: Word = "imitation"
    preset: Word = ""
    set: dict[str, Any] = Field(default_factory=dict)
    data: DataSection | None = None
    world: SpecText | None = None
    opponents: Opponents | None = None
    reward: RewardChoice | None = None
    stages: list[Stage] = Field(default_factory=list, max_length=50)
    milestones: list[Milestone] = Field(default_factory=list, max_length=100)
    teacher: SpecText | None = None
    prior: list[_PriorRun] = Field(default_factory=list, max_length=50)
    checks: list[Check] = Field(default_factory=list, max_length=100)
    facts: dict[str, Count] = Field(default_factory=dict)
    baseline: _Baseline = _Baseline()
    targets: list[Target] = Field(default_factory=list, max_length=50)
    kill: list[KillRule] = Field(default_factory=list, max_length=50)
    on_oom: _OnOom = _OnOom()
    budget: _Budget = _Budget()
    timeout: Seconds | None = None
    # times that a run which its timeout paused goes on by itself
    resumes: Annotated[int, Field(ge=0, le=1000)] = 0
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(
        default_factory=lambda: [0], max_length=MOST_SEEDS
    )
    parent: Inside | None = None
    parent_optimizer: bool = False
    reviewers: _Reviewers = _Reviewers()
    sweep: _Sweep | None = None
    eval: EvalSection | None = None
    launch: _Launch = _Launch()
    tracking: _Tracking = _Tracking()
    fallback: Sentence = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Changed settings (`set`) by dotted name."""
        return with_switches(flatten(self.set))


# a card without one of these promises nothing
NEEDED = ("card", "id", "goal", "game", "preset", "targets")


@dataclass(frozen=True)
class ParsedCard:
    """A parsed card: its valid fields, and every mistake."""

    card: Card
    head: FrontMatter
    mistakes: list[Mistake]
    # list -> where its items stood before mistaken ones were left out
    kept: Mapping[front_matter.Path, list[int]]
    outdated: bool = False  # it has names of an earlier version; the mistakes say which

    def mistake(self, path: front_matter.Path, message: str) -> Mistake:
        """A mistake at a field of the card, with its line."""
        place = tuple(
            self.kept[path[:at]][part] if isinstance(part, int) and path[:at] in self.kept else part
            for at, part in enumerate(path)
        )
        return Mistake(self.head.line(place), front_matter.path_text(place), message)


def read_card(file: CardFile, changes: Mapping[str, Any] | None = None) -> ParsedCard:
    """Parse the card in a file; `changes` come from --set."""
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
    """Validate plain data as a card; raise if anything is wrong."""
    try:
        return Card.model_validate(dict(data))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise CardError(f"{front_matter.path_text(problem['loc'])}: {_message(problem)}") from None


def require_card(path: Path, changes: Mapping[str, Any] | None = None) -> tuple[CardFile, Card]:
    """Return the card if it has no mistakes; else raise an error that lists them all."""
    file = CardFile.read(path)
    found = read_card(file, changes)
    if found.mistakes:
        raise CardError(list_cards(path, found.mistakes))
    return file, found.card


def list_cards(path: Path, mistakes: list[Mistake]) -> str:
    """Mistakes of a card in the form of compilers: one line each, FILE:LINE: FIELD: MESSAGE."""
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    lines = [
        f"{path}:{line}: {field + ': ' if field else ''}{message}"
        for line, field, message in mistakes
    ]
    return "\n".join([f"{path} has {count}", *lines])


def with_changes(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Apply --set to front matter: train.lr=..., model.width=..., or a path such as seeds or data.store."""
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
    """Validate the fields that have the right types, and list the mistakes in the others."""
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
            data = _without(data, list(messages := dict(found)), (), kept)
            mistakes += [
                Mistake(head.line(path), front_matter.path_text(path), _message(messages[path]))
                for path in messages
            ]
    return Card(), mistakes, kept


def _path_in(data: Any, location: tuple[int | str, ...]) -> front_matter.Path:
    """Path of an error in the data, without the names that pydantic adds for branches of a union."""
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

    Items of lists are removed whole; `kept` remembers the original index of each remaining item.
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
    """Message of a pydantic error in plain words."""
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        return f"unknown key '{problem['loc'][-1]}'"[:200]
    if kind == "missing":
        return f"'{problem['loc'][-1]}' is missing"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    text = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{given!r:.60} is given, {text} is needed".replace("a valid ", "a ")
