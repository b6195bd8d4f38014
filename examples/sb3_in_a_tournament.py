"""A Stable-Baselines3 agent in a tournament: train PPO on brawl, wrap it as an Agent, and rate it.

python examples/sb3_in_a_tournament.py [STEPS]        needs: pip install stable-baselines3

The class below is all that an agent of another library needs. With this file in the current folder
(or installed), `py:sb3_in_a_tournament:ppo` names the agent wherever a spec is accepted:

shadowbox match brawl --p0 py:sb3_in_a_tournament:ppo --p1 based --out match.html
"""

import sys
from pathlib import Path

import gymnasium
from stable_baselines3 import PPO

import shadowbox as sb
from shadowbox.evaluate.tournament import TournamentSpec, tournament
from shadowbox.play.observations import Actions, observation

BRAWL = sb.load_game("brawl")
MODEL = Path("runs/ppo-brawl.zip")
ACTIONS = "multibinary"  # one number for each key


class SB3Agent:
    """Plays by the policy of a Stable-Baselines3 model, in many matches at once."""

    def __init__(self, model):
        self.model = model
        self.observation, self.actions = observation("default", BRAWL), Actions(ACTIONS, BRAWL)

    def start(self, seeds, players, state=None, where=None):
        return None  # this policy has no memory

    def act(self, view, state):
        seen = self.observation.observe(view)
        chosen, _ = self.model.predict(seen, deterministic=True)
        pressed = self.actions.pressed(chosen, len(seen))
        return {key: pressed[:, [at]] for at, key in enumerate(BRAWL.schema.control_keys)}, state


def ppo():
    """The trained agent."""
    return SB3Agent(PPO.load(MODEL, device="cpu"))


def train(steps):
    """Train against `based`, one match at a time."""
    env = gymnasium.make("shadowbox/Brawl-v0", opponent="based", actions=ACTIONS)
    model = PPO("MlpPolicy", env, n_steps=256, device="cpu", seed=1)
    model.learn(steps)
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    model.save(MODEL)


if __name__ == "__main__":
    train(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
    agents = ("based", "py:sb3_in_a_tournament:ppo", "random")  # the first one anchors at 1000
    result = tournament(BRAWL, TournamentSpec("brawl", agents, matches=20))
    for row in result["ratings"]:
        print(f"{row['agent']:30} {row['elo']:6.0f}  ({row['low']:.0f} .. {row['high']:.0f})")
