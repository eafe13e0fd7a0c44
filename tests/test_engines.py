"""Engines: the same bits whoever trains, one member's failure is its own, and what happens when something is killed."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from conftest import TINY, files, trained
from modescope import study
from modescope.data import DataSet, Split
from modescope.data.shared import share
from modescope.data.tensors import in_memory
from modescope.engines import choice
from modescope.engines.choice import Asked, check_request, choose
from modescope.errors import MembersFailedError, RequestError, RunError
from modescope.recipe import load
from modescope.store.lock import locked
from modescope.training.memory import activation_bytes, training_bytes

SETTINGS = [part for setting in TINY for part in ("--set", setting)]
GIB = 2**30


def train_command(path, *arguments):
    return [sys.executable, "-m", "modescope", "train", "digits", "-o", str(path), *SETTINGS, *map(str, arguments)]


# --- the same members ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [(), ("model.name=resnet20v1", "training.augment=report", "training.optimizer=sgd", "training.epochs=1")],
    ids=["dropout", "batch norm and augmentation"],
)
def test_processes_train_the_members_that_one_after_another_would(tmp_path, settings):
    alone, _ = trained(tmp_path / "alone", *settings)
    together, records = trained(tmp_path / "together", *settings, engine="processes", workers=2)
    assert files(together) == files(alone)
    states = len(alone.epochs)
    assert sorted(member for member, _ in records) == [member for member in range(3) for _ in range(states)]
    for member in range(3):
        assert [record.epoch for told, record in records if told == member] == list(range(states))
    assert not list(together.path.rglob(".partial-*"))
    made = json.loads(together.provenance.read_text())
    assert (made["engine"], made["workers"]) == ("processes", 2)


def test_what_one_engine_began_another_finishes(tmp_path):
    alone, _ = trained(tmp_path / "alone")
    begun = load("digits", TINY)
    training = study.plan(begun, tmp_path / "run", engine="sequential")

    def stop(member, record):
        if (member, record.epoch) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.carry_out(training, stop)
    run, records = trained(tmp_path / "run", engine="processes", workers=2)
    assert {(member, record.epoch) for member, record in records} == {(1, 3), (2, 0), (2, 1), (2, 2), (2, 3)}
    assert files(run) == files(alone)


# --- shared data --------------------------------------------------------------------------------------------------


def test_data_are_shared_by_memory_map_and_not_copied(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "inputs.npy", rng.integers(0, 255, (6, 4, 4, 1), dtype=np.uint8))
    mapped = Split(np.load(tmp_path / "inputs.npy", mmap_mode="r"), np.arange(6))
    data = DataSet(mapped, Split(rng.random((3, 4, 4, 1), np.float32), np.arange(3)), ("a", "b"), 255.0, "f")
    folder = tmp_path / "shared"
    folder.mkdir()
    shared = share(data, folder)
    assert len(list(folder.iterdir())) == 3  # the mapped array stays where it is
    opened = shared.open()
    for ours, theirs in ((opened.train, data.train), (opened.test, data.test)):
        np.testing.assert_array_equal(ours.inputs, theirs.inputs)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
    assert (opened.class_names, opened.brightest, opened.fingerprint) == (("a", "b"), 255.0, "f")
    tensors = in_memory(opened, load("digits").data, dtype=torch.float32, device=torch.device("cpu"))
    assert tensors.train.inputs.data_ptr() == opened.train.inputs.ctypes.data
    tensors.train.inputs.zero_()  # copy on write: nobody else sees it
    assert np.load(tmp_path / "inputs.npy").any()


def test_a_part_of_a_mapped_array_is_shared_as_that_part(tmp_path):
    np.save(tmp_path / "inputs.npy", np.arange(60, dtype=np.uint8).reshape(15, 2, 2, 1))
    part = np.load(tmp_path / "inputs.npy", mmap_mode="r")[5:]
    data = DataSet(Split(part, np.arange(10)), Split(part, np.arange(10)), ("a", "b"), 255.0, "f")
    np.testing.assert_array_equal(share(data, tmp_path).open().train.inputs, part)


# --- failures -----------------------------------------------------------------------------------------------------

FAULTY = """
import os, signal, pathlib
import torch

class Net(torch.nn.Linear):
    def __init__(self, classes):
        super().__init__(64, classes)
        self.fails = bool(self.bias[0] > 0)

    def forward(self, x):
        if self.training and self.fails and not pathlib.Path("mended").exists():
            FAULT
        return super().forward(x.flatten(1))

class OwnError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")

def net(input_shape, classes):
    return Net(classes)
"""


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise OwnError('this', 'that')", "this and that."),
        ("os.kill(os.getpid(), signal.SIGKILL)", "its process ended early (SIGKILL; the machine may have run out of"),
        ("os._exit(3)", "its process ended early (exit code 3)."),
    ],
    ids=["an exception that cannot be sent", "killed", "exit"],
)
def test_one_members_failure_is_its_own(tmp_path, monkeypatch, fault, words):
    (tmp_path / "faulty.py").write_text(FAULTY.replace("FAULT", fault))
    monkeypatch.chdir(tmp_path)
    arguments = ("--set", "model.name=faulty:net", "--engine", "processes", "--workers", 2)
    command = train_command("run", *arguments, "--set", "ensemble.members=5")
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 1, first.stderr
    assert words in first.stderr
    assert len(first.stderr.splitlines()) == 1
    failed = {member for member in range(5) if f"Member {member}: " in first.stderr}
    assert 0 < len(failed) < 5
    assert all(f"member {member}: epoch 3/3" in first.stdout for member in set(range(5)) - failed)
    (tmp_path / "mended").touch()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"Training {len(failed)} of 5 members" in again.stdout
    assert {int(line.split()[1][0]) for line in again.stdout.splitlines() if line.startswith("member")} == failed


def test_failures_name_their_member_in_python_too(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(FAULTY.replace("FAULT", "raise ValueError('no')"))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MembersFailedError) as caught:
        trained(tmp_path / "run", "model.name=broken:net", "ensemble.members=5", engine="processes", workers=2)
    assert caught.value.failures
    assert all(str(error) == "no" for error in caught.value.failures.values())


# --- kills --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sequential", "processes"])
def test_killed_at_random_moments_it_ends_as_if_nothing_had_happened(tmp_path, engine):
    whole, _ = trained(tmp_path / "whole")
    command = train_command(tmp_path / "killed", "--engine", engine)
    random = np.random.default_rng(0)
    for after in (random.uniform(0, 0.2), random.uniform(0, 0.5), random.uniform(0.5, 4)):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not (tmp_path / "killed" / "members").exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        time.sleep(after)
        workers = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive  # nobody goes on writing into the run
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    killed = study.plan(load("digits", TINY), tmp_path / "killed", engine="sequential")
    assert not killed.job.members
    assert files(killed.run) == files(whole)
    assert not list((tmp_path / "killed").rglob(".partial-*"))


def test_ctrl_c_ends_the_workers_too(tmp_path):
    command = train_command(tmp_path / "run", "--engine", "processes", "--set", "training.epochs=2000")
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells leave it ignored in the background
    )
    assert process.stdout.readline().startswith("Training 3 of 3")
    assert process.stdout.readline().startswith("member")
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == "Stopped. Every finished epoch is on disk; the same command goes on from there.\n"
    assert not psutil.wait_procs(workers, timeout=30)[1]


# --- one command at a time ----------------------------------------------------------------------------------------


def test_a_second_command_is_refused_with_the_firsts_host_and_process(tmp_path):
    command = train_command(tmp_path / "run", "--engine", "sequential", "--set", "training.epochs=2000")
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert first.stdout.readline().startswith("Training 3 of 3")
        assert first.stdout.readline().startswith("member")
        second = subprocess.run(command, capture_output=True, text=True)
        host = os.uname().nodename
        assert second.returncode == 2
        assert f"is being trained by another command (process {first.pid} on {host})." in second.stderr
        assert len(second.stderr.splitlines()) == 1
    finally:
        first.kill()  # so that the lock is a dead process's
        first.communicate()
    assert (tmp_path / "run" / ".lock-holder.json").is_file()
    training = study.plan(load("digits", [*TINY, "training.epochs=2000"]), tmp_path / "run", engine="sequential")
    assert 0 in training.job.members


def test_a_lock_is_released_and_leaves_no_word_behind(tmp_path):
    run, _ = trained(tmp_path / "run", "ensemble.members=1")
    with locked(run):
        with pytest.raises(RunError, match=rf"process {os.getpid()} on"), locked(run):
            pass
    with locked(run):
        assert json.loads(run.lock_holder.read_text())["process"] == os.getpid()
    assert not run.lock_holder.exists()


# --- the choice ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "machine", "chosen"),
    [
        ({}, {}, ("processes", 4, "4 cores, 1 thread a member")),
        ({"threads": 2}, {}, ("processes", 2, "4 cores, 2 threads a member")),
        ({"threads": 4}, {}, ("sequential", 1, "4 cores, 4 threads a member")),
        ({"threads": 8}, {}, ("sequential", 1, "4 cores, 8 threads a member")),
        ({"members": 3}, {}, ("processes", 3, "3 members to train")),
        ({"members": 1}, {}, ("sequential", 1, "1 member to train")),
        ({}, {"cores": 1}, ("sequential", 1, "1 core, 1 thread a member")),
        ({}, {"free": 3 * GIB}, ("processes", 3, "3.0 GiB of free memory, 1.0 GiB a member")),
        ({"member_bytes": 9 * GIB}, {}, ("sequential", 1, "8.0 GiB of free memory, 9.0 GiB a member")),
        ({"engine": "processes", "members": 1}, {}, ("processes", 1, "1 member to train")),
        ({"engine": "processes", "workers": 7}, {}, ("processes", 7, "as asked")),
        ({"engine": "sequential"}, {}, ("sequential", 1, "as asked")),
        ({"workers": 3}, {}, ("processes", 3, "as asked")),
        ({"workers": 1}, {}, ("sequential", 1, "as asked")),
    ],
)
def test_the_engine_suits_the_machine(monkeypatch, asked, machine, chosen):
    machine = {"cores": 4, "free": 8 * GIB, **machine}
    monkeypatch.setattr(choice.joblib, "cpu_count", lambda: machine["cores"])
    monkeypatch.setattr(choice.psutil, "virtual_memory", lambda: type("Memory", (), {"available": machine["free"]}))
    names = ("engine", "workers")
    how = Asked(**{name: value for name, value in asked.items() if name in names})
    sizes = {name: value for name, value in asked.items() if name not in names}
    defaults = {"members": 10, "threads": 1, "member_bytes": GIB}
    made = choose(how, **{**defaults, **sizes}, device=torch.device("cpu"))
    assert (made.engine, made.workers, made.why) == chosen


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"workers": 0}, "--workers 0"),
        ({"engine": "processes", "workers": -1}, "--workers -1"),
        ({"engine": "sequential", "workers": 2}, "--workers 2"),
        ({"engine": "processes", "block_size": 2}, "--block-size 2 needs --engine stacked or ray"),
        ({"engine": "stacked", "block_size": 0}, "--block-size 0"),
        ({"ray_address": "host:6379"}, "--ray-address host:6379 needs --engine ray"),
        ({"engine": "magic"}, "There is no engine 'magic'. There are auto, sequential, processes, stacked, ray"),
    ],
)
def test_requests_that_make_no_sense(asked, words):
    with pytest.raises(RequestError, match=words):
        check_request(Asked(**asked))


def test_activations_are_counted_once_each():
    inputs = torch.zeros(2, 4)
    # the first layer keeps its input (4 floats an example), ReLU its output (3), which the last layer keeps too
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    assert activation_bytes(network, inputs) == 4 * (4 + 3)
    wide = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    assert activation_bytes(wide, torch.zeros(2, 3, 16, 16)) == 4 * (3 + 8) * 16 * 16
    assert network.training


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other habits")
def test_freed_memory_is_kept_for_the_next_step():
    # memory that the system hands out anew is counted as page faults
    program = (
        "import resource, torch\n"
        "from modescope.allocator import keep_freed_memory\n"
        "KEEP\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(20):\n"
        "        held = [torch.zeros(20, 2**18) for _ in range(4)]\n"  # 20 MiB each, as a step's activations
        "        held.reverse()\n"  # the last is freed first, as in a backward pass
        "        del held\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "faults(); print(faults())\n"
    )

    def faults(line):
        command = [sys.executable, "-c", program.replace("KEEP", line)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults("keep_freed_memory()") < faults("pass") / 10


def test_a_member_needs_more_for_larger_batches_and_networks():
    small = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    assert training_bytes(small, (1, 8, 8), 1) > 300 * 2**20
    large = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU())
    more = training_bytes(large, (3, 32, 32), 256) - training_bytes(large, (3, 32, 32), 128)
    assert more == 2 * 128 * activation_bytes(large, torch.zeros(2, 3, 32, 32))


def test_data_folder_is_gone_after_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr("modescope.engines.processes._Pool.train", lambda pool: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trained(tmp_path / "run", engine="processes", workers=2)
    assert not [path for path in Path(tmp_path).rglob("*") if path.name.startswith(".partial-")]
