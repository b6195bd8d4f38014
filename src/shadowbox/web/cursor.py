"""How far one page has come in a match, and what it is sent next.

Nothing is queued for a page: its messages are made from the match's own history when it can take
them. So a slow page costs a few numbers, and delays nobody. One that falls more than BEHIND frames
behind what is going on is told which rows it skips, and goes on with the newest; it may ask for the
others, and gets them when there is nothing newer to send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shadowbox.play.live import LiveLoop
from shadowbox.web.wire import RowRange, packed, say

BEHIND = 90  # frames
CHUNK = 512  # rows in a message, about 100 kB


@dataclass
class Cursor:
    """One page.

    `row` and `event` are the next that it gets; it may begin anywhere, to go on after a broken
    connection.
    """

    live: LiveLoop
    row: int = 0
    event: int = 0

    def __post_init__(self) -> None:
        self.joined = self.live.length  # what was before is history, however long it takes
        self.row, self.event = min(self.row, self.joined), min(self.event, len(self.live.events))
        self.wanted: RowRange | None = None
        self.state: dict[str, Any] = {}
        self.ended = False

    def due(self, **state: Any) -> list[str | bytes]:
        """The next messages, a few at a time; none while there is nothing new."""
        live = self.live
        over, length = live.over, live.length  # in this order: what is over grows no more
        messages: list[str | bytes] = []
        if (state := {"paused": live.paused, "speed": live.speed, **state}) != self.state:
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

    def _earlier(self, wanted: RowRange, length: int) -> bytes:
        """The next piece of what the page asked for."""
        first, end = min(wanted.first, length), min(wanted.end, length)
        upto = min(first + CHUNK, end)
        self.wanted = RowRange(upto, end) if upto < end else None
        return packed(first, self.live.rows(first, upto), self.live.width)
