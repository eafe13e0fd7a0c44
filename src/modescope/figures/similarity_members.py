"""Cosine and disagreement between members."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.style import DIFFERENT, SIMILAR, annotate, figure, heatmap, name_ticks
from modescope.types import MEMBER

CAPTION = (
    "Every two members at the last epoch. Left and middle: cosine between their weights (all, and without biases); "
    "near 0 means that they have nothing more in common than two random vectors. Right: part of the test examples that "
    "the two give different classes; compare it with the members' error."
)
_PANELS = (
    ("cosine_similarity", SIMILAR, "Cosine, all parameters"),
    ("cosine_similarity_without_biases", SIMILAR, "Cosine, without biases"),
    ("disagreement", DIFFERENT, "Disagreement (%)"),
)


def draw(dataset: xr.Dataset) -> Figure:
    """One matrix for each measure that the Dataset has, with its numbers where there is room."""
    panels = [panel for panel in _PANELS if panel[0] in dataset]
    drawn = figure(2.9, width=2.9 * len(panels))
    names = [str(member) for member in dataset[MEMBER].to_numpy()]
    for axes, (name, colours, title) in zip(drawn.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        values = dataset[name].to_numpy() * (100 if name == "disagreement" else 1)
        others = values[~np.eye(len(values), dtype=bool)]
        low, high = (0.0, others.max()) if name == "disagreement" else (min(0.0, others.min()), 1.0)
        image = heatmap(axes, values, colours, low=low, high=max(high, 1e-9))
        if len(names) <= 12:
            annotate(axes, image, values, ".1f" if name == "disagreement" else ".2f", size=5.2)
        name_ticks(axes, names)
        axes.set(title=title, xlabel="member")
        drawn.colorbar(image, ax=axes, shrink=0.8, pad=0.02, aspect=16)
    return drawn
