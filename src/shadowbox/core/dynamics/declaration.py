"""Declaration of a game's dynamics: what of the next frame is a rule, and what is to be learned.

An event is a trigger that two consecutive rows decide, for each slot of its column:

    rises COLUMN | falls COLUMN | enters COLUMN=VALUE | leaves COLUMN=VALUE

A rule of a column is a text of clauses joined by `;`. The first one is its base:

    drawn                          learned; the base of columns without a rule
    carried                        as before; the base of columns with predict="no"
    step N                         N more than before
    tick                           a time in seconds: a frame later than before
    count_down                     one less than before, down to 0
    pressed CONTROL                whether the control is pressed
    last_pressed CONTROL CONTROL   on by a press of the first, off by a press of the second; the flag
                                   held_NAME of the group says what was held before
    periodic CLOCK N by COLUMN     a function of CLOCK modulo N, another one for each value of COLUMN
    since COLUMN                   one more than before, 0 where that column has changed
    ends COLUMN ...                whether any of these columns is down to 0
    winner COLUMN COLUMN           once over: the player with more of the first, then less of the second

Others follow, of which a later one goes before an earlier one:

    at EVENT drawn | at EVENT VALUE | at EVENT minus N
    VALUE only at EVENT            a choice that no frame without the event takes on
    VALUE where CONDITION | VALUE unless CONDITION | VALUE where COLUMN changes
    within LOW HIGH unless CONDITION [else EVENT]

A value beyond makes EVENT happen, if one is named: such an event is derived and never drawn.

VALUE is a number, the name of a choice, or COLUMN+N. A CONDITION is a flag, or COLUMN=VALUE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class _Dynamics:
    """Dynamics of a game's state, for learned worlds."""

    events: Mapping[str, str] = field(default_factory=dict)  # name -> trigger
    together: tuple[str, ...] = ()  # choices of a group that are drawn as one, before all others
    rules: Mapping[str, str] = field(default_factory=dict)  # column -> clauses, in this order
    # position -> velocities of the next row that move it, joined by `;`, each COLUMN or COLUMN
    # while FLAG (of the row before); a second, or a frame if their unit ends with /frame
    rates: Mapping[str, str] = field(default_factory=dict)
    # event between two players -> choices of the other one beside which, and at the distance between
    # them, it happens
    reach: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # flag of a player on the ground, the position that is exact there, and the one along it
    ground: tuple[str, ...] = ()
    takes: Mapping[str, str] = field(
        default_factory=dict
    )  # choice of a player -> that of the things
    ignored: tuple[str, ...] = ()  # columns that a learned world does not read
    over: str = ""  # flag of a finished match, or COLUMN=VALUE of any slot
    clock: str = ""  # number of the frame
    seed: tuple[
        str, ...
    ] = ()  # choices of 2^32 values that hold a match's seed, the lower half first

    def to_json(self) -> dict[str, Any]:
        """Plain data, from which `of` makes an equal declaration."""
        data = asdict(self)
        data["reach"] = {name: list(keys) for name, keys in self.reach.items()}
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in data.items()
        }

    def without_gates(self) -> _Dynamics:
        """Declaration without what events decide: a column with such a rule is drawn in every frame."""
        rules = {}
        for key, text in self.rules.items():
            clauses = [part.strip() for part in text.split(";")]
            kept = [each.partition(" else ")[0] for each in clauses if not _needs_event(each)]
            rules[key] = text if kept == clauses else "; ".join(["drawn", *kept[1:]])
        return replace(self, rules=rules)

    @staticmethod
    def of(data: Mapping[str, Any]) -> _Dynamics:
        """Declaration from the data of `to_json`."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        reach = {name: tuple(keys) for name, keys in given.pop("reach", {}).items()}
        return _Dynamics(**given, reach=reach)


def _needs_event(clause: str) -> bool:
    """True of a clause that holds at an event alone."""
    words = clause.split()
    return words[:1] == ["at"] or words[1:3] == ["only", "at"]
