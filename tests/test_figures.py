"""Figures, by what is drawn in them, and the files that they become."""

import re

import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh
from PIL import Image

from modescope import analyses
from modescope.figures import caption, draw
from modescope.figures.style import INK, SUFFIXES, annotate, encode, figure, heatmap, member_colours
from modescope.store.results import read_result


def lines(axes):
    return [line for line in axes.get_lines() if len(line.get_xdata())]


@pytest.fixture
def drawn(finished):
    return lambda name: (draw(name, read_result(finished, name)), read_result(finished, name))


def test_learning_curves_draw_every_member(drawn):
    figure, dataset = drawn("learning_curves")
    loss, accuracy, rate = figure.axes
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        solid = [line.get_ydata() for line in lines(axes) if line.get_linestyle() == "-"]
        dotted = [line.get_ydata() for line in lines(axes) if line.get_linestyle() == ":"]
        np.testing.assert_array_equal(solid, dataset[f"test_{name}"])
        np.testing.assert_array_equal(dotted, dataset[f"train_{name}"])
        assert axes.get_xlabel() == "epoch"
    assert loss.get_ylabel() == "cross-entropy (nat)"
    assert loss.get_yscale() == "log"
    np.testing.assert_array_equal(lines(rate)[0].get_ydata(), dataset["learning_rate"])


def test_matrices_are_drawn_as_they_are(drawn):
    figure, dataset = drawn("similarity_members")
    images = [axes.get_images()[0] for axes in figure.axes if axes.get_images()]
    np.testing.assert_allclose(images[0].get_array(), dataset["cosine_similarity"])
    np.testing.assert_allclose(images[1].get_array(), dataset["cosine_similarity_without_biases"])
    np.testing.assert_allclose(images[2].get_array(), 100 * dataset["disagreement"])
    assert figure.axes[2].texts[0].get_text() == "0.0"
    assert figure.axes[2].get_title(loc="left") == "Disagreement (%)"

    figure, dataset = drawn("similarity_snapshots")
    images = [axes.get_images()[0] for axes in figure.axes if axes.get_images()]
    assert len(images) == 6  # three members, two measures
    np.testing.assert_allclose(images[1].get_array(), dataset["cosine_similarity"].sel(member=1))
    np.testing.assert_allclose(images[4].get_array(), dataset["disagreement"].sel(member=1))
    # all members on one colour scale, or they could not be compared
    assert len({image.get_clim() for image in images[:3]}) == 1
    assert len({image.get_clim() for image in images[3:]}) == 1


def test_trajectories_begin_at_a_star_and_end_at_a_number(drawn):
    figure, dataset = drawn("trajectory_map")
    (axes,) = figure.axes
    for member, line in enumerate(lines(axes)):
        np.testing.assert_array_equal(line.get_xydata(), dataset["embedding"].sel(member=member))
    assert [text.get_text() for text in axes.texts] == ["0", "1", "2"]
    np.testing.assert_array_equal([text.xy for text in axes.texts], dataset["embedding"].isel(epoch=-1))
    stars = [points for points in axes.collections if len(points.get_offsets()) == 1]
    np.testing.assert_array_equal([star.get_offsets()[0] for star in stars], dataset["embedding"].isel(epoch=0))


def test_confusion_draws_row_fractions(drawn):
    figure, dataset = drawn("confusion")
    panels = [axes for axes in figure.axes if axes.get_images()]
    assert [axes.get_title(loc="left") for axes in panels] == ["epoch 1", "epoch 3"]
    counts = dataset["count"].sum("member").sel(epoch=3).to_numpy()
    np.testing.assert_allclose(panels[-1].get_images()[0].get_array(), counts / counts.sum(1, keepdims=True))
    assert [tick.get_text() for tick in panels[0].get_yticklabels()] == list("0123456789")


def test_ensemble_size_draws_estimate_band_and_spread_apart(drawn):
    figure, dataset = drawn("ensemble_size")
    for axes, metric in zip(figure.axes, ("accuracy", "nll", "brier", "ece"), strict=True):
        np.testing.assert_array_equal(lines(axes)[0].get_ydata(), dataset[metric])
        (spread,) = [part for part in axes.collections if isinstance(part, LineCollection)]
        for size, segment in enumerate(spread.get_segments()):
            assert segment[0, 1] == float(dataset[f"{metric}_subset_min"][size])
            assert segment[1, 1] == float(dataset[f"{metric}_subset_max"][size])
        (band,) = [part for part in axes.collections if not isinstance(part, LineCollection)]
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.min() == float(dataset[f"{metric}_low"].min())
        assert heights.max() == float(dataset[f"{metric}_high"].max())


def test_hardness_draws_learning_overlap_and_chance(drawn):
    figure, dataset = drawn("hardness")
    learned, shared, members = figure.axes[:3]
    first = dataset["first_learned"].to_numpy()
    for member, line in enumerate(lines(learned)):
        np.testing.assert_allclose(line.get_ydata(), [(first[member] <= epoch).mean() for epoch in range(4)])
    assert np.all(np.asarray(lines(shared)[2].get_ydata())[-1] == 1)  # the last epoch shares all with itself
    levels = {line.get_label(): line.get_ydata()[0] for line in lines(shared)[3:]}
    assert levels["chance"] == float(dataset["hardest_overlap_chance"])
    np.testing.assert_array_equal(members.get_images()[0].get_array(), dataset["rank_correlation_members"])


def test_subspaces_draws_every_method_and_marks_the_members(drawn):
    figure, dataset = drawn("subspaces")
    accuracy, brier, passes = figure.axes
    for axes, metric in ((accuracy, "accuracy"), (brier, "brier")):
        np.testing.assert_array_equal([line.get_ydata() for line in lines(axes)], dataset[metric])
        assert [line.get_label() for line in lines(axes)] == dataset.attrs["titles"]
        assert lines(axes)[0].get_color() == INK
    costs = [line.get_xdata() for line in lines(passes) if line.get_marker() not in ("None", None)]
    np.testing.assert_array_equal(costs, dataset["forward_passes"])
    assert len({line.get_color() for line in lines(accuracy)}) == dataset.sizes["method"]
    low, high = accuracy.get_ylim()
    best = float(dataset["accuracy"].max())
    assert low < float(dataset["accuracy"][0, 0]) < best < high


def test_a_method_far_worse_does_not_squeeze_the_others(drawn, finished):
    dataset = read_result(finished, "subspaces").copy(deep=True)
    dataset["accuracy"][:] = 0.9
    dataset["accuracy"][0] = [0.9, 0.91, 0.92]
    dataset["accuracy"][3] = 0.1
    low, high = draw("subspaces", dataset).axes[0].get_ylim()
    assert 0.8 < low < 0.9
    assert 0.92 < high < 0.95


def test_the_map_of_subspaces_draws_every_sample(drawn):
    figure, dataset = drawn("subspace_map")
    (axes,) = figure.axes
    for member, line in enumerate(lines(axes)):
        np.testing.assert_array_equal(line.get_xydata(), dataset["embedding"].sel(member=member))
    there = np.isfinite(dataset["embedding_samples"].to_numpy()[..., 0]).sum()
    titles = dataset.attrs["titles"]
    assert sum(len(points.get_offsets()) for points in axes.collections if points.get_label() in titles) == there


def test_the_diversity_plane_draws_points_limits_and_the_reference(drawn):
    figure, dataset = drawn("diversity_plane")
    whole, near = figure.axes
    for axes in (whole, near):
        curves = {line.get_label(): line.get_ydata() for line in lines(axes)}
        np.testing.assert_array_equal(curves["independent errors"], dataset["limit_upper"])
        np.testing.assert_array_equal(curves["reference, random answers"], dataset["limit_lower"])
        points = {points.get_label(): points.get_offsets() for points in axes.collections}
        np.testing.assert_allclose(points["reference"], [[dataset.attrs["reference_accuracy"], 0]])
        others = np.stack([dataset["accuracy"][0, :2], dataset["diversity"][0, :2]], axis=1)
        np.testing.assert_allclose(points["independent members"], others)
    low, high = near.get_xlim()
    assert low < float(np.nanmin(dataset["accuracy"][0])) < high


@pytest.mark.parametrize(("name", "panels"), [("radial_plane", 4), ("solution_plane", 5)])
def test_planes_draw_every_measure_with_x_to_the_right(drawn, name, panels):
    figure, dataset = drawn(name)
    shown = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert len(shown) == panels
    for axes, measure in zip(shown, ("loss", "accuracy", "similarity_first"), strict=False):
        (mesh,) = [part for part in axes.collections if isinstance(part, QuadMesh)]
        np.testing.assert_allclose(mesh.get_array(), dataset[measure].to_numpy().T)
        stars = [points.get_offsets() for points in axes.collections if len(points.get_offsets()) == 1]
        for place in dataset["optima"].to_numpy():
            assert any(np.allclose(star, place) for star in stars)
    if name == "radial_plane":
        np.testing.assert_allclose(lines(shown[0])[1].get_xydata(), dataset["trajectory"][1])


def test_connectors_draw_every_path_with_both_similarities(drawn):
    figure, dataset = drawn("connectors")
    loss, accuracy, similarity, ratio = figure.axes
    np.testing.assert_array_equal([line.get_ydata() for line in lines(loss)], dataset["loss"])
    np.testing.assert_array_equal([line.get_ydata() for line in lines(accuracy)], dataset["accuracy"])
    dotted = [line.get_ydata() for line in lines(similarity) if line.get_linestyle() == ":"]
    np.testing.assert_array_equal(dotted, dataset["similarity_second"])
    solid = [line.get_ydata() for line in lines(ratio) if line.get_linestyle() == "-"]
    np.testing.assert_array_equal(solid, dataset["difference_over_error_first"])


def test_shift_draws_means_by_intensity_and_each_corruption(drawn):
    figure, dataset = drawn("shift")
    accuracy, brier, divergence, table, gains = [axes for axes in figure.axes]
    whole = dataset["accuracy_mean"].sel({"method": "independent"}).isel(size=-1)
    assert any(np.array_equal(line.get_ydata(), whole) for line in lines(accuracy))
    assert accuracy.get_xlabel() == "intensity"
    assert all(np.abs(line.get_ydata()).max() > 0 for line in lines(divergence))  # one network alone has no divergence
    every = dataset["accuracy"].sel({"method": "independent"})
    np.testing.assert_allclose(table.get_images()[0].get_array(), 100 * every.isel(size=-1))
    np.testing.assert_allclose(gains.get_images()[0].get_array(), 100 * (every.isel(size=-1) - every.isel(size=0)))
    assert [tick.get_text() for tick in table.get_yticklabels()] == ["gaussian noise", "fog"]


@pytest.mark.parametrize("name", analyses.NAMES)
def test_files_are_whole_and_the_same_each_time(finished, name):
    drawn = draw(name, read_result(finished, name))
    for suffix in SUFFIXES:
        assert encode(drawn, suffix) == finished.figure(name, suffix).read_bytes()
    with Image.open(finished.figure(name, "png")) as image:
        assert image.width > 900
        assert np.asarray(image.convert("L")).std() > 5  # something is drawn
    assert caption(name).endswith(".")
    svg = finished.figure(name, "svg").read_text()
    assert not re.search(r'(href|src)="http', svg)


def test_many_members_have_colours_of_their_own():
    assert len(set(member_colours(10))) == 10
    assert len(set(member_colours(25))) == 25


def test_numbers_in_cells_are_readable_on_their_colour_and_have_no_minus_zero():
    axes = figure(2.0).subplots()
    values = np.array([[1.0, -0.001], [np.nan, 0.0]])
    annotate(axes, heatmap(axes, values, "viridis", low=0.0, high=1.0), values, ".2f")
    assert [text.get_text() for text in axes.texts] == ["1.00", "0.00", "0.00"]
    assert axes.texts[0].get_color() != "white"
    assert axes.texts[1].get_color() == "white"
