"""Networks made from vectors: what they say against the modules themselves, batch-norm statistics, dropout."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from conftest import trained
from modescope import analyses
from modescope.analyses.bench import OPTIMUM, Bench
from modescope.data.tensors import Scaling, TensorSplit
from modescope.errors import NotApplicableError
from modescope.settings import TrainingSettings
from modescope.store.predictions import read_epoch
from modescope.training.batch_norm import BatchStatistics
from modescope.training.networks import Networks, joined
from modescope.training.stack import LOWERINGS
from modescope.training.statistics import LIMIT, Statistics

SCALING = Scaling(1.0, None, torch.float32)


def split(examples=64, size=8, channels=3, seed=0, spread=1.0):
    draws = torch.Generator().manual_seed(seed)
    images = 2 + spread * torch.randn((examples, size, size, channels), generator=draws)
    return TensorSplit(images, torch.zeros(examples, dtype=torch.int64))


def network_with_norms(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(180, 7), nn.BatchNorm1d(7), nn.Linear(7, 4),
    )  # fmt: skip


def networks_of(module, **settings):
    trained = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    return Networks(module, trained, TrainingSettings(**settings), SCALING, torch.zeros(2, 3, 8, 8))


def vector_of(module):
    return torch.cat([
        parameter.detach().double().reshape(-1) for parameter in module.parameters() if parameter.requires_grad
    ])


def said_by(module, data):
    with torch.no_grad():
        return F.log_softmax(module.eval()(SCALING(data.inputs)), dim=1)


@pytest.fixture(autouse=True)
def global_generator():
    with torch.random.fork_rng():
        yield


def test_vectors_say_what_their_modules_say_with_their_own_buffers():
    data, modules = split(), [network_with_norms(seed) for seed in range(3)]
    for module in modules:  # statistics of their own
        module.train()(SCALING(split(seed=5, spread=3.0).inputs))
    networks = networks_of(modules[0])
    assert networks.parameters == sum(parameter.numel() for parameter in modules[0].parameters())
    ready = joined([
        networks.prepared(vector_of(module)[None], statistics=None, others=module.state_dict()) for module in modules
    ])
    said = networks.log_prob(ready, data)
    for module, one in zip(modules, said, strict=True):
        torch.testing.assert_close(one, said_by(module, data), rtol=1e-5, atol=1e-5)
    assert torch.equal(networks.log_prob(ready.part(slice(1, 2)), data)[0], said[1])


def test_a_member_says_what_is_on_disk_to_the_bit(finished):
    bench = Bench(finished, torch.device("cpu"))
    for member in finished.members:
        said = bench.ask(bench.prepared(member, OPTIMUM, 1))[0]
        np.testing.assert_array_equal(said, read_epoch(finished, member, finished.epochs[-1]))
    states = bench.ask(bench.prepared(1, "late_snapshots", 3))
    for epoch, said in zip((3, 2), states, strict=True):  # the newest first, of the second half of training
        np.testing.assert_array_equal(said, read_epoch(finished, 1, epoch))


def test_refreshed_statistics_are_those_of_the_data():
    # the first norm sees the data themselves: mean and variance over all examples, rows and columns are known
    data = split(examples=83, spread=1.7)
    module = network_with_norms()
    networks = networks_of(module)
    ready = networks.prepared(torch.stack([vector_of(module), 2 * vector_of(module)]), statistics=data)
    used = data.inputs[:80].numpy().reshape(-1, 3)  # four equal batches of 20
    for one in range(2):
        np.testing.assert_allclose(ready.rest["0.running_mean"][one], used.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(ready.rest["0.running_var"][one], used.var(axis=0, ddof=1), rtol=1e-5)
    # the second sees what the first layers make of each batch; the oracle collects it by hand
    collected, means = [], []
    first, convolution = copy.deepcopy(module[0]).train(), module[1]
    for batch in data.inputs[:80].split(20):
        with torch.no_grad():
            made = convolution(first(SCALING(batch)))
        collected.append(made)
        means.append(made.mean(dim=(0, 2, 3)))
    together = torch.cat(collected)
    np.testing.assert_allclose(ready.rest["2.running_mean"][0], together.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ready.rest["2.running_var"][0], together.var(dim=(0, 2, 3)), rtol=1e-4)
    # and the predictions use them
    module[0].running_mean, module[0].running_var = (
        ready.rest[f"0.{what}"][0] for what in ("running_mean", "running_var")
    )
    for number in (2, 7):
        for what in ("running_mean", "running_var"):
            getattr(module[number], what).copy_(ready.rest[f"{number}.{what}"][0])
    torch.testing.assert_close(networks.log_prob(ready, data)[0], said_by(module, data), rtol=1e-5, atol=1e-5)


def test_refreshing_leaves_the_network_as_it_was():
    module = network_with_norms()
    statistics = BatchStatistics(module.eval())
    with statistics.collecting():
        assert module[0].training
        assert not module[4].training
    assert not any(part.training for part in module.modules())
    assert module[0].momentum == 0.1
    assert not module[0]._forward_pre_hooks
    assert not BatchStatistics(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False)))


def test_networks_in_one_program_agree_with_one_after_another(monkeypatch):
    # what a GPU does: several networks at once through vmap
    data, modules = split(), [network_with_norms(seed) for seed in range(3)]
    vectors = torch.stack([vector_of(module) for module in modules])
    alone, stacked = networks_of(modules[0]), networks_of(modules[0])
    monkeypatch.setattr(stacked, "_together", 2)
    results = []
    for networks, lowering in ((alone, "loop"), (stacked, "vmap")):
        monkeypatch.setitem(LOWERINGS, "loop", LOWERINGS[lowering])
        ready = networks.prepared(vectors, statistics=data, dropout_seeds=[3, 4, 5])
        results.append((ready, networks.log_prob(ready, data)))
    (one, said), (other, said_together) = results
    torch.testing.assert_close(said_together, said, rtol=1e-4, atol=1e-5)
    for name in one.rest:
        torch.testing.assert_close(other.rest[name], one.rest[name], rtol=1e-4, atol=1e-5)


def test_dropout_is_on_for_those_that_are_asked_with_it_and_repeats():
    data, module = split(), network_with_norms()
    networks = networks_of(module)
    vectors = vector_of(module).expand(3, -1)
    ready = networks.prepared(vectors, statistics=None, dropout_seeds=[1, 2, 1])
    one, other, again = networks.log_prob(ready, data)
    assert torch.equal(one, again)
    assert not torch.allclose(one, other, atol=1e-3)
    still = networks.log_prob(networks.prepared(vectors, statistics=None), data)
    assert torch.equal(still[0], still[1])
    torch.testing.assert_close(still[0], said_by(module, data), rtol=1e-5, atol=1e-5)
    assert networks.has_dropout
    assert not networks_of(nn.Sequential(nn.Flatten(), nn.Dropout(0.0), nn.Linear(192, 2))).has_dropout


def test_frozen_parameters_come_from_the_run():
    module = network_with_norms()
    module[1].weight.requires_grad_(False)
    networks = networks_of(module)
    other = copy.deepcopy(module)
    with torch.no_grad():
        other[1].weight.mul_(-1)
    ready = networks.prepared(vector_of(module)[None], statistics=None, others=other.state_dict())
    torch.testing.assert_close(networks.log_prob(ready, split())[0], said_by(other, split()), rtol=1e-5, atol=1e-5)


def statistics_of(vectors, examples, looked_at):
    data = split(examples=examples, seed=3)
    order = torch.randperm(examples, generator=torch.Generator().manual_seed(1))
    module = network_with_norms()
    return Statistics(networks_of(module), vectors, data, order, module.state_dict(), looked_at)


def classes_with(found, count):
    ready = found._networks.prepared(found._vectors, statistics=found.part(count), others=found._others)
    return found._networks.log_prob(ready, found._looked_at).argmax(-1)


@pytest.mark.parametrize("examples", [3000, 700, 100])
def test_how_many_examples_the_statistics_need_is_found_out(examples):
    vectors = torch.stack([vector_of(network_with_norms(seed)) for seed in (0, 1, 2)])
    found = statistics_of(vectors, examples, split(examples=400, seed=9))
    count, change = found.enough()
    counts = [tried for tried in (256, 512, 1024, 2048) if tried < examples] + [examples]
    assert count in counts
    assert change <= LIMIT
    for tried in counts[: counts.index(count)]:
        assert found.change(tried) > LIMIT
    for tried in counts:  # the worst network, over both doublings or all that there are
        before = classes_with(found, tried)
        more = [classes_with(found, min(factor * tried, examples)) for factor in (2, 4)]
        worst = max(float((after != before).double().mean(dim=1).max()) for after in more)
        assert found.change(tried) == worst
    assert found.change(examples) == 0


def test_one_network_that_is_not_settled_is_enough_to_go_on():
    sure = vector_of(network_with_norms())
    sure[-4:] = torch.tensor([50.0, 0.0, 0.0, 0.0])  # the last layer's biases: always the first class
    unsure = vector_of(network_with_norms())
    looked_at = split(examples=400, seed=9)
    alone = statistics_of(sure[None], 3000, looked_at)
    assert alone.enough() == (256, 0.0)
    both = statistics_of(torch.stack([sure, unsure]), 3000, looked_at)
    assert both.change(256) > LIMIT
    assert both.enough()[0] > 256


@pytest.mark.parametrize("examples", [1, 2, 3, 7])
def test_few_examples_make_statistics_all_the_same(examples):
    module = network_with_norms()
    networks = networks_of(module)
    ready = networks.prepared(vector_of(module)[None], statistics=split(examples=examples))
    assert torch.isfinite(networks.log_prob(ready, split())).all()
    assert torch.equal(ready.rest["7.running_var"][0], module[7].running_var) == (examples == 1)


def test_frozen_tensors_are_not_copied_for_every_network():
    module = network_with_norms()
    module[1].weight.requires_grad_(False)
    ready = networks_of(module).prepared(vector_of(module).expand(50, -1), statistics=split())
    assert ready.rest["1.weight"].untyped_storage().nbytes() == module[1].weight.nbytes


class WithHiddenBuffer(nn.Module):
    """A random buffer that no state_dict holds."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.register_buffer("mask", torch.rand(64), persistent=False)

    def forward(self, images):
        return self.linear(images.flatten(1) * self.mask)


class WithFrozenLayer(nn.Module):
    """A random layer that is not trained."""

    def __init__(self):
        super().__init__()
        self.first, self.linear = nn.Linear(64, 32), nn.Linear(32, 10)
        self.first.requires_grad_(False)

    def forward(self, images):
        return self.linear(torch.relu(self.first(images.flatten(1))))


def test_buffers_that_are_not_saved_are_each_members_own(tmp_path):
    run, _ = trained(tmp_path / "run", "model.name=test_networks:WithHiddenBuffer", "ensemble.members=2")
    bench = Bench(run, torch.device("cpu"))
    for member in (0, 1):
        said = bench.ask(bench.prepared(member, OPTIMUM, 1))[0]
        np.testing.assert_array_equal(said, read_epoch(run, member, 3))


@pytest.mark.parametrize("network", ["WithHiddenBuffer", "WithFrozenLayer"])
def test_there_is_nothing_between_members_whose_untrained_parts_differ(tmp_path, network):
    run, _ = trained(tmp_path / "run", f"model.name=test_networks:{network}", "ensemble.members=2")
    for name in ("connectors", "radial_plane"):
        with pytest.raises(NotApplicableError, match=f"{name} looks at networks between members, but members 0 and 1"):
            analyses.analyze(run, name)


def test_float64_networks_answer_in_float64():
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).double()
    scaling = Scaling(1.0, None, torch.float64)
    networks = Networks(module, ["1.weight", "1.bias"], TrainingSettings(precision="float64"), scaling,
                        torch.zeros(2, 3, 8, 8, dtype=torch.float64))  # fmt: skip
    said = networks.log_prob(networks.prepared(vector_of(module)[None], statistics=None), split())
    assert said.dtype == torch.float64


def test_a_network_with_batch_norm_goes_through_every_method(tmp_path):
    run, _ = trained(tmp_path / "run", "model.name=resnet20v1", "ensemble.members=2", "training.epochs=3",
                     "analyses.subspaces.statistics_examples=64")  # fmt: skip
    bench = Bench(run, torch.device("cpu"))
    fit, left_out = bench.methods()
    assert set(left_out) == {"snapshot_ensemble", "mc_dropout"}
    assert left_out["mc_dropout"] == "mc_dropout needs a network with dropout; resnet20v1 has none."
    own = bench.state(0, 3)
    for method in fit:
        ready = bench.prepared(0, method, 2)
        if len(ready):
            assert not torch.allclose(ready.rest["norm.running_mean"][0], own["norm.running_mean"], rtol=1e-4), method
            assert torch.isfinite(torch.from_numpy(bench.ask(ready))).all()
    assert bench.facts["statistics_examples"] == 64
