"""`processes`: members side by side, each in a process of its own.

Workers are spawned, share the data set through memory maps, and are handed one member after another. Each has a pipe of
its own to this process, so one that is killed in the middle of a message harms no other.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from modescope.allocator import keep_freed_memory
from modescope.data.shared import SharedDataSet, share
from modescope.engines.job import Job
from modescope.engines.outcome import reportable
from modescope.errors import DiskFullError, RequestError, WorkError
from modescope.files import scratch_folder
from modescope.store.run import Run
from modescope.training.member import train_member
from modescope.training.precision import data_for_training
from modescope.types import EpochRecord, OnEpoch

_SPAWN = multiprocessing.get_context("spawn")  # forking a process that has threads may deadlock, and CUDA forbids it


def train_in_processes(job: Job, on_epoch: OnEpoch) -> Mapping[int, BaseException]:
    """Train the members of a job in `job.workers` processes; see `Engine`."""
    with scratch_folder(job.run.path) as folder:
        shared = share(job.data, folder)
        pool = _Pool(job, shared, on_epoch)
        try:
            pool.train()
        finally:
            pool.end()
    return pool.failures


@dataclass
class _Worker:
    """One process and the member that it trains."""

    process: BaseProcess
    connection: Connection
    member: int | None = None


@dataclass
class _Pool:
    """The workers of one job."""

    job: Job
    shared: SharedDataSet
    on_epoch: OnEpoch
    failures: dict[int, BaseException] = field(default_factory=dict)
    workers: list[_Worker] = field(default_factory=list)

    def train(self) -> None:
        """Hand out members until all are trained or have failed."""
        waiting = deque(self.job.members)
        for _ in range(min(self.job.workers, len(waiting))):
            self._give(self._hire(), waiting)
        while busy := {worker.connection: worker for worker in self.workers if worker.member is not None}:
            for connection in wait(list(busy)):
                self._listen(busy[connection], waiting)

    def end(self) -> None:
        """Let the idle workers go, and stop the others."""
        for worker in self.workers:
            with contextlib.suppress(OSError):
                worker.connection.send(None)
            if worker.member is not None:
                worker.process.kill()  # every epoch on disk is whole, and what it was writing is swept up
        for worker in self.workers:
            worker.process.join()
            worker.connection.close()

    def _hire(self) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        given = (theirs, self.job.run, self.shared, self.job.device)
        process = _SPAWN.Process(target=_work, args=given, daemon=True, name="modescope worker")
        process.start()
        theirs.close()  # so that ours says so when the worker ends
        worker = _Worker(process, ours)
        self.workers.append(worker)
        return worker

    def _give(self, worker: _Worker, waiting: deque[int]) -> None:
        worker.member = waiting.popleft() if waiting else None
        if worker.member is not None:
            with contextlib.suppress(OSError):  # it has ended: the next time we listen, we hear it
                worker.connection.send((worker.member, self.job.members[worker.member]))

    def _listen(self, worker: _Worker, waiting: deque[int]) -> None:
        try:
            told = worker.connection.recv()
        except (EOFError, OSError):  # its end of the pipe was closed, perhaps in the middle of a message
            self._bury(worker, waiting)
            return
        if isinstance(told, EpochRecord):
            self.on_epoch(worker.member, told)
            return
        if isinstance(told, (DiskFullError, RequestError)):  # the others would meet the same
            raise told
        if told is not None:
            self.failures[worker.member] = told
        self._give(worker, waiting)

    def _bury(self, worker: _Worker, waiting: deque[int]) -> None:
        worker.process.join()
        self.failures[worker.member] = WorkError(f"its process ended early ({_end_of(worker.process.exitcode)}).")
        self.workers.remove(worker)
        worker.connection.close()
        if waiting:
            self._give(self._hire(), waiting)


def _end_of(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f"exit code {exitcode}"
    killed = signal.Signals(-exitcode).name
    return f"{killed}; the machine may have run out of memory" if killed == "SIGKILL" else killed


def _work(connection: Connection, run: Run, shared: SharedDataSet, device: torch.device) -> None:
    """What a worker does: train the members that it is handed, and say after each epoch how it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()

    def tell(member: int, record: EpochRecord) -> None:
        connection.send(record)

    data = None
    while (given := connection.recv()) is not None:
        try:
            if data is None:
                data = data_for_training(run.recipe, shared.open(), device)
            train_member(run, data, *given, tell)
        except Exception as error:
            outcome = reportable(error)
        else:
            outcome = None
        connection.send(outcome)


def _end_with_parent() -> None:
    """A worker whose parent was killed must not go on writing into a run that another command may have taken over."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
