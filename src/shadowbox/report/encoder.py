"""Page of an evaluation of an encoder alone: its two tasks beside predictions without an encoder."""

from __future__ import annotations

from collections.abc import Iterator

from shadowbox.core.evaluation import Figure
from shadowbox.evaluate.strategy.recorded import _EncoderEvaluation
from shadowbox.model.kinds import run_of
from shadowbox.page.document import (
    Bar,
    Html,
    badge,
    beside,
    code,
    facts,
    heading,
    page,
    sentence,
)

TASKS = {  # figure -> heading, sentence, format of its numbers
    "next_controls": (
        "Next keys of the opponent",
        "Mean loss of predicting the keys of the next decision, in nats; lower is better.",
        "{:.3f}",
    ),
    "identity": (
        "Name of the opponent",
        "Share of decisions in which it names the player whom it sees; higher is better.",
        "{:.1%}",
    ),
}


def encoder_page(result: _EncoderEvaluation) -> str:
    """The HTML file of an evaluation of an encoder."""
    folder = result.checkpoint
    return page(
        f"What does the encoder know? {run_of(folder).name}, step {folder.name}",
        _blocks(result),
    )


def _blocks(result: _EncoderEvaluation) -> Iterator[Html]:
    report = result.report()
    yield sentence(
        badge(report.gate.verdict, "good" if report.gate.passed else "bad"),
        " The gate asks that each figure be surely better than its baseline, which sees no more than "
        "the last decision or the most frequent name.",
    )
    for reason in report.gate.why:
        yield sentence(f"{reason[:1].upper()}{reason[1:]}.")
    for name, figure in report.figures.items():
        title, words, form = TASKS[name]
        yield heading(title)
        yield sentence(words + " Intervals of 95 % count episodes.")
        yield beside(_bars(figure, form))
    yield facts(
        [
            ("checkpoint", code(str(result.checkpoint))),
            ("recordings", code(str(result.store))),
            ("episodes", f"{report.context['episodes']:,} of the side {result.side}"),
        ]
    )


def _bars(figure: Figure, form: str) -> list[Bar]:
    shown = {"this encoder": figure.value} | {
        name.replace("_", " "): value for name, value in figure.baselines.items()
    }
    return [
        Bar(
            name,
            value.value,
            "{} ({} to {})".format(*(form.format(each) for each in value)),
            "baseline" if at else "policy",
            value.low,
            value.high,
        )
        for at, (name, value) in enumerate(shown.items())
    ]
