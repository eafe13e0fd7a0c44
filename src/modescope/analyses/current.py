"""Whether a Dataset on disk is what would be made now: of the present settings, by this version."""

from importlib import metadata

import xarray as xr

from modescope.analyses import OF_NETWORKS
from modescope.errors import RunError
from modescope.store.results import read_result
from modescope.store.run import Run


def current(run: Run, name: str) -> xr.Dataset | None:
    """The Dataset of an analysis, if it is there, whole and of the run's present settings."""
    try:
        found = read_result(run, name)
    except RunError:
        return None
    return found if is_current(run, name, found) else None


def is_current(run: Run, name: str, dataset: xr.Dataset) -> bool:
    """Whether the run's present settings and this version made it."""
    made = dataset.attrs.get("settings_sha256"), dataset.attrs.get("modescope")
    return made == (settings_sha256(run, name), metadata.version("modescope"))


def settings_sha256(run: Run, name: str) -> str:
    """A name for the settings that an analysis hangs on; how networks are drawn stands under `subspaces`."""
    return run.recipe.sha256_of_analysis(*({name, "subspaces"} if name in OF_NETWORKS else {name}))
