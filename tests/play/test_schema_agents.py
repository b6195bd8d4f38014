"""Agents that every game has: `neutral`, `random` and `hold:CONTROL`."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import TOY

from shadowbox.core.game import Game
from shadowbox.core.schema import Choice, Group, Real, Schema
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.play import specs
from shadowbox.testing import check_agent

WHEEL = Schema(
    "wheel",
    fps=60,
    state=TOY.state,
    controls=Group(
        "seat",
        (Real("angle", low=-90, high=30), Choice("gear", 5, names=("n", "1", "2", "3", "r"))),
        slots=4,
        per="player",
    ),
    players=2,
)
GAMES = {
    "toy": Game(name="toy", title="", schema=TOY),
    "wheel": Game(name="wheel", title="", schema=WHEEL),
    "melee": load("melee"),
}


def act(spec, game, matches=400, frames=1):
    """Controls of each frame, [frames, matches, own slots] by key."""
    agent, frame = specs.agent(spec, game), np.arange(matches)
    state, kept = agent.start(frame, np.zeros(matches, int)), []
    for _ in range(frames):
        controls, state = agent.act(game.schema.neutral(matches), state)
        kept.append(controls)
    return {key: np.stack([each[key] for each in kept]) for key in kept[0]}


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("spec", ["neutral", "random", "random@delay=3", "hold"])
def test_every_schema_has_them(name, spec):
    """They keep the promises of an agent in a game of any schema, Melee's too, without its help."""
    game = GAMES[name]
    control = game.schema.control_keys[0].partition("/")[2]
    check_agent(specs.agent(f"hold:{control}" if spec == "hold" else spec, game), game)


def test_neutral_presses_nothing():
    """All controls of `neutral` are zero."""
    assert not any(values.any() for values in act("neutral", GAMES["melee"]).values())


def test_random_is_uniform_within_bounds():
    """Reals fill the range of their field evenly, choices all their values, flags half of the frames."""
    drawn = act("random", GAMES["wheel"], frames=5)
    angle, gear = drawn["seat/angle"], drawn["seat/gear"]
    assert angle.shape == (5, 400, 2)
    assert np.quantile(angle, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx(
        [-90, -60, -30, 0, 30], abs=4
    )
    assert np.bincount(gear.ravel()) / gear.size == pytest.approx([0.2] * 5, abs=0.03)
    for values in (angle, gear):  # frames, matches and slots are independent of each other
        assert abs(np.corrcoef(values[0, :, 0], values[1, :, 0])[0, 1]) < 0.15
        assert abs(np.corrcoef(values[0, :, 0], values[0, :, 1])[0, 1]) < 0.15
    for key, values in act("random", GAMES["melee"], frames=3).items():
        if values.dtype == bool:
            assert values.mean() == pytest.approx(0.5, abs=0.06), key
        else:
            low, high = GAMES["melee"].schema.columns[key].field.limits
            assert values.mean() == pytest.approx((low + high) / 2, abs=0.06 * (high - low)), key
            assert low <= values.min() < low + 0.05 * (high - low), key


def test_random_needs_bounds():
    """A control without bounds is named, instead of being drawn out of nowhere."""
    open_end = Group("seat", (Real("angle", low=0),), slots=2, per="player")
    game = Game(name="x", title="", schema=Schema("x", fps=60, state=(), controls=open_end))
    with pytest.raises(UsageError, match="seat/angle of x has no bounds to draw within"):
        specs.agent("random", game)


def test_hold_holds():
    """Only the named controls are held: flags, reals at their highest or at a value, named choices."""
    held = act("hold:angle=-45+gear=3", GAMES["wheel"], matches=2)
    assert (held["seat/angle"] == -45).all()
    assert (held["seat/gear"] == 3).all()
    held = act("hold:a+pad/main_x", GAMES["melee"], matches=2)
    assert held.pop("pad/a").all()
    assert (held.pop("pad/main_x") == 1).all()
    assert not any(values.any() for values in held.values())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hold", "name a control: expected one of angle, gear|name a control: "),
        ("hold:angel", "wheel has no control 'angel': did you mean 'angle'"),
        ("hold:angle=31", "give angle a number from -90 to 30, as in hold:angle=30"),
        ("hold:gear", "give gear a whole number from 0 to 4"),
        ("hold:gear=1.5", "give gear a whole number from 0 to 4"),
        ("neutral:x", "takes no argument"),
        ("nutral", "wheel has no bot 'nutral': did you mean 'neutral'"),
    ],
)
def test_refusals(spec, message):
    """What cannot be held is refused, with the values that could be."""
    with pytest.raises(UsageError, match=message):
        specs.agent(spec, GAMES["wheel"])


def test_a_bot_of_the_game_comes_first():
    """Where a game has a bot of that name, the spec means that bot."""
    brawl = load("brawl")
    assert type(specs.agent("random", brawl)) is type(brawl.bots["random"](""))
    assert specs.bot_names(brawl).count("random") == 1
    assert specs.bot_names(load("melee")) == ["neutral", "random", "hold"]
