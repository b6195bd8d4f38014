"""Tables of names and numbers that the bots and rewards of Brawl are made of.

Of a fighter, `brain.py` reads nothing but its row in `STYLES`. Chances are per frame, lengths are
in u. A skill of 0 is absent, a skill of 1 is perfect.
"""

from __future__ import annotations

from dataclasses import dataclass

# ---- bots ----------------------------------------------------------------------------------------

# A bot is a row of numbers: its kind, then a style (fighter), a number of styles and these styles
# (switcher), or a number of frames and their keys (script).
SCRIPT, RANDOM, TAPPER, FIGHTER, SWITCHER = range(5)
OUTSIDE = -1  # the seat is played from outside


@dataclass(frozen=True, kw_only=True)
class Style:
    """Numbers by which a scripted fighter decides: distances, chances, preferences and skills."""

    distance: float = 0.0  # preferred distance to the opponent
    leash: float = 99.0  # does not follow an opponent who is further away
    attack: float = 0.5  # chance to strike once a move would hit
    sloppy: float = 0.3  # hit boxes are taken to be larger by this much
    lead: float = 0.0  # skill: aims at the opponent's predicted position
    heavy: float = 1.0  # weight of heavy moves, against 1 for light ones
    air: float = 1.0  # weight of moves in the air
    finish: float = 0.0  # skill: heavy moves when they would throw far
    hop: float = 0.02  # chance to jump for no reason
    dash: float = 0.0  # chance to dash when far away
    dodge: float = 0.0  # chance to dodge a strike that is coming
    charge: float = 0.0  # chance to go on holding a heavy back
    wants_weapon: float = 0.0  # greatest distance walked to a weapon
    guard: float = 0.0  # greatest distance that it follows an opponent beyond the edge
    recover: float = 1.0  # skill: uses jumps and the recovery move to come back
    taunt: float = 0.0  # chance to taunt while the opponent is out
    patience: float = 0.0  # skill: keeps out of reach until the opponent's move is over


STYLES: dict[str, Style] = {
    "based": Style(attack=0.6, sloppy=0.35, hop=0.02, heavy=0.7, wants_weapon=1.0),
    "aggressive": Style(
        attack=0.95, sloppy=0.25, heavy=0.8, dash=0.6, hop=0.02, lead=0.8, wants_weapon=1.5
    ),
    "defensive": Style(
        distance=2.4, leash=5.0, attack=0.6, sloppy=0.0, heavy=1.5, hop=0.003, dodge=0.4,
        lead=0.7, charge=0.3, patience=0.7,
    ),
    "kiter": Style(
        distance=4.0, attack=0.6, sloppy=0.1, heavy=0.4, hop=0.03, dodge=0.05, lead=0.6,
        dash=0.1, wants_weapon=6.0,
    ),
    "aerial": Style(
        distance=0.5, attack=0.7, sloppy=0.2, air=6.0, heavy=0.5, hop=0.3, lead=0.6
    ),
    "edge_guard": Style(
        distance=0.6, attack=0.6, sloppy=0.1, heavy=2.0, hop=0.01, lead=0.8, guard=4.0,
        finish=0.8, charge=0.3,
    ),
    "weapon_seeker": Style(
        attack=0.6, sloppy=0.2, heavy=1.0, hop=0.02, lead=0.5, wants_weapon=99.0, dash=0.1
    ),
    "charger": Style(
        distance=1.4, attack=0.5, sloppy=0.2, heavy=8.0, hop=0.003, lead=0.6, charge=0.97
    ),
    "trickster": Style(
        distance=1.8, attack=0.5, sloppy=0.1, heavy=0.6, hop=0.15, dash=0.6, dodge=0.8,
        lead=0.6, wants_weapon=3.0, taunt=1.0,
    ),
    "expert": Style(
        distance=1.3, attack=1.0, sloppy=-0.06, lead=1.0, heavy=1.5, finish=1.0, hop=0.003,
        dash=0.1, dodge=0.85, charge=0.2, wants_weapon=4.0, guard=1.5, patience=1.0,
    ),
    # degenerate ones, in both of which no opponent is ever approached
    "camper": Style(distance=60.0, attack=0.6, sloppy=0.2, hop=0.0),
    "runner": Style(distance=60.0, attack=0.0, hop=0.1, dash=0.3, dodge=0.8),
}  # fmt: skip

# The styles of `switcher` without an argument; the match's seed chooses their order and the frame of
# the first change.
SWITCHES = ("aggressive", "defensive", "aerial", "kiter")
SWITCH_FRAMES = 300

# Bots that repeat a few keys whatever happens, or avoid to fight: a learner that lives by its
# opponents' mistakes loses against them. `camper` stays at the edge that is far from its opponent
# and strikes who comes near, `runner` only runs there.
SCRIPTS = {"kicker": "k*2,-*10", "jumper": "space*2,-*6"}
DEGENERATE = (*SCRIPTS, "camper", "runner")

# Bots that are never trained on: they measure a learner against opponents it has not met.
HELD_OUT = ("trickster", "charger", "switcher", *DEGENERATE)

BOT_NOTES = {  # for people who choose one
    "constant": "presses nothing",
    "random": "presses every key in half of all frames",
    "clockwork": "plays a script of keys over and over: clockwork:d*20,d+j*5,-*10",
    "tapper": "taps four keys by chance, the light attack more often when near",
    "based": "walks up and strikes",
    "aggressive": "closes in and rarely lets go",
    "defensive": "keeps its distance, dodges, and punishes mistakes",
    "kiter": "stays far away with a weapon and strikes from there",
    "aerial": "fights in the air",
    "edge_guard": "follows beyond the edge to finish",
    "weapon_seeker": "goes for every weapon first",
    "charger": "holds heavy attacks back for as long as it can",
    "trickster": "dashes, dodges, jumps about and taunts",
    "switcher": "changes its style every 10 seconds; switcher:aerial+kiter names the styles",
    "expert": "aims ahead, dodges, guards the edge, and waits for openings",
    "kicker": "presses the heavy key, whatever happens",
    "jumper": "jumps on the spot",
    "camper": "waits at the far edge and strikes who comes near",
    "runner": "runs away",
}

# ---- reward terms --------------------------------------------------------------------------------

# Each is positive where it is good for a player.
TERMS = {
    "damage": "damage dealt minus damage taken, in units of 140",
    "danger_zone": "penalty for time spent below the stage, in seconds",
    "head_to_opponent": "distance moved sideways toward the opponent, in u",
    "closing": "a quarter of the distance closed, plus a little for being near, within -1 .. 1",
    "edge_pressure": "distance the opponent was driven outward, minus half of what it came back",
    "attack_press": "time with an attack key held, more near the opponent, half without a hit",
    "many_keys": "penalty for time with more than three keys held, in seconds",
    "attacking": "penalty for time spent in a move, in seconds; against button mashing",
    "base_height": "penalty for the squared height above or below the middle, per second",
    "head_to_middle": "distance moved sideways toward the middle of the stage, in u",
    "win": "+1 for the winner of the match, -1 for the loser, 0 for both in a draw",
    "knockout": "-1 for each own stock lost, +1 for each of the opponent's",
    "combo": "+1 for hitting a stunned opponent, -1 for being hit while stunned",
    "equip": "+1 for picking up a spear, +2 for a hammer",
    "drop": "-1 for dropping a weapon",
}
