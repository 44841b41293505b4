"""A head as a label map, made of ellipsoids: what a segmentation programme would hand over, written as NIfTI."""

from pathlib import Path
from struct import pack_into

import numpy as np

STEP_MM = 2.0
SHARE = 0.84  # of a grown head's size: a smaller map is measured sooner
CORNER_MM = (-74.0, -88.0, -76.0)  # RAS, of the middle of the first voxel
SIZE = (75, 89, 77)


def head_labels() -> np.ndarray:
    """FreeSurfer numbers int16 [right, front, up] in steps of STEP_MM."""
    right, front, up = np.meshgrid(
        *(c + STEP_MM * np.arange(n) for c, n in zip(CORNER_MM, SIZE, strict=True)), indexing="ij"
    )
    x, y, z = -right / SHARE, -front / SHARE, up / SHARE  # the head frame: to the left, to the back
    left = x > 0
    labels = np.zeros(SIZE, dtype=np.int16)

    def ball(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
        return sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), centre, radii, strict=True)) < 1.0

    middle = (0.0, 0.0, 0.0)
    labels[ball(middle, (82, 98, 86))] = 511  # skin
    labels[ball(middle, (79, 95, 83))] = 507  # soft tissue
    labels[ball(middle, (73, 89, 77))] = 515  # bone
    inside = ball(middle, (67, 83, 71))
    labels[inside] = 24
    brain = ball(middle, (63, 79, 67)) & ((np.abs(x) > 1.5) | (z < 20)) & (z > -30)
    labels[brain] = np.where(left, 3, 42)[brain]
    white = ball(middle, (55, 71, 59)) & brain
    labels[white] = np.where(left, 2, 41)[white]
    low = ball((0, 42, -44), (48, 30, 20)) & inside
    labels[low & (z < -32)] = np.where(left, 8, 47)[low & (z < -32)]
    labels[ball((0, 12, -44), (11, 10, 24)) & inside] = 16
    labels[ball((0, 26, -44), (5, 4, 6))] = 15
    for side, numbers in ((1, (4, 10, 12, 31)), (-1, (43, 49, 51, 63))):
        labels[ball((side * 11, 2, 14), (7, 34, 8))] = numbers[0]
        labels[ball((side * 11, 14, 3), (7, 10, 7))] = numbers[1]
        labels[ball((side * 25, -2, 1), (6, 12, 9))] = numbers[2]
        labels[ball((side * 12, 30, 12), (4, 5, 4))] = numbers[3]
    labels[ball((0, 2, -4), (2.5, 14, 8))] = 14
    labels[inside & ~ball(middle, (63, 79, 66)) & (np.abs(x) < 4) & (y > -40) & (z > -10)] = 514  # sagittal sinus
    return labels


def write_nifti(path: Path, labels: np.ndarray) -> Path:
    """The labels as a NIfTI-1 file whose axes grow to the right, front and head."""
    header = bytearray(352)
    pack_into("<i", header, 0, 348)
    pack_into("<8h", header, 40, 3, *labels.shape, 1, 1, 1, 1)
    pack_into("<2h", header, 70, 4, 16)
    pack_into("<8f", header, 76, 1, STEP_MM, STEP_MM, STEP_MM, 0, 0, 0, 0)
    pack_into("<3f", header, 108, 352.0, 1.0, 0.0)
    pack_into("<2h", header, 252, 0, 1)
    for row in range(3):
        values = [0.0, 0.0, 0.0, CORNER_MM[row]]
        values[row] = STEP_MM
        pack_into("<4f", header, 280 + 16 * row, *values)
    header[344:348] = b"n+1\0"
    path.write_bytes(bytes(header) + labels.astype("<i2").tobytes(order="F"))
    return path
