"""On the plane through three solutions: does low loss reach from one to the other?"""

import torch
import xarray as xr

from modescope.analyses.bench import Bench, check_members, check_weights
from modescope.analyses.plane import check_plane, survey
from modescope.analyses.reading import dataset
from modescope.errors import NotApplicableError
from modescope.landscape.plane import plane_through
from modescope.store.run import Run
from modescope.types import COMPONENT, MEMBER, ONE, X, Y

QUESTION = "On the plane through three solutions: what lies between them, and whose predictions are made there?"
REFERENCE = (
    "Garipov et al. (2018), arXiv:1802.10026, figure 1; similarity as in Fort, Hu & Lakshminarayanan (2019), "
    "arXiv:1912.02757, figure 5"
)


def check(run: Run) -> None:
    """Refuse a run of fewer than three members, without its last weights, or without the named members.

    Raises:
        NotApplicableError: There are no three solutions.
    """
    check_members(run, "solution_plane", 3)
    check_weights(run, "solution_plane")
    check_plane(run, "solution_plane", run.recipe.analyses.solution_plane)


def analyze(run: Run, bench: Bench) -> xr.Dataset:
    """`loss`, `accuracy` and `similarity_first`, `_second`, `_third` (x, y) on the plane through three solutions.

    The first solution is at (0, 0), the second on the x axis; coordinates are L2 distances in weights.

    Raises:
        NotApplicableError: See `check`, or the three solutions lie on a line.
    """
    check(run)
    settings = run.recipe.analyses.solution_plane
    bench.require_same_rest(settings.members, "solution_plane")
    solutions = [bench.optimum(member) for member in settings.members]
    try:
        plane = plane_through(*solutions)
    except ValueError as error:
        raise NotApplicableError(f"solution_plane: {error}") from None
    optima = plane.coordinates(torch.stack(solutions))
    surveyed = survey(bench, "solution_plane", settings, plane, optima)
    return dataset(
        run,
        "solution_plane",
        surveyed.variables | {"optima": ((MEMBER, COMPONENT), optima.numpy(), ONE, "the three solutions")},
        question=QUESTION,
        reference=REFERENCE,
        members=settings.members,
        examples=surveyed.examples,
        **bench.facts,
    ).assign_coords({X: surveyed.x, Y: surveyed.y})
