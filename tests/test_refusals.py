"""What makes no sense is left out with its reason, and takes nothing else with it."""

from typing import get_args

import numpy as np
import pytest
import xarray as xr

from conftest import TINY
from modescope import cli, figures, study
from modescope.analyses import NAMES, OF_NETWORKS
from modescope.analyses.bench import Bench
from modescope.analyses.current import settings_sha256
from modescope.analyses.scoring import with_interval
from modescope.analysis_settings import CorruptionName
from modescope.data.corruptions import CORRUPTIONS
from modescope.data.shifted import known_corruptions
from modescope.errors import DataError, DiskFullError, RecipeError
from modescope.figures.methods import largest_common
from modescope.recipe import load
from modescope.report.answer import comparison
from modescope.report.arrays import Arrays
from modescope.report.charts import charts
from modescope.store.results import read_left_out, read_result, write_left_out, write_result
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
    place = largest_common(shift)
    several = there[there[:, 1:].any(axis=1)]
    assert several[:, place].all()
    assert not several[:, place + 1 :].all(axis=0).any()
    assert shift["size"].to_numpy()[place] == 2  # three members, and two samples of each method
    divergence = figures.draw("shift", shift).axes[2]
    assert divergence.get_ylabel().replace("\n", " ") == "Jensen-Shannon divergence of 2 (nat)"
    drawn = [line.get_ydata() for line in divergence.lines]
    for row in np.flatnonzero(there[:, place]):
        expected = shift["jensen_shannon_mean"].to_numpy()[:, row, place]
        assert any(np.array_equal(line, expected) for line in drawn)
    three = shift["jensen_shannon_mean"].to_numpy()[:, 0, -1]
    assert not any(np.array_equal(line, three) for line in drawn)


def test_divergences_on_the_page_are_of_as_many_networks(finished):
    chart = charts("shift", read_result(finished, "shift"), Arrays())[0]
    names = [trace["name"] for trace in chart.views["Jensen-Shannon divergence",].data]
    assert "2 members" in names
    assert "3 members" not in names
    assert "3 members" in [trace["name"] for trace in chart.views["accuracy",].data]


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


def test_points_of_a_plane_stay_until_their_dataset_is_on_disk(copied, monkeypatch):
    def full(run, name, dataset):
        raise DiskFullError(run.analysis(name), "no room")

    with monkeypatch.context() as patched:
        patched.setattr(study, "write_result", full)
        with pytest.raises(DiskFullError):
            study.analyze(copied, ["radial_plane"])
    assert copied.partial("radial_plane").is_file()
    with monkeypatch.context() as patched:  # not one network is asked again
        patched.setattr(Bench, "evaluate", lambda *asked: pytest.fail("a point was asked again"))
        again = study.analyze(copied, ["radial_plane"]).datasets["radial_plane"]
    assert again["done"].all()
    assert not copied.partial("radial_plane").exists()


def test_drawing_settings_count_for_all_that_draws(finished):
    recipe = load("digits", [*TINY, "analyses.subspaces.seed=3"])
    changed = Run(finished.path, recipe)
    stale = {
        name for name in NAMES if settings_sha256(changed, name) != settings_sha256(finished, name)
    }  # also of those for which the setting makes no difference now
    assert stale == set(OF_NETWORKS)


def with_shift(run, **settings):
    shift = run.recipe.analyses.shift.model_copy(update=settings)
    analyses = run.recipe.analyses.model_copy(update={"shift": shift})
    return run.recipe.model_copy(update={"analyses": analyses})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"source": "npy:nowhere"}, "there is no gaussian_noise.npy"),
        ({"source": "npy:short"}, "bytes of shape"),
        ({"ood": "npz:nowhere.npz"}, "npz:nowhere.npz: there is no such file"),
        ({"ood": "digist"}, "'digist' is no data source"),
        ({"ood": "digits"}, "are the run's own data"),
        ({"corruptions": ("saturate",)}, "saturate changes colours"),
    ],
)
def test_missing_shifted_data_are_told_before_anything_is_trained(tiny_recipe, tmp_path, monkeypatch, settings, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").mkdir()
    for name in ("gaussian_noise", "fog", "labels"):
        np.save(tmp_path / "short" / name, np.zeros(3))
    run = Run(tmp_path / "run", tiny_recipe)
    training = study.plan(with_shift(run, **settings), run.path, engine="sequential")
    assert len(training.job.members) == 3  # it warns, and trains all the same
    assert len(training.warnings) == 1
    assert told in training.warnings[0]
    assert f"modescope analyze {run.path} shift" in training.warnings[0]


def test_data_that_are_there_are_no_reason_to_warn(tiny_recipe, tmp_path):
    assert study.plan(tiny_recipe, tmp_path / "run", engine="sequential").warnings == ()


def test_a_source_of_shifted_data_that_is_none_is_refused_with_the_recipe():
    for source in ("syntetic", "npy:", "npz:file"):
        with pytest.raises(RecipeError, match=r"analyses\.shift\.source"):
            load("digits", [*TINY, f"analyses.shift.source={source}"])


def test_what_is_on_disk_and_current_stays_when_its_data_are_gone(copied, monkeypatch):
    from modescope import analyses

    monkeypatch.setattr(analyses, "NAMES", ("confusion", "shift"))
    gone = Run(copied.path, with_shift(copied, source="npy:nowhere"))
    assert "shift" in study.analyze(gone).left_out
    # the old Dataset is of other settings: the page does without it and says why
    assert "npy:nowhere" in study.report(gone).read_text()
    made = read_result(copied, "shift").assign_attrs(settings_sha256=settings_sha256(gone, "shift"))
    write_result(gone, "shift", made)
    assert set(study.saved_results(gone).datasets) == {"confusion", "shift"}
    assert set(study.analyze(gone).datasets) == {"confusion", "shift"}


def test_an_analysis_that_was_made_is_no_longer_left_out(copied, monkeypatch):
    from modescope import analyses

    monkeypatch.setattr(analyses, "NAMES", ("confusion", "hardness"))
    write_left_out(copied, {"confusion": "It was not to be had.", "hardness": "Nor was this."})
    study.analyze(copied, ["confusion"])
    assert read_left_out(copied) == {"hardness": "Nor was this."}


def test_the_terminal_says_once_which_methods_are_left_out(copied, monkeypatch, capsys):
    from modescope import analyses

    monkeypatch.setattr(analyses, "NAMES", ("subspaces", "diversity_plane", "confusion"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("sys.argv", ["modescope", "analyze", str(copied.path), "confusion", "subspaces"])
    reasons = list(read_result(copied, "subspaces").attrs["left_out"])
    assert len(reasons) > 0
    assert set(reasons) & set(read_result(copied, "diversity_plane").attrs["left_out"])
    with pytest.raises(SystemExit):
        cli.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("Analysed")] == ["subspaces", "confusion"]
    assert [line.removeprefix("Left out: ") for line in lines if line.startswith("Left out: ")] == reasons
    monkeypatch.setattr("sys.argv", ["modescope", "analyze", str(copied.path)])
    with pytest.raises(SystemExit):
        cli.main()
    lines = capsys.readouterr().out.splitlines()
    assert "Up to date: subspaces, diversity_plane, confusion." in lines
    for why in reasons:
        assert lines.count(f"Left out: {why}") == 1
