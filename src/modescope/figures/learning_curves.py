"""Loss, accuracy and learning rate by epoch."""

import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, ScalarFormatter

from modescope.figures.panels import panels
from modescope.figures.style import INK, MUTED, member_colours
from modescope.types import MEMBER

CAPTION = (
    "One line a member: solid on the test data, dotted on the training data (as met during the epoch, dropout on). "
    "The loss is on a logarithmic scale. Members that end at the same loss need not make the same mistakes. Right: the "
    "learning rate of each epoch."
)


def draw(dataset: xr.Dataset) -> Figure:
    """Three panels: loss and accuracy of every member, and the learning rate."""
    drawn, (loss, accuracy, rate) = panels(3, height=2.3, least=1.5, most=3)
    colours = member_colours(dataset.sizes[MEMBER])
    epochs = dataset["epoch"]
    for axes, name, label in ((loss, "loss", "cross-entropy (nat)"), (accuracy, "accuracy", "accuracy")):
        for colour, (_, member) in zip(colours, dataset.groupby(MEMBER), strict=True):
            axes.plot(epochs, member[f"train_{name}"].squeeze(), ":", color=colour, linewidth=0.8, alpha=0.8)
            axes.plot(epochs, member[f"test_{name}"].squeeze(), color=colour, linewidth=1.0, marker=_marker(dataset))
        axes.set(xlabel="epoch", ylabel=label, title=name.capitalize())
        axes.plot([], [], color=MUTED, label="test")
        axes.plot([], [], ":", color=MUTED, label="training")
        axes.legend()
    rate.step(epochs, dataset["learning_rate"], where="mid", color=INK, linewidth=1.0)
    rate.set(xlabel="epoch", ylabel="learning rate", title="Schedule")
    rate.set_ylim(bottom=0)
    rate.ticklabel_format(axis="y", scilimits=(0, 0), useMathText=True)
    loss.set_yscale("log")
    loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    loss.yaxis.set_major_formatter(ScalarFormatter())
    loss.yaxis.set_minor_formatter("")
    return drawn


def _marker(dataset: xr.Dataset) -> str:
    return "." if dataset.sizes["epoch"] < 3 else ""  # a line through one point cannot be seen
