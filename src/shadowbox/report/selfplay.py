"""Self-play's own part of a run's page: its stage, results by opponent, and the cross-table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from shadowbox.core.files import read_json
from shadowbox.core.stats import Interval, wilson
from shadowbox.errors import ShadowboxError
from shadowbox.page.document import (
    Bar,
    Html,
    Text,
    badge,
    beside,
    code,
    heading,
    lines,
    sentence,
    table,
    with_interval,
)
from shadowbox.train.log import Line
from shadowbox.train.runs import Run
from shadowbox.train.tables import BENCHMARK, TRUE, numbers_in, read_table

MANIFEST = "league.json"
LARGEST = 4 << 20  # bytes of a league's manifest
ROWS = 12  # of the cross-table; of more snapshots some are left out, evenly
# columns of a benchmark's row before those of tactics
BENCHMARK_RESULTS = ("matches", "wins", "draws", "win_rate", "low", "high", "return", "frames")
RECENT = "recent."  # figures of the last 200 matches against an opponent, in lines of kind `play`


def learner_blocks(run: Run) -> list[Html]:
    """Blocks of the page of a run of self-play."""
    played = [line for line in run.lines if line.get("kind") == "play"]
    snapshots, champion, problem = league_of(run.path)
    return [
        *_stages(run.facts, played),
        *_opponents(played),
        *_benchmark(read_table(run.path / BENCHMARK)),
        *([sentence(badge("unreadable", "bad"), f" {problem}.")] if problem else []),
        *_cross_table(played, snapshots, champion),
        *_exploiters(run.path),
    ]


def league_of(run: Path) -> tuple[list[dict[str, Any]], str, str]:
    """Snapshots of a run's league (name, step, won, matches), its champion, and a problem in words."""
    try:
        league = read_json(run / MANIFEST, largest=LARGEST)
        snapshots = [_snapshot(entry) for entry in league["snapshots"]]
        return snapshots, str(league["champion"]), ""
    except FileNotFoundError:
        return [], "", ""
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        return [], "", f"{MANIFEST} cannot be read: {type(error).__name__}: {error}"
    except (OSError, ShadowboxError) as error:
        return [], "", f"{MANIFEST} cannot be read: {error}"


def _exploiters(run: Path) -> Iterator[Html]:
    try:
        league = read_json(run / MANIFEST, largest=LARGEST)
        rows = [_generation(entry) for entry in league.get("generations", [])]
    except (LookupError, TypeError, ValueError, AttributeError, OSError, ShadowboxError):
        return  # said above, where it is unreadable
    if rows:
        yield heading("Exploiters")
        yield sentence(
            "Learners of their own that were trained against frozen snapshots. At birth: in its last "
            "200 training matches against snapshots of the learner. Since: the learner, in all "
            "matches against it after it joined the league."
        )
        columns = ["generation", "role", "step", "won against main at birth", "won by main since"]
        yield table(columns, rows)


def _generation(entry: Mapping[str, Any]) -> list[Text]:
    role = str(entry["role"]).replace("_", " ")
    rates = [_rate(*(int(each) for each in entry[name])) for name in ("birth", "recovery")]
    return [str(int(entry["generation"])), role, f"{int(entry['step']):,}", *rates]


def _rate(wins: int, matches: int) -> str:
    """Share of matches won, with its interval."""
    rate = wilson(wins, matches)
    shown = f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%}) of {matches:,}"
    return shown if matches else "not met yet"


def _snapshot(entry: Mapping[str, Any]) -> dict[str, Any]:
    won, matches = int(entry["met"][0]), int(entry["met"][1])
    if not 0 <= won <= matches:
        raise ValueError(f"{won} of {matches} matches won")
    name, step = str(entry["name"]), int(entry["step"])
    return {"name": name, "step": step, "won": won, "matches": matches}


# ---- stages --------------------------------------------------------------------------------------


def _stages(facts: Mapping[str, Any], lines: Sequence[Line]) -> Iterator[Html]:
    given = facts.get("stages")
    stages = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    if not stages:
        return
    at = next((int(line["stage"]) for line in reversed(lines) if _is_number(line, "stage")), 0)
    yield heading("Stage of the curriculum")
    yield sentence(
        f"Stage {at + 1} of {len(stages)}. A stage ends when its gate holds, and gives way to the "
        "one before when its rule for going back holds."
    )
    rows: list[list[Text]] = []
    for number, stage in enumerate(stages):
        mark = badge("now", "good") if number == at else badge("passed") if number < at else ""
        shares = stage.get("opponents")
        opponents = (
            ", ".join(f"{name} {_percent(share)}" for name, share in shares.items())
            if isinstance(shares, dict)
            else "as before"
        )
        rules = [
            Html(f"{word} {code(str(stage[key]))}")
            for key, word in (("gate", "until"), ("regress", "back if"))
            if stage.get(key)
        ]
        rows.append(
            [str(stage.get("name", number + 1)), mark, opponents, Html("<br>".join(rules) or "-")]
        )
    yield table(["stage", "", "opponents", "rules"], rows, left=4)


def _percent(share: Any) -> str:
    return f"{share:.0%}" if isinstance(share, int | float) else str(share)


# ---- results by opponent -------------------------------------------------------------------------


def _opponents(lines: Sequence[Line]) -> Iterator[Html]:
    latest: dict[str, Line] = {}
    for line in lines:
        latest |= dict.fromkeys(_met(line), line)
    if not latest:
        return
    yield heading("Results by opponent")
    yield sentence(
        "Share of the last 200 training matches against each opponent that the learner won, with "
        f"its 95 % interval, at step {lines[-1]['step']:,}. A draw is not a win; the green mark is "
        "one half."
    )
    yield beside(
        [_bar(name, _recent(line, name)) for name, line in sorted(latest.items())],
        wanted=0.5,
        whole=1.0,
    )


def _benchmark(rows: Sequence[Mapping[str, str]]) -> Iterator[Html]:
    """The latest benchmark: wins, returns and tactics by opponent."""
    latest = {row["opponent"]: row for row in rows}
    if not latest:
        return
    step = max(int(row["step"]) for row in latest.values() if row["step"].isdecimal())
    yield heading("Benchmark")
    yield sentence(
        f"At step {step:,}, in matches apart from training on the same seeds each time, both seats: "
        "wins with their 95 % interval, the mean return, and tactics. training_curves.html shows how "
        "they changed."
    )
    known = next(iter(latest.values()))
    names = [name for name in known if name not in ("step", "opponent", *BENCHMARK_RESULTS, *TRUE)]
    shown = [
        [name, *_results(row), *(row[each] or "-" for each in names)]
        for name, row in latest.items()
    ]
    head = ["opponent", "won", "return", *(name.replace("_", " ") for name in names)]
    yield table(head, shown)
    yield from _beside_truth(rows, list(latest))


def _beside_truth(rows: Sequence[Mapping[str, str]], opponents: Sequence[str]) -> Iterator[Html]:
    """Returns in a learned world and in the true one over the run, if it was played in both."""
    if not numbers_in(rows, "true_return"):
        return
    yield heading("In the learned world and in the true one")
    yield sentence(
        "Mean return of a match by step, from the same starts and over as many frames: in the world "
        "of the run in blue, in the true one dashed. If only the first one rises, the policy lives "
        "on mistakes of the world."
    )
    for name in opponents:
        own = [row for row in rows if row["opponent"] == name]
        true, gap = numbers_in(own, "true_return"), dict(numbers_in(own, "gap"))
        both = [(step, value + gap[step]) for step, value in true if step in gap]
        curves = [("true world", true, "baseline"), ("world of the run", both, "p1")]
        yield sentence(f"Against {name}:")
        yield lines([curve for curve in curves if curve[1]])
    shown = [
        [
            row["opponent"],
            row["step"],
            _pair(row, "true_win_rate", ("true_low", "true_high"), 100),
            _pair(row, "gap", ("gap_low", "gap_high")),
        ]
        for row in rows
        if row["opponent"] in opponents
    ]
    head = ["opponent", "step", "matches won in the true world, %", "return beyond the true world"]
    yield table(head, shown)


def _pair(row: Mapping[str, str], name: str, ends: tuple[str, str], times: float = 1) -> Text:
    """A value of a row and its interval."""
    try:
        value, low, high = (times * float(row[each]) for each in (name, *ends))
    except ValueError:
        return "-"
    return with_interval(f"{value:.3g}", f"{low:.3g} .. {high:.3g}")


def _results(row: Mapping[str, str]) -> list[Text]:
    """Wins and mean return of a row of a benchmark."""
    try:
        rate = Interval(*(float(row[name]) for name in ("win_rate", "low", "high")))
        paid = f"{float(row['return']):.3g}"
    except ValueError:
        return ["-", "-"]
    return [_cell(rate, f"{100 * rate.low:.0f} .. {100 * rate.high:.0f}"), paid]


def _met(line: Line) -> list[str]:
    """Opponents that a line has recent results against."""
    names = [key.removeprefix(RECENT) for key in line if key.startswith(RECENT)]
    return [name for name in names if not name.endswith((".low", ".high")) and _recent(line, name)]


def _recent(line: Line, name: str) -> Interval | None:
    """Share of recent matches won; None where the line has none."""
    keys = [f"{RECENT}{name}{end}" for end in ("", ".low", ".high")]
    if not all(_is_number(line, key) for key in keys):
        return None
    return Interval(*(float(line[key]) for key in keys))


def _bar(name: str, rate: Interval | None) -> Bar:
    assert rate is not None
    label = with_interval(f"{rate.value:.1%}", f"{rate.low:.1%} to {rate.high:.1%}")
    return Bar(name, rate.value, label, "p1", rate.low, rate.high)


# ---- the cross-table -----------------------------------------------------------------------------


def _cross_table(
    lines: Sequence[Line], snapshots: Sequence[Mapping[str, Any]], champion: str
) -> Iterator[Html]:
    """The learner at several steps against its opponents, and as it is now against itself then."""
    lines = [line for line in lines if _met(line)]
    columns = sorted({name for line in lines for name in _met(line)} - {"self"})
    if not lines or not (columns or snapshots):
        return
    yield heading("Cross-table")
    words = (
        "Each row is the learner as it was at a step, each column an opponent: the wins among its "
        "last 200 matches then, in %, with their 95 % interval; the darker, the more."
    )
    if snapshots:
        words += (
            " The last column is the learner since then against this snapshot of itself. A snapshot "
            "becomes champion once the learner surely beats the champion before it."
        )
    yield sentence(words)
    rows = [_now(lines, columns, wide=bool(snapshots))]
    if snapshots:
        for entry in reversed(thinned(snapshots, champion, ROWS)):
            line = min(lines, key=lambda line: abs(line["step"] - entry["step"]))
            mark = badge("champion", "good") if entry["name"] == champion else ""
            name = Html(f"{escape(entry['name'])} {mark}")
            since = wilson(entry["won"], entry["matches"])
            last = _cell(since, f"of {entry['matches']:,}") if entry["matches"] else "not met yet"
            rows.append([name, *_cells(line, columns), last])
    else:
        earlier = lines[:-1][:: -max(1, -(-len(lines) // ROWS))]
        rows += [[f"step {line['step']:,}", *_cells(line, columns)] for line in earlier]
    yield table(["learner", *columns, *(["since, against it"] if snapshots else [])], rows)
    if len(snapshots) > ROWS:
        yield sentence(f"{ROWS} of {len(snapshots):,} snapshots are shown; league.json has all.")


def _now(lines: Sequence[Line], columns: Sequence[str], *, wide: bool) -> list[Text]:
    step = f"step {lines[-1]['step']:,}"
    name = Html(f"{escape(step)} {badge('now')}")
    return [name, *_cells(lines[-1], columns), *([""] if wide else [])]


def thinned(
    snapshots: Sequence[Mapping[str, Any]], champion: str, most: int
) -> list[Mapping[str, Any]]:
    """At most so many snapshots, oldest first: the newest, the champion, and others evenly."""
    if len(snapshots) <= most:
        return list(snapshots)
    at = {round(place * (len(snapshots) - 1) / (most - 2)) for place in range(most - 1)}
    at |= {place for place, each in enumerate(snapshots) if each["name"] == champion}
    return [snapshots[place] for place in sorted(at)]


def _cells(line: Line, columns: Sequence[str]) -> list[Text]:
    rates = [_recent(line, name) for name in columns]
    return [
        "-" if rate is None else _cell(rate, f"{100 * rate.low:.0f} .. {100 * rate.high:.0f}")
        for rate in rates
    ]


def _cell(rate: Interval, more: str) -> Html:
    shade = round(10 * rate.value)
    found = with_interval(f"{100 * rate.value:.0f}", more, best=rate.low > 0.5)
    return Html(f'<span class="rate r{shade}">{found}</span>')


def _is_number(line: Line, key: str) -> bool:
    value = line.get(key)
    return isinstance(value, int | float) and not isinstance(value, bool)
