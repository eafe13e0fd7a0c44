"""Ray: a real cluster of two nodes on this machine, one of which is killed; a local Ray; what goes wrong there."""

import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import TINY, files, trained
from modescope import study
from modescope.engines import choice
from modescope.engines.choice import Asked, check_request, choose
from modescope.engines.layout import recorded_layout
from modescope.errors import MembersFailedError, RequestError
from modescope.recipe import load
from modescope.store.provenance import read_provenance, record_provenance

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray leaves its processes to the system
SETTINGS = [part for setting in TINY for part in ("--set", setting)]


@pytest.fixture
def cluster(monkeypatch):
    # a head that computes nothing, and two nodes of one CPU each
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def local():
    # a Ray of this machine that several tests use; the engine leaves it open
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


def test_a_node_killed_in_the_middle_costs_at_most_the_epoch_in_flight(tmp_path, cluster):
    more = "training.epochs=12"
    alone, _ = trained(tmp_path / "alone", more)
    training = study.plan(load("digits", [*TINY, more]), tmp_path / "run", engine="ray", ray_address=cluster.address)
    newest, told, said = {}, [], []

    def on_epoch(member, record):
        told.append((member, record.epoch))
        newest[member] = record.epoch
        if len(cluster.nodes) == 2 and len(newest) == 2 and min(newest.values()) >= 3:
            cluster.remove_node(cluster.nodes.pop(), allow_graceful=False)

    study.carry_out(training, on_epoch, said.append)
    assert len(cluster.nodes) == 1
    (lost,) = said
    assert "was lost" in lost
    assert files(training.run) == files(alone)
    every = {(member, epoch) for member in range(3) for epoch in range(13)}
    assert len(told) == len(every)
    assert set(told) == every  # each once, also those whose telling was on the way when the node went
    assert not list(training.run.path.rglob(".partial-*"))


def test_a_ray_of_its_own_starts_and_stops(tmp_path):
    assert not ray.is_initialized()
    alone, _ = trained(tmp_path / "alone")
    run, records = trained(tmp_path / "run", engine="ray", workers=2)
    assert files(run) == files(alone)
    assert sorted((member, record.epoch) for member, record in records) == [(m, e) for m in range(3) for e in range(4)]
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("address", "words"), [("127.0.0.1:1", "No Ray cluster could be joined at 127.0.0.1:1"), ("ray://head:1", "Client")]
)
def test_an_address_where_no_cluster_is(tmp_path, address, words):
    with pytest.raises(RequestError, match=words):
        trained(tmp_path / "run", engine="ray", ray_address=address)
    assert not ray.is_initialized()


def test_blocks_of_members_are_tasks_too(tmp_path, local):
    more = ("training.precision=float64", "ensemble.members=4")
    run, _ = trained(tmp_path / "run", *more, engine="ray", block_size=2)
    layout = recorded_layout(read_provenance(run))
    assert layout.blocks == ((0, 1), (2, 3))
    here = study.plan(load("digits", [*TINY, *more]), tmp_path / "stacked", engine="stacked")
    record_provenance(here.run, stacked=layout.record())  # not what a measurement may find here
    study.carry_out(here, lambda member, record: None)
    assert files(run) == files(here.run)


@pytest.fixture
def network(tmp_path, monkeypatch):
    # writes a network into a module, and gives the setting that names it

    def written(name, imports, *, before, factory="return Net(64, classes)"):
        (tmp_path / f"{name}.py").write_text(
            f"import {imports}\n"
            "class Net(torch.nn.Linear):\n"
            "    def forward(self, x):\n"
            f"        {before}\n"
            "        return super().forward(x.flatten(1))\n"
            "def net(input_shape, classes):\n"
            f"    {factory}\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        return f"model.name={name}:net"

    return written


def test_one_members_failure_is_its_own(tmp_path, local, network):
    failing = network(
        "failing_net",
        "torch",
        before="assert not (self.training and self.fails and x.shape[0] == 32), 'no more of this'",
        factory="made = Net(64, classes); made.fails = bool(made.weight[0, 0] > 0); return made",
    )
    with pytest.raises(MembersFailedError, match="no more of this") as caught:
        trained(tmp_path / "run", failing, "ensemble.members=6", engine="ray")
    failed = set(caught.value.failures)
    assert 0 < len(failed) < 6
    left = study.plan(load("digits", [*TINY, failing, "ensemble.members=6"]), tmp_path / "run", engine="ray")
    assert set(left.job.members) == failed


def test_a_worker_that_is_lost_again_and_again_has_failed(tmp_path, local, network):
    deadly = network("deadly_net", "os, torch", before="self.training and x.shape[0] == 32 and os._exit(1)")
    said = []
    recipe = load("digits", [*TINY, deadly, "ensemble.members=1"])
    training = study.plan(recipe, tmp_path / "run", engine="ray")
    with pytest.raises(MembersFailedError, match="lost 3 times without finishing an epoch"):
        study.carry_out(training, lambda member, record: None, said.append)
    assert len(said) in (2, 3)  # the first life put epoch 0 on disk, and may have told of it


def test_more_than_any_node_has_is_refused(tmp_path, local):
    with pytest.raises(RequestError, match="No node of the Ray cluster has room for a member: it takes 64 CPUs"):
        trained(tmp_path / "run", "training.threads_per_member=64", engine="ray")
    if not ray.cluster_resources().get("GPU"):
        with pytest.raises(RequestError, match="no node of the Ray cluster has a GPU"):
            trained(tmp_path / "gpu", engine="ray", device="cuda")


def test_killed_with_its_own_ray_the_same_command_goes_on(tmp_path):
    alone, _ = trained(tmp_path / "alone", "training.epochs=30")
    run = tmp_path / "run"
    command = [sys.executable, "-m", "modescope", "train", "digits", "-o", str(run), *SETTINGS]
    command += ["--set", "training.epochs=30", "--engine", "ray"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(run.rglob("005.safetensors")):
        time.sleep(0.05)
        assert first.poll() is None
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    made = study.plan(alone.recipe, run).run
    assert files(made) == files(alone)


def test_without_ray_the_engine_is_refused(monkeypatch):
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install 'modescope\[ray\]'"):
        check_request(Asked("ray"))


def test_the_choice_says_where():
    import torch

    sizes = {"device": torch.device("cpu"), "members": 3, "threads": 1, "member_bytes": 1}
    assert choose(Asked("ray"), **sizes) == choice.Choice("ray", None, "on this machine")
    there = choose(Asked("ray", workers=4, ray_address="head:6379"), **sizes)
    assert there == choice.Choice("ray", 4, "on the cluster at head:6379")
