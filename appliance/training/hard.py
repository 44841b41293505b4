"""Bleed-free slices that the network finds most like blood: they are met more often from then on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from appliance.training.batches import windowed
from appliance.training.cache import Slices

HARD_SHARE = 0.12
_AT_ONCE = 32


def hard_negatives(network: nn.Module, slices: Slices, free: NDArray[np.int64]) -> NDArray[np.int64]:
    """The HARD_SHARE of the bleed-free slices `free` with the highest logit of "any"."""
    logits = np.concatenate([one[:, 0].numpy() for one in logits_of(network, slices, free)])
    count = max(1, round(HARD_SHARE * free.size))
    return np.sort(free[np.argsort(-logits, kind="stable")[:count]])


def logits_of(network: nn.Module, slices: Slices, indices: NDArray[np.int64]) -> Iterator[Tensor]:
    """Logits [k, 6] of these slices as they lie in the cache, some at a time."""
    device = next(network.parameters()).device
    network.eval()
    with torch.no_grad():
        for first in range(0, indices.size, _AT_ONCE):
            hu = torch.from_numpy(slices.hu(indices[first : first + _AT_ONCE]).astype(np.float32)).unsqueeze(1)
            image = windowed(hu).to(device, memory_format=torch.channels_last)
            yield network(image)[0].float().cpu()
