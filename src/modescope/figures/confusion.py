"""Confusion matrices at the beginning, in the middle and at the end of training."""

import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.style import annotate, figure, heatmap, name_ticks
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
    drawn = figure(2.9, width=2.7 * len(epochs) + 0.6)
    names = [str(name) for name in dataset[CLASS_PREDICTED].to_numpy()]
    panels = drawn.subplots(1, len(epochs), squeeze=False)[0]
    for position, (axes, epoch) in enumerate(zip(panels, epochs, strict=True)):
        values = rates.sel({EPOCH: epoch}).to_numpy()
        image = heatmap(axes, values, "cividis", low=0.0, high=1.0)
        if len(names) <= 10:
            annotate(axes, image, values, ".2f", size=4.4)
        name_ticks(axes, names, y=position == 0)
        if position:
            axes.set_yticks([])
        axes.set(title=f"epoch {epoch}", xlabel="said")
    panels[0].set_ylabel("true")
    drawn.colorbar(image, ax=list(panels), label="part of the true class", shrink=0.8, pad=0.01, aspect=16)
    return drawn
