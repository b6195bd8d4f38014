"""Terminal display of a live loop: a line that is kept up to date, and keys to control the loop."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from shadowbox.core.system import _optional

if TYPE_CHECKING:
    from shadowbox.games.gesture.live import _LiveLoop
    from shadowbox.games.gesture.place.server import _MockServer

EVERY_S = 0.1  # on a terminal
EVERY_LINE_S = 2.0  # in a file or a pipe
KEYS = "space: panic   - +: look   , .: threshold   Ctrl-C: end"
termios, tty = _optional("termios"), _optional("tty")  # not on Windows


class _Display:
    """Display on standard error while the block of `with` is entered; silent with `quiet`."""

    def __init__(self, loop: _LiveLoop, page: str, *, quiet: bool = False) -> None:
        self.loop, self.page, self.quiet = loop, page, quiet
        self.ending = threading.Event()
        self.threads: list[threading.Thread] = []
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> _Display:
        if self.quiet:
            return self
        if self.page:
            print(f"page: {self.page}", file=sys.stderr)
        self._start(self._show)
        if sys.stdin.isatty() and termios is not None:
            print(KEYS, file=sys.stderr)
            self.stack.enter_context(keyboard(lambda key: obey_key(self.loop, key)))
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join(timeout=1)
        self.stack.close()

    def _start(self, target: Any) -> None:
        self.threads.append(threading.Thread(target=target, daemon=True))
        self.threads[-1].start()

    def _show(self) -> None:
        terminal = sys.stderr.isatty()
        while not self.ending.wait(EVERY_S if terminal else EVERY_LINE_S):
            line = line_of(self.loop.snapshot())
            if terminal:
                width = os.get_terminal_size(sys.stderr.fileno()).columns
                print("\r" + line[: width - 1].ljust(width - 1), end="", file=sys.stderr)
            else:
                print(line, file=sys.stderr)
            sys.stderr.flush()
        if terminal:
            print(file=sys.stderr)


def obey_key(loop: _LiveLoop, key: str) -> None:
    """Obey a key of the terminal; others do nothing."""
    changes = {
        "-": ("look", -20),
        "+": ("look", 20),
        ",": ("threshold", -0.05),
        ".": ("threshold", 0.05),
    }
    if key in (" ", "\x1b"):
        loop.panic(not loop.panicking)
    elif key in changes:
        loop.change(*changes[key])


def line_of(state: dict[str, Any]) -> str:
    """The state of a loop in one line: whether it plays, keys, look, times, rest, last problem."""
    status = "RELEASED (" + ", ".join(state["alarms"]) + ")" if state["alarms"] else "playing"
    keys = " ".join(name for name, down in state["keys"].items() if down) or "-"
    stages = [f"{name} {each['p50']:.1f}" for name, each in state["latency"].items()]
    parts = [
        f"{status}",
        f"keys {keys}",
        f"look {state['look'][0]:+.0f} {state['look'][1]:+.0f} deg/s",
        f"slot {state['slot'] + 1}",
        f"{state['fps']:.0f} frames/s",
        f"{', '.join(stages)} ms" if stages else "",
        f"at rest {state['rest']['seconds']:.0f} s, {state['rest']['triggers']} false triggers",
        *state["problems"][-1:],
    ]
    return "  ".join(part for part in parts if part)


@contextlib.contextmanager
def keyboard(press: Callable[[str], None]) -> Iterator[bool]:
    """Call `press` with each key of the terminal while the block runs; false without a terminal.

    The terminal is put back at the end.
    """
    if not sys.stdin.isatty() or termios is None:
        yield False
        return
    import select

    ended = threading.Event()

    def listen() -> None:
        while not ended.is_set():
            ready, _, _ = select.select([sys.stdin], [], [], 0.1)
            for key in os.read(handle, 32).decode(errors="replace") if ready else "":
                press(key)

    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    thread = threading.Thread(target=listen, name="keys", daemon=True)
    try:
        tty.setcbreak(handle)
        thread.start()
        yield True
    finally:
        ended.set()
        thread.join(timeout=1)
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def summary_of(loop: _LiveLoop, mock: _MockServer | None) -> dict[str, Any]:
    """Facts of the session: presses, times, rest, counts, and the score of the place."""
    state = loop.snapshot()
    names = ("source", "url", "presses", "latency", "round_trip", "rest", "counts", "problems")
    return {name: state[name] for name in names} | {
        "releases": [
            {"reasons": each["reasons"], "held": each["held"]} for each in loop.bridge.core.releases
        ],
        "place": [*mock.finished, mock.place.results()] if mock else None,
    }


def in_words(summary: dict[str, Any]) -> str:
    """The summary of a session as lines of text."""
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
