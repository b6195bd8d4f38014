"""The policy that never presses, reproduced and cured: the originals' recipe, the four cures that were proposed, and ours.

Each recipe is trained on the same store with the same settings and judged alike. The first looks fine by the originals' own
metrics and does not press; the cures press too much, or wrongly; a head whose likelihood is proper, and which is sampled,
presses as its demonstrators do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.study.evaluate import Evaluation, Settings, evaluate

if TYPE_CHECKING:
    from shadowbox.learn.config import Config


@dataclass(frozen=True)
class Recipe:
    """A way to train and to play. `changes` are of the preset, `lessons` of what is taught."""

    words: str
    preset: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    lessons: Mapping[str, Any] = field(default_factory=dict)
    threshold: float | None = None  # it plays by; None: it draws


RECIPES: dict[str, Recipe] = {
    "seed": Recipe("the originals' recipe: each button on its own, pressed above .5", "policy-mlp", threshold=0.5),
    "seed_drawn": Recipe("the same, drawn instead", "policy-mlp"),
    "pos_weight": Recipe("presses weigh 10 times, and nobody undoes it", "policy-mlp", {"pos_weight": 10.0, "raw": True}),
    "bias": Recipe("4 is added to every logit of a button", "policy-mlp", {"bias": 4.0}),
    "focal": Recipe("a focal loss (2), and nobody undoes it", "policy-mlp", {"focal": 2.0, "raw": True}),
    "actionable": Recipe("only frames without stun are learned from, pressed above .5", "policy-mlp",
                         lessons={"actionable": ["player/stun=0"]}, threshold=0.5),
    "chain": Recipe("whether something changes, then what; drawn", "default"),
}  # fmt: skip


def reproduce(
    store: str | Path,
    out: Path,
    names: Sequence[str],
    config: Config,
    settings: Settings,
    *,
    game: Game,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Evaluation]:
    """Train each recipe into `out/NAME` and judge it; `changes` by preset, such as a smaller width."""
    from shadowbox.learn.imitate import prepare
    from shadowbox.learn.loop import train

    found, opened = {}, Store(store)
    for name in names:
        recipe = RECIPES[name]
        if say:
            say(f"{name}: {recipe.words}")
        task = prepare(
            opened,
            config,
            preset=recipe.preset,
            sees=game.encodings.get("default"),
            split=settings.split,
            lessons=recipe.lessons,
            **{**(changes or {}).get(recipe.preset, {}), **recipe.changes},
        )
        train(task, out / name, config)
        found[name] = evaluate(out / name, store, replace(settings, threshold=recipe.threshold), game=game)
    return found


def table(found: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    """One line a recipe: what the originals' metrics say of it, and what it does."""
    lines = []
    for name, result in found.items():
        flat, used = result.metrics(), [control for control in result.gate.controls if control.used]
        lines.append(
            {
                "recipe": name,
                "words": RECIPES[name].words,
                "val/btn_pressed_acc": flat.get("eval/val/btn_pressed_acc"),
                "copy_last": flat.get("eval/val/btn_pressed_acc/copy_last"),
                "onset_f1_sampled": flat.get("eval/onset_f1_sampled"),
                "press_ratio_min": flat.get("eval/press_ratio_min"),
                "press_ratio_max": flat.get("eval/press_ratio_max"),
                "onset_ratio_min": flat.get("eval/onset_ratio_min"),
                "onset_ratio_max": flat.get("eval/onset_ratio_max"),
                "win_rate_gap": flat.get("eval/win_rate_gap"),
                "gate": "passed" if result.gate.passed else "failed",
                "failed": [control.button for control in used if not control.passed],
            }
        )
    return lines
