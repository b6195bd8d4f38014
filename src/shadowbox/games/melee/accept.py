"""What of the recordings is accepted, beyond the least that an episode needs: options with their defaults, and named sets."""

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
    """What is accepted beyond the least (two players, a known stage), and what of the names is kept."""

    human: bool = False  # nobody is played by the game
    # game: somebody lost the last stock; decided: or time ran out, or an old version says it was
    # resolved
    end: str = "any"
    complete: bool = False  # nothing is missing at the end
    legal_stage: bool = False  # one of the six of tournaments
    min_frames: int = 1  # decisions, counted from where players can act
    characters: str = ""  # both players play one of these, as in fox,falco
    min_version: str = ""  # of Slippi, as in 2.1
    keep_names: bool = False  # real names and codes, in place of stable pseudonyms


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


def options(**given: Any) -> AcceptOptions:
    """Checked options; a name or value that means nothing is a wrong call."""
    for name, value in given.items():
        if name not in DEFAULTS:
            raise UsageError(f"melee: there is no option '{name}': {did_you_mean(name, DEFAULTS)}")
        if type(value) is not type(DEFAULTS[name]):
            raise UsageError(
                f"melee: {name}={value!r}, a {type(DEFAULTS[name]).__name__} is needed"
            )
    chosen = AcceptOptions(**given)
    if chosen.end not in ("any", *ENDINGS):
        raise UsageError(f"melee: end='{chosen.end}': any, {' or '.join(ENDINGS)}")
    for character in filter(None, chosen.characters.split(",")):
        if character not in CHARACTERS:
            raise UsageError(
                f"melee: there is no character '{character}': {did_you_mean(character, CHARACTERS)}"
            )
    if chosen.min_version and not re.fullmatch(r"\d{1,3}(\.\d{1,3}){0,2}", chosen.min_version):
        raise UsageError(f"melee: min_version='{chosen.min_version}' is no version, such as 2.1")
    return chosen
