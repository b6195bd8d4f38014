"""Inputs of a card's learner: needed keys, their problems, and the objects that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from shadowbox.cards.card import Card
from shadowbox.cards.front_matter import Path as Place
from shadowbox.cards.sections import SECTIONS, shares_of
from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError
from shadowbox.experiment import dataset
from shadowbox.experiment.settings import RunSettings
from shadowbox.learners.registry import NEEDS, OPTIONAL, Inputs, LearnerSpec, learner_spec
from shadowbox.play import rewards, specs

FACTS = ("world", "opponents", "reward", "teacher")  # keys of a card that a run's facts repeat


def inputs_of(
    card: Card,
    game: Game,
    settled: RunSettings,
    store: Store | None,
    *,
    seed: int | None = None,
    run: Path | None = None,
    facts: Mapping[str, Any] | None = None,
    resume: str = "",
) -> Inputs:
    """Inputs that the card gives its learner, for the run of one seed."""
    world = specs.world_factory(card.world, game) if card.world else None
    data = card.data
    return Inputs(
        spec=settled.plan,
        config=settled.config,
        store=store,
        split=dataset.split_of(data, settled.config.seed if seed is None else seed)
        if data
        else None,
        worlds=world,
        agents=partial(_agent, game=game),
        opponents=shares_of(card.opponents),
        reward=rewards.resolve_reward(card.reward, game) if card.reward else None,
        stages=tuple(card.stages),
        milestones=tuple(card.milestones),
        teacher=card.teacher or "",
        parent=card.parent or "",
        run=run,
        facts=dict(facts or {}),
        resume=resume,
    )


def batches_per_epoch(chosen: LearnerSpec, inputs: Inputs) -> int | None:
    """Steps of an epoch; None for a learner without epochs."""
    return chosen.count(inputs).get("batches_per_epoch")


def input_facts(card: Card) -> dict[str, Any]:
    """Inputs besides the data for run.json: world, opponents, reward, milestones, stages."""
    found = {name: getattr(card, name) for name in FACTS} | {
        "opponents": shares_of(card.opponents),
        "milestones": [milestone.model_dump() for milestone in card.milestones],
        "stages": [
            stage.model_dump(exclude_defaults=True)
            | ({"opponents": shares_of(stage.opponents)} if stage.opponents else {})
            for stage in card.stages
        ],
    }
    return {name: value for name, value in found.items() if value}


def input_problems(card: Card, game: Game | None) -> Iterator[tuple[Place, str]]:
    """Place and message of each key that is missing, unused, or invalid."""
    chosen = learner_spec(card.learner)
    wrong = list(_missing_or_superfluous(card, chosen, game))
    yield from wrong
    apart = {place[0] for place, _ in wrong}
    if game is not None:
        for key, check in _CHECKS.items():
            if key not in apart and getattr(card, key):
                yield from check(card, game, chosen)


def _missing_or_superfluous(
    card: Card, chosen: LearnerSpec, game: Game | None
) -> Iterator[tuple[Place, str]]:
    who = f"learner '{card.learner}'"
    needs = _needs(chosen, game)
    for need, (key, example) in NEEDS.items():
        given = bool(getattr(card, key))
        if need in needs and not given:
            yield (key,), f"{who} needs {key}: give `{_example(example, game)}`"
        elif given and need in chosen.needs - needs and game is not None:
            yield (key,), f"{game.name} is a game of one player: leave {key} out"
        elif given and need not in chosen.needs | chosen.takes:
            if key == "data" and card.eval is not None:
                continue  # an evaluation may need recordings
            yield (key,), f"{who} does not use {key}: leave it out"
    for key in OPTIONAL:
        if getattr(card, key) and key not in chosen.takes:
            yield (key,), f"{who} does not use {key}: leave it out"


def _needs(chosen: LearnerSpec, game: Game | None) -> frozenset[str]:
    """Inputs that the learner needs in this game.

    Alone there are no opponents, and no result to learn from without a reward.
    """
    if game is None or game.schema.players > 1 or "opponents" not in chosen.needs:
        return chosen.needs
    return chosen.needs - {"opponents"} | {"reward"}


def _example(text: str, game: Game | None) -> str:
    """Example of a key, with names of the game."""
    bots = sorted(set(game.bots) - game.held_out) if game else []
    reward = next(iter(game.rewards), "{TERM: 1.0}") if game else "NAME"
    return text.replace("{game}", game.name if game else "GAME").replace(
        "{bot}", bots[0] if bots else "policy:RUN"
    ).replace("{reward}", reward)  # fmt: skip


# ---- one key after the other ---------------------------------------------------------------------


def _world_problems(card: Card, game: Game, chosen: LearnerSpec) -> Iterator[tuple[Place, str]]:
    yield from _complaints(("world",), partial(_build_world, card.world or "", game))


def _eval_problems(card: Card, game: Game, chosen: LearnerSpec) -> Iterator[tuple[Place, str]]:
    if card.eval is not None and card.eval.world:
        yield from _complaints(("eval", "world"), partial(_build_world, card.eval.world, game))


def _build_world(spec: str, game: Game) -> None:
    """Build a world of one match.

    One that is learned may come from a run that is still to be made.
    """
    if specs.parse_world(spec, game).builder in ("game", "py"):
        specs.world(spec, game, 1)


def _reward_problems(card: Card, game: Game, chosen: LearnerSpec) -> Iterator[tuple[Place, str]]:
    yield from _complaints(("reward",), partial(rewards.resolve_reward, card.reward, game))


def _opponent_problems(card: Card, game: Game, chosen: LearnerSpec) -> Iterator[tuple[Place, str]]:
    yield from _agents(("opponents",), shares_of(card.opponents), game, chosen)


def _teacher_problems(card: Card, game: Game, chosen: LearnerSpec) -> Iterator[tuple[Place, str]]:
    yield from _agents(("teacher",), {card.teacher or "": 1.0}, game, chosen, held_out=True)


def _stage_problems(card: Card, game: Game, chosen: LearnerSpec) -> Iterator[tuple[Place, str]]:
    seen: set[str] = set()
    for at, stage in enumerate(card.stages):
        place: Place = ("stages", at)
        if stage.name in seen:
            yield (*place, "name"), f"two stages are called '{stage.name}'"
        seen.add(stage.name)
        for name in stage.set:
            if name.partition(".")[0] not in (*SECTIONS, "reward"):
                yield (
                    (*place, "set"),
                    f"'{name}' is not a setting: train.NAME, model.NAME, learner.NAME or reward",
                )
        if "reward" in stage.set:
            reward = stage.set["reward"]
            yield from _complaints((*place, "set"), partial(rewards.resolve_reward, reward, game))
        yield from _agents((*place, "opponents"), shares_of(stage.opponents), game, chosen)
        if at == len(card.stages) - 1 and stage.gate:
            yield (*place, "gate"), "the last stage has no next one: leave its gate out"
        if at == 0 and stage.regress:
            yield (*place, "regress"), "the first stage has none before it: leave regress out"


def _agents(
    place: Place,
    named: Mapping[str, float],
    game: Game,
    chosen: LearnerSpec,
    *,
    held_out: bool = False,
) -> Iterator[tuple[Place, str]]:
    """Problems of agents that cannot be made, or that no learner may meet."""
    others = [spec for spec in named if spec.partition("@")[0] not in chosen.own_opponents]
    if not held_out:
        yield from _complaints(place, partial(specs.training_opponents, others, game))
    for spec in others:
        # policies and recordings may come from runs that are still to be made
        if not spec.startswith(("policy:", "replay:")) and spec not in specs.held_out([spec], game):
            yield from _complaints(place, partial(specs.agent, spec, game))


def _complaints(place: Place, attempt: Any) -> Iterator[tuple[Place, str]]:
    try:
        attempt()
    except ShadowboxError as error:
        yield place, str(error)


def _agent(spec: str, game: Game) -> Any:
    """Build an opponent by spec; held-out bots are refused here, too."""
    specs.training_opponents([spec], game)
    return specs.agent(spec, game)


_CHECKS = {
    "world": _world_problems,
    "eval": _eval_problems,
    "reward": _reward_problems,
    "opponents": _opponent_problems,
    "teacher": _teacher_problems,
    "stages": _stage_problems,
}
