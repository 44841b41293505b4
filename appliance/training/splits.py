"""Who trains and who judges: folds by patient, and the refusal of any split that lets a patient or a picture be on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.errors import CannotStart

_ROWS_NAMED: Final = 6


class Leakage(CannotStart):
    """The same patient, or the same picture, would be trained on and judged by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one exam leaves behind for the comparison. `exam` says where it is found again; `patient` is only compared."""

    source: str
    exam: str
    patient: str
    held_out: bool
    pictures: frozenset[str]


def folds_of(source: str, bleeds: Mapping[str, bool], folds: int, seed: int) -> dict[str, int]:
    """The fold of each patient of a source, 0 to folds - 1. `bleeds`: every patient, and whether any slice bleeds.

    Patients who bleed and others are each dealt out evenly, in an order that only seed, source and patient decide: the
    same patients give the same folds, whatever order they come in. CannotStart where there are fewer than folds.
    """
    if len(bleeds) < folds:
        raise CannotStart(
            f"Source {source} has {len(bleeds)} patients, {folds} folds need as many at least. "
            "Make fewer folds; where all exams bear one patient ID, give each patient one of its own."
        )
    in_order = sorted(bleeds, key=lambda patient: (not bleeds[patient], _hash(str(seed), source, patient)))
    return {patient: index % folds for index, patient in enumerate(in_order)}


def pictures_of(hu: NDArray[np.int16]) -> frozenset[str]:
    """Hashes of the pictures [n, H, W] that show anything: those of one value throughout are alike in everybody."""
    return frozenset(_hash_of_pixels(one) for one in hu if one.min() != one.max())


def refuse_leakage(traces: Iterable[Trace]) -> None:
    """Leakage, in words, where a patient of a source, or a picture of any, stands on both sides of the split."""
    traces = list(traces)
    patients = _on_both_sides(traces, {index: [(one.source, one.patient)] for index, one in enumerate(traces)})
    pictures = _on_both_sides(traces, {index: one.pictures for index, one in enumerate(traces)})
    said = [
        f"{len(found)} {noun} trained on and held out ({_rows(traces, found)})"
        for found, noun in (
            (patients, "patient is" if len(patients) == 1 else "patients are"),
            (pictures, "picture is" if len(pictures) == 1 else "pictures are"),
        )
        if found
    ]
    if said:
        raise Leakage(f"{', and '.join(said)}. Give one patient one ID, and each picture once.")


def _on_both_sides(traces: Sequence[Trace], keys: Mapping[int, Iterable[object]]) -> dict[object, list[int]]:
    """By key the traces that have it, where some train and some are held out."""
    found: dict[object, list[int]] = {}
    for index, own in keys.items():
        for key in own:
            found.setdefault(key, []).append(index)
    return {key: having for key, having in found.items() if len({traces[one].held_out for one in having}) == 2}


def _rows(traces: Sequence[Trace], found: Mapping[object, Sequence[int]]) -> str:
    named = dict.fromkeys(f"{traces[one].source}: {traces[one].exam}" for having in found.values() for one in having)
    more = len(named) - _ROWS_NAMED
    return ", ".join(list(named)[:_ROWS_NAMED]) + (f" and {more} more" if more > 0 else "")


def _hash(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()


def _hash_of_pixels(hu: NDArray[np.int16]) -> str:
    return sha256(repr(hu.shape).encode() + np.ascontiguousarray(hu).tobytes()).hexdigest()
