"""One question a file: each reads a run, names the axes, and gives a Dataset.

Every module here has a `QUESTION`, a `REFERENCE` and a function `analyze(run) -> Dataset`; its name is the analysis's.
One that makes no sense for every run has a function `check(run)` too, which says so.
"""

import difflib
import importlib
from collections.abc import Sequence

import xarray as xr

from modescope.errors import NotApplicableError, RequestError
from modescope.store.predictions import require_finished
from modescope.store.run import Run

NAMES = (
    "learning_curves",
    "similarity_snapshots",
    "similarity_members",
    "trajectory_map",
    "confusion",
    "ensemble_size",
    "hardness",
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
    """Why an analysis makes no sense for this run; None if it does."""
    module = importlib.import_module(f"modescope.analyses.{name}")
    try:
        getattr(module, "check", lambda run: None)(run)
    except NotApplicableError as error:
        return str(error)
    return None


def analyze(run: Run, name: str) -> xr.Dataset:
    """Answer one question about a run.

    Raises:
        NotApplicableError: It makes no sense for this run.
        RunError: The run is not finished.
        DamagedFileError: A file that it needs is damaged.
    """
    require_finished(run)
    return importlib.import_module(f"modescope.analyses.{name}").analyze(run)
