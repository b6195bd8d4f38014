"""The doctor on runs that were really trained: two healthy ones, and some with a setting that is wrong.

Tiny runs: 24 rollouts in matches of a second, a policy of a few thousand numbers. `slow` is left out,
since it depends on the machine and on all that runs beside the test.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from small_selfplay import GAME, SPEC, inputs

from shadowbox.evaluate.doctor import CHECKS, diagnose
from shadowbox.learners.registry import RunSpec
from shadowbox.play import rewards
from shadowbox.train.loop import train

DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"
MODEL = {"width": 16, "head_width": 16, "repeat": 2}
USUAL = {"n_steps": 16, "n_epochs": 4, "batch_size": 128, "snapshot_every": 4}
ATTACKS = {"attack_press": 10.0}
RUNS = {  # as the documentation names it: seed, learning rate, reward, settings of the learner
    "healthy, seed 0": (0, 0.02, ATTACKS, {}),
    "healthy, seed 1": (1, 0.02, ATTACKS, {}),
    "learning rate times 100, no `target_kl`": (0, 2.0, ATTACKS, {"target_kl": 0.0}),
    "`ent_coef` 10": (0, 0.02, ATTACKS, {"ent_coef": 10.0, "ent_coef_final": 10.0}),
    "rewards times 1e-6, not normalized": (
        0, 0.02, {"attack_press": 1e-5}, {"normalize_returns": False},
    ),
    "reward for the win alone, which no match reaches": (0, 0.02, {"win": 1.0}, {}),
}  # fmt: skip


def sick(folder, name):
    """Checks that find a problem in a run that is trained now."""
    seed, lr, reward, changes = RUNS[name]
    settings = {**USUAL, **changes}
    given = inputs(
        folder, 24, {"constant": 0.5, "based": 0.25, "self": 0.25}, 16, MODEL, **settings
    )
    facts = {f"learner.{key}": {"value": value} for key, value in settings.items()}
    given = replace(
        given,
        spec=RunSpec(GAME, "small", MODEL, settings),
        config=replace(given.config, seed=seed, lr=lr),
        worlds=partial(GAME.world, time_limit=30),
        reward=rewards.resolve_reward(reward, GAME),
        facts={"settings": facts},
    )
    train(SPEC.prepare(given), folder, given.config)
    return [each.check.name for each in diagnose(folder).sick if each.check.name != "slow"]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_real_runs(tmp_path, name):
    """A healthy run is called healthy; of others, the checks that the documentation names fire."""
    lines = DOCS.read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"| {name} |")]
    documented = [check.name for check in CHECKS if f"`{check.name}`" in line.split("|")[2]]
    assert sick(tmp_path, name) == documented
