"""Calibration: whether a confidence of 80 % is right 80 % of the time."""

import numpy as np
from jaxtyping import Bool, Float, Integer


def confidence_bin(confidence: Float[np.ndarray, "..."], bins: int) -> Integer[np.ndarray, "..."]:
    """Which of `bins` equal bins a confidence falls into: bin b is (b/B, (b+1)/B], and 0 belongs to the first.

    Example:
        >>> confidence_bin(np.array([0.0, 0.5, 0.51, 1.0]), 2).tolist()
        [0, 0, 1, 1]
    """
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    return np.searchsorted(edges, confidence, side="left")


def expected_calibration_error(
    confidence: Float[np.ndarray, " example"],
    correct: Bool[np.ndarray, " example"],
    *,
    bins: int = 15,
    weights: Float[np.ndarray, "resample example"] | None = None,
) -> Float[np.ndarray, "..."]:
    """Mean distance between confidence and accuracy over equal bins of confidence.

    ECE = Σ_b |Σ_{n in b} (1[right]_n - confidence_n)| / N: 0 = calibrated, 1 = certain and always wrong.

    Reference: Guo et al. (2017), On Calibration of Modern Neural Networks, section 2; 15 bins as there.

    Args:
        confidence: The largest probability of each prediction.
        correct: Whether the prediction is right.
        bins: Number of bins.
        weights: How often each example stands in each resample, for a bootstrap; rows sum to N.

    Returns:
        A scalar, or one value a resample.

    Example:
        >>> float(expected_calibration_error(np.array([1.0, 1.0, 0.6]), np.array([True, False, True])).round(3))
        0.467
    """
    gap = correct - confidence
    member = np.zeros((len(gap), bins), dtype=np.float32 if weights is not None else np.float64)
    member[np.arange(len(gap)), confidence_bin(confidence, bins)] = gap
    total = member.sum(axis=0) if weights is None else weights.astype(np.float32, copy=False) @ member
    return np.asarray(np.abs(total).sum(axis=-1, dtype=np.float64) / len(gap))
