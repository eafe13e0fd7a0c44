"""Which examples are hard: when they are learned, how often they are forgotten, and whether networks agree on it."""

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy.stats import rankdata


def first_learned(correct: Bool[np.ndarray, "*states epoch example"]) -> Float[np.ndarray, "*states example"]:
    """The first epoch from which an example stays right to the end; NaN if it is wrong at the end.

    The initialisation counts as an epoch: an example that is right by chance there and ever after has 0.

    Reference: after Toneva et al. (2019), An Empirical Study of Example Forgetting, section 3, who record when an
    example is first right.

    Example:
        >>> first_learned(np.array([[False, True], [True, False], [True, False]])).tolist()
        [1.0, nan]
    """
    epochs = correct.shape[-2]
    right_at_the_end = np.logical_and.accumulate(correct[..., ::-1, :], axis=-2).sum(axis=-2)
    return np.where(right_at_the_end > 0, epochs - right_at_the_end, np.nan)


def times_forgotten(correct: Bool[np.ndarray, "*states epoch example"]) -> Integer[np.ndarray, "*states example"]:
    """How often an example was right at the end of one epoch and wrong at the end of the next.

    Reference: Toneva et al. (2019), section 3, who count on training examples whenever a batch meets them; here at the
    ends of epochs, on test examples, from the initialisation on.

    Example:
        >>> times_forgotten(np.array([[True], [False], [True], [False]])).tolist()
        [2]
    """
    return (correct[..., :-1, :] & ~correct[..., 1:, :]).sum(axis=-2)


def standard_ranks(losses: Float[np.ndarray, "*states example"]) -> Float[np.ndarray, "*states example"]:
    """Ranks of the examples by loss, ties sharing their mean rank, with mean 0 and variance 1.

    The mean of the product of two of them is Spearman's rank correlation. All zero if all losses are the same.
    """
    ranks = rankdata(losses, axis=-1)
    centred = ranks - ranks.mean(axis=-1, keepdims=True)
    spread = centred.std(axis=-1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)


def rank_correlation(losses: Float[np.ndarray, "state example"]) -> Float[np.ndarray, "state state"]:
    """Spearman's correlation between every two networks' losses: 1 = the same examples are hard, 0 = unrelated.

    Example:
        >>> rank_correlation(np.array([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0], [3.0, 2.0, 1.0]])).round(6).tolist()
        [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    ranks = standard_ranks(losses)
    return ranks @ ranks.T / losses.shape[-1]


def hardest(losses: Float[np.ndarray, "*states example"], fraction: float) -> Float[np.ndarray, "*states example"]:
    """The examples with the largest losses, ceil(fraction x examples) of them, as 1 = chosen and 0 = not.

    Examples whose equal losses leave open which of them belong to it share the places that are left: each gets the
    chance with which a blind choice among them would take it.

    Example:
        >>> hardest(np.array([0.1, 0.9, 0.5, 0.2]), 0.5).tolist()
        [0.0, 1.0, 1.0, 0.0]
        >>> hardest(np.array([0.1, 0.9, 0.1, 0.1, 0.1]), 0.4).tolist()
        [0.25, 1.0, 0.25, 0.25, 0.25]
    """
    examples = losses.shape[-1]
    count = int(np.ceil(round(fraction * examples, 9)))
    limit = np.partition(losses, examples - count, axis=-1)[..., examples - count, np.newaxis]
    above, equal = losses > limit, losses == limit
    left = count - above.sum(axis=-1, keepdims=True)
    return above + equal * (left / equal.sum(axis=-1, keepdims=True))


def overlap(chosen: Float[np.ndarray, "state example"]) -> Float[np.ndarray, "state state"]:
    """The part of one network's chosen examples that another has chosen too, where all choose equally many.

    1 = the same ones; two blind choices of k out of N share k / N of them on average. The diagonal is 1.

    Args:
        chosen: From `hardest`.

    Returns:
        (state, state), symmetric.

    Example:
        >>> overlap(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])).tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    shared = chosen @ chosen.T / chosen[0].sum()
    np.fill_diagonal(shared, 1.0)
    return shared
