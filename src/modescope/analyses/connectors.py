"""Along a path of low loss from one solution to another: does the function stay the same?"""

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float

from modescope.analyses.bench import Bench, check_members, check_weights
from modescope.analyses.reading import Variable, dataset, labels, with_ends
from modescope.errors import NotApplicableError
from modescope.landscape.connect import train_path
from modescope.landscape.path import KINDS, straight
from modescope.measures.intervals import bootstrap_weights, fraction_interval, mean_interval, ratio_interval
from modescope.store.run import Run
from modescope.types import FRACTION, KIND, NAT, ONE, T

QUESTION = "Along a path of low loss between two solutions, do the predictions stay the same?"
REFERENCE = (
    "Paths: Garipov et al. (2018), arXiv:1802.10026; functions along them: Fort, Hu & Lakshminarayanan (2019), "
    "arXiv:1912.02757, section 2 and appendix A"
)


def check(run: Run) -> None:
    """Refuse a run of one member, without its last weights, or without the named members.

    Raises:
        NotApplicableError: There are no two ends.
    """
    check_members(run, "connectors", 2)
    check_weights(run, "connectors")
    ends = run.recipe.analyses.connectors.members
    if ends[0] == ends[1] or max(ends) not in run.members:
        raise NotApplicableError(
            f"connectors needs two different members; analyses.connectors.members is {ends}, and this run has members "
            f"0 to {run.members[-1]}."
        )


def analyze(run: Run, bench: Bench) -> xr.Dataset:
    """`loss`, `accuracy`, `similarity_first` and `similarity_second` (kind, t) along three paths, on the test data.

    `difference_over_error_first` and `_second` are the disagreement with each end over the point's own error. `barrier`
    (kind) is the highest loss on the path less the mean of the two ends' (0 = as low all along). `train_loss` is the
    loss on a part of the training data, in eval mode.

    Raises:
        NotApplicableError: See `check`.
    """
    check(run)
    settings, training = run.recipe.analyses.connectors, run.recipe.training
    bench.require_same_rest(settings.members, "connectors")
    first, second = (bench.optimum(member) for member in settings.members)
    t = torch.linspace(0, 1, settings.points, dtype=torch.float64)
    said, of_train = [], []
    seen = bench.train_part(1000)
    for kind, coefficients in KINDS.items():
        bends = straight(first, second, 2 if kind == "line" else settings.bends)
        bends = train_path(
            bench.networks,
            bench.network_of(settings.members[0]),
            bends,
            coefficients,
            bench.data,
            training,
            steps=0 if kind == "line" else settings.steps,
            seed=settings.seed,
        )
        weights = coefficients(t, len(bends)) @ bends
        said.append(bench.evaluate(settings.members[0], weights))
        of_train.append(_loss(bench.evaluate(settings.members[0], weights, seen), seen.labels.cpu().numpy()).mean(-1))
    return dataset(
        run,
        "connectors",
        _variables(run, np.stack(said))
        | {"train_loss": ((KIND, T), np.stack(of_train), NAT, "mean loss on a part of the training data")},
        question=QUESTION,
        reference=REFERENCE,
        ends=list(settings.members),
        bends=settings.bends,
        steps=settings.steps,
        confidence=settings.confidence,
        **bench.facts,
    ).assign_coords({KIND: list(KINDS), T: t.numpy()})


def _variables(run: Run, said: Float[np.ndarray, "kind t example class"]) -> dict[str, Variable]:
    settings, label = run.recipe.analyses.connectors, labels(run)
    weights = bootstrap_weights(len(label), resamples=settings.resamples, seed=settings.seed)
    predicted = said.argmax(axis=-1)
    losses = _loss(said, label)
    right = (predicted == label).astype(np.float64)
    both = {"confidence": settings.confidence}
    # relative to the ends at this very evaluation: batch-norm statistics are those of the path's own points
    ends = predicted[0, 0], predicted[0, -1]
    variables = with_ends("loss", mean_interval(losses, weights, **both), NAT, "mean loss", (KIND, T))
    variables |= with_ends("accuracy", fraction_interval(right, weights, **both), FRACTION, "accuracy", (KIND, T))
    for name, end in zip(("first", "second"), ends, strict=True):
        same = (predicted == end).astype(np.float64)
        told = f"examples given the same class as by the {name} end"
        similar = fraction_interval(same, weights, **both)
        variables |= with_ends(f"similarity_{name}", similar, FRACTION, told, (KIND, T))
        over_error = ratio_interval(1 - same, 1 - right, weights, **both)
        told = f"disagreement with the {name} end over the point's own error"
        variables |= with_ends(f"difference_over_error_{name}", over_error, ONE, told, (KIND, T))
    barrier = _barrier(losses, weights, settings.confidence)
    return variables | with_ends("barrier", barrier, NAT, "highest loss less the mean of the ends'", (KIND,))


def _loss(said: Float[np.ndarray, "*places example class"], label: np.ndarray) -> Float[np.ndarray, "*places example"]:
    return -said[..., np.arange(len(label)), label].astype(np.float64)


def _barrier(
    losses: Float[np.ndarray, "kind t example"], weights: Float[np.ndarray, "resample example"], confidence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The highest loss less the mean of the ends' (Frankle et al. 2020, arXiv:1912.05671), its place held fixed."""
    highest = losses.mean(axis=-1).argmax(axis=-1)
    top = np.take_along_axis(losses, highest[:, None, None], axis=1)[:, 0]
    return mean_interval(top - (losses[:, 0] + losses[:, -1]) / 2, weights, confidence=confidence)
