"""Environments: any game's world for Gymnasium and PettingZoo. Registers `shadowbox/Brawl-v0`.

import gymnasium, shadowbox
env = gymnasium.make("shadowbox/Brawl-v0", opponent="aggressive", actions="combos")
envs = gymnasium.make_vec("shadowbox/Brawl-v0", num_envs=64)

single.GameEnv            one match, one seat
vector.GameVectorEnv      N matches in one world, one seat each
parallel.GameParallelEnv  one match, every seat (PettingZoo)
"""

from __future__ import annotations

from shadowbox.errors import UsageError, install_hint

try:
    from gymnasium.envs.registration import register
except ImportError as error:
    raise UsageError(f"environments need Gymnasium: {install_hint('envs')}") from error

register(
    "shadowbox/Brawl-v0",
    entry_point="shadowbox.envs.single:GameEnv",
    vector_entry_point="shadowbox.envs.vector:GameVectorEnv",
    kwargs={"game": "brawl", "opponent": "based", "reward": "dense"},
)
