"""Diversity: how much a group of networks differs in what it says, and how much it could at its accuracy."""

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import entr

from modescope.measures.ensembles import ensemble_log_prob


def normalised_diversity(
    predicted: Integer[np.ndarray, "*states example"],
    reference: Integer[np.ndarray, " example"],
    label: Integer[np.ndarray, " example"],
) -> tuple[Float[np.ndarray, "*states"], Float[np.ndarray, "*states"]]:
    """Accuracy of each network, and its disagreement with a reference divided by its own error.

    d(f, f*) / (1 - a), with a the accuracy of f: a less accurate network can disagree more by chance alone. 0 = the
    same function; 1 = as different as two random guesses; more where errors are independent (see
    `independent_disagreement`).

    Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.3.

    Args:
        predicted: Predicted classes of the networks.
        reference: Predicted classes of the reference f*.
        label: True classes.

    Returns:
        Accuracies and diversities; a network without any error has none (NaN).

    Example:
        >>> normalised_diversity(np.array([[0, 1, 1, 1]]), np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]))
        (array([0.5]), array([0.5]))
    """
    accuracy = (predicted == label).mean(axis=-1)
    apart = (predicted != reference).mean(axis=-1)
    return accuracy, np.divide(apart, 1 - accuracy, out=np.full_like(apart, np.nan), where=accuracy < 1)


def independent_disagreement(
    accuracy: Float[np.ndarray, "..."], reference: float, classes: int
) -> Float[np.ndarray, "..."]:
    """The paper's upper curve: the disagreement of two networks whose errors are independent.

    d = a* (1 - a) + a (1 - a*) + (1 - a*)(1 - a)(C - 2) / (C - 1): one of them is wrong, or both are, differently, with
    wrong classes that are all as likely. No hard bound: see `disagreement_bounds`.

    Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.3 and appendix D.

    Args:
        accuracy: a.
        reference: a*, the accuracy of the reference.
        classes: C.

    Returns:
        Disagreements as a fraction, not divided by 1 - a.

    Example:
        >>> independent_disagreement(np.array([0.1, 0.71]), 0.71, 10).round(4).tolist()
        [0.9, 0.4866]
    """
    both_wrong = (1 - reference) * (1 - accuracy)
    one_wrong = reference * (1 - accuracy) + accuracy * (1 - reference)
    return np.asarray(one_wrong + both_wrong * (classes - 2) / (classes - 1))


def perturbed_disagreement(
    accuracy: Float[np.ndarray, "..."], reference: float, classes: int
) -> Float[np.ndarray, "..."]:
    """The paper's lower curve: the disagreement of a reference with itself, some of its answers replaced by chance.

    d = (a* - a) / (a* - (1 - a*) / (C - 1)): each answer becomes another class, all as likely, with one chance, which
    is the disagreement.

    Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.3 and appendix D.

    Args:
        accuracy: a, between 1 / C and a*.
        reference: a*, the accuracy of the reference, above 1 / C.
        classes: C.

    Returns:
        Disagreements as a fraction, not divided by 1 - a.

    Example:
        >>> perturbed_disagreement(np.array([0.1, 0.5, 0.71]), 0.71, 10).round(4).tolist()
        [0.9, 0.3098, 0.0]
    """
    return np.asarray((reference - accuracy) / (reference - (1 - reference) / (classes - 1)))


def disagreement_bounds(
    accuracy: Float[np.ndarray, "..."], reference: float
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """What no two networks of these accuracies can go beyond: |a* - a| and min(1, 2 - a - a*).

    Example:
        >>> [ends.round(2).tolist() for ends in disagreement_bounds(np.array([0.5, 0.9]), 0.8)]
        [[0.3, 0.1], [0.7, 0.3]]
    """
    return np.asarray(np.abs(reference - accuracy)), np.asarray(np.minimum(1.0, 2 - accuracy - reference))


def jensen_shannon(
    log_prob: Float[np.ndarray, "member *things class"],
) -> Float[np.ndarray, "*things"]:
    """Jensen-Shannon divergence of the members' predictions, in nat.

    JS = H(p̄) - (1/M) Σ_m H(p_m) = (1/M) Σ_m KL(p_m ‖ p̄), p̄ the mean of the M predictions: 0 = all say the same,
    ln M = each is certain of another class. The same as the mutual information of prediction and member.

    Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 5; with the factor 1/M of the authors'
    notebook, which the paper's formula does not print, and without its 1e-5 inside the logarithm.

    Args:
        log_prob: Natural logarithms of the softmax.

    Returns:
        One divergence a prediction.

    Example:
        >>> with np.errstate(divide="ignore"):
        ...     said = np.log(np.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
        >>> jensen_shannon(said).round(4).tolist()
        [0.6931]
    """
    together = ensemble_log_prob(log_prob)
    each = entr(np.exp(log_prob)).sum(axis=-1).mean(axis=0)
    return np.maximum(entr(np.exp(together)).sum(axis=-1) - each, 0)
