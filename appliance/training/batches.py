"""Which slices a batch holds. Each batch is drawn by its own number alone, so a run that was cut off draws on alike."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from appliance.core.errors import CannotStart
from appliance.core.slices import HEAT_SIZE
from appliance.core.words import KINDS
from appliance.training.augment import draw_looks, look_cells, look_hu, noise_bank
from appliance.training.cache import Slices
from appliance.training.filling import Pools
from appliance.training.picture import INPUT
from appliance.training.plans import BatchPlan, Recipe

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """float32 image [n, windows, S, S]; labels [n, 6] 1, 0, -1 unknown; shares that bleed and known [n, 6, S/4, S/4]."""

    image: Tensor
    labels: Tensor
    shares: Tensor
    known: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(**{one.name: getattr(self, one.name).to(device) for one in fields(self)})


class Drawn:
    """Slices of one kind of source, by what they can stand for. `left_out`: patients that train nothing."""

    def __init__(self, slices: Slices, left_out: Indices, *, by_kind: bool = False) -> None:
        self.slices = slices
        may = slices.use & ~np.isin(slices.patient, left_out)
        self.bleeding: Indices = np.flatnonzero(may & (slices.labels[:, 0] == 1))
        self.free: Indices = np.flatnonzero(may & (slices.labels[:, 0] == 0))
        self._groups = [self.bleeding]
        if by_kind:
            kinds = [self.bleeding[slices.labels[self.bleeding, 1 + k] == 1] for k in range(len(KINDS))]
            self._groups = [found for found in kinds if found.size] or self._groups

    def bleeds(self, rng: np.random.Generator, count: int) -> Indices:
        """Draw bleeding slices; where they are drawn by kind, each about as often as any other, however many show it."""
        groups = [self._groups[k] for k in rng.integers(len(self._groups), size=count)] if count else []
        return np.array([rng.choice(group) for group in groups], np.int64)


class Batches:
    """Draws batches by a recipe from pools of slices."""

    def __init__(self, pools: Pools, recipe: Recipe, left_out: Indices) -> None:
        self._recipe = recipe
        self._left_out = left_out
        self._real = Drawn(pools.real, left_out)
        self._pasted = Drawn(pools.pasted, left_out, by_kind=True)
        self._synthetic = Drawn(pools.synthetic, left_out, by_kind=True)
        self.others = self._real if self._real.free.size else self._synthetic
        self._hard: Indices = np.zeros(0, np.int64)
        self._bank = noise_bank(np.random.default_rng([recipe.seed, 11]), INPUT.size)
        self._look_of = _looks_of(recipe.batch)
        self._refuse_empty()

    def draw_pasted_from(self, slices: Slices) -> None:
        """From the next batch on, draw from another round of pasting."""
        self._pasted = Drawn(slices, self._left_out, by_kind=True)

    @property
    def hard(self) -> Indices:
        """The bleed-free slices of `others` that are drawn more often; empty at first."""
        return self._hard

    @hard.setter
    def hard(self, indices: Indices) -> None:
        self._hard = indices

    def size_at(self, step: int) -> int:
        """Side of the picture of the batch of this number, in pixels."""
        plan = self._recipe.schedule
        return plan.small_px if step < plan.small_share * plan.steps else INPUT.size

    def at(self, step: int) -> Batch:
        """The batch of this number."""
        rng = np.random.default_rng([self._recipe.seed, 5, step])
        size = self.size_at(step)
        looks = draw_looks(rng, self._recipe.batch.size).taken(self._look_of)
        picks = self._picks(rng)
        hu = np.concatenate([slices.hu(indices) for slices, indices in picks]).astype(np.float32)
        cells = np.concatenate([slices.cells(indices) for slices, indices in picks])
        labels = np.concatenate([slices.labels[indices] for slices, indices in picks])
        shares, known = look_cells(cells, looks, size * HEAT_SIZE // INPUT.size)
        return Batch(
            image=windowed(look_hu(torch.from_numpy(hu).unsqueeze(1), looks, self._bank, size)),
            labels=torch.from_numpy(labels.astype(np.float32)),
            shares=shares,
            known=known,
        )

    def _picks(self, rng: np.random.Generator) -> list[tuple[Slices, Indices]]:
        plan = self._recipe.batch
        picks = [(self._real.slices, self._real.bleeds(rng, plan.real_bleeds))]
        for drawn, bleeds, twins in (
            (self._pasted, plan.pasted, plan.twins),
            (self._synthetic, plan.synthetic, plan.synthetic_twins),
        ):
            chosen = drawn.bleeds(rng, bleeds)
            picks += [(drawn.slices, chosen), (drawn.slices, drawn.slices.twin[chosen[:twins]])]
        picks.append((self.others.slices, self._others(rng, plan.others)))
        return [(slices, indices) for slices, indices in picks if indices.size]

    def _others(self, rng: np.random.Generator, count: int) -> Indices:
        hard = round(count * self._recipe.schedule.hard_share) if self._hard.size else 0
        free = self.others.free
        return np.concatenate([_any_of(rng, self._hard, hard), _any_of(rng, free, count - hard)])

    def _refuse_empty(self) -> None:
        plan = self._recipe.batch
        wanted = (
            (plan.real_bleeds, self._real.bleeding, "a bleeding slice of real exams"),
            (plan.pasted, self._pasted.bleeding, "a pasted bleed"),
            (plan.synthetic, self._synthetic.bleeding, "a bleeding synthetic slice"),
            (plan.others, self.others.free, "a bleed-free slice"),
        )
        missing = [words for count, found, words in wanted if count and not found.size]
        if missing:
            raise CannotStart(f"The batch asks for {' and '.join(missing)}, and the sources hold none.")


def windowed(hu: Tensor) -> Tensor:
    """[n, 1, S, S] HU -> [n, windows, S, S], each 0 to 1."""
    lows = torch.tensor([w.center - w.width / 2 for w in INPUT.windows]).view(1, -1, 1, 1)
    widths = torch.tensor([w.width for w in INPUT.windows]).view(1, -1, 1, 1)
    return ((hu - lows) / widths).clamp(0.0, 1.0)


def _looks_of(plan: BatchPlan) -> Indices:
    """Which look each place of a batch takes: a twin its bleeding slice's, every other one of its own."""
    pasted = plan.real_bleeds + np.arange(plan.pasted + plan.twins)
    pasted[plan.pasted :] -= plan.pasted
    first = plan.real_bleeds + plan.pasted + plan.twins
    synthetic = first + np.arange(plan.synthetic + plan.synthetic_twins)
    synthetic[plan.synthetic :] -= plan.synthetic
    return np.concatenate(
        [np.arange(plan.real_bleeds), pasted, synthetic, np.arange(plan.size - plan.others, plan.size)]
    )


def _any_of(rng: np.random.Generator, indices: Indices, count: int) -> Indices:
    return rng.choice(indices, count) if count else np.zeros(0, np.int64)
