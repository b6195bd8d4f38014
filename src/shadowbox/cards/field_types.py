"""Field types of run cards: durations, counts, names and paths, each validated when parsed."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from shadowbox.cards.rules import grammar

DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(s|m|min|h|d)\s*")
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
LONGEST_PART = 200  # bytes of a file's name; with what is added to it, systems allow 255
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
METRIC = re.compile(r"[a-z][a-z0-9_]*(/[A-Za-z0-9_.+~@-]+)+")  # KIND/NAME


def _seconds(value: Any) -> Any:
    """Parse `12h`, `90 min`, `30s` or a number of seconds."""
    if isinstance(value, str) and (found := DURATION.fullmatch(value)):
        return float(found[1]) * SECONDS[found[2]]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"{value!r:.60} is not a duration: expected 90s, 30 min, 12h or 2d")


def _inside(value: str) -> str:
    """Validate a path that stays inside the folder where the card is run."""
    path = PurePosixPath(value)
    if (
        not value
        or "\\" in value
        or "\0" in value
        or path.is_absolute()
        or ".." in path.parts
        or value.startswith("~")
    ):
        raise ValueError(
            f"'{value[:80]}' leads out of the project: give a path below the folder where the card is run"
        )
    if any(len(part.encode()) > LONGEST_PART for part in path.parts):
        raise ValueError(
            f"'{value[:80]}...' has a name of more than {LONGEST_PART} bytes: no file can be called so"
        )
    return value


def _a_name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(
            f"'{value[:80]}' is not a name: use letters, digits, dots, - and _, at most 80 of them"
        )
    return value


def _a_variable(value: str) -> str:
    if not VARIABLE.fullmatch(value):
        raise ValueError(
            f"'{value[:80]}' is not the name of an environment variable: use letters, digits and _"
        )
    return value


def _a_metric(value: str) -> str:
    if not METRIC.fullmatch(value):
        raise ValueError(
            f"'{value[:80]}' is not a metric: expected train/NAME, val/NAME or eval/NAME"
        )
    return value


def _a_rule(value: str) -> str:
    grammar.parse_rule(value)
    return value


def _a_span(value: str) -> str:
    return str(grammar.Duration.of(value)) if value else value


def _a_share(value: str) -> str:
    if (
        not re.fullmatch(r"[0-9]{1,3}/[0-9]{1,3}/[0-9]{1,3}", value)
        or sum(map(int, value.split("/"))) != 100
    ):
        raise ValueError(
            f"'{value[:40]}' is not a split: expected percentages for train/val/test, as in 80/10/10"
        )
    return value


def _count(value: Any) -> Any:
    """Parse a count, with or without thousands separators: `1,153,781`."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}(,[0-9]{3}){1,5}", value):
        return int(value.replace(",", ""))
    return value


Inside = Annotated[str, AfterValidator(_inside)]
Name = Annotated[str, AfterValidator(_a_name)]
EnvironmentName = Annotated[str, AfterValidator(_a_variable)]
MetricName = Annotated[str, AfterValidator(_a_metric)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=365 * 86400)]
SplitShares = Annotated[str, AfterValidator(_a_share)]
RuleText = Annotated[str, AfterValidator(_a_rule)]
SpanText = Annotated[str, AfterValidator(_a_span)]
Count = Annotated[float, BeforeValidator(_count), Field(ge=0)]
Word = Annotated[str, Field(max_length=80)]
Sentence = Annotated[str, Field(max_length=1000)]
