"""One pass over the training data."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modescope import seeds
from modescope.data.augment import AUGMENTATIONS
from modescope.data.tensors import Scaling, TensorSplit
from modescope.models.outputs import as_logits
from modescope.recipe import Recipe
from modescope.training.csgmcmc import prepare_noise
from modescope.training.dropout import MemberDropout
from modescope.training.optimizers import set_learning_rate
from modescope.training.schedules import learning_rate, moves_within_epochs


@dataclass(frozen=True)
class EpochStreams:
    """Names the random streams of one member's epoch; what does not vary between members is member 0's."""

    recipe: Recipe
    member: int
    epoch: int  # from 1

    def named(self, purpose: seeds.Purpose) -> tuple[int, int, seeds.Purpose, int]:
        """The arguments of `seeds.generator` and `seeds.seeded`."""
        return stream(self.recipe, self.member, purpose, self.epoch)


def stream(recipe: Recipe, member: int, purpose: seeds.Purpose, epoch: int) -> tuple[int, int, seeds.Purpose, int]:
    """The name of one random stream; of a purpose that `ensemble.vary` leaves out, all members share member 0's."""
    owner = member if purpose in recipe.ensemble.vary else 0
    return recipe.ensemble.seed, owner, purpose, epoch


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    split: TensorSplit,
    scaling: Scaling,
    streams: EpochStreams,
) -> tuple[float, float]:
    """Train on every batch of one epoch.

    Args:
        network: In training mode; changed in place.
        optimizer: With the epoch's learning rate; changed in place.
        split: The training data.
        scaling: Stored numbers -> network input.
        streams: The random streams of this member and epoch.

    Returns:
        Mean cross-entropy (nat) and accuracy over the epoch's examples, as they were met.
    """
    settings = streams.recipe.training
    augmentation = AUGMENTATIONS[settings.augment]
    draws = seeds.generator(*streams.named("augment"))
    order = example_order(len(split), streams).to(split.labels.device)
    autocast = settings.precision == "bfloat16"
    moving = moves_within_epochs(settings)
    prepare_noise(optimizer, streams.recipe, [streams.member], streams.epoch, examples=len(split))
    total_loss = torch.zeros((), dtype=torch.float64, device=split.labels.device)
    correct = torch.zeros((), dtype=torch.int64, device=split.labels.device)
    with seeds.seeded(*streams.named("dropout")), MemberDropout():
        batches = order.split(settings.batch_size)
        for step, batch in enumerate(batches):
            if moving:
                set_learning_rate(optimizer, learning_rate(settings, streams.epoch - 1, step / len(batches)))
            inputs, labels = scaling(split.inputs[batch]), split.labels[batch]
            if augmentation is not None:
                inputs = augmentation(inputs, draws)
            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=autocast):
                logits = as_logits(network(inputs))
            loss = F.cross_entropy(logits.float() if autocast else logits, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            # summed on the device: asking for a number here would wait for every step
            total_loss += loss.detach() * len(batch)
            correct += (logits.detach().argmax(1) == labels).sum()
    return total_loss.item() / len(order), correct.item() / len(order)


def example_order(examples: int, streams: EpochStreams) -> Tensor:
    """The order in which an epoch meets the training examples.

    A permutation of all of them, or, with `training.sampling = "replacement"`, whole batches of independent draws.
    """
    settings = streams.recipe.training
    draws = seeds.generator(*streams.named("order"))
    if settings.sampling == "permutation":
        return torch.randperm(examples, generator=draws)
    batches = max(examples // settings.batch_size, 1)
    return torch.randint(examples, (batches * settings.batch_size,), generator=draws)
