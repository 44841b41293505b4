"""Key slices as pictures. They come from Hounsfield values in the store: the dashboard never parses DICOM."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

import numpy as np

from appliance.core.ledger import SliceRow
from appliance.core.reads import Hounsfield
from appliance.imaging.pictures import render
from appliance.imaging.windows import BRAIN
from appliance.records.ledger import Ledger
from appliance.records.slices import slice_by_id

SIZE_PX: Final = 640
MOST_KEPT: Final = 64


class Pictures:
    """PNGs of slices by id, the last ones kept. May be asked from several threads."""

    def __init__(self, ledger: Ledger, store_root: Path) -> None:
        self._ledger = ledger
        self._store_root = store_root
        self._kept: OrderedDict[tuple[int, bytes], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def png(self, slice_id: int) -> bytes | None:
        """The slice in the brain window with its heat map; None if there is no such slice or its pixels are gone."""
        with self._ledger.reading() as r:
            row = slice_by_id(r, slice_id)
        if row is None:
            return None
        key = (slice_id, row.score.heat.tobytes() if row.score else b"")
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        hu = self._pixels(row)
        if hu is None:
            return None
        score = row.score
        heat, box = (score.heat, score.box) if score else (None, None)
        drawn = render(hu, row.geometry, BRAIN, heat=heat, box=box, size_px=SIZE_PX).png
        with self._lock:
            self._kept[key] = drawn
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return drawn

    def _pixels(self, row: SliceRow) -> Hounsfield | None:
        """int16 [rows, columns] beside the stored file."""
        try:
            hu = np.load((self._store_root / row.stored).with_suffix(".npy"), allow_pickle=False)
        except (OSError, ValueError):
            return None
        if hu.dtype != np.int16 or hu.shape != (row.geometry.rows, row.geometry.columns):
            return None
        return np.asarray(hu, dtype=np.int16)
