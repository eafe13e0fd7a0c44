"""Confusion matrices at the beginning, in the middle and at the end of training."""

import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.panels import panels
from modescope.figures.style import annotate, heatmap, name_ticks
from modescope.types import CLASS_PREDICTED, EPOCH, MEMBER

CAPTION = (
    "Rows are the true classes, columns what was said, as a part of the row, summed over all members; after the first "
    "epoch, half-way, and at the end. What stands off the diagonal is what the members mistake for each other."
)


def draw(dataset: xr.Dataset) -> Figure:
    """Up to three matrices of row fractions; the Dataset has every member and epoch."""
    counts = dataset["count"].sum(MEMBER)
    rates = counts / counts.sum(CLASS_PREDICTED).where(lambda total: total > 0)
    last = int(dataset[EPOCH][-1])
    epochs = sorted({min(1, last), last // 2, last})
    names = [str(name) for name in dataset[CLASS_PREDICTED].to_numpy()]
    drawn, every = panels(len(epochs), height=3.1, square=0.6, least=1.5, most=3)
    for axes, epoch in zip(every, epochs, strict=True):
        values = rates.sel({EPOCH: epoch}).to_numpy()
        image = heatmap(axes, values, "cividis", low=0.0, high=1.0)
        if len(names) <= 10:
            annotate(axes, image, values, ".2f")
        first = axes.get_subplotspec().is_first_col()
        name_ticks(axes, names, y=first)
        if not first:
            axes.set_yticks([])
        axes.set(title=f"epoch {epoch}", xlabel="said", ylabel="true" if first else "")
    drawn.colorbar(image, ax=every, label="part of the true class", location="bottom", shrink=0.5, pad=0.02, aspect=30)
    return drawn
