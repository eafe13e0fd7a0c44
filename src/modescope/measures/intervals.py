"""Intervals: how far a number measured on these test examples may lie from what it measures."""

import numpy as np
from jaxtyping import Float, Integer
from scipy.stats import norm, t


def wilson_interval(
    fraction: Float[np.ndarray, "..."], examples: int | Integer[np.ndarray, "..."], *, confidence: float = 0.95
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Wilson's score interval of a fraction counted on independent examples.

    Reference: Wilson (1927), JASA 22; Brown, Cai & DasGupta (2001) on why it beats the normal one.

    Args:
        fraction: Observed fractions, in [0, 1].
        examples: How many examples each was counted on; of none there is no interval (NaN).
        confidence: Of the interval.

    Returns:
        Lower and upper ends, in [0, 1].

    Example:
        >>> [float(end.round(3)) for end in wilson_interval(np.array(0.5), 100)]
        [0.404, 0.596]
    """
    z = norm.ppf(0.5 + confidence / 2)
    examples = np.where(np.asarray(examples) > 0, examples, np.nan)
    centre = (fraction + z**2 / (2 * examples)) / (1 + z**2 / examples)
    half = z / (1 + z**2 / examples) * np.sqrt(fraction * (1 - fraction) / examples + z**2 / (4 * examples**2))
    # rounding must not push an end past what was observed or past 0 and 1
    low, high = np.minimum(centre - half, fraction), np.maximum(centre + half, fraction)
    return np.asarray(np.clip(low, 0, 1)), np.asarray(np.clip(high, 0, 1))


def bootstrap_weights(examples: int, *, resamples: int, seed: int) -> Float[np.ndarray, "resample example"]:
    """How often each example stands in each bootstrap resample of the examples.

    One set of weights is used for everything that is compared: that is what makes the bootstrap paired.

    Returns:
        (resample, example) of small whole numbers as float32; rows sum to `examples`.
    """
    random = np.random.default_rng([seed, examples])
    uniform = np.full(examples, 1 / examples)
    weights = np.empty((resamples, examples), dtype=np.float32)
    for row in weights:
        row[:] = random.multinomial(examples, uniform)
    return weights


def resampled_means(
    values: Float[np.ndarray, "*things example"], weights: Float[np.ndarray, "resample example"]
) -> Float[np.ndarray, "resample *things"]:  # noqa: F821
    """The mean over the examples of each resample."""
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    means = np.stack([row.astype(np.float64) @ flat.T for row in weights]) / values.shape[-1]
    return means.reshape(len(weights), *values.shape[:-1])


def centred_interval(
    estimate: Float[np.ndarray, "*things"],
    resampled: Float[np.ndarray, "resample *things"],  # noqa: F821
    *,
    confidence: float = 0.95,
) -> tuple[Float[np.ndarray, "*things"], Float[np.ndarray, "*things"]]:
    """A bootstrap percentile interval, moved so that the resamples' mean lies on the estimate.

    For means nothing moves but the chance of the resampling. For estimates that are biased see `reflected_interval`.

    Args:
        estimate: The value on the real examples.
        resampled: The value on each resample.
        confidence: Of the interval.

    Returns:
        Lower and upper ends.
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0) - resampled.mean(axis=0)
    return np.asarray(estimate + np.minimum(low, 0)), np.asarray(estimate + np.maximum(high, 0))


def reflected_interval(
    estimate: Float[np.ndarray, "*things"],
    resampled: Float[np.ndarray, "resample *things"],  # noqa: F821
    *,
    confidence: float = 0.95,
) -> tuple[Float[np.ndarray, "*things"], Float[np.ndarray, "*things"]]:
    """The basic bootstrap interval, widened where need be to hold the estimate.

    For estimates that are biased, such as the calibration error: noise only ever adds to it, so resamples lie above the
    estimate by about as much as the estimate lies above the truth. The ends are 2 estimate - quantile of the resamples:
    as far below the estimate as the resamples lie above it.

    Reference: Davison & Hinkley (1997), Bootstrap Methods and their Application, section 5.2.

    Args:
        estimate: The value on the real examples.
        resampled: The value on each resample.
        confidence: Of the interval.

    Returns:
        Lower and upper ends.
    """
    tail = (1 - confidence) / 2
    high, low = 2 * estimate - np.quantile(resampled, [tail, 1 - tail], axis=0)
    return np.asarray(np.minimum(low, estimate)), np.asarray(np.maximum(high, estimate))


def pairs_interval(matrix: Float[np.ndarray, "member member"], *, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a mean over all pairs of members, for other members of the same kind; NaN for fewer than three.

    Pairs share members, so they are not independent: whole members are left out in turn (the jackknife), and Student's
    t with one degree of freedom less than members gives the width.

    Reference: Arvesen (1969), Jackknifing U-statistics, Annals of Mathematical Statistics 40.

    Args:
        matrix: One value for each pair; symmetric, its diagonal does not count.
        confidence: Of the interval.

    Returns:
        Lower and upper ends.

    Example:
        >>> pairs_interval(np.array([[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0.0]]))
        (1.0, 1.0)
    """
    members = len(matrix)
    if members < 3:
        return np.nan, np.nan
    of_each = matrix.sum(axis=1) - np.diag(matrix)
    total = of_each.sum()
    mean = total / (members * (members - 1))
    without = (total - 2 * of_each) / ((members - 1) * (members - 2))
    error = np.sqrt((members - 1) / members * ((without - without.mean()) ** 2).sum())
    half = t.ppf(0.5 + confidence / 2, members - 1) * error
    return float(mean - half), float(mean + half)


def members_interval(values: Float[np.ndarray, " member"], *, confidence: float = 0.95) -> tuple[float, float]:
    """Student's interval of a mean over members, for other members of the same kind; NaN for fewer than two.

    Example:
        >>> [round(end, 2) for end in members_interval(np.array([1.0, 2.0, 3.0]))]
        [-0.48, 4.48]
    """
    members = len(values)
    if members < 2:
        return np.nan, np.nan
    half = t.ppf(0.5 + confidence / 2, members - 1) * values.std(ddof=1) / np.sqrt(members)
    return float(values.mean() - half), float(values.mean() + half)


def with_wilson_ends(
    estimate: Float[np.ndarray, "*things"],
    low: Float[np.ndarray, "*things"],
    high: Float[np.ndarray, "*things"],
    examples: int,
    *,
    confidence: float = 0.95,
) -> tuple[Float[np.ndarray, "*things"], Float[np.ndarray, "*things"]]:
    """A fraction's bootstrap interval, with Wilson's where the fraction is 0 or 1.

    Resamples of examples that are all alike are all alike: the bootstrap would claim to be certain.
    """
    wilson_low, wilson_high = wilson_interval(estimate, examples, confidence=confidence)
    certain = (estimate <= 0) | (estimate >= 1)
    return np.where(certain, wilson_low, low), np.where(certain, wilson_high, high)


def fraction_interval(
    values: Float[np.ndarray, "*things example"],
    weights: Float[np.ndarray, "resample example"],
    *,
    confidence: float = 0.95,
) -> tuple[Float[np.ndarray, "*things"], Float[np.ndarray, "*things"], Float[np.ndarray, "*things"]]:
    """`mean_interval` of values in [0, 1], with an honest width where all of them are 0 or all are 1.

    Example:
        >>> weights = bootstrap_weights(100, resamples=9, seed=0)
        >>> [float(end.round(3)) for end in fraction_interval(np.ones(100), weights)]
        [1.0, 0.963, 1.0]
    """
    mean, low, high = mean_interval(values, weights, confidence=confidence)
    return mean, *with_wilson_ends(mean, low, high, values.shape[-1], confidence=confidence)


def mean_interval(
    values: Float[np.ndarray, "*things example"],
    weights: Float[np.ndarray, "resample example"],
    *,
    confidence: float = 0.95,
) -> tuple[Float[np.ndarray, "*things"], Float[np.ndarray, "*things"], Float[np.ndarray, "*things"]]:
    """The mean over the examples with the ends of its bootstrap interval: (mean, low, high)."""
    mean = np.asarray(values.mean(axis=-1, dtype=np.float64))
    low, high = centred_interval(mean, resampled_means(values, weights), confidence=confidence)
    return mean, low, high


def ratio_interval(
    above: Float[np.ndarray, "*things example"],
    below: Float[np.ndarray, "*things example"],
    weights: Float[np.ndarray, "resample example"],
    *,
    confidence: float = 0.95,
) -> tuple[Float[np.ndarray, "*things"], Float[np.ndarray, "*things"], Float[np.ndarray, "*things"]]:
    """The ratio of two means over the same examples with the ends of its bootstrap interval: (ratio, low, high).

    NaN where the lower mean is zero. Resamples in which another lower mean is zero, since they hold none of the few
    examples that make it up, are left out.

    Example:
        >>> weights = bootstrap_weights(4, resamples=5, seed=0)
        >>> [float(end) for end in ratio_interval(np.array([2.0, 4, 6, 8]), np.array([1.0, 2, 3, 4]), weights)]
        [2.0, 2.0, 2.0]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.asarray(above.mean(axis=-1, dtype=np.float64) / below.mean(axis=-1, dtype=np.float64))
        resampled = resampled_means(above, weights) / resampled_means(below, weights)
    ratio = np.where(np.isfinite(ratio), ratio, np.nan)
    flat = resampled.reshape(len(weights), -1)
    whole = (np.isfinite(flat) | ~np.isfinite(ratio.reshape(-1))).all(axis=1)
    if not whole.any():
        return ratio, np.full_like(ratio, np.nan), np.full_like(ratio, np.nan)
    kept = np.where(np.isfinite(resampled), resampled, np.nan)[whole]
    low, high = centred_interval(ratio, kept, confidence=confidence)
    return ratio, low, high
