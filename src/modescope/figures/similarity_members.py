"""Cosine and disagreement between members."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.panels import panels as grid
from modescope.figures.style import DIFFERENT, SIMILAR, annotate, heatmap, name_ticks
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
    drawn, every = grid(len(panels), height=3.1, square=0.7, least=1.5, most=3)
    names = [str(member) for member in dataset[MEMBER].to_numpy()]
    for axes, (name, colours, title) in zip(every, panels, strict=True):
        values = dataset[name].to_numpy() * (100 if name == "disagreement" else 1)
        others = values[~np.eye(len(values), dtype=bool)]
        low, high = (0.0, others.max()) if name == "disagreement" else (min(0.0, others.min()), 1.0)
        image = heatmap(axes, values, colours, low=low, high=max(high, 1e-9))
        if len(names) <= 12:
            annotate(axes, image, values, ".1f" if name == "disagreement" else ".2f")
        name_ticks(axes, names)
        axes.set(title=title, xlabel="member")
        drawn.colorbar(image, ax=axes, location="bottom", shrink=0.8, pad=0.02, aspect=20)
    return drawn
