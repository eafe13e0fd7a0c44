"""Cosine and disagreement between the epochs of each member."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.panels import columns_for, fill, lowest
from modescope.figures.style import DIFFERENT, SIMILAR, figure, heatmap, text_width
from modescope.types import MEMBER

MOST_MEMBERS = 10
CAPTION = (
    "One matrix a member, epochs running right and down from the initialisation. Top: cosine between the weights, "
    "bright = the same direction. Bottom: part of the test examples given another class, dark = the same function. A "
    "large dark square at the lower right means that late snapshots of one run are nearly one function."
)


def draw(dataset: xr.Dataset) -> Figure:
    """Small matrices, one a member, on a common colour scale for each measure: first the cosines, then the rest."""
    shown = dataset.isel({MEMBER: slice(MOST_MEMBERS)})
    count = shown.sizes[MEMBER]
    columns = columns_for(count, least=0.62, most=MOST_MEMBERS, width=text_width() - 0.7)
    rows = -(-count // columns)
    drawn = figure(2 * (rows * min(1.0, (text_width() - 0.7) / columns) + 0.15 * rows + 0.6))
    measures = (
        ("cosine_similarity", SIMILAR, "cosine of weights", _lowest(shown["cosine_similarity"]), 1.0),
        ("disagreement", DIFFERENT, "disagreement", 0.0, max(float(shown["disagreement"].max()), 1e-9)),
    )
    for part, (name, colours, label, low, high) in zip(drawn.subfigures(2, 1), measures, strict=True):
        every = fill(part, count, rows, columns, sharex=True, sharey=True)
        for axes, member, values in zip(every, shown[MEMBER].to_numpy(), shown[name].to_numpy(), strict=True):
            image = heatmap(axes, values, colours, low=low, high=high)
            axes.set_title(f"member {member}", fontsize=6.5)
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel("epoch")
        for axes in lowest(every):
            axes.set_xlabel("epoch")
        part.colorbar(image, ax=every, label=label, pad=0.01, aspect=12 * rows)
    if dataset.sizes[MEMBER] > MOST_MEMBERS:
        drawn.suptitle(f"The first {MOST_MEMBERS} of {dataset.sizes[MEMBER]} members; the Dataset has all", fontsize=8)
    return drawn


def _lowest(values: xr.DataArray) -> float:
    lowest = np.nanmin(values) if np.isfinite(values).any() else 0.0
    return float(min(0.0, lowest))
