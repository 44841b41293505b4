"""The tables of what was held out, beside the checkpoint: `bleedwatch evaluate --manifest` makes cross-validated figures by them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from appliance.evaluation.manifest import read_manifest, table_of
from appliance.training.opening import Opening
from appliance.training.plans import Recipe
from appliance.training.sources.pictures import patient_of, table_at

_FILES = ("path", "mask")


def write_held_out(recipe: Recipe, opening: Opening, places: Mapping[str, Path], work: Path) -> None:
    """Write `held-out-NAME.csv` into `work` for each source of pictures that has a held-out fold."""
    for plan in recipe.of_kind("pictures"):
        if plan.folds:
            out = work / f"held-out-{plan.name}.csv"
            _write_rows(table_at(places[plan.name]), opening.held_out[plan.name].patients, out)


def _write_rows(table: Path, patients: frozenset[str], out: Path) -> None:
    """The rows of these patients, in the columns of the table; where their files lie is said in full."""
    rows = table_of(table.read_bytes(), table, _FILES[:1])
    kept = [
        values | {name: str(table.parent.resolve() / values[name]) for name in _FILES if values.get(name)}
        for row, values in zip(read_manifest(table), rows, strict=True)
        if patient_of(row) in patients
    ]
    part = out.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, rows[0].keys())
        lines.writeheader()
        lines.writerows(kept)
    part.rename(out)
