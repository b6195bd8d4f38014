"""Arena, Play and live match pages, and the page of an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shadowbox.page.document import Html, badge, code, heading, sentence
from shadowbox.play.match import mark_of
from shadowbox.report.match import below_the_viewer
from shadowbox.web.front import clone
from shadowbox.web.front.rivals import rivals
from shadowbox.web.live_matches import LiveMatch
from shadowbox.web.markup import element, framed, link
from shadowbox.web.person import LONGEST_NAME
from shadowbox.web.site import Site

LONGEST_SPEC = 200  # letters
SPEEDS = (0.25, 0.5, 1, 2, 4, 8)
TITLES = {401: "Token required", 403: "Refused", 404: "Not found", 500: "Server error"}


def arena(site: Site, given: Mapping[str, str]) -> str:
    """Arena page: a form that starts a match, and the list of live matches.

    `given` are values for the form, from the query of the address.
    """
    first, second = (
        given.get(f"p{seat}") or _default(site, *names)
        for seat, names in enumerate((("policy:", "based"), ("expert", "random")))
    )
    agents = (
        _spec("p0", "First agent", first, "p1"),
        element("span", "against", class_="versus"),
        _spec("p1", "Second agent", second, "p2"),
    )
    blocks = [
        element("h1", "Arena"),
        element(
            "p",
            f"Start a match of {site.game.name} between two agents. "
            "It runs on this server; every open page shows the same match.",
        ),
        _form(site, given, agents, "Start"),
        heading("Matches on this server"),
        element(
            "div",
            element("p", "No matches yet. Choose two agents and press Start.", class_="soft"),
            id="matches",
            aria_live="polite",
        ),
    ]
    return framed("Arena", "/arena", blocks, module="arena")


def live(match: LiveMatch) -> str:
    """Page of a live match; once it is over, also with its result in numbers."""
    title = " against ".join(match.live.players)
    blocks = [
        element("match-viewer", keys="page"),
        element("section", _match_controls(), _status(), *_marks(match), class_="under"),
    ]
    if match.live.over and match.live.length > 1:
        below = below_the_viewer(match.live.game, match.live.episode())
        blocks.append(element("section", *below, class_="column"))
    return framed(title, "/arena", blocks, module="watch", wide=True, match=match.number)


def play(site: Site, given: Mapping[str, str]) -> str:
    """Play page: a form, the stage that the match opens in, and the key bindings."""
    # a person cannot react at once, and should not have to
    named = [spec for spec, _, _ in site.game.rivals]
    usual = (
        named[min(1, len(named) - 1)] if named else _default(site, "@delay=", "policy:", "based")
    )
    opponent = given.get("p1") or usual
    seats = [("0", "first (blue)"), ("1", "second (orange)")]
    name = element(
        "input", name="name", maxlength=LONGEST_NAME, placeholder="person", autocomplete="nickname"
    )
    sides = (
        _field("Your name", name),
        _field("Your seat", _select("seat", seats, given.get("seat", "0"))),
        _spec("opponent", "Opponent", opponent),
        _played_by(given.get("policy", "")),
    )
    blocks = [
        element("h1", "Play"),
        element(
            "p",
            "Play against an agent with the keyboard, a gamepad or on the screen; best of three. "
            "Your matches are stored, so that policies can learn from them. A policy may play your seat: "
            "the key T takes over, and gives it back, and the recording says who played when.",
        ),
        rivals(site, opponent),
        clone.section(),
        _form(site, given, sides, "Play"),
        element(
            "div",
            element("p", id="prompt", role="status"),
            element("match-viewer", behind="0", shake=True),
            element("div", id="veil", class_="veil", hidden=True),
            class_="stage-of",
            id="stage",
            hidden=True,
        ),
        element("div", id="touch", class_="touch", aria_label="touch controls"),
        element(
            "section",
            element(
                "div",
                element("span", id="score", class_="soft"),
                element("button", "Sound on", type="button", id="sound", aria_pressed="true"),
                id="again",
            ),
            _match_controls(),
            _status(),
            id="controls",
            class_="under",
            hidden=True,
        ),
        _key_bindings(site),
    ]
    return framed(
        "Play", "/play", blocks, module="play", controls=" ".join(site.game.schema.control_keys)
    )


def error(status: int, message: str) -> str:
    """Page of an HTTP error: the message, which says what to do, and a link to the Arena."""
    title = TITLES.get(status, "Request refused")
    return framed(
        title,
        "",
        [
            element("h1", title),
            element("p", message),
            element("p", link("/arena", "Go to the Arena")),
        ],
    )


# ---- parts ----


def _form(site: Site, given: Mapping[str, str], sides: Iterable[Html], submit: str) -> Html:
    """Form that starts a match: its two sides, world, stage, seed and a button."""
    options = (
        _world(site, given),
        _stage(site, given),
        _seed(given),
        # its script enables it: before, a click would load this page again without a match
        element("button", submit, type="submit", class_="go", disabled=True),
    )
    return element(
        "form",
        element("div", *sides, class_="pair"),
        element("div", *options, class_="row"),
        element("p", class_="message", role="alert"),
        _known_agents(site),
        id="start",
    )


def _key_bindings(site: Site) -> Html:
    """Section of the Play page in which each control shows its key and takes another."""
    controls = site.game.schema.controls
    keys = [
        _binding(f"{controls.name}/{field.name}", field.name, field.doc)
        for field in controls.fields
    ]
    return element(
        "section",
        heading("Keys"),
        element(
            "p",
            "To change a key, press its button below, then the new key or gamepad button. "
            "Changes are saved in this browser.",
        ),
        element("div", *keys, class_="bindings"),
        element("button", "Reset to defaults", type="button", id="defaults"),
        element(
            "p", "No gamepad found. Press a button on it to connect.", id="gamepad", class_="soft"
        ),
        id="keys",
    )


def _field(label: str, content: Html, class_: str = "") -> Html:
    return element("label", element("span", label), content, class_=class_ or None)


def _spec(name: str, label: str, value: str, side: str = "") -> Html:
    field = element(
        "input",
        name=name,
        value=value,
        list="agents",
        required=True,
        maxlength=LONGEST_SPEC,
        spellcheck="false",
        autocapitalize="none",
        autocomplete="off",
    )
    return _field(label, field, f"spec {side}".strip())


def _played_by(spec: str) -> Html:
    """Field of the policy that plays the person's seat until they take over; usually empty."""
    field = element(
        "input",
        name="policy",
        value=spec,
        list="agents",
        placeholder="you",
        maxlength=LONGEST_SPEC,
        spellcheck="false",
        autocapitalize="none",
        autocomplete="off",
    )
    return _field("Your seat is played by", field, "spec")


def _world(site: Site, given: Mapping[str, str]) -> Html:
    specs = site.playable_worlds
    field = element(
        "input",
        name="world",
        value=given.get("world", ""),
        placeholder=specs[0] if specs else None,
        list="worlds",
        maxlength=LONGEST_SPEC,
        spellcheck="false",
        autocapitalize="none",
        autocomplete="off",
    )
    known = element("datalist", *(element("option", value=spec) for spec in specs), id="worlds")
    return _field("World", Html(field + known), "spec")


def _stage(site: Site, given: Mapping[str, str]) -> Html:
    if len(site.stages) < 2 or site.game.world is None:
        return Html()
    stages = [("", "default"), *((name, name) for name in site.stages)]
    return _field("Stage", _select("stage", stages, given.get("stage", "")))


def _select(name: str, options: list[tuple[str, str]], chosen: str) -> Html:
    return element(
        "select",
        *(
            element("option", label, value=value, selected=value == chosen)
            for value, label in options
        ),
        name=name,
    )


def _seed(given: Mapping[str, str]) -> Html:
    seed = given.get("seed", "")
    field = element(
        "input",
        name="seed",
        value=seed,
        inputmode="numeric",
        pattern="[0-9]{1,15}",
        placeholder="random",
        size=10,
    )
    return _field("Seed", field)


def _default(site: Site, *parts: str) -> str:
    """First agent of the game with one of these parts in its spec, otherwise any that there is."""
    found = (name for part in parts for name in site.agents if part in name)
    return next(found, next(iter((*site.agents, *site.trained)), ""))


def _known_agents(site: Site) -> Html:
    return element(
        "datalist",
        *(element("option", value=name) for name in (*site.agents, *site.trained)),
        id="agents",
    )


def _match_controls() -> Html:
    """Pause, step and speed of a match; hidden unless the script of the page may control it."""
    speeds = [(f"{speed:g}", f"{speed:g}\u00d7") for speed in SPEEDS]
    return element(
        "div",
        element("span", "Live match", class_="soft"),
        element("button", "Pause", type="button", id="pause"),
        element("button", "One frame", type="button", id="step"),
        _field("Speed", _select("speed", speeds, "1")),
        class_="match-controls",
        hidden=True,
    )


def _marks(match: LiveMatch) -> list[Html]:
    """Warnings about the agents of a running match; after its end they are among its facts."""
    if match.live.over:
        return []
    marks = zip(match.live.players, map(mark_of, match.live.agents), strict=True)
    return [
        sentence(badge("gate not passed", "bad"), " ", code(name), f" {mark}.")
        for name, mark in marks
        if mark
    ]


def _status() -> Html:
    return element("p", id="status", class_="soft", role="status")


def _binding(key: str, name: str, doc: str) -> Html:
    button = element(
        "button", "…", type="button", data_control=key, aria_label=f"key for {name}: {doc}"
    )
    return element("div", button, element("span", doc or name), class_="binding")
