"""Intervals: how far a number measured on these test examples may lie from what it measures."""

import numpy as np
from jaxtyping import Float
from scipy.stats import norm


def wilson_interval(
    fraction: Float[np.ndarray, "..."], examples: int, *, confidence: float = 0.95
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Wilson's score interval of a fraction counted on independent examples.

    Reference: Wilson (1927), JASA 22; Brown, Cai & DasGupta (2001) on why it beats the normal one.

    Args:
        fraction: Observed fractions, in [0, 1].
        examples: How many examples each was counted on.
        confidence: Of the interval.

    Returns:
        Lower and upper ends, in [0, 1].

    Example:
        >>> [float(end.round(3)) for end in wilson_interval(np.array(0.5), 100)]
        [0.404, 0.596]
    """
    z = norm.ppf(0.5 + confidence / 2)
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

    For means nothing moves. For the calibration error, which every resample overestimates by more noise, the interval
    would otherwise lie above the estimate; moved, it says how much the estimate itself varies.

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
