"""The originals' failure, small: their recipe does not press, adding to logits presses without end, `chain` plays as shown."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
from judging import BRAWL

from shadowbox.core.game import noise
from shadowbox.data.split import Split
from shadowbox.learn.config import Config
from shadowbox.study.evaluate import Settings
from shadowbox.study.never_press import RECIPES, reproduce, table
from shadowbox.study.record import Pairing, record


class Tapper:
    """Walks to and fro, jumps now and then, and taps `j` near its opponent: all of it by chance, as people seem to."""

    def start(self, seeds, players, state=None, where=None):
        """Seeds, seats and frames."""
        frame = np.zeros(len(seeds), np.int64)
        return seeds, players, frame if state is None or where is None else np.where(where, frame, state[2])

    def act(self, view, state):
        """Every key begins and ends by a chance of its own; only `j` looks at the game."""
        seeds, players, frame = state
        near = np.abs(view["player/x"][:, 0] - view["player/x"][:, 1]) < 3
        begins = {"keys/a": 0.05, "keys/d": 0.05, "keys/space": 0.03, "keys/j": np.where(near, 0.15, 0.03)}
        ends = {"keys/a": 0.06, "keys/d": 0.06, "keys/space": 0.6, "keys/j": 0.35}
        keys = {key: np.zeros((len(seeds), 1), bool) for key in BRAWL.schema.control_keys}
        for at, key in enumerate(begins):
            held = view[key][:, 0]
            keys[key][:, 0] = noise(seeds, frame, players, 700 + at) < np.where(held, 1 - ends[key], begins[key])
        return keys, (seeds, players, frame + 1)


GAME = dataclasses.replace(
    BRAWL, world=partial(BRAWL.world, time_limit=600), bots={**BRAWL.bots, "tapper": lambda argument="": Tapper()}
)


@pytest.mark.slow
def test_the_failure_and_its_cure(tmp_path):
    """After the same steps the originals' recipe fails the gate though its metrics look good, and `chain` passes it."""
    record(GAME, [Pairing("tapper", "tapper", 80)], tmp_path / "s", seed=3)
    found = reproduce(
        tmp_path / "s",
        tmp_path / "runs",
        ["seed", "bias", "chain"],
        Config(steps=240, batch=24, lr=4e-3, warmup=20, seed=1, device="cpu", precision="fp32"),
        Settings(matches=60, most=12, split=Split(0.8, 0.2, 0.0)),
        game=GAME,
        changes={"policy-mlp": {"width": 96, "trunk_width": 64}, "default": {"width": 64, "head_width": 64, "memory": 48}},
    )
    rows = {row["recipe"]: row for row in table(found)}
    assert rows["seed"]["val/btn_pressed_acc"] > 0.85, "it looks good by the metric of its authors"
    assert rows["seed"]["gate"] == "failed"
    assert rows["seed"]["onset_ratio_max"] < 0.67, "it begins no press"
    assert rows["bias"]["gate"] == "failed"
    assert rows["bias"]["press_ratio_max"] > 1.25
    assert rows["chain"]["gate"] == "passed", found["chain"].gate.why


def test_every_recipe_can_be_built(tmp_path):
    """Each preset takes the recipe's changes, and the seed's recipes learn from the first seat alone."""
    from shadowbox.model import policy

    for recipe in RECIPES.values():
        policy.arguments(recipe.preset, ["player/x"], **recipe.changes)
    assert {name for name, recipe in RECIPES.items() if policy.SEATS.get(recipe.preset) == (0,)} == set(RECIPES) - {"chain"}
