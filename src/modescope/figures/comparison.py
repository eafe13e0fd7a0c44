"""Several runs: accuracy by members, and how each differs from the first."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from modescope.figures.panels import legend_below, panels
from modescope.figures.style import MUTED, member_colours
from modescope.types import RUN, SIZE

CAPTION = (
    "First: accuracy of ensembles of so many members of each run, with its interval over test examples. Others: all "
    "members averaged, less the first run's, with paired intervals. Where one crosses the line, these examples cannot "
    "tell which run is better."
)
_MARKERS = "osD^vPX<>ph"


def draw(dataset: xr.Dataset) -> Figure:
    """Accuracy by size; differences in accuracy and NLL from the first run."""
    drawn, (left, accuracy, likelihood) = panels(3, height=2.3 + 0.05 * dataset.sizes[RUN], least=1.5, most=3)
    names = [str(name) for name in dataset[RUN].to_numpy()]
    sizes, rows = dataset[SIZE].to_numpy(), np.arange(len(names))
    for row, (name, colour) in enumerate(zip(names, member_colours(len(names)), strict=True)):
        value, low, high = (dataset[f"accuracy{end}"].to_numpy()[row] for end in ("", "_low", "_high"))
        marker = _MARKERS[row % len(_MARKERS)]
        left.plot(sizes, value, color=colour, marker=marker, markersize=3.5, label=name.replace("$", r"\$"))
        left.fill_between(sizes, low, high, color=colour, alpha=0.1, linewidth=0)
        for axes, metric, factor in ((accuracy, "accuracy", 100), (likelihood, "nll", 1)):
            ends = [factor * float(dataset[f"{metric}_all_difference{end}"][row]) for end in ("", "_low", "_high")]
            axes.plot(ends[1:], [row, row], color=colour, linewidth=1.4)
            axes.plot(ends[0], row, color=colour, marker=marker, markersize=4.5)
    left.set(xlabel="members in the ensemble", ylabel="accuracy")
    left.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    for axes, label in ((accuracy, "accuracy less\nthe first's (points)"), (likelihood, "NLL less\nthe first's (nat)")):
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set(xlabel=label, yticks=rows, ylim=(len(names) - 0.5, -0.5))
        axes.set_yticklabels([])
    legend_below(drawn, *left.get_legend_handles_labels())
    return drawn
