"""Do different members end in different places of function space?"""

import numpy as np
import xarray as xr

from modescope.analyses.reading import dataset, log_prob
from modescope.errors import NotApplicableError
from modescope.measures.embedding import tsne
from modescope.store.run import Run
from modescope.types import COMPONENT, EPOCH, MEMBER, ONE

QUESTION = "Do the members' training paths end in different places of function space?"
REFERENCE = "Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 3, figure 2c: t-SNE of softmax outputs"


def check(run: Run) -> None:
    """Refuse a run of too few states.

    Raises:
        NotApplicableError: There are fewer than three states to map.
    """
    states = len(run.members) * len(run.epochs)
    if states < 3:
        raise NotApplicableError(
            f"trajectory_map needs at least three states (members x epochs); this run has {states}."
        )


def analyze(run: Run) -> xr.Dataset:
    """`embedding` (member, epoch, component): t-SNE of the softmax outputs of all members and epochs together.

    Raises:
        NotApplicableError: There are fewer than three states to map.
    """
    check(run)
    settings = run.recipe.analyses.trajectory_map
    prob = log_prob(run, run.members, run.epochs)
    np.exp(prob, out=prob)  # in place: of 100 classes there are gigabytes
    points, perplexity = tsne(prob.reshape(-1, prob[0, 0].size), perplexity=settings.perplexity, seed=settings.seed)
    embedding = points.reshape(len(run.members), len(run.epochs), 2)
    return dataset(
        run,
        "trajectory_map",
        {"embedding": ((MEMBER, EPOCH, COMPONENT), embedding, ONE, "t-SNE coordinate of the softmax outputs")},
        question=QUESTION,
        reference=REFERENCE,
        perplexity=perplexity,
        seed=settings.seed,
    )
