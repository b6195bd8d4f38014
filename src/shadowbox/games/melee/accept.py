"""Options that decide which recordings are accepted, their defaults, and named filters."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.melee.names import CHARACTERS

UNRESOLVED, TIME, GAME, RESOLVED, NO_CONTEST = 0, 1, 2, 3, 7
ENDINGS: dict[str, frozenset[int]] = {
    "game": frozenset((GAME,)),
    "decided": frozenset((TIME, GAME, RESOLVED)),
}


@dataclass(frozen=True)
class AcceptOptions:
    """Requirements on a recording beyond two players and a known stage, and the choice of names."""

    human: bool = False  # both players are people, not CPUs
    # game: the last stock was lost; decided: or time ran out, or an old version says "resolved"
    end: str = "any"
    complete: bool = False  # the recording has its end
    legal_stage: bool = False  # one of the six tournament stages
    min_frames: int = 1  # decisions, counted from the first frame in which players can act
    characters: str = ""  # both players play one of these, as in fox,falco
    min_version: str = ""  # of Slippi, as in 2.1
    keep_names: bool = False  # keep real names and codes, not stable pseudonyms


DEFAULTS: Mapping[str, Any] = dataclasses.asdict(AcceptOptions())
FILTERS: Mapping[str, Mapping[str, Any]] = {
    "train": {"end": "game", "min_frames": 120},
    "strict": {
        "human": True,
        "end": "decided",
        "complete": True,
        "legal_stage": True,
        "min_frames": 3600,
        "min_version": "2.1",
    },
}


def options(**settings: Any) -> AcceptOptions:
    """Check options and fill in the defaults; an unknown name or value is a UsageError."""
    for name, value in settings.items():
        if name not in DEFAULTS:
            raise UsageError(f"melee: unknown option '{name}': {did_you_mean(name, DEFAULTS)}")
        if type(value) is not type(DEFAULTS[name]):
            raise UsageError(
                f"melee: option '{name}' must be a {type(DEFAULTS[name]).__name__} (got {value!r})"
            )
    chosen = AcceptOptions(**settings)
    if chosen.end not in ("any", *ENDINGS):
        raise UsageError(f"melee: end must be any, {' or '.join(ENDINGS)} (got '{chosen.end}')")
    for character in filter(None, chosen.characters.split(",")):
        if character not in CHARACTERS:
            raise UsageError(
                f"melee: unknown character '{character}': {did_you_mean(character, CHARACTERS)}"
            )
    if chosen.min_version and not re.fullmatch(r"\d{1,3}(\.\d{1,3}){0,2}", chosen.min_version):
        raise UsageError(
            f"melee: min_version must be a version such as 2.1 (got '{chosen.min_version}')"
        )
    return chosen
