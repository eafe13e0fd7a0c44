"""Scores of ensembles with their intervals: what every analysis says of a group of networks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from modescope.measures.calibration import expected_calibration_error
from modescope.measures.ensembles import ensemble_log_prob
from modescope.measures.intervals import centred_interval, reflected_interval, resampled_means, with_wilson_ends
from modescope.measures.scores import brier_score, correct
from modescope.types import FRACTION, NAT, ONE

METRICS = {
    "accuracy": (FRACTION, "accuracy"),
    "nll": (NAT, "mean negative log-likelihood"),
    "brier": (ONE, "Brier score, summed over classes (0 to 2)"),
    "ece": (FRACTION, "expected calibration error"),
    "confidence": (FRACTION, "mean largest probability"),
}

_ROUNDING = 1e-12

Ends = tuple[Float[np.ndarray, "*things"], Float[np.ndarray, "*things"], Float[np.ndarray, "*things"]]
"""Estimates and the lower and upper ends of their intervals."""


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


def together(metric: str, scores: Sequence[SizeScores]) -> tuple[Float[np.ndarray, " score"], Float[np.ndarray, "_ _"]]:
    """One metric of several groups: the estimates (score) and the values on each resample (resample, score)."""
    estimate = np.array([score.mean[metric] for score in scores])
    return estimate, np.stack([score.resampled[metric] for score in scores], axis=1)


def with_interval(
    metric: str,
    estimate: Float[np.ndarray, "*things"],
    resampled: Float[np.ndarray, "resample *things"],  # noqa: F821
    examples: int,
    *,
    confidence: float,
    difference: bool = False,
) -> Ends:
    """A metric, or a difference of two values of it, with its interval.

    Args:
        metric: One of `METRICS`.
        estimate: The values.
        resampled: The values on each resample.
        examples: How many examples there are.
        confidence: Of the intervals.
        difference: Whether the values are differences, which may be negative.

    Returns:
        Estimates, lower ends, upper ends.
    """
    interval = reflected_interval if metric == "ece" else centred_interval
    low, high = interval(estimate, resampled, confidence=confidence)
    if difference:
        most = 2.0 if METRICS[metric][0] == ONE else 1.0 if METRICS[metric][0] == FRACTION else np.inf
        return tuple(_without_rounding(np.clip(value, -most, most)) for value in (estimate, low, high))
    if metric == "accuracy":
        low, high = with_wilson_ends(estimate, low, high, examples, confidence=confidence)
    most = 1.0 if METRICS[metric][0] == FRACTION else np.inf
    return estimate, np.maximum(low, 0), np.minimum(high, most)  # no metric is ever less than 0


def _without_rounding(difference: Float[np.ndarray, "*things"]) -> Float[np.ndarray, "*things"]:
    """Nothing where there is a trillionth: that is how sums of the same numbers differ, and no gain or loss."""
    return np.where(np.abs(difference) < _ROUNDING, 0.0, difference)
