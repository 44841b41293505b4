"""What every slice network gives, and the plain one: 3x3 convolutions, a heat map at a quarter of the input's size."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from appliance.core.words import LABELS

LABEL_COUNT = len(LABELS)
EMBEDDING_SIZE = 64
PATCH_CELLS = 6.0


def log_sum_exp(heat: Tensor, sharpness: float) -> Tensor:
    """[N, 6, h, w] -> [N, 6]: log(sum(exp(sharpness * heat))) / sharpness, by operators that every engine has.

    Less the logarithm of the cells of a 10-mm patch: one clear patch gives about its own logit.
    """
    flat = heat.flatten(2)
    top = flat.amax(dim=2)
    spread = torch.exp(sharpness * (flat - top.unsqueeze(2))).sum(dim=2)
    return top + (torch.log(spread) - math.log(PATCH_CELLS)) / sharpness


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class SliceNetwork(nn.Module):  # type: ignore[misc]  # torch may be absent when types are checked
    """[N, 3, S, S] windows -> logits [N, 6], embedding [N, 64], heat logits [N, 6, S/4, S/4]."""

    @abstractmethod
    def stages(self) -> list[nn.Module]:
        """What can be frozen or moved slowly, from the picture on."""


class PlainNet(SliceNetwork):
    """[N, 3, S, S] windows, S a multiple of 32 -> logits [N, 6], embedding [N, 64], heat logits [N, 6, S/4, S/4].

    A slice's logit is the log-sum-exp of its heat map, so that the map decides, plus a small global term.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 24, 48, 96, 128), channels: int = 3, decoder: int = 32) -> None:
        super().__init__()
        self.stem = _block(channels, widths[0], 2)
        self.down = nn.ModuleList(
            nn.Sequential(_block(widths[k], widths[k + 1], 2), _block(widths[k + 1], widths[k + 1]))
            for k in range(len(widths) - 1)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(w, decoder, 1) for w in widths[1:])
        self.smooth = _block(decoder, decoder)
        self.heat = nn.Conv2d(decoder, LABEL_COUNT, 1)
        self.embed = nn.Linear(widths[-1] + decoder, EMBEDDING_SIZE)
        self.global_term = nn.Linear(EMBEDDING_SIZE, LABEL_COUNT)
        self.offset = nn.Parameter(torch.zeros(LABEL_COUNT))
        nn.init.constant_(self.heat.bias, -5.0)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, embedding, heat."""
        features = [self.stem(image)]
        for stage in self.down:
            features.append(stage(features[-1]))
        merged = self.lateral[-1](features[-1])
        for k in range(len(self.lateral) - 2, -1, -1):
            merged = nn.functional.interpolate(merged, scale_factor=2.0, mode="nearest")
            merged = merged + self.lateral[k](features[k + 1])
        merged = self.smooth(merged)
        heat = self.heat(merged)
        deep = features[-1].mean(dim=(2, 3))
        local = merged.flatten(2).amax(dim=2)
        embedding = torch.relu(self.embed(torch.cat([deep, local], dim=1)))
        logits = log_sum_exp(heat, 1.0) + self.offset + 0.5 * self.global_term(embedding)
        return logits, embedding, heat

    def stages(self) -> list[nn.Module]:
        """The stem, then each halving."""
        return [self.stem, *self.down]
