"""Analyses: their Datasets against slow oracles from the run's own files, and laws that each must keep."""

import itertools
import json
import re
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
import xarray as xr
from scipy.stats import spearmanr
from sklearn.metrics import brier_score_loss, confusion_matrix, log_loss

from conftest import TINY, trained
from modescope import analyses, study
from modescope.analyses import reading, trajectory_map
from modescope.errors import DamagedFileError, NotApplicableError, RequestError, RunError
from modescope.measures.embedding import principal_coordinates, tsne
from modescope.recipe import load
from modescope.store.partial import forget_partial
from modescope.store.predictions import read_epoch, write_predictions
from modescope.store.results import read_result
from modescope.store.run import Run
from modescope.store.snapshots import Snapshot, read_snapshot, write_snapshot

DESIGNED = {
    "learning_curves": {
        "train_loss": ("member", "epoch"), "train_accuracy": ("member", "epoch"), "test_loss": ("member", "epoch"),
        "test_accuracy": ("member", "epoch"), "learning_rate": ("epoch",),
    },
    "similarity_snapshots": {
        "cosine_similarity": ("member", "epoch", "epoch_other"), "disagreement": ("member", "epoch", "epoch_other"),
    },
    "similarity_members": {
        "cosine_similarity": ("member", "member_other"), "disagreement": ("member", "member_other"),
        "cosine_similarity_without_biases": ("member", "member_other"),
    },
    "trajectory_map": {
        "embedding": ("member", "epoch", "component"), "embedding_pca": ("member", "epoch", "component"),
        "cosine_similarity": ("member", "epoch", "member_other", "epoch_other"),
    },
    "confusion": {"count": ("member", "epoch", "class_true", "class_predicted")},
    "ensemble_size": {
        **{
            f"{metric}{suffix}{end}": ("size",) for metric in ("accuracy", "nll", "brier", "ece")
            for suffix in ("", "_gain", "_step") for end in ("", "_low", "_high")
        },
        **{
            f"{metric}_subset_{end}": ("size",) for metric in ("accuracy", "nll", "brier", "ece")
            for end in ("min", "max")
        },
    },
    "hardness": {
        "first_learned": ("member", "example"), "times_forgotten": ("member", "example"), "loss": ("member", "example"),
        "rank_correlation_members": ("member", "member_other"), "hardest_overlap_members": ("member", "member_other"),
        "rank_correlation_epochs": ("member", "epoch", "epoch_other"),
        "hardest_overlap_epochs": ("member", "epoch", "epoch_other"), "hardest_overlap_chance": (),
    },
    "subspaces": {
        **{
            f"{metric}{suffix}{end}": ("method", "size") for metric in ("accuracy", "nll", "brier", "ece")
            for suffix in ("", "_gain", "_over_optimum") for end in ("", "_low", "_high")
        },
        **{f"{metric}_inside": ("method", "samples_inside") for metric in ("accuracy", "nll", "brier", "ece")},
        "training_epochs": ("method", "size"), "forward_passes": ("method", "size"),
    },
    "subspace_map": {
        "embedding": ("member", "epoch", "component"), "own_valley": ("member", "method"),
        "embedding_samples": ("member", "method", "sample", "component"),
    },
    "diversity_plane": {
        "accuracy": ("method", "sample"), "diversity": ("method", "sample"),
        **{f"{kind}_{end}": ("accuracy_grid",) for kind in ("limit", "bound") for end in ("upper", "lower")},
    },
    "radial_plane": {
        **dict.fromkeys(("loss", "accuracy", "similarity_first", "similarity_second", "done"), ("x", "y")),
        "trajectory": ("member", "epoch", "component"), "samples": ("sample", "component"),
    },
    "solution_plane": dict.fromkeys(
        ("loss", "accuracy", "similarity_first", "similarity_second", "similarity_third", "done"), ("x", "y")
    ),
    "connectors": {
        **dict.fromkeys(("loss", "accuracy", "similarity_first", "similarity_second", "train_loss"), ("kind", "t")),
        "barrier": ("kind",), "difference_over_error_first": ("kind", "t"),
    },
    "shift": {
        **{
            f"{metric}{end}": ("corruption", "intensity", "method", "size") for end in ("", "_low", "_high")
            for metric in ("accuracy", "nll", "brier", "ece", "jensen_shannon")
        },
        "accuracy_mean": ("intensity", "method", "size"), "ood_jensen_shannon": ("method", "size"),
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def raw(finished):
    """What the run's files say, read without modescope: log_prob and labels."""
    dataset = xr.open_zarr(finished.predictions, consolidated=False, chunks=None).load()
    return dataset["log_prob"].to_numpy().astype(np.float64), dataset["label"].to_numpy()


def flat(run, member, epoch, keep=lambda name: True):
    tensors = safetensors.torch.load_file(run.snapshot(member, epoch))
    return np.concatenate([tensors[name].double().numpy().ravel() for name in sorted(tensors) if keep(name)])


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


@pytest.mark.parametrize("name", analyses.NAMES)
def test_datasets_have_the_designs_names_dimensions_units_and_facts(finished, name):
    dataset = read_result(finished, name)
    for variable, dims in DESIGNED[name].items():
        assert dataset[variable].dims == dims
    assert all(variable.attrs["units"] in ("fraction", "nat", "1", "count", "epoch") for variable in dataset.values())
    assert all(variable.attrs["long_name"] for variable in dataset.values())
    for fact in ("question", "reference", "split", "recipe", "recipe_sha256"):
        assert dataset.attrs[fact]
    for dim in set(dataset.dims) - {"example", "component"}:
        assert dim in dataset.coords
    plain = xr.open_zarr(finished.analysis(name), consolidated=False, chunks=None).load()
    xr.testing.assert_identical(dataset, plain)


@pytest.mark.parametrize("name", analyses.NAMES)
def test_the_same_run_gives_the_same_dataset(copied, name):
    first = analyses.analyze(copied, name)
    forget_partial(copied, name)  # what a plane has computed would be used again
    xr.testing.assert_identical(first, analyses.analyze(copied, name))


def test_learning_curves_are_the_histories(finished, raw):
    dataset = read_result(finished, "learning_curves")
    for member in range(3):
        for line in finished.history(member).read_text().splitlines():
            values = json.loads(line)
            state = dataset.sel(member=member, epoch=values["epoch"])
            for field in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
                assert float(state[field]) == values[field]
    log_prob, label = raw
    right = (log_prob.argmax(-1) == label).mean(-1)
    np.testing.assert_allclose(dataset["test_accuracy"], right)
    losses = -np.take_along_axis(log_prob, label[None, None, :, None], -1).mean((2, 3))
    np.testing.assert_allclose(dataset["test_loss"], losses, rtol=1e-6)
    rates = dataset["learning_rate"].to_numpy()
    assert np.isnan(rates[0])
    assert (rates[1:] > 0).all()


@pytest.mark.parametrize("numbers", [1, 7, 1000, 10**9])
def test_weights_read_piece_by_piece_are_the_weights(finished, monkeypatch, numbers):
    states = [(member, epoch) for member in range(3) for epoch in (1, 3)]
    monkeypatch.setattr(reading, "_BLOCK_BYTES", 8 * len(states) * numbers)
    weights = reading.Weights(finished, states)
    if numbers == 1:  # a block for each number: a bias is enough
        names = ["logits.bias"]
    else:
        names = list(weights.shapes)
    blocks = [block.copy() for block in weights.blocks(names)]
    assert all(block.shape[1] <= numbers for block in blocks)
    whole = np.concatenate(blocks, axis=1)
    for row, (member, epoch) in zip(whole, states, strict=True):
        state = read_snapshot(finished, member, epoch).state
        np.testing.assert_array_equal(row, np.concatenate([state[name].double().numpy().ravel() for name in names]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_every_precision_are_read(tmp_path, dtype):
    run = Run(tmp_path, load("digits", TINY))
    values = torch.linspace(-1, 1, 35).reshape(5, 7).to(dtype)
    state = {"a": torch.zeros(3, dtype=torch.int64), "w": values, "s": torch.tensor(0.5, dtype=dtype)}
    write_snapshot(run, 0, 0, Snapshot(state, ("w", "s")))
    (block,) = [block.copy() for block in reading.Weights(run, [(0, 0)]).blocks()]
    np.testing.assert_array_equal(block[0], [*values.double().ravel().tolist(), 0.5])


def test_damaged_weights_are_not_compared(copied):
    path = copied.snapshot(1, 3)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="its SHA-256 is not the recorded one"):
        reading.Weights(copied, [(0, 3), (1, 3)])


def test_similarity_members_against_the_files(finished, raw):
    dataset = read_result(finished, "similarity_members")
    predicted = raw[0][:, -1].argmax(-1)
    for first, second in itertools.product(range(3), repeat=2):
        pair = dataset.sel(member=first, member_other=second)
        assert float(pair["disagreement"]) == pytest.approx((predicted[first] != predicted[second]).mean(), abs=1e-12)
        whole = cosine(flat(finished, first, 3), flat(finished, second, 3))
        assert float(pair["cosine_similarity"]) == pytest.approx(whole, abs=1e-9)
        weights = [flat(finished, member, 3, lambda name: not name.endswith("bias")) for member in (first, second)]
        assert float(pair["cosine_similarity_without_biases"]) == pytest.approx(cosine(*weights), abs=1e-9)
        assert pair["disagreement_low"] <= pair["disagreement"] <= pair["disagreement_high"]
    pairs = list(itertools.combinations(range(3), 2))
    mean = np.mean([(predicted[a] != predicted[b]).mean() for a, b in pairs])
    assert float(dataset["mean_disagreement"]) == pytest.approx(mean)
    assert dataset["mean_disagreement_low"] < mean < dataset["mean_disagreement_high"]
    assert float(dataset["disagreement_over_error"]) == pytest.approx(mean / (predicted != raw[1]).mean())


def test_batch_norm_statistics_are_no_weights(tmp_path):
    """Running means are alike in all members; counting them as weights would make members look alike."""
    run, _ = trained(tmp_path / "run", "model.name=resnet20v1", "training.epochs=1", "ensemble.members=2")
    dataset = analyses.analyze(run, "similarity_members")
    keep = [flat(run, member, 1, lambda name: "running" not in name and "num_batches" not in name) for member in (0, 1)]
    assert float(dataset["cosine_similarity"][0, 1]) == pytest.approx(cosine(*keep), abs=1e-9)
    assert float(dataset["cosine_similarity"][0, 1]) != pytest.approx(cosine(flat(run, 0, 1), flat(run, 1, 1)))


def test_similarity_snapshots_against_the_files(finished, raw):
    dataset = read_result(finished, "similarity_snapshots")
    predicted = raw[0].argmax(-1)
    for member, first, second in itertools.product(range(3), range(4), range(4)):
        pair = dataset.sel(member=member, epoch=first, epoch_other=second)
        different = (predicted[member, first] != predicted[member, second]).mean()
        assert float(pair["disagreement"]) == pytest.approx(different)
        expected = cosine(flat(finished, member, first), flat(finished, member, second))
        assert float(pair["cosine_similarity"]) == pytest.approx(expected, abs=1e-9)


def test_confusion_against_scikit_learn(finished, raw):
    dataset = read_result(finished, "confusion")
    for member, epoch in itertools.product(range(3), range(4)):
        expected = confusion_matrix(raw[1], raw[0][member, epoch].argmax(-1), labels=range(10))
        np.testing.assert_array_equal(dataset["count"].sel(member=member, epoch=epoch), expected)
    assert list(dataset["class_true"].to_numpy()) == list("0123456789")


def test_ensemble_size_against_scikit_learn(finished, raw):
    dataset = read_result(finished, "ensemble_size")
    prob, label = np.exp(raw[0][:, -1]), raw[1]
    for size in (1, 2, 3):
        means = [prob[list(subset)].mean(0) for subset in itertools.combinations(range(3), size)]
        at = dataset.sel(size=size)
        assert int(at["subsets"]) == len(means)
        accuracies = [(mean.argmax(-1) == label).mean() for mean in means]
        assert float(at["accuracy"]) == pytest.approx(np.mean(accuracies))
        assert float(at["accuracy_subset_max"]) == pytest.approx(max(accuracies))
        assert float(at["accuracy_subset_min"]) == pytest.approx(min(accuracies))
        normal = [mean / mean.sum(-1, keepdims=True) for mean in means]
        nlls = [log_loss(label, mean, labels=range(10)) for mean in normal]
        assert float(at["nll"]) == pytest.approx(np.mean(nlls), rel=1e-6)
        briers = [brier_score_loss(label, mean, labels=range(10), scale_by_half=False) for mean in normal]
        assert float(at["brier"]) == pytest.approx(np.mean(briers), rel=1e-5)


def test_ensemble_size_laws(finished):
    dataset = read_result(finished, "ensemble_size")
    for metric in ("accuracy", "nll", "brier", "ece"):
        assert (dataset[f"{metric}_low"] <= dataset[metric]).all()
        assert (dataset[metric] <= dataset[f"{metric}_high"]).all()
        assert (dataset[f"{metric}_gain_low"] <= dataset[f"{metric}_gain"]).all()
        assert (dataset[f"{metric}_gain"] <= dataset[f"{metric}_gain_high"]).all()
        np.testing.assert_allclose(dataset[f"{metric}_gain"], dataset[metric] - float(dataset[metric][0]))
        np.testing.assert_allclose(dataset[f"{metric}_step"][1:], np.diff(dataset[metric]), atol=1e-15)
        assert (dataset[f"{metric}_step_low"][1:] <= dataset[f"{metric}_step_high"][1:]).all()
        assert np.isnan(dataset[f"{metric}_step"][0])  # there are no ensembles of no member
        assert (dataset[f"{metric}_subset_min"] <= dataset[metric] + 1e-12).all()
    # Jensen: the mean of probabilities never has a higher NLL or Brier score than its parts have on average
    assert (np.diff(dataset["nll"]) <= 1e-12).all()
    assert (np.diff(dataset["brier"]) <= 1e-12).all()
    # the difference from one member is surer than either of the two numbers, since both see the same examples
    widths = dataset["nll_high"] - dataset["nll_low"]
    gains = dataset["nll_gain_high"] - dataset["nll_gain_low"]
    assert float(gains[-1]) < float(widths[-1])


def test_copies_of_one_member_gain_nothing(copied, raw):
    for member, epoch in itertools.product(range(1, 3), range(4)):
        write_predictions(copied, member, epoch, raw[0][0, epoch].astype(np.float32))
        shutil.copy(copied.snapshot(0, epoch), copied.snapshot(member, epoch))
        shutil.copy(copied.ledger(0), copied.ledger(member))
    sizes = analyses.analyze(copied, "ensemble_size")
    for metric in ("accuracy", "nll", "brier", "ece"):
        np.testing.assert_allclose(sizes[metric], float(sizes[metric][0]), rtol=1e-6)
        assert float(np.abs(sizes[f"{metric}_gain_high"]).max()) < 1e-6
    pairs = analyses.analyze(copied, "similarity_members")
    assert float(pairs["disagreement"].max()) == 0
    np.testing.assert_allclose(pairs["cosine_similarity"], 1)
    hardness = analyses.analyze(copied, "hardness")
    np.testing.assert_allclose(hardness["rank_correlation_members"], 1)
    assert float(hardness["mean_hardest_overlap_members"]) == pytest.approx(1)


def test_nothing_depends_on_the_order_of_members(finished, copied):
    order = [2, 0, 1]
    shutil.rmtree(copied.path / "members")
    for new, old in enumerate(order):
        shutil.copytree(finished.member(old), copied.member(new))
        for epoch in range(4):
            write_predictions(copied, new, epoch, read_epoch(finished, old, epoch))
    # networks are drawn from streams that are named by their member
    for name in set(analyses.NAMES) - set(analyses.OF_NETWORKS) - {"trajectory_map"}:
        before, after = read_result(finished, name), analyses.analyze(copied, name)
        dims = [dim for dim in ("member", "member_other") if dim in before.dims]
        permuted = before.isel(dict.fromkeys(dims, order)).assign_coords({dim: range(3) for dim in dims})
        for variable in before:
            np.testing.assert_allclose(after[variable], permuted[variable], rtol=1e-9, atol=1e-12, err_msg=variable)


def test_hardness_against_loops(finished, raw):
    dataset = read_result(finished, "hardness")
    log_prob, label = raw
    losses = -np.take_along_axis(log_prob, label[None, None, :, None], -1)[..., 0]
    right = log_prob.argmax(-1) == label
    for member in range(3):
        for example in range(len(label)):
            states = right[member, :, example]
            first = next((epoch for epoch in range(4) if states[epoch:].all()), np.nan)
            np.testing.assert_equal(float(dataset["first_learned"][member, example]), first)
            falls = sum(bool(states[epoch] and not states[epoch + 1]) for epoch in range(3))
            assert int(dataset["times_forgotten"][member, example]) == falls
    for first, second in itertools.combinations(range(3), 2):
        expected = spearmanr(losses[first, -1], losses[second, -1]).statistic
        assert float(dataset["rank_correlation_members"][first, second]) == pytest.approx(expected)
        count = round(0.05 * len(label))
        hardest = [set(np.argsort(-losses[member, -1])[:count]) for member in (first, second)]
        shared = len(hardest[0] & hardest[1]) / count
        assert float(dataset["hardest_overlap_members"][first, second]) == pytest.approx(shared)
    over_epochs = spearmanr(losses[1, 1], losses[1, 3]).statistic
    assert float(dataset["rank_correlation_epochs"][1, 1, 3]) == pytest.approx(over_epochs)
    for name in ("rank_correlation", "hardest_overlap"):
        pairs = dataset[f"{name}_members"].to_numpy()[np.triu_indices(3, 1)]
        assert float(dataset[f"mean_{name}_members"]) == pytest.approx(pairs.mean())
        assert dataset[f"mean_{name}_members_low"] <= pairs.mean() <= dataset[f"mean_{name}_members_high"]
    assert float(dataset["hardest_overlap_chance"]) == pytest.approx(count / len(label))


def test_the_map_is_of_the_probabilities_of_all_states_together(finished, raw):
    dataset = read_result(finished, "trajectory_map")
    assert dataset.attrs["perplexity"] < 12  # lowered, since there are only twelve states
    prob = np.exp(raw[0].astype(np.float32)).reshape(12, -1)
    points, _ = tsne(principal_coordinates(prob), perplexity=30.0, seed=dataset.attrs["seed"])
    np.testing.assert_array_equal(dataset["embedding"], points.reshape(3, 4, 2))
    _, _, axes = np.linalg.svd(prob - prob.mean(axis=0, dtype=np.float64), full_matrices=False)
    along = (prob - prob.mean(axis=0, dtype=np.float64)) @ axes[:2].T
    np.testing.assert_allclose(abs(dataset["embedding_pca"].to_numpy().reshape(12, 2)), abs(along), atol=1e-5)


def test_cosines_of_any_two_states_are_those_of_each_member_and_of_the_last_epoch(finished):
    cosines = read_result(finished, "trajectory_map")["cosine_similarity"].to_numpy()
    within = read_result(finished, "similarity_snapshots")["cosine_similarity"].to_numpy()
    between = read_result(finished, "similarity_members")["cosine_similarity"].to_numpy()
    for member in finished.members:
        np.testing.assert_allclose(cosines[member, :, member], within[member], atol=1e-6)
    np.testing.assert_allclose(cosines[:, -1, :, -1], between, atol=1e-6)


def test_of_too_many_states_evenly_spaced_ones_are_compared_the_last_among_them(copied):
    settings = copied.recipe.analyses.trajectory_map.model_copy(update={"most_states": 6})
    analyses_settings = copied.recipe.analyses.model_copy(update={"trajectory_map": settings})
    run = Run(copied.path, copied.recipe.model_copy(update={"analyses": analyses_settings}))
    cosines = trajectory_map.analyze(run)["cosine_similarity"].to_numpy()
    assert np.isfinite(cosines[0, :, 0, -1]).tolist() == [True, False, False, True]


def test_one_member_is_left_out_of_what_needs_pairs_and_refused_by_name(tmp_path):
    run, _ = trained(tmp_path / "run", "ensemble.members=1")
    results = study.analyze(run)
    pairs = {"similarity_members", "subspace_map", "diversity_plane", "radial_plane", "solution_plane", "connectors"}
    assert set(results.left_out) == pairs
    assert all(re.match(rf"{name} needs at least [23] members", results.left_out[name]) for name in pairs)
    assert "needs at least 2 members and this run has 1" in results.left_out["similarity_members"]
    assert "mean_rank_correlation_members" not in results.datasets["hardness"]
    with pytest.raises(NotApplicableError, match="train more with --set ensemble.members=2"):
        study.analyze(run, ["similarity_members"])
    assert study.report(run, results).is_file()
    saved = study.saved_results(run)
    assert saved is not None
    assert set(saved.left_out) == pairs


def test_snapshots_that_were_not_kept_leave_the_cosine_out(tmp_path):
    run, _ = trained(tmp_path / "run", "snapshots.epochs=[1]")
    members = analyses.analyze(run, "similarity_members")
    assert "cosine_similarity" not in members
    assert "disagreement" in members
    snapshots = analyses.analyze(run, "similarity_snapshots")["cosine_similarity"]
    assert int(np.isfinite(snapshots).sum()) == 3  # each member's epoch 1 with itself
    study.report(run, study.analyze(run))


def test_an_untrained_run_has_answers_too(tmp_path):
    run, _ = trained(tmp_path / "run", "training.epochs=0")
    results = study.analyze(run)
    assert "late_disagreement" not in results.datasets["similarity_snapshots"]
    assert study.report(run, results).is_file()


def test_unknown_analyses_name_the_nearest_and_unfinished_runs_are_refused(finished, copied):
    with pytest.raises(RequestError, match="There is no analysis 'confusions'. The nearest is confusion."):
        study.analyze(finished, ["confusions"])
    longer = Run(copied.path, load("digits", [*TINY, "training.epochs=4"]))
    with pytest.raises(RunError, match="is not finished: 3 of 15 members' epochs are missing"):
        study.analyze(longer)
