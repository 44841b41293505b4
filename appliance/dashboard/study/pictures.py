"""Slices as pictures. They come from Hounsfield values in the store: the dashboard never parses DICOM."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final

import numpy as np

from appliance.core.ledger import SliceRow
from appliance.core.reads import Hounsfield
from appliance.imaging.layers import grey_layer, heat_layer
from appliance.imaging.pictures import render
from appliance.imaging.windows import BRAIN, WINDOWS
from appliance.records.ledger import Ledger
from appliance.records.slices import slice_by_id

SIZE_PX: Final = 640
MOST_KEPT_BYTES: Final = 96 * 2**20
MOST_SLICES_KEPT: Final = 32
"""Slices whose Hounsfield values stay in memory: a change of the window reads nothing again (0.5 MB each)."""
HEAT: Final = "heat"
LAYERS: Final = frozenset({*WINDOWS, HEAT})


class Pictures:
    """PNGs of slices by id, the last ones kept. May be asked from several threads."""

    def __init__(self, ledger: Ledger, store_root: Path) -> None:
        self._ledger = ledger
        self._store_root = store_root
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._slices: OrderedDict[int, Hounsfield] = OrderedDict()
        self._lock = threading.Lock()

    def png(self, slice_id: int) -> bytes | None:
        """The slice in the brain window with its heat map; None if there is no such slice or its pixels are gone."""

        def drawn(hu: Hounsfield, row: SliceRow) -> bytes:
            heat, box = (row.score.heat, row.score.box) if row.score else (None, None)
            return render(hu, row.geometry, BRAIN, heat=heat, box=box, size_px=SIZE_PX).png

        row = self._row(slice_id)
        return None if row is None else self._drawn(row, ("key", _heat_of(row)), drawn)

    def layer(self, slice_id: int, name: str) -> bytes | None:
        """The slice in a window of `imaging.windows`, or its heat map alone; None if there is nothing to draw it from."""
        row = self._row(slice_id)
        if row is None or name not in LAYERS:
            return None
        if name in WINDOWS:
            return self._drawn(row, name, lambda hu, row: grey_layer(hu, row.geometry, WINDOWS[name]))
        score = row.score
        if score is None:
            return None
        return self._drawn(row, (name, _heat_of(row)), lambda _, row: heat_layer(score.heat, score.box, row.geometry))

    def has_pixels(self, row: SliceRow) -> bool:
        """Whether the pictures of this slice can still be drawn."""
        return self._place(row).is_file()

    def _row(self, slice_id: int) -> SliceRow | None:
        with self._ledger.reading() as r:
            return slice_by_id(r, slice_id)

    def _drawn(self, row: SliceRow, what: Hashable, draw: Callable[[Hounsfield, SliceRow], bytes]) -> bytes | None:
        key = (row.id, what)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        hu = self._pixels(row)
        if hu is None:
            return None
        png = draw(hu, row)
        with self._lock:
            self._kept_bytes += len(png) - len(self._kept.get(key, b""))
            self._kept[key] = png
            while self._kept_bytes > MOST_KEPT_BYTES:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1])
        return png

    def _pixels(self, row: SliceRow) -> Hounsfield | None:
        """int16 [rows, columns] beside the stored file."""
        with self._lock:
            if row.id in self._slices:
                self._slices.move_to_end(row.id)
                return self._slices[row.id]
        try:
            hu = np.load(self._place(row), allow_pickle=False)
        except (OSError, ValueError):
            return None
        if hu.dtype != np.int16 or hu.shape != (row.geometry.rows, row.geometry.columns):
            return None
        values = np.ascontiguousarray(hu, dtype=np.int16)
        with self._lock:
            self._slices[row.id] = values
            while len(self._slices) > MOST_SLICES_KEPT:
                self._slices.popitem(last=False)
        return values

    def _place(self, row: SliceRow) -> Path:
        return (self._store_root / row.stored).with_suffix(".npy")


def _heat_of(row: SliceRow) -> bytes:
    """A slice that is scored again has another heat map, and so another picture."""
    return row.score.heat.tobytes() if row.score else b""
