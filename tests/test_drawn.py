"""Analyses of networks that the run does not hold: their Datasets against oracles, and what they refuse."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from conftest import TINY, trained
from modescope import analyses, study
from modescope.analyses import plane, vary
from modescope.analyses.bench import Bench
from modescope.data.shifted import _shuffled, corrupted
from modescope.errors import DataError, NotApplicableError, RequestError, RunError
from modescope.landscape.plane import plane_through, radial_plane
from modescope.measures.intervals import wilson_interval
from modescope.models import build_network
from modescope.recipe import load
from modescope.report.answer import answer
from modescope.seeds import seeded
from modescope.store.predictions import read_epoch, read_labels
from modescope.store.results import read_result
from modescope.store.run import Run
from modescope.store.snapshots import read_snapshot

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def said(finished):
    """The last predictions (member, example, class) and the labels, from the run's files."""
    last = [read_epoch(finished, member, finished.epochs[-1]) for member in finished.members]
    return np.stack(last).astype(np.float64), read_labels(finished)


def with_settings(run, *settings):
    return Run(run.path, load("digits", [*TINY, *settings]))


def network_with(run, tensors):
    with seeded(0, 0, "test"):
        network = build_network(run.recipe.model, (8, 8, 1), 10)
    network.load_state_dict(tensors)
    return network.eval()


def predicted_by(run, tensors):
    data = Bench(run, CPU).data
    with torch.no_grad():
        return network_with(run, tensors)(data.scaling(data.test.inputs)).softmax(dim=1).double().numpy()


def test_the_first_arm_is_the_ensemble_itself(finished):
    methods, sizes = read_result(finished, "subspaces"), read_result(finished, "ensemble_size")
    for metric in ("accuracy", "nll", "brier", "ece"):
        np.testing.assert_allclose(methods[metric].sel({"method": "optimum"}), sizes[metric], rtol=1e-9)
        np.testing.assert_array_equal(methods[f"{metric}_over_optimum"].sel({"method": "optimum"}), 0)
        np.testing.assert_allclose(
            methods[f"{metric}_gain"], methods[metric] - methods[metric].sel({"method": "optimum", "size": 1})
        )


def test_the_weight_average_against_the_snapshots_themselves(finished, said):
    _, label = said
    prob = []
    for member in finished.members:
        states = [load_file(finished.snapshot(member, epoch)) for epoch in (2, 3)]  # the second half of training
        prob.append(predicted_by(finished, {name: sum(state[name] for state in states) / 2 for name in states[0]}))
    dataset = read_result(finished, "subspaces").sel({"method": "weight_average"})
    right = np.mean([(one.argmax(1) == label).mean() for one in prob])
    assert float(dataset["accuracy"].sel(size=1)) == pytest.approx(right, abs=1e-9)
    everyone = np.mean(prob, axis=0)
    assert float(dataset["nll"].sel(size=3)) == pytest.approx(-np.log(everyone[range(150), label]).mean(), rel=1e-5)
    assert float(dataset["forward_passes"].sel(size=3)) == 3
    assert int(dataset["training_epochs"].sel(size=3)) == 9


def test_samples_are_averaged_inside_each_member_and_then_across(finished, said):
    _, label = said
    bench = Bench(finished, CPU)
    dataset = read_result(finished, "subspaces").sel({"method": "swag"})
    inside = [np.exp(bench.said(member, "swag", 3).astype(np.float64)) for member in finished.members]
    for count in (1, 2, 3):
        alone = np.mean([-np.log(one[:count].mean(0)[range(150), label]).mean() for one in inside])
        assert float(dataset["nll_inside"].sel(samples_inside=count)) == pytest.approx(alone, rel=1e-9)
    whole = np.mean([one.mean(axis=0) for one in inside], axis=0)
    assert float(dataset["brier"].sel(size=3)) == pytest.approx(
        ((whole - np.eye(10)[label]) ** 2).sum(axis=1).mean(), rel=1e-9
    )
    assert float(dataset["forward_passes"].sel(size=2)) == 6
    low, value, high = (float(dataset[f"accuracy{end}"].sel(size=3)) for end in ("_low", "", "_high"))
    assert low <= value <= high


def test_states_of_the_run_are_taken_newest_first(finished, said):
    predictions, label = said
    dataset = read_result(finished, "subspaces").sel({"method": "late_snapshots"})
    before = np.stack([read_epoch(finished, member, 2) for member in finished.members]).astype(np.float64)
    of_label = [one[:, range(150), label] for one in (predictions, before)]
    assert float(dataset["nll_inside"][0]) == pytest.approx(-of_label[0].mean(), rel=1e-9)
    both = np.log((np.exp(of_label[0]) + np.exp(of_label[1])) / 2)
    assert float(dataset["nll_inside"][1]) == pytest.approx(-both.mean(), rel=1e-9)
    shift = read_result(finished, "shift").sel({"method": "late_snapshots", "intensity": 0, "size": 1})
    two = -of_label[0][:2].mean()  # around the first two members
    np.testing.assert_allclose(shift["nll"], two, rtol=1e-5)


def test_late_is_the_second_half_of_training(well_trained):
    assert well_trained.window == (7, 8, 9, 10, 11, 12)
    assert well_trained.states("late_snapshots", 4) == [12, 11, 10, 9]
    assert well_trained.states("late_snapshots", 99) == [12, 11, 10, 9, 8, 7]


def test_the_rank_of_low_rank_gaussians_is_recorded(finished):
    dataset = read_result(finished, "subspaces")
    ranks = dict(zip(dataset["method"].to_numpy(), dataset["rank"].to_numpy(), strict=True))
    assert (ranks["low_rank_gaussian"], ranks["low_rank_gaussian_unit"], ranks["swag"]) == (1, 1, 2)  # two snapshots
    bench = Bench(finished, CPU)
    accepted = min(len(bench.draw(member, "random", 3)[0]) for member in finished.members)
    assert ranks["random_low_rank"] == accepted - 1
    assert np.isnan(ranks["dropout"])
    assert np.isnan(ranks["optimum"])


def test_low_rank_of_random_rests_on_the_accepted_samples_everywhere(well_trained):
    accepted = well_trained.draw(0, "random", 9)[0]
    mean = accepted.mean(dim=0)
    span, _ = torch.linalg.qr((accepted - mean).T)
    for far in (False, True):
        steps = well_trained.draw(0, "random_low_rank", 9, far=far)[0] - mean
        assert float((steps - steps @ span @ span.T).norm()) < 1e-6 * float(steps.norm())


def test_random_samples_are_accepted_on_training_data(well_trained, monkeypatch):
    # test labels choose nothing: with other test labels the same networks are drawn, some of them at later tries
    asked, evaluate = [], Bench.evaluate

    def counted(self, member, vectors, split=None):
        asked.append(len(vectors))
        return evaluate(self, member, vectors, split)

    monkeypatch.setattr(Bench, "evaluate", counted)
    drawn = well_trained.draw(0, "random", 12)[0]
    assert len(asked) > 1
    other = Bench(well_trained.run, CPU)
    data = other.data
    wrong = data.test.__class__(data.test.inputs, (data.test.labels + 1) % 10)
    changed = data.__class__(data.train, wrong, data.scaling, data.input_shape, data.classes)
    monkeypatch.setattr(other, "data", changed)
    assert torch.equal(drawn, other.draw(0, "random", 12)[0])
    part = well_trained.data.train.part(well_trained._order[-500:])
    own, said = well_trained.own(0, part).argmax(-1), well_trained.evaluate(0, drawn, part).argmax(-1)
    label = part.labels.numpy()
    assert ((said == label).mean(axis=1) >= 0.65 / 0.71 * (own == label).mean()).all()


def test_the_papers_threshold_may_accept_nothing(finished):
    run = with_settings(finished, "analyses.subspaces.preset=paper")
    dataset = analyses.analyze(run, "subspaces")  # after three epochs nobody has 65 %
    assert "random" not in dataset["method"]
    told = "random found no network around member 0 with 65 % accuracy or more (on training data)."
    assert told in dataset.attrs["left_out"]
    assert told in analyses.analyze(run, "shift").attrs["left_out"]
    assert dataset.attrs["preset"] == "paper"


def test_the_map_holds_states_and_samples_and_says_whose_valley(finished, said):
    dataset = read_result(finished, "subspace_map")
    assert dataset.sizes["member"] == 3
    predictions, _ = said
    bench = Bench(finished, CPU)
    for member in range(3):
        for method in ("swag", "dropout"):
            drawn = bench.said(member, method, 3)[:2].argmax(axis=-1)
            apart = np.stack([(drawn != one.argmax(-1)).mean(axis=-1) for one in predictions])
            expected = (apart[member] <= apart.min(axis=0)).mean()
            found = dataset.sel({"member": member, "method": method})
            assert float(found["own_valley"]) == pytest.approx(expected)
            ends = wilson_interval(np.array(expected), 2)  # of two samples
            for name, end in zip(("low", "high"), ends, strict=True):
                assert float(found[f"own_valley_{name}"]) == pytest.approx(float(end))
    assert np.isfinite(dataset["embedding"]).all()


def test_the_diversity_plane_by_hand(finished, said):
    predictions, label = said
    dataset = read_result(finished, "diversity_plane")
    reference = predictions[0].argmax(-1)
    assert dataset.attrs["reference_accuracy"] == pytest.approx((reference == label).mean())
    for place, other in enumerate((1, 2)):
        predicted = predictions[other].argmax(-1)
        error = (predicted != label).mean()
        found = dataset.sel({"method": "independent"}).isel(sample=place)
        assert float(found["accuracy"]) == pytest.approx(1 - error)
        assert float(found["diversity"]) == pytest.approx((predicted != reference).mean() / error)
    snapshots = dataset.sel({"method": "late_snapshots"})
    predicted = read_epoch(finished, 0, 2).argmax(-1)
    assert float(snapshots["accuracy"][0]) == pytest.approx((predicted == label).mean())
    assert np.isnan(snapshots["accuracy"][1:]).all()  # of three epochs two are late, and one is the reference itself
    grid, accuracy = dataset["accuracy_grid"].to_numpy(), dataset.attrs["reference_accuracy"]
    assert grid[0] == pytest.approx(0.1)
    assert grid[-1] == pytest.approx(max(accuracy, float(dataset["accuracy"].max())))
    lower = dataset["limit_lower"].to_numpy()
    np.testing.assert_array_equal(np.isfinite(lower), grid <= accuracy)
    assert lower[np.isfinite(lower)][-1] == pytest.approx(0)
    bounded = np.isfinite(dataset["bound_upper"]) & np.isfinite(dataset["limit_upper"])
    assert bounded[grid < 1].all()
    assert float(dataset["limit_lower"][0]) == pytest.approx(1)
    assert float(dataset["limit_upper"][0]) == pytest.approx(1)
    between = dataset["accuracy"].sel({"method": "independent"})
    lowest, highest = (float(end) for end in wilson_interval(np.array(accuracy), 150))
    lowest, highest = min(lowest, float(between.min())), max(highest, float(between.max()))
    assert dataset.attrs["accuracy_band"] == pytest.approx([lowest, highest])
    for row, of_method in enumerate(dataset["accuracy"].to_numpy()):
        chosen = (of_method >= lowest) & (of_method <= highest)
        assert int(dataset["samples_at_equal_accuracy"][row]) == chosen.sum()
        if chosen.any():
            mean = dataset["diversity"].to_numpy()[row][chosen].mean()
            assert float(dataset["diversity_at_equal_accuracy"][row]) == pytest.approx(mean, rel=1e-6)
    value = float(dataset["diversity_at_equal_accuracy"].sel({"method": "independent"}))
    assert value == pytest.approx(np.nanmean(dataset["diversity"].sel({"method": "independent"})))


def test_one_sample_at_equal_accuracy_is_no_finding(finished):
    dataset = read_result(finished, "diversity_plane").copy(deep=True)
    dataset["diversity_at_equal_accuracy"][:] = np.linspace(0.9, 0.1, dataset.sizes["method"])
    dataset["samples_at_equal_accuracy"][:] = [2, 1, *[5] * (dataset.sizes["method"] - 2)]
    members, samples = answer({"diversity_plane": dataset}).findings
    assert members.note == "disagreement / error; 2 networks"
    assert samples.note.startswith(dataset.attrs["titles"][2])  # not the second, of one network
    assert samples.note.endswith("; 5 networks")
    dataset["samples_at_equal_accuracy"][0] = 1
    assert answer({"diversity_plane": dataset}).findings == ()


@pytest.mark.parametrize("name", ["radial_plane", "solution_plane"])
def test_at_the_solutions_a_plane_is_the_solutions(finished, said, name):
    predictions, label = said
    bench = Bench(finished, CPU)
    dataset = read_result(finished, name)
    settings = getattr(finished.recipe.analyses, name)
    solutions = [bench.optimum(member) for member in settings.members]
    through = radial_plane(*solutions) if len(solutions) == 2 else plane_through(*solutions)
    np.testing.assert_allclose(dataset["optima"], through.coordinates(torch.stack(solutions)), atol=1e-9)
    weights = through.points(torch.from_numpy(dataset["optima"].to_numpy()))
    again = bench.evaluate(0, weights)
    for member, one in zip(settings.members, again, strict=True):
        np.testing.assert_allclose(one, predictions[member], atol=2e-5)
    # and every point of the grid is the network at its coordinates
    x, y = dataset["x"].to_numpy(), dataset["y"].to_numpy()
    for column, row in ((0, 0), (2, 1), (3, 3)):
        vector = through.points(torch.tensor([[x[column], y[row]]], dtype=torch.float64))
        one = bench.evaluate(0, vector)[0].astype(np.float64)
        point = dataset.isel(x=column, y=row)
        assert float(point["loss"]) == pytest.approx(-one[range(150), label].mean(), rel=1e-6)
        assert float(point["accuracy"]) == pytest.approx((one.argmax(-1) == label).mean())
        for place, ordinal in enumerate(plane.ORDINALS[: len(solutions)]):
            same = (one.argmax(-1) == predictions[settings.members[place]].argmax(-1)).mean()
            assert float(point[f"similarity_{ordinal}"]) == pytest.approx(same)
    assert (dataset["done"] == 1).all()


def test_trajectories_and_samples_are_projected(finished):
    dataset = read_result(finished, "radial_plane")
    bench = Bench(finished, CPU)
    first, second = bench.optimum(0), bench.optimum(1)
    e1 = first / first.norm()
    e2 = second - (second @ e1) * e1
    e2 = e2 / e2.norm()
    for row, member in enumerate((0, 1)):
        for epoch in range(4):
            weights = bench.vectors(member, [epoch])[0]
            expected = [float(weights @ e1), float(weights @ e2)]
            np.testing.assert_allclose(dataset["trajectory"][row, epoch], expected, atol=1e-6)
            rest = weights - (weights @ e1) * e1 - (weights @ e2) * e2
            assert float(dataset["trajectory_distance"][row, epoch]) == pytest.approx(float(rest.norm()), abs=1e-6)
    assert dataset["samples"].shape == (20, 2)


def test_a_stopped_plane_goes_on_where_it_was(copied, monkeypatch):
    before = read_result(copied, "radial_plane")
    monkeypatch.setattr(plane, "_AT_ONCE", 5)
    monkeypatch.setattr(plane, "_SAVE_SECONDS", 0.0)
    looked, look = [], plane._look

    def stopping(*given):
        if len(looked) == 3:
            raise KeyboardInterrupt
        looked.append(len(given[-1]))
        look(*given)

    monkeypatch.setattr(plane, "_look", stopping)
    with pytest.raises(KeyboardInterrupt):
        study.analyze(copied, ["radial_plane"])
    assert copied.partial("radial_plane").is_file()
    again = []
    monkeypatch.setattr(plane, "_look", lambda *given: (again.append(len(given[-1])), look(*given)))
    after = study.analyze(copied, ["radial_plane"]).datasets["radial_plane"]
    assert sum(looked) == 15
    assert sum(again) == 10  # 25 points, 15 of them known
    np.testing.assert_array_equal(after["loss"], before["loss"])
    assert not copied.partial("radial_plane").exists()


def test_what_another_request_left_is_not_used(copied):
    grid = plane.PartialGrid(copied, "radial_plane", key="one", names=("loss",), shape=(2, 2))
    grid.values["loss"][:] = -1.0  # a value that is no sign of anything: the mask says what is done
    grid.done[0] = True
    grid.save()
    same = plane.PartialGrid(copied, "radial_plane", key="one", names=("loss",), shape=(2, 2))
    np.testing.assert_array_equal(same.done, grid.done)
    np.testing.assert_array_equal(same.values["loss"], grid.values["loss"])
    for key, names, shape in (("two", ("loss",), (2, 2)), ("one", ("nll",), (2, 2)), ("one", ("loss",), (3, 2))):
        assert not plane.PartialGrid(copied, "radial_plane", key=key, names=names, shape=shape).done.any()
    copied.partial("radial_plane").write_bytes(b"no file of ours")
    assert not plane.PartialGrid(copied, "radial_plane", key="one", names=("loss",), shape=(2, 2)).done.any()


def test_the_ends_of_a_path_are_the_members(finished, said):
    predictions, label = said
    dataset = read_result(finished, "connectors")
    losses = -predictions[:, range(150), label].mean(axis=1)
    right = (predictions.argmax(-1) == label).mean(axis=1)
    apart = (predictions[0].argmax(-1) != predictions[1].argmax(-1)).mean()
    for kind in range(3):
        ends = dataset.isel(kind=kind)
        np.testing.assert_allclose([ends["loss"][0], ends["loss"][-1]], losses[:2], rtol=1e-4)
        np.testing.assert_allclose([ends["accuracy"][0], ends["accuracy"][-1]], right[:2])
        assert float(ends["similarity_first"][0]) == 1
        assert float(ends["similarity_second"][-1]) == 1
        assert float(ends["similarity_first"][-1]) == pytest.approx(1 - apart)
        assert float(ends["difference_over_error_first"][-1]) == pytest.approx(apart / (1 - right[1]))
        low, high = (float(ends[f"difference_over_error_first_{end}"][-1]) for end in ("low", "high"))
        assert 0 < low < apart / (1 - right[1]) < high
        assert float(ends["difference_over_error_second_high"][-1]) == 0  # an end does not differ from itself
        highest = float(ends["loss"].max()) - float(ends["loss"][0] + ends["loss"][-1]) / 2
        assert float(ends["barrier"]) == pytest.approx(highest, abs=1e-9)
    middle = {
        name: (read_snapshot(finished, 0, 3).state[name] + tensor) / 2
        for name, tensor in read_snapshot(finished, 1, 3).state.items()
    }
    halfway = np.log(predicted_by(finished, middle)[range(150), label])
    assert float(dataset["loss"].sel(kind="line", t=0.5)) == pytest.approx(-halfway.mean(), rel=1e-4)


def test_equal_members_are_joined_by_nothing_but_themselves(tmp_path):
    run, _ = trained(tmp_path / "run", "ensemble.vary=[]", "ensemble.members=2")
    dataset = analyses.analyze(run, "connectors")
    assert float(dataset["barrier"].sel(kind="line")) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(dataset["similarity_first"].sel(kind="line"), 1)
    with pytest.raises(NotApplicableError, match="radial_plane: A plane needs three points that do not lie on a line"):
        analyses.analyze(run, "radial_plane")


def test_shift_at_intensity_zero_is_the_test_data(finished, said):
    predictions, label = said
    dataset = read_result(finished, "shift")
    clean = dataset.sel({"intensity": 0, "method": "independent"})
    right = (predictions.argmax(-1) == label).mean(axis=1).mean()
    np.testing.assert_allclose(clean["accuracy"].sel(size=1), right)
    together = np.exp(predictions).mean(axis=0)
    expected = -np.log(together[range(150), label]).mean()
    np.testing.assert_allclose(clean["nll"].sel(size=3), expected, rtol=1e-6)
    entropies = -(np.exp(predictions) * predictions).sum(-1).mean()
    divergence = -(together * np.log(together)).sum(-1).mean() - entropies
    np.testing.assert_allclose(clean["jensen_shannon"].sel(size=3), divergence, rtol=1e-4)
    np.testing.assert_allclose(dataset["jensen_shannon"].sel({"method": "independent", "size": 1}), 0, atol=1e-9)
    np.testing.assert_allclose(dataset["accuracy_mean"], dataset["accuracy"].mean("corruption"), rtol=1e-12)
    assert list(dataset["corruption"].to_numpy()) == ["gaussian_noise", "fog"]


def test_shift_against_networks_asked_by_hand(finished):
    bench = Bench(finished, CPU)
    images = torch.from_numpy(bench.source.test.inputs).permute(0, 3, 1, 2).float() / 16
    foggy = corrupted(images, "fog", 5, 0)
    label = bench.source.test.labels
    accuracies = []
    for member in finished.members:
        network = network_with(finished, load_file(finished.snapshot(member, 3)))
        with torch.no_grad():
            accuracies.append((network(foggy).argmax(1).numpy() == label).mean())
    found = read_result(finished, "shift")["accuracy"].sel({
        "corruption": "fog",
        "intensity": 5,
        "method": "independent",
        "size": 1,
    })
    assert float(found) == pytest.approx(np.mean(accuracies), abs=1e-9)


def official(folder, data, mutate=lambda arrays: None):
    folder.mkdir()
    stored = data.test.inputs
    arrays = {
        "fog": np.concatenate([np.clip(stored.astype(int) * 15 - 40 * at, 0, 255) for at in range(5)]).astype(np.uint8)
    }
    arrays["labels"] = np.tile(data.test.labels, 5)
    mutate(arrays)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


@pytest.fixture
def shift_settings(tmp_path):
    return ["analyses.shift.corruptions=fog", f"analyses.shift.source=npy:{tmp_path}/files"]


def test_the_official_files_are_read(finished, tmp_path, shift_settings):
    data = Bench(finished, CPU).source
    official(tmp_path / "files", data)
    run = with_settings(finished, *shift_settings, "analyses.shift.examples=40", "analyses.shift.intensities=[5]")
    bench = Bench(run, CPU)
    dataset = analyses.analyze(run, "shift", bench)
    places = bench.test_places(40)
    images = torch.from_numpy(np.load(tmp_path / "files/fog.npy")[4 * 150 :][places]).permute(0, 3, 1, 2).float() / 255
    right = []
    for member in finished.members:
        network = network_with(finished, load_file(finished.snapshot(member, 3)))
        with torch.no_grad():
            right.append((network(images).argmax(1).numpy() == data.test.labels[places]).mean())
    assert dataset.attrs["examples"] == 40
    one = dataset["accuracy"].sel({"intensity": 5, "method": "independent", "size": 1})
    assert float(one[0]) == pytest.approx(np.mean(right))
    whole = analyses.analyze(with_settings(finished, *shift_settings, "analyses.shift.intensities=[3]"), "shift")
    images = torch.from_numpy(np.load(tmp_path / "files/fog.npy")[2 * 150 : 3 * 150]).permute(0, 3, 1, 2).float() / 255
    right = []
    for member in finished.members:
        with torch.no_grad():
            classes = network_with(finished, load_file(finished.snapshot(member, 3)))(images).argmax(1).numpy()
        right.append((classes == data.test.labels).mean())
    one = whole["accuracy"].sel({"intensity": 3, "method": "independent", "size": 1})
    assert float(one[0]) == pytest.approx(np.mean(right))
    assert whole.attrs["examples"] == 150


@pytest.mark.parametrize(
    ("mutate", "told"),
    [
        (lambda arrays: arrays.pop("labels"), "there is no labels.npy"),
        (
            lambda arrays: arrays.update(fog=arrays["fog"][:-1]),
            r"bytes of shape \(750, height, width, channel\) are needed",
        ),
        (lambda arrays: arrays.update(fog=arrays["fog"].astype(float)), "holds float64 of shape"),
        (lambda arrays: arrays.update(labels=arrays["labels"][::-1]), "labels.npy are not the labels of the test data"),
        (lambda arrays: arrays.update(fog=arrays["fog"][:, :7]), r"holds images of shape \(7, 8, 1\); the run's are"),
        (lambda arrays: arrays.update(fog=np.array([None])), "fog.npy is not a whole file of numbers"),
    ],
)
def test_files_that_are_not_the_official_ones_are_refused(finished, tmp_path, shift_settings, mutate, told):
    official(tmp_path / "files", Bench(finished, CPU).source, mutate)
    with pytest.raises(DataError, match=told):
        analyses.analyze(with_settings(finished, *shift_settings), "shift")


def test_out_of_distribution_data_are_brought_to_size(finished, tmp_path):
    colourful = np.random.default_rng(0).integers(0, 255, (30, 20, 14, 3), dtype=np.uint8)
    np.savez(
        tmp_path / "other.npz", x_train=colourful, y_train=np.arange(30) % 2, x_test=colourful, y_test=np.arange(30) % 2
    )
    run = with_settings(finished, f"analyses.shift.ood=npz:{tmp_path}/other.npz", "analyses.shift.corruptions=fog")
    dataset = analyses.analyze(run, "shift")
    assert np.isfinite(dataset["ood_entropy"].sel({"method": "independent"}).isel(size=0))
    own = with_settings(finished, "analyses.shift.ood=digits", "analyses.shift.corruptions=fog")
    with pytest.raises(DataError, match="digits are the run's own data"):
        analyses.analyze(own, "shift")


def test_methods_that_shift_names_alone_are_said_to_be_left_out(finished):
    settings = ("analyses.subspaces.methods=random", "analyses.shift.methods=swag", "analyses.shift.corruptions=fog")
    dataset = analyses.analyze(with_settings(finished, *settings), "shift")
    assert list(dataset["method"].to_numpy()) == ["independent"]
    assert dataset.attrs["left_out"] == ["swag is not among analyses.subspaces.methods."]


def test_corruptions_that_change_nothing_are_left_out_with_a_reason(finished):
    settings = ("analyses.shift.corruptions=all", "analyses.shift.intensities=[1]", "analyses.shift.methods=random")
    dataset = analyses.analyze(with_settings(finished, *settings, "analyses.shift.examples=20"), "shift")
    assert dataset.sizes["corruption"] == 18
    assert "saturate changes colours, of which these images have none." in dataset.attrs["left_out"]


@pytest.mark.parametrize("corruptions", ["", "fog,fog"])
def test_corruptions_are_named_and_named_once(corruptions):
    with pytest.raises(RequestError, match="analyses.shift.corruptions cannot be"):
        load("digits", [f"analyses.shift.corruptions={corruptions}"])


def test_tiny_images_are_shuffled_too():
    assert _shuffled(torch.rand((2, 1, 3, 2)), torch.Generator()).shape == (2, 1, 3, 2)


def test_shuffled_images_keep_their_pixels():
    images = torch.rand((5, 3, 9, 8), generator=torch.Generator().manual_seed(0))
    mixed = _shuffled(images, torch.Generator().manual_seed(1))
    assert mixed.shape == images.shape
    torch.testing.assert_close(
        mixed[:, :, :8].flatten(2).sort().values, images[:, :, :8].flatten(2).sort().values, rtol=0, atol=0
    )
    assert not torch.equal(mixed[:, :, :8], images[:, :, :8])


@pytest.mark.parametrize(
    ("settings", "name", "told"),
    [
        (["analyses.subspaces.methods=mc_dropout", "model.kwargs.dropout=0.0"], "subspaces", None),
        (["snapshots.epochs=last:1", "analyses.subspaces.methods=swag", "training.epochs=3"], "subspaces",
         "swag needs at least 2 late snapshots; this run kept 1."),
        (["analyses.subspaces.methods=swag"], "subspaces",
         "swag needs at least 2 late epochs, those of the second half of training; of 2 epochs this is 1."),
        (["snapshots.epochs=[1]"], "subspaces", "subspaces needs the weights of the last epoch, which"),
        (["snapshots.epochs=[1]"], "shift", "shift needs the weights of the last epoch"),
        (["analyses.subspaces.methods=snapshot_ensemble"], "subspaces", "needs a run that was trained in cycles"),
        (["analyses.diversity_plane.reference=7"], "diversity_plane", "compares with member 7 .* members 0 to 1"),
        (["analyses.radial_plane.members=[1, 1]"], "radial_plane", "radial_plane needs different members"),
        (["analyses.radial_plane.members=[0, 9]"], "radial_plane", "needs member 9; this run has members 0 to 1"),
        (["analyses.connectors.members=[0, 5]"], "connectors", "connectors needs two different members"),
        ([], "solution_plane", "solution_plane needs at least 3 members; this run has 2."),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_sentence(tmp_path, settings, name, told):
    run, _ = trained(tmp_path / "run", "ensemble.members=2", "training.epochs=2", *settings)
    if told is None:
        told = "mc_dropout needs a network with dropout"
    with pytest.raises(NotApplicableError, match=told):
        study.analyze(run, [name])


def test_fewer_snapshots_leave_out_the_methods_that_need_them(tmp_path):
    run, _ = trained(tmp_path / "run", "ensemble.members=2", "snapshots.epochs=last:1")
    dataset = analyses.analyze(run, "subspaces")
    assert {"random", "dropout", "mc_dropout", "late_snapshots"} <= set(dataset["method"].to_numpy())
    assert not {"swag", "diagonal_gaussian", "weight_average"} & set(dataset["method"].to_numpy())
    assert any("swag needs at least 2 late snapshots; this run kept 1" in why for why in dataset.attrs["left_out"])
    assert "samples" not in analyses.analyze(run, "radial_plane")
    shift = analyses.analyze(run, "shift")
    assert "late_snapshots" not in shift["method"]  # a single one is the member itself
    told = (
        "late_snapshots needs the weights of at least 2 of its epochs; with these settings (snapshots.epochs, samples) "
        "there is 1."
    )
    assert told in shift.attrs["left_out"]
    narrow = Run(run.path, load("digits", [*TINY, "ensemble.members=2", "snapshots.epochs=last:1",
                                           "analyses.subspaces.window=1"]))  # fmt: skip
    told = "late_snapshots looks at 2 or more states; analyses.subspaces.window is 1."
    assert told in analyses.analyze(narrow, "subspaces").attrs["left_out"]


def test_inputs_that_are_no_images_cannot_shift(tmp_path):
    draws = np.random.default_rng(0)
    inputs, labels = draws.normal(size=(60, 8, 8, 1)).astype(np.float32), np.arange(60) % 3
    np.savez(tmp_path / "data.npz", x_train=inputs, y_train=labels, x_test=inputs, y_test=labels)
    settings = [f"data.source=npz:{tmp_path}/data.npz", "data.train_examples=all", "data.test_examples=all"]
    run, _ = trained(tmp_path / "run", *settings, "ensemble.members=2", "training.epochs=1")
    results = study.analyze(run)
    assert "corruptions are defined for images from 0 to 1" in results.left_out["shift"]
    saved = study.saved_results(run)  # and it is remembered: the run is complete as it is
    assert saved is not None
    assert saved.left_out == results.left_out


def test_other_data_than_the_runs_are_refused(copied, monkeypatch):
    copied.provenance.write_text(copied.provenance.read_text().replace('"sha256": "', '"sha256": "0'))
    with pytest.raises(RunError, match="was made from other data"):
        analyses.analyze(copied, "radial_plane")


def vary_runs(folder, *settings):
    return [
        trained(folder / name, "ensemble.members=3", *settings, f"ensemble.vary=[{what}]")[0]
        for name, what in (("all", '"init", "order", "dropout"'), ("order", '"order"'), ("nothing", ""))
    ]


def test_runs_that_differ_in_what_varies_are_compared(tmp_path):
    runs = vary_runs(tmp_path)
    dataset = study.compare(runs, tmp_path / "compared").vary
    assert list(dataset["run"].to_numpy()) == ["init + order + dropout", "order", "nothing"]
    sizes = [analyses.analyze(run, "ensemble_size") for run in runs]
    pairs = [analyses.analyze(run, "similarity_members") for run in runs]
    for place, (size, pair) in enumerate(zip(sizes, pairs, strict=True)):
        one = dataset.isel(run=place)
        assert float(one["disagreement"]) == pytest.approx(float(pair["mean_disagreement"]))
        for end in ("", "_low", "_high"):
            cosine = float(pair[f"mean_cosine_similarity{end}"])
            assert float(one[f"cosine_similarity{end}"]) == pytest.approx(cosine, abs=1e-9)
            over_error = float(pair[f"disagreement_over_error{end}"])
            assert float(one[f"disagreement_over_error{end}"]) == pytest.approx(over_error, rel=0.03)  # fewer resamples
        assert float(one["accuracy_gain"]) == pytest.approx(float(size["accuracy_gain"][-1]))
        assert float(one["nll_gain_low"]) == pytest.approx(float(size["nll_gain_low"][-1]))
    assert float(dataset["disagreement"][2]) == 0  # the same members three times
    assert float(dataset["accuracy_gain"][2]) == 0
    written = {f"{name}.{suffix}" for name in ("vary", "comparison") for suffix in ("zarr", "png", "svg", "pdf")}
    assert {path.name for path in (tmp_path / "compared").iterdir()} == {*written, "compare.html"}


def test_runs_that_cannot_be_compared_are_refused(tmp_path, finished):
    runs = vary_runs(tmp_path, "training.epochs=1")
    with pytest.raises(RequestError, match="compare needs at least two runs"):
        study.compare(runs[:1], tmp_path / "out")
    with pytest.raises(RequestError, match="is named twice"):
        study.compare([runs[0], runs[0]], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(RequestError, match="the same varies: they are the same members"):
        vary.analyze([runs[0], runs[0]])
    with pytest.raises(RequestError, match="differ in ensemble.vary alone; between .* training.epochs is 1 and 3"):
        vary.analyze([runs[1], finished])
    single, _ = trained(tmp_path / "single", "ensemble.members=1")
    with pytest.raises(RequestError, match="runs of at least 2 members"):
        vary.analyze([single, finished])
