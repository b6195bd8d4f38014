"""Page blocks of a run card: promise, signatures, mistakes and results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from shadowbox.cards import file as cardfile
from shadowbox.cards.card import Card
from shadowbox.cards.file import CardFile
from shadowbox.cards.front_matter import Mistake
from shadowbox.cards.rules.conditions import COMPARISONS
from shadowbox.cards.sections import KillRule
from shadowbox.cards.signatures import Signature, SignatureStatus
from shadowbox.experiment import facts_table, results
from shadowbox.experiment import targets as verdict
from shadowbox.page.document import (
    Bar,
    Html,
    Text,
    badge,
    beside,
    code,
    facts,
    heading,
    metric_name,
    sentence,
    table,
    with_interval,
)
from shadowbox.page.prose import prose

# that have their own place on a page
SHOWN_APART = (
    "card", "id", "goal", "question", "prediction", "targets", "kill", "prior", "checks",
)  # fmt: skip
GOOD, BAD = (verdict.PASSED,), (verdict.MISSED, verdict.KILLED, "wrong", "void")
SENTENCES = ("goal", "question", "prediction", "fallback")


def tone(word: str) -> str:
    """Color of a verdict or a status: good, bad, or plain."""
    last = word.rpartition(": ")[2]
    return "good" if last in GOOD else "bad" if last in BAD else "plain"


# ---- what is promised ----------------------------------------------------------------------------


def purpose(card: Card) -> Html:
    """Goal, question and prediction, if the card has them."""
    return facts((name, value) for name in SENTENCES if (value := getattr(card, name)))


def promise(card: Card) -> Iterator[Html]:
    """Table of targets and kill rules."""
    yield heading("Targets")
    if card.targets:
        marks = {True: badge("decides"), False: Html("")}
        rows = [
            [words(str(each), mono=True), each.at, marks[each.primary]] for each in card.targets
        ]
        yield table(["promised", "at its", ""], rows, left=3)
    else:
        yield sentence("It has none.")
    yield heading("Kill rules")
    if card.kill:
        yield table(
            ["when", "after", "for", "then", "proposes"],
            [_kill(each) for each in card.kill],
            left=5,
        )
    else:
        yield sentence("It has none: nothing but its budget ends it.")


def prior(card: Card) -> Iterator[Html]:
    """Table of results of others, if the card lists any."""
    head, rows = facts_table.prior_table(card)
    if rows:
        yield heading("Results of others")
        yield table([*head[:-1], ""], [[*row[:-1], words(row[-1])] for row in rows], left=2)


def checks(card: Card) -> Iterator[Html]:
    """The reviewers' list, if the card has one."""
    if card.checks:
        yield heading("Reviewers' list")
        marks = {"done": badge("done", "good"), "open": badge("open", "bad")}
        rows = facts_table.check_rows(card)
        yield table(["", "point"], [[marks[state], words(text)] for state, text in rows], left=2)


def settings(card: Card) -> Html:
    """All other front matter by dotted name."""
    said = card.model_dump(
        by_alias=True, exclude_defaults=True, exclude=set(SHOWN_APART) | set(SENTENCES)
    )
    return facts((name, code(_word(value))) for name, value in _flat(said))


def _kill(kill: KillRule) -> list[Text]:
    proposes = ", ".join(f"{name}: {_word(value)}" for name, value in kill.set.items())
    return [
        words(kill.when, mono=True),
        kill.after or "-",
        kill.lasting or "-",
        kill.action,
        words(proposes or "-"),
    ]


def _flat(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + str(name), value


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_word, value)) or "none"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_word(each)}" for name, each in value.items())
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


# ---- the text ------------------------------------------------------------------------------------


def text(file: CardFile) -> Html:
    """The prose, without headings of blocks that are shown elsewhere."""
    titles = {f"## {title}" for title in cardfile.TITLES.values()}
    return prose("\n".join(line for line in file.prose.split("\n") if line.strip() not in titles))


def block(file: CardFile, name: str) -> Html:
    """A block of the card, rendered from Markdown without its comments for the program."""
    lines = (file.block(name) or "").split("\n")
    plain = "\n".join(line for line in lines if not line.startswith("<!-- "))
    # as `results` and `facts` wrote them
    return prose(plain.replace("&lt;", "<").replace("&amp;", "&"))


def numbered(file: CardFile, wrong: Iterable[int] = ()) -> Html:
    """The front matter with line numbers; lines with mistakes are marked."""
    bad = set(wrong)
    lines = [
        f'<span{" class=wrong" if at in bad else ""}><i class="number">{at}</i>{escape(line)}</span>'
        for at, line in enumerate(file.head.splitlines(), 2)
    ]
    return Html(f"<pre>{''.join(lines)}</pre>")


def wrong(mistakes: Sequence[Mistake]) -> Iterator[Html]:
    """All mistakes with their lines."""
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    yield sentence(badge("wrong", "bad"), f" {count}: it is not run before they are mended.")
    yield table(
        ["line", "field", "what is wrong"],
        [[str(line), field, words(said)] for line, field, said in mistakes],
        left=3,
    )


def changes(lines: Iterable[str]) -> Html:
    """Lines of a text comparison: `line 12: - old`, `line 12: + new`, or `- old`, `+ new`."""
    shown = []
    for line in lines:
        sign = line.partition(": ")[2][:1] if line.startswith("line ") else line[:1]
        kind = {"-": ' class="gone"', "+": ' class="come"'}.get(sign, "")
        shown.append(f"<span{kind}>{escape(line)}</span>")
    return Html(f"<pre>{''.join(shown)}</pre>")


# ---- signatures ------------------------------------------------------------------------


def signatures(standing: SignatureStatus) -> Iterator[Html]:
    """Valid signatures, void ones with the reason, and missing ones."""
    for entry in standing.valid:
        yield _signature(entry, badge("valid", "good"))
    for entry, why in standing.void:
        reason, *lines = why.split("\n")
        yield _signature(entry, badge("void", "bad"), reason.removesuffix(":"))
        if lines:
            yield changes(line.strip() for line in lines)
    if not standing.valid and not standing.void:
        yield sentence("No signatures." + (" None is required." if standing.enough else ""))
    for shared in standing.shared:
        yield sentence(badge("one identity", "bad"), f" {shared}")
    for missing in standing.missing:
        yield sentence(badge("missing"), f" before it runs: {missing}")


def unjudged(found: Sequence[Signature]) -> Iterator[Html]:
    """Signatures of a card with mistakes, without their validity: the settings cannot be resolved."""
    for entry in found:
        yield _signature(
            entry, badge("not checked"), "the card has mistakes, so its settings are unknown"
        )
    if not found:
        yield sentence("No signatures.")


def _signature(entry: Signature, state: Html, reason: str = "") -> Html:
    note = f": {entry.note}" if entry.note else ""
    note += f" (git: {entry.identity})" if entry.identity else ""
    who = Html(f"<b>{escape(entry.who)}</b>")
    return sentence(
        state, " ", who, f" {entry.did} on {entry.when}{note}" + (f" ({reason})" if reason else "")
    )


# ---- what came of it -----------------------------------------------------------------------------


def result(found: Mapping[str, Any]) -> Iterator[Html]:
    """Results of a card or a verdict.json: verdict, targets, settings of a sweep, and cost."""
    word, reason = found["verdict"], str(found.get("reason") or "")
    yield sentence(
        badge(word, tone(word)), f" {reason}" if reason else "", f" {found.get('when', '')}"
    )
    yield outcomes(found["targets"])
    if found.get("settings"):
        yield sentence(
            "Every setting with what it reached; the best by the target that decides is in bold."
        )
        yield settings_table(found["settings"])
    yield sentence(cost(found["cost"]))
    if found.get("closed"):
        note = str(found.get("note") or "")
        yield sentence(badge("closed"), f" on {found['closed']}" + (f": {note}" if note else "."))
    for title, name in (("Not as the card says", "stamps"), ("Deviations", "deviations")):
        said = found.get(name)
        if isinstance(said, list) and said:
            yield sentence(f"{title}: {'; '.join(map(str, said))}.")


def settings_table(found: Sequence[Mapping[str, Any]]) -> Html:
    """Table of a sweep, a row per setting; the best by the deciding target is in bold."""
    best = results.best_setting(found)
    rows: list[list[Text]] = []
    for at, each in enumerate(found):
        name = results.setting_words(each["set"])
        cells = [
            Html(f'<span class="stacked">{reached(target, best=at == best)}</span>')
            for target in each["targets"]
        ]
        rows.append(
            [
                words(name, mono=True),
                badge(each["verdict"], tone(each["verdict"])),
                *cells,
                f"{each['cost']['wall_s']:,.1f}",
            ]
        )
    wanted = [_promised_briefly(target) for target in found[0]["targets"]]
    return table(["setting", "verdict", *wanted, "s"], _even(rows), left=2)


def _even(rows: list[list[Text]]) -> list[list[Text]]:
    """Rows padded to one length, whatever the file contains."""
    wide = len(rows[0])
    return [[*row[: wide - 1], *[""] * (wide - len(row)), row[-1]] for row in rows]


def outcomes(targets: Sequence[Mapping[str, Any]]) -> Html:
    """Table of targets: reached value, interval and baselines."""
    rows: list[list[Text]] = []
    for each in targets:
        baselines = ", ".join(f"{name} {value:.4g}" for name, value in each["baselines"].items())
        rows.append(
            [
                _explained(each),
                badge(each["verdict"], tone(each["verdict"])),
                reached(each),
                words(baselines or "-"),
            ]
        )
    return table(["target", "verdict", "reached, 95 %", "without learning"], rows, left=2)


def bars(target: Mapping[str, Any], wanted: float | None) -> Html:
    """Bars of reached values beside their baselines, with a line at the promised value."""
    rows = []
    if target["value"] is not None:
        rows.append(
            Bar("reached", target["value"], reached(target), "p1", target["low"], target["high"])
        )
    rows += [Bar(name, value, results.number(value)) for name, value in target["baselines"].items()]
    return beside(rows, wanted) if rows else sentence("It was not measured.")


def in_words(target: Mapping[str, Any], wanted: float | None) -> str:
    """A target's result as one sentence."""
    said = f"Promised was {promised(target)}"
    if isinstance(target["wanted"], str) and wanted is not None:
        said += f" ({wanted:.4g})"
    said += (
        f"; {results.number(target['value'])} was reached"
        if target["value"] is not None
        else "; nothing was measured"
    )
    if target["passed"] and target["met_for_free_by"]:
        return (
            f"{said}, but {', '.join(target['met_for_free_by'])} would do, too, without learning."
        )
    compare = COMPARISONS.get(target["op"])
    ends = (target["low"], target["high"])
    if (
        compare
        and wanted is not None
        and None not in ends
        and len({compare(end, wanted) for end in ends}) > 1
    ):
        return f"{said}; the interval holds the promised value, so this may be chance."
    return f"{said}."


def promised(target: Mapping[str, Any]) -> str:
    """A target in the form `val/onset_f1 > 0.3`."""
    wanted = target["wanted"]
    return (
        f"{target['metric']} {target['op']} {wanted if isinstance(wanted, str) else f'{wanted:g}'}"
    )


def _explained(target: Mapping[str, Any]) -> Html:
    """A target whose metric explains itself, which may wrap inside a table cell."""
    bound = escape(promised(target).removeprefix(target["metric"]))
    return Html(f'<span class="words"><code>{metric_name(target["metric"])}{bound}</code></span>')


def _promised_briefly(target: Mapping[str, Any]) -> Html:
    """A target on two lines for narrow column headers: `onset_f1` over `> its look_up`."""
    metric, bound = (
        target["metric"].removeprefix("eval/"),
        promised(target).removeprefix(f"{target['metric']} "),
    )
    return Html(
        f"{metric_name(target['metric'], metric)}<br>{escape(bound.replace(target['metric'] + '/', 'its '))}"
    )


def reached(target: Mapping[str, Any], *, best: bool = False) -> Html:
    """The reached value, followed by its interval."""
    low, high = target["low"], target["high"]
    interval = (
        f"{results.number(low)} .. {results.number(high)}"
        if low is not None and high is not None
        else ""
    )
    return with_interval(results.number(target["value"]), interval, best=best)


def cost(spent: Mapping[str, float]) -> str:
    """Seconds and dollars, compared with the estimate."""
    said = f"It took {spent.get('wall_s', 0):,.1f} s and {spent.get('usd', 0):,.2f} US dollars"
    if "judging_s" in spent:
        said += f" ({spent['judging_s']:,.1f} s for judging)"
    if "estimated_s" in spent and "actual_over_estimate" in spent:
        ratio = spent["actual_over_estimate"]
        return f"{said}, {ratio:.2f} times the estimate of {spent['estimated_s']:,.1f} s."
    return f"{said}. There was no estimate."


def words(text: str, *, mono: bool = False) -> Html:
    """Text that may wrap inside a table cell."""
    return Html(f'<span class="words">{code(text) if mono else escape(text)}</span>')
