"""Digests of decisions, observations and rewards over whole matches, for `signals.json`.

The digests in the file were written by the NumPy code that the compiled functions replaced.
"""

from __future__ import annotations

import hashlib

import numpy as np

from shadowbox.core.view import from_seat
from shadowbox.games.brawl.schema import SCHEMA
from shadowbox.games.brawl.world import BrawlWorld

MATCHES, LIMIT = 6, 400
PAIRS = {
    "warehouse": (("based", "expert"), ("tapper", "switcher")),
    "mirror": (("aerial", "random"), ("trickster", "kiter")),
}
# every term, with weights of both signs, one of them zero
WEIGHTS = (
    3.5, 2.0, -10.25, 6.1, 4.3, 15.7, 0.05, 0.0, -1.7, 2.2, 2000.0, 150.1, -50.3, 25.9, 10.7,
)  # fmt: skip


def signals(bots, observations, rewards, terms, stage):
    """Digest of each bot, observation and reward: {name: hex}."""
    digests = {}
    agents = {name: make() for name, make in bots.items()}
    mix = rewards(dict(zip(terms, WEIGHTS, strict=True)))
    dense = rewards.preset("dense")

    def add(name, values, kind):
        digest = digests.setdefault(name, hashlib.blake2b(digest_size=12))
        digest.update(np.ascontiguousarray(np.asarray(values).astype(kind)).tobytes())

    for number, pair in enumerate(PAIRS[stage]):
        world = BrawlWorld(MATCHES, stage=stage, time_limit=LIMIT)
        seeds = np.arange(MATCHES) + 1000 * number + (1 << 61)
        columns = world.reset(seeds)
        pressed = {key: np.zeros((MATCHES, 2), bool) for key in SCHEMA.control_keys}
        for step in range(LIMIT):
            view = {**{key: columns[key] for key in SCHEMA.state_keys}, **pressed}
            answers = []
            for seat in (0, 1):
                seen = from_seat(SCHEMA, view, seat)
                for name, agent in agents.items():
                    controls, _ = agent.act(seen, agent.start(seeds, np.full(MATCHES, seat)))
                    # all bots now and then
                    if name == pair[seat] or step % 24 == 0:
                        add(name, np.hstack([controls[key] for key in pressed]), "u1")
                    if name == pair[seat]:
                        answers.append(controls)
                for name, observation in observations.items() if step % 5 == 0 else ():
                    add(name, observation.observe(seen), "<f4")
            pressed = {key: np.hstack([one[key] for one in answers]) for key in pressed}
            earlier = mix.before(view)
            columns, events, _ = world.step(pressed)
            if step % 5 and not len(events):
                continue
            after = {**{key: columns[key] for key in SCHEMA.state_keys}, **pressed}
            for name, reward in (("mix", mix), ("dense", dense)):
                total, parts = reward(earlier, after, events, step * 300)
                add(name, total, "<f8")
                for term, values in parts.items():
                    add(f"{name}.{term}", values, "<f8")
    return {name: digest.hexdigest() for name, digest in digests.items()}
