"""Calibration: what is known to be bent is bent back, and what cannot be chosen is not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shadowbox.core.presses import onsets
from shadowbox.evaluate import calibration
from shadowbox.evaluate.calibration import (
    PLAYED_AT,
    TEMPERATURES,
    Calibration,
    PlayTemperatureFit,
    _OffsetFit,
    fit_offset,
    fit_play_temperature,
    fit_temperature,
    fit_threshold,
    with_hysteresis,
)


def bent(
    temperature: float, sessions: int = 12, frames: int = 4000
) -> tuple[np.ndarray, np.ndarray]:
    """Costs of a model whose logits are `temperature` times too large, at every temperature that is tried."""
    draws = np.random.default_rng(0)
    costs = np.zeros((sessions, len(TEMPERATURES), 1))
    for session in range(sessions):
        logit = draws.normal(-2, 1.5, frames)
        happened = draws.random(frames) < 1 / (1 + np.exp(-logit))
        for at, tried in enumerate(TEMPERATURES):
            scaled = logit * temperature / tried
            costs[session, at, 0] = np.logaddexp(0, np.where(happened, -scaled, scaled)).sum()
    return costs, np.full(sessions, frames)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
def test_the_temperature_that_bent_a_model_is_found(temperature: float) -> None:
    """Logits scaled by a factor get that factor back, with a lower loss on the other sessions."""
    costs, frames = bent(temperature)
    heat = fit_temperature(["keys"], costs, frames)["keys"]
    assert heat.temperature == pytest.approx(temperature, rel=0.06)
    assert heat.is_default == (temperature == 1.0)
    assert heat.after <= heat.before + 1e-4
    if temperature != 1.0:
        assert heat.after < heat.before - 1e-3


def test_hysteresis_by_hand() -> None:
    """Down above `on`, up below `off`, and in between as it was; it begins up."""
    chance = np.array([0.5, 0.7, 0.5, 0.45, 0.3, 0.5, 0.61])
    assert with_hysteresis(chance, 0.6, 0.4).tolist() == [
        False,
        True,
        True,
        True,
        False,
        False,
        True,
    ]


@given(arrays.arrays(float, st.integers(1, 40), elements=st.floats(0, 1)), st.floats(0.1, 0.9))
def test_hysteresis_is_the_loop_that_runs(chance: np.ndarray, threshold: float) -> None:
    """The vectorized form does what a live loop does frame by frame."""
    held, expected = False, []
    for p in chance:
        held = p > threshold + 0.05 or (held and not p < threshold - 0.05)
        expected.append(held)
    assert with_hysteresis(chance, threshold + 0.05, threshold - 0.05).tolist() == expected


def sessions(
    seed: int, count: int = 8, frames: int = 3000, high: float = 0.6
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Presses of six frames whose chance rises to `high` while they last and is low otherwise, with noise."""
    draws = np.random.default_rng(seed)
    chances, downs = [], []
    for _ in range(count):
        down = np.zeros(frames, bool)
        for start in np.flatnonzero(draws.random(frames) < 0.01):
            down[start : start + 6] = True
        chances.append(np.clip(np.where(down, high, 0.05) + draws.normal(0, 0.03, frames), 0, 1))
        downs.append(down)
    return chances, downs


def test_a_threshold_lies_in_the_middle_of_its_plateau() -> None:
    """Where thresholds from .15 to .45 are equally good, about .3 is chosen."""
    found = fit_threshold(*sessions(1))
    assert found.threshold == pytest.approx(0.3, abs=0.051)
    assert (found.on, found.off) == (
        pytest.approx(found.threshold + 0.05),
        pytest.approx(found.threshold - 0.05),
    )
    assert found.f1 is not None
    assert found.f1 > 0.98


def test_false_presses_at_rest_count_against_a_threshold() -> None:
    """Of two thresholds that find the presses equally well, the one without presses at rest is chosen."""
    down, calm = np.zeros(6000, bool), np.zeros(6000, bool)
    for at in range(40):
        down[at * 100 : at * 100 + 10] = True
    calm[4100:] = True
    chance = np.where(down, 0.95, 0.02)
    chance[4200::900] = 0.6  # few beside the presses, so that F1 alone hardly falls
    shaky = np.where(down & (np.arange(6000) // 100 % 10 == 0), 0.55, chance)
    usual = fit_threshold([shaky] * 2, [down] * 2)
    strict = fit_threshold([shaky] * 2, [down] * 2, calm=[calm] * 2, fps=30.0)
    assert usual.threshold < 0.5
    assert strict.threshold > 0.6


def test_half_the_sessions_choose_and_the_other_half_reports() -> None:
    """Where the halves disagree, the reported F1 is that of thresholds chosen on the other half."""
    low, high = sessions(2, 4, high=0.25), sessions(3, 4, high=0.9)
    chances = [c for pair in zip(low[0], high[0], strict=True) for c in pair]
    downs = [d for pair in zip(low[1], high[1], strict=True) for d in pair]
    mixed = [
        np.where(down, chance, 0.4) if at % 2 else chance
        for at, (chance, down) in enumerate(zip(chances, downs, strict=True))
    ]
    crossed = fit_threshold(mixed, downs).f1
    own = np.mean([fit_threshold(mixed[half::2], downs[half::2]).f1 for half in (0, 1)])
    assert crossed is not None
    assert own > 0.95
    assert crossed < 0.6


def test_the_temperature_of_play_is_the_bottom_of_a_rough_bowl() -> None:
    """Noisy distances with a minimum at .9 choose about .9, scored on the other matches."""
    tried, draws = np.log(PLAYED_AT), np.random.default_rng(3)
    bowl = np.sqrt(0.1 + 30 * (tried - np.log(0.9)) ** 2)
    found = [
        fit_play_temperature(bowl + draws.normal(0, 0.05, (3, len(PLAYED_AT)))) for _ in range(50)
    ]
    assert np.mean([play.temperature for play in found]) == pytest.approx(0.9, abs=0.01)
    assert max(abs(play.temperature - 0.9) for play in found) < 0.06
    assert np.mean([play.before for play in found]) == pytest.approx(
        bowl[PLAYED_AT.index(1.0)], abs=0.03
    )
    assert np.mean([play.after for play in found]) == pytest.approx(bowl.min(), abs=0.03)
    assert fit_play_temperature(np.full((3, len(PLAYED_AT)), 9.0)).temperature == 1, (
        "who never presses is not helped"
    )


def test_both_players_of_a_session_are_in_one_half() -> None:
    """What one player of a match chose is never reported on the other player of the same match."""
    low, high = sessions(2, 4, high=0.25), sessions(3, 4, high=0.9)
    downs = [*low[1], *high[1]]
    chances = [*low[0], *(np.where(down, chance, 0.4) for chance, down in zip(*high, strict=True))]
    together = fit_threshold(chances, downs, sessions=[7, 7, 7, 7, 9, 9, 9, 9]).f1
    apart = fit_threshold(chances, downs, sessions=[1, 2, 1, 2, 1, 2, 1, 2]).f1
    assert together is not None
    assert apart is not None
    assert together < 0.6 < apart


def test_too_few_presses_choose_nothing() -> None:
    """A button that hardly begins a press gets a high threshold, and is said to be untuned."""
    down = np.zeros(5000, bool)
    down[::500] = True
    found = fit_threshold([np.where(down, 0.99, 0.0)], [down])
    assert onsets(down).sum() == found.presses == 10
    assert (found.threshold, found.f1, found.tuned) == (calibration.SAFE, None, False)


def test_calibrations_are_plain_data() -> None:
    """It survives JSON, and an empty one means nothing was calibrated."""
    costs, frames = bent(1.5)
    made = Calibration(
        fit_temperature(["keys"], costs, frames),
        {"keys/j": fit_threshold(*sessions(1, 4))},
        PlayTemperatureFit(0.9, 1.2, 0.4),
    )
    assert Calibration.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert Calibration.from_json({}) == Calibration({}, {})


def test_an_offset_brings_the_rate_of_the_data() -> None:
    """Logits that are 4 too low get an offset of 4, and then the rate of presses, on unseen sessions too."""
    draws, chances, downs = np.random.default_rng(1), [], []
    for _ in range(10):
        logit = draws.normal(-2, 1, 2000)
        downs.append(draws.random(2000) < 1 / (1 + np.exp(-logit)))
        chances.append(1 / (1 + np.exp(4 - logit)))
    fit = fit_offset(chances, downs)
    assert fit.offset == pytest.approx(4, abs=0.15)
    assert fit.before < 0.1 * fit.rate
    assert fit.after == pytest.approx(fit.rate, rel=0.1)


def test_offsets_survive_a_checkpoint() -> None:
    """Offsets come back from plain data, and a calibration from before there were any has none."""
    made = Calibration({}, {}, None, {"a": _OffsetFit(1.5, 0.1, 0.05, 0.1)})
    assert Calibration.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert not Calibration.from_json({"temperature": {}, "thresholds": {}, "play": None}).offsets


@pytest.mark.parametrize(("down", "offset"), [(False, -20), (True, 20)])
def test_a_button_that_never_changes_gets_the_farthest_offset(down: bool, offset: float) -> None:
    """Without a press, or without a release, the offset is finite."""
    some = [np.full(50, 0.3)] * 4
    assert fit_offset(some, [np.full(50, down)] * 4).offset == pytest.approx(offset, abs=1e-3)
