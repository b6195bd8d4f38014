"""A seat that a guest, such as a person, may take over from its agent and give back."""

from __future__ import annotations

from typing import Any

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array, Columns
from shadowbox.core.tracks import blank_rows
from shadowbox.errors import UsageError


class _SharedSeat:
    """An agent whose seat a guest may hold for a while; itself an agent.

    While a guest holds the seat, the agent goes on watching: it is asked at every frame and its
    answers are thrown away, so that its memory is true when it gets the seat back. `by` names the
    one that made the last decision.
    """

    def __init__(self, agent: Agent, name: str) -> None:
        self.agent, self.name, self.by = agent, name, name
        self.track_types = tuple(getattr(agent, "track_types", ()))
        self.failed = ""  # how the agent failed while a guest held its seat
        self._guest: tuple[Agent, str] | None = None

    @property
    def guest(self) -> str | None:
        """Name of the guest; "" without one."""
        return self._guest[1] if self._guest else None

    @property
    def holder(self) -> str:
        """Name of the player that decides next."""
        return self.guest or self.name

    def take(self, guest: Agent, name: str) -> None:
        """Let a guest decide from the next frame on."""
        if self._guest:
            raise UsageError(f"the seat of {self.name} is taken by {self.guest}")
        self._guest = guest, name

    def give(self) -> None:
        """Let the agent decide again from the next frame on."""
        if not self._guest:
            raise UsageError(f"the seat of {self.name} is not taken")
        if self.failed:
            raise UsageError(f"{self.name} cannot have its seat back: it failed with {self.failed}")
        self._guest = None

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """The agent's state."""
        inner = None if state is None else state["agent"]
        return {
            "agent": self.agent.start(seeds, players, inner, where),
            "seats": (seeds, players),
            "guest": None,
        }

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """One decision of the agent, or of the guest while the agent watches."""
        guest = self._guest
        if guest is None:
            controls, inner = self.agent.act(view, state["agent"])
            self.by = self.name
            return controls, {**state, "agent": inner, "guest": None}
        inner = self._watch(view, state["agent"])
        held = state["guest"]
        if held is None or held[0] is not guest[0]:
            held = guest[0], guest[0].start(*state["seats"])
        controls, memory = guest[0].act(view, held[1])
        self.by = guest[1]
        return controls, {**state, "agent": inner, "guest": (guest[0], memory)}

    def tracks(self, state: Any) -> Columns:
        """The agent's tracks, also while a guest holds the seat.

        Blank once the agent has failed.
        """
        if self.failed:
            rows = len(state["seats"][0])
            values = blank_rows(self.track_types, rows).values()
            return {track.name: one for track, one in zip(self.track_types, values, strict=True)}
        shown: Columns = self.agent.tracks(state["agent"])  # type: ignore[attr-defined]
        return shown

    def _watch(self, view: Columns, inner: Any) -> Any:
        if self.failed:
            return inner
        try:
            return self.agent.act(view, inner)[1]
        except Exception as error:  # it costs the agent its seat, and the guest nothing
            self.failed = type(error).__name__
            return inner
