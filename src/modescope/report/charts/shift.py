"""Shifted data: scores by intensity and by corruption, and on data of another kind."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from modescope.figures.methods import Look, largest_common, looks
from modescope.figures.style import DIFFERENT, SIMILAR
from modescope.report.arrays import Arrays
from modescope.report.charts import Chart, Control, Table, View
from modescope.report.charts.scores import Score, scores_of
from modescope.report.charts.text import change, counted, number, plain, with_interval
from modescope.report.charts.traces import LEGEND, band, colour_scale, interval, layout, line, stroke_of, whole
from modescope.types import CORRUPTION, INTENSITY, METHOD, SIZE

CAPTION = (
    "First: means over all corruptions by intensity (0 = the test data as they are). Stars: independent members, one "
    "(dotted), some (dashed), all (solid and thick, with its interval over test examples); the others: the samples of "
    "each method around one member, averaged, each with its own colour, marker and dashes. Choose the score; the "
    "Jensen-Shannon divergence says how much the averaged networks differ: it should rise where they get lost. Second: "
    "the score of all members averaged by corruption, or what that changes against one member; the bar above the cells "
    "says which brightness is which number. Third, where there are data of another kind: a row a method."
)
_ALL, _CHANGE = "all members averaged", "change from one member"


def charts(dataset: xr.Dataset, arrays: Arrays) -> Sequence[Chart]:
    """Curves by intensity, cells by corruption, and what is said on data of another kind."""
    found = [_curves(dataset, arrays), _cells(dataset, arrays)]
    if scores_of(dataset, "ood_{}"):
        found.append(_elsewhere(dataset, arrays))
    return found


def _curves(dataset: xr.Dataset, arrays: Arrays) -> Chart:
    methods = range(dataset.sizes[METHOD])
    scores = [each for each in scores_of(dataset, "{}_mean") if any(_sizes(dataset, each, row) for row in methods)]
    views = {(score.choice,): _by_intensity(dataset, score, arrays) for score in scores}
    controls = (Control("Score", tuple(score.choice for score in scores)),)
    table = _table_of_curves(dataset, scores)
    return Chart("Means over all corruptions", _alternative(dataset), views, controls, table, height=520)


def _sizes(dataset: xr.Dataset, score: Score, row: int) -> list[int]:
    """The columns of the ensembles that a method has; a divergence needs several, as many as of other kinds."""
    values = dataset[f"{score.name}_mean"].to_numpy()[:, row]
    sizes = dataset[SIZE].to_numpy()
    apart = score.name == "jensen_shannon"
    least, most = (2, sizes[largest_common(dataset)]) if apart else (1, sizes[-1])
    return [
        column for column, size in enumerate(sizes) if least <= size <= most and np.isfinite(values[:, column]).any()
    ]


def _by_intensity(dataset: xr.Dataset, score: Score, arrays: Arrays) -> View:
    intensity = dataset[INTENSITY].to_numpy()
    bands, lines = [], []
    for row, look in enumerate(looks(dataset)):
        columns = _sizes(dataset, score, row)
        for column in columns if row == 0 else columns[-1:]:
            ends = [dataset[f"{score.name}_mean{end}"].to_numpy()[:, row, column] for end in ("", "_low", "_high")]
            told, custom = interval(*ends, score.form, arrays)
            hover = f"intensity %{{x}}<br>{score.choice}: %{{y:{score.form}}}{told}"
            name = _title(look, int(dataset[SIZE][column]), row)
            trace = line(name, intensity, ends[0], stroke_of(look), hover, arrays) | custom
            if row == 0 and column != columns[-1]:
                trace["line"] |= {"dash": "dot" if dataset[SIZE][column] == 1 else "dash", "width": 1.2}
                trace["marker"]["size"] = 6
            elif row == 0:
                bands += band("interval", intensity, ends[1], ends[2], stroke_of(look).colour, arrays)
            lines.append(trace)
    yaxis = {"tickformat": score.ticks}
    return View([*bands, *lines], layout("intensity", score.axis, xaxis=whole(intensity), yaxis=yaxis))


def _title(look: Look, size: int, row: int) -> str:
    if row:
        return look.title
    return "1 member" if size == 1 else f"{size} members"


def _cells(dataset: xr.Dataset, arrays: Arrays) -> Chart:
    scores = [score for score in scores_of(dataset) if score.name != "jensen_shannon"]
    shown = (_ALL, _CHANGE)
    views = {
        (score.choice, choice): _by_corruption(dataset, score, choice, arrays) for score in scores for choice in shown
    }
    controls = (Control("Score", tuple(score.choice for score in scores)), Control("Shown", shown))
    height = 150 + 24 * dataset.sizes[CORRUPTION]
    return Chart("Each corruption", _alternative_of_cells(dataset), views, controls, _table_of_cells(dataset), height)


def _all_and_one(dataset: xr.Dataset, score: str) -> tuple[np.ndarray, np.ndarray]:
    """A score of all members averaged, and of one (corruption, intensity); what is not finite is not known."""
    members = dataset.isel({METHOD: 0})[score]
    known = members.where(np.isfinite(members))
    sizes = known.dropna(SIZE, how="all") if known.notnull().any() else known
    return sizes.isel({SIZE: -1}).to_numpy(), sizes.isel({SIZE: 0}).to_numpy()


def _by_corruption(dataset: xr.Dataset, score: Score, choice: str, arrays: Arrays) -> View:
    averaged, one = _all_and_one(dataset, score.name)
    part = score.form.endswith("%")
    values = (100 if part else 1) * (averaged if choice == _ALL else averaged - one)
    form = (".1f" if part else ".2f") if choice == _ALL else ("+.1f" if part else "+.3f")
    title = score.axis if choice == _ALL else score.difference[3]
    if part and choice == _ALL:
        title += " (%)"
    trace = {
        "type": "heatmap",
        "name": title,
        "x": arrays.add(dataset[INTENSITY].to_numpy()),
        "y": [plain(_name(each)) for each in dataset[CORRUPTION].to_numpy()],
        "z": arrays.add(values),
        "texttemplate": f"%{{z:{form}}}",
        "hovertemplate": f"%{{y}}, intensity %{{x}}<br>{title}: %{{z:{form}}}<extra></extra>",
        "colorscale": colour_scale(SIMILAR if choice == _ALL else DIFFERENT),
        "xgap": 1,
        "ygap": 1,
        "colorbar": {
            "orientation": "h", "x": 0.5, "xanchor": "center", "y": 1, "yanchor": "bottom", "ypad": 4, "thickness": 10,
            "len": 1, "title": {"text": title, "side": "top"}, "outlinewidth": 0, "nticks": 6,
        },
    }  # fmt: skip
    drawn = {
        "xaxis": {"title": {"text": "intensity"}, "dtick": 1, "showgrid": False, "zeroline": False},
        "yaxis": {"autorange": "reversed", "showgrid": False, "zeroline": False, "type": "category"},
        "legend": LEGEND,
    }
    return View([trace], drawn)


def _elsewhere(dataset: xr.Dataset, arrays: Arrays) -> Chart:
    scores = scores_of(dataset, "ood_{}")
    views = {(score.choice,): _by_method(dataset, score, arrays) for score in scores}
    source = str(dataset.attrs.get("ood", "data of another kind"))
    rows = _rows(dataset)
    table = Table(
        ("method", *(score.choice for score in scores)),
        tuple(
            (title, *(with_interval(*_ood(dataset, score, row, column), score.form) for score in scores))
            for title, row, column in rows
        ),
    )
    first = [number(_ood(dataset, scores[0], row, column)[0], scores[0].form) for _, row, column in rows]
    told = "; ".join(f"{title} {value}" for (title, _, _), value in zip(rows, first, strict=True))
    controls = (Control("Score", tuple(score.choice for score in scores)),)
    height = 110 + 28 * len(rows)
    return Chart(f"Data of another kind: {source}", f"{scores[0].choice}: {told}.", views, controls, table, height)


def _by_method(dataset: xr.Dataset, score: Score, arrays: Arrays) -> View:
    """A point with its interval in a row a method."""
    data = []
    for title, row, column in _rows(dataset):
        value, low, high = _ood(dataset, score, row, column)
        ends = np.array([low]), np.array([high])
        told, custom = interval(np.array([value]), *ends, score.form, arrays)
        hover = f"{score.choice}: %{{x:{score.form}}}{told}"
        stroke = stroke_of(looks(dataset)[row])
        trace = line(title, np.array([value]), np.zeros(1), stroke, hover, arrays) | custom | {"y": [plain(title)]}
        if custom:
            bar = {"array": arrays.add(ends[1] - value), "arrayminus": arrays.add(value - ends[0]), "symmetric": False}
            trace["error_x"] = {"type": "data", "color": stroke.colour, "thickness": 1.5} | bar
        data.append(trace | {"mode": "markers", "showlegend": False})
    yaxis = {"type": "category", "autorange": "reversed"}
    return View(data, layout(score.axis, "", xaxis={"tickformat": score.ticks, "nticks": 6}, yaxis=yaxis))


def _rows(dataset: xr.Dataset) -> list[tuple[str, int, int]]:
    """The title, row and column of what is shown of data of another kind: every size of members, methods once."""
    name = f"ood_{scores_of(dataset, 'ood_{}')[0].name}"
    found = []
    for row, look in enumerate(looks(dataset)):
        there = np.flatnonzero(np.isfinite(dataset[name].to_numpy()[row]))
        for column in there if row == 0 else there[-1:]:
            found.append((_title(look, int(dataset[SIZE][column]), row), row, int(column)))
    return found


def _ood(dataset: xr.Dataset, score: Score, row: int, column: int) -> tuple[float, float, float]:
    name = f"ood_{score.name}"
    value, low, high = (float(dataset[name + end].to_numpy()[row, column]) for end in ("", "_low", "_high"))
    return value, low, high


def _name(corruption: object) -> str:
    return str(corruption).replace("_", " ")


def _table_of_curves(dataset: xr.Dataset, scores: Sequence[Score]) -> Table:
    rows = []
    for row, look in enumerate(looks(dataset)):
        columns = _sizes(dataset, scores[0], row)
        for column in columns if row == 0 else columns[-1:]:
            for place, intensity in enumerate(dataset[INTENSITY].to_numpy()):
                one = dataset.isel({METHOD: row, SIZE: column, INTENSITY: place})
                names = [f"{score.name}_mean" for score in scores]
                cells = [
                    with_interval(*(float(one[name + end]) for end in ("", "_low", "_high")), score.form)
                    for name, score in zip(names, scores, strict=True)
                ]
                rows.append((_title(look, int(dataset[SIZE][column]), row), str(intensity), *cells))
    return Table(("method", "intensity", *(score.choice for score in scores)), tuple(rows))


def _table_of_cells(dataset: xr.Dataset) -> Table:
    members = dataset.isel({METHOD: 0}).dropna(SIZE, how="all", subset=["accuracy"]).isel({SIZE: -1})
    rows = []
    for row, corruption in enumerate(dataset[CORRUPTION].to_numpy()):
        one = members.isel({CORRUPTION: row})
        ends = [one[f"accuracy{end}"].to_numpy() for end in ("", "_low", "_high")]
        rows.append((_name(corruption), *(with_interval(*map(float, cell), ".1%") for cell in zip(*ends, strict=True))))
    header = ("accuracy, all members averaged", *(f"intensity {each}" for each in dataset[INTENSITY].to_numpy()))
    return Table(header, tuple(rows))


def _alternative(dataset: xr.Dataset) -> str:
    accuracy, columns = dataset["accuracy_mean"].to_numpy()[:, 0], _sizes(dataset, scores_of(dataset)[0], 0)
    first, last = columns[0], columns[-1]
    strongest = int(dataset[INTENSITY][-1])
    said = ", ".join(
        f"{counted(int(dataset[SIZE][column]), 'member')} {number(accuracy[0, column], '.1%')} and "
        f"{number(accuracy[-1, column], '.1%')}"
        for column in sorted({first, last})
    )
    return f"Mean accuracy on the data as they are, and at intensity {strongest}: {said}."


def _alternative_of_cells(dataset: xr.Dataset) -> str:
    averaged, one = _all_and_one(dataset, "accuracy")
    strongest, gains = averaged[:, -1], (averaged - one)[:, -1]
    if not np.isfinite(strongest).any():
        return "No corruption has a known accuracy."
    names = [_name(each) for each in dataset[CORRUPTION].to_numpy()]
    worst, best = int(np.nanargmin(strongest)), int(np.nanargmax(strongest))
    most = int(np.nanargmax(gains))
    gain = change(float(gains[most]), np.nan, np.nan, ".1%")
    return (
        f"At the strongest intensity the accuracy of all members averaged is lowest under {names[worst]} "
        f"({number(strongest[worst], '.1%')}) and highest under {names[best]} ({number(strongest[best], '.1%')}); "
        f"averaging changes most under {names[most]} ({gain})."
    )
