"""Fake Dolphin: speaks Slippi's protocol, reads controllers from pipes, in lock-step.

In its game the stick moves a fighter, in units a frame; every input comes back in its pre frame.
"""

from __future__ import annotations

import base64
import json
import queue
import socket
import threading

import enet
import numpy as np
from made_replays import made_start

from shadowbox.games.melee import slp
from shadowbox.games.melee.rows import BUTTONS

PRESSABLE = {name.upper(): bit for name, bit in BUTTONS.items()}
PORTS = (0, 1)


def free_port():
    """A free UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Pipe(threading.Thread):
    """Pipe of one controller: queues the state of the pad at each FLUSH."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.flushed, self.lines = path, queue.Queue(), []

    def run(self):
        pad = {"MAIN": (0.0, 0.0), "C": (0.0, 0.0), "L": 0.0, "R": 0.0, "held": set()}
        with open(self.path) as pipe:
            for line in pipe:
                words = line.split()
                self.lines.append(line.strip())
                if words[0] == "FLUSH":
                    self.flushed.put({**pad, "held": set(pad["held"])})
                elif words[0] == "PRESS":
                    pad["held"].add(words[1])
                elif words[0] == "RELEASE":
                    pad["held"].discard(words[1])
                elif words[1] in ("MAIN", "C"):
                    pad[words[1]] = tuple(stick(float(word)) for word in words[2:])
                else:
                    pad[words[1]] = round(float(words[2]) * 255) / 140


def stick(value):
    """Stick position that the game reads for `value` of the pipe: in steps of 1/80."""
    return np.clip(round((value - 0.5) * 254), -80, 80) / 80


class FakeDolphin(threading.Thread):
    """Sends `frames` frames, each after both controllers were flushed, then the game end."""

    def __init__(self, pipes, port, frames):
        super().__init__(daemon=True)
        self.pipes, self.frames, self.port = [Pipe(path) for path in pipes], frames, port
        self.host = enet.Host(enet.Address(b"127.0.0.1", port), 1, 0, 0)
        self.problem = None
        self.recorded = bytearray()

    def run(self):
        for pipe in self.pipes:
            pipe.start()
        try:
            peer = self._greet()
            self._pads(peer)  # of the first step
            self._send(peer, self._events(None))
            self._pads(peer)  # of the game's start
            x = np.array([-40.0, 40.0])
            for number in range(self.frames):
                pads = (
                    self._pads(peer)
                    if number
                    else [{"MAIN": (0, 0), "C": (0, 0), "L": 0, "R": 0, "held": set()}] * 2
                )
                before, x = x, x + [pad["MAIN"][0] for pad in pads]
                self._send(peer, self._events(number, pads, before, x))
            self._pads(peer)
            self._send(peer, slp_end())
            peer.disconnect_later()
            for _ in range(20):
                self.host.service(20)
        except Exception as error:
            self.problem = error

    def _greet(self):
        while True:
            event = self.host.service(1000)
            if event.type == enet.EVENT_TYPE_RECEIVE:
                assert json.loads(event.packet.data)["type"] == "connect_request"
                reply = {"type": "connect_reply", "nick": "fake", "version": "3.4.0", "cursor": 0}
                event.peer.send(
                    0, enet.Packet(json.dumps(reply).encode(), enet.PACKET_FLAG_RELIABLE)
                )
                return event.peer

    def _pads(self, peer):
        """Both pads at their next flush; keeps the connection alive meanwhile."""
        pads = []
        for pipe in self.pipes:
            while True:
                try:
                    pads.append(pipe.flushed.get(timeout=0.002))
                    break
                except queue.Empty:
                    self.host.service(0)
        return pads

    def _send(self, peer, events):
        self.recorded += events
        message = {
            "type": "game_event",
            "cursor": 0,
            "next_cursor": 1,
            "payload": base64.b64encode(events).decode(),
        }
        peer.send(0, enet.Packet(json.dumps(message).encode(), enet.PACKET_FLAG_RELIABLE))
        self.host.flush()

    def _events(self, number, pads=(), before=(), after=()):
        """The list of events and the start, or the events of a frame."""
        frame = slp.FIRST_FRAME + (number or 0)
        pre, post = {}, {}
        for seat, pad in enumerate(pads):
            pre[seat, False] = {
                "x": [before[seat]],
                "main_x": [pad["MAIN"][0]],
                "main_y": [pad["MAIN"][1]],
                "c_x": [pad["C"][0]],
                "c_y": [pad["C"][1]],
                "trigger_l": [pad["L"]],
                "trigger_r": [pad["R"]],
                "buttons_physical": [sum(PRESSABLE[name] for name in pad["held"])],
                "facing": [1],
            }
            post[seat, False] = {
                "x": [after[seat]],
                "state": [14],
                "stocks": [4],
                "facing": [1],
                "character": [1],
                "jumps": [2],
            }
        replay = slp.from_arrays(
            made_start((3, 18, 0), PORTS), pre, post, frames=[frame] if pads else []
        )
        content = slp.write(replay)
        raw = content[15 : 15 + int.from_bytes(content[11:15], "big")]
        head = 1 + raw[1] + 1 + slp.EVENTS["start"].size((3, 18, 0))
        return raw[head:] if pads else raw[:head]


def slp_end():
    """A game end."""
    return bytes([0x39, 2, 0xFF, 0, 1, 0xFF, 0xFF])
