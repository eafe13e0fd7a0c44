"""Scores by the number of members."""

import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from modescope.figures.panels import lowest, panels
from modescope.figures.style import ACCENT, MUTED
from modescope.types import SIZE

CAPTION = (
    "Mean over all subsets of that many members (or over a stated number of random ones). Band: interval from a "
    "paired bootstrap over the test examples. Thin bars: worst and best subset, that is, how much the choice of "
    "members matters. Higher is better for accuracy, lower for the others."
)
_PANELS = (
    ("accuracy", "accuracy"),
    ("nll", "negative log-likelihood (nat)"),
    ("brier", "Brier score (0 to 2)"),
    ("ece", "calibration error (ECE)"),
)


def draw(dataset: xr.Dataset) -> Figure:
    """Four panels: accuracy, NLL, Brier score, calibration error."""
    drawn, every = panels(4, height=2.2, least=1.5, most=2, sharex=True)
    sizes = dataset[SIZE].to_numpy()
    for axes, (name, label) in zip(every, _PANELS, strict=True):
        worst, best = dataset[f"{name}_subset_min"], dataset[f"{name}_subset_max"]
        axes.vlines(sizes, worst, best, color=MUTED, linewidth=0.8)
        axes.fill_between(sizes, dataset[f"{name}_low"], dataset[f"{name}_high"], color=ACCENT, alpha=0.2, linewidth=0)
        axes.plot(sizes, dataset[name], "o-", color=ACCENT, markersize=3.5)
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    for axes in lowest(every):
        axes.set_xlabel("members in the ensemble")
    return drawn
