"""Diversity: the limit curves' published values, known answers, and laws."""

import numpy as np
import pytest
from scipy.stats import entropy

from modescope.measures.diversity import (
    disagreement_bounds,
    independent_disagreement,
    jensen_shannon,
    normalised_diversity,
    perturbed_disagreement,
)

# reference accuracy, accuracy, lower, lower / error, upper, upper / error; ten classes
TABLE = [
    (0.71, 0.10, 0.9000, 1.0000, 0.9000, 1.0000),
    (0.71, 0.30, 0.6049, 0.8642, 0.7644, 1.0921),
    (0.71, 0.50, 0.3098, 0.6197, 0.6289, 1.2578),
    (0.71, 0.65, 0.0885, 0.2529, 0.5272, 1.5063),
    (0.71, 0.71, 0.0, 0.0, 0.4866, 1.6778),
    (0.90, 0.50, 0.4500, 0.9000, 0.5444, 1.0889),
    (0.90, 0.90, 0.0, 0.0, 0.1889, 1.8889),
]


@pytest.mark.parametrize(("reference", "accuracy", "lower", "lower_over", "upper", "upper_over"), TABLE)
def test_limit_curves_have_the_known_values(reference, accuracy, lower, lower_over, upper, upper_over):
    at = np.array(accuracy)
    assert float(perturbed_disagreement(at, reference, 10)) == pytest.approx(lower, abs=5e-5)
    assert float(perturbed_disagreement(at, reference, 10)) / (1 - accuracy) == pytest.approx(lower_over, abs=5e-5)
    assert float(independent_disagreement(at, reference, 10)) == pytest.approx(upper, abs=5e-5)
    assert float(independent_disagreement(at, reference, 10)) / (1 - accuracy) == pytest.approx(upper_over, abs=5e-5)


def test_limit_curves_against_simulations():
    random, classes, examples = np.random.default_rng(0), 5, 400_000
    label = random.integers(classes, size=examples)

    def guess(accuracy):
        wrong = (label + random.integers(1, classes, size=examples)) % classes
        return np.where(random.random(examples) < accuracy, label, wrong)

    one, other = guess(0.7), guess(0.5)
    assert (one != other).mean() == pytest.approx(
        float(independent_disagreement(np.array(0.5), 0.7, classes)), abs=3e-3
    )
    flipped = random.random(examples) < 0.3
    perturbed = np.where(flipped, (one + random.integers(1, classes, size=examples)) % classes, one)
    accuracy = (perturbed == label).mean()
    expected = perturbed_disagreement(np.array(accuracy), float((one == label).mean()), classes)
    assert (perturbed != one).mean() == pytest.approx(float(expected), abs=3e-3)


def test_curves_lie_within_the_hard_bounds_and_meet_at_chance():
    accuracy = np.linspace(0.1, 0.71, 100)
    lowest, highest = disagreement_bounds(accuracy, 0.71)
    for curve in (independent_disagreement, perturbed_disagreement):
        values = curve(accuracy, 0.71, 10)
        assert (lowest - 1e-12 <= values).all()
        assert (values <= highest + 1e-12).all()
        assert values[0] / 0.9 == pytest.approx(1)


def test_bounds_are_reached():
    label = np.zeros(10, dtype=int)
    reference = np.array([0] * 8 + [1] * 2)
    nested = np.array([0] * 6 + [1] * 4)  # wrong where the reference is, and beyond, in the same way
    apart = np.array([1] * 5 + [0] * 5)  # right where the reference is wrong
    lowest, highest = disagreement_bounds(np.array([0.6, 0.5]), 0.8)
    assert (nested != reference).mean() == pytest.approx(lowest[0])
    assert (apart != reference).mean() == pytest.approx(highest[1])
    assert (label == reference).mean() == 0.8


def test_diversity_by_hand_and_without_errors():
    label, reference = np.array([0, 1, 2, 0]), np.array([0, 1, 1, 1])
    predicted = np.array([[0, 1, 1, 1], [0, 1, 2, 0], [1, 0, 0, 1]])
    accuracy, diversity = normalised_diversity(predicted, reference, label)
    np.testing.assert_allclose(accuracy, [0.5, 1.0, 0.0])
    np.testing.assert_allclose(diversity, [0.0, np.nan, 0.75])


def test_jensen_shannon_is_the_mean_divergence_from_the_mean():
    prob = np.random.default_rng(0).dirichlet(np.ones(4), size=(3, 6))
    mean = prob.mean(axis=0)
    expected = np.mean([[entropy(prob[m, n], mean[n]) for n in range(6)] for m in range(3)], axis=0)
    np.testing.assert_allclose(jensen_shannon(np.log(prob)), expected, rtol=1e-10)
    np.testing.assert_allclose(jensen_shannon(np.log(prob[:1].repeat(5, axis=0))), 0, atol=1e-12)
    with np.errstate(divide="ignore"):
        certain = np.log(np.eye(5)[:, np.newaxis])
    np.testing.assert_allclose(jensen_shannon(certain), np.log(5))  # each member certain of another class
