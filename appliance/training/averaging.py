"""The averaged copy of a network, and its batch norms measured anew."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from appliance.training.network import SliceNetwork

_RAMP = 10


def copy_of(network: SliceNetwork) -> SliceNetwork:
    """A copy of its own that answers as it would in service."""
    averaged = copy.deepcopy(network)
    averaged.eval()
    return averaged


def add_to_average(averaged: nn.Module, network: nn.Module, keep: float, step: int) -> None:
    """Move the average towards the network; less is kept in the first steps, whose weights nobody wants."""
    keep = min(keep, (1 + step) / (_RAMP + step))
    mine, new = averaged.state_dict(), network.state_dict()
    floating = [name for name, value in mine.items() if value.dtype.is_floating_point]
    with torch.no_grad():
        torch._foreach_lerp_([mine[name] for name in floating], [new[name] for name in floating], 1.0 - keep)


def settle_batch_norm(network: nn.Module, images: Iterable[Tensor]) -> None:
    """Measure every batch norm's mean and variance anew over images [n, windows, S, S]; weights stay as they are.

    The average of weights has met no batch: its norms are those of other networks.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    with torch.no_grad():
        for image in images:
            network(image)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
