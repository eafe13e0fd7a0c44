"""What can be known before a training begins: whether the network can be trained and stored at all."""

import torch
import torch.nn.functional as F

from modescope import seeds
from modescope.data import DataSet
from modescope.errors import ModelError
from modescope.models.outputs import as_logits
from modescope.recipe import Recipe
from modescope.store.snapshots import serialize
from modescope.training.epoch import stream
from modescope.training.member import initial_network, placed
from modescope.training.optimizers import build_optimizer


def check_trainable(recipe: Recipe, data: DataSet) -> None:
    """Take one small training step with the recipe's network, and throw it away.

    Raises:
        ModelError: The network has nothing to train, cannot take the step, or holds what a snapshot cannot.
    """
    name, settings = recipe.model.name, recipe.training
    network = initial_network(recipe, 0, data.input_shape, len(data.class_names))
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ModelError(f"{name} has no trainable parameters: there is nothing to train.")
    for key, value in network.state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise ModelError(
                f"{name} keeps {key}, which is no tensor, in its state_dict: it cannot be stored in a snapshot, "
                "where nothing is ever pickled."
            )
        if value.is_complex():
            raise ModelError(f"{name} has complex numbers in {key}; real ones are needed.")
    smallest = min(len(data.train) % settings.batch_size or settings.batch_size, len(data.train))
    size = min(smallest, 2)
    dtype = torch.float64 if settings.precision == "float64" else torch.float32
    try:
        network = placed(network, torch.device("cpu"), dtype).train()
        optimizer = build_optimizer(network.parameters(), settings)
        with seeds.seeded(*stream(recipe, 0, "dropout", 0)):
            logits = as_logits(network(torch.zeros(size, *data.network_shape, dtype=dtype)))
            F.cross_entropy(logits, torch.zeros(size, dtype=torch.int64)).backward()
        optimizer.step()
        serialize(network.state_dict(), {})
    except Exception as error:  # any network may fail in its own way
        hint = ""
        if size == 1:
            hint = f" The last batch of an epoch holds one example alone ({len(data.train)} in batches of "
            hint += f"{settings.batch_size}); another training.batch_size may help."
        told = str(error).rstrip(".")
        raise ModelError(f"{name} cannot be trained: {type(error).__name__}: {told}.{hint}") from error
