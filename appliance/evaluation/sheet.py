"""The worst failures as pictures: what the engine saw and where it was hottest. They show patients."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.core.errors import Fault
from appliance.core.words import KINDS, LABELS
from appliance.evaluation.answers import ImageAnswer
from appliance.evaluation.sources import Source
from appliance.imaging.pictures import render
from appliance.imaging.windows import BRAIN
from appliance.inference.loading import LoadedEngine
from appliance.reading.slice_reader import read_slice

SIZE_PX: Final = 220


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One picture as base64 PNG: `plain` and with the heat over it. `said` and `known` go beneath, unescaped."""

    plain: str
    heat: str
    said: str
    known: str


def sheet_of(
    worst: Mapping[str, Sequence[int]], images: Sequence[ImageAnswer], source: Source, engine: LoadedEngine
) -> dict[str, list[Tile]]:
    """Tiles by kind of failure, the worst first. The pictures are read and scored once more: none is kept."""
    answers = {one.number: one for one in images}
    wanted = [answers[number] for numbers in worst.values() for number in numbers]
    drawn: dict[int, Tile] = {}
    for number, hu, geometry in source.pictures(wanted):
        try:
            score = read_slice(engine, hu, geometry)
        except Fault:
            continue
        plain = render(hu, geometry, BRAIN, size_px=SIZE_PX)
        hot = render(hu, geometry, BRAIN, heat=score.heat, box=score.box, size_px=SIZE_PX)
        drawn[number] = Tile(
            plain=b64encode(plain.png).decode(),
            heat=b64encode(hot.png).decode(),
            said=_said(answers[number]),
            known=_known(answers[number]),
        )
    return {name: [drawn[number] for number in numbers if number in drawn] for name, numbers in worst.items()}


def _said(one: ImageAnswer) -> str:
    assert one.probabilities is not None
    kind = max(KINDS, key=lambda label: one.probabilities[LABELS.index(label)] if one.probabilities else 0.0)
    return f"any {one.probabilities[0]:.3f}, highest kind {kind} {one.probabilities[LABELS.index(kind)]:.3f}"


def _known(one: ImageAnswer) -> str:
    labels = " ".join(label for label, known in zip(LABELS, one.truth, strict=True) if known) or "no bleed"
    return " · ".join(part for part in (labels, f"patient {one.patient}" if one.patient else "", one.path) if part)
