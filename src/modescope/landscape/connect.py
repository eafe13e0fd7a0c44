"""Training a path: inner bends move until the mean loss along the path is low; the ends stay.

At each step one place t is drawn uniformly and the network with the weights φ(t) takes a batch: its gradient, times
each bend's coefficient, is one of E_t L(φ(t)). The network is called with those weights; no layer is rewritten.

Reference: Garipov et al. (2018), arXiv:1802.10026, section 3.2. Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757,
appendix A, look at what the functions do along such paths.
"""

import copy
import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from modescope import seeds
from modescope.data.augment import AUGMENTATIONS
from modescope.data.tensors import TensorData
from modescope.landscape.path import Coefficients
from modescope.models.outputs import as_logits
from modescope.settings import TrainingSettings
from modescope.training.dropout import MemberDropout
from modescope.training.networks import Networks
from modescope.training.optimizers import build_optimizer, set_learning_rate
from modescope.training.precision import computing


def train_path(
    networks: Networks,
    network: nn.Module,
    bends: Float[Tensor, "bend parameter"],
    coefficients: Coefficients,
    data: TensorData,
    settings: TrainingSettings,
    *,
    steps: int,
    seed: int,
) -> Float[Tensor, "bend parameter"]:
    """Move the inner bends of a path to where the loss is low all along it.

    With the recipe's optimiser, batches and augmentation; the learning rate falls from the recipe's to zero along half
    a cosine.

    Args:
        networks: The architecture.
        network: A network of it, on the device, with the buffers and frozen parameters to compute with.
        bends: Where they begin, in float64; the first and the last stay.
        coefficients: The kind of path.
        data: The data.
        settings: How the ends were trained.
        steps: How many.
        seed: Of places, batches, augmentation and dropout.

    Returns:
        The bends, in float64 on the CPU.
    """
    if steps == 0 or len(bends) < 3:
        return bends
    network = copy.deepcopy(network).train()
    ends = networks.named(torch.stack([bends[0], bends[-1]]))
    inner = {name: tensor.clone().requires_grad_() for name, tensor in networks.named(bends[1:-1]).items()}
    optimizer = build_optimizer(inner.values(), settings, stacked=True)
    draws = seeds.generator(seed, 0, "connectors/places")
    with computing(settings, networks.device), seeds.seeded(seed, 0, "connectors/dropout"), MemberDropout():
        for step, (inputs, labels) in enumerate(_batches(data, settings, steps, seed)):
            set_learning_rate(optimizer, settings.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2)
            weights = coefficients(torch.rand(1, generator=draws, dtype=torch.float64), len(bends))[0]
            place = {name: _mixed(weights, ends[name], inner[name]) for name in inner}
            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                logits = as_logits(functional_call(network, place, (inputs,)))
            loss = F.cross_entropy(logits if logits.dtype == torch.float64 else logits.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    moved = torch.stack([networks.vector({name: tensor[bend] for name, tensor in inner.items()})
                         for bend in range(len(bends) - 2)])  # fmt: skip
    return torch.cat([bends[:1], moved, bends[-1:]])


def _mixed(weights: Float[Tensor, " bend"], ends: Tensor, inner: Tensor) -> Tensor:
    """The point of the path, as a sum over bends, for one parameter."""
    placed = weights.to(inner.device, inner.dtype)
    fixed = torch.tensordot(placed[[0, -1]], ends, dims=1)
    return fixed + torch.tensordot(placed[1:-1], inner, dims=1)


def _batches(data: TensorData, settings: TrainingSettings, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented training batches, one permutation of the data after another.

    Yields:
        Inputs and labels.
    """
    augmentation = AUGMENTATIONS[settings.augment]
    draws, augment = (seeds.generator(seed, 0, f"connectors/{what}") for what in ("order", "augment"))
    left: Sequence[Tensor] = ()
    for _ in range(steps):
        if not left:
            left = torch.randperm(len(data.train), generator=draws).split(settings.batch_size)
            if len(left) > 1 and len(left[-1]) < settings.batch_size:
                left = left[:-1]  # a batch of a few examples has no statistics to speak of
        chosen, left = left[0].to(data.train.labels.device), left[1:]
        inputs = data.scaling(data.train.inputs[chosen])
        yield (inputs if augmentation is None else augmentation(inputs, augment)), data.train.labels[chosen]
