"""Grammar and parser of kill rules. A rule is text from a file and is never executed.

rule     := both ("or" both)*            both := single ("and" single)*
single   := "(" rule ")" | no_decrease(METRIC) | no_increase(METRIC) | nonfinite(METRIC)
            | value OP value | value ("in" | "not in") among
value    := NUMBER | NUMBER% | METRIC | ratio(METRIC, METRIC) | rolling_mean(METRIC, COUNT)
OP       := < | <= | > | >= | = | !=     METRIC := KIND/NAME, such as val/onset_f1 or train/loss
among    := range | "(" span ("," span)* ")"    span := NUMBER | range    range := NUMBER .. NUMBER
span     := NUMBER (steps | epochs | %)  per cent of the run
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shadowbox.cards.rules.conditions import (
    COMPARISONS,
    Comparison,
    Condition,
    MetricValue,
    RollingMean,
    _Joined,
    _Membership,
    _NonFinite,
    _Number,
    _Ratio,
    _Stuck,
    _Value,
)
from shadowbox.errors import UsageError

LONGEST = 400  # letters of a rule
DEEPEST = 20  # parentheses
MOST_COUNTED = 100_000  # values of a rolling mean

TOKEN = re.compile(
    r"\s*(?:(?P<number>-?[0-9]+(?:\.(?!\.)[0-9]*)?(?:[eE][-+]?[0-9]{1,3})?%?)"
    r"|(?P<metric>[A-Za-z_][\w]*(?:/[\w.+~@-]+)+)|(?P<word>[A-Za-z_]\w*)|(?P<mark><=|>=|!=|\.\.|[<>=(),]))"
)
SPAN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(steps?|epochs?|%)\s*")
Unit = Literal["steps", "epochs", "%"]


class RuleError(UsageError, ValueError):
    """A rule that cannot be parsed; the message names the token and its position.

    Also a ValueError, so that pydantic models can hold rules.
    """


@dataclass(frozen=True)
class Duration:
    """A length of a run in steps, epochs or per cent."""

    number: float
    unit: Unit

    @staticmethod
    def of(text: str) -> Duration:
        """Parse `500 steps`, `1 epoch` or `5%`."""
        found = SPAN.fullmatch(text) if len(text) < 40 else None
        if not found:
            raise RuleError(
                f"'{text[:60]}' is not a length of a run: expected 500 steps, 2 epochs or 5%"
            )
        unit: Unit = (
            "%" if found[2] == "%" else "epochs" if found[2].startswith("epoch") else "steps"
        )
        return Duration(float(found[1]), unit)

    def in_steps(self, total: int, per_epoch: float) -> float:
        """Length in steps, for a run of `total` steps."""
        return self.number * {"steps": 1, "epochs": per_epoch, "%": total / 100}[self.unit]

    def __str__(self) -> str:
        if self.unit == "%":
            return f"{self.number:g}%"
        return f"{self.number:g} {self.unit.removesuffix('s') if self.number == 1 else self.unit}"


# ---- the parser ----------------------------------------------------------------------------------


def parse_rule(text: str) -> Condition:
    """Parse a rule into a new condition."""
    if len(text) > LONGEST:
        raise RuleError(f"a rule has at most {LONGEST} letters, this one has {len(text)}")
    reader = _Reader(text)
    found = reader.rule(0)
    reader.must_end()
    return found


class _Reader:
    """Recursive-descent parser over the tokens of a rule."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def rule(self, depth: int) -> Condition:
        return self._joined("or", lambda: self._joined("and", lambda: self._single(depth)))

    def must_end(self) -> None:
        if self.text[self.at :].strip():
            raise self._wrong("a rule ends here, or goes on with `and` or `or`")

    def _joined(self, word: Literal["and", "or"], part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._take("word", word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else _Joined(word, tuple(parts))

    def _single(self, depth: int) -> Condition:
        if depth > DEEPEST:
            raise self._wrong(f"at most {DEEPEST} parentheses are nested")
        if self._take("mark", "("):
            found = self.rule(depth + 1)
            self._need(")")
            return found
        before = self.at
        word = self._take("word")
        if word in ("no_decrease", "no_increase"):
            return _Stuck(self._arguments(1)[0], "lower" if word == "no_decrease" else "higher")
        if word == "nonfinite":
            return _NonFinite(self._arguments(1)[0])
        self.at = before
        left = self._value()
        outside = self._take("word", "not") is not None
        if self._take("word", "in"):
            return _Membership(left, self._among(), outside)
        sign = None if outside else self._take("mark")
        if sign is None or sign not in COMPARISONS:
            raise self._wrong("a comparison needs <, <=, >, >=, =, !=, `in` or `not in`")
        return Comparison(left, sign, self._value())

    def _among(self) -> tuple[tuple[float, float], ...]:
        """Parse `0.5 .. 2`, or `(1, 2, 5 .. 7)`."""
        if not self._take("mark", "("):
            return (self._span(needs_end=True),)
        spans = [self._span()]
        while self._take("mark", ","):
            spans.append(self._span())
        self._need(")")
        return tuple(spans)

    def _span(self, *, needs_end: bool = False) -> tuple[float, float]:
        low = self._number()
        if not needs_end and not self._take("mark", ".."):
            return low, low
        if needs_end:
            self._need("..")
        high = self._number()
        if low > high:
            raise self._wrong(f"the range {low:g} .. {high:g} is empty: the lower end comes first")
        return low, high

    def _number(self) -> float:
        number = self._take("number")
        if number is None:
            raise self._wrong("a number is needed")
        return float(number.rstrip("%")) / (100 if number.endswith("%") else 1)

    def _value(self) -> _Value:
        before = self.at
        if self._take("number") is not None:
            self.at = before
            return _Number(self._number())
        if (name := self._take("metric")) is not None:
            return MetricValue(name)
        word = self._take("word")
        if word == "ratio":
            return _Ratio(*(MetricValue(name) for name in self._arguments(2)))
        if word == "rolling_mean":
            return self._rolling_mean()
        raise self._wrong(
            "a number, a metric such as val/loss, ratio(A, B), rolling_mean(A, COUNT), no_decrease(A), "
            "no_increase(A) or nonfinite(A) is needed"
        )

    def _rolling_mean(self) -> RollingMean:
        self._need("(")
        name = self._take("metric")
        if name is None:
            raise self._wrong("a metric is needed")
        self._need(",")
        count = self._take("number") or ""
        if not count.isdecimal() or not 1 <= int(count) <= MOST_COUNTED:
            raise self._wrong(f"a count from 1 to {MOST_COUNTED:,} is needed")
        self._need(")")
        return RollingMean(name, int(count))

    def _arguments(self, count: int) -> list[str]:
        """Parse metrics in parentheses."""
        self._need("(")
        names = []
        for at in range(count):
            if at:
                self._need(",")
            name = self._take("metric")
            if name is None:
                raise self._wrong("a metric such as val/loss is needed")
            names.append(name)
        self._need(")")
        return names

    def _need(self, mark: str) -> None:
        if not self._take("mark", mark):
            raise self._wrong(f"'{mark}' is needed")

    def _take(self, kind: str, what: str | None = None) -> str | None:
        """Take the next token if it has this kind (and text), else return None."""
        found = TOKEN.match(self.text, self.at)
        if not found or found.lastgroup != kind or (what is not None and found[kind] != what):
            return None
        self.at = found.end()
        return found[kind]

    def _wrong(self, wanted: str) -> RuleError:
        here = self.text[self.at :].strip()
        where = f"at '{here[:30]}'" if here else "at the end"
        return RuleError(f"{where}: {wanted}")
