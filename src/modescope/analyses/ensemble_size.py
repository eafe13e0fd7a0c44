"""What does each further member bring?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float, Integer

from modescope.analyses.reading import dataset, labels, log_prob
from modescope.measures.calibration import expected_calibration_error
from modescope.measures.ensembles import ensemble_log_prob, subsets
from modescope.measures.intervals import (
    bootstrap_weights,
    centred_interval,
    reflected_interval,
    resampled_means,
    with_wilson_ends,
)
from modescope.measures.scores import brier_score, correct
from modescope.store.run import Run
from modescope.types import COUNT, FRACTION, NAT, ONE, SIZE

QUESTION = "What does an ensemble of a given size gain over one member?"
REFERENCE = (
    "Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, figure 8, averaged over all subsets of a size as in the "
    "authors' notebook; calibration error of Guo et al. (2017)"
)
METRICS = {
    "accuracy": (FRACTION, "accuracy"),
    "nll": (NAT, "mean negative log-likelihood"),
    "brier": (ONE, "Brier score, summed over classes (0 to 2)"),
    "ece": (FRACTION, "expected calibration error"),
    "confidence": (FRACTION, "mean largest probability"),
}


def analyze(run: Run) -> xr.Dataset:
    """Accuracy, NLL, Brier score, calibration error and confidence (size) of ensembles at the last epoch.

    Each metric is a mean over all subsets of a size, or over a stated number of random ones: `subsets` says how many.
    `_low` and `_high` are the ends of a paired bootstrap interval over test examples; `_gain` is the value less that of
    one member, with its own interval; `_subset_min` and `_subset_max` are the smallest and the largest value of a
    subset, which says how much the choice of members matters and is no error bar.
    """
    settings = run.recipe.analyses.ensemble_size
    stored = log_prob(run, run.members, [run.epochs[-1]])[:, 0]
    # random subsets are drawn of the members in the order of their contents, so that how they are numbered is no matter
    said = stored[sorted(range(len(stored)), key=lambda member: stored[member].tobytes())].astype(np.float64)
    label = labels(run)
    weights = bootstrap_weights(len(label), resamples=settings.resamples, seed=settings.seed)
    sizes = np.arange(1, len(said) + 1)
    chosen = [subsets(len(said), int(size), most=settings.subsets, seed=settings.seed) for size in sizes]
    scores = [score_subsets(said, label, subset, weights, bins=settings.bins) for subset in chosen]
    variables = {
        "subsets": ((SIZE,), np.array([len(subset) for subset in chosen]), COUNT, "subsets that were averaged over"),
    }
    for metric, (unit, told) in METRICS.items():
        estimate = np.array([score.mean[metric] for score in scores])
        resampled = np.stack([score.resampled[metric] for score in scores], axis=1)
        interval = reflected_interval if metric == "ece" else centred_interval
        low, high = interval(estimate, resampled, confidence=settings.confidence)
        if metric == "accuracy":
            low, high = with_wilson_ends(estimate, low, high, len(label), confidence=settings.confidence)
        gain = estimate - estimate[0]
        gain_low, gain_high = interval(gain, resampled - resampled[:, :1], confidence=settings.confidence)
        most = 1.0 if unit == FRACTION else np.inf
        for suffix, values, what in (
            ("", estimate, told),
            ("_low", np.maximum(low, 0), f"{told}: lower end of the interval"),  # no metric is ever less
            ("_high", np.minimum(high, most), f"{told}: upper end of the interval"),
            ("_gain", gain, f"{told}: difference from one member"),
            ("_gain_low", gain_low, f"{told}: difference from one member, lower end"),
            ("_gain_high", gain_high, f"{told}: difference from one member, upper end"),
            ("_subset_min", np.array([score.smallest[metric] for score in scores]), f"{told}: smallest of the subsets"),
            ("_subset_max", np.array([score.largest[metric] for score in scores]), f"{told}: largest of the subsets"),
        ):
            variables[metric + suffix] = ((SIZE,), values, unit, what)
    return dataset(
        run,
        "ensemble_size",
        variables,
        question=QUESTION,
        reference=REFERENCE,
        epoch=run.epochs[-1],
        confidence=settings.confidence,
        resamples=settings.resamples,
        bins=settings.bins,
        most_subsets=settings.subsets,
    ).assign_coords({SIZE: sizes})


@dataclass(frozen=True)
class SizeScores:
    """Scores of all looked-at ensembles of one size: metric -> value, or value of each resample."""

    mean: dict[str, float]
    resampled: dict[str, Float[np.ndarray, " resample"]]
    smallest: dict[str, float]
    largest: dict[str, float]


def score_subsets(
    log_prob: Float[np.ndarray, "member example class"],
    label: Integer[np.ndarray, " example"],
    chosen: Sequence[tuple[int, ...]],
    weights: Float[np.ndarray, "resample example"],
    *,
    bins: int,
) -> SizeScores:
    """Score the ensembles of these subsets of members, on the examples and on each resample of them.

    Scores that are means over examples are averaged over subsets first and resampled once; the calibration error is
    no such mean and is resampled for every subset.
    """
    prob = np.exp(log_prob)
    of_label = log_prob[:, np.arange(len(label)), label]
    by_example = dict.fromkeys(("accuracy", "nll", "brier", "confidence"), np.zeros(len(label)))
    of_subset: dict[str, list[float]] = {metric: [] for metric in METRICS}
    resampled_ece = np.zeros(len(weights))
    for subset in chosen:
        mean_prob = prob[list(subset)].mean(axis=0)
        right = correct(mean_prob, label)
        confidence = mean_prob.max(axis=-1)
        values = {
            "accuracy": right.astype(np.float64),
            "nll": -ensemble_log_prob(of_label[list(subset)]),  # never of a probability that is rounded to zero
            "brier": brier_score(mean_prob, label),
            "confidence": confidence,
        }
        for metric, value in values.items():
            by_example[metric] = by_example[metric] + value / len(chosen)
            of_subset[metric].append(float(value.mean()))
        of_subset["ece"].append(float(expected_calibration_error(confidence, right, bins=bins)))
        resampled_ece += expected_calibration_error(confidence, right, bins=bins, weights=weights) / len(chosen)
    resampled = {metric: resampled_means(value, weights) for metric, value in by_example.items()}
    return SizeScores(
        mean={metric: float(np.mean(values)) for metric, values in of_subset.items()},
        resampled={**resampled, "ece": resampled_ece},
        smallest={metric: min(values) for metric, values in of_subset.items()},
        largest={metric: max(values) for metric, values in of_subset.items()},
    )
