"""Fake Slippi Dolphin for dry runs: speaks its protocol, reads controllers from pipes, walks menus.

Its menus are those that libmelee knows: cursors move, characters, levels of CPUs and a stage are
chosen. Its game is a toy: a stick moves a fighter along a line, in units a frame; beyond EDGE a
stock is lost. All inputs come back in the frames as Slippi sends them. Dolphin and the game are not
needed, and nothing of either is in here.
"""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.system import WINDOWS
from shadowbox.errors import UsageError
from shadowbox.games.melee import slp
from shadowbox.games.melee.dolphin import _GameSetup, _plug_in, connect
from shadowbox.games.melee.live.fake_menus import _Chosen, _FakeMenus, _Pad
from shadowbox.games.melee.live.menus import libmelee, menus
from shadowbox.games.melee.live.world import DolphinWorld
from shadowbox.games.melee.names import BATTLEFIELD, CHARACTERS, TO_EXTERNAL
from shadowbox.games.melee.rows import BUTTONS
from shadowbox.games.melee.schema import FPS

VERSION = (3, 18, 0)
EDGE, STOCKS, WAIT = 90.0, 4, 14  # units from the middle; lives; the action of one who waits
ENTRY = 84  # frames before players can act
PRESSABLE = {name.upper(): bit for name, bit in BUTTONS.items()}
TIME, GAME = 1, 2  # ways in which a game ends


class _Pipe(threading.Thread):
    """Pipe of one controller: queues the state of the pad at each FLUSH."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self.path, self.flushed, self.lines = path, queue.Queue[_Pad](), list[str]()
        self.broken = threading.Event()  # set: the pipe is read no more

    def run(self) -> None:
        pad = _Pad()
        with open(self.path, encoding="ascii") as pipe:
            for line in pipe:
                if self.broken.is_set():
                    return
                self.lines.append(line.strip())
                word, *rest = line.split()
                if word == "FLUSH":
                    self.flushed.put(replace(pad))
                elif word in ("PRESS", "RELEASE"):
                    held = set(pad.held)
                    (held.add if word == "PRESS" else held.discard)(rest[0])
                    pad.held = frozenset(held)
                elif rest[0] in ("MAIN", "C"):
                    setattr(pad, rest[0].lower(), (_stick(rest[1]), _stick(rest[2])))
                else:
                    setattr(pad, rest[0].lower(), round(float(rest[1]) * 255) / 140)


def _stick(text: str) -> float:
    """Stick position that the game reads for a number of the pipe: in steps of 1/80."""
    return float(np.clip(round((float(text) - 0.5) * 254), -80, 80) / 80)


class _FakeDolphin(threading.Thread):
    """Plays `games` games of at most `frames` frames each, counted from the entry.

    `pads`: path of the pipe of each port from 1 on, None for a port that a person or a CPU plays,
    who walk to and fro. `waits`: each frame comes after all controllers were flushed; without it,
    and with a rate `fps`, frames come in time. `dies_at`: the connection is lost in this frame.
    """

    def __init__(
        self,
        pads: Mapping[int, str | None],
        port: int,
        *,
        frames: int = 600,
        games: int = 1,
        stocks: int = STOCKS,
        menus: _FakeMenus | None = None,
        waits: bool = True,
        fps: float = 0.0,
        dies_at: int | None = None,
    ) -> None:
        enet = import_module("enet")  # of libmelee

        super().__init__(daemon=True)
        self.pipes = {at: _Pipe(path) for at, path in pads.items() if path is not None}
        self.ports, self.frames, self.games = sorted(pads), frames, games
        self.stocks, self.menus, self.waits, self.fps = stocks, menus, waits, fps
        self.dies_at = dies_at
        self.host = enet.Host(enet.Address(b"127.0.0.1", port), 1, 0, 0)
        self.problem: Exception | None = None
        self.recorded = bytearray()  # events of the last game
        self.chosen: list[_Chosen] = []  # of each game
        self._last = {at: _Pad() for at in self.pipes}
        self._due = 0.0
        self.stopping = threading.Event()
        self._enet = enet

    def run(self) -> None:
        """Serve one client, then disconnect."""
        for pipe in self.pipes.values():
            pipe.start()
        try:
            peer = self._greet()
            for _ in range(self.games):
                self._walk_menus(peer)
                if not self._play(peer):
                    self._die(peer)
                    return
            peer.disconnect_later()
            for _ in range(20):
                self.host.service(20)
        except InterruptedError:
            pass
        except Exception as error:
            self.problem = error

    def stop(self) -> None:
        """End, wherever it is."""
        self.stopping.set()
        self.join(5)

    def ended(self) -> str:
        """Why no frame will come any more; empty while it runs."""
        if self.is_alive():
            return ""
        return f"the dry run failed: {self.problem!r}" if self.problem else "the dry run is over"

    # ---- inside ----------------------------------------------------------------------------------

    def _greet(self) -> Any:
        while True:
            event = self.host.service(100)
            self._require_running()
            if event.type == self._enet.EVENT_TYPE_RECEIVE:
                reply = {"type": "connect_reply", "nick": "fake", "version": "3.4.0", "cursor": 0}
                event.peer.send(0, self._packet(reply))
                return event.peer

    def _require_running(self) -> None:
        if self.stopping.is_set():
            raise InterruptedError

    def _die(self, peer: Any) -> None:
        """End without a word, as a crash does."""
        for pipe in self.pipes.values():
            pipe.broken.set()
        peer.disconnect_now(0)
        self.host.flush()

    def _walk_menus(self, peer: Any) -> None:
        standing = _Chosen((CHARACTERS.index("fox"),) * len(self.ports), BATTLEFIELD, (0, 0))
        if self.menus is None:
            self._pads()  # of the first step
        else:
            found = None
            while found is None:
                event, found = self.menus.step(self._pads())
                self._send(peer, "menu_event", event)
            self._pads()
            standing = found
        self.chosen.append(standing)

    def _play(self, peer: Any) -> bool:
        """One game; False if the connection is to be lost in it."""
        self.recorded.clear()
        self._send_game(peer, self._start())
        self._pads()  # of the game's start
        draws = 0.0
        side = {at: -1.0 if place == 0 else 1.0 for place, at in enumerate(self.ports)}
        x = {at: 40.0 * side[at] for at in self.ports}
        stocks = dict.fromkeys(self.ports, self.stocks)
        for number in range(self.frames):
            if number == self.dies_at:
                return False
            pads = self._pads() if number else {}
            draws = number / 30
            for at in self.ports:
                if at not in self.pipes or self._is_cpu(at):
                    pads[at] = _Pad((round(np.sin(draws + at) * 80) / 80, 0.0))
            before = dict(x)
            for at in self.ports:
                x[at] += pads[at].main[0] if at in pads else 0.0
                if abs(x[at]) > EDGE and number > ENTRY:
                    stocks[at] -= 1
                    x[at] = 40.0 * side[at]
            self._send_game(peer, self._frame(number, pads, before, x, stocks))
            if min(stocks.values()) <= 0:
                break
        self._pads()
        method = GAME if min(stocks.values()) <= 0 else TIME
        self._send_game(peer, bytes([0x39, method, 0xFF, 0, 1, 0xFF, 0xFF]))
        if self.menus is not None:  # libmelee goes on reading until a screen comes
            self._send(peer, "menu_event", self.menus.step({})[0])
        return True

    def _is_cpu(self, port: int) -> bool:
        return bool(self.chosen[-1].levels[self.ports.index(port)])

    def _pads(self) -> dict[int, _Pad]:
        """All pads at their next flush, or with `waits` False as they are when a frame is due."""
        if self.fps:
            self._due = max(self._due + 1 / self.fps, time.monotonic() - 1 / self.fps)
            self._require_running()
            while (left := self._due - time.monotonic()) > 0:
                self.host.service(max(1, min(int(left * 1000), 5)))
        for at, pipe in self.pipes.items():
            if not self.waits:
                with contextlib.suppress(queue.Empty):
                    while True:
                        self._last[at] = pipe.flushed.get_nowait()
                continue
            while True:
                try:
                    self._last[at] = pipe.flushed.get(timeout=0.002)
                    break
                except queue.Empty:
                    self._require_running()
                    self.host.service(0)  # keeps the connection alive
        return dict(self._last)

    def _packet(self, message: Mapping[str, Any]) -> Any:
        return self._enet.Packet(json.dumps(message).encode(), self._enet.PACKET_FLAG_RELIABLE)

    def _send(self, peer: Any, kind: str, payload: bytes) -> None:
        coded = base64.b64encode(payload).decode()
        message = {"type": kind, "cursor": 0, "next_cursor": 1, "payload": coded}
        peer.send(0, self._packet(message))
        self.host.flush()

    def _send_game(self, peer: Any, events: bytes) -> None:
        self.recorded += events
        self._send(peer, "game_event", events)

    def _start(self) -> bytes:
        """The list of event sizes and the start of a game."""
        raw = self._events([], {}, {})
        return raw[: self._head(raw)]

    def _frame(
        self,
        number: int,
        pads: Mapping[int, _Pad],
        before: Mapping[int, float],
        after: Mapping[int, float],
        stocks: Mapping[int, int],
    ) -> bytes:
        pre, post = {}, {}
        for place, at in enumerate(self.ports):
            pad, slot = pads.get(at, _Pad()), (at - 1, False)
            pre[slot] = {
                "x": [before[at]],
                "main_x": [pad.main[0]],
                "main_y": [pad.main[1]],
                "c_x": [pad.c[0]],
                "c_y": [pad.c[1]],
                "trigger_l": [pad.l],
                "trigger_r": [pad.r],
                "buttons_physical": [sum(PRESSABLE[name] for name in pad.held)],
                "facing": [1],
            }
            post[slot] = {
                "x": [after[at]],
                "state": [WAIT],
                "stocks": [stocks[at]],
                "facing": [1],
                "character": [self.chosen[-1].characters[place]],
                "jumps": [2],
            }
        raw = self._events([slp.FIRST_FRAME + number], pre, post)
        return raw[self._head(raw) :]

    def _events(self, frames: list[int], pre: Any, post: Any) -> bytes:
        """A whole replay's events: the head, and those of the frames."""
        chosen = self.chosen[-1]
        players = [
            slp.SlpPlayer(
                at - 1,
                TO_EXTERNAL[chosen.characters[place]],
                kind="cpu" if chosen.levels[place] else "human",
                stocks=self.stocks,
                costume=place,
                cpu_level=chosen.levels[place],
            )
            for place, at in enumerate(self.ports)
        ]
        start = slp.new_start(VERSION, chosen.stage, players)
        content = slp.write(slp.from_arrays(start, pre, post, frames=np.array(frames, np.int32)))
        return content[15 : 15 + int.from_bytes(content[11:15], "big")]

    @staticmethod
    def _head(raw: bytes) -> int:
        return 1 + raw[1] + 1 + slp.EVENTS["start"].size(VERSION)


def free_port() -> int:
    """A free UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def rehearsal(setup: _GameSetup, **options: Any) -> Iterator[tuple[DolphinWorld, _FakeDolphin]]:
    """A live world on a fake Dolphin, and this fake; `options` are those of _FakeDolphin."""
    if WINDOWS:
        raise UsageError("--dry-run needs named pipes in the file system, which Windows has not")
    navigate = menus(setup.characters, setup.stage, setup.levels, start=setup.begins)
    melee = libmelee()
    home = Path(tempfile.mkdtemp(prefix="shadowbox-dry-run-"))
    try:
        (home / "Config").mkdir()
        (home / "Config" / "Dolphin.ini").write_text("[Core]\n", encoding="utf-8")
        setup = replace(setup, slippi_port=free_port(), pad="adapter")
        console = melee.Console(
            is_dolphin=True,
            is_remote=True,
            slippi_port=setup.slippi_port,
            dolphin_home_path=str(home),
            blocking_input=setup.waits,
        )
        controllers = _plug_in(console, setup, None)
        pads = {
            port: None if controller is None else controller.pipe_path
            for port, controller in zip(setup.ports, controllers, strict=True)
        }
        given = {"menus": _FakeMenus(setup), "fps": 0.0 if setup.waits else FPS, **options}
        fake = _FakeDolphin(pads, setup.slippi_port, waits=setup.waits, **given)
        fake.start()
        world = connect(console, controllers, setup, navigate, fake.ended)
        try:
            yield world, fake
        finally:
            world.close()
            fake.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
