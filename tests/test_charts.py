"""Charts of the page: what they draw and tell, and that plotly knows every property in them."""

import base64
import itertools
import json
import re
import zlib

import numpy as np
import pytest
from plotly import graph_objects

from conftest import trained
from modescope import study
from modescope.figures.methods import looks
from modescope.report.arrays import Arrays
from modescope.report.charts import charts, reading
from modescope.report.charts.text import NOTHING, plain
from modescope.report.charts.traces import stroke_of
from modescope.store.results import read_result

CHARTED = (
    "learning_curves", "ensemble_size", "subspaces", "subspace_map", "diversity_plane", "radial_plane",
    "solution_plane", "connectors", "shift",
)  # fmt: skip
TYPES = {
    "Uint8Array": "u1", "Int8Array": "i1", "Uint16Array": "<u2", "Int16Array": "<i2", "Int32Array": "<i4",
    "Float32Array": "<f4",
}  # fmt: skip


def decoded(stored):
    """An array of the page as a script reads it."""
    values = np.frombuffer(zlib.decompress(base64.b64decode(stored["bytes"])), TYPES[stored["type"]])
    return values.reshape(stored["shape"])


def resolved(value, arrays):
    """A description with its arrays in place of their names, after a way through JSON, which refuses NaN."""
    if isinstance(value, dict):
        if "$" in value:
            return decoded(arrays.stored[value["$"]])
        return {key: resolved(part, arrays) for key, part in value.items()}
    return [resolved(part, arrays) for part in value] if isinstance(value, list) else value


def made(name, dataset):
    """The charts of a Dataset, each with its views as plotly draws them."""
    arrays = Arrays()
    found = charts(name, dataset, arrays)
    views = [
        {
            key: resolved(json.loads(json.dumps({"data": view.data, "layout": view.layout}, allow_nan=False)), arrays)
            for key, view in chart.views.items()
        }
        for chart in found
    ]
    return list(zip(found, views, strict=True))


def check(name, dataset):
    """Everything that the page relies on, for every view of every chart."""
    found = made(name, dataset)
    assert found
    for chart, views in found:
        assert set(views) == set(itertools.product(*(control.choices for control in chart.controls)))
        assert re.search(r"\d", chart.alternative)
        assert "nan" not in chart.alternative.lower()
        for row in chart.table.rows:
            assert len(row) == len(chart.table.header)
            assert not any(re.search(r"\b(nan|inf)\b", cell) for cell in row)
        for view in views.values():
            graph_objects.Figure(view["data"], view["layout"])  # refuses what plotly does not know
            assert not {"width", "font", "paper_bgcolor", "plot_bgcolor"} & set(view["layout"])
            for trace in view["data"]:
                assert trace["name"]
                assert trace.get("hoverinfo") == "skip" or trace["hovertemplate"]
    return found


def trace_of(view, name, **properties):
    """The one trace of that name whose properties are so."""
    (found,) = [
        trace
        for trace in view["data"]
        if trace["name"] == name and all(trace.get(key) == value for key, value in properties.items())
    ]
    return found


@pytest.fixture
def drawn(finished):
    return lambda name: (read_result(finished, name), made(name, read_result(finished, name)))


@pytest.mark.parametrize("name", CHARTED)
def test_plotly_knows_every_property(finished, name):
    check(name, read_result(finished, name))
    assert len(reading(name)) > 100


@pytest.mark.parametrize("members", [1, 2])
def test_runs_of_few_members_have_charts(tmp_path, members):
    run, _ = trained(tmp_path / "run", f"ensemble.members={members}", "analyses.subspaces.samples=2")
    study.analyze(run)
    found = [name for name in CHARTED if run.analysis(name).is_dir()]
    assert {"learning_curves", "ensemble_size", "subspaces", "shift"} <= set(found)
    for name in found:
        check(name, read_result(run, name))


@pytest.mark.parametrize("name", CHARTED)
def test_unknown_intervals_are_left_out(finished, name):
    dataset = read_result(finished, name)
    ends = [each for each in dataset.variables if str(each).endswith(("_low", "_high"))]
    for chart, views in check(name, dataset.assign({each: dataset[each] * np.nan for each in ends})):
        assert not any(" to " in cell for row in chart.table.rows for cell in row)
        for view in views.values():
            assert not any(trace.get("hoverinfo") == "skip" and "interval" in trace["name"] for trace in view["data"])
            assert not any("customdata[0]" in trace.get("hovertemplate", "") for trace in view["data"])


@pytest.mark.parametrize("name", CHARTED)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_member_or_method_without_numbers_spoils_nothing(finished, name, value):
    dataset = read_result(finished, name).copy(deep=True)
    for each in dataset.data_vars:
        if dataset[each].dtype.kind == "f" and dataset[each].ndim > 1:
            dataset[each].to_numpy()[-1] = value
    check(name, dataset)


def test_ensemble_size_draws_and_tells_the_numbers(drawn):
    dataset, ((chart, views),) = drawn("ensemble_size")
    for metric, choice, factor in (("accuracy", "accuracy", 100), ("nll", "negative log-likelihood", 1)):
        line = trace_of(views[choice, "as it is"], "mean over subsets")
        np.testing.assert_array_equal(line["x"], [1, 2, 3])
        np.testing.assert_allclose(line["y"], dataset[metric], rtol=1e-6)
        ends = np.stack([dataset[f"{metric}_low"], dataset[f"{metric}_high"]], -1)
        np.testing.assert_allclose(line["customdata"], ends, rtol=1e-6)
        gain = trace_of(views[choice, "change from one member"], "mean over subsets")
        np.testing.assert_allclose(gain["y"], factor * dataset[f"{metric}_gain"], rtol=1e-6)
        column = chart.table.header.index(choice)
        told = [re.findall(r"[\d.]+", row[column]) for row in chart.table.rows]
        right = factor * np.stack([dataset[metric], *ends.T], -1)
        np.testing.assert_allclose(np.array(told, dtype=float), right, atol=0.0051 if factor == 100 else 0.000051)
    band = trace_of(views["accuracy", "as it is"], "interval")
    np.testing.assert_allclose(band["y"], [*dataset["accuracy_low"], *dataset["accuracy_high"][::-1]], rtol=1e-6)
    spread = trace_of(views["accuracy", "as it is"], "worst and best subset")["y"].reshape(3, 3)
    np.testing.assert_allclose(spread[:, 0], dataset["accuracy_subset_min"], rtol=1e-6)
    np.testing.assert_allclose(spread[:, 1], dataset["accuracy_subset_max"], rtol=1e-6)
    assert np.isnan(spread[:, 2]).all()
    assert f"{100 * float(dataset['accuracy'][-1]):.2f} % with 3 members" in chart.alternative


def test_learning_curves_tell_test_from_training(drawn):
    dataset, ((chart, views),) = drawn("learning_curves")
    for quantity in ("loss", "accuracy"):
        view = views[quantity,]
        for member in range(3):
            for part, dash in (("test", "solid"), ("train", "dot")):
                (line,) = [
                    trace
                    for trace in view["data"]
                    if trace["name"] == f"member {member}" and trace["line"]["dash"] == dash
                ]
                np.testing.assert_allclose(line["y"], dataset[f"{part}_{quantity}"].sel(member=member), rtol=1e-6)
    assert views["loss",]["layout"]["yaxis"]["type"] == "log"
    assert "type" not in views["accuracy",]["layout"]["yaxis"]
    rate = trace_of(views["learning rate",], "learning rate")
    np.testing.assert_allclose(rate["y"], dataset["learning_rate"], rtol=1e-6)
    assert [float(row[2].rstrip(" %")) for row in chart.table.rows] == pytest.approx(
        100 * dataset["test_accuracy"].isel(epoch=-1).to_numpy(), abs=0.0051
    )


def test_substitutes_are_compared_by_every_cost(drawn):
    dataset, ((chart, views),) = drawn("subspaces")
    costs = {"members": None, "training epochs": "training_epochs"}
    costs["networks asked for one prediction"] = "forward_passes"
    for row, look in enumerate(looks(dataset)):
        for cost, variable in costs.items():
            line = trace_of(views["Brier score", cost], look.title, legendgroup=look.name, showlegend=None)
            np.testing.assert_allclose(line["y"], dataset["brier"][row], rtol=1e-6)
            np.testing.assert_allclose(line["x"], dataset["size"] if variable is None else dataset[variable][row])
        rows = [cells for cells in chart.table.rows if cells[0] == look.title]
        accuracy = [float(re.findall(r"[\d.]+", cells[chart.table.header.index("accuracy")])[0]) for cells in rows]
        np.testing.assert_allclose(accuracy, 100 * dataset["accuracy"][row], atol=0.0051)
    strokes = [stroke_of(look) for look in looks(dataset)]
    assert len({(stroke.symbol, stroke.dash) for stroke in strokes}) == len(strokes)  # told apart without colours


def test_the_range_of_substitutes_shows_members_and_the_best(drawn):
    dataset, ((_, views),) = drawn("subspaces")
    low, high = views["accuracy", "members"]["layout"]["yaxis"]["range"]
    assert low < float(dataset["accuracy_low"][0].min())
    assert high > float(dataset["accuracy"].max())
    low, high = views["negative log-likelihood", "members"]["layout"]["yaxis"]["range"]
    assert low < float(dataset["nll"].min())
    assert high > float(dataset["nll_high"][0].max())


def test_the_range_of_substitutes_leaves_out_a_method_far_worse_but_no_interval_of_members(finished):
    dataset = read_result(finished, "subspaces").copy(deep=True)
    for end, members, others, worst in (("", 0.8, 0.82, 0.1), ("_low", 0.5, 0.5, 0.1), ("_high", 0.9, 0.9, 0.1)):
        dataset[f"accuracy{end}"][:] = others
        dataset[f"accuracy{end}"][0], dataset[f"accuracy{end}"][-1] = members, worst
    ((_, views),) = made("subspaces", dataset)
    low, high = views["accuracy", "members"]["layout"]["yaxis"]["range"]
    assert 0.45 < low < 0.5
    assert 0.9 < high < 0.95


def test_paths_and_samples_lie_where_the_dataset_has_them(drawn):
    dataset, ((chart, views),) = drawn("subspace_map")
    view = views[()]
    paths = [trace for trace in view["data"] if trace.get("legendgroup") == "members" and trace["mode"] != "text"]
    for member, path in enumerate(paths):
        embedding = dataset["embedding"].isel(member=member).to_numpy()
        np.testing.assert_allclose(np.stack([path["x"], path["y"]], -1), embedding, rtol=1e-6)
        assert path["marker"]["symbol"][:2] == ["star", "circle"]
    for look in looks(dataset):
        places = dataset["embedding_samples"].sel({"method": look.name}).to_numpy().reshape(-1, 2)
        there = np.isfinite(places[:, 0])
        trace = trace_of(view, look.title)
        np.testing.assert_allclose(np.stack([trace["x"], trace["y"]], -1), places[there], rtol=1e-6)
        around = np.repeat(dataset["member"].to_numpy(), dataset.sizes["sample"])
        np.testing.assert_array_equal(trace["customdata"], around[there])
    assert [row[0] for row in chart.table.rows] == [look.title for look in looks(dataset)]


def test_networks_lie_on_the_diversity_plane(drawn):
    dataset, ((chart, views),) = drawn("diversity_plane")
    for view in views.values():
        for row, look in enumerate(looks(dataset)):
            accuracy, diversity = (dataset[name].to_numpy()[row] for name in ("accuracy", "diversity"))
            there = np.isfinite(accuracy) & np.isfinite(diversity)
            np.testing.assert_allclose(trace_of(view, look.title)["x"], accuracy[there], rtol=1e-6)
            np.testing.assert_allclose(trace_of(view, look.title)["y"], diversity[there], rtol=1e-6)
        np.testing.assert_allclose(
            trace_of(view, "reference: member 0")["x"], [dataset.attrs["reference_accuracy"]], rtol=1e-6
        )
        limit = trace_of(view, "independent errors")
        np.testing.assert_allclose(limit["y"], dataset["limit_upper"], rtol=1e-6)
    equal = dataset["diversity_at_equal_accuracy"].to_numpy()
    for row, cells in enumerate(chart.table.rows):
        if np.isfinite(equal[row]):
            assert float(cells[-1].split(" (")[0]) == pytest.approx(equal[row], abs=0.00051)
        else:
            assert cells[-1] == NOTHING


@pytest.mark.parametrize("name", ["radial_plane", "solution_plane"])
def test_planes_are_contours_and_surfaces_of_one_array(finished, name):
    dataset = read_result(finished, name)
    arrays = Arrays()
    (chart,) = charts(name, dataset, arrays)
    accuracy, surface = chart.views["Accuracy", "contours"].data[0], chart.views["Accuracy", "3-D surface"].data[0]
    assert accuracy["z"] == surface["z"]
    np.testing.assert_allclose(decoded(arrays.stored[accuracy["z"]["$"]]), dataset["accuracy"].T, rtol=1e-6)
    loss, surface = chart.views["Loss (nat)", "contours"].data[0], chart.views["Loss (nat)", "3-D surface"].data[0]
    assert (loss["z"], loss["customdata"]) == (surface["surfacecolor"], surface["z"])
    np.testing.assert_allclose(decoded(arrays.stored[loss["z"]["$"]]), np.log10(dataset["loss"].T), rtol=1e-5)
    assert list(chart.controls[1].choices) == ["contours", "3-D surface"]


def test_solutions_paths_and_samples_lie_on_the_plane(drawn):
    dataset, ((chart, views),) = drawn("radial_plane")
    view = views["Loss (nat)", "contours"]
    for row, member in enumerate(dataset["member"].to_numpy()):
        star, path = trace_of(view, f"member {member}"), trace_of(view, f"path of member {member}")
        np.testing.assert_allclose([star["x"][0], star["y"][0]], dataset["optima"][row], rtol=1e-5, atol=1e-6)
        places = np.stack([path["x"], path["y"]], -1)
        np.testing.assert_allclose(places, dataset["trajectory"][row], rtol=1e-5, atol=1e-5)
    samples = trace_of(view, "diagonal Gaussian")
    np.testing.assert_allclose(np.stack([samples["x"], samples["y"]], -1), dataset["samples"], rtol=1e-5, atol=1e-5)
    assert [row[0] for row in chart.table.rows] == ["member 0", "member 1", "half-way between 0 and 1"]
    x, y = dataset["optima"][1].to_numpy()
    nearest = dataset.sel(x=x, y=y, method="nearest")
    assert float(chart.table.rows[1][2].rstrip(" %")) == pytest.approx(100 * float(nearest["accuracy"]), abs=0.051)


def test_points_of_a_plane_that_were_not_looked_at_are_gaps(finished):
    dataset = read_result(finished, "solution_plane").copy(deep=True)
    dataset["done"].to_numpy()[1, 2] = 0
    ((chart, views),) = check("solution_plane", dataset)
    gaps = np.isnan(views["Accuracy", "contours"]["data"][0]["z"])
    assert np.argwhere(gaps).tolist() == [[2, 1]]
    assert chart.alternative.startswith("15 of 4 by 4 points")


def test_paths_between_members(drawn):
    dataset, ((chart, views),) = drawn("connectors")
    for row, kind in enumerate(("line", "bezier", "polygon")):
        loss, similarity = trace_of(views["loss",], kind), trace_of(views["same class as member 1",], kind)
        np.testing.assert_allclose(loss["y"], dataset["loss"][row], rtol=1e-6)
        np.testing.assert_allclose(similarity["y"], dataset["similarity_second"][row], rtol=1e-6)
        assert f"{kind} {float(dataset['barrier'][row]):.3f}" in chart.alternative.replace("-0.000", "0.000")
    ratio = trace_of(views["disagreement with member 0 / error",], "line")
    np.testing.assert_allclose(ratio["y"], dataset["difference_over_error_first"][0], rtol=1e-6)
    assert len({trace["line"].get("dash") for trace in views["loss",]["data"] if "dash" in trace["line"]}) == 3
    column = chart.table.header.index("loss")
    told = [float(row[column].split(" ")[0]) for row in chart.table.rows]
    np.testing.assert_allclose(told, dataset["loss"].to_numpy().ravel(), atol=0.000051)


def test_shift_draws_curves_cells_and_other_data(drawn):
    dataset, ((curves, by_intensity), (cells, by_corruption), (other, elsewhere)) = drawn("shift")
    view = by_intensity["Brier score",]
    for column, name in ((0, "1 member"), (-1, "3 members")):
        np.testing.assert_allclose(trace_of(view, name)["y"], dataset["brier_mean"][:, 0, column], rtol=1e-6)
    assert "1 member" not in [trace["name"] for trace in by_intensity["Jensen-Shannon divergence",]["data"]]
    every = dataset["accuracy"].isel(method=0).dropna("size", how="all")
    heat = by_corruption["accuracy", "all members averaged"]["data"][0]
    np.testing.assert_allclose(heat["z"], 100 * every[..., -1], rtol=1e-6)
    assert heat["y"] == ["gaussian noise", "fog"]
    gain = by_corruption["accuracy", "change from one member"]["data"][0]
    np.testing.assert_allclose(gain["z"], 100 * (every[..., -1] - every[..., 0]), rtol=1e-4, atol=1e-5)
    told = [float(cell.split(" %")[0]) for row in cells.table.rows for cell in row[1:]]
    np.testing.assert_allclose(told, 100 * every[..., -1].to_numpy().ravel(), atol=0.051)
    one = trace_of(elsewhere["confidence",], "1 member")
    np.testing.assert_allclose(one["x"], [dataset["ood_confidence"][0, 0]], rtol=1e-6)
    low, high = (float(dataset[f"ood_confidence_{end}"][0, 0]) for end in ("low", "high"))
    reach = one["x"][0] - one["error_x"]["arrayminus"][0], one["x"][0] + one["error_x"]["array"][0]
    np.testing.assert_allclose(reach, (low, high), rtol=1e-5)
    first = float(re.findall(r"[\d.]+", curves.table.rows[0][2])[0])
    assert first == pytest.approx(100 * float(dataset["accuracy_mean"][0, 0, 0]), abs=0.0051)
    assert other.table.rows[0][0] == "1 member"


def test_names_from_data_are_text(finished):
    dataset = read_result(finished, "shift")
    named = dataset.assign_coords(corruption=["<script>", "a & %{x}"])
    named.attrs["titles"] = ["independent members", *["<b>mine</b>"] * (dataset.sizes["method"] - 1)]
    for _, views in check("shift", named):
        for view in views.values():
            shown = [trace["name"] + trace["hovertemplate"] for trace in view["data"] if "hovertemplate" in trace]
            assert "<script>" not in str(view)
            assert "<b>" not in "".join(shown)
    heat = made("shift", named)[1][1]["accuracy", "all members averaged"]["data"][0]
    assert heat["y"] == ["&lt;script&gt;", "a &amp; &#37;{x}"]
    assert plain("a < b") == "a &lt; b"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([0, 255]), "Uint8Array"),
        (np.array([-1, 127]), "Int8Array"),
        (np.array([0, 65535], dtype=np.uint64), "Uint16Array"),
        (np.array([-200, 32767]), "Int16Array"),
        (np.array([-1, 2**31 - 1]), "Int32Array"),
        (np.array([True, False]), "Uint8Array"),
        (np.array([[1.5, np.nan], [-np.inf, 0.25]]), "Float32Array"),
        (np.array([], dtype=int), "Uint8Array"),
    ],
)
def test_arrays_come_back_as_they_were(values, kind):
    arrays = Arrays()
    name = arrays.add(values)["$"]
    assert arrays.stored[name]["type"] == kind
    np.testing.assert_array_equal(decoded(arrays.stored[name]), values)
    assert arrays.add(values.copy()) == {"$": name}
    assert len(arrays.stored) == 1
    assert arrays.add(np.append(values.ravel(), values.ravel()[:1])) != {"$": name} or values.size == 0


def test_integers_of_more_than_32_bits_are_refused():
    with pytest.raises(ValueError, match="do not fit 32 bits"):
        Arrays().add(np.array([2**31]))


def test_scaled_numbers_come_back_within_half_a_step():
    arrays = Arrays()
    values = np.array([[-1.0, 0.123456], [np.nan, 1.0]])
    found = arrays.scaled(values, low=-1.0, high=1.0)
    parts = decoded(arrays.stored[found["$"]]).astype(float)
    again = np.where(parts == 65535, np.nan, found["low"] + parts / 65534 * (found["high"] - found["low"]))
    np.testing.assert_allclose(again, values, atol=1 / 65534)
    assert (again[0, 0], again[1, 1]) == (-1.0, 1.0)
