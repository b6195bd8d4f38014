"""Courses of the mock by several policies, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from shadowbox.cli.terminal import progress, table
from shadowbox.core.evaluation import Figure
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.games.gesture.controller import _Settings
    from shadowbox.games.gesture.live import _Policy


def walk_courses(
    name: str,
    make: Callable[[Any], _Policy],
    settings: _Settings,
    *,
    seeds: Sequence[int],
    seconds: float,
    as_json: bool,
) -> str:
    """Scores of a policy beside the person's keys, no keys, and random ones, as text."""
    from shadowbox.games.gesture.controller import _Settings
    from shadowbox.games.gesture.live import _AgentPolicy
    from shadowbox.games.gesture.place.trials import FIGURES, KEYS_POLICY, NO_KEYS, trials
    from shadowbox.play import specs

    random = specs.agent("random", load("gesture"))
    plain = _Settings()
    policies = {
        name: (make, settings),
        "keys": (KEYS_POLICY, plain),
        "neutral": (NO_KEYS, plain),
        "random": (lambda player: _AgentPolicy(random), plain),
    }
    with progress("walking") as update:
        found = trials(policies, seeds, seconds=seconds, progress=update)
    if as_json:
        figures = {
            who: {figure: Figure(value).to_json() for figure, value in scores.items()}
            for who, scores in found.items()
        }
        return json.dumps({"courses": len(seeds), "seconds": seconds, "policies": figures})
    rows = [
        [who, *(f"{scores[figure].value:.1f}{_span(scores[figure])}" for figure in FIGURES)]
        for who, scores in found.items()
    ]
    return table(["policy", *(figure.replace("_", " ") for figure in FIGURES)], rows)


def _span(value: Any) -> str:
    return f" ({value.low:.1f} .. {value.high:.1f})" if value.low == value.low else ""
