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
    products: np.ndarray | float = 0.0
    for block in blocks:
        exact = block.astype(np.float64, copy=False)
        products = products + exact @ exact.T
    products = np.asarray(products)
    lengths = np.sqrt(np.diagonal(products))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = products / np.outer(lengths, lengths)
    cosine = np.clip((cosine + cosine.T) / 2, -1.0, 1.0)
    np.fill_diagonal(cosine, np.where(lengths > 0, 1.0, np.nan))
    return cosine
