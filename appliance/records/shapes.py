"""Frozen values of `core` as JSON and bytes, and back. What is not asked for in a query lies in one of these columns."""

from dataclasses import asdict
from typing import Any, Final

import numpy as np

from appliance.core.headers import SeriesFacts, SliceGeometry
from appliance.core.ledger import Finding, Reasons
from appliance.core.slices import HEAT_SIZE, BoxPlace, SliceFacts, SliceScore
from appliance.core.words import LABELS, Side

Json = dict[str, Any]
_INT64: Final = 2**63


def reasons_out(reasons: Reasons) -> list[Any]:
    """Reasons as JSON: [[code, details], ...]."""
    return [[code, dict(details)] for code, details in reasons]


def reasons_in(stored: list[Any]) -> Reasons:
    """Reasons from JSON."""
    return tuple((str(code), dict(details)) for code, details in stored)


def series_out(facts: SeriesFacts) -> Json:
    """Facts of a series as JSON."""
    return asdict(facts)


def series_in(stored: Json) -> SeriesFacts:
    """Facts of a series from JSON, whose lists were tuples."""
    return SeriesFacts(**_tuples(stored))


def geometry_out(geometry: SliceGeometry) -> Json:
    """The place of a slice as JSON."""
    return asdict(geometry)


def geometry_in(stored: Json) -> SliceGeometry:
    """The place of a slice from JSON."""
    return SliceGeometry(**_tuples(stored))


def finding_out(finding: Finding | None) -> Json | None:
    """A finding as JSON."""
    return None if finding is None else asdict(finding)


def finding_in(stored: Json | None) -> Finding | None:
    """A finding from JSON."""
    if stored is None:
        return None
    return Finding(**{**stored, "side": Side(stored["side"]), "evidence": tuple(stored["evidence"])})


def score_out(score: SliceScore) -> Json:
    """A score as the columns of its slice."""
    seen = {
        "centre_rc": list(score.box.centre_rc),
        "side_mm": score.box.side_mm,
        "peak_rc": None if score.peak_rc is None else list(score.peak_rc),
        "has_brain": score.has_brain,
        "brain_hu": score.brain_hu,
        "skull_area_mm2": score.skull_area_mm2,
        "ms": dict(score.ms),
        "backend": score.backend,
        "facts": None if score.facts is None else asdict(score.facts),
    }
    heat = np.ascontiguousarray(score.heat, dtype=np.uint8)
    if heat.shape != (HEAT_SIZE, HEAT_SIZE):
        raise ValueError(f"heat map of shape {heat.shape}")
    return {
        **{f"p_{label}": float(value) for label, value in zip(LABELS, score.probabilities, strict=True)},
        "logits": np.ascontiguousarray(score.logits, dtype="<f4").tobytes(),
        "embedding": np.ascontiguousarray(score.embedding, dtype="<f4").tobytes(),
        "heat": heat.tobytes(),
        "seen": _plain(seen),
    }


def score_in(row: Any) -> SliceScore | None:
    """The score in the columns of a slice; None where there is none. Its arrays cannot be written to."""
    if row.logits is None:
        return None
    seen = row.seen
    peak, facts = seen["peak_rc"], seen.get("facts")
    return SliceScore(
        logits=np.frombuffer(row.logits, dtype="<f4"),
        embedding=np.frombuffer(row.embedding, dtype="<f4"),
        heat=np.frombuffer(row.heat, dtype=np.uint8).reshape(HEAT_SIZE, HEAT_SIZE),
        probabilities=six(row),
        box=BoxPlace(centre_rc=(seen["centre_rc"][0], seen["centre_rc"][1]), side_mm=seen["side_mm"]),
        peak_rc=None if peak is None else (peak[0], peak[1]),
        has_brain=seen["has_brain"],
        brain_hu=seen["brain_hu"],
        skull_area_mm2=seen["skull_area_mm2"],
        ms=seen["ms"],
        backend=seen.get("backend", ""),
        facts=None if facts is None else SliceFacts(**_tuples(facts)),
    )


def six(row: Any) -> tuple[float, ...]:
    """The six probabilities of a row of `slice` or `reading`."""
    return tuple(getattr(row, f"p_{label}") for label in LABELS)


def signed(number: int) -> int:
    """An unsigned 64-bit number of the file system as the signed one that a column holds."""
    return number - 2 * _INT64 if number >= _INT64 else number


def unsigned(number: int) -> int:
    """The number of the file system again."""
    return number + 2 * _INT64 if number < 0 else number


def fitting(number: int | None) -> int | None:
    """A number of a header, None where no column can hold it."""
    return number if number is not None and -_INT64 <= number < _INT64 else None


def _tuples(stored: Json) -> Json:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's, which JSON knows."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value
