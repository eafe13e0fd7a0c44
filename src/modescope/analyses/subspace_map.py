"""Do networks drawn around a solution stay in its valley of function space?"""

import numpy as np
import xarray as xr

from modescope.analyses.bench import Bench, check_members, check_weights
from modescope.analyses.reading import dataset, with_ends
from modescope.measures.embedding import principal_coordinates, tsne
from modescope.measures.intervals import wilson_interval
from modescope.store.run import Run
from modescope.types import COMPONENT, EPOCH, FRACTION, MEMBER, METHOD, ONE, SAMPLE

QUESTION = "Do networks drawn around a solution leave its valley of function space?"
REFERENCE = (
    "Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.2, figure 4: t-SNE of softmax outputs of "
    "trajectories and subspace samples together"
)


def check(run: Run) -> None:
    """Refuse a run of one member, or without its last weights.

    Raises:
        NotApplicableError: There is no other valley to go to, or nothing to draw around.
    """
    check_members(run, "subspace_map", 2)
    check_weights(run, "subspace_map")


def analyze(run: Run, bench: Bench) -> xr.Dataset:
    """`embedding` (member, epoch, component) and `embedding_samples` (member, method, sample, component).

    `own_valley` (member, method) is the part of the samples that disagree least with their own member's last state,
    among the last states of all members mapped, with Wilson's interval. Samples that were not accepted are NaN, and so
    are states without a snapshot if there is batch norm, whose statistics are estimated anew for all.

    Raises:
        NotApplicableError: See `check`, and `subspaces`.
    """
    check(run)
    settings = run.recipe.analyses.subspace_map
    fit, left_out = bench.methods()
    methods = [method for method in fit if bench.states(method, 1) is None]  # states of the run are on the map anyway
    members = list(run.members)[: settings.members]
    kept = [epoch for epoch in run.epochs if not bench.networks.has_batch_norm or epoch in run.snapshot_epochs]
    prob = np.exp([bench.states_said(member, kept) for member in members])
    optima = prob[:, -1].argmax(axis=-1)
    samples = np.full((len(members), len(methods), settings.samples, *prob.shape[2:]), np.nan, np.float32)
    for row, member in enumerate(members):
        for column, method in enumerate(methods):
            wanted = max(run.recipe.analyses.subspaces.samples, settings.samples)  # the ones of `subspaces`, if enough
            said = np.exp(bench.said(member, method, wanted))[: settings.samples]
            samples[row, column, : len(said)] = said
            if not len(said):
                left_out[method] = bench.too_few(method, member, 0)
    there = np.isfinite(samples[..., 0, 0])
    states = prob.reshape(-1, prob[0, 0].size)
    vectors = np.concatenate([states, samples[there].reshape(-1, states.shape[1])])
    coordinates = principal_coordinates(vectors)
    points, perplexity = tsne(coordinates, perplexity=settings.perplexity, seed=settings.seed)
    embedding = np.full((len(members), len(run.epochs), 2), np.nan)
    embedding[:, kept] = points[: len(states)].reshape(len(members), -1, 2)
    placed = np.full((*there.shape, 2), np.nan)
    placed[there] = points[len(states) :]
    apart = np.stack([(samples.argmax(axis=-1) != optimum).mean(axis=-1) for optimum in optima])
    own = np.take_along_axis(apart, np.arange(len(members))[None, :, None, None], axis=0)[0]
    at_home = np.where(there, own <= apart.min(axis=0), np.nan)
    counts = there.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        own_valley = np.nansum(at_home, axis=-1) / counts
    confidence = run.recipe.analyses.subspaces.confidence
    ends = wilson_interval(own_valley, counts, confidence=confidence)
    return dataset(
        run,
        "subspace_map",
        {
            "embedding": (
                (MEMBER, EPOCH, COMPONENT),
                embedding,
                ONE,
                "t-SNE coordinate of the softmax outputs of the run's states",
            ),
            "embedding_samples": (
                (MEMBER, METHOD, SAMPLE, COMPONENT),
                placed,
                ONE,
                "t-SNE coordinate of the softmax outputs of the samples",
            ),
            **with_ends(
                "own_valley",
                (own_valley, *ends),
                FRACTION,
                "samples that disagree with no other member's last state less than with their own's",
                (MEMBER, METHOD),
            ),
        },
        question=QUESTION,
        reference=REFERENCE,
        perplexity=perplexity,
        confidence=confidence,
        titles=[fit[method] for method in methods],
        left_out=list(left_out.values()),
        members=members,
        **bench.facts,
    ).assign_coords({METHOD: methods, SAMPLE: np.arange(settings.samples)})
