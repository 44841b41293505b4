"""EfficientNet-Lite0 without its last stages, a feature pyramid, and a heat map at a quarter of the input's size.

Layers and names are those of the published weights ("_conv_stem", "_blocks.0"): Tan and Le 2019; the Lite variant has
ReLU6 and no squeeze-and-excite. Its TensorFlow original pads strided layers on one side only. Plain padding on both
sides is the same network on a picture moved by a few pixels, exports as attributes of the convolution, and is used here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from appliance.training.network import EMBEDDING_SIZE, LABEL_COUNT, SliceNetwork, log_sum_exp

STEM = 32
# Kernel, stride, expansion, width and blocks of each stage.
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3))
BN_EPS = 1e-3
BN_MOMENTUM = 0.01
PYRAMID = 96
SHARPNESS = 4.0


class Block(nn.Module):  # type: ignore[misc]  # torch may be absent when types are checked
    """A mobile block: widen by 1x1, filter each channel, narrow by 1x1; the input is added where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.widens = expansion != 1
        if self.widens:
            self._expand_conv = nn.Conv2d(inputs, wide, 1, bias=False)
            self._bn0 = _norm(wide)
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False)
        self._bn1 = _norm(wide)
        self._project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self.adds = stride == 1 and inputs == outputs
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        y = self.act(self._bn0(self._expand_conv(x))) if self.widens else x
        y = self.act(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class Encoder(nn.Module):  # type: ignore[misc]
    """The first eleven blocks. [N, 3, S, S] -> features at strides 4, 8 and 16, of 24, 40 and 112 channels."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, STEM, 3, stride=2, padding=1, bias=False)
        self._bn0 = _norm(STEM)
        self.act = nn.ReLU6(inplace=True)
        blocks, inputs = [], STEM
        for kernel, stride, expansion, width, count in STAGES:
            for number in range(count):
                blocks.append(Block(inputs, width, kernel, stride if number == 0 else 1, expansion))
                inputs = width
        self._blocks = nn.ModuleList(blocks)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the three features, the finest first."""
        x = self.act(self._bn0(self._conv_stem(image)))
        kept = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in (2, 4, len(self._blocks) - 1):
                kept.append(x)
        return kept


class Lite0Net(SliceNetwork):
    """[N, 3, S, S] windows, S a multiple of 16 -> logits [N, 6], embedding [N, 64], heat logits [N, 6, S/4, S/4].

    A slice's logit is the log-sum-exp of its heat map, so that the map decides, plus a linear term of the whole slice.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (STAGES[1][3], STAGES[2][3], STAGES[4][3])
        self.encoder = Encoder()
        self.lateral = nn.ModuleList(nn.Conv2d(width, PYRAMID, 1) for width in widths)
        self.smooth = nn.Sequential(
            nn.Conv2d(PYRAMID, PYRAMID, 3, padding=1, bias=False), nn.BatchNorm2d(PYRAMID), nn.ReLU(inplace=True)
        )
        self.heat = nn.Conv2d(PYRAMID, LABEL_COUNT, 1)
        self.embed = nn.Linear(widths[-1] + PYRAMID, EMBEDDING_SIZE)
        self.global_term = nn.Linear(EMBEDDING_SIZE, LABEL_COUNT)
        nn.init.constant_(self.heat.bias, -4.0)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, embedding, heat."""
        fine, middle, deep = self.encoder(image)
        merged = self.lateral[2](deep)
        merged = nn.functional.interpolate(merged, scale_factor=2.0, mode="nearest") + self.lateral[1](middle)
        merged = nn.functional.interpolate(merged, scale_factor=2.0, mode="nearest") + self.lateral[0](fine)
        merged = self.smooth(merged)
        heat = self.heat(merged)
        pooled = torch.cat([deep.mean(dim=(2, 3)), merged.mean(dim=(2, 3))], dim=1)
        embedding = torch.relu(self.embed(pooled))
        logits = log_sum_exp(heat, SHARPNESS) + self.global_term(embedding)
        return logits, embedding, heat

    def stages(self) -> list[nn.Module]:
        """The stem, then each stage of the encoder."""
        encoder, found, first = self.encoder, [nn.ModuleList([self.encoder._conv_stem, self.encoder._bn0])], 0
        for *_, count in STAGES:
            found.append(nn.ModuleList(encoder._blocks[first : first + count]))
            first += count
        return found


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=BN_EPS, momentum=BN_MOMENTUM)
