"""Gate of a world: its parts in their order, each with the reasons for which it fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from shadowbox.evaluate.worlds.findings import _Findings
from shadowbox.evaluate.worlds.starts import SHORT

BEFORE = 0.001  # share of the predicted frames of which a value may be replaced
WORSE = -0.02  # skill that every field must surely exceed
RATIO = 2.0  # times the recorded rate (or 1 in 10,000) that contradictions may reach
HIT_F1 = {1: 0.8, SHORT: 0.7}  # of hits within 2 frames, one frame ahead and in predictions
AGREEMENT, SIZE = 0.8, (0.5, 2.0)  # of the effects of controls
SHOWN = 5  # reasons of each part


class _Stage(NamedTuple):
    """Part of the gate."""

    name: str
    title: str
    why: tuple[str, ...]
    known: bool = True  # False: the game lacks what this part needs

    @property
    def passed(self) -> bool:
        """True without a reason against it."""
        return not self.why


def judge(found: _Findings) -> list[_Stage]:
    """Parts of the gate, from the hardest rule to the softest."""
    parts: Sequence[tuple[str, str, Callable[[_Findings], Iterator[str]], bool]] = (
        ("violations", "values that no match can have", _violations, True),
        ("skill", "better than predictions without learning", _skill, True),
        ("couplings", "fields that contradict each other", _couplings, bool(found.rates)),
        ("events", "hits, derived from the rows", _events, bool(found.inside)),
        ("controls", "effects of controls", _controls, True),
        ("distributions", "long predictions beside recordings", _distributions, True),
        ("guards", "fields that never move", _guards, True),
    )
    return [_Stage(name, title, tuple(why(found)), known) for name, title, why, known in parts]


def _violations(found: _Findings) -> Iterator[str]:
    total = sum(found.violations.values())
    if total:
        worst = max(found.violations, key=lambda name: found.violations[name])
        yield (
            f"{total:,} forbidden values in {found.frames:,} predicted frames; most are {worst} "
            f"({found.violations[worst]:,})"
        )
    replaced = sum((found.projected or {}).values())
    if replaced and replaced >= BEFORE * found.frames:
        yield (
            f"{replaced:,} values had to be replaced by allowed ones in {found.frames:,} frames, "
            f"allowed is {BEFORE:.1%} of them"
        )


def _skill(found: _Findings) -> Iterator[str]:
    bad = []
    for each in found.skills:
        if each.horizon > SHORT or each.rare:
            continue
        name = f"{each.key} at {each.horizon}"
        if each.exact:
            if each.error > 0:
                bad.append((-math.inf, f"{name}: wrong, and {each.best} has no error"))
            continue
        needed = 0.0 if each.key in found.game.world_fields else WORSE
        if not each.low > needed:
            value = each.skill.value
            bad.append(
                (
                    value,
                    f"{name}: skill {value:.2f} over {each.best} is not surely above {needed:g} "
                    f"(lower bound {each.low:.2f})",
                )
            )
    yield from _first([text for _, text in sorted(bad)])


def _couplings(found: _Findings) -> Iterator[str]:
    worst = sorted(found.rates.items(), key=lambda item: -item[1].ratio)
    yield from _first(
        [
            f"{name.replace('_', ' ')}: {1e4 * rate.world:.1f} in 10,000 frames of a player, in "
            f"recordings {1e4 * rate.real:.1f}"
            for name, rate in worst
            if rate.ratio > RATIO
        ]
    )


def _events(found: _Findings) -> Iterator[str]:
    for horizon, scores, where in (
        (1, found.one_step, "one frame ahead"),
        (SHORT, found.inside, f"in predictions of {SHORT} frames"),
    ):
        score = scores.get(("hit", 2))
        if score is None or not score.counts[:, 1].sum():
            if "hit" in found.game.event_kinds:
                yield f"no hit was recorded {where}: more starts are needed"
            continue
        if not score.f1.value >= HIT_F1[horizon]:
            yield (
                f"F1 of hits {where} is {score.f1.value:.2f} (precision {score.precision:.2f}, "
                f"recall {score.recall:.2f}), at least {HIT_F1[horizon]} is needed"
            )


def _controls(found: _Findings) -> Iterator[str]:
    if found.effects is not None:
        agreement, size = found.effects.agreement, found.effects.size
        if not agreement.value >= AGREEMENT:
            yield (
                f"a held control acts in the true direction in {agreement.value:.0%} of "
                f"{found.effects.effects:,} effects, at least {AGREEMENT:.0%} is needed"
            )
        if not SIZE[0] <= size.value <= SIZE[1]:
            yield (
                f"held controls have {size.value:.2f} times their true effect, "
                f"allowed is {SIZE[0]:g} .. {SIZE[1]:g}"
            )
    if found.shuffled is not None and not found.shuffled.low > 0:
        yield "the controls of another match predict it equally well: controls are ignored"


def _distributions(found: _Findings) -> Iterator[str]:
    far = sorted((each for each in found.distances if each.far), key=lambda each: -each.value)
    yield from _first(
        [
            f"{each.name}: {each.value:.3f} {each.unit} from recordings, whose halves are "
            f"{each.halves:.3f} apart" + _of_simulator(each.moved)
            for each in far
        ]
    )


def _of_simulator(moved: float | None) -> str:
    return "" if moved is None else f"; the simulator, from starts beside them, is {moved:.3f} away"


def _guards(found: _Findings) -> Iterator[str]:
    if found.frozen:
        yield f"never changed, but change in recordings: {', '.join(found.frozen)}"


def _first(reasons: list[str]) -> Iterator[str]:
    yield from reasons[:SHOWN]
    if len(reasons) > SHOWN:
        yield f"and {len(reasons) - SHOWN} more"
