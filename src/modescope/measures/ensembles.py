"""Ensembles of given members, and which of them to look at."""

import itertools
import math

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp


def ensemble_log_prob(
    log_prob: Float[np.ndarray, "member *things"],  # noqa: F821
) -> Float[np.ndarray, "*things"]:
    """The ensemble's prediction: the logarithm of the mean of its members' probabilities, in nat.

    Probabilities are averaged, not logits (Lakshminarayanan et al. 2017, section 2.4). Things are examples and classes,
    or examples alone where only the true class is asked for.

    Example:
        >>> np.exp(ensemble_log_prob(np.log([[[0.9, 0.1]], [[0.5, 0.5]]]))).round(3).tolist()
        [[0.7, 0.3]]
    """
    return logsumexp(log_prob, axis=0) - math.log(len(log_prob))


def subsets(members: int, size: int, *, most: int, seed: int) -> list[tuple[int, ...]]:
    """Every subset of this size, or `most` different random ones where there are more.

    Args:
        members: How many to choose from.
        size: How many to choose.
        most: The largest number of subsets wanted.
        seed: Of the random choice.

    Returns:
        Sorted tuples of members, in lexicographic order.

    Example:
        >>> subsets(3, 2, most=10, seed=0)
        [(0, 1), (0, 2), (1, 2)]
    """
    if math.comb(members, size) <= most:
        return list(itertools.combinations(range(members), size))
    random = np.random.default_rng([seed, members, size])
    chosen: set[tuple[int, ...]] = set()
    while len(chosen) < most:
        chosen.add(tuple(sorted(random.choice(members, size, replace=False).tolist())))
    return sorted(chosen)
