"""Training: order, identity of members, what varies, resume to the bit."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from conftest import TINY, files, trained
from modescope import seeds, study
from modescope.data import load_data
from modescope.data.tensors import in_memory
from modescope.errors import DivergedError, MembersFailedError, ModelError
from modescope.recipe import load
from modescope.store.predictions import read_epoch
from modescope.store.resume import read_resume
from modescope.store.snapshots import read_snapshot
from modescope.training.epoch import EpochStreams, example_order
from modescope.training.evaluate import predict
from modescope.training.member import initial_network

# --- order --------------------------------------------------------------------------------------------------------


def order(sampling="permutation", member=0, epoch=1, **vary):
    settings = [f"training.sampling={sampling}", *(f"ensemble.vary={value}" for value in vary.values())]
    return example_order(1000, EpochStreams(load("digits", settings), member, epoch))


def test_an_epoch_is_a_permutation_of_its_own():
    assert sorted(order().tolist()) == list(range(1000))
    assert torch.equal(order(), order())
    assert not torch.equal(order(), order(member=1))
    assert not torch.equal(order(), order(epoch=2))


def test_sampling_with_replacement_is_the_notebooks():
    settings = ["training.sampling=replacement", "training.batch_size=128"]
    drawn = example_order(49_500, EpochStreams(load("digits", settings), 0, 1))
    assert len(drawn) == 386 * 128  # the notebook's 386 iterations an epoch
    assert len(drawn.unique()) / 49_500 == pytest.approx(1 - math.exp(-386 * 128 / 49_500), abs=0.01)


def test_what_does_not_vary_is_member_zeros():
    assert torch.equal(order(member=4, vary="init"), order(member=0))
    assert not torch.equal(order(member=4, vary="init,order"), order(member=0))


# --- one epoch against a plain loop -------------------------------------------------------------------------------


def test_a_member_is_what_a_plain_pytorch_loop_makes_of_it(tmp_path):
    """The slow oracle: the same network, order and dropout in the loop that everybody writes, in float64."""
    run, records = trained(tmp_path / "run", "training.precision=float64", "ensemble.members=2", "training.epochs=2")
    data = load_data(run.recipe.data)
    images = torch.tensor(data.train.inputs).permute(0, 3, 1, 2).double() / 16
    labels = torch.tensor(data.train.labels)
    network = initial_network(run.recipe, 1, (8, 8, 1), 10).double()
    optimizer = torch.optim.Adam(network.parameters(), lr=1.6e-3)
    for epoch in (1, 2):
        shuffled = torch.randperm(len(labels), generator=seeds.generator(0, 1, "order", epoch))
        losses, hits = [], []
        with seeds.seeded(0, 1, "dropout", epoch):
            for start in range(0, len(labels), 32):
                batch = shuffled[start : start + 32]
                logits = network.train()(images[batch])
                loss = F.cross_entropy(logits, labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses += [loss.item()] * len(batch)
                hits += (logits.argmax(1) == labels[batch]).tolist()
        record = dict(((m, r.epoch), r) for m, r in records)[1, epoch]
        assert record.train_loss == pytest.approx(np.mean(losses), abs=1e-9)
        assert record.train_accuracy == pytest.approx(np.mean(hits))
        snapshot = read_snapshot(run, 1, epoch)
        for name, parameter in network.named_parameters():
            assert torch.allclose(snapshot.state[name], parameter.detach(), rtol=0, atol=1e-9)
    test_images = torch.tensor(data.test.inputs).permute(0, 3, 1, 2).double() / 16
    with torch.no_grad():
        expected = network.eval()(test_images).log_softmax(1)
    np.testing.assert_allclose(read_epoch(run, 1, 2), expected, atol=1e-5)
    assert record.test_loss == pytest.approx(F.cross_entropy(expected, torch.tensor(data.test.labels)).item(), abs=1e-9)


def test_predictions_are_made_in_eval_mode_and_the_mode_is_restored():
    recipe = load("digits", ["model.kwargs.dropout=0.9"])
    data = in_memory(load_data(recipe.data), recipe.data, dtype=torch.float32, device=torch.device("cpu"))
    network = initial_network(recipe, 0, (8, 8, 1), 10).train()
    said = predict(network, data.test, data.scaling)
    assert network.training
    assert torch.equal(said, predict(network, data.test, data.scaling))
    assert torch.allclose(said.exp().sum(1), torch.ones(797))


def test_batch_norm_statistics_are_trained_and_kept(tmp_path):
    run, _ = trained(tmp_path / "run", "model.name=resnet20v1", "ensemble.members=1", "training.epochs=1")
    first, last = (read_snapshot(run, 0, epoch) for epoch in (0, 1))
    assert last.state["norm.num_batches_tracked"] == 4
    assert not torch.equal(first.state["norm.running_var"], last.state["norm.running_var"])
    assert "norm.running_var" not in last.parameters
    assert len(last.parameters) == 21 * 2 + 19 * 2 + 2


# --- identity of members ------------------------------------------------------------------------------------------


def test_a_member_does_not_depend_on_how_many_there_are(tmp_path):
    three, _ = trained(tmp_path / "three")
    one, _ = trained(tmp_path / "one", "ensemble.members=1")
    several = {name: content for name, content in files(three).items() if name.startswith("members/000")}
    alone = {name: content for name, content in files(one).items() if name.startswith("members/000")}
    assert several == alone
    assert len(several) == 4 + 1 + 1 + 1  # snapshots, their ledger, history, resume


def test_another_seed_is_another_ensemble(tmp_path):
    ours, _ = trained(tmp_path / "ours", "training.epochs=1")
    theirs, _ = trained(tmp_path / "theirs", "training.epochs=1", "ensemble.seed=1")
    assert not torch.equal(
        read_snapshot(ours, 0, 1).state["logits.weight"], read_snapshot(theirs, 0, 1).state["logits.weight"]
    )


@pytest.mark.parametrize(
    ("vary", "same_start", "same_end"),
    [
        ("init", False, False),
        ("order", True, False),
        ("dropout", True, False),
        ("augment", True, True),
        ("[]", True, True),
    ],
)
def test_vary_says_what_differs_between_members(tmp_path, vary, same_start, same_end):
    run, _ = trained(tmp_path / "run", f"ensemble.vary={vary}", "ensemble.members=2", "training.epochs=1")
    for epoch, same in ((0, same_start), (1, same_end)):
        one, other = (read_snapshot(run, member, epoch).state["block1.conv.weight"] for member in (0, 1))
        assert torch.equal(one, other) == same


def test_augmentation_can_be_all_that_varies(tmp_path):
    settings = ("ensemble.vary=augment", "training.augment=keras-resnet", "ensemble.members=2", "training.epochs=1")
    run, _ = trained(tmp_path / "run", *settings)
    for epoch, same in ((0, True), (1, False)):
        one, other = (read_snapshot(run, member, epoch).state["block1.conv.weight"] for member in (0, 1))
        assert torch.equal(one, other) == same


def test_training_leaves_no_trace_on_global_state(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(2)
    threads = torch.get_num_threads()
    torch.manual_seed(3)
    trained(tmp_path / "run", "ensemble.members=1", "training.epochs=1", "training.threads_per_member=2")
    assert torch.equal(torch.rand(2), expected)
    assert torch.get_num_threads() == threads


# --- epochs -------------------------------------------------------------------------------------------------------


def test_no_epochs_are_the_initialisation_alone(tmp_path):
    run, records = trained(tmp_path / "run", "training.epochs=0")
    assert [(member, record.epoch) for member, record in records] == [(0, 0), (1, 0), (2, 0)]
    assert records[0][1].learning_rate is None
    assert 2.0 < records[0][1].train_loss < 2.8
    assert 2.0 < records[0][1].test_loss < 2.8


def test_snapshots_only_of_the_epochs_asked_for_and_predictions_of_all(tmp_path):
    run, _ = trained(tmp_path / "run", "snapshots.epochs=last:2", "ensemble.members=1")
    assert sorted(path.name for path in (run.member(0) / "snapshots").glob("*.safetensors")) == [
        "002.safetensors",
        "003.safetensors",
    ]
    assert all(np.isfinite(read_epoch(run, 0, epoch)).all() for epoch in range(4))


def test_float64_is_kept_in_float64_and_bfloat16_trains(tmp_path):
    run, _ = trained(tmp_path / "double", "training.precision=float64", "ensemble.members=1", "training.epochs=1")
    assert read_snapshot(run, 0, 1).state["logits.weight"].dtype == torch.float64
    run, records = trained(tmp_path / "half", "training.precision=bfloat16", "ensemble.members=1")
    assert read_snapshot(run, 0, 1).state["logits.weight"].dtype == torch.float32
    assert records[-1][1].train_loss < records[0][1].train_loss


# --- failure ------------------------------------------------------------------------------------------------------


def test_a_member_that_diverges_is_named_and_the_others_are_trained(tmp_path, monkeypatch):
    from modescope.engines import sequential

    plain = sequential.train_member

    def train_member(run, data, member, *rest):
        if member == 1:
            raise DivergedError("its training loss in epoch 2 is nan")
        plain(run, data, member, *rest)

    monkeypatch.setattr(sequential, "train_member", train_member)
    with pytest.raises(MembersFailedError, match="1 member failed. Member 1: its training loss in epoch 2 is nan"):
        trained(tmp_path / "run")
    monkeypatch.undo()
    run, records = trained(tmp_path / "run")
    assert {member for member, _ in records} == {1}


def exploding(input_shape, classes):
    class Exploding(torch.nn.Linear):
        def forward(self, inputs):
            logits = super().forward(inputs.flatten(1))
            return logits if self.training or self.bias.abs().max() < 0.2 else logits * math.nan

    return Exploding(math.prod(input_shape), classes)


def test_predictions_that_are_no_numbers_are_never_written(tmp_path):
    """The training loss may be finite while what the network says afterwards is not."""
    settings = ("model.name=test_training:exploding", "training.learning_rate=0.3", "ensemble.members=1")
    for _ in range(2):
        with pytest.raises(MembersFailedError, match="Member 0: its predictions after epoch 1 hold values that are no"):
            trained(tmp_path / "run", *settings)
    training = study.plan(load("digits", [*TINY, *settings]), tmp_path / "run", engine="sequential")
    assert training.damaged == ()
    assert training.job.members[0].finished == 0


def scaled(input_shape, classes):
    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(math.prod(input_shape), classes)
            self.scale = torch.nn.Parameter(torch.tensor(1.0))

        def forward(self, inputs):
            return self.scale * self.linear(inputs.flatten(1))

    return Scaled()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_parameter_without_dimensions_resumes_to_the_same_bits(tmp_path, precision):
    settings = ("model.name=test_training:scaled", f"training.precision={precision}", "ensemble.members=1")
    whole, _ = trained(tmp_path / "whole", *settings)
    training = study.plan(load("digits", [*TINY, *settings]), tmp_path / "parts", engine="sequential")

    def stop(member, record):
        if record.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.carry_out(training, stop)
    parts, _ = trained(tmp_path / "parts", *settings)
    assert files(parts) == files(whole)
    assert read_resume(parts, 0).optimizer["scale.step"].dtype == torch.float32


def faulty(input_shape, classes, fault):
    size = math.prod(input_shape)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(size, classes))
    if fault == "frozen":
        network.requires_grad_(False)
    if fault == "statistics":
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(size), torch.nn.Linear(size, classes))
    if fault == "complex":
        network.register_buffer("phase", torch.zeros(1, dtype=torch.complex64))
    if fault == "extra":
        network.__class__ = type("Extra", (torch.nn.Sequential,), {"get_extra_state": lambda self: {"a": 1}})
    return network


@pytest.mark.parametrize(
    ("fault", "examples", "words"),
    [
        ("frozen", 128, "has no trainable parameters"),
        ("statistics", 129, r"Expected more than 1 value .* one example alone \(129 in batches of 32\)"),
        ("complex", 128, "has complex numbers in phase"),
        ("extra", 128, "keeps _extra_state, which is no tensor"),
    ],
)
def test_networks_that_cannot_be_trained_or_kept_are_refused_before_anything_is_written(
    tmp_path, fault, examples, words
):
    settings = ("model.name=test_training:faulty", f"model.kwargs.fault={fault}", f"data.train_examples={examples}")
    with pytest.raises(ModelError, match=words):
        trained(tmp_path / "run", *settings)
    assert not (tmp_path / "run").exists()


def voluminous(input_shape, classes):
    class Voluminous(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.linear = torch.nn.Conv3d(1, 2, 3, padding=1), torch.nn.Linear(128, classes)

        def forward(self, images):
            return self.linear(self.conv(images[:, None]).flatten(1))

    return Voluminous()


def test_weights_of_five_dimensions(tmp_path):
    run, _ = trained(tmp_path / "run", "model.name=test_training:voluminous", "ensemble.members=1")
    assert read_snapshot(run, 0, 3).state["conv.weight"].shape == (2, 1, 3, 3, 3)


def test_a_real_divergence(tmp_path):
    with pytest.raises(MembersFailedError, match=r"Lower training.learning_rate \(now 1e\+30\)") as caught:
        trained(tmp_path / "run", "training.learning_rate=1e30", "training.optimizer=sgd", "ensemble.members=2")
    assert set(caught.value.failures) == {0, 1}
    assert all(isinstance(failure, DivergedError) for failure in caught.value.failures.values())


# --- resume -------------------------------------------------------------------------------------------------------


class Stop(BaseException):
    pass


@pytest.mark.parametrize("settings", [[], ["training.optimizer=sgd"], ["model.name=resnet20v1"]])
def test_stopped_after_any_epoch_it_goes_on_to_the_same_bits(tmp_path, monkeypatch, settings):
    from modescope.training import member as training_member

    settings = [*settings, "ensemble.members=2"]
    whole, _ = trained(tmp_path / "whole", *settings)
    passes, train_epoch = [], training_member.train_epoch
    monkeypatch.setattr(
        training_member, "train_epoch", lambda *given: passes.append(given[-1].epoch) or train_epoch(*given)
    )
    parts = tmp_path / "parts"
    for _ in range(20):
        training = study.plan(load("digits", [*TINY, *settings]), parts, engine="sequential")
        if not training.job.members:
            break
        seen = []

        def stop(member, record, seen=seen):
            seen.append(record)
            if len(seen) == 2:
                raise Stop

        try:
            study.carry_out(training, stop)
        except Stop:
            pass
    else:
        raise AssertionError("it never ended")
    assert files(training.run) == files(whole)
    assert sorted(passes) == [1, 1, 2, 2, 3, 3]  # of two members, and nothing was trained twice


@pytest.mark.parametrize("failing", ["write_predictions", "add_to_history", "write_resume"])
def test_stopped_between_the_files_of_an_epoch(tmp_path, monkeypatch, failing):
    from modescope.store import epochs

    whole, _ = trained(tmp_path / "whole", "ensemble.members=1")
    plain = getattr(epochs, failing)
    calls = []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise Stop
        plain(*arguments)

    monkeypatch.setattr(epochs, failing, fail)
    with pytest.raises(Stop):
        trained(tmp_path / "parts", "ensemble.members=1")
    monkeypatch.undo()
    again, records = trained(tmp_path / "parts", "ensemble.members=1")
    assert [record.epoch for _, record in records] == [2, 3]
    assert files(again) == files(whole)


def test_a_finished_run_is_left_alone(tmp_path):
    run, _ = trained(tmp_path / "run", "ensemble.members=1")
    before = {path: path.stat().st_mtime_ns for path in (run.path / "members").rglob("*")}
    _, records = trained(tmp_path / "run", "ensemble.members=1")
    assert records == []
    assert {path: path.stat().st_mtime_ns for path in (run.path / "members").rglob("*")} == before


def test_adams_state_is_what_the_resume_file_holds(tmp_path):
    run, _ = trained(tmp_path / "run", "ensemble.members=1")
    state = read_resume(run, 0)
    assert state.epoch == 3
    assert state.optimizer["logits.weight.step"] == 3 * 128 / 32
    assert state.optimizer["logits.weight.exp_avg_sq"].shape == (10, 32)
    assert torch.equal(state.model["logits.weight"], read_snapshot(run, 0, 3).state["logits.weight"])


# --- the network's own seed ---------------------------------------------------------------------------------------


def stubborn(input_shape, classes):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(math.prod(input_shape), classes))


def test_members_that_begin_alike_are_warned_about(tmp_path):
    training = study.plan(
        load("digits", [*TINY, "model.name=test_training:stubborn"]), tmp_path / "run", engine="sequential"
    )
    assert "Members 0 and 1 begin with the same 1.weight" in training.warnings[0]
    assert study.plan(load("digits", TINY), tmp_path / "other", engine="sequential").warnings == ()
    meant = study.plan(
        load("digits", [*TINY, "model.name=test_training:stubborn", "ensemble.vary=order"]),
        tmp_path / "meant",
        engine="sequential",
    )
    assert meant.warnings == ()


def test_records_are_what_the_history_says(tmp_path):
    run, records = trained(tmp_path / "run", "ensemble.members=1")
    lines = [json.loads(line) for line in run.history(0).read_text().splitlines()]
    assert lines == [dataclasses.asdict(record) for _, record in records]
    assert list(lines[0]) == [
        "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate", "seconds",
    ]  # fmt: skip
    assert [line["learning_rate"] for line in lines] == [None, 1.6e-3, 1.6e-3, 1.6e-3]
