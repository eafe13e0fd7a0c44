"""A name becomes a network."""

import difflib
from collections.abc import Callable

import torch
from torch import nn

from modescope.errors import ModelError
from modescope.models.outputs import as_logits
from modescope.models.outside import factory_network, timm_network, transformers_network
from modescope.models.paper_cnn import paper_mediumcnn, paper_smallcnn
from modescope.models.report_cnn import report_mediumcnn, report_smallcnn
from modescope.models.resnet20 import resnet20v1
from modescope.settings import ModelSettings

__all__ = ["BUILDERS", "build_network"]

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "report-smallcnn": report_smallcnn,
    "report-mediumcnn": report_mediumcnn,
    "paper-smallcnn": paper_smallcnn,
    "paper-mediumcnn": paper_mediumcnn,
    "resnet20v1": resnet20v1,
}


def build_network(settings: ModelSettings, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Build a freshly initialised network. It draws from the global generators: wrap the call in `seeds.seeded`.

    Args:
        settings: The `[model]` section of a recipe.
        input_shape: The shape of one stored input: (height, width, channel) for images.
        classes: Number of classes.

    Returns:
        A network that maps (batch, channel, height, width) to logits (batch, class).

    Raises:
        ModelError: The name is unknown, the arguments do not fit, or the network does not fit the data.
    """
    kind, colon, address = settings.name.partition(":")
    if settings.name in BUILDERS:
        try:
            network = BUILDERS[settings.name](input_shape, classes, **settings.kwargs)
        except TypeError as error:
            raise ModelError(f"model.kwargs do not fit {settings.name}: {error}.") from None
    elif kind == "timm" and colon:
        network = timm_network(address, input_shape, classes, settings.kwargs)
    elif kind == "hf" and colon:
        network = transformers_network(address, input_shape, classes, settings.kwargs)
    elif colon:
        network = factory_network(settings.name, input_shape, classes, settings.kwargs)
    else:
        nearest = difflib.get_close_matches(settings.name, BUILDERS, n=1, cutoff=0.4)
        hint = f"the nearest is {nearest[0]!r}; " if nearest else ""
        raise ModelError(
            f"There is no network {settings.name!r}: {hint}there are {', '.join(BUILDERS)}, timm:NAME, hf:TYPE and "
            "package.module:factory."
        )
    _check_output(network, settings.name, input_shape, classes)
    return network


def _check_output(network: nn.Module, name: str, input_shape: tuple[int, ...], classes: int) -> None:
    """Two blank examples must give two rows of logits."""
    shape = (input_shape[2], *input_shape[:2]) if len(input_shape) == 3 else input_shape
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            logits = as_logits(network(torch.zeros(2, *shape)))
    except Exception as error:  # any network may fail in its own way on inputs it was not made for
        raise ModelError(f"{name} cannot take inputs of shape {shape}: {type(error).__name__}: {error}") from error
    finally:
        network.train(was_training)
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, classes):
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModelError(f"{name} gives {got} for two examples; logits of shape (2, {classes}) are needed.")
