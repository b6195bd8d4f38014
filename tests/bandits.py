"""A third party's package: a learner that needs a world and no recordings, and a kind of checkpoint.

It learns how often each key should be down, whatever happens, by REINFORCE: a bandit with an arm
for each key. Entry points name SPEC and KIND; nothing of Shadowbox names them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from shadowbox.core.evaluation import EvaluationReport, Figure, GateReport
from shadowbox.core.game import stable_hash
from shadowbox.core.metrics import MetricInfo
from shadowbox.core.stats import Interval
from shadowbox.learners.registry import LearnerSpec, ModelSummary, metric_info
from shadowbox.model import checkpoint
from shadowbox.model.checkpoint import CheckpointConfig
from shadowbox.model.kinds import CheckpointKind
from shadowbox.page.document import Html, heading, sentence
from shadowbox.play.checkpoints import checkpoint_folder
from shadowbox.play.turn import MatchBatch
from shadowbox.train.protocols import TrainTask

FRAMES, EPOCH = 20, 8  # of a match, and batches of an epoch
REWARD = MetricInfo("high", baselines=("nothing",))


# ---- the learner ---------------------------------------------------------------------------------


class Spec(LearnerSpec):
    """Keys that pay."""

    needs = frozenset({"world", "reward", "opponents"})
    takes = frozenset({"stages", "milestones"})
    own_opponents = frozenset({"self"})
    page = "bandits:learner_blocks"
    defaults = {"entropy": 0.0}  # noqa: RUF012

    def presets(self):
        """One has its keys half of the time down, the other seldom."""
        return {"even": {"start": 0.0}, "quiet": {"start": -2.0}}

    def summarize(self, inputs):
        """A number for each key."""
        keys = len(inputs.schema.control_keys)
        metrics = metric_info({"policy": 1.0}, {}, ("entropy",), Learner.lines)
        return ModelSummary({"keys": keys, **self._model(inputs)}, keys, metrics, kind="bandit")

    def count(self, inputs):
        """An epoch is a number of batches of matches."""
        return {"batches_per_epoch": EPOCH}

    def prepare(self, inputs):
        """A task for the loop."""
        arguments = self.summarize(inputs).arguments
        model = Bandit(**arguments)
        learner = Learner(model, inputs.spec.learner.get("entropy", 0.0))
        about = CheckpointConfig("bandit", inputs.schema, inputs.spec.preset, arguments)
        return TrainTask(
            learner,
            model,
            about,
            lambda matches, rank, ranks: Matches(inputs, model, matches, rank),
            facts=inputs.facts,
            resume=inputs.resume,
        )

    def _model(self, inputs):
        return {**self.presets()[inputs.spec.preset], **inputs.spec.model}


class Bandit(nn.Module):
    """Logits of each key."""

    def __init__(self, keys, start=0.0):
        super().__init__()
        self.logits = nn.Parameter(torch.full((keys,), float(start)))


@dataclass
class Played:
    """Matches: how often each key was down [N, keys], the reward of all frames [N]."""

    down: np.ndarray
    reward: np.ndarray
    episode: np.ndarray

    def __len__(self):
        return len(self.reward)

    def part(self, rows):
        """Some of them."""
        return replace(
            self, down=self.down[rows], reward=self.reward[rows], episode=self.episode[rows]
        )


class Matches:
    """The source: matches against the opponents, each as often as its share says."""

    def __init__(self, inputs, model, matches, rank):
        self.inputs, self.model, self.matches, self.rank = inputs, model, matches, rank
        self.epoch = self.played = 0
        self.batches = {
            spec: MatchBatch(
                inputs.game,
                inputs.worlds(matches),
                [None, inputs.agents(spec)],
                reward=inputs.reward,
            )
            for spec in inputs.opponents
        }

    @property
    def left(self):
        """Batches to the end of the epoch."""
        return EPOCH - self.played

    def batches_in(self, epoch):
        """Of every epoch."""
        return EPOCH

    def __iter__(self):
        while True:
            self.played += 1
            if self.played > EPOCH:
                self.epoch, self.played = self.epoch + 1, 1
            yield self._play()

    def state(self):
        """Where it is; matches begin anew with each batch."""
        return {"epoch": self.epoch, "played": self.played}

    def load(self, state):
        """Go on from there."""
        self.epoch, self.played = state["epoch"], state["played"]

    def _play(self):
        seed = stable_hash(self.inputs.config.seed, self.epoch, self.played, self.rank) >> 1
        draws = np.random.default_rng(seed)
        names, shares = list(self.batches), list(self.inputs.opponents.values())
        batch = self.batches[names[int(draws.choice(len(names), p=shares))]]
        batch.begin(draws.integers(0, 2**62, self.matches))
        chance = torch.sigmoid(self.model.logits).detach().numpy()
        down, reward = np.zeros((self.matches, len(chance))), np.zeros(self.matches)
        for _ in range(FRAMES):
            pressed = draws.random((self.matches, len(chance))) < chance
            keys = batch.schema.control_keys
            turn = batch.turn({0: {key: pressed[:, [at]] for at, key in enumerate(keys)}})
            down, reward = down + pressed, reward + turn.rewards[:, 0]
        return Played(down / FRAMES, reward, np.arange(self.matches))


class Learner:
    """REINFORCE against the usual reward, which is a state of its own."""

    losses = {"policy": 1.0}  # noqa: RUF012
    metrics = ("entropy",)
    scores = {}  # noqa: RUF012
    lines = {"play": {"reward": REWARD, "press_rate": MetricInfo("", 0.0, 1.0)}}  # noqa: RUF012

    def __init__(self, model, entropy):
        self.model, self.entropy = model, entropy
        self.usual, self.sums = 0.0, [0.0, 0.0, 0.0]

    def to_device(self, batch, device):
        """Tensors."""
        self.sums = [
            a + b
            for a, b in zip(
                self.sums, (batch.reward.sum(), batch.down.mean(1).sum(), len(batch)), strict=True
            )
        ]
        return tuple(torch.from_numpy(x).float().to(device) for x in (batch.down, batch.reward))

    def num_targets(self, batch):
        """Matches."""
        return float(len(batch))

    def loss(self, model, batch):
        """The log-probability of the pressed keys, times how much better than usual it went."""
        down, reward = batch
        chance = torch.sigmoid(model.logits).clamp(1e-6, 1 - 1e-6)
        log_prob = (down * chance.log() + (1 - down) * (1 - chance).log()).sum(1)
        advantage = reward - self.usual
        self.usual = 0.9 * self.usual + 0.1 * float(reward.mean())
        loss = -(advantage * log_prob).mean()
        entropy = -(chance * chance.log() + (1 - chance) * (1 - chance).log()).sum()
        return loss, {"policy": loss, "entropy": entropy.detach()}

    def score(self, model, batch):
        """It is not validated."""
        raise AssertionError

    def take_lines(self, due):
        """Rewards and keys since the last line."""
        if not due or not self.sums[2]:
            return {}
        (reward, down, matches), self.sums = self.sums, [0.0, 0.0, 0.0]
        figures = {"reward": (reward, matches), "reward/nothing": (0.0, 1.0)}
        return {"play": {**figures, "press_rate": (down, matches)}}

    def state(self):
        """The usual reward, and what the next line is made of."""
        return {"usual": self.usual, "sums": [float(each) for each in self.sums]}

    def load(self, state):
        """Go on from there."""
        self.usual, self.sums = state["usual"], list(state["sums"])


def learner_blocks(run):
    """Blocks of the page of its runs."""
    return [heading("The arms of the bandit"), sentence(f"{len(run.lines)} lines were logged.")]


# ---- the kind of its checkpoints -----------------------------------------------------------------


def build(found, schema=None, device="cpu", encodings=None):
    """The model with its weights."""
    model = Bandit(**found.about.arguments).to(device)
    checkpoint.load_weights(model, found.weights, str(found.path))
    return model


class Agent:
    """Each key as often as its arm says."""

    def __init__(self, chance, keys):
        self.chance, self.keys = chance, keys

    def start(self, seeds, players, state=None, where=None):
        """Seeds, seats and frames."""
        frame = np.zeros(len(seeds), np.int64)
        if state is not None and where is not None:
            frame = np.where(where, 0, state[2])
        return np.asarray(seeds), np.asarray(players), frame

    def act(self, view, state):
        """Drawn by the noise of the match."""
        from shadowbox.core.game import noise

        seeds, players, frame = state
        pressed = {
            key: (noise(seeds, frame, players, 5000 + at) < self.chance[at])[:, None]
            for at, key in enumerate(self.keys)
        }
        return pressed, (seeds, players, frame + 1)


def agent(argument, options, game, spec):
    """`bandit:RUN` plays."""
    model = build(checkpoint.load(checkpoint_folder(argument, spec=spec), kind="bandit"))
    return Agent(torch.sigmoid(model.logits).detach().numpy(), game.schema.control_keys)


@dataclass(frozen=True)
class Result:
    """An evaluation of a bandit."""

    found: EvaluationReport

    def report(self):
        """As it is printed."""
        return self.found


def evaluate(name, store, config=None, *, game=None, progress=None):
    """How certain it is."""
    folder = checkpoint_folder(*str(name).partition("@")[::2])
    chance = torch.sigmoid(build(checkpoint.load(folder)).logits).detach()
    certain = float((chance - 0.5).abs().mean())
    figure = Figure(Interval(certain, certain, certain), {"even": Interval(0.0, 0.0, 0.0)})
    gate = GateReport(passed=certain > 0, why=() if certain else ("no arm was ever moved",))
    return Result(
        EvaluationReport(
            "bandit", f"bandit:{folder}", str(store or ""), gate, {"certainty": figure}
        )
    )


def page(result):
    """The page of an evaluation."""
    return (
        f"<!doctype html><title>bandit</title><p>{result.report().figures['certainty'].value.value}"
    )


def report(run, game):
    """Blocks of the page of a run."""
    return [heading("What the bandit learnt"), Html("<p>It has arms.</p>")]


KIND = CheckpointKind(
    name="bandit",
    title="how often to press each key",
    build="bandits:build",
    agent="bandits:agent",
    evaluate="bandits:evaluate",
    page="bandits:page",
    report="bandits:report",
    needs=frozenset(),
    figures={"certainty": MetricInfo("high", 0.0, 0.5, ("even",))},
)
SPEC = Spec()
