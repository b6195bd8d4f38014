"""Inputs of the two trainings of a pipeline: a policy that imitates, and a world that predicts."""

from __future__ import annotations

from typing import Any

from shadowbox.core.game import Game
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.pipeline.config import _PipelineConfig
from shadowbox.train.config import TrainConfig

LEARNERS = {"policy": "imitation", "world": "dynamics"}  # by the stage that trains
USUAL: dict[str, Any] = {
    "lr": 2e-3, "ema": 0.998, "threads": 1, "device": "auto", "validate_rows": 8192,
}  # fmt: skip
CHECKPOINTS = 10  # of a training, each after a validation
SHARES = (0.8, 0.2, 0.0)
MOST_SEEDS = 1000
FEWEST = 4  # episodes


def inputs_of(
    stage: str, game: Game, config: _PipelineConfig, store: Store, *, split: Split | None = None
) -> Inputs:
    """Inputs of the training of a stage, `policy` or `world`."""
    steps, preset = getattr(config, f"{stage}_steps"), getattr(config, f"{stage}_preset")
    every = max(steps // CHECKPOINTS, min(steps, 4))
    learner = {**learner_spec(LEARNERS[stage]).defaults, "length": config.length}
    if stage == "policy" and game.reader is None:
        learner["seats"] = (0,)  # of the bot that demonstrates
    loop = TrainConfig(
        **USUAL,
        seed=config.seed,
        steps=steps,
        batch=config.batch,
        validate_every=every,
        save_every=every,
        warmup=min(100, steps // 10),
    )
    spec = RunSpec(game, preset, {}, learner)
    facts = {"store": str(store.path)}
    return Inputs(spec=spec, config=loop, store=store, split=split or split_of(store), facts=facts)


def split_of(store: Store) -> Split:
    """A split with episodes on both sides: the first seed that gives them to a small store."""
    if len(store) < FEWEST:
        raise UsageError(
            f"{store.path} holds {len(store)} episodes: at least {FEWEST} are needed, "
            f"two of them to judge on"
        )
    state = set(store.schema.state_keys)
    whole = {number for number in range(len(store)) if not state & store.absent_in(number)}
    wanted = max(2, len(store) // 10)
    for seed in range(MOST_SEEDS):
        split = Split(*SHARES, seed=seed)
        held_out = split.episodes(store, "val").tolist()
        if wanted <= len(held_out) <= len(store) // 2 and len(whole & set(held_out)) >= 2:
            return split
    raise UsageError(
        f"{store.path}: no split leaves two whole episodes of {len(store)} to judge on; "
        f"{len(whole)} have every column"
    )
