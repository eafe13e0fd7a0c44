"""The charts of an analysis on the page: plain descriptions that plotly.js draws; one module an analysis, of its name.

Every module here has a `CAPTION`, which says how to read its charts, and a function
`charts(dataset, arrays) -> Sequence[Chart]`. An analysis without one shows its static figure.
"""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import xarray as xr

from modescope.report.arrays import Arrays

INK = "var(--ink)"
"""Dark on a light page and light on a dark one; `var(--soft)`, `var(--paper)` and `var(--line)` are such too."""


@dataclass(frozen=True)
class Control:
    """One thing that the reader chooses: its name, and the names of the choices; the first is shown at first."""

    name: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """What plotly.js draws: traces and a layout. Arrays in them come from `Arrays.add`."""

    data: Sequence[Mapping[str, object]]
    layout: Mapping[str, object]


@dataclass(frozen=True)
class Table:
    """The numbers of a chart, as text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Chart:
    """One chart, or one of several views of it that the reader chooses.

    `alternative` says in a sentence or two what the chart shows, numbers included, for those who cannot see it.
    `views` has one view for each combination of the controls' choices, keyed by them; without controls, that of ().
    """

    title: str
    alternative: str
    views: Mapping[tuple[str, ...], View]
    controls: tuple[Control, ...] = ()
    table: Table | None = None
    height: int = 360  # pixels


def charts(name: str, dataset: xr.Dataset, arrays: Arrays) -> Sequence[Chart]:
    """The charts of one analysis; none if it has but a static figure."""
    if importlib.util.find_spec(f"modescope.report.charts.{name}") is None:
        return ()
    return importlib.import_module(f"modescope.report.charts.{name}").charts(dataset, arrays)


def reading(name: str) -> str:
    """How to read the charts of one analysis."""
    return importlib.import_module(f"modescope.report.charts.{name}").CAPTION
