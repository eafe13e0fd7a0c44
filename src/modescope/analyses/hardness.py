"""Which examples are hard, and is it the same ones for everybody?"""

import math

import numpy as np
import xarray as xr
from jaxtyping import Float

from modescope.analyses.reading import dataset, labels, log_prob, with_ends
from modescope.measures.hardness import (
    first_learned,
    hardest,
    overlap,
    rank_correlation,
    standard_ranks,
    times_forgotten,
)
from modescope.measures.intervals import bootstrap_weights, centred_interval, with_wilson_ends
from modescope.measures.scores import correct, negative_log_likelihood
from modescope.store.run import Run
from modescope.types import COUNT, EPOCH, EPOCH_OTHER, EXAMPLE, FRACTION, MEMBER, MEMBER_OTHER, NAT, ONE

QUESTION = "Which test examples are hard, and are they the same ones for other members and other epochs?"
REFERENCE = (
    "Toneva et al. (2019), An Empirical Study of Example Forgetting, for learning and forgetting; the claim that hard "
    "examples change with epoch and initialisation is the W&B report's (Paul & Thakur 2020)"
)


def analyze(run: Run) -> xr.Dataset:
    """When each example is learned and forgotten, and how far members and epochs agree on what is hard.

    `first_learned` (member, example) is the first epoch from which the example stays right to the end, NaN if it is
    wrong at the end; `times_forgotten` (member, example) counts its falls from right to wrong; `loss` (member, example)
    is its loss at the last epoch. Spearman's `rank_correlation_*` of the per-example losses and `hardest_overlap_*`,
    the part of the hardest examples (`fraction` of them) that two states share, compare members at the last epoch
    (member, member_other) and epochs of one member (member, epoch, epoch_other). `hardest_overlap_chance` is what two
    blind choices would share; blind ranks correlate by 0. `mean_*_members` are over all pairs of members,
    `mean_*_epochs` over all pairs of trained epochs of one member and then over members, with bootstrap intervals over
    test examples that keep ranks as they are.
    """
    settings = run.recipe.analyses.hardness
    label = labels(run)
    losses = np.empty((len(run.members), len(run.epochs), len(label)))
    right = np.empty(losses.shape, dtype=bool)
    for member in run.members:
        for epoch in run.epochs:
            said = log_prob(run, [member], [epoch])[0, 0]
            losses[member, epoch] = negative_log_likelihood(said, label)
            right[member, epoch] = correct(said, label)
    last = losses[:, -1]
    by_example, members, epochs = (MEMBER, EXAMPLE), (MEMBER, MEMBER_OTHER), (MEMBER, EPOCH, EPOCH_OTHER)
    share = f"part of the hardest {100 * settings.fraction:g} % that both states share"
    chosen = hardest(losses, settings.fraction)
    variables = {
        "first_learned": (by_example, first_learned(right), "epoch", "first epoch from which it stays right"),
        "times_forgotten": (by_example, times_forgotten(right), COUNT, "falls from right to wrong"),
        "loss": (by_example, last, NAT, "loss at the last epoch"),
        "rank_correlation_members": (members, rank_correlation(last), ONE, "Spearman's correlation of losses"),
        "hardest_overlap_members": (members, overlap(chosen[:, -1]), FRACTION, share),
        "rank_correlation_epochs": (
            epochs,
            np.stack([rank_correlation(states) for states in losses]),
            ONE,
            "Spearman's correlation of losses",
        ),
        "hardest_overlap_epochs": (epochs, np.stack([overlap(states) for states in chosen]), FRACTION, share),
        "hardest_overlap_chance": (
            (),
            np.asarray(chosen[0, 0].mean()),
            FRACTION,
            f"{share}, if both choose blindly",
        ),
    }
    weights = bootstrap_weights(len(label), resamples=settings.resamples, seed=settings.seed)
    for among, states, told in (
        ("members", last[np.newaxis], "all pairs of members at the last epoch"),
        ("epochs", losses[:, 1:], "all pairs of trained epochs of one member, then over members"),
    ):
        if states.shape[1] > 1:
            of_pairs = _means_over_pairs(states, hardest(states, settings.fraction), weights, settings.confidence)
            for name, estimate in of_pairs.items():
                _, _, unit, what = variables[f"{name}_{among}"]
                variables |= with_ends(f"mean_{name}_{among}", estimate, unit, f"{what}: mean over {told}")
    return dataset(
        run,
        "hardness",
        variables,
        question=QUESTION,
        reference=REFERENCE,
        fraction=settings.fraction,
        confidence=settings.confidence,
        resamples=settings.resamples,
    )


def _means_over_pairs(
    losses: Float[np.ndarray, "group state example"],
    chosen: Float[np.ndarray, "group state example"],
    weights: Float[np.ndarray, "resample example"],
    confidence: float,
) -> dict[str, tuple[float, float, float]]:
    """Means over pairs of states of one group, then over groups, with intervals.

    A resample keeps each example's rank and its being chosen, and weighs them: Σ_pairs Σ_n w_n r_in r_jn needs only
    the sums over states, since (Σ_i r_i)² = Σ_i r_i² + 2 Σ_{i<j} r_i r_j.
    """
    count = math.comb(losses.shape[1], 2)
    ranks = standard_ranks(losses)
    means = {}
    for name, values, whole in (("rank_correlation", ranks, ranks**2), ("hardest_overlap", chosen, chosen)):
        product = ((values.sum(axis=1) ** 2 - (values**2).sum(axis=1)) / 2 / count).mean(axis=0)
        most = whole.mean(axis=(0, 1))
        estimate = np.asarray(product.mean() / most.mean() if most.any() else 0.0)
        resampled = (weights @ product) / np.maximum(weights @ most, 1e-12)
        low, high = centred_interval(estimate, resampled, confidence=confidence)
        if name == "hardest_overlap":
            number = round(float(chosen[0, 0].sum()))
            low, high = with_wilson_ends(estimate, low, high, number, confidence=confidence)
        means[name] = (float(estimate), float(low), float(high))
    return means
