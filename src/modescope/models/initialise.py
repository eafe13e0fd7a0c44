"""Initialisations of the protocols. All draw from PyTorch's global generator, which `seeds.seeded` has placed."""

import math

import torch
from torch import nn

# Keras draws from a normal cut off at two standard deviations and widens it to restore the variance.
_CUT_NORMAL_STD = 0.87962566103423978


def glorot_uniform(module: nn.Module) -> None:
    """Kernels uniform in +-sqrt(6 / (fan_in + fan_out)), biases zero (Glorot & Bengio 2010; Keras's default)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def glorot_uniform_with_biases(module: nn.Module) -> None:
    """`glorot_uniform`, with biases uniform too, in +-sqrt(6 / 2n) for n biases.

    The paper's notebook initialises every variable this way; TensorFlow takes fan_in = fan_out = n for a vector.
    """
    glorot_uniform(module)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        limit = math.sqrt(3 / len(module.bias))
        nn.init.uniform_(module.bias, -limit, limit)


def he_normal(module: nn.Module) -> None:
    """Kernels normal with variance 2 / fan_in, cut at two standard deviations; biases zero (He et al. 2015; Keras)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        fan_in = module.weight[0].numel()
        std = math.sqrt(2 / fan_in) / _CUT_NORMAL_STD
        with torch.no_grad():
            nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
