"""Names of Melee's numbered things: characters, stages, action states, items and attacks.

Two numberings of characters exist: the *external* one of the character select screen (in the start
of a game) and the *internal* one of a fighter in play (in every frame). They differ. The schema
holds internal numbers, as the frames do.
"""

from __future__ import annotations

from itertools import chain

# ---- characters ----

CHARACTERS = (  # internal
    "mario", "fox", "falcon", "donkey_kong", "kirby", "bowser", "link", "sheik", "ness", "peach",
    "popo", "nana", "pikachu", "samus", "yoshi", "jigglypuff", "mewtwo", "luigi", "marth", "zelda",
    "young_link", "dr_mario", "falco", "pichu", "game_and_watch", "ganondorf", "roy", "master_hand",
    "crazy_hand", "wire_frame_male", "wire_frame_female", "giga_bowser", "sandbag",
)  # fmt: skip

EXTERNAL = (  # as on the select screen
    "falcon", "donkey_kong", "fox", "game_and_watch", "kirby", "bowser", "link", "luigi", "mario",
    "marth", "mewtwo", "ness", "peach", "pikachu", "popo", "jigglypuff", "samus", "yoshi", "zelda",
    "sheik", "falco", "young_link", "dr_mario", "roy", "pichu", "ganondorf", "master_hand",
    "wire_frame_male", "wire_frame_female", "giga_bowser", "crazy_hand", "sandbag",
)  # fmt: skip

TO_INTERNAL = tuple(CHARACTERS.index(name) for name in EXTERNAL)
TO_EXTERNAL = tuple(
    EXTERNAL.index(name) if name in EXTERNAL else EXTERNAL.index("popo") for name in CHARACTERS
)
# internal numbers; characters beyond cannot be chosen without a game code
FIGHTERS = frozenset(range(CHARACTERS.index("roy") + 1))

# ---- stages ----

_STAGES = {
    2: "fountain_of_dreams", 3: "pokemon_stadium", 4: "peachs_castle", 5: "kongo_jungle",
    6: "brinstar", 7: "corneria", 8: "yoshis_story", 9: "onett", 10: "mute_city",
    11: "rainbow_cruise", 12: "jungle_japes", 13: "great_bay", 14: "hyrule_temple",
    15: "brinstar_depths", 16: "yoshis_island", 17: "green_greens", 18: "fourside",
    19: "mushroom_kingdom", 20: "mushroom_kingdom_2", 22: "venom", 23: "poke_floats",
    24: "big_blue", 25: "icicle_mountain", 26: "icetop", 27: "flat_zone", 28: "dream_land",
    29: "yoshis_island_64", 30: "kongo_jungle_64", 31: "battlefield", 32: "final_destination",
}  # fmt: skip
STAGES = tuple(_STAGES.get(number, f"stage_{number}") for number in range(33))
KNOWN_STAGES = frozenset(_STAGES)
LEGAL_STAGES = frozenset((2, 3, 8, 28, 31, 32))

FOUNTAIN, STADIUM, YOSHIS, DREAM_LAND, BATTLEFIELD, FINAL_DESTINATION = 2, 3, 8, 28, 31, 32

# ---- action states ----

_COMMON = """
dead_down dead_left dead_right dead_up dead_up_star dead_up_star_ice dead_up_fall
dead_up_fall_hit_camera dead_up_fall_hit_camera_flat dead_up_fall_ice dead_up_fall_hit_camera_ice
sleep rebirth rebirth_wait wait walk_slow walk_middle walk_fast turn turn_run dash run run_direct
run_brake jump_squat jump_forward jump_back air_jump_forward air_jump_back fall fall_forward
fall_back fall_aerial fall_aerial_forward fall_aerial_back fall_special fall_special_forward
fall_special_back tumble squat squat_wait squat_rise landing landing_special jab_1 jab_2 jab_3
rapid_jab_start rapid_jab_loop rapid_jab_end dash_attack forward_tilt_high forward_tilt_high_mid
forward_tilt forward_tilt_low_mid forward_tilt_low up_tilt down_tilt forward_smash_high
forward_smash_high_mid forward_smash forward_smash_low_mid forward_smash_low up_smash down_smash
neutral_air forward_air back_air up_air down_air landing_neutral_air landing_forward_air
landing_back_air landing_up_air landing_down_air damage_high_1 damage_high_2 damage_high_3
damage_neutral_1 damage_neutral_2 damage_neutral_3 damage_low_1 damage_low_2 damage_low_3
damage_air_1 damage_air_2 damage_air_3 damage_fly_high damage_fly_neutral damage_fly_low
damage_fly_top damage_fly_roll light_get heavy_get light_throw_forward light_throw_back
light_throw_high light_throw_low light_throw_dash light_throw_drop light_throw_air_forward
light_throw_air_back light_throw_air_high light_throw_air_low heavy_throw_forward heavy_throw_back
heavy_throw_high heavy_throw_low light_smash_throw_forward light_smash_throw_back
light_smash_throw_high light_smash_throw_low light_smash_throw_air_forward
light_smash_throw_air_back light_smash_throw_air_high light_smash_throw_air_low
heavy_smash_throw_forward heavy_smash_throw_back heavy_smash_throw_high heavy_smash_throw_low
sword_swing_1 sword_swing_3 sword_swing_4 sword_swing_dash bat_swing_1 bat_swing_3 bat_swing_4
bat_swing_dash parasol_swing_1 parasol_swing_3 parasol_swing_4 parasol_swing_dash fan_swing_1
fan_swing_3 fan_swing_4 fan_swing_dash star_rod_swing_1 star_rod_swing_3 star_rod_swing_4
star_rod_swing_dash lips_stick_swing_1 lips_stick_swing_3 lips_stick_swing_4 lips_stick_swing_dash
parasol_open parasol_fall parasol_fall_special parasol_damage_fall gun_shoot gun_shoot_air
gun_shoot_empty gun_shoot_air_empty flower_shoot flower_shoot_air screw screw_air damage_screw
damage_screw_air scope_start scope_rapid scope_fire scope_end scope_air_start scope_air_rapid
scope_air_fire scope_air_end scope_start_empty scope_rapid_empty scope_fire_empty scope_end_empty
scope_air_start_empty scope_air_rapid_empty scope_air_fire_empty scope_air_end_empty lift_wait
lift_walk_1 lift_walk_2 lift_turn guard_on guard guard_off guard_stun guard_reflect down_bound_up
down_wait_up down_damage_up down_stand_up down_attack_up down_forward_up down_back_up down_spot_up
down_bound_down down_wait_down down_damage_down down_stand_down down_attack_down down_forward_down
down_back_down down_spot_down tech tech_forward tech_back tech_wall tech_wall_jump tech_ceiling
shield_break_fly shield_break_fall shield_break_down_up shield_break_down_down shield_break_stand_up
shield_break_stand_down dizzy grab grab_pull dash_grab dash_grab_pull grab_wait pummel grab_release
throw_forward throw_back throw_up throw_down capture_pulled_high capture_wait_high
capture_damage_high capture_pulled_low capture_wait_low capture_damage_low capture_cut capture_jump
capture_neck capture_foot roll_forward roll_back spot_dodge air_dodge rebound_stop rebound
thrown_forward thrown_back thrown_up thrown_down thrown_down_women platform_drop teeter teeter_wait
fly_reflect_wall fly_reflect_ceiling stop_wall stop_ceiling miss_foot ledge_catch ledge_wait
ledge_climb_slow ledge_climb_quick ledge_attack_slow ledge_attack_quick ledge_roll_slow
ledge_roll_quick ledge_jump_slow_1 ledge_jump_slow_2 ledge_jump_quick_1 ledge_jump_quick_2
taunt_right taunt_left shouldered_wait shouldered_walk_slow shouldered_walk_middle
shouldered_walk_fast shouldered_turn shoulder_thrown_forward shoulder_thrown_back shoulder_thrown_up
shoulder_thrown_down capture_falcon capture_yoshi yoshi_egg capture_bowser capture_damage_bowser
capture_wait_bowser thrown_bowser_forward thrown_bowser_back capture_bowser_air
capture_damage_bowser_air capture_wait_bowser_air thrown_bowser_air_forward thrown_bowser_air_back
capture_kirby capture_wait_kirby thrown_kirby_star thrown_copy_star thrown_kirby barrel_wait bury
bury_wait bury_jump damage_song damage_song_wait damage_song_end damage_bind capture_mewtwo
capture_mewtwo_air thrown_mewtwo thrown_mewtwo_air warp_star_jump warp_star_fall hammer_wait
hammer_walk hammer_turn hammer_jump_squat hammer_fall hammer_jump hammer_landing giant_start
giant_start_air giant_end giant_end_air small_start small_start_air small_end small_end_air entry
entry_start entry_end damage_ice damage_ice_jump capture_master_hand capture_damage_master_hand
capture_wait_master_hand thrown_master_hand capture_kirby_yoshi kirby_yoshi_egg capture_red_ead
capture_like_like down_reflect capture_crazy_hand capture_damage_crazy_hand capture_wait_crazy_hand
thrown_crazy_hand barrel_cannon_wait
""".split()  # noqa: SIM905  one word each reads better than 341 quoted ones
SPECIAL = 341  # from here on the states differ between characters
ACTION_COUNT = 1024  # the largest known state is 525, of Kirby's copies
ACTIONS = (*_COMMON, *(f"special_{number}" for number in range(len(_COMMON), ACTION_COUNT)))


LAST_SPECIAL = 400  # beyond are Kirby's copies of other fighters
LAST_COPY = 525

# character -> ((first, last state, name), ...); the numbers between have no known name
_SPACE_ANIMALS = (
    (341, 343, "laser"), (344, 346, "laser in the air"), (347, 352, "side special"),
    (353, 354, "up special, charging"), (355, 356, "up special, flying"), (357, 359, "up special"),
    (360, 364, "shine"), (365, 369, "shine in the air"), (370, 375, "taunt"),
)  # fmt: skip
_SPECIALS: dict[str, tuple[tuple[int, int, str], ...]] = {
    "fox": _SPACE_ANIMALS,
    "falco": _SPACE_ANIMALS,
    "marth": (
        (341, 348, "neutral special"), (349, 357, "side special"),
        (358, 366, "side special in the air"), (367, 368, "up special"), (369, 372, "counter"),
    ),
    "sheik": (
        (341, 348, "needles"), (349, 354, "chain"), (355, 360, "vanish"), (361, 364, "transform"),
    ),
    "falcon": (
        (347, 348, "punch"), (349, 352, "side special"), (353, 356, "up special"),
        (357, 362, "kick"),
    ),
    "jigglypuff": (
        (341, 345, "air jump"), (346, 362, "rollout"), (363, 364, "pound"), (365, 368, "sing"),
        (369, 372, "rest"),
    ),
    "peach": (
        (341, 341, "float"), (344, 348, "aerial while floating"), (349, 351, "forward smash"),
        (352, 353, "toad"), (354, 360, "bomber"), (361, 364, "parasol"), (365, 368, "turnip"),
    ),
    "game_and_watch": (
        (341, 341, "jab"), (345, 345, "down tilt"), (346, 346, "forward smash"),
        (347, 349, "aerial"),
    ),
}  # fmt: skip


def action_name(state: int, character: int) -> str:
    """Name of an action state for people; `character` is the internal number.

    States from `SPECIAL` on differ between characters; one without a known name is such as
    "special 357 (Samus)".
    """
    if state < SPECIAL:
        return ACTIONS[state].replace("_", " ")
    name = CHARACTERS[character]
    spans = _SPECIALS.get(name, ())
    unnamed = f"special {state} ({name.replace('_', ' ').title()})"
    return next((text for first, last, text in spans if first <= state <= last), unnamed)


def action(name: str) -> int:
    """Number of an action state."""
    return ACTIONS.index(name)


def _actions(*spans: tuple[int, int]) -> frozenset[int]:
    return frozenset(chain.from_iterable(range(first, last + 1) for first, last in spans))


# Groups for masks, events and metrics. They describe what a fighter can decide and are not exact to
# the frame: an attack can be left early, and hitstun can end earlier than its state.
DYING = _actions((0, 10))
RETURNING = _actions((11, 13))
GROUNDED_FREE = _actions((13, 23), (39, 41), (245, 246))
AIRBORNE_FREE = _actions((25, 34))
SHIELDING = _actions((178, 180), (182, 182))
ACTIONABLE = GROUNDED_FREE | AIRBORNE_FREE | SHIELDING | _actions((216, 216), (253, 253))
CANCELLABLE = _actions((24, 24), (42, 42), (65, 69))  # committed, with a decision still possible
ATTACKING = _actions((44, 69), (212, 212), (214, 214), (256, 257))
AERIAL_LANDING = _actions((70, 74))
DAMAGED = _actions((75, 91), (38, 38), (185, 185), (193, 193))
GRABBED = _actions((223, 232))
THROWN = _actions((239, 243))
GRABBING = _actions((212, 222))
CAPTURED = _actions((266, 304), (327, 339))  # by special moves
RISING = _actions((187, 187), (195, 195))  # attacks of one who gets up
TECHING = _actions((199, 204))

# ---- items ----

_ITEMS = {
    0: "capsule", 1: "box", 2: "barrel", 3: "egg", 4: "party_ball", 5: "barrel_cannon",
    6: "bob_omb", 7: "mr_saturn", 8: "heart_container", 9: "maxim_tomato", 10: "starman",
    11: "home_run_bat", 12: "beam_sword", 13: "parasol", 14: "green_shell", 15: "red_shell",
    16: "ray_gun", 17: "freezie", 18: "food", 19: "proximity_mine", 20: "flipper",
    21: "super_scope", 22: "star_rod", 23: "lips_stick", 24: "fan", 25: "fire_flower",
    26: "super_mushroom", 27: "poison_mushroom", 28: "hammer", 29: "warp_star", 30: "screw_attack",
    31: "bunny_hood", 32: "metal_box", 33: "cloaking_device", 34: "poke_ball", 48: "mario_fire",
    49: "dr_mario_pill", 50: "kirby_cutter", 51: "kirby_hammer", 54: "fox_laser", 55: "falco_laser",
    56: "fox_shadow", 57: "falco_shadow", 58: "link_bomb", 59: "young_link_bomb",
    60: "link_boomerang", 61: "young_link_boomerang", 62: "link_hookshot",
    63: "young_link_hookshot", 64: "arrow", 65: "fire_arrow", 66: "pk_fire", 67: "pk_flash",
    68: "pk_flash_2", 69: "pk_thunder", 70: "pk_thunder_trail_1", 71: "pk_thunder_trail_2",
    72: "pk_thunder_trail_3", 73: "pk_thunder_trail_4", 74: "fox_blaster", 75: "falco_blaster",
    76: "link_bow", 77: "young_link_bow", 78: "pk_flash_blast", 79: "needle_thrown",
    80: "needle_held", 81: "pikachu_thunder", 82: "pichu_thunder", 83: "mario_cape",
    84: "dr_mario_cape", 85: "smoke", 86: "yoshi_egg", 87: "yoshi_tongue", 88: "yoshi_star",
    89: "pikachu_jolt_ground", 90: "pikachu_jolt_air", 91: "pichu_jolt_ground",
    92: "pichu_jolt_air", 93: "samus_bomb", 94: "samus_charge_shot", 95: "samus_missile",
    96: "samus_grapple_beam", 97: "sheik_chain", 98: "peach_explosion", 99: "turnip",
    100: "bowser_flame", 101: "ness_bat", 102: "ness_yo_yo", 103: "peach_parasol", 104: "toad",
    105: "luigi_fire", 106: "ice_block", 107: "blizzard", 108: "din_fire", 109: "din_fire_blast",
    110: "mewtwo_disable", 111: "toad_spore", 112: "shadow_ball", 113: "ice_climbers_rope",
    114: "gaw_fire", 115: "gaw_parachute", 116: "gaw_turtle", 117: "gaw_breath", 118: "gaw_judge",
    119: "gaw_octopus", 120: "gaw_chef", 121: "gaw_sausage", 122: "gaw_bucket", 123: "gaw_lion",
    124: "gaw_hammer", 210: "shy_guy",
}  # fmt: skip
ITEMS = tuple(_ITEMS.get(number, f"item_{number}") for number in range(256))

# Items in a hand, or that only accompany a move, get a slot last: they move with their fighter,
# who is stored anyway.
PROPS = frozenset((
    50, 51, 56, 57, 62, 63, 74, 75, 76, 77, 80, 83, 84, 85, 87, 96, 97, 98, 101, 102, 103, 111,
    113, *range(114, 121), 122, 123, 124,
))  # fmt: skip
PROJECTILES = frozenset(range(48, 125)) - PROPS  # sent out by the fighters themselves

# ---- attacks ----

_ATTACKS = {
    0: "none", 1: "not_staling", 2: "jab_1", 3: "jab_2", 4: "jab_3", 5: "rapid_jab",
    6: "dash_attack", 7: "forward_tilt", 8: "up_tilt", 9: "down_tilt", 10: "forward_smash",
    11: "up_smash", 12: "down_smash", 13: "neutral_air", 14: "forward_air", 15: "back_air",
    16: "up_air", 17: "down_air", 18: "neutral_special", 19: "side_special", 20: "up_special",
    21: "down_special", 50: "get_up_attack_back", 51: "get_up_attack_front", 52: "pummel",
    53: "forward_throw", 54: "back_throw", 55: "up_throw", 56: "down_throw",
    61: "ledge_attack_slow", 62: "ledge_attack_quick",
}  # fmt: skip
ATTACKS = tuple(_ATTACKS.get(number, f"attack_{number}") for number in range(256))
