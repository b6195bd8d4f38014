"""Self-play as a learner of cards: its presets, its settings, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shadowbox.errors import UsageError
from shadowbox.learners.registry import (
    Inputs,
    LearnerSpec,
    ModelSummary,
    metric_info,
    parent_arguments,
)

if TYPE_CHECKING:  # it needs torch
    from shadowbox.model.policy import Policy
    from shadowbox.train.protocols import TrainTask

_USUAL = {
    "width": 128, "head": "categorical", "head_width": 128, "relative_positions": True,
    "value": True, "repeat": 4,
}  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {
    # a frame shows all that matters against bots, so that it learns without a memory
    "small": {**_USUAL, "trunk": "window", "frames": 1, "depth": 2},
    "large": {**_USUAL, "trunk": "gru", "width": 256, "hidden_width": 192, "layers": 2},
    # the recurrent policy of older systems: one LSTM of 512, a decision every frame
    "lstm512": {
        **_USUAL, "trunk": "lstm", "hidden_width": 512, "plain": True, "head_width": 96, "repeat": 1,
    },
}  # fmt: skip
PRESETS |= {
    # that policy with the encoder of older systems, and their settings: below
    **{name: PRESETS["lstm512"] | {"strategy": "window"} for name in ("10M", "exploration")},
    "fast": PRESETS["lstm512"] | {"strategy": "window@45"},
    "stable": PRESETS["lstm512"] | {"strategy": "window@90"},
    "debug": PRESETS["small"],
}
MATCHES = 16  # side by side; older systems had one
_SEED: dict[str, Any] = {
    "train.batch": MATCHES, "train.lr": 2.5e-4, "train.final_lr": 1.0, "train.warmup": 0,
    "train.beta2": 0.999, "train.weight_decay": 0.0, "train.max_grad_norm": 0.5,
    "train.log_every": 1,
    "learner.n_steps": 512, "learner.batch_size": 64, "learner.n_epochs": 10,
    "learner.gamma": 0.99, "learner.gae_lambda": 0.95, "learner.clip_range": 0.2,
    "learner.ent_coef": 0.01, "learner.ent_coef_final": 0.01, "learner.ent_floor": 0.0,
    "learner.target_kl": 0.0, "learner.snapshots": 200, "learner.sampler": "uniform",
}  # fmt: skip


def _over(frames: int, **changes: Any) -> dict[str, Any]:
    """The settings of older systems with changes, for a run of that many frames of a match.

    A snapshot is taken, and the run saved, about every 50,000 frames.
    """
    found = _SEED | {name.replace("__", "."): value for name, value in changes.items()}
    rollout = found["learner.n_steps"] * MATCHES
    often = max(1, round(50_000 / rollout))
    return found | {
        "train.steps": -(-frames // rollout),
        "train.save_every": often,
        "learner.snapshot_every": often,
    }


def _entropy(coefficient: float) -> dict[str, float]:
    return dict.fromkeys(("learner__ent_coef", "learner__ent_coef_final"), coefficient)


# settings that presets bring beside their model
SETTINGS: dict[str, dict[str, Any]] = {
    "10M": _over(10_000_000),
    "fast": _over(
        10_000_000, train__lr=5e-4, learner__n_steps=256, learner__n_epochs=20,
        learner__clip_range=0.3, **_entropy(0.05),
    ),
    "stable": _over(
        10_000_000, train__lr=1e-4, learner__n_steps=2048, learner__batch_size=128,
        learner__n_epochs=5, learner__clip_range=0.1, **_entropy(0.005),
    ),
    "exploration": _over(100_000, **_entropy(0.05)),
    # a minute of learning, for a look at whether everything works
    "debug": {
        "train.batch": 32, "train.steps": 8, "train.warmup": 0, "train.log_every": 1,
        "learner.n_steps": 48, "learner.batch_size": 512, "learner.snapshot_every": 2,
    },
}  # fmt: skip


class _SelfPlaySpec(LearnerSpec):
    """Learner that gets better in matches."""

    needs = frozenset({"world", "opponents"})
    takes = frozenset({"reward", "stages", "milestones", "teacher"})
    own_opponents = frozenset({"self", "league"})
    page = "shadowbox.report.selfplay:learner_blocks"

    @property
    def defaults(self) -> Mapping[str, Any]:
        parts = (kind() for kind in _configs())
        usual = {name: value for part in parts for name, value in asdict(part).items()}
        return {"actions": "", "encoding": "default", "strategy_from": "", **usual}

    def presets(self) -> Mapping[str, Mapping[str, Any]]:
        from shadowbox.model.design import PolicyConfig

        return {name: {**PolicyConfig().flat(), **changes} for name, changes in PRESETS.items()}

    def preset_settings(self, preset: str) -> Mapping[str, Any]:
        return SETTINGS.get(preset, {})

    def summarize(self, inputs: Inputs) -> ModelSummary:
        import torch

        from shadowbox.learners import selfplay
        from shadowbox.model import policy
        from shadowbox.train.schedule import count

        arguments = self._arguments(inputs)
        with torch.device("meta"):
            model = policy.build_policy(inputs.schema, arguments)
        learner = selfplay._SelfPlayLearner(
            model, self._config(inputs)[0], 0, 1, teacher=bool(inputs.teacher)
        )
        return ModelSummary(
            arguments,
            count(model.parameters()),
            metric_info(learner.losses, learner.scores, learner.metrics, learner.lines),
        )

    def examples(self, inputs: Inputs) -> int:
        """Decisions of a match in one rollout."""
        return int({**self.defaults, **inputs.spec.learner}["n_steps"])

    def prepare(self, inputs: Inputs) -> TrainTask:
        from shadowbox.learners.rollouts import _Rollouts
        from shadowbox.learners.training_matches import _TrainingMatches
        from shadowbox.model import policy
        from shadowbox.model.checkpoint import CheckpointConfig
        from shadowbox.play.restored_policy import start_strategy
        from shadowbox.train.protocols import TrainTask

        arguments, configs = self._arguments(inputs), self._config(inputs)

        def again(seed: int = 0) -> Policy:
            return policy.build_policy(inputs.schema, arguments, seed=seed)

        model = again(inputs.config.seed)
        start_strategy(model, inputs.spec.learner.get("strategy_from", ""))
        learner = self._learner(inputs, configs, model, again)
        config, league, *_ = configs
        teacher = teacher_of(inputs, model) if inputs.teacher else None
        reads = teacher.input_columns if teacher else ()
        about = CheckpointConfig("policy", inputs.schema, inputs.spec.preset, arguments)
        return TrainTask(
            learner,
            model,
            about,
            lambda matches, rank, ranks: learner.bind(
                _Rollouts(
                    _TrainingMatches(
                        inputs, model, matches, rank, league=league, build=again, reads=reads
                    ),
                    model,
                    config,
                    teacher,
                )
            ),
            facts=inputs.facts,
            resume=inputs.resume,
            fresh=("value.", "strategy."),
            grown=_late_inputs(model),
        )

    def _learner(
        self,
        inputs: Inputs,
        configs: tuple[Any, Any, Any, Any],
        model: Policy,
        build: Callable[[int], Policy],
    ) -> Any:
        """The learner of a run; `build` makes another policy of the same shape from a seed."""
        from shadowbox.learners import selfplay
        from shadowbox.learners.exploiters import _Exploiters
        from shadowbox.learners.monitoring.benchmark import _Benchmark, benchmark_table
        from shadowbox.learners.monitoring.rows import _Monitor, reward_terms
        from shadowbox.play.rewards import over_budget, resolve_reward
        from shadowbox.train.tables import BENCHMARK

        game, steps, (config, _, exploit, bench) = inputs.game, inputs.config.steps, configs
        if steps is None:
            raise UsageError("self-play has no epochs: give train.steps, a number of rollouts")
        staged = [stage.set["reward"] for stage in inputs.stages if "reward" in stage.set]
        paid = [inputs.reward, *(resolve_reward(each, game) for each in staged)]
        played = _Benchmark(inputs, bench) if bench.benchmark_every else None
        more = {BENCHMARK: benchmark_table(game, bool(bench.true_world))} if played else {}
        return selfplay._SelfPlayLearner(
            model,
            config,
            inputs.config.seed,
            steps,
            stages=inputs.stages,
            reward=lambda given: over_budget(resolve_reward(given, game), steps),
            teacher=bool(inputs.teacher),
            exploiters=_Exploiters(inputs, exploit, config, build)
            if exploit.exploit_every
            else None,
            monitor=_Monitor(game, reward_terms(game, paid), more),
            benchmark=played,
        )

    def _config(self, inputs: Inputs) -> tuple[Any, Any, Any, Any]:
        """Settings of PPO, of the league, of exploiters and of benchmarks."""
        given = inputs.spec.learner
        ppo, league, exploit, bench = (
            kind(**{name: given[name] for name in asdict(kind()) if name in given})
            for kind in _configs()
        )
        opponents = {
            *inputs.opponents,
            *(spec for s in inputs.stages for spec in s.opponents or ()),
        }
        if exploit.exploit_every and "league" not in opponents:
            raise UsageError(
                "exploit_every needs `league` among the opponents, since exploiters join the league"
            )
        return ppo, league, exploit, bench

    def _arguments(self, inputs: Inputs) -> dict[str, Any]:
        """Arguments of the policy as plain data, with the game's table of actions as points."""
        from shadowbox.model.codec import ControlValues
        from shadowbox.model.design import PolicyConfig
        from shadowbox.model.embedding import visible_columns

        spec, schema = inputs.spec, inputs.schema
        config = {**self.presets()[spec.preset], **spec.model}
        shown = spec.game.encodings.get(spec.learner.get("encoding", "default"))
        reads = shown if isinstance(shown, tuple) else visible_columns(schema)
        if config["strategy"] and not config["opponents"]:
            config["opponents"] = self._named_opponents(inputs)
        values = ControlValues(schema, PolicyConfig.of(config).output_controls)
        begun = _parent_policy(inputs)
        if begun:
            reads, points = begun["input_columns"], begun.get("vocabulary")
        else:
            points = action_points(spec.game, values, spec.learner.get("actions", ""))
        masks = spec.game.action_masks if config["mask"] else None
        return {
            "input_columns": list(reads),
            "config": _plain(config),
            **({"vocabulary": points} if points else {}),
            **({"masks": masks(config["repeat"])} if masks else {}),
        }

    def _named_opponents(self, inputs: Inputs) -> tuple[str, ...]:
        """Opponents of the run and its stages, without the policy itself."""
        stages = [stage.opponents or {} for stage in inputs.stages]
        met = {name for shares in (inputs.opponents, *stages) for name in shares}
        return tuple(sorted(met - self.own_opponents))


def _configs() -> tuple[Any, Any, Any, Any]:
    """Classes of the learner's settings: of PPO, of the league, of exploiters and of benchmarks."""
    from shadowbox.learners.exploiters import _ExploiterConfig
    from shadowbox.learners.league import _LeagueConfig
    from shadowbox.learners.monitoring.benchmark import _BenchmarkConfig
    from shadowbox.learners.ppo import PPOConfig

    return PPOConfig, _LeagueConfig, _ExploiterConfig, _BenchmarkConfig


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in config.items()}


def _parent_policy(inputs: Inputs) -> dict[str, Any]:
    """Arguments of the policy that the run begins from: its inputs and its points of controls."""
    found = parent_arguments(inputs, "policy")
    if found.get("encoding"):
        raise UsageError(
            f"parent: {inputs.parent} reads the encoding '{found['encoding']['name']}'; self-play "
            "reads columns: take a parent that was trained on columns"
        )
    return found


def _late_inputs(policy: Policy) -> dict[str, int]:
    """Weights whose last inputs a parent may lack, and how many: the encoder's latent, or the delay.

    A delay may also be the parent's alone. With both, the parent has the encoder, too.
    """
    trunk = policy.config.trunk
    if trunk.trunk == "window" and trunk.frames > 1:  # an input for each frame
        return {}
    names = {
        "window": "trunk.first.weight",
        "gru": "trunk.inputs.0.weight" if trunk.plain else "trunk.enter.weight",
        "lstm": "trunk.inputs.0.weight" if trunk.plain else "trunk.enter.weight",
    }
    encoded = policy.strategy is not None and not policy.config.delays
    many = policy.strategy.out if encoded and policy.strategy else 1
    return {names[trunk.trunk]: many} if trunk.trunk in names else {}


def teacher_of(inputs: Inputs, policy: Policy) -> Policy:
    """The frozen policy of the card's `teacher`; one that decides other controls is refused."""
    from shadowbox.play.policy_agent import PolicyAgent, SamplingConfig

    assert inputs.agents is not None
    agent = inputs.agents(inputs.teacher)
    where = f"teacher '{inputs.teacher}'"
    if not isinstance(agent, PolicyAgent) or agent.sampling != SamplingConfig():
        raise UsageError(f"{where} must be a policy as it was trained, such as policy:runs/NAME")
    teacher = agent.policy.requires_grad_(False)
    for what, own, given in (
        ("head", policy.config.head.head, teacher.config.head.head),
        ("repeat", policy.config.repeat, teacher.config.repeat),
        ("delay", _delays(policy), _delays(teacher)),
        ("mask", policy.config.mask, teacher.config.mask),
        ("controls", policy.values.names, teacher.values.names),
        ("key combinations", _points(policy), _points(teacher)),
    ):
        if own != given:
            shown = (
                f" ({given} there, {own} here)"
                if what in ("head", "repeat", "delay", "mask")
                else ""
            )
            raise UsageError(
                f"{where} has another {what}{shown}: its distributions cannot be compared with the "
                "learner's; begin from it with parent, or train one of the same shape"
            )
    return teacher


def _delays(policy: Policy) -> list[int]:
    return [policy.config.delay, *policy.config.delays]


def _points(policy: Policy) -> list[Any]:
    """Points of each part of a decision."""
    from torch import Tensor

    points = [getattr(part, "points", None) for part in policy.head.parts]
    return [each.tolist() for each in points if isinstance(each, Tensor)]


def action_points(game: Any, values: Any, name: str) -> dict[str, list[list[float]]]:
    """Points of each factor of the controls, from a table of the game (default: its largest)."""
    import numpy as np

    from shadowbox.model.vocabulary import control_factors
    from shadowbox.play.observations import Actions

    if not name and not game.actions:
        return {}
    table = Actions(name or max(game.actions, key=lambda each: len(game.actions[each])), game)
    keys = [key for key in table.fields for _ in range(table.slots)]
    found = {}
    for factor in control_factors(values):
        places = [keys.index(key) for key in factor.keys]
        rows = np.unique(np.asarray(table.table, float)[:, places], axis=0)
        rows = rows[np.argsort(rows.any(axis=1), kind="stable")]  # neutral first
        found[factor.name] = rows.tolist()
    return found


SPEC = _SelfPlaySpec()
