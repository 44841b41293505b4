"""What surrounds each slice of an exam, for the learned aggregator: neighbours, heat maps that agree, height. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from appliance.core.aggregator import NEIGHBOUR_MM, Array, Surroundings
from appliance.core.evidence import HOT, heat_overlap, scored_of
from appliance.core.ledger import SliceRow

FARTHEST_MM: Final = 12.5
"""A slice farther away says nothing of whether a hot place goes on."""


def surroundings(places: Sequence[SliceRow]) -> Surroundings:
    """Of scored slices, at least one, one a place from the foot, as `evidence.near_brain` gives them."""
    at_mm = np.array([row.geometry.position_mm for row in places], dtype=np.float64)
    below, above = _neighbours(at_mm)
    # One look at each pair: what lies above one slice mostly has that one below it.
    pairs = {(i, j) for i, j in enumerate(above) if j >= 0} | {(j, i) for i, j in enumerate(below) if j >= 0}
    overlap = {(i, j): heat_overlap(places[i], places[j]) for i, j in pairs}
    downwards = [overlap.get((j, i), 0.0) for i, j in enumerate(below)]
    upwards = [overlap.get((i, j), 0.0) for i, j in enumerate(above)]
    has_below, has_above = ([float(j >= 0) for j in found] for found in (below, above))
    return Surroundings(
        positions_mm=at_mm,
        embedding=np.array([scored_of(row).embedding for row in places], dtype=np.float64),
        seen=np.array([downwards, upwards, _hot_area(places)], dtype=np.float64).T,
        context=np.array([has_below, has_above, *_height(places, at_mm), _skull(places)], dtype=np.float64).T,
    )


def _neighbours(at_mm: Array) -> tuple[list[int], list[int]]:
    """Of each place that below and that above whose distance is nearest to NEIGHBOUR_MM; -1 where none is near."""
    gaps_mm = at_mm[:, None] - at_mm[None, :]
    found = []
    for away_mm in (gaps_mm, -gaps_mm):
        off_mm = np.where((away_mm > 0.0) & (away_mm <= FARTHEST_MM), np.abs(away_mm - NEIGHBOUR_MM), np.inf)
        nearest = np.where(np.isfinite(off_mm.min(axis=1)), off_mm.argmin(axis=1), -1)
        found.append([int(index) for index in nearest])
    return found[0], found[1]


def _hot_area(places: Sequence[SliceRow]) -> Array:
    """The hot part of each slice's map, from 0: the logarithm of its cm2 and 1."""
    heat = np.stack([scored_of(row).heat for row in places])
    cell_mm = np.array([scored_of(row).box.side_mm for row in places]) / heat.shape[1]
    return np.asarray(np.log1p(np.count_nonzero(heat >= HOT, axis=(1, 2)) * cell_mm * cell_mm / 100.0))


def _height(places: Sequence[SliceRow], at_mm: Array) -> tuple[Array, Array]:
    """How high each place lies between the lowest and the highest slice with brain, 0 to 1; how far apart these are, in dm."""
    brains_mm = [row.geometry.position_mm for row in places if scored_of(row).has_brain] or at_mm.tolist()
    low_mm, extent_mm = min(brains_mm), max(brains_mm) - min(brains_mm)
    height = np.clip((at_mm - low_mm) / extent_mm, -0.5, 1.5) if extent_mm > 0.0 else np.full(at_mm.size, 0.5)
    return height, np.full(at_mm.size, min(extent_mm / 100.0, 2.0))


def _skull(places: Sequence[SliceRow]) -> Array:
    """The area that each slice's skull takes in, in dm2."""
    return np.clip(np.array([scored_of(row).skull_area_mm2 for row in places]) / 10_000.0, 0.0, 4.0)
