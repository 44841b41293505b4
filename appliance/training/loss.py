"""What training makes small: the slice's six labels and the heat map's cells, each as far as they are known."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from appliance.training.batches import Batch

SOFT = 0.02
"""Labels are .02 and .98: some are wrong."""

BLOOD = 0.25
EMPTY = 0.02
"""A cell is blood from a quarter on and empty up to a fiftieth; between, it is not counted."""

_ANY_WEIGHT = 2.0
_MAP_SCALE = 40.0


def slice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of logits [n, 6] with labels [n, 6] (1, 0, -1 unknown); "any" counts double."""
    known = (labels >= 0).float()
    soft = labels.clamp(min=0.0) * (1.0 - 2.0 * SOFT) + SOFT
    each = functional.binary_cross_entropy_with_logits(logits, soft, reduction="none")
    weight = _label_weights(logits).view(1, -1) * known
    return (each * weight).sum() / weight.sum().clamp(min=1.0)


def map_loss(heat: Tensor, shares: Tensor, known: Tensor) -> Tensor:
    """Focal cross-entropy of heat logits [n, 6, h, h] with the shares of each cell that bleed, where known."""
    blood = (shares >= BLOOD).float()
    counted = ((shares <= EMPTY) | (shares >= BLOOD)) & (known > 0.99)
    cell = functional.binary_cross_entropy_with_logits(heat, blood, reduction="none")
    chance = torch.sigmoid(heat)
    focus = (blood * (1 - chance) + (1 - blood) * chance) ** 2
    weight = _label_weights(heat).view(1, -1, 1, 1) * (1.0 + 3.0 * blood) * counted
    return (cell * focus * weight).sum(dim=(2, 3)).mean() / _MAP_SCALE


def whole_loss(answers: tuple[Tensor, Tensor, Tensor], batch: Batch, map_weight: float) -> Tensor:
    """What a network answered (logits, embedding, heat), held against a batch."""
    logits, _, heat = answers
    of_slices = slice_loss(logits.float(), batch.labels)
    return of_slices + map_weight * map_loss(heat.float(), batch.shares, batch.known)


def _label_weights(like: Tensor) -> Tensor:
    return torch.tensor([_ANY_WEIGHT, 1, 1, 1, 1, 1], device=like.device)
