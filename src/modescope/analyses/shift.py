"""When the data shift: who stays accurate and calibrated, and who says that they are lost?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.special import entr

from modescope.analyses.bench import INDEPENDENT, INDEPENDENT_TITLE, OPTIMUM, Bench, check_weights
from modescope.analyses.reading import Variable, dataset, with_ends
from modescope.analyses.scoring import METRICS, score_subsets, with_interval
from modescope.analyses.suited import fewest
from modescope.data.corruptions.images import Images
from modescope.data.shifted import (
    as_images,
    check_shifted,
    corrupted,
    known_corruptions,
    official_corrupted,
    out_of_distribution,
)
from modescope.data.tensors import TensorSplit
from modescope.errors import DataError, NotApplicableError
from modescope.measures.diversity import jensen_shannon
from modescope.measures.ensembles import ensemble_log_prob, subsets
from modescope.measures.intervals import bootstrap_weights, centred_interval, mean_interval, resampled_means
from modescope.store.run import Run
from modescope.training.networks import Prepared
from modescope.types import CORRUPTION, FRACTION, INTENSITY, METHOD, NAT, SIZE

QUESTION = "When the data shift, who stays accurate and calibrated, and who says that they are lost?"
REFERENCE = (
    "Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 5, figure 9; corruptions of Hendrycks & Dietterich "
    "(2019), arXiv:1903.12261"
)
_SHIFTED = {**METRICS, "jensen_shannon": (NAT, "Jensen-Shannon divergence of the averaged networks")}
_OOD = {
    "ood_confidence": (FRACTION, "mean largest probability on out-of-distribution data"),
    "ood_entropy": (NAT, "mean entropy of the prediction on out-of-distribution data"),
    "ood_jensen_shannon": (NAT, "Jensen-Shannon divergence of the averaged networks on out-of-distribution data"),
}


def check(run: Run) -> None:
    """Refuse a run whose last weights were not kept, and shifted data that are not to be had.

    Raises:
        NotApplicableError: There is no network to ask of new data.
        DataError: A file, a folder or a data source is missing.
    """
    check_weights(run, "shift")
    settings = run.recipe.analyses.shift
    check_shifted(settings.source, settings.corruptions, settings.ood, run.recipe.data.source)


@dataclass(frozen=True)
class _Asked:
    """Networks, and which groups of them make ensembles of which size."""

    networks: Sequence[Prepared]  # those around each member
    groups: Mapping[int, Sequence[tuple[int, ...]]]  # size -> groups of positions among all of them


@dataclass(frozen=True)
class _Scores:
    """Values of every metric of one method and size on one set of images, and on each resample of them."""

    value: dict[str, float]
    resampled: dict[str, Float[np.ndarray, " resample"]]


def analyze(run: Run, bench: Bench) -> xr.Dataset:
    """Every metric (corruption, intensity, method, size); intensity 0 is the test data as they are.

    `size` networks are averaged: independent members, or samples of one method around one member. `METRIC_mean`
    (intensity, method, size) is the mean over corruptions. `ood_*` (method, size) are measured on out-of-distribution
    data. All have `_low` and `_high` over test examples; NaN where a method has no ensemble of that size.

    Raises:
        NotApplicableError: See `check`, or the run's inputs are no images between 0 and 1.
        DataError: The official files or the out-of-distribution data cannot be read.
    """
    check(run)
    settings = run.recipe.analyses.shift
    on_gpu = bench.device.type == "cuda"
    clean = bench.test_part(settings.examples, most=None if on_gpu else 500)
    try:
        images = as_images(clean.inputs.cpu().numpy(), bench.source.brightest, run.recipe.data.source)
    except DataError as error:
        raise NotApplicableError(f"shift: {error}") from None
    titles, asked, left_out = _asked(run, bench)
    sizes = sorted({size for one in asked.values() for size in one.groups})
    label = clean.labels.cpu().numpy()
    weights = bootstrap_weights(len(label), resamples=settings.resamples, seed=settings.seed)
    names = known_corruptions(settings.corruptions, images.shape[1])
    if settings.corruptions == "all" and "saturate" not in names:
        left_out.append("saturate changes colours, of which these images have none.")
    intensities = sorted(settings.intensities)

    def look(shifted: Images) -> dict[tuple[str, int], _Scores]:
        split = _split(shifted, clean, bench)
        return {
            (method, size): scores
            for method, one in asked.items()
            for size, scores in _scores(bench, one, split, label, weights, settings.bins)
        }

    unshifted = look(images)
    found = {
        (name, intensity): look(_shifted(bench, images, clean, name, intensity))
        for name in names
        for intensity in intensities
    }
    cells = [[unshifted, *(found[name, intensity] for intensity in intensities)] for name in names]
    variables = _variables(cells, list(asked), sizes, len(label), settings.confidence)
    foreign = out_of_distribution(settings.ood, bench.source, images, len(images), settings.seed)
    variables |= _elsewhere(bench, asked, sizes, _split(foreign, clean, bench))
    return dataset(
        run,
        "shift",
        variables,
        question=QUESTION,
        reference=REFERENCE,
        source=settings.source,
        ood=settings.ood,
        examples=len(label),
        members_drawn_around=min(settings.members, len(run.members)),
        confidence=settings.confidence,
        resamples=settings.resamples,
        bins=settings.bins,
        titles=[titles[method] for method in asked],
        left_out=left_out,
        **bench.facts,
    ).assign_coords({CORRUPTION: list(names), INTENSITY: [0, *intensities], METHOD: list(asked), SIZE: sizes})


def _asked(run: Run, bench: Bench) -> tuple[dict[str, str], dict[str, _Asked], list[str]]:
    """Titles, independent members and the methods around the first ones, and why some methods are left out."""
    settings = run.recipe.analyses.shift
    fit, unfit = bench.methods()
    fit = {method: title for method, title in fit.items() if settings.methods == "all" or method in settings.methods}
    left_out = [why for method, why in unfit.items() if settings.methods == "all" or method in settings.methods]
    if settings.methods != "all":
        unnamed = [method for method in settings.methods if method not in fit and method not in unfit]
        left_out += [f"{method} is not among analyses.subspaces.methods." for method in unnamed]
    members = list(run.members)
    some = sorted({1, min(2, len(members)), min(settings.samples, len(members)), len(members)})
    asked = {
        INDEPENDENT: _Asked(
            [bench.prepared(member, OPTIMUM, 1) for member in members],
            {size: subsets(len(members), size, most=settings.subsets, seed=settings.seed) for size in some},
        )
    }
    for method in fit:
        around = members[: settings.members]
        networks = [bench.prepared(member, method, settings.samples) for member in around]
        counts = [len(prepared) for prepared in networks]
        if min(counts) < fewest(method):
            left_out.append(bench.too_few(method, around[counts.index(min(counts))], min(counts)))
            continue
        starts = np.cumsum([0, *counts[:-1]])
        asked[method] = _Asked(
            networks,
            {
                size: [tuple(range(start, start + size)) for start in starts]
                for size in sorted({1, min(2, min(counts)), min(counts)})
            },
        )
    return {INDEPENDENT: INDEPENDENT_TITLE} | fit, asked, left_out


def _shifted(bench: Bench, images: Images, clean: TensorSplit, name: str, intensity: int) -> Images:
    settings = bench.run.recipe.analyses.shift
    if settings.source == "synthetic":
        return corrupted(images, name, intensity, settings.seed)
    folder = settings.source.removeprefix("npy:")
    every = official_corrupted(folder, name, intensity, bench.source.test.labels, bench.source.input_shape)
    return as_images(every[bench.test_places(len(clean))], 255.0, settings.source)


def _split(images: Images, clean: TensorSplit, bench: Bench) -> TensorSplit:
    """Images in [0, 1] as the source stores them, without rounding."""
    stored = images.permute(0, 2, 3, 1) * bench.source.brightest
    return TensorSplit(stored.contiguous().to(clean.labels.device), clean.labels[: len(images)])


def _said(bench: Bench, asked: _Asked, split: TensorSplit) -> Float[np.ndarray, "network example class"]:
    return np.concatenate([bench.ask(prepared, split) for prepared in asked.networks]).astype(np.float64)


def _scores(
    bench: Bench,
    asked: _Asked,
    split: TensorSplit,
    label: np.ndarray,
    weights: Float[np.ndarray, "resample example"],
    bins: int,
) -> Iterator[tuple[int, _Scores]]:
    """The scores of one method at each of its sizes.

    Yields:
        Size and scores.
    """
    said = _said(bench, asked, split)
    for size, groups in asked.groups.items():
        scores = score_subsets(said, label, groups, weights, bins=bins)
        apart = np.mean([jensen_shannon(said[list(group)]) for group in groups], axis=0)
        yield (
            size,
            _Scores(
                {**scores.mean, "jensen_shannon": float(apart.mean())},
                {**scores.resampled, "jensen_shannon": resampled_means(apart, weights)},
            ),
        )


def _variables(
    cells: list[list[dict[tuple[str, int], _Scores]]],
    methods: list[str],
    sizes: list[int],
    examples: int,
    confidence: float,
) -> dict[str, Variable]:
    """(corruption, intensity) of (method, size) -> scores, as arrays with intervals."""
    resamples = len(next(iter(cells[0][0].values())).resampled["accuracy"])
    variables: dict[str, Variable] = {}
    shape = len(cells), len(cells[0]), len(methods), len(sizes)
    for metric, (unit, told) in _SHIFTED.items():
        estimate, resampled = np.full(shape, np.nan), np.full((resamples, *shape), np.nan)
        for (row, column), scores in np.ndenumerate(np.array(cells, dtype=object)):
            for (method, size), found in scores.items():
                place = row, column, methods.index(method), sizes.index(size)
                estimate[place] = found.value[metric]
                resampled[(slice(None), *place)] = found.resampled[metric]
        ends = _ends(metric, estimate, resampled, examples, confidence)
        variables |= with_ends(metric, ends, unit, told, (CORRUPTION, INTENSITY, METHOD, SIZE))
        ends = _ends(metric, estimate.mean(axis=0), resampled.mean(axis=1), examples, confidence)
        what = f"{told}, mean over corruptions"
        variables |= with_ends(f"{metric}_mean", ends, unit, what, (INTENSITY, METHOD, SIZE))
    return variables


def _ends(metric: str, estimate: np.ndarray, resampled: np.ndarray, examples: int, confidence: float) -> tuple:
    if metric in METRICS:
        return with_interval(metric, estimate, resampled, examples, confidence=confidence)
    low, high = centred_interval(estimate, resampled, confidence=confidence)
    return estimate, np.maximum(low, 0), high


def _elsewhere(bench: Bench, asked: Mapping[str, _Asked], sizes: list[int], split: TensorSplit) -> dict[str, Variable]:
    settings = bench.run.recipe.analyses.shift
    weights = bootstrap_weights(len(split), resamples=settings.resamples, seed=settings.seed)
    three = {name: np.full((3, len(asked), len(sizes)), np.nan) for name in _OOD}
    for row, one in enumerate(asked.values()):
        said = _said(bench, one, split)
        for size, groups in one.groups.items():
            prob = [np.exp(ensemble_log_prob(said[list(group)])) for group in groups]
            by_example = {
                "ood_confidence": np.mean([each.max(axis=-1) for each in prob], axis=0),
                "ood_entropy": np.mean([entr(each).sum(axis=-1) for each in prob], axis=0),
                "ood_jensen_shannon": np.mean([jensen_shannon(said[list(group)]) for group in groups], axis=0),
            }
            for name, values in by_example.items():
                ends = mean_interval(values, weights, confidence=settings.confidence)
                three[name][:, row, sizes.index(size)] = [float(end) for end in ends]
    variables: dict[str, Variable] = {}
    for name, (unit, told) in _OOD.items():
        variables |= with_ends(name, tuple(three[name]), unit, told, (METHOD, SIZE))
    return variables
