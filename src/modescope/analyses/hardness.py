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
from modescope.measures.intervals import bootstrap_weights, centred_interval
from modescope.measures.scores import correct, negative_log_likelihood
from modescope.recipe import HardnessSettings
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
    the part of the hardest 5 % that two states share, compare members at the last epoch (member, member_other) and
    epochs of one member (member, epoch, epoch_other). `hardest_overlap_chance` is what two blind choices would share;
    blind ranks correlate by 0. `mean_*` are over all pairs of members, with bootstrap intervals over test examples.
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
    if len(run.members) > 1:
        for name, estimate in _means_over_pairs(last, chosen[:, -1], settings).items():
            _, _, unit, told = variables[f"{name}_members"]
            variables |= with_ends(f"mean_{name}_members", estimate, unit, f"{told}: mean over all pairs of members")
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
    losses: Float[np.ndarray, "member example"], chosen: np.ndarray, settings: HardnessSettings
) -> dict[str, tuple[float, float, float]]:
    """Means over pairs of members with intervals.

    A resample keeps each example's rank and its being chosen, and weighs them: Σ_pairs Σ_n w_n r_in r_jn needs only
    the sums over members, since (Σ_i r_i)² = Σ_i r_i² + 2 Σ_{i<j} r_i r_j.
    """
    weights = bootstrap_weights(losses.shape[-1], resamples=settings.resamples, seed=settings.seed)
    count = math.comb(len(losses), 2)
    means = {}
    for name, values in (("rank_correlation", standard_ranks(losses)), ("hardest_overlap", chosen.astype(np.float64))):
        product = (values.sum(axis=0) ** 2 - (values**2).sum(axis=0)) / 2 / count
        square = (values**2).mean(axis=0)
        estimate = product.mean() / square.mean() if square.any() else 0.0
        resampled = (weights @ product) / np.maximum(weights @ square, 1e-12)
        low, high = centred_interval(np.asarray(estimate), resampled, confidence=settings.confidence)
        means[name] = (float(estimate), float(low), float(high))
    return means
