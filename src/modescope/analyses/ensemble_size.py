"""What does each further member bring?"""

import numpy as np
import xarray as xr

from modescope.analyses.reading import dataset, labels, log_prob
from modescope.analyses.scoring import METRICS, score_subsets, together, with_interval
from modescope.measures.ensembles import subsets
from modescope.measures.intervals import bootstrap_weights
from modescope.store.run import Run
from modescope.types import COUNT, SIZE

QUESTION = "What does an ensemble of a given size gain over one member?"
REFERENCE = (
    "Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, figure 8, averaged over all subsets of a size as in the "
    "authors' notebook; calibration error of Guo et al. (2017)"
)


def analyze(run: Run) -> xr.Dataset:
    """Accuracy, NLL, Brier score, calibration error and confidence (size) of ensembles at the last epoch.

    Each metric is a mean over all subsets of a size, or over a stated number of random ones: `subsets` says how many.
    `_low` and `_high` are the ends of a paired bootstrap interval over test examples; `_gain` is the value less that of
    one member, `_step` less that of one member fewer, each with its own interval; `_subset_min` and `_subset_max` are
    the smallest and the largest value of a subset, which says how much the choice of members matters and is no error
    bar.
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
    confidence = settings.confidence
    for metric, (unit, told) in METRICS.items():
        estimate, resampled = together(metric, scores)
        value, low, high = with_interval(metric, estimate, resampled, len(label), confidence=confidence)
        gain, gain_low, gain_high = with_interval(
            metric,
            estimate - estimate[0],
            resampled - resampled[:, :1],
            len(label),
            confidence=confidence,
            difference=True,
        )
        step, step_low, step_high = with_interval(
            metric,
            np.diff(estimate, prepend=np.nan),
            np.diff(resampled, axis=1, prepend=np.nan),
            len(label),
            confidence=confidence,
            difference=True,
        )
        for suffix, values, what in (
            ("", value, told),
            ("_low", low, f"{told}: lower end of the interval"),
            ("_high", high, f"{told}: upper end of the interval"),
            ("_gain", gain, f"{told}: difference from one member"),
            ("_gain_low", gain_low, f"{told}: difference from one member, lower end"),
            ("_gain_high", gain_high, f"{told}: difference from one member, upper end"),
            ("_step", step, f"{told}: difference from one member fewer"),
            ("_step_low", step_low, f"{told}: difference from one member fewer, lower end"),
            ("_step_high", step_high, f"{told}: difference from one member fewer, upper end"),
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
        worth=settings.worth,
    ).assign_coords({SIZE: sizes})
