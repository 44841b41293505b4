"""A work folder belongs to the pictures that it was begun with.

Folds are dealt by patients. With a patient more, or another label, they are dealt anew; what stands in the cache, and the
checkpoint, would then have met patients who are held out now.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from appliance.core.errors import CannotStart
from appliance.training.opening import Opening

FILE: Final = "data.json"


def refuse_other_data(work: Path, opening: Opening) -> None:
    """Write down what the sources hold, or hold it against what stands there. CannotStart where a source has changed.

    A source more or less is the recipe's affair.
    """
    path = work / FILE
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    changed = sorted(name for name, mark in opening.marks.items() if known.get(name, mark) != mark)
    if changed:
        raise CannotStart(
            f"The source {changed[0]} holds other pictures or labels than when {work} was begun. What lies there may have "
            "met patients who are held out now. Name another folder: --work FOLDER."
        )
    part = path.with_suffix(".part")
    part.write_text(json.dumps(known | dict(opening.marks), indent=1), encoding="utf-8")
    part.rename(path)
