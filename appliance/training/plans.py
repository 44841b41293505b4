"""What a training recipe holds: its tables, their entries and the limits of each."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import Any

from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.phantoms.pasting.mimics import MIMIC_NAMES

NETWORK_KINDS = ("lite0", "plain")
STARTS = ("imagenet", "random")
PIXEL_KINDS = ("pictures", "dicom", "ledger")
"""Kinds of source that bring other people's pixels: what they may be used for must be said."""

HEAD_KINDS = ("synthetic", "mapped")
"""Kinds of source that draw heads: by formulas alone, or after label maps."""

PLACED_KINDS = (*PIXEL_KINDS, "mapped")
"""Kinds of source whose place `--data` names."""

KEYS_OF_KIND = {
    "synthetic": ("heads", "first_seed", "hard"),
    "mapped": ("heads", "first_seed", "hard", "licence", "attribution"),
    "pasted": ("hosts", "exams", "mimic_share", "without_mimics", "rounds"),
    **dict.fromkeys(PIXEL_KINDS, ("licence", "attribution", "folds", "hold_out")),
    "pictures": ("licence", "attribution", "folds", "hold_out", "cut_boxes"),
}
NEEDED_OF_KIND = {
    "synthetic": ("heads",),
    "mapped": ("heads", "licence", "attribution"),
    "pasted": ("hosts", "exams"),
    **dict.fromkeys(PIXEL_KINDS, ("licence", "attribution")),
}


def _between(least: float, most: float, default: Any = MISSING) -> Any:
    limits = {"least": least, "most": most}
    return field(metadata=limits) if default is MISSING else field(default=default, metadata=limits)


def _one_of(words: tuple[str, ...], default: Any = MISSING) -> Any:
    return field(metadata={"words": words}) if default is MISSING else field(default=default, metadata={"words": words})


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """Which network, and what its weights are at first."""

    kind: str = _one_of(NETWORK_KINDS)
    start: str = _one_of(STARTS, "random")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """One source of exams. Which entries a kind takes: KEYS_OF_KIND.

    Seeds are of heads: `first_seed` up to, not with, `first_seed + heads`; `hard` as `render_patient` takes it. Of `folds` folds by patient (0: none are
    made), number `hold_out` trains nothing. `exams` pastings are made a round, from the bleed-free slices of `hosts`.
    """

    name: str
    kind: str = _one_of(tuple(KEYS_OF_KIND))
    licence: str = ""
    attribution: str = ""
    heads: int = _between(2, HELD_OUT_SEED, 0)
    first_seed: int = _between(0, HELD_OUT_SEED, 0)
    hard: bool = True
    folds: int = _between(2, 100, 0)
    hold_out: int = _between(0, 99, 0)
    cut_boxes: bool = True  # to the inside of the skull
    hosts: tuple[str, ...] = ()
    exams: int = _between(1, 1_000_000, 0)
    mimic_share: float = _between(0, 1, 0.5)
    without_mimics: tuple[str, ...] = _one_of(MIMIC_NAMES, ())
    rounds: int = _between(1, 1000, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """How many slices of a batch are what; the rest are other bleed-free slices."""

    size: int = _between(4, 4096, 24)
    real_bleeds: int = _between(0, 4096, 0)
    pasted: int = _between(0, 4096, 0)
    twins: int = _between(0, 4096, 0)  # of the pasted
    synthetic: int = _between(0, 4096, 0)
    synthetic_twins: int = _between(0, 4096, 0)

    @property
    def others(self) -> int:
        """Places left for other bleed-free slices."""
        taken = self.real_bleeds + self.pasted + self.twins + self.synthetic + self.synthetic_twins
        return self.size - taken


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePlan:
    """How long and how fast. `*_share` and `*_from` are shares of the steps or of places."""

    steps: int = _between(1, 10_000_000)
    rate: float = _between(1e-7, 1, 1.5e-3)
    encoder_rate: float = _between(0, 1, 4e-4)  # of what stands at its start weights: ImageNet's or an engine's
    weight_decay: float = _between(0, 1, 0.02)
    warm_steps: int = _between(0, 100_000, 100)
    average: float = _between(0, 0.99999, 0.998)  # EMA of the weights; the average is what ships
    map_weight: float = _between(0, 100, 1.0)  # of the heat map's loss beside the slice's
    small_px: int = _between(64, 224, 224)  # side of the picture for the first `small_share` of the steps
    small_share: float = _between(0, 1, 0.0)
    hard_from: float = _between(0, 1, 1.0)
    hard_share: float = _between(0, 1 / 3, 0.0)  # of the bleed-free places
    frozen_stages: int = _between(0, 6, 0)
    threads: int = _between(1, 256, 1)
    checkpoint_steps: int = _between(1, 1_000_000, 200)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPlan:
    """Early stop: when `patience` looks in a row at `share` of the patients, which train nothing, bring no gain."""

    share: float = _between(0.02, 0.5, 0.2)
    every_steps: int = _between(1, 100_000, 100)
    patience: int = _between(1, 1000, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationPlan:
    """Held-out exams that scale, bias and points are chosen on, and below what the points never fall."""

    exams: int = _between(4, 100_000, 120)
    least_critical: float = _between(0.001, 0.999999, 0.9)
    least_review: float = _between(0.001, 0.999999, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorPlan:
    """Exams that the aggregator learns from, and is judged by: `heads` synthetic ones, each with and without its bleeds,
    and `pastings` into whole exams of the real sources that do not bleed (judged: of their held-out folds).
    """

    pastings: int = _between(0, 1_000_000, 300)
    heads: int = _between(4, 100_000, 60)
    judged_pastings: int = _between(0, 1_000_000, 80)
    judged_heads: int = _between(2, 100_000, 20)
    epochs: int = _between(1, 10_000, 40)  # at most: fewer where patients left out gain no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a training run does. `seed` is of weights and batches. No `stop`: all steps are run. No `aggregator`: the plain
    rule makes exams out of slices.
    """

    seed: int
    network: NetworkPlan
    sources: tuple[SourcePlan, ...]
    batch: BatchPlan
    schedule: SchedulePlan
    calibration: CalibrationPlan
    stop: StopPlan | None = None
    aggregator: AggregatorPlan | None = None

    def of_kind(self, *kinds: str) -> tuple[SourcePlan, ...]:
        """The sources of these kinds, in their order."""
        return tuple(source for source in self.sources if source.kind in kinds)
