"""Early stop: some patients train nothing, and the loss on them says when to end and which weights were best."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from appliance.core.errors import CannotStart
from appliance.training.cache import Slices
from appliance.training.filling import Pools
from appliance.training.hard import logits_of
from appliance.training.loss import slice_loss
from appliance.training.plans import Recipe, StopPlan

MOST_SLICES = 400
LEAST_GAIN = 0.001

Indices = NDArray[np.int64]


def patients_left_out(pools: Pools, recipe: Recipe) -> Indices:
    """Numbers of the patients, or heads, that train nothing: a share of each of those that bleed and of the others."""
    if recipe.stop is None:
        return np.zeros(0, np.int64)
    rng = np.random.default_rng([recipe.seed, 13])
    left_out: list[Indices] = []
    for slices in (pools.real, pools.synthetic):
        bleeding = np.unique(slices.patient[slices.labels[:, 0] == 1])
        for group in (bleeding, np.setdiff1d(slices.patient, bleeding)):
            count = round(recipe.stop.share * group.size)
            left_out.append(rng.choice(group, count, replace=False) if count else np.zeros(0, np.int64))
    return np.concatenate(left_out).astype(np.int64)


class Stopper:
    """Looks at the averaged network from time to time and keeps the best. CannotStart where there is nothing to look at."""

    def __init__(self, pools: Pools, left_out: Indices, plan: StopPlan, seed: int) -> None:
        self._plan = plan
        self._seen = [_spread(slices, left_out, seed) for slices in (pools.real, pools.pasted, pools.synthetic)]
        self._slices = (pools.real, pools.pasted, pools.synthetic)
        if not any(one.size for one in self._seen):
            raise CannotStart(
                f"[stop] leaves out {plan.share:.0%} of the patients, and there is no slice of them to look at. "
                "Raise stop.share in the recipe, or leave [stop] out."
            )
        self._best = float("inf")
        self._waited = 0
        self._weights: dict[str, Any] = {}

    def is_due(self, step: int) -> bool:
        """Whether the step is one to look at."""
        return step % self._plan.every_steps == 0

    def look(self, averaged: nn.Module) -> float:
        """The loss on the patients left out. Remembers the weights if they are the best so far."""
        loss = self._loss(averaged)
        if loss < self._best - LEAST_GAIN:
            self._best, self._waited = loss, 0
            self._weights = {name: value.detach().cpu().clone() for name, value in averaged.state_dict().items()}
        else:
            self._waited += 1
        return loss

    @property
    def is_over(self) -> bool:
        """Whether enough looks in a row brought nothing."""
        return self._waited >= self._plan.patience

    def take_best(self, averaged: nn.Module) -> None:
        """Put the best weights back."""
        if self._weights:
            averaged.load_state_dict(self._weights)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"best": self._best, "waited": self._waited, "weights": self._weights}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._best, self._waited, self._weights = state["best"], state["waited"], state["weights"]

    def _loss(self, network: nn.Module) -> float:
        total, count = 0.0, 0
        for slices, indices in zip(self._slices, self._seen, strict=True):
            if indices.size:
                logits = torch.cat(list(logits_of(network, slices, indices)))
                labels = torch.from_numpy(slices.labels[indices].astype(np.float32))
                total += float(slice_loss(logits, labels)) * indices.size
                count += indices.size
        return total / max(count, 1)


def _spread(slices: Slices, patients: Indices, seed: int) -> Indices:
    """Up to MOST_SLICES slices of these patients, half of them bleeding where there are as many."""
    rng = np.random.default_rng([seed, 17])
    of_them = slices.use & np.isin(slices.patient, patients)
    found = []
    for label in (1, 0):
        indices = np.flatnonzero(of_them & (slices.labels[:, 0] == label))
        found.append(np.sort(rng.permutation(indices)[: MOST_SLICES // 2]))
    return np.concatenate(found)
