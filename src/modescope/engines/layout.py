"""How members are put into blocks and how a block is computed: measured once, recorded with the run, and kept.

A member's float32 rounding may depend on how many others share its block and on how it is computed, so a run that is
resumed must be laid out as it was begun.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil
import torch
from torch import nn

from modescope.data.tensors import TensorData
from modescope.errors import WorkError
from modescope.recipe import Recipe
from modescope.store.provenance import read_provenance, record_provenance
from modescope.store.run import Run
from modescope.training.capture import captured
from modescope.training.lowering import possible, without_advice
from modescope.training.member import initial_network, placed
from modescope.training.memory import activation_bytes
from modescope.training.precision import DTYPES, computing
from modescope.training.stack import Stack

_SHARE = 0.8  # of the free memory
_SECONDS = 0.5  # of measuring one lowering, after its first step


@dataclass(frozen=True)
class Layout:
    """Blocks of members, and the lowering of each block's computation."""

    blocks: tuple[tuple[int, ...], ...]
    lowering: str

    def record(self) -> dict[str, object]:
        """As it stands in the provenance."""
        return {"blocks": [list(block) for block in self.blocks], "lowering": self.lowering}


def recorded_layout(recorded: Mapping[str, object]) -> Layout | None:
    """The layout in a run's provenance, if its stacked engine has recorded one."""
    try:
        found = recorded["stacked"]
        return Layout(tuple(tuple(block) for block in found["blocks"]), found["lowering"])
    except (KeyError, TypeError):
        return None


def networks(recipe: Recipe, data: TensorData, members: Sequence[int]) -> list[nn.Module]:
    """The members' networks as they are before training, on the data's device."""
    device, dtype = data.train.inputs.device, DTYPES[recipe.training.precision]
    return [
        placed(initial_network(recipe, member, data.input_shape, data.classes), device, dtype) for member in members
    ]


def settled(run: Run, members: Sequence[int], lay_out: Callable[[list[int]], Layout]) -> Layout:
    """The run's layout as it is recorded; members that no recorded block holds get new blocks, which are recorded.

    Args:
        run: The run.
        members: Those to be trained.
        lay_out: Finds the layout of members that have none.

    Returns:
        All blocks of the run.
    """
    recorded = recorded_layout(read_provenance(run))
    placed = {member for block in recorded.blocks for member in block} if recorded else set()
    new = [member for member in members if member not in placed]
    if not new:
        return recorded
    layout = lay_out(new)
    if recorded:
        layout = Layout((*recorded.blocks, *layout.blocks), recorded.lowering)
    record_provenance(run, stacked=layout.record())
    return layout


def laid_out(
    recipe: Recipe,
    data: TensorData,
    members: Sequence[int],
    tell: Callable[[str], None],
    *,
    most: int | None = None,
) -> Layout:
    """Blocks as large as memory allows, computed in the way that a short measurement finds fastest.

    Args:
        recipe: What is trained.
        data: Its data, on the device that trains.
        members: Those to be trained.
        tell: Is told what was measured.
        most: The most members that a block may have; None for as many as fit.

    Returns:
        The layout.

    Raises:
        WorkError: The network can be computed in no way.
    """
    size = min(_fitting(recipe, data), len(members), most or len(members))
    while True:
        try:
            with computing(recipe.training, data.train.labels.device), without_advice():
                milliseconds, failed = measured(recipe, data, members[:size])
            break
        except torch.cuda.OutOfMemoryError:
            if size == 1:
                raise
            size = (size + 1) // 2  # the estimate was too hopeful: what counts is that a step fits
            gc.collect()
            torch.cuda.empty_cache()
    if not milliseconds:
        raise WorkError(f"no way was found to compute {recipe.model.name}: {'; '.join(failed.values())}")
    fastest = min(milliseconds, key=milliseconds.__getitem__)
    times = ", ".join(f"{name} {each:.1f}" for name, each in milliseconds.items())
    tell(f"{size} members at a time, {fastest} (measured, in ms a step and member: {times}).")
    for name, why in failed.items():
        tell(f"{recipe.model.name} cannot be computed by {name} ({why}); it was left out.")
    blocks = tuple(tuple(members[start : start + size]) for start in range(0, len(members), size))
    return Layout(blocks, fastest)


def measured(recipe: Recipe, data: TensorData, members: Sequence[int]) -> tuple[dict[str, float], dict[str, str]]:
    """Milliseconds a step and member of each lowering that works, and why the others do not.

    On CUDA the step is captured, as it will be in training.
    """
    milliseconds: dict[str, float] = {}
    failed: dict[str, str] = {}
    size = min(recipe.training.batch_size, len(data.train))
    for name in possible(data.train.inputs.device):
        stack = Stack(networks(recipe, data, members), recipe.training, name)
        stack.train()
        inputs = data.scaling(data.train.inputs[:size])
        batch = inputs.expand(len(members), *inputs.shape), data.train.labels[:size].expand(len(members), -1)

        def step(stack: Stack = stack, batch: tuple[torch.Tensor, torch.Tensor] = batch) -> None:
            stack.step(*batch)

        try:
            step()
            taken = captured(stack, step, lambda number: None) if inputs.is_cuda else step
            milliseconds[name] = 1000 * _seconds(taken) / len(members)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # vmap refuses in many ways
            failed[name] = str(error).splitlines()[0] if str(error) else type(error).__name__
    return milliseconds, failed


def _seconds(step: Callable[[], object]) -> float:
    """The seconds that one step takes."""
    started, steps = time.perf_counter(), 0
    while True:
        step()
        steps += 1
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        passed = time.perf_counter() - started
        if passed > _SECONDS:
            return passed / steps


def _fitting(recipe: Recipe, data: TensorData) -> int:
    """How many members a block may have: free memory over what one takes, at least 1."""
    (network,) = networks(recipe, data, [0])
    inputs = data.scaling(data.train.inputs[:2])
    weights = sum(parameter.nbytes for parameter in network.parameters())
    member = 3 * recipe.training.batch_size * activation_bytes(network, inputs) + 8 * weights
    if inputs.is_cuda:
        free = torch.cuda.mem_get_info(inputs.device)[0]
    else:
        free = psutil.virtual_memory().available
    return max(1, int(_SHARE * free) // max(member, 1))
