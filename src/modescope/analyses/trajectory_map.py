"""Do different members end in different places of function space?"""

import numpy as np
import xarray as xr
from jaxtyping import Float

from modescope.analyses.reading import Variable, Weights, dataset, log_prob
from modescope.errors import NotApplicableError
from modescope.measures.embedding import principal_coordinates, tsne
from modescope.measures.weights import cosine_similarity
from modescope.store.run import Run
from modescope.types import COMPONENT, EPOCH, EPOCH_OTHER, MEMBER, MEMBER_OTHER, ONE

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

    `embedding_pca` are their first principal components, and `cosine_similarity` (member, epoch, member_other,
    epoch_other) that of the weights of any two states: NaN where no snapshot was kept, or where there are more than
    `most_states` of them and the state is not one of those looked at. It is left out where networks have no weights in
    common.

    Raises:
        NotApplicableError: There are fewer than three states to map.
    """
    check(run)
    settings = run.recipe.analyses.trajectory_map
    shape = len(run.members), len(run.epochs), 2
    prob = log_prob(run, run.members, run.epochs)
    np.exp(prob, out=prob)  # in place: of 100 classes there are gigabytes
    coordinates = principal_coordinates(prob.reshape(-1, prob[0, 0].size))
    points, perplexity = tsne(coordinates, perplexity=settings.perplexity, seed=settings.seed)
    axes = (MEMBER, EPOCH, COMPONENT)
    variables: dict[str, Variable] = {
        "embedding": (axes, points.reshape(shape), ONE, "t-SNE coordinate of the softmax outputs"),
        "embedding_pca": (axes, coordinates[:, :2].reshape(shape), ONE, "principal component of the softmax outputs"),
    }
    try:
        cosines = _cosines(run, settings.most_states)
    except NotApplicableError:  # members of different architectures
        pass
    else:
        axes = (MEMBER, EPOCH, MEMBER_OTHER, EPOCH_OTHER)
        variables["cosine_similarity"] = (axes, cosines, ONE, "cosine between all trainable parameters")
    return dataset(
        run,
        "trajectory_map",
        variables,
        question=QUESTION,
        reference=REFERENCE,
        perplexity=perplexity,
        seed=settings.seed,
    )


def _cosines(run: Run, most: int) -> Float[np.ndarray, "member epoch member epoch"]:
    """The cosine of every two snapshots, or of those of evenly spaced epochs, the last one among them."""
    kept = np.array(run.snapshot_epochs)
    count = min(len(kept), max(most // len(run.members), 1))
    epochs = kept[np.linspace(len(kept) - 1, 0, count).round().astype(int)[::-1]]
    states = [(member, int(epoch)) for member in run.members for epoch in epochs]
    cosines = np.full((len(run.members), len(run.epochs)) * 2, np.nan, np.float32)
    found = cosine_similarity(Weights(run, states).blocks())
    members = np.arange(len(run.members))
    cosines[np.ix_(members, epochs, members, epochs)] = found.reshape(len(members), count, len(members), count)
    return cosines
