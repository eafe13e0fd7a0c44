"""Scores of probabilistic predictions, one number an example; their means are accuracy, NLL and Brier score."""

import numpy as np
from jaxtyping import Bool, Float, Integer


def correct(
    prob: Float[np.ndarray, "*states example class"], label: Integer[np.ndarray, " example"]
) -> Bool[np.ndarray, "*states example"]:
    """Whether the most probable class is the true one; its mean is the accuracy. Takes log_prob as well.

    Example:
        >>> correct(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1])).tolist()
        [True, False]
    """
    return prob.argmax(axis=-1) == label


def negative_log_likelihood(
    log_prob: Float[np.ndarray, "*states example class"], label: Integer[np.ndarray, " example"]
) -> Float[np.ndarray, "*states example"]:
    """-log p(true class), in nat: 0 = certain and right, ln K = uniform over K classes, ∞ = certain and wrong.

    Example:
        >>> negative_log_likelihood(np.log([[0.5, 0.5]]), np.array([1])).round(4).tolist()
        [0.6931]
    """
    true = np.broadcast_to(label[:, np.newaxis], (*log_prob.shape[:-1], 1))
    return -np.take_along_axis(log_prob, true, axis=-1)[..., 0]


def brier_score(
    prob: Float[np.ndarray, "*states example class"], label: Integer[np.ndarray, " example"]
) -> Float[np.ndarray, "*states example"]:
    """Σ_k (p_k - 1[k is true])² = Σ_k p_k² - 2 p_true + 1: 0 = certain and right, 2 = certain and wrong.

    Not divided by the number of classes (Brier 1950; the authors' notebook).

    Example:
        >>> brier_score(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0, 0])).tolist()
        [0.5, 2.0]
    """
    true = np.broadcast_to(label[:, np.newaxis], (*prob.shape[:-1], 1))
    return (prob**2).sum(axis=-1) - 2 * np.take_along_axis(prob, true, axis=-1)[..., 0] + 1
