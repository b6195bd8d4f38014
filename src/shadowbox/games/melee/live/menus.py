"""The way through the menus of a live game: characters, levels of CPUs and a stage, by libmelee."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shadowbox.errors import UsageError, did_you_mean, install_hint
from shadowbox.games.melee.names import CHARACTERS, FIGHTERS

STAGES = {  # our names -> libmelee's; its numbers differ from the game's
    "battlefield": "BATTLEFIELD",
    "dream_land": "DREAMLAND",
    "final_destination": "FINAL_DESTINATION",
    "fountain_of_dreams": "FOUNTAIN_OF_DREAMS",
    "pokemon_stadium": "POKEMON_STADIUM",
    "yoshis_story": "YOSHIS_STORY",
}
LOST_PRESS = 30  # menu frames after which a stage that was pressed counts as not chosen
# console state, controllers; None: a controller that a person holds
MenuNavigation = Callable[[Any, Sequence[Any]], None]


def libmelee() -> Any:
    """Import libmelee; if it is missing, the error says how to install it."""
    try:
        import melee
    except ImportError as error:
        raise UsageError(f"melee:live needs libmelee: {install_hint('live')}") from error
    return melee


def menus(
    characters: str, stage: str, levels: Sequence[int] = (0, 0), *, start: bool = True
) -> MenuNavigation:
    """Navigation through the menus to a game with given characters on a given stage.

    The result presses the keys of one frame, given the console's state and the controllers. A seat
    with a level of 1 to 9 becomes a CPU. With `start`, one controller chooses the stage and starts the
    game when every player is ready; without it a person does both.
    """
    names = characters.split(",")
    fighters = [CHARACTERS[number] for number in sorted(FIGHTERS)]
    if len(names) != 2:
        raise UsageError(
            f"melee:live: characters must be two, such as fox,marth (got '{characters}')"
        )
    for name, level in zip(names, levels, strict=True):
        if name not in fighters or name == "nana":
            raise UsageError(
                f"melee:live: unknown character '{name}': {did_you_mean(name, fighters)}"
            )
        if not 0 <= level <= 9:
            raise UsageError(f"melee:live: the level of a CPU is 1 to 9 (got {level})")
        if level and name == "sheik":
            raise UsageError("melee:live: a CPU cannot be made to choose sheik; zelda can change")
    if stage not in STAGES:
        raise UsageError(f"melee:live: unknown stage '{stage}': {did_you_mean(stage, STAGES)}")
    helpers: list[Any] = []  # one for each controller; each remembers its own way

    def navigate(state: Any, controllers: Sequence[Any]) -> None:
        melee = libmelee()
        helpers.extend(melee.MenuHelper() for _ in controllers[len(helpers) :])
        held = [number for number, controller in enumerate(controllers) if controller is not None]
        # a CPU's level is set after its character, so its own controller knows when it is ready
        starter = next((number for number in held if levels[number]), held[-1])
        for number in held:
            helper, controller = helpers[number], controllers[number]
            _press_again(helper, state)
            if state is not None and state.menu_state is melee.Menu.UNKNOWN_MENU:
                helper.skip_postgame(controller)  # what libmelee has no name for: scores, a film
                continue
            helper.menu_helper_simple(
                state,
                controller,
                melee.Character(CHARACTERS.index(names[number])),
                melee.Stage[STAGES[stage]],
                cpu_level=levels[number],
                costume=number,
                autostart=start and number == starter,
            )

    return navigate


def _press_again(helper: Any, state: Any) -> None:
    """Let a helper choose the stage again if its one press got lost.

    A press lasts one frame, and a Dolphin that does not wait may look at the pads before and after it.
    """
    on_stages = state is not None and state.menu_state.name == "STAGE_SELECT"
    since = getattr(helper, "frames_since_press", 0) + 1
    helper.frames_since_press = since if on_stages and helper.stage_selected else 0
    if helper.frames_since_press > LOST_PRESS:
        helper.stage_selected, helper.frames_since_press = False, 0
