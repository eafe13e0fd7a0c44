"""What makes no sense is left out with its reason, and takes nothing else with it."""

from typing import get_args

import numpy as np
import pytest
import xarray as xr

from conftest import TINY
from modescope import study
from modescope.analyses import NAMES, OF_NETWORKS
from modescope.analyses.scoring import with_interval
from modescope.analysis_settings import CorruptionName
from modescope.data.corruptions import CORRUPTIONS
from modescope.data.shifted import known_corruptions
from modescope.errors import DataError, RecipeError
from modescope.figures.shift import _largest_common
from modescope.recipe import load
from modescope.report.answer import comparison
from modescope.store.results import read_result
from modescope.store.run import Run


def test_a_corruption_that_is_none_is_refused_with_the_recipe():
    assert get_args(CorruptionName) == tuple(CORRUPTIONS)
    with pytest.raises(RecipeError, match="fogg"):
        load("digits", [*TINY, "analyses.shift.corruptions=fogg"])


def test_a_corruption_that_would_change_nothing_is_refused_by_name():
    with pytest.raises(DataError, match="saturate changes colours"):
        known_corruptions(("fog", "saturate"), 1)
    assert known_corruptions(("saturate",), 3) == ("saturate",)
    assert "saturate" not in known_corruptions("all", 1)


def test_files_that_are_missing_leave_out_the_one_analysis_that_needs_them(copied, few_analyses, monkeypatch):
    from modescope import analyses

    monkeypatch.setattr(analyses, "NAMES", ("confusion", "shift", "hardness"))
    settings = copied.recipe.analyses.shift.model_copy(update={"source": "npy:nowhere"})
    changed = copied.recipe.model_copy(
        update={"analyses": copied.recipe.analyses.model_copy(update={"shift": settings})}
    )
    run = Run(copied.path, changed)
    results = study.analyze(run)
    assert list(results.datasets) == ["confusion", "hardness"]
    assert "nowhere" in results.left_out["shift"]
    assert study.saved_results(run).left_out == results.left_out
    assert "nowhere" in study.report(run).read_text()
    with pytest.raises(DataError, match="nowhere"):
        study.analyze(run, ["shift"])


def test_sums_of_the_same_numbers_do_not_differ():
    tiny = np.array([-5.55e-17, 1e-13, 0.25])
    value, low, high = with_interval("accuracy", tiny, np.tile(tiny, (50, 1)), 100, confidence=0.95, difference=True)
    assert value.tolist() == low.tolist() == high.tolist() == [0.0, 0.0, 0.25]


def test_a_difference_of_fractions_is_no_more_than_one():
    resampled = np.linspace(-3, 3, 101)[:, None]
    _, low, high = with_interval("accuracy", np.zeros(1), resampled, 10, confidence=0.95, difference=True)
    assert (low.item(), high.item()) == (-1.0, 1.0)


def test_two_members_are_said_to_be_too_few_to_rank_runs():
    names = (
        "disagreement", "disagreement_low", "disagreement_high", "disagreement_over_error", "cosine_similarity",
        "accuracy_one", "accuracy_all", "accuracy_gain", "accuracy_gain_low", "accuracy_gain_high",
    )  # fmt: skip
    values = {name: ("run", [0.1, 0.3]) for name in names}
    unknown = {f"disagreement_members_{end}": ("run", [np.nan, np.nan]) for end in ("low", "high")}
    said = comparison(xr.Dataset(values | unknown, {"run": ["init", "order"]}, {"members": 2})).sentence
    assert "train three or more" in said


def test_divergences_are_drawn_of_as_many_networks(finished):
    shift = read_result(finished, "shift")
    there = np.isfinite(shift["accuracy_mean"].to_numpy()[0])
    place = _largest_common(shift)
    several = there[there[:, 1:].any(axis=1)]
    assert several[:, place].all()
    assert not several[:, place + 1 :].all(axis=0).any()


def test_what_is_finished_and_of_the_present_settings_is_not_made_again(copied, monkeypatch):
    from modescope import analyses

    monkeypatch.setattr(analyses, "NAMES", ("confusion", "ensemble_size", "subspaces"))
    made = []

    def analyze(**settings):
        recipe = load("digits", [*TINY, *(f"analyses.{key}={value}" for key, value in settings.items())])
        made.clear()
        return study.analyze(Run(copied.path, recipe), on_done=lambda name, seconds: made.append(name))

    analyze()
    assert made == []
    analyze(**{"ensemble_size.bins": 7})
    assert made == ["ensemble_size"]
    analyze(**{"ensemble_size.bins": 7, "subspaces.samples": 2})
    assert made == ["subspaces"]
    (copied.analysis("confusion") / "zarr.json").write_text("{")  # what cannot be read is made again
    analyze(**{"ensemble_size.bins": 7, "subspaces.samples": 2})
    assert made == ["confusion"]


def test_drawing_settings_count_for_all_that_draws(finished):
    recipe = load("digits", [*TINY, "analyses.subspaces.seed=3"])
    changed = Run(finished.path, recipe)
    stale = {
        name for name in NAMES if study._settings(changed, name) != study._settings(finished, name)
    }  # also of those for which the setting makes no difference now
    assert stale == set(OF_NETWORKS)
