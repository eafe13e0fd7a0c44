"""`report.html`: one file, no network; the answer first, then everything to explore, and how to read it.

Numbers and text are data in the page, never markup: names that come from data, recipe or machine are escaped.
"""

import base64
import io
import json
import shlex
from collections.abc import Mapping
from functools import cache
from importlib import metadata, resources

import jinja2
import xarray as xr
from PIL import Image

from modescope.analyses import NAMES
from modescope.data import DataSet, load_data
from modescope.errors import ModescopeError, WorkError
from modescope.figures import caption
from modescope.figures.methods import listed
from modescope.report.answer import answer
from modescope.report.arrays import Arrays
from modescope.report.charts import Chart, charts, reading
from modescope.report.states import states
from modescope.report.verdict import how_many, verdict
from modescope.store.provenance import check_data, read_provenance
from modescope.store.run import Run

_SCRIPTS = ("decode", "theme", "controls", "states", "map", "similarity", "confusion", "hard", "charts", "start")
_STILL_WIDTH = 1200  # pixels of the figures that stand in where no script runs
_PANELS = {
    "trajectory_map": ("map", "Function space"),
    "similarity_snapshots": ("similarity", "Similarity"),
    "similarity_members": (None, "Similarity of members"),
    "confusion": ("confusion", "Confusion matrices"),
    "hardness": ("hard", "Hard examples"),
}
"""Analyses that a script of their own shows; without a script's name, within the panel of the one before."""
_TITLES = {
    "ensemble_size": "Ensemble size",
    "subspaces": "Substitutes for members",
    "subspace_map": "Substitutes on the map",
    "diversity_plane": "Diversity against accuracy",
    "radial_plane": "The plane through the origin and two members",
    "solution_plane": "The plane through three members",
    "connectors": "Paths between two members",
    "shift": "Shifted data",
    "learning_curves": "Training",
}
_ORDER = (*_PANELS, *_TITLES)
_HOW_TO_READ = {
    "trajectory_map": "Each point is a network at the end of an epoch, each path a member; points near each other "
    "predict alike. Only nearness counts: axes, angles and the distance between far groups mean nothing in t-SNE; PCA "
    "keeps distances, but shows two directions of many. Choose two states below, or press on two points (circle, "
    "square), to see what they have in common.",
    "similarity_snapshots": "Dark cells of the disagreement are pairs that give the same classes, bright cells of the "
    "cosine are weights in the same direction. Late snapshots of one member form a block of like functions; two "
    "members do not, however near their accuracies. Pressing a cell compares its two states on the map above.",
    "confusion": "Rows are true classes, columns what was said; the diagonal is right. Colours follow the square root, "
    "so that rare confusions show.",
    "hardness": "Choose an image: each row below is a member, each column an epoch; blue where it is given its true "
    "class, orange where not. The last row is the mean of all members' probabilities.",
}
"""Of analyses whose panel is not drawn like their figure."""


def page(
    run: Run,
    results: Mapping[str, xr.Dataset],
    left_out: Mapping[str, str],
    stills: Mapping[str, bytes],
    live: str | None = None,
) -> str:
    """The page of a run.

    Args:
        run: The run.
        results: The Datasets of its analyses.
        left_out: Analyses that make no sense for it -> why.
        stills: The figure of each analysis as a PNG file, shown where no script runs.
        live: What to say of a run that is still trained; the page then loads itself again.

    Returns:
        HTML.

    Raises:
        DamagedFileError: Predictions are not what was written.
        WorkError: The package plotly does not hold its script.
    """
    arrays = Arrays()
    drawn = {name: charts(name, results[name], arrays) for name in results}
    data, missing = _data(run)
    known = states(run, results, data, arrays)
    sizes = results.get("ensemble_size")
    content = {
        "arrays": arrays.stored,
        "states": known,
        "charts": {name: [_plain(chart) for chart in found] for name, found in drawn.items() if found},
    }
    return _template().render(
        recipe=run.recipe,
        live=live,
        verdict=None if sizes is None else verdict(sizes),
        how_many=None if sizes is None else how_many(sizes),
        answer=answer(results),
        sections=[_section(name, results[name], stills.get(name), bool(drawn[name])) for name in _shown(results)],
        notices=[*known["notices"], *missing],
        left_out=left_out,
        toml=run.recipe.toml(),
        provenance=json.dumps(read_provenance(run), indent=2),
        facts=_facts(run),
        seconds=read_provenance(run).get("seconds", {}),
        again=_again(run),
        style=_asset("page.css"),
        plotly=_plotly(),
        scripts="\n".join(_asset(f"scripts/{name}.js") for name in _SCRIPTS),
        content=json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
    )


def _shown(results: Mapping[str, xr.Dataset]) -> list[str]:
    """The analyses in the order in which the page shows them; new ones come last."""
    known = [name for name in _ORDER if name in results]
    return [*known, *(name for name in NAMES if name in results and name not in known)]


def _section(name: str, dataset: xr.Dataset, still: bytes | None, charted: bool) -> dict[str, object]:
    panel, title = _PANELS.get(name, (None, _TITLES.get(name, name)))
    return {
        "name": name,
        "title": title,
        "panel": panel,
        "within": name in _PANELS and panel is None,  # the panel before shows it too
        "charts": charted,
        "question": dataset.attrs["question"],
        "reference": dataset.attrs["reference"],
        "caption": _HOW_TO_READ.get(name, reading(name) if charted else caption(name)),
        "still_caption": caption(name),
        "left_out": [str(why) for why in listed(dataset.attrs.get("left_out", []))],
        "still": None if still is None else base64.b64encode(_small(still)).decode(),
    }


def _plain(chart: Chart) -> dict[str, object]:
    """A chart as scripts read it: its views by the numbers of the choices."""
    place = [{choice: str(number) for number, choice in enumerate(control.choices)} for control in chart.controls]
    views = {
        ",".join(place[number][choice] for number, choice in enumerate(key)): {"data": view.data, "layout": view.layout}
        for key, view in chart.views.items()
    }
    return {
        "title": chart.title,
        "alternative": chart.alternative,
        "height": chart.height,
        "controls": [{"name": control.name, "choices": control.choices} for control in chart.controls],
        "views": views,
        "table": None if chart.table is None else {"header": chart.table.header, "rows": chart.table.rows},
    }


def _data(run: Run) -> tuple[DataSet | None, list[str]]:
    """The run's data, for the images of examples; or why they are not there."""
    try:
        data = load_data(run.recipe.data)
        check_data(run, data)
    except ModescopeError as error:
        return None, [f"Images of examples are missing: {error}"]
    return data, []


def _facts(run: Run) -> dict[str, str]:
    recorded = read_provenance(run)
    data = recorded.get("data", {})
    machine, versions = recorded.get("machine", {}), recorded.get("versions", {})
    return {
        "network": run.recipe.model.name,
        "data": f"{run.recipe.data.source}: {data.get('train_examples', '?')} training and "
        f"{data.get('test_examples', '?')} test examples, {data.get('classes', '?')} classes",
        "data's SHA-256": str(data.get("sha256", "?")),
        "members": f"{len(run.members)} members, {run.recipe.training.epochs} epochs each",
        "differ in": ", ".join(run.recipe.ensemble.vary) or "nothing",
        "trained by": f"the {recorded.get('engine', '?')} engine on {recorded.get('device', '?')}",
        "machine": f"{machine.get('processor', '?')}, {machine.get('cores', '?')} cores",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()) or "?",
    }


def _again(run: Run) -> str:
    """The command that makes the run again, from its recipe."""
    return f"modescope run recipe.toml -o {shlex.quote(f'{run.path.name}-again')}"


def _small(png: bytes) -> bytes:
    """A figure as WebP, no wider than a page."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    if image.width > _STILL_WIDTH:
        image = image.resize((_STILL_WIDTH, round(image.height * _STILL_WIDTH / image.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "webp", quality=82, method=4)
    return buffer.getvalue()


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_asset("page.html"))


@cache
def _asset(name: str) -> str:
    return (resources.files("modescope") / "report").joinpath(*name.split("/")).read_text("utf-8")


@cache
def _plotly() -> str:
    """The script of plotly.js, from the package of that name, without importing all of it.

    Raises:
        WorkError: The package does not hold it.
    """
    for file in metadata.files("plotly") or ():
        if file.name == "plotly.min.js" and "package_data" in file.parts:
            return file.read_text("utf-8")
    raise WorkError("The package plotly has no package_data/plotly.min.js; install plotly again.")
