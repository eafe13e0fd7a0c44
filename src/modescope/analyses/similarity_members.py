"""Between independently trained members: how far apart are their weights and their functions?"""

import numpy as np
import xarray as xr

from modescope.analyses.reading import Weights, dataset, labels, log_prob, with_ends
from modescope.errors import NotApplicableError
from modescope.measures.disagreement import disagreement, disagreement_by_example
from modescope.measures.intervals import (
    bootstrap_weights,
    fraction_interval,
    pairs_interval,
    ratio_interval,
    wilson_interval,
)
from modescope.measures.weights import cosine, inner_products
from modescope.store.run import Run
from modescope.types import FRACTION, MEMBER, MEMBER_OTHER, ONE

QUESTION = "How far apart are independently trained members, as weights and as functions?"
REFERENCE = "Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 3, figure 3"


def check(run: Run) -> None:
    """Refuse a run that has no pairs of members.

    Raises:
        NotApplicableError: The run has one member.
    """
    if len(run.members) < 2:
        raise NotApplicableError(
            "similarity_members needs at least 2 members and this run has 1; train more with "
            "--set ensemble.members=2 and another output folder."
        )


def analyze(run: Run) -> xr.Dataset:
    """Cosine and disagreement (member, member_other) at the last epoch.

    `cosine_similarity` is over all trainable parameters; `cosine_similarity_without_biases` leaves out every parameter
    of less than two dimensions: biases, as the W&B report did, and the scales of norms, which all begin at 1 and whose
    cosine is high for that reason alone. `disagreement_low` and `_high` are Wilson intervals of each pair;
    `mean_disagreement` is over all pairs, with a bootstrap interval over test examples (`_low`, `_high`) and another
    over members (`_members_low`, `_members_high`: what other training runs would change); `disagreement_over_error`
    divides it by the members' mean error. The ends of `mean_cosine_similarity` are over members.

    Raises:
        NotApplicableError: The run has one member.
    """
    check(run)
    settings = run.recipe.analyses.similarity_members
    last = run.epochs[-1]
    predicted = log_prob(run, run.members, [last])[:, 0].argmax(axis=-1)
    axes = (MEMBER, MEMBER_OTHER)
    variables = {}
    if last in run.snapshot_epochs:
        weights = Weights(run, [(member, last) for member in run.members])
        matrices = [name for name, shape in weights.shapes.items() if len(shape) >= 2]
        vectors = [name for name, shape in weights.shapes.items() if len(shape) < 2]
        none = np.zeros((len(run.members), len(run.members)))  # where there are no matrices
        products = none + inner_products(weights.blocks(matrices))
        without, every = cosine(products), cosine(products + inner_products(weights.blocks(vectors)))
        variables["cosine_similarity"] = (axes, every, ONE, "cosine between all trainable parameters")
        variables["cosine_similarity_without_biases"] = (
            axes,
            without,
            ONE,
            "cosine between all weights, without biases and norms",
        )
        mean = (_pairs(every).mean(), *pairs_interval(every, confidence=settings.confidence))
        variables |= with_ends("mean_cosine_similarity", mean, ONE, "mean cosine over all pairs of members")
    pairwise = disagreement(predicted)
    low, high = wilson_interval(pairwise, predicted.shape[-1], confidence=settings.confidence)
    low, high = _with_diagonal(low, 0.0), _with_diagonal(high, 0.0)  # a network agrees with itself for certain
    told = "test examples that are given different classes"
    variables["disagreement"] = (axes, pairwise, FRACTION, told)
    variables["disagreement_low"] = (axes, low, FRACTION, f"{told}: lower end of Wilson's interval")
    variables["disagreement_high"] = (axes, high, FRACTION, f"{told}: upper end of Wilson's interval")

    resampled = bootstrap_weights(predicted.shape[-1], resamples=settings.resamples, seed=settings.seed)
    apart = disagreement_by_example(predicted)
    estimate = fraction_interval(apart, resampled, confidence=settings.confidence)
    variables |= with_ends("mean_disagreement", estimate, FRACTION, "mean disagreement over all pairs")
    others = pairs_interval(pairwise, confidence=settings.confidence)
    for end, value in zip(("low", "high"), others, strict=True):
        told = f"mean disagreement over all pairs: {end}er end of the interval over other members"
        variables[f"mean_disagreement_members_{end}"] = ((), np.asarray(value), FRACTION, told)
    wrong = (predicted != labels(run)).mean(axis=0)
    ratio = ratio_interval(apart, wrong, resampled, confidence=settings.confidence)
    variables |= with_ends("disagreement_over_error", ratio, ONE, "mean disagreement over the members' mean error")
    return dataset(
        run,
        "similarity_members",
        variables,
        question=QUESTION,
        reference=REFERENCE,
        epoch=last,
        confidence=settings.confidence,
        resamples=settings.resamples,
    )


def _pairs(matrix: np.ndarray) -> np.ndarray:
    return matrix[np.triu_indices(len(matrix), 1)]


def _with_diagonal(matrix: np.ndarray, value: float) -> np.ndarray:
    matrix = matrix.copy()
    np.fill_diagonal(matrix, value)
    return matrix
