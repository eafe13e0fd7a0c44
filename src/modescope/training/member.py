"""One member from its initialisation, or from where it was stopped, to its last epoch."""

import math
import time
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from modescope import seeds
from modescope.data.tensors import TensorData
from modescope.errors import DivergedError
from modescope.models import build_network
from modescope.recipe import Recipe
from modescope.store.epochs import Progress, check_repeated, record_epoch
from modescope.store.resume import ResumeState, read_resume
from modescope.store.run import Run
from modescope.store.snapshots import Snapshot
from modescope.training.epoch import EpochStreams, stream, train_epoch
from modescope.training.evaluate import predict, score
from modescope.training.optimizers import (
    build_optimizer,
    load_optimizer_tensors,
    optimizer_tensors,
    set_learning_rate,
)
from modescope.training.precision import DTYPES, computing
from modescope.training.schedules import learning_rate
from modescope.types import EpochRecord, OnEpoch


@dataclass
class _Training:
    """A member in memory."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int


@dataclass(frozen=True)
class _Passed:
    """How one pass over the training data went."""

    loss: float
    accuracy: float
    learning_rate: float | None
    started: float  # time.perf_counter()


def train_member(run: Run, data: TensorData, member: int, progress: Progress, on_epoch: OnEpoch) -> None:
    """Train what is missing of one member and put every epoch on disk as it is finished.

    A member of which nothing is damaged goes on from its newest epoch. If an earlier epoch is missing or damaged, the
    member is trained again from its beginning, to the same bits, and only what is missing is written.

    Args:
        run: The run.
        data: Its data, on the device that trains.
        member: Which member.
        progress: What `check_member` found.
        on_epoch: Called with each epoch that was put on disk.

    Raises:
        DivergedError: The training loss or the predictions are no finite numbers any more.
        RepeatedOtherwiseError: Trained again to make a damaged file anew, the member became another network.
        DiskFullError: There is no room for an epoch's files.
    """
    if not progress.missing:
        return
    with computing(run.recipe.training, data.train.labels.device):
        training = _begin(run, data, member, min(progress.missing) > progress.finished)
        passed = _look_at_initialisation(run, data, training) if training.epoch == 0 else None
        while True:
            if passed is not None:
                record = _finish(run, data, training, member, passed, progress)
                if record is not None:
                    on_epoch(member, record)
            if training.epoch >= max(progress.missing):
                return
            passed = _pass(run, data, training, member)


def initial_network(recipe: Recipe, member: int, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """A member's network as it is before training, in float32 on the CPU.

    Raises:
        ModelError: The network cannot be built, or does not fit the data.
    """
    with seeds.seeded(*stream(recipe, member, "init", 0)):
        return build_network(recipe.model, input_shape, classes)


def diverged(
    epoch: int, loss: float, rate: float | None, log_prob: Float[Tensor, "example class"]
) -> DivergedError | None:
    """The error of a member whose epoch went wrong; None if it did not.

    Args:
        epoch: Which epoch.
        loss: Its training loss.
        rate: The learning rate that it trained with; None for the initialisation.
        log_prob: What the member says after it.
    """
    lower = (
        f"Lower training.learning_rate{f' (now {rate:g})' if rate else ''} or look at the data's scale (data.scaling)."
    )
    if not math.isfinite(loss):
        return DivergedError(f"its training loss in epoch {epoch} is {loss}: it diverged. {lower}")
    if not log_prob.isfinite().all():
        return DivergedError(
            f"its predictions after epoch {epoch} hold values that are no finite numbers: it diverged. {lower}"
        )
    return None


def placed(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network on that device, its numbers in that type, its convolutions' weights channels-last."""
    network = network.to(device, dtype)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4:  # the whole module at once would refuse those of five dimensions
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return network


def _begin(run: Run, data: TensorData, member: int, can_resume: bool) -> _Training:
    device = data.train.inputs.device
    network = initial_network(run.recipe, member, data.input_shape, data.classes)
    network = placed(network, device, DTYPES[run.recipe.training.precision])
    optimizer = build_optimizer(network.parameters(), run.recipe.training)
    resume = read_resume(run, member) if can_resume else None
    if resume is None:
        return _Training(network, optimizer, 0)
    network.load_state_dict(resume.model)
    load_optimizer_tensors(network.named_parameters(), optimizer, resume.optimizer)
    return _Training(network, optimizer, resume.epoch)


def _look_at_initialisation(run: Run, data: TensorData, training: _Training) -> _Passed:
    started = time.perf_counter()
    autocast = run.recipe.training.precision == "bfloat16"
    log_prob = predict(training.network, data.train, data.scaling, autocast=autocast)
    return _Passed(*score(log_prob, data.train.labels), None, started)


def _pass(run: Run, data: TensorData, training: _Training, member: int) -> _Passed:
    started = time.perf_counter()
    rate = learning_rate(run.recipe.training, training.epoch)
    set_learning_rate(training.optimizer, rate)
    training.epoch += 1
    training.network.train()
    streams = EpochStreams(run.recipe, member, training.epoch)
    loss, accuracy = train_epoch(training.network, training.optimizer, data.train, data.scaling, streams)
    return _Passed(loss, accuracy, rate, started)


def _finish(
    run: Run, data: TensorData, training: _Training, member: int, passed: _Passed, progress: Progress
) -> EpochRecord | None:
    """Measure the weights in memory on the test data and put the epoch on disk, unless all of it is there."""
    epoch, newest = training.epoch, training.epoch > progress.finished
    state = training.network.state_dict()
    trained = tuple(name for name, parameter in training.network.named_parameters() if parameter.requires_grad)
    snapshot = Snapshot(state, trained)
    check_repeated(run, member, epoch, snapshot)
    if epoch not in progress.missing and not newest:
        return None
    autocast = run.recipe.training.precision == "bfloat16"
    log_prob = predict(training.network, data.test, data.scaling, autocast=autocast)
    error = diverged(epoch, passed.loss, passed.learning_rate, log_prob)
    if error is not None:
        raise error
    test_loss, test_accuracy = score(log_prob, data.test.labels)
    record = EpochRecord(
        epoch=epoch,
        train_loss=passed.loss,
        train_accuracy=passed.accuracy,
        test_loss=test_loss,
        test_accuracy=test_accuracy,
        learning_rate=passed.learning_rate,
        seconds=time.perf_counter() - passed.started,
    )
    record_epoch(
        run,
        member,
        record,
        snapshot=snapshot if epoch in progress.snapshots else None,
        log_prob=log_prob.float().cpu().numpy() if epoch in progress.predictions else None,
        resume=ResumeState(epoch, state, _optimizer_state(training)) if newest else None,
    )
    return record


def _optimizer_state(training: _Training) -> dict[str, torch.Tensor]:
    return optimizer_tensors(training.network.named_parameters(), training.optimizer)
