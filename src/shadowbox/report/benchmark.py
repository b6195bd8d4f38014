"""Page of an evaluation by matches: wins of a policy by opponent and starting place, and clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

import numpy as np

from shadowbox.core.files import read_json
from shadowbox.core.stats import Interval
from shadowbox.errors import ShadowboxError
from shadowbox.evaluate.benchmark import _MatchEvaluation
from shadowbox.model.kinds import run_of
from shadowbox.page.document import (
    Bar,
    Html,
    Text,
    badge,
    beside,
    code,
    facts,
    folded,
    heading,
    metric_name,
    sentence,
    table,
    with_interval,
)
from shadowbox.page.match_page import clips_page, side_by_side
from shadowbox.report.match import match_clip
from shadowbox.train.log import FACTS

ENDS = {1: "won", -1: "lost", 0: "drawn"}  # results of a match from the policy's view


def matches_page(result: _MatchEvaluation) -> str:
    """The HTML file of an evaluation by matches."""
    run, step = run_of(result.checkpoint), result.checkpoint.name
    when = f" at step {int(step):,}" if step.isdecimal() else ""
    return clips_page(f"How often does {run.parent.name}/{run.name} win{when}?", _blocks(result))


def _blocks(result: _MatchEvaluation) -> Iterator[Html]:
    yield from _verdict(result)
    if result.alone:
        yield from _alone(result.alone)
    else:
        yield from _by_opponent(result)
        yield from _by_place(result)
        yield from _clips(result)
        yield from _opponents(result)
    yield folded(
        "What it was made with",
        [
            facts(
                [
                    ("policy", code(result.agent)),
                    ("game", code(result.game.name)),
                    ("world", code(result.world)),
                ]
            )
        ],
    )


def _verdict(result: _MatchEvaluation) -> Iterator[Html]:
    gate = result.report().gate
    yield sentence(
        badge("passed" if gate.passed else "not passed", "good" if gate.passed else "bad"),
        " The gate asks for more wins than losses and draws together against every opponent: the "
        "lower end of each interval must be above one half. Of a player alone it asks for a return "
        "above that of random play.",
    )
    for reason in gate.why:
        yield sentence(f"{reason[:1].upper()}{reason[1:]}.")


def _alone(figures: tuple[Interval, Interval, Interval]) -> Iterator[Html]:
    """The figures of a game of one player."""
    yield heading(metric_name("return", "Return"))
    yield sentence("Mean sum of the rewards of a match, with its 95 % interval.")
    rows = zip(("return", "frames a match", "return of random play"), figures, strict=True)
    yield table(
        ["", "mean", "low", "high"],
        [[name, *(f"{end:,.2f}" for end in interval)] for name, interval in rows],
    )


def _by_opponent(result: _MatchEvaluation) -> Iterator[Html]:
    yield heading(metric_name("wins", "Wins by opponent"))
    yield sentence(
        "Share of matches won, with its 95 % interval; a draw is not a win. The green mark is one "
        "half, as between two equal agents. Each seed was played from both seats, and the intervals "
        "count seeds, not matches."
    )
    found = result.results.items()
    yield beside(
        [_bar(_name(result, spec), each.wins) for spec, each in found], wanted=0.5, whole=1
    )
    if held_out := result.report().context["held_out"]:
        yield sentence(f"Never met in training: {', '.join(held_out)}.")
    yield sentence(
        "A match counts as distinct if nobody moved in it exactly as in another one. Few distinct "
        "matches prove little, however many were played."
    )
    fps = result.game.schema.fps
    yield table(
        [
            "opponent",
            "won",
            "drawn",
            "lost",
            "matches",
            "distinct",
            metric_name("frames", "mean length"),
        ],
        [
            [
                spec,
                *(f"{int((each.results == end).sum()):,}" for end in (1, 0, -1)),
                f"{each.results.size:,}",
                f"{each.distinct:,}",
                f"{each.frames.mean() / fps:.1f} s",
            ]
            for spec, each in found
        ],
    )


def _by_place(result: _MatchEvaluation) -> Iterator[Html]:
    places = {spec: found.by_place() for spec, found in result.results.items()}
    if not any(places.values()):
        return
    yield heading(metric_name("wins_from", "Wins by starting place"))
    yield sentence(
        "The same matches by the place at which the policy began. An agent that wins from one side "
        "only is hidden by its mean."
    )
    yield beside(
        [
            _bar(with_interval(spec, f"from {place}"), wins)
            for spec, by_place in places.items()
            for place, wins in by_place.items()
        ],
        wanted=0.5,
        whole=1,
    )


def _clips(result: _MatchEvaluation) -> Iterator[Html]:
    """A won match and a lost one, or a draw, played again."""
    shown = [found for end in (1, -1) if (found := _typical(result, end))]
    if len(shown) < 2 and (draw := _typical(result, 0)):
        shown.append(draw)
    if not shown:
        return
    yield heading("Clips")
    missing = [ENDS[end] for end in (1, -1) if not _typical(result, end)]
    yield sentence(
        "A match that was won and one that was lost, each of the middle length among its kind and "
        "against the opponent that the policy wins least against. Press play in a clip.",
        f" No match was {missing[0]}." if len(missing) == 1 else "",
    )
    yield side_by_side(_clip(result, *found) for found in shown)


def _typical(result: _MatchEvaluation, end: int) -> tuple[str, int, int] | None:
    """Opponent, seat and number of a match that ended so; None if none did."""
    hardest = sorted(result.results.items(), key=lambda item: item[1].wins.value)
    for spec, found in hardest:
        seats, numbers = np.nonzero(found.results == end)
        if len(seats):
            order = np.argsort(found.frames[seats, numbers], kind="stable")
            at = order[len(order) // 2]
            return spec, int(seats[at]), int(numbers[at])
    return None


def _clip(result: _MatchEvaluation, spec: str, seat: int, number: int) -> Html:
    end = ENDS[int(result.results[spec].results[seat, number])]
    episode = result.replay(spec, seat, number)
    place = str(result.results[spec].places[seat, number])
    began = f", from {place}" if place else ""
    caption = f"{end.capitalize()} against {spec}, as player {seat + 1}{began}"
    return match_clip(result.game, caption, episode)


def _opponents(result: _MatchEvaluation) -> Iterator[Html]:
    """Opponents of the training beside those of the evaluation."""
    met, held_out = _shares(result), set(result.report().context["held_out"])
    yield heading("Opponents met")
    yield sentence(
        "Share of the training matches against each opponent, beside the share of the matches above "
        "that the policy won. Strangers were never met in training."
        if met
        else "The run that trained the policy is not here, so its opponents are unknown."
    )
    rows: list[list[Text]] = []
    names = {name: spec for name, (spec, _) in result.met.items()}
    unplayed = {spec: spec for spec in met if spec not in names.values()}
    for name, spec in {**names, **unplayed}.items():
        trained = f"{met[spec]:.0%}" if spec in met else "never" if met else "unknown"
        marks = ["held out"] if spec in held_out else []
        marks += ["stranger"] if met and spec not in met else []
        wins = _share(result.results[name].wins) if name in result.results else "not played"
        rows.append([_marked(name, marks), trained, wins])
    yield table(["opponent", "in training", "won in this evaluation"], rows)


def _shares(result: _MatchEvaluation) -> Mapping[str, float]:
    """Shares of the opponents of training by spec; empty if they are unknown."""
    try:
        found = read_json(run_of(result.checkpoint) / FACTS).get("opponents")
    except (OSError, ShadowboxError):
        return {}
    shares = found if isinstance(found, dict) else {}
    return {
        str(name): float(share)
        for name, share in shares.items()
        if isinstance(share, int | float) and not isinstance(share, bool)
    }


def _name(result: _MatchEvaluation, name: str) -> Text:
    held_out = result.met[name][0] in result.report().context["held_out"]
    return _marked(name, ["held out"] if held_out else [])


def _marked(name: str, marks: list[str]) -> Html:
    return Html(" ".join([escape(name), *(badge(mark) for mark in marks)]))


def _bar(name: Text, wins: Interval) -> Bar:
    label = with_interval(f"{wins.value:.1%}", f"{wins.low:.1%} to {wins.high:.1%}")
    return Bar(name, wins.value, label, "p1", wins.low, wins.high)


def _share(value: Interval) -> Html:
    return with_interval(f"{value.value:.1%}", f"{value.low:.1%} to {value.high:.1%}")
