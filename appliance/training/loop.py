"""The training loop: AdamW, cosine rate, an averaged copy, checkpoints that a killed run goes on from."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from appliance.core.engine import InputSpec
from appliance.training.augment import Batch, Sampler
from appliance.training.cache import Slices
from appliance.training.network import SliceNet
from appliance.training.recipe import Recipe

WARM_STEPS = 100


def train_network(
    slices: Slices, recipe: Recipe, spec: InputSpec, checkpoint: Path, done: Callable[[int, float], None]
) -> SliceNet:
    """Train and return the averaged network; call `done(step, loss)` after each step.

    A checkpoint of the same recipe is gone on from. The same recipe, slices and thread count give the same network
    when run without a break.
    """
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    network = SliceNet().to(memory_format=torch.channels_last)  # a tenth faster on a CPU
    averaged = SliceNet()
    averaged.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    step = _resume(checkpoint, network, averaged, optimiser)
    batches = Sampler(slices, recipe, spec, np.random.default_rng([recipe.seed, step])).batches()
    network.train()
    while step < recipe.steps:
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _rate(step, recipe.steps)
        batch = next(batches)
        optimiser.zero_grad(set_to_none=True)
        loss = _loss(network, batch, recipe.map_weight)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        _average(averaged, network, min(recipe.average, (1 + step) / (10 + step)))
        step += 1
        done(step, float(loss.detach()))
        if step % recipe.checkpoint_steps == 0 or step == recipe.steps:
            _save(checkpoint, network, averaged, optimiser, step)
    averaged.eval()
    return averaged


def _rate(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / WARM_STEPS)
    return warm * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * step / steps)))


def _loss(network: SliceNet, batch: Batch, map_weight: float) -> Tensor:
    logits, _, heat = network(batch.image.contiguous(memory_format=torch.channels_last))
    soft = batch.labels * 0.98 + 0.01
    per_label = functional.binary_cross_entropy_with_logits(logits, soft, reduction="none")
    slice_loss = (per_label[:, 0] * 2.0 + per_label[:, 1:].sum(dim=1)).mean() / 7.0
    # Cells that bleed a little are left out; a cell is blood from a quarter on.
    target = (batch.cells >= 0.25).float()
    counted = ((batch.cells <= 0.02) | (batch.cells >= 0.25)).float()
    cell = functional.binary_cross_entropy_with_logits(heat, target, reduction="none")
    chance = torch.sigmoid(heat)
    focus = (target * (1 - chance) + (1 - target) * chance) ** 2
    weight = torch.tensor([2.0, 1, 1, 1, 1, 1]).view(1, 6, 1, 1)
    map_loss = (cell * focus * counted * weight * (1.0 + 3.0 * target)).sum(dim=(2, 3)).mean() / 40.0
    total: Tensor = slice_loss + map_weight * map_loss
    return total


def _average(averaged: SliceNet, network: SliceNet, keep: float) -> None:
    with torch.no_grad():
        for mine, new in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.mul_(keep).add_(new, alpha=1.0 - keep)
            else:
                mine.copy_(new)


def _save(path: Path, network: SliceNet, averaged: SliceNet, optimiser: torch.optim.Optimizer, step: int) -> None:
    part = path.with_suffix(".part")
    torch.save(
        {
            "network": network.state_dict(),
            "averaged": averaged.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
        },
        part,
    )
    part.rename(path)


def _resume(path: Path, network: SliceNet, averaged: SliceNet, optimiser: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    averaged.load_state_dict(state["averaged"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
