"""One question a file: each reads a run, names the axes, and gives a Dataset.

Every module named in `NAMES` has a `QUESTION`, a `REFERENCE` and a function `analyze(run) -> Dataset`, or, if it looks
at networks that the run does not hold, `analyze(run, bench)`. One that makes no sense for every run has a function
`check(run)` too, which says so.
"""

import difflib
import importlib
from collections.abc import Sequence

import torch
import xarray as xr

from modescope.analyses.bench import Bench
from modescope.errors import DataError, NotApplicableError, RequestError
from modescope.store.predictions import require_finished
from modescope.store.run import Run

__all__ = ["NAMES", "OF_NETWORKS", "Bench", "analyze", "chosen", "why_not"]

OF_NETWORKS = (
    "subspaces",
    "subspace_map",
    "diversity_plane",
    "radial_plane",
    "solution_plane",
    "connectors",
    "shift",
)
"""Those that look at networks of their own making: their function is `analyze(run, bench)`."""
NAMES = (
    "learning_curves",
    "similarity_snapshots",
    "similarity_members",
    "trajectory_map",
    "confusion",
    "ensemble_size",
    "hardness",
    *OF_NETWORKS,
)


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The named analyses, or all of them if none is named, in the order in which the page shows them.

    Raises:
        RequestError: There is no such analysis.
    """
    for name in names:
        if name not in NAMES:
            nearest = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.4)
            hint = f" The nearest is {nearest[0]}." if nearest else ""
            raise RequestError(f"There is no analysis {name!r}.{hint} There are {', '.join(NAMES)}.")
    return tuple(name for name in NAMES if not names or name in names)


def why_not(run: Run, name: str) -> str | None:
    """Why an analysis makes no sense for this run, or lacks its data; None if it can be made."""
    module = importlib.import_module(f"modescope.analyses.{name}")
    try:
        getattr(module, "check", lambda run: None)(run)
    except (NotApplicableError, DataError) as error:
        return str(error)
    return None


def analyze(run: Run, name: str, bench: Bench | None = None) -> xr.Dataset:
    """Answer one question about a run.

    Args:
        run: The run.
        name: Which analysis.
        bench: What networks are evaluated with; one on the CPU if None.

    Returns:
        Its Dataset.

    Raises:
        NotApplicableError: It makes no sense for this run.
        DataError: Data that it needs beside the run's are not there.
        RunError: The run is not finished.
        DamagedFileError: A file that it needs is damaged.
    """
    require_finished(run)
    module = importlib.import_module(f"modescope.analyses.{name}")
    if name in OF_NETWORKS:
        return module.analyze(run, bench or Bench(run, torch.device("cpu")))
    return module.analyze(run)
