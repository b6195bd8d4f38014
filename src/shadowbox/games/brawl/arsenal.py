"""The table of Brawl's 33 moves: eleven each for bare hands, spear and hammer.

Edit freely: `moves.check` names every mistake, and the physics reads nothing but this table. The
arguments of `_hit` are active frames, hit box (x, y, width, height), damage, force (fixed,
variable), angle and stun. Bare hands are quick and close, the spear keeps the opponent away, the
hammer is slow and strong.
"""

from __future__ import annotations

from shadowbox.games.brawl.moves import Move, _Strike

Box = tuple[float, float, float, float]


def _hit(
    first: int,
    last: int,
    box: Box,
    damage: float,
    force: tuple[float, float],
    angle: float,
    stun: int,
) -> _Strike:
    return _Strike(
        frames=(first, last), box=box, damage=damage, force=force, angle=angle, stun=stun
    )


UNARMED = {
    "neutral_light": Move(
        name="one-two-three",
        strikes=(
            _hit(2, 3, (0.55, -0.05, 0.80, 0.50), 3, (22, 0), 20, 8),
            _hit(5, 6, (0.60, -0.05, 0.90, 0.50), 3, (22, 0), 20, 8),
            _hit(8, 9, (0.65, -0.10, 1.00, 0.55), 6, (58, 30), 35, 10),
        ),
        recovery=6,
        motions=((4, 2.0, None), (7, 2.0, None)),
    ),
    "down_light": Move(
        name="ankle sweep",
        strikes=(_hit(4, 6, (0.60, 0.32, 1.00, 0.36), 7, (46, 6), 82, 15),),
        recovery=8,
    ),
    "side_light": Move(
        name="shoulder",
        strikes=(_hit(5, 7, (0.65, 0.00, 0.85, 0.60), 11, (62, 20), 18, 9),),
        recovery=8,
        motions=((3, 6.0, None),),
    ),
    "neutral_heavy": Move(
        name="rising elbow",
        strikes=(_hit(8, 11, (0.15, -0.70, 1.00, 1.00), 19, (52, 53), 88, 9),),
        recovery=9,
        charge=15,
    ),
    "down_heavy": Move(
        name="split kick",
        strikes=(
            _hit(6, 8, (0.65, 0.15, 0.90, 0.50), 15, (48, 60), 15, 9),
            _hit(6, 8, (-0.65, 0.15, 0.90, 0.50), 15, (48, 60), 165, 9),
        ),
        recovery=13,
        charge=15,
    ),
    "side_heavy": Move(
        name="haymaker",
        strikes=(_hit(9, 12, (0.75, -0.05, 0.95, 0.65), 18, (54, 60), 24, 9),),
        recovery=10,
        charge=15,
        motions=((8, 4.0, None),),
    ),
    "neutral_air": Move(
        name="cartwheel",
        strikes=(_hit(3, 8, (0.00, 0.00, 1.60, 0.95), 11, (58, 34), 45, 8),),
        recovery=8,
    ),
    "down_air": Move(
        name="heel drop",
        strikes=(_hit(6, 9, (0.15, 0.65, 0.80, 0.70), 14, (48, 46), -72, 10),),
        recovery=9,
    ),
    "side_air": Move(
        name="flying knee",
        strikes=(_hit(5, 9, (0.60, 0.00, 0.90, 0.60), 13, (56, 44), 25, 8),),
        recovery=8,
        motions=((4, 6.5, None),),
    ),
    "recovery": Move(
        name="skyward fist",
        strikes=(_hit(3, 9, (0.30, -0.50, 0.85, 1.00), 14, (58, 44), 80, 11),),
        recovery=9,
        motions=((2, 2.5, -9.6),),
    ),
    "ground_pound": Move(
        name="meteor",
        strikes=(_hit(9, 12, (0.00, 0.45, 1.00, 0.90), 16, (52, 53), -70, 9),),
        recovery=12,
        hover=(0, 8),
        plunge=11.0,
        motions=((0, 0.0, -1.5), (4, 0.0, 0.0)),
    ),
}

SPEAR = {
    "neutral_light": Move(
        name="quick thrust",
        strikes=(
            _hit(4, 5, (1.10, 0.00, 1.50, 0.34), 6, (24, 0), 12, 9),
            _hit(9, 10, (1.25, 0.00, 1.80, 0.34), 8, (66, 10), 15, 9),
        ),
        recovery=9,
    ),
    "down_light": Move(
        name="low reap",
        strikes=(_hit(6, 8, (1.15, 0.32, 1.70, 0.36), 9, (62, 4), 62, 12),),
        recovery=10,
    ),
    "side_light": Move(
        name="lunge",
        strikes=(_hit(7, 9, (1.35, 0.00, 1.90, 0.34), 13, (76, 16), 30, 9),),
        recovery=12,
        motions=((5, 7.0, None),),
    ),
    "neutral_heavy": Move(
        name="flagpole",
        strikes=(_hit(10, 13, (0.20, -1.20, 0.70, 1.90), 21, (54, 57), 82, 8),),
        recovery=11,
        charge=15,
    ),
    "down_heavy": Move(
        name="windmill",
        strikes=(
            _hit(11, 13, (1.15, 0.10, 1.70, 0.60), 20, (56, 57), 25, 8),
            _hit(15, 17, (-1.15, 0.10, 1.70, 0.60), 20, (56, 57), 155, 8),
        ),
        recovery=13,
        charge=15,
    ),
    "side_heavy": Move(
        name="skewer",
        strikes=(_hit(13, 15, (1.45, 0.00, 1.80, 0.38), 24, (66, 60), 10, 8),),
        recovery=11,
        charge=15,
        motions=((12, 6.0, None),),
    ),
    "neutral_air": Move(
        name="halo",
        strikes=(_hit(6, 9, (0.10, -0.85, 1.80, 0.80), 14, (72, 14), 85, 11),),
        recovery=10,
    ),
    "down_air": Move(
        name="impale",
        strikes=(_hit(7, 10, (0.35, 1.00, 0.45, 1.40), 13, (52, 39), -80, 9),),
        recovery=9,
    ),
    "side_air": Move(
        name="pike",
        strikes=(_hit(7, 10, (1.30, 0.05, 1.80, 0.36), 15, (52, 48), 20, 10),),
        recovery=9,
    ),
    "recovery": Move(
        name="vault",
        strikes=(_hit(5, 11, (0.45, -0.70, 0.60, 1.60), 15, (60, 46), 85, 11),),
        recovery=10,
        motions=((3, 3.5, -9.2),),
    ),
    "ground_pound": Move(
        name="lightning rod",
        strikes=(_hit(11, 14, (0.20, 0.90, 0.50, 1.40), 18, (56, 48), -82, 10),),
        recovery=14,
        hover=(0, 10),
        plunge=12.0,
        motions=((0, 0.0, -2.0), (5, 0.0, 0.0)),
    ),
}

HAMMER = {
    "neutral_light": Move(
        name="butt and swing",
        strikes=(
            _hit(4, 6, (0.70, 0.00, 0.90, 0.60), 7, (20, 0), 10, 11),
            _hit(10, 12, (0.95, -0.15, 1.30, 0.80), 12, (66, 39), 35, 11),
        ),
        recovery=9,
    ),
    "down_light": Move(
        name="foot crusher",
        strikes=(_hit(6, 8, (0.85, 0.28, 1.00, 0.44), 8, (38, 6), 86, 14),),
        recovery=10,
    ),
    "side_light": Move(
        name="battering ram",
        strikes=(_hit(8, 11, (0.95, 0.00, 1.10, 0.70), 16, (60, 18), 22, 12),),
        recovery=10,
        motions=((6, 6.0, None),),
    ),
    "neutral_heavy": Move(
        name="bell ringer",
        strikes=(_hit(11, 14, (0.10, -0.95, 1.70, 1.20), 26, (62, 60), 84, 13),),
        recovery=16,
        charge=20,
    ),
    "down_heavy": Move(
        name="earthquake",
        strikes=(
            _hit(14, 17, (0.00, 0.20, 3.40, 0.60), 14, (30, 4), 90, 13),
            _hit(19, 21, (0.00, 0.05, 4.00, 0.80), 14, (62, 60), 60, 12),
        ),
        recovery=20,
        charge=20,
    ),
    "side_heavy": Move(
        name="home run",
        strikes=(_hit(15, 18, (1.10, -0.05, 1.50, 0.90), 26, (70, 60), 28, 13),),
        recovery=15,
        charge=20,
        motions=((14, 3.0, None),),
    ),
    "neutral_air": Move(
        name="roundhouse",
        strikes=(_hit(8, 12, (0.00, -0.10, 2.20, 1.00), 18, (56, 46), 70, 13),),
        recovery=11,
    ),
    "down_air": Move(
        name="anvil",
        strikes=(_hit(8, 11, (0.40, 0.80, 0.90, 0.90), 16, (50, 55), -78, 11),),
        recovery=13,
    ),
    "side_air": Move(
        name="broadside",
        strikes=(_hit(9, 12, (0.95, 0.00, 1.30, 0.80), 20, (62, 53), 24, 12),),
        recovery=11,
    ),
    "recovery": Move(
        name="pendulum",
        strikes=(_hit(4, 10, (0.50, -0.45, 1.10, 1.20), 16, (52, 37), 75, 10),),
        recovery=11,
        motions=((3, 2.0, -9.0),),
    ),
    "ground_pound": Move(
        name="landslide",
        strikes=(_hit(13, 16, (0.20, 0.50, 1.60, 1.10), 24, (54, 60), -60, 11),),
        recovery=18,
        hover=(0, 12),
        plunge=12.0,
        motions=((0, 0.0, -2.5), (6, 0.0, 0.0)),
    ),
}

ARSENAL = {"unarmed": UNARMED, "spear": SPEAR, "hammer": HAMMER}
