"""`shadowbox play gesture`: Minecraft with body and hands, live; a terminal display and a page."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cli.play.agents import live_agent
from shadowbox.cli.play.display import _Display
from shadowbox.cli.play.sources import (
    PORT,
    REAL,
    camera_facts,
    page_of,
    source_of,
    source_options,
)
from shadowbox.cli.terminal import SEED, emit, json_option
from shadowbox.core.system import shielded
from shadowbox.errors import UsageError
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.games.gesture.live import _LiveLoop, _Policy
    from shadowbox.games.gesture.place.person import _SyntheticPlayer
    from shadowbox.games.gesture.place.server import _MockServer
    from shadowbox.games.gesture.sources import _Source

GAME = "ws://127.0.0.1:8765/mcctp"


@click.group()
def play() -> None:
    """Play a game of others, live, with a policy in the loop."""


@play.command()
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
@click.option("--connect", "url", metavar="URL", help=f"Game to connect to.  [default: {GAME}]")
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
@click.option("--once", is_flag=True, help="End when the course of the mock is finished.")
@json_option
def gesture(**options: Any) -> None:
    """Play Minecraft, or a mock of it, with body and hands.

    Everything is released when the person is lost, the game is silent, the connection breaks, at a
    panic (space) and at the end.
    """
    mock = _mock(options)
    player = _player(options, mock)
    with contextlib.ExitStack() as stack:
        source = _source(options, player, stack)
        policy = _policy(options, player)
        url = options["url"] or GAME
        if mock is not None:
            from shadowbox.games.gesture.place.server import _MockInThread

            url = stack.enter_context(_MockInThread(mock, options["mock_port"])).url
        from shadowbox.games.gesture.live import _LiveLoop
        from shadowbox.games.gesture.mcctp_bridge import _Bridge

        bridge = stack.enter_context(_Bridge(url))
        stack.enter_context(source)
        if source.url:
            print(f"landmarks: {source.url}", file=sys.stderr, flush=True)
        loop = _LiveLoop(source, policy, bridge)
        state = _state(loop, mock, camera_facts(options))
        page = stack.enter_context(_page(options, loop, state)) if options["page"] else ""
        stack.enter_context(_Display(loop, page, quiet=options["as_json"]))
        _run(loop, mock, options["seconds"], options["once"])
        bridge.close()
        summary = _summary(loop, mock)
    if options["as_json"]:
        emit(summary)
    else:
        print(_in_words(summary))


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


def _mock(options: dict[str, Any]) -> _MockServer | None:
    if options["mock"] and options["url"]:
        raise UsageError("--mock and --connect exclude each other: name one game")
    if options["url"] and not re.match(r"wss?://.", options["url"]):
        raise UsageError(f"--connect {options['url']}: expected an address such as {GAME}")
    if not options["mock"]:
        return None
    from shadowbox.games.gesture.place.server import _MockServer

    return _MockServer(options["seed"], options["wrong"])


def _player(options: dict[str, Any], mock: _MockServer | None) -> _SyntheticPlayer | None:
    if options["source"] != "synthetic":
        return None
    if mock is None:
        raise UsageError(
            "--source synthetic: the synthetic person sees the mock place only; add --mock, or take "
            "--source page for a real person"
        )
    from shadowbox.games.gesture.body import person
    from shadowbox.games.gesture.place.person import _SyntheticPlayer

    return _SyntheticPlayer(mock, person(0, options["person"]), options["seed"])


def _source(
    options: dict[str, Any], player: _SyntheticPlayer | None, stack: contextlib.ExitStack
) -> _Source:
    from shadowbox.games.gesture.sources import _SyntheticSource

    if player is not None:
        return _SyntheticSource(player.pose)
    if options["source"] == "page" and not options["page"]:
        raise UsageError("--source page finds the body in the page: leave out --no-page")
    return source_of(options, stack)


def _policy(options: dict[str, Any], player: _SyntheticPlayer | None) -> _Policy:
    from shadowbox.games.gesture.live import _AgentPolicy, _KeysPolicy

    spec = options["checkpoint"]
    if spec == "keys":
        if player is None:
            raise UsageError(
                "--checkpoint keys knows the keys of the synthetic person only; name a policy for "
                f"--source {options['source']}, such as --checkpoint runs/mine"
            )
        return _KeysPolicy(player.meant)
    agent, _ = live_agent(spec, load("gesture"))
    return _AgentPolicy(agent, options["seed"])


def _state(
    loop: _LiveLoop, mock: _MockServer | None, more: dict[str, Any] | None = None
) -> Callable[[], dict[str, Any]]:
    """State of the loop, with a picture of the mock's place."""
    from shadowbox.games.gesture.place.course import picture

    def state() -> dict[str, Any]:
        place = {"place": picture(mock.place)} if mock else {}
        return loop.snapshot() | place | (more or {})

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
        if name in ("threshold", "look") and isinstance(by, int | float) and abs(by) < 1000:
            loop.change(name, float(by))

    return obey


def _summary(loop: _LiveLoop, mock: _MockServer | None) -> dict[str, Any]:
    """Facts of the session: presses, times, rest, counts, and the score of the place."""
    state = loop.snapshot()
    names = ("source", "url", "presses", "latency", "round_trip", "rest", "counts", "problems")
    return {name: state[name] for name in names} | {
        "releases": [
            {"reasons": each["reasons"], "held": each["held"]} for each in loop.bridge.core.releases
        ],
        "place": [*mock.finished, mock.place.results()] if mock else None,
    }


def _in_words(summary: dict[str, Any]) -> str:
    lines = []
    for place in summary["place"] or ():
        lines.append(
            f"{place['tasks']} of {place['of']} tasks in {place['seconds']:.1f} s, "
            f"{place['blocks_hit']} hits, {place['wrong_turns']} wrong turns, {place['bumps']} bumps"
        )
    times = ", ".join(
        f"{name} {each['p50']:.1f} ({each['p99']:.1f})" for name, each in summary["latency"].items()
    )
    lines.append(f"latency in ms, median (99 %): {times or 'no frame'}")
    pressed = ", ".join(f"{name} {n}" for name, n in summary["presses"].items() if n)
    lines.append(f"presses: {pressed or 'none'}")
    lines += [f"problem: {text}" for text in summary["problems"]]
    return "\n".join(lines)
