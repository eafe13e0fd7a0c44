"""The answer in words, and the page."""

import math

import numpy as np
import pytest
import xarray as xr

from conftest import TINY, Page
from modescope import study
from modescope.analyses import NAMES
from modescope.recipe import load
from modescope.report.answer import answer, comparison
from modescope.store.results import read_result


def sizes(gain, low, high, ece=(-0.01, 0.01)):
    """An `ensemble_size` Dataset of two members with that gain in accuracy."""
    values = {}
    for metric, one, change, ends in (
        ("accuracy", 0.6, gain, (low, high)), ("nll", 1.0, -0.1, (-0.12, -0.08)), ("brier", 0.5, -0.05, (-0.06, -0.04)),
        ("ece", 0.02, sum(ece) / 2, ece), ("confidence", 0.6, gain - 0.05, (low, high)),
    ):  # fmt: skip
        values |= {
            metric: [one, one + change], f"{metric}_low": [one - 0.01, one + change - 0.01],
            f"{metric}_high": [one + 0.01, one + change + 0.01], f"{metric}_gain": [0.0, change],
            f"{metric}_gain_low": [0.0, ends[0]], f"{metric}_gain_high": [0.0, ends[1]],
        }  # fmt: skip
    variables = {name: ("size", np.array(value)) for name, value in values.items()}
    return xr.Dataset(variables, coords={"size": [1, 2]}, attrs={"confidence": 0.95})


def test_a_gain_is_told_with_its_interval():
    told = answer({"ensemble_size": sizes(0.042, 0.038, 0.046)})
    assert told.sentences == (
        "Averaging all 2 members is more accurate than one of them by +4.2 points (95 % interval +3.8 to +4.6 points).",
    )
    assert ("accuracy of one member", "60.0 %", "59.0 to 61.0 %") in [
        (finding.what, finding.value, finding.interval) for finding in told.findings
    ]


def test_where_the_interval_holds_nothing_gained_the_answer_is_that_it_cannot_tell():
    (said,) = answer({"ensemble_size": sizes(0.002, -0.001, 0.005)}).sentences
    assert said.startswith("These test examples cannot tell whether averaging all 2 members is more accurate")
    assert "-0.1 to +0.5 points" in said


def test_a_loss_is_called_a_loss():
    (said,) = answer({"ensemble_size": sizes(-0.02, -0.03, -0.01)}).sentences
    assert "less accurate than one of them, by -2.0 points" in said


def test_worse_calibration_is_told():
    unsure = sizes(0.042, 0.038, 0.046, ece=(0.06, 0.08))
    sure = unsure.assign(confidence=unsure["accuracy"] + 0.05)
    said = answer({"ensemble_size": unsure}).sentences
    assert "less well calibrated than one member's (ECE 0.090 against 0.020): averaging leaves them less" in said[1]
    assert answer({"ensemble_size": sure}).sentences[1].endswith("(ECE 0.090 against 0.020).")


def test_members_are_called_different_only_where_the_intervals_say_so():
    def pair(low, high, low_of_members=0.17):
        scalars = {
            "mean_disagreement": 0.2, "mean_disagreement_low": low, "mean_disagreement_high": high,
            "mean_disagreement_members_low": low_of_members, "mean_disagreement_members_high": 0.23,
            "disagreement_over_error": 0.5,
        }  # fmt: skip
        return xr.Dataset({name: ((), value) for name, value in scalars.items()})

    late = xr.Dataset(
        attrs={"late_epochs": [3, 4]},
        data_vars={
            "late_disagreement": ((), 0.1),
            "late_disagreement_low": ((), 0.08),
            "late_disagreement_high": ((), 0.12),
            "late_disagreement_members_low": ((), 0.05),
            "late_disagreement_members_high": ((), 0.15),
        },
    )
    (clear,) = answer({"similarity_members": pair(0.18, 0.22), "similarity_snapshots": late}).sentences
    assert "about 2 times as many as two late snapshots of one member (10.0 %): members are different" in clear
    for doubtful in (pair(0.11, 0.3), pair(0.18, 0.22, low_of_members=0.14)):
        (unclear,) = answer({"similarity_members": doubtful, "similarity_snapshots": late}).sentences
        assert unclear.endswith("; two late snapshots of one member, to 10.0 %.")
    (two_members,) = answer({"similarity_members": pair(0.18, 0.22, math.nan), "similarity_snapshots": late}).sentences
    assert two_members == clear  # one pair has no interval over members


def test_the_answer_is_the_datasets_numbers(finished):
    results = {name: read_result(finished, name) for name in ("ensemble_size", "similarity_members", "hardness")}
    findings = {finding.what: finding for finding in answer(results).findings}
    gain = 100 * float(results["ensemble_size"]["accuracy_gain"][-1])
    assert findings["gain in accuracy"].value == f"{gain:+.1f} points"
    assert findings["disagreement of two members"].value == (
        f"{100 * float(results['similarity_members']['mean_disagreement']):.1f} %"
    )


def test_the_answer_speaks_of_the_best_substitute_with_its_interval(finished):
    dataset = read_result(finished, "subspaces").copy(deep=True)
    titles = list(dataset.attrs["titles"])

    def told(gain, low, high, over, over_low, over_high):
        dataset["accuracy"][1:] = 0.5
        dataset["accuracy"][2] = 0.7
        three = {"accuracy_gain": (gain, low, high), "accuracy_over_optimum": (over, over_low, over_high)}
        for name, values in three.items():
            for end, value in zip(("", "_low", "_high"), values, strict=True):
                dataset[name + end][2] = value
        return answer({"subspaces": dataset})

    (said,) = told(0.02, 0.01, 0.03, 0.004, 0.001, 0.007).sentences
    assert f"{titles[2]} gains most: +2.0 points (+1.0 to +3.0 points; chosen on these very examples)" in said
    assert f"on top of them {titles[2]} adds +0.4 points (+0.1 to +0.7 points)" in said
    (said,) = told(0.001, -0.01, 0.02, -0.03, -0.04, -0.02).sentences
    assert "is clearly more accurate than that member" in said
    assert "takes away -3.0 points" in said
    (said,) = told(0.001, -0.01, 0.02, 0.003, -0.04, 0.02).sentences
    assert "adds nothing that these examples can show: +0.3 points" in said


def test_runs_are_ranked_only_where_nothing_could_turn_it_round():
    def compared(*intervals):
        runs = {"disagreement": [(low + high) / 2 for low, high in intervals]}
        for over in ("", "_members"):
            for end, place in (("low", 0), ("high", 1)):
                runs[f"disagreement{over}_{end}"] = [interval[place] for interval in intervals]
        others = ("disagreement_over_error", "cosine_similarity", "accuracy_one", "accuracy_all", "accuracy_gain")
        zeros = {name: [0.0] * len(intervals) for name in (*others, "accuracy_gain_low", "accuracy_gain_high")}
        variables = {name: ("run", values) for name, values in {**runs, **zeros}.items()}
        dataset = xr.Dataset(variables, {"run": ["A", "B", "C"]}, {"members": 3})
        return comparison(dataset).sentence

    assert (
        compared((0.28, 0.32), (0.20, 0.25), (0.1, 0.15))
        == "Members differ most where A varies and least where C does."
    )
    assert compared((0.28, 0.32), (0.27, 0.31), (0.1, 0.15)) == "Members differ least where C varies."
    assert "cannot be told" in compared((0.28, 0.32), (0.27, 0.31), (0.26, 0.30))


def test_the_answer_speaks_of_a_path_where_it_is_lower_than_the_line(finished):
    dataset = read_result(finished, "connectors").copy(deep=True)
    dataset["barrier"][:] = [2.0, 0.5, 0.1]
    dataset["difference_over_error_first"][2, -1] = 0.9
    (said,) = answer({"connectors": dataset}).sentences
    assert "the loss rises by 0.10 nat (straight line: 2.00)" in said
    assert "by 0.90 of the error" in said
    dataset["barrier"][:] = [0.1, 0.2, 0.1]
    assert answer({"connectors": dataset}).sentences == ()


def test_the_page_is_one_file_with_everything_in_it(finished):
    html = finished.report.read_text()
    page = Page(html)
    assert len([tag for tag, _ in page.tags if tag == "section"]) == len(NAMES) + 2  # the answer, how it was made
    stills = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(stills) == len(NAMES)  # a parser runs no scripts, and sees what stands in for them
    assert all(attributes["src"].startswith("data:image/webp;base64,") for attributes in stills)
    assert all(len(attributes["alt"]) > 30 for attributes in stills)
    assert not [attributes for tag, attributes in page.tags if tag in ("script", "iframe") and "src" in attributes]
    assert [attributes["href"] for tag, attributes in page.tags if tag == "link"] == ["data:,"]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a" and attributes["href"][0] != "#"]
    assert len(links) == 4 * len(NAMES) + 3
    assert all((finished.path / link).exists() for link in links)
    told = answer({name: read_result(finished, name) for name in ("ensemble_size", "similarity_members")})
    for sentence in told.sentences[:1]:
        assert sentence in page.text
    assert len(html.encode()) < 8 * 2**20
    assert html.count("plotly.js v") == 1


def test_names_from_users_are_shown_as_text(tmp_path, few_analyses):
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 255, (64, 8, 8), dtype=np.uint8), np.arange(64) % 2
    np.savez(tmp_path / "<b>bold.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    settings = (
        *TINY, "data.train_examples=64", "data.test_examples=64", "training.epochs=1",
        f"data.source=npz:{tmp_path}/<b>bold.npz",
    )  # fmt: skip
    training = study.plan(load("digits", settings), tmp_path / "run", engine="sequential")
    study.carry_out(training, lambda member, record: None)
    html = study.report(training.run, study.analyze(training.run)).read_text()
    page = Page(html)
    assert "<b>bold.npz: 64 training" in page.text
    assert "<b>bold" not in html
    assert not [tag for tag, _ in page.tags if tag == "b"]


def test_a_class_called_script_is_drawn_as_text(finished):
    from modescope.figures import draw
    from modescope.figures.style import encode

    dataset = read_result(finished, "confusion")
    names = ["<script>", "$x^$", "a_b", *"3456789"]
    named = dataset.assign_coords(class_true=names, class_predicted=names)
    svg = encode(draw("confusion", named), "svg").decode()
    assert "<script>" not in svg


@pytest.mark.parametrize("missing", ["analyses", "provenance.json"])
def test_a_report_of_what_is_there(copied, missing):
    import shutil

    if missing == "analyses":
        shutil.rmtree(copied.path / "analyses" / "hardness.zarr")
    else:
        copied.provenance.unlink()
    page = Page(study.report(copied).read_text())
    assert len([tag for tag, _ in page.tags if tag == "img"]) == len(NAMES) - (missing == "analyses")
