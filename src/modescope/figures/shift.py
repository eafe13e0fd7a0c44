"""Shifted data: scores by intensity, and by corruption."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from modescope.figures.methods import largest_common, looks
from modescope.figures.panels import columns_for, fill, legend_below
from modescope.figures.style import DIFFERENT, SIMILAR, annotate, figure, heatmap, text_width
from modescope.types import CORRUPTION, INTENSITY, METHOD, SIZE

CAPTION = (
    "Above: means over all corruptions by intensity (0 = the test data as they are). Black: independent members, one "
    "(dotted), two (dashed), all (solid, with its interval over test examples); colours: the samples of each method "
    "around one member, averaged. Jensen-Shannon divergence says how much networks differ, as many of each kind as all "
    "kinds have (the number on its axis): it should rise where they get lost. Below: accuracy of all members averaged, "
    "and what that gains over one member, by corruption."
)
_PANELS = (
    ("accuracy", "accuracy"),
    ("brier", "Brier score (0 to 2)"),
    ("jensen_shannon", "Jensen-Shannon divergence of {common} (nat)"),
)


def draw(dataset: xr.Dataset) -> Figure:
    """Accuracy, Brier score and Jensen-Shannon divergence by intensity; accuracy and gain by corruption."""
    columns = columns_for(len(_PANELS), least=1.5, most=3)
    rows = -(-len(_PANELS) // columns)
    titles = 0.7 if text_width() >= 5 else 1.0  # of three lines where there are two panels in a column
    heights = 2.1 * rows + 0.2, titles + 0.15 * dataset.sizes[CORRUPTION]
    drawn = figure(sum(heights))
    upper, lower = drawn.subfigures(2, 1, height_ratios=heights)
    intensity, sizes = dataset[INTENSITY].to_numpy(), dataset[SIZE].to_numpy()
    common = largest_common(dataset)
    for axes, (name, label) in zip(fill(upper, len(_PANELS), rows, columns), _PANELS, strict=True):
        for row, look in enumerate(looks(dataset)):
            values = dataset[f"{name}_mean"].to_numpy()[:, row]  # (intensity, size)
            there = [column for column in range(len(sizes)) if np.isfinite(values[0, column])]
            if name == "jensen_shannon":  # it grows with the number of networks, so all must have as many
                there = [column for column in there if column <= common]
            if row == 0:
                for column, style in zip(there[:2], (":", "--"), strict=False):
                    if name != "jensen_shannon" or sizes[column] > 1:
                        axes.plot(intensity, values[:, column], color=look.colour, linestyle=style, linewidth=1.0)
                low, high = (dataset[f"{name}_mean_{end}"].to_numpy()[:, 0, there[-1]] for end in ("low", "high"))
                axes.fill_between(intensity, low, high, color=look.colour, alpha=0.12, linewidth=0)
            if name != "jensen_shannon" or sizes[there[-1]] > 1:
                axes.plot(intensity, values[:, there[-1]], color=look.colour, marker=look.marker, markersize=3.5,
                          linewidth=1.4 if row == 0 else 0.9, label=look.title)  # fmt: skip
        axes.set(xlabel="intensity", ylabel=label.format(common=sizes[common]))
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    legend_below(upper, *upper.axes[0].get_legend_handles_labels())
    _by_corruption(dataset, lower)
    return drawn


def _by_corruption(dataset: xr.Dataset, part: SubFigure) -> None:
    members = dataset.isel({METHOD: 0})["accuracy"]
    every = members.dropna(SIZE, how="all")
    values = 100 * every.isel({SIZE: -1}).to_numpy()
    gains = values - 100 * every.isel({SIZE: 0}).to_numpy()
    names = [str(name).replace("_", " ") for name in dataset[CORRUPTION].to_numpy()]
    panels = part.subplots(1, 2, sharey=True)
    whole = ".1f" if text_width() >= 5 else ".0f"  # narrow cells have room for two digits
    for axes, shown, colours, title, form in (
        (panels[0], values, SIMILAR, "Accuracy of all members averaged (%)", whole),
        (panels[1], gains, DIFFERENT, "Gain over one member (points)", ".1f"),
    ):
        image = heatmap(axes, shown, colours)
        axes.set_aspect("auto")
        annotate(axes, image, shown, form)
        axes.set(title=title, xlabel="intensity")
        axes.set_xticks(range(dataset.sizes[INTENSITY]), [str(each) for each in dataset[INTENSITY].to_numpy()])
        axes.set_yticks(range(len(names)), names)
