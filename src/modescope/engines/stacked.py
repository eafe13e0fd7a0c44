"""`stacked`: blocks of members as one tensor program.

A block is always computed whole, in the layout that the run was begun with: a member that is further than the others,
or finished, goes along as a passenger, and is put back to what is on disk where the others reach it. So a run that was
stopped anywhere ends in the same bits.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from modescope import seeds
from modescope.data.tensors import TensorData
from modescope.engines.job import Job
from modescope.engines.layout import Layout, laid_out, networks, settled
from modescope.errors import DiskFullError, RequestError
from modescope.store.epochs import Progress, check_repeated, record_epoch
from modescope.store.resume import ResumeState, read_resume
from modescope.store.run import Run
from modescope.store.snapshots import Snapshot
from modescope.training.epoch import stream
from modescope.training.evaluate import score
from modescope.training.lowering import without_advice
from modescope.training.member import diverged
from modescope.training.precision import computing, data_for_training
from modescope.training.stack import HeldStack, Stack
from modescope.training.stack_epoch import Passed, StackEpochs
from modescope.types import EpochRecord, OnEpoch

_WRITERS = 4  # threads that write epochs while the next ones are computed; they wait for the disk most of the time


def train_stacked(job: Job, on_epoch: OnEpoch) -> Mapping[int, BaseException]:
    """Train the members of a job in blocks, all members of a block at once; see `Engine`."""
    recipe = job.run.recipe
    data = data_for_training(recipe, job.data, job.device)
    failures: dict[int, BaseException] = {}

    def lay_out(members: Sequence[int]) -> Layout:
        return laid_out(recipe, data, members, job.tell, most=job.block_size)

    layout = settled(job.run, list(job.members), lay_out)
    for block in layout.blocks:
        missing = {member: job.members[member] for member in block if member in job.members}
        failures |= train_block(job.run, data, block, layout.lowering, missing, on_epoch)
    return failures


def train_block(
    run: Run,
    data: TensorData,
    members: Sequence[int],
    lowering: str,
    missing: Mapping[int, Progress],
    on_epoch: OnEpoch,
) -> dict[int, BaseException]:
    """Train what is missing of a block's members, all at once.

    Args:
        run: The run.
        data: Its data, on the device that trains.
        members: All members of the block.
        lowering: How they are computed, one of `LOWERINGS`.
        missing: Those of which something is missing, and what; nothing is done if there are none.
        on_epoch: Called with each epoch that was put on disk.

    Returns:
        The members that could not be trained, and why.

    Raises:
        DiskFullError: There is no room for what is trained.
    """
    if not missing:
        return {}
    place = data.train.labels.device
    with computing(run.recipe.training, place), ThreadPoolExecutor(_WRITERS) as writers, without_advice():
        return _Block(run, data, members, lowering, missing, writers, on_epoch).train()


class _Block:
    """One block from where its members were stopped to its last epoch."""

    def __init__(
        self,
        run: Run,
        data: TensorData,
        members: Sequence[int],
        lowering: str,
        missing: Mapping[int, Progress],
        writers: ThreadPoolExecutor,
        on_epoch: OnEpoch,
    ) -> None:
        self._run, self._data, self._members, self._progress = run, data, members, missing
        self._writers, self._on_epoch = writers, on_epoch
        self._stack = Stack(networks(run.recipe, data, members), run.recipe.training, lowering)
        self._aboard: dict[int, ResumeState] = {}  # passengers, until the others are where they are
        self._writing: list[tuple[int, Future]] = []
        self.failures: dict[int, BaseException] = {}

    def train(self) -> dict[int, BaseException]:
        """Train what is missing of all members; member -> why it could not be trained."""
        epoch = self._begin()
        epochs = StackEpochs(self._stack, self._data, self._run.recipe, self._members)
        last = max(max(progress.missing) for progress in self._progress.values())
        if epoch == 0:
            self._finish(0, self._look_at_initialisation(), time.perf_counter())
        while epoch < last:
            epoch += 1
            started = time.perf_counter()
            with seeds.seeded(*stream(self._run.recipe, self._members[0], "dropout", epoch)):
                passed = epochs.train(epoch)
            self._disembark(epoch)
            self._finish(epoch, passed, started)
        self._wait()
        return self.failures

    def _begin(self) -> int:
        """Load what is on disk; the epoch that the block goes on from."""
        resumed = {member: read_resume(self._run, member) for member in self._members}
        start = min(self._start(member, resumed[member]) for member in self._progress)
        for index, member in enumerate(self._members):
            state = resumed[member]
            if start > 0:  # all have a state, of this epoch or of a later one
                self._stack.load_member(index, state.model, state.optimizer)
            if state is not None and state.epoch > start:
                self._aboard[index] = state
        return start

    def _start(self, member: int, state: ResumeState | None) -> int:
        progress = self._progress[member]
        return state.epoch if state is not None and min(progress.missing) > progress.finished else 0

    def _disembark(self, epoch: int) -> None:
        for index, state in list(self._aboard.items()):
            if state.epoch == epoch:
                self._stack.load_member(index, state.model, state.optimizer)
                del self._aboard[index]

    def _look_at_initialisation(self) -> Passed:
        log_prob = self._stack.predict(self._data.train, self._data.scaling)
        scores = [score(each, self._data.train.labels) for each in log_prob]
        loss, accuracy = torch.tensor(scores, dtype=torch.float64).T
        return Passed(loss, accuracy, None)

    def _finish(self, epoch: int, passed: Passed, started: float) -> None:
        """Measure, and hand over to the writers; what they were given before must be on disk first."""
        log_prob = self._stack.predict(self._data.test, self._data.scaling)
        scores = [score(each, self._data.test.labels) for each in log_prob]
        said, losses, accuracies = log_prob.cpu(), passed.loss.tolist(), passed.accuracy.tolist()
        share = (time.perf_counter() - started) / len(self._members)
        held = self._stack.held()
        self._wait()
        for index, member in enumerate(self._members):
            if member not in self._progress or member in self.failures:
                continue
            error = diverged(epoch, losses[index], passed.learning_rate, said[index])
            if error is not None:
                self.failures[member] = error
                continue
            record = EpochRecord(epoch, losses[index], accuracies[index], *scores[index], passed.learning_rate, share)
            job = self._writers.submit(self._write, member, record, said[index], held, index)
            self._writing.append((member, job))

    def _write(
        self, member: int, record: EpochRecord, log_prob: Tensor, held: HeldStack, index: int
    ) -> EpochRecord | None:
        epoch, progress = record.epoch, self._progress[member]
        state, optimizer = held.member(index)
        snapshot = Snapshot(state, self._stack.trained)
        check_repeated(self._run, member, epoch, snapshot)
        newest = epoch > progress.finished
        if epoch not in progress.missing and not newest:
            return None
        record_epoch(
            self._run,
            member,
            record,
            snapshot=snapshot if epoch in progress.snapshots else None,
            log_prob=log_prob.float().numpy() if epoch in progress.predictions else None,
            resume=ResumeState(epoch, state, optimizer) if newest else None,
        )
        return record

    def _wait(self) -> None:
        """Until everything handed over is on disk; then tell of it."""
        writing, self._writing = self._writing, []
        for member, job in writing:
            try:
                record = job.result()
            except (DiskFullError, RequestError):  # the others would meet the same
                raise
            except Exception as error:
                self.failures[member] = error
            else:
                if record is not None:
                    self._on_epoch(member, record)
