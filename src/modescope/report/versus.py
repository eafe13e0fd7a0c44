"""What comparing runs found, in words, as a table, and as a page: `compare.html`, one file, no network."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import jinja2
import numpy as np
import xarray as xr

from modescope.types import RUN

_ROWS = (
    ("accuracy", 100.0, ".1f", " %", "accuracy"),
    ("nll", 1.0, ".3f", " nat", "NLL"),
    ("brier", 1.0, ".3f", "", "Brier score"),
    ("ece", 1.0, ".3f", "", "calibration error (ECE)"),
)


@dataclass(frozen=True)
class Versus:
    """Several runs side by side: rows of a header and one column a run, and sentences."""

    rows: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...]


def versus(dataset: xr.Dataset) -> Versus:
    """The table and the sentences of a `comparison` Dataset."""
    runs = [dataset.isel({RUN: number}) for number in range(dataset.sizes[RUN])]
    rows = [("run", *(str(run[RUN].item()) for run in runs)), ("members", *(str(int(run["members"])) for run in runs))]
    apart = [_told(run, "disagreement", 100.0, ".1f", " %") if int(run["members"]) > 1 else "" for run in runs]
    for kind, what in (("one", "of one member"), ("all", "of all averaged")):
        for metric, factor, form, unit, name in _ROWS:
            rows.append((f"{name} {what}", *(_told(run, f"{metric}_{kind}", factor, form, unit) for run in runs)))
            less = [
                _told(run, f"{metric}_{kind}_difference", factor, f"+{form}", unit.replace("%", "points"))
                for run in runs[1:]
            ]
            rows.append(("  less the first run's", "", *less))
    rows.append(("disagreement of two members", *apart))
    rows.append(("cosine of two members", *map(_cosine, runs)))
    return Versus(tuple(rows), tuple(_verdict(runs[0], run) for run in runs[1:]))


def _cosine(run: xr.Dataset) -> str:
    """Without ends for two members, as one pair has no interval; empty where there is no pair, or no weights."""
    value, low = float(run["cosine_similarity"]), float(run["cosine_similarity_low"])
    if np.isnan(value):
        return ""
    return f"{value:.3f}" if np.isnan(low) else _told(run, "cosine_similarity", 1.0, ".3f", "")


def _told(run: xr.Dataset, name: str, factor: float, form: str, unit: str) -> str:
    value, low, high = (factor * float(run[name + end]) for end in ("", "_low", "_high"))
    return f"{value:{form}}{unit} ({low:{form}} to {high:{form}})"


def _verdict(first: xr.Dataset, other: xr.Dataset) -> str:
    """Whether one run's ensemble is better than the first one's, where the interval of the difference can tell."""
    name, reference = other[RUN].item(), first[RUN].item()
    value, low, high = (100 * float(other[f"accuracy_all_difference{end}"]) for end in ("", "_low", "_high"))
    told = f"{value:+.1f} points of accuracy ({low:+.1f} to {high:+.1f})"
    likelihood = _side(other, "nll", better=-1)
    probabilities = {1: "better", -1: "worse"}.get(likelihood)
    also = f"; its probabilities are {probabilities} (NLL)" if probabilities else ""
    if low > 0:
        return f"All members of {name} averaged are more accurate than those of {reference}: {told}{also}."
    if high < 0:
        return f"All members of {name} averaged are less accurate than those of {reference}: {told}{also}."
    return f"These examples cannot tell whether {name} or {reference} averaged is more accurate: {told}{also}."


def _side(run: xr.Dataset, metric: str, *, better: int) -> int:
    low, high = float(run[f"{metric}_all_difference_low"]), float(run[f"{metric}_all_difference_high"])
    return better if low > 0 else -better if high < 0 else 0


def compare_page(
    dataset: xr.Dataset,
    figures: Mapping[str, bytes],
    captions: Mapping[str, str],
    settings: Sequence[tuple[str, ...]],
    more: Sequence[str] = (),
) -> str:
    """The page.

    Args:
        dataset: A `comparison` Dataset.
        figures: Name -> SVG.
        captions: How to read each figure.
        settings: What differs between the recipes: rows of a key and one value a run.
        more: Further sentences.

    Returns:
        HTML; names are escaped.
    """
    report = resources.files("modescope") / "report"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    told = versus(dataset)
    return environment.from_string(report.joinpath("compare.html").read_text("utf-8")).render(
        style=report.joinpath("page.css").read_text("utf-8"),
        names=[str(name) for name in dataset[RUN].to_numpy()],
        sentences=[*told.sentences, *more],
        rows=told.rows,
        settings=settings,
        figures={name: base64.b64encode(svg).decode() for name, svg in figures.items()},
        captions=captions,
        examples=dataset.attrs["examples"],
        confidence=100 * dataset.attrs["confidence"],
        reference=dataset.attrs["reference"],
    )
