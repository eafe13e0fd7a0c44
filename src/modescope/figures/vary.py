"""What varies between members, and what it is worth."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.panels import panels
from modescope.figures.style import ACCENT
from modescope.types import RUN

CAPTION = (
    "Runs that differ only in what varies between their members. Left: how often two members give different classes. "
    "Middle: how much more accurate all members averaged are than one. Right: the change of the negative "
    "log-likelihood (lower is better). Bars: interval over test examples. Intervals that overlap cannot be told apart."
)
_PANELS = (
    ("disagreement", "disagreement (%)", 100),
    ("accuracy_gain", "gain in accuracy (points)", 100),
    ("nll_gain", "change of NLL (nat)", 1),
)


def draw(dataset: xr.Dataset) -> Figure:
    """One row a run, one panel a measure."""
    names = [str(name) for name in dataset[RUN].to_numpy()]
    drawn, every = panels(3, height=0.9 + 0.34 * len(names), least=1.5, most=3)
    places = np.arange(len(names))
    for axes, (name, label, factor) in zip(every, _PANELS, strict=True):
        value, low, high = (factor * dataset[name + end].to_numpy() for end in ("", "_low", "_high"))
        axes.errorbar(value, places, xerr=[value - low, high - value], fmt="o", color=ACCENT, markersize=4, capsize=2.5)
        axes.set_yticks(places, names if axes.get_subplotspec().is_first_col() else [""] * len(names))
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(label)
        axes.grid(axis="x", linewidth=0.3)
    return drawn
