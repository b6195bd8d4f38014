"""Resolution of settings: defaults < preset < card < --set, with the origin of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shadowbox.cards.card import Card
from shadowbox.cards.sections import SECTIONS
from shadowbox.core.encoding import Encoding, encoding_name
from shadowbox.core.game import Game
from shadowbox.errors import ShadowboxError, UsageError, did_you_mean
from shadowbox.learners.registry import RunSpec, learner_spec
from shadowbox.train.config import TrainConfig

Games = Callable[[str], Game]  # a game's record by name
ADDED: dict[str, Any] = {
    "train.freeze": [],
    "model.delays": (),
    "model.opponents": (),
    "learner.identity_coef": 0.1,
    "model.mask": False,
    "model.gated": True,
    "learner.strategy_from": "",
    "model.ssm_state": 64,
    "model.ssm_heads": 0,
    "model.ssm_expand": 2,
    "model.ssm_conv": 4,
    "model.ssm_init": "reference",
    "model.skill": (),
    "learner.skill": (),
    "learner.advantage_beta": 0.0,
    "learner.advantage_clip": 20.0,
    "learner.advantage_gamma": 0.997,
    "learner.advantage_reward": "",
    "learner.holder_weights": (),
}  # settings since 0.1.0, with the value that changes nothing
LARGEST = 1 << 16  # of a model's whole numbers: outlining a larger one would take minutes
DEFAULT_TRAINING = {"epochs": 10}  # where a card says neither steps nor epochs
# settings with a place of their own
CARD_SAYS = {"seed": "the card's seeds", "halvings": "on_oom", "accumulate": "on_oom"}


@dataclass(frozen=True)
class RunSettings:
    """Resolved settings of a card's run."""

    config: TrainConfig
    plan: RunSpec
    origins: Mapping[str, tuple[Any, str]]  # train.lr -> (0.001, "default")

    @property
    def hash(self) -> str:
        """Hash of all settings; it also changes when a default of this program changes.

        Settings that older versions did not have count only where they change something, so that
        old signatures stay valid.
        """
        text = json.dumps(
            {
                name: value
                for name, (value, _) in self.origins.items()
                if name not in ADDED or value != ADDED[name]
            },
            sort_keys=True,
        )
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Value and origin of each setting."""
        return {
            name: {"value": value, "from": origin} for name, (value, origin) in self.origins.items()
        }


def resolve_settings(
    card: Card, game: Game, seed: int | None = None, changed: Mapping[str, Any] | None = None
) -> RunSettings:
    """Settings of one seed's run. `changed`: names that came from --set."""
    for problem in setting_problems(card, game):
        raise UsageError(f"{problem[0]}: {problem[1]}")
    parts = split_sections(card.settings)
    usual = _preset_sections(card)["learner"]
    plan = RunSpec(game, card.preset, parts["model"], {**usual, **parts["learner"]})
    config = TrainConfig.of(
        _training(card, parts["train"], min(card.seeds, default=0) if seed is None else seed)
    )
    return RunSettings(config, plan, dict(_origins(card, config, plan, parts, set(changed or ()))))


def encoding_switches(settled: RunSettings) -> dict[str, Any]:
    """Switches of the run's encoding as settings, such as learner.encoding.hitstun."""
    chosen = settled.origins.get("learner.encoding", ("default", ""))[0]
    found = settled.plan.game.encodings.get(encoding_name(chosen))
    switches = found.settings if isinstance(found, Encoding) else {}
    return {f"learner.encoding.{name}": value for name, value in switches.items()}


def split_sections(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Split dotted names by section: train.lr -> ["train"]["lr"]; names without a section are left out."""
    parts: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, value in settings.items():
        section, _, rest = name.partition(".")
        if section in parts and rest:
            parts[section][rest] = value
    return parts


def _preset_sections(card: Card) -> dict[str, dict[str, Any]]:
    """Settings of the loop and of the learner that the card's preset brings."""
    try:
        chosen = learner_spec(card.learner)
    except UsageError:
        return split_sections({})
    known = card.preset in chosen.presets()
    return split_sections(chosen.preset_settings(card.preset) if known else {})


def setting_problems(card: Card, game: Game | None) -> Iterator[tuple[str, str]]:
    """Name and message of each invalid setting."""
    for name in card.settings:
        section, _, rest = name.partition(".")
        if section not in SECTIONS or not rest:
            yield (
                name,
                f"'{name}' is not a setting: expected {', '.join(f'{each}.NAME' for each in SECTIONS)}",
            )
        elif section == "train" and rest in CARD_SAYS:
            yield name, f"say it as {CARD_SAYS[rest]}"
    parts = split_sections(card.settings)
    yield from _problems_of_training(card, parts["train"])
    try:
        chosen = learner_spec(card.learner)
    except UsageError:
        return
    known = {"learner": chosen.defaults, "model": chosen.presets().get(card.preset, {})}
    for section, names in known.items():
        if section == "model" and not names:
            continue  # the preset is unknown, which is said elsewhere
        for name, value in parts[section].items():
            if name not in names:
                yield (
                    f"{section}.{name}",
                    f"{card.learner} has no such setting: {did_you_mean(name, names)}",
                )
            elif (problem := _unlike(value, names[name])) is not None:
                yield f"{section}.{name}", problem
            elif section == "model" and type(value) is int and abs(value) > LARGEST:
                yield f"{section}.{name}", f"{value:,} is given, at most {LARGEST:,} is possible"


def _problems_of_training(card: Card, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    good: dict[str, Any] = {}
    for name, value in given.items():
        if name in CARD_SAYS:
            continue
        alone = {} if name in ("steps", "epochs") else {"steps": 1}
        try:
            TrainConfig.of({**alone, name: value})
            good[name] = value
        except ShadowboxError as error:
            yield f"train.{name}", str(error).removeprefix("training settings: ")
    try:
        TrainConfig.of(_training(card, good, 0))
    except ShadowboxError as error:
        yield "train", str(error).removeprefix("training settings: ")


def _training(card: Card, given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    usual, length = _preset_sections(card)["train"], {"steps", "epochs"}
    if length & set(given):
        usual = {name: value for name, value in usual.items() if name not in length}
    values = {
        **({} if length & {*given, *usual} else DEFAULT_TRAINING),
        **usual,
        **given,
        "seed": seed,
    }
    oom = card.on_oom
    if oom.retries is not None or oom.batch is not None:
        batch = values.get("batch", TrainConfig(steps=1).batch)
        halvings = oom.retries
        if halvings is None:
            assert oom.batch is not None
            halvings = max(0, (batch // oom.batch).bit_length() - 1)
        values["halvings"] = halvings
    return values


def _origins(
    card: Card,
    config: TrainConfig,
    plan: RunSpec,
    parts: Mapping[str, Mapping[str, Any]],
    changed: set[str],
) -> Iterator[tuple[str, tuple[Any, str]]]:
    chosen, preset = learner_spec(card.learner), _preset_sections(card)
    usual = TrainConfig(steps=1).to_json()
    for name, value in config.to_json().items():
        said = (
            name in parts["train"]
            or (name == "seed")
            or (name == "halvings" and value != usual[name])
        )
        brought = name in preset["train"] and value == preset["train"][name]
        origin = "card" if said else "preset" if brought else "default"
        yield f"train.{name}", (value, "--set" if f"train.{name}" in changed else origin)
    for section, base, origin in (
        ("model", chosen.presets()[card.preset], "preset"),
        ("learner", chosen.defaults, "default"),
    ):
        for name, value in {**base, **preset[section], **parts[section]}.items():
            where = "preset" if name in preset[section] else origin
            where = "card" if name in parts[section] else where
            yield f"{section}.{name}", (value, "--set" if f"{section}.{name}" in changed else where)


def _unlike(value: Any, usual: Any) -> str | None:
    """Message if a value has another type than the default; else None."""
    if usual is None or isinstance(usual, dict):
        return None
    if isinstance(usual, bool) or isinstance(value, bool):
        good = isinstance(usual, bool) and isinstance(value, bool)
    elif isinstance(usual, float):
        good = isinstance(value, int | float)
    elif isinstance(usual, list | tuple):
        good = isinstance(value, list | tuple)
    elif isinstance(value, dict) and isinstance(usual, str):
        good = "preset" in value  # a preset with changes in place of its name
    else:
        good = isinstance(value, type(usual))
    return None if good else f"{value!r:.60} is given, something like {usual!r:.60} is needed"
