"""Training of the aggregator, and the proof that it is worth having: on exams held out, beside the plain rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from appliance.core.aggregator import Aggregator
from appliance.core.words import LABELS, Label
from appliance.evaluation.calibration import Calibration
from appliance.evaluation.exam_marks import any_logit
from appliance.evaluation.figures import auc
from appliance.training.aggregator_network import AggregatorNetwork, Packed, pack
from appliance.training.exam_lessons import PASTED, REAL, SYNTHETIC
from appliance.training.exam_variants import Variant, drawn, whole
from appliance.training.scored_exams import ScoredExam, truth_of
from appliance.training.sources.exam import Tell

FOLDS: Final = 4
VARIANTS: Final = 10
"""How often each exam is drawn, beside the exam as it is."""

SENSITIVITY: Final = 0.95
GAIN: Final = 0.005
"""The least gain for which the plain rule is given up."""

LOSS_MOST: Final = 0.03
"""No group of exams may lose so much."""

LEAST_EXAMS: Final = 15
"""Bleeding ones, and as many that do not, below which a group decides nothing: one exam more or less would."""

GROUPS: Final = {"real": (REAL,), "real and pasted": (REAL, PASTED), "synthetic": (SYNTHETIC,)}
"""Pasted exams are held against all that do not bleed of the patients who are their hosts."""

_RATE: Final = 4e-3
_DECAY: Final = 0.5
_BATCH: Final = 256
_ANY: Final = LABELS.index(Label.ANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One of GROUPS: AUC and specificity at SENSITIVITY under the plain rule and under the aggregator."""

    group: str
    bleeding: int
    clean: int
    auc: tuple[float, float]
    specificity: tuple[float, float]

    @property
    def decides(self) -> bool:
        """Whether it holds enough exams to say anything."""
        return min(self.bleeding, self.clean) >= LEAST_EXAMS

    @property
    def gain(self) -> float:
        """Of both figures, the mean."""
        return 0.5 * (self.auc[1] - self.auc[0] + self.specificity[1] - self.specificity[0])

    def __str__(self) -> str:
        return (
            f"{self.group} ({self.bleeding} bleed, {self.clean} do not): exam AUC {self.auc[0]:.3f} -> {self.auc[1]:.3f}, "
            f"specificity at {SENSITIVITY:.0%} sensitivity {self.specificity[0]:.3f} -> {self.specificity[1]:.3f}"
        )


def learn(
    exams: Sequence[ScoredExam], rule: Calibration, epochs: int, seed: int, done: Callable[[], None] = lambda: None
) -> Aggregator:
    """An aggregator trained as long as exams of patients left out gain by it, at most so many `epochs`; after none it is
    the plain rule.

    `rule` calibrates the slices. `done` is called FOLDS + 1 times. ValueError where there are fewer patients than folds.
    """
    variants, patients = _variants(exams, rule, seed)
    packed = pack(variants, rule)
    embeddings = np.concatenate([one.around.embedding for one in variants])
    numbers = np.unique(patients)
    if numbers.size < FOLDS:
        raise ValueError(f"the aggregator needs exams of at least {FOLDS} patients")
    fold = np.random.default_rng([seed, 37]).permutation(numbers.size) % FOLDS
    losses = np.zeros(epochs + 1)
    for number in range(FOLDS):
        out = torch.from_numpy(np.isin(patients, numbers[fold == number]))
        network = AggregatorNetwork(rule, embeddings, seed)
        left_out = packed.of(out.nonzero()[:, 0])
        losses += _fit(network, packed.of((~out).nonzero()[:, 0]), epochs, seed, left_out) * len(left_out)
        done()
    network = AggregatorNetwork(rule, embeddings, seed)
    _fit(network, packed, int(losses.argmin()), seed)
    done()
    return network.aggregator()


def compare(exams: Sequence[ScoredExam], rule: Calibration, aggregator: Aggregator) -> list[Compared]:
    """Both on whole exams, each group by itself; those without a bleeding exam and a clean one are left out."""
    found = []
    learned = replace(rule, aggregator=aggregator)
    for group, kinds in GROUPS.items():
        known = [one for one in exams if one.kind in kinds and truth_of(one.truth)[_ANY] >= 0]
        truth = np.array([truth_of(one.truth)[_ANY] == 1 for one in known], dtype=np.bool_)
        if not truth.any() or truth.all():
            continue
        both = [np.array([any_logit(one.rows, by) for one in known]) for by in (rule, learned)]
        areas = [auc(scores, truth) or 0.0 for scores in both]
        quiet = [_specificity(scores, truth) for scores in both]
        found.append(
            Compared(
                group=group,
                bleeding=int(truth.sum()),
                clean=int((~truth).sum()),
                auc=(areas[0], areas[1]),
                specificity=(quiet[0], quiet[1]),
            )
        )
    return found


def is_better(compared: Sequence[Compared]) -> bool:
    """Whether the aggregator is worth having: groups that decide gain by it on the whole, and none loses much."""
    gains = [one.gain for one in compared if one.decides]
    return bool(gains) and float(np.mean(gains)) >= GAIN and min(gains) > -LOSS_MOST


def proven(
    aggregator: Aggregator, held_out: Sequence[ScoredExam], rule: Calibration, tell: Tell = lambda _: None
) -> Aggregator | None:
    """The aggregator, if exams that trained nothing gain by it; else None, and the plain rule stands."""
    compared = compare(held_out, rule, aggregator)
    for one in compared:
        tell(f"Held-out exams, {one}.")
    if is_better(compared):
        return aggregator
    tell("The learned aggregator brings no gain on held-out exams: the plain rule stands.")
    return None


def _variants(exams: Sequence[ScoredExam], rule: Calibration, seed: int) -> tuple[list[Variant], NDArray[np.int64]]:
    rng = np.random.default_rng([seed, 41])
    found: list[Variant] = []
    patients: list[int] = []
    for exam in exams:
        made = [whole(exam, rule.neighbour_mm), *(drawn(rng, exam, rule.neighbour_mm) for _ in range(VARIANTS))]
        of_use = [one for one in made if one is not None and (one.truth >= 0).any()]
        found += of_use
        patients += [exam.patient] * len(of_use)
    return found, np.array(patients, dtype=np.int64)


def _fit(
    network: AggregatorNetwork, exams: Packed, epochs: int, seed: int, left_out: Packed | None = None
) -> NDArray[np.float64]:
    """Train so many epochs; the loss on `left_out` before the first and after each."""
    torch.manual_seed(seed)
    optimiser = torch.optim.AdamW(network.groups(_DECAY), lr=_RATE)
    losses = [_loss_of(network, left_out)]
    for _ in range(epochs):
        network.train()
        for indices in torch.randperm(len(exams)).split(_BATCH):
            batch = exams.of(indices)
            optimiser.zero_grad()
            loss = _loss(network(batch), batch.truth)
            loss.backward()
            optimiser.step()
            network.hold_to_bounds()
        losses.append(_loss_of(network, left_out))
    return np.array(losses)


def _loss_of(network: AggregatorNetwork, exams: Packed | None) -> float:
    if exams is None:
        return 0.0
    network.eval()
    with torch.no_grad():
        return float(_loss(network(exams), exams.truth))


def _loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy of what is known, "any" twice."""
    weight = (truth >= 0).float()
    weight[:, _ANY] *= 2.0
    each = nn.functional.binary_cross_entropy_with_logits(logits, truth.clamp(min=0.0), reduction="none")
    return (each * weight).sum() / weight.sum()


def _specificity(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Share of the clean exams below the highest cut that SENSITIVITY of the bleeding ones reach."""
    bleeding = np.sort(scores[truth])
    cut = bleeding[int((1.0 - SENSITIVITY) * bleeding.size)]
    return float((scores[~truth] < cut).mean())
