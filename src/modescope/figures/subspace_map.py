"""The map of trajectories with the samples of every method."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.methods import looks
from modescope.figures.panels import legend_below
from modescope.figures.style import INK, MUTED, figure, text_width
from modescope.types import MEMBER, METHOD

CAPTION = (
    "Lines: the members' paths through function space, from the star (initialisation) to the number (last epoch). "
    "Points: networks drawn around each last epoch; t-SNE of the softmax outputs of all together. Samples that lie at "
    "their own path's end stay in that valley; see `own_valley` in the Dataset for the part that does."
)


def draw(dataset: xr.Dataset) -> Figure:
    """Paths in grey, samples in the colours of their methods."""
    drawn = figure(min(4.6, text_width()))
    axes = drawn.subplots()
    for member in dataset[MEMBER].to_numpy():
        x, y = dataset["embedding"].sel({MEMBER: member}).to_numpy().T
        axes.plot(x, y, color=MUTED, linewidth=0.8, marker="o", markersize=2.2, zorder=1)
        axes.scatter(x[:1], y[:1], s=70, marker="*", color=MUTED, edgecolors=INK, linewidths=0.5, zorder=3)
        axes.annotate(
            str(member), (x[-1], y[-1]), fontsize=9, fontweight="bold", ha="center", va="center", zorder=5,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "linewidth": 0, "alpha": 0.7},
        )  # fmt: skip
    for look in looks(dataset):
        x, y = dataset["embedding_samples"].sel({METHOD: look.name}).to_numpy().reshape(-1, 2).T
        there = np.isfinite(x)
        axes.scatter(
            x[there], y[there], s=16, color=look.colour, marker=look.marker, linewidths=0.3, edgecolors="white",
            label=look.title, zorder=4, alpha=0.9,
        )  # fmt: skip
    axes.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
    axes.set_aspect("equal", adjustable="datalim")
    legend_below(drawn, *axes.get_legend_handles_labels())
    return drawn
