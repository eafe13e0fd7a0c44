"""The map of all members' paths through function space."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.style import INK, figure, member_colours, text_width
from modescope.types import EPOCH, MEMBER

CAPTION = (
    "Each point is one member at one epoch; points that predict alike lie together (t-SNE of the softmax outputs on "
    "the test data: near means alike, but distances between far points and the axes themselves mean nothing). A star "
    "marks the initialisation, the number the last epoch. Paths that end apart found different functions."
)


def draw(dataset: xr.Dataset) -> Figure:
    """One path a member, from its star to its number."""
    drawn = figure(min(4.2, text_width()))
    axes = drawn.subplots()
    colours = member_colours(dataset.sizes[MEMBER])
    few = dataset.sizes[MEMBER] <= 20
    middle = dataset["embedding"].mean((MEMBER, EPOCH)).to_numpy()
    for colour, member in zip(colours, dataset[MEMBER].to_numpy(), strict=True):
        x, y = dataset["embedding"].sel({MEMBER: member}).to_numpy().T
        axes.plot(x, y, color=colour, linewidth=0.7, alpha=0.6)
        axes.scatter(x[1:], y[1:], s=9, color=colour, linewidths=0)
        axes.scatter(x[:1], y[:1], s=70, marker="*", color=colour, edgecolors=INK, linewidths=0.5, zorder=3)
        if few:
            outwards = np.array([x[-1], y[-1]]) - middle
            outwards *= 11 / max(float(np.hypot(*outwards)), 1e-12)  # points
            axes.annotate(
                str(member), (x[-1], y[-1]), textcoords="offset points", xytext=outwards, fontsize=8,
                fontweight="bold", ha="center", va="center", color=colour,
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "linewidth": 0, "alpha": 0.7},
            )  # fmt: skip
    axes.margins(0.07)  # room for the numbers
    axes.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
    axes.set_title(f"{dataset.sizes[MEMBER]} members, {dataset.sizes[EPOCH]} states each")
    axes.set_aspect("equal", adjustable="datalim")
    return drawn
