"""Warm start: an agent that begins in the middle of a match first watches the rows that led there.

It is given the views of those rows, each with the controls that were recorded in it, and its own
answers are thrown away. Its memory is then that of an agent that has played them: the same function
serves matches from a recorded row, dreams that start from a context, and training in either.

Before the oldest row nothing is pressed. A context that begins with its match is therefore exact;
of a longer history, give one row more than the agent remembers. An agent whose memory depends on
its own answers, and not on the controls in its view, remembers what it would have pressed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.core.view import from_seat
from shadowbox.errors import UsageError


def warm_start(
    agent: Agent,
    schema: Schema,
    past: Mapping[str, Array],
    seeds: Array,
    players: Array,
    state: Any = None,
    where: Array | None = None,
) -> Any:
    """State of an agent that has watched `past` [K, n, slots], the rows before the matches begin.

    `seeds` and `players` [N] as for `Agent.start`. The n matches of the mask `where` [N] (default:
    all) begin; the others keep their part of `state`.
    """
    chosen = np.ones(len(seeds), bool) if where is None else where
    players = np.asarray(players)[chosen]
    watched = agent.start(np.asarray(seeds)[chosen], players)
    seat = int(players[0])
    if (players != seat).any():
        raise UsageError(f"warm start: seats {sorted(set(players.tolist()))}, expected one seat")
    for view in context_views(schema, past):
        _, watched = agent.act(from_seat(schema, view, seat), watched)
    if chosen.all():
        return watched
    if state is None:
        state = agent.start(seeds, np.full(len(seeds), seat))
    put = getattr(agent, "put", None)
    return put(state, watched, chosen) if put else put_part(state, watched, chosen)


def context_views(schema: Schema, past: Mapping[str, Array]) -> list[Columns]:
    """The views of rows [K, n, slots], oldest first: state_t and controls_{t-1}, seat 0 first."""
    rows = len(past[schema.state_keys[0]])
    views = []
    for row in range(rows):
        before = {key: past[key][max(row - 1, 0)] for key in schema.control_keys}
        if row == 0:
            before = {key: np.zeros_like(values) for key, values in before.items()}
        views.append({key: past[key][row] for key in schema.state_keys} | before)
    return views


def put_part(state: Any, part: Any, where: Array) -> Any:
    """A state with the n matches of `part` in the places `where` [N].

    Arrays [N, ...] are filled in, inside dicts, lists and tuples. Anything else in a state belongs
    to no match and stays as it is.
    """
    if isinstance(state, Mapping):
        return {key: put_part(value, part[key], where) for key, value in state.items()}
    if isinstance(state, list | tuple) and len(state) == len(part):
        pairs = zip(state, part, strict=True)
        filled = [put_part(value, of_part, where) for value, of_part in pairs]
        return filled if isinstance(state, list) else tuple(filled)
    if not isinstance(state, list | tuple | np.ndarray) or np.ndim(state) == 0:
        return state
    count = int(where.sum())
    if not isinstance(state, np.ndarray) or len(state) != len(where) or len(part) != count:
        raise UsageError(
            f"warm start of {count} of {len(where)} matches: the agent's state has a "
            f"{type(state).__name__} of {len(state)} and {len(part)}; "
            "give the agent a method put(state, part, where)"
        )
    merged = state.copy()
    merged[where] = part
    return merged
