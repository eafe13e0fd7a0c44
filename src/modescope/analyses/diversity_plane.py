"""At equal accuracy, who is more diverse: independent members, or networks drawn around one solution?"""

import numpy as np
import xarray as xr
from jaxtyping import Float, Integer

from modescope.analyses.bench import INDEPENDENT, INDEPENDENT_TITLE, OPTIMUM, Bench, check_members, check_weights
from modescope.analyses.reading import dataset, labels, with_ends
from modescope.errors import NotApplicableError
from modescope.measures.diversity import (
    disagreement_bounds,
    independent_disagreement,
    normalised_diversity,
    perturbed_disagreement,
)
from modescope.measures.intervals import bootstrap_weights, centred_interval, wilson_interval
from modescope.store.run import Run
from modescope.types import ACCURACY_GRID, COUNT, FRACTION, METHOD, ONE, SAMPLE

QUESTION = "At equal accuracy, are independent members more diverse than networks drawn around one solution?"
REFERENCE = "Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.3, figures 6 and 7, and appendix D"
_GRID_POINTS = 200


def check(run: Run) -> None:
    """Refuse a run of one member, or without its last weights, or without the reference.

    Raises:
        NotApplicableError: There is nothing to compare with.
    """
    check_members(run, "diversity_plane", 2)
    check_weights(run, "diversity_plane")
    reference = run.recipe.analyses.diversity_plane.reference
    if reference not in run.members:
        raise NotApplicableError(
            f"diversity_plane compares with member {reference} (analyses.diversity_plane.reference); this run has "
            f"members 0 to {run.members[-1]}."
        )


def analyze(run: Run, bench: Bench) -> xr.Dataset:
    """`accuracy` and `diversity` (method, sample), where diversity is disagreement with the reference / (1 - accuracy).

    The first method, `independent`, are the other members. The others are drawn around the reference, spread out to
    bad networks and not chosen by accuracy. `limit_upper`, `limit_lower`, `bound_upper` and `bound_lower` are curves
    over `accuracy_grid`, divided by 1 - accuracy too; `limit_lower` ends at the reference's accuracy (NaN beyond).
    `diversity_at_equal_accuracy` (method) is the mean diversity of the `samples_at_equal_accuracy` whose accuracy lies
    in `accuracy_band` (attributes; see `_band`), with an interval over test examples; NaN if there are none, or one of
    them makes no error.

    Raises:
        NotApplicableError: See `check`, and `subspaces`.
    """
    check(run)
    settings = run.recipe.analyses.diversity_plane
    fit, left_out = bench.methods()
    last = np.stack([bench.said(member, OPTIMUM, 1)[0].argmax(axis=-1) for member in run.members])
    reference = last[settings.reference]
    predicted = {INDEPENDENT: np.delete(last, settings.reference, axis=0)}
    for method in fit:
        states = bench.states(method, settings.samples)
        if states is not None:
            others = [epoch for epoch in states if epoch != bench.last]  # the reference itself says nothing
            said = bench.states_said(settings.reference, others)
        else:
            said = bench.ask(bench.prepared(settings.reference, method, settings.samples, far=True))
        if len(said):
            predicted[method] = said.argmax(axis=-1)
        else:
            left_out[method] = bench.too_few(method, settings.reference, 0 if states is None else len(states))
    return _dataset(run, bench, predicted, reference, {INDEPENDENT: INDEPENDENT_TITLE} | fit, left_out)


def _dataset(
    run: Run,
    bench: Bench,
    predicted: dict[str, Integer[np.ndarray, "sample example"]],
    reference: Integer[np.ndarray, " example"],
    titles: dict[str, str],
    left_out: dict[str, str],
) -> xr.Dataset:
    settings, label = run.recipe.analyses.diversity_plane, labels(run)
    reference_accuracy = float((reference == label).mean())
    classes = bench.data.classes
    most = max(map(len, predicted.values()))
    accuracy, diversity = (np.full((len(predicted), most), np.nan) for _ in range(2))
    for row, of_method in enumerate(predicted.values()):
        accuracy[row, : len(of_method)], diversity[row, : len(of_method)] = normalised_diversity(
            of_method, reference, label
        )
    grid = None
    if reference_accuracy > 1 / classes:
        highest = max(reference_accuracy, float(np.nanmax(accuracy)))
        grid = np.union1d(np.linspace(1 / classes, highest, _GRID_POINTS), reference_accuracy)  # a curve ends there
    weights = bootstrap_weights(len(label), resamples=settings.resamples, seed=run.recipe.analyses.subspaces.seed)
    low, high = _band(accuracy[0], reference_accuracy, len(label), settings.confidence)
    chosen = (accuracy >= low) & (accuracy <= high)
    equal = [
        _mean_diversity(of_method[chosen[row, : len(of_method)]], reference, label, weights, settings.confidence)
        for row, of_method in enumerate(predicted.values())
    ]
    variables = {
        "accuracy": ((METHOD, SAMPLE), accuracy, FRACTION, "accuracy of the sampled network"),
        "diversity": ((METHOD, SAMPLE), diversity, ONE, "disagreement with the reference over the sample's error"),
        "samples_at_equal_accuracy": (
            (METHOD,),
            np.nansum(chosen, axis=1),
            COUNT,
            "samples as accurate as members: of the independent ones' accuracies, the reference's, or between",
        ),
        **with_ends(
            "diversity_at_equal_accuracy", tuple(np.array(equal).T), ONE, "mean diversity of those samples", (METHOD,)
        ),
    }
    coordinates = {METHOD: list(predicted), SAMPLE: np.arange(most)}
    if grid is not None:
        variables |= _limits(grid, reference_accuracy, classes)
        coordinates[ACCURACY_GRID] = grid
    return dataset(
        run,
        "diversity_plane",
        variables,
        question=QUESTION,
        reference=REFERENCE,
        reference_member=settings.reference,
        reference_accuracy=reference_accuracy,
        accuracy_band=[low, high],
        confidence=settings.confidence,
        titles=[titles[method] for method in predicted],
        left_out=list(left_out.values()),
        **bench.facts,
    ).assign_coords(coordinates)


def _band(
    independent: Float[np.ndarray, " sample"], reference: float, examples: int, confidence: float
) -> tuple[float, float]:
    """The accuracies that count as equal: from the worst to the best member, and never narrower than Wilson's interval.

    That of the reference, which is one of the members: so few examples cannot tell other accuracies in it from its own.
    """
    low, high = wilson_interval(np.asarray(reference), examples, confidence=confidence)
    return min(float(low), float(np.nanmin(independent))), max(float(high), float(np.nanmax(independent)))


def _limits(grid: Float[np.ndarray, " point"], reference: float, classes: int) -> dict[str, tuple]:
    lowest, highest = disagreement_bounds(grid, reference)
    curves = {
        "limit_upper": (independent_disagreement(grid, reference, classes), "independent errors"),
        "limit_lower": (
            np.where(grid <= reference, perturbed_disagreement(grid, reference, classes), np.nan),
            "the reference with random answers",
        ),
        "bound_upper": (highest, "the most that is possible at all"),
        "bound_lower": (lowest, "the least that is possible at all"),
    }
    error = 1 - grid
    return {
        name: ((ACCURACY_GRID,), np.divide(curve, error, out=np.full_like(curve, np.nan), where=error > 0), ONE, told)
        for name, (curve, told) in curves.items()
    }


def _mean_diversity(
    predicted: Integer[np.ndarray, "sample example"],
    reference: Integer[np.ndarray, " example"],
    label: Integer[np.ndarray, " example"],
    weights: Float[np.ndarray, "resample example"],
    confidence: float,
) -> tuple[float, float, float]:
    """The mean over networks of d / (1 - a), with a bootstrap interval over examples; NaN where there is none."""
    apart = (predicted != reference).astype(np.float32)
    wrong = (predicted != label).astype(np.float32)
    if not len(predicted) or not wrong.any(axis=1).all():
        return np.nan, np.nan, np.nan
    value = (apart.mean(axis=1) / wrong.mean(axis=1)).mean()
    errors = weights @ wrong.T
    ratio = np.divide(weights @ apart.T, errors, out=np.full_like(errors, np.nan), where=errors > 0)
    whole = np.isfinite(ratio).all(axis=1)  # a resample may hold none of the errors
    if not whole.any():
        return float(value), np.nan, np.nan
    low, high = centred_interval(np.asarray(value), ratio[whole].mean(axis=1, dtype=np.float64), confidence=confidence)
    return float(value), float(low), float(high)
