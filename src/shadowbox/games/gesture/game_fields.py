"""Fields `game/*` of the schema from a game state of MCCTP, in the schema's units and ranges."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shadowbox.core.schema import Choice, Columns, Real
from shadowbox.games.gesture.mcctp_messages import State
from shadowbox.games.gesture.schema import MAIN_HAND, OFF_HAND, SCHEMA, SCREENS

GAME_COLUMNS = {
    column.field.name: column for key, column in SCHEMA.columns.items() if key.startswith("game/")
}
CATEGORIES = {  # of the mod -> ours; `OTHER`, and a category that is unknown, are decided by name
    "SWORD": "melee", "TRIDENT": "melee", "AXE": "melee", "BOW": "ranged", "CROSSBOW": "ranged",
    "THROWABLE": "ranged", "BLOCK": "placeable", "FOOD": "food", "PICKAXE": "tool",
    "SHOVEL": "tool", "HOE": "tool", "FISHING_ROD": "tool", "SHIELD": "other", "EMPTY": "empty",
}  # fmt: skip
WORDS = {  # in the name of an item of another category
    "sword": "melee", "trident": "melee", "mace": "melee", "bow": "ranged", "snowball": "ranged",
    "ender_pearl": "ranged", "pickaxe": "tool", "shovel": "tool", "_hoe": "tool", "shears": "tool",
    "bucket": "tool", "apple": "food", "bread": "food", "cooked": "food", "planks": "placeable",
    "stone": "placeable", "torch": "placeable", "_axe": "melee",
}  # fmt: skip
INVENTORY_SCREENS = ("InventoryScreen", "CreativeInventoryScreen")
CONTAINERS = (
    *("ContainerScreen", "ChestScreen", "ShulkerBoxScreen", "HopperScreen"),
    *("FurnaceScreen", "BlastFurnaceScreen", "SmokerScreen", "DispenserScreen", "BarrelScreen"),
)
SAME = {  # fields that are copied: ours -> the mod's
    "health": "playerState.health",
    "hunger": "playerState.hunger",
    "armor": "playerState.armor",
    "on_ground": "playerState.onGround",
    "in_water": "playerState.inWater",
    "swimming": "playerState.swimming",
    "flying": "playerState.flying",
    "climbing": "playerState.climbing",
    "on_fire": "playerState.onFire",
    "sprinting": "playerState.sprinting",
    "sneaking": "playerState.sneaking",
    "fall_distance": "playerState.fallDistance",
    "velocity_y": "playerState.velocityY",
    "attack_cooldown": "combatContext.attackCooldown",
    "using_item": "combatContext.isUsingItem",
    "blocking": "combatContext.isBlocking",
    "item_use_progress": "combatContext.itemUseProgress",
    "target_hostile": "threat.targetEntityHostile",
    "hostile_count": "threat.hostileCount",
    "speed": "statusEffects.speed",
    "slowness": "statusEffects.slowness",
    "strength": "statusEffects.strength",
    "fire_resistance": "statusEffects.fireResistance",
    "selected_slot": "selectedSlot",
    "horizontal_collision": "playerState.horizontalCollision",
    "screen_open": "screenState.screenOpen",
}


def game_fields(state: State) -> dict[str, float]:
    """Each field of the group `game` by name; flags are 0 or 1, choices their number.

    The mod reports -1 for "nothing there", which is the largest distance here, and not a distance
    of zero. The yaw of the nearest hostile is a direction in the world, of which the player's own
    yaw is subtracted.
    """
    values: dict[str, float] = {name: float(state[key]) for name, key in SAME.items()}
    target = state["combatContext.crosshairTarget"].upper()
    distance = max(state["threat.targetDistance"], state["combatContext.crosshairDistance"])
    nearest = state["threat.nearestHostileDist"]
    yaw = state["threat.nearestHostileYaw"] - state["playerState.yaw"]
    values |= {
        "main_hand": MAIN_HAND.index(main_hand(state)),
        "off_hand": OFF_HAND.index(off_hand(state)),
        "recently_hurt": state["playerState.recentlyHurt"] or state["combatContext.recentlyHurt"],
        "crosshair_entity": target == "ENTITY",
        "crosshair_block": target == "BLOCK",
        "target_distance": distance if distance >= 0 else _most("target_distance"),
        "hostile_distance": nearest if nearest >= 0 else _most("hostile_distance"),
        "hostile_yaw": wrapped(yaw) if nearest >= 0 else 0.0,
        "time_of_day": state["timeOfDay"] % 24000,
        "survival": state["gameMode"].lower() == "survival",
        "screen": SCREENS.index(screen(state)),
        "poison_or_wither": state["statusEffects.poison"] or state["statusEffects.wither"],
    }
    return {name: _in_range(name, values[name]) for name in GAME_COLUMNS}


def main_hand(state: State) -> str:
    """Kind of the item in the main hand; an unknown category is decided by words in its name."""
    name, category = state["heldItem.name"].lower(), state["heldItem.category"].upper()
    if category in CATEGORIES:
        return CATEGORIES[category]
    if name in ("", "minecraft:air"):
        return "empty"
    return next((kind for word, kind in WORDS.items() if word in name), "other")


def off_hand(state: State) -> str:
    """Kind of the item in the other hand; whatever is none of the three counts as empty."""
    name, category = state["offhandItem.name"].lower(), state["offhandItem.category"].upper()
    if category == "SHIELD" or "shield" in name:
        return "shield"
    if "totem" in name:
        return "totem"
    return "food" if category == "FOOD" else "empty"


def screen(state: State) -> str:
    """Kind of the open screen, from the last part of its class name."""
    if not state["screenState.screenOpen"]:
        return "none"
    name = state["screenState.screenType"].rpartition(".")[2]
    if name in INVENTORY_SCREENS:
        return "inventory"
    return "container" if name.endswith(CONTAINERS) else "other"


def game_columns(fields: Mapping[str, float]) -> Columns:
    """Columns `game/*` [1, 1] of the fields."""
    return {c.key: np.full((1, 1), fields[name], c.dtype) for name, c in GAME_COLUMNS.items()}


def wrapped(degrees: float) -> float:
    """Angle in [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0


def _most(name: str) -> float:
    return float(GAME_COLUMNS[name].field.limits[1])


def _in_range(name: str, value: float) -> float:
    """The value within the limits of its field; flags and choices are whole."""
    field = GAME_COLUMNS[name].field
    low, high = field.limits
    clipped = min(max(float(value), low), high)
    if isinstance(field, Choice):
        return float(int(clipped))
    return clipped if isinstance(field, Real) else float(clipped > 0)


# before the first state of a game: healthy, on the ground, empty hands, no screen
RESTING = dict.fromkeys(GAME_COLUMNS, 0.0) | {
    "main_hand": float(MAIN_HAND.index("empty")),
    "off_hand": float(OFF_HAND.index("empty")),
    "health": 20.0,
    "hunger": 20.0,
    "on_ground": 1.0,
    "attack_cooldown": 1.0,
    "target_distance": 6.0,
    "hostile_distance": 32.0,
    "survival": 1.0,
}
