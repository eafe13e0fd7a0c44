"""What makes members different: initialisation, order of the examples, dropout, or all of them?

Compares runs that differ in `ensemble.vary` alone; it is not an analysis of one run and has no place in `NAMES`.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from modescope.analyses.reading import Weights, labels, log_prob, with_ends
from modescope.analyses.scoring import METRICS, score_subsets, together, with_interval
from modescope.errors import NotApplicableError
from modescope.measures.disagreement import disagreement, disagreement_by_example
from modescope.measures.intervals import bootstrap_weights, fraction_interval, pairs_interval, ratio_interval
from modescope.measures.weights import cosine_similarity
from modescope.recipe import differences
from modescope.store.predictions import require_finished
from modescope.store.provenance import read_provenance
from modescope.store.run import Run
from modescope.types import FRACTION, ONE, RUN

QUESTION = "What makes members different functions, and averaging them worth while: what varies between them?"
REFERENCE = (
    "Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, appendix B, and Jiang et al. (2022), arXiv:2106.13799, who "
    "find order as good as initialisation"
)


def check(runs: Sequence[Run]) -> None:
    """Refuse runs that differ in anything else than what varies between their members.

    Raises:
        NotApplicableError: There are fewer than two runs, or of one member, or they differ in other things or not at
            all.
        RunError: One of them is not finished.
    """
    if len(runs) < 2:
        raise NotApplicableError("compare needs at least two runs.")
    first = runs[0]
    for run in runs:
        require_finished(run)
        if len(run.members) < 2:
            raise NotApplicableError(f"compare needs runs of at least 2 members; {run.path} has 1.")
        different = differences(first.recipe, run.recipe)
        different.pop("ensemble.vary", None)
        if different:
            told = "; ".join(f"{key} is {one!r} and {other!r}" for key, (one, other) in different.items())
            raise NotApplicableError(
                f"compare needs runs that differ in ensemble.vary alone; between {first.path} and {run.path} {told}."
            )
        if _data(run) != _data(first):
            raise NotApplicableError(f"{first.path} and {run.path} were trained on different data.")
    seen: dict[tuple[str, ...], Run] = {}
    for run in runs:
        if run.recipe.ensemble.vary in seen:
            same = seen[run.recipe.ensemble.vary]
            raise NotApplicableError(f"In {same.path} and {run.path} the same varies: they are the same members.")
        seen[run.recipe.ensemble.vary] = run


def analyze(runs: Sequence[Run]) -> xr.Dataset:
    """Disagreement, cosine, and what averaging all members gains (run), at the last epoch.

    `disagreement` is the mean over all pairs of members, with intervals over test examples (`_low`, `_high`) and over
    other members (`_members_low`, `_members_high`); the ends of `cosine_similarity` are over members. `METRIC_gain` is
    the ensemble less one member, paired.

    Raises:
        NotApplicableError: See `check`.
        RunError: A run is not finished.
    """
    check(runs)
    settings = runs[0].recipe.analyses.ensemble_size
    label = labels(runs[0])
    weights = bootstrap_weights(len(label), resamples=settings.resamples, seed=settings.seed)
    apart, over_members, cosines, scores, wrong = [], [], [], [], []
    for run in runs:
        said = log_prob(run, run.members, [run.epochs[-1]])[:, 0].astype(np.float64)
        predicted = said.argmax(axis=-1)
        apart.append(disagreement_by_example(predicted))
        over_members.append(pairs_interval(disagreement(predicted), confidence=settings.confidence))
        wrong.append((predicted != label).mean(axis=0))
        cosines.append(mean_cosine(run, settings.confidence))
        members = range(len(said))
        both = [[(member,) for member in members], [tuple(members)]]
        scores.append([score_subsets(said, label, chosen, weights, bins=settings.bins) for chosen in both])
    mean = fraction_interval(np.stack(apart), weights, confidence=settings.confidence)
    told = "mean disagreement of two members"
    variables = with_ends("disagreement", mean, FRACTION, told, (RUN,))
    for end, values in zip(("low", "high"), zip(*over_members, strict=True), strict=True):
        what = f"{told}: {end}er end over other members"
        variables[f"disagreement_members_{end}"] = ((RUN,), np.array(values), FRACTION, what)
    over_error = ratio_interval(np.stack(apart), np.stack(wrong), weights, confidence=settings.confidence)
    told = "disagreement over the members' mean error"
    variables |= with_ends("disagreement_over_error", over_error, ONE, told, (RUN,))
    cosine = tuple(np.array(cosines).T)
    variables |= with_ends("cosine_similarity", cosine, ONE, "mean cosine of two members' weights", (RUN,))
    for metric, (unit, what) in METRICS.items():
        estimates, resampled = zip(*(together(metric, of_run) for of_run in scores), strict=True)
        estimate, every = np.stack(estimates), np.stack(resampled, axis=1)  # (run, 2), (resample, run, 2)
        alone, averaged = (
            with_interval(metric, estimate[:, size], every[..., size], len(label), confidence=settings.confidence)
            for size in (0, 1)
        )
        gain = with_interval(
            metric,
            estimate[:, 1] - estimate[:, 0],
            every[..., 1] - every[..., 0],
            len(label),
            confidence=settings.confidence,
            difference=True,
        )
        variables |= with_ends(f"{metric}_one", alone, unit, f"{what} of one member", (RUN,))
        variables |= with_ends(f"{metric}_all", averaged, unit, f"{what} of all members averaged", (RUN,))
        variables |= with_ends(f"{metric}_gain", gain, unit, f"{what}: difference from one member", (RUN,))
    return xr.Dataset(
        {
            name: (dimensions, values, {"units": unit, "long_name": what})
            for name, (dimensions, values, unit, what) in variables.items()
        },
        coords={RUN: [_varying(run) for run in runs]},
        attrs={
            "analysis": "vary",
            "question": QUESTION,
            "reference": REFERENCE,
            "split": "test",
            "members": len(runs[0].members),
            "epochs": runs[0].epochs[-1],
            "model": runs[0].recipe.model.name,
            "paths": [str(run.path) for run in runs],
            "confidence": settings.confidence,
            "resamples": settings.resamples,
        },
    )


def _varying(run: Run) -> str:
    """What varies, as the recipe says it; a network without dropout has none that could vary."""
    return " + ".join(run.recipe.ensemble.vary) or "nothing"


def mean_cosine(run: Run, confidence: float) -> tuple[float, float, float]:
    """The mean cosine of two members' weights at the last epoch, with ends over other members; NaN without weights."""
    if run.epochs[-1] not in run.snapshot_epochs:
        return np.nan, np.nan, np.nan
    cosines = cosine_similarity(Weights(run, [(member, run.epochs[-1]) for member in run.members]).blocks())
    mean = float(cosines[np.triu_indices(len(cosines), 1)].mean())
    return mean, *pairs_interval(cosines, confidence=confidence)


def _data(run: Run) -> str | None:
    return read_provenance(run).get("data", {}).get("sha256")
