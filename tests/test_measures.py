"""Measures: known answers by hand, laws, slow oracles, other libraries."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
from sklearn.metrics import brier_score_loss as sklearn_brier

from modescope.measures.calibration import confidence_bin, expected_calibration_error
from modescope.measures.confusion import confusion_counts
from modescope.measures.disagreement import disagreement, disagreement_by_example
from modescope.measures.embedding import principal_coordinates, tsne
from modescope.measures.ensembles import ensemble_log_prob, subsets
from modescope.measures.hardness import (
    first_learned,
    hardest,
    overlap,
    rank_correlation,
    standard_ranks,
    times_forgotten,
)
from modescope.measures.intervals import (
    bootstrap_weights,
    centred_interval,
    fraction_interval,
    mean_interval,
    members_interval,
    pairs_interval,
    ratio_interval,
    reflected_interval,
    resampled_means,
    wilson_interval,
)
from modescope.measures.scores import brier_score, correct, negative_log_likelihood
from modescope.measures.weights import cosine_similarity


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)


def some_prob(random, members=5, examples=60, classes=4):
    return random.dirichlet(np.ones(classes), size=(members, examples))


# --- weight space -------------------------------------------------------------------------------------------------


def test_cosine_by_hand():
    vectors = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, -2.0], [-3.0, 0.0, 0.0]])
    expected = [[1, math.sqrt(0.5), 0, -1], [math.sqrt(0.5), 1, 0, -math.sqrt(0.5)], [0, 0, 1, 0]]
    np.testing.assert_allclose(cosine_similarity([vectors])[:3], expected, atol=1e-15)


def test_cosine_is_of_the_whole_vector_not_of_its_blocks(random):
    vectors = random.normal(size=(6, 40))
    whole = 1 - squareform(pdist(vectors, "cosine"))
    np.testing.assert_allclose(cosine_similarity(np.split(vectors, [3, 17], axis=1)), whole, atol=1e-12)


def test_cosine_survives_float32_vectors_that_differ_little(random):
    base = random.normal(size=100_000)
    near = base + 1e-4 * random.normal(size=100_000)
    pair = np.stack([base, near]).astype(np.float32)
    one, other = pair.astype(np.longdouble)
    exact = (one @ other) / np.sqrt((one @ one) * (other @ other))
    assert 0 < 1 - exact < 1e-8  # what float32 sums would lose altogether
    assert abs(cosine_similarity([pair])[0, 1] - exact) < 1e-14


def test_cosine_of_a_zero_vector_is_not_a_number():
    cosine = cosine_similarity([np.array([[0.0, 0.0], [1.0, 0.0]])])
    assert np.isnan(cosine[0]).all()
    assert cosine[1, 1] == 1


# --- function space -----------------------------------------------------------------------------------------------


def test_disagreement_by_hand():
    predicted = np.array([[0, 1, 2, 2], [0, 1, 2, 0], [1, 2, 0, 1]])
    np.testing.assert_allclose(disagreement(predicted), [[0, 0.25, 1], [0.25, 0, 1], [1, 1, 0]], atol=1e-15)


@pytest.mark.parametrize("classes", [2, 10, 200])
def test_disagreement_against_scipys_hamming_distance(random, classes):
    predicted = random.integers(classes, size=(7, 333))
    np.testing.assert_allclose(disagreement(predicted), squareform(pdist(predicted, "hamming")), atol=1e-12)


@pytest.mark.parametrize("classes", [24, 25, 300, 70_000])
def test_many_classes_are_compared_pair_by_pair(random, classes):
    predicted = random.integers(0, classes, (5, 400))
    predicted[1] = predicted[0]
    predicted[0, 0] = classes - 1
    expected = squareform(pdist(predicted, "hamming"))
    np.testing.assert_allclose(disagreement(predicted), expected, atol=1e-12)
    np.testing.assert_allclose(disagreement(predicted - 7), expected, atol=1e-12)


def test_disagreement_laws(random):
    predicted = random.integers(5, size=(6, 100))
    matrix = disagreement(predicted)
    order = random.permutation(6)
    assert (matrix == matrix.T).all()
    assert (np.diagonal(matrix) == 0).all()
    assert ((matrix >= 0) & (matrix <= 1)).all()
    np.testing.assert_array_equal(disagreement(predicted[order]), matrix[np.ix_(order, order)])
    assert disagreement(np.repeat(predicted[:1], 3, axis=0)).max() == 0


def test_disagreement_by_example_averages_to_the_mean_over_pairs(random):
    predicted = random.integers(4, size=(6, 80))
    pairs = [(predicted[i] != predicted[j]).astype(float) for i, j in itertools.combinations(range(6), 2)]
    np.testing.assert_allclose(disagreement_by_example(predicted), np.mean(pairs, axis=0), atol=1e-12)
    assert disagreement_by_example(predicted).mean() == pytest.approx(
        disagreement(predicted)[np.triu_indices(6, 1)].mean()
    )


# --- scores -------------------------------------------------------------------------------------------------------


def test_scores_against_scikit_learn(random):
    prob, label = some_prob(random)[0], random.integers(4, size=60)
    classes = range(4)
    assert negative_log_likelihood(np.log(prob), label).mean() == pytest.approx(log_loss(label, prob, labels=classes))
    assert correct(prob, label).mean() == accuracy_score(label, prob.argmax(1))
    one_hot = np.eye(4)[label]
    assert brier_score(prob, label).mean() == pytest.approx(((prob - one_hot) ** 2).sum(1).mean())


def test_brier_against_scikit_learn_for_two_classes(random):
    prob, label = some_prob(random, classes=2)[0], random.integers(2, size=60)
    # scikit-learn's binary score counts one of the two classes, ours both
    assert brier_score(prob, label).mean() == pytest.approx(2 * sklearn_brier(label, prob[:, 1]))


def test_scores_take_leading_axes(random):
    prob, label = some_prob(random), random.integers(4, size=60)
    for score in (correct, brier_score, negative_log_likelihood):
        np.testing.assert_array_equal(score(prob, label), np.stack([score(member, label) for member in prob]))


def test_score_ends():
    certain = np.array([[1.0, 0.0]])
    assert brier_score(certain, np.array([0])) == 0
    assert brier_score(certain, np.array([1])) == 2
    with np.errstate(divide="ignore"):
        assert negative_log_likelihood(np.log(certain), np.array([1])) == np.inf


# --- calibration --------------------------------------------------------------------------------------------------


def test_a_confidence_of_exactly_one_is_in_the_last_bin():
    assert confidence_bin(np.array([1.0, 14 / 15, 0.0, 1 / 15, 0.0667]), 15).tolist() == [14, 13, 0, 0, 1]


def test_ece_by_hand():
    confidence = np.array([1.0, 1.0, 0.9, 0.55, 0.52])
    right = np.array([True, False, True, True, False])
    # two bins of ten: (0.9, 1] holds 1 - 1, 0 - 1; (0.8, 0.9] holds 1 - 0.9; (0.5, 0.6] holds 1 - 0.55, 0 - 0.52
    assert expected_calibration_error(confidence, right, bins=10) == pytest.approx((1 + 0.1 + 0.07) / 5)


def test_ece_ends():
    assert expected_calibration_error(np.ones(4), np.ones(4, dtype=bool)) == 0
    assert expected_calibration_error(np.ones(4), np.zeros(4, dtype=bool)) == 1


def test_ece_against_a_loop_over_bins(random):
    confidence, right = random.uniform(size=500), random.uniform(size=500) < 0.6
    total = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(confidence, right) == pytest.approx(total, abs=1e-12)


def test_weighted_ece_is_the_ece_of_the_resample(random):
    confidence, right = random.uniform(size=50), random.uniform(size=50) < 0.6
    weights = bootstrap_weights(50, resamples=5, seed=0)
    for row, value in zip(weights, expected_calibration_error(confidence, right, weights=weights), strict=True):
        drawn = np.repeat(np.arange(50), row.astype(int))
        assert value == pytest.approx(float(expected_calibration_error(confidence[drawn], right[drawn])), abs=1e-6)


# --- ensembles ----------------------------------------------------------------------------------------------------


def test_ensemble_prediction_is_the_mean_of_probabilities(random):
    prob = some_prob(random)
    np.testing.assert_allclose(np.exp(ensemble_log_prob(np.log(prob))), prob.mean(axis=0), atol=1e-15)


def test_copies_of_one_member_are_that_member(random):
    one = np.log(some_prob(random, members=1))
    np.testing.assert_allclose(ensemble_log_prob(np.repeat(one, 4, axis=0)), one[0], atol=1e-12)


def test_ensemble_averages_probabilities_not_logits():
    prob = np.array([[[0.99, 0.01]], [[0.4, 0.6]], [[0.4, 0.6]]])
    assert ensemble_log_prob(np.log(prob))[0].argmax() == 0  # 0.597 against 0.403
    logits = np.log(prob[..., 1] / prob[..., 0])
    assert logits.mean() < 0  # and the mean of logits is another number altogether
    assert np.exp(ensemble_log_prob(np.log(prob)))[0, 1] != pytest.approx(1 / (1 + np.exp(-logits.mean())), abs=0.1)


def test_all_subsets_where_there_are_few_and_different_random_ones_where_there_are_many():
    assert subsets(4, 2, most=6, seed=0) == list(itertools.combinations(range(4), 2))
    drawn = subsets(20, 10, most=50, seed=0)
    assert len(set(drawn)) == 50
    assert all(len(set(subset)) == 10 and subset == tuple(sorted(subset)) for subset in drawn)
    assert drawn == subsets(20, 10, most=50, seed=0)
    assert drawn != subsets(20, 10, most=50, seed=1)


def test_random_subsets_use_all_members_alike():
    counts = np.bincount(np.ravel(subsets(12, 6, most=600, seed=0)), minlength=12)
    assert abs(counts - 300).max() < 4 * math.sqrt(600 * 0.25)


# --- intervals ----------------------------------------------------------------------------------------------------


def test_wilson_by_hand_and_at_the_ends():
    low, high = wilson_interval(np.array([0.0, 0.5, 1.0]), 10)
    # Brown, Cai & DasGupta's formula with z = 1.95996, worked out by hand
    np.testing.assert_allclose(low, [0, 0.23659, 0.72247], atol=1e-5)
    np.testing.assert_allclose(high, [0.27753, 0.76341, 1], atol=1e-5)


def test_bootstrap_weights_are_resamples():
    weights = bootstrap_weights(40, resamples=300, seed=3)
    assert (weights.sum(axis=1) == 40).all()
    assert (weights == weights.round()).all()
    assert weights.mean(axis=0).std() < 0.1
    np.testing.assert_array_equal(weights, bootstrap_weights(40, resamples=300, seed=3))
    assert abs(weights.var() - (1 - 1 / 40)) < 0.05  # of a multinomial count


def test_bootstrap_interval_of_a_mean_is_the_textbooks(random):
    values = random.normal(size=2000)
    mean, low, high = mean_interval(values, bootstrap_weights(2000, resamples=2000, seed=0))
    half = 1.96 * values.std() / math.sqrt(2000)
    assert mean == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(half, rel=0.08)
    assert low < mean < high


def test_resampled_means_against_drawing(random):
    values, weights = random.normal(size=(2, 30)), bootstrap_weights(30, resamples=4, seed=1)
    for row, means in zip(weights, resampled_means(values, weights), strict=True):
        drawn = np.repeat(np.arange(30), row.astype(int))
        np.testing.assert_allclose(means, values[:, drawn].mean(axis=1), atol=1e-12)


def test_paired_differences_are_surer_than_the_values(random):
    easy = random.normal(size=500)
    pair = np.stack([easy, easy + 0.1])
    resampled = resampled_means(pair, bootstrap_weights(500, resamples=200, seed=0))
    assert (resampled[:, 1] - resampled[:, 0]).std() < 1e-9 < resampled[:, 0].std()


def test_a_centred_interval_holds_its_estimate_even_if_every_resample_lies_higher():
    low, high = centred_interval(np.array(0.02), np.linspace(0.03, 0.05, 101))
    assert low < 0.02 < high
    assert high - low == pytest.approx(0.95 * 0.02)


def test_a_ratios_interval_is_that_of_both_means_resampled_together(random):
    below = (random.random((2, 80)) < 0.3).astype(float)
    above = below * 2
    above[1] += random.random(80)
    weights = bootstrap_weights(80, resamples=300, seed=2)
    ratio, low, high = ratio_interval(above, below, weights)
    assert (ratio[0], low[0], high[0]) == (2, 2, 2)  # paired: the same examples above and below
    drawn = [np.repeat(np.arange(80), row.astype(int)) for row in weights]
    resampled = np.array([above[1, each].mean() / below[1, each].mean() for each in drawn])
    assert ratio[1] == pytest.approx(above[1].mean() / below[1].mean())
    ends = ratio[1] + np.quantile(resampled, [0.025, 0.975]) - resampled.mean()
    np.testing.assert_allclose([low[1], high[1]], ends)


def test_a_ratio_over_nothing_is_none_and_rare_examples_leave_an_interval():
    below = np.zeros((2, 20))
    below[1, 3] = 1.0  # a third of all resamples do not hold it
    weights = bootstrap_weights(20, resamples=100, seed=0)
    ratio, low, high = ratio_interval(np.ones((2, 20)), below, weights)
    assert np.isnan([ratio[0], low[0], high[0]]).all()
    assert ratio[1] == 20
    assert np.isfinite([low[1], high[1]]).all()
    assert low[1] < 20 < high[1]


def test_wilsons_interval_of_counts_of_their_own():
    low, high = wilson_interval(np.array([0.5, 0.5, np.nan]), np.array([100, 10, 0]))
    for place, count in enumerate((100, 10)):
        one = wilson_interval(np.array(0.5), count)
        assert (low[place], high[place]) == one
    assert np.isnan([low[2], high[2]]).all()


def test_a_reflected_interval_lies_as_far_below_as_the_resamples_lie_above():
    low, high = reflected_interval(np.array(0.02), np.linspace(0.01, 0.03, 101))
    assert (low, high) == (pytest.approx(0.0105), pytest.approx(0.0295))
    low, high = reflected_interval(np.array(0.02), np.linspace(0.025, 0.035, 101))
    assert low == pytest.approx(0.04 - 0.03475)
    assert high == 0.02  # the estimate is never left out
    low, high = reflected_interval(np.array([0.0, 1.0]), np.array([[0.0, 1.0]] * 9))
    np.testing.assert_array_equal([low, high], [[0, 1], [0, 1]])


def test_the_calibration_errors_interval_covers_the_truth_of_a_miscalibrated_network():
    """Confidence always 0.8, right 75 % of the time: the true error is 0.05 in one bin."""
    random, covered = np.random.default_rng(0), 0
    weights = bootstrap_weights(1600, resamples=200, seed=0)
    confidence = np.full(1600, 0.8)
    for _ in range(200):
        right = random.random(1600) < 0.75
        estimate = expected_calibration_error(confidence, right)
        low, high = reflected_interval(estimate, expected_calibration_error(confidence, right, weights=weights))
        covered += low <= 0.05 <= high
    assert 0.88 <= covered / 200 <= 1


def test_an_interval_over_members_leaves_out_whole_members(random):
    matrix = random.normal(size=(6, 6))
    matrix += matrix.T

    def mean(of):
        return matrix[np.ix_(of, of)][np.triu_indices(len(of), 1)].mean()

    without = np.array([mean([other for other in range(6) if other != left]) for left in range(6)])
    error = math.sqrt(5 / 6 * ((without - without.mean()) ** 2).sum())
    half = stats.t.ppf(0.95, 5) * error
    low, high = pairs_interval(matrix, confidence=0.9)
    assert (low, high) == (pytest.approx(mean(range(6)) - half), pytest.approx(mean(range(6)) + half))
    order = random.permutation(6)
    assert pairs_interval(matrix[np.ix_(order, order)], confidence=0.9) == pytest.approx((low, high))
    assert all(math.isnan(end) for end in pairs_interval(matrix[:2, :2]))


def test_the_interval_of_a_mean_over_members_is_students(random):
    values = random.normal(size=7)
    error = values.std(ddof=1) / math.sqrt(7)
    assert members_interval(values) == pytest.approx(stats.t.interval(0.95, 6, values.mean(), error))
    assert all(math.isnan(end) for end in members_interval(values[:1]))


# --- confusion ----------------------------------------------------------------------------------------------------


def test_confusion_against_scikit_learn(random):
    predicted, label = random.integers(4, size=(2, 3, 50)), random.integers(4, size=50)
    counts = confusion_counts(predicted, label, 5)
    for index in np.ndindex(2, 3):
        np.testing.assert_array_equal(counts[index], confusion_matrix(label, predicted[index], labels=range(5)))


# --- hardness -----------------------------------------------------------------------------------------------------


def test_learning_and_forgetting_by_hand():
    #                     never  always  late  forgotten twice
    correct_by_epoch = np.array([[0, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1], [0, 1, 1, 0]], dtype=bool)
    np.testing.assert_array_equal(first_learned(correct_by_epoch), [np.nan, 0, 2, np.nan])
    np.testing.assert_array_equal(times_forgotten(correct_by_epoch), [0, 0, 0, 2])


def test_rank_correlation_against_scipy_with_ties(random):
    losses = random.integers(6, size=(5, 80)).astype(float)
    np.testing.assert_allclose(rank_correlation(losses), spearmanr(losses, axis=1).statistic, atol=1e-12)


def test_ranks_of_equal_losses_are_zero_not_nan():
    assert (standard_ranks(np.ones((2, 4))) == 0).all()


def test_hardest_counts_and_overlaps_by_hand():
    losses = np.array([[5.0, 4, 3, 2, 1], [1, 2, 3, 4, 5], [5, 1, 4, 2, 3]])
    chosen = hardest(losses, 0.4)
    assert chosen.sum(axis=1).tolist() == [2, 2, 2]
    np.testing.assert_allclose(overlap(chosen), [[1, 0, 0.5], [0, 1, 0], [0.5, 0, 1]])
    assert hardest(np.arange(797.0), 0.05).sum() == 40  # ceil(39.85)
    assert hardest(np.arange(100.0), 0.05).sum() == 5  # and not 6 for want of a last bit


def test_equal_losses_share_what_a_blind_choice_would():
    chosen = hardest(np.zeros((2, 100)), 0.05)
    np.testing.assert_allclose(chosen, 0.05)
    np.testing.assert_allclose(overlap(chosen), [[1, 0.05], [0.05, 1]])
    half = hardest(np.array([9.0, 1, 1, 0]), 0.5)
    np.testing.assert_allclose(half, [1, 0.5, 0.5, 0])


def test_a_fraction_of_nothing_or_everything_is_not_certain():
    weights = bootstrap_weights(50, resamples=20, seed=0)
    assert fraction_interval(np.zeros(50), weights)[2] == pytest.approx(0.0714, abs=1e-3)
    assert fraction_interval(np.ones(50), weights)[1] == pytest.approx(1 - 0.0714, abs=1e-3)
    values = np.repeat([0.0, 1.0], 25)
    assert fraction_interval(values, weights) == mean_interval(values, weights)


# --- the map ------------------------------------------------------------------------------------------------------


def test_tsne_keeps_three_far_groups_apart_and_is_the_same_twice(random):
    centres = np.repeat(np.eye(3) * 100, 12, axis=0)
    vectors = np.concatenate([centres, np.zeros((36, 500))], axis=1) + random.normal(size=(36, 503))
    placed, perplexity = tsne(principal_coordinates(vectors), perplexity=5.0, seed=0)
    again, _ = tsne(principal_coordinates(vectors), perplexity=5.0, seed=0)
    np.testing.assert_array_equal(placed, again)
    assert not np.array_equal(placed, tsne(principal_coordinates(vectors), perplexity=5.0, seed=1)[0])
    assert perplexity == 5
    distance = squareform(pdist(placed))
    same = np.kron(np.eye(3), np.ones((12, 12))).astype(bool)
    assert distance[same].max() < distance[~same].min()


def test_tsne_lowers_the_perplexity_for_few_points_and_refuses_two(random):
    assert tsne(principal_coordinates(random.normal(size=(10, 4))), perplexity=30.0, seed=0)[1] == 3
    with pytest.raises(ValueError, match="at least three points, not 2"):
        tsne(principal_coordinates(random.normal(size=(2, 4))), perplexity=30.0, seed=0)
