"""Markup of the pages: elements out of texts, and the frame around each page.

Nothing else makes tags.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from shadowbox.page.document import Html

NAVIGATION = (
    ("/", "Arena"),
    ("/play", "Play"),
    ("/matches", "Matches"),
    ("/tournaments", "Tournaments"),
    ("/runs", "Runs"),
    ("/cards", "Cards"),
)
STYLES = ("style.css", "viewer.css", "chart.css", "card.css", "web.css")
VOID = ("input", "link", "meta")


def element(tag: str, /, *children: str, **attributes: str | int | bool | None) -> Html:
    """One element.

    Texts are escaped; attributes that are None or False are left out, `class_` and `data_x` as in
    HTML.
    """
    parts = [tag]
    for name, value in attributes.items():
        key = name.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(key)
        elif value is not None and value is not False:
            parts.append(f'{key}="{escape(str(value))}"')
    inside = "".join(child if isinstance(child, Html) else escape(child) for child in children)
    return Html(f"<{' '.join(parts)}>" + ("" if tag in VOID else f"{inside}</{tag}>"))


def framed(
    title: str,
    current: str,
    blocks: Iterable[str],
    *,
    module: str = "",
    wide: bool = False,
    **data: str | int,
) -> str:
    """A whole page.

    `current` is its place in the navigation, `module` its script; `data` is what the script reads.
    """
    links = (
        element("a", name, href=address, aria_current="page" if address == current else None)
        for address, name in NAVIGATION
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} · Shadowbox"),
        element("link", rel="icon", href="data:,"),
        *(element("link", rel="stylesheet", href=f"/static/{name}") for name in STYLES),
        *([element("script", type="module", src=f"/static/{module}.js")] if module else []),
    )
    body = element(
        "body",
        element(
            "header",
            element("a", "Shadowbox", href="/", class_="brand"),
            element("nav", *links, aria_label="pages"),
        ),
        element("main", *blocks, class_="wide-page" if wide else None),
        **{f"data_{name}": value for name, value in data.items()},
    )
    text = "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"
    # half a surrogate pair, which JSON and YAML can name, is no text
    return text.encode(errors="backslashreplace").decode()


def link(address: str, *words: str) -> Html:
    """A way to another page of ours."""
    return element("a", *words, href=address)


def command(text: str) -> Html:
    """A command to copy; web.js puts a button beside it."""
    return element("pre", element("code", text), class_="command")


def empty(sentence: str, then: str, example: str) -> Html:
    """What stands where there is nothing yet: what is missing, and the command that makes it."""
    return element(
        "section", element("p", sentence), element("p", then), command(example), class_="empty"
    )
