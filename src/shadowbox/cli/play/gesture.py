"""`shadowbox play gesture`: Minecraft with body and hands, live; a terminal display and a page."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cli.play.agents import live_agent
from shadowbox.cli.play.display import _Display, in_words, summary_of
from shadowbox.cli.play.sources import (
    PORT,
    REAL,
    camera_facts,
    page_of,
    source_of,
    source_options,
)
from shadowbox.cli.terminal import SEED, at_least, emit, json_option
from shadowbox.core.system import shielded
from shadowbox.errors import UsageError
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.games.gesture.any_game import _Table
    from shadowbox.games.gesture.controller import _Settings
    from shadowbox.games.gesture.live import _LiveLoop, _Policy
    from shadowbox.games.gesture.mcctp_bridge import _Bridge
    from shadowbox.games.gesture.place.person import _MovingPerson, _SyntheticPlayer
    from shadowbox.games.gesture.place.server import _MockServer
    from shadowbox.games.gesture.sources import _Source

    _Moving = _SyntheticPlayer | _MovingPerson

GAME = "ws://127.0.0.1:8765/mcctp"


@click.command()
@click.option(
    "--checkpoint",
    default="keys",
    show_default=True,
    metavar="SPEC",
    help="Policy: a run or checkpoint's folder, a folder with the files of an older system, any agent "
    "of the game, or `keys`, which knows the keys that the synthetic person means.",
)
@click.option(
    "--source",
    type=click.Choice(["synthetic", *REAL]),
    default="synthetic",
    show_default=True,
    help="Where landmarks come from: a simulated person, the page's webcam, a WebSocket, or by "
    "MediaPipe a camera, a phone's camera or a video.",
)
@click.option(
    "--profile",
    metavar="NAME",
    help="Keep changes of the thresholds and the look in this profile: a name in the user's data "
    "folder, or a path to a .json file.  [default: changes end with the session]",
)
@click.option(
    "--left-handed",
    is_flag=True,
    help="See the person in a mirror, as left-handed people are recorded.  [default: as the synthetic "
    "person is]",
)
@click.option("--connect", "url", metavar="URL", help=f"Game to connect to.  [default: {GAME}]")
@click.option(
    "--game",
    "other",
    metavar="NAME",
    help="Play another game with the same body, such as brawl, in a match on a page of its own.",
)
@click.option("--table", metavar="FILE", help="Gestures for the keys of --game, as JSON.")
@click.option(
    "--against", default="based", show_default=True, metavar="SPEC", help="Opponent in --game."
)
@click.option("--match-port", default=0, show_default=True, type=PORT, help="Port of the match.")
@click.option("--mock", is_flag=True, help="Play in a small place of this program, not in a game.")
@click.option(
    "--wrong",
    type=click.Choice(["named", "original"]),
    default="named",
    show_default=True,
    help="Errors of the mock: with a hint, or the bare words and older states of the mods.",
)
@click.option("--mock-port", default=0, show_default=True, type=PORT, help="Port of the mock.")
@source_options
@click.option("--page/--no-page", default=True, show_default=True, help="Serve the page.")
@click.option("--open", "open_it", is_flag=True, help="Open the page in a browser.")
@click.option("--person", default=0, show_default=True, type=SEED, help="Synthetic person.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the mock place.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), help="End after this time.  [default: Ctrl-C]"
)
@click.option(
    "--trials",
    type=at_least(1),
    metavar="N",
    help="Walk N courses of the mock in simulated time instead, beside `keys`, no keys and random "
    "ones; --seconds limits a course.  [default: 60 seconds each]",
)
@click.option("--once", is_flag=True, help="End when the course of the mock is finished.")
@json_option
def gesture(**options: Any) -> None:
    """Play Minecraft, a mock of it, or another game with body and hands.

    Everything is released when the person is lost, the game is silent, the connection breaks, at a
    panic (space) and at the end.
    """
    if options["trials"] is not None:
        _trials(options)
        return
    mock = _mock(options)
    table = _table(options)
    player = _player(options, mock, table)
    with contextlib.ExitStack() as stack:
        source = _source(options, player, stack)
        make_policy, settings = _policy(options)
        policy = make_policy(player)
        bridge, match = _bridge(options, mock, table, stack)
        stack.enter_context(source)
        if source.url:
            print(f"landmarks: {source.url}", file=sys.stderr, flush=True)
        loop = _loop(options["profile"], source, policy, bridge, settings)
        more = camera_facts(options) | ({"match": match} if match else {})
        state = _state(loop, mock, more)
        page = stack.enter_context(_page(options, loop, state)) if options["page"] else ""
        stack.enter_context(_Display(loop, page, quiet=options["as_json"]))
        _run(loop, mock, options["seconds"], options["once"])
        bridge.close()
        summary = summary_of(loop, mock)
    if options["as_json"]:
        emit(summary)
    else:
        print(in_words(summary))


def _run(loop: _LiveLoop, mock: _MockServer | None, seconds: float | None, once: bool) -> None:
    """Play until a signal, the end of the time, or with `once` the end of the mock's course."""
    ends = threading.Timer(seconds, loop.stop) if seconds is not None else None
    if ends is not None:
        ends.daemon = True
        ends.start()
    watch = threading.Thread(target=_watch_course, args=(loop, mock, once), daemon=True)
    if mock is not None:
        watch.start()
    try:
        loop.run()
    except KeyboardInterrupt:
        with shielded():  # a second signal must not cut the release
            loop.stop()
            loop.bridge.close()
    finally:
        if ends is not None:
            ends.cancel()


def _watch_course(loop: _LiveLoop, mock: _MockServer, once: bool) -> None:
    """End the loop when the course is finished, or begin the next course after a pause."""
    while not loop.stopping.wait(0.2):
        if mock.ended:
            loop.stopping.wait(0.5 if once else 3.0)
            if once:
                loop.stop()
            else:
                mock.begin(mock.place.seed + 1)


def _trials(options: dict[str, Any]) -> None:
    """Courses of the mock in simulated time, by this policy and the others, as a table."""
    from shadowbox.cli.play.trials import walk_courses

    if not options["mock"]:
        raise UsageError("--trials needs --mock, the place whose courses are walked")
    make, settings = _policy(options)
    found = walk_courses(
        options["checkpoint"],
        make,
        settings,
        seeds=range(options["seed"], options["seed"] + options["trials"]),
        seconds=options["seconds"] or 60.0,
        as_json=options["as_json"],
    )
    print(found)


def _bridge(
    options: dict[str, Any],
    mock: _MockServer | None,
    table: _Table | None,
    stack: contextlib.ExitStack,
) -> tuple[_Bridge, str]:
    """The bridge to the game, started, and the address of a match's page."""
    from shadowbox.games.gesture.mcctp_bridge import _Bridge

    if table is not None:
        from shadowbox.cli.play.other_game import match_of
        from shadowbox.games.gesture.any_game import _MatchCore

        found = match_of(table, options["against"], options["match_port"], options["seed"])
        page, url, key = stack.enter_context(found)
        print(f"match: {page}", file=sys.stderr, flush=True)
        return stack.enter_context(_Bridge(url, core=_MatchCore(table, key))), page
    url = options["url"] or GAME
    if mock is not None:
        from shadowbox.games.gesture.place.server import _MockInThread

        url = stack.enter_context(_MockInThread(mock, options["mock_port"])).url
    return stack.enter_context(_Bridge(url)), ""


def _table(options: dict[str, Any]) -> _Table | None:
    """Table of gestures for --game; None for Minecraft."""
    if options["other"] is None:
        if options["table"] is not None:
            raise UsageError("--table needs --game NAME, the game whose keys it names")
        return None
    if options["mock"] or options["url"]:
        raise UsageError("--game excludes --mock and --connect: name one game")
    from shadowbox.cli.play.other_game import table_for

    return table_for(options["other"], options["table"])


def _mock(options: dict[str, Any]) -> _MockServer | None:
    if options["mock"] and options["url"]:
        raise UsageError("--mock and --connect exclude each other: name one game")
    if options["url"] and not re.match(r"wss?://.", options["url"]):
        raise UsageError(f"--connect {options['url']}: expected an address such as {GAME}")
    if not options["mock"]:
        return None
    from shadowbox.games.gesture.place.server import _MockServer

    return _MockServer(options["seed"], options["wrong"])


def _player(
    options: dict[str, Any], mock: _MockServer | None, table: _Table | None
) -> _Moving | None:
    if options["source"] != "synthetic":
        return None
    if table is not None:
        from shadowbox.games.gesture.any_game import restless
        from shadowbox.games.gesture.body import person
        from shadowbox.games.gesture.place.person import _MovingPerson

        return _MovingPerson(person(0, options["person"]), restless(options["seed"], table))
    if mock is None:
        raise UsageError(
            "--source synthetic: the synthetic person sees the mock place only; add --mock or --game, "
            "or take --source page for a real person"
        )
    from shadowbox.games.gesture.body import person
    from shadowbox.games.gesture.place.person import _SyntheticPlayer

    return _SyntheticPlayer(mock, person(0, options["person"]), options["seed"])


def _source(
    options: dict[str, Any], player: _Moving | None, stack: contextlib.ExitStack
) -> _Source:
    from shadowbox.games.gesture.sources import _SyntheticSource

    if player is not None:
        return _SyntheticSource(player.pose)
    if options["source"] == "page" and not options["page"]:
        raise UsageError("--source page finds the body in the page: leave out --no-page")
    return source_of(options, stack)


def _loop(
    name: str | None, source: _Source, policy: _Policy, bridge: _Bridge, settings: _Settings
) -> _LiveLoop:
    """The live loop, with the profile `name` of the person."""
    from shadowbox.games.gesture.live import _LiveLoop
    from shadowbox.games.gesture.profile import (
        calibration_text,
        profile_path,
        read_profile,
        write_profile,
    )

    if name is None:
        return _LiveLoop(source, policy, bridge, settings)
    path = profile_path(name)
    save, profile = partial(write_profile, path), read_profile(path)
    if text := calibration_text(profile):
        print(text, file=sys.stderr)
    return _LiveLoop(source, policy, bridge, settings, profile=profile, save=save)


def _policy(options: dict[str, Any]) -> tuple[Callable[[_Moving | None], _Policy], _Settings]:
    """Maker of the policy for a synthetic person or None, and the settings of its decisions.

    They have the thresholds of a checkpoint's calibration, if it has any.
    """
    from shadowbox.games.gesture.controller import _Settings, settings_of
    from shadowbox.games.gesture.live import _AgentPolicy, _KeysPolicy

    spec = options["checkpoint"]
    if spec == "keys":
        if options["source"] != "synthetic":
            raise UsageError(
                "--checkpoint keys knows the keys of the synthetic person only; name a policy for "
                f"--source {options['source']}, such as --checkpoint runs/mine"
            )
        return lambda player: _KeysPolicy(
            player.meant if player else lambda number: {}
        ), _Settings()
    agent, more = live_agent(spec, load("gesture"))

    def is_left(player: _Moving | None) -> bool:
        return bool(options["left_handed"] or (player and player.body.who.left_handed))

    reader = None
    if hasattr(agent, "policy"):  # a trained one, which has loaded torch
        from shadowbox.play.chances import chance_reader

        reader = chance_reader(agent)
    if reader is None:
        return (
            lambda player: _AgentPolicy(agent, options["seed"], left_handed=is_left(player))
        ), _Settings()
    asked = partial(_AgentPolicy, agent, options["seed"], chances=reader, begin=reader.begin)
    settings = replace(settings_of(reader.thresholds, None), **more)
    return lambda player: asked(left_handed=is_left(player)), settings


def _state(
    loop: _LiveLoop, mock: _MockServer | None, more: dict[str, Any]
) -> Callable[[], dict[str, Any]]:
    """State of the loop, with a picture of the mock's place, or the address of a match."""
    from shadowbox.games.gesture.place.course import picture

    def state() -> dict[str, Any]:
        place = {"place": picture(mock.place)} if mock else {}
        return loop.snapshot() | place | more

    return state


def _page(
    options: dict[str, Any], loop: _LiveLoop, state: Callable[[], dict[str, Any]]
) -> contextlib.AbstractContextManager[str]:
    from shadowbox.web.live_page import live_application, served

    folder = files("shadowbox.games.gesture") / "page"
    camera = page_of(loop.source, options)
    application = live_application("Gesture", folder, state, _obey(loop), **camera)
    opened = served(application, "127.0.0.1", options["port"], None)

    @contextlib.contextmanager
    def serving() -> Any:
        with opened as address:
            if options["open_it"]:
                click.launch(address)
            yield address

    return serving()


def _obey(loop: _LiveLoop) -> Callable[[dict[str, Any]], None]:
    """Orders of the page: panic on or off, and a setting by a number."""

    def obey(order: dict[str, Any]) -> None:
        if isinstance(order.get("panic"), bool):
            loop.panic(order["panic"])
        name, by = order.get("set"), order.get("by")
        if isinstance(name, str) and isinstance(by, int | float) and abs(by) < 1000:
            loop.change(name, float(by))

    return obey
