"""What the numbers of FreeSurfer-like label maps mean for a CT, and which maps say so by a table of their own.

Sources: FreeSurferColorLUT for 2 to 255 and the cortical parcels; 502 to 530 were
read off whole-head maps themselves.
"""

from __future__ import annotations

import csv
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.core.errors import CannotStart

TABLE = "labels.csv"
"""Beside the maps, where their values are indices: columns `index` and `source_label` (the FreeSurfer number)."""


class Tissue(IntEnum):
    """What a voxel is made of, as far as a CT tells it apart."""

    AIR = 0
    SKIN = 1
    SOFT = 2
    EYE = 3
    NERVE = 4
    CORD = 5
    BONE = 6
    CSF = 7
    VENTRICLE = 8
    PLEXUS = 9
    VEIN = 10
    ARTERY = 11
    CORTEX = 12
    WHITE = 13
    LESION = 14
    DEEP = 15  # caudate, putamen, accumbens
    PALLIDUM = 16
    THALAMUS = 17
    MEDIAL = 18  # hippocampus, amygdala, ventral diencephalon, chiasm
    STEM = 19
    CEREBELLUM = 20
    CEREBELLUM_WHITE = 21
    THIRD = 22  # third ventricle, which the pineal gland lies behind
    FOURTH = 23  # fourth ventricle, under the tentorium


BRAIN = range(Tissue.CORTEX, Tissue.CEREBELLUM_WHITE + 1)
CEREBRUM = (Tissue.CORTEX, Tissue.WHITE, Tissue.LESION, Tissue.DEEP, Tissue.PALLIDUM, Tissue.THALAMUS, Tissue.MEDIAL)
HOLLOW = (Tissue.VENTRICLE, Tissue.PLEXUS, Tissue.THIRD, Tissue.FOURTH)

_NUMBERS: dict[Tissue, tuple[int, ...]] = {
    Tissue.SKIN: (511,),
    Tissue.SOFT: (507, 508, 509, 258),
    Tissue.EYE: (506, 259),
    Tissue.NERVE: (530,),
    Tissue.CORD: (512,),
    Tissue.BONE: (515, 516, 165),
    Tissue.CSF: (24, 122, 257),
    Tissue.VENTRICLE: (4, 5, 43, 44, 72, 221),
    Tissue.THIRD: (14,),
    Tissue.FOURTH: (15,),
    Tissue.PLEXUS: (31, 63, 136, 137, 163, 164),
    Tissue.VEIN: (514, 262),
    Tissue.ARTERY: (502, 30, 62),
    Tissue.CORTEX: (3, 42, 19, 20, 55, 56, 80),
    Tissue.WHITE: (2, 41, 78, 79, 155, 156, 192, 250, 251, 252, 253, 254, 255),
    Tissue.LESION: (25, 57, 77, 99),
    Tissue.DEEP: (11, 12, 26, 50, 51, 58),
    Tissue.PALLIDUM: (13, 52),
    Tissue.THALAMUS: (9, 10, 48, 49),
    Tissue.MEDIAL: (17, 18, 28, 53, 54, 60, 85),
    Tissue.STEM: (16, 170, 171, 173, 174, 175, 178),
    Tissue.CEREBELLUM: (8, 47, 172, 630, 631, 632),
    Tissue.CEREBELLUM_WHITE: (7, 46),
}
_LEFT_HEMISPHERE = (2, 3, 78, 155, *range(1000, 1036))
_RIGHT_HEMISPHERE = (41, 42, 79, 156, *range(2000, 2036))
_MOST_NUMBER = 15000  # of the parcels that FreeSurfer's finer atlases give


def _tissue_of_number() -> NDArray[np.uint8]:
    tissue = np.zeros(_MOST_NUMBER, dtype=np.uint8)
    for kind, numbers in _NUMBERS.items():
        tissue[list(numbers)] = kind
    for parcels in (slice(1000, 1036), slice(2000, 2036), slice(11100, 11176), slice(12100, 12176)):
        tissue[parcels] = Tissue.CORTEX
    tissue[3000:3036] = tissue[4000:4036] = tissue[5001:5003] = Tissue.WHITE
    return tissue


def _side_of_number() -> NDArray[np.int8]:
    side = np.zeros(_MOST_NUMBER, dtype=np.int8)
    side[list(_LEFT_HEMISPHERE)] = 1
    side[11100:11176] = 1
    side[list(_RIGHT_HEMISPHERE)] = -1
    side[12100:12176] = -1
    return side


def read_table(folder: Path) -> NDArray[np.int64] | None:
    """Return the FreeSurfer number of each index that the folder's maps hold; None where they hold the numbers.

    CannotStart where there is a table but not of this form.
    """
    path = folder / TABLE
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(int(row["index"]), int(row["source_label"])) for row in csv.DictReader(file)]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise CannotStart(f"{path}: a table of columns index and source_label, whole numbers ({error})") from None
    if not rows or min(map(min, rows)) < 0 or max(map(max, rows)) >= _MOST_NUMBER:
        raise CannotStart(f"{path}: it has no rows, or numbers outside 0..{_MOST_NUMBER - 1}")
    numbers = np.zeros(max(index for index, _ in rows) + 1, dtype=np.int64)
    for index, number in rows:
        numbers[index] = number
    return numbers


def tissues_of(
    values: NDArray[np.integer], numbers: NDArray[np.int64] | None
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Return the tissue of every voxel, and 1 in the left hemisphere, -1 in the right, 0 elsewhere.

    `values` holds indices of `numbers`, or FreeSurfer numbers where that is None; what neither knows becomes air.
    """
    index = np.arange(_MOST_NUMBER) if numbers is None else numbers
    tissue, side = _tissue_of_number()[index], _side_of_number()[index]
    known = np.where((values >= 0) & (values < index.size), values, 0)
    return tissue[known], side[known]
