"""Networks from elsewhere: `timm:NAME`, transformers' `hf:TYPE`, and `package.module:factory` from users' own code."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from modescope.errors import ModelError
from modescope.outside import imported


def timm_network(name: str, input_shape: tuple[int, ...], classes: int, kwargs: Mapping[str, Any]) -> nn.Module:
    """A network of the timm library, untrained.

    Raises:
        ModelError: timm is not installed, or has no such network.
    """
    try:
        import timm
    except Exception as error:  # a torchvision that does not fit fails with RuntimeError, not ImportError
        raise ModelError(
            f"timm:{name} needs the timm library, which cannot be imported ({type(error).__name__}: {error}). "
            "`pip install 'modescope[zoo]'` installs it."
        ) from None
    if name not in timm.list_models():
        nearest = timm.list_models(f"*{name.split('_')[0]}*")[:3]
        raise ModelError(f"timm has no network {name!r}." + (f" It has {', '.join(nearest)}." if nearest else ""))
    arguments = {"num_classes": classes, "in_chans": input_shape[-1], **kwargs}
    return timm.create_model(name, pretrained=False, **arguments)


def transformers_network(name: str, input_shape: tuple[int, ...], classes: int, kwargs: Mapping[str, Any]) -> nn.Module:
    """An image classifier of the transformers library, untrained, built from its configuration: nothing is downloaded.

    Args:
        name: The configuration's model type: `vit`, `resnet`, `convnext`, ...
        input_shape: (height, width, channel).
        classes: Number of classes.
        kwargs: Further fields of the configuration: `hidden_size`, `patch_size`, ...

    Returns:
        A network whose output has the `logits`.

    Raises:
        ModelError: transformers is not installed, or has no image classifier of that type.
    """
    try:
        from transformers import AutoConfig, AutoModelForImageClassification
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as known
    except Exception as error:  # as with timm, what it needs may be broken in any way
        raise ModelError(
            f"hf:{name} needs the transformers library, which cannot be imported ({type(error).__name__}: {error}). "
            "`pip install 'modescope[zoo]'` installs it."
        ) from None
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        raise ModelError(
            f"transformers has no image classifier of the type {name!r}."
            + (f" It has {', '.join(nearest)}." if nearest else "")
        )
    settings = {"num_labels": classes, "num_channels": input_shape[-1], "image_size": input_shape[0], **kwargs}
    try:
        return AutoModelForImageClassification.from_config(AutoConfig.for_model(name, **settings))
    except Exception as error:  # configurations refuse in many ways
        raise ModelError(f"hf:{name} cannot be built with {settings}: {type(error).__name__}: {error}") from error


def factory_network(address: str, input_shape: tuple[int, ...], classes: int, kwargs: Mapping[str, Any]) -> nn.Module:
    """What a user's factory builds.

    The factory gets the recipe's `model.kwargs`, and of `input_shape`, `classes`, `num_classes`, `channels`,
    `in_channels` and `in_chans` those that its signature names.

    Raises:
        ModelError: It cannot be imported, or fails, or returns something else than a module.
    """
    factory = imported(address, ModelError)
    offered = {
        "input_shape": input_shape,
        **dict.fromkeys(("classes", "num_classes"), classes),
        **dict.fromkeys(("channels", "in_channels", "in_chans"), input_shape[-1]),
    }
    wanted = inspect.signature(factory).parameters
    arguments = {name: value for name, value in offered.items() if name in wanted} | dict(kwargs)
    try:
        network = factory(**arguments)
    except Exception as error:  # it is the user's function: whatever it raises is what they must see
        raise ModelError(f"{address}(**{arguments}) failed with {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"{address} returned {type(network).__name__}; a torch.nn.Module is needed.")
    return network
