"""The aggregator as a network that can be trained. `core.aggregator` answers the same, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from appliance.core.aggregator import (
    CONTEXT,
    CORRECTION_MOST,
    EVIDENCE,
    SHARPEN_MOST,
    Aggregator,
    evidence,
    widths,
)
from appliance.core.exam_rule import smoothed
from appliance.core.words import LABELS
from appliance.evaluation.calibration import Calibration
from appliance.training.exam_variants import Variant

HIDDEN: Final = 16
PARTS: Final = 4
"""What an embedding is projected to: few, for a network is a little too sure of the patients that it has met."""

_DROPPED: Final = 0.2
_COLD: Final = -1e4
_TO_DECAY: Final = ("from_evidence", "from_context", "from_embedding", "project", "correct", "sharpen", "width_power")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """N exams, padded to L places. float32 `base` [N, L, 6] (smoothed logits), `evidence` [N, L, EVIDENCE], `context`
    [N, L, CONTEXT], `embedding` [N, L, e], `width` [N, L, 1]; `there` bool [N, L]; `truth` [N, 6]: 1, 0, -1.
    """

    base: Tensor
    evidence: Tensor
    context: Tensor
    embedding: Tensor
    width: Tensor
    there: Tensor
    truth: Tensor

    def __len__(self) -> int:
        return int(self.truth.shape[0])

    def of(self, indices: Tensor) -> Packed:
        """Some of the exams."""
        longest = int(self.there[indices].sum(dim=1).max())
        parts = {name: getattr(self, name)[indices] for name in Packed.__slots__}
        return Packed(**{name: part if name == "truth" else part[:, :longest] for name, part in parts.items()})


def pack(variants: Sequence[Variant], rule: Calibration) -> Packed:
    """Exams as tensors, their logits calibrated and smoothed as the rule says."""
    scale, bias = np.array(rule.scale), np.array(rule.bias)
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in Packed.__slots__}
    for one in variants:
        logits = scale * one.logits + bias
        found["base"].append(smoothed(one.around.positions_mm, logits, rule.smoothing_mm))
        found["evidence"].append(evidence(logits, one.around))
        found["context"].append(one.around.context)
        found["embedding"].append(one.around.embedding)
        found["width"].append(widths(one.around.positions_mm)[:, None])
        found["there"].append(np.ones(len(logits)))
    tensors = {
        name: nn.utils.rnn.pad_sequence([torch.from_numpy(one.astype(np.float32)) for one in values], batch_first=True)
        for name, values in found.items()
        if values
    }
    truth = torch.from_numpy(np.stack([one.truth for one in variants]).astype(np.float32))
    return Packed(**{**tensors, "there": tensors["there"] > 0, "truth": truth})


class AggregatorNetwork(nn.Module):  # type: ignore[misc]  # torch may be absent when types are checked
    """Begins as the plain rule: the last layer is zero."""

    def __init__(self, rule: Calibration, embeddings: NDArray[np.float64], seed: int) -> None:
        """`embeddings` [n, e] of slices that it will meet: their mean and spread become part of the projection."""
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        size = embeddings.shape[1]
        self._rule = rule
        self.mean = torch.from_numpy(embeddings.mean(axis=0).astype(np.float32))
        self.spread = torch.from_numpy(np.maximum(embeddings.std(axis=0), 1e-3).astype(np.float32))
        self.from_evidence = nn.Parameter(0.2 * torch.rand(EVIDENCE, HIDDEN, generator=draw))
        self.from_context = nn.Parameter(0.2 * torch.randn(CONTEXT, HIDDEN, generator=draw))
        self.from_embedding = nn.Parameter(0.2 * torch.randn(PARTS, HIDDEN, generator=draw))
        self.hidden_bias = nn.Parameter(torch.linspace(-2.0, 1.0, HIDDEN))
        self.project = nn.Parameter(torch.randn(size, PARTS, generator=draw) / size**0.5)
        self.correct = nn.Parameter(torch.zeros(HIDDEN, len(LABELS)))
        self.sharpen = nn.Parameter(torch.zeros(len(LABELS)))
        self.width_power = nn.Parameter(torch.zeros(1))
        self.offset = nn.Parameter(torch.zeros(len(LABELS)))

    def forward(self, exams: Packed) -> Tensor:
        """Exam logits [N, 6]."""
        embedding = torch.tanh(((exams.embedding - self.mean) / self.spread) @ self.project)
        embedding = nn.functional.dropout(embedding, _DROPPED, self.training)
        hidden = torch.tanh(
            exams.evidence @ self.from_evidence
            + exams.context @ self.from_context
            + embedding @ self.from_embedding
            + self.hidden_bias
        )
        hidden = nn.functional.dropout(hidden, _DROPPED, self.training)
        logits = exams.base + CORRECTION_MOST * torch.tanh(hidden @ self.correct)
        sharpness = self._rule.sharpness * torch.exp(self.sharpen)
        weighted = sharpness * logits + self.width_power * torch.log(exams.width.clamp(min=1e-6))
        weighted = torch.where(exams.there[..., None], weighted, torch.full_like(weighted, _COLD))
        return torch.logsumexp(weighted, dim=1) / sharpness + self.offset

    def groups(self, decay: float) -> list[dict[str, object]]:
        """Parameters for AdamW: what bends the plain rule is drawn back to it."""
        named = dict(self.named_parameters())
        return [
            {"params": [named[name] for name in _TO_DECAY], "weight_decay": decay},
            {"params": [one for name, one in named.items() if name not in _TO_DECAY], "weight_decay": 0.0},
        ]

    def hold_to_bounds(self) -> None:
        """No evidence speaks against a bleed; sharpness and width stay within bounds."""
        with torch.no_grad():
            self.from_evidence.clamp_(min=0.0)
            self.correct.clamp_(min=0.0)
            self.sharpen.clamp_(-SHARPEN_MOST, SHARPEN_MOST)
            self.width_power.clamp_(0.0, 1.0)

    def aggregator(self) -> Aggregator:
        """Its weights, for the engine."""
        spread = self.spread.numpy().astype(np.float64)
        held = {name: one.detach().numpy().astype(np.float64) for name, one in self.named_parameters()}
        return Aggregator(
            scale=np.array(self._rule.scale),
            bias=np.array(self._rule.bias),
            smoothing_mm=self._rule.smoothing_mm,
            sharpness=self._rule.sharpness,
            correction_most=CORRECTION_MOST,
            from_evidence=held["from_evidence"],
            from_context=held["from_context"],
            from_embedding=held["from_embedding"],
            hidden_bias=held["hidden_bias"],
            mean=self.mean.numpy().astype(np.float64),
            project=held["project"] / spread[:, None],
            correct=held["correct"],
            sharpen=held["sharpen"],
            width_power=float(held["width_power"][0]),
            offset=held["offset"],
        )
