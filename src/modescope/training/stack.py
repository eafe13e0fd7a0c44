"""A stack of members as one program: parameters, buffers and optimiser state with a member axis.

Losses are summed over members, never averaged: so each member's gradient is what it would be alone, and weight decay,
momentum and the optimiser's constants mean what they mean for one network.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from modescope.data.tensors import Scaling, TensorSplit
from modescope.settings import TrainingSettings
from modescope.training.evaluate import BATCH
from modescope.training.lowering import LOWERINGS, State
from modescope.training.optimizers import (
    build_optimizer,
    load_optimizer_tensors,
    optimizer_tensors,
    set_learning_rate,
)


class Stack:
    """Networks of one architecture that are trained as one.

    Args:
        networks: One a member, placed on the device that trains.
        settings: The `[training]` section of the recipe.
        lowering: How they are computed, one of `LOWERINGS`.
    """

    def __init__(self, networks: Sequence[nn.Module], settings: TrainingSettings, lowering: str) -> None:
        self.members = len(networks)
        self.network = copy.deepcopy(networks[0])  # says what is computed; its own numbers are not used
        self.lowering = lowering
        self._autocast = settings.precision == "bfloat16"
        named = [{**dict(net.named_parameters()), **dict(net.named_buffers())} for net in networks]
        state = {name: _stacked([tensors[name] for tensors in named]) for name in named[0]}
        trained = [name for name, parameter in networks[0].named_parameters() if parameter.requires_grad]
        self.parameters = {name: state[name].requires_grad_() for name in trained}
        self.buffers = {name: tensor for name, tensor in state.items() if name not in self.parameters}
        self.optimizer = build_optimizer(self.parameters.values(), settings, stacked=True)
        self._names = _canonical_names(self.network)
        self.generators = [torch.Generator(device) for device in [self._device] * self.members]

    @property
    def trained(self) -> tuple[str, ...]:
        """The names of the trainable parameters."""
        return tuple(self.parameters)

    @property
    def _device(self) -> torch.device:
        return next(iter(self.parameters.values())).device

    def step(
        self, inputs: Float[Tensor, "member example ..."], labels: Int64[Tensor, "member example"]
    ) -> tuple[Float[Tensor, " member"], Int64[Tensor, " member"]]:
        """Train every member on a batch of its own; their mean losses (nat) and how many examples were right."""
        logits = self._logits(inputs)
        classes = logits.shape[-1]
        each = F.cross_entropy(logits.reshape(-1, classes), labels.reshape(-1), reduction="none")
        losses = each.reshape(labels.shape).mean(dim=1)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        self.optimizer.step()
        return losses.detach(), (logits.detach().argmax(-1) == labels).sum(dim=1)

    def set_learning_rate(self, rate: float) -> None:
        """The learning rate of every member."""
        set_learning_rate(self.optimizer, rate)

    def train(self, mode: bool = True) -> None:
        """Put the networks into training mode, or into eval mode."""
        self.network.train(mode)

    def predict(self, split: TensorSplit, scaling: Scaling) -> Float[Tensor, "member example class"]:
        """The natural logarithm of the softmax for every member and example, in eval mode."""
        was_training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad():
                batches = []
                for stored in split.inputs.split(BATCH[split.inputs.device.type]):
                    inputs = scaling(stored)
                    batches.append(self._logits(inputs.expand(self.members, *inputs.shape)))
                return F.log_softmax(torch.cat(batches, dim=1), dim=-1)
        finally:
            self.network.train(was_training)

    def held(self) -> "HeldStack":
        """All members as they are now, copied into the CPU's memory; on CUDA while the device goes on computing."""
        optimizer = optimizer_tensors(self.parameters.items(), self.optimizer)
        return HeldStack({**self.parameters, **self.buffers}, optimizer, self._names)

    def load_member(self, index: int, state: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]) -> None:
        """Put one member into a state that `HeldStack.member` gave."""
        every = {**self.parameters, **self.buffers}
        with torch.no_grad():
            for key, name in self._names.items():
                every[name][index].copy_(state[key])
        if not self.optimizer.state:  # made here as the optimiser would make it in its first step
            empty = {
                key: value if _is_step(key) else torch.zeros_like(self.parameters[key.rpartition(".")[0]])
                for key, value in optimizer.items()
            }
            load_optimizer_tensors(self.parameters.items(), self.optimizer, empty)
        for key, held in optimizer_tensors(self.parameters.items(), self.optimizer).items():
            (held if _is_step(key) else held[index]).copy_(optimizer[key])

    def _logits(self, inputs: Tensor) -> Tensor:
        generators = self.generators
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self._autocast):
            logits = LOWERINGS[self.lowering](self.network, self.parameters, self.buffers, inputs, generators)
        return logits if logits.dtype == torch.float64 else logits.float()


class HeldStack:
    """Copies of a stack's tensors in the CPU's memory, which training does not change any more.

    Args:
        tensors: Parameters and buffers by the name under which they are held once.
        optimizer: The optimiser's state.
        names: Each key of the `state_dict` -> the name under which its tensor is held.
    """

    def __init__(self, tensors: State, optimizer: State, names: Mapping[str, str]) -> None:
        self._names = names
        self._tensors, self._optimizer = _copied(tensors), _copied(optimizer)
        self._copied: torch.cuda.Event | None = None
        if any(tensor.is_cuda for tensor in tensors.values()):
            self._copied = torch.cuda.Event()
            self._copied.record()

    def member(self, index: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One member's `state_dict`, and its part of the optimiser's state as `optimizer_tensors` gives it for one."""
        if self._copied is not None:
            self._copied.synchronize()
        state = {key: self._tensors[name][index] for key, name in self._names.items()}
        return state, {key: value if _is_step(key) else value[index] for key, value in self._optimizer.items()}


def _copied(tensors: State) -> dict[str, Tensor]:
    """Copies on the CPU; from CUDA into pinned memory, so that nobody waits for them here."""
    return {
        name: torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda).copy_(
            tensor.detach(), non_blocking=tensor.is_cuda
        )
        for name, tensor in tensors.items()
    }


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """A new tensor with the members first; convolutions' weights stay channels-last in memory."""
    if tensors[0].ndim == 4:
        return torch.stack([tensor.detach().permute(0, 2, 3, 1) for tensor in tensors]).permute(0, 1, 4, 2, 3)
    return torch.stack([tensor.detach() for tensor in tensors])


def _canonical_names(network: nn.Module) -> dict[str, str]:
    """Each key of the `state_dict` -> the name under which the tensor is held once, where several keys share it."""
    held = {id(tensor): name for name, tensor in (*network.named_buffers(), *network.named_parameters())}
    return {key: held[id(tensor)] for key, tensor in network.state_dict(keep_vars=True).items()}


def _is_step(key: str) -> bool:
    return key.rpartition(".")[2] == "step"
