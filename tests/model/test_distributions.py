"""Distributions are proper for each kind of field, and changed losses are inverted exactly."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.errors import UsageError
from shadowbox.model.codebook import CodebookDistribution
from shadowbox.model.distributions import (
    ControlDistribution,
    FlagDistribution,
    MixtureDistribution,
    RegressionDistribution,
)
from shadowbox.model.loss_options import LossOptions

COMBOS = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
RING = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]


def book(points=COMBOS, **options) -> CodebookDistribution:
    """A codebook over two values."""
    return CodebookDistribution("keys", ["p/a", "p/b"], [0, 1], points, LossOptions(**options))


def discrete() -> list[tuple[ControlDistribution, list[list[float]]]]:
    """Distributions over a few values, each with all possible values."""
    return [
        (book(), COMBOS),
        (book(COMBOS[:3]), COMBOS[:3]),
        (book(RING), RING),
        (FlagDistribution(["p/a", "p/b"], [0, 1]), COMBOS),
    ]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_probabilities_sum_to_one(which, temperature):
    """Probabilities of all combinations sum to one for any output, frame before and temperature."""
    part, possible = discrete()[which]
    output = torch.randn(50, part.width) * 3
    previous = torch.tensor(possible)[torch.randint(len(possible), (50,))]
    total = sum(
        part.log_prob(output, torch.tensor(v).expand(50, 2), previous, temperature).exp()
        for v in possible
    )
    torch.testing.assert_close(total, torch.ones(50))


@pytest.mark.parametrize("which", range(4))
def test_costs_entropy_and_divergence_are_those_of_the_likelihood(which):
    """Loss, entropy, KL divergence, mean and mode follow from the likelihoods of all values."""
    part, possible = discrete()[which]
    ours, theirs = torch.randn(2, 40, part.width)
    previous = torch.tensor(possible)[torch.randint(len(possible), (40,))]
    values = torch.tensor(possible)[torch.randint(len(possible), (40,))]
    torch.testing.assert_close(
        part.loss(ours, values, previous).sum(-1), -part.log_prob(ours, values, previous)
    )
    all_values = [torch.tensor(v).expand(40, 2) for v in possible]
    log_p, log_q = (
        torch.stack([part.log_prob(output, v, previous) for v in all_values])
        for output in (ours, theirs)
    )
    torch.testing.assert_close(part.entropy(ours, previous), -(log_p.exp() * log_p).sum(0))
    torch.testing.assert_close(
        part.kl(ours, theirs, previous),
        (log_p.exp() * (log_p - log_q)).sum(0),
        atol=1e-5,
        rtol=1e-4,
    )
    expected = (log_p.exp()[..., None] * torch.stack(all_values)).sum(0)
    torch.testing.assert_close(part.mean(ours, previous), expected)
    likely = torch.tensor(possible)[log_p.argmax(0)]
    assert torch.equal(part.mode(ours, previous), likely)


@pytest.mark.parametrize("which", range(4))
def test_samples_come_as_often_as_they_are_likely(which):
    """The frequencies of many samples are their probabilities."""
    part, possible = discrete()[which]
    torch.manual_seed(1)
    output, previous = (
        torch.randn(1, part.width).expand(40000, -1),
        torch.tensor(possible[:1]).expand(40000, -1),
    )
    samples = part.sample(output, previous, torch.rand(40000, part.draws), 1.5)
    for values in possible:
        share = (samples == torch.tensor(values)).all(-1).float().mean()
        expected = part.log_prob(output[:1], torch.tensor([values]), previous[:1], 1.5).exp()[0]
        assert abs(share - expected) < 4 * math.sqrt(float(expected) / 40000) + 1e-3
    mean = part.mean(output[:1], previous[:1], 1.5)[0]
    assert torch.allclose(samples.mean(0), mean, atol=0.015), (
        "the mean must be that of the samples at this temperature"
    )


def minimizer(options: LossOptions, p: float) -> torch.Tensor:
    """Logit that minimizes the expected loss of an event of probability p, found by bisection."""
    low, high = torch.tensor(-25.0, dtype=torch.float64), torch.tensor(25.0, dtype=torch.float64)
    for _ in range(80):
        logit = ((low + high) / 2).requires_grad_()
        cost = p * options.loss_of(logit, torch.tensor(1.0)) + (1 - p) * options.loss_of(
            logit, torch.tensor(0.0)
        )
        (slope,) = torch.autograd.grad(cost, logit)
        low, high = (low, logit.detach()) if slope > 0 else (logit.detach(), high)
    return (low + high) / 2


@given(
    st.floats(0.002, 0.95),
    st.floats(0.2, 30),
    st.sampled_from([0.0, 1.0, 2.0]),
    st.sampled_from([0.0, 0.05]),
)
@settings(max_examples=60)
def test_bent_losses_are_undone(p, weight, gamma, smoothing):
    """Sampling has the probability of the data for any weight, focus and smoothing."""
    options = LossOptions(pos_weight=weight, focal_gamma=gamma, label_smoothing=smoothing)
    inverted = torch.sigmoid(options.unbiased_logits(minimizer(options, p)))
    assert abs(float(inverted) - p) < 2e-3


def test_bias_is_a_distortion_on_purpose():
    """The bias is added to the logit at sampling time and does not change the loss."""
    part, plain = (
        FlagDistribution(["p/a"], [0], LossOptions(logit_bias=4.0)),
        FlagDistribution(["p/a"], [0]),
    )
    output, nothing = torch.tensor([[-7.0]]), torch.zeros(1, 1)
    assert torch.equal(part.loss(output, nothing, nothing), plain.loss(output, nothing, nothing))
    torch.testing.assert_close(part.mean(output, nothing), torch.sigmoid(output + 4))


def test_weights_and_smoothing_of_a_codebook_are_undone():
    """A codebook trained with weighted changes and smoothed targets has its data's frequencies."""
    torch.manual_seed(0)
    part = book(COMBOS, pos_weight=8.0, label_smoothing=0.02)
    frequencies = torch.tensor([0.9, 0.06, 0.03, 0.01])
    values, previous = torch.tensor(COMBOS), torch.zeros(4, 2)
    output = torch.zeros(part.width, requires_grad=True)
    adam = torch.optim.Adam([output], lr=0.05)
    for _ in range(1500):
        adam.zero_grad()
        (part.loss(output.expand(4, -1), values, previous).sum(-1) * frequencies).sum().backward()
        adam.step()
    learned = part.log_prob(output.detach().expand(4, -1), values, previous).exp()
    torch.testing.assert_close(learned, frequencies, atol=2e-3, rtol=0)


@given(st.integers(1, 5), st.data())
@settings(max_examples=40)
def test_a_value_is_read_as_its_nearest_point(count, data):
    """A point is mapped to itself, and other flags to a point with the fewest differences."""
    rows = list(itertools.product((0.0, 1.0), repeat=count))
    points = data.draw(st.lists(st.sampled_from(rows), min_size=1, max_size=8, unique=True))
    part = CodebookDistribution("keys", [f"p/{at}" for at in range(count)], range(count), points)
    assert part.index(torch.tensor(points)).tolist() == list(range(len(points)))
    for row in rows:
        distances = [sum(abs(a - b) for a, b in zip(row, point, strict=True)) for point in points]
        assert distances[int(part.index(torch.tensor(row)))] == min(distances)


def test_points_closer_than_the_grid_are_searched():
    """Points that share a cell of the table are found by search."""
    points = [[0.0], [1e-6], [1.0]]
    part = CodebookDistribution("axis", ["p/x"], [0], points)
    assert part.index(torch.tensor([[0.0], [1e-6], [0.7]])).tolist() == [0, 1, 2]


def test_a_codebook_of_one_point_never_changes():
    """A codebook of one point always gives that point, at no loss."""
    part = CodebookDistribution("keys", ["p/a"], [0], [[0.0]])
    output, values = torch.randn(5, part.width), torch.zeros(5, 1)
    assert torch.equal(part.sample(output, values, torch.rand(5, 2)), values)
    assert part.loss(output, values, values).abs().sum() == 0
    assert part.log_prob(output, values, values).abs().sum() == 0


def test_reals_are_densities():
    """Densities of reals integrate to one; a mixture's samples have its mean and spread."""
    torch.manual_seed(3)
    grid = torch.linspace(-40, 40, 20001)[:, None]
    for part in (
        RegressionDistribution(["p/x"], [0], [0.5]),
        RegressionDistribution(["p/x"], [0], [1.0], [(-1.0, 1.0)]),
        MixtureDistribution(["p/x"], [0], [0.5], 3),
    ):
        output = torch.randn(1, part.width).expand(len(grid), -1)
        density = part.log_prob(output, grid, grid).exp()
        assert abs(float(density.sum() * 80 / 20000) - 1) < 1e-3
        mean = float((density * grid[:, 0]).sum() * 80 / 20000)
        assert abs(mean - float(part.mean(output[:1], grid[:1]))) < 1e-2
    draws = part.sample(output[:1].expand(60000, -1), torch.zeros(60000, 1), torch.rand(60000, 2))
    spread = float(((density * (grid[:, 0] - mean) ** 2).sum() * 80 / 20000) ** 0.5)
    assert abs(float(draws.mean()) - mean) < 0.05
    assert abs(float(draws.std()) - spread) < 0.05


def test_options_that_mean_nothing_are_refused():
    """Impossible weights, focus exponents, smoothing and bias are refused."""
    for wrong in (
        {"pos_weight": 0.0},
        {"focal_gamma": -1.0},
        {"label_smoothing": 1.0},
        {"logit_bias": float("nan")},
    ):
        with pytest.raises(UsageError, match="expected pos_weight > 0"):
            LossOptions(**wrong)
