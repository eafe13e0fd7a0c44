"""Which of several runs is better, one member of each and all of them averaged?

Compares runs that were tested on the same examples, whatever else differs; it is not an analysis of one run and has no
place in `NAMES`.
"""

from collections import Counter
from collections.abc import Sequence
from importlib import metadata

import numpy as np
import xarray as xr
from jaxtyping import Float

from modescope.analyses import ensemble_size
from modescope.analyses.reading import Variable, labels, log_prob, with_ends
from modescope.analyses.scoring import METRICS, SizeScores, score_subsets, together, with_interval
from modescope.analyses.vary import mean_cosine
from modescope.errors import NotApplicableError
from modescope.measures.disagreement import disagreement_by_example
from modescope.measures.intervals import bootstrap_weights, fraction_interval
from modescope.store.predictions import read_class_names, require_finished
from modescope.store.run import Run
from modescope.types import COUNT, FRACTION, ONE, RUN, SIZE

QUESTION = "Which of these runs is better, one member of each and all of them averaged?"
REFERENCE = "Paired bootstrap over test examples (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 8)"


def check(runs: Sequence[Run]) -> None:
    """Refuse runs that cannot be compared example by example.

    Raises:
        NotApplicableError: There are fewer than two runs, or one twice, or their test examples differ.
        RunError: One of them is not finished.
    """
    if len(runs) < 2:
        raise NotApplicableError("compare needs at least two runs.")
    first = runs[0]
    for run in runs:
        require_finished(run)
        if not np.array_equal(labels(run), labels(first)) or read_class_names(run) != read_class_names(first):
            raise NotApplicableError(
                f"{first.path} and {run.path} were tested on different examples: other labels or classes. Compare runs "
                "of the same test data."
            )
    places = Counter(str(run.path) for run in runs)
    twice = [place for place, times in places.items() if times > 1]
    if twice:
        raise NotApplicableError(f"{twice[0]} is named twice; name each run once.")


def analyze(runs: Sequence[Run]) -> xr.Dataset:
    """What each run's members reach alone and averaged, and how that differs from the first run's, at the last epoch.

    METRIC (run, size) is that of `ensemble_size`; `METRIC_one` and `METRIC_all` (run) are of one member (the mean) and
    of all averaged, `METRIC_one_difference` and `METRIC_all_difference` less the first run's: paired, since the same
    resamples of the same test examples are used for all runs. `disagreement` (run) is that of two members, NaN for
    one; so is `cosine_similarity` of their weights, NaN too where those were not kept. All have `_low` and `_high`, the
    cosine's being over other members.

    Raises:
        NotApplicableError: See `check`.
        RunError: A run is not finished.
        DamagedFileError: Predictions are not what was written.
    """
    check(runs)
    settings = runs[0].recipe.analyses.ensemble_size
    label = labels(runs[0])
    weights = bootstrap_weights(len(label), resamples=settings.resamples, seed=settings.seed)
    scores, apart, cosines = [], [], []
    for run in runs:
        said = log_prob(run, run.members, [run.epochs[-1]])[:, 0].astype(np.float64)
        members = range(len(said))
        both = [[(member,) for member in members], [tuple(members)]]
        scores.append([score_subsets(said, label, chosen, weights, bins=settings.bins) for chosen in both])
        if len(said) == 1:  # no pair that could differ
            apart.append(np.full((3,), np.nan))
            cosines.append(np.full((3,), np.nan))
            continue
        apart.append(_disagreement(disagreement_by_example(said.argmax(axis=-1)), weights, settings.confidence))
        cosines.append(mean_cosine(run, settings.confidence))
    variables: dict[str, Variable] = {
        "members": ((RUN,), np.array([len(run.members) for run in runs]), COUNT, "members"),
        **with_ends("disagreement", list(np.array(apart).T), FRACTION, "mean disagreement of two members", (RUN,)),
        **with_ends("cosine_similarity", list(np.array(cosines).T), ONE, "mean cosine of two members", (RUN,)),
        **_by_size(runs),
    }
    for metric in METRICS:
        variables |= _alone_and_together(metric, scores, len(label), settings.confidence)
    sizes = np.arange(1, max(len(run.members) for run in runs) + 1)
    return xr.Dataset(
        {
            name: (dimensions, values, {"units": unit, "long_name": what})
            for name, (dimensions, values, unit, what) in variables.items()
        },
        coords={RUN: np.array(names(runs), dtype=np.dtypes.StringDType()), SIZE: sizes},
        attrs={
            "analysis": "comparison",
            "question": QUESTION,
            "reference": REFERENCE,
            "split": "test",
            "recipe_sha256": [run.recipe.sha256() for run in runs],
            "modescope": metadata.version("modescope"),
            "confidence": settings.confidence,
            "resamples": settings.resamples,
            "examples": len(label),
        },
    )


def names(runs: Sequence[Run]) -> list[str]:
    """What to call each run: its folder, with as many folders above it as tell it from the others."""
    parts = [run.path.parts for run in runs]
    depth = 1
    while depth < max(map(len, parts)) and len({part[-depth:] for part in parts}) < len(runs):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]


def _disagreement(
    by_example: Float[np.ndarray, " example"], weights: Float[np.ndarray, "resample example"], confidence: float
) -> Float[np.ndarray, "3"]:
    return np.array([float(value) for value in fraction_interval(by_example, weights, confidence=confidence)])


def _by_size(runs: Sequence[Run]) -> dict[str, Variable]:
    most = max(len(run.members) for run in runs)
    found = [ensemble_size.analyze(run) for run in runs]
    variables: dict[str, Variable] = {}
    for metric, (unit, told) in METRICS.items():
        ends = np.full((3, len(runs), most), np.nan)
        for row, dataset in enumerate(found):
            for end, suffix in enumerate(("", "_low", "_high")):
                ends[end, row, : dataset.sizes[SIZE]] = dataset[metric + suffix]
        variables |= with_ends(metric, list(ends), unit, told, (RUN, SIZE))
    return variables


def _alone_and_together(
    metric: str, scores: Sequence[Sequence[SizeScores]], examples: int, confidence: float
) -> dict[str, Variable]:
    unit, told = METRICS[metric]
    estimates, resampled = zip(*(together(metric, of_run) for of_run in scores), strict=True)
    estimate, every = np.stack(estimates), np.stack(resampled, axis=1)  # (run, 2), (resample, run, 2)
    variables: dict[str, Variable] = {}
    for place, name, what in ((0, "one", "one member"), (1, "all", "all members averaged")):
        value, values = estimate[:, place], every[..., place]
        there = with_interval(metric, value, values, examples, confidence=confidence)
        variables |= with_ends(f"{metric}_{name}", there, unit, f"{told} of {what}", (RUN,))
        less = with_interval(
            metric, value - value[0], values - values[:, :1], examples, confidence=confidence, difference=True
        )
        variables |= with_ends(
            f"{metric}_{name}_difference", less, unit, f"{told} of {what}: difference from the first run", (RUN,)
        )
    return variables
