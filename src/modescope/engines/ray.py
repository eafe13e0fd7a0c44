"""`ray`: members, or blocks of members, as tasks of a Ray cluster.

A task trains what is missing of its members and writes it into the run, which all nodes reach under the same path. It
tells of each epoch that is on disk. A task whose worker or node is lost is given to Ray again and goes on from the
newest epoch on disk; one that is lost again and again without getting any further has failed.
"""

import math
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import no_type_check

import numpy as np
import ray
import torch
from ray.exceptions import RayError, RayTaskError, TaskCancelledError

from modescope.allocator import keep_freed_memory
from modescope.data import DataSet, Split
from modescope.data.tensors import TensorData
from modescope.engines.cluster import check_room, connected, gpus
from modescope.engines.job import Job
from modescope.engines.layout import Layout, laid_out, settled
from modescope.engines.outcome import reportable
from modescope.engines.stacked import train_block
from modescope.errors import DiskFullError, ModescopeError, RequestError, WorkError
from modescope.files import sweep
from modescope.store.epochs import check_member
from modescope.store.history import read_history
from modescope.store.run import Run
from modescope.training.member import initial_network, train_member
from modescope.training.memory import training_bytes
from modescope.training.precision import data_for_training
from modescope.types import EpochRecord, OnEpoch

_PATIENCE = 3  # times in a row that a task may be lost without having finished an epoch
_MOST_ON_A_GPU = 8  # members that share one, each a process of its own
_GPU_SHARE = 0.8  # of its memory
_ENDING_SECONDS = 30.0  # that cancelled tasks get to end


def train_on_ray(job: Job, on_epoch: OnEpoch) -> Mapping[int, BaseException]:
    """Train the members of a job as Ray tasks; see `Engine`.

    Raises:
        RequestError: The cluster cannot be joined, or has no room for a member.
    """
    if isinstance(job.run.path, Path):  # workers have other current folders
        job = replace(job, run=replace(job.run, path=job.run.path.absolute()))
    data = _plain(job.data)
    threads = job.run.recipe.training.threads_per_member
    asked = None if job.workers is None else job.workers * threads
    with connected(job.ray_address, cpus=asked, shared_bytes=_nbytes(data)):
        worker = _Worker(job.run, job.device, tuple(map(os.path.abspath, sys.path)))
        tasks = _Tasks(job, worker, ray.put(data), on_epoch)
        try:
            tasks.train()
        finally:
            tasks.end()
    return tasks.failures


@dataclass(frozen=True)
class _Worker:
    """What every task needs to know."""

    run: Run
    device: torch.device
    path: tuple[str, ...]  # where the user's own modules are imported from

    def load(self, data: DataSet) -> TensorData:
        """The data as this worker trains on them."""
        keep_freed_memory()
        sys.path.extend(place for place in self.path if place not in sys.path)
        return data_for_training(self.run.recipe, data, self.device)


@dataclass
class _Task:
    """Members that one task trains, and how it fared."""

    members: tuple[int, ...]
    lowering: str | None  # of a block; None for a member by itself
    lost: int = 0  # times in a row without an epoch between


@dataclass
class _Tasks:
    """All tasks of one job."""

    job: Job
    worker: _Worker
    data: ray.ObjectRef
    on_epoch: OnEpoch
    failures: dict[int, BaseException] = field(default_factory=dict)
    running: list[tuple["ray.ObjectRefGenerator", _Task]] = field(default_factory=list)
    any_lost: bool = False
    told: set[tuple[int, int]] = field(default_factory=set)  # (member, epoch)

    def train(self) -> None:
        """Hand tasks to Ray until all members are trained or have failed."""
        options = self._options()
        waiting = deque(self._tasks())
        while waiting or self.running:
            while waiting and (self.job.workers is None or len(self.running) < self.job.workers):
                task = waiting.popleft()
                remote = ray.remote(_trained).options(num_returns="streaming", max_retries=0, **options)
                self.running.append((remote.remote(self.worker, self.data, task.members, task.lowering), task))
            ready, _ = ray.wait([stream for stream, _ in self.running], num_returns=1)
            for stream in ready:
                place = next(index for index, (running, _) in enumerate(self.running) if running is stream)
                self._listen(place, waiting)

    def end(self) -> None:
        """Stop the tasks that still run, and sweep up what lost ones have left."""
        streams = [stream for stream, _ in self.running]
        for stream in streams:
            ray.cancel(stream, force=True)  # every epoch on disk is whole
        if streams:
            ray.wait([stream.completed() for stream in streams], num_returns=len(streams), timeout=_ENDING_SECONDS)
        if streams or self.any_lost:
            sweep(self.job.run.path)

    def _listen(self, place: int, waiting: deque[_Task]) -> None:
        stream, task = self.running[place]
        try:
            told = ray.get(next(stream))
        except StopIteration:
            del self.running[place]
            return
        except (RayTaskError, TaskCancelledError) as error:  # not lost: the task itself cannot run there
            del self.running[place]
            cause = getattr(error, "cause", None) or error
            self.failures |= dict.fromkeys(task.members, WorkError(f"{type(cause).__name__}: {cause}"))
            return
        except RayError as error:
            del self.running[place]
            self._lost(task, error, waiting)
            return
        if isinstance(told, Mapping):
            if self.any_lost:
                self._tell_rest(task)
            self._ended(told)
            return
        task.lost = 0
        self._tell(*told)

    def _tell(self, member: int, record: EpochRecord) -> None:
        """Tell of an epoch, once."""
        if (member, record.epoch) not in self.told:
            self.told.add((member, record.epoch))
            self.on_epoch(member, record)

    def _tell_rest(self, task: _Task) -> None:
        """Tell of what got on disk while its telling was on the way, which is lost with a worker."""
        for member in set(task.members) & set(self.job.members):
            for epoch, record in sorted(read_history(self.job.run, member).items()):
                if epoch in self.job.members[member].missing:
                    self._tell(member, record)

    def _ended(self, outcomes: Mapping[int, ModescopeError]) -> None:
        for error in outcomes.values():
            if isinstance(error, (DiskFullError, RequestError)):  # the others would meet the same
                raise error
        self.failures |= outcomes

    def _lost(self, task: _Task, error: RayError, waiting: deque[_Task]) -> None:
        self.any_lost = True
        task.lost += 1
        who = f"member {task.members[0]}" if len(task.members) == 1 else f"members {', '.join(map(str, task.members))}"
        if task.lost < _PATIENCE:
            self.job.tell(f"The worker of {who} was lost ({type(error).__name__}); it is given to another.")
            waiting.appendleft(task)
            return
        why = f"its worker was lost {_PATIENCE} times without finishing an epoch ({type(error).__name__})."
        self.failures |= dict.fromkeys(task.members, WorkError(why))

    def _tasks(self) -> list[_Task]:
        """Members by themselves, or in blocks."""
        if self._block_size() == 1:
            return [_Task((member,), None) for member in self.job.members]
        layout = settled(self.job.run, list(self.job.members), self._lay_out)
        blocks = [block for block in layout.blocks if any(member in self.job.members for member in block)]
        return [_Task(block, layout.lowering) for block in blocks]

    def _block_size(self) -> int:
        """As asked, or as many members a GPU as share them evenly; on CPUs each by itself."""
        if self.job.block_size is not None:
            return self.job.block_size
        return math.ceil(len(self.job.members) / max(gpus(), 1)) if self._on_gpus() else 1

    def _on_gpus(self) -> bool:
        return self.job.device.type == "cuda"

    def _lay_out(self, members: list[int]) -> Layout:
        remote = ray.remote(_laid_out).options(num_gpus=1 if self._on_gpus() else 0)
        layout, told = ray.get(remote.remote(self.worker, self.data, members, self._block_size()))
        for sentence in told:
            self.job.tell(sentence)
        return layout

    def _options(self) -> dict[str, int | float]:
        """What a task takes of a node."""
        recipe = self.job.run.recipe
        cpus = recipe.training.threads_per_member
        network = initial_network(recipe, 0, self.job.data.input_shape, len(self.job.data.class_names))
        taken = training_bytes(network, self.job.data.network_shape, recipe.training.batch_size)
        if not self._on_gpus():
            memory = taken * self._block_size()
            check_room(cpus=cpus, memory=memory, gpu=False)
            return {"num_cpus": cpus, "memory": memory}
        check_room(cpus=cpus, memory=0, gpu=True)
        if self._block_size() > 1:
            return {"num_cpus": cpus, "num_gpus": 1}
        whole = ray.get(ray.remote(_gpu_bytes).options(num_gpus=1).remote())
        return {"num_cpus": cpus, "num_gpus": 1 / max(1, min(_MOST_ON_A_GPU, int(_GPU_SHARE * whole / taken)))}


@no_type_check  # what checks types wraps what it checks, and Ray would no longer know a generator
def _trained(
    worker: _Worker, data: DataSet, members: tuple[int, ...], lowering: str | None
) -> Iterator[tuple[int, EpochRecord] | Mapping[int, ModescopeError]]:
    """In a worker: train.

    Yields:
        (member, record) as epochs get on disk, and at last what went wrong, by member.
    """
    told: queue.SimpleQueue = queue.SimpleQueue()

    def on_epoch(member: int, record: EpochRecord) -> None:
        told.put((member, record))

    def train() -> None:
        failures: Mapping[int, BaseException] = {}
        try:
            tensors = worker.load(data)
            progress = {member: check_member(worker.run, member) for member in members}
            missing = {member: found for member, found in progress.items() if found.missing}
            if lowering is not None:
                failures = train_block(worker.run, tensors, members, lowering, missing, on_epoch)
            else:
                for member, found in missing.items():
                    train_member(worker.run, tensors, member, found, on_epoch)
        except Exception as error:  # whatever it is, the one who waits must hear of it
            failures = dict.fromkeys(members, error)
        told.put({member: reportable(error) for member, error in failures.items()})

    thread = threading.Thread(target=train, daemon=True)  # so that an epoch can be told of while the next is trained
    thread.start()
    while True:
        outcome = told.get()
        yield outcome
        if isinstance(outcome, Mapping):
            thread.join()
            return


def _laid_out(worker: _Worker, data: DataSet, members: list[int], most: int) -> tuple[Layout, list[str]]:
    """In a worker: the layout of blocks, and what was told of it."""
    told: list[str] = []
    return laid_out(worker.run.recipe, worker.load(data), members, told.append, most=most), told


def _gpu_bytes() -> int:
    """In a worker: the memory of its GPU."""
    return torch.cuda.get_device_properties(0).total_memory


def _plain(data: DataSet) -> DataSet:
    """Without memory maps: Ray shares plain arrays between the processes of a node, and copies anything else."""

    def plain(split: Split) -> Split:
        return Split(np.asarray(split.inputs).view(np.ndarray), np.asarray(split.labels).view(np.ndarray))

    return replace(data, train=plain(data.train), test=plain(data.test))


def _nbytes(data: DataSet) -> int:
    return sum(array.nbytes for split in (data.train, data.test) for array in (split.inputs, split.labels))
