"""Two networks that answer as one. Networks that learned from different pictures err in different places.

Whether there is blood: the first one's answer and a share of the second's. Which kind: the first one alone, since that
is the one that learns from a site's own pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from appliance.core.engine import InputSpec, TrainedOn, Window
from appliance.core.words import LABELS, Label
from appliance.training.network import SliceNetwork
from appliance.training.picture import INPUT

SECOND_SHARE = 0.25
"""Of the second in whether there is blood (docs/decisions/0019). Meant for networks whose logits are about as wide."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beside:
    """A network that answers beside the one that is trained: it learns nothing more. `trained_on`: what it owes.

    `share`: how much of whether there is blood it says, 0 to 1.
    """

    network: SliceNetwork
    windows: tuple[Window, ...]
    trained_on: tuple[TrainedOn, ...]
    share: float = SECOND_SHARE


class Chosen(nn.Module):  # type: ignore[misc]  # torch may be absent when types are checked
    """A network's own windows out of a picture's, by a convolution of ones and zeros: every engine has that operator."""

    def __init__(self, own: Sequence[Window], all_of_them: Sequence[Window]) -> None:
        super().__init__()
        ones = torch.tensor([[float(window == one) for one in all_of_them] for window in own])
        self.register_buffer("choice", ones[:, :, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """[N, all, S, S] -> [N, own, S, S]."""
        return nn.functional.conv2d(image, self.choice)


class PairNet(SliceNetwork):
    """[N, windows, S, S] of `spec_of` -> logits [N, 6], the first one's embedding [N, 64], heat logits [N, 6, S/4, S/4].

    Logit and heat of "any" hold a share of the second network's, those of the kinds are the first one's.
    """

    def __init__(self, first: SliceNetwork, beside: Beside) -> None:
        super().__init__()
        self.first = first
        self.second = beside.network
        seen = spec_of(beside).windows
        self.first_windows = Chosen(INPUT.windows, seen)
        self.second_windows = Chosen(beside.windows, seen)
        share = torch.tensor([beside.share if label is Label.ANY else 0.0 for label in LABELS])
        self.register_buffer("share", share)
        self.register_buffer("map_share", share[:, None, None])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, embedding, heat."""
        logits, embedding, heat = self.first(self.first_windows(image))
        other_logits, _, other_heat = self.second(self.second_windows(image))
        both = logits + self.share * (other_logits - logits)
        return both, embedding, heat + self.map_share * (other_heat - heat)

    def stages(self) -> list[nn.Module]:
        """Those of the first: the second learns nothing."""
        return self.first.stages()


def spec_of(beside: Beside | None) -> InputSpec:
    """The picture of an engine: the windows that are trained on, then what another network sees besides."""
    if beside is None:
        return INPUT
    further = tuple(window for window in beside.windows if window not in INPUT.windows)
    return replace(INPUT, windows=(*INPUT.windows, *further))
