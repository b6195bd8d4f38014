"""Recording of a real person: a page and the terminal's keys in front of a recorder."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cli.play.display import keyboard
from shadowbox.cli.play.sources import COMPLEXITY, camera_facts, page_of, source_of
from shadowbox.core.episode import Episode
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError

if TYPE_CHECKING:
    from shadowbox.core.game import Game
    from shadowbox.games.gesture.sources import _Source
    from shadowbox.games.gesture.takes.recorder import _Recorder

KEYS = {
    "r": "toggle",
    " ": "toggle",
    "\x7f": "delete",
    "\x08": "delete",
    "c": "calibrate",
    "q": "finish",
}
HELP = "r: start or stop   backspace: delete the last take   c: calibrate   q: finish"
LABELS = ("prompts", "none")
HANDS = ("right", "left")
LINE_S = 0.25  # between two lines of a terminal


def record_person(
    game: Game, name: str, out: Path, options: Mapping[str, Any], *, seed: int, takes: int
) -> dict[str, Any]:
    """Record takes of a person from the source `name` into the store `out`; returns a summary.

    Ends at `takes` takes, at an order to finish, or at a signal; takes that are complete are stored.
    """
    from shadowbox.games.gesture.takes.recorder import _Recorder

    chosen = _chosen(name, options)
    meta = {"players": [options["person"]], "person": options["person"], "source_kind": name}
    meta["hand"] = options["hand"]
    with contextlib.ExitStack() as stack:
        source = source_of(chosen, stack)
        made = {**game.made, "record": {"game": game.name, "source": name, "people": "real"}}
        writer = stack.enter_context(
            Writer(out, game.schema, event_kinds=game.event_kinds, made=made)
        )
        before = writer.episodes

        def commit(episodes: Sequence[Episode]) -> None:
            for episode in episodes:
                writer.add(episode)
            writer.commit()

        recorder = _Recorder(
            out,
            meta,
            commit,
            game=_game(options["connect"], stack),
            labels=chosen["labels"],
            seconds=options["seconds"],
            countdown=options["countdown"],
            seed=seed,
            calibrated=_keeper(options["profile"]),
        )
        with recorder, _served(source, recorder, chosen), source:
            if source.url:
                print(f"landmarks: {source.url}", file=sys.stderr, flush=True)
            if name == "video":  # begins with its first picture, and ends with its last
                recorder.order("start")
            _run(source, recorder, takes)
        episodes = writer.episodes - before
    return {
        "store": str(out),
        "game": game.name,
        "source": name,
        "person": options["person"],
        "takes": len(recorder.takes),
        "seconds": round(sum(take["seconds"] for take in recorder.takes), 1),
        "episodes": episodes,
        "presses": recorder.snapshot()["presses"],
        "confused": recorder.meta.get("calibration", {}).get("confused"),
        "problems": [*recorder.problems, *source.problems],
    }


def _chosen(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a source by the names that `play gesture` has for them."""
    complexity = options.get("complexity", "full")
    if complexity not in COMPLEXITY:
        raise UsageError(f"complexity must be {', '.join(COMPLEXITY)} (got {complexity})")
    if options["labels"] not in LABELS:
        raise UsageError(f"labels must be {' or '.join(LABELS)} (got {options['labels']})")
    if options["hand"] not in HANDS:
        raise UsageError(f"hand must be {' or '.join(HANDS)} (got {options['hand']})")
    return {
        **options,
        "source": name,
        "complexity": complexity,
        "estimator": None,
        "pose_model": options.get("pose_model", ""),
        "hand_model": options.get("hand_model", ""),
        "camera_number": options.get("camera", 0),
    }


def _keeper(profile: str) -> Callable[[Mapping[str, Any]], None]:
    """Function that keeps the result of a calibration in a profile, whose file is read first."""
    from shadowbox.games.gesture.profile import (
        profile_path,
        read_profile,
        with_calibration,
        write_profile,
    )

    if not profile:
        return lambda result: None
    path = profile_path(profile)
    read_profile(path)
    return lambda result: write_profile(path, with_calibration(read_profile(path), result))


def _game(url: str, stack: contextlib.ExitStack) -> Callable[[], Any] | None:
    """State of the game at `url` and its fields; None without a game."""
    if not url:
        return None
    from shadowbox.games.gesture.mcctp_bridge import _Bridge

    core = stack.enter_context(_Bridge(url)).core
    return lambda: (core.state, core.fields)


def _run(source: _Source, recorder: _Recorder, takes: int) -> None:
    """Hand frames to the recorder until it is finished, has all takes, or a signal comes."""
    keys = threading.Event()
    threads = [threading.Thread(target=_show, args=(recorder, keys), daemon=True)]
    for thread in threads:
        thread.start()

    def stop(*_: object) -> None:
        recorder.finished.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with keyboard(lambda key: _press(recorder, key)) as reads:
            if reads:
                print(HELP, file=sys.stderr)
            while not recorder.finished.is_set():
                frame = source.take(timeout=0.05)
                if frame is not None:
                    recorder.see(frame)
                if (len(recorder.takes) >= takes and not recorder.busy) or source.ended:
                    break
    finally:
        keys.set()
        for number, handler in before.items():
            signal.signal(number, handler)
        for thread in threads:
            thread.join(timeout=1)


def _press(recorder: _Recorder, key: str) -> None:
    """Obey a key of the terminal or the page's order of the same name."""
    order = KEYS.get(key, key)
    if order == "toggle":
        order = "stop" if recorder.busy else "start"
    recorder.order(order)


def _show(recorder: _Recorder, ended: threading.Event) -> None:
    """Print the state: a line that is kept up to date on a terminal, else each new phase."""
    terminal, last = sys.stderr.isatty(), ""
    while not ended.wait(LINE_S):
        state = recorder.snapshot()
        if terminal:
            print("\r" + line_of(state)[:110].ljust(110), end="", file=sys.stderr, flush=True)
        elif state["phase"] != last:
            print(line_of(state), file=sys.stderr, flush=True)
        last = state["phase"]
    if terminal:
        print(file=sys.stderr)


def line_of(state: Mapping[str, Any]) -> str:
    """The state of a recorder in one line."""
    times = {
        "countdown": f"starts in {state['countdown']:.0f} s",
        "recording": f"recording {state['seconds']:.0f} s",
    }
    prompt = state["prompt"] or {}
    due = f"{prompt['next']} in {prompt['wait']:.0f} s" if prompt.get("next") else ""
    minutes = max(state["minutes"], 1 / 60)
    rates = [f"{name} {n / minutes:.0f}" for name, n in state["presses"].items() if n]
    parts = [
        times.get(state["phase"], state["phase"]),
        f"NOW: {prompt['now']}" if prompt.get("now") else due,
        f"{len(state['takes'])} takes",
        f"{state['fps']:.0f} frames/s" if state["seen"] else "no person in the picture",
        "a minute: " + ", ".join(rates[:6]) if rates else "",
        *state["problems"][-1:],
    ]
    return "  ".join(part for part in parts if part)


def _served(
    source: _Source, recorder: _Recorder, options: dict[str, Any]
) -> contextlib.AbstractContextManager[str]:
    from shadowbox.web.live_page import served

    @contextlib.contextmanager
    def serving() -> Iterator[str]:
        application = recorder_application(source, recorder, options)
        with served(application, "127.0.0.1", options["port"], None) as address:
            print(f"page: {address}", file=sys.stderr, flush=True)
            if options["open"]:
                click.launch(address)
            yield address

    return serving()


def recorder_application(source: _Source, recorder: _Recorder, options: dict[str, Any]) -> Any:
    """Application of the recorder's page, which gives the same orders as the keys."""
    from shadowbox.games.gesture.live import points_of
    from shadowbox.web.live_page import live_application

    def state() -> dict[str, Any]:
        problems = [*recorder.problems, *source.problems][-3:]
        body = points_of(recorder.frame)
        return {**recorder.snapshot(), "body": body, "problems": problems, **camera_facts(options)}

    def obey(order: dict[str, Any]) -> None:
        if isinstance(order.get("order"), str):
            recorder.order(order["order"])

    folder = files("shadowbox.games.gesture") / "page"
    camera = page_of(source, options)
    return live_application("Record", folder, state, obey, script="record", **camera)
