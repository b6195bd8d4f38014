"""Opponents of the Play page: each with its difficulty, its reaction delay and a line on its style."""

from __future__ import annotations

from shadowbox.page.document import Html
from shadowbox.web.markup import element
from shadowbox.web.site import Site


def rivals(site: Site, chosen: str) -> Html:
    """Buttons that choose an opponent, from easy to hard; empty for a game that names none."""
    buttons = [
        element(
            "button",
            element("b", spec.partition("@")[0].removeprefix("policy:")),
            element("span", f"{level} · {_reacts(spec, site)}"),
            element("small", about),
            type="button",
            data_rival=spec,
            data_about=about,
            aria_pressed="true" if spec == chosen else "false",
            class_="rival",
        )
        for spec, level, about in site.game.rivals
    ]
    if not buttons:
        return Html()
    return element("div", *buttons, class_="rivals", role="group", aria_label="opponents")


def _reacts(spec: str, site: Site) -> str:
    """How late an agent's spec makes it see the match."""
    options = dict(part.split("=", 1) for part in spec.split("@")[1:] if "=" in part)
    late = 1000 * float(options.get("delay", 0)) / site.game.schema.fps
    return f"reacts after {late:.0f} ms" if late else "reacts at once"
