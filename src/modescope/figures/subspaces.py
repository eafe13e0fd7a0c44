"""Substitutes for independent members, alone and on top of them."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from modescope.figures.methods import Look, looks
from modescope.figures.panels import legend_below, panels
from modescope.types import SIZE

CAPTION = (
    "Left and middle: ensembles of so many members, where each member is replaced by the average of its samples; at 1 "
    "stand the methods alone; equal numbers of members cost the same training. Right: the same accuracy by the cost of "
    "one prediction; thin lines grow by samples around one member, thick ones by members. Bands (members and the best "
    "method): interval over test examples. Where the black line is highest at equal cost, independent members are the "
    "better use of it. Methods far worse than one member lie below the axis."
)


def draw(dataset: xr.Dataset) -> Figure:
    """Accuracy and Brier score by members, and accuracy by forward passes."""
    drawn, every = panels(3, height=2.5, least=1.5, most=3)
    shown = looks(dataset)
    sizes = dataset[SIZE].to_numpy()
    for axes, metric, label in ((every[0], "accuracy", "accuracy"), (every[1], "brier", "Brier score (0 to 2)")):
        best = _best(dataset, metric)
        for row, look in enumerate(shown):
            values = dataset[metric].to_numpy()[row]
            _line(axes, sizes, values, look)
            if row in (0, best):
                low, high = (dataset[f"{metric}_{end}"].to_numpy()[row] for end in ("low", "high"))
                axes.fill_between(sizes, low, high, color=look.colour, alpha=0.12, linewidth=0)
        axes.set(xlabel="members", ylabel=label, ylim=_range(dataset, metric))
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    for row, look in enumerate(shown):
        passes = dataset["forward_passes"].to_numpy()[row]
        _line(every[2], passes, dataset["accuracy"].to_numpy()[row], look)
        inside = dataset["accuracy_inside"].to_numpy()[row]
        if row and np.isfinite(inside).sum() > 1:
            every[2].plot(np.arange(1, len(inside) + 1), inside, color=look.colour, linewidth=0.6)
    every[2].set(xlabel="networks asked for one prediction", ylabel="accuracy", xscale="log")
    every[2].set_ylim(_range(dataset, "accuracy"))
    legend_below(drawn, *every[0].get_legend_handles_labels())
    return drawn


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, look: Look) -> None:
    strong = look.marker == "*"
    axes.plot(
        x, y, color=look.colour, marker=look.marker, markersize=6 if strong else 3.5, label=look.title,
        linewidth=1.6 if strong else 1.0, zorder=3 if strong else 2,
    )  # fmt: skip


def _best(dataset: xr.Dataset, metric: str) -> int:
    """The method that is best on top of one member."""
    first = dataset[metric].to_numpy()[1:, 0]
    return 1 + int(first.argmax() if metric == "accuracy" else first.argmin())


def _range(dataset: xr.Dataset, metric: str) -> tuple[float, float]:
    """From what is a little worse than one member to the best; a method far worse would squeeze all others."""
    values = dataset[metric].to_numpy()
    worst, best = (np.nanmin, np.nanmax) if metric == "accuracy" else (np.nanmax, np.nanmin)
    one, top = values[0, 0], best(values)
    span = max(abs(top - one), 0.01)
    farthest = one + (1.5 if metric == "brier" else -1.5) * span
    bottom = max(worst(values), farthest) if metric == "accuracy" else min(worst(values), farthest)
    return tuple(sorted((bottom - np.sign(top - one or 1) * 0.08 * span, top + np.sign(top - one or 1) * 0.25 * span)))
