"""The pages on which something happens: Arena, a live match, Play; and the page that says what went wrong."""

from __future__ import annotations

from collections.abc import Mapping

from shadowbox.page.document import Html, badge, code, heading, sentence
from shadowbox.play.match import mark_of
from shadowbox.report.match import below_the_viewer
from shadowbox.web.live_matches import LiveMatch
from shadowbox.web.markup import element, framed, link
from shadowbox.web.person import LONGEST_NAME
from shadowbox.web.site import Site

LONGEST_SPEC = 200


def arena(site: Site, given: Mapping[str, str]) -> str:
    """Choose who plays, and see what is being played.

    `given` are values of the form, from the address.
    """
    first, second = (
        given.get(f"p{seat}") or _first(site, name) for seat, name in enumerate(("based", "random"))
    )
    form = element(
        "form",
        element("div", _spec("p0", "First", first, "p1"), element("span", "against", class_="versus"),
                _spec("p1", "Second", second, "p2"), class_="pair"),
        element("div", _stage(site, given), _seed(given), element("button", "Start", type="submit", class_="go"), class_="row"),
        _message(),
        _known_agents(site),
        id="start",
    )  # fmt: skip
    blocks = [
        element("h1", "Arena"),
        element(
            "p",
            f"Two agents, one match of {site.game.name}. It runs here; everybody who opens its page watches the same.",
        ),
        form,
        heading("Matches of this server"),
        element(
            "div",
            element("p", "Nobody has played yet.", class_="soft"),
            id="matches",
            aria_live="polite",
        ),
    ]
    return framed("Arena", "/", blocks, module="arena")


def live(table: LiveMatch) -> str:
    """A match that is being played, or was a while ago."""
    title = " against ".join(table.live.players)
    blocks = [
        element("match-viewer", keys="page"),
        element("section", _lead(), _told(), *_marks(table), class_="under"),
    ]
    if table.live.over and table.live.length > 1:
        below = below_the_viewer(table.live.game, table.live.episode())
        blocks.append(element("section", *below, class_="column"))
    return framed(title, "/", blocks, module="watch", wide=True, match=table.number)


def play(site: Site, given: Mapping[str, str]) -> str:
    """Somebody plays: who against whom, and with which keys."""
    opponent = given.get("p1") or _first(site, "based")
    seat = _field(
        "Your seat",
        _select("seat", [("0", "first (blue)"), ("1", "second (orange)")], given.get("seat", "0")),
    )
    name = element(
        "input", name="name", maxlength=LONGEST_NAME, placeholder="person", autocomplete="nickname"
    )
    form = element(
        "form",
        element(
            "div",
            _field("Your name", name),
            seat,
            _spec("opponent", "Against", opponent),
            class_="pair",
        ),
        element(
            "div",
            _stage(site, given),
            _seed(given),
            element("button", "Play", type="submit", class_="go"),
            class_="row",
        ),
        _message(),
        _known_agents(site),
        id="start",
    )
    fields = site.game.schema.controls.fields
    keys = [
        _binding(f"{site.game.schema.controls.name}/{field.name}", field.name, field.doc)
        for field in fields
    ]
    blocks = [
        element("h1", "Play"),
        element(
            "p",
            "You against an agent, with a keyboard or a gamepad. What you play is stored, and can be learned from.",
        ),
        form,
        element(
            "div",
            element("p", id="prompt", role="status"),
            element("match-viewer", behind="0"),
            class_="stage-of",
            id="stage",
            hidden=True,
        ),
        element(
            "section",
            element("div", id="again"),
            _lead(),
            _told(),
            id="table",
            class_="under",
            hidden=True,
        ),
        element(
            "section",
            heading("Keys"),
            element(
                "p",
                "Press a button below, then the key or the gamepad's button that you want. Kept in this browser.",
            ),
            element("div", *keys, class_="bindings"),
            element("button", "Back to the first ones", type="button", id="defaults"),
            element("p", "No gamepad seen; press one of its buttons.", id="gamepad", class_="soft"),
            id="keys",
        ),
    ]
    return framed(
        "Play", "/play", blocks, module="play", controls=" ".join(site.game.schema.control_keys)
    )


def refused(status: int, words: str) -> str:
    """What, where, what to do."""
    title = {
        401: "A token is needed",
        403: "Refused",
        404: "Not here",
        500: "A mistake of Shadowbox",
    }.get(status, "Not possible")
    return framed(
        title,
        "",
        [element("h1", title), element("p", words), element("p", link("/", "Back to the Arena"))],
    )


# ---- parts -----------------------------------------------------------------------------------------------------


def _field(label: str, content: Html, class_: str = "") -> Html:
    return element("label", element("span", label), content, class_=class_ or None)


def _spec(name: str, label: str, value: str, side: str = "") -> Html:
    made = element("input", name=name, value=value, list="agents", required=True, maxlength=LONGEST_SPEC, spellcheck="false",
                   autocapitalize="none", autocomplete="off")  # fmt: skip
    return _field(label, made, f"spec {side}".strip())


def _stage(site: Site, given: Mapping[str, str]) -> Html:
    if len(site.stages) < 2:
        return Html()
    return _field(
        "Stage", _select("stage", [(name, name) for name in site.stages], given.get("stage", ""))
    )


def _select(name: str, options: list[tuple[str, str]], chosen: str) -> Html:
    return element(
        "select",
        *(element("option", w, value=v, selected=v == chosen) for v, w in options),
        name=name,
    )


def _seed(given: Mapping[str, str]) -> Html:
    seed = given.get("seed", "")
    made = element(
        "input",
        name="seed",
        value=seed,
        inputmode="numeric",
        pattern="[0-9]{1,15}",
        placeholder="any",
        size=10,
    )
    return _field("Seed", made)


def _first(site: Site, name: str) -> str:
    return name if name in site.agents else site.agents[0]


def _known_agents(site: Site) -> Html:
    return element(
        "datalist",
        *(element("option", value=name) for name in (*site.agents, *site.trained)),
        id="agents",
    )


def _message() -> Html:
    return element("p", class_="message", role="alert")


def _lead() -> Html:
    """For whoever started the match; the script shows it to nobody else."""
    speeds = [(f"{speed:g}", f"{speed:g}\u00d7") for speed in (0.25, 0.5, 1, 2, 4, 8)]
    return element(
        "div",
        element("span", "The match itself", class_="soft"),
        element("button", "Pause", type="button", id="hold"),
        element("button", "One frame", type="button", id="step"),
        _field("Speed", _select("speed", speeds, "1")),
        class_="lead",
        hidden=True,
    )


def _marks(table: LiveMatch) -> list[Html]:
    """What everybody should know of who plays; once a match is over, it stands among its facts."""
    found = (
        []
        if table.live.over
        else zip(table.live.players, map(mark_of, table.live.agents), strict=True)
    )
    return [
        sentence(badge("gate failed", "bad"), " ", code(name), f" {mark}.")
        for name, mark in found
        if mark
    ]


def _told() -> Html:
    return element("p", id="told", class_="soft", role="status")


def _binding(key: str, name: str, doc: str) -> Html:
    button = element(
        "button", "…", type="button", data_control=key, aria_label=f"key for {name}: {doc}"
    )
    return element("div", button, element("span", doc or name), class_="binding")
