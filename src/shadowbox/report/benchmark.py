"""Page of an evaluation by matches: how often a policy wins against whom, and from where."""

from __future__ import annotations

from collections.abc import Iterator

from shadowbox.core.stats import Interval
from shadowbox.evaluate.benchmark import _MatchEvaluation
from shadowbox.page.document import (
    Bar,
    Html,
    badge,
    beside,
    heading,
    page,
    sentence,
    table,
)


def matches_page(result: _MatchEvaluation) -> str:
    """The HTML file of an evaluation by matches."""
    return page(f"How often does it win? {result.checkpoint.name}", _blocks(result))


def _blocks(result: _MatchEvaluation) -> Iterator[Html]:
    report = result.report()
    passed = report.gate.passed
    yield sentence(
        badge("passed" if passed else "not passed", "good" if passed else "bad"),
        " The gate asks for more wins than losses and draws against every opponent, surely: the "
        "lower end of each interval is above one half.",
    )
    yield heading("Wins by opponent")
    yield sentence(
        "Share of matches won; draws do not count. Each seed was played from both seats, and the "
        "intervals (95 %) count seeds. The mark is one half, what two equal agents win."
    )
    yield beside(
        [
            Bar(
                spec,
                found.wins.value,
                _share(found.wins),
                "policy",
                found.wins.low,
                found.wins.high,
            )
            for spec, found in result.results.items()
        ],
        wanted=0.5,
    )
    yield heading("By starting place")
    yield table(
        ["opponent", "wins", "by place", "draws", "matches", "distinct", "frames a match"],
        [
            [
                spec,
                _share(found.wins),
                ", ".join(f"{place} {_share(wins)}" for place, wins in found.by_place().items()),
                f"{found.draws:.1%}",
                f"{found.results.size:,}",
                f"{found.distinct:,}",
                f"{found.frames.mean():,.0f}",
            ]
            for spec, found in result.results.items()
        ],
    )
    held_out = report.context["held_out"]
    if held_out:
        yield sentence(f"Never met in training: {', '.join(held_out)}.")
    yield sentence(f"World: {result.world}.")


def _share(value: Interval) -> str:
    return f"{value.value:.1%} ({value.low:.1%} to {value.high:.1%})"
