"""What a pool of pasted slices came out like: to be printed and held against published bleeds before training on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from appliance.phantoms.bleeds import KINDS
from appliance.phantoms.pasting.paste import FULL_COVER, Pasted

_MASK = 0.3 * FULL_COVER
_SHARES = (5, 50, 95)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindReport:
    """How a kind came out, as 5th, 50th and 95th percentile over its lesions.

    `mean_hu` in the mask, `change_hu` against the twin, `volume_ml`, `slices` in which it is seen.
    """

    kind: str
    lesions: int
    mean_hu: tuple[float, float, float]
    change_hu: tuple[float, float, float]
    volume_ml: tuple[float, float, float]
    slices: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReport:
    """A pool by kind, its slices, and the share of them that shows traces only."""

    kinds: tuple[KindReport, ...]
    slices: int
    faint_share: float

    def lines(self) -> list[str]:
        """Return the report as a table for the console."""
        head = f"{'kind':5}{'n':>6}{'mean HU':>18}{'change HU':>18}{'mL':>21}{'slices':>14}"
        rows = [
            f"{k.kind:5}{k.lesions:6d}{_three(k.mean_hu, 0):>18}{_three(k.change_hu, 0):>18}"
            f"{_three(k.volume_ml, 2):>21}{_three(k.slices, 0):>14}"
            for k in self.kinds
        ]
        return [head, *rows, f"{self.slices} slices, {self.faint_share:.0%} with traces only; 5 / 50 / 95 %"]


def report(pool: Iterable[Pasted]) -> PoolReport:
    """Measure a pool. Takes one group at a time: a pool need not fit into memory."""
    found: dict[str, list[tuple[float, float, float, float]]] = {kind: [] for kind in KINDS}
    slices = faint = 0
    for group in pool:
        slices += group.indices.size
        faint += int(group.faint.sum())
        for kind, volume in group.volumes_ml.items():
            seen = group.labels[:, 1 + KINDS.index(kind)] == 1
            mask = (group.covers[..., KINDS.index(kind)] >= _MASK) & seen[:, None, None]
            if mask.any():
                hu = group.hu[mask].astype(np.float64)
                change = hu - group.clean[mask]
                found[kind].append((float(hu.mean()), float(change.mean()), volume, float(seen.sum())))
    kinds = tuple(_of_kind(kind, values) for kind, values in found.items() if values)
    return PoolReport(kinds=kinds, slices=slices, faint_share=faint / slices if slices else 0.0)


def _of_kind(kind: str, values: list[tuple[float, float, float, float]]) -> KindReport:
    columns = [_percentiles(list(column)) for column in zip(*values, strict=True)]
    return KindReport(
        kind=kind,
        lesions=len(values),
        mean_hu=columns[0],
        change_hu=columns[1],
        volume_ml=columns[2],
        slices=columns[3],
    )


def _percentiles(values: list[float]) -> tuple[float, float, float]:
    low, middle, high = np.percentile(values, _SHARES)
    return float(low), float(middle), float(high)


def _three(values: tuple[float, float, float], digits: int) -> str:
    return " / ".join(f"{value:.{digits}f}" for value in values)
