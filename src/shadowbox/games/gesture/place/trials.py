"""Trials of policies in the place: courses in simulated time, with the decision of live play.

Each course has its own seed and person. Policies walk the same courses, so that their scores can be
compared: tasks, seconds, wrong turns, hits and bumps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from shadowbox.core.game import stable_hash
from shadowbox.core.stats import Interval, bootstrap_mean
from shadowbox.games.gesture.body import person
from shadowbox.games.gesture.controller import _Settings, at_rest, process
from shadowbox.games.gesture.game_fields import game_fields
from shadowbox.games.gesture.live import _KeysPolicy, _Policy
from shadowbox.games.gesture.mcctp_bridge import _BridgeSettings, _Hands
from shadowbox.games.gesture.mcctp_messages import game_state
from shadowbox.games.gesture.place.course import TICKS
from shadowbox.games.gesture.place.person import _SyntheticPlayer
from shadowbox.games.gesture.place.server import _MockServer
from shadowbox.games.gesture.schema import FPS
from shadowbox.games.gesture.sources import _PoseFrame

FIGURES = ("tasks", "seconds", "wrong_turns", "blocks_hit", "bumps")
MakePolicy = Callable[[_SyntheticPlayer], _Policy]  # of the person whom it watches

KEYS_POLICY: MakePolicy = lambda player: _KeysPolicy(player.meant)  # noqa: E731
NO_KEYS: MakePolicy = lambda player: _KeysPolicy(lambda number: {})  # noqa: E731


def course(
    make: MakePolicy, seed: int, people: str, seconds: float, settings: _Settings
) -> dict[str, Any]:
    """Results of a course: until it is finished, or for so many seconds of the game."""
    mock = _MockServer(seed)
    mock.place.longest = round(seconds * TICKS)
    player = _SyntheticPlayer(mock, person(stable_hash("place", seed), 0, people), seed)
    policy, hands, memory, frame = make(player), _Hands(_BridgeSettings()), at_rest(), 0
    while not mock.place.done:
        values = player.pose()
        seen = _PoseFrame(values, frame / FPS, frame)
        fields = game_fields(game_state(mock.state()))
        answers = policy.answer(seen, fields)
        if seen.seen:
            screen = bool(fields["screen_open"])
            controls, memory = process(settings, memory, answers, screen_open=screen, dt=1 / FPS)
            policy.pressed(controls)
            place = mock.place
            for message in hands.messages(controls, frame / FPS, place.slot, place.screen):
                mock.answer(message)
        for _ in range((frame + 1) * TICKS // FPS - frame * TICKS // FPS):
            mock.step()
        frame += 1
    return dict(mock.place.results())


def trials(
    policies: Mapping[str, tuple[MakePolicy, _Settings]],
    seeds: Sequence[int],
    *,
    people: str = "test",
    seconds: float = 60,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, Interval]]:
    """Means of `FIGURES` over the courses of `seeds`, by policy, with 95 % intervals."""
    found: dict[str, dict[str, Interval]] = {}
    total = len(policies) * len(seeds)
    for name, (make, settings) in policies.items():
        results = []
        for seed in seeds:
            results.append(course(make, seed, people, seconds, settings))
            if progress:
                progress(len(found) * len(seeds) + len(results), total)
        found[name] = {
            figure: bootstrap_mean(np.array([float(each[figure]) for each in results]))
            for figure in FIGURES
        }
    return found
