"""Along paths between two solutions."""

import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.methods import listed
from modescope.figures.panels import legend_below, lowest, panels
from modescope.figures.style import MUTED, PALETTE
from modescope.types import KIND, T

CAPTION = (
    "From one member (t = 0) to another (t = 1): on the straight line, and on two paths whose inner bends were trained "
    "for low loss. Bands: interval over test examples. Third panel: the part of the test examples given the same class "
    "as by the first end (solid) and by the second (dotted). Fourth: disagreement with each end over the point's own "
    "error. Where the loss stays low and that ratio rises from 0 to about 1, equal loss is not equal function."
)
_COLOURS = {"line": MUTED, "bezier": PALETTE[0], "polygon": PALETTE[2]}
_PANELS = (
    ("loss", "loss (nat)"),
    ("accuracy", "accuracy"),
    ("similarity", "same class as an end"),
    ("difference_over_error", "disagreement with an end / error"),
)


def draw(dataset: xr.Dataset) -> Figure:
    """Loss, accuracy, similarity to both ends, and difference over error."""
    drawn, every = panels(4, height=2.3, least=1.5, most=2, sharex=True)
    t = dataset[T].to_numpy()
    first, second = listed(dataset.attrs["ends"])
    for axes, (name, label) in zip(every, _PANELS, strict=True):
        for row, kind in enumerate(str(kind) for kind in dataset[KIND].to_numpy()):
            colour = _COLOURS.get(kind, PALETTE[4])
            if name in dataset:
                axes.plot(t, dataset[name][row], color=colour, label=kind)
                low, high = dataset[f"{name}_low"][row], dataset[f"{name}_high"][row]
                axes.fill_between(t, low, high, color=colour, alpha=0.2, linewidth=0)
            else:
                axes.plot(t, dataset[f"{name}_first"][row], color=colour, label=kind)
                axes.plot(t, dataset[f"{name}_second"][row], color=colour, linestyle=":")
        axes.set_ylabel(label)
        if name == "loss":
            axes.set_yscale("log")
    for axes in lowest(every):
        axes.set_xlabel(f"t, from member {first} to member {second}")
    legend_below(drawn, *drawn.axes[0].get_legend_handles_labels())
    return drawn
