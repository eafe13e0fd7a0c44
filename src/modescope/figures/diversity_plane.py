"""Diversity against accuracy."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from modescope.figures.methods import looks
from modescope.figures.panels import legend_below, panels
from modescope.figures.style import MUTED
from modescope.types import ACCURACY_GRID

CAPTION = (
    "Each point is a network: how accurate it is, and how often it disagrees with the reference (green star) over its "
    "own error. Black stars: independent members. Dashed: the reference with random answers, from which no more "
    "diversity comes than from noise. Dash-dotted: networks whose errors are independent. Grey area: beyond what is "
    "possible at all. At equal accuracy, higher is more diverse."
)


def draw(dataset: xr.Dataset) -> Figure:
    """The whole plane, and the part of it where independent members lie."""
    drawn, (whole, near) = panels(2, height=3.0, square=0.3, least=2.3, most=2)
    for axes in (whole, near):
        _draw(axes, dataset)
    reference = dataset.attrs["reference_accuracy"]
    accuracy = dataset["accuracy"].to_numpy()
    low, best = np.nanmin(accuracy), max(reference, float(np.nanmax(accuracy)))
    whole.set_xlim(low - 0.03 * (best - low), best + 0.03 * (best - low))
    worst = float(np.nanmin(accuracy[0]))
    span = max(best - worst, 0.25 * (1 - best), 0.005)
    near.set_xlim(max(worst - 2 * span, low), best + 0.5 * span)
    for axes in (whole, near):
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("disagreement with the reference / error")
    near.xaxis.set_major_locator(MaxNLocator(5))
    near.set_title("where independent members are")
    legend_below(drawn, *whole.get_legend_handles_labels())
    return drawn


def _draw(axes: Axes, dataset: xr.Dataset) -> None:
    diversity = dataset["diversity"].to_numpy()
    top = 1.3 * max(1.0, float(np.nanmax(np.where(np.isfinite(diversity), diversity, 0))))
    if ACCURACY_GRID in dataset:
        grid = dataset[ACCURACY_GRID].to_numpy()
        axes.plot(grid, dataset["limit_upper"], color=MUTED, linestyle="-.", label="independent errors")
        axes.plot(grid, dataset["limit_lower"], color=MUTED, linestyle="--", label="reference, random answers")
        axes.fill_between(grid, dataset["bound_upper"], 10 * top, color=MUTED, alpha=0.12, linewidth=0)
        axes.fill_between(grid, -top, dataset["bound_lower"], color=MUTED, alpha=0.12, linewidth=0)
    for row, look in enumerate(looks(dataset)):
        x, y = dataset["accuracy"].to_numpy()[row], diversity[row]
        there = np.isfinite(x) & np.isfinite(y)
        strong = look.marker == "*"
        axes.scatter(
            x[there], y[there], s=50 if strong else 10, color=look.colour, marker=look.marker, label=look.title,
            linewidths=0.2, edgecolors="white", zorder=4 if strong else 3, alpha=1.0 if strong else 0.8,
        )  # fmt: skip
    axes.scatter(
        [dataset.attrs["reference_accuracy"]], [0], s=80, marker="*", color="#2a9d3a", edgecolors="white",
        linewidths=0.4, zorder=5, label="reference",
    )  # fmt: skip
    axes.set(xlabel="accuracy", ylim=(-0.05 * top, top))
