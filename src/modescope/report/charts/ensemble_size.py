"""Scores by the number of members."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from modescope.figures.style import ACCENT
from modescope.report.arrays import Arrays
from modescope.report.charts import Chart, Control, Table, View
from modescope.report.charts.scores import Score, scores_of
from modescope.report.charts.text import change, counted, number, with_interval
from modescope.report.charts.traces import SOFT, Stroke, band, interval, layout, line, whole
from modescope.types import SIZE

CAPTION = (
    "Each point is the mean over all subsets of so many members (or over a stated number of random ones). Band: "
    "interval from a paired bootstrap over the test examples. Thin vertical bars: from the worst to the best subset, "
    "that is, how much the choice of members matters. Choose another score above the chart, or how much it changes "
    "from one member, or from one member fewer; a change whose band holds zero (dotted line) cannot be told from none. "
    "Higher is better for accuracy, lower for likelihood, Brier score and calibration error."
)
_SHOWN = {"as it is": "", "change from one member": "_gain", "change from one member fewer": "_step"}
_ZERO = {
    "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0,
    "line": {"color": SOFT, "width": 1, "dash": "dot"},
}  # fmt: skip


def charts(dataset: xr.Dataset, arrays: Arrays) -> Sequence[Chart]:
    """One chart: every score, as it is and as a change."""
    scores = scores_of(dataset)
    shown = {choice: suffix for choice, suffix in _SHOWN.items() if scores[0].name + suffix in dataset}
    views = {
        (score.choice, choice): _view(dataset, score, suffix, arrays)
        for score in scores
        for choice, suffix in shown.items()
    }
    controls = (Control("Score", tuple(score.choice for score in scores)), Control("Shown", tuple(shown)))
    return [Chart("", _alternative(dataset), views, controls, _table(dataset, scores))]


def _view(dataset: xr.Dataset, score: Score, suffix: str, arrays: Arrays) -> View:
    sizes = dataset[SIZE].to_numpy()
    values, low, high = (dataset[f"{score.name}{suffix}{end}"].to_numpy() for end in ("", "_low", "_high"))
    form, ticks, axis = score.form, score.ticks, score.axis
    if suffix:
        factor, form, ticks, axis = score.difference
        values, low, high = factor * values, factor * low, factor * high
    told, custom = interval(values, low, high, form, arrays)
    hover = f"members: %{{x}}<br>{axis}: %{{y:{form}}}{told}"
    data = [
        *band("interval", sizes, low, high, ACCENT, arrays),
        *(_spread(dataset, score, arrays) if suffix == "" else []),
        line("mean over subsets", sizes, values, Stroke(ACCENT), hover, arrays) | custom,
    ]
    drawn = layout("members in the ensemble", axis, xaxis=whole(sizes), yaxis={"tickformat": ticks})
    return View(data, drawn | {"showlegend": False, "shapes": [_ZERO] if suffix else []})


def _spread(dataset: xr.Dataset, score: Score, arrays: Arrays) -> list[dict[str, object]]:
    """A vertical bar from the worst to the best subset of each size; a gap follows each."""
    sizes = dataset[SIZE].to_numpy().astype(float)
    ends = [dataset[f"{score.name}_subset_{end}"].to_numpy() for end in ("min", "max")]
    gap = np.full_like(sizes, np.nan)
    x, y = (np.stack(parts, -1).ravel() for parts in ([sizes, sizes, gap], [*ends, gap]))
    hover = f"%{{x}} members, an end of the range<br>{score.choice}: %{{y:{score.form}}}"
    bars = line("worst and best subset", x, y, Stroke(SOFT, "line-ew-open", width=1.0), hover, arrays)
    return [bars]


def _table(dataset: xr.Dataset, scores: Sequence[Score]) -> Table:
    rows = []
    for place, size in enumerate(dataset[SIZE].to_numpy()):
        one = dataset.isel({SIZE: place})
        cells = [
            with_interval(*(float(one[score.name + end]) for end in ("", "_low", "_high")), score.form)
            for score in scores
        ]
        gain = change(*(float(one[f"accuracy_gain{end}"]) for end in ("", "_low", "_high")), ".2%")
        rows.append((str(size), str(int(one["subsets"])), *cells, gain))
    header = ("members", "subsets", *(score.choice for score in scores), "accuracy over one member")
    return Table(header, tuple(rows))


def _alternative(dataset: xr.Dataset) -> str:
    first, last = dataset.isel({SIZE: 0}), dataset.isel({SIZE: -1})
    size = int(last[SIZE])
    if size == 1:
        return f"One member: accuracy {number(float(first['accuracy']), '.2%')}; there is no larger ensemble."
    gain = change(*(float(last[f"accuracy_gain{end}"]) for end in ("", "_low", "_high")), ".2%")
    return (
        f"Accuracy goes from {number(float(first['accuracy']), '.2%')} with 1 member to "
        f"{number(float(last['accuracy']), '.2%')} with {counted(size, 'member')}, a change of {gain}; negative "
        f"log-likelihood from {number(float(first['nll']), '.4f')} to {number(float(last['nll']), '.4f')} nat."
    )
