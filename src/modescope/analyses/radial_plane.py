"""On the plane through the origin and two solutions: where is the loss low, and whose function is it there?"""

import numpy as np
import torch
import xarray as xr

from modescope.analyses.bench import Bench, check_members, check_weights
from modescope.analyses.plane import check_plane, survey
from modescope.analyses.reading import dataset
from modescope.errors import NotApplicableError
from modescope.landscape.plane import radial_plane
from modescope.store.run import Run
from modescope.types import COMPONENT, EPOCH, MEMBER, ONE, SAMPLE, X, Y

QUESTION = "Around two solutions and the origin: where is accuracy high, and whose predictions are made there?"
REFERENCE = (
    "Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.1, figure 5 (accuracy and similarity), and "
    "appendix A (loss)"
)


def check(run: Run) -> None:
    """Refuse a run of one member, without its last weights, or without the named members.

    Raises:
        NotApplicableError: There are no two solutions.
    """
    check_members(run, "radial_plane", 2)
    check_weights(run, "radial_plane")
    check_plane(run, "radial_plane", run.recipe.analyses.radial_plane)


def analyze(run: Run, bench: Bench) -> xr.Dataset:
    """`loss`, `accuracy`, `similarity_first` and `similarity_second` (x, y) on the plane through 0 and two solutions.

    `trajectory` (member, epoch, component) and `samples` (sample, component) are the two members' snapshots and samples
    of the diagonal Gaussian around the first, projected; `trajectory_distance` and `samples_distance` say how far from
    the plane they lie. Coordinates are L2 distances in weights. States without a snapshot are NaN.

    Raises:
        NotApplicableError: See `check`, or the two solutions and the origin lie on a line.
    """
    check(run)
    settings = run.recipe.analyses.radial_plane
    bench.require_same_rest(settings.members, "radial_plane")
    first, second = (bench.optimum(member) for member in settings.members)
    try:
        plane = radial_plane(first, second)
    except ValueError as error:
        raise NotApplicableError(f"radial_plane: {error}") from None
    trajectory = np.full((2, len(run.epochs), 2), np.nan)
    distance = np.full((2, len(run.epochs)), np.nan)
    for row, member in enumerate(settings.members):
        for epoch in run.snapshot_epochs:
            weights = bench.vectors(member, [epoch])
            trajectory[row, epoch] = plane.coordinates(weights)[0].numpy()
            distance[row, epoch] = float(plane.distances(weights)[0])
    variables = {
        "trajectory": ((MEMBER, EPOCH, COMPONENT), trajectory, ONE, "coordinates of the snapshots"),
        "trajectory_distance": ((MEMBER, EPOCH), distance, ONE, "distance of the snapshots from the plane"),
    }
    if len(bench.window) >= 2:
        drawn, _ = bench.draw(settings.members[0], "diagonal_gaussian", settings.samples)
        told = "of samples of the diagonal Gaussian around the first solution"
        variables["samples"] = ((SAMPLE, COMPONENT), plane.coordinates(drawn).numpy(), ONE, f"coordinates {told}")
        variables["samples_distance"] = ((SAMPLE,), plane.distances(drawn).numpy(), ONE, f"distance {told}")
    optima = plane.coordinates(torch.stack([first, second]))
    shown = torch.cat([torch.zeros(1, 2, dtype=optima.dtype), optima, _finite(trajectory)])
    coordinates = {SAMPLE: np.arange(len(variables["samples"][1]))} if "samples" in variables else {}
    surveyed = survey(bench, "radial_plane", settings, plane, shown)
    coordinates |= {X: surveyed.x, Y: surveyed.y}
    return dataset(
        run,
        "radial_plane",
        variables | surveyed.variables | {"optima": ((MEMBER, COMPONENT), optima.numpy(), ONE, "the two solutions")},
        question=QUESTION,
        reference=REFERENCE,
        members=settings.members,
        examples=surveyed.examples,
        **bench.facts,
    ).assign_coords(coordinates)


def _finite(places: np.ndarray) -> torch.Tensor:
    flat = places.reshape(-1, 2)
    return torch.from_numpy(flat[np.isfinite(flat).all(axis=1)])
