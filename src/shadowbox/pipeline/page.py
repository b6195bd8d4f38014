"""Page of a pipeline: what came of it first, a match to watch, then each stage with its baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

from shadowbox.core import system
from shadowbox.data.store import Store
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
    lines,
    sentence,
    table,
    with_interval,
)
from shadowbox.page.match_page import clips_page
from shadowbox.report.match import match_clip
from shadowbox.train.runs import find_run

if TYPE_CHECKING:
    from shadowbox.pipeline.work import _Work

MOST_REASONS = 8
MOST_CONTROLS = 12  # whose press rates are shown
POLICY_FIGURES = {  # of an evaluation -> words
    "onset_f1": "F1 of presses that begin",
    "controller_nll": "likelihood of all controls, nats a decision (less is better)",
    "stick_nll": "likelihood of the sticks, nats (less is better)",
    "onset_ece": "calibration error of presses (less is better)",
}
FLOOR = -1.0  # of the picture of skill; worse is drawn there
HORIZON = 1  # frames ahead of the skill that is shown first


def main_figures(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The figures that matter, as plain data: both gates, and the matches."""
    gates = {
        kind: {key: found[f"{kind}-report"]["gate"][key] for key in ("passed", "why")}
        for kind in ("policy", "world")
    }
    recordings = {name: found["audit"][name] for name in ("episodes", "frames")}
    return {**gates, "recordings": recordings, "matches": found["matches"]["against"]}


def pipeline_page(work: _Work) -> str:
    """The HTML file of a pipeline whose other stages are done."""
    return clips_page(f"From recordings to play: {work.game.name}", _blocks(work))


def _blocks(work: _Work) -> Iterator[Html]:
    found = work.facts
    yield from _verdict(found)
    yield from _match(work)
    yield from _matches(found["matches"])
    yield from _policy(work)
    yield from _world(work)
    yield from _recordings(found)
    yield from _cost(work)


def _verdict(found: Mapping[str, Mapping[str, Any]]) -> Iterator[Html]:
    """One line for each of policy and world, with the word of its gate."""
    audit = found["audit"]
    yield sentence(
        f"{audit['episodes']:,} recordings, {audit['frames']:,} frames "
        f"({audit['seconds'] / 3600:.1f} hours of play)."
    )
    for kind, means in (
        ("policy", "presses each control about as often as the recorded players"),
        ("world", "predicts better than every baseline, and nothing impossible"),
    ):
        gate = found[f"{kind}-report"]["gate"]
        word = badge("gate passed", "good") if gate["passed"] else badge("gate failed", "bad")
        reason = f"The {kind} {means}." if gate["passed"] else f"The {kind}: {_first(gate['why'])}."
        yield sentence(word, f" {reason}")


def _first(why: Sequence[str]) -> str:
    more = f" (and {len(why) - 1} more reasons below)" if len(why) > 1 else ""
    return f"{why[0] if why else 'not shown'}{more}"


def _match(work: _Work) -> Iterator[Html]:
    """The first match against the first opponent."""
    against = work.facts["matches"]["against"]
    if not against:
        return
    best = against[0]
    episode = Store(work.path("matches")).episode(best["episode"])
    learned = work.facts["matches"]["world"].startswith("dream:")
    where = "a dream: the learned world draws every frame" if learned else "the game's simulator"
    caption = f"The policy against {best['opponent']}, in {where}"
    players = [_short(name) for name in episode.meta["players"]]
    named = replace(episode, meta={**episode.meta, "players": players})
    yield match_clip(work.game, caption, named)


def _short(name: str) -> str:
    """Name of a player without the folder of the pipeline."""
    return "policy" if name.startswith("policy:") else name


def _matches(found: Mapping[str, Any]) -> Iterator[Html]:
    yield heading("Matches of the policy")
    learned = found["world"].startswith("dream:")
    yield sentence(
        f"{found['episodes']:,} matches in {'the learned world' if learned else found['world']}, "
        "half of them from each seat. A match that is cut off has no winner and counts half. "
        "An equal player would win 50 % and deal as much damage as it takes."
    )
    rows: list[Sequence[Text]] = [
        [
            each["opponent"],
            f"{each['matches']:,}",
            _share(each["win_rate"]),
            _interval(each["damage_dealt"]),
            _interval(each["damage_taken"]),
            _interval(each["knock_outs"]),
            _interval(each["knocked_out"]),
        ]
        for each in found["against"]
    ]
    yield table(
        ["against", "matches", "won", "damage dealt a minute", "taken", "knock-outs a minute",
         "suffered"],
        rows,
    )  # fmt: skip
    if learned:
        yield sentence("Results in a learned world are as good as that world: see its gate.")


def _policy(work: _Work) -> Iterator[Html]:
    report, trained = work.facts["policy-report"], work.facts["policy"]
    yield heading("The policy")
    yield sentence(
        f"It imitates the recorded players: {trained['steps']:,} steps. Its figures are of "
        "recordings that it did not learn from, each beside what needs no learning. ",
        _link("policy.html", "All figures"),
    )
    yield from _curve(work, "policy")
    yield _figures(report["figures"], POLICY_FIGURES)
    yield from _why(report["gate"])


def _world(work: _Work) -> Iterator[Html]:
    report, trained = work.facts["world-report"], work.facts["world"]
    yield heading("The world")
    yield sentence(
        f"It predicts the next frame from the last ones and the controls: {trained['steps']:,} "
        "steps. A skill of 1 is perfect, 0 is as good as the best of hold, constant velocity and a "
        "look-up table. ",
        _link("world.html", "All figures, and predictions beside recordings"),
    )
    yield from _curve(work, "world")
    skills = report.get("skill", {})
    shown = {name: skills.get(f"{name}@{HORIZON}") for name in work.game.world_fields}
    bars = [
        Bar(name.partition("/")[2] or name, max(value, FLOOR), f"{value:.2f}", "p1")
        for name, value in shown.items()
        if value is not None
    ]
    if bars:
        yield sentence(f"Skill {HORIZON} frame ahead, of the fields that the gate judges.")
        yield beside(bars, wanted=0.0, whole=1.0)
    rows: list[Sequence[Text]] = [
        [stage["name"], _part(stage["passed"]), "; ".join(stage["why"][:2])]
        for stage in report["gate"].get("stages", ())
    ]
    yield table(["part of its gate", "", ""], rows, left=3)


def _recordings(found: Mapping[str, Mapping[str, Any]]) -> Iterator[Html]:
    source, audit = found["recordings"], found["audit"]
    yield heading("The recordings")
    if "files" in source:
        yield sentence(
            f"{source['accepted']:,} of {source['files']:,} recordings came in. ",
            _link("audit.html", "All fields and baselines"),
        )
        reasons = Counter(e["reason"].partition(":")[0] for e in source["rejected_files"])
        if reasons:
            rows = [[reason, f"{n:,}"] for reason, n in reasons.most_common(MOST_REASONS)]
            yield folded(
                f"Reasons of the {source['rejected']:,} others",
                [table(["reason", "files"], rows)],
            )
    else:
        pairs = ", ".join(f"{p0} against {p1}" for p0, p1, _ in source["pairings"])
        yield sentence(
            f"{source['episodes']:,} matches of bots were recorded: {pairs}. ",
            _link("audit.html", "All fields and baselines"),
        )
    for warning in audit["warnings"]:
        yield sentence(badge("note"), f" {warning}.")
    yield sentence("The share of frames in which each control is down, both players together.")
    rates = {
        key: sum(slot["press_rate"] or 0.0 for slot in slots) / len(slots)
        for key, slots in audit["controls"].items()
    }
    most = sorted(rates.items(), key=lambda item: -item[1])[:MOST_CONTROLS]
    yield beside([Bar(key, rate, f"{100 * rate:.1f} %", "p1") for key, rate in most])


def _cost(work: _Work) -> Iterator[Html]:
    plan = work.plan
    stages = [name for name in plan.seconds if name in work.seconds]
    yield heading("What it took")
    took, planned = sum(work.seconds.values()), sum(plan.seconds[name] for name in stages)
    yield sentence(f"{took / 60:.1f} minutes; the plan said {planned / 60:.1f}.")
    rows = [
        [name, plan.what[name], f"{work.seconds[name]:,.0f}", f"{plan.seconds[name]:,.0f}"]
        for name in stages
    ]
    yield table(["stage", "", "seconds", "planned"], rows, left=2)
    yield folded("Settings", [facts((k, code(str(v))) for k, v in plan.config.to_json().items())])
    yield folded("The same by hand", [_commands(work)])


def _commands(work: _Work) -> Html:
    """Commands that look further into what the pipeline left."""
    store, game = str(work.path("store")), work.plan.game
    policy, world = work.path("policy"), work.path("world")
    words = [
        ["shadowbox", "audit", store, "--html", "audit.html"],
        ["shadowbox", "report", str(policy), "--out", "policy.html"],
        ["shadowbox", "eval", str(policy), store],
        ["shadowbox", "eval", str(world), store],
        ["shadowbox", "view", f"{work.path('matches')}#0", "--out", "match.html"],
        ["shadowbox", "match", game, "--p0", f"policy:{policy}", "--p1", f"policy:{policy}",
         "--world", f"dream:{world}", "--out", "dream.html"],
    ]  # fmt: skip
    return Html("".join(sentence(code(system.command_line(each))) for each in words))


# ---- parts of sections ---------------------------------------------------------------------------


def _curve(work: _Work, name: str) -> Iterator[Html]:
    """Validation loss over steps, beside its best baseline where the learner has one."""
    run = find_run(work.path(name))
    logged = [line for line in run.lines if line["kind"] == "val"] if run else []
    curve = [(float(line["step"]), float(line["loss"])) for line in logged]
    if len(curve) < 2:
        return
    names = [key for key in logged[0] if key.startswith("loss/") and "." not in key]
    free = {key: [(float(e["step"]), float(e[key])) for e in logged] for key in names}
    nearest = min(free, key=lambda key: free[key][-1][1]) if free else ""
    drawn = [("this run", curve, "p1")]
    words = f"Loss on held-out recordings over steps: {curve[0][1]:.3g} to {curve[-1][1]:.3g}"
    if nearest:
        drawn.append((nearest, free[nearest], "baseline"))
        title = nearest.partition("/")[2].replace("_", " ")
        words += f"; dashed: {title}, {free[nearest][-1][1]:.3g}"
    yield sentence(f"{words}.")
    yield lines(drawn)


def _figures(found: Mapping[str, Any], names: Mapping[str, str]) -> Html:
    known = {name: found[name] for name in names if name in found}
    known = {name: each for name, each in known.items() if each["value"] is not None}
    columns = list(dict.fromkeys(b for each in known.values() for b in each["baselines"]))
    rows: list[Sequence[Text]] = [
        [
            names[name],
            _interval(each),
            *(_number(each["baselines"].get(column, {}).get("value")) for column in columns),
        ]
        for name, each in known.items()
    ]
    return table(["", "this policy", *(column.replace("_", " ") for column in columns)], rows)


def _why(gate: Mapping[str, Any]) -> Iterator[Html]:
    if gate["why"]:
        yield folded(
            "Why its gate is not passed", [sentence(f"{reason}.") for reason in gate["why"]]
        )


def _part(passed: bool | None) -> Html:
    if passed is None:
        return badge("not judged")
    return badge("passed", "good") if passed else badge("failed", "bad")


def _link(name: str, text: str) -> Html:
    """Link to a page of the same folder."""
    return Html(f'<a href="{escape(name)}">{escape(text)}</a>')


def _interval(found: Mapping[str, Any]) -> Text:
    if found["value"] is None:
        return "-"
    ends = (found["low"], found["high"])
    span = "" if None in ends else f"{_number(ends[0])} .. {_number(ends[1])}"
    return with_interval(_number(found["value"]), span)


def _share(found: Mapping[str, Any]) -> Text:
    if found["value"] is None:
        return "-"
    value, low, high = (100 * found[name] for name in ("value", "low", "high"))
    return with_interval(f"{value:.0f} %", f"{low:.0f} .. {high:.0f}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
