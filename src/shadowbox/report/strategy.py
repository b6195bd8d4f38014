"""Page of an analysis: a policy's knowledge of its opponent, how soon it has it, and its worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from shadowbox.core.stats import Interval
from shadowbox.evaluate.strategy.analysis import _Analysis
from shadowbox.page.document import (
    Bar,
    Html,
    Text,
    badge,
    beside,
    facts,
    heading,
    page,
    sentence,
    table,
    with_interval,
)

READ = {
    "latent": "latent of the encoder",
    "recurrent": "state of the trunk",
    "mean_statistics": "mean statistics of the same frames",
}
PANEL, ROW = 176, 4  # width of a panel, and panels beside each other


def analysis_page(found: _Analysis) -> str:
    """The HTML file of an analysis."""
    return page(f"Does it know its opponent? {found.checkpoint.name}", _blocks(found))


def _blocks(found: _Analysis) -> Iterator[Html]:
    yield from _verdict(found)
    yield from _probes(found)
    if found.noticed:
        yield from _changes(found.noticed)
    if found.wins:
        yield from _wins(found.wins)
    yield from _picture(found)
    if found.tactics:
        yield from _tactics(found.tactics)
    if found.entropy:
        yield from _attention(found.entropy)
    held_out = ", ".join(found.held_out) or "none"
    yield facts(
        [
            ("checkpoint", str(found.checkpoint)),
            ("world", found.world),
            ("opponents", ", ".join(found.opponents)),
            ("never met in training", held_out),
            ("matches", f"{found.matches:,}"),
        ]
    )


def _verdict(found: _Analysis) -> Iterator[Html]:
    if "latent" not in found.probes:
        yield sentence("This policy has no encoder of the opponent's history.")
        return
    gain = found.gains["mean_statistics"]
    word, tone = (
        ("knows more", "good")
        if gain.low > 0
        else ("knows less", "bad")
        if gain.high < 0
        else ("not shown", "plain")
    )
    yield sentence(
        badge(word, tone),
        f" A probe names the opponent from the latent in {_share(found.probes['latent'])} of the "
        f"decisions, {_points(gain)} more than from mean statistics of the same frames.",
    )


def _probes(found: _Analysis) -> Iterator[Html]:
    yield heading("Naming the opponent")
    yield sentence(
        "Share of decisions in which a linear probe names the opponent, in matches that it was not "
        f"fitted to, with 95 % intervals over matches. The mark is chance, one of "
        f"{len(found.opponents)}."
    )
    yield beside(
        [
            Bar(
                READ[name],
                value.value,
                _share(value),
                "policy" if name == "latent" else "baseline",
                value.low,
                value.high,
            )
            for name, value in found.probes.items()
        ],
        wanted=1 / len(found.opponents),
    )
    names = list(found.recalls)
    yield table(
        ["opponent", *(READ[name] for name in names)],
        [
            [opponent, *(f"{found.recalls[name][opponent]:.1%}" for name in names)]
            for opponent in found.opponents
        ],
    )


def _changes(noticed: Mapping[str, object]) -> Iterator[Html]:
    yield heading("When the opponent changes")
    median = noticed["median_frames"]
    late = f"{median:,.0f} frames" if isinstance(median, float) else "not in most matches"
    yield sentence(
        "In the middle of a match another opponent takes over. The probe has noticed once it names "
        "the new one five decisions in a row; the same rule in matches without a change says how "
        "often that is chance."
    )
    yield facts(
        [
            ("median until noticed", late),
            (f"noticed within {noticed['within']} frames", _plain_share(noticed["noticed"])),
            ("without a change", _plain_share(noticed["by_chance"])),
            ("matches", f"{noticed['matches']:,}"),
        ]
    )


def _wins(wins: Mapping[str, Interval]) -> Iterator[Html]:
    yield heading("Making use of it")
    yield sentence(
        "Share of matches won with the true latents, and with those of matches against other "
        f"opponents, on the same seeds. The difference is {_points(wins['difference'])}."
    )
    yield beside(
        [
            Bar(
                f"{name} latents",
                wins[name].value,
                _share(wins[name]),
                tone,
                wins[name].low,
                wins[name].high,
            )
            for name, tone in (("true", "policy"), ("shuffled", "baseline"))
        ],
        wanted=0.5,
    )


def _picture(found: _Analysis) -> Iterator[Html]:
    yield heading("Latents by opponent" if "latent" in found.probes else "States by opponent")
    yield sentence(
        f"Each dot is a decision of a match that no probe was fitted to, on one plane ({found.picture}) "
        "for all panels. Blue dots are those against the opponent of the panel."
    )
    yield panels(found.points, found.opponents)


def _attention(entropy: Mapping[str, Interval]) -> Iterator[Html]:
    yield heading("Attention")
    yield sentence(
        "Entropy of the attention over past frames, as a share of that of equal weights: 100 % "
        "looks at all frames alike, 0 % at one."
    )
    yield table(["opponent", "entropy"], [[name, _share(value)] for name, value in entropy.items()])


def _tactics(tactics: Mapping[str, Mapping[str, Interval]]) -> Iterator[Html]:
    yield heading("Tactics by opponent")
    yield sentence(
        "Counted from the columns and events of whole matches, with 95 % intervals over seeds. A dash "
        "means that there was nothing to count."
    )
    names = list(next(iter(tactics.values())))
    rows = [
        [opponent, *(tactic_cell(found[name]) for name in names)]
        for opponent, found in tactics.items()
    ]
    yield table(["opponent", *(name.replace("_", " ") for name in names)], rows)


def tactic_cell(value: Interval) -> Text:
    """A figure of tactics with its interval."""
    if not math.isfinite(value.value):
        return "-"
    ends = [f"{end:.2f}" for end in value[1:] if math.isfinite(end)]
    return with_interval(f"{value.value:.2f}", " .. ".join(ends)) if ends else f"{value.value:.2f}"


def panels(points: Sequence[tuple[float, float, str]], names: Sequence[str]) -> Html:
    """A panel of all points for each name, with the points of that name in front."""
    if not points:
        return Html("")
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    wide, tall = (max(xs) - min(xs)) or 1.0, (max(ys) - min(ys)) or 1.0
    size = PANEL - 24
    drawn = []
    for number, name in enumerate(names):
        left, top = PANEL * (number % ROW), (PANEL + 4) * (number // ROW)
        drawn.append(f'<text class="label" x="{left + 4}" y="{top + 16}">{escape(name)}</text>')
        for own in (False, True):
            for x, y, whose in points:
                if (whose == name) != own:
                    continue
                place = (
                    f'cx="{left + 4 + size * (x - min(xs)) / wide:.1f}" '
                    f'cy="{top + 24 + size * (max(ys) - y) / tall:.1f}"'
                )
                tone, radius = ("p1", 2) if own else ("baseline", 1)
                drawn.append(f'<circle class="{tone}" {place} r="{radius}"></circle>')
    height = (PANEL + 4) * -(-len(names) // ROW)
    return Html(f'<svg role="img" viewBox="0 0 {PANEL * ROW} {height}">{"".join(drawn)}</svg>')


def _share(value: Interval) -> str:
    return f"{value.value:.1%} ({value.low:.1%} to {value.high:.1%})"


def _points(value: Interval) -> str:
    return f"{100 * value.value:+.1f} points ({100 * value.low:+.1f} to {100 * value.high:+.1f})"


def _plain_share(value: object) -> str:
    assert isinstance(value, Mapping)
    if value["value"] is None:
        return "no match"
    return f"{value['value']:.1%} ({value['low']:.1%} to {value['high']:.1%})"
