"""Networks with batch norm: whoever stands beside drawn networks is asked with statistics made as theirs are."""

import numpy as np
import pytest
import torch
from torch import nn

from conftest import trained
from modescope import analyses
from modescope.analyses.bench import OPTIMUM, Bench
from modescope.landscape.plane import plane_through, radial_plane
from modescope.report.answer import answer
from modescope.store.predictions import read_epoch
from modescope.store.results import read_result
from modescope.subspaces import METHODS, Method

CPU = torch.device("cpu")
OF_NETWORKS = [name for name in analyses.OF_NETWORKS if name != "connectors"]


class WithNorms(nn.Module):
    """A small network whose running statistics are still far from those of the data after a few steps."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, bias=False)
        self.norm = nn.BatchNorm2d(6, momentum=0.05)
        self.last = nn.Linear(6 * 36, 10)

    def forward(self, images):
        return self.last(torch.relu(self.norm(self.first(images))).flatten(1))


@pytest.fixture(scope="module")
def with_norms(tmp_path_factory):
    run, _ = trained(tmp_path_factory.mktemp("norms") / "run", "model.name=test_batch_norm:WithNorms")
    return run


@pytest.fixture
def unchanged(monkeypatch):
    # a "method" that gives the optimum itself, as often as it is asked for
    same = Method("the same", lambda around, generator, samples, constants: around.weights.expand(samples, -1).clone())
    monkeypatch.setitem(METHODS, "dropout", same)
    return "dropout"


def test_the_runs_own_statistics_would_say_something_else(with_norms):
    # or none of what follows could fail
    bench = Bench(with_norms, CPU)
    own = np.stack([read_epoch(with_norms, member, 3).argmax(-1) for member in with_norms.members])
    anew = np.stack([bench.said(member, OPTIMUM, 1)[0].argmax(-1) for member in with_norms.members])
    assert (own != anew).mean() > 0.02


def test_a_method_that_changes_nothing_gains_nothing(with_norms, unchanged):
    bench = Bench(with_norms, CPU)
    found = analyses.analyze(with_norms, "subspaces", bench).sel({"method": unchanged})
    assert float(found["accuracy_gain"].sel(size=1)) == 0
    for metric in ("accuracy", "nll", "brier", "ece", "confidence"):
        np.testing.assert_allclose(found[f"{metric}_over_optimum"], 0, atol=1e-9)
        np.testing.assert_allclose(found[f"{metric}_gain"].sel(size=1), 0, atol=1e-9)
    diversity = analyses.analyze(with_norms, "diversity_plane", bench)
    same = diversity.sel({"method": unchanged})
    np.testing.assert_array_equal(same["diversity"], 0)
    np.testing.assert_allclose(same["accuracy"], diversity.attrs["reference_accuracy"])
    mapped = analyses.analyze(with_norms, "subspace_map", bench)
    np.testing.assert_array_equal(mapped["own_valley"].sel({"method": unchanged}), 1)


def test_shifted_data_see_the_same_networks(with_norms):
    bench = Bench(with_norms, CPU)
    shift, subspaces = (analyses.analyze(with_norms, name, bench) for name in ("shift", "subspaces"))
    clean = shift.sel({"intensity": 0, "corruption": "fog", "size": 1, "method": "independent"})
    members = subspaces.sel({"method": "optimum", "size": 1})
    for metric in ("accuracy", "nll", "brier"):
        assert float(clean[metric]) == pytest.approx(float(members[metric]), rel=1e-6)


def test_the_answer_says_it(with_norms, finished):
    dataset = analyses.analyze(with_norms, "radial_plane")
    (said,) = answer({"radial_plane": dataset}).sentences
    assert "every network's batch-norm statistics are re-estimated on the same 128 training examples" in said
    dataset.attrs["statistics_warning"] = "They are too few."
    assert answer({"radial_plane": dataset}).sentences == (said, "They are too few.")
    assert answer({"radial_plane": read_result(finished, "radial_plane")}).sentences == ()


def test_random_samples_are_held_against_the_same_networks(with_norms):
    bench = Bench(with_norms, CPU)
    part = bench.train_part(60)
    for member in with_norms.members:
        (drawn,) = bench.evaluate(member, bench.optimum(member)[None], part)
        np.testing.assert_array_equal(bench.own(member, part), drawn)


@pytest.mark.parametrize("members", [(0, 1), (0, 1, 2)])
def test_on_a_plane_a_solution_agrees_with_itself(with_norms, members):
    bench = Bench(with_norms, CPU)
    solutions = [bench.optimum(member) for member in members]
    plane = radial_plane(*solutions) if len(members) == 2 else plane_through(*solutions)
    weights = plane.points(plane.coordinates(torch.stack(solutions)))
    there = bench.evaluate(members[0], weights).argmax(-1)
    for member, classes in zip(members, there, strict=True):
        np.testing.assert_array_equal(classes, bench.own(member, bench.data.test).argmax(-1))


def test_late_snapshots_are_asked_anew_too_and_need_their_weights(with_norms, tmp_path):
    bench = Bench(with_norms, CPU)
    anew = bench.said(0, "late_snapshots", 5)
    assert len(anew) == 2
    np.testing.assert_array_equal(anew[0], bench.said(0, OPTIMUM, 1)[0])
    assert not np.array_equal(anew[1], read_epoch(with_norms, 0, 2))
    few, _ = trained(tmp_path / "few", "model.name=test_batch_norm:WithNorms", "snapshots.epochs=last:1")
    told = "late_snapshots needs the weights of at least 2 of its epochs"
    assert any(why.startswith(told) for why in Bench(few, CPU).methods()[1].values())
    mapped = analyses.analyze(few, "subspace_map")["embedding"]
    np.testing.assert_array_equal(np.isfinite(mapped[0, :, 0]), [False, False, False, True])


@pytest.mark.parametrize("name", OF_NETWORKS)
def test_every_dataset_says_how_it_was_asked(with_norms, copied, name):
    attributes = analyses.analyze(with_norms, name).attrs
    assert attributes["batch_norm"] == (
        "statistics re-estimated on the same 128 training examples for every network, the members' own states included"
    )
    assert attributes["statistics_examples"] == 128  # all that there are: more cannot change anything
    assert attributes["statistics_change"] == 0
    assert "statistics_warning" not in attributes
    assert not {"batch_norm", "statistics_examples"} & set(analyses.analyze(copied, name).attrs)


def test_too_few_examples_are_measured_and_said(tmp_path):
    run, _ = trained(
        tmp_path / "run", "model.name=test_batch_norm:WithNorms", "analyses.subspaces.statistics_examples=8"
    )
    facts = Bench(run, CPU).facts
    assert facts["statistics_examples"] == 8
    assert facts["statistics_change"] > 0.01
    change = f"{100 * facts['statistics_change']:.1f} %"
    assert facts["statistics_warning"].startswith("Batch-norm statistics of 8 training examples are too few")
    assert change in facts["statistics_warning"]
