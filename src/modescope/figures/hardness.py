"""When examples are learned, and who finds which of them hard."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.panels import legend_below, panels
from modescope.figures.style import ACCENT, INK, SIMILAR, annotate, heatmap, member_colours, name_ticks
from modescope.types import EPOCH, EPOCH_OTHER, EXAMPLE, MEMBER

CAPTION = (
    "Left: part of the test examples that are right for good from an epoch on, one line a member. Middle: the hardest "
    "examples of each epoch that are among the hardest of the last epoch too, one line a member; the dashed line is "
    "what two members share at the end, the dotted one what blind choices would share. Right: rank correlation of "
    "the members' losses, 1 = the same examples are hard."
)


def draw(dataset: xr.Dataset) -> Figure:
    """Three panels: learning over epochs, overlap of the hardest with the last epoch's, members against members."""
    drawn, (learned, shared, members) = panels(3, height=2.6, square=1.0, least=1.5, most=3)
    colours = member_colours(dataset.sizes[MEMBER])
    epochs = dataset[EPOCH].to_numpy()
    overlap = dataset["hardest_overlap_epochs"].isel({EPOCH_OTHER: -1})
    for colour, member in zip(colours, dataset[MEMBER].to_numpy(), strict=True):
        first = dataset["first_learned"].sel({MEMBER: member}).to_numpy()
        learned.plot(epochs, [np.mean(first <= epoch) for epoch in epochs], color=colour, linewidth=1.0)
        shared.plot(epochs, overlap.sel({MEMBER: member}), color=colour, linewidth=1.0)
    learned.set(xlabel="epoch", ylabel="right for good", title="Learned", ylim=(0, 1))
    percent = f"{100 * dataset.attrs['fraction']:g} %"
    shared.set(xlabel="epoch", ylabel=f"shared part of the hardest {percent}", title="Hard then, hard at the end?")
    shared.axhline(float(dataset["hardest_overlap_chance"]), color=INK, linestyle=":", linewidth=1.0, label="chance")
    if "mean_hardest_overlap_members" in dataset:
        level = float(dataset["mean_hardest_overlap_members"])
        shared.axhline(level, color=ACCENT, linestyle="--", linewidth=1.0, label="two members, at the end")
    shared.set_ylim(0, 1.02)
    values = dataset["rank_correlation_members"].to_numpy()
    image = heatmap(members, values, SIMILAR, low=min(0.0, float(values.min())), high=1.0)
    names = [str(member) for member in dataset[MEMBER].to_numpy()]
    if len(names) <= 12:
        annotate(members, image, values, ".2f")
    name_ticks(members, names)
    members.set(xlabel="member", title=f"Rank correlation, {dataset.sizes[EXAMPLE]} examples")
    drawn.colorbar(image, ax=members, location="bottom", shrink=0.8, pad=0.02, aspect=20)
    legend_below(drawn, *shared.get_legend_handles_labels())
    return drawn
