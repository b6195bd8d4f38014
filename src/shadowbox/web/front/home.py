"""Home page: a match of the game plays above the doors Play, Watch and Train your own."""

from __future__ import annotations

import base64
import logging
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from shadowbox.core.game import stable_hash
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError
from shadowbox.page.document import Html
from shadowbox.page.match_page import event_list
from shadowbox.play import specs
from shadowbox.play.match import play
from shadowbox.report.match import greeting
from shadowbox.train.runs import runs_in
from shadowbox.web import stored
from shadowbox.web.markup import element, framed
from shadowbox.web.site import Site

log = logging.getLogger(__name__)

SHOWN = ("expert", "aggressive")  # bots of the match on the page, where the game has them
FAILED = "The match for this page failed; the terminal of the server says why."
DOORS = (
    (
        "/play",
        "Play",
        "You against a bot. Keys, gamepad or touch.",
        "Fight now",
    ),
    (
        "/arena",
        "Watch",
        "Any two agents, or a stored match, frame by frame with both controllers.",
        "Choose a match",
    ),
    (
        "/docs/play-like-me",
        "Train your own",
        "From a few matches of yours to an agent that plays like you.",
        "Start from matches",
    ),
)


class _HomeMatch:
    """The match that the page shows, played in a thread when it is first asked for.

    A request never waits for it: compiling a simulator takes longer than stopping a server may.
    """

    def __init__(self, site: Site) -> None:
        self._site, self._lock = site, threading.Lock()
        self._thread: threading.Thread | None = None
        self._data: dict[str, Any] = {"state": "preparing"}

    def data(self) -> dict[str, Any]:
        """Data for the viewer, or the `state`: preparing, none on a server without matches, failed."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._make, name="home match", daemon=True)
                self._thread.start()
            return self._data

    def _make(self) -> None:
        try:
            self._data = _match(self._site) or {"state": "none"}
        except ShadowboxError as error:
            log.warning("no match for the Home page: %s", error)
            self._data = {"state": "none"}
        except Exception:  # of the game, which the page must not wait for
            log.exception("the match for the Home page failed")
            self._data = {"state": "failed", "error": FAILED}


def home(site: Site) -> str:
    """Page with the match, the doors and the facts of this machine."""
    hero = element(
        "section",
        element("match-viewer", keys="none"),
        element("button", "Pause", type="button", id="hold", hidden=True),
        class_="hero",
    )
    doors = [
        element(
            "a",
            element("canvas", data_door=str(number), aria_hidden="true"),
            element(
                "span",
                element("strong", name),
                element("span", about, class_="about"),
                element("span", label, class_="go-to"),
            ),
            href=address,
            class_="door first" if number == 0 else "door",
        )
        for number, (address, name, about, label) in enumerate(DOORS)
    ]
    blocks = [
        hero,
        element("h1", "Play it, watch it, teach it to play like you."),
        element("div", *doors, class_="doors"),
        element("section", element("h2", "On this machine"), *_machine(site), class_="has"),
    ]
    return framed("Home", "/", blocks, module="home", wide=True)


def _machine(site: Site) -> Iterator[Html]:
    """What this machine has, each as a link; without matches and runs what to do first."""
    counts = {path: _count(path) for _, path in site.numbered_stores()}
    matches, runs = sum(counts.values()), sum(1 for _ in runs_in(site.runs))
    if not matches and not runs:
        yield element(
            "p",
            "Nothing yet. Play one match and it is stored here, or see the whole loop: ",
            element("code", "make demo"),
        )
        return
    own = counts.get(site.out, 0)
    yield _fact("/matches", _plural(matches, "match", "matches"), _stores(len(counts), own))
    yield _fact("/runs", _plural(runs, "run"), "of training" if runs else "train one from matches")
    champions = sorted(site.game.policies)
    if champions:
        yield _fact("/arena", _plural(len(champions), "trained agent"), ", ".join(champions))
    tournaments = len(list(site.tournaments.glob("*.json"))) if site.tournaments.is_dir() else 0
    if tournaments:
        yield _fact("/tournaments", _plural(tournaments, "tournament"), "with ratings")


def _fact(address: str, strong: str, about: str) -> Html:
    return element("a", element("b", strong), element("span", about, class_="soft"), href=address)


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _stores(count: int, own: int) -> str:
    text = f"in {_plural(count, 'store')}"
    return f"{text}, {own:,} of them yours" if own else text


def _count(path: Any) -> int:
    try:
        return len(Store(path))
    except ShadowboxError:
        return 0


def _match(site: Site) -> dict[str, Any] | None:
    game = site.game
    if game.world is None or len(site.agents) < 2 or game.schema.players != 2:
        return _stored(site)
    names = [name for name in SHOWN if name in game.bots]
    names = names if len(names) == 2 else site.agents[:2]
    world = specs.world(site.playable_worlds[0], game, 1)
    seed = stable_hash(secrets.token_bytes(8)) >> 44
    agents = [specs.agent(name, game) for name in names]
    (played,) = play(game, world, agents, names, np.array([seed]))
    episode = played.episode
    return {
        "hello": greeting(game, episode.meta, episode.columns, {}),
        "rows": base64.b64encode(game.schema.pack(episode.columns).tobytes()).decode(),
        "events": event_list(episode.events),
        "result": episode.meta["result"],
    }


def _stored(site: Site) -> dict[str, Any] | None:
    """Newest stored match that can be read."""
    for number, path in site.numbered_stores():
        try:
            if count := len(Store(path)):
                return stored.match_data(site, number, count - 1)
        except ShadowboxError:
            continue  # the Matches page says what is wrong with it
    return None
