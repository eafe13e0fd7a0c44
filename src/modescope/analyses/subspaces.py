"""What would cheaper substitutes for independent members give, alone and on top of them?"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from modescope.analyses.bench import INDEPENDENT_TITLE, OPTIMUM, Bench, check_weights
from modescope.analyses.reading import Variable, dataset, labels, with_ends
from modescope.analyses.scoring import METRICS, SizeScores, score_subsets, together, with_interval
from modescope.errors import NotApplicableError
from modescope.measures.ensembles import ensemble_log_prob, subsets
from modescope.measures.intervals import bootstrap_weights
from modescope.store.run import Run
from modescope.types import COUNT, EPOCH, METHOD, SAMPLES, SIZE

QUESTION = "What do networks drawn around one solution give, and what do they add to independent members?"
REFERENCE = (
    "Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 5, figure 8: one optimum, samples around it, "
    "independent optima, samples around each of them, and weight averages"
)


def check(run: Run) -> None:
    """Refuse a run whose last weights were not kept.

    Raises:
        NotApplicableError: There is nothing to draw around.
    """
    check_weights(run, "subspaces")


def analyze(run: Run, bench: Bench) -> xr.Dataset:
    """Scores (method, size) of ensembles of `size` members, each member replaced by the average of its samples.

    `optimum` stands for the members themselves: its first size is one network, the others are independent ensembles.
    Size 1 of a method is the average of its samples around one member. `METRIC_over_optimum` is the difference from
    as many members themselves, paired, with its own interval. `METRIC_inside` (method, samples) is what the first so
    many samples around one member give (of states of the run the newest), averaged over members. `training_epochs` and
    `forward_passes` (method, size) are what it costs to make such an ensemble, and to ask it once. `rank` (method) is
    the number of directions of low-rank Gaussians (NaN for other methods).

    Raises:
        NotApplicableError: The recipe names a method that makes no sense for this run, or no sample was accepted.
    """
    check(run)
    settings = run.recipe.analyses.subspaces
    fit, left_out = bench.methods()
    titles = {OPTIMUM: INDEPENDENT_TITLE} | fit
    label = labels(run)
    weights = bootstrap_weights(len(label), resamples=settings.resamples, seed=settings.seed)
    sizes = np.arange(1, len(run.members) + 1)
    chosen = [subsets(len(run.members), int(size), most=settings.subsets, seed=settings.seed) for size in sizes]
    across: dict[str, list[SizeScores]] = {}
    inside: dict[str, list[SizeScores]] = {}
    drawn: dict[str, float] = {}
    for method in titles:
        averaged = [_averages(bench.said(member, method, settings.samples)) for member in run.members]
        numbers = [len(averages) for averages in averaged]
        if min(numbers) == 0:
            member = numbers.index(0)
            left_out[method] = bench.too_few(method, member, 0)
            continue
        drawn[method] = float(np.mean(numbers))
        whole = np.stack([averages[-1] for averages in averaged])
        across[method] = [score_subsets(whole, label, subset, weights, bins=settings.bins) for subset in chosen]
        alone = [(member,) for member in range(len(averaged))]
        inside[method] = [
            score_subsets(
                np.stack([averages[number] for averages in averaged]), label, alone, weights, bins=settings.bins
            )
            for number in range(min(numbers))
        ]
    if len(drawn) == 1:
        raise NotApplicableError(f"No method makes sense for this run: {' '.join(left_out.values())}")
    methods = list(drawn)
    most = max(map(len, inside.values()))
    variables = _across(across, len(label), settings.confidence)
    variables |= _inside(inside, most, len(label), settings.confidence)
    variables |= _costs(np.array([drawn[method] for method in methods]), sizes, run.recipe.training.epochs)
    ranks = np.array([bench.rank(method, settings.samples) for method in methods])
    variables["rank"] = ((METHOD,), ranks, COUNT, "directions that a low-rank Gaussian has; the fewest of all members")
    return dataset(
        run,
        "subspaces",
        variables,
        question=QUESTION,
        reference=REFERENCE,
        epoch=bench.last,
        confidence=settings.confidence,
        resamples=settings.resamples,
        bins=settings.bins,
        most_subsets=settings.subsets,
        left_out=list(left_out.values()),
        titles=[titles[method] for method in methods],
        **bench.facts,
    ).assign_coords({SIZE: sizes, SAMPLES: np.arange(1, most + 1), METHOD: methods})


def _averages(
    log_prob: Float[np.ndarray, "sample example class"],
) -> Sequence[Float[np.ndarray, "example class"]]:
    """The ensemble of the first network, of the first two, and so on, in float64."""
    exact = log_prob.astype(np.float64)
    if len(exact) <= 1:
        return list(exact)
    return [ensemble_log_prob(exact[:number]) for number in range(1, len(exact) + 1)]


def _across(scores: dict[str, list[SizeScores]], examples: int, confidence: float) -> dict[str, Variable]:
    variables: dict[str, Variable] = {}
    for metric, (unit, told) in METRICS.items():
        values, resampled = zip(*(together(metric, of_method) for of_method in scores.values()), strict=True)
        estimate, every = np.stack(values), np.stack(resampled, axis=1)  # (method, size), (resample, method, size)
        ends = with_interval(metric, estimate, every, examples, confidence=confidence)
        over, gain = (
            with_interval(metric, value, resamples, examples, confidence=confidence, difference=True)
            for value, resamples in (
                (estimate - estimate[:1], every - every[:, :1]),
                (estimate - estimate[0, 0], every - every[:, :1, :1]),
            )
        )
        for suffix, three, what in (
            ("", ends, told),
            ("_over_optimum", over, f"{told}: difference from as many members themselves"),
            ("_gain", gain, f"{told}: difference from one member"),
        ):
            variables |= with_ends(metric + suffix, three, unit, what, (METHOD, SIZE))
    return variables


def _inside(scores: dict[str, list[SizeScores]], most: int, examples: int, confidence: float) -> dict[str, Variable]:
    variables: dict[str, Variable] = {}
    for metric, (unit, told) in METRICS.items():
        three = tuple(np.full((len(scores), most), np.nan) for _ in range(3))
        for row, of_method in enumerate(scores.values()):
            estimate, resampled = together(metric, of_method)
            ends = with_interval(metric, estimate, resampled, examples, confidence=confidence)
            for values, end in zip(three, ends, strict=True):
                values[row, : len(end)] = end
        what = f"{told} of the first so many samples around one member"
        variables |= with_ends(f"{metric}_inside", three, unit, what, (METHOD, SAMPLES))
    return variables


def _costs(drawn: Float[np.ndarray, " method"], sizes: np.ndarray, epochs: int) -> dict[str, Variable]:
    dimensions = METHOD, SIZE
    training = np.broadcast_to(sizes * epochs, (len(drawn), len(sizes))).astype(np.int64)
    return {
        "training_epochs": (dimensions, training, EPOCH, "epochs of training, of all members together"),
        "forward_passes": (dimensions, np.outer(drawn, sizes), COUNT, "networks that are asked for one prediction"),
        "samples": ((METHOD,), drawn, COUNT, "networks for each member; random ones may be fewer than asked for"),
    }
