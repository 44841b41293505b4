"""The optional learned aggregator of an engine. The manifest names it, its hash vouches for its weights."""

import io
import zipfile
from dataclasses import fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.aggregator import CONTEXT, CORRECTION_MOST, EVIDENCE, SHARPEN_MOST, Aggregator
from appliance.core.words import LABELS
from appliance.inference.manifest_table import BadManifest, Table

AGGREGATOR: Final = "aggregator.npz"
TABLE: Final = "aggregator"

_UNITS_MOST: Final = 256
_NUMBERS: Final = ("smoothing_mm", "sharpness", "width_power")
_IN_MANIFEST: Final = "correction_most"


def aggregator_of(manifest: Table, files: dict[str, bytes], embedding_size: int) -> Aggregator | None:
    """What [aggregator] and aggregator.npz say; None where the manifest has no such table.

    BadManifest where one is there without the other, or the file holds no such weights.
    """
    if (TABLE in manifest.values) != (AGGREGATOR in files):
        raise BadManifest(f"[{TABLE}] and {AGGREGATOR} in [files] go together")
    if TABLE not in manifest.values:
        return None
    most = manifest.table(TABLE).above_zero(_IN_MANIFEST)
    if most > CORRECTION_MOST:
        raise BadManifest(f"{TABLE}.{_IN_MANIFEST} must not be above {CORRECTION_MOST:g}, it is {most:g}")
    values: dict[str, Any] = dict(_read(files[AGGREGATOR]))
    values |= {name: float(values[name]) for name in _NUMBERS}
    found = Aggregator(**values, correction_most=most)
    for fault in _faults(found, embedding_size):
        raise BadManifest(f"{AGGREGATOR}: {fault}")
    return found


def aggregator_bytes(aggregator: Aggregator) -> bytes:
    """The file of an aggregator: float64 arrays by name."""
    file = io.BytesIO()
    values: dict[str, Any] = {name: np.asarray(getattr(aggregator, name), dtype=np.float64) for name in _names()}
    np.savez(file, **values)
    return file.getvalue()


def _names() -> tuple[str, ...]:
    return tuple(one.name for one in fields(Aggregator) if one.name != _IN_MANIFEST)


def _read(held: bytes) -> dict[str, NDArray[np.float64]]:
    try:
        with np.load(io.BytesIO(held), allow_pickle=False) as found:
            values = {name: np.asarray(found[name], dtype=np.float64) for name in _names()}
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BadManifest(f"{AGGREGATOR} holds no aggregator ({error})") from None
    odd = [name for name, value in values.items() if not np.isfinite(value).all()]
    odd += [name for name in _NUMBERS if values[name].shape != ()]
    if odd:
        raise BadManifest(f"{AGGREGATOR}: {odd[0]} must be finite, numbers plain numbers")
    return values


def _faults(found: Aggregator, embedding_size: int) -> list[str]:
    labels = len(LABELS)
    hidden = found.hidden_bias.size
    parts = found.project.shape[1] if found.project.ndim == 2 else 0
    if not (1 <= hidden <= _UNITS_MOST and 1 <= parts <= _UNITS_MOST):
        return [f"its layers must have 1 to {_UNITS_MOST} units"]
    shapes = {
        "scale": (labels,),
        "bias": (labels,),
        "from_evidence": (EVIDENCE, hidden),
        "from_context": (CONTEXT, hidden),
        "from_embedding": (parts, hidden),
        "hidden_bias": (hidden,),
        "mean": (embedding_size,),
        "project": (embedding_size, parts),
        "correct": (hidden, labels),
        "sharpen": (labels,),
        "offset": (labels,),
    }
    faults = [f"{name} must be {list(s)}" for name, s in shapes.items() if getattr(found, name).shape != s]
    if faults:
        return faults
    checks = (
        (found.from_evidence.min() >= 0.0, "from_evidence must not be below 0: evidence would speak against a bleed"),
        (found.correct.min() >= 0.0, "correct must not be below 0: evidence would speak against a bleed"),
        (found.scale.min() > 0.0, "scale must be above 0 for each label"),
        (found.smoothing_mm >= 0.0, "smoothing_mm must not be below 0"),
        (found.sharpness > 0.0, "sharpness must be above 0"),
        (np.abs(found.sharpen).max() <= SHARPEN_MOST + 1e-9, f"sharpen must lie within {SHARPEN_MOST:.3g} of 0"),
        (0.0 <= found.width_power <= 1.0, "width_power must lie from 0 to 1"),
    )
    return [said for holds, said in checks if not holds]
