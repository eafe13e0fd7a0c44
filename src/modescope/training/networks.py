"""Networks of one architecture as vectors of their trained parameters, and what they say."""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from modescope.data.tensors import Scaling, TensorSplit
from modescope.settings import TrainingSettings
from modescope.training.batch_norm import BatchStatistics
from modescope.training.evaluate import BATCH
from modescope.training.lowering import LOWERINGS, State, without_advice
from modescope.training.memory import activation_bytes
from modescope.training.precision import computing

_TOGETHER_BYTES = 2 * 2**30  # of activations, of networks that are computed at once on a GPU
_MOST_TOGETHER = 64
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # those whose masks come from a given generator
_STATISTICS_BATCHES = 4  # at the least; a batch's own statistics stand in for those of all of them


class Networks:
    """Makes networks out of vectors of weights, and asks them.

    One network after another on a CPU, where that is two to six times faster than a program over all of them (measured
    with every built-in network); stacked with `vmap` on a GPU.

    Args:
        network: One of the architecture, on the device, laid out as in training. Its numbers are not used.
        trained: The names of its trained parameters, in order.
        settings: How it was trained.
        scaling: Stored numbers -> network input.
        example: A few inputs as the network takes them, to see how much memory they need.
    """

    def __init__(
        self,
        network: nn.Module,
        trained: Sequence[str],
        settings: TrainingSettings,
        scaling: Scaling,
        example: Float[Tensor, "example ..."],
    ) -> None:
        self._network = copy.deepcopy(network).eval()
        self._settings, self._scaling = settings, scaling
        self._statistics = BatchStatistics(self._network)
        held = {**dict(self._network.named_parameters()), **dict(self._network.named_buffers())}
        self._shapes = {name: held[name].shape for name in trained}
        self._rest = {name: tensor.detach() for name, tensor in held.items() if name not in self._shapes}
        self._like = next(iter(held.values()))
        saved = self._network.state_dict().keys()
        self.unsaved = frozenset(name for name, _ in self._network.named_buffers() if name not in saved)
        self._example = example

    @property
    def device(self) -> torch.device:
        """Where they are computed."""
        return self._like.device

    @property
    def parameters(self) -> int:
        """The number of trained parameters."""
        return sum(math.prod(shape) for shape in self._shapes.values())

    @property
    def has_batch_norm(self) -> bool:
        """Whether other weights need other statistics."""
        return bool(self._statistics)

    @property
    def has_dropout(self) -> bool:
        """Whether there are dropout modules that drop anything."""
        return any(module.p > 0 for module in self._dropouts())

    def _dropouts(self) -> list[nn.Module]:
        return [module for module in self._network.modules() if isinstance(module, _DROPOUTS)]

    def vector(self, state: State) -> Float[Tensor, " parameter"]:
        """A snapshot's trained parameters one after the other, in float64 on the CPU."""
        return torch.cat([state[name].detach().cpu().double().reshape(-1) for name in self._shapes])

    def beside(self, state: State) -> dict[str, Tensor]:
        """Frozen parameters and buffers of a state, without batch-norm statistics."""
        return {name: state[name] for name in self._rest if name in state and name not in self._statistics.names}

    def named(self, vectors: Float[Tensor, "network parameter"]) -> dict[str, Tensor]:
        """Vectors -> parameters with the networks first, on the device, in the type and the layout of training."""
        placed = vectors.to(self._like.device, self._like.dtype)
        sizes = [math.prod(shape) for shape in self._shapes.values()]
        parts = zip(self._shapes.items(), placed.split(sizes, dim=1), strict=True)
        return {name: _laid_out(part.reshape(len(vectors), *shape)) for (name, shape), part in parts}

    def prepared(
        self,
        vectors: Float[Tensor, "network parameter"],
        *,
        statistics: TensorSplit | None,
        others: State | None = None,
        dropout_seeds: Sequence[int] | None = None,
    ) -> "Prepared":
        """Networks with everything that they need to be asked.

        Args:
            vectors: Their trained parameters.
            statistics: The training examples from which each network's batch-norm statistics are estimated; None to
                take those of `others`. What is left over of equal batches is not used.
            others: Buffers and frozen parameters of the network that these come from; else those of the network that
                was given.
            dropout_seeds: One for each network, which then keeps dropping activations; None for no dropout.
        """
        parts = []
        for start in range(0, len(vectors), self._together):
            part = vectors[start : start + self._together]
            rest = self._others(len(part), others)
            if statistics is not None and self._statistics and len(statistics) > 1:
                with self._computing():
                    rest |= self._estimated(self.named(part), rest, statistics)
            parts.append({name: rest[name] for name in self._statistics.names})
        own = {name: torch.cat([part[name] for part in parts]) for name in self._statistics.names if parts}
        rest = {**self._others(len(vectors), others), **own}
        return Prepared(vectors, rest, None if dropout_seeds is None else tuple(dropout_seeds))

    def log_prob(self, prepared: "Prepared", split: TensorSplit) -> Float[Tensor, "network example class"]:
        """The natural logarithm of the softmax of every network for every example, in eval mode.

        Args:
            prepared: The networks.
            split: The examples.

        Returns:
            log_prob in nat, on the CPU, in float32 (float64 for float64 networks).
        """
        said = []
        for start in range(0, len(prepared.vectors), self._together):
            part = prepared.part(slice(start, start + self._together))
            said.append(self._said(part, split).cpu())
        return torch.cat(said)

    def _said(self, networks: "Prepared", split: TensorSplit) -> Tensor:
        with self._computing():
            parameters = self.named(networks.vectors)
            rest = dict(networks.rest)
            chosen = networks.dropout_seeds or [0] * len(networks.vectors)
            generators = [torch.Generator(self.device).manual_seed(seed) for seed in chosen]
            with self._dropping() if networks.dropout_seeds is not None else nullcontext():
                logits = [
                    self._logits(parameters, rest, stored, generators) for stored in split.inputs.split(self._batch)
                ]
            return F.log_softmax(torch.cat(logits, dim=1), dim=-1)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        with torch.inference_mode(), without_advice(), computing(self._settings, self.device):
            yield

    def _estimated(self, parameters: State, rest: State, examples: TensorSplit) -> dict[str, Tensor]:
        size = max(min(self._batch, len(examples) // _STATISTICS_BATCHES), 2)  # one example alone has no variance
        generators = [torch.Generator(self.device)] * len(next(iter(parameters.values())))
        batches = []
        with self._statistics.collecting():
            for stored in examples.inputs[: len(examples) // size * size].split(size):
                changed = {name: rest[name].clone() for name in self._statistics.names}
                self._logits(parameters, {**rest, **changed}, stored, generators)
                batches.append(changed)
        return self._statistics.together(batches)

    def _logits(self, parameters: State, rest: State, stored: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        inputs = self._scaling(stored)
        inputs = inputs.expand(len(generators), *inputs.shape)
        lowering = LOWERINGS[self._lowering]
        autocast = self._settings.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
            logits = lowering(self._network, parameters, rest, inputs, generators)
        return logits if logits.dtype == torch.float64 else logits.float()

    def _others(self, networks: int, others: State | None) -> dict[str, Tensor]:
        """Buffers and frozen parameters, once for each network."""
        chosen = self._rest if others is None else {name: others[name] for name in self._rest if name in others}
        every = {**self._rest, **{name: tensor.to(self.device) for name, tensor in chosen.items()}}
        return {name: _laid_out(tensor[None]).expand(networks, *tensor.shape) for name, tensor in every.items()}

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        dropouts = self._dropouts()
        for module in dropouts:
            module.training = True
        try:
            yield
        finally:
            for module in dropouts:
                module.training = False

    @cached_property
    def _lowering(self) -> str:
        """How they are computed; a network that `vmap` cannot take is computed one after another on a GPU too."""
        if self.device.type == "cpu":
            return "loop"
        held = dict(self._network.named_parameters()), dict(self._network.named_buffers())
        pair, rest = ({name: torch.stack([tensor.detach()] * 2) for name, tensor in each.items()} for each in held)
        inputs = self._example.expand(2, *self._example.shape)
        try:
            with self._computing():
                LOWERINGS["vmap"](self._network, pair, rest, inputs, [torch.Generator(self.device)] * 2)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception:  # it refuses in many ways
            return "loop"
        return "vmap"

    @property
    def _batch(self) -> int:
        return BATCH[self.device.type]

    @cached_property
    def _together(self) -> int:
        """How many networks are computed at once."""
        if self.device.type == "cpu":
            return 1
        example = activation_bytes(self._network, self._example)
        return max(1, min(_MOST_TOGETHER, _TOGETHER_BYTES // max(example * self._batch, 1)))


@dataclass(frozen=True)
class Prepared:
    """Networks that can be asked."""

    vectors: Float[Tensor, "network parameter"]
    rest: State  # buffers and frozen parameters, with the networks first
    dropout_seeds: tuple[int, ...] | None  # of those that keep dropping activations

    def __len__(self) -> int:
        return len(self.vectors)

    def part(self, chosen: slice) -> "Prepared":
        """Some of them."""
        rest = {name: tensor[chosen] for name, tensor in self.rest.items()}
        return Prepared(self.vectors[chosen], rest, None if self.dropout_seeds is None else self.dropout_seeds[chosen])


def joined(networks: Sequence[Prepared]) -> Prepared:
    """Several groups of networks as one; none of them drops activations."""
    rest = {name: torch.cat([group.rest[name] for group in networks]) for name in networks[0].rest}
    return Prepared(torch.cat([group.vectors for group in networks]), rest, None)


def _laid_out(stacked: Tensor) -> Tensor:
    """Convolutions' weights channels-last in memory, as they are trained."""
    if stacked.ndim != 5:
        return stacked.contiguous()
    return stacked.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
