"""Cosine and disagreement between the epochs of each member."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.style import DIFFERENT, SIMILAR, figure, heatmap
from modescope.types import MEMBER

MOST_MEMBERS = 10
CAPTION = (
    "One column a member, epochs running right and down from the initialisation. Top: cosine between the weights, "
    "bright = the same direction. Bottom: part of the test examples given another class, dark = the same function. A "
    "large dark square at the lower right means that late snapshots of one run are nearly one function."
)


def draw(dataset: xr.Dataset) -> Figure:
    """Two rows of small matrices, one column a member, on common colour scales."""
    shown = dataset.isel({MEMBER: slice(MOST_MEMBERS)})
    count = shown.sizes[MEMBER]
    drawn = figure(3.1, width=max(4.5, 1.05 * count + 1.2))
    grid = drawn.subplots(2, count, squeeze=False, sharex=True, sharey=True)
    rows = (
        ("cosine_similarity", SIMILAR, "cosine of weights", _lowest(shown["cosine_similarity"]), 1.0),
        ("disagreement", DIFFERENT, "disagreement", 0.0, max(float(shown["disagreement"].max()), 1e-9)),
    )
    for panels, (name, colours, label, low, high) in zip(grid, rows, strict=True):
        for member, axes in enumerate(panels):
            image = heatmap(axes, shown[name][member].to_numpy(), colours, low=low, high=high)
        drawn.colorbar(image, ax=list(panels), label=label, pad=0.01, aspect=12)
    for member, axes in zip(shown[MEMBER].to_numpy(), grid[0], strict=True):
        axes.set_title(f"member {member}", fontsize=7.5)
    for axes in grid[:, 0]:
        axes.set_ylabel("epoch")
    for axes in grid[1]:
        axes.set_xlabel("epoch")
    if dataset.sizes[MEMBER] > MOST_MEMBERS:
        drawn.suptitle(f"The first {MOST_MEMBERS} of {dataset.sizes[MEMBER]} members; the Dataset has all", fontsize=8)
    return drawn


def _lowest(values: xr.DataArray) -> float:
    lowest = np.nanmin(values) if np.isfinite(values).any() else 0.0
    return float(min(0.0, lowest))
