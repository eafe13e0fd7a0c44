"""One pass over the training data for a stack of members, each in its own order, with draws of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from modescope import seeds
from modescope.data.augment import AUGMENTATIONS
from modescope.data.tensors import TensorData
from modescope.recipe import Recipe
from modescope.training.capture import WARM_UP, captured
from modescope.training.csgmcmc import prepare_noise
from modescope.training.epoch import EpochStreams, example_order
from modescope.training.schedules import learning_rate, moves_within_epochs
from modescope.training.stack import Stack


@dataclass
class Passed:
    """How one pass went, member by member."""

    loss: Float[Tensor, " member"]  # nat
    accuracy: Float[Tensor, " member"]  # fraction
    learning_rate: float | None  # None for the initialisation, where nothing is trained


class StackEpochs:
    """Trains a stack epoch by epoch; on CUDA the step is captured once and replayed.

    Args:
        stack: The members, in training mode or not.
        data: The training data, on the stack's device.
        recipe: What they are trained by.
        members: Their numbers, in the stack's order.
    """

    def __init__(self, stack: Stack, data: TensorData, recipe: Recipe, members: Sequence[int]) -> None:
        self._stack, self._data, self._recipe, self._members = stack, data, recipe, members
        self._augmentation = AUGMENTATIONS[recipe.training.augment]
        self._device = data.train.labels.device
        self._replay: Callable[[], None] | None = None
        self._order = torch.zeros(0)
        self._drawn: tuple[Tensor, ...] = ()
        self._start = torch.zeros((), dtype=torch.int64, device=self._device)
        self._loss = torch.zeros(stack.members, dtype=torch.float64, device=self._device)
        self._correct = torch.zeros(stack.members, dtype=torch.int64, device=self._device)

    def train(self, epoch: int) -> Passed:
        """Train one epoch, counted from 1."""
        rate = learning_rate(self._recipe.training, epoch - 1)
        self._stack.set_learning_rate(rate)
        self._stack.train()
        self._prepare(epoch)
        examples, size = self._order.shape[1], self._recipe.training.batch_size
        whole, steps = examples // size, -(-examples // size)

        def begin(step: int) -> None:
            if moves_within_epochs(self._recipe.training):
                self._stack.set_learning_rate(learning_rate(self._recipe.training, epoch - 1, step / steps))

        done = self._replayed(whole, size, begin)
        for step in range(done, whole):
            begin(step)
            self._step(size)
        if examples % size:
            begin(whole)
            self._step(examples % size)
        return Passed(self._loss / examples, self._correct.double() / examples, rate)

    def _prepare(self, epoch: int) -> None:
        """Every member's order and draws for the whole epoch, on the device; the draws are those of training alone."""
        streams = [EpochStreams(self._recipe, member, epoch) for member in self._members]
        examples = len(self._data.train)
        order = torch.stack([example_order(examples, stream) for stream in streams])
        drawn = [self._draws(stream, order.shape[1]) for stream in streams]
        self._fill(order, tuple(torch.stack(parts) for parts in zip(*drawn, strict=True)))
        for generator, stream in zip(self._stack.generators, streams, strict=True):
            generator.manual_seed(seeds.seed(*stream.named("dropout")))
        prepare_noise(self._stack.optimizer, self._recipe, self._members, epoch, examples=examples, stacked=True)
        for total in (self._start, self._loss, self._correct):
            total.zero_()

    def _draws(self, stream: EpochStreams, examples: int) -> tuple[Tensor, ...]:
        """What the augmentation draws for a member's epoch, batch by batch as alone, side by side."""
        if self._augmentation is None:
            return ()
        draws = seeds.generator(*stream.named("augment"))
        size, dtype = tuple(self._data.input_shape[:2]), self._data.scaling.dtype
        counts = [len(batch) for batch in torch.arange(examples).split(self._recipe.training.batch_size)]
        batches = [self._augmentation.draw(count, size, draws, dtype) for count in counts]
        return tuple(torch.cat(parts) for parts in zip(*batches, strict=True))

    def _fill(self, order: Tensor, drawn: tuple[Tensor, ...]) -> None:
        """Into the same memory each time: a captured step reads where it read when it was captured."""
        if self._order.shape != order.shape:
            self._order = order.to(self._device)
            self._drawn = tuple(part.to(self._device) for part in drawn)
            return
        self._order.copy_(order)
        for held, part in zip(self._drawn, drawn, strict=True):
            held.copy_(part)

    def _step(self, size: int) -> None:
        """Train on the next batch. Nothing here asks the device for a number."""
        places = self._start + torch.arange(size, device=self._device)
        index = self._order.index_select(1, places)
        inputs = self._data.scaling(self._data.train.inputs[index.reshape(-1)])
        if self._augmentation is not None:
            drawn = (part.index_select(1, places).flatten(0, 1) for part in self._drawn)
            inputs = self._augmentation.apply(inputs, *drawn)
        inputs = inputs.unflatten(0, (self._stack.members, size))
        losses, correct = self._stack.step(inputs, self._data.train.labels[index])
        self._loss += losses.double() * size
        self._correct += correct
        self._start += size

    def _replayed(self, steps: int, size: int, begin: Callable[[int], None]) -> int:
        """On CUDA, take the steps by replaying one captured step; how many were taken."""
        noisy = self._recipe.training.optimizer == "csgmcmc"  # its noise comes and goes, which a captured step cannot
        if self._device.type != "cuda" or steps < WARM_UP + 2 or noisy:
            return 0
        taken = 0
        if self._replay is None:
            self._replay = captured(self._stack, lambda: self._step(size), begin)
            taken = WARM_UP
        for step in range(taken, steps):
            begin(step)
            self._replay()
        return steps
