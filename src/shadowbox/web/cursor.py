"""Cursor: the position of one page in a live match, and the messages to send to it next.

Messages are not queued: they are built from the history of the match when the page can take them,
so that a slow page costs a few numbers and delays no other page. A page that falls more than BEHIND
frames behind gets a `gap` message with the rows it skips, and continues with the newest row. It may
request the skipped rows, which are sent when there is nothing newer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shadowbox.play.live import LiveLoop
from shadowbox.web.wire import packed, say

BEHIND = 90  # frames
CHUNK = 512  # rows in a message, about 100 kB


@dataclass
class Cursor:
    """Position of one page: the next row and the next event to send.

    A page that reconnects begins where it stopped.
    """

    live: LiveLoop
    row: int = 0
    event: int = 0

    def __post_init__(self) -> None:
        self.joined = self.live.length  # rows before it are sent completely, without gaps
        self.row, self.event = min(self.row, self.joined), min(self.event, len(self.live.events))
        self.wanted: tuple[int, int] | None = None  # skipped rows to send: [first, end)
        self.state: dict[str, Any] = {}
        self.ended = False

    def due(self, **state: Any) -> list[str | bytes]:
        """Next messages, a few at a time; empty if there is nothing new to send."""
        live = self.live
        over, length = live.over, live.length  # in this order: a match that is over has all rows
        messages: list[str | bytes] = []
        state = {
            "paused": live.paused,
            "speed": live.speed,
            "holders": live.holders,
            "world": live.world.name,
            "worlds": live.worlds,
            "settings": live.settings,
            **state,
        }
        if state != self.state:
            self.state = state
            messages.append(say("state", **state))
        if self.row >= self.joined and length - self.row > BEHIND:
            messages.append(say("gap", first=self.row, end=length - 1))
            self.row = length - 1
        if events := live.events[self.event :]:
            self.event += len(events)
            messages.append(say("events", events=events))
        if self.row < length:
            end = min(self.row + CHUNK, length)
            messages.append(packed(self.row, live.rows(self.row, end), live.width))
            self.row = end
        elif over and not self.ended:
            self.ended = True
            messages.append(say("end", result=live.result, frames=length - 1))
        elif self.wanted is not None:
            messages.append(self._earlier(self.wanted, length))
        return messages

    def _earlier(self, wanted: tuple[int, int], length: int) -> bytes:
        """Next chunk of the rows that the page requested."""
        first, end = (min(row, length) for row in wanted)
        upto = min(first + CHUNK, end)
        self.wanted = (upto, end) if upto < end else None
        return packed(first, self.live.rows(first, upto), self.live.width)
