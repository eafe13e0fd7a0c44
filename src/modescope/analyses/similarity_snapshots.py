"""Along one training run: how fast do weights and functions stop changing?"""

import math

import numpy as np
import xarray as xr

from modescope.analyses.reading import Weights, dataset, predicted_classes, with_ends
from modescope.measures.disagreement import disagreement, disagreement_by_example
from modescope.measures.intervals import bootstrap_weights, fraction_interval, members_interval
from modescope.measures.weights import cosine_similarity
from modescope.store.run import Run
from modescope.types import EPOCH, EPOCH_OTHER, FRACTION, MEMBER, ONE

QUESTION = "Along one training run, how far do the weights and the predictions of its snapshots move apart?"
REFERENCE = "Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 3, figure 2a and 2b"


def analyze(run: Run) -> xr.Dataset:
    """Cosine of all trainable parameters and disagreement (member, epoch, epoch_other).

    `late_disagreement` is the mean over all pairs of late snapshots of one member, then over members, with a bootstrap
    interval over test examples (`_low`, `_high`) and one over members (`_members_low`, `_members_high`). Where no
    snapshot was kept, the cosine is NaN.
    """
    settings = run.recipe.analyses.similarity_snapshots
    predicted = predicted_classes(run)
    axes = (MEMBER, EPOCH, EPOCH_OTHER)
    cosine = np.full((len(run.members), len(run.epochs), len(run.epochs)), np.nan)
    kept = np.asarray(run.snapshot_epochs, dtype=int)
    for member in run.members:
        if len(kept):
            weights = Weights(run, [(member, int(epoch)) for epoch in kept])
            cosine[member][np.ix_(kept, kept)] = cosine_similarity(weights.blocks())
    variables = {
        "cosine_similarity": (axes, cosine, ONE, "cosine between all trainable parameters"),
        "disagreement": (
            axes,
            np.stack([disagreement(states) for states in predicted]),
            FRACTION,
            "test examples that are given different classes",
        ),
    }
    late = late_epochs(run.recipe.training.epochs, settings.late_fraction)
    if len(late) >= 2:
        resampled = bootstrap_weights(predicted.shape[-1], resamples=settings.resamples, seed=settings.seed)
        of_members = np.stack([disagreement_by_example(states[late]) for states in predicted])
        estimate = fraction_interval(of_members.mean(axis=0), resampled, confidence=settings.confidence)
        told = f"mean disagreement between two of the epochs {late[0]} to {late[-1]} of one member"
        variables |= with_ends("late_disagreement", estimate, FRACTION, told)
        others = members_interval(of_members.mean(axis=1), confidence=settings.confidence)
        for end, value in zip(("low", "high"), others, strict=True):
            what = f"{told}: {end}er end of the interval over other members"
            variables[f"late_disagreement_members_{end}"] = ((), np.asarray(value), FRACTION, what)
    return dataset(
        run,
        "similarity_snapshots",
        variables,
        question=QUESTION,
        reference=REFERENCE,
        confidence=settings.confidence,
        resamples=settings.resamples,
        late_epochs=[late[0], late[-1]] if late else [],
    )


def late_epochs(epochs: int, fraction: float) -> list[int]:
    """The last part of training: the last ceil(fraction x epochs) epochs, never the initialisation.

    Example:
        >>> late_epochs(10, 0.25)
        [8, 9, 10]
    """
    count = math.ceil(round(fraction * epochs, 9))
    return list(range(epochs - count + 1, epochs + 1)) if count else []
