"""The sources that bring pictures of people: a file each, and a row here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.core.errors import CannotStart
from appliance.training.plans import SourcePlan
from appliance.training.sources.dicom import DicomFolder
from appliance.training.sources.exam import Source
from appliance.training.sources.ledger import LedgerOfBox
from appliance.training.sources.pictures import Pictures

SOURCES: Final[dict[str, Callable[[str, Path], Source]]] = {
    "pictures": Pictures,
    "dicom": DicomFolder,
    "ledger": LedgerOfBox,
}
"""By the `kind` of a recipe; each is made of a name and a place."""


def open_source(plan: SourcePlan, place: Path) -> Source:
    """The source of a recipe at the place that `--data` names. CannotStart in words where it is none."""
    if not place.exists():
        raise CannotStart(f"Source {plan.name}: there is no {place}. Name its folder: --data {plan.name}=FOLDER")
    return SOURCES[plan.kind](plan.name, place)
