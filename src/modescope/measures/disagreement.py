"""Function space: how often two networks say different things."""

import numpy as np
from jaxtyping import Float, Integer

_FEW = 24  # classes up to which matrix products are faster than comparing pairs; measured on two cores


def disagreement(predicted: Integer[np.ndarray, "state example"]) -> Float[np.ndarray, "state state"]:
    """Fraction of examples on which two networks predict different classes.

    D[i, j] = 1/N Σ_n 1[y_i(x_n) ≠ y_j(x_n)], with y_i the class predicted by network i. Symmetric, zero on the
    diagonal; 0 = the same everywhere, 1 = never the same.

    Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 3.

    Args:
        predicted: Predicted classes.

    Returns:
        (state, state).

    Example:
        >>> disagreement(np.array([[0, 1, 2, 2], [0, 1, 2, 0]])).tolist()
        [[0.0, 0.25], [0.25, 0.0]]
    """
    states, examples = predicted.shape
    labels = np.unique(predicted)
    if len(labels) > _FEW:
        return _compared(predicted.astype(np.min_scalar_type(labels[-1])) if labels[0] >= 0 else predicted)
    agreeing = np.zeros((states, states))
    # Agreement is a matrix product of class indicators, one class at a time: exact in float32 up to 2^24 examples.
    for label in labels:
        chosen = (predicted == label).astype(np.float32)
        agreeing += chosen @ chosen.T
    return 1 - agreeing / examples


def _compared(predicted: Integer[np.ndarray, "state example"]) -> Float[np.ndarray, "state state"]:
    """`disagreement`, pair by pair: as fast for a thousand classes as for two."""
    states, examples = predicted.shape
    apart = np.zeros((states, states))
    for one in range(states):
        for other in range(one + 1, states):
            apart[one, other] = apart[other, one] = np.count_nonzero(predicted[one] != predicted[other])
    return apart / examples


def disagreement_by_example(predicted: Integer[np.ndarray, "state example"]) -> Float[np.ndarray, " example"]:
    """Fraction of the pairs of networks that disagree on each example.

    1 - Σ_k n_k (n_k - 1) / (M (M - 1)), with n_k the number of the M networks that predict class k. Its mean over the
    examples is the mean of `disagreement` over all pairs.

    Args:
        predicted: Predicted classes of at least two networks.

    Returns:
        One fraction an example.

    Example:
        >>> disagreement_by_example(np.array([[0, 1], [0, 2], [0, 1]])).round(3).tolist()
        [0.0, 0.667]
    """
    states = len(predicted)
    agreeing = np.zeros(predicted.shape[1])
    for label in np.unique(predicted):
        votes = (predicted == label).sum(axis=0)
        agreeing += votes * (votes - 1)
    return 1 - agreeing / (states * (states - 1))
