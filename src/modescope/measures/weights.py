"""Weight space: how far apart networks are as vectors of parameters."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float


def cosine_similarity(blocks: Iterable[Float[np.ndarray, "state _"]]) -> Float[np.ndarray, "state state"]:
    """Cosine of the angle between every two networks' parameter vectors.

    cos(θ_i, θ_j) = θ_iᵀ θ_j / (‖θ_i‖ ‖θ_j‖) over all given parameters together. Symmetric, 1 on the diagonal;
    1 = the same direction, 0 = orthogonal, -1 = opposite. Summed in float64, block by block, so that the vectors never
    need to be in memory as a whole.

    Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 3.

    Args:
        blocks: The parameter vectors cut into pieces: each (state, parameter) with the same states.

    Returns:
        (state, state), NaN where a vector is zero.

    Example:
        >>> cosine_similarity([np.array([[3.0], [0.0]]), np.array([[4.0], [1.0]])]).round(3).tolist()
        [[1.0, 0.8], [0.8, 1.0]]
    """
    return cosine(inner_products(blocks))


def inner_products(blocks: Iterable[Float[np.ndarray, "state _"]]) -> Float[np.ndarray, "*states"]:
    """The inner product of every two parameter vectors, summed in float64, block by block.

    Args:
        blocks: As in `cosine_similarity`. Those of different parameters may be added up afterwards.

    Returns:
        (state, state); a single 0 if there is no block.
    """
    products = np.zeros(())
    for block in blocks:
        exact = block.astype(np.float64, copy=False)
        products = products + exact @ exact.T
    return products


def cosine(products: Float[np.ndarray, "state state"]) -> Float[np.ndarray, "state state"]:
    """Inner products -> the cosines of `cosine_similarity`."""
    lengths = np.sqrt(np.diagonal(products))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = products / np.outer(lengths, lengths)
    cosines = np.clip((cosines + cosines.T) / 2, -1.0, 1.0)
    np.fill_diagonal(cosines, np.where(lengths > 0, 1.0, np.nan))
    return cosines
