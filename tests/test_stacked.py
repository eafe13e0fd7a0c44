"""The stacked engine: members trained as one program are the members that would have been trained alone."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

from conftest import TINY, files, trained
from modescope import seeds, study
from modescope.data import load_data
from modescope.data.augment import AUGMENTATIONS
from modescope.data.tensors import in_memory
from modescope.engines import layout
from modescope.errors import MembersFailedError
from modescope.recipe import load
from modescope.store.provenance import read_provenance
from modescope.training.dropout import MemberDropout, OneDropout, StackDropout
from modescope.training.evaluate import predict
from modescope.training.lowering import LOWERINGS, possible
from modescope.training.member import initial_network, placed
from modescope.training.optimizers import build_optimizer
from modescope.training.stack import Stack
from modescope.training.stack_epoch import StackEpochs

CPU = torch.device("cpu")
ON_CPU = possible(CPU)

# --- networks that are hard to stack ------------------------------------------------------------------------------


class Everything(nn.Module):
    """Strides, groups, batch norm, dropout of channels, tied weights, a frozen weight, statistics of its own."""

    def __init__(self, classes):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, (3, 1), groups=4, padding="same", dilation=(2, 1))
        self.channels = nn.Dropout2d(0.3)
        self.one, self.other = nn.Linear(8, 8), nn.Linear(8, 8)
        self.other.weight = self.one.weight
        self.last = nn.Linear(8, classes)
        self.frozen = nn.Parameter(torch.randn(8), requires_grad=False)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images):
        values = self.channels(F.relu(self.grouped(F.relu(self.norm(self.first(images))))))
        values = values.mean(dim=(2, 3)) + self.frozen
        if self.training:
            self.seen = self.seen + values.detach().mean()  # another tensor in the buffer's place
        return self.last(F.dropout(torch.tanh(self.other(torch.tanh(self.one(values)))), 0.2, self.training))


def everything(classes):
    return Everything(classes)


class Undecided(nn.Module):
    """What it does depends on a number, which `vmap` cannot know."""

    def __init__(self, classes):
        super().__init__()
        self.linear = nn.Linear(64, classes)

    def forward(self, images):
        logits = self.linear(images.flatten(1))
        return logits * 2 if logits.sum().item() > 0 else logits


def undecided(classes):
    return Undecided(classes)


class Wild(nn.Module):
    """One of its members explodes."""

    def __init__(self, classes):
        super().__init__()
        self.linear = nn.Linear(64, classes)
        self.scale = nn.Parameter(torch.where(self.linear.bias[0] > 0, math.inf, 1.0), requires_grad=False)

    def forward(self, images):
        logits = self.linear(images.flatten(1))
        return logits * self.scale if self.training else logits


def wild(classes):
    return Wild(classes)


def recipe_of(*settings):
    return load("digits", [*TINY, "training.precision=float64", *settings])


def alone(recipe, tensors, members):
    """The members one after another, as the sequential engine trains them, and what they say at the end."""
    from modescope.training.epoch import EpochStreams, train_epoch

    networks, losses = [], []
    for member in members:
        network = placed(initial_network(recipe, member, tensors.input_shape, tensors.classes), CPU, torch.float64)
        optimizer = build_optimizer(network.parameters(), recipe.training)
        for epoch in range(1, recipe.training.epochs + 1):
            network.train()
            loss = train_epoch(network, optimizer, tensors.train, tensors.scaling, EpochStreams(recipe, member, epoch))
        networks.append(network)
        losses.append(loss)
    return networks, losses


# --- one program, the same members --------------------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": ("training.optimizer=sgd", "training.learning_rate=0.05", "training.weight_decay=0.01"),
    "adam": ("training.optimizer=adam",),
    "adamw": ("training.optimizer=adamw", "training.weight_decay=0.1", "training.decayed=weights"),
}
CASES = [
    *(("report-smallcnn", optimizer, lowering) for optimizer in OPTIMIZERS for lowering in ON_CPU),
    *(("resnet20v1", "sgd", lowering) for lowering in ON_CPU),
    *(("test_stacked:everything", "adamw", lowering) for lowering in ON_CPU),
    *((name, "adamw", lowering) for name in ("hf:vit", "hf:resnet") for lowering in ON_CPU),
]
KWARGS = {
    "hf:vit": "{hidden_size = 16, num_hidden_layers = 2, num_attention_heads = 2, intermediate_size = 16, "
    "patch_size = 4, hidden_dropout_prob = 0.2}",
    "hf:resnet": "{embedding_size = 8, hidden_sizes = [8, 16], depths = [1, 1], layer_type = 'basic'}",
}


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # attention has no batching rule on the CPU
@pytest.mark.parametrize(("network", "optimizer", "lowering"), CASES)
def test_a_stack_is_its_members(network, optimizer, lowering):
    """To 1e-6 in float64, with weight decay, momentum and dropout: losses are summed over members, not averaged."""
    recipe = recipe_of(
        f"model.name={network}", f"model.kwargs={KWARGS.get(network, '{}')}", *OPTIMIZERS[optimizer],
        "training.epochs=2", "data.train_examples=100", "training.augment=report",
    )  # fmt: skip
    tensors = in_memory(load_data(recipe.data), recipe.data, dtype=torch.float64, device=CPU)
    members = (0, 2, 5)
    networks, losses = alone(recipe, tensors, members)
    fresh = [placed(initial_network(recipe, member, (8, 8, 1), 10), CPU, torch.float64) for member in members]
    stack = Stack(fresh, recipe.training, lowering)
    epochs = StackEpochs(stack, tensors, recipe, members)
    for epoch in (1, 2):
        passed = epochs.train(epoch)
    log_prob = stack.predict(tensors.test, tensors.scaling)
    for index, separate in enumerate(networks):
        state = stack.held().member(index)[0]
        for name, tensor in separate.state_dict().items():
            torch.testing.assert_close(state[name], tensor, rtol=0, atol=1e-6)
        assert (passed.loss[index].item(), passed.accuracy[index].item()) == pytest.approx(losses[index], abs=1e-9)
        expected = predict(separate, tensors.test, tensors.scaling)
        torch.testing.assert_close(log_prob[index], expected, rtol=0, atol=1e-6)
    state = stack.held().member(0)[0]
    assert not torch.equal(next(iter(state.values())), next(iter(stack.held().member(1)[0].values())))


def test_averaging_losses_over_members_would_not_pass():
    """The mistake that the sum avoids: with decay, a mean over members is another optimisation."""
    recipe = recipe_of(*OPTIMIZERS["sgd"], "training.epochs=1", "data.train_examples=64")
    tensors = in_memory(load_data(recipe.data), recipe.data, dtype=torch.float64, device=CPU)
    (network,), _ = alone(recipe, tensors, [0])
    fresh = [placed(initial_network(recipe, member, (8, 8, 1), 10), CPU, torch.float64) for member in (0, 1)]
    stack = Stack(fresh, recipe.training, "loop")
    stack.optimizer.register_step_pre_hook(
        lambda optimizer, *_: [parameter.grad.div_(2) for parameter in stack.parameters.values()] and None
    )
    StackEpochs(stack, tensors, recipe, (0, 1)).train(1)
    assert (stack.held().member(0)[0]["logits.weight"] - network.logits.weight).abs().max() > 1e-4


@pytest.mark.parametrize("augment", ["report", "keras-resnet"])
def test_draws_made_long_before_are_those_made_at_once(augment):
    images = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    one, two = (torch.Generator().manual_seed(5) for _ in range(2))
    at_once = [AUGMENTATIONS[augment](batch, one) for batch in images.split(5)]
    drawn = [AUGMENTATIONS[augment].draw(count, (16, 16), two, torch.float32) for count in (5, 5, 2)]
    before = AUGMENTATIONS[augment].apply(images, *(torch.cat(parts) for parts in zip(*drawn, strict=True)))
    assert torch.equal(torch.cat(at_once), before)


# --- dropout ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        *((F.dropout, shape) for shape in [(5, 9), (3, 4, 6), (4, 6, 5, 7)]),
        (F.dropout1d, (3, 4, 6)),
        (F.dropout2d, (4, 6, 5, 7)),
    ],
)
def test_own_dropout_is_pytorchs_to_the_bit(function, shape):
    values = torch.rand(shape, requires_grad=True)
    if len(shape) == 4:
        values = values.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    with seeds.seeded(0, 0, "dropout"):
        expected = function(values, 0.3, True)
    with seeds.seeded(0, 0, "dropout"), MemberDropout():
        made = function(values, p=0.3, training=True, inplace=False)
    assert torch.equal(made, expected)
    assert torch.equal(*(torch.autograd.grad(each.square().sum(), values)[0] for each in (made, expected)))


def test_dropout_does_not_depend_on_the_memory_layout():
    values = torch.ones(3, 4, 5, 6)
    masks = []
    for layout_ in (torch.contiguous_format, torch.channels_last):
        with seeds.seeded(0, 0, "dropout"), MemberDropout():
            masks.append(F.dropout(values.contiguous(memory_format=layout_), 0.5, True))
    assert torch.equal(*masks)


def test_members_of_a_stack_drop_what_they_would_drop_alone():
    values = torch.ones(3, 4, 8)
    generators = [torch.Generator().manual_seed(number) for number in (1, 2, 3)]
    with StackDropout(generators):
        stacked = torch.vmap(lambda each: F.dropout(F.dropout(each, 0.4), 0.2))(values)
    for number, made in zip((1, 2, 3), stacked, strict=True):
        with OneDropout(torch.Generator().manual_seed(number)):
            assert torch.equal(made, F.dropout(F.dropout(values[0], 0.4), 0.2))
    assert len({tuple(made.flatten().tolist()) for made in stacked}) == 3


def test_dropout_that_drops_nothing_or_everything_is_left_alone():
    values = torch.ones(4)
    with MemberDropout():
        assert torch.equal(F.dropout(values, 0.0), values)
        assert torch.equal(F.dropout(values, 1.0), torch.zeros(4))
        assert torch.equal(F.dropout(values, 0.5, False), values)


# --- the engine ---------------------------------------------------------------------------------------------------


@pytest.fixture
def only(monkeypatch):
    """Allow one lowering only, so that a test does not hang on what is fastest today."""

    def choose(lowering, fitting=10):
        monkeypatch.setattr(layout, "possible", lambda device: (lowering,))
        monkeypatch.setattr(layout, "_fitting", lambda recipe, data: fitting)

    return choose


@pytest.mark.parametrize("lowering", ON_CPU)
def test_the_engines_members_are_the_sequential_ones(tmp_path, only, lowering):
    only(lowering, fitting=2)
    settings = ("training.precision=float64", "ensemble.members=3")
    one, _ = trained(tmp_path / "one", *settings)
    other, records = trained(tmp_path / "other", *settings, engine="stacked")
    for member in range(3):
        for epoch in range(4):
            ours, theirs = (safetensors.torch.load_file(run.snapshot(member, epoch)) for run in (other, one))
            for name, tensor in theirs.items():
                torch.testing.assert_close(ours[name], tensor, rtol=0, atol=1e-6)
        ours, theirs = (
            [json.loads(line) for line in run.history(member).read_text().splitlines()] for run in (other, one)
        )
        for our, their in zip(ours, theirs, strict=True):
            assert our["learning_rate"] == their["learning_rate"]
            assert our["test_loss"] == pytest.approx(their["test_loss"], abs=1e-6)
            assert our["train_loss"] == pytest.approx(their["train_loss"], abs=1e-6)
            assert our["train_accuracy"] == their["train_accuracy"]
    assert read_provenance(other)["stacked"] == {"blocks": [[0, 1], [2]], "lowering": lowering}
    assert sorted((member, record.epoch) for member, record in records) == [(m, e) for m in range(3) for e in range(4)]


def test_a_sequential_run_can_be_finished_stacked_and_the_other_way_round(tmp_path, only):
    only("vmap")
    settings = ("training.precision=float64", "ensemble.members=2")
    whole, _ = trained(tmp_path / "whole", *settings)
    for first, second in (("sequential", "stacked"), ("stacked", "sequential")):
        path = tmp_path / first
        training = study.plan(load("digits", [*TINY, *settings]), path, engine=first)
        count = []

        def stop(member, record, count=count):
            count.append(member)
            if len(count) == 5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            study.carry_out(training, stop)
        run, _ = trained(path, *settings, engine=second)
        for member in range(2):
            ours, theirs = (safetensors.torch.load_file(each.snapshot(member, 3)) for each in (run, whole))
            for name, tensor in theirs.items():
                torch.testing.assert_close(ours[name], tensor, rtol=0, atol=1e-6)


@pytest.mark.parametrize("lowering", ["vmap", "loop"])
def test_stopped_anywhere_a_stacked_run_ends_in_the_same_bits(tmp_path, only, lowering):
    """Members of one block stopped at different epochs, one of them finished: the others catch up, bitwise."""
    only(lowering)
    training = study.plan(load("digits", TINY), tmp_path / "run", engine="stacked")
    run, kept = training.run, {}

    def keep(member, record):
        kept[member, record.epoch] = [path.read_bytes() for path in (run.history(member), run.resume(member))]

    study.carry_out(training, keep)
    before = files(run)
    for member, epoch in {0: 3, 1: 2, 2: 1}.items():
        for path, content in zip((run.history(member), run.resume(member)), kept[member, epoch], strict=True):
            path.write_bytes(content)
        for later in range(epoch + 1, 4):
            run.snapshot(member, later).unlink()
            (run.predictions / "log_prob" / "c" / str(member) / str(later) / "0" / "0").unlink()
    again, records = trained(run.path, engine="stacked")
    assert {(member, record.epoch) for member, record in records} == {(1, 3), (2, 2), (2, 3)}
    assert files(again) == before


def test_a_member_made_again_does_not_disturb_its_block(tmp_path, only):
    only("vmap")
    run, _ = trained(tmp_path / "run", engine="stacked")
    before = files(run)
    run.snapshot(1, 1).write_bytes(b"damaged")
    _, records = trained(tmp_path / "run", engine="stacked")
    assert {(member, record.epoch) for member, record in records} == {(1, 1)}
    assert files(run) == before


def test_killed_at_random_moments_a_stacked_run_ends_in_the_same_bits(tmp_path):
    script = (
        "import sys; from modescope.engines import layout; from modescope.cli import main\n"
        "layout.possible = lambda device: ('vmap',)\n"
        "main()\n"
    )
    command = [sys.executable, "-c", script, "train", "digits", "--engine", "stacked"]
    command += [part for setting in TINY for part in ("--set", setting)]
    subprocess.run([*command, "-o", tmp_path / "whole"], check=True, stdout=subprocess.DEVNULL)
    random = np.random.default_rng(1)
    for _ in range(3):
        process = subprocess.Popen(
            [*command, "-o", tmp_path / "killed"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        process.stdout.readline()
        time.sleep(random.uniform(0, 1.5))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    subprocess.run([*command, "-o", tmp_path / "killed"], check=True, stdout=subprocess.DEVNULL)
    whole, killed = (study.plan(load("digits", TINY), tmp_path / name) for name in ("whole", "killed"))
    assert not killed.job.members
    assert files(killed.run) == files(whole.run)
    assert not list((tmp_path / "killed").rglob(".partial-*"))


def test_where_vmap_cannot_take_a_module_the_engine_falls_back_and_says_so(tmp_path):
    recipe = load("digits", [*TINY, "model.name=test_stacked:undecided"])
    training = study.plan(recipe, tmp_path / "run", engine="stacked")
    told = []
    study.carry_out(training, lambda member, record: None, told.append)
    assert read_provenance(training.run)["stacked"]["lowering"] == "loop"
    assert any("test_stacked:undecided cannot be computed by vmap" in line for line in told), told
    assert told[0].startswith("3 members at a time, loop (measured, in ms a step and member: loop ")
    alone, _ = trained(tmp_path / "alone", "model.name=test_stacked:undecided")
    for member in range(3):
        ours, theirs = (safetensors.torch.load_file(run.snapshot(member, 3)) for run in (training.run, alone))
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("lowering", ["vmap", "loop"])
def test_a_member_that_diverges_does_not_stop_its_block(tmp_path, only, lowering):
    only(lowering)
    with pytest.raises(MembersFailedError) as caught:
        trained(tmp_path / "run", "model.name=test_stacked:wild", "ensemble.members=5", engine="stacked")
    failed = set(caught.value.failures)
    assert 0 < len(failed) < 5
    assert all("its training loss in epoch 1 is nan" in str(error) for error in caught.value.failures.values())
    training = study.plan(
        load("digits", [*TINY, "model.name=test_stacked:wild", "ensemble.members=5"]), tmp_path / "run"
    )
    assert set(training.job.members) == failed


def test_blocks_are_as_large_as_memory_allows(monkeypatch):
    recipe = load("report-smallcnn", ["data.source=digits"])
    tensors = in_memory(load_data(recipe.data), recipe.data, dtype=torch.float32, device=CPU)
    for free, fits in ((2**30, True), (2**20, False)):
        monkeypatch.setattr(layout.psutil, "virtual_memory", lambda free=free: type("M", (), {"available": free}))
        assert (layout._fitting(recipe, tensors) > 10) is fits
    assert layout._fitting(recipe, tensors) == 1


def test_streams_are_for_gpus():
    assert "streams" in LOWERINGS
    assert "streams" not in ON_CPU
