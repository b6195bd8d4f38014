"""Page of a ladder: policies by their return in a world and in the simulator."""

from __future__ import annotations

from collections.abc import Iterator

from shadowbox.core.stats import Interval
from shadowbox.evaluate.worlds.ladder import _Ladder
from shadowbox.page.document import (
    Html,
    Text,
    badge,
    code,
    dots,
    facts,
    folded,
    metric_name,
    page,
    sentence,
    table,
    with_interval,
)


def ladder_page(result: _Ladder) -> str:
    """The HTML file of a ladder."""
    return page(f"Do policies rank alike in {result.spec} and in the simulator?", _blocks(result))


def _blocks(result: _Ladder) -> Iterator[Html]:
    report = result.report()
    rank = report.figures["rank_correlation"]
    halves = rank.baselines["simulator_halves"].value
    yield sentence(
        badge("gate passed", "good") if report.gate.passed else badge("gate failed", "bad"),
        " Spearman's ",
        metric_name("rank_correlation", "rank correlation"),
        f" of {len(result.policies)} policies is {rank.value.value:.2f} "
        f"({rank.value.low:.2f} to {rank.value.high:.2f}; between two halves of the simulator's own "
        f"matches: {halves:.2f}).",
    )
    for reason in report.gate.why:
        yield sentence(f"{reason[:1].upper()}{reason[1:]}.")
    yield sentence(
        "A point is a policy: its mean return in the simulator, across, and in the world, up. Above "
        "the dashed line the world promises more than the simulator keeps."
    )
    means = result.means.T.tolist()
    points = [
        (true, dreamt, f"{spec}: {dreamt:.3g} in the world, {true:.3g} in the simulator", "p1")
        for spec, (dreamt, true) in zip(result.policies, means, strict=True)
    ]
    yield dots(points, "return in the simulator", "return in the world", linear=True)
    order = sorted(range(len(means)), key=lambda at: -means[at][1])
    dreamt_rank = {at: n for n, at in enumerate(sorted(order, key=lambda at: -means[at][0]), 1)}
    rows: list[list[Text]] = []
    for number, at in enumerate(order, 1):
        world, simulator = result.intervals[at]
        rows.append(
            [
                code(result.policies[at]),
                str(number),
                str(dreamt_rank[at]),
                _cell(simulator),
                _cell(world),
            ]
        )
    yield table(["policy", "rank", "rank in the world", "return", "return in the world"], rows)
    if result.left_out:
        yield sentence(f"Left out, as further ones of the same run: {', '.join(result.left_out)}.")
    known: list[tuple[Text, Text]] = [
        ("world", code(result.spec)),
        ("simulator", code(result.simulator)),
        ("opponents", ", ".join(result.opponents)),
        ("starts", f"{len(result.returns):,}, each from both seats"),
        ("frames of a match at most", f"{result.frames:,}"),
        ("seed", str(result.seed)),
    ]
    yield folded("Where this comes from", [facts(known)])


def _cell(each: Interval) -> Html:
    return with_interval(f"{each.value:.1f}", f"{each.low:.1f} to {each.high:.1f}")
