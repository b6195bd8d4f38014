"""Conditions of kill rules, evaluated line by line on the log of a run.

`since` of a condition is the step from which on it has held without a break, or None.
"""

from __future__ import annotations

import functools
import math
import operator
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from shadowbox.errors import UsageError


def _differs(left: Any, right: Any) -> Any:
    """True if two numbers differ; unlike `ne`, false where one is NaN."""
    return (left < right) | (left > right)


COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": operator.eq, "!=": _differs,
}  # fmt: skip


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """All comparisons inside a condition; a range is one with each of its ends."""
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, _Membership):
        for low, high in condition.ranges:
            yield Comparison(condition.value, ">=", _Number(low))
            yield Comparison(condition.value, "<=", _Number(high))
    elif isinstance(condition, _Joined):
        for part in condition.parts:
            yield from comparisons(part)


def holds_on(condition: Condition, columns: Mapping[str, Any]) -> Any:
    """Truth of a condition for each element of columns by name, arrays or tensors of one shape."""
    if isinstance(condition, _Joined):
        parts = (holds_on(part, columns) for part in condition.parts)
        return functools.reduce(operator.and_ if condition.word == "and" else operator.or_, parts)
    if isinstance(condition, _Membership):
        return condition.holds(_elements(condition.value, columns))
    if isinstance(condition, Comparison):
        left, right = (_elements(side, columns) for side in (condition.left, condition.right))
        return COMPARISONS[condition.sign](left, right)
    raise UsageError(f"'{condition}' is about a series of values, not about one")


def _elements(value: _Value, columns: Mapping[str, Any]) -> Any:
    if isinstance(value, MetricValue):
        return columns[value.name]
    if isinstance(value, _Number):
        return value.value
    raise UsageError(f"'{value}' is about several values, not about one")


class _Value(Protocol):
    """A number that is known after each line of the log."""

    @property
    def metrics(self) -> tuple[str, ...]: ...

    def see(self, line: Mapping[str, float]) -> None: ...

    def now(self) -> float: ...

    def __str__(self) -> str: ...


class Condition(Protocol):
    """A condition that holds or does not hold after each line of the log."""

    @property
    def metrics(self) -> tuple[str, ...]: ...  # noqa: D102

    def see(self, step: int, line: Mapping[str, float]) -> None: ...  # noqa: D102

    def since(self) -> int | None: ...  # noqa: D102

    def __str__(self) -> str: ...


# ---- values --------------------------------------------------------------------------------------


@dataclass
class _Number:
    """A constant."""

    value: float
    metrics: tuple[str, ...] = ()

    def see(self, line: Mapping[str, float]) -> None:
        pass

    def now(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:g}"


@dataclass
class MetricValue:
    """The last logged value of a metric."""

    name: str
    last: float = math.nan

    @property
    def metrics(self) -> tuple[str, ...]:  # noqa: D102
        return (self.name,)

    def see(self, line: Mapping[str, float]) -> None:  # noqa: D102
        self.last = line.get(self.name, self.last)

    def now(self) -> float:  # noqa: D102
        return self.last

    def __str__(self) -> str:
        return self.name


@dataclass
class _Ratio:
    """The ratio of two metrics."""

    top: MetricValue
    bottom: MetricValue

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.top.name, self.bottom.name)

    def see(self, line: Mapping[str, float]) -> None:
        self.top.see(line)
        self.bottom.see(line)

    def now(self) -> float:
        top, bottom = self.top.now(), self.bottom.now()
        if bottom == 0:
            return math.nan if top == 0 or math.isnan(top) else math.copysign(math.inf, top)
        return top / bottom

    def __str__(self) -> str:
        return f"ratio({self.top}, {self.bottom})"


@dataclass
class RollingMean:
    """Mean of a metric's last `count` values; undefined before there are that many."""

    metric: str
    count: int
    values: deque[float] = field(default_factory=deque)

    @property
    def metrics(self) -> tuple[str, ...]:  # noqa: D102
        return (self.metric,)

    def see(self, line: Mapping[str, float]) -> None:  # noqa: D102
        if self.metric in line:
            self.values.append(line[self.metric])
            if len(self.values) > self.count:
                self.values.popleft()

    def now(self) -> float:  # noqa: D102
        return sum(self.values) / self.count if len(self.values) == self.count else math.nan

    def __str__(self) -> str:
        return f"rolling_mean({self.metric}, {self.count})"


# ---- conditions ----------------------------------------------------------------------------------


@dataclass
class Comparison:
    """Comparison of two values; false while one is missing or not finite."""

    left: _Value
    sign: str
    right: _Value
    held: int | None = None

    @property
    def metrics(self) -> tuple[str, ...]:  # noqa: D102
        return (*self.left.metrics, *self.right.metrics)

    def see(self, step: int, line: Mapping[str, float]) -> None:  # noqa: D102
        self.left.see(line)
        self.right.see(line)
        if any(name in line for name in self.metrics):
            holds = COMPARISONS[self.sign](self.left.now(), self.right.now())
            self.held = (step if self.held is None else self.held) if holds else None

    def since(self) -> int | None:  # noqa: D102
        return self.held

    def __str__(self) -> str:
        return f"{self.left} {self.sign} {self.right}"


@dataclass
class _Membership:
    """A value in one of several ranges, ends included, or outside all of them.

    False while the value is missing or NaN.
    """

    value: _Value
    ranges: tuple[tuple[float, float], ...]  # a single number is a range from itself to itself
    outside: bool = False
    held: int | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.value.metrics

    def holds(self, value: Any) -> Any:
        """Truth for a number, or for each element of an array."""
        if self.outside:
            parts = [(value < low) | (value > high) for low, high in self.ranges]
            return functools.reduce(operator.and_, parts)
        parts = [(value >= low) & (value <= high) for low, high in self.ranges]
        return functools.reduce(operator.or_, parts)

    def see(self, step: int, line: Mapping[str, float]) -> None:
        self.value.see(line)
        if any(name in line for name in self.metrics):
            holds = self.holds(self.value.now())
            self.held = (step if self.held is None else self.held) if holds else None

    def since(self) -> int | None:
        return self.held

    def __str__(self) -> str:
        spans = [f"{a:g}" if a == b else f"{a:g} .. {b:g}" for a, b in self.ranges]
        one_range = len(spans) == 1 and " .. " in spans[0]
        inside = spans[0] if one_range else f"({', '.join(spans)})"
        return f"{self.value} {'not in' if self.outside else 'in'} {inside}"


@dataclass
class _Stuck:
    """A metric that has stopped improving: holds from its best value on, once a later one is not better."""

    metric: str
    better: Literal["lower", "higher"]
    best: float = math.nan
    best_at: int = 0
    stuck: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)

    def see(self, step: int, line: Mapping[str, float]) -> None:
        if self.metric not in line:
            return
        value = line[self.metric]
        if math.isnan(self.best) or (
            value < self.best if self.better == "lower" else value > self.best
        ):
            self.best, self.best_at, self.stuck = value, step, False
        else:
            self.stuck = True

    def since(self) -> int | None:
        return self.best_at if self.stuck else None

    def __str__(self) -> str:
        return f"no_{'decrease' if self.better == 'lower' else 'increase'}({self.metric})"


@dataclass
class _NonFinite:
    """A metric that was NaN or infinite, or steps skipped because their gradient was."""

    metric: str
    held: int | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)

    def see(self, step: int, line: Mapping[str, float]) -> None:
        if self.metric in line:
            bad = not math.isfinite(line[self.metric]) or line.get("train/skipped", 0) > 0
            self.held = (step if self.held is None else self.held) if bad else None

    def since(self) -> int | None:
        return self.held

    def __str__(self) -> str:
        return f"nonfinite({self.metric})"


@dataclass
class _Joined:
    """Conjunction or disjunction of conditions."""

    word: Literal["and", "or"]
    parts: tuple[Condition, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.metrics)

    def see(self, step: int, line: Mapping[str, float]) -> None:
        for part in self.parts:
            part.see(step, line)

    def since(self) -> int | None:
        held = [since for part in self.parts if (since := part.since()) is not None]
        if self.word == "and":
            return max(held) if len(held) == len(self.parts) else None
        return min(held) if held else None

    def __str__(self) -> str:
        return f" {self.word} ".join(
            f"({part})" if isinstance(part, _Joined) else str(part) for part in self.parts
        )
